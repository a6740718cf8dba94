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
_URL_NOISE: Final = re.compile(r"^url:https?://(www\.)?|[#?].*$|/$", re.IGNORECASE)


def merge(answers: Iterable[Sequence[Hit]]) -> list[Hit]:
    """All hits as cards, best first: one copy of each resource, its newest version, likes folded together."""
    newest: dict[str, Hit] = {}
    for hits in answers:
        for hit in hits:
            held = newest.get(hit.key)
            if held is None or _precedes(hit, held):
                newest[hit.key] = hit
    return sorted(_fold(list(newest.values())), key=rank)


def rank(hit: Hit) -> tuple[float, str]:
    return (-hit.score, hit.key)


def page(cards: Sequence[Hit], *, limit: int, offset: int) -> list[Hit]:
    """One page of ranked cards; at most three of one provider stand on the first, the rest follow, none is lost."""
    first: list[Hit] = []
    surplus: list[Hit] = []
    shown: dict[str, int] = {}
    for card in cards:
        crowded = shown.get(card.publisher, 0) >= PER_PROVIDER_FIRST_PAGE
        if crowded and len(first) < limit:
            surplus.append(card)
        else:
            first.append(card)
            shown[card.publisher] = shown.get(card.publisher, 0) + 1
    ordered = sorted(first[:limit], key=rank) + sorted([*surplus, *first[limit:]], key=rank)
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


def _precedes(one: Hit, other: Hit) -> bool:
    """Of two copies of one resource: the newer version, then the fresher copy, then the better score."""
    return (one.version, -(one.age_s or 0), one.score, one.held_by) > (
        other.version,
        -(other.age_s or 0),
        other.score,
        other.held_by,
    )


def _fold(hits: list[Hit]) -> list[Hit]:
    hits.sort(key=rank)
    faces: list[Hit] = []
    seen: dict[str, tuple[int, Likeness]] = {}
    for hit in hits:
        found = [seen[mark] for mark, _ in _marks(hit) if mark in seen]
        if not found:
            for mark, likeness in _marks(hit):
                seen[mark] = (len(faces), likeness)
            faces.append(hit)
            continue
        at, likeness = min(found, key=lambda one: (_ORDER[one[1]], one[0]))
        faces[at] = _under(faces[at], hit, likeness)
        for mark, mark_likeness in _marks(hit):
            seen.setdefault(mark, (at, mark_likeness))
    return faces


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
    folded = text.strip()
    if folded.lower().startswith("url:"):
        return "url:" + _URL_NOISE.sub("", folded).casefold()
    kind, _, value = folded.partition(":")
    return f"{kind.casefold()}:{value.replace('-', '').replace(' ', '').casefold()}"


def _under(face: Hit, hit: Hit, likeness: Likeness) -> Hit:
    also = {(one.publisher, one.id): one for one in (*face.also_at, *hit.also_at)}
    also[hit.publisher, hit.id] = AlsoAt(publisher=hit.publisher, id=hit.id, provider=hit.provider, likeness=likeness)
    also.pop((face.publisher, face.id), None)
    ordered = sorted(also.values(), key=lambda one: (_ORDER[one.likeness], one.publisher, one.id))
    return msgspec.structs.replace(face, also_at=tuple(ordered[:ALSO_AT_MAX]))
