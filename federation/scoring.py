"""Scores that mean the same on every node: BM25 over three fields, with statistics that come from outside.

What lives here: the formula and its constants. What must not: where documents or statistics come from.
"""

from collections.abc import Mapping, Sequence
from math import log
from typing import Final

from federation.analysis import is_lone_character
from federation.search import TermStatistics

FIELDS: Final = ("title", "keywords", "body")
BOOSTS: Final = (4.0, 2.0, 1.0)
_K1: Final = 1.2
_B: Final = 0.75


def score(terms: Sequence[str], fields: Sequence[Sequence[str]], statistics: TermStatistics) -> float:
    """How well a document fits; `fields` are its tokens in the order of `FIELDS` (Robertson & Zaragoza 2009, §3).

    A lone character counts wherever a token holds it. Rounded, so that equal documents score equally everywhere.
    """
    total = 0.0
    for term in terms:
        weight = _rarity(term, statistics)
        for tokens, boost, average in zip(fields, BOOSTS, statistics.average_lengths, strict=True):
            count = _occurrences(term, tokens)
            if count:
                longness = 1 - _B + _B * len(tokens) / average if average else 1.0
                total += boost * weight * count * (_K1 + 1) / (count + _K1 * longness)
    return round(total, 6)


def _rarity(term: str, statistics: TermStatistics) -> float:
    frequency = min(statistics.frequencies.get(term, 0), statistics.documents)
    return log(1 + (statistics.documents - frequency + 0.5) / (frequency + 0.5))


def _occurrences(term: str, tokens: Sequence[str]) -> int:
    if is_lone_character(term):
        return (sum(term in token for token in tokens) + 1) // 2  # a character inside a run is in two pairs
    return tokens.count(term)


def combined(documents: int, averages: Sequence[float], frequencies: Mapping[str, int]) -> TermStatistics:
    return TermStatistics(
        documents=documents, average_lengths=tuple(round(one, 3) for one in averages), frequencies=dict(frequencies)
    )
