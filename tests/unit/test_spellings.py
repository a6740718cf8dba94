"""Spellings: what a typist would not call a difference is none."""

import pytest

from federation.spellings import is_spelled_alike, plain


@pytest.mark.parametrize("typed", ["Li 老师", "ｌｉ老师", " LI\u3000老 师\n", "li老师"])
def test_width_case_and_blanks_make_no_other_name(typed):
    assert is_spelled_alike(typed, "li老师")
    assert plain(typed) == "li老师"


@pytest.mark.parametrize("other", ["li老帅", "li-老师", "li 老师2", ""])
def test_anything_else_does(other):
    assert not is_spelled_alike("li老师", other)
