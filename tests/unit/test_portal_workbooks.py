"""Workbooks that the pages hand out: what was written is read back, as text or as a number and never as a formula."""

import io
import zipfile

import python_calamine
from hypothesis import given
from hypothesis import strategies as st

from node.portal.workbooks import Sheet, write_workbook

TEXTS = st.text(alphabet=st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=40)


def read(content, name):
    return python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_name(name).to_python()


def test_sheets_come_back_with_their_names_and_cells():
    written = write_workbook(
        [
            Sheet(name="省份", head=("code", "count"), rows=[("33", 4), ("", None), ("x", 2.5)]),
            Sheet(name="a/b:c", head=("only",), rows=[]),
        ]
    )
    assert read(written, "省份") == [["code", "count"], ["33", 4.0], ["", ""], ["x", 2.5]]
    assert read(written, "a b c") == [["only"]]


def test_what_looks_like_a_formula_is_text_in_the_file():
    written = write_workbook([Sheet(name="s", head=("a",), rows=[('=HYPERLINK("http://evil.example")',), ("@x",)])])
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert sheet.count('t="inlineStr"') == 3
    assert read(written, "s")[1] == ['=HYPERLINK("http://evil.example")']


def test_more_columns_than_letters():
    written = write_workbook([Sheet(name="s", head=[str(at) for at in range(800)], rows=[])])
    assert read(written, "s")[0][799] == "799"


@given(st.lists(st.lists(TEXTS | st.integers(-(2**50), 2**50), min_size=1, max_size=4), max_size=5), TEXTS)
def test_any_text_and_any_number_come_back(rows, name):
    head = ("a", "b", "c", "d")
    written = write_workbook([Sheet(name=name, head=head, rows=rows)])
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(written))
    found = book.get_sheet_by_index(0).to_python()
    assert [[cell for cell in row if cell != ""] for row in found[1:]] == [list(row) for row in rows]


@given(st.text(max_size=60))
def test_characters_that_xml_cannot_hold_do_not_break_the_file(text):
    written = write_workbook([Sheet(name=text, head=("a",), rows=[(text,)])])
    assert read(written, python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(written)).sheet_names[0])
