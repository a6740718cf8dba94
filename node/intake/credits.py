"""Sheets of credit records: who achieved what and when, in CSV or XLSX, as rows to be issued.

What lives here: the words of headers, and cells as values. What must not: whether a learner or an achievement is known
(`node/usecases/crediting.py`), or any message that repeats a person's number.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from federation.amounts import NotAnAmount, read_hundredths
from federation.credit_records import Grade, Score
from federation.errors import InvalidInput
from federation.persons import ROUNDED
from node.desk.credits import CreditRow
from node.intake.cells import cell_text
from node.intake.columns import Headers
from node.intake.reading import read_sheet
from node.intake.rows import Cell, RowFault, UnfitCell
from node.intake.tables import SheetRow

COLUMN_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "learner": ("学习账户", "learner", "账户编号", "学习者", "学员账户", "代称", "handle", "account"),
    "student_number": ("学号", "student number", "student_number", "学籍号", "学员号", "学员编号", "学生编号"),
    "identity_number": ("身份证号", "身份证号码", "identity number", "identity_number", "证件号", "证件号码"),
    "achievement": ("学习成果", "achievement", "成果编号", "成果代码", "课程编号", "课程代码", "课程", "course"),
    "version": ("版本", "version", "成果版本"),
    "amount": ("学分", "credits", "学分数", "credit", "amount"),
    "achieved_on": ("取得日期", "achieved on", "achieved_on", "获得日期", "完成日期", "发证日期", "日期", "date"),
    "valid_until": ("有效期至", "valid until", "valid_until", "失效日期", "到期日期", "expires"),
    "score": ("成绩", "score", "分数", "得分", "result"),
    "hours": ("学时", "hours", "课时", "总学时"),
    "number": ("证书编号", "number", "证书号", "证书号码", "certificate number", "编号"),
}  # fmt: skip
"""For each field the headers that mean it, the one to prefer first."""

FULL_SCORE_HUNDREDTHS: Final = 10_000
_DATE: Final = re.compile(r"\s*(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?\s*\Z")
_NUMBER: Final = re.compile(r"[0-9０-９.．]+\Z")


class CreditHeaderMissing(InvalidInput):
    code = "LLN-1179"
    zh = "前 20 行里没有找到表头。表头至少要有“学习成果”“取得日期”和认出学习者的一列，写法见 docs/credentials.md。"
    en = "No header was found in the first 20 rows: it needs achievement, date and who; docs/credentials.md lists them."


HEADERS: Final = Headers(COLUMN_WORDS, needed=frozenset(("achievement", "achieved_on")), missing=CreditHeaderMissing)


class SheetCredit(msgspec.Struct, frozen=True, kw_only=True):
    """One row: its number as a person sees it, and the record to be, or what is wrong with its cells."""

    row: int
    credit: CreditRow | None = None
    faults: tuple[RowFault, ...] = ()


def read_credits(source: Path | bytes, name: str = "") -> Iterator[SheetCredit]:
    """The records in a sheet, in order, blank rows left out; raises subclasses of InvalidInput (`rows.py`)."""
    return map(read_row, read_sheet(source, HEADERS, name))


def read_row(row: SheetRow) -> SheetCredit:
    """One row below the header."""
    if row.fault is not None:
        return SheetCredit(row=row.row, faults=(row.fault.in_field(""),))
    said: dict[str, Any] = {}
    faults: list[RowFault] = []
    for field, cell in row.cells.items():
        try:
            value = _READINGS.get(field, _as_text)(cell)
        except UnfitCell as unfit:
            faults.append(unfit.in_field(field))
            continue
        if value not in (None, ""):
            said["result" if field == "score" else field] = value
    faults += [
        _MISSING.in_field(field) for field in ("achievement", "achieved_on") if not _is_told(field, said, faults)
    ]
    if faults:
        return SheetCredit(row=row.row, faults=tuple(faults))
    return SheetCredit(row=row.row, credit=CreditRow(row=row.row, **said))


def _is_told(field: str, said: Mapping[str, Any], faults: list[RowFault]) -> bool:
    return field in said or any(fault.field == field for fault in faults)


def _as_text(cell: Cell) -> str:
    return cell_text(cell)


def _as_identity_number(cell: Cell) -> str:
    if isinstance(cell, int | float):
        raise UnfitCell(*ROUNDED)
    return cell_text(cell)


def _as_date(cell: Cell) -> dt.date | None:
    if isinstance(cell, dt.datetime):
        return cell.date()
    if isinstance(cell, dt.date):
        return cell
    text = cell_text(cell)
    if not text:
        return None
    found = _DATE.match(text)
    try:
        if found:
            return dt.date(*map(int, found.groups()))
    except ValueError as error:
        raise _NO_DATE from error
    raise _NO_DATE


def _as_amount(cell: Cell) -> int | None:
    text = cell_text(cell)
    try:
        return read_hundredths(text) if text else None
    except NotAnAmount as error:
        raise UnfitCell(error.zh, error.en, "例如 2 或 2.5。", "Such as 2 or 2.5.") from error


def _as_whole(cell: Cell) -> int | None:
    hundredths = _as_amount(cell)
    if hundredths is not None and hundredths % 100:
        raise UnfitCell("应为整数。", "It must be a whole number.", "请取整后填写。", "Write it without decimals.")
    return None if hundredths is None else hundredths // 100


def _as_result(cell: Cell) -> Score | Grade | None:
    """A number is a score of 100; anything else a grade in words."""
    text = cell_text(cell)
    if not text:
        return None
    if not _NUMBER.match(text):
        return Grade(text=text[:64])
    hundredths = _as_amount(cell) or 0
    if hundredths > FULL_SCORE_HUNDREDTHS:
        raise UnfitCell(
            "成绩超过 100 分。",
            "The score is above 100.",
            "请换算成百分制，或写等级。",
            "Convert it to 100, or write a grade.",
        )
    return Score(hundredths=hundredths, scale_hundredths=FULL_SCORE_HUNDREDTHS)


_READINGS: Final[dict[str, Callable[[Cell], Any]]] = {
    "identity_number": _as_identity_number,
    "achieved_on": _as_date,
    "valid_until": _as_date,
    "amount": _as_amount,
    "version": _as_whole,
    "hours": _as_whole,
    "score": _as_result,
}
_NO_DATE: Final = UnfitCell(
    "不是日期。", "It is not a date.", "请写成 2026-05-01。", "Write year, month and day: 2026-05-01."
)
_MISSING: Final = UnfitCell("没有填写。", "It is empty.", "请填写这一格。", "Fill it in.")
