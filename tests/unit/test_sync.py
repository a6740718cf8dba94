"""When something is due at the parent, and how long an outage is waited out."""

from hypothesis import given
from hypothesis import strategies as st

from federation.sync import ASKS_MAX, Progress, backoff_s


def test_missing_entries_and_the_first_word_are_due_at_once():
    assert Progress().is_due(0, confirmed_at_ms=None, now_ms=1, every_ms=1_000)
    told = Progress(size=3, told_ms=10, confirmed_at_ms=10)
    assert told.is_due(4, confirmed_at_ms=None, now_ms=11, every_ms=1_000)
    assert not told.is_due(3, confirmed_at_ms=None, now_ms=11, every_ms=1_000)
    assert told.is_due(3, confirmed_at_ms=None, now_ms=1_010, every_ms=1_000)


def test_a_copy_is_due_when_its_origin_has_confirmed_it_since():
    told = Progress(size=3, told_ms=10, confirmed_at_ms=10)
    assert not told.is_due(3, confirmed_at_ms=500, now_ms=10**9, every_ms=1_000)
    assert told.is_due(3, confirmed_at_ms=1_010, now_ms=10**9, every_ms=1_000)


def test_whoever_is_still_indexing_is_asked_again_but_not_for_ever():
    progress, now_ms, asked = Progress(), 1, 0
    for _ in range(100):
        if progress.is_due(1, confirmed_at_ms=0, now_ms=now_ms, every_ms=10**9):
            progress = progress.told(1, confirmed_at_ms=0, now_ms=now_ms, behind=True, empty=asked > 0)
            asked += 1
        now_ms += 10_000
    assert 2 < asked <= ASKS_MAX + 1


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_waiting_stays_within_its_bounds(failures, fraction):
    waited = backoff_s(failures, first_s=1.0, longest_s=900.0, fraction=fraction)
    assert 0.1 <= waited <= 900.0
