"""Names and places: what is read, what is refused, and relations that must agree with each other."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.naming import (
    NAME_CHARS_MAX,
    MalformedName,
    NodeName,
    child_name,
    depth,
    is_below,
    is_within,
    lineage,
    lowest_common_authority,
    parent_of,
    parse_name,
    relation_of,
)

ROOT = NodeName("lln.internal")
LABELS = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?\Z")
PATHS = st.lists(LABELS, max_size=5)
NAMES = PATHS.map(lambda path: NodeName(".".join([*path, ROOT])))
MIRRORED = {"parent": "child", "child": "parent", "ancestor": "descendant", "descendant": "ancestor"}


@given(st.text(max_size=300))
def test_any_text_is_a_name_or_refused_as_one(text):
    try:
        name = parse_name(text)
    except MalformedName:
        return
    assert parse_name(name) == name
    assert len(name) <= NAME_CHARS_MAX


@given(NAMES)
def test_case_and_space_around_a_name_are_forgiven(name):
    assert parse_name(f"  {name.upper()}\n") == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lln",
        ".lln.internal",
        "a..b",
        "a.b.",
        "-a.b",
        "a-.b",
        "a_b.c",
        "学校.lln",
        "a b.c",
        "a" * 64 + ".b",
        ".".join(["a" * 63] * 4) + ".b",
        "a.b\nc.d",
        "a.b\x00",
    ],
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(MalformedName):
        parse_name(text)


@given(LABELS, NAMES)
def test_a_child_stands_one_step_below_its_parent(label, name):
    child = child_name(label, name)
    assert parent_of(child, ROOT) == name
    assert depth(child, ROOT) == depth(name, ROOT) + 1
    assert is_below(child, name)
    assert not is_below(name, child)
    assert not is_below(name, name)
    assert is_within(name, name)


@given(st.text(max_size=70), NAMES)
def test_a_label_never_reaches_beyond_its_place(label, name):
    try:
        child = child_name(label, name)
    except MalformedName:
        return
    assert child == f"{label}.{name}"
    assert "." not in label


@given(NAMES)
def test_a_line_leads_to_the_root_step_by_step(name):
    line = lineage(name, ROOT)
    assert line[0] == name
    assert line[-1] == ROOT
    assert len(line) == depth(name, ROOT) + 1
    assert all(parent_of(low, ROOT) == high for low, high in itertools.pairwise(line))


@given(NAMES, NAMES)
def test_the_lowest_common_authority_holds_both_and_none_below_it_does(one, other):
    common = lowest_common_authority(one, other, ROOT)
    assert common == lowest_common_authority(other, one, ROOT)
    assert is_within(one, common)
    assert is_within(other, common)
    both = [name for name in lineage(one, ROOT) if is_within(other, name)]
    assert both[0] == common


@given(NAMES, NAMES)
def test_relations_mirror_each_other(one, other):
    there, back = relation_of(one, other, ROOT), relation_of(other, one, ROOT)
    assert back == MIRRORED.get(there, there)
    assert (there == "self") == (one == other)


@pytest.mark.parametrize(
    ("caller", "to", "relation"),
    [
        ("lln.internal", "a.lln.internal", "parent"),
        ("lln.internal", "b.a.lln.internal", "ancestor"),
        ("b.a.lln.internal", "lln.internal", "descendant"),
        ("b.lln.internal", "a.lln.internal", "sibling"),
        ("c.b.lln.internal", "a.lln.internal", "network"),
    ],
)
def test_the_closest_word_wins(caller, to, relation):
    assert relation_of(NodeName(caller), NodeName(to), ROOT) == relation


def test_a_name_outside_the_network_has_no_place_in_it():
    outside = NodeName("a.other.example")
    assert parent_of(outside, ROOT) is None
    assert lineage(outside, ROOT) == ()
    assert parent_of(ROOT, ROOT) is None
    assert not is_below("xlln.internal", ROOT)
