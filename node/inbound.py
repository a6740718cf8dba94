"""What other nodes ask of this one, each question given to its use case.

What lives here: the inbound side that `node/rpc/services.py` calls. What must not: any decision beyond whose matter
it is.
"""

from collections.abc import AsyncGenerator, Callable, Sequence

from federation.directory import NodeDescription, Standing
from federation.errors import LlnError
from federation.logs import Page
from federation.naming import NodeName, is_within
from federation.search import SearchAnswer, SearchRequest
from node.ports import (
    Answered,
    Clock,
    HeldLog,
    HeldStatusList,
    Index,
    LogHeadNote,
    PostItem,
    PushReceipt,
    Resolved,
    ShownProof,
    Write,
)
from node.usecases.accepting import Accepting, with_own_holding
from node.usecases.admitting import Admitting
from node.usecases.answering import Answering
from node.usecases.bundling import Bundling
from node.usecases.converting import Converting
from node.usecases.dealings import Dealings
from node.usecases.listing import Listing
from node.usecases.moving import Moving
from node.usecases.presenting import Presenting
from node.usecases.receiving import Receiving
from node.usecases.reconciling import Reconciling
from node.usecases.resolving import Resolving
from node.usecases.ruling import Ruling
from node.usecases.searching import Searching


class InboundDirectory:
    def __init__(self, *, resolving: Resolving, admitting: Admitting, moving: Moving) -> None:
        self._resolving = resolving
        self._admitting = admitting
        self._moving = moving

    async def resolve(self, caller: NodeName, name: NodeName, hops_left: int, at_ms: int) -> Resolved:
        return await self._resolving.resolve(caller, name, hops_left, at_ms)

    async def renew(
        self, caller: NodeName, signing_request: bytes, write: Write[tuple[bytes, ...]]
    ) -> tuple[bytes, ...]:
        return await self._admitting.renew(caller, signing_request, write)

    async def describe(self, caller: NodeName, description: NodeDescription, write: Write[Standing]) -> Standing:
        return await self._admitting.describe(caller, description, write)

    async def move(self, caller: NodeName, chain: tuple[bytes, ...], write: Write[Standing]) -> Standing:
        return await self._moving.record(caller, chain, write)


class InboundLogs:
    def __init__(self, *, accepting: Accepting, answering: Answering, dealings: Dealings) -> None:
        self._accepting = accepting
        self._answering = answering
        self._dealings = dealings

    async def held(self, caller: NodeName, after: str) -> tuple[Sequence[HeldLog], bool]:
        self._dealings.succeeded(caller)
        return await self._answering.held(caller, after)

    async def push(self, caller: NodeName, page: Page, confirmed_at_ms: int) -> PushReceipt:
        try:
            receipt = await self._accepting.accept_pushed(caller, page, confirmed_at_ms)
        except LlnError as refusal:
            self._dealings.failed(caller, refusal)
            raise
        self._dealings.succeeded(caller)
        return with_own_holding(receipt, self._answering.own_holding(page.log, receipt.size))

    async def read(self, caller: NodeName, topic: str, start: int, limit: int) -> Page:
        return await self._answering.read(caller, topic, start, limit)

    async def recall(self, caller: NodeName, topic: str, start: int) -> Page:
        return await self._answering.recall(caller, topic, start)

    def watch(self, topics: Sequence[str]) -> AsyncGenerator[LogHeadNote, None]:
        return self._answering.watch(topics)


class InboundCredits:
    def __init__(
        self,
        *,
        converting: Converting,
        listing: Listing,
        ruling: Ruling,
        presenting: Presenting,
        bundling: Bundling,
        reconciling: Reconciling,
    ) -> None:
        self._presenting = presenting
        self._bundling = bundling
        self._converting = converting
        self._listing = listing
        self._ruling = ruling
        self._reconciling = reconciling

    async def preview(self, caller: NodeName, request: bytes) -> bytes:
        return await self._converting.preview(caller, request)

    async def status_list(self, list_id: str) -> HeldStatusList:
        return await self._listing.status_list(list_id)

    async def find_rules(self, text: str, limit: int) -> Sequence[bytes]:
        return await self._ruling.answer(text, limit)

    async def proof(self, caller: NodeName, code: str) -> ShownProof:
        return await self._presenting.look(caller, code)

    async def inclusion(self, log_index: int, leaf_hash: bytes) -> bytes:
        return await self._bundling.own_inclusion(log_index, leaf_hash)

    async def reconcile(self, caller: NodeName, asked: bytes) -> bytes:
        return await self._reconciling.answer(caller, asked)


class InboundCatalogue:
    """`statistics`: worked out once a day at most, whoever asks."""

    def __init__(
        self, *, searching: Searching, index: Index, clock: Clock, statistics_every_s: float, worth: Callable[[], int]
    ) -> None:
        self._searching = searching
        self._index = index
        self._clock = clock
        self._every_ms = int(statistics_every_s * 1_000)
        self._worth = worth
        self._statistics: tuple[bytes, int, int] | None = None

    async def answer(self, caller: NodeName, request: SearchRequest) -> SearchAnswer:
        return await self._searching.answer(caller, request)

    async def statistics(self) -> tuple[bytes, int]:
        now_ms, records = self._clock.now_ms(), self._worth()
        held = self._statistics
        grown = held is not None and records > 2 * held[2]
        if held is None or grown or now_ms - held[1] > self._every_ms:
            held = self._statistics = (await self._index.statistics(), now_ms, records)
        return held[0], held[1]


class InboundPost:
    """What must arrive here, and word of whom to try again."""

    def __init__(self, *, receiving: Receiving, heard_from: Callable[[NodeName], None]) -> None:
        self._receiving = receiving
        self._heard_from = heard_from

    async def deliver(
        self, caller: NodeName, key: str, items: Sequence[PostItem], write: Write[Sequence[Answered]]
    ) -> Sequence[Answered]:
        return await self._receiving.deliver(caller, key, items, write)

    def heard_up(self, caller: NodeName, name: NodeName) -> None:
        """Only an authority above it can know; anybody else's word changes nothing."""
        if is_within(name, caller):
            self._heard_from(name)
