"""The plan of a sheet, as a person reads it: what each row comes to, and which rows were refused.

What lives here: counting, showing and how the command ends. What must not: how one row looks (each command knows).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

import click

from node.cli.asking import Asking

ROWS_SHOWN: Final = 5
IDLE: Final = frozenset({"same", "refused"})


class PlannedRow(Protocol):
    @property
    def row(self) -> int: ...
    @property
    def change(self) -> str: ...


Row = TypeVar("Row", bound=PlannedRow)


def print_plan(
    asking: Asking, rows: Sequence[Row], show: Callable[[Asking, Row], None], *, words: Mapping[str, str], end: str
) -> None:
    """`words`: each change with the key of its word, in the order shown. Refused rows are all shown, others in part.
    `end`: the key of the last line.
    """
    for change, word in words.items():
        chosen = [row for row in rows if row.change == change]
        if not chosen:
            continue
        click.echo(f"{asking.word(word)}: {len({row.row for row in chosen})}")
        for row in chosen if change == "refused" else chosen[:ROWS_SHOWN]:
            show(asking, row)
        if change != "refused" and len(chosen) > ROWS_SHOWN:
            click.echo("    …")
    changes = any(row.change not in IDLE for row in rows)
    click.echo(asking.word(end if changes else "nothing to write"))


def end_of_plan(rows: Sequence[PlannedRow]) -> None:
    """A command that could not take every row ends with 1, so that a script hears of it."""
    if any(row.change == "refused" for row in rows):
        raise SystemExit(1)
