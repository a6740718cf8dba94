"""Acquainting: whom a county believes of another branch, from what the lowest common authority says of them."""

from dataclasses import dataclass

import pytest

from federation.catalogue import BilingualLine
from federation.certificates import verify_node_chain
from federation.directory import CallerNotAdmitted, CallerSuspended, NodeDescription
from federation.errors import NotFound
from node.ports import Resolved
from node.usecases.acquainting import ASK_ABOUT_RENEWED_MS, ASK_AGAIN_MS, ASK_IN_VAIN_MS, Acquainting
from node.usecases.vouching import Vouching
from tests.support.machine import HandClock
from tests.support.memory_store import MemoryStore
from tests.support.small_network import found, new_node_key

DAY_MS = 86_400_000


@dataclass
class OneNode:
    name: str
    root: str


class World:
    """A county under the hub, a stranger under another county, and what the hub says of that one when it is asked."""

    def __init__(self):
        self.root = found()
        self.clock = HandClock(self.root.now_ms + 2 * DAY_MS)
        self.authority = self.root.admit("b")
        self.school = self.authority.admit("s", kind="school")
        self.renewed = self._certified(1)
        self.older = self._certified(-1)
        county = self.root.admit("a")
        store = MemoryStore(new_node_key(), self.clock.now_ms)
        vouching = Vouching(store=store, clock=self.clock, own_name=county.name, root=self.root.name)
        identity = OneNode(name=county.name, root=self.root.name)
        self.acquainting = Acquainting(vouching=vouching, peers=self, identity=identity, clock=self.clock)
        self.asked = 0
        self.says = self.told(self.school.chain)

    def _certified(self, days):
        at_ms = self.root.now_ms + days * DAY_MS
        return (self.authority.certify(self.school, "school", now_ms=at_ms), *self.authority.chain)

    def told(self, chain, status="active"):
        return Resolved(
            name=self.school.name,
            status=status,
            chain=chain,
            description=NodeDescription(title=BilingualLine(zh="甲"), level="school", kind="school"),
            moved_to=None,
            confirmed_at_ms=self.clock.now_ms(),
            answered_by=self.root.name,
        )

    async def resolve(self, to, name, hops_left, *, timeout_s):
        assert (to, name) == (self.root.name, self.school.name)
        self.asked += 1
        if self.says is None:
            raise NotFound(name)
        return self.says

    async def calls(self, chain):
        """What becomes of a call under a chain: whether it goes on provisionally."""
        caller = verify_node_chain(chain, self.root.root_certificate, self.clock.now_ms())
        await self.acquainting.meet(caller)
        return self.acquainting.judge(caller, False)


@pytest.fixture
def world():
    return World()


async def test_a_stranger_is_asked_about_once_and_then_fully_admitted(world):
    assert await world.calls(world.school.chain) is False
    assert await world.calls(world.school.chain) is False
    assert world.asked == 1
    world.clock.move(ms=ASK_AGAIN_MS)
    assert await world.calls(world.school.chain) is False
    assert world.asked == 2


async def test_where_nobody_answers_the_certificates_speak_and_nobody_is_asked_for_a_while(world):
    world.says = None
    assert await world.calls(world.school.chain) is True
    assert await world.calls(world.school.chain) is True
    assert world.asked == 1
    world.clock.move(ms=ASK_IN_VAIN_MS)
    assert await world.calls(world.school.chain) is True
    assert world.asked == 2


async def test_a_certificate_issued_since_is_news_and_asked_about_until_its_authority_has_told(world):
    await world.calls(world.school.chain)
    assert await world.calls(world.renewed) is True
    world.clock.move(ms=ASK_ABOUT_RENEWED_MS)
    assert await world.calls(world.renewed) is True
    assert world.asked == 2
    world.says = world.told(world.renewed)
    world.clock.move(ms=ASK_ABOUT_RENEWED_MS)
    assert await world.calls(world.renewed) is False
    assert await world.calls(world.renewed) is False
    assert world.asked == 3


async def test_a_certificate_that_was_replaced_since_is_refused(world):
    await world.calls(world.school.chain)
    with pytest.raises(CallerNotAdmitted):
        await world.calls(world.older)


async def test_an_unreadable_certificate_told_of_excuses_nothing(world):
    world.says = world.told((b"no certificate",))
    with pytest.raises(CallerNotAdmitted):
        await world.calls(world.school.chain)


async def test_whoever_is_suspended_is_not_let_in_by_a_later_certificate(world):
    world.says = world.told(world.school.chain, "suspended")
    with pytest.raises(CallerSuspended):
        await world.calls(world.renewed)
