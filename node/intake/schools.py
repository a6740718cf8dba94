"""Sheets of schools to invite: what an authority's office keeps in CSV or XLSX, as invites to be made.

What lives here: the words of headers, levels and kinds, and cells as an invite's fields. What must not: making an
invite (`node/usecases/enrolling.py`), or whether a name is taken.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from federation.errors import InvalidInput
from node.desk.nodes import InviteAsked
from node.intake.cells import cell_text
from node.intake.columns import Headers
from node.intake.reading import read_sheet
from node.intake.rows import RowFault, UnfitCell
from node.intake.tables import SheetRow

SCHOOLS_MAX: Final = 500
COLUMN_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "label": ("名称标识", "label", "节点标签", "节点名", "标识", "英文标识", "域名", "网络名", "拼音", "代号"),
    "title.zh": ("单位名称", "title", "名称", "学校名称", "机构名称", "学校", "机构", "单位", "全称", "name", "school"),
    "title.en": ("英文名称", "title.en", "英文名", "English name"),
    "level": ("级别", "level", "层级", "行政级别"),
    "kind": ("类别", "kind", "类型", "机构类别", "单位类别", "学校类型", "type"),
    "division_code": ("行政区划代码", "division_code", "行政区划", "区划代码", "地区代码", "division code"),
    "institution_code": (
        "机构代码", "institution_code", "学校代码", "学校标识码", "统一社会信用代码", "单位代码", "institution code",
    ),
    "days": ("有效天数", "days", "天数", "有效期", "有效期（天）"),
}  # fmt: skip
"""For each field the headers that mean it, the one to prefer first."""

LEVELS: Final[Mapping[str, tuple[str, ...]]] = {
    "national": ("国家级", "国家", "全国"),
    "provincial": ("省级", "省", "自治区", "直辖市"),
    "municipal": ("市级", "市", "地市", "地级"),
    "county": ("县级", "县", "区县", "区", "县区"),
    "school": ("校级", "学校", "校", "站点"),
}
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "authority": ("主管机构", "主管部门", "教育局", "教育厅"),
    "school": ("学校", "中小学", "成人学校", "社区学校", "老年学校"),
    "university": ("大学", "高校", "普通高校", "学院"),
    "vocational_college": ("职业院校", "高职院校", "中职学校", "职业学校", "高职"),
    "credit_bank": ("学分银行",),
    "industry": ("行业企业", "企业", "行业", "行业协会"),
    "open_university": ("开放大学", "广播电视大学", "电大"),
    "study_centre": ("学习中心", "社区学院", "社区教育中心", "学习站", "老年大学"),
}
_CODE: Final = re.compile(r"[0-9A-Za-z]+")


class SchoolHeaderMissing(InvalidInput):
    code = "LLN-1174"
    zh = "前 20 行里没有找到表头。表头至少要有“单位名称”和“名称标识”，写法见 docs/portal.md。"
    en = "No header was found in the first 20 rows. It needs a title and a label; docs/portal.md lists the columns."


class TooManySchools(InvalidInput):
    code = "LLN-1178"
    zh = "一张表最多邀请 500 个单位。请拆成几张表分别上传。"
    en = "One sheet invites at most 500 institutions. Split it and upload the parts."


HEADERS: Final = Headers(COLUMN_WORDS, needed=frozenset(("title.zh", "label")), missing=SchoolHeaderMissing)


class SchoolRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row: its number as a person sees it, and the invite it asks for, or what is wrong with it."""

    row: int
    asked: InviteAsked | None = None
    faults: tuple[RowFault, ...] = ()


def read_schools(source: Path | bytes, name: str = "") -> Iterator[SchoolRow]:
    """The schools of a sheet, in order, blank rows left out; raises subclasses of InvalidInput (`rows.py`).

    A label met in an earlier row is a fault: the second invite would undo the first.
    """
    firsts: dict[str, int] = {}
    for count, row in enumerate(read_sheet(source, HEADERS, name), 1):
        if count > SCHOOLS_MAX:
            raise TooManySchools(name)
        read = _read(row)
        if read.asked is not None:
            first = firsts.setdefault(read.asked.label, row.row)
            if first != row.row:
                read = SchoolRow(row=row.row, faults=(_repeated(read.asked.label, first),))
        yield read


def _read(row: SheetRow) -> SchoolRow:
    if row.fault is not None:
        return SchoolRow(row=row.row, faults=(row.fault.in_field(""),))
    said: dict[str, Any] = {}
    faults: list[RowFault] = []
    for field, cell in row.cells.items():
        try:
            text = cell_text(cell)
            if text:
                said[field] = _READINGS.get(field, _as_text)(text)
        except UnfitCell as unfit:
            faults.append(unfit.in_field(field))
    told = {fault.field for fault in faults}
    faults += [_missing(field) for field in ("label", "title.zh", "level", "kind") if field not in {*said, *told}]
    if faults:
        return SchoolRow(row=row.row, faults=tuple(faults))
    return _judged(row.row, said)


def _judged(row: int, said: Mapping[str, Any]) -> SchoolRow:
    codes = {field: said[field] for field in ("division_code", "institution_code") if field in said}
    description = {
        "title": {"zh": said["title.zh"], "en": said.get("title.en", "")},
        "level": said["level"],
        "kind": said["kind"],
        **codes,
    }
    try:
        asked = msgspec.convert(
            {"label": said["label"], "description": description, "days": said.get("days", 7)}, InviteAsked
        )
    except msgspec.ValidationError as wrong:
        field = str(wrong).rpartition("$.")[2].strip("`").removeprefix("description.")
        return SchoolRow(row=row, faults=(UnfitCell(*_NOT_ACCEPTABLE).in_field(field),))
    return SchoolRow(row=row, asked=asked)


def _as_text(text: str) -> str:
    return text


def _as_label(text: str) -> str:
    label = unicodedata.normalize("NFKC", text).lower()
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label):
        raise UnfitCell(
            "名称标识只能用小写字母、数字和连字符，最多 63 个，两端不能是连字符。",
            "A label is 1 to 63 of a-z, 0-9 and '-', not at either end.",
            "可以用拼音，例如 xitang。",
            "Such as xitang.",
        )
    return label


def _as_code(text: str) -> str:
    code = unicodedata.normalize("NFKC", text).replace(" ", "").upper()
    if not _CODE.fullmatch(code):
        raise UnfitCell(*_NOT_ACCEPTABLE)
    return code


def _as_days(text: str) -> int:
    days = unicodedata.normalize("NFKC", text).removesuffix("天").strip()
    if not (days.isascii() and days.isdigit() and len(days) <= 2 and 1 <= int(days) <= 90):
        raise UnfitCell(
            "有效天数是 1 到 90 的整数。",
            "An invite is valid for 1 to 90 whole days.",
            "例如 7；不填就是 7 天。",
            "Such as 7, which is also meant by an empty cell.",
        )
    return int(days)


def _chooser(words: Mapping[str, tuple[str, ...]]) -> Callable[[str], str]:
    codes = {_folded(word): code for code, said in words.items() for word in (*said, code)}

    def choose(text: str) -> str:
        if (code := codes.get(_folded(text))) is not None:
            return code
        raise UnfitCell(
            f"“{text[:40]}”不在可选范围内。",
            f"'{text[:40]}' is not one of the choices.",
            f"可填：{'、'.join(said[0] for said in words.values())}。",
            f"One of: {', '.join(words)}.",
        )

    return choose


def _folded(word: str) -> str:
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", word).casefold())


def _missing(field: str) -> RowFault:
    header = COLUMN_WORDS[field][0]
    return RowFault(
        field=field,
        reason_zh=f"没有填“{header}”。",
        reason_en=f"'{COLUMN_WORDS[field][1]}' is empty.",
        remedy_zh="请补上再上传。",
        remedy_en="Fill it in and upload the sheet again.",
    )


def _repeated(label: str, first: int) -> RowFault:
    return RowFault(
        field="label",
        reason_zh=f"名称标识 {label} 与第 {first} 行相同。",
        reason_en=f"The label {label} stands in row {first} already.",
        remedy_zh="每个单位用自己的标识。",
        remedy_en="Give each institution a label of its own.",
    )


_READINGS: Final[Mapping[str, Callable[[str], Any]]] = {
    "label": _as_label,
    "level": _chooser(LEVELS),
    "kind": _chooser(KINDS),
    "division_code": _as_code,
    "institution_code": _as_code,
    "days": _as_days,
}
_NOT_ACCEPTABLE: Final = (
    "这一格的写法不符合要求。",
    "The cell is not acceptable.",
    "区划代码是 2 到 12 位数字，机构代码是 10 到 18 位数字和大写字母；名称不超过 200 字。请设为文本格式重新输入。",
    "A division code has 2 to 12 digits, an institution code 10 to 18 digits and capitals. Type them as text.",
)
