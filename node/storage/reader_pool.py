"""A few connections that read side by side, handed out one unit at a time.

What lives here: waiting for one of them, never for ever. What must not: what is done with it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Generic, TypeVar

from node.storage.errors import StoreBusy, StoreClosed

C = TypeVar("C")
TURN_WAIT_S: Final = 30.0


class ReaderPool(Generic[C]):
    def __init__(self, readers: Sequence[C], *, turn_wait_s: float = TURN_WAIT_S) -> None:
        self._free: asyncio.LifoQueue[C] = asyncio.LifoQueue()  # the one used last has the warmest cache
        for reader in readers:
            self._free.put_nowait(reader)
        self._count = len(readers)
        self._turn_wait_s = turn_wait_s
        self._is_closing = False

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[C]:
        """One connection for a while; raises StoreBusy when none was free for too long, StoreClosed."""
        if self._is_closing:
            raise StoreClosed("store", "closed")
        reader = await self._take()
        try:
            yield reader
        finally:
            self._free.put_nowait(reader)

    async def close(self) -> Sequence[C]:
        """Wait until every unit has ended, and give the connections back to be closed."""
        self._is_closing = True
        return [await self._free.get() for _ in range(self._count)]

    async def _take(self) -> C:
        if not self._free.empty():
            return self._free.get_nowait()
        try:
            async with asyncio.timeout(self._turn_wait_s):
                return await self._free.get()
        except TimeoutError as waited:
            raise StoreBusy("store", "every reading connection is in use") from waited
