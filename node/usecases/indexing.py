"""Indexing: what the catalogue logs held here say becomes searchable.

What lives here: the loop that brings the index to the end of every log, from wherever it stands. What must not: how an
index works (`node/index`). A crash leaves the index behind the logs; the next start brings it up.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from federation import catalogue
from federation.errors import Unavailable
from federation.logs import LogId
from federation.naming import NodeName
from node.ports import Clock, Index, Store, StoredLog, Transaction

ENTRIES_AT_ONCE = 1_000
TRY_AGAIN_S = 5.0


class Indexing:
    def __init__(
        self, *, store: Store, index: Index, clock: Clock, is_current: Callable[[NodeName], bool] = lambda _: True
    ) -> None:
        """`is_current`: whether what a publisher said is still to be found under that name."""
        self._store = store
        self._index = index
        self._clock = clock
        self.trouble: Unavailable | None = None
        """Why entries are not searchable at the moment, such as a full disk."""
        self._is_current = is_current
        self._grown: dict[NodeName, None] = {}
        self._looks_at_all = False
        self._wake = asyncio.Event()

    def wake(self, publishers: Iterable[NodeName] | None = None) -> None:
        """The catalogues of these may have grown, None: of anybody."""
        if publishers is None:
            self._looks_at_all = True
        else:
            self._grown.update(dict.fromkeys(publishers))
        self._wake.set()

    async def run(self) -> None:
        """Index what is new, for ever; what is in the way, such as a full disk, is waited out."""
        self._looks_at_all = True
        while True:
            grown, self._grown = self._grown, {}
            at_all, self._looks_at_all = self._looks_at_all, False
            self._wake.clear()
            try:
                await (self.catch_up() if at_all else self._catch_up_with(grown))
            except Unavailable as trouble:
                self.trouble = trouble
                self._looks_at_all = True
                await self._clock.sleep(TRY_AGAIN_S)
                continue
            self.trouble = None
            await self._wake.wait()

    async def catch_up(self) -> None:
        """Bring the index to the end of every catalogue log held here."""
        for stored in await self._store.read(lambda tx: tuple(tx.logs.all())):
            if stored.log.topic == catalogue.TOPIC:
                await self._bring_up(stored)

    async def _catch_up_with(self, publishers: Iterable[NodeName]) -> None:
        logs = [LogId(origin=name, topic=catalogue.TOPIC) for name in publishers]
        for stored in await self._store.read(lambda tx: [tx.logs.get(log) for log in logs]):
            if stored is not None:
                await self._bring_up(stored)

    async def _bring_up(self, stored: StoredLog) -> None:
        publisher = NodeName(stored.log.origin)
        if not self._is_current(publisher):
            if publisher in self._index.positions():
                await self._index.forget(publisher)
            return
        position = self._index.positions().get(publisher, 0)
        while position < stored.head.size:
            read = await self._store.read(lambda tx, at=position: self._entries(tx, stored, at))  # type: ignore[misc]
            reached = min(position + ENTRIES_AT_ONCE, stored.head.size)
            position = await self._index.apply(publisher, read, upto=reached, after=position)

    def _entries(self, tx: Transaction, stored: StoredLog, start: int) -> Sequence[tuple[int, bytes]]:
        entries = tx.logs.entries(stored.log, start, ENTRIES_AT_ONCE)
        return [(start + at, entry.document) for at, entry in enumerate(entries) if entry.document is not None]
