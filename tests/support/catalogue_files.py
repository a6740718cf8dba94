"""Catalogue files as people make them: CSV in any encoding, JSON Lines, and small XLSX workbooks written by hand."""

import csv
import io
import json
import zipfile
from xml.sax.saxutils import escape

_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_TYPES = (
    f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
)
_DATE_STYLE = (
    f'<styleSheet xmlns="{_SHEET}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs>'
    "</styleSheet>"
)


def csv_bytes(rows, *, encoding="utf-8", delimiter=","):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode(encoding)


def json_lines(*objects):
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects).encode()


def sheet_of(rows):
    """A sheet's rows as XML: text, numbers, `True`, ("date", serial), ("formula", text, shown), or None."""
    return "".join(
        f'<row r="{number}">{"".join(_cell(number, at, value) for at, value in enumerate(row))}</row>'
        for number, row in enumerate(rows, 1)
    )


def workbook(*sheets, shared=(), parts=None, hidden=()):
    """An XLSX file of the given sheets' rows (XML); `parts` replaces or adds parts of the archive by name."""
    names = range(1, len(sheets) + 1)
    state = {n: "hidden" if n in hidden else "visible" for n in names}
    told = "".join(f'<sheet name="S{n}" sheetId="{n}" r:id="rId{n}" state="{state[n]}"/>' for n in names)
    strings = "".join(f"<si><t>{escape(text)}</t></si>" for text in shared)
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{_RELATION}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in names
    )
    written = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": _relations(f'<Relationship Id="r" Type="{_RELATION}/officeDocument" Target="xl/workbook.xml"/>'),
        "xl/workbook.xml": f'<workbook xmlns="{_SHEET}" xmlns:r="{_RELATION}"><sheets>{told}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relations(links),
        "xl/styles.xml": _DATE_STYLE,
        "xl/sharedStrings.xml": f'<sst xmlns="{_SHEET}">{strings}</sst>',
        **{
            f"xl/worksheets/sheet{n}.xml": f'<worksheet xmlns="{_SHEET}"><sheetData>{rows}</sheetData></worksheet>'
            for n, rows in enumerate(sheets, 1)
        },
        **(parts or {}),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in written.items():
            archive.writestr(name, part)
    return file.getvalue()


def _relations(inner):
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{inner}</Relationships>'


def _cell(row, at, value):  # noqa: PLR0911  # one line for each kind of cell
    place = f"{chr(ord('A') + at)}{row}"
    match value:
        case None:
            return ""
        case True | False:
            return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
        case ("date", serial):
            return f'<c r="{place}" s="1"><v>{serial}</v></c>'
        case ("formula", formula, shown):
            return f'<c r="{place}" t="str"><f>{escape(formula)}</f><v>{escape(shown)}</v></c>'
        case ("number", written):
            return f'<c r="{place}"><v>{written}</v></c>'
        case int() | float():
            return f'<c r="{place}"><v>{value!r}</v></c>'
        case _:
            return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
