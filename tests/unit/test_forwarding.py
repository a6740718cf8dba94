"""Forwarding: what an outage costs, and what a commit makes a node look at."""

import asyncio

import pytest

from federation.checkpoints import sign_checkpoint
from federation.errors import PeerRefused, PeerUnreachable
from federation.logs import Entry, LogHead, LogId, append
from federation.naming import NodeName
from node.ports import HeldLog, Holding, PushReceipt
from node.usecases.dealings import Dealings
from node.usecases.forwarding import Forwarding, Pace
from tests.support.machine import CountedRandomness, HandClock
from tests.support.memory_store import MemoryStore
from tests.support.small_network import new_node_key

ROOT = NodeName("lln.internal")
COUNTY = NodeName("c.lln.internal")
SCHOOLS = [NodeName(f"s{number:02}.c.lln.internal") for number in range(40)]
NOW = 1_800_000_000_000


class Parent:
    """`node.ports.Peers`, as far as forwarding asks it: loses each n-th push, before or after taking it in."""

    def __init__(self) -> None:
        self.sizes: dict[LogId, int] = {}
        self.pushes: list[LogId] = []
        self.asked = 0
        self.lost_each = 0
        self.refused: set[LogId] = set()
        self.indexed: int | None = None

    async def held(self, to, *, timeout_s):
        self.asked += 1
        return [HeldLog(log=log, size=size, confirmed_at_ms=NOW) for log, size in sorted(self.sizes.items())]

    async def push(self, to, page, confirmed_at_ms, *, timeout_s):
        self.pushes.append(page.log)
        if page.log in self.refused:
            raise PeerRefused(to, "it does not know the origin")
        lost = self.lost_each and len(self.pushes) % self.lost_each == 0
        if not lost or len(self.pushes) % 2:
            self.sizes[page.log] = page.start + len(page.entries)
        if lost:
            raise PeerUnreachable(to, "lost")
        size = self.sizes[page.log]
        indexed = size if self.indexed is None else self.indexed
        above = Holding(log=page.log, holder=to, size=size, indexed=indexed, at_ms=NOW)
        return PushReceipt(size=size, cosignature=b"", holdings=(above,))


class County:
    def __init__(self) -> None:
        self.clock = HandClock(NOW)
        self.store = MemoryStore(new_node_key(), self.clock.now_ms)
        self.parent = Parent()
        self.reads: list[int] = []
        self.forwarding = Forwarding(
            store=self.store,
            peers=self.parent,
            clock=self.clock,
            randomness=CountedRandomness(),
            dealings=Dealings(self.clock),
            own_name=COUNTY,
            root=ROOT,
            pace=Pace(
                confirm_own_s=300.0,
                confirm_copies_s=3_600.0,
                retry_first_s=1.0,
                retry_longest_s=900.0,
                call_timeout_s=5.0,
            ),
        )
        self.heads: dict[LogId, LogHead] = {}

    async def receive(self, name, topic="catalogue"):
        """One more entry of somebody's log has come in."""
        log = LogId(origin=name, topic=topic)
        document = b'{"n":%d}' % len(self.heads)
        grown = append(self.heads.get(log) or LogHead(log=log), [document])
        self.heads[log] = grown.head
        note = sign_checkpoint(grown.head.checkpoint(), new_node_key())
        await self.store.write(
            lambda tx: tx.logs.extend(grown.head, grown.rows, [Entry.full(document)], note, self.clock.now_ms())
        )
        return log

    async def rounds(self, count):
        """As `run` would, one after the other; how many ended in an outage."""
        failed = 0
        for _ in range(count):
            try:
                await self.forwarding.round(ROOT)
            except PeerUnreachable:
                failed += 1
                self.forwarding._knows_held = False
        return failed


@pytest.fixture
async def county():
    made = County()
    for name in SCHOOLS:
        await made.receive(name)
    return made


async def test_a_line_that_loses_calls_still_gets_through_all_logs(county):
    county.parent.lost_each = 7
    assert await county.rounds(12) > 3
    assert county.parent.sizes == dict.fromkeys(county.heads, 1)
    assert len(county.parent.pushes) < 2 * len(SCHOOLS)


async def test_after_an_outage_only_what_is_missing_is_sent_again(county):
    await county.rounds(1)
    county.forwarding._knows_held = False
    county.parent.sizes[LogId(origin=SCHOOLS[3], topic="catalogue")] = 0  # it was set up again from an older copy
    county.parent.pushes.clear()
    await county.rounds(1)
    assert county.parent.pushes == [LogId(origin=SCHOOLS[3], topic="catalogue")]


async def test_a_commit_makes_only_its_own_logs_be_looked_at(county):
    await county.rounds(1)
    county.parent.pushes.clear()
    log, other = [await county.receive(name) for name in SCHOOLS[5:7]]
    county.forwarding.wake([log])
    await county.rounds(1)
    assert county.parent.pushes == [log]
    county.forwarding.wake()
    await county.rounds(1)
    assert county.parent.pushes == [log, other]


async def test_now_and_then_everything_is_looked_at_whoever_was_told(county):
    await county.rounds(1)
    county.parent.pushes.clear()
    log = await county.receive(SCHOOLS[5])
    await county.rounds(1)
    assert county.parent.pushes == []
    county.clock.move(s=151)
    await county.rounds(1)
    assert county.parent.pushes == [log]


async def test_what_was_refused_is_tried_again_once_a_directory_went_up(county):
    refused = LogId(origin=SCHOOLS[9], topic="catalogue")
    county.parent.refused.add(refused)
    await county.rounds(1)
    county.parent.refused.clear()
    county.parent.pushes.clear()
    county.forwarding.wake([await county.receive(SCHOOLS[1])])
    await county.rounds(1)
    assert refused not in county.parent.pushes
    county.forwarding.wake([await county.receive(SCHOOLS[1], "directory")])
    await county.rounds(1)
    assert county.parent.sizes[refused] == 1
    assert county.forwarding.waiting() == 0


async def test_whoever_is_still_indexing_is_asked_again_when_it_is_due_and_not_before(county):
    county.parent.indexed = 0
    await county.rounds(1)
    county.parent.pushes.clear()
    await county.rounds(1)
    assert county.parent.pushes == []
    assert county.forwarding._next_due_s() == pytest.approx(1.0)
    county.clock.move(s=1)
    county.parent.indexed = None
    await county.rounds(1)
    assert sorted(county.parent.pushes) == sorted(county.heads)
    assert county.forwarding._next_due_s() > 100


async def test_a_success_in_between_ends_the_long_waits(county):
    """A thousand logs over a bad line: each stretch that gets somewhere begins with the shortest wait again."""
    county.parent.lost_each = 15
    running = asyncio.create_task(county.forwarding.run())
    async with asyncio.timeout(20):
        while len(county.parent.sizes) < len(SCHOOLS):  # noqa: ASYNC110  # what is waited for is another task's
            await asyncio.sleep(0.01)
    assert county.forwarding._failures <= 1
    running.cancel()
