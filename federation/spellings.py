"""Spellings: names and titles as people type them, compared without what a typist would not call a difference.

What lives here: that one folding. What must not: words that a search is made of (`analysis.py`), or who is who.
"""

import unicodedata


def plain(text: str) -> str:
    """A text without width, case and blanks."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def is_spelled_alike(one: str, other: str) -> bool:
    return plain(one) == plain(other)
