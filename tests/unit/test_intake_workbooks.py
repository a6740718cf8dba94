"""Catalogue files in XLSX: values, formulas, dates and rounded numbers, damaged archives and bombs."""

import io
import random
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.intake.reading import read_catalogue
from node.intake.rows import (
    HeaderMissing,
    MalformedWorkbook,
    OversizeWorkbook,
    RepeatedColumn,
    UnknownFileKind,
    UnknownScopeColumn,
)
from tests.support.catalogue_files import sheet_of, workbook

HEADER = ("编号", "名称", "类型", "板块", "学时", "学分")
REFUSALS = (HeaderMissing, MalformedWorkbook, OversizeWorkbook, RepeatedColumn, UnknownFileKind, UnknownScopeColumn)
GOOD = sheet_of([HEADER, ("a-1", "木雕入门", "网络课程", "兴趣爱好", 12.0, 2.5)])
CORNER = '<row r="1048576"><c r="XFD1048576">{}</c></row>'


def rows_of(data, name="a.xlsx"):
    return list(read_catalogue(data, name))


def read(*rows):
    return rows_of(workbook(sheet_of([HEADER, *rows])))


def fault_of(*cells):
    (row,) = read(cells)
    assert (row.row, row.resource) == (2, None)
    return row.faults[0]


def test_values_are_read_with_the_sheets_own_row_numbers():
    rows = rows_of(
        workbook(
            sheet_of(
                [
                    ("某校课程表",),
                    (),
                    HEADER,
                    ("a-1", "木雕", "课程", "银龄课堂", 12.0, 2.5),
                    (),
                    ("", "剪纸", "课件", "兴趣爱好"),
                ]
            )
        )
    )
    assert [row.row for row in rows] == [4, 6]
    assert [row.faults for row in rows] == [(), ()]
    assert (rows[0].resource.id, rows[0].resource.hours, rows[0].resource.credits) == ("a-1", 12, 250)
    assert rows[1].resource.hours is None


def test_the_first_visible_sheet_with_a_header_counts():
    notes = sheet_of([("说明",), ("请看下一页", "谢谢")])
    other = sheet_of([HEADER, ("hidden", "没人看", "课程", "银龄课堂")])
    (row,) = rows_of(workbook(other, notes, GOOD, other, hidden=(1,)))
    assert row.resource.id == "a-1"
    with pytest.raises(HeaderMissing):
        rows_of(workbook(notes))


def test_shared_strings_and_whole_numbers_are_text_where_text_is_wanted():
    shared = '<row r="2"><c r="A2"><v>1001</v></c><c r="B2" t="s"><v>0</v></c><c r="C2" t="s"><v>1</v></c>'
    shared += '<c r="D2" t="s"><v>2</v></c></row>'
    (row,) = rows_of(workbook(sheet_of([HEADER]) + shared, shared=("2024 年课表", "课程", "银龄课堂")))
    assert (row.resource.id, row.resource.title.zh) == ("1001", "2024 年课表")


@pytest.mark.parametrize("written", ["1.23456789012345E+17", "1234567890123456", "1.5", "1E+300", "123456789012345680"])
def test_ids_that_were_rounded_are_refused_and_never_guessed(written):
    (row,) = read((("number", written), "木雕", "课程", "银龄课堂"))
    if row.resource is None:
        assert row.faults[0].field == "id"
        assert "文本格式" in row.faults[0].remedy_zh
    else:
        assert row.resource.id == written == "1.5"


def test_formulas_are_refused_whatever_they_show():
    fault = fault_of("a-1", ("formula", 'HYPERLINK("http://x")', "木雕"), "课程", "银龄课堂")
    assert (fault.field, fault.reason_en) == ("title.zh", "The cell is a formula.")
    assert fault_of("a-1", "木雕", "课程", "银龄课堂", ("formula", "1+1", "2")).field == "hours"
    assert fault_of("a-1", "=HYPERLINK(A1)", "课程", "银龄课堂").field == "title.zh"


def test_a_formula_in_a_column_that_means_nothing_harms_nobody():
    rows = sheet_of([(*HEADER, "备注"), ("a-1", "木雕", "课程", "银龄课堂", 1, 1, ("formula", "A1", "x"))])
    assert rows_of(workbook(rows))[0].resource.id == "a-1"


@pytest.mark.parametrize("at", range(6))
def test_dates_are_refused_where_something_else_was_typed(at):
    cells = ["a-1", "木雕", "课程", "银龄课堂", 12, 2]
    cells[at] = ("date", 45_000)
    assert "日期" in fault_of(*cells).reason_zh


def test_truth_values_are_read_as_yes_and_no():
    header = (*HEADER[:4], "字幕", "AI生成")
    (row,) = rows_of(workbook(sheet_of([header, ("a-1", "木雕", "课程", "银龄课堂", True, False)])))
    assert (row.resource.accessibility.captions, row.resource.ai_generated) == (True, False)


@pytest.mark.parametrize("empty", ["", "<v></v>", "<f>A1</f>", "<is><t></t></is>"])
def test_one_cell_in_the_last_corner_does_not_unfold(empty):
    try:
        (row,) = rows_of(workbook(GOOD + CORNER.format(empty)))
    except OversizeWorkbook:
        return
    assert empty == ""
    assert row.resource.id == "a-1"


@pytest.mark.parametrize(
    "cell",
    [
        'r="ZZZZZZZ3"',
        'r="A0"',
        'r="A99999999"',
        'r="3A"',
        'r=""',
        'r="a1"',
        'r="XFE1"',
        'r="A1048577"',
        'r=" A1"',
    ],
)
def test_places_that_no_sheet_has_are_refused(cell):
    sheet = GOOD + f'<row r="9"><c {cell}><v>1</v></c></row>'
    with pytest.raises(MalformedWorkbook):
        rows_of(workbook(sheet))


@pytest.mark.parametrize("row", ["99999999999", "0", "-1", "x", ""])
def test_rows_that_no_sheet_has_are_refused(row):
    with pytest.raises(MalformedWorkbook):
        rows_of(workbook(GOOD + f'<row r="{row}"><c><v>1</v></c></row>'))


def test_one_long_text_shared_by_many_cells_does_not_unfold():
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(3, 3_003))
    with pytest.raises(OversizeWorkbook):
        rows_of(workbook(GOOD + cells, shared=("长" * 100_000,)))


def test_an_archive_that_unfolds_without_end_is_refused():
    with pytest.raises(OversizeWorkbook):
        rows_of(workbook(GOOD, parts={"xl/sharedStrings.xml": b" " * (257 * 1024 * 1024)}))
    with pytest.raises(OversizeWorkbook):
        rows_of(workbook(GOOD, parts={f"xl/{n}": b"" for n in range(5_000)}))


def test_what_is_not_needed_is_not_even_unpacked():
    (row,) = rows_of(workbook(GOOD, parts={"xl/media/film.bin": b"\0" * (257 * 1024 * 1024)}))
    assert row.resource.id == "a-1"


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<a>",
        b"not xml",
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>',
        '<?xml version="1.0" encoding="utf-16"?><worksheet/>'.encode("utf-16"),
    ],
)
def test_damaged_parts_are_one_typed_refusal(part, content):
    with pytest.raises(MalformedWorkbook):
        rows_of(workbook(GOOD, parts={part: content}))


@pytest.mark.parametrize(
    "target", ["../../etc/passwd", "worksheets/none.xml", "", "/", "sharedStrings.xml", "http://x.example/y"]
)
def test_sheets_that_lead_elsewhere_are_refused(target):
    link = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"
    part = f'<Relationships><Relationship Id="rId1" Type="{link}" Target="{target}"/></Relationships>'
    with pytest.raises((MalformedWorkbook, HeaderMissing)):
        rows_of(workbook(GOOD, parts={"xl/_rels/workbook.xml.rels": part}))


def test_other_archives_are_refused_by_kind():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("content.xml", "<table:table-row table:number-rows-repeated='1000000000'/>")
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    with pytest.raises(UnknownFileKind):
        rows_of(file.getvalue(), "a.ods")
    with pytest.raises(MalformedWorkbook):
        rows_of(b"not an archive", "a.xlsx")
    with pytest.raises(MalformedWorkbook):
        rows_of(b"PK\x03\x04", "a.csv")


def test_an_archive_by_another_name_is_still_read_as_what_it_is():
    assert rows_of(workbook(GOOD), "课表.csv")[0].resource.id == "a-1"


def _read_or_refuse(data):
    try:
        rows_of(data)
    except REFUSALS as refusal:
        return refusal
    return None


@pytest.mark.parametrize("seed", range(150))
def test_a_damaged_workbook_raises_nothing_but_the_rooms_own_errors(seed):
    chance = random.Random(seed)  # noqa: S311  # which bytes are damaged is no secret
    data = bytearray(workbook(GOOD, shared=("共享",)))
    for _ in range(chance.randrange(1, 6)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    if seed % 3 == 0:
        del data[chance.randrange(len(data)) :]
    _read_or_refuse(bytes(data))


_XML = st.lists(
    st.sampled_from(
        (
            '<row r="2">', "</row>", "<row>", '<c r="B2" t="s">', '<c r="A3" t="str">', "<c>", '<c r="&#65;4">',
            '<c t="b">', '<c t="e">',
            '<c t="inlineStr">', '<c t="d">', '<c s="1">', '<c s="9">', "</c>", "<v>", "</v>", "<is><t>", "</t></is>",
            "<f>", "</f>", "0", "-1", "1e308", "x", "99999999999", "2024-13-45", "<f t='shared' si='0' ref='A1:B2'/>",
            '<mergeCell ref="A1:XFD1048576"/>', "<![CDATA[<c>]]>", "<!-- <c> -->", "&#0;", "&lt;", "<x:c xmlns:x='y'>",
        )
    ),
    max_size=14,
).map("".join)  # fmt: skip


@given(_XML)
@settings(max_examples=300, deadline=None)
def test_no_sheet_raises_anything_but_the_rooms_own_errors(inner):
    _read_or_refuse(workbook(GOOD + inner, shared=("a", "b")))


@given(st.lists(st.tuples(st.text(max_size=5), st.floats() | st.integers() | st.text(max_size=5)), max_size=4))
@settings(max_examples=100, deadline=None)
def test_no_numbers_raise_anything_but_the_rooms_own_errors(cells):
    rows = "".join(
        f'<row r="{n}"><c r="A{n}"><v>{value!r}</v></c><c t="str"><v>木</v></c><c r="E{n}"><v>{value}</v></c></row>'
        for n, (_, value) in enumerate(cells, 3)
    )
    _read_or_refuse(workbook(GOOD + rows))
