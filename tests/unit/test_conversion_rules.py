"""A rule is read as it was written, every mistake in it is named, and nothing foreign is raised."""

from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from federation.amounts import QualificationLevel, Ratio
from federation.canonical import MalformedDocument
from federation.catalogue import BilingualLine
from federation.conversion_rules import (
    RULE_BYTES_MAX,
    Cap,
    ConversionRule,
    Residency,
    ReviewMode,
    Source,
    TableRow,
    Target,
    UnreadableRule,
    check_rule,
    digest_of,
    in_force,
    read_rule,
    write_rule,
)
from federation.errors import LlnError
from federation.rule_toml import EXPECTED, read_rule_toml
from tests.style.tree import ROOT
from tests.support.conversions import rule, rule_file, rules, source, target

DEMO_RULES = sorted((ROOT / "config" / "demo" / "rules").glob("*.toml"))
COUNTIES = (ROOT / "config" / "demo" / "rules" / "five-counties.toml").read_text("utf-8")


@given(rules())
def test_a_rule_stays_itself_from_file_to_json_and_back(given_rule):
    read = read_rule_toml(rule_file(given_rule).encode())
    assert read == given_rule
    assert read_rule(write_rule(read)) == given_rule
    assert digest_of(read_rule(write_rule(read))) == digest_of(given_rule)


@pytest.mark.parametrize("path", DEMO_RULES, ids=lambda path: path.stem)
def test_the_sample_rules_are_sound(path):
    read = read_rule_toml(path.read_bytes())
    assert read_rule(write_rule(read)) == read
    assert path.stem.startswith(read.id[:12])


STRUCTS = (
    *(ConversionRule, Source, Target, TableRow, Cap, Residency, ReviewMode),
    *(BilingualLine, QualificationLevel),
)

UNSOUND = [
    ({"title": BilingualLine()}, "title"),
    ({"valid_until": date(2025, 12, 31)}, "valid_until"),
    ({"sources": (source(count=2),), "consumption": "proportional"}, "consumption"),
    ({"sources": tuple(source(name=str(n), count=16) for n in range(3))}, "source"),
    ({"sources": (source(), source())}, "source[2].name"),
    ({"sources": (source(achievements=()),)}, "source[1]"),
    ({"targets": (target(amount=100),)}, "source[1].minimum_amount"),
    ({"targets": (target(title=BilingualLine()),)}, "target[1].title"),
    ({"targets": (target(ratio=None),), "consumption": "none"}, "target[1]"),
    ({"targets": (target(), target(amount=1, ratio=Ratio(1, 1))), "consumption": "none"}, "target[2]"),
    ({"sources": (source(), source(name="b", unit="hour"))}, "target[1].ratio"),
    (
        {
            "sources": (source(count=2),),
            "targets": (target(table=(TableRow(grade="A", amount=1),)),),
            "consumption": "none",
        },
        "target[1].table",
    ),
    ({"targets": (target(amount=100),), "consumption": "proportional"}, "target[1]"),
    ({"targets": (target(table=(TableRow(amount=1),)),), "consumption": "none"}, "target[1].table[1]"),
    (
        {"targets": (target(table=(TableRow(grade="A", amount=1),) * 2),), "consumption": "none"},
        "target[1].table[2]",
    ),
    ({"targets": (target(amount=75),), "step": 50, "consumption": "none"}, "target[1]"),
    ({"caps": (Cap(per="period", amount=1, unit="credit"),)}, "cap[1].months"),
    ({"caps": (Cap(per="source", amount=1, unit="credit", months=3),)}, "cap[1].months"),
    ({"caps": (Cap(per="source", amount=1, unit="hour"),)}, "cap[1].unit"),
    ({"residency": Residency(unit="credit")}, "residency"),
    ({"residency": Residency(unit="credit", minimum_share=Ratio(2, 1))}, "residency.minimum_share"),
    ({"residency": Residency(unit="hour", minimum_amount=1)}, "residency.unit"),
]


@pytest.mark.parametrize(("changed", "place"), UNSOUND, ids=lambda value: value if isinstance(value, str) else "")
def test_parts_that_do_not_go_together_are_named(changed, place):
    unsound = rule(**changed)
    mistakes = check_rule(unsound)
    assert [each.place for each in mistakes] == [place]
    assert all(each.zh.endswith("。") and each.en.endswith(".") for each in mistakes)
    with pytest.raises(UnreadableRule):
        read_rule(write_rule(unsound))
    with pytest.raises(UnreadableRule) as refused:
        read_rule_toml(rule_file(unsound).encode())
    assert [each.place for each in refused.value.mistakes] == [place]


def test_a_sound_rule_has_no_mistakes():
    assert check_rule(rule()) == ()


WRONG = [
    ("version = 1\nauthority", 'version = "one"\nauthority', ["version"]),
    ("step = 0.5", "step = 0.505", ["step"]),
    ("step = 0.5", "step = 0", ["step"]),
    ("step = 0.5", "step = true", ["step"]),
    ("step = 0.5", "step = 99999999999999999999999999999", ["step"]),
    ("step = 0.5", "step = nan", ["step"]),
    ("step = 0.5", "step = [1]", ["step"]),
    ('rounding = "down"', 'rounding = "up"\nstpe = 3', ["rounding", "stpe"]),
    ('id = "five-counties-community"', "", ["id"]),
    ('id = "five-counties-community"', "id = 2.5", ["id"]),
    ("from_others = true", "from_others = 1", ["source[1].from_others"]),
    ("[[cap]]\nper", "[[cap]]\nPer = 1\nper", ["cap[1].Per", "cap[2].Per"]),
    ('kind = "other_non_formal"', 'kind = "other"', ["target[1].kind"]),
    ("[[source]]", "[source]", []),
    ("ratio = [1, 1]", "ratio = 0.5", ["target[1].ratio"]),
    ('title = { zh = "互认', 'title = { cn = "互认', ["target[1].title.cn"]),
]


@pytest.mark.parametrize(("was", "is_now", "places"), WRONG)
def test_every_mistake_in_a_file_is_named_with_its_line(was, is_now, places):
    text = COUNTIES.replace(was, is_now)
    assert text != COUNTIES
    if not places:
        assert read_rule_toml(text.encode()).sources
        return
    with pytest.raises(UnreadableRule) as refused:
        read_rule_toml(text.encode())
    assert [each.place for each in refused.value.mistakes] == places
    lines = text.splitlines()
    for mistake in refused.value.mistakes:
        key = mistake.place.rpartition(".")[2]
        assert key in lines[mistake.line - 1] if mistake.line else f"\n{key} = " not in text.partition("[[")[0]
        assert mistake.zh.endswith("。")
        assert mistake.en.endswith(".")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b"a = [",
        b"a" * (RULE_BYTES_MAX + 1),
        b"a = " + b"[" * 5_000,
        b"",
        b"a = 1" + b"0" * 5_000,
        b"source = 1",
    ],
)
def test_what_is_no_rule_file_is_refused(data):
    with pytest.raises(UnreadableRule) as refused:
        read_rule_toml(data)
    assert len(str(refused.value)) < 6_000


def test_more_than_a_rule_may_hold_is_refused():
    with pytest.raises(UnreadableRule) as refused:
        read_rule_toml((COUNTIES + '[[cap]]\nper = "source"\namount = 1\nunit = "credit"\n' * 17).encode())
    assert [each.place for each in refused.value.mistakes] == ["rule"]


@given(st.integers(0, len(COUNTIES)), st.integers(0, 40), st.text("[]{}=.,\"'\n0a_ #-\\", max_size=6))
def test_a_damaged_file_raises_nothing_foreign(at, cut, put_in):
    with suppress(LlnError):
        assert read_rule_toml((COUNTIES[:at] + put_in + COUNTIES[at + cut :]).encode()).targets


@given(st.binary(max_size=80))
def test_reading_any_bytes_raises_nothing_foreign(data):
    with suppress(LlnError):
        assert read_rule_toml(data)
    with suppress(LlnError):
        assert read_rule(data)


def test_json_that_is_no_rule_is_refused():
    plain = write_rule(rule())
    assert b'"document":"rule"' in plain
    for wrong in (
        plain.replace(b"credit", b"Credit!"),
        plain.replace(b'"version":1', b'"version":0'),
        b"{}",
        plain + b" ",
        plain.replace(b'"id"', b'"new":1,"id"'),
    ):
        with pytest.raises(MalformedDocument):
            read_rule(wrong)


def test_every_key_has_a_word_on_what_is_expected():
    keys = {field.name for struct in STRUCTS for field in structs.fields(struct)}
    assert keys - {"sources", "targets", "caps"} | {"source", "target", "cap"} == EXPECTED.keys()
    assert all(zh and en for zh, en in EXPECTED.values())


# --- versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "version"),
    [
        ("2025-12-31", None),
        ("2026-01-01", 1),
        ("2026-08-31", 1),
        ("2026-09-01", 2),
        ("2026-11-01", 3),
        ("2027-01-01", 2),
    ],
)
def test_the_highest_version_that_is_valid_holds(day, version):
    versions = [
        rule(version=3, valid_from=date(2026, 10, 15), valid_until=date(2026, 12, 31)),
        rule(version=1, valid_until=date(2026, 8, 31)),
        rule(version=2, valid_from=date(2026, 9, 1)),
    ]
    assert [each.version for each in in_force(versions, date.fromisoformat(day))] == ([version] if version else [])


def test_a_changed_version_has_another_digest():
    assert digest_of(rule()) != digest_of(structs.replace(rule(), step=2))
    assert isinstance(rule(), ConversionRule)
