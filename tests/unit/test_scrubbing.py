"""What was deleted is gone from the database's files, not only from its tables."""

import random
import re
import sqlite3

import msgspec
import pytest

from node.ports.crediting import LearnerRow
from node.storage import sqlite_files
from node.storage.errors import OpenedForReading, StoreBusy
from node.storage.sqlite_store import open_readonly
from tests.support.stores import OWN, opened

ACCOUNTS = 1_500


def mark_of(at):
    return f"marked-{at:06}-person"


def account(chance, at):
    return LearnerRow(
        id=f"L{chance.getrandbits(80):020X}",
        name=mark_of(at),
        identity_number=f"number-{at:06}-of",
        contact="x" * chance.randrange(300),
        registered_at_ms=1,
        changed_at_ms=1,
    )


def found_in(folder):
    """The marks that stand anywhere in any file of the folder."""
    told = b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())
    return {int(at) for at in re.findall(rb"(?:marked|number)-([0-9]{6})-(?:person|of)", told)}


async def fill_and_delete(store):
    """Accounts come and grow in no order, as in life, so that rows move between pages; every second one is deleted."""
    chance = random.Random(1)  # noqa: S311  # the same every time
    rows = [account(chance, at) for at in range(ACCOUNTS)]

    def come(tx):
        for row in rows:
            tx.credits.learners.put([row])
            other = chance.choice(rows[: rows.index(row) + 1])
            tx.credits.learners.put([msgspec.structs.replace(other, guardian="y" * chance.randrange(400))])

    def go(tx):
        for row in rows[::2]:
            tx.credits.learners.drop(row.id)

    await store.write(come)
    await store.write(go)
    return set(range(1, ACCOUNTS, 2))


async def test_nothing_deleted_is_found_in_the_files_of_a_running_node(tmp_path):
    async with opened(tmp_path / "node.db") as store:
        kept = await fill_and_delete(store)
        assert found_in(tmp_path) > kept, "deleting alone left nothing behind: then this test shows nothing"
        await store.scrub()
        assert found_in(tmp_path) == kept
        assert len(await store.read(lambda tx: tx.credits.learners.all(limit=ACCOUNTS))) == len(kept)
        assert await store.faults() == ()
        await store.scrub()
    assert found_in(tmp_path) == kept


async def test_readers_in_the_way_are_told_of_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_files, "BUSY_MS", 50)
    async with opened(tmp_path / "node.db") as store:
        chance = random.Random(2)  # noqa: S311  # the same every time
        await store.write(lambda tx: tx.credits.learners.put([account(chance, 1)]))
        reader = sqlite3.connect(tmp_path / "node.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM shelf").fetchall()
        with pytest.raises(StoreBusy):
            await store.scrub()
        reader.close()
        await store.scrub()
        assert len(await store.read(lambda tx: tx.credits.learners.all())) == 1


async def test_a_database_opened_to_look_is_not_scrubbed(tmp_path):
    async with opened(tmp_path / "node.db"):
        pass
    async with open_readonly(tmp_path / "node.db", own_node=OWN.origin) as readings:
        with pytest.raises(OpenedForReading):
            await readings.scrub()
