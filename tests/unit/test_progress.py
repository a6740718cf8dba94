"""Balances keep kinds apart; in a programme each lot counts once, and as many courses are filled as can be."""

from datetime import date
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from federation.amounts import QualificationLevel
from federation.matching import fill_places
from federation.progress import Programme, ProgrammeCourse, balances_of, progress_in
from tests.support.conversions import TITLE, TODAY, lot, lots


def course(*achievements, amount=100):
    return ProgrammeCourse(achievements=achievements, title=TITLE, unit="credit", amount=amount)


def programme(*courses, required=None):
    return Programme(id="p", version=1, authority="lln.internal", title=TITLE, courses=courses, required=required)


def test_nothing_is_added_across_units_kinds_or_levels():
    level = QualificationLevel(scheme="A", value="1")
    held = [
        lot("a", 100),
        lot("b", 200, available=50),
        lot("c", 100, kind="formal"),
        lot("d", 100, level=level),
        lot("e", 100, unit="hour"),
        lot("f", 100, record_state="suspended"),
        lot("g", 100, expires_on=date(2026, 1, 1)),
        lot("h", 100, achieved_on=date(2026, 12, 1)),
    ]
    told = [
        (each.unit, each.kind, each.level, each.granted, each.available, each.lots) for each in balances_of(held, TODAY)
    ]
    assert told == [
        ("credit", "formal", None, 100, 100, 1),
        ("credit", "vocational_training", None, 300, 150, 2),
        ("credit", "vocational_training", level, 100, 100, 1),
        ("hour", "vocational_training", None, 100, 100, 1),
    ]


@given(lots(), st.randoms(use_true_random=False))
def test_balances_add_up_in_any_order(held, shuffling):
    balances = balances_of(held, TODAY)
    assert balances_of(shuffling.sample(held, len(held)), TODAY) == balances
    assert sum(each.granted for each in balances) == sum(each.granted for each in held if each.record_state == "active")


def test_a_lot_fills_one_course_and_moves_to_let_another_in():
    courses = programme(course("x*"), course("x1"), course("z"))
    found = progress_in(courses, [lot("both", achievement="x1"), lot("other", achievement="x2")], TODAY)
    assert found.filled == ("other", "both", None)
    assert (found.required, found.is_complete) == (3, False)
    assert progress_in(courses, [lot("both", achievement="x1")], TODAY).filled == ("both", None, None)


def test_a_programme_is_complete_when_enough_courses_are():
    held = [lot(each, achievement=each) for each in ("x", "y")]
    assert progress_in(programme(course("x"), course("y"), course("z"), required=2), held, TODAY).is_complete
    assert not progress_in(programme(course("x"), course("y"), course("z")), held, TODAY).is_complete


def test_what_is_spent_too_small_or_of_another_unit_fills_nothing():
    held = [
        lot("spent", achievement="x", available=99),
        lot("hours", achievement="y", unit="hour"),
        lot("gone", achievement="z", record_state="revoked"),
    ]
    assert progress_in(programme(course("x"), course("y"), course("z")), held, TODAY).filled == (None, None, None)


def test_older_lots_are_preferred():
    held = [lot("new", achieved_on=date(2026, 8, 1)), lot("old", achieved_on=date(2026, 1, 1))]
    assert progress_in(programme(course("x:0"), course("y"), course("z")), held, TODAY).filled == ("old", None, None)


# --- the matching ----------------------------------------------------------------------------------------------------

FITS = st.lists(st.lists(st.integers(0, 3), unique=True, max_size=4), max_size=5)


@given(FITS)
def test_as_many_places_as_possible_are_filled_by_the_earliest_that_can_be(fits):
    chosen = fill_places(fits)
    taken = [place for place in chosen if place is not None]
    assert len(taken) == len(set(taken))
    assert all(place is None or place in fits[at] for at, place in enumerate(chosen))
    ways = [
        [place is not None for place in way]
        for way in product(*([*fit, None] for fit in fits))
        if len(used := [place for place in way if place is not None]) == len(set(used))
    ]
    most = max(map(sum, ways))
    assert len(taken) == most
    assert [place is not None for place in chosen] == max(way for way in ways if sum(way) == most)
