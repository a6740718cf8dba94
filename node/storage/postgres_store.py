"""The store of a hub that has outgrown one file: PostgreSQL, with the same statements and the same group commit.

What lives here: the threads its connections live in. What must not: the connection itself (`postgres_session.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from federation.logs import LogId
from federation.naming import NodeName
from node.ports import Transaction
from node.storage.engine import Committed, Unit, commit_group, read_unit
from node.storage.group_commit import GroupCommit
from node.storage.log_rows import Seal
from node.storage.postgres_session import PostgresSession
from node.storage.reader_pool import ReaderPool

T = TypeVar("T")
READERS: Final = 4


class SessionThread:
    """A session in a thread of its own that runs a whole unit of work in one hop."""

    def __init__(self, session: PostgresSession, name: str) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"postgres {name}")

    async def run(self, work: Callable[[PostgresSession], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._session)

    async def close(self) -> None:
        await self.run(PostgresSession.close)
        self._thread.shutdown(wait=False)


class PostgresReadings:
    """What can be done with a database without writing to it; made by `open_postgres_readonly`."""

    def __init__(self, readers: Sequence[SessionThread], own_node: NodeName) -> None:
        self._pool = ReaderPool(readers)
        self._own_node = own_node

    async def read(self, unit: Callable[[Transaction], T]) -> T:
        async with self._pool.reader() as reader:
            return await reader.run(lambda session: read_unit(session, unit, own_node=self._own_node))

    async def faults(self) -> tuple[str, ...]:
        """Always empty: the server checks its own pages, and says so when one is read."""
        return ()

    async def close(self) -> None:
        for reader in await self._pool.close():
            await reader.close()


class PostgresStore(PostgresReadings):
    """`node.ports.Store` over one PostgreSQL database; made by `open_postgres`."""

    def __init__(
        self,
        writer: SessionThread,
        readers: Sequence[SessionThread],
        *,
        own_node: NodeName,
        seal: Seal,
        now_ms: Callable[[], int],
    ) -> None:
        super().__init__(readers, own_node)
        self._writer = writer
        self._seal = seal
        self._now_ms = now_ms
        self._group_commit = GroupCommit(self._commit)

    def write(self, unit: Callable[[Transaction], T]) -> Coroutine[Any, Any, T]:
        return self._group_commit.write(unit)

    def on_commit(self, told: Callable[[frozenset[LogId]], None]) -> None:
        self._group_commit.on_commit(told)

    def on_post(self, told: Callable[[frozenset[NodeName]], None]) -> None:
        self._group_commit.on_post(told)

    async def scrub(self) -> None:
        """The server's own log of changes keeps old bytes until it recycles its segments, and so do its backups."""
        await self._writer.run(PostgresSession.scrub)

    async def close(self) -> None:
        """Write what waits, let the readers end, and disconnect."""
        await self._group_commit.close()
        await super().close()
        await self._writer.close()

    async def _commit(self, units: Sequence[Unit]) -> Committed:
        return await self._writer.run(
            lambda session: commit_group(session, units, own_node=self._own_node, seal=self._seal, now_ms=self._now_ms)
        )


@asynccontextmanager
async def open_postgres(
    conninfo: str, *, own_node: NodeName, seal: Seal, now_ms: Callable[[], int]
) -> AsyncIterator[PostgresStore]:
    """Connect, bring the schema `lln` up, and disconnect at the end; a broken connection is made again when needed.

    `conninfo`: a libpq connection string. Raises HomeInUse, DatabaseUnreachable, DatabaseClosed, DatabaseBroken,
    SchemaTooNew, EngineTooOld.
    """
    writer = SessionThread(PostgresSession(conninfo, own_node=own_node, writes=True), "writer")
    try:
        await writer.run(PostgresSession.prepare)
    except BaseException:
        await writer.close()
        raise
    readers = [
        SessionThread(PostgresSession(conninfo, own_node=own_node, writes=False), f"reader {number}")
        for number in range(READERS)
    ]
    store = PostgresStore(writer, readers, own_node=own_node, seal=seal, now_ms=now_ms)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def open_postgres_readonly(conninfo: str, *, own_node: NodeName) -> AsyncIterator[PostgresReadings]:
    """Connect to look, whether or not a node is running on it; nothing is locked, made or migrated.

    Raises DatabaseUnreachable, DatabaseClosed, EngineTooOld.
    """
    reader = SessionThread(PostgresSession(conninfo, own_node=own_node, writes=False), "reader")
    readings = PostgresReadings([reader], own_node)
    try:
        await reader.run(PostgresSession.prepare)
        yield readings
    finally:
        await readings.close()
