"""Which lot fills which place, each once, as many as can be.

What lives here: a maximum matching that prefers earlier lots, and is the same for the same input. What must not: what
makes a lot fit.
"""

from collections.abc import Sequence


def fill_places(fits: Sequence[Sequence[int]]) -> list[int | None]:
    """For each lot, in order of preference, the place it takes among those it fits, or None; as many as can be taken.

    A lot that has a place keeps having one, though it may move to let a later lot in. The lots that are placed are
    therefore the earliest that can be placed together (the independent sets of a transversal matroid), and places are
    tried in the order given.
    """
    holder: dict[int, int] = {}
    for lot in range(len(fits)):
        _place(lot, fits, holder, set())
    places: list[int | None] = [None] * len(fits)
    for place, lot in holder.items():
        places[lot] = place
    return places


def _place(lot: int, fits: Sequence[Sequence[int]], holder: dict[int, int], tried: set[int]) -> bool:
    """Give `lot` a place, moving others along an augmenting path; no deeper than there are places."""
    for place in fits[lot]:
        if place in tried:
            continue
        tried.add(place)
        if place not in holder or _place(holder[place], fits, holder, tried):
            holder[place] = lot
            return True
    return False
