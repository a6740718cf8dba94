"""What `node.ports.OutboxRows` and `InboxRows` promise, kept by every engine and by the fake."""

import asyncio

import msgspec
import pytest

from federation.errors import InvalidInput
from federation.naming import NodeName
from node.ports import Backlog, InboxRow, OutboxItem, Sending
from node.ports.posting import ITEM_BYTES_MAX, ITEM_ID_CHARS_MAX
from node.storage.errors import ItemReused, RowsClash, UnfitItem
from tests.support.memory_store import MemoryStore
from tests.support.stores import KEY, OWN, check_log_holds_together, opened

HUB, COUNTY = NodeName("lln.internal"), NodeName("county.lln.internal")


@pytest.fixture(params=["sqlite", "postgres", "memory"])
async def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryStore(KEY)
        return
    place = tmp_path / "node.db" if request.param == "sqlite" else request.getfixturevalue("database")
    async with opened(place) as made:
        yield made


def add(to, item_id, document=b"{}", kind="test", at_ms=1):
    return lambda tx: tx.outbox.add(to, kind, document, item_id, at_ms)


async def waiting(store, to, limit=100):
    return [item.id for item in await store.read(lambda tx: tx.outbox.waiting(to, limit))]


async def test_items_wait_in_the_order_they_were_added_for_each_node(store):
    await asyncio.gather(*(store.write(add(HUB, f"hub-{n}")) for n in range(20)))
    await store.write(add(COUNTY, "county-0", b"\0\xff", "credit.commit", 7))
    assert await waiting(store, HUB) == [f"hub-{n}" for n in range(20)]
    assert await waiting(store, HUB, 3) == ["hub-0", "hub-1", "hub-2"]
    assert await waiting(store, NodeName("nobody.lln.internal")) == []
    expected = OutboxItem(
        to=COUNTY, sequence=1, id="county-0", kind="credit.commit", document=b"\0\xff", created_at_ms=7
    )
    assert await store.read(lambda tx: tx.outbox.get(COUNTY, "county-0")) == expected
    assert await store.read(lambda tx: tx.outbox.get(HUB, "county-0")) is None


async def test_an_item_is_there_with_what_else_its_unit_wrote_or_not_at_all(store):
    def fails(tx):
        tx.outbox.add(HUB, "test", b"{}", "never", 1)
        tx.notes.put("never", b"1")
        raise InvalidInput("unit", "of no use")

    def stands(tx):
        tx.outbox.add(HUB, "test", b"{}", "a", 1)
        return tx.logs.append(OWN, [b"a"])

    outcomes = await asyncio.gather(store.write(fails), store.write(stands), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [InvalidInput, int]
    assert await waiting(store, HUB) == ["a"]
    await check_log_holds_together(store, 1)


async def test_an_id_that_waits_stands_for_one_content(store):
    await store.write(add(HUB, "a", b"1"))
    await store.write(add(HUB, "a", b"1"))
    await store.write(add(COUNTY, "a", b"2"))  # to another node it is another item
    for other in (add(HUB, "a", b"2"), add(HUB, "a", b"1", "another kind")):
        with pytest.raises(ItemReused):
            await store.write(other)
    assert await waiting(store, HUB) == ["a"]
    assert [item.to for item in await store.read(lambda tx: tx.outbox.find("a"))] == [COUNTY, HUB]


@pytest.mark.parametrize(
    ("item_id", "kind", "size"),
    [("", "k", 1), ("i" * (ITEM_ID_CHARS_MAX + 1), "k", 1), ("i", "", 1), ("i", "k", ITEM_BYTES_MAX + 1)],
)
async def test_what_cannot_travel_is_not_added(store, item_id, kind, size):
    with pytest.raises(UnfitItem):
        await store.write(lambda tx: tx.outbox.add(HUB, kind, b"x" * size, item_id, 1))
    assert await store.read(lambda tx: tx.outbox.backlogs()) == []


async def test_items_are_given_up_set_free_put_last_and_removed(store):
    for item_id in ("a", "b", "c"):
        await store.write(add(HUB, item_id))

    def give_up(tx):
        item = tx.outbox.get(HUB, "a")
        tx.outbox.put(msgspec.structs.replace(item, is_dead=True, attempts=3, told="refused"))

    def put_last(tx):
        item = tx.outbox.get(HUB, "b")
        tx.outbox.put(msgspec.structs.replace(item, sequence=tx.outbox.last(HUB) + 1))

    await store.write(give_up)
    await store.write(put_last)
    assert await waiting(store, HUB) == ["c", "b"]
    [dead] = await store.read(lambda tx: tx.outbox.dead(10))
    assert (dead.id, dead.attempts, dead.told) == ("a", 3, "refused")
    await store.write(lambda tx: tx.outbox.put(msgspec.structs.replace(dead, is_dead=False)))
    assert await waiting(store, HUB) == ["a", "c", "b"]
    await store.write(lambda tx: tx.outbox.remove(HUB, "c"))
    await store.write(lambda tx: tx.outbox.remove(HUB, "c"))
    assert await waiting(store, HUB) == ["a", "b"]
    with pytest.raises((RowsClash, AssertionError)):
        await store.write(lambda tx: tx.outbox.put(msgspec.structs.replace(dead, id="gone")))


async def test_backlogs_count_what_waits_and_what_is_given_up(store):
    await store.write(add(HUB, "a", b"123", at_ms=5))
    await store.write(add(HUB, "b", b"4567", at_ms=9))
    await store.write(add(COUNTY, "c"))
    item = await store.read(lambda tx: tx.outbox.get(COUNTY, "c"))
    sending = Sending(to=HUB, failures=2, next_try_at_ms=99, last_error="no answer 没有应答")
    await store.write(lambda tx: tx.outbox.put(msgspec.structs.replace(item, is_dead=True)))
    await store.write(lambda tx: tx.outbox.put_sending(sending))
    county, hub = await store.read(lambda tx: tx.outbox.backlogs())
    assert hub == Backlog(
        to=HUB,
        waiting=2,
        waiting_bytes=7,
        oldest_at_ms=5,
        dead=0,
        failures=2,
        next_try_at_ms=99,
        last_error="no answer 没有应答",
    )
    assert (county.to, county.waiting, county.waiting_bytes, county.oldest_at_ms, county.dead) == (COUNTY, 0, 0, 0, 1)
    assert await store.read(lambda tx: tx.outbox.sending(HUB)) == sending
    await store.write(lambda tx: tx.outbox.put_sending(Sending(to=HUB)))
    assert await store.read(lambda tx: tx.outbox.sending(HUB)) == Sending(to=HUB)


async def test_what_was_taken_in_is_remembered_for_its_sender(store):
    row = InboxRow(sender="did:key:z6Mk1", id="a", content_sha256=b"\1" * 32, reply=b"\0reply", at_ms=3)
    await store.write(lambda tx: tx.inbox.put(row))
    found = await store.read(
        lambda tx: [
            tx.inbox.get("did:key:z6Mk1", "a"),
            tx.inbox.get("did:key:z6Mk2", "a"),
            tx.inbox.get(row.sender, "b"),
        ]
    )
    assert found == [row, None, None]
    with pytest.raises((RowsClash, AssertionError)):
        await store.write(lambda tx: tx.inbox.put(row))


async def test_whoever_sends_is_told_of_the_nodes_that_items_were_added_for(store):
    heard = []
    store.on_post(heard.append)
    await store.write(lambda tx: tx.notes.put("no item", b""))
    await store.write(lambda tx: [add(to, "a")(tx) for to in (HUB, COUNTY)])
    await store.write(lambda tx: tx.outbox.remove(HUB, "a"))
    await asyncio.sleep(0)
    assert heard == [frozenset((HUB, COUNTY))]
