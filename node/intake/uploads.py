"""Sheets of credits that somebody uploads at the pages: read whole, within tighter bounds than a file on this machine.

What lives here: what an upload may weigh, packed and unfolded, and the cells as they stood, for the rows that come
back to be corrected. What must not: what a row means (`credits.py`).
"""

import datetime as dt
import io
import zipfile
from typing import Final

from federation.errors import InvalidInput
from node.desk.credits import CreditRow, CreditSheet, PlannedCredit
from node.intake.credits import COLUMN_WORDS, HEADERS, read_row
from node.intake.reading import read_sheet
from node.intake.rows import Cell, Formula, OversizeWorkbook, RowFault

UPLOAD_BYTES_MAX: Final = 2_000_000
UPLOAD_ROWS_MAX: Final = 2_000
UNPACKED_BYTES_MAX: Final = 32 * 1024 * 1024
CELL_CHARS_KEPT: Final = 200


class OversizeUpload(InvalidInput):
    code = "LLN-1141"
    zh = "网页上一次最多登记 2,000 行、2 MB。请拆成几个文件，或请管理员用 lln credit issue 登记。"
    en = "At most 2,000 rows and 2 MB are taken at the pages at once. Split the sheet, or use lln credit issue."


def read_upload(content: bytes, name: str) -> CreditSheet:
    """The rows of a CSV or XLSX file; `name` is looked at for its ending alone, and opens nothing.

    Raises subclasses of InvalidInput (`rows.py`), OversizeUpload.
    """
    if len(content) > UPLOAD_BYTES_MAX:
        raise OversizeUpload("file", f"{len(content)} bytes")
    _check_unpacked(content)
    rows: list[CreditRow] = []
    refused: list[PlannedCredit] = []
    columns: dict[str, None] = {}
    cells: dict[int, dict[str, str]] = {}
    for row in read_sheet(content, HEADERS, name):
        if len(cells) >= UPLOAD_ROWS_MAX:
            raise OversizeUpload("file", f"more than {UPLOAD_ROWS_MAX} rows")
        columns |= dict.fromkeys(row.cells)
        cells[row.row] = {field: _as_written(cell) for field, cell in row.cells.items()}
        read = read_row(row)
        if read.credit is not None:
            rows.append(read.credit)
        refused += [_refused(row.row, fault) for fault in read.faults]
    named = {field: COLUMN_WORDS[field][0] for field in columns}
    kept = {row: tuple(texts.get(field, "") for field in named) for row, texts in cells.items()}
    return CreditSheet(rows=tuple(rows), refused=tuple(refused), columns=tuple(named.values()), cells=kept)


def _check_unpacked(content: bytes) -> None:
    """An archive says what each part unfolds to, and nothing is unfolded further than it says (`zipfile`)."""
    if not content.startswith(b"PK\x03\x04"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked_bytes = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return  # what is wrong with it is said by whoever reads it
    if unpacked_bytes > UNPACKED_BYTES_MAX:
        raise OversizeWorkbook("file", f"{unpacked_bytes} bytes unpacked")


def _as_written(cell: Cell) -> str:
    """A cell as it stood, for whoever corrects it; of a formula nothing."""
    if cell is None or isinstance(cell, Formula):
        return ""
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat()
    return str(cell)[:CELL_CHARS_KEPT]


def _refused(row: int, fault: RowFault) -> PlannedCredit:
    column = COLUMN_WORDS[fault.field][0] if fault.field in COLUMN_WORDS else fault.field
    return PlannedCredit(
        row=row,
        change="refused",
        reason_zh=f"{column}：{fault.reason_zh}{fault.remedy_zh}" if column else f"{fault.reason_zh}{fault.remedy_zh}",
        reason_en=f"{column}: {fault.reason_en} {fault.remedy_en}".strip(" :"),
    )
