"""Following: what a beat costs, and that a node which stops in the very moment its parent goes does stop."""

import asyncio

import msgspec
import pytest

from federation.errors import PeerUnreachable
from federation.logs import LogId
from federation.naming import NodeName
from node.ports import LogHeadNote
from node.usecases.accepting import Accepting
from node.usecases.cutting import Cutting
from node.usecases.dealings import Dealings
from node.usecases.following import Following
from tests.support.identities import identity_of
from tests.support.machine import CountedRandomness, HandClock
from tests.support.memory_store import MemoryStore
from tests.support.small_network import found


class StillClock(HandClock):
    """Whoever sleeps is not woken."""

    async def sleep(self, seconds):
        await asyncio.Event().wait()


class Parent:
    """`node.ports.Peers`, as far as following asks it: a directory log, and a stream of what the test says."""

    def __init__(self, member, clock) -> None:
        self.name = member.name
        self.log = LogId(origin=member.name, topic="directory")
        self.store = MemoryStore(identity_of(member, clock), clock.now_ms)
        self.said: asyncio.Queue = asyncio.Queue()
        self.reads = 0
        self._cutting = Cutting(own_name=member.name, root=NodeName("lln.internal"))

    async def head(self) -> LogHeadNote:
        stored = await self.store.read(lambda tx: tx.logs.get(self.log))
        return LogHeadNote(log=self.log, note=stored.note)

    async def read(self, to, topic, start, limit, *, timeout_s):
        self.reads += 1
        return await self.store.read(
            lambda tx: self._cutting.page(tx, tx.logs.get(self.log), start, viewer=NodeName("school.lln.internal"))
        )

    async def watch(self, to, topics):
        while True:
            said = await self.said.get()
            if isinstance(said, Exception):
                raise said
            yield said


@pytest.fixture
async def followed():
    clock = StillClock()
    root = found(now_ms=clock.now_ms())
    school = identity_of(root.admit("school", "school"), clock)
    parent = Parent(root, clock)
    await parent.store.write(lambda tx: tx.logs.append(parent.log, []))
    store = MemoryStore(school, clock.now_ms)
    following = Following(
        store=store,
        peers=parent,
        accepting=Accepting(store=store, clock=clock, identity=school, lineage_keys=lambda: {root.name: root.key}),
        clock=clock,
        randomness=CountedRandomness(),
        dealings=Dealings(clock),
        own_name=school.name,
        root=root.name,
        confirm_every_s=60,
        retry_first_s=1,
        retry_longest_s=10,
        call_timeout_s=5,
    )
    task = asyncio.ensure_future(following.run())
    await turns()
    yield parent, task
    task.cancel()
    await asyncio.wait((task,), timeout=1)


async def turns():
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_beat_that_repeats_what_is_held_costs_no_call(followed):
    parent, _ = followed
    before = parent.reads
    for _ in range(3):
        parent.said.put_nowait(await parent.head())
        await turns()
    assert (before, parent.reads) == (1, 1)


async def test_a_checkpoint_that_is_not_held_is_read_up_to_at_once(followed):
    parent, task = followed
    newer = msgspec.structs.replace(await parent.head(), note=b"another text\n\nsigned")
    parent.said.put_nowait(newer)
    await turns()
    assert parent.reads == 2
    assert not task.done()


@pytest.mark.parametrize("turns_later", range(6))
async def test_a_node_that_stops_as_its_parent_goes_does_stop(followed, turns_later):
    """The stream's end and the cancellation meet inside a TaskGroup, which would swallow the cancellation."""
    parent, task = followed
    parent.said.put_nowait(PeerUnreachable(parent.name, "gone"))
    for _ in range(turns_later):
        await asyncio.sleep(0)
    task.cancel()
    await turns()
    assert task.cancelled()
