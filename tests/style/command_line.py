"""The `lln` command as a tree of words, read from the program itself.

What must not live here: what the pages should say of it (`test_pages.py`).
"""

import importlib.util
import re
from collections.abc import Iterator

import click

CHINESE = re.compile(r"[\u4e00-\u9fff]")
SPOKEN = re.compile(r"(?<![A-Za-z0-9_.-])lln ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?")


def commands(command: click.Command, words: tuple[str, ...] = ("lln",)) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield " ".join(words)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        if below is not None and not below.hidden:
            yield from commands(below, (*words, name))


def command_line() -> click.Command:
    if importlib.util.find_spec("node.cli.main") is None:
        return click.Group("lln")
    module = importlib.import_module("node.cli.main")
    found = [value for value in vars(module).values() if isinstance(value, click.Group)]
    return next((group for group in found if group.name in ("lln", "main", "cli")), found[0])


def unknown_commands(sentence: str, known: set[str]) -> list[str]:
    """Which commands a sentence names that there are none of.

    In English the word after a whole command may be the sentence's own; in Chinese it can only be the command's.
    """
    groups = {command.rsplit(" ", 1)[0] for command in known}
    wrong = []
    for first, second in SPOKEN.findall(sentence):
        one, two = f"lln {first}", f"lln {first} {second}".strip()
        is_whole = one in known and (not second or not CHINESE.search(sentence))
        is_group = one in groups and not second
        if not (is_whole or is_group or two in known):
            wrong.append(two)
    return wrong
