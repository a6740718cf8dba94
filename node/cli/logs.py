"""`lln log show|verify|prove`: what a log says, and that it says it whole."""

from pathlib import Path

import click
import msgspec

from federation.logs import TOPICS
from node import desk
from node.cli.asking import Asking
from node.cli.words import ago, clean

TOPIC = click.Choice(list(TOPICS))
_ORIGIN = click.option("--origin", default="", help="Whose log; this node's own otherwise.")


@click.group()
def log() -> None:
    """Show, verify and prove the logs that are held here."""


@log.command()
@click.argument("topic", type=TOPIC, required=False)
@_ORIGIN
@click.option("--start", type=click.IntRange(0), default=0, show_default=True)
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@click.pass_obj
def show(asking: Asking, topic: str | None, origin: str, start: int, limit: int) -> None:
    """List the logs held here, or print the entries of one."""
    if topic is None:
        _print_list(asking)
        return
    asked = desk.LogAsked(topic=topic, origin=origin, start=start, limit=limit)  # type: ignore[arg-type]  # a Choice
    shown = asking.ask("log.show", asked, desk.LogShown)
    if asking.as_json:
        asking.json(shown)
        return
    for entry in shown.entries:
        document = bytes(entry.document)
        said = f"(withheld) {entry.leaf_hash}" if document == b"null" else clean(document.decode())
        click.echo(f"{entry.index:>6}  {said}")
    click.echo(f"\n{clean(shown.checkpoint.splitlines()[0])}")
    click.echo("\n".join(clean(line) for line in shown.checkpoint.splitlines()[1:]))


@log.command()
@click.argument("topic", type=TOPIC, required=False)
@_ORIGIN
@click.option("--proof", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="An inclusion proof.")
@click.option("--key", help="did:key of the log's node, for a proof; not needed where this node knows it.")
@click.pass_obj
def verify(asking: Asking, topic: str | None, origin: str, proof: Path | None, key: str | None) -> None:
    """Recompute a log's root from what is stored, or verify a proof offline with --proof and --key."""
    if proof is not None:
        _verify_proof(asking, proof, key)
        return
    if topic is None:
        raise click.UsageError("name a TOPIC, or a file with --proof")
    asked = desk.LogAsked(topic=topic, origin=origin)  # type: ignore[arg-type]  # a Choice
    verdict = asking.ask("log.verify", asked, desk.LogVerdict)
    if asking.as_json:
        asking.json(verdict)
    else:
        _print_verdict(asking, verdict)
    if verdict.faults:
        raise SystemExit(1)


@log.command()
@click.argument("topic", type=TOPIC)
@click.argument("index", type=click.IntRange(0))
@_ORIGIN
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it to a file.")
@click.pass_obj
def prove(asking: Asking, topic: str, index: int, origin: str, out: Path | None) -> None:
    """Write a proof that entry INDEX stands in the log; it verifies offline."""
    asked = desk.LogEntryAsked(topic=topic, origin=origin, index=index)  # type: ignore[arg-type]  # a Choice
    made = asking.ask("log.prove", asked, desk.LogProofMade)
    if out is None:
        click.echo(made.proof, nl=False)
    else:
        out.write_text(made.proof, encoding="utf-8")
        click.echo(str(out))


def _print_list(asking: Asking) -> None:
    told = asking.ask("log.list", desk.Nothing(), desk.Logs)
    if asking.as_json:
        asking.json(told)
        return
    state = asking.ask("node.status", desk.Nothing(), desk.NodeState)
    for one in told.logs:
        age = ago(state.now_ms - one.confirmed_at_ms, asking.ui)
        click.echo(f"{one.origin}/{one.topic}  {one.size} {asking.word('entries')}  {one.root[:16]}…  {age}")
        for holder in one.holdings:
            click.echo(
                f"    {holder.holder}: {asking.word('holds')} {holder.size},"
                f" {asking.word('indexed')} {holder.indexed}, {ago(state.now_ms - holder.at_ms, asking.ui)}"
            )


def _print_verdict(asking: Asking, verdict: desk.LogVerdict) -> None:
    good = asking.word("bad" if verdict.faults else "good")
    click.echo(f"{verdict.origin}/{verdict.topic}: {verdict.size} {asking.word('entries')} — {good}")
    click.echo(f"  {asking.word('root')} {verdict.recomputed_root}")
    for name in verdict.cosigned_by:
        click.echo(f"  {asking.word('cosigned by')} {clean(name)}")
    for fault in verdict.faults:
        click.echo(f"  ✗ {clean(fault)}")


def _verify_proof(asking: Asking, proof: Path, key: str | None) -> None:
    from federation.checkpoints import unverified_checkpoint
    from federation.errors import LlnError
    from federation.keys import NodeKey
    from federation.log_proofs import LogProof, verify_proof
    from federation.logs import LogId

    if key is None:
        raise click.UsageError("give the log's key with --key did:key:… (lln status prints a node's own)")
    try:
        text = proof.read_bytes()
        log_id = LogId.parse(unverified_checkpoint(LogProof.parse(text).note).origin)
        verified = verify_proof(text, log=log_id, key=NodeKey.parse(key))
    except LlnError as error:
        asking.fail(error)
    told = {"log": str(log_id), "index": verified.index, "size": verified.checkpoint.size}
    click.echo(
        msgspec.json.encode(told).decode() if asking.as_json else f"{log_id} [{told['index']}] {asking.word('good')}"
    )
