"""Counts 统计 of credit records, as they go up the tree: nothing smaller than ten, and nothing that gives it away.

What lives here: the document that a node sends its parent, leaving small cells out of it, and adding up what those
below have sent. What must not: a record, or counting them (`reporting.py`).

A table says how the same total divides by kind, by level, by rule or by region. Whoever knows the total and all cells
but one knows that one, too; so where a small cell is left out, others are left out with it until what is left out
together is as large as a cell has to be, of two cells at least, and cannot have come about in one way only. No table is
crossed with another, so nothing but the total connects them.

The types hold no person: numbers from ten on, and under them words of ours, names of nodes, ids of public rules, and
levels of public schemes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from federation.credit_records import CreditRecord
from federation.credits import OutcomeKind
from federation.naming import NameField

SMALLEST: Final = 10
"""What a cell has to come to before anybody else is told of it."""
CELLS_MAX: Final = 256
COUNTS_BYTES_MAX: Final = 131_072
NONE: Final = "none"
OTHER: Final = "other"

Cell = Annotated[int, Meta(ge=SMALLEST, le=2**53 - 1)]
Sum = Annotated[int, Meta(ge=0, le=2**53 - 1)]
LevelName = Annotated[str, Meta(pattern=r"^(none|other|[A-Za-z][A-Za-z0-9-]{0,31}:[A-Za-z0-9]{1,4})$")]
RuleName = Annotated[str, Meta(pattern=r"^(none|(?!.*[0-9]{9})[A-Za-z][A-Za-z0-9._:/-]{0,127}@[0-9]{1,7})$")]
TableName = Literal["kinds", "levels", "rules", "regions"]
TABLES: Final[tuple[TableName, ...]] = ("kinds", "levels", "rules", "regions")

K = TypeVar("K", bound=str)


class Table(msgspec.Struct, Generic[K], frozen=True, kw_only=True):
    """How a total divides; `withheld` is what the cells that are left out come to, together."""

    cells: Annotated[dict[K, Cell], Meta(max_length=CELLS_MAX)] = {}
    withheld: Sum = 0

    def __post_init__(self) -> None:
        if 0 < self.withheld < SMALLEST:
            raise ValueError("so little would be somebody's")

    @property
    def total(self) -> int:
        return sum(self.cells.values()) + self.withheld


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The credit records of a node and of all below it, those revoked or replaced left out; `total` 0: fewer than ten.

    `rules`: by which rule they were converted. `regions`: the node itself, and each node directly below it with all of
    its own. What those below have left out of their reports is missing from the cells, and counted as withheld.
    """

    node: NameField
    day: date
    total: Sum
    kinds: Table[OutcomeKind] = Table()
    levels: Table[LevelName] = Table()
    rules: Table[RuleName] = Table()
    regions: Table[NameField] = Table()

    def __post_init__(self) -> None:
        tables: tuple[Table[Any], ...] = (self.kinds, self.levels, self.rules, self.regions)
        if 0 < self.total < SMALLEST or any(table.total != self.total for table in tables):
            raise ValueError("each table divides the total")


class Tally:
    """What a node's own people may know of its own records: exact, and never sent."""

    def __init__(self) -> None:
        self.total = 0
        self.tables: dict[TableName, Counter[str]] = {name: Counter() for name in TABLES}

    def count(self, record: CreditRecord, *, region: str) -> None:
        """One more record."""
        level, conversion = record.achievement.level, record.conversion
        rule = f"{conversion.rule}" if conversion else NONE
        self.total += 1
        self.tables["kinds"][record.achievement.kind] += 1
        self.tables["levels"][_named(LevelName, str(level)) if level else NONE] += 1
        self.tables["rules"][_named(RuleName, rule) if conversion else NONE] += 1
        self.tables["regions"][region] += 1


def report(node: str, day: date, own: Tally, below: Sequence[Counts]) -> Counts:
    """What a node sends up: its own records and the reports of those below it, small cells left out."""
    total = own.total + sum(each.total for each in below)
    if total < SMALLEST:
        return Counts(node=node, day=day, total=0)
    sums = {name: Counter(counted) for name, counted in own.tables.items()}
    hidden: Counter[TableName] = Counter()
    for each in below:
        reported: tuple[tuple[TableName, Table[Any]], ...] = (
            ("kinds", each.kinds),
            ("levels", each.levels),
            ("rules", each.rules),
        )
        for name, table in reported:
            sums[name].update(table.cells)
            hidden[name] += table.withheld
        sums["regions"][each.node] += each.total
    tables: dict[str, Any] = {name: msgspec.to_builtins(suppress(sums[name], hidden=hidden[name])) for name in TABLES}
    return msgspec.convert({"node": node, "day": day, "total": total, **tables}, Counts, builtin_types=(date,))


def suppress(exact: Mapping[str, int], *, hidden: int = 0) -> Table[str]:
    """A table without its small cells, and without as many more as it takes; `hidden` is left out already."""
    cells = sorted(((amount, name) for name, amount in exact.items() if amount > 0), reverse=True)
    shown, left_out = cells[:CELLS_MAX], [amount for amount, _ in cells[CELLS_MAX:]]
    while shown and (shown[-1][0] < SMALLEST or not _is_safe(left_out, hidden)):
        left_out.append(shown.pop()[0])
    return Table(
        cells={name: amount for amount, name in sorted(shown, key=lambda one: one[1])}, withheld=hidden + sum(left_out)
    )


def _is_safe(left_out: Sequence[int], hidden: int) -> bool:
    """Whether nobody can tell what is left out from what it comes to."""
    if not left_out or hidden:
        return True  # what those below have left out is safe by itself, and hides the more
    if len(left_out) < 2 or sum(left_out) < SMALLEST:
        return False
    return min(left_out) < SMALLEST - 1 or max(left_out) >= SMALLEST  # all of nine would be told by their sum


def _named(kind: object, name: str) -> str:
    """A word as it may stand in a table, or that it is another."""
    try:
        return msgspec.convert(name, kind)  # type: ignore[no-any-return]  # an annotated str
    except msgspec.ValidationError:
        return OTHER if kind is LevelName else f"{OTHER}@0"
