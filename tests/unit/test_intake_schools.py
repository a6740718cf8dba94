"""Sheets of schools to invite, as offices keep them."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InvalidInput
from node.intake.rows import OversizeWorkbook
from node.intake.schools import (
    COLUMN_WORDS,
    KINDS,
    LEVELS,
    SCHOOLS_MAX,
    SchoolHeaderMissing,
    TooManySchools,
    read_schools,
)
from tests.support.catalogue_files import csv_bytes, sheet_of, workbook

HEADER = ("单位名称", "名称标识", "级别", "类别", "行政区划代码", "机构代码", "有效天数")
GOOD = ("西塘成人学校", "xitang", "校级", "学校", "330421", "", "")


def rows_of(*rows, header=HEADER):
    return list(read_schools(csv_bytes([header, *rows]), "a.csv"))


def test_a_sheet_with_chinese_headers_becomes_invites():
    sheet = workbook(sheet_of([("2026 年邀请名单",), HEADER, GOOD, ("嘉善县社区学院", "college", "县级", "学习中心")]))
    first, second = list(read_schools(sheet, "a.xlsx"))
    assert (first.row, first.asked.label, first.asked.description.title.zh) == (3, "xitang", "西塘成人学校")
    assert (first.asked.description.level, first.asked.description.kind) == ("school", "school")
    assert (first.asked.description.division_code, first.asked.days) == ("330421", 7)
    assert (second.asked.description.level, second.asked.description.kind) == ("county", "study_centre")


@pytest.mark.parametrize("word", sorted({word for words in COLUMN_WORDS.values() for word in words}))
def test_every_synonym_is_a_header_of_one_field(word):
    fields = [field for field, words in COLUMN_WORDS.items() if word in words]
    assert len(fields) == 1


def test_words_of_levels_and_kinds_are_known():
    for at, words in ((2, LEVELS), (3, KINDS)):
        for code, said in words.items():
            for word in (code, *said):
                [row] = rows_of((*GOOD[:at], word, *GOOD[at + 1 :]))
                assert code in (row.asked.description.level, row.asked.description.kind), word


@pytest.mark.parametrize(
    ("at", "text", "field"),
    [
        (0, "", "title.zh"),
        (1, "西塘", "label"),
        (1, "-x", "label"),
        (2, "镇级", "level"),
        (3, "商店", "kind"),
        (4, "浙江", "division_code"),
        (5, "1", "institution_code"),
        (6, "91", "days"),
        (6, "两周", "days"),
    ],
)
def test_a_bad_cell_is_named_with_what_to_do(at, text, field):
    [row] = rows_of((*GOOD[:at], text, *GOOD[at + 1 :]))
    assert row.asked is None
    assert (row.faults[0].field, bool(row.faults[0].remedy_zh)) == (field, True)


def test_a_label_that_stands_twice_is_refused_the_second_time():
    first, second = rows_of(GOOD, ("另一所", "XITANG", "校级", "学校"))
    assert first.asked is not None
    assert "第 2 行" in second.faults[0].reason_zh


def test_a_formula_is_no_school():
    [row] = rows_of(('=HYPERLINK("http://evil.example","x")', *GOOD[1:]))
    assert row.faults[0].field == "title.zh"


def test_sheets_without_header_and_sheets_that_are_too_long_are_refused():
    with pytest.raises(SchoolHeaderMissing):
        rows_of(GOOD, header=("a", "b"))
    with pytest.raises(TooManySchools):
        rows_of(*((f"学校{at}", f"s{at}", "校级", "学校") for at in range(SCHOOLS_MAX + 1)))


def test_an_archive_that_unpacks_to_very_much_is_refused():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        with zipfile.ZipFile(io.BytesIO(workbook(sheet_of([HEADER, GOOD])))) as source:
            for name in source.namelist():
                if not name.endswith("sheet1.xml"):
                    archive.writestr(name, source.read(name))
        archive.writestr("xl/worksheets/sheet1.xml", b" " * 900_000_000)
    assert len(packed.getvalue()) < 2_000_000
    with pytest.raises(OversizeWorkbook):
        list(read_schools(packed.getvalue(), "a.xlsx"))


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: (",".join(HEADER) + "\n" + text).encode()))
def test_whatever_is_uploaded_is_rows_or_an_error_of_ours(content):
    try:
        rows = list(read_schools(content, "a.csv"))
    except InvalidInput:
        return
    assert all((row.asked is None) != (not row.faults) for row in rows)
