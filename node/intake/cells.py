"""Cells: what a person wrote in one cell, as the value of its field, or why it cannot be.

What lives here: one reading for each kind of field. What must not: rows, files, or judging a whole resource
(`describing.py`). Every reading raises UnfitCell and nothing else.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from node.intake.rows import Cell, Formula, UnfitCell
from node.intake.words import choose, choose_language, separate

EXACT_DIGITS_MAX: Final = 15
"""Spreadsheets keep 15 significant digits; beyond them a number is no longer what was typed."""

# A formula calls a function, names a cell, or starts a program (DDE); "-10℃ 的世界" and "@老师" are only text.
_FORMULA: Final = re.compile(
    r"^=\s*[\w$'\"+\-@({\[]|^[+\-@]\s*[A-Za-z_][\w.]*\s*\(|^[+\-@].*\|.*!", re.ASCII | re.DOTALL
)
_EXPONENT: Final = re.compile(r"^[+-]?\d+(?:\.\d+)?[eE][+-]?\d+$")
_POINT_ZERO: Final = re.compile(r"^\d+\.0+$")
_UNIT: Final = re.compile(r"\s*(?:个)?(?:学时|课时|小时|学分|分|h|hrs?|hours?|credits?)$", re.IGNORECASE)
_LEVEL: Final = re.compile(r"^(.+?)\s*[:：]\s*(\S.*)$|^(.+)\s+(\S+)$", re.DOTALL)
_REACH: Final = re.compile(r"^\s*([^\s:()]+)[\s:(]*([A-Za-z0-9.-]*)\)?\s*$")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would compute this text rather than show it."""
    return _FORMULA.match(text.lstrip()) is not None


def read_cell(field: str, cell: Cell) -> Any:
    """The value of `cell` in a column that means `field` (`columns.COLUMN_WORDS`), or None where it is empty."""
    text = cell_text(cell)
    return _READINGS.get(field, _as_text)(text) if text else None


def cell_text(cell: Cell) -> str:
    """The cell as it would be typed; refuses what a spreadsheet has computed, dated or rounded."""
    match cell:
        case None:
            return ""
        case Formula():
            raise UnfitCell(*_FORMULA_REFUSED)
        case str():
            if is_formula(cell):
                raise UnfitCell(*_FORMULA_REFUSED)
            return cell.strip()
        case bool():
            return "true" if cell else "false"
        case int() | float():
            return _number_text(cell)
        case dt.date() | dt.time() | dt.timedelta():
            raise UnfitCell(
                "表格软件把这一格变成了日期或时间。",
                "The spreadsheet program has turned this cell into a date or time.",
                "请把这一列设为文本格式，再重新输入原来的内容。",
                "Format the column as text and type the original again.",
            )


def _number_text(number: float) -> str:
    written = Decimal(repr(number))
    if not written.is_finite() or len(written.normalize().as_tuple().digits) > EXACT_DIGITS_MAX:
        raise UnfitCell(*_ROUNDED)
    whole = written.to_integral_value()
    if abs(whole) >= 10**EXACT_DIGITS_MAX:
        raise UnfitCell(*_ROUNDED)
    return str(int(whole)) if whole == written else str(written)


def _as_text(text: str) -> str:
    return text


def _as_code(text: str) -> str:
    """An id or a code: what a spreadsheet turned into a number with a point or an exponent is not guessed at."""
    if _EXPONENT.match(text) or _POINT_ZERO.match(text):
        raise UnfitCell(*_ROUNDED)
    return text


def _as_hours(text: str) -> int:
    number = _decimal(text)
    if number != number.to_integral_value() or number < 0:
        raise UnfitCell(
            "学时须为不小于零的整数。",
            "Hours are a whole number, zero or more.",
            "请四舍五入到整学时，例如 12。",
            "Round to whole hours, such as 12.",
        )
    return int(number)


def _as_hundredths(text: str) -> int:
    hundredths = _decimal(text).scaleb(2)
    if hundredths != hundredths.to_integral_value() or hundredths < 0:
        raise UnfitCell(
            "学分最多两位小数，且不小于零。",
            "Credits have at most two decimal places and are zero or more.",
            "例如 2、2.5 或 0.25。",
            "Such as 2, 2.5 or 0.25.",
        )
    return int(hundredths)


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(_UNIT.sub("", text.strip()))
    except InvalidOperation as error:
        raise UnfitCell(*_NOT_A_NUMBER) from error
    if not number.is_finite() or not -EXACT_DIGITS_MAX <= number.adjusted() <= EXACT_DIGITS_MAX:
        raise UnfitCell(*_NOT_A_NUMBER)
    return number


def _as_flag(text: str) -> bool:
    return choose("flag", text) == "yes"


def _as_level(text: str) -> dict[str, str]:
    found = _LEVEL.match(text)
    if found is None:
        raise UnfitCell(
            "级别缺少所属体系。",
            "The level lacks the scheme it belongs to.",
            "请写成“体系:级别”，例如“国家资历框架:3”。",
            "Write scheme:value, such as NQF:3.",
        )
    return {"scheme": found[1] or found[3], "value": found[2] or found[4]}


def _as_scope(text: str) -> dict[str, str]:
    found = _REACH.match(text.replace("：", ":").replace("（", "(").replace("）", ")"))
    reach, ancestor = (found[1], found[2]) if found else (text, "")
    code = choose("reach", reach)
    if (code == "subtree") != bool(ancestor):
        raise UnfitCell(
            "共享范围只有 subtree 需要、也必须写明上级节点名称。",
            "A share scope names an ancestor for subtree, and only then.",
            "例如：全网、同级、本节点，或“subtree zhejiang.lln.internal”。",
            "Such as network, siblings, node, or subtree zhejiang.lln.internal.",
        )
    return {"reach": code, "ancestor": ancestor.lower()} if ancestor else {"reach": code}


def _chooser(of: str) -> Callable[[str], str]:
    return lambda text: choose(of, text)


def _as_audience(text: str) -> list[str]:
    return list(dict.fromkeys(choose("audience", word) for word in separate(text)))


def _as_accessibility(text: str) -> dict[str, bool]:
    if _folded_no(text):
        return {}
    return {choose("accessibility", word): True for word in separate(text)}


def _folded_no(text: str) -> bool:
    try:
        return choose("flag", text) == "no"
    except UnfitCell:
        return False


def _as_identifiers(text: str) -> list[str]:
    """Addresses may hold commas, so only space and the Chinese enumeration marks stand between identifiers."""
    return list(dict.fromkeys(re.split(r"[\s、；|]+", text.strip())))


def _as_isbn(text: str) -> list[str]:
    return ["isbn:" + _as_code(text).replace("-", "").replace(" ", "").removeprefix("isbn:")]


def _as_doi(text: str) -> list[str]:
    return ["doi:" + text.removeprefix("https://doi.org/").removeprefix("doi:").lower()]


_READINGS: Final[Mapping[str, Callable[[str], Any]]] = {
    "id": _as_code,
    "keywords": separate,
    "type": _chooser("type"),
    "section": _chooser("section"),
    "stage": _chooser("stage"),
    "virtue": _chooser("virtue"),
    "subject": _as_code,
    "industry": _as_code,
    "occupation": _as_code,
    "audience": _as_audience,
    "language": choose_language,
    "hours": _as_hours,
    "credits": _as_hundredths,
    "level": _as_level,
    "accessibility": _as_accessibility,
    "accessibility.captions": _as_flag,
    "accessibility.transcript": _as_flag,
    "accessibility.large_type": _as_flag,
    "ai_generated": _as_flag,
    "share_scope": _as_scope,
    "identifiers": _as_identifiers,
    "identifiers.isbn": _as_isbn,
    "identifiers.doi": _as_doi,
    "sha256": str.lower,
}

_FORMULA_REFUSED: Final = (
    "这一格是公式。",
    "The cell is a formula.",
    "请复制后“选择性粘贴为数值”，只留下结果文字；确是文字时不要以 = 开头。",
    "Copy it and paste it as values, so that only its result stays; mere text should not begin with '='.",
)
_ROUNDED: Final = (
    "这一格被表格软件变成了数值，原来的写法可能已经丢失。",
    "The spreadsheet program has turned this cell into a number, and what was typed may be lost.",
    "请把这一列设为文本格式，再重新输入原来的内容。",
    "Format the column as text and type the original again.",
)
_NOT_A_NUMBER: Final = (
    "不是数字。",
    "It is not a number.",
    "只填数字，例如 12 或 2.5。",
    "Give a number, such as 12 or 2.5.",
)
