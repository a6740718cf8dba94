"""One SQLite file: opening it, bringing its schema up, copying it, and its errors in our words.

What lives here: what is done to the file as a whole, all of it synchronous. What must not: the store
(`sqlite_store.py`) or statements about what is stored.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from node.storage import migrations
from node.storage.errors import (
    BackupExists,
    DatabaseBroken,
    DatabaseClosed,
    DiskFull,
    EngineTooOld,
    HomeInUse,
    RowsClash,
    SchemaTooNew,
    SchemaTooOld,
    StoreBusy,
)

T = TypeVar("T")
APPLICATION_ID: Final = 0x6C6C6E31  # "lln1", in the file's header (sqlite.org/fileformat.html §1.2.5)
SQLITE_MIN: Final = (3, 37, 0)  # STRICT tables
BUSY_MS: Final = 10_000
PAGE_BYTES: Final = 8_192
WAL_PAGES: Final = 2_000  # 16 MiB are folded into the file at a time
WAL_BYTES_KEPT: Final = 64 * 1024 * 1024
WRITER_CACHE_KIB: Final = 16_384
READER_CACHE_KIB: Final = 4_096
FAULTS_MAX: Final = 20

_PRIMARY_CODE: Final = 0xFF  # sqlite.org/rescode.html, primary result codes
_WORDS: Final = {
    sqlite3.SQLITE_CORRUPT: DatabaseBroken,
    sqlite3.SQLITE_NOTADB: DatabaseBroken,
    sqlite3.SQLITE_ERROR: DatabaseBroken,  # our statements are fixed: a table or column is not there
    sqlite3.SQLITE_FULL: DiskFull,
    sqlite3.SQLITE_BUSY: HomeInUse,
    sqlite3.SQLITE_LOCKED: HomeInUse,
    sqlite3.SQLITE_CONSTRAINT: RowsClash,
    sqlite3.SQLITE_MISMATCH: RowsClash,
    sqlite3.SQLITE_TOOBIG: RowsClash,
}


def in_words(error: BaseException, subject: str) -> BaseException:
    """SQLite's error as ours; anything else unchanged."""
    if isinstance(error, OSError):
        return DatabaseClosed(subject, error.strerror or str(error))
    if isinstance(error, OverflowError | UnicodeEncodeError):  # how the module refuses a number or a text
        return RowsClash(subject, str(error))
    if not isinstance(error, sqlite3.Error):
        return error
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by the module itself: a value that does not fit a column, a closed connection
        return RowsClash(subject, str(error))
    return _WORDS.get(code & _PRIMARY_CODE, DatabaseClosed)(subject, str(error))


def told(work: Callable[[], T], subject: object) -> T:
    """What `work` returns; raises its errors in our words."""
    try:
        return work()
    except (sqlite3.Error, OSError) as error:
        raise in_words(error, str(subject)) from error


# --- connections -----------------------------------------------------------------------------------------------------


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes, its schema brought up; a new file is made where there is none."""
    return _prepared(sqlite3.connect(path, isolation_level=None, cached_statements=256), path, _prepare_writer)


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection beside the writer."""
    return _prepared(sqlite3.connect(path, isolation_level=None, cached_statements=256), path, _prepare_reader)


def connect_offline(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, not even beside a running node, nor on a disk that cannot be written."""
    if not path.is_file():
        raise DatabaseClosed(str(path), "no such file")
    uri = f"{path.resolve().as_uri()}?mode=ro"
    if not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists():
        uri += "&immutable=1"  # there is no log to read, and none can be made (sqlite.org/wal.html §5)
    return _prepared(sqlite3.connect(uri, uri=True, isolation_level=None), path, _prepare_offline)


def _prepared(
    connection: sqlite3.Connection, path: Path, prepare: Callable[[sqlite3.Connection, Path], None]
) -> sqlite3.Connection:
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare_writer(connection: sqlite3.Connection, path: Path) -> None:
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        raise EngineTooOld("SQLite", f"found {sqlite3.sqlite_version}")
    _check_ours(connection, path)
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":  # a read-only file stays as it is, without an error
        raise DatabaseClosed(str(path), f"write-ahead logging cannot be had, only {mode}")
    connection.execute("PRAGMA synchronous = FULL")  # a commit that returned survives a power cut
    connection.execute("PRAGMA secure_delete = ON")  # a wiped secret, an erased record: not in free pages either
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
    migrate(connection, path)
    connection.execute("BEGIN IMMEDIATE")  # found out now, not by the first caller
    connection.execute("ROLLBACK")


def _prepare_reader(connection: sqlite3.Connection, _path: Path) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")


def _prepare_offline(connection: sqlite3.Connection, path: Path) -> None:
    _check_ours(connection, path)
    version = schema_version(connection, path)
    if version < len(migrations.for_sqlite()):
        raise SchemaTooOld(str(path), f"schema {version}, this program reads {len(migrations.for_sqlite())}")


# --- schema ----------------------------------------------------------------------------------------------------------


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply the migrations that are missing, in one transaction, after a copy of what was there.

    A crash before the commit leaves the old schema, and the copy, which the next try makes anew.
    """
    known = migrations.for_sqlite()
    version = schema_version(connection, path)
    if version == len(known):
        return
    if version:
        copy_into(connection, path.with_name(f"{path.stem}-before-schema-{len(known)}.db"), replace=True)
    statements = "\n".join(known[version:])
    header = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {len(known)};"
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{statements}\n{header}\nCOMMIT;")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """How many migrations the file has had; raises SchemaTooNew."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(migrations.for_sqlite()):
        raise SchemaTooNew(str(path), f"schema {version}, this program knows {len(migrations.for_sqlite())}")
    return version


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    is_empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if application != APPLICATION_ID and not is_empty:
        raise DatabaseBroken(str(path), "an SQLite file, but not one of this program")


# --- the whole file --------------------------------------------------------------------------------------------------


def copy_into(connection: sqlite3.Connection, target: Path, *, replace: bool = False) -> None:
    """A consistent copy in one new file, durable when this returns; raises BackupExists.

    A crash leaves at most `<name>.part`, which the next copy replaces.
    """
    if target.exists() and not replace:
        raise BackupExists(str(target), "not overwritten")
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    os.close(
        os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    )  # nobody else ever reads it, whatever the umask
    try:
        _vacuum_into(connection, part)
        _sync(part, os.O_RDWR)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)  # on a full disk it would keep the rest from being written
        raise
    if os.name == "posix":
        _sync(target.parent, os.O_RDONLY)


def _vacuum_into(connection: sqlite3.Connection, part: Path) -> None:
    was_query_only = connection.execute("PRAGMA query_only").fetchone()[0]
    connection.execute("PRAGMA query_only = OFF")  # which counts the copy as writing
    try:
        connection.execute("VACUUM INTO ?", (str(part),))
    finally:
        connection.execute(f"PRAGMA query_only = {was_query_only}")


def scrub(connection: sqlite3.Connection, path: Path) -> None:
    """Rewrite the file without gaps and empty the write-ahead log; raises StoreBusy.

    `secure_delete` overwrites a row where it is deleted, but not the copies of it that remain between the cells of a
    page when SQLite moves rows from page to page (measured: a few in a thousand). Only live rows are copied here, in a
    temporary file and not in memory: a school's PC has little.
    """
    connection.execute("PRAGMA temp_store = FILE")
    try:
        connection.execute("VACUUM")
    finally:
        connection.execute("PRAGMA temp_store = MEMORY")
    is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if is_busy:
        raise StoreBusy(str(path), f"readers hold its write-ahead log for more than {BUSY_MS // 1_000} s")


def faults_of(connection: sqlite3.Connection) -> tuple[str, ...]:
    """What `PRAGMA quick_check` finds wrong with the file, at most FAULTS_MAX of it; empty when it is sound."""
    try:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({FAULTS_MAX})")]
    except sqlite3.DatabaseError as error:
        if not isinstance(in_words(error, ""), DatabaseBroken):
            raise
        return (str(error),)
    return tuple(fault for fault in found if fault != "ok")


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
