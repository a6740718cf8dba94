"""Answering: what other nodes ask of the logs held here.

What lives here: which logs are held for a child, pages of this node's own logs, the stream of their checkpoints, and
what a receipt says of this node's own copy. What must not: taking pages in (`accepting.py`).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

from federation.errors import NotFound
from federation.logs import ENTRIES_MAX, TOPICS, LogId, Page, Topic, take_page
from federation.naming import NodeName, is_within
from node.ports import Clock, HeldLog, Holding, LogHeadNote, Store, StoredLog, Transaction
from node.usecases.cutting import Cutting

HELD_MAX = 2_000
WATCH_BEAT_S = 120.0


class Answering:
    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        own_name: NodeName,
        root: NodeName,
        indexed: Callable[[], Mapping[NodeName, int]],
    ) -> None:
        """`indexed`: for each publisher, the size of its catalogue log that is searchable here."""
        self._store = store
        self._clock = clock
        self._own_name = own_name
        self._indexed = indexed
        self._cutting = Cutting(own_name=own_name, root=root)
        self._grown = asyncio.Condition()

    async def news(self) -> None:
        """Some log grew: wake every watcher."""
        async with self._grown:
            self._grown.notify_all()

    async def held(self, caller: NodeName, after: str) -> tuple[Sequence[HeldLog], bool]:
        """The logs of `caller` and of those below it, after the origin line `after`; True when there are more."""
        stored = await self._store.read(lambda tx: tuple(tx.logs.all()))
        theirs = sorted(
            (log for log in stored if is_within(NodeName(log.log.origin), caller) and log.log.origin_line > after),
            key=lambda log: log.log.origin_line,
        )
        told = [
            HeldLog(log=log.log, size=log.head.size, confirmed_at_ms=log.confirmed_at_ms) for log in theirs[:HELD_MAX]
        ]
        return told, len(theirs) > HELD_MAX

    async def read(self, caller: NodeName, topic: str, start: int, limit: int) -> Page:
        """A page of this node's own log as `caller` may see it; an empty one at the end, which confirms it."""
        del limit  # a page is bounded anyway, and a longer one saves a round trip
        log = self._own_log(topic)
        return await self._store.read(lambda tx: self._page(tx, log, start, caller))

    async def recall(self, caller: NodeName, topic: str, start: int) -> Page:
        """Entries of the caller's own log as they are held here, under the note that is held; without a proof, since
        the note may promise more than ever arrived. Raises NotFound.
        """
        log = LogId(origin=caller, topic=self._own_log(topic).topic)

        def unit(tx: Transaction) -> Page:
            stored = tx.logs.get(log)
            if stored is None:
                raise NotFound(log.origin_line, "nothing of this log is held here")
            entries = take_page(tx.logs.entries(log, start, ENTRIES_MAX) if start < stored.head.size else ())
            return Page(log=log, start=start, entries=entries, checkpoint_note=stored.note)

        return await self._store.read(unit)

    async def watch(self, topics: Sequence[str]) -> AsyncGenerator[LogHeadNote, None]:
        """The node's own checkpoints, now and at each change; repeated now and then to show that the line is alive."""
        logs = [self._own_log(topic) for topic in topics]
        told: dict[LogId, bytes] = {}
        while True:
            for log in logs:
                stored = await self._store.read(lambda tx, log=log: tx.logs.get(log))  # type: ignore[misc]
                if stored is not None and stored.note and told.get(log) != stored.note:
                    told[log] = stored.note
                    yield LogHeadNote(log=log, note=stored.note)
            try:
                async with asyncio.timeout(WATCH_BEAT_S), self._grown:
                    await self._grown.wait()
            except TimeoutError:
                told.clear()

    def own_holding(self, log: LogId, size: int) -> Holding:
        """What this node says of its own copy in a receipt."""
        indexed = self._indexed().get(NodeName(log.origin), 0) if log.topic == "catalogue" else size
        return Holding(log=log, holder=self._own_name, size=size, indexed=indexed, at_ms=self._clock.now_ms())

    def _own_log(self, topic: str) -> LogId:
        known: Topic | None = next((one for one in TOPICS if one == topic), None)
        if known is None:
            raise NotFound(topic[:64], f"the logs of a node are {', '.join(TOPICS)}")
        return LogId(origin=self._own_name, topic=known)

    def _page(self, tx: Transaction, log: LogId, start: int, viewer: NodeName) -> Page:
        stored: StoredLog | None = tx.logs.get(log)
        if stored is None or not stored.note:
            raise NotFound(log.origin_line, "this log has no entries yet")
        return self._cutting.page(tx, stored, min(start, stored.head.size), viewer=viewer)
