"""The picture of a whole part of the network, as the node at its head can draw it: this node and everything below it.

What lives here: counts of nodes, resources, credits, freshness and links, put together from what the desk says. What
must not: pages; a person, or a credit count smaller than may be told (`federation/counts.py` has left those out).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, get_args

import msgspec

from federation.counts import SMALLEST, Counts
from federation.credits import OutcomeKind
from federation.naming import Level, is_below
from federation.search import SearchAnswer
from node import desk
from node.portal.branches import Branch, branches
from node.portal.provinces import NOWHERE, PROVINCES
from node.portal.visits import Visit

FACETS: Final = ("section", "audience", "industry")
VALUES_SHOWN: Final = 30
OLDEST_SHOWN: Final = 10
MINUTE_MS: Final = 60_000
AGES: Final[tuple[tuple[str, int], ...]] = (
    ("minutes", 5 * MINUTE_MS),
    ("hour", 60 * MINUTE_MS),
    ("day", 24 * 60 * MINUTE_MS),
    ("older", 2**60),
)
FEWER: Final = f"<{SMALLEST}"
"""How a total reads that may not be told."""


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """A province, or nowhere in particular: its nodes, and entries of their catalogues that are held here."""

    code: str
    zh: str
    en: str
    nodes: int
    entries: int
    heat: int = 0


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a table; `told` is the number, or no more than how much it can be where it is left out."""

    key: str
    count: int | None
    told: str


class Credits(msgspec.Struct, frozen=True, kw_only=True):
    """`is_told` unless there are fewer than SMALLEST in all; `withheld`: what the cells left out come to."""

    total: str
    is_told: bool
    kinds: tuple[Share, ...]
    kinds_withheld: int
    levels: tuple[Share, ...]
    levels_withheld: int
    reports: int
    oldest_report: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One direct child with all that is below it, or another node that something waits for.

    `entries` of logs received through it; `age_ms` since its own logs were last confirmed.
    """

    name: str
    entries: int
    age_ms: int | None
    waiting: int
    waiting_ms: int
    last_error: str


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    top: str
    is_root: bool
    at_ms: int
    nodes: int
    silent: int
    levels: tuple[tuple[str, int], ...]
    statuses: tuple[tuple[str, int], ...]
    regions: tuple[Region, ...]
    resources: int
    is_exact: bool
    facets: dict[str, tuple[Share, ...]]
    credits: Credits
    ages: tuple[tuple[str, int], ...]
    oldest: tuple[tuple[str, int], ...]
    links: tuple[Link, ...]


async def picture(visit: Visit) -> Picture:
    state = await visit.ask("node.status", desk.Nothing(), desk.NodeState)
    outbox = await visit.ask("outbox.show", desk.Nothing(), desk.Outbox)
    peers = await visit.ask("node.peers", desk.Nothing(), desk.Peers)
    counted = await visit.ask("ledger.counts", desk.Nothing(), desk.CountsShown)
    asked = msgspec.convert({"text": "", "scope": "subtree", "under": state.name, "limit": 1}, desk.SearchAsked)
    found = await visit.ask("search", asked, SearchAnswer)
    nodes = await branches(visit, state, outbox)
    others = [one for one in nodes if one.depth]
    return Picture(
        top=state.name,
        is_root=state.parent is None,
        at_ms=state.now_ms,
        nodes=len(nodes),
        silent=sum(not one.confirmed_at_ms for one in others),
        levels=tuple((level, sum(one.description.level == level for one in nodes)) for level in get_args(Level)),
        statuses=tuple(sorted(Counter(one.status for one in nodes).items())),
        regions=_regions(nodes),
        resources=found.total,
        is_exact=found.total_is_exact and found.facets_are_exact,
        facets={facet: _facet(found, facet) for facet in FACETS},
        credits=_credits(counted.told, counted.below),
        ages=_ages(state),
        oldest=_oldest(others, state.now_ms),
        links=_links(state, others, outbox, peers),
    )


def _regions(nodes: Sequence[Branch]) -> tuple[Region, ...]:
    """Every province, also those without a node; a node without a code stands where the one above it does."""
    place: dict[str, str] = {}
    held: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    for one in nodes:
        code = (one.description.division_code or "")[:2]
        code = code if code in PROVINCES else place.get(one.parent or "", NOWHERE)
        place[one.name] = code
        held[code] += 1
        entries[code] += one.entries or 0
    most = max((held[code] for code in PROVINCES), default=0)
    named = [*PROVINCES.items(), *([(NOWHERE, ("", ""))] if held[NOWHERE] else [])]
    return tuple(
        Region(code=code, zh=zh, en=en, nodes=held[code], entries=entries[code], heat=_heat(held[code], most))
        for code, (zh, en) in named
    )


def _heat(count: int, most: int) -> int:
    """Of four shades, the lightest that shows how much it is of the most; 0 for none."""
    return 0 if not count else min(4, 1 + (4 * count - 1) // max(1, most)) if most > 1 else 2


def _facet(found: SearchAnswer, facet: str) -> tuple[Share, ...]:
    counts = sorted((one for one in found.facets if one.facet == facet), key=lambda one: (-one.count, one.value))
    return tuple(Share(key=one.value, count=one.count, told=f"{one.count:,}") for one in counts[:VALUES_SHOWN])


def _credits(told: Counts, below: Sequence[Counts]) -> Credits:
    return Credits(
        total=f"{told.total:,}" if told.total else FEWER,
        is_told=bool(told.total),
        kinds=_cells(told.kinds.cells.items(), told.kinds.withheld, get_args(OutcomeKind)),
        kinds_withheld=told.kinds.withheld,
        levels=_cells(told.levels.cells.items(), told.levels.withheld, ()),
        levels_withheld=told.levels.withheld,
        reports=len(below),
        oldest_report=min((one.day.isoformat() for one in below), default=""),
    )


def _cells(cells: Iterable[tuple[str, int]], withheld: int, known: Sequence[str]) -> tuple[Share, ...]:
    """The cells that may be told, and of a closed list those that may not: those come to no more than all of them."""
    shown = [Share(key=key, count=count, told=f"{count:,}") for key, count in cells]
    told = {one.key for one in shown}
    left_out = [Share(key=key, count=None, told=f"≤{withheld:,}") for key in known if withheld and key not in told]
    return (*sorted(shown, key=lambda one: -(one.count or 0)), *left_out)


def _ages(state: desk.NodeState) -> tuple[tuple[str, int], ...]:
    """How many logs of other nodes were confirmed how long ago; the last is those that never were."""
    held: Counter[str] = Counter()
    for log in state.logs:
        if is_below(log.origin, state.name):
            age_ms = state.now_ms - log.confirmed_at_ms
            held[next(name for name, most in AGES if age_ms < most) if log.confirmed_at_ms else "never"] += 1
    return tuple((name, held[name]) for name in (*(name for name, _ in AGES), "never"))


def _oldest(others: Sequence[Branch], now_ms: int) -> tuple[tuple[str, int], ...]:
    ages = [(one.name, now_ms - one.confirmed_at_ms) for one in others if one.confirmed_at_ms]
    return tuple(sorted(ages, key=lambda one: -one[1])[:OLDEST_SHOWN])


def _links(state: desk.NodeState, others: Sequence[Branch], outbox: desk.Outbox, peers: desk.Peers) -> tuple[Link, ...]:
    """The busiest first."""
    children = {one.name: one for one in others if one.parent == state.name}
    waiting: Mapping[str, desk.OutboxNode] = {one.to: one for one in outbox.nodes}
    errors = {one.name: one.last_error for one in peers.peers if one.last_failure_ms > one.last_success_ms}
    through = _through(state)
    links = []
    for name in dict.fromkeys((*children, *waiting)):
        child, held = children.get(name), waiting.get(name)
        confirmed_at_ms = child.confirmed_at_ms if child else None
        links.append(
            Link(
                name=name,
                entries=through.get(name, 0),
                age_ms=state.now_ms - confirmed_at_ms if confirmed_at_ms else None,
                waiting=held.waiting if held else 0,
                waiting_ms=outbox.now_ms - held.oldest_at_ms if held and held.oldest_at_ms else 0,
                last_error=errors.get(name) or (held.last_error if held else ""),
            )
        )
    return tuple(sorted(links, key=lambda one: (-one.entries, one.name)))


def _through(state: desk.NodeState) -> Mapping[str, int]:
    """Entries held of each direct child and all below it."""
    held: Counter[str] = Counter()
    for log in state.logs:
        if is_below(log.origin, state.name):
            label = log.origin.removesuffix(f".{state.name}").rpartition(".")[2]
            held[f"{label}.{state.name}"] += log.size
    return held
