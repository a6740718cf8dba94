"""What an index can say of its terms: for scores, and for an authority to publish.

What lives here: document frequencies and average lengths. What must not: matching or ranking (`asking.py`).
"""

from collections.abc import Sequence
from typing import Any, Final

import tantivy

from federation.analysis import is_lone_character
from federation.scoring import PUBLISHED_TERMS_MAX, encode_statistics
from federation.search import TermStatistics
from node.index.schema import OPEN, RESTRICTED, TEXT_FIELDS, field_of

_ALL_MOVED_BY: Final = 100


class Averages:
    """Average tokens per field, counted anew only when the number of documents has moved by a hundredth."""

    def __init__(self) -> None:
        self._documents = -1
        self._lengths: tuple[float, ...] = ()

    def of(self, searcher: Any) -> tuple[float, ...]:
        documents = searcher.num_docs
        if self._documents < 0 or abs(documents - self._documents) * _ALL_MOVED_BY > self._documents:
            found = searcher.aggregate(
                tantivy.Query.all_query(), {field: {"avg": {"field": f"{field}_length"}} for field in TEXT_FIELDS}
            )
            self._lengths = tuple(round(found[field]["value"] or 0.0, 3) for field in TEXT_FIELDS)
            self._documents = documents
        return self._lengths


def local_statistics(searcher: Any, terms: Sequence[str], averages: Averages) -> TermStatistics:
    """The index's own statistics for some terms; a term's frequency is that in the field where it is commonest."""
    return TermStatistics(
        documents=searcher.num_docs,
        average_lengths=averages.of(searcher),
        frequencies={term: _frequency(searcher, term) for term in terms},
    )


def published_statistics(index: Any) -> bytes:
    """What an authority publishes of its index (`federation.scoring.encode_statistics`)."""
    searcher = index.searcher()
    frequencies = _frequencies(searcher, OPEN)
    for term, count in _frequencies(searcher, RESTRICTED).items():
        frequencies[term] = frequencies.get(term, 0) + _told(count)
    return encode_statistics(
        TermStatistics(documents=searcher.num_docs, average_lengths=Averages().of(searcher), frequencies=frequencies)
    )


def _frequencies(searcher: Any, part: str) -> dict[str, int]:
    """The commonest terms of one part of the index, single characters among them."""
    found: dict[str, int] = {}
    for name in (*TEXT_FIELDS, "characters"):
        for term, count in searcher.terms_with_prefix(field_of(part, name), "", limit=PUBLISHED_TERMS_MAX):
            found[term] = max(count, found.get(term, 0))
    return found


def _frequency(searcher: Any, term: str) -> int:
    names = ("characters",) if is_lone_character(term) else TEXT_FIELDS
    of_open, of_restricted = (
        max(int(searcher.doc_freq(field_of(part, name), term)) for name in names) for part in (OPEN, RESTRICTED)
    )
    return of_open + _told(of_restricted)


def _told(restricted: int) -> int:
    """A word that stands in a single restricted document would tell an asker that there is one."""
    return restricted if restricted > 1 else 0
