"""`lln move|moved|parent`: a node gets another authority, or its authority another address."""

import click

from federation.directory import Standing
from node import desk
from node.cli.asking import Asking


@click.command()
@click.argument("code", nargs=-1, required=True)
@click.pass_obj
def move(asking: Asking, code: tuple[str, ...]) -> None:
    """Take this node, stopped, to the authority that handed over the line LLN1-…; keys stay, the name changes."""
    from node.beginnings import move_home

    moved = asking.run(move_home(asking.home, "".join(code)))
    if asking.as_json:
        asking.json(moved)
        return
    click.echo(f"{moved.old} → {moved.new}")
    if moved.untold:
        click.echo(f"{asking.word('untold')}: {moved.untold}", err=True)
        click.echo(f"{asking.word('have it recorded')}: lln moved {moved.old} {moved.new}", err=True)
    click.echo(f'{asking.word("start it")}: lln --home "{asking.home}" serve')


@click.command()
@click.argument("name")
@click.argument("to")
@click.pass_obj
def moved(asking: Asking, name: str, to: str) -> None:
    """Record that the child NAME is now TO under another authority, for one that could not say so itself."""
    standing = asking.ask("node.moved", desk.MovedAsked(name=name, to=to), Standing)
    if asking.as_json:
        asking.json(standing)
    else:
        click.echo(f"{standing.name}: {asking.word(standing.status)} → {standing.moved_to}")


@click.command()
@click.argument("endpoint")
@click.pass_obj
def parent(asking: Asking, endpoint: str) -> None:
    """The parent is dialled at ENDPOINT (host:port) from now on; kept in config.toml, and tried at once."""
    from federation.errors import LlnError
    from node.beginnings import set_parent

    try:
        asked = desk.ParentAsked(endpoint=endpoint)
        set_parent(asking.home, endpoint)
    except LlnError as error:
        asking.fail(error)
    asking.ask("node.parent", asked, desk.Nothing)
    click.echo(f"{asking.word('parent found')}: {endpoint}")
