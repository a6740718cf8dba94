"""The query language: words, "phrases" and -exclusions; whatever else is typed is text, never an error.

What lives here: from what was typed to what is looked for. What must not: filters and scope (`search.py`).
"""

import re
from typing import Final

import msgspec

from federation.analysis import Analysis
from federation.search import TERMS_MAX, TEXT_CHARS_MAX

_QUOTES: Final = str.maketrans("“”„‟「」『』＂", '"""""""""')
_MINUSES: Final = str.maketrans("－−﹣", "---")
_PART: Final = re.compile(r'(?P<minus>(?:(?<=\s)|^)-(?=[^\s-]))?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))')


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for: any of `terms` ranks, every one of `phrases` must stand, none of `exclusions` may.

    A phrase or exclusion is a run of tokens in order; `terms` holds each token once, those of phrases included.
    `is_blank`: nothing was typed, which asks for everything; that something was typed of which no token is left
    (such as "？！") finds nothing.
    """

    terms: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]
    exclusions: tuple[tuple[str, ...], ...]
    is_blank: bool
    was_cut: bool

    @property
    def finds_nothing(self) -> bool:
        return not (self.is_blank or self.terms or self.exclusions)


def parse_query(text: str, analysis: Analysis) -> Query:
    """Total: any string gives a query. Beyond 1,000 characters or 64 terms it is cut, and says so."""
    typed = text[:TEXT_CHARS_MAX].translate(_QUOTES).translate(_MINUSES)
    terms: dict[str, None] = {}
    phrases: dict[tuple[str, ...], None] = {}
    exclusions: dict[tuple[str, ...], None] = {}
    for part in _PART.finditer(typed):
        quoted = part["phrase"] is not None
        tokens = tuple(analysis.tokens(part["phrase"] if quoted else part["word"]))[:TERMS_MAX]
        if not tokens:
            continue
        if part["minus"]:
            exclusions[tokens] = None
            continue
        if quoted:
            phrases[tokens] = None
        terms.update(dict.fromkeys(tokens))
    return Query(
        terms=tuple(terms)[:TERMS_MAX],
        phrases=tuple(phrases)[:TERMS_MAX],
        exclusions=tuple(exclusions)[:TERMS_MAX],
        is_blank=not typed.strip(),
        was_cut=len(text) > TEXT_CHARS_MAX or len(terms) > TERMS_MAX,
    )
