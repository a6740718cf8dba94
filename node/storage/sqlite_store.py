"""The store of a school, a county, a province: one SQLite file.

What lives here: the writer's connection, the readers', and what only this engine offers. What must not: group commit
(`group_commit.py`, `engine.py`), the file itself (`sqlite_files.py`), statements (`rows.py`, `log_rows.py`).
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import aiosqlite

from federation.errors import LlnError
from federation.logs import LogId
from federation.naming import NodeName
from node.ports import Transaction
from node.storage import sqlite_files
from node.storage.engine import Committed, Unit, commit_group, read_unit
from node.storage.errors import OpenedForReading
from node.storage.group_commit import GroupCommit
from node.storage.locks import held_alone
from node.storage.log_rows import Seal
from node.storage.reader_pool import ReaderPool
from node.storage.sqlite_files import in_words, told

T = TypeVar("T")
READERS: Final = 3


class UnitConnection(aiosqlite.Connection):
    """A connection in a thread of its own that runs a whole unit of work in one hop.

    It leans on two protected names of aiosqlite, `_execute` and `_thread`; tests/unit/test_sqlite_store.py holds them.
    """

    @classmethod
    async def opened(cls, connect: Callable[[], sqlite3.Connection]) -> Self:
        """Start the thread and connect in it; raises what `connect` raised, after the thread has ended."""
        made = cls(connect, iter_chunk_size=1)
        try:
            await made
        except BaseException:
            await asyncio.shield(asyncio.to_thread(made._thread.join))  # it still wants to tell this loop that it stops
            raise
        return made

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        hop: Callable[[Callable[[], T]], Awaitable[T]] = self._execute
        return await hop(lambda: work(self._conn))


class SqliteEngine:
    """`node.storage.engine.Engine` on one connection."""

    def __init__(self, connection: sqlite3.Connection, subject: str) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._subject = subject

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._execute(sql, parameters).fetchall()

    def write(self, sql: str, parameters: Sequence[Any]) -> int:
        return self._execute(sql, parameters).rowcount

    def write_many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(sql, parameters)

    def begin(self) -> None:
        self._execute("BEGIN IMMEDIATE")

    def begin_reading(self) -> None:
        self._execute("BEGIN")

    def savepoint(self) -> None:
        self._execute("SAVEPOINT unit")

    def release(self) -> None:
        self._execute("RELEASE unit")

    def undo(self) -> None:
        self._execute("ROLLBACK TO unit")
        self._execute("RELEASE unit")

    def commit(self) -> None:
        self._execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._execute("ROLLBACK")

    def is_begun(self) -> bool:
        return self._connection.in_transaction

    def told(self, error: BaseException) -> BaseException:
        return in_words(error, self._subject)


class SqliteReadings:
    """What can be done with a file without writing to it; made by `open_readonly`."""

    def __init__(self, path: Path, readers: Sequence[UnitConnection], own_node: NodeName) -> None:
        self._path = path
        self._own_node = own_node
        self._pool = ReaderPool(readers)

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        raise OpenedForReading(str(self._path), f"{unit!r} would write")

    async def read(self, unit: Callable[[Transaction], T]) -> T:
        return await self._run(
            lambda connection: read_unit(SqliteEngine(connection, str(self._path)), unit, own_node=self._own_node)
        )

    def on_commit(self, told: Callable[[frozenset[LogId]], None]) -> None:
        """Nothing is committed here, so `told` is never called."""

    def on_post(self, told: Callable[[frozenset[NodeName]], None]) -> None:
        """As `on_commit`."""

    async def scrub(self) -> None:
        raise OpenedForReading(str(self._path), "scrubbing would write")

    async def faults(self) -> tuple[str, ...]:
        """What `PRAGMA quick_check` finds wrong with the file; empty when it is sound."""
        return await self._run(lambda connection: told(partial(sqlite_files.faults_of, connection), self._path))

    async def back_up(self, target: Path) -> None:
        """A consistent copy in one new file; raises BackupExists, DatabaseClosed, DiskFull."""
        await self._run(lambda connection: told(partial(sqlite_files.copy_into, connection, target), target))

    async def close(self) -> None:
        for reader in await self._pool.close():
            await reader.close()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with self._pool.reader() as reader:
            return await reader.run(work)


class SqliteStore(SqliteReadings):
    """`node.ports.Store` over one SQLite file; made by `open_sqlite`."""

    def __init__(
        self,
        path: Path,
        writer: UnitConnection,
        readers: Sequence[UnitConnection],
        *,
        own_node: NodeName,
        seal: Seal,
        now_ms: Callable[[], int],
    ) -> None:
        super().__init__(path, readers, own_node)
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
        await self._writer.run(lambda connection: told(partial(sqlite_files.scrub, connection, self._path), self._path))

    async def close(self) -> None:
        """Write what waits, let the readers end, fold the write-ahead log into the file, and let go of it."""
        await self._group_commit.close()
        await super().close()
        await self._writer.close()  # the last connection to close folds the log in (sqlite.org/wal.html §2.1)

    async def _commit(self, units: Sequence[Unit]) -> Committed:
        return await self._writer.run(
            lambda connection: commit_group(
                SqliteEngine(connection, str(self._path)),
                units,
                own_node=self._own_node,
                seal=self._seal,
                now_ms=self._now_ms,
            )
        )


@asynccontextmanager
async def open_sqlite(
    path: Path, *, own_node: NodeName, seal: Seal, now_ms: Callable[[], int]
) -> AsyncIterator[SqliteStore]:
    """Open, or make, the database at `path`, bring its schema up, and close it at the end.

    `seal` signs the checkpoint of an own log's new head, in the writer's thread. Before a migration of an existing file
    a copy of it is put beside it. Raises HomeInUse, DatabaseBroken, DatabaseClosed, SchemaTooNew, DiskFull.
    """
    with held_alone(path.with_name(f"{path.name}.lock")):
        connections = await _connect(path, sqlite_files.connect_writer, 1)
        try:
            connections += await _connect(path, sqlite_files.connect_reader, READERS)
        except LlnError:
            await connections[0].close()
            raise
        store = SqliteStore(path, connections[0], connections[1:], own_node=own_node, seal=seal, now_ms=now_ms)
        try:
            yield store
        finally:
            await store.close()


@asynccontextmanager
async def open_readonly(path: Path, *, own_node: NodeName) -> AsyncIterator[SqliteReadings]:
    """Open a database to look at it, whether or not a node is running on it; nothing is locked, made or migrated.

    Raises DatabaseBroken, DatabaseClosed, SchemaTooNew, SchemaTooOld.
    """
    readings = SqliteReadings(path, await _connect(path, sqlite_files.connect_offline, 1), own_node)
    try:
        yield readings
    finally:
        await readings.close()


async def _connect(path: Path, connect: Callable[[Path], sqlite3.Connection], count: int) -> list[UnitConnection]:
    connections: list[UnitConnection] = []
    try:
        for _ in range(count):
            connections.append(await UnitConnection.opened(partial(connect, path)))  # noqa: PERF401  # `except` needs them
    except (sqlite3.Error, OSError) as error:
        for connection in connections:
            await connection.close()
        raise in_words(error, str(path)) from error
    return connections
