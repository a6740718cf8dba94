"""Merging answers of several nodes into one page, and folding what several institutions offer alike.

What lives here: which hits are one card, and in what order cards stand. What must not: scores (`scoring.py`), or what
an answer lacks. Merging is commutative and idempotent; ties break by key, so that pages are stable.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from federation.search import PER_PROVIDER_FIRST_PAGE, AlsoAt, FacetCount, Hit

Likeness = Literal["identical", "same", "possibly_the_same"]
ALSO_AT_MAX: Final = 1_000
_ORDER: Final[dict[Likeness, int]] = {"identical": 0, "same": 1, "possibly_the_same": 2}
_URL_NOISE: Final = re.compile(r"^https?://(www\.)?|#.*$|\?utm_[^#]*(?=#|$)|/+(?=$|[?#])", re.IGNORECASE)


def merge(answers: Iterable[Sequence[Hit]]) -> list[Hit]:
    """All hits as cards, best first: one copy of each resource, its newest version, likes folded together."""
    newest: dict[str, Hit] = {}
    for hits in answers:
        for hit in hits:
            held = newest.get(hit.key)
            newest[hit.key] = hit if held is None else _one_of(held, hit)
    return _Folding(newest.values()).cards()


def rank(hit: Hit) -> tuple[float, str]:
    return (-hit.score, hit.key)


def page(cards: Sequence[Hit], *, limit: int, offset: int) -> list[Hit]:
    """One page of ranked cards; at most three of one provider stand on the first, the rest follow, none is lost.

    Only the best cards (`2 × limit`, at least 40) are looked through for the first page: that it stays as it is when a
    later page brings more.
    """
    first: dict[str, Hit] = {}
    shown: dict[str, int] = {}
    for card in cards[: max(40, 2 * limit)]:
        if len(first) < limit and shown.get(card.publisher, 0) < PER_PROVIDER_FIRST_PAGE:
            first[card.key] = card
            shown[card.publisher] = shown.get(card.publisher, 0) + 1
    ordered = [*first.values(), *(card for card in cards if card.key not in first)]
    return ordered[offset : offset + limit]


def add_facets(counts: Iterable[Sequence[FacetCount]]) -> tuple[FacetCount, ...]:
    """Counts of disjoint answers, added up; most frequent first within each facet."""
    total: dict[tuple[str, str], int] = {}
    for facets in counts:
        for one in facets:
            total[one.facet, one.value] = total.get((one.facet, one.value), 0) + one.count
    return tuple(
        FacetCount(facet=facet, value=value, count=count)
        for (facet, value), count in sorted(total.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
    )


def _one_of(one: Hit, other: Hit) -> Hit:
    """Of two copies of one resource: the newer version, then the fresher copy, then the better score."""
    best = max(one, other, key=_precedence)
    also = {(at.publisher, at.id): at for at in sorted((*one.also_at, *other.also_at), key=_weakest_first)}
    return _with_others(best, also)


def _precedence(hit: Hit) -> tuple[int, int, float, str, bytes]:
    return (hit.version, -(hit.age_s or 0), hit.score, hit.held_by, msgspec.json.encode(hit))


class _Folding:
    """Hits joined wherever they share a mark, each group under its best; the order they came in does not matter."""

    def __init__(self, hits: Iterable[Hit]) -> None:
        self._faces: list[Hit] = []
        self._under: list[int] = []
        self._seen: dict[str, tuple[int, Likeness]] = {}
        for hit in sorted(hits, key=rank):
            self._add(hit)

    def cards(self) -> list[Hit]:
        return [face for at, face in enumerate(self._faces) if self._under[at] == at]

    def _add(self, hit: Hit) -> None:
        own = len(self._faces)
        self._faces.append(hit)
        self._under.append(own)
        for mark, likeness in _marks(hit):
            at, seen_as = self._seen.setdefault(mark, (own, likeness))
            self._join(self._face_of(at), self._face_of(own), likeness=_weaker(likeness, seen_as))

    def _face_of(self, at: int) -> int:
        while self._under[at] != at:
            at = self._under[at]
        return at

    def _join(self, one: int, other: int, *, likeness: Likeness) -> None:
        """Put the lower of two faces, with all that stands under it, under the higher."""
        if one == other:
            return
        best, rest = min(one, other), max(one, other)
        self._under[rest] = best
        face, folded = self._faces[best], self._faces[rest]
        moved = [msgspec.structs.replace(at, likeness=_weaker(at.likeness, likeness)) for at in folded.also_at]
        moved.append(
            AlsoAt(publisher=folded.publisher, id=folded.id, provider=folded.provider, likeness=likeness),
        )
        also = {(at.publisher, at.id): at for at in sorted((*face.also_at, *moved), key=_weakest_first)}
        self._faces[best] = _with_others(face, also)


def _with_others(face: Hit, also: dict[tuple[str, str], AlsoAt]) -> Hit:
    also.pop((face.publisher, face.id), None)
    ordered = sorted(also.values(), key=lambda at: (_ORDER[at.likeness], at.publisher, at.id))
    return msgspec.structs.replace(face, also_at=tuple(ordered[:ALSO_AT_MAX]))


def _weaker(one: Likeness, other: Likeness) -> Likeness:
    return max(one, other, key=_ORDER.__getitem__)


def _weakest_first(at: AlsoAt) -> tuple[int, str]:
    """So that of two entries about one resource, the surer one is written last and stays."""
    return (-_ORDER[at.likeness], at.provider)


def _marks(hit: Hit) -> list[tuple[str, Likeness]]:
    """By which two hits are one card: a strong identifier, equal text with equal provider or licence, equal text."""
    marks: list[tuple[str, Likeness]] = [(_identifier(one), "identical") for one in hit.identifiers]
    if hit.sha256:
        marks.append((f"sha256:{hit.sha256}", "identical"))
    if hit.fingerprint:
        if hit.provider:
            marks.append((f"{hit.fingerprint} by {hit.provider.casefold()}", "same"))
        if hit.licence:
            marks.append((f"{hit.fingerprint} under {hit.licence.casefold()}", "same"))
        marks.append((hit.fingerprint, "possibly_the_same"))
    return marks


def _identifier(text: str) -> str:
    """An identifier as it compares: a URL without scheme, "www.", fragment, tracking and closing slash."""
    kind, _, value = text.strip().partition(":")
    kind, value = kind.strip().casefold(), value.strip()
    if kind == "url":
        host, slash, path = _URL_NOISE.sub("", value).partition("/")
        return f"url:{host.casefold()}{slash}{path}"
    if kind == "isbn":
        return f"isbn:{_isbn(value)}"
    return f"{kind}:{value.casefold()}"


def _isbn(value: str) -> str:
    """Thirteen digits, also for the ten of before 2007 (ISO 2108 Annex A); whatever else it is stays as it is."""
    digits = re.sub(r"[\s-]+", "", value).casefold()
    if len(digits) != 10 or not digits[:9].isdecimal() or not digits.isascii():
        return digits
    body = f"978{digits[:9]}"
    weighed = sum(int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(body))
    return f"{body}{-weighed % 10}"
