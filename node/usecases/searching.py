"""Searching: one question, asked of this node's own index and of the one ancestor that holds all that is in scope.

What lives here: whom to ask, under one deadline that shrinks with every hop; merging; and what the answer lacks. What
must not: the index (`node/index`), scores and folding (`federation`). Index up, query near (docs/search.md).
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from federation.catalogue import TOPIC
from federation.errors import LlnError, PeerRefused, RefusedCall
from federation.logs import LogId
from federation.merging import add_facets, merge, page
from federation.naming import NodeName, is_within, parent_of
from federation.scoring import MalformedStatistics, statistics_for
from federation.search import (
    HITS_MAX,
    OFFSET_MAX,
    SILENT_NAMED_MAX,
    Coverage,
    Hit,
    Outcome,
    SearchAnswer,
    SearchRequest,
    SourceStatus,
    TermStatistics,
    is_in_scope,
)
from node.ports import Clock, Index, Peers, Store
from node.usecases.dealings import Dealings
from node.usecases.vouching import Vouching

STALE_MS: Final = 24 * 3_600_000
HIDDEN_MS: Final = 180 * 24 * 3_600_000
CANDIDATES_LEAST: Final = 50
STATISTICS_NOTE: Final = "statistics of the parent"


class AskedForOthers(RefusedCall):
    code = "LLN-2203"
    zh = "节点只能替自己或下级提问。"
    en = "A node may ask only for itself and for those below it."


class Searching:
    def __init__(
        self,
        *,
        index: Index,
        store: Store,
        peers: Peers,
        vouching: Vouching,
        clock: Clock,
        dealings: Dealings,
        own_name: NodeName,
        root: NodeName,
        timeout_s: float,
        hop_margin_s: float,
        siblings_asked_max: int,
    ) -> None:
        self._index = index
        self._store = store
        self._peers = peers
        self._vouching = vouching
        self._clock = clock
        self._dealings = dealings
        self._own_name = own_name
        self._root = root
        self._parent = parent_of(own_name, root)
        self._timeout_s = timeout_s
        self._hop_margin_s = hop_margin_s
        self._siblings_asked_max = siblings_asked_max

    async def search(self, request: SearchRequest) -> SearchAnswer:
        """What this node's own people get: its index and, beside it, one call upward; merged, folded, one page."""
        request = self._followed(request)
        owner = self._owner(request)
        wide = msgspec.structs.replace(request, limit=self._wanted(request), offset=0)
        if owner == self._own_name:
            local = await self._local(wide)
            return _paged(local, merge([local.hits]), request)
        told = await self._ask_upward(owner, wide)
        shared = max(told.answers, key=_reach, default=None)
        statistics = shared.statistics if shared else await self._last_statistics(wide)
        alike = msgspec.structs.replace(wide, statistics=statistics)
        async with asyncio.TaskGroup() as together:
            here = together.create_task(self._local(alike))
            between = [together.create_task(self._ask_between(name, alike)) for name in self._between(request, told)]
        told = _joined(told, [task.result() for task in between])
        return self._merged(request, here.result(), told)

    async def answer(self, caller: NodeName, request: SearchRequest) -> SearchAnswer:
        """What another node gets: from this index if it owns what is asked, else from the ancestor that does."""
        asker = NodeName(request.asker)
        if not is_within(asker, caller):
            raise AskedForOthers(caller, f"asked for {asker}")
        request = self._followed(request)
        owner = self._owner(request)
        beyond = is_within(self._own_name, owner) and owner != self._own_name
        if not beyond or not request.hops_left or self._is_sibling(caller):
            return await self._local(request)
        onward = msgspec.structs.replace(request, hops_left=request.hops_left - 1)
        told = await self._ask_upward(owner, onward)
        if not told.answers:
            local = await self._local(request)
            return msgspec.structs.replace(local, sources=(*local.sources, *told.sources))
        return msgspec.structs.replace(told.answers[0], sources=told.sources[:256])

    def _followed(self, request: SearchRequest) -> SearchRequest:
        """Below a node that has moved means below where it is now; whoever holds its former directory knows."""
        if request.under is None:
            return request
        return msgspec.structs.replace(request, under=self._vouching.current_name(NodeName(request.under)))

    # --- near --------------------------------------------------------------------------------------------------------

    async def _local(self, request: SearchRequest) -> SearchAnswer:
        """The own index, with the age of each copy, and whose catalogue in scope it lacks."""
        started = self._clock.monotonic_s()
        found = await self._index.search(
            request,
            viewer=NodeName(request.asker),
            candidates=min(max(CANDIDATES_LEAST, 2 * (request.offset + request.limit)), HITS_MAX + OFFSET_MAX),
        )
        confirmed = await self._confirmed(hit.publisher for hit in found.hits)
        now_ms = self._clock.now_ms()
        hits = tuple(self._aged(hit, confirmed, now_ms) for hit in found.hits if self._is_shown(hit, confirmed, now_ms))
        coverage = await self._coverage(request, found.coverage.records)
        status = SourceStatus(
            node=self._own_name,
            outcome="ok" if hits else "empty",
            hits=len(hits),
            ms=int((self._clock.monotonic_s() - started) * 1_000),
            index_position=sum(self._index.positions().values()),
            age_s=max((hit.age_s or 0 for hit in hits), default=0),
        )
        return msgspec.structs.replace(found, hits=hits[: HITS_MAX + OFFSET_MAX], sources=(status,), coverage=coverage)

    async def _confirmed(self, publishers: Iterable[str]) -> dict[str, int]:
        names = {NodeName(name) for name in publishers}
        logs = [LogId(origin=name, topic=TOPIC) for name in names if name != self._own_name]
        stored = await self._store.read(lambda tx: [tx.logs.get(log) for log in logs]) if logs else []
        return {log.log.origin: log.confirmed_at_ms for log in stored if log is not None}

    def _aged(self, hit: Hit, confirmed: dict[str, int], now_ms: int) -> Hit:
        if hit.publisher == self._own_name:
            return hit
        age_s = max(0, now_ms - confirmed.get(hit.publisher, 0)) // 1_000
        return msgspec.structs.replace(hit, age_s=age_s)

    def _is_shown(self, hit: Hit, confirmed: dict[str, int], now_ms: int) -> bool:
        """A source silent for 180 days is hidden, never deleted."""
        return hit.publisher == self._own_name or now_ms - confirmed.get(hit.publisher, 0) < HIDDEN_MS

    async def _coverage(self, request: SearchRequest, records: int) -> Coverage:
        in_scope = [name for name in self._known_nodes() if is_in_scope(name, request, root=self._root)]
        confirmed = await self._confirmed(in_scope)
        oldest_ms = self._clock.now_ms() - STALE_MS
        silent = [name for name in in_scope if name != self._own_name and confirmed.get(name, 0) < oldest_ms]
        return Coverage(
            records=records,
            nodes_answered=len(in_scope) - len(silent),
            nodes_in_scope=len(in_scope),
            silent=tuple(silent[:SILENT_NAMED_MAX]),
        )

    def _known_nodes(self) -> Sequence[NodeName]:
        below = [one.name for one in self._vouching.standings() if one.status in ("active", "suspended")]
        return (self._own_name, *(name for name in below if is_within(name, self._own_name) and name != self._own_name))

    # --- far ---------------------------------------------------------------------------------------------------------

    def _owner(self, request: SearchRequest) -> NodeName:
        """The lowest node whose index holds everything in the asked scope."""
        asker = NodeName(request.asker)
        if request.scope in ("network", "public"):
            return self._root
        if request.scope == "siblings":
            return parent_of(asker, self._root) or asker
        if request.scope == "subtree" and request.under and is_within(asker, request.under):
            return NodeName(request.under)
        return asker if request.scope != "subtree" or not request.under else self._root

    def _is_sibling(self, caller: NodeName) -> bool:
        return parent_of(caller, self._root) == self._parent

    async def _ask_upward(self, owner: NodeName, request: SearchRequest) -> "_Told":
        """The owner itself where it can be dialled, else the parent hop by hop, else the nearest siblings."""
        sources: list[SourceStatus] = []
        roads = [name for name in dict.fromkeys((owner, self._parent)) if name and self._peers.can_dial(name)]
        deadline_s = self._clock.monotonic_s() + self._timeout_s - self._hop_margin_s
        for name in roads:
            left_s = deadline_s - self._clock.monotonic_s()
            share_s = left_s / 2 if name != roads[-1] else left_s
            told = await self._ask(name, request, max(0.05, share_s))
            if told.answers:
                return _Told(answers=told.answers, sources=(*sources, *told.sources))
            sources.extend(told.sources)
        if not roads:
            sources.append(_status(owner, "unreachable", "no address is known for it"))
        if request.hops_left == 0 or not self._siblings_asked_max:
            return _Told(answers=(), sources=tuple(sources))
        near = await self._ask_siblings(request)
        return msgspec.structs.replace(near, sources=(*sources, *near.sources))

    def _between(self, request: SearchRequest, told: "_Told") -> Sequence[NodeName]:
        """The authorities between this node and the root, for a question to the whole network: what they share with
        those below them alone is in no index above. Nobody, where everything above is out of reach.
        """
        if request.scope != "network" or told.beside or not told.answers:
            return ()
        found, name = [], self._parent
        while name is not None and name != self._root:
            found.append(name)
            name = parent_of(name, self._root)
        return [name for name in found if self._peers.can_dial(name)]

    async def _ask_between(self, name: NodeName, request: SearchRequest) -> "_Told":
        """What one of them holds itself; it asks nobody else."""
        return await self._ask(name, msgspec.structs.replace(request, hops_left=0), self._timeout_s / 2)

    async def _ask_siblings(self, request: SearchRequest) -> "_Told":
        """With everything above out of reach: the siblings that can be dialled, all at once, for what they hold."""
        able = [one.name for one in self._vouching.siblings() if one.status == "active"]
        names = [name for name in able if self._peers.can_dial(name)][: self._siblings_asked_max]
        statistics = request.statistics or await self._last_statistics(request)
        own_people = msgspec.structs.replace(request, asker=self._own_name, hops_left=0, statistics=statistics)
        async with asyncio.TaskGroup() as together:
            asked = [together.create_task(self._ask(name, own_people, self._timeout_s / 2)) for name in names]
        results = [task.result() for task in asked]
        return _Told(
            answers=tuple(answer for told in results for answer in told.answers),
            sources=tuple(source for told in results for source in told.sources),
            beside=True,
        )

    async def _ask(self, name: NodeName, request: SearchRequest, timeout_s: float) -> "_Told":
        started = self._clock.monotonic_s()
        try:
            found = await self._peers.search(name, request, timeout_s=timeout_s)
        except LlnError as failure:
            self._dealings.failed(name, failure)
            return _Told(answers=(), sources=(_status(name, _outcome(failure), str(failure)),))
        self._dealings.succeeded(name)
        ms = int((self._clock.monotonic_s() - started) * 1_000)
        said = next((source for source in found.sources if source.node == name), None)
        fresh = SourceStatus(node=name, outcome="ok" if found.hits else "empty", hits=len(found.hits))
        called = msgspec.structs.replace(said or fresh, ms=ms)
        return _Told(answers=(found,), sources=(*(s for s in found.sources if s.node != name), called))

    async def _last_statistics(self, request: SearchRequest) -> TermStatistics | None:
        """The parent's statistics as last fetched, for the terms of this request: so that siblings score alike.

        None where there are none yet, or not readable; each index then scores by its own.
        """
        noted = await self._store.read(lambda tx: tx.notes.get(STATISTICS_NOTE))
        if noted is None:
            return None
        own = await self._index.search(
            msgspec.structs.replace(request, limit=1, facets=False), viewer=self._own_name, candidates=1
        )
        try:
            return statistics_for(noted, own.statistics.frequencies)
        except MalformedStatistics:
            return None

    # --- together ----------------------------------------------------------------------------------------------------

    def _merged(self, request: SearchRequest, near: SearchAnswer, told: "_Told") -> SearchAnswer:
        """One page of all answers. Whoever above could not be asked is named as lacking, and nothing is exact then."""
        far, lacking = told.answers, _lacking(told.sources)
        widest = max(far, key=_reach, default=near)
        beside = [near, *far] if told.beside or not far else [widest]
        answered = sum(answer.coverage.nodes_answered for answer in beside)
        in_scope = sum(answer.coverage.nodes_in_scope for answer in beside)
        silent = dict.fromkeys((*(name for answer in beside for name in answer.coverage.silent), *lacking))
        coverage = Coverage(
            records=sum(answer.coverage.records for answer in beside),
            nodes_answered=answered,
            nodes_in_scope=in_scope + (len(lacking) if far else max(1, len(lacking))),
            silent=tuple(silent)[:SILENT_NAMED_MAX],
        )
        total, is_all = _total(widest, [answer for answer in (near, *far) if answer is not widest])
        whole = msgspec.structs.replace(
            widest,
            sources=(*near.sources, *told.sources)[:256],
            coverage=coverage,
            total=sum(answer.total for answer in beside) if told.beside else total,
            total_is_exact=widest.total_is_exact and coverage.is_whole and (told.beside or is_all),
            facets=widest.facets if len(beside) == 1 else add_facets(answer.facets for answer in beside),
            text_was_cut=widest.text_was_cut or near.text_was_cut,
        )
        return _paged(whole, merge([near.hits, *(answer.hits for answer in far)]), request)

    def _wanted(self, request: SearchRequest) -> int:
        """Folding takes hits away, so more are asked for than are shown."""
        return min(HITS_MAX, max(CANDIDATES_LEAST, 2 * (request.offset + request.limit)))


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    answers: tuple[SearchAnswer, ...]
    sources: tuple[SourceStatus, ...]
    beside: bool = False
    """Siblings answered, each for itself, in place of anybody above."""


def _joined(told: _Told, between: Sequence[_Told]) -> _Told:
    """The answer for the whole scope, with those of authorities between; whoever carried the question is named once."""
    answered = {source.node for part in between for source in part.sources}
    sources = [source for source in told.sources if source.node not in answered]
    return msgspec.structs.replace(
        told,
        answers=(*told.answers, *(answer for part in between for answer in part.answers)),
        sources=(*sources, *(source for part in between for source in part.sources)),
    )


def _lacking(sources: Sequence[SourceStatus]) -> tuple[NodeName, ...]:
    """Who was asked, by whichever road, and gave no answer at all."""
    answered = {source.node for source in sources if source.outcome in ("ok", "empty", "partial", "stale")}
    return tuple(dict.fromkeys(NodeName(source.node) for source in sources if source.node not in answered))


def _total(widest: SearchAnswer, others: Sequence[SearchAnswer]) -> tuple[int, bool]:
    """What the widest answer counts and what the others have beside it, and whether that is known: an answer with more
    than the hits it brought may have counted the same resources.
    """
    least = max(answer.total for answer in (widest, *others))
    if not any(answer.total for answer in others):
        return least, True
    beside = {hit.key for answer in others for hit in answer.hits} - {hit.key for hit in widest.hits}
    if any(answer.total > len(answer.hits) for answer in (widest, *others)):
        return least, not beside and least == widest.total
    return widest.total + len(beside), True


def _reach(answer: SearchAnswer) -> int:
    return answer.coverage.nodes_in_scope


def _paged(answer: SearchAnswer, cards: Sequence[Hit], request: SearchRequest) -> SearchAnswer:
    return msgspec.structs.replace(answer, hits=tuple(page(cards, limit=request.limit, offset=request.offset)))


def _status(node: NodeName, outcome: Outcome, detail: str) -> SourceStatus:
    return SourceStatus(node=node, outcome=outcome, detail=detail[:300])


def _outcome(failure: LlnError) -> Outcome:
    if isinstance(failure, PeerRefused):
        return "denied"
    if failure.code == "LLN-252":
        return "breaker_open"
    return "timeout" if "deadline" in failure.detail else "unreachable"
