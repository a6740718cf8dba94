"""The framing of what is signed."""

from hypothesis import given
from hypothesis import strategies as st

from federation.framing import pae

purposes = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=8)
inputs = st.tuples(purposes, st.lists(st.binary(max_size=8), max_size=4))


def test_the_layout_is_fixed():
    assert pae("call", b"ab", b"") == b"LLNv1 4 call 2 2 ab 0 "
    assert pae("call") == b"LLNv1 4 call 0"


@given(inputs, inputs)
def test_two_inputs_never_give_the_same_bytes(one, other):
    assert (pae(one[0], *one[1]) == pae(other[0], *other[1])) == (one == other)


@given(inputs)
def test_moving_bytes_between_parts_changes_what_is_signed(given_input):
    purpose, parts = given_input
    joined = b"".join(parts)
    if parts != [joined]:
        assert pae(purpose, *parts) != pae(purpose, joined)
