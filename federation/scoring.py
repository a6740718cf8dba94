"""Scores that mean the same on every node: BM25 over three fields, with statistics that come from outside.

What lives here: the formula, its constants, and the form in which statistics are published. What must not: where
documents come from.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
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
_COUNTED_ONE_BY_ONE_MAX: Final = 20
"""So many terms are found quicker one after the other than by going through all tokens."""


def joined(tokens: Iterable[str]) -> str:
    """The tokens of a field as one text, two spaces apart: so that each has blanks of its own and can be counted."""
    return "  ".join(tokens)


def score(terms: Sequence[str], fields: Sequence[str], statistics: TermStatistics) -> float:
    """How well a document fits; `fields` are its `joined` tokens in the order of `FIELDS`."""
    return Scorer(terms, statistics).score(fields)


class Scorer:
    """BM25F for one query (Robertson & Zaragoza 2009, §3.6).

    A word's occurrences are weighed and added over the fields before they saturate: a title that shares one common
    word with a question does not outweigh a text that answers it.
    """

    def __init__(self, terms: Sequence[str], statistics: TermStatistics) -> None:
        self._rarities = {term: _rarity(term, statistics) for term in terms}
        self._lone = tuple(term for term in self._rarities if is_lone_character(term))
        self._whole = tuple((term, f" {term} ") for term in self._rarities if term not in self._lone)
        self._fields = tuple(zip(BOOSTS, statistics.average_lengths, strict=True))

    def score(self, fields: Sequence[str]) -> float:
        """Rounded, so that equal documents score equally everywhere."""
        weighed = dict.fromkeys(self._rarities, 0.0)
        for text, (boost, average) in zip(fields, self._fields, strict=True):
            if not text:
                continue
            weight = boost / (1 - _B + _B * (text.count("  ") + 1) / average if average else 1.0)
            for term, count in self._counts(text):
                weighed[term] += weight * count
        rarities = self._rarities
        return round(sum([rarities[term] * tf * (_K1 + 1) / (tf + _K1) for term, tf in weighed.items() if tf]), 6)

    def _counts(self, text: str) -> list[tuple[str, int]]:
        """How often each term stands there; a lone character wherever a token holds it, being in two pairs of a run."""
        lone = [(term, (found + 1) // 2) for term in self._lone if (found := text.count(term))] if self._lone else []
        if len(self._whole) > _COUNTED_ONE_BY_ONE_MAX:
            counts = Counter(filter(self._rarities.__contains__, text.split()))
            return lone + [(term, counts[term]) for term, _ in self._whole if term in counts]
        padded = f" {text} "
        return lone + [(term, found) for term, blank in self._whole if (found := padded.count(blank))]


def _rarity(term: str, statistics: TermStatistics) -> float:
    frequency = min(statistics.frequencies.get(term, 0), statistics.documents)
    return log(1 + (statistics.documents - frequency + 0.5) / (frequency + 0.5))


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
