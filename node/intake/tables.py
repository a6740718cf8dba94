"""Tables: rows of cells under a header, whichever file they came from.

What lives here: finding the header of any table, and turning the cells of a catalogue's row into a resource. What must
not: CSV or XLSX as such.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from federation.catalogue import Resource
from node.intake.cells import read_cell
from node.intake.columns import CATALOGUE, Headers
from node.intake.describing import describe
from node.intake.rows import COLUMNS_MAX, ROW_CHARS_MAX, Cell, IntakeRow, RowFault, UnfitCell

HEADER_ROWS: Final = 20


class TableRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row as a spreadsheet numbers it; `fault` where its cells could not be told apart."""

    row: int
    cells: Sequence[Cell] = ()
    fault: UnfitCell | None = None


class SheetRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row below a header: its cells by field; `fault` where they could not be told apart."""

    row: int
    cells: Mapping[str, Cell]
    fault: UnfitCell | None = None


def read_table(rows: Iterable[TableRow], name: str) -> Iterator[IntakeRow]:
    """The resources below the first header within HEADER_ROWS rows; raises HeaderMissing, RepeatedColumn."""
    columns, following = below_header(rows, CATALOGUE, name)
    for row in following:
        if row.fault is not None:
            yield IntakeRow(row=row.row, faults=(row.fault.in_field(""),))
        else:
            yield _read_row(row, columns)


def below_header(rows: Iterable[TableRow], headers: Headers, name: str) -> tuple[Mapping[str, int], Iterator[TableRow]]:
    """Where each field stands, and the rows below the first header within HEADER_ROWS rows, blank ones left out.

    A row that is too long to be one has a fault. Raises what `headers` raises where there is none, RepeatedColumn.
    """
    following = iter(rows)
    for row in following:
        columns = headers.find(row.cells[:COLUMNS_MAX])
        if columns:
            return columns, _filled(following)
        if row.row >= HEADER_ROWS:
            break
    raise headers.missing(name)


def _filled(rows: Iterator[TableRow]) -> Iterator[TableRow]:
    for row in rows:
        if sum(len(cell) for cell in row.cells if isinstance(cell, str)) > ROW_CHARS_MAX:
            yield TableRow(row=row.row, fault=ROW_TOO_LONG)
        elif row.fault is not None or any(cell not in (None, "") and not _is_blank(cell) for cell in row.cells):
            yield row


def _is_blank(cell: Cell) -> bool:
    return isinstance(cell, str) and not cell.strip()


def _read_row(row: TableRow, columns: Mapping[str, int]) -> IntakeRow:
    fields: dict[str, Any] = {}
    faults: list[RowFault] = []
    for column, position in columns.items():
        if position >= len(row.cells):
            continue
        try:
            value = read_cell(column, row.cells[position])
        except UnfitCell as unfit:
            faults.append(unfit.in_field(column))
            continue
        if value is not None:
            _place(fields, column, value)
    return _judged(row.row, fields, faults)


def _judged(row: int, fields: Mapping[str, Any], faults: Sequence[RowFault]) -> IntakeRow:
    found = describe(fields)
    if isinstance(found, Resource):
        return IntakeRow(row=row, faults=tuple(faults)) if faults else IntakeRow(row=row, resource=found)
    told = {fault.field.partition(".")[0] for fault in faults}
    others = (fault for fault in found if fault.field.partition(".")[0] not in told)
    return IntakeRow(row=row, faults=(*faults, *others))


def _place(fields: dict[str, Any], column: str, value: Any) -> None:
    """Put a column's value where its field keeps it; `level.value` goes inside `level`, an ISBN among identifiers."""
    outer, _, inner = column.partition(".")
    if outer == "identifiers":
        fields[outer] = [*fields.get(outer, ()), *(item for item in value if item not in fields.get(outer, ()))]
    elif inner:
        fields.setdefault(outer, {})[inner] = value
    elif isinstance(value, dict):
        fields[outer] = value | fields.get(outer, {})
    else:
        fields[outer] = value


ROW_TOO_LONG: Final = UnfitCell(
    f"这一行超过 {ROW_CHARS_MAX} 个字符。",
    f"The row is longer than {ROW_CHARS_MAX} characters.",
    "请缩短内容；也可能是前面有引号没有成对。",
    "Shorten it; a quotation mark before it may also lack its pair.",
)
