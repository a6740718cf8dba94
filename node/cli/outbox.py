"""`lln outbox`: what waits for other nodes, what was given up, and sending it again or dropping it."""

import click

from node import desk
from node.cli.asking import Asking
from node.cli.words import ago, clean


@click.group(invoke_without_command=True)
@click.pass_context
def outbox(context: click.Context) -> None:
    """Show what waits for other nodes, how old it is, and why it has not arrived."""
    if context.invoked_subcommand is None:
        _show(context.obj)


@outbox.command()
@click.argument("what", default="", metavar="[NAME|ITEM]")
@click.pass_obj
def retry(asking: Asking, what: str) -> None:
    """Send again at once: everything, what is for node NAME, or ITEM."""
    _told(asking, "sent again", asking.ask("outbox.retry", desk.OutboxRetryAsked(what=what), desk.OutboxChanged))


@outbox.command()
@click.argument("item")
@click.option("--to", default="", help="Which node it is for, where several have an item of this id.")
@click.option("--yes", is_flag=True, help="Do it; without this, nothing is dropped.")
@click.pass_obj
def drop(asking: Asking, item: str, to: str, *, yes: bool) -> None:
    """Drop ITEM for good: it is not sent any more, and nobody can tell whether it has arrived."""
    if not yes:
        raise click.UsageError("nothing was dropped; add --yes if you mean it 加上 --yes 才会删除")
    _told(asking, "dropped", asking.ask("outbox.drop", desk.OutboxDropAsked(id=item, to=to), desk.OutboxChanged))


def _show(asking: Asking) -> None:
    told = asking.ask("outbox.show", desk.Nothing(), desk.Outbox)
    if asking.as_json:
        asking.json(told)
        return
    if not told.nodes:
        click.echo(asking.word("nothing waits"))
    for node in told.nodes:
        click.echo(f"{node.to}  {_counts(asking, node, told.now_ms)}")
        if node.last_error:
            click.echo(f"    {asking.word('last failure')}: {clean(node.last_error)}")
        if node.next_try_at_ms > told.now_ms:
            wait_s = (node.next_try_at_ms - told.now_ms) // 1_000
            click.echo(f"    {asking.word('next try')}: {wait_s} {asking.word('seconds')} ({node.failures})")
    for letter in told.given_up:
        age = ago(told.now_ms - letter.created_at_ms, asking.ui)
        click.echo(f"✗ {clean(letter.id)}  {clean(letter.kind)} → {letter.to}  {age}")
        click.echo(f"    [{clean(letter.code)}] {clean(letter.told)}")


def _counts(asking: Asking, node: desk.OutboxNode, now_ms: int) -> str:
    counts = [f"{asking.word('waiting')} {node.waiting}"]
    if node.waiting:
        counts.append(f"{node.waiting_bytes / 1_024:.1f} KiB")
        counts.append(f"{asking.word('oldest')} {ago(now_ms - node.oldest_at_ms, asking.ui)}")
    if node.given_up:
        counts.append(f"{asking.word('given up')} {node.given_up}")
    return " · ".join(counts)


def _told(asking: Asking, word: str, changed: desk.OutboxChanged) -> None:
    if asking.as_json:
        asking.json(changed)
    else:
        click.echo(f"{asking.word(word)}: {changed.items}")
