"""What an institution writes down of a person: a name, numbers, a birth date; read, judged, and masked.

What lives here: reading what was written into a `Person`, the checksum of identity numbers (GB 11643-1999), masks, and
the age below which a guardian decides. What must not: files and cells (`node/intake`), or accounts.

Nothing here ever repeats what was written: a fault names the field, and a value prints without its content.
"""

import re
import unicodedata
from datetime import date
from typing import Any, Final

import msgspec

NAME_CHARS_MAX: Final = 100
STUDENT_NUMBER_CHARS_MAX: Final = 64
CONTACT_CHARS_MAX: Final = 200
WRITTEN_CHARS_MAX: Final = 1_000
GUARDED_BELOW_YEARS: Final = 14
"""Personal Information Protection Law of the PRC, Article 31: below this age a parent or guardian consents."""
BORN_FIRST: Final = date(1900, 1, 1)

_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999 §4.2
_CHECKS: Final = "10X98765432"
_IDENTITY: Final = re.compile(r"[0-9]{17}[0-9X]\Z", re.ASCII)
_ROUNDED: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)?E\+?[0-9]+\Z|[0-9]+[.,]0*\Z", re.ASCII)
_ROUNDED_CODE: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)?[eE]\+[0-9]+\Z|[0-9]+\.0+\Z", re.ASCII)
_DATE: Final = re.compile(
    r"([0-9]{4})(?:([-/.])([0-9]{1,2})\2([0-9]{1,2})|年([0-9]{1,2})月([0-9]{1,2})日?)(?:T?00:00(?::00)?)?\Z", re.ASCII
)
_DATE_RUN: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})\Z", re.ASCII)
_LONG_RUN: Final = re.compile(r"[0-9]{15}")
# Controls, half characters, line separators, and marks that turn the direction of writing or cannot be seen.
_UNFIT: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


class _Unshown(msgspec.Struct, frozen=True, kw_only=True):
    """Prints as the name of its type, so that no stray line of telemetry or traceback tells whose it is."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Written(_Unshown, frozen=True, kw_only=True):
    """What somebody wrote of a person, as text and unjudged; empty where nothing was written."""

    name: str = ""
    identity_number: str = ""
    student_number: str = ""
    birth_date: str = ""
    guardian: str = ""
    contact: str = ""


class Person(_Unshown, frozen=True, kw_only=True):
    """A person as this node may keep them; made by `read_person`. A birth date inside the number is the one."""

    name: str
    identity_number: str = ""
    student_number: str = ""
    birth_date: date | None = None
    guardian: str = ""
    contact: str = ""


class PersonFault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field, and what to do; `field` as in `Written`."""

    field: str
    zh: str
    en: str
    remedy_zh: str
    remedy_en: str


class _Unfit(Exception):  # raised and caught in this module only
    """Why one text cannot be its field: the four sentences of a PersonFault."""


def read_person(written: Written, *, as_of: date) -> Person | tuple[PersonFault, ...]:
    """The person that `written` describes, or everything that is wrong with it; `as_of`: today in China."""
    faults: list[PersonFault] = []
    found: dict[str, Any] = {}
    for field in Written.__struct_fields__:
        try:
            found[field] = _READINGS[field](getattr(written, field))
        except _Unfit as unfit:
            faults.append(_fault(field, *unfit.args))
    if not faults:
        faults = list(_disagreements(found, as_of))
    if faults:
        return tuple(faults)
    if found["identity_number"]:
        found["birth_date"] = birth_date_in(found["identity_number"])
    return Person(**found)


def check_character(digits: str) -> str:
    """The eighteenth character for the first seventeen of an identity number (GB 11643-1999, ISO 7064 MOD 11-2)."""
    return _CHECKS[sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=True)) % 11]


def birth_date_in(identity_number: str) -> date:
    """The birth date inside a number that `read_person` has let pass."""
    return date(int(identity_number[6:10]), int(identity_number[10:12]), int(identity_number[12:14]))


def needs_guardian(birth_date: date, as_of: date) -> bool:
    """Whether somebody is not yet fourteen on a day; who was born on 29 February is so on 1 March."""
    years = as_of.year - birth_date.year - ((as_of.month, as_of.day) < (birth_date.month, birth_date.day))
    return years < GUARDED_BELOW_YEARS


def masked_identity_number(number: str) -> str:
    """999999********0016: enough to tell people apart in a list, not enough to use."""
    return f"{number[:6]}********{number[-4:]}" if number else ""


def masked_student_number(number: str) -> str:
    """As it is; but national student numbers (G, J or L before an identity number) and the like are masked."""
    return f"{number[:1]}{'*' * (len(number) - 5)}{number[-4:]}" if _LONG_RUN.search(number) else number


# --- one field each --------------------------------------------------------------------------------------------------


def _line(chars_max: int) -> Any:
    def read(text: str) -> str:
        line = re.sub("[ \u3000]+", " ", unicodedata.normalize("NFC", text[:WRITTEN_CHARS_MAX])).strip()
        if _UNFIT.search(line):
            raise _Unfit(*_CHARACTERS)
        if len(line) > chars_max:
            raise _Unfit(
                f"超过 {chars_max} 个字符。",
                f"It is longer than {chars_max} characters.",
                "请缩短。",
                "Shorten it.",
            )
        return line

    return read


def _name(text: str) -> str:
    name = str(_line(NAME_CHARS_MAX)(text))
    if not name:
        raise _Unfit("没有姓名。", "There is no name.", "请填写姓名。", "Give the person's name.")
    if _LONG_RUN.search(name):
        raise _Unfit(
            "姓名里像是写了号码。",
            "A number seems to stand in place of the name.",
            "请核对各列是否错位。",
            "See whether the columns have shifted.",
        )
    return name


def _identity_number(text: str) -> str:
    number = "".join(unicodedata.normalize("NFKC", text[:WRITTEN_CHARS_MAX]).split()).lstrip("'").upper()
    if not number:
        return ""
    if _ROUNDED.match(number):
        raise _Unfit(*ROUNDED)
    if len(number) == 15 and number.isascii() and number.isdigit():
        raise _Unfit(
            "这是 15 位的旧号码，已停止使用。",
            "It is an old number of fifteen digits, which is no longer in use.",
            "请填写现行证件上的 18 位号码。",
            "Give the eighteen characters on the card in force.",
        )
    if not _IDENTITY.match(number):
        raise _Unfit(
            f"身份证号应为 18 位：17 位数字加 1 位数字或 X，这里是 {min(len(number), 999)} 位。",
            f"An identity number is 17 digits and a digit or X; here are {min(len(number), 999)} characters.",
            "请对照证件重新填写；没有身份证号的，请留空并填写学号。",
            "Copy it from the card again; for a person without one leave it empty and give a student number.",
        )
    if check_character(number[:17]) != number[17]:
        raise _Unfit(
            "身份证号的校验位不符，必有错字；末几位全是 0 时，多半是被表格软件舍入了。",
            "The check character does not fit: something is mistyped, or, where it ends in zeros, was rounded.",
            "请对照证件核对；在表格里请先把这一列设为文本格式再输入。",
            "Compare it with the card; in a spreadsheet format the column as text first, and type it again.",
        )
    if _day(number[6:10], number[10:12], number[12:14]) is None:
        raise _Unfit(
            "身份证号里的出生日期不存在。",
            "The birth date inside the number is no day of the calendar.",
            "请对照证件核对。",
            "Compare it with the card.",
        )
    return number


def _student_number(text: str) -> str:
    number = str(_line(STUDENT_NUMBER_CHARS_MAX)(text)).lstrip("'")
    if _ROUNDED_CODE.match(number):
        raise _Unfit(*ROUNDED)
    return number


def _birth_date(text: str) -> date | None:
    written = "".join(unicodedata.normalize("NFKC", text[:WRITTEN_CHARS_MAX]).split())
    if not written:
        return None
    parts = _DATE.match(written)
    run = _DATE_RUN.match(written)
    day = None
    if parts:
        day = _day(parts[1], parts[3] or parts[5], parts[4] or parts[6])
    elif run:
        day = _day(run[1], run[2], run[3])
    if day is None:
        raise _Unfit(
            "不是可以识别的日期。",
            "It is not a date as dates are written here.",
            "请写成 2010-01-31；也可写 2010/1/31 或 2010年1月31日。",
            "Write 2010-01-31; 2010/1/31 is understood, too.",
        )
    return day


def _day(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _contact(text: str) -> str:
    contact = str(_line(CONTACT_CHARS_MAX)(text)).lstrip("'")
    if _ROUNDED_CODE.match(contact):
        raise _Unfit(*ROUNDED)
    return contact


def _disagreements(found: dict[str, Any], as_of: date) -> Any:
    said, number = found["birth_date"], found["identity_number"]
    told = birth_date_in(number) if number else None
    for field, day in (("birth_date", said), ("identity_number", told)):
        if day is not None and not BORN_FIRST <= day <= as_of:
            yield _fault(
                field,
                f"出生日期须在 {BORN_FIRST.year} 年之后、今天之前。",
                f"A birth date lies after {BORN_FIRST.year} and not after today.",
                "请核对。",
                "Look at it again.",
            )
    if said is not None and told is not None and said != told:
        yield _fault(
            "birth_date",
            "出生日期与身份证号里的不一致。",
            "The birth date is not the one inside the identity number.",
            "请对照证件改正其中之一；出生日期也可以留空。",
            "Correct one of the two from the card; the birth date may be left empty.",
        )


def _fault(field: str, zh: str, en: str, remedy_zh: str, remedy_en: str) -> PersonFault:
    return PersonFault(field=field, zh=zh, en=en, remedy_zh=remedy_zh, remedy_en=remedy_en)


_READINGS: Final = {
    "name": _name,
    "identity_number": _identity_number,
    "student_number": _student_number,
    "birth_date": _birth_date,
    "guardian": _line(NAME_CHARS_MAX),
    "contact": _contact,
}

ROUNDED: Final = (
    "号码被表格软件变成了数值或科学计数，原来的数字已经丢失，无法还原。",
    "A spreadsheet program has turned the number into a figure; digits are lost and cannot be restored.",
    "请把这一列设为文本格式，再对照证件重新输入。",
    "Format the column as text, and type the numbers again from the cards.",
)
_CHARACTERS: Final = (
    "含有控制字符、看不见的字符或残缺的字符。",
    "It holds control characters, characters that cannot be seen, or half a character.",
    "请重新输入这一格。",
    "Type it again.",
)
