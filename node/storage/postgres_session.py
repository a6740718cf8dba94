"""One connection to PostgreSQL: opening it, bringing the schema up, its statements, and its errors in our words.

What lives here: everything synchronous, in the one thread that uses the connection. What must not: the store
(`postgres_store.py`) or statements about what is stored.
"""

import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

from federation.naming import NodeName
from node.storage import migrations
from node.storage.errors import (
    DatabaseBroken,
    DatabaseClosed,
    DatabaseUnreachable,
    DiskFull,
    EngineTooOld,
    HomeInUse,
    RowsClash,
    SchemaTooNew,
)

SERVER_VERSION_MIN: Final = 13_00_00
CONNECT_TIMEOUT_S: Final = 10
LOCK_WAIT_MS: Final = 1_000  # a process that has just been killed may still be on its way out
LOCK_KEY: Final = 0x6C6C6E31  # "lln1"
SCHEMA: Final = "lln"
PREPARE_AFTER: Final = 2
_BEGUN: Final = (TransactionStatus.ACTIVE, TransactionStatus.INTRANS)

_WORDS: Final = {  # by SQLSTATE or its class (postgresql.org/docs/current/errcodes-appendix.html)
    "22": RowsClash,
    "23": RowsClash,
    "42501": DatabaseClosed,
    "42": DatabaseBroken,
    "3F": DatabaseBroken,
    "53100": DiskFull,
    "55P03": HomeInUse,
    "58": DatabaseClosed,
    "25006": DatabaseClosed,
    "XX001": DatabaseBroken,
    "XX002": DatabaseBroken,
}


def in_words(error: BaseException, subject: str) -> BaseException:
    """PostgreSQL's error as ours; anything else unchanged."""
    if isinstance(error, UnicodeEncodeError):
        return RowsClash(subject, str(error))
    if not isinstance(error, psycopg.Error):
        return error
    state = error.sqlstate or ""
    words = _WORDS.get(state) or _WORDS.get(state[:2])
    if words is None:
        words = RowsClash if isinstance(error, psycopg.DataError) else DatabaseUnreachable
    return words(subject, " ".join(str(error).split()))


class PostgresSession:
    """`node.storage.engine.Engine` on one connection, which is made when it is first needed and again when it broke."""

    def __init__(self, conninfo: str, *, own_node: NodeName, writes: bool) -> None:
        self._conninfo = conninfo
        self._own_node = own_node
        self._writes = writes
        self._open: psycopg.Connection[tuple[Any, ...]] | None = None
        self._subject = "PostgreSQL"

    # --- statements --------------------------------------------------------------------------------------------------

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._live.cursor(binary=True).execute(_translated(sql), parameters).fetchall()

    def write(self, sql: str, parameters: Sequence[Any]) -> int:
        return self._live.cursor(binary=True).execute(_translated(sql), parameters).rowcount

    def write_many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        self._live.cursor(binary=True).executemany(_translated(sql), list(parameters))

    # --- one transaction ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        self._connect_again().execute("BEGIN")

    def begin_reading(self) -> None:
        self._connect_again().execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def savepoint(self) -> None:
        self._live.execute("SAVEPOINT unit")

    def release(self) -> None:
        self._live.execute("RELEASE unit")

    def undo(self) -> None:
        self._live.execute("ROLLBACK TO unit")
        self._live.execute("RELEASE unit")

    def commit(self) -> None:
        """A connection that breaks in here leaves it open whether the group stands; nobody is answered for it."""
        self._live.execute("COMMIT")

    def rollback(self) -> None:
        if self._open is None or self._open.info.transaction_status == TransactionStatus.IDLE:
            return
        try:
            self._open.execute("ROLLBACK")
        except psycopg.Error:
            self.close()  # the server rolls back what a lost connection began

    def is_begun(self) -> bool:
        return self._open is not None and self._open.info.transaction_status in _BEGUN

    def told(self, error: BaseException) -> BaseException:
        return in_words(error, self._subject)

    # --- the connection ----------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Connect now; raises what is wrong with the server, the database or its schema."""
        try:
            self._connect_again()
        except psycopg.Error as error:
            self.close()
            raise in_words(error, self._subject) from error

    def scrub(self) -> None:
        """Rewrite the tables in which something of a person may stand; not inside a transaction."""
        try:
            self._connect_again().execute("VACUUM (FULL) shelf, learner_number")
        except psycopg.Error as error:
            raise in_words(error, self._subject) from error

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    @property
    def _live(self) -> psycopg.Connection[tuple[Any, ...]]:
        """The connection a transaction was begun on. A new one in its place would write outside any transaction."""
        if self._open is None:
            raise psycopg.OperationalError("not connected")
        return self._open

    def _connect_again(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._open is None or self._open.closed:
            self._open = self._connect()
        return self._open

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = psycopg.connect(
            self._conninfo,
            autocommit=True,
            prepare_threshold=PREPARE_AFTER,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name=f"lln {self._own_node} process {os.getpid()}"[:63],
        )
        try:
            _check_version(connection.info.server_version)
            self._subject = f"PostgreSQL database {connection.info.dbname}"
            if self._writes:
                _take_alone(connection, self._subject)
                connection.execute("SET synchronous_commit = on")  # a commit that returned survives a power cut
                _migrate(connection, self._subject)
            connection.execute("SET search_path = lln")
        except BaseException:
            connection.close()
            raise
        return connection


def _check_version(version: int) -> None:
    if version < SERVER_VERSION_MIN:
        raise EngineTooOld("PostgreSQL", f"found {version}")


def _take_alone(connection: psycopg.Connection[tuple[Any, ...]], subject: str) -> None:
    """Hold the database's advisory lock for as long as the connection lives; raises HomeInUse naming who does."""
    connection.execute(f"SET lock_timeout = {LOCK_WAIT_MS}")
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
    except psycopg.errors.LockNotAvailable as held:
        found = connection.execute(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.locktype = 'advisory' AND l.objid::bigint = %s AND l.granted AND l.database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())",
            (LOCK_KEY,),
        ).fetchall()
        raise HomeInUse(subject, ", ".join(name for (name,) in found) or "another process") from held
    connection.execute("SET lock_timeout = 0")


def _migrate(connection: psycopg.Connection[tuple[Any, ...]], subject: str) -> None:
    """Apply the migrations that are missing, in one transaction. A dump beforehand is the operator's (docs)."""
    known = migrations.for_postgres()
    with connection.transaction():
        connection.execute("CREATE SCHEMA IF NOT EXISTS lln")
        connection.execute("SET LOCAL search_path = lln")
        connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        found = connection.execute("SELECT max(version) FROM schema_version").fetchone()
        version = int(found[0] or 0) if found else 0
        if version > len(known):
            raise SchemaTooNew(subject, f"schema {version}, this program knows {len(known)}")
        if version == len(known):
            return
        for statements in known[version:]:
            connection.execute(statements.encode())
        connection.execute("DELETE FROM schema_version")
        connection.execute("INSERT INTO schema_version VALUES (%s)", (len(known),))


@functools.cache
def _translated(sql: str) -> bytes:
    """Our statements with this driver's parameters; none of them has a question mark or per cent sign of its own."""
    return sql.replace("?", "%s").encode()
