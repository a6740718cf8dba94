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
    NodeMoved,
    NodeResumed,
    NodeRevoked,
    NodeSuspended,
    apply_entry,
)
from federation.logs import LogId
from federation.naming import NodeName, parent_of
from federation.provisional import CALLERS_MAX, REGRETS_MAX, Ledger, ProvisionalCalls
from node.usecases.vouching import CLOCKS_APART_MS, Vouching
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

    async def confirm(self):
        """The parent is back, and confirms its directory as of now."""
        log = LogId(origin=PROVINCE, topic="directory")
        await self.store.write(lambda tx: tx.logs.confirm(log, tx.logs.get(log).note, self.clock.now_ms()))

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


# --- how old a directory may be --------------------------------------------------------------------------------------

EDGES = [
    (FRESH_MS - 1, "fresh"),
    (FRESH_MS, "everything"),
    (CUT_OFF_MS - 1, "everything"),
    (CUT_OFF_MS, "everything"),
    (CUT_OFF_MS + 1, "catalogue"),
    (CATALOGUE_ONLY_MS - 1, "catalogue"),
    (CATALOGUE_ONLY_MS, "catalogue"),
    (CATALOGUE_ONLY_MS + 1, "nothing"),
]


@pytest.mark.parametrize("line", [(NEIGHBOUR, PROVINCE), (FAR, NEIGHBOUR, PROVINCE)])
@pytest.mark.parametrize(("age_ms", "carried"), EDGES)
async def test_what_a_cut_off_node_lets_in_at_each_edge(world, line, age_ms, carried):
    world.clock.move(ms=age_ms)
    in_branch = len(line) == 2
    if carried in ("catalogue", "nothing"):
        with pytest.raises(DirectoryTooOld):
            world.judge(*line)
    else:
        assert world.judge(*line) is (carried != "fresh" or not in_branch)
    if carried == "nothing":
        with pytest.raises(DirectoryTooOld):
            world.judge(*line, reads_catalogue=True)
    else:
        assert world.judge(*line, reads_catalogue=True) is (carried != "fresh" or not in_branch)


OTHER_PROVINCE = NodeName("q.lln.internal")
STRANGER = NodeName("s.q.lln.internal")
STRANGERS = ["QQQQ", "RRRR"]


@pytest.mark.parametrize(("age_ms", "carried"), EDGES)
async def test_certificates_alone_speak_no_longer_than_this_node_is_in_touch(world, age_ms, carried):
    world.clock.move(ms=age_ms)
    for reads_catalogue, carriers in ((False, ("fresh", "everything")), (True, ("fresh", "everything", "catalogue"))):
        if carried in carriers:
            judged = world.vouching.judge([STRANGER, OTHER_PROVINCE], STRANGERS, reads_catalogue=reads_catalogue)
            assert judged is True
        else:
            with pytest.raises(DirectoryTooOld):
                world.vouching.judge([STRANGER, OTHER_PROVINCE], STRANGERS, reads_catalogue=reads_catalogue)
    assert len(world.vouching.ledger().waiting) == (0 if carried in ("fresh", "nothing") else 1)


# --- looking again ---------------------------------------------------------------------------------------------------


async def test_what_was_let_in_while_cut_off_is_looked_at_again_and_found_good(world):
    world.clock.move(ms=FRESH_MS)
    for _ in range(3):
        world.judge(NEIGHBOUR, PROVINCE)
    [one] = world.vouching.ledger().waiting
    assert (one.caller, one.names, one.calls) == (NEIGHBOUR, (NEIGHBOUR,), 3)
    await world.vouching.refresh([PROVINCE])  # nothing new was heard
    assert world.vouching.ledger().waiting == (one,)
    await world.confirm()
    await world.vouching.refresh([PROVINCE])
    assert world.vouching.ledger() == Ledger()


async def test_who_was_let_in_though_suspended_meanwhile_is_named_and_counted(world):
    world.clock.move(ms=FRESH_MS)
    await world.say(NodeSuspended, NEIGHBOUR, reason="x")  # said above, not heard here yet
    world.vouching.judge([FAR, NEIGHBOUR], [CERTIFICATES[FAR], CERTIFICATES[NEIGHBOUR]], reads_catalogue=False)
    await world.confirm()
    await world.vouching.refresh([PROVINCE])
    ledger = world.vouching.ledger()
    [regret] = ledger.regrets
    assert (regret.caller, regret.name, regret.status, regret.calls, ledger.regretted) == (
        FAR,
        NEIGHBOUR,
        "suspended",
        1,
        1,
    )


async def test_a_directory_does_not_judge_again_what_was_let_in_on_its_own_word(world):
    """A clock that is set back makes a stale directory look fresh; what it does not know yet is still to come."""
    world.clock.move(ms=FRESH_MS)
    world.judge(NEIGHBOUR, PROVINCE)
    world.clock.move(ms=1 - FRESH_MS)
    await world.vouching.refresh([PROVINCE, COUNTY])
    [one] = world.vouching.ledger().waiting
    assert one.caller == NEIGHBOUR
    await world.say(NodeSuspended, NEIGHBOUR, reason="x")
    world.clock.move(ms=FRESH_MS)
    await world.confirm()
    await world.vouching.refresh([PROVINCE])
    assert [regret.name for regret in world.vouching.ledger().regrets] == [NEIGHBOUR]


async def test_who_was_suspended_only_after_its_last_call_is_no_regret(world):
    world.clock.move(ms=FRESH_MS)
    world.judge(NEIGHBOUR, PROVINCE)
    world.clock.move(ms=1)
    await world.say(NodeSuspended, NEIGHBOUR, reason="x")
    await world.confirm()
    await world.vouching.refresh([PROVINCE])
    assert world.vouching.ledger() == Ledger()


async def test_the_ledger_outlives_a_restart_in_the_middle_of_an_outage(world):
    world.clock.move(ms=FRESH_MS)
    world.judge(NEIGHBOUR, PROVINCE)
    await world.vouching.keep_ledger()
    again = Vouching(store=world.store, clock=world.clock, own_name=COUNTY, root=ROOT)
    await again.load()
    assert again.ledger() == world.vouching.ledger() != Ledger()


async def test_strangers_are_settled_by_what_others_say_of_each_name_of_their_line(world):
    world.clock.move(ms=FRESH_MS)
    world.vouching.judge([STRANGER, OTHER_PROVINCE], STRANGERS, reads_catalogue=True)
    assert world.vouching.unsettled() == (OTHER_PROVINCE, STRANGER)
    world.vouching.settle({OTHER_PROVINCE: "active"})
    assert world.vouching.unsettled() == (STRANGER,)
    world.vouching.settle({STRANGER: "revoked"})
    ledger = world.vouching.ledger()
    assert (ledger.waiting, ledger.regretted, ledger.regrets[0].name) == ((), 1, STRANGER)


def test_the_ledger_is_bounded_and_says_what_it_left_out():
    calls = ProvisionalCalls()
    names = [NodeName(f"s{number}.q.lln.internal") for number in range(CALLERS_MAX + 5)]
    for name in names:
        calls.admitted(name, {name: 0}, 1)
    assert (len(calls.ledger().waiting), calls.ledger().unnamed) == (CALLERS_MAX, 5)
    calls.review(lambda *_: "moved", 2)
    ledger = calls.ledger()
    assert (ledger.waiting, len(ledger.regrets), ledger.regretted) == ((), REGRETS_MAX, CALLERS_MAX)


# --- moves -----------------------------------------------------------------------------------------------------------


async def test_an_old_name_is_followed_and_its_bearer_refused_under_it(world):
    for name, to in ((SCHOOL, "s.d.p.lln.internal"),):
        await world.say(NodeMoved, name, to=to)
    await world.vouching.refresh([COUNTY])
    assert world.vouching.current_name(SCHOOL) == FAR
    assert not world.vouching.is_current(SCHOOL)
    assert not world.vouching.is_current(NEIGHBOUR)  # nothing of it is held here
    assert world.vouching.is_current(COUNTY)
    with pytest.raises(CallerRevoked, match="moved to"):
        world.judge(SCHOOL, COUNTY, PROVINCE)


async def test_moves_in_a_circle_end(world):
    other = NodeName("t.c.p.lln.internal")
    CERTIFICATES.setdefault(other, "7AAA")
    await world.admit(other)
    await world.say(NodeMoved, SCHOOL, to=other)
    await world.say(NodeMoved, other, to=SCHOOL)
    await world.vouching.refresh([COUNTY])
    assert world.vouching.current_name(SCHOOL) in (SCHOOL, other)


async def test_how_a_node_stood_is_told_for_every_moment_with_the_key_of_that_time(world):
    began = world.clock.now_ms()
    first = world.vouching.standing_of(SCHOOL).key
    moments = []
    for kind, told in (
        (NodeSuspended, {"reason": "x"}),
        (NodeResumed, {"reason": "x"}),
        (NodeRevoked, {"reason": "x"}),
    ):
        world.clock.move(s=1_000)
        moments.append(world.clock.now_ms())
        await world.say(kind, SCHOOL, **told)
    world.clock.move(s=1_000)
    moments.append(world.clock.now_ms())
    await world.admit(SCHOOL)  # another machine, with other keys
    await world.vouching.refresh([COUNTY])
    second = world.vouching.standing_of(SCHOOL).key
    assert first != second
    suspended, resumed, revoked, replaced = moments
    for at_ms, status, key in (
        (began - CLOCKS_APART_MS - 1, "unknown", ""),
        (began - CLOCKS_APART_MS, "active", first),
        (began, "active", first),
        (suspended - 1, "active", first),
        (suspended, "suspended", first),
        (resumed - 1, "suspended", first),
        (resumed, "active", first),
        (revoked, "revoked", first),
        (replaced - 1, "revoked", first),
        (replaced, "active", second),
        (replaced + 10**9, "active", second),
    ):
        stood = await world.vouching.stood_at(SCHOOL, at_ms)
        assert (stood.status, stood.key) == (status, key), at_ms - began


async def test_those_above_a_node_count_at_that_moment_as_well(world):
    await world.admit(FAR)
    before = world.clock.now_ms()
    world.clock.move(s=1_000)
    await world.say(NodeSuspended, NEIGHBOUR, reason="x")
    during = world.clock.now_ms()
    world.clock.move(s=1_000)
    await world.say(NodeResumed, NEIGHBOUR, reason="x")
    await world.vouching.refresh([PROVINCE, NEIGHBOUR])
    found = [(await world.vouching.stood_at(FAR, at_ms)).status for at_ms in (before, during, world.clock.now_ms())]
    assert found == ["active", "suspended", "active"]
    assert (await world.vouching.stood_at(NodeName("x.d.p.lln.internal"), during)).status == "unknown"
    assert (await world.vouching.stood_at(ROOT, during)).status == "unknown"
