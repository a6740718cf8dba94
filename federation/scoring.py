"""Scores that mean the same on every node: BM25 over three fields, with statistics that come from outside.

What lives here: the formula, its constants, and the form in which statistics are published. What must not: where
documents come from.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import Final

import msgspec

from federation.analysis import is_lone_character
from federation.errors import RemoteFault
from federation.search import Count, Frequency, TermStatistics

FIELDS: Final = ("title", "keywords", "body")
BOOSTS: Final = (4.0, 2.0, 1.0)
CANDIDATE_BOOSTS: Final = (1.5, 1.2, 1.0)
"""For finding candidates, where an engine adds up fields that each saturate by themselves."""
_K1: Final = 1.2
_B: Final = 0.75


def score(terms: Sequence[str], fields: Sequence[Sequence[str]], statistics: TermStatistics) -> float:
    """How well a document fits; `fields` are its tokens in the order of `FIELDS`.

    BM25F (Robertson & Zaragoza 2009, §3.6).

    A word's occurrences are weighed and added over the fields before they saturate: a title that shares one common
    word with a question does not outweigh a text that answers it. A lone character counts wherever a token holds it.
    Rounded, so that equal documents score equally everywhere.
    """
    rarities = {term: _rarity(term, statistics) for term in terms}
    weighed = dict.fromkeys(rarities, 0.0)
    for tokens, boost, average in zip(fields, BOOSTS, statistics.average_lengths, strict=True):
        longness = 1 - _B + _B * len(tokens) / average if average else 1.0
        for term, count in _occurrences(rarities, tokens).items():
            weighed[term] += boost * count / longness
    total = sum(rarity * weighed[term] * (_K1 + 1) / (weighed[term] + _K1) for term, rarity in rarities.items())
    return round(total, 6)


def _rarity(term: str, statistics: TermStatistics) -> float:
    frequency = min(statistics.frequencies.get(term, 0), statistics.documents)
    return log(1 + (statistics.documents - frequency + 0.5) / (frequency + 0.5))


def _occurrences(terms: Mapping[str, float], tokens: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = Counter(filter(terms.__contains__, tokens))
    for term in filter(is_lone_character, terms):
        counts[term] = (sum(term in token for token in tokens) + 1) // 2  # a character inside a run is in two pairs
    return counts


# --- statistics that an authority publishes --------------------------------------------------------------------------

PUBLISHED_TERMS_MAX: Final = 200_000
PUBLISHED_BYTES_MAX: Final = 3 * 1024 * 1024


class MalformedStatistics(RemoteFault):
    code = "LLN-2040"
    zh = "对端公布的词频统计无法读取，已忽略。"
    en = "The term statistics that a peer publishes cannot be read and were ignored."


def encode_statistics(statistics: TermStatistics) -> bytes:
    """The commonest terms that stand in two documents or more: a term of one document would tell of that document."""
    shared = {term: count for term, count in statistics.frequencies.items() if count > 1}
    commonest = sorted(shared.items(), key=lambda item: (-item[1], item[0]))[:PUBLISHED_TERMS_MAX]
    while True:
        encoded = msgspec.msgpack.encode((statistics.documents, statistics.average_lengths, dict(commonest)))
        if len(encoded) <= PUBLISHED_BYTES_MAX:
            return encoded
        commonest = commonest[: len(commonest) * 9 // 10]


def statistics_for(encoded: bytes, terms: Iterable[str]) -> TermStatistics:
    """Published statistics, as far as some terms need them; a term that is not listed stands in one document.

    Raises MalformedStatistics.
    """
    try:
        documents, lengths, frequencies = _published.decode(encoded[: PUBLISHED_BYTES_MAX + 1])
    except msgspec.MsgspecError as error:
        raise MalformedStatistics("statistics", str(error)[:200]) from error
    if len(lengths) != len(FIELDS):
        raise MalformedStatistics("statistics", f"{len(lengths)} average lengths, expected {len(FIELDS)}")
    return TermStatistics(
        documents=documents,
        average_lengths=lengths,
        frequencies={term: min(frequencies.get(term, 1), documents) for term in terms},
    )


_published = msgspec.msgpack.Decoder(tuple[Count, tuple[Frequency, ...], dict[str, Count]])
