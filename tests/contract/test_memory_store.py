"""The fake keeps the Store's contract where tests lean on it."""

import pytest

from federation.checkpoints import open_checkpoint
from federation.errors import Conflict, InvalidInput
from federation.keys import KeyInMemory
from federation.logs import LogId
from federation.merkle import Frontier, leaf_hashes
from federation.naming import NodeName
from node.ports import KeptAnswer
from tests.support.memory_store import MemoryStore

KEY = KeyInMemory(b"\7" * 32)
OWN = LogId(origin=NodeName("school.lln.internal"), topic="catalogue")


@pytest.fixture
def store():
    return MemoryStore(KEY, lambda: 1_000)


async def test_appends_are_signed_and_hold_together(store):
    assert await store.write(lambda tx: tx.logs.append(OWN, [b"a", b"b"])) == 0
    assert await store.write(lambda tx: tx.logs.append(OWN, [b"c"])) == 2
    stored, entries, rows = await store.read(
        lambda tx: (tx.logs.get(OWN), tx.logs.entries(OWN, 1, 9), tx.logs.hash_rows(OWN, [0, 2, 7]))
    )
    grown = Frontier().extend(leaf_hashes([b"a", b"b", b"c"]))
    assert stored.head.frontier == grown.frontier
    assert [entry.document for entry in entries] == [b"b", b"c"]
    assert rows == {0: grown.rows[0], 2: grown.rows[2]}
    checkpoint = open_checkpoint(stored.note, origin=OWN.origin_line, key=KEY.public)
    assert (checkpoint.size, checkpoint.root) == (3, grown.frontier.root())


async def test_a_unit_that_raises_is_undone(store):
    heard = []
    store.on_commit(heard.append)

    def fails(tx):
        tx.logs.append(OWN, [b"never"])
        tx.notes.put("never", b"1")
        raise InvalidInput("unit", "of no use")

    with pytest.raises(InvalidInput):
        await store.write(fails)
    assert await store.read(lambda tx: (tx.logs.all(), tx.notes.get("never"))) == ([], None)
    assert heard == []
    await store.write(lambda tx: tx.logs.append(OWN, [b"a"]))
    assert heard == [frozenset((OWN,))]


async def test_a_read_may_not_write(store):
    with pytest.raises(AssertionError):
        await store.read(lambda tx: tx.notes.put("a", b""))


async def test_an_answer_is_kept_once(store):
    answer = KeptAnswer(
        caller=OWN.origin,
        operation_id="1",
        call_sha256=b"",
        method="/m",
        payload_sha256=b"",
        call_header=b"",
        call_signature=b"",
        status=0,
        body=b"",
        at_ms=1,
    )
    await store.write(lambda tx: tx.answers.put(answer))
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.answers.put(answer))
