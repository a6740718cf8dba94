"""What the demonstration consists of, catalogues it did not write, and when an answer counts as expected."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.catalogue import BilingualLine, Resource, ShareScope
from federation.naming import NodeName, parent_of
from federation.search import AlsoAt, Coverage, Hit, SearchAnswer, TermStatistics
from node.demo.plan import (
    ROOT,
    DemoDataUnreadable,
    Question,
    by_publisher,
    full_name,
    read_catalogue_file,
    read_own_catalogue,
    read_questions,
    read_tree,
)
from node.demo.tour import holds, questions_about

ONE, OTHER = NodeName(f"one.{ROOT}"), NodeName(f"other.{ROOT}")


def test_every_node_comes_after_its_parent_and_below_it():
    seen = set()
    for node in read_tree():
        assert node.parent is None or node.parent in seen
        assert parent_of(node.name, ROOT) == node.parent
        assert node.level == node.name.count(".")
        seen.add(node.name)
    assert ROOT in seen


def test_questions_and_catalogue_speak_of_nodes_that_take_part():
    names = {node.name for node in read_tree()}
    catalogue = read_own_catalogue()
    assert set(catalogue) <= names
    ids = {(publisher, resource.id) for publisher, resources in catalogue.items() for resource in resources}
    for question in read_questions():
        assert question.asker in names
        assert question.under is None or question.under in names
        if question.expects_id and question.expects_publisher:
            assert (question.expects_publisher, question.expects_id) in ids


def test_a_label_path_is_a_name_below_the_root():
    assert full_name(ROOT) == ROOT
    assert full_name("xitang.jiashan") == f"xitang.jiashan.{ROOT}"


def test_rows_of_a_foreign_catalogue_are_dealt_out_and_told_of_as_far_as_can_be(tmp_path):
    rows = [
        {"name": "算法导论", "text": "排序", "url": "https://example.org/a", "lang": "zh-Hans"},
        {"title": "Algorithms", "description": "sorting", "language": 7},
        {"title": {"zh-Hant": "木雕", "en": "Carving"}, "note": "n"},
        {},
        {"publisher": "other", "title": {"zh": "甲"}, "type": "courseware", "section": "silver_age", "id": "k", "x": 1},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    found = read_catalogue_file(file, [ONE, OTHER])
    assert [(one.id, one.title.zh, one.title.en) for one in found[ONE]] == [
        ("row-1", "算法导论", ""),
        ("row-3", "木雕", "Carving"),
    ]
    assert found[ONE][0].location == "https://example.org/a"
    assert [one.id for one in found[OTHER]] == ["row-2", "row-4", "k"]
    assert found[OTHER][0].language == "zh-Hans"
    assert found[OTHER][2].type == "courseware"


@pytest.mark.parametrize("line", ["{", "[]", "null", '"x"', "\x00"])
def test_a_line_that_is_no_row_is_told_with_its_number(line):
    with pytest.raises(DemoDataUnreadable, match="line 2"):
        by_publisher(['{"title": "a"}', line], publishers=[ONE])


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(DemoDataUnreadable):
        read_catalogue_file(tmp_path / "missing.jsonl", [ONE])
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DemoDataUnreadable):
        read_catalogue_file(tmp_path / "binary", [ONE])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
_KEYS = st.sampled_from(["title", "name", "description", "text", "note", "lang", "language", "url", "id", "type", "x"])


@given(st.dictionaries(_KEYS, _JSON, max_size=6))
def test_any_row_becomes_a_resource_or_is_refused_as_unreadable(row):
    try:
        found = by_publisher([json.dumps(row)], publishers=[ONE])
    except DemoDataUnreadable:
        return
    assert len(found[ONE]) == 1


def _hit(resource_id, publisher=ONE, also=()):
    return Hit(
        publisher=publisher,
        id=resource_id,
        title=BilingualLine(zh="甲"),
        type="online_course",
        section="silver_age",
        score=1.0,
        held_by=ROOT,
        also_at=tuple(AlsoAt(publisher=place, id=one, likeness="same") for place, one in also),
    )


def _answer(*hits):
    return SearchAnswer(
        hits=hits,
        total=len(hits),
        total_is_exact=True,
        facets=(),
        sources=(),
        coverage=Coverage(records=0, nodes_answered=1, nodes_in_scope=1),
        statistics=TermStatistics(documents=0, average_lengths=()),
    )


def _question(**fields):
    return Question(asker=ONE, query="x", scope="network", **fields)


FOLDED = _answer(_hit("a"), _hit("b", also=[(OTHER, "c")]))


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ({"expects_id": "a"}, True),
        ({"expects_id": "b", "top": 1}, False),
        ({"expects_id": "b", "top": 2}, True),
        ({"expects_id": "c", "expects_publisher": OTHER}, True),
        ({"expects_id": "a", "expects_publisher": OTHER}, False),
        ({"expects_id": "z"}, False),
        ({"expects_none": True}, False),
        ({"expects_none": True, "expects_id": "z"}, True),
        ({"expects_none": True, "expects_id": "c"}, False),
    ],
)
def test_an_answer_holds_when_what_was_expected_is_on_some_card(fields, held):
    assert holds(_question(**fields), FOLDED) is held


def test_nothing_holds_where_nothing_was_expected_and_nothing_else_does():
    assert holds(_question(expects_none=True), _answer())
    assert not holds(_question(expects_id="a"), _answer())


def test_a_catalogue_without_questions_is_asked_for_its_titles_from_elsewhere():
    def resource(reach="network"):
        return Resource(
            id="r",
            title=BilingualLine(en="Carving"),
            type="courseware",
            section="silver_age",
            share_scope=ShareScope(reach=reach),
        )

    asked = questions_about({ONE: [resource()], OTHER: [], ROOT: [resource("node")]}, [OTHER, ONE])
    assert [(one.asker, one.query, one.expects_id) for one in asked] == [(OTHER, "Carving", "r")]
    assert questions_about({ONE: [resource()]}, [ONE]) == []
