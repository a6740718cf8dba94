"""What only SQLite's store can go wrong in, or offers: the file as a whole."""

import asyncio
import inspect
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import aiosqlite
import pytest

from federation.errors import BrokenHome, LlnError
from node.storage import migrations, sqlite_files
from node.storage.errors import (
    BackupExists,
    DatabaseBroken,
    DatabaseClosed,
    DiskFull,
    EngineTooOld,
    HomeInUse,
    OpenedForReading,
    SchemaTooNew,
    SchemaTooOld,
)
from node.storage.locks import held_alone
from node.storage.sqlite_store import UnitConnection, open_readonly
from tests.support.stores import OWN, check_log_holds_together, opened


@pytest.fixture
def path(tmp_path):
    return tmp_path / "节点 home" / "node.db"


@pytest.fixture(autouse=True)
def folder(path):
    path.parent.mkdir()


async def filled(path, count=3):
    async with opened(path) as store:
        for number in range(count):
            await store.write(lambda tx, n=number: tx.logs.append(OWN, [b"%d" % n]))


async def refusal(path, opening=opened):
    with pytest.raises(LlnError) as refused:
        async with opening(path):
            pass
    return refused.value


def offline(path):
    return open_readonly(path, own_node=OWN.origin)


def run_sql(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return [connection.execute(statement).fetchall() for statement in statements]
    finally:
        connection.close()


# --- files that are not what they should be --------------------------------------------------------------------------


@pytest.mark.parametrize("opening", [opened, offline])
async def test_a_file_that_is_no_database_is_refused_in_words_and_left_alone(path, opening):
    content = b"not a database at all, but long enough to be read as one" * 100
    path.write_bytes(content)
    assert isinstance(await refusal(path, opening), DatabaseBroken)
    assert path.read_bytes() == content


@pytest.mark.parametrize("opening", [opened, offline])
async def test_somebody_elses_database_is_refused_and_left_alone(path, opening):
    run_sql(path, "CREATE TABLE theirs (x)")
    before = path.read_bytes()
    assert isinstance(await refusal(path, opening), DatabaseBroken)
    assert path.read_bytes() == before


@pytest.mark.parametrize("opening", [opened, offline])
async def test_a_newer_schema_is_refused(path, opening):
    await filled(path)
    run_sql(path, "PRAGMA user_version = 999")
    refused = await refusal(path, opening)
    assert isinstance(refused, SchemaTooNew)
    assert "999" in str(refused)


async def test_a_damaged_file_is_told_apart_from_a_sound_one(path):
    async with opened(path) as store:
        await store.write(lambda tx: tx.logs.append(OWN, [os.urandom(60_000) for _ in range(20)]))
    async with offline(path) as readings:
        assert await readings.faults() == ()
    content = bytearray(path.read_bytes())
    content[sqlite_files.PAGE_BYTES :] = os.urandom(len(content) - sqlite_files.PAGE_BYTES)
    path.write_bytes(content)
    async with offline(path) as readings:
        assert await readings.faults()
        with pytest.raises(DatabaseBroken):
            await readings.read(lambda tx: tx.logs.entries(OWN, 0, 100))


async def test_a_stored_document_that_cannot_be_read_is_a_damaged_database(path):
    await filled(path)
    run_sql(path, "INSERT INTO invite VALUES ('i', x'7b')")
    async with opened(path) as store:
        with pytest.raises(DatabaseBroken, match="invite"):
            await store.read(lambda tx: tx.invites.all())


async def test_a_path_that_cannot_be_opened_is_told_in_words(path):
    assert isinstance(await refusal(path.parent / "absent" / "node.db"), DatabaseClosed)
    path.mkdir()
    assert isinstance(await refusal(path), DatabaseClosed)
    assert isinstance(await refusal(path.parent / "absent.db", offline), DatabaseClosed)
    assert issubclass(DatabaseClosed, BrokenHome)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (sqlite3.SQLITE_READONLY, DatabaseClosed),
        (sqlite3.SQLITE_CANTOPEN, DatabaseClosed),
        (sqlite3.SQLITE_IOERR_WRITE, DatabaseClosed),
        (sqlite3.SQLITE_FULL, DiskFull),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, HomeInUse),
        (sqlite3.SQLITE_CORRUPT_INDEX, DatabaseBroken),
    ],
)
def test_every_error_of_the_engine_has_words(code, told):
    error = sqlite3.OperationalError("said so")
    error.sqlite_errorcode = code
    assert type(sqlite_files.in_words(error, "node.db")) is told


async def test_an_engine_that_is_too_old_is_refused(path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    assert isinstance(await refusal(path), EngineTooOld)


async def test_a_full_disk_refuses_what_does_not_fit_and_goes_on_when_there_is_room(path):
    async with opened(path) as store:
        await store.write(lambda tx: tx.logs.append(OWN, [b"a"]))
        pages = await store._writer.run(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        await store._writer.run(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall())
        outcomes = await asyncio.gather(
            store.write(lambda tx: tx.logs.append(OWN, [b"x" * 60_000])),
            store.write(lambda tx: tx.notes.put("small", b"")),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [DiskFull, DiskFull]
        with pytest.raises(DiskFull):
            await store.write(lambda tx: tx.notes.put("large", b"x" * 60_000))
        await store._writer.run(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchall())
        assert await store.write(lambda tx: tx.logs.append(OWN, [b"b"])) == 1
        await check_log_holds_together(store, 2)
        assert await store.read(lambda tx: tx.notes.get("small")) is None


# --- schema ----------------------------------------------------------------------------------------------------------


SCHEMA = len(migrations.for_sqlite())


def later_schema(monkeypatch, *statements):
    known = migrations.for_sqlite()
    monkeypatch.setattr(migrations, "for_sqlite", lambda: [*known, *statements])


async def test_a_migration_keeps_a_copy_of_what_was_there(path, monkeypatch):
    await filled(path)
    later_schema(monkeypatch, "CREATE TABLE later (x INTEGER) STRICT;", "INSERT INTO later VALUES (1);")
    assert isinstance(await refusal(path, offline), SchemaTooOld)
    async with opened(path) as store:
        await check_log_holds_together(store, 3)
    assert run_sql(path, "SELECT x FROM later", "PRAGMA user_version") == [[(1,)], [(SCHEMA + 2,)]]
    copy = path.with_name(f"node-before-schema-{SCHEMA + 2}.db")
    assert run_sql(copy, "PRAGMA user_version", "SELECT count(*) FROM log_entry") == [[(SCHEMA,)], [(3,)]]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


async def test_rows_of_the_first_schema_tell_which_entries_are_in_force_and_whose_they_are(path, monkeypatch):
    first = migrations.for_sqlite()[:1]
    with monkeypatch.context() as before:
        before.setattr(migrations, "for_sqlite", lambda: first)
        async with opened(path):
            pass
    rows = "INSERT INTO resource VALUES ('a', 'published', CAST(? AS BLOB)), ('b', 'pending', CAST(? AS BLOB))"
    with sqlite3.connect(path) as old:
        old.execute(rows, ('{"id":"a","author":"lin","log_index":5}', '{"id":"b","log_index":null}'))
    old.close()
    async with opened(path) as store:
        assert await store.read(lambda tx: tx.resources.in_force(0, 10)) == {5}
    assert run_sql(path, "SELECT id, author FROM resource ORDER BY id") == [[("a", "lin"), ("b", "")]]


async def test_a_migration_that_fails_changes_nothing(path, monkeypatch):
    await filled(path)
    later_schema(monkeypatch, "CREATE TABLE later (x INTEGER) STRICT;", "INSERT INTO nowhere VALUES (1);")
    assert isinstance(await refusal(path), DatabaseBroken)
    left = run_sql(path, "SELECT name FROM sqlite_schema WHERE name = 'later'", "PRAGMA user_version")
    assert left == [[], [(SCHEMA,)]]
    monkeypatch.undo()
    async with opened(path) as store:
        await check_log_holds_together(store, 3)


async def test_a_new_file_is_strict_durable_and_ours(path):
    async with opened(path) as store:
        asked = ("journal_mode", "synchronous", "page_size", "application_id", "secure_delete")
        told = await store._writer.run(lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in asked])
        tables = await store._writer.run(lambda c: c.execute("PRAGMA table_list").fetchall())
    assert told == ["wal", 2, sqlite_files.PAGE_BYTES, sqlite_files.APPLICATION_ID, 1]
    assert all(is_strict for (_, name, _, _, _, is_strict) in tables if not name.startswith("sqlite_"))
    assert not path.with_name("node.db-wal").exists()


# --- backups, and looking at a file ----------------------------------------------------------------------------------


async def test_a_backup_is_whole_while_others_write_and_never_overwrites(path):
    target = path.with_name("backup.db")
    async with opened(path) as store:
        await asyncio.gather(*(store.write(lambda tx, n=n: tx.logs.append(OWN, [b"%d" % n])) for n in range(50)))
        writing = [asyncio.ensure_future(store.write(lambda tx: tx.logs.append(OWN, [b"x"]))) for _ in range(50)]
        await store.back_up(target)
        await asyncio.gather(*writing)
        with pytest.raises(BackupExists):
            await store.back_up(target)
        assert await store.faults() == ()
    async with opened(target) as store:
        assert len(await check_log_holds_together(store)) >= 50


async def test_a_running_nodes_database_can_be_looked_at_and_not_written(path):
    async with opened(path) as store:
        await store.write(lambda tx: tx.logs.append(OWN, [b"a"]))
        async with offline(path) as readings:
            await check_log_holds_together(readings, 1)
            await store.write(lambda tx: tx.logs.append(OWN, [b"b"]))
            await check_log_holds_together(readings, 2)
            readings.on_commit(lambda _: None)
            with pytest.raises(OpenedForReading):
                await readings.write(lambda tx: tx.notes.put("a", b""))
    async with offline(path) as readings:
        await check_log_holds_together(readings, 2)


# --- one process at a time -------------------------------------------------------------------------------------------


async def test_a_second_process_is_told_which_one_holds_the_home(path):
    script = (
        "import sys, time; from pathlib import Path; from node.storage.locks import held_alone\n"
        "with held_alone(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    lock = path.with_name("node.db.lock")
    with subprocess.Popen(  # it prints at once
        [sys.executable, "-c", script, str(lock)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as other:
        assert other.stdout.readline() == "held\n"
        refused = await refusal(path)
        assert isinstance(refused, HomeInUse)
        assert f"process {other.pid}" in str(refused)
        other.kill()
    async with opened(path) as store:  # the lock went with its process
        await store.write(lambda tx: tx.logs.append(OWN, [b"a"]))


def test_a_lock_names_nobody_it_does_not_know(path):
    lock = path.with_name("lock")
    with held_alone(lock):
        lock.write_text("not a number")
        with pytest.raises(HomeInUse, match="another process"), held_alone(lock):
            pass
    with held_alone(lock):
        assert lock.read_text() == f"{os.getpid()}\n"


# --- aiosqlite -------------------------------------------------------------------------------------------------------


async def test_the_protected_names_of_aiosqlite_that_units_go_through_are_there():
    assert list(inspect.signature(aiosqlite.Connection._execute).parameters)[:2] == ["self", "fn"]
    assert inspect.iscoroutinefunction(aiosqlite.Connection._execute)
    connection = await UnitConnection.opened(lambda: sqlite3.connect(":memory:"))
    assert connection._thread.is_alive()
    assert await connection.run(lambda c: c.execute("SELECT 1").fetchall()) == [(1,)]
    with pytest.raises(ZeroDivisionError):
        await connection.run(lambda _: 1 / 0)
    await connection.close()


async def test_a_connection_that_cannot_be_made_leaves_no_thread_behind():
    def fails():
        raise sqlite3.OperationalError("no")

    connection = UnitConnection(fails, 1)
    with pytest.raises(sqlite3.OperationalError):
        await UnitConnection.opened(fails)
    assert not connection._thread.is_alive()
