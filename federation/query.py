"""The query language: words, "phrases" and -exclusions; whatever else is typed is text, never an error.

What lives here: from what was typed to what is looked for. What must not: filters and scope (`search.py`).
"""

import re
from typing import Final

import msgspec

from federation.analysis import Analysis, is_lone_character
from federation.search import TERMS_MAX, TEXT_CHARS_MAX

_QUOTES: Final = str.maketrans("“”„‟「」『』＂", '"""""""""')
_MINUSES: Final = str.maketrans("－−–—", "----")
_PART: Final = re.compile(r'(?P<minus>(?:(?<=\s)|^)-(?=[^\s-]))?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))')


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for: any of `terms` ranks, every one of `phrases` must stand, none of `exclusions` may.

    A phrase or exclusion is a run of tokens in order; `terms` holds each token once, those of phrases included.
    """

    terms: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]
    exclusions: tuple[tuple[str, ...], ...]
    was_cut: bool

    @property
    def is_empty(self) -> bool:
        return not self.terms


def parse_query(text: str, analysis: Analysis) -> Query:
    """Total: any string gives a query. Beyond 1,000 characters or 64 terms it is cut, and says so."""
    typed = text[:TEXT_CHARS_MAX].translate(_QUOTES).translate(_MINUSES)
    terms: dict[str, None] = {}
    phrases: list[tuple[str, ...]] = []
    exclusions: list[tuple[str, ...]] = []
    for part in _PART.finditer(typed):
        quoted = part["phrase"] is not None
        tokens = tuple(analysis.tokens(part["phrase"] if quoted else part["word"]))[:TERMS_MAX]
        if not tokens:
            continue
        if part["minus"]:
            exclusions.append(tokens)
            continue
        if quoted:
            phrases.append(tokens)
        terms.update(dict.fromkeys(tokens))
    return Query(
        terms=tuple(terms)[:TERMS_MAX],
        phrases=tuple(phrases[:TERMS_MAX]),
        exclusions=tuple(exclusions[:TERMS_MAX]),
        was_cut=len(text) > TEXT_CHARS_MAX or len(terms) > TERMS_MAX,
    )


def lone_characters(query: Query) -> tuple[str, ...]:
    return tuple(term for term in query.terms if is_lone_character(term))
