"""`lln learner …`: accounts 个人学习账户 of this node's own learners.

Identity numbers are printed masked, and what is refused is told without them. What must not live here: any decision.
"""

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from federation.persons import Written
from node import desk
from node.cli.asking import Asking
from node.cli.consents import print_consents, print_disclosures
from node.cli.plans import end_of_plan, print_plan
from node.cli.words import china_time, clean, padded, width

F = TypeVar("F", bound=Callable[..., Any])
BATCH: Final = 1_000
LABEL_COLUMNS: Final = 18
EMPTIED: Final = ("identity_number", "student_number", "birth_date", "guardian", "contact")


@click.group()
def learner() -> None:
    """Register, import, change, show, list, move, export and erase accounts of learners; handles for other nodes."""


def _about(command: F) -> F:
    """The options that say something of a person beside the name."""
    for option in reversed(
        (
            click.option(
                "--identity-number",
                default="",
                prompt="身份证号 identity number",
                prompt_required=False,
                help="身份证号; without a value it is asked for, and stays out of the shell's history.",
            ),
            click.option("--student-number", default="", help="学号"),
            click.option("--birth-date", default="", help="2010-01-31; an identity number tells it, too."),
            click.option("--guardian", default="", help="Who consents for a learner below fourteen 监护人."),
            click.option("--contact", default="", help="联系方式"),
        )
    ):
        command = option(command)
    return command


@learner.command()
@click.option("--name", required=True, help="姓名")
@_about
@click.pass_obj
def register(asking: Asking, /, **said: str) -> None:
    """Open an account for one person."""
    shown = asking.ask("learner.register", desk.RegisterAsked(written=Written(**said)), desk.LearnerShown)
    _print_account(asking, shown)


@learner.command()
@click.argument("id_", metavar="LEARNER")
@click.option("--name", default="", help="姓名")
@_about
@click.option("--empty", "emptied", multiple=True, type=click.Choice(EMPTIED), help="Take out what is held.")
@click.pass_obj
def change(asking: Asking, /, id_: str, emptied: tuple[Any, ...], **said: str) -> None:
    """Put right what is held of a learner; what is not named stays."""
    asked = desk.ChangeAsked(learner=_id(asking, id_), written=Written(**said), emptied=emptied)
    _print_account(asking, asking.ask("learner.change", asked, desk.LearnerShown))


@learner.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--apply", is_flag=True, help="Write; without it only the plan is shown.")
@click.option("--rejected", type=click.Path(path_type=Path, dir_okay=False), help="Write refused rows to a CSV file.")
@click.pass_obj
def import_(asking: Asking, file: Path, rejected: Path | None, *, apply: bool) -> None:
    """Import FILE: CSV (UTF-8 or GB18030) or XLSX with 姓名, 身份证号, 学号 …. Importing twice changes nothing."""
    from federation.errors import LlnError
    from node.intake.learners import read_learners

    good: list[desk.LearnerWritten] = []
    planned: list[desk.PlannedLearner] = []
    try:
        for row in read_learners(file):
            if not row.faults:
                good.append(desk.LearnerWritten(row=row.row, written=row.written))
            planned.extend(
                desk.PlannedLearner(
                    row=row.row,
                    change="refused",
                    reason_zh=fault.reason_zh,
                    reason_en=fault.reason_en,
                    remedy_zh=fault.remedy_zh,
                    remedy_en=fault.remedy_en,
                    changed=(fault.field,) if fault.field else (),
                )
                for fault in row.faults
            )
    except LlnError as error:
        asking.fail(error)
    batches = [
        desk.LearnersImportAsked(rows=tuple(good[at : at + BATCH]), apply=apply) for at in range(0, len(good), BATCH)
    ]
    for plan in asking.many("learner.import", batches, desk.LearnerPlan) if batches else ():
        planned.extend(plan.rows)
    planned.sort(key=lambda row: row.row)
    if rejected is not None:
        _write_rejected(rejected, planned)
    if asking.as_json:
        asking.json(desk.LearnerPlan(applied=apply, rows=tuple(planned)))
        end_of_plan(planned)
        return
    words = {change: change for change in ("add", "update", "same", "refused")}
    print_plan(asking, planned, _print_planned, words=words, end="written learners" if apply else "plan only")
    end_of_plan(planned)


@learner.command()
@click.argument("id_", metavar="LEARNER")
@click.pass_obj
def show(asking: Asking, id_: str) -> None:
    """An account with its consents, and every disclosure that was made of it."""
    asked = desk.LearnerNamed(learner=_id(asking, id_))
    _print_account(asking, asking.ask("learner.show", asked, desk.LearnerShown))


@learner.command("list")
@click.pass_obj
def list_(asking: Asking) -> None:
    """Every account, in the order of the ids; numbers masked."""
    rows: list[desk.LearnerLine] = []
    more = True
    while more:
        asked = desk.LearnersAsked(after=rows[-1].id if rows else "", limit=BATCH)
        page = asking.ask("learner.list", asked, desk.Learners)
        rows.extend(page.rows)
        more = page.more
    if asking.as_json:
        asking.json(rows)
        return
    names = max((width(clean(row.name)) for row in rows), default=0)
    for row in rows:
        numbers = "  ".join(number for number in (row.identity_number, row.student_number) if number)
        line = f"{row.id}  {padded(asking.word(row.state), 8)}{padded(clean(row.name), names)}  {clean(numbers)}"
        click.echo(line.rstrip())
    click.echo(f"{asking.word('in all')} {len(rows)}")


@learner.command()
@click.argument("id_", metavar="LEARNER")
@click.option("--for", "node", required=True, help="The node that shall be able to issue to the learner.")
@click.pass_obj
def handle(asking: Asking, id_: str, node: str) -> None:
    """Print the handle by which one other node may know a learner; each node gets another one."""
    asked = desk.HandleAsked(learner=_id(asking, id_), node=_node(asking, node))
    made = asking.ask("learner.handle", asked, desk.HandleMade)
    if asking.as_json:
        asking.json(made)
        return
    click.echo(asking.word("learner.hand over"), err=True)
    click.echo(made.handle)


@learner.command()
@click.argument("id_", metavar="LEARNER")
@click.option("--from", "node", required=True, help="The node that the learner comes from.")
@click.pass_obj
def welcome(asking: Asking, id_: str, node: str) -> None:
    """At the new home: print the code with which a learner's account can be moved here, into LEARNER."""
    asked = desk.WelcomeAsked(learner=_id(asking, id_), node=_node(asking, node))
    made = asking.ask("learner.welcome", asked, desk.Welcomed)
    if asking.as_json:
        asking.json(made)
        return
    click.echo(asking.word("learner.take along").format(made.node, china_time(made.until_ms)[:10]), err=True)
    click.echo(made.code)


@learner.command()
@click.argument("id_", metavar="LEARNER")
@click.option("--to", "node", required=True, help="The new home.")
@click.option("--code", required=True, help="What lln learner welcome printed there.")
@click.option("--consent", required=True, help="For the transfer: lln consent give --purpose transfer --all-records.")
@click.pass_obj
def move(asking: Asking, id_: str, node: str, code: str, consent: str) -> None:
    """At the old home: hand an account over to its new one. The same command again tells how it stands."""
    asked = desk.LearnerMoveAsked(
        learner=_id(asking, id_),
        to=_node(asking, node),
        code=_id(asking, code, "M"),
        consent=_id(asking, consent, "C"),
    )
    told = asking.ask("learner.move", asked, desk.LearnerMoveTold)
    if asking.as_json:
        asking.json(told)
    else:
        _print_move(asking, told)
    if told.state == "active":
        raise SystemExit(1)


@learner.command()
@click.argument("id_", metavar="LEARNER")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The ZIP to write; LEARNER.zip otherwise.")
@click.pass_obj
def export(asking: Asking, id_: str, out: Path | None) -> None:
    """Write everything the node holds of a learner into a ZIP of open formats, for the learner."""
    name = _id(asking, id_)
    place = out or Path(f"{name}.zip")
    made = asking.ask("learner.export", desk.LearnerNamed(learner=name), desk.LearnerExport)
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except OSError as error:
        raise click.ClickException(f"{place}: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(made.archive)
    if asking.as_json:
        asking.json({"file": str(place), "files": made.files})
        return
    click.echo(f"{place}  {asking.word('learner.exported')}")
    for path in made.files:
        click.echo(f"    {path}")


@learner.command()
@click.argument("id_", metavar="LEARNER")
@click.option("--yes", is_flag=True, help="Erase; without it only what would go and what would stay is told.")
@click.pass_obj
def erase(asking: Asking, id_: str, *, yes: bool) -> None:
    """Erase an account, but for what the law keeps; that is listed, with its basis and term."""
    asked = desk.EraseAsked(learner=_id(asking, id_), confirmed=yes)
    told = asking.ask("learner.erase", asked, desk.LearnerErased)
    if asking.as_json:
        asking.json(told)
        return
    click.echo(f"{asked.learner}  {asking.word('learner.gone' if told.erased else 'learner.would go')}")
    for kind, count in told.gone.items():
        click.echo(f"    {padded(asking.word(f'erase.{kind}'), 40)}{count}")
    if told.kept:
        click.echo(asking.word("learner.would stay"))
        for record in told.kept:
            click.echo(f"    {record.id}  {asking.word('learner.until')} {record.until}")
        click.echo(f"    {told.basis_zh if asking.ui == 'zh' else told.basis_en}")
    click.echo(asking.word("learner.stub stays"))
    click.echo(asking.word("learner.backups" if told.erased else "learner.erase yes"))


# --- printing --------------------------------------------------------------------------------------------------------


def _id(asking: Asking, text: str, letter: str = "L") -> str:
    from federation.errors import LlnError
    from federation.short_ids import read_id

    try:
        return read_id(letter, text)
    except LlnError as error:
        asking.fail(error)


def _node(asking: Asking, text: str) -> str:
    from federation.errors import LlnError
    from federation.naming import parse_name

    try:
        return parse_name(text)
    except LlnError as error:
        asking.fail(error)


def _print_move(asking: Asking, told: desk.LearnerMoveTold) -> None:
    click.echo(f"{told.learner}  {asking.word(told.state)}  → {told.to}")
    click.echo(f"  {asking.word(f'learner.move.{told.state}').format(told.records)}")
    if told.zh:
        click.echo(f"  {clean(told.zh if asking.ui == 'zh' else told.en)}")


def _print_account(asking: Asking, shown: desk.LearnerShown) -> None:
    if asking.as_json:
        asking.json(shown)
        return
    click.echo(
        f"{click.style(clean(shown.name) or asking.word('none'), bold=True)}  {shown.id}  {asking.word(shown.state)}"
    )
    records = " · ".join(f"{asking.word(state)} {count}" for state, count in sorted(shown.records.items()))
    lines = {
        "identity_number": shown.identity_number,
        "student_number": shown.student_number,
        "birth_date": str(shown.birth_date or ""),
        "guardian": shown.guardian,
        "contact": shown.contact,
        "moved_to": shown.moved_to,
        "registered": china_time(shown.registered_at_ms)[:10],
        "records": records,
        "consent_by": asking.word(f"learner.by.{shown.consent_by}") if shown.state == "active" else "",
    }
    for field, text in lines.items():
        if text or field not in ("moved_to", "consent_by"):
            label = padded(asking.word(f"learner.{field}"), LABEL_COLUMNS)
            click.echo(f"  {label}{clean(text) or asking.word('none')}")
    if shown.pseudonyms:
        click.echo(f"\n{asking.word('learner.pseudonyms')}")
        for one in shown.pseudonyms:
            click.echo(f"  {one.node}  {one.subject}")
    click.echo(f"\n{asking.word('learner.consents')}")
    print_consents(asking, shown.consents)
    click.echo(f"\n{asking.word('learner.disclosures')}")
    print_disclosures(asking, shown.disclosures)


def _print_planned(asking: Asking, row: desk.PlannedLearner) -> None:
    fields = ", ".join(asking.word(f"learner.{field}") for field in row.changed)
    parts = (asking.word("row").format(row.row), row.id, clean(row.name), row.number, f"({fields})" if fields else "")
    click.echo("    " + "  ".join(part for part in parts if part))
    if row.change == "refused":
        click.echo(f"        {clean(row.reason_zh if asking.ui == 'zh' else row.reason_en)}")
        click.echo(f"        → {clean(row.remedy_zh if asking.ui == 'zh' else row.remedy_en)}")


def _write_rejected(path: Path, rows: Sequence[desk.PlannedLearner]) -> None:
    """Rows by number only: what stood in them stays in the sheet."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("行 row", "列 column", "原因 reason", "怎么办 remedy"))
        writer.writerows(
            (
                row.row,
                " ".join(row.changed),
                f"{row.reason_zh} {row.reason_en}",
                f"{row.remedy_zh} {row.remedy_en}",
            )
            for row in rows
            if row.change == "refused"
        )
