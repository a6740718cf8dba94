"""Budgets and names that nobody bears: spent, refilled, bounded."""

from hypothesis import given
from hypothesis import strategies as st

from federation.budgets import Allowance, Budgets, per_minute
from federation.naming import NodeName
from federation.unknown_names import REMEMBERED_MS, UnknownNames

ALICE, BOB = "alice.lln.internal", "bob.lln.internal"
GHOST = NodeName("ghost.lln.internal")


def test_a_budget_is_spent_and_refilled_for_each_by_itself():
    budgets = Budgets(per_minute(3))
    assert [budgets.spend(ALICE, 0) for _ in range(4)] == [True, True, True, False]
    assert budgets.is_spent(ALICE, 19_000)
    assert not budgets.is_spent(ALICE, 20_000)
    assert not budgets.is_spent(BOB, 0)
    assert budgets.spend(ALICE, 20_000)
    assert budgets.is_spent(ALICE, 20_000)


def test_a_clock_that_is_set_back_refills_nothing():
    budgets = Budgets(per_minute(1))
    assert budgets.spend(ALICE, 1_000_000)
    assert budgets.is_spent(ALICE, 0)


def test_only_so_many_holders_are_kept_and_the_idlest_goes_first():
    budgets = Budgets(per_minute(1), holders_max=2)
    for holder in (ALICE, BOB, "carol"):
        assert budgets.spend(holder, 0)
    assert budgets.is_spent(BOB, 0)
    assert not budgets.is_spent(ALICE, 0)


@given(st.lists(st.integers(0, 5_000), max_size=60))
def test_nobody_ever_spends_more_than_the_burst_and_what_time_gives(steps):
    budgets, now_ms, spent = Budgets(Allowance(per_second=2.0, burst=5.0)), 0, 0
    for step_ms in steps:
        now_ms += step_ms
        spent += budgets.spend(ALICE, now_ms)
        assert spent <= 5 + now_ms * 2 / 1_000


def test_an_unknown_name_is_remembered_for_a_moment():
    unknown = UnknownNames()
    unknown.add(GHOST, 1_000)
    assert unknown.holds(GHOST, 1_000)
    assert unknown.holds(GHOST, 999 + REMEMBERED_MS)
    assert not unknown.holds(GHOST, 1_000 + REMEMBERED_MS)
    assert not unknown.holds(NodeName(ALICE), 1_000)


def test_an_unknown_name_is_not_remembered_longer_when_the_clock_is_set_back():
    unknown = UnknownNames()
    unknown.add(GHOST, 10_000_000)
    assert not unknown.holds(GHOST, 0)


def test_unknown_names_are_forgotten_at_news_and_when_there_are_too_many():
    unknown = UnknownNames(remembered_max=2)
    for name in (GHOST, ALICE, BOB):
        unknown.add(NodeName(name), 0)
    assert [unknown.holds(NodeName(name), 1) for name in (GHOST, ALICE, BOB)] == [False, True, True]
    unknown.forget()
    assert not unknown.holds(NodeName(BOB), 1)
