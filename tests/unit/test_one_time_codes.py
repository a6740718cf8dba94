"""One-time codes are those of RFC 6238, count once, and stay out of sight."""

from base64 import b32encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ports.people import PersonRow
from node.usecases.second_factor import STEP_MS, accepted_step, code_at

SECRET = b32encode(b"12345678901234567890").decode()
RFC_6238 = (  # appendix B, SHA-1, of its eight digits the last six
    (59, "287082"),
    (1_111_111_109, "081804"),
    (1_111_111_111, "050471"),
    (1_234_567_890, "005924"),
    (2_000_000_000, "279037"),
    (20_000_000_000, "353130"),
)


@pytest.mark.parametrize(("second", "code"), RFC_6238)
def test_codes_are_those_of_the_standard(second, code):
    assert code_at(SECRET, second // 30) == code
    assert accepted_step(SECRET, code, second * 1_000, after=0) == second // 30


@given(st.integers(1, 2**40), st.integers(-4, 4))
def test_a_code_is_good_for_the_step_before_and_after_and_no_longer(step, off):
    found = accepted_step(SECRET, code_at(SECRET, max(1, step + off)), step * STEP_MS, after=0)
    assert bool(found) == (abs(max(1, step + off) - step) <= 1) or found in (step - 1, step, step + 1)


def test_a_code_counts_once_and_none_before_it_any_more():
    now_ms = 1_000 * STEP_MS
    assert accepted_step(SECRET, code_at(SECRET, 1_000), now_ms, after=999) == 1_000
    assert accepted_step(SECRET, code_at(SECRET, 1_000), now_ms, after=1_000) == 0
    assert accepted_step(SECRET, code_at(SECRET, 999), now_ms, after=1_000) == 0
    assert accepted_step(SECRET, code_at(SECRET, 1_001), now_ms, after=1_000) == 1_001


@pytest.mark.parametrize("off", [-2, 2, 20_000])
def test_a_code_of_another_time_is_not_taken(off):
    assert accepted_step(SECRET, code_at(SECRET, 50_000 + off), 50_000 * STEP_MS, after=0) == 0


@pytest.mark.parametrize("typed", ["２８７０８２", "287 082", " 287-082 "])
def test_a_code_is_taken_as_people_type_it(typed):
    assert accepted_step(SECRET, typed, 59_000, after=0) == 1


@given(st.text(max_size=60))
def test_anything_else_is_no_code(typed):
    if accepted_step(SECRET, typed, 59_000, after=0):
        assert "".join(str(int(one)) for one in typed if one.isdigit()) in {code_at(SECRET, step) for step in (0, 1, 2)}


def test_a_secret_is_not_seen_where_a_person_is_told_of():
    person = PersonRow(id="P1", owner="wang", name="王", roles=("registrar",), totp=SECRET, made_at_ms=1)
    assert SECRET not in repr(person)
    assert SECRET not in str(list(person.__rich_repr__()))
