"""What only PostgreSQL's store can go wrong in: a server that is away, a connection that breaks, a newer schema."""

import asyncio
import sys

import pytest

from federation.errors import LlnError, Unavailable
from node.storage import migrations
from node.storage.errors import (
    DatabaseBroken,
    DatabaseUnreachable,
    DriverMissing,
    HomeInUse,
    RowsClash,
    SchemaTooNew,
)
from node.storage.opening import open_store, open_to_look
from tests.support.stores import OWN, check_log_holds_together, opened, seal

TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def sql(database, *statements):
    import psycopg  # noqa: PLC0415  # not everybody has it

    with psycopg.connect(database, autocommit=True) as connection:
        cursors = [connection.execute(statement) for statement in statements]
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]


async def refusal(database):
    with pytest.raises(LlnError) as refused:
        async with opened(database):
            pass
    return refused.value


async def test_a_connection_that_breaks_between_groups_costs_one_group_and_is_made_again(database):
    async with opened(database) as store:
        await store.write(lambda tx: tx.logs.append(OWN, [b"a"]))
        await store.read(lambda tx: tx.logs.all())
        await asyncio.to_thread(sql, database, TERMINATE)
        with pytest.raises(DatabaseUnreachable):
            await store.write(lambda tx: tx.logs.append(OWN, [b"b"]))
        assert await store.write(lambda tx: tx.logs.append(OWN, [b"c"])) == 1
        assert issubclass(DatabaseUnreachable, Unavailable)
    async with opened(database) as store:
        assert await check_log_holds_together(store) == [b"a", b"c"]


async def test_a_connection_that_breaks_in_mid_group_leaves_nothing_of_the_group(database):
    def breaks(tx):
        sql(database, TERMINATE)
        tx.notes.get("anything")

    async with opened(database) as store:
        await store.write(lambda tx: tx.logs.append(OWN, [b"a"]))
        outcomes = await asyncio.gather(
            store.write(lambda tx: tx.notes.put("before", b"")),
            store.write(breaks),
            store.write(lambda tx: tx.notes.put("after", b"")),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [DatabaseUnreachable] * 3
        await store.write(lambda tx: tx.logs.append(OWN, [b"b"]))
        await check_log_holds_together(store, 2)
        assert await store.read(lambda tx: (tx.notes.get("before"), tx.notes.get("after"))) == (None, None)


async def test_a_value_that_fails_only_when_the_group_is_written_fails_the_group_and_no_other(database):
    async with opened(database) as store:
        with pytest.raises(RowsClash):
            await store.write(lambda tx: tx.notes.put("with a \0 in it", b""))
        assert await store.write(lambda tx: tx.logs.append(OWN, [b"a"])) == 0


async def test_a_server_that_is_away_and_a_database_that_is_not_there_are_told_in_the_servers_words(database):
    away, absent = await refusal("host=/nowhere dbname=lln"), await refusal(f"{database}-absent")
    assert type(away) is type(absent) is DatabaseUnreachable
    assert "/nowhere" in str(away)
    assert "-absent" in str(absent)


async def test_a_newer_schema_is_refused(database):
    async with opened(database):
        pass
    sql(database, "UPDATE lln.schema_version SET version = 999")
    assert isinstance(await refusal(database), SchemaTooNew)


async def test_a_migration_that_fails_changes_nothing(database, monkeypatch):
    async with opened(database) as store:
        await store.write(lambda tx: tx.logs.append(OWN, [b"a"]))
    known = migrations.for_postgres()
    later = "CREATE TABLE later (x BIGINT); INSERT INTO nowhere VALUES (1);"
    monkeypatch.setattr(migrations, "for_postgres", lambda: [*known, later])
    assert isinstance(await refusal(database), DatabaseBroken)
    monkeypatch.undo()
    assert sql(database, "SELECT to_regclass('lln.later')") == [[(None,)]]
    async with opened(database) as store:
        await check_log_holds_together(store, 1)


def test_both_engines_have_had_the_same_migrations():
    assert len(migrations.for_postgres()) == len(migrations.for_sqlite())


async def test_a_home_is_kept_to_one_process_whatever_its_engine(database, tmp_path):
    def home(postgres):
        return open_store(tmp_path / "node.db", own_node=OWN.origin, seal=seal, now_ms=lambda: 1, postgres=postgres)

    async with home(database) as store:
        await store.write(lambda tx: tx.logs.append(OWN, [b"a"]))
        with pytest.raises(HomeInUse):
            async with home(None):
                pass
        refused = await refusal(database)
        assert isinstance(refused, HomeInUse)
        assert str(OWN.origin) in str(refused)
    async with home(None) as store:
        assert await store.read(lambda tx: tx.logs.all()) == []


async def test_a_database_is_looked_at_while_a_node_writes_to_it(database, tmp_path):
    place = tmp_path / "node.db"
    async with opened(database) as store:
        await store.write(lambda tx: tx.logs.append(OWN, [b"a"]))
        async with open_to_look(place, own_node=OWN.origin, postgres=database) as readings:
            assert await readings.faults() == ()
            [stored] = await readings.read(lambda tx: tx.logs.all())
            assert stored.head.size == 1
    with pytest.raises(DatabaseUnreachable):
        async with open_to_look(place, own_node=OWN.origin, postgres=f"{database}_absent"):
            pass
    assert not place.exists()


async def test_without_the_driver_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "node.storage.postgres_store", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "node.storage.postgres_session", raising=False)
    place, elsewhere = tmp_path / "node.db", "dbname=lln"
    for opening in (
        open_store(place, own_node=OWN.origin, seal=seal, now_ms=lambda: 1, postgres=elsewhere),
        open_to_look(place, own_node=OWN.origin, postgres=elsewhere),
    ):
        with pytest.raises(DriverMissing, match="psycopg"):
            async with opening:
                pass
