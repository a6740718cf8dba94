"""Whether a set of rules multiplies credits.

What lives here: the search for a chain of conversions that ends where it began with more. What must not: floats, or a
judgement that hangs on a learner.

How much a rule gives is judged by its most favourable ratio ρ: all that its targets may give together, for the least
that its sources must bring together. If no cycle of rules multiplies its ρ to more than 1, every sort of credit has a
worth that no conversion increases: let the worth of a target be at most 1/ρ of that of each source (Bellman and Ford
find such worths exactly where there is no such cycle); then the targets, at most ρ times the sources, are worth at
most the sources. Sources may therefore be summed: turning three courses into a certificate, and a certificate into
three courses, is no gain.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Final

from federation.conversion_rules import ConversionRule, Source, Target
from federation.naming import is_within

_JUMPS_MAX: Final = 64  # of a rounding, looked at one by one; beyond them an upper bound is taken

Edges = dict[int, dict[int, Fraction | None]]
"""From vertex to vertex, the ratio on the way; None where something comes of nothing."""


def find_gain_cycle(rules: Iterable[ConversionRule]) -> tuple[str, ...] | None:
    """A chain of rules ("id@version") that gives back more than it took, or None.

    Every rule given counts, whenever it is valid and whether or not it takes converted credits: a set of rules is sound
    by itself. Exact arithmetic; the same answer for the same rules in any order.
    """
    ordered = sorted(rules, key=lambda rule: (rule.id, rule.version))
    edges = _edges(ordered)
    for component in _components(edges):
        if (cycle := _gain_in(component, edges)) is not None:
            named = [ordered[vertex].reference for vertex in cycle if vertex < len(ordered)]
            first = named.index(min(named))
            return (*named[first:], *named[:first])
    return None


# --- how much a rule gives -------------------------------------------------------------------------------------------


def best_ratio(rule: ConversionRule) -> Fraction | None:
    """The most that a rule gives for each hundredth it takes; None if it may give for nothing.

    A rule that consumes nothing and takes converted credits can be gone round for ever, whatever its ratio.
    """
    if rule.consumption == "none" and rule.converted_sources:
        return None
    least = sum(source.minimum_amount * source.count for source in rule.sources)
    total = Fraction(0)
    for target in rule.targets:
        if target.ratio is not None:
            total += _rounded_up(target.ratio.fraction, rule, max(least, 1))
        elif most := _most_fixed(target):
            if least == 0:
                return None
            total += Fraction(most, least)
    return total


def _most_fixed(target: Target) -> int:
    return max([target.amount or 0, *(row.amount for row in target.table)])


def _rounded_up(ratio: Fraction, rule: ConversionRule, least: int) -> Fraction:
    """The best of `rounded(n · ratio) / n` over all n from `least` on.

    Rounding up pays best where a step is just reached. With ratio g/t the steps repeat in shape after g of them, each
    time nearer to the ratio; so the first g steps decide. Of many, the first are looked at and the rest bounded.
    """
    if rule.rounding != "half_up":
        return ratio
    step = rule.step
    first = (2 * least * ratio.numerator + ratio.denominator * step) // (2 * ratio.denominator * step)
    best = max(ratio, Fraction(first * step, least))
    jumps = range(first + 1, first + 1 + min(ratio.numerator, _JUMPS_MAX))
    for k in jumps:
        reached = -(-(2 * k - 1) * step * ratio.denominator // (2 * ratio.numerator))
        best = max(best, Fraction(k * step, reached))
    if ratio.numerator > _JUMPS_MAX:
        best = max(best, ratio * Fraction(2 * jumps.stop, 2 * jumps.stop - 1))
    return best


# --- which rule feeds which ------------------------------------------------------------------------------------------


def _edges(rules: Sequence[ConversionRule]) -> Edges:
    """Vertices: the rules, then one for each sort of source, so that many rules on one sort stay few edges."""
    sorts: dict[Source, int] = {}
    edges: Edges = {at: {} for at in range(len(rules))}
    for at, rule in enumerate(rules):
        for source in rule.sources:
            vertex = sorts.setdefault(_sort_of(source), len(rules) + len(sorts))
            edges.setdefault(vertex, {})[at] = Fraction(1)
    index = _SortIndex(sorts)
    for at, rule in enumerate(rules):
        ratio = best_ratio(rule)
        if ratio is None or ratio > 0:
            edges[at] = {vertex: ratio for target in rule.targets for vertex in index.fed_by(target, rule.authority)}
    return edges


def _sort_of(source: Source) -> Source:
    """What decides whether a converted credit may be taken, without the rest."""
    return Source(
        name="-",
        achievements=tuple(sorted(source.achievements)),
        issuers=tuple(sorted(source.issuers)),
        issuers_within=tuple(sorted(source.issuers_within)),
        kinds=tuple(sorted(source.kinds)),
        unit=source.unit,
        level_scheme=source.level_scheme,
    )


class _SortIndex:
    """Which sorts of source may take a target, found by its achievement's id and the beginnings of it."""

    def __init__(self, sorts: dict[Source, int]) -> None:
        self._by_pattern: dict[str, list[tuple[Source, int]]] = {}
        for sort, vertex in sorts.items():
            for pattern in sort.achievements or ("*",):
                self._by_pattern.setdefault(pattern, []).append((sort, vertex))

    def fed_by(self, target: Target, authority: str) -> Iterator[int]:
        name = target.achievement
        for pattern in (name, *(f"{name[:end]}*" for end in range(len(name) + 1))):
            for sort, vertex in self._by_pattern.get(pattern, ()):
                if _may_take(sort, target, authority):
                    yield vertex


def _may_take(sort: Source, target: Target, authority: str) -> bool:
    """Whether some node at or below `authority` could issue `target` so that the sort takes it."""
    return (
        sort.unit == target.unit
        and (not sort.kinds or target.kind in sort.kinds)
        and (sort.level_scheme is None or (target.level is not None and target.level.scheme == sort.level_scheme))
        and (
            not (sort.issuers or sort.issuers_within)
            or any(is_within(issuer, authority) for issuer in sort.issuers)
            or any(is_within(each, authority) or is_within(authority, each) for each in sort.issuers_within)
        )
    )


# --- cycles ----------------------------------------------------------------------------------------------------------


def _gain_in(component: Sequence[int], edges: Edges) -> list[int] | None:
    inside = set(component)
    within = {
        vertex: {to: ratio for to, ratio in edges[vertex].items() if to in inside} for vertex in sorted(component)
    }
    ratios = [(vertex, to, ratio) for vertex, ways in within.items() for to, ratio in ways.items()]
    if endless := next(((vertex, to) for vertex, to, ratio in ratios if ratio is None), None):
        return _path(within, endless[1], endless[0])
    if all(ratio is None or ratio <= 1 for _, _, ratio in ratios):
        return None
    return _multiplying(within)


def _path(within: Edges, start: int, end: int) -> list[int]:
    """The shortest way between two vertices of one component."""
    came: dict[int, int] = {start: start}
    waiting = deque([start])
    while end not in came:
        vertex = waiting.popleft()
        for to in within[vertex]:
            if to not in came:
                came[to] = vertex
                waiting.append(to)
    return _back_to(came, start, end)


def _back_to(came: dict[int, int], start: int, end: int) -> list[int]:
    way = [end]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]


def _multiplying(within: Edges) -> list[int] | None:
    """Bellman and Ford with products in place of sums: a cycle of predecessors is a cycle of more than 1.

    Vertices are gone through in the order of a walk, so that a long chain is done in one round and rounds are few.
    """
    walk = _finished(within)[::-1]
    best = dict.fromkeys(walk, Fraction(1))
    came: dict[int, int] = {}
    changed = set(walk)
    while changed:
        for vertex in walk:
            if vertex in changed:
                changed.remove(vertex)
                for to, ratio in within[vertex].items():
                    if ratio is not None and (reached := best[vertex] * ratio) > best[to]:
                        best[to], came[to] = reached, vertex
                        changed.add(to)
        if (cycle := _cycle_of(came)) is not None:
            return cycle
    return None


def _cycle_of(came: dict[int, int]) -> list[int] | None:
    """A cycle among predecessors, in the direction of conversion."""
    seen: dict[int, int] = {}
    for start in came:
        vertex = start
        while vertex in came and vertex not in seen:
            seen[vertex] = start
            vertex = came[vertex]
        if seen.get(vertex) == start:
            way = [vertex]
            while came[way[-1]] != vertex:
                way.append(came[way[-1]])
            return way[::-1]
    return None


def _components(edges: Edges) -> Iterator[list[int]]:
    """Strongly connected components of two vertices and more (Kosaraju); a rule and its own source are two."""
    back: dict[int, list[int]] = {vertex: [] for vertex in edges}
    for vertex, ways in edges.items():
        for to in ways:
            back[to].append(vertex)
    assigned: set[int] = set()
    for root in reversed(_finished(edges)):
        component = [] if root in assigned else [root]
        assigned.add(root)
        for vertex in component:  # it grows while it is walked
            fresh = [to for to in back[vertex] if to not in assigned]
            assigned.update(fresh)
            component += fresh
        if len(component) > 1:
            yield component


def _finished(edges: Edges) -> list[int]:
    """All vertices in the order in which a walk into depth is done with them; without recursion."""
    finished: list[int] = []
    seen: set[int] = set()
    for root in edges:
        work = [] if root in seen else [(root, iter(edges[root]))]
        seen.add(root)
        while work:
            vertex, ways = work[-1]
            if (to := next((to for to in ways if to not in seen), None)) is None:
                finished.append(vertex)
                work.pop()
            else:
                seen.add(to)
                work.append((to, iter(edges[to])))
    return finished
