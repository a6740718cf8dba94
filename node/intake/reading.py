"""Reading: a catalogue file as rows, whatever kind of file it is.

What lives here: the one door of this room, the kinds of files, and bounds on the file as a whole. What must not: the
kinds themselves (`text_files.py`, `workbooks.py`).
"""

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Final, Literal

from node.intake.columns import CATALOGUE, Headers
from node.intake.rows import (
    FILE_BYTES_MAX,
    ROWS_MAX,
    IntakeRow,
    MalformedWorkbook,
    OversizeFile,
    RowFault,
    TooManyRows,
    UnknownFileKind,
    UnreadableFile,
    UnreadableText,
)
from node.intake.tables import SheetRow, TableRow, below_header, read_table
from node.intake.text_files import open_text, read_lines, read_records

Kind = Literal["lines", "table", "workbook"]

_BY_ENDING: Final[dict[str, Kind]] = {
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".json": "lines",
    ".csv": "table",
    ".tsv": "table",
    ".txt": "table",
    ".xlsx": "workbook",
    ".xlsm": "workbook",
}
_ARCHIVE: Final = b"PK\x03\x04"
_FOREIGN: Final = {
    b"\xd0\xcf\x11\xe0": "an old .xls workbook, or one with a password",
    b"\x1f\x8b": "packed with gzip",
    b"%PDF": "a PDF",
    b"SQLite": "a database",
}


def read_catalogue(source: Path | bytes, name: str = "") -> Iterator[IntakeRow]:
    """The rows of a catalogue file in JSON Lines, CSV or XLSX, one by one and in order, blank ones left out.

    `name` decides the kind by its ending, where the first bytes do not; it defaults to the path's. Nothing but
    subclasses of InvalidInput is raised (`rows.py`), at once or where the fault is met; a bad row is a row with faults.
    """
    name = name or (source.name if isinstance(source, Path) else "")
    with closing(_open(source, name)) as file:
        yield from _without_repeated_ids(_read(file, name), name)


def read_sheet(source: Path | bytes, headers: Headers, name: str = "") -> Iterator[SheetRow]:
    """The rows of a sheet in CSV or XLSX below its header, one by one, blank ones left out: the cells by field.

    For sheets of any kind; JSON Lines are no sheet. Raises nothing but subclasses of InvalidInput, as `read_catalogue`.
    """
    name = name or (source.name if isinstance(source, Path) else "")
    with closing(_open(source, name)) as file:
        try:
            kind = _kind_of(file, name)
            if kind == "lines":
                raise UnknownFileKind(name, "JSON Lines; a sheet is CSV or XLSX")
            columns, rows = below_header(_records(file, kind, headers, name), headers, name)
            for count, row in enumerate(rows, 1):
                if count > ROWS_MAX:
                    raise TooManyRows(name)
                cells = {field: row.cells[at] for field, at in columns.items() if at < len(row.cells)}
                yield SheetRow(row=row.row, cells=cells, fault=row.fault)
        except OSError as error:
            raise UnreadableFile(name, type(error).__name__) from error
        except UnicodeError as error:  # the file changed between being looked at and being read
            raise UnreadableText(name, "changed while it was being read") from error


def _open(source: Path | bytes, name: str) -> BinaryIO:
    try:
        if isinstance(source, Path) and not source.is_file():
            raise UnreadableFile(name, "not a file")
        file: BinaryIO = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
        size_bytes = file.seek(0, io.SEEK_END)
        file.seek(0)
    except (OSError, ValueError) as error:
        raise UnreadableFile(name, type(error).__name__) from error
    if size_bytes > FILE_BYTES_MAX:
        file.close()
        raise OversizeFile(name, f"{size_bytes} bytes")
    return file


def _read(file: BinaryIO, name: str) -> Iterator[IntakeRow]:
    try:
        kind = _kind_of(file, name)
        if kind == "lines":
            yield from read_lines(open_text(file, name))
        else:
            yield from read_table(_records(file, kind, CATALOGUE, name), name)
    except OSError as error:
        raise UnreadableFile(name, type(error).__name__) from error
    except UnicodeError as error:  # the file changed between being looked at and being read
        raise UnreadableText(name, "changed while it was being read") from error


def _records(file: BinaryIO, kind: Kind, headers: Headers, name: str) -> Iterator[TableRow]:
    if kind != "workbook":
        return read_records(open_text(file, name), headers)
    from node.intake.workbooks import read_workbook  # noqa: PLC0415  # XML and archives, for this kind of file alone

    return read_workbook(file, headers, name)


def _kind_of(file: BinaryIO, name: str) -> Kind:
    head = file.read(512)
    file.seek(0)
    kind = _BY_ENDING.get(Path(name).suffix.lower())
    if head.startswith(_ARCHIVE):
        return "workbook"
    for mark, told in _FOREIGN.items():
        if head.startswith(mark):
            raise UnknownFileKind(name, told)
    if kind == "workbook":
        raise MalformedWorkbook(name, "not an archive")
    beginning = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if beginning.startswith(b"[") and kind != "table":
        raise UnknownFileKind(name, "one JSON array; write one object a line")
    return kind or ("lines" if beginning.startswith(b"{") else "table")


def _without_repeated_ids(rows: Iterator[IntakeRow], name: str) -> Iterator[IntakeRow]:
    """Two rows of one id would undo each other at every import; the first stays, and the others say so.

    Only a hash of each id is kept (SipHash, 64 bits): a million ids would be large, and a chance match is not to be
    expected within the lifetime of the network.
    """
    first_rows: dict[int, int] = {}
    for count, row in enumerate(rows, 1):
        if count > ROWS_MAX:
            raise TooManyRows(name)
        if row.resource is None:
            yield row
            continue
        first = first_rows.setdefault(hash(row.resource.id), row.row)
        yield row if first == row.row else IntakeRow(row=row.row, faults=(_repeated(row.resource.id, first),))


def _repeated(resource_id: str, first: int) -> RowFault:
    return RowFault(
        field="id",
        reason_zh=f"编号 {resource_id} 与第 {first} 行相同。",
        reason_en=f"The id {resource_id} stands in row {first} already.",
        remedy_zh="每个资源只保留一行，或给它自己的编号；没有编号时，链接或“名称加提供者”相同即视为同一资源。",
        remedy_en="Keep one row, or give this one an id; without ids, location or title and provider tell them apart.",
    )
