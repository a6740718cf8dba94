"""Sheets of learners as school offices keep them, and as spreadsheet programs spoil them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InvalidInput
from node.intake.learners import COLUMN_WORDS, LearnerHeaderMissing, read_learners
from node.intake.rows import RepeatedColumn, UnknownFileKind
from tests.support.catalogue_files import csv_bytes, json_lines, sheet_of, workbook
from tests.support.people import identity_number

HEADER = ("姓名", "身份证号", "学号", "出生日期", "监护人", "联系方式")
NUMBER, OTHER = identity_number(), identity_number("19550228")


def rows_of(data, name="a.csv"):
    return list(read_learners(data, name))


def of_sheet(*rows):
    return rows_of(workbook(sheet_of([HEADER, *rows])), "a.xlsx")


def fault_of(*cells):
    (row,) = of_sheet(cells)
    assert row.row == 2
    return row.faults[0]


def test_a_sheet_with_a_title_above_its_header_is_read_with_its_own_row_numbers():
    data = csv_bytes(
        [("2026 年秋季名单",), (), HEADER, ("张三", NUMBER, "2026001", "", "张父", ""), (), ("李四", OTHER)]
    )
    first, second = rows_of(data)
    assert (first.row, first.written.name, first.written.identity_number) == (4, "张三", NUMBER)
    assert (first.written.student_number, first.written.guardian) == ("2026001", "张父")
    assert (second.row, second.written.identity_number, second.faults) == (6, OTHER, ())


@pytest.mark.parametrize("word", sorted({word for words in COLUMN_WORDS.values() for word in words} - {"姓名"}))
def test_every_synonym_is_known(word):
    field = next(field for field, words in COLUMN_WORDS.items() if word in words)
    header, person = (
        (word, "学号" if field != "student_number" else "手机") if field == "name" else ("姓名", word),
        "样本",
    )
    names = header if field == "name" else ("姓名", word)
    (row,) = rows_of(csv_bytes([names, (person, "样本值")]))
    value = person if field == "name" else "样本值"
    assert getattr(row.written, field) == value


@pytest.mark.parametrize("header", ["身份证号（18位）", " 身份证 号码 ", "证件号*", "ＩＤ number", "\ufeff身份证号"])
def test_headers_as_people_decorate_them(header):
    (row,) = rows_of(csv_bytes([("姓名", header), ("张三", NUMBER)]))
    assert row.written.identity_number == NUMBER


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-8-sig", ","), ("gb18030", "\t"), ("utf-16", ";")])
def test_encodings_and_delimiters(encoding, delimiter):
    (row,) = rows_of(csv_bytes([HEADER, ("张㐂", NUMBER)], encoding=encoding, delimiter=delimiter))
    assert (row.written.name, row.written.identity_number) == ("张㐂", NUMBER)


@pytest.mark.parametrize(
    "cell",
    [("number", NUMBER), ("number", "1.10101199001011E+17"), 12345.0, "110101199001011000", ("number", "0")],
)
def test_identity_numbers_that_a_spreadsheet_made_figures_of_are_refused(cell):
    fault = fault_of("张三", cell)
    assert fault.field == "identity_number"
    assert "文本" in fault.remedy_zh
    assert "as text" in fault.remedy_en


def test_a_student_number_kept_as_a_figure_is_read_where_nothing_is_lost():
    (row,) = of_sheet(("张三", None, 2026001.0, None, None, 13800000000.0))
    assert (row.written.student_number, row.written.contact) == ("2026001", "13800000000")
    assert fault_of("张三", None, ("number", "2026010100000001234")).field == "student_number"


def test_date_cells_are_dates_and_dates_elsewhere_are_not_guessed_at():
    (row,) = of_sheet(("张三", None, "1", ("date", 40179)))
    assert row.written.birth_date == "2010-01-01"
    assert fault_of("张三", None, ("date", 40179)).field == "student_number"


def test_formulas_are_refused_but_for_text_written_as_one():
    assert fault_of("张三", ("formula", "B1", NUMBER)).field == "identity_number"
    (row,) = rows_of(csv_bytes([HEADER, ("张三", f'="{NUMBER}"', '="0012"')]))
    assert (row.written.identity_number, row.written.student_number, row.faults) == (NUMBER, "0012", ())
    (row,) = rows_of(csv_bytes([HEADER, ('=HYPERLINK("x")', NUMBER)]))
    assert row.faults[0].field == "name"


def test_a_number_met_before_is_refused_with_the_row_it_stood_in():
    data = csv_bytes(
        [HEADER, ("张三", NUMBER, "1"), ("李四", "", "2"), ("王五", NUMBER.lower(), "3"), ("赵六", "", "2")]
    )
    rows = rows_of(data)
    assert [(row.row, [fault.field for fault in row.faults]) for row in rows] == [
        (2, []),
        (3, []),
        (4, ["identity_number"]),
        (5, ["student_number"]),
    ]
    assert "row 2" in rows[2].faults[0].reason_en
    assert "第 3 行" in rows[3].faults[0].reason_zh


def test_files_that_are_no_sheets_of_people():
    with pytest.raises(LearnerHeaderMissing):
        rows_of(csv_bytes([("名称", "类型"), ("木雕", "课程")]))
    with pytest.raises(LearnerHeaderMissing):
        rows_of(workbook(sheet_of([("学号", "联系方式"), ("1", "2")])), "a.xlsx")
    with pytest.raises(UnknownFileKind):
        rows_of(json_lines({"name": "张三"}), "a.jsonl")
    with pytest.raises(RepeatedColumn):
        rows_of(csv_bytes([("姓名", "学号", "学号"), ("张三", "1", "2")]))


@given(st.lists(st.lists(st.text(max_size=30) | st.just(NUMBER), max_size=7), max_size=6))
def test_any_sheet_is_read_or_refused_and_no_fault_repeats_a_cell(rows):
    try:
        read = rows_of(csv_bytes([HEADER, *rows]))
    except (InvalidInput, UnicodeEncodeError):
        return
    told = "".join(
        part
        for row in read
        for fault in row.faults
        for part in (fault.reason_zh, fault.reason_en, fault.remedy_zh, fault.remedy_en)
    )
    assert NUMBER not in told
    assert len(read) <= sum(len(row) for row in rows) + len(rows)
