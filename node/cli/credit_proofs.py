"""`lln credit export|bundle|prove|verify`: records for others, and whether a record is good.

What must not live here: any decision. `verify --root` needs no node: it reads an offline proof with the root alone.
"""

import os
import re
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from node import desk
from node.cli.asking import Asking
from node.cli.words import china_time, clean, credit_amount, padded

VERIFIED_CHARS_MAX: Final = 2_000_000
_CODE: Final = re.compile(r"[0-9A-Za-z -]{16,24}(@[A-Za-z0-9.-]+)?\Z")
_FORMS: Final = ("wallet", "transcript", "elmo", "page")


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--wallet", "form", flag_value="wallet", help="A record for wallets: an RDF proof in front.")
@click.option("--transcript", "form", flag_value="transcript", help="All an account holds, as CLR 2.0 清单.")
@click.option("--elmo", "form", flag_value="elmo", help="The same as ELMO XML, for EMREX.")
@click.option("--page", "form", flag_value="page", help="A page for paper; of a proof's code with a QR code.")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="A new file.")
@click.pass_obj
def export(asking: Asking, /, id_: str, form: Any, out: Path | None) -> None:
    """Write a record, an account or a proof (by its code) in a form others read; without one, as it was issued."""
    _export(asking, id_, form or "credential", out)


@click.command()
@click.argument("id_", metavar="RECORD")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="A new file.")
@click.pass_obj
def bundle(asking: Asking, /, id_: str, out: Path | None) -> None:
    """Write the offline proof 离线证明 of a record: whoever has the network's root needs nothing else."""
    _export(asking, id_, "bundle", out)


@click.command()
@click.argument("learner")
@click.argument("records", metavar="RECORD...", nargs=-1, required=True)
@click.option("--days", type=click.IntRange(1, 3_650), default=90, show_default=True)
@click.option("--by-guardian", is_flag=True, help="The guardian on record agrees, for a learner below fourteen.")
@click.option("--yes", is_flag=True, help="They have read the words and agree.")
@click.option("--qr", type=click.Path(path_type=Path, dir_okay=False), help="Write the QR code to an SVG file.")
@click.pass_obj
def prove(
    asking: Asking, /, learner: str, records: tuple[str, ...], qr: Path | None, *, yes: bool, **said: Any
) -> None:
    """Give out a code 学习成果证明 under which others see these records, on the learner's consent."""
    asked = desk.ProofAsked(learner=learner, records=records, confirmed=yes, **said)
    told = asking.ask("credit.prove", asked, desk.ProofMade)
    if not yes:
        click.echo(clean(told.zh), err=asking.as_json)
        click.echo(clean(told.en), err=asking.as_json)
        if not click.confirm(asking.word("consent.agree"), default=False, err=asking.as_json):
            click.echo(asking.word("consent.not given"), err=asking.as_json)
            raise SystemExit(1)
        confirmed = desk.ProofAsked(learner=learner, records=records, confirmed=True, **said)
        told = asking.ask("credit.prove", confirmed, desk.ProofMade)
    if qr is not None:
        _write(qr, told.qr.encode())
    if asking.as_json:
        asking.json(told)
        return
    until = f"{asking.word('credit.until')} {china_time(told.until_ms)[:10]}"
    click.echo(f"{asking.word('credit.proof')} {told.where}  {until}")
    click.echo(_drawn(told.where))
    click.echo(f"{asking.word('credit.withdraw by')} lln consent withdraw {told.consent}")


@click.command()
@click.argument("what", metavar="FILE|CODE[@NODE]|-")
@click.option("--root", help="The network's root, a PEM file or its SHA-256: verify an offline proof without a node.")
@click.pass_obj
def verify(asking: Asking, /, what: str, root: str | None) -> None:
    """Say of a credential, an offline proof, or what a code stands for whether it is good, and if not why not."""
    text = _given(asking, what)
    told = _offline(asking, text, root) if root else asking.ask("credit.verify", _asked(text), desk.Verdicts)
    if asking.as_json:
        asking.json(told)
    else:
        for verdict in told.verdicts:
            _print(asking, verdict)
    raise SystemExit(min((one.exit_code for one in told.verdicts if one.exit_code), default=0))


COMMANDS: Final = (export, bundle, prove, verify)


def _export(asking: Asking, id_: str, form: Any, out: Path | None) -> None:
    made = asking.ask("credit.export", desk.ExportAsked(id=id_, form=form), desk.Exported)
    if out is None and not sys.stdout.isatty():
        sys.stdout.buffer.write(made.content)
        return
    place = out or Path(made.name)
    _write(place, made.content)
    if asking.as_json:
        asking.json({"file": str(place), "media_type": made.media_type, "bytes": len(made.content)})
        return
    click.echo(f"{place}  {made.media_type}  {len(made.content)} B")


def _write(place: Path, content: bytes) -> None:
    """A new file only its owner reads: it says something of a person."""
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except OSError as error:
        raise click.ClickException(f"{place}: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _given(asking: Asking, what: str) -> str:
    """The text of a file or of what is piped in; a code as it was typed."""
    from node.usecases.verifying import UnreadableDocument

    if what != "-" and not Path(what).is_file():
        if not _CODE.match(what):
            asking.fail(UnreadableDocument(what[:80], "no such file, and not a code"))
        return what
    try:
        raw = sys.stdin.buffer.read(4 * VERIFIED_CHARS_MAX + 1) if what == "-" else _read(Path(what))
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        asking.fail(UnreadableDocument(what[:80], "cannot be read as UTF-8 text" if not str(error) else str(error)))
    if len(text) > VERIFIED_CHARS_MAX:
        asking.fail(UnreadableDocument(what[:80], f"more than {VERIFIED_CHARS_MAX} characters"))
    return text


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(4 * VERIFIED_CHARS_MAX + 1)


def _asked(text: str) -> desk.VerifyAsked:
    return desk.VerifyAsked(text=text)


def _offline(asking: Asking, text: str, root: str) -> desk.Verdicts:
    """With the root alone; a credential by itself needs a node, or the offline proof."""
    from federation import bundles
    from federation.errors import LlnError
    from node.usecases.verifying import UnreadableDocument, is_bundle, told

    now_ms = time.time_ns() // 1_000_000
    try:
        document = text.strip().encode()
        if not is_bundle(document):
            raise UnreadableDocument("document", "without a node only an offline proof can be verified")
        found = bundles.verify_bundle(document, root_sha256=_root_sha256(root), as_of_ms=now_ms)
    except LlnError as error:
        asking.fail(error)
    return desk.Verdicts(verdicts=(told(found.verdict.answers, found.credential, now_ms),))


def _root_sha256(root: str) -> str:
    from federation.bundles import root_fingerprint
    from federation.certificate_profile import from_pem
    from node.usecases.verifying import UnreadableDocument

    digest = root.replace(":", "").lower()
    if re.fullmatch(r"[0-9a-f]{64}", digest):
        return digest
    try:
        pem = _read(Path(root))
    except OSError as error:
        raise UnreadableDocument(root[:80], error.strerror or "cannot be read") from error
    certificates = from_pem(pem)
    if len(certificates) != 1:
        raise UnreadableDocument(root[:80], "expected one certificate, the network's root")
    return root_fingerprint(certificates[0])


# --- printing --------------------------------------------------------------------------------------------------------


def _print(asking: Asking, verdict: desk.Verdict) -> None:
    click.echo(verdict.zh if asking.ui == "zh" else verdict.en)
    if verdict.id:
        amount = f"{credit_amount(verdict.hundredths)} {clean(verdict.unit)}"
        click.echo(f"    {clean(str(verdict.achievement))}  {amount}  {verdict.achieved_on}  {verdict.issuer}")
    for answer in verdict.answers:
        question = "issuer then" if answer.question == "issuer" else answer.question
        sentence = answer.zh if asking.ui == "zh" else answer.en
        click.echo(f"    {padded(asking.word('credit.' + question), 10)}{sentence}")
    if verdict.status_as_of_ms is not None:
        click.echo(f"    {asking.word('credit.status of')} {china_time(verdict.status_as_of_ms)}")


def _drawn(content: str) -> str:
    """A QR code of half blocks, for a terminal."""
    from node.formats.qr_codes import in_terminal

    return in_terminal(content)
