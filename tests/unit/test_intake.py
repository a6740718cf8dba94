"""Catalogue files in JSON Lines and CSV: what is read, what is refused, and in which words."""

import json
import re
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.catalogue import Resource
from node.intake.cells import is_formula
from node.intake.columns import COLUMN_WORDS
from node.intake.describing import FIELD_WORDS
from node.intake.reading import read_catalogue
from node.intake.rows import (
    ROW_CHARS_MAX,
    HeaderMissing,
    MalformedWorkbook,
    OversizeFile,
    RepeatedColumn,
    TooManyRows,
    UnknownFileKind,
    UnknownScopeColumn,
    UnreadableFile,
    UnreadableText,
)
from node.intake.words import CHOICES
from tests.support.catalogue_files import csv_bytes, json_lines

HEADER = ("编号", "名称", "类型", "板块")
PLAIN = ("a-1", "木雕入门", "网络课程", "兴趣爱好")
OBJECT = {"id": "a-1", "title": {"zh": "木雕入门"}, "type": "online_course", "section": "hobbies_interests"}


def rows_of(data, name="a.csv"):
    return list(read_catalogue(data, name))


def one_of(header, cells):
    (row,) = rows_of(csv_bytes([(*HEADER, *header), (*PLAIN, *cells)]))
    return row


def resource_of(header, cells):
    row = one_of(header, cells)
    assert row.faults == ()
    return row.resource


def fault_of(header, cells):
    row = one_of(header, cells)
    assert row.resource is None
    (fault,) = row.faults
    assert all((fault.reason_zh, fault.reason_en, fault.remedy_zh, fault.remedy_en))
    return fault


# --- CSV -------------------------------------------------------------------------------------------------------------

EVERYTHING = {
    "资源编号": "hz-007",
    "课程名称 *": "潮乡剪纸",
    "英文名称": "Paper Cutting",
    "简介": "第一讲\n第二讲",
    "英文简介": 'One, "two"',
    "关键词": "剪纸、非遗；民俗",
    "资源类型": "网络课程",
    "栏目": "兴趣爱好",
    "学段": "终身教育",
    "五育": "美育",
    "学科": "760",
    "行业": "2431",
    "职业": "6-09-03-01",
    "适用人群": "老年人、在职人员|家长",
    "语种": "中文",
    "学时（小时）": "12.0",
    "学分": "2.5",
    "级别": "国家资历框架：3",
    "字幕": "有",
    "大字版": "是",
    "AI生成": "否",
    "许可协议": "CC BY 4.0",
    "共享范围": "下级：zhejiang.lln.internal",
    "主讲教师": "潮乡剪纸社",
    "提供单位": "海宁潮乡社区学院",
    "ISBN": "978-7-04-059901-3",
    "唯一标识": "course:chaoxiang/7 url:https://x.example/a,b",
    "网址": "https://chaoxiang.example/7?a=1,2",
    "备注": "这一列没有意义",
}  # fmt: skip
EXPECTED = {
    "id": "hz-007",
    "title": {"zh": "潮乡剪纸", "en": "Paper Cutting"},
    "description": {"zh": "第一讲\n第二讲", "en": 'One, "two"'},
    "keywords": ["剪纸", "非遗", "民俗"],
    "type": "online_course",
    "section": "hobbies_interests",
    "stage": "lifelong",
    "virtue": "aesthetic",
    "subject": "760",
    "industry": "2431",
    "occupation": "6-09-03-01",
    "audience": ["elder", "worker", "parent"],
    "hours": 12,
    "credits": 250,
    "level": {"scheme": "国家资历框架", "value": "3"},
    "accessibility": {"captions": True, "large_type": True},
    "licence": "CC BY 4.0",
    "share_scope": {"reach": "subtree", "ancestor": "zhejiang.lln.internal"},
    "contributor": "潮乡剪纸社",
    "provider": "海宁潮乡社区学院",
    "identifiers": ["isbn:9787040599013", "course:chaoxiang/7", "url:https://x.example/a,b"],
    "location": "https://chaoxiang.example/7?a=1,2",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_table_with_chinese_headers_is_read_in_every_encoding_and_delimiter(encoding, delimiter):
    data = csv_bytes(
        [["资源目录 2024"], EVERYTHING.keys(), EVERYTHING.values()], encoding=encoding, delimiter=delimiter
    )
    (row,) = rows_of(data)
    assert row.faults == ()
    assert row.row == 3
    assert row.resource == msgspec.convert(EXPECTED, Resource)


@pytest.mark.parametrize(("field", "word"), [(field, word) for field, words in COLUMN_WORDS.items() for word in words])
def test_every_header_word_leads_to_its_field(field, word):
    values = {
        "id": "b-2", "title.zh": "乙", "title.en": "B", "keywords": "k", "type": "课件", "section": "银龄课堂",
        "stage": "higher", "virtue": "德育", "subject": "520", "industry": "8340", "occupation": "2-02",
        "audience": "elder", "language": "en", "hours": "3", "credits": "0.25", "level": "NQF:3",
        "level.scheme": "NQF", "level.value": "3",
        "accessibility": "字幕", "accessibility.captions": "是", "accessibility.transcript": "是",
        "accessibility.large_type": "是", "ai_generated": "是", "share_scope": "同级", "identifiers": "course:1",
        "identifiers.isbn": "1", "identifiers.doi": "10.1/x", "sha256": "a" * 64,
    }  # fmt: skip
    cells = {"名称": "甲", "类型": "课程", "板块": "科学素养"}
    for chinese, same in (("名称", "title.zh"), ("类型", "type"), ("板块", "section")):
        if field == same:
            del cells[chinese]
    if field.startswith("level."):
        cells |= {"级别体系": "NQF", "级别值": "3"}
        cells.pop("级别体系" if field == "level.scheme" else "级别值")
    cells[word.upper()] = values.get(field, "文字")
    (row,) = rows_of(csv_bytes([cells.keys(), cells.values()]))
    assert row.faults == ()
    plain = {"名称": "甲", "类型": "课程", "板块": "科学素养"}
    (without,) = rows_of(csv_bytes([plain.keys(), plain.values()]))
    outer = field.partition(".")[0]
    assert getattr(row.resource, outer) != getattr(without.resource, outer)


@pytest.mark.parametrize(
    ("of", "code", "word"),
    [
        (of, code, word)
        for of in ("type", "section", "stage", "virtue", "audience")
        for code, words in CHOICES[of].items()
        for word in (code, *words)
    ],
)
def test_every_word_of_a_closed_list_is_understood(of, code, word):
    header = {"编号": "a-1", "名称": "甲", "type": "课程", "section": "银龄课堂"} | {of: word.upper()}
    (row,) = rows_of(csv_bytes([header.keys(), header.values()]))
    assert row.faults == ()
    assert getattr(row.resource, of) in (code, (code,))


def test_a_bad_row_comes_back_with_its_number_and_the_good_ones_stand():
    data = csv_bytes(
        [
            HEADER,
            ("a-1", "甲", "课程", "银龄课堂"),
            (),
            ("a-2", "", "火箭", "银龄课堂"),
            ("a-3", "丙", "课程", "银龄课堂"),
        ]
    )
    first, bad, last = rows_of(data)
    assert (first.row, bad.row, last.row) == (2, 4, 5)
    assert {fault.field for fault in bad.faults} == {"title", "type"}
    assert "网络课程" in next(fault.remedy_zh for fault in bad.faults if fault.field == "type")
    assert last.resource.id == "a-3"


def test_a_record_over_several_lines_counts_as_one_row():
    data = csv_bytes([(*HEADER, "简介"), (*PLAIN, "一\n二\n三"), ("a-2", "乙", "课程", "银龄课堂", "")])
    assert [row.row for row in rows_of(data)] == [2, 3]


@pytest.mark.parametrize("bad", ['a-2,"未闭合,课程,银龄课堂', 'a-2,"乙"丙,课程,银龄课堂'])
def test_quotation_marks_without_a_pair_are_one_bad_row(bad):
    text = ",".join(HEADER) + "\na-1,甲,课程,银龄课堂\n" + bad + "\n"
    good, fault = rows_of(text.encode())
    assert good.resource.id == "a-1"
    assert (fault.row, fault.resource) == (3, None)
    assert "引号" in fault.faults[0].reason_zh


def test_an_endless_line_is_one_bad_row_and_the_next_one_stands():
    text = ",".join(HEADER) + "\na-1," + "长" * (3 * ROW_CHARS_MAX) + "\na-2,乙,课程,银龄课堂\n"
    bad, good = rows_of(text.encode())
    assert (bad.row, bad.resource) == (2, None)
    assert str(ROW_CHARS_MAX) in bad.faults[0].reason_en
    assert (good.row, good.resource.id) == (3, "a-2")


@pytest.mark.parametrize(
    "text", ["+86 的来历", "-10℃ 的世界", "@老师：请看", "＝等号的历史", "- 第一讲", "1+1=2", "= 等号"]
)
def test_text_that_only_looks_like_a_formula_is_kept(text):
    assert resource_of(("英文名称",), (text,)).title.en == text


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://x")',
        "=A1",
        "=1+1",
        " =SUM(A1:A9)",
        "@SUM(1)",
        "+SUM(1)",
        "-cmd|' /C calc'!A0",
        "=cmd|' '!A",
        "\t=A1",
    ],
)
@pytest.mark.parametrize("column", ["英文名称", "简介", "链接", "关键词"])
def test_formulas_are_refused(text, column):
    fault = fault_of((column,), (text,))
    assert "公式" in fault.reason_zh
    assert is_formula(text)


@pytest.mark.parametrize("text", ["1.2345E+17", "1E5", "12.0", "3.00"])
@pytest.mark.parametrize("column", ["编号", "行业", "职业"])
def test_codes_that_a_spreadsheet_made_numbers_are_refused_and_never_rounded(text, column):
    cells = dict(zip(HEADER, PLAIN, strict=True)) | {column: text}
    (row,) = rows_of(csv_bytes([cells.keys(), cells.values()]))
    assert row.resource is None
    assert "文本格式" in row.faults[0].remedy_zh


@pytest.mark.parametrize(
    ("text", "hundredths"),
    [("2.5", 250), ("2", 200), ("0.25", 25), ("1.10", 110), ("2.50学分", 250), ("0", 0), ("0.29", 29), ("1e1", 1000)],
)
def test_credits_become_hundredths_exactly(text, hundredths):
    assert resource_of(("学分",), (text,)).credits == hundredths


@pytest.mark.parametrize(
    "text", ["0.125", "-1", "很多", "NaN", "Infinity", "1e999999999", "1e-999999999", "99999", "1/3", "１２a"]
)
def test_credits_that_are_not_hundredths_are_refused(text):
    assert fault_of(("学分",), (text,)).field == "credits"


@pytest.mark.parametrize(("hours", "expected"), [("12", 12), ("12.0", 12), ("12学时", 12), ("8 小时", 8), ("１６", 16)])
def test_hours_are_whole(hours, expected):
    assert resource_of(("学时",), (hours,)).hours == expected


@pytest.mark.parametrize("hours", ["1.5", "-3", "十二", "1e300", "100001"])
def test_hours_that_are_not_whole_are_refused(hours):
    assert fault_of(("学时",), (hours,)).field == "hours"


@pytest.mark.parametrize(
    ("text", "reach", "ancestor"),
    [
        ("全网", "network", None),
        ("network", "network", None),
        ("同级", "siblings", None),
        ("仅本节点", "node", None),
        ("", "network", None),
        ("subtree Zhejiang.LLN.internal", "subtree", "zhejiang.lln.internal"),
        ("subtree:zhejiang.lln.internal", "subtree", "zhejiang.lln.internal"),
        ("下级（zhejiang.lln.internal）", "subtree", "zhejiang.lln.internal"),
    ],
)
def test_share_scopes_are_read(text, reach, ancestor):
    scope = resource_of(("共享范围",), (text,)).share_scope
    assert (scope.reach, scope.ancestor) == (reach, ancestor)


@pytest.mark.parametrize(
    "text", ["subtree", "同级 zhejiang.lln.internal", "大家", "subtree ..", "((((", "node,siblings"]
)
def test_a_share_scope_is_never_guessed(text):
    assert fault_of(("共享范围",), (text,)).field.startswith("share_scope")


@pytest.mark.parametrize("header", ["共享", "是否公开", "share scope (who)", "共享对象", "Visibility", "Scope!"])
def test_a_column_that_may_mean_share_scope_is_not_ignored(header):
    data = csv_bytes([(*HEADER, header), (*PLAIN, "本节点")])
    try:
        (row,) = rows_of(data)
    except UnknownScopeColumn:
        return
    assert row.resource.share_scope.reach == "node"


@pytest.mark.parametrize(
    ("header", "cell", "reason"),
    [
        ("英文名称", "x" * 301, "300"),
        ("简介", "字" * 8_001, "8000"),
        ("关键词", "、".join(str(n) for n in range(33)), "32"),
        ("关键词", "k" * 65, "64"),
        ("链接", "x" * 2_001, "2000"),
        ("语言", "Klingon!", "写法"),
        ("学科", "计算机科学", "写法"),
        ("sha256", "xyz", "写法"),
        ("级别值", "3", "scheme"),
    ],
)
def test_what_the_type_refuses_is_said_in_words(header, cell, reason):
    fault = fault_of((header,), (cell,))
    assert reason in fault.reason_zh
    assert "$" not in fault.reason_zh + fault.reason_en
    assert "Expected" not in fault.reason_en


def test_controls_and_marks_of_direction_are_left_out_of_text():
    resource = resource_of(("英文名称", "简介"), ("a\u0000b\u202ec \u2066d\tq", "x\u0007\r\ny\u0085z\u2028w"))
    assert resource.title.en == "abc d q"
    assert resource.description.zh == "x\ny\nz\nw"


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"a,b\n1,2\n", "名称\n甲\n".encode(), "\n".join(["甲,乙"] * 30).encode(), "类型,板块\n".encode()],
)
def test_a_table_without_a_header_is_refused(data):
    with pytest.raises(HeaderMissing):
        rows_of(data)


def test_two_columns_of_one_name_are_refused_and_of_two_names_the_better_one_counts():
    with pytest.raises(RepeatedColumn):
        rows_of(csv_bytes([(*HEADER, "名称"), (*PLAIN, "乙")]))
    assert resource_of(("摘要", "简介"), ("次", "主")).description.zh == "主"


@pytest.mark.parametrize(
    "data", [b"\x80\x81\xff\xfe", b"\xef\xbb\xbf\xff", b"\xff\xfea", ",".join(HEADER).encode() + b"\n\xff"]
)
def test_text_in_no_known_encoding_is_refused(data):
    with pytest.raises(UnreadableText):
        rows_of(data)


@pytest.mark.parametrize(
    "data", [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\x1f\x8b\x08", b"%PDF-1.7", b"SQLite format 3\x00"]
)
@pytest.mark.parametrize("name", ["a.csv", "a.xls", "a.xlsx", "a"])
def test_foreign_files_are_refused_by_kind(data, name):
    with pytest.raises(UnknownFileKind):
        rows_of(data, name)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UnreadableFile):
            list(read_catalogue(path))


def test_files_beyond_the_bounds_are_refused(tmp_path, monkeypatch):
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(256 * 1024 * 1024 + 1)
    with pytest.raises(OversizeFile):
        list(read_catalogue(large))
    monkeypatch.setattr("node.intake.reading.ROWS_MAX", 3)
    with pytest.raises(TooManyRows):
        rows_of(json_lines(*({**OBJECT, "id": f"a-{n}"} for n in range(4))), "a.jsonl")


# --- ids -------------------------------------------------------------------------------------------------------------


def test_a_missing_id_is_derived_and_stays_the_same():
    header = ("名称", "类型", "板块", "链接", "提供者")
    data = csv_bytes(
        [
            header,
            ("木雕", "课程", "银龄课堂", "https://x/1", "甲校"),
            ("木雕", "课程", "银龄课堂", "", "甲校"),
            ("木雕", "课程", "银龄课堂", "", "乙校"),
        ]
    )
    ids = [row.resource.id for row in rows_of(data)]
    assert len(set(ids)) == 3
    assert [row.resource.id for row in rows_of(data)] == ids
    renamed = csv_bytes([header, ("木雕（修订）", "课程", "银龄课堂", "https://x/1", "甲校")])
    assert rows_of(renamed)[0].resource.id == ids[0]
    folded = csv_bytes([header, ("木 雕", "课程", "银龄课堂", "", "甲　校")])
    assert rows_of(folded)[0].resource.id == ids[1]


def test_an_id_that_stands_in_the_file_twice_is_refused_the_second_time():
    first, second = rows_of(json_lines(OBJECT, {**OBJECT, "title": {"zh": "别的"}}), "a.jsonl")
    assert first.resource.id == "a-1"
    assert (second.row, second.faults[0].field) == (2, "id")
    assert "1" in second.faults[0].reason_zh


# --- JSON Lines ------------------------------------------------------------------------------------------------------


def test_json_lines_take_the_fields_of_a_resource():
    data = json_lines({**EXPECTED, "publisher": "xitang.jiashan", "hours": None})
    (row,) = rows_of(b"\xef\xbb\xbf\n" + data, "a.jsonl")
    assert row.row == 2
    assert row.resource == msgspec.convert({k: v for k, v in EXPECTED.items() if k != "hours"}, Resource)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("nonsense", ""),
        ("5", ""),
        ('{"id":"a","id":"b"}', ""),
        ('{"id":' + "[" * 1_000, ""),
        ('{"id":' + '{"a":' * 500 + "1" + "}" * 501, ""),
        (json.dumps({**OBJECT, "title": "木雕"}), "title"),
        (json.dumps({**OBJECT, "title": {}}), "title"),
        (json.dumps({**OBJECT, "title": {"zh": " \u200b"}}), "title"),
        (json.dumps({**OBJECT, "title": {"zh": 5}}), "title.zh"),
        (json.dumps({**OBJECT, "id": "有 空格"}), "id"),
        (json.dumps({**OBJECT, "hours": -1}), "hours"),
        (json.dumps({**OBJECT, "credits": 2.5}), "credits"),
        (json.dumps({**OBJECT, "credits": "2.5"}), "credits"),
        (json.dumps({**OBJECT, "hours": 10**400}), ""),
        (json.dumps({**OBJECT, "type": "火箭"}), "type"),
        (json.dumps({**OBJECT, "audience": ["elder"] * 8}), "audience"),
        (json.dumps({**OBJECT, "share_scope": "node"}), "share_scope"),
        (json.dumps({**OBJECT, "share_scope": {"reach": "subtree"}}), "share_scope"),
        (json.dumps({**OBJECT, "share_scope": {"reach": "moon"}}), "share_scope.reach"),
        (json.dumps({**OBJECT, "shareScope": {"reach": "node"}}), "share_scope"),
        (json.dumps({**OBJECT, "level": {"scheme": "NQF"}}), "level.value"),
        (json.dumps({k: v for k, v in OBJECT.items() if k != "section"}), "section"),
    ],
)
def test_a_line_that_is_no_resource_is_told_apart_from_the_others(line, field):
    data = line.encode() + b"\n" + json_lines({**OBJECT, "id": "good"})
    bad, good = rows_of(data, "a.jsonl")
    assert good.resource.id == "good"
    assert (bad.row, bad.resource) == (1, None)
    told = [(fault.field, fault.reason_en) for fault in bad.faults]
    assert field in [name for name, _ in told] or told == [("hours", told[0][1])]
    assert not any("Expected" in reason or "`" in reason or "$" in reason for _, reason in told)


def test_half_characters_never_come_through():
    for row in rows_of(b'{"title":{"zh":"x\\ud800"},"type":"online_course","section":"silver_age"}\n', "a.jsonl"):
        assert row.resource is None or row.resource.title.zh.encode()


def test_a_json_array_is_refused_by_kind():
    with pytest.raises(UnknownFileKind):
        rows_of(b"[\n{}\n]", "a.json")


def test_every_field_has_words():
    assert set(FIELD_WORDS) == {field.name for field in msgspec.structs.fields(Resource)}
    assert {field.partition(".")[0] for field in COLUMN_WORDS} <= set(FIELD_WORDS)


def test_the_demo_catalogue_is_read_without_a_fault():
    folder = Path(__file__).parents[2] / "config" / "demo" / "catalogue"
    rows = [row for path in sorted(folder.glob("*.jsonl")) for row in read_catalogue(path)]
    assert len(rows) == 286
    assert not [row for row in rows if row.faults]


REFUSALS = (
    HeaderMissing,
    MalformedWorkbook,
    RepeatedColumn,
    UnknownFileKind,
    UnknownScopeColumn,
    UnreadableText,
)


# --- properties ------------------------------------------------------------------------------------------------------

_LINE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=40).filter(
    lambda text: not is_formula(text) and not re.search(r"[\ufeff\ufffe\uffff]", text)
)


@st.composite
def resources(draw):
    pick = lambda of: draw(st.sampled_from(list(CHOICES[of])))  # noqa: E731  # shorter than a def thrice
    return {
        "id": draw(st.from_regex(r"\A[A-Za-z][A-Za-z0-9._:/-]{0,20}\Z")),
        "title": {"zh": draw(_LINE.filter(bool)), "en": draw(_LINE)},
        "description": {"zh": draw(_LINE), "en": draw(_LINE)},
        "type": pick("type"),
        "section": pick("section"),
        "audience": list({pick("audience"), pick("audience")}),
        "hours": draw(st.integers(0, 100_000)),
        "credits": draw(st.integers(0, 1_000_000)),
        "provider": draw(_LINE),
        "licence": draw(_LINE),
    }


@given(resources())
@settings(max_examples=200, deadline=None)
def test_what_is_written_as_json_lines_or_csv_is_read_back(fields):
    expected = msgspec.convert(fields, Resource)
    (row,) = rows_of(json_lines(fields), "a.jsonl")
    assert row.resource == expected
    cells = {
        "id": fields["id"],
        "title": fields["title"]["zh"],
        "title.en": fields["title"]["en"],
        "description": fields["description"]["zh"],
        "description.en": fields["description"]["en"],
        "type": fields["type"],
        "section": CHOICES["section"][fields["section"]][0],
        "audience": "；".join(CHOICES["audience"][one][0] for one in fields["audience"]),
        "hours": str(fields["hours"]),
        "credits": f"{fields['credits'] // 100}.{fields['credits'] % 100:02}",
        "provider": fields["provider"],
        "licence": fields["licence"],
    }
    for encoding in ("utf-8", "gb18030"):
        (row,) = rows_of(csv_bytes([cells.keys(), cells.values()], encoding=encoding))
        assert row.faults == ()
        assert row.resource == expected


def _read_or_refuse(data, name):
    with suppress(*REFUSALS):
        for row in read_catalogue(data, name):
            assert (row.resource is None) == bool(row.faults)
            if row.resource is not None:
                assert msgspec.convert(msgspec.to_builtins(row.resource), Resource) == row.resource


@given(st.binary(max_size=400), st.sampled_from(("a.csv", "a.jsonl", "a.xlsx", "a.tsv", "a", "a.json")))
@settings(max_examples=400, deadline=None)
def test_no_bytes_raise_anything_but_the_rooms_own_errors(data, name):
    _read_or_refuse(data, name)


@given(
    st.lists(
        st.lists(st.text(max_size=12) | st.sampled_from(("=A1", "2.5", "1E9", "课程", "全网")), max_size=30), max_size=6
    )
)
@settings(max_examples=200, deadline=None)
def test_no_cells_under_a_full_header_raise_anything_but_the_rooms_own_errors(cells):
    header = [words[0] for words in COLUMN_WORDS.values()]
    text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [header, *cells])
    _read_or_refuse(text.encode("utf-8", "surrogatepass"), "a.csv")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("zh", "en", "reach", "x")), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from((*FIELD_WORDS, "publisher")), _JSON))
@settings(max_examples=400, deadline=None)
def test_no_values_in_json_raise_anything_but_the_rooms_own_errors(fields):
    _read_or_refuse(json.dumps({**OBJECT, **fields}).encode("utf-8", "surrogatepass"), "a.jsonl")
