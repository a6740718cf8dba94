"""`lln backup|restore`: everything of a node in one file, and out of it again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from node.cli.asking import Asking

FILE = click.Path(path_type=Path, dir_okay=False)


def _passphrase(command: Any) -> Any:
    for option in (
        click.option("--passphrase", is_flag=True, help="Ask for a passphrase that seals the file."),
        click.option("--passphrase-file", type=FILE, help="Take the passphrase from the first line of a file."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("file", type=FILE)
@_passphrase
@click.pass_obj
def backup(asking: Asking, file: Path, passphrase_file: Path | None, *, passphrase: bool) -> None:
    """Write everything of this node to FILE, while it runs or is stopped; the private keys are in it."""
    from node.backups import back_up_home

    words = _read(asking, passphrase_file)
    if words is None and passphrase:
        words = click.prompt(asking.word("passphrase"), hide_input=True, confirmation_prompt=True)
    made = asking.run(back_up_home(asking.home, file.absolute(), words))
    if asking.as_json:
        asking.json(made)
        return
    told = " · ".join(f"{asking.word(key)} {count}" for key, count in made.counts.items())
    click.echo(f"{asking.word('backed up')}: {made.path}  {made.bytes} B  {told}")
    click.echo(asking.word("sealed backup" if made.is_sealed else "open backup"), err=True)


@click.command()
@click.argument("file", type=FILE)
@_passphrase
@click.pass_obj
def restore(asking: Asking, file: Path, passphrase_file: Path | None, *, passphrase: bool) -> None:
    """Make this home from FILE, then take back from other nodes what this one has said since.

    The home is empty, or this very node's without its data directory.
    """
    from federation.errors import LlnError
    from node.backups import catch_up_home, restore_home

    def ask() -> str:
        words: str = click.prompt(asking.word("passphrase"), hide_input=True)
        return words

    words = _read(asking, passphrase_file)
    try:
        restored = restore_home(
            asking.home, file.absolute(), (lambda: words) if words is not None else ask if passphrase else None
        )
    except LlnError as error:
        asking.fail(error)
    if asking.as_json:
        asking.json(restored)
    else:
        made = datetime.fromtimestamp(restored.backed_up_at_ms / 1_000, tz=UTC).astimezone()
        click.echo(f"{asking.word('restored')}: {restored.name}  {made:%Y-%m-%d %H:%M}  ({asking.home})")
        if missing := restored.counts.get("files_missing"):
            click.echo(f"{asking.word('files_missing')}: {missing}", err=True)
    asking.run(catch_up_home(asking.home))
    if not asking.as_json:
        click.echo(f'{asking.word("caught up")}. {asking.word("start it")}: lln --home "{asking.home}" serve')


def _read(asking: Asking, passphrase_file: Path | None) -> str | None:
    if passphrase_file is None:
        return None
    from node.host.archives import PassphraseMissing

    try:
        words = passphrase_file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        asking.fail(PassphraseMissing(str(passphrase_file), str(error)[:200]))
    if not words:
        asking.fail(PassphraseMissing(str(passphrase_file), "its first line is empty"))
    return words
