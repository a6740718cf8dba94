"""What comes out of a catalogue file: rows, what is wrong with them, and why a file cannot be read at all.

What lives here: the values and the typed errors of this room. What must not: reading anything.
"""

import datetime as dt
from typing import Final

import msgspec

from federation.catalogue import Resource
from federation.errors import InvalidInput

FILE_BYTES_MAX: Final = 256 * 1024 * 1024
ROWS_MAX: Final = 1_000_000
ROW_CHARS_MAX: Final = 262_144
COLUMNS_MAX: Final = 1_024


class RowFault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field of one row, and what to do; `field` in the words of GLOSSARY.md §Resource."""

    field: str
    reason_zh: str
    reason_en: str
    remedy_zh: str = ""
    remedy_en: str = ""


class IntakeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row: its number as a person sees it, and either a resource or what is wrong.

    `row` counts lines in JSON Lines, and rows as a spreadsheet shows them, the header included, in CSV and XLSX.
    """

    row: int
    resource: Resource | None = None
    faults: tuple[RowFault, ...] = ()


class Formula(msgspec.Struct, frozen=True):
    """Stands in a spreadsheet's cell whose value is computed."""


Cell = str | int | float | bool | dt.date | dt.time | dt.timedelta | Formula | None
"""A `dt.datetime` is a `dt.date` too."""


class UnfitCell(InvalidInput):
    """Raised and caught inside this room; it becomes the RowFault of its row."""

    code = "LLN-1139"
    zh = "单元格的内容不符合要求。请按提示修改该行。"
    en = "A cell is not as it should be. Correct the row as described."

    def __init__(self, reason_zh: str, reason_en: str, remedy_zh: str = "", remedy_en: str = "") -> None:
        super().__init__("cell", reason_en)
        self.reason_zh = reason_zh
        self.reason_en = reason_en
        self.remedy_zh = remedy_zh
        self.remedy_en = remedy_en

    def in_field(self, field: str) -> RowFault:
        return RowFault(
            field=field,
            reason_zh=self.reason_zh,
            reason_en=self.reason_en,
            remedy_zh=self.remedy_zh,
            remedy_en=self.remedy_en,
        )


class UnreadableFile(InvalidInput):
    code = "LLN-1130"
    zh = "打不开这个文件。请核对路径和读取权限。"
    en = "The file cannot be opened. Check its path and that you may read it."


class OversizeFile(InvalidInput):
    code = "LLN-1131"
    zh = "文件超过 256 MiB。请拆成几个文件分别导入。"
    en = "The file is larger than 256 MiB. Split it and import the parts."


class UnknownFileKind(InvalidInput):
    code = "LLN-1132"
    zh = "不认识的文件格式。请另存为 XLSX、CSV 或 JSON Lines（每行一个对象）。"
    en = "Not a kind of file that can be imported. Save it as XLSX, CSV or JSON Lines (one object a line)."


class HeaderMissing(InvalidInput):
    code = "LLN-1133"
    zh = "前 20 行里没有找到表头。表头至少要有“名称”和另一列，写法见 docs/resources.md。"
    en = "No header was found in the first 20 rows. It needs a title and one more column; docs/resources.md lists them."


class UnreadableText(InvalidInput):
    code = "LLN-1134"
    zh = "文字编码既不是 UTF-8 也不是 GB18030。请用 UTF-8 另存一次。"
    en = "The text is neither UTF-8 nor GB18030. Save it again as UTF-8."


class MalformedWorkbook(InvalidInput):
    code = "LLN-1135"
    zh = "XLSX 文件已损坏或内部不合规范。请用表格软件打开后另存为新的 XLSX。"
    en = "The XLSX file is damaged or not as it should be inside. Open it in a spreadsheet program and save it anew."


class OversizeWorkbook(InvalidInput):
    code = "LLN-1136"
    zh = "XLSX 展开后过大。请删去空白区域以外的多余内容、拆成几个文件，或另存为 CSV。"
    en = "The XLSX file is too large once unpacked. Remove stray cells, split it, or save it as CSV."


class TooManyRows(InvalidInput):
    code = "LLN-1137"
    zh = "文件超过 1,000,000 行。请拆成几个文件分别导入。"
    en = "The file has more than 1,000,000 rows. Split it and import the parts."


class UnknownScopeColumn(InvalidInput):
    code = "LLN-1140"
    zh = "表头里有一列像是共享范围，但写法不认识；忽略它会把资源共享到全网。请改成“共享范围”或删去这一列。"
    en = "A column looks like a share scope but is not known as one; to ignore it would share everything. Rename it."


class RepeatedColumn(InvalidInput):
    code = "LLN-1138"
    zh = "表头里有两列同名，无法判断以哪一列为准。请删去或改名其中一列。"
    en = "Two columns of the header have one name, so it is not clear which is meant. Remove or rename one."
