"""A workbook to download: plain sheets of text and numbers in XLSX (ECMA-376 part 1), written with nothing but a ZIP.

What lives here: the archive's few parts. What must not: what stands in any table.

Text goes in as inline strings, which no spreadsheet program takes for a formula whatever they begin with.
"""

import html
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from starlette.responses import Response

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CELL_CHARS_MAX: Final = 32_767
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DOCUMENT: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_UNWRITABLE: Final = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BAD_IN_NAMES: Final = re.compile(r"[\[\]:*?/\\]")
_FIXED_TIME: Final = (1980, 1, 1, 0, 0, 0)


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """`name`: at most 31 characters are kept of it."""

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[object]]


def as_xlsx(name: str, sheets: Sequence[Sheet]) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(write_workbook(sheets), media_type=MEDIA_TYPE, headers=headers)


def write_workbook(sheets: Sequence[Sheet]) -> bytes:
    """The same bytes for the same sheets."""
    numbers = range(1, len(sheets) + 1)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{MEDIA_TYPE}.main+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{at}.xml" ContentType="{_worksheet_type()}"/>' for at in numbers
        )
        + "</Types>",
        "_rels/.rels": _relations([("officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}"><sheets>'
        + "".join(
            f'<sheet name="{_name(sheet.name, at)}" sheetId="{at}" r:id="rId{at}"/>'
            for at, sheet in zip(numbers, sheets, strict=True)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _relations([("worksheet", f"worksheets/sheet{at}.xml") for at in numbers]),
        **{f"xl/worksheets/sheet{at}.xml": _sheet(sheet) for at, sheet in zip(numbers, sheets, strict=True)},
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in parts.items():
            archive.writestr(zipfile.ZipInfo(path, _FIXED_TIME), _HEAD + content, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def _worksheet_type() -> str:
    return "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"


def _relations(targets: Iterable[tuple[str, str]]) -> str:
    lines = (
        f'<Relationship Id="rId{at}" Type="{_DOCUMENT}/{kind}" Target="{target}"/>'
        for at, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{"".join(lines)}</Relationships>'


def _sheet(sheet: Sheet) -> str:
    rows = (
        f'<row r="{at}">{"".join(_cell(column, at, cell) for column, cell in enumerate(row))}</row>'
        for at, row in enumerate((sheet.head, *sheet.rows), 1)
    )
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(rows)}</sheetData></worksheet>'


def _cell(column: int, row: int, cell: object) -> str:
    if cell is None or cell == "":
        return ""
    place = f"{_letters(column)}{row}"
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return f'<c r="{place}"><v>{cell!r}</v></c>'
    text = html.escape(_UNWRITABLE.sub("\ufffd", str(cell)[:CELL_CHARS_MAX]), quote=False)
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def _letters(column: int) -> str:
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _name(name: str, at: int) -> str:
    plain = _BAD_IN_NAMES.sub(" ", _UNWRITABLE.sub("", name)).strip(" '")[:31]
    return html.escape(plain or str(at))
