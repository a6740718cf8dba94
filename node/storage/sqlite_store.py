"""The store of a school, a county, a province: one SQLite file.

What lives here: opening, migrating and closing it, and the connections. What must not: statements about what is stored
(`rows.py`, `log_rows.py`).

WAL with `synchronous=FULL`: a commit that returned survives a power cut (sqlite.org/pragma.html#pragma_synchronous).
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import TypeVar

import aiosqlite

from federation.logs import LogId
from node.ports import Transaction
from node.storage.engine import Committed, GroupCommit, StoredTransaction, Unit, commit_group
from node.storage.errors import DatabaseBroken, DatabaseClosed, DiskFull, SchemaTooNew
from node.storage.log_rows import Seal

T = TypeVar("T")
READERS = 2
BUSY_MS = 10_000
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class UnitConnection(aiosqlite.Connection):
    """A connection in a thread of its own that runs a whole unit of work in one hop."""

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        hop: Callable[[Callable[[], T]], Awaitable[T]] = self._execute
        return await hop(lambda: work(self._conn))


class SqliteSession:
    """Transaction control of the writer's connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def begin(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def savepoint(self) -> None:
        self.connection.execute("SAVEPOINT unit")

    def release(self) -> None:
        self.connection.execute("RELEASE unit")

    def undo(self) -> None:
        self.connection.execute("ROLLBACK TO unit")
        self.connection.execute("RELEASE unit")

    def commit(self) -> None:
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def told(self, error: BaseException) -> BaseException:
        return in_words(error, "node.db")


class SqliteStore:
    """`node.ports.Store` over one SQLite file; made by `open_sqlite`."""

    def __init__(
        self, writer: UnitConnection, readers: Sequence[UnitConnection], *, seal: Seal, now_ms: Callable[[], int]
    ) -> None:
        self._writer = writer
        self._readers: asyncio.Queue[UnitConnection] = asyncio.Queue()
        for reader in readers:
            self._readers.put_nowait(reader)
        self._reader_count = len(readers)
        self._seal = seal
        self._now_ms = now_ms
        self._group_commit = GroupCommit(self._commit)
        self._group_commit.start()

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        return await self._group_commit.write(unit)

    async def read(self, unit: Callable[[Transaction], T]) -> T:
        reader = await self._readers.get()
        try:
            return await reader.run(lambda connection: _read(connection, unit, self._now_ms))
        finally:
            self._readers.put_nowait(reader)

    def on_commit(self, told: Callable[[frozenset[LogId]], None]) -> None:
        self._group_commit.on_commit(told)

    async def back_up(self, target: Path) -> None:
        """A consistent copy in one new file (`VACUUM INTO`); raises DatabaseClosed or DiskFull."""
        reader = await self._readers.get()
        try:
            await reader.run(
                lambda connection: _told(lambda: connection.execute("VACUUM INTO ?", (str(target),)), target)
            )
        finally:
            self._readers.put_nowait(reader)

    async def close(self) -> None:
        """Write what waits, fold the log into the file, and let go of it."""
        await self._group_commit.close()
        for _ in range(self._reader_count):
            await (await self._readers.get()).close()
        await self._writer.run(lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        await self._writer.close()

    async def _commit(self, units: Sequence[Unit]) -> Committed:
        return await self._writer.run(
            lambda connection: commit_group(SqliteSession(connection), units, self._seal, self._now_ms)
        )


@asynccontextmanager
async def open_sqlite(path: Path, *, seal: Seal, now_ms: Callable[[], int]) -> AsyncIterator[SqliteStore]:
    """Open, or make, the database at `path`, bring its schema up, and close it at the end.

    `seal` signs the checkpoint of an own log's new head. Before a migration of an existing file a copy of it is put
    beside it. Raises DatabaseBroken, DatabaseClosed, SchemaTooNew, DiskFull.
    """
    writer = await _connect(path, prepare_writer)
    readers = [await _connect(path, _prepare_reader) for _ in range(READERS)]
    store = SqliteStore(writer, readers, seal=seal, now_ms=now_ms)
    try:
        yield store
    finally:
        await store.close()


async def _connect(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> UnitConnection:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    unit_connection = UnitConnection(connect, 64)
    try:
        await unit_connection
    except (sqlite3.Error, OSError) as error:
        raise in_words(error, str(path)) from error
    return unit_connection


def prepare_writer(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    migrate(connection)


def _prepare_reader(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute("PRAGMA query_only = ON")


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the migrations that are missing, in one transaction, after a copy of what was there."""
    known = _migrations()
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(known):
        raise SchemaTooNew("node.db", f"schema {version}, this program knows {len(known)}")
    if version == len(known):
        return
    if version:
        _copy_before(connection, version)
    statements = "".join(f"{text}\n" for text in known[version:])
    connection.executescript(f"BEGIN IMMEDIATE;\n{statements}\nPRAGMA user_version = {len(known)};\nCOMMIT;")


def _copy_before(connection: sqlite3.Connection, version: int) -> None:
    path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    copy = path.with_name(f"{path.stem}-before-schema-{version + 1}.db")
    if not copy.exists():
        connection.execute("VACUUM INTO ?", (str(copy),))


def _migrations() -> list[str]:
    folder = resources.files("node.storage").joinpath("migrations")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return [folder.joinpath(name).read_text(encoding="utf-8") for name in names]


def _read(connection: sqlite3.Connection, unit: Callable[[Transaction], T], now_ms: Callable[[], int]) -> T:
    def on_snapshot() -> T:
        connection.execute("BEGIN")
        try:
            return unit(StoredTransaction(connection, now_ms))
        finally:
            connection.execute("ROLLBACK")

    return _told(on_snapshot, "node.db")


def _told(work: Callable[[], T], subject: object) -> T:
    try:
        return work()
    except sqlite3.Error as error:
        raise in_words(error, str(subject)) from error


def in_words(error: BaseException, subject: str) -> BaseException:
    """SQLite's error as ours; anything else unchanged."""
    if not isinstance(error, sqlite3.Error | OSError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGED:
        return DatabaseBroken(subject, str(error))
    if code in _FULL:
        return DiskFull(subject, str(error))
    return DatabaseClosed(subject, str(error))
