"""Vouching: whom a county believes, from the directories it holds and from how old they are."""

import pytest

from federation import canonical
from federation.catalogue import BilingualLine
from federation.directory import (
    CATALOGUE_ONLY_MS,
    CUT_OFF_MS,
    FRESH_MS,
    CallerNotAdmitted,
    CallerRevoked,
    CallerSuspended,
    DirectoryTooOld,
    NodeAdmitted,
    NodeDescription,
    NodeResumed,
    NodeRevoked,
    NodeSuspended,
    apply_entry,
)
from federation.logs import LogId
from federation.naming import NodeName, parent_of
from node.usecases.vouching import Vouching
from tests.support.machine import HandClock
from tests.support.memory_store import MemoryStore
from tests.support.small_network import new_node_key

ROOT = NodeName("lln.internal")
PROVINCE = NodeName("p.lln.internal")
COUNTY = NodeName("c.p.lln.internal")
NEIGHBOUR = NodeName("d.p.lln.internal")
SCHOOL = NodeName("s.c.p.lln.internal")
FAR = NodeName("s.d.p.lln.internal")
DESCRIBED = NodeDescription(title=BilingualLine(zh="甲"), level="county", kind="authority")
CERTIFICATES = {name: f"{number}AAA" for number, name in enumerate((PROVINCE, COUNTY, NEIGHBOUR, SCHOOL, FAR))}


class World:
    """A county's store, filled as pages of directories would fill it, and its view of who is admitted."""

    def __init__(self) -> None:
        self.clock = HandClock(10 * CATALOGUE_ONLY_MS)
        self.store = MemoryStore(new_node_key(), self.clock.now_ms)
        self.vouching = Vouching(store=self.store, clock=self.clock, own_name=COUNTY, root=ROOT)

    async def say(self, kind, name, **fields):
        authority = parent_of(name, ROOT)
        entry = kind(authority=authority, name=name, at_ms=self.clock.now_ms(), salt="A" * 22, **fields)

        def unit(tx):
            tx.standings.put(apply_entry(tx.standings.get(authority, name), entry))
            tx.logs.append(LogId(origin=authority, topic="directory"), [canonical.encode(entry)])

        await self.store.write(unit)

    async def admit(self, *names):
        for name in names:
            key = new_node_key().did
            await self.say(NodeAdmitted, name, description=DESCRIBED, key=key, certificate=CERTIFICATES[name])

    def judge(self, *line, reads_catalogue=False):
        return self.vouching.judge(line, [CERTIFICATES[name] for name in line], reads_catalogue=reads_catalogue)


@pytest.fixture
async def world():
    made = World()
    await made.admit(COUNTY, NEIGHBOUR, SCHOOL)
    await made.vouching.load()
    return made


async def test_a_child_and_a_sibling_in_good_standing_may_go_on(world):
    assert world.judge(SCHOOL, COUNTY, PROVINCE) is False
    assert world.judge(NEIGHBOUR, PROVINCE) is False  # what is above this node itself is not its to judge
    assert [one.name for one in world.vouching.children()] == [SCHOOL]
    assert [one.name for one in world.vouching.siblings()] == [NEIGHBOUR]
    assert [one.name for one in world.vouching.standings()] == [COUNTY, NEIGHBOUR, SCHOOL]


async def test_a_change_counts_from_the_refresh_on(world):
    await world.say(NodeSuspended, SCHOOL, reason="x")
    assert world.judge(SCHOOL, COUNTY, PROVINCE) is False
    await world.vouching.refresh([COUNTY])
    with pytest.raises(CallerSuspended):
        world.judge(SCHOOL, COUNTY, PROVINCE)
    await world.say(NodeResumed, SCHOOL, reason="x")
    await world.vouching.refresh([COUNTY])
    assert world.judge(SCHOOL, COUNTY, PROVINCE) is False


async def test_a_revoked_county_takes_its_schools_with_it(world):
    assert world.judge(FAR, NEIGHBOUR, PROVINCE) is True
    await world.say(NodeRevoked, NEIGHBOUR, reason="x")
    await world.vouching.refresh([PROVINCE])
    with pytest.raises(CallerRevoked, match=NEIGHBOUR):
        world.judge(FAR, NEIGHBOUR, PROVINCE)


async def test_whoever_is_not_in_a_directory_held_here_is_refused(world):
    stranger = NodeName("x.c.p.lln.internal")
    with pytest.raises(CallerNotAdmitted):
        world.vouching.judge([stranger], ["AAAA"], reads_catalogue=False)
    with pytest.raises(CallerNotAdmitted):
        world.vouching.judge([SCHOOL], ["ZZZZ"], reads_catalogue=False)


async def test_the_own_directory_never_grows_old_the_parents_does(world):
    world.clock.move(ms=FRESH_MS)
    assert world.judge(SCHOOL) is False
    assert world.judge(NEIGHBOUR) is True
    world.clock.move(ms=CUT_OFF_MS)
    with pytest.raises(DirectoryTooOld):
        world.judge(NEIGHBOUR)
    assert world.judge(NEIGHBOUR, reads_catalogue=True) is True
    world.clock.move(ms=CATALOGUE_ONLY_MS)
    with pytest.raises(DirectoryTooOld):
        world.judge(NEIGHBOUR, reads_catalogue=True)
    assert world.judge(SCHOOL) is False
    assert world.vouching.directory_age_ms(COUNTY) == 0
    assert world.vouching.directory_age_ms(ROOT) is None


async def test_a_clock_that_steps_back_makes_no_directory_younger_than_now(world):
    world.clock.move(hours=-5)
    assert world.vouching.directory_age_ms(PROVINCE) == 0


async def test_what_is_not_held_here_is_not_vouched_for(world):
    assert world.vouching.standing_of(FAR) is None
    assert world.vouching.standing_of(ROOT) is None
    await world.vouching.refresh([NEIGHBOUR])
    assert world.judge(FAR, NEIGHBOUR, PROVINCE) is True
