"""Amounts are read without rounding; levels compare through published tables or not at all."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import canonical
from federation.amounts import (
    HUNDREDTHS_MAX,
    Amount,
    LevelCrosswalk,
    LevelScheme,
    NotAnAmount,
    QualificationLevel,
    Ratio,
    Scales,
    UnitCrosswalk,
    UnitDefinition,
    compare_levels,
    in_unit,
    read_hundredths,
    read_scales,
    written,
)
from federation.catalogue import BilingualLine
from federation.errors import LlnError
from tests.style.tree import ROOT

TITLE = BilingualLine(zh="示例", en="Sample")
SCALES = Scales(
    units=(UnitDefinition(unit="credit", title=TITLE), UnitDefinition(unit="hour", title=TITLE)),
    schemes=(
        LevelScheme(scheme="eight", title=TITLE, values=tuple("12345678")),
        LevelScheme(scheme="named", title=TITLE, values=("初级", "中级", "高级")),
        LevelScheme(scheme="alone", title=TITLE, values=("A", "B")),
    ),
    level_crosswalks=(LevelCrosswalk(from_scheme="named", to_scheme="eight", pairs=(("初级", "3"), ("高级", "5"))),),
    unit_crosswalks=(UnitCrosswalk(from_unit="hour", to_unit="credit", ratio=Ratio(1, 16)),),
)


@pytest.mark.parametrize(
    ("text", "hundredths"),
    [
        ("2.5", 250),
        ("２．５", 250),
        (" 8 ", 800),
        ("0", 0),
        ("2.500", 250),
        ("0.01", 1),
        ("007", 700),
        ("\u30003", 300),
    ],
)
def test_an_amount_is_read_as_it_is_written(text, hundredths):
    assert read_hundredths(text) == hundredths


@pytest.mark.parametrize(
    "text",
    ["2.505", "2学分", "", ".5", "2.", "-1", "+1", "1,000", "1e3", "2²", "½", "①", "٣", "1.2.3", "NaN", "9" * 5000],
)
def test_what_is_no_amount_is_refused_with_a_remedy(text):
    with pytest.raises(NotAnAmount) as refused:
        read_hundredths(text)
    assert "2.5" in refused.value.zh
    assert len(str(refused.value)) < 200


@given(st.integers(0, HUNDREDTHS_MAX))
def test_what_is_written_is_read_back(hundredths):
    assert read_hundredths(written(hundredths)) == hundredths


@given(st.text(max_size=12))
def test_any_text_is_an_amount_or_refused(text):
    with suppress(NotAnAmount):
        assert 0 <= read_hundredths(text) <= HUNDREDTHS_MAX


def level(text: str) -> QualificationLevel:
    scheme, _, value = text.partition(":")
    return QualificationLevel(scheme=scheme, value=value)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("eight:3", "eight:5", -1),
        ("eight:5", "eight:5", 0),
        ("named:高级", "named:初级", 1),
        ("named:高级", "eight:5", 0),
        ("eight:6", "named:高级", 1),
        ("named:初级", "eight:8", -1),
        ("named:中级", "eight:4", None),  # the table says nothing of it, and nothing is guessed
        ("alone:A", "eight:1", None),
        ("nowhere:x", "nowhere:x", 0),
        ("nowhere:x", "nowhere:y", None),
        ("eight:9", "eight:1", None),
    ],
)
def test_levels_compare_only_where_a_table_says_so(one, other, told):
    assert compare_levels(level(one), level(other), SCALES) == told
    assert compare_levels(level(other), level(one), SCALES) == (None if told is None else -told)


def test_units_change_by_a_crosswalk_and_without_a_rest():
    hours = Amount(hundredths=4_800, unit="hour")
    assert in_unit(hours, "credit", SCALES) == Amount(hundredths=300, unit="credit")
    assert in_unit(hours, "hour", SCALES) == hours
    assert in_unit(Amount(hundredths=100, unit="hour"), "credit", SCALES) is None
    assert in_unit(Amount(hundredths=100, unit="credit"), "hour", SCALES) is None


def test_scales_are_read_back():
    assert read_scales(canonical.encode(SCALES)) == SCALES


def test_the_scales_of_the_demonstration_are_sound():
    scales = read_scales((ROOT / "config" / "demo" / "scales.json").read_bytes())
    assert compare_levels(level("province-demo:4"), level("NQF-demo:5"), scales) == 0
    assert compare_levels(level("EQF:4"), level("NQF-demo:5"), scales) is None


@pytest.mark.parametrize(
    "document",
    [
        b'{"units":[{"unit":"hour","title":{}},{"unit":"hour","title":{}}]}',
        b'{"schemes":[{"scheme":"a","title":{},"values":["1","1"]}]}',
        b'{"level_crosswalks":[{"from_scheme":"a","to_scheme":"b","pairs":[["1","2"]]}]}',
        b'{"unit_crosswalks":[{"from_unit":"hour","to_unit":"credit","ratio":[1,16]}]}',
        b'{"unit_crosswalks":[{"from_unit":"hour","to_unit":"credit","ratio":[1,0]}]}',
    ],
)
def test_scales_that_contradict_themselves_are_refused(document):
    with pytest.raises(canonical.MalformedDocument):
        read_scales(document)


@given(st.binary(max_size=60))
def test_reading_scales_raises_nothing_foreign(data):
    with suppress(LlnError):
        assert isinstance(read_scales(data), Scales)


def test_a_ratio_is_a_pair():
    assert canonical.encode(Ratio(3, 8)) == b"[3,8]"
    assert str(Ratio(3, 8)) == "3:8"
    assert str(Amount(hundredths=250, unit="credit")) == "2.5 credit"
