"""An older database under a newer program: brought up whole, or left exactly as it was."""

import sqlite3
from hashlib import sha256
from importlib import resources

import pytest

from federation.errors import LlnError
from node.storage import migrations
from node.storage.errors import DatabaseBroken, DiskFull
from tests.support.stores import OWN, check_log_holds_together, opened

FIRST_SHA256 = "ff00ccc92249a7854b701d7c3ffbd9b1c89a4d9114d9dd44bbed64495353e55b"
LATER = "CREATE TABLE later (x INTEGER) STRICT;\nINSERT INTO later SELECT count(*) FROM log_entry;"


def first():
    return resources.files(migrations).joinpath("0001_first.sql").read_text(encoding="utf-8")


@pytest.fixture
async def old(tmp_path, monkeypatch):
    """A database as the program of the first schema wrote it, with a log, a resource's worth of notes and no lock."""
    path = tmp_path / "node.db"
    monkeypatch.setattr(migrations, "for_sqlite", lambda: [first()])
    async with opened(path) as store:
        for number in range(5):
            await store.write(lambda tx, n=number: tx.logs.append(OWN, [b"%d" % n]))
        await store.write(lambda tx: tx.notes.put("a", b"note"))
    monkeypatch.undo()
    assert run_sql(path, "PRAGMA user_version") == [[(1,)]]
    return path


def run_sql(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return [connection.execute(statement).fetchall() for statement in statements]
    finally:
        connection.close()


def test_the_first_schema_is_as_it_was_released():
    assert sha256(first().encode()).hexdigest() == FIRST_SHA256, "never change a migration: add one"


async def test_a_database_of_the_first_schema_is_brought_up_with_all_it_holds(old):
    known = len(migrations.for_sqlite())
    async with opened(old) as store:
        assert await check_log_holds_together(store) == [b"%d" % n for n in range(5)]
        assert await store.read(lambda tx: tx.notes.get("a")) == b"note"
        assert await store.write(lambda tx: tx.logs.append(OWN, [b"5"])) == 5
        assert await store.faults() == ()
    assert run_sql(old, "PRAGMA user_version") == [[(known,)]]
    copies = sorted(path.name for path in old.parent.glob("node-before-*"))
    assert copies == ([f"node-before-schema-{known}.db"] if known > 1 else [])


async def test_the_copy_made_before_an_upgrade_is_a_database_of_the_old_program(old, monkeypatch):
    known = [*migrations.for_sqlite(), LATER]
    monkeypatch.setattr(migrations, "for_sqlite", lambda: known)
    async with opened(old) as store:
        await check_log_holds_together(store, 5)
    assert run_sql(old, "SELECT x FROM later") == [[(5,)]]
    copy = old.with_name(f"node-before-schema-{len(known)}.db")
    monkeypatch.setattr(migrations, "for_sqlite", lambda: [first()])
    async with opened(copy) as store:
        await check_log_holds_together(store, 5)


@pytest.mark.parametrize("broken", ["INSERT INTO nowhere VALUES (1);", "CREATE TABLE note (x INTEGER) STRICT;"])
async def test_an_upgrade_that_fails_midway_leaves_the_old_file_untouched(old, monkeypatch, broken):
    before = old.read_bytes()
    known = [*migrations.for_sqlite(), LATER, broken]
    monkeypatch.setattr(migrations, "for_sqlite", lambda: known)
    for _ in range(2):  # the second try finds the copy of the first
        with pytest.raises(DatabaseBroken):
            async with opened(old):
                pass
        assert old.read_bytes() == before
        assert not old.with_name("node.db-wal").exists()
    monkeypatch.setattr(migrations, "for_sqlite", lambda: [first()])
    async with opened(old) as store:
        await check_log_holds_together(store, 5)


async def test_where_there_is_no_room_for_the_copy_nothing_is_upgraded(old, monkeypatch):
    before, known = old.read_bytes(), [*migrations.for_sqlite(), LATER]
    monkeypatch.setattr(migrations, "for_sqlite", lambda: known)
    monkeypatch.setattr("node.storage.sqlite_files._vacuum_into", _full)
    with pytest.raises(LlnError) as told:
        async with opened(old):
            pass
    assert isinstance(told.value, DiskFull)
    assert old.read_bytes() == before
    assert sorted(path.name for path in old.parent.iterdir()) == ["node.db", "node.db.lock"]


def _full(_connection, part):
    part.write_bytes(b"as much as there was room for")
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error
