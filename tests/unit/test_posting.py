"""Posting: when it tries, what it says again after a crash, and whom it follows."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from federation.callers import TooManyCalls
from federation.catalogue import BilingualLine
from federation.directory import NodeDescription, Standing
from federation.errors import PeerRefused, PeerUnreachable
from federation.logs import LogId
from federation.naming import NodeName
from node.ports import Delivered, PutOff, Resolved, Sending
from node.ports.posting import BATCH_BYTES_MAX, BATCH_ITEMS_MAX, ITEM_BYTES_MAX
from node.storage.errors import ItemReused
from node.usecases.dealings import Dealings
from node.usecases.posting import (
    RETRY_FIRST_S,
    RETRY_LONGEST_PARENT_S,
    RETRY_LONGEST_S,
    TOO_MANY_MAX,
    TOO_MANY_S,
    Posting,
    StillOnItsWay,
    _Sender,
)
from node.usecases.settling import next_batch, operation_of, readdress
from node.usecases.vouching import Vouching
from tests.support.identities import identity_of
from tests.support.machine import CountedRandomness, HandClock
from tests.support.memory_store import MemoryStore
from tests.support.small_network import found

DESCRIBED = NodeDescription(title=BilingualLine(zh="县"), level="county", kind="authority", endpoint="county:7443")
WAIT_S = 20.0


class Others:
    """`node.ports.Peers`, as far as posting asks it: who answers and how; every call is noted."""

    def __init__(self) -> None:
        self.calls = []
        self.says = {}
        self.known = {}
        self.resolved = {}

    async def deliver(self, to, items, operation_id, *, timeout_s):
        self.calls.append((to, [item.id for item in items], operation_id))
        says = self.says.get(to)
        if isinstance(says, Exception):
            raise says
        if says is not None:
            return await says(items)
        return [Delivered(reply=item.id.encode()) for item in items]

    async def resolve(self, to, name, hops_left, *, timeout_s):
        found = self.resolved.get(name)
        if found is None:
            raise PeerRefused(name, "nobody knows it")
        return found

    def know(self, name, endpoint):
        self.known[name] = endpoint

    def can_dial(self, name):
        return name in self.known

    def called(self, to):
        return [ids for name, ids, _ in self.calls if name == to]


class World:
    """A county below the root; its directory holds what the test says."""

    def __init__(self) -> None:
        self.clock = HandClock()
        root = found(now_ms=self.clock.now_ms())
        self.identity = identity_of(root.admit("county", "authority"), self.clock)
        self.name, self.root = self.identity.name, root.name
        self.store = MemoryStore(self.identity, self.clock.now_ms)
        self.others = Others()
        self.vouching = Vouching(store=self.store, clock=self.clock, own_name=self.name, root=self.root)
        self.settled = []
        self.own = []

    async def to_self(self, sender, key, items, write):
        """As the node takes in its own items: without a call, and known by its own key."""
        self.own.append((sender, key, [item.id for item in items]))
        return [Delivered(reply=item.id.encode()) for item in items]

    def child(self, label):
        return NodeName(f"{label}.{self.name}")

    async def stands(self, label, status, **more):
        standing = Standing(
            authority=self.name,
            name=self.child(label),
            status=status,
            description=DESCRIBED,
            key="did:key:z6Mk",
            certificates=("Zm9v",),
            since_ms=5,
            **more,
        )

        def unit(tx):
            tx.standings.put(standing)
            tx.logs.append(LogId(origin=self.name, topic="directory"), [b"as the standing says"])

        await self.store.write(unit)
        await self.vouching.refresh([self.name])

    @asynccontextmanager
    async def posting(self):
        posting = Posting(
            store=self.store,
            peers=self.others,
            vouching=self.vouching,
            clock=self.clock,
            randomness=CountedRandomness(),
            dealings=Dealings(self.clock),
            identity=self.identity,
            settles={"test": lambda _, item, outcome: self.settled.append((item.id, outcome))},
            to_self=self.to_self,
        )
        self.store.on_post(posting.wake)
        running = asyncio.ensure_future(posting.run())
        try:
            yield posting
        finally:
            running.cancel()
            await asyncio.wait([running])
            self.store._told_of_post.clear()

    async def add(self, to, *ids, document=b"{}", kind="test"):
        await self.store.write(lambda tx: [tx.outbox.add(to, kind, document, one, self.clock.now_ms()) for one in ids])

    async def sending(self, to):
        return await self.store.read(lambda tx: tx.outbox.sending(to))

    async def backlogs(self):
        return await self.store.read(lambda tx: {one.to: (one.waiting, one.dead) for one in tx.outbox.backlogs()})


@pytest.fixture
def world():
    return World()


async def until(condition):
    async with asyncio.timeout(WAIT_S):
        while not (found := await condition()):  # noqa: ASYNC110  # several tasks have to have their turns
            await asyncio.sleep(0)
        return found


async def failed(world, to, times):
    async def is_so():
        return (await world.sending(to)).failures >= times

    await until(is_so)
    return await world.sending(to)


# --- when ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("is_parent", "longest_s"), [(True, RETRY_LONGEST_PARENT_S), (False, RETRY_LONGEST_S)])
async def test_the_wait_after_a_failure_doubles_up_to_its_limit_with_jitter(world, is_parent, longest_s):
    to = world.root if is_parent else world.child("school")
    world.others.says[to] = PeerUnreachable(to, "no route")
    async with world.posting() as posting:
        posting._group = None  # the test takes each step itself
        await world.add(to, "a")
        batch = await world.store.read(lambda tx: next_batch(tx, to))
        waits_s = []
        for failure in range(1, 16):
            await posting._send(_Sender(to), await world.sending(to), batch)
            sending = await world.sending(to)
            assert (sending.failures, sending.last_error) == (failure, f"[LLN-250] {to}: no route")
            waits_s.append((sending.next_try_at_ms - world.clock.now_ms()) / 1_000)
    ceilings = [min(longest_s, RETRY_FIRST_S * 2**n) for n in range(15)]
    shares = [wait / most for wait, most in zip(waits_s, ceilings, strict=True)]
    assert all(0.099 <= share <= 1 for share in shares)
    assert max(shares) - min(shares) > 0.5
    assert len({operation for _, _, operation in world.others.calls}) == 1


async def test_a_restart_waits_on_where_the_last_start_left_off(world):
    to = world.child("school")
    late = Sending(to=to, failures=7, next_try_at_ms=world.clock.now_ms() + 600_000, last_error="no route")
    await world.store.write(lambda tx: tx.outbox.put_sending(late))
    await world.add(to, "a")
    async with world.posting() as posting:
        await until(lambda: truth(to in posting._senders))
        with pytest.raises(StillOnItsWay):
            await posting.settled(to, "a", 0.05)
        assert world.others.calls == []
        posting.hurry([to])
        assert await posting.settled(to, "a", WAIT_S) == Delivered(reply=b"a")
    assert await world.backlogs() == {}


async def test_a_sign_of_life_ends_the_wait_for_an_answer_and_not_that_after_a_refusal(world):
    silent, refusing = world.child("silent"), world.child("refusing")
    world.others.says = {
        silent: PeerUnreachable(silent, "no route"),
        refusing: PeerRefused(refusing, "an older version"),
    }
    async with world.posting() as posting:
        await world.add(silent, "a")
        await world.add(refusing, "a")
        await failed(world, silent, 1)
        await failed(world, refusing, 1)
        posting.heard_from(silent)  # it was tried this very moment
        world.clock.move(s=RETRY_FIRST_S)
        world.others.says[silent] = None
        for name in (silent, refusing, world.child("nobody waits for it")):
            posting.heard_from(name)
        assert await posting.settled(silent, "a", WAIT_S) == Delivered(reply=b"a")
        assert world.others.called(silent) == [["a"], ["a"]]
        assert world.others.called(refusing) == [["a"]]


async def test_when_the_parent_answers_again_so_may_everybody(world):
    school = world.child("school")
    world.others.says[school] = PeerUnreachable(school, "no route")
    async with world.posting() as posting:
        await world.add(school, "a")
        await failed(world, school, 1)
        world.clock.move(s=RETRY_FIRST_S)
        world.others.says.clear()
        posting.is_back(world.root)
        assert await posting.settled(school, "a", WAIT_S) == Delivered(reply=b"a")


async def test_one_that_hangs_holds_up_nobody_else(world):
    hanging, other = world.child("hanging"), world.child("other")

    async def hang(_):
        await asyncio.Event().wait()

    world.others.says[hanging] = hang
    async with world.posting() as posting:
        await world.add(hanging, "a")
        await until(lambda: truth(world.others.called(hanging)))
        await world.add(other, "b")
        assert await posting.settled(other, "b", WAIT_S) == Delivered(reply=b"b")


async def test_a_node_that_has_had_its_share_of_calls_is_asked_again_after_a_moment(world):
    to, refusals = world.child("school"), iter(range(3))

    async def busy(items):
        if next(refusals, None) is not None:
            raise PeerRefused(to, f"[{TooManyCalls.code}] {world.name}: slow down")
        return [Delivered(reply=b"") for _ in items]

    world.others.says[to] = busy
    async with world.posting() as posting:
        began_ms = world.clock.now_ms()
        await world.add(to, "a")
        await posting.settled(to, "a", WAIT_S)
    assert world.clock.now_ms() - began_ms == 3 * 1_000 * TOO_MANY_S  # nothing but waiting moves this clock
    assert await world.sending(to) == Sending(to=to)


async def test_a_node_that_never_has_room_is_a_failure_like_any_other(world):
    to = world.child("school")
    world.others.says[to] = PeerRefused(to, f"[{TooManyCalls.code}] {world.name}: slow down")
    async with world.posting():
        await world.add(to, "a")
        await failed(world, to, 1)
    assert len(world.others.calls) == TOO_MANY_MAX + 1


# --- what ------------------------------------------------------------------------------------------------------------


async def test_a_batch_is_bounded_and_one_is_in_flight(world):
    to, flying = world.child("school"), []

    async def answer(items):
        flying.append(len(items))
        assert len(flying) == 1
        await asyncio.sleep(0)
        flying.clear()
        return [Delivered(reply=b"") for _ in items]

    world.others.says[to] = answer
    async with world.posting() as posting:
        await world.add(to, *(f"{number}" for number in range(BATCH_ITEMS_MAX + 3)))
        await world.add(to, "large", "larger", document=b"x" * ITEM_BYTES_MAX)
        await posting.settled(to, "larger", WAIT_S)
    sizes = [len(ids) for ids in world.others.called(to)]
    assert sizes[0] == BATCH_ITEMS_MAX
    assert sum(sizes) == BATCH_ITEMS_MAX + 5
    assert BATCH_BYTES_MAX < 2 * ITEM_BYTES_MAX
    assert world.others.called(to)[-1] == ["larger"]


async def test_an_operation_is_another_once_an_answer_has_left_it_here(world):
    to = world.child("school")
    await world.add(to, "a", "b")
    first = await world.store.read(lambda tx: next_batch(tx, to))
    again = await world.store.read(lambda tx: next_batch(tx, to))
    assert operation_of(first) == operation_of(again)
    answers = iter(([PutOff(code="LLN-160", told="not now")] * 2, [Delivered(reply=b"1"), Delivered(reply=b"2")]))

    async def answer(_):
        return next(answers)

    world.others.says[to] = answer
    async with world.posting() as posting:
        posting.wake([to])
        sending = await failed(world, to, 1)
        assert sending.last_error == "[LLN-160] not now"
        posting.hurry([to])
        await posting.settled(to, "b", WAIT_S)
    operations = [operation for _, _, operation in world.others.calls]
    assert operations[0] == operation_of(first)
    assert len(set(operations)) == 2
    assert [item_id for item_id, _ in world.settled] == ["a", "b"]


# --- to whom ---------------------------------------------------------------------------------------------------------


async def test_a_node_that_has_moved_is_followed_and_who_waits_still_gets_the_outcome(world):
    old, new = world.child("old"), NodeName(f"new.{world.root}")
    await world.stands("old", "active")
    world.others.says[old] = PeerUnreachable(old, "gone")
    async with world.posting() as posting:
        await world.add(old, "a", "b")
        await failed(world, old, 1)
        waiting = asyncio.ensure_future(posting.settled(old, "b", WAIT_S))
        await until(lambda: truth((old, "b") in posting._waiting))
        await world.stands("old", "moved", moved_to=new)
        posting.look_again()
        assert await waiting == Delivered(reply=b"b")
    assert world.others.called(new) == [["a", "b"]]
    assert await world.backlogs() == {}


async def test_an_item_that_waits_under_both_names_goes_once_and_a_different_one_is_shown(world):
    old, new = world.child("old"), NodeName(f"new.{world.root}")
    await world.add(old, "same", "clash", "fresh")
    await world.add(new, "same")
    await world.add(new, "clash", document=b"other")
    await world.store.write(lambda tx: readdress(tx, old, new))
    waiting = await world.store.read(lambda tx: [(item.to, item.id) for item in tx.outbox.waiting(new, 9)])
    assert waiting == [(new, "same"), (new, "clash"), (new, "fresh")]
    [dead] = await world.store.read(lambda tx: tx.outbox.dead(9))
    assert (dead.to, dead.id, dead.code) == (old, "clash", ItemReused.code)


@pytest.mark.parametrize(("status", "left"), [("revoked", (0, 2)), ("suspended", (2, 0))])
async def test_what_is_below_a_revoked_or_suspended_authority_shares_its_fate(world, status, left):
    below = NodeName(f"school.{world.child('town')}")
    await world.stands("town", status, reason="an inspection")
    async with world.posting():
        await world.add(below, "a", "b")
        await until(lambda: is_left(world, below, left))
    assert world.others.calls == []
    if status == "suspended":
        assert (await world.sending(below)).last_error == f"{world.child('town')} is suspended: an inspection"
    else:
        assert [outcome.code for _, outcome in world.settled] == ["LLN-2671", "LLN-2671"]


async def is_left(world, to, left):
    return (await world.backlogs()).get(to) == left and (left[1] or (await world.sending(to)).failures)


async def test_a_node_of_another_branch_is_asked_about_above(world):
    far, gone = NodeName(f"far.{world.root}"), NodeName(f"gone.{world.root}")
    for name, status, moved_to in ((far, "active", None), (gone, "moved", far)):
        world.others.resolved[name] = Resolved(
            name=name,
            status=status,
            chain=(),
            description=DESCRIBED,
            moved_to=moved_to,
            confirmed_at_ms=world.clock.now_ms(),
            answered_by=world.root,
        )
    async with world.posting() as posting:
        await world.add(far, "a")
        assert await posting.settled(far, "a", WAIT_S) == Delivered(reply=b"a")
        assert world.others.known == {far: "county:7443"}
        await world.add(gone, "b")
        assert await posting.settled(gone, "b", WAIT_S) == Delivered(reply=b"b")
    assert [name for name, _, _ in world.others.calls] == [far, far]


async def truth(value):
    return value


async def test_what_a_node_addresses_to_itself_takes_the_same_way_without_a_call(world):
    async with world.posting() as posting:
        await world.add(world.name, "a")
        assert await posting.settled(world.name, "a", WAIT_S) == Delivered(reply=b"a")
    assert world.own == [(world.name, world.identity.did, ["a"])]
    assert world.others.calls == []
    assert await world.backlogs() == {}
