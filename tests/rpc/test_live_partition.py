"""A parent that is away for a while: what goes on without it, what is let in meanwhile, and how it heals."""

from contextlib import asynccontextmanager

import msgspec
import pytest

from federation.directory import CATALOGUE_ONLY_MS, CUT_OFF_MS, FRESH_MS
from federation.errors import LlnError
from federation.logs import LogId
from federation.naming import NodeName
from node.opening import open_node
from tests.support.live_nodes import ROOT, network, until

COUNTY = NodeName(f"county.{ROOT}")
SCHOOL = NodeName(f"school-a.county.{ROOT}")
SIBLING = NodeName(f"school-b.county.{ROOT}")


class ShiftedClock:
    """The machine's clock, so much later."""

    def __init__(self, clock, ms):
        self._clock = clock
        self._ms = ms

    def now_ms(self):
        return self._clock.now_ms() + self._ms


def _later(live, ms):
    """Let a node think that its directories were last confirmed `ms` earlier than they were."""
    live.node.vouching._clock = ShiftedClock(live.node.clock, ms)


@asynccontextmanager
async def _family(tmp_path):
    """A county with two schools that know each other's address, with a resource of each at the hub."""
    async with network(tmp_path, "county", "school-a.county", "school-b.county") as nodes:
        for name, title in ((SCHOOL, "木雕"), (SIBLING, "石雕")):
            await nodes[name].publish("before", title)
            await until(lambda name=name: _knows(nodes[name], name, "active"))  # before, it has nothing to compare with
            await nodes[name].node.meeting.meet(COUNTY)  # tells its address, which the directory carries to the other
        for one, other in ((SCHOOL, SIBLING), (SIBLING, SCHOOL)):
            await until(lambda one=one, other=other: _can_dial(nodes[one], other))
        for name in (SCHOOL, SIBLING):
            await until(lambda name=name: _copied(nodes[ROOT], name, 1))
        yield nodes


async def _can_dial(live, name):
    return live.node.peers.can_dial(name)


async def _copied(live, origin, size):
    log = await live.log(origin)
    return log is not None and (log.size, log.indexed) == (size, size)


async def _finds(live, text, *ids):
    return sorted(f"{hit.publisher}#{hit.id}" for hit in (await live.search(text)).hits) == sorted(ids)


async def _knows(live, name, status):
    standing = live.node.vouching.standing_of(name)
    return standing is not None and standing.status == status


async def _back(nodes):
    """Start the county again and tell its schools the port it has now."""
    county = await nodes.start(COUNTY)
    for name in (SCHOOL, SIBLING):
        nodes[name].node.peers.know(COUNTY, county.node.addresses.endpoint)


async def test_work_goes_on_without_the_parent_and_heals_without_doubles(tmp_path):
    async with _family(tmp_path) as nodes:
        await nodes.stop(COUNTY)
        await nodes.stop(ROOT)
        for name, title in ((SCHOOL, "根雕"), (SIBLING, "玉雕")):
            await nodes[name].publish("meanwhile", title)
        everything = [f"{name}#{one}" for name in (SCHOOL, SIBLING) for one in ("before", "meanwhile")]
        await until(lambda: _finds(nodes[SCHOOL], "雕", *everything))
        answer = await nodes[SCHOOL].search("雕")
        outcomes = {source.node: source for source in answer.sources}
        assert outcomes[SIBLING].outcome == "ok"
        assert outcomes[ROOT].outcome not in ("ok", "empty")
        assert outcomes[ROOT].detail
        assert not answer.total_is_exact
        assert not answer.coverage.is_whole
        assert set(answer.coverage.silent) == {COUNTY, ROOT}
        assert answer.coverage.nodes_answered == 2
        status = await nodes[SCHOOL].ask("node.status")
        assert status.verdict.severity in ("warning", "fault")
        await nodes.start(ROOT)
        await _back(nodes)
        nodes[COUNTY].node.peers.know(ROOT, nodes[ROOT].node.addresses.endpoint)
        for holder in (COUNTY, ROOT):
            for name in (SCHOOL, SIBLING):
                await until(lambda holder=holder, name=name: _copied(nodes[holder], name, 2))
        for name in (SCHOOL, SIBLING):
            log = LogId(origin=name, topic="catalogue")
            heads = [
                (await nodes[one].node.store.read(lambda tx, log=log: tx.logs.get(log))).head
                for one in (name, COUNTY, ROOT)
            ]
            assert heads[0] == heads[1] == heads[2]
            assert (await nodes[ROOT].ask("log.verify", topic="catalogue", origin=name)).faults == ()
        assert await _finds(nodes[ROOT], "雕", *everything)
        assert (await nodes[ROOT].search("雕")).total == 4


async def test_who_was_let_in_though_suspended_meanwhile_is_told_after_healing(tmp_path):
    async with _family(tmp_path) as nodes:
        sibling = nodes[SIBLING]
        await nodes.stop(COUNTY)
        await nodes.stop(ROOT)
        _later(sibling, FRESH_MS)
        async with open_node(tmp_path / COUNTY) as county:  # said at the county, which nobody can hear
            await county.admitting.suspend(SCHOOL, "核查")
        await until(lambda: _finds(nodes[SCHOOL], "石雕", f"{SIBLING}#before"))
        status = await sibling.ask("node.status")
        assert any(one.step == "provisional calls" and one.severity == "notice" for one in status.findings)
        _later(sibling, 0)
        await sibling.node.vouching.refresh([COUNTY])  # as any commit may bring about before the county is heard again
        await _back(nodes)
        await until(lambda: _knows(sibling, SCHOOL, "suspended"))

        async def told():
            findings = (await sibling.ask("node.status")).findings
            return [one for one in findings if one.step == "provisional calls"]

        [finding] = await until(told)
        assert finding.severity == "warning"
        assert f"1 nodes were let in that had been suspended, revoked or moved already: {SCHOOL}" in finding.en
        with pytest.raises(LlnError, match="LLN-222"):
            await nodes[SCHOOL].node.peers.statistics(SIBLING, timeout_s=3)


async def test_directories_from_below_stay_fresh_all_the_way_up(tmp_path):
    town = NodeName(f"town.{COUNTY}")
    async with network(tmp_path, "county", "town.county") as nodes:
        for name in (COUNTY, town):
            forwarding = nodes[name].node.forwarding
            forwarding._pace = msgspec.structs.replace(forwarding._pace, confirm_own_s=0.2)
            forwarding.wake()
        await until(lambda: _held(nodes[ROOT], town))
        first = (await _held(nodes[ROOT], town)).confirmed_at_ms

        async def confirmed_at_ms_now():
            return (await _held(nodes[ROOT], town)).confirmed_at_ms

        async def later():
            return await confirmed_at_ms_now() > first

        await until(later)
        assert await confirmed_at_ms_now() > first


async def _held(live, origin):
    return await live.log(origin, "directory")


async def test_after_a_week_without_the_parent_not_even_the_catalogue_is_read(tmp_path):
    async with _family(tmp_path) as nodes:
        sibling, peers = nodes[SIBLING], nodes[SCHOOL].node.peers
        await nodes.stop(COUNTY)
        await nodes.stop(ROOT)
        for age_ms in (FRESH_MS - 60_000, FRESH_MS + 60_000, CUT_OFF_MS + 60_000, CATALOGUE_ONLY_MS - 60_000):
            _later(sibling, age_ms)
            await until(lambda: _finds(nodes[SCHOOL], "石雕", f"{SIBLING}#before"))
        _later(sibling, CATALOGUE_ONLY_MS + 60_000)
        with pytest.raises(LlnError, match="LLN-224"):
            await peers.statistics(SIBLING, timeout_s=3)
        answer = await nodes[SCHOOL].search("石雕")
        assert answer.hits == ()
        denied = next(source for source in answer.sources if source.node == SIBLING)
        assert (denied.outcome, SIBLING in answer.coverage.silent) == ("denied", True)
