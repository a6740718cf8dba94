"""Sheets of learners: what a school office keeps in CSV or XLSX, as what was written of each person.

What lives here: the words of headers, and cells as text. What must not: judging what was written
(`federation/persons.py`), the store, or any message that repeats what stands in a cell.
"""

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from federation.errors import InvalidInput
from federation.persons import ROUNDED, Written
from node.intake.cells import cell_text
from node.intake.columns import Headers
from node.intake.reading import read_sheet
from node.intake.rows import Cell, RowFault, UnfitCell
from node.intake.tables import SheetRow

COLUMN_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("姓名", "name", "学员姓名", "学生姓名", "学习者姓名", "full name", "真实姓名"),
    "identity_number": (
        "身份证号", "身份证号码", "identity number", "identity_number", "公民身份号码", "居民身份证号",
        "居民身份证号码", "证件号", "证件号码", "有效证件号", "有效证件号码", "身份证件号", "身份证件号码", "身份证",
        "ID number", "ID card", "national id",
    ),
    "student_number": (
        "学号", "student number", "student_number", "学籍号", "学生号", "学员号", "学员编号", "学生编号", "考生号",
        "student id", "student no",
    ),
    "birth_date": (
        "出生日期", "birth date", "birth_date", "出生年月日", "生日", "date of birth", "birthday", "birthdate",
    ),
    "guardian": (
        "监护人", "guardian", "监护人姓名", "家长", "家长姓名", "法定监护人", "parent", "guardian name",
    ),
    "contact": (
        "联系方式", "contact", "联系电话", "手机号", "手机号码", "手机", "电话", "电话号码", "移动电话", "监护人电话",
        "家长电话", "phone", "mobile", "telephone", "邮箱", "电子邮箱", "email",
    ),
}  # fmt: skip
"""For each field the headers that mean it, the one to prefer first."""

_TEXT_FORMULA: Final = re.compile(r'\s*="([^"]*)"\s*\Z')
"""How programs that export CSV keep spreadsheets from making a number of digits: it is only text."""
_ENDS_IN_ZEROS: Final = re.compile(r"\s*[0-9]{15}000\s*\Z")


class LearnerHeaderMissing(InvalidInput):
    code = "LLN-1184"
    zh = "前 20 行里没有找到表头。表头至少要有“姓名”和另一列，写法见 docs/learners.md。"
    en = "No header was found in the first 20 rows. It needs a name and one more column; docs/learners.md lists them."


HEADERS: Final = Headers(COLUMN_WORDS, needed=frozenset(("name",)), missing=LearnerHeaderMissing)


class LearnerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row: its number as a person sees it, and what was written, or what is wrong with its cells."""

    row: int
    written: Written = Written()
    faults: tuple[RowFault, ...] = ()


def read_learners(source: Path | bytes, name: str = "") -> Iterator[LearnerRow]:
    """The people in a sheet, in order, blank rows left out; raises subclasses of InvalidInput (`rows.py`).

    A number met in an earlier row is a fault: which row is right nobody could tell.
    """
    firsts: dict[int, int] = {}
    for row in read_sheet(source, HEADERS, name):
        read = _read(row)
        yield read if read.faults else _judged_once(read, firsts)


def _read(row: SheetRow) -> LearnerRow:
    if row.fault is not None:
        return LearnerRow(row=row.row, faults=(row.fault.in_field(""),))
    said: dict[str, str] = {}
    faults: list[RowFault] = []
    for field, cell in row.cells.items():
        try:
            said[field] = _text(field, cell)
        except UnfitCell as unfit:
            faults.append(unfit.in_field(field))
    return LearnerRow(row=row.row, faults=tuple(faults)) if faults else LearnerRow(row=row.row, written=Written(**said))


def _text(field: str, cell: Cell) -> str:
    """The cell as text; a date where a date belongs, and never a number that a spreadsheet has rounded."""
    if field == "birth_date" and isinstance(cell, dt.date):
        return cell.date().isoformat() if isinstance(cell, dt.datetime) else cell.isoformat()
    if field == "identity_number" and isinstance(cell, int | float):
        raise UnfitCell(*ROUNDED)  # eighteen digits never survive as a number, nor do leading zeros and a final X
    as_text = _TEXT_FORMULA.match(cell) if isinstance(cell, str) else None
    text = as_text[1].strip() if as_text else cell_text(cell)
    if field == "identity_number" and _ENDS_IN_ZEROS.match(text):
        raise UnfitCell(*_ZEROS)
    return text


def _judged_once(row: LearnerRow, firsts: dict[int, int]) -> LearnerRow:
    """Only hashes of the numbers are kept (SipHash under a key of this process), as of ids in catalogues."""
    for field in ("identity_number", "student_number"):
        number = "".join(getattr(row.written, field).split()).upper()
        first = firsts.setdefault(hash((field, number)), row.row) if number else row.row
        if first != row.row:
            return LearnerRow(row=row.row, faults=(_repeated(field, first),))
    return row


def _repeated(field: str, first: int) -> RowFault:
    return RowFault(
        field=field,
        reason_zh=f"号码与第 {first} 行相同。",
        reason_en=f"The number stands in row {first} already.",
        remedy_zh="每人只保留一行。",
        remedy_en="Keep one row for each person.",
    )


_ZEROS: Final = (
    "身份证号末三位全是 0，很可能是表格软件把它舍入了。",
    "The identity number ends in three zeros: very likely a spreadsheet program has rounded it.",
    "请把这一列设为文本格式，再对照证件重新输入；证件上确实如此的，用 lln learner register 单独登记。",
    "Format the column as text and type it again from the card; if it is so on the card, use lln learner register.",
)
