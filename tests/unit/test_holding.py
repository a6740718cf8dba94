"""Holding: what a person is in the middle of at the pages is theirs alone, for a while, and bounded."""

import itertools

from node.portal.holding import HOLD_MS, Holding


def box(**bounds):
    numbers = itertools.count()
    return Holding(lambda: f"n{next(numbers)}", **bounds)


def test_what_is_held_is_given_to_its_owner_for_a_while_and_taken_once():
    held = box()
    name = held.put("me", "a sheet", 0)
    assert held.get(name, "somebody else", 1) is None
    assert held.take(name, "somebody else", 1) is None
    assert held.get(name, "me", 1) == held.take(name, "me", 1) == "a sheet"
    assert held.take(name, "me", 1) is None
    late = held.put("me", "another", 0)
    assert held.take(late, "me", HOLD_MS) is None


def test_of_one_person_and_of_all_the_oldest_goes_first():
    held = box(each_max=2, all_max=3)
    mine = [held.put("me", number, 0) for number in range(3)]
    assert [held.get(name, "me", 1) for name in mine] == [None, 1, 2]
    theirs = [held.put(who, who, 0) for who in ("a", "b")]
    assert [held.get(name, "me", 1) for name in mine] == [None, None, 2]
    assert [held.get(name, who, 1) for name, who in zip(theirs, ("a", "b"), strict=True)] == ["a", "b"]
