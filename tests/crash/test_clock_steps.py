"""A clock that steps by an hour under a running node: calls are refused with the reason, and all goes on afterwards."""

import time

import pytest

from federation.naming import NodeName
from tests.support.live_nodes import ROOT, network, until

COUNTY = NodeName(f"county.{ROOT}")
SCHOOL = NodeName(f"school-a.county.{ROOT}")
HOUR_MS = 3_600_000


def step(live, ms):
    live.node.clock.now_ms = lambda: time.time_ns() // 1_000_000 + ms


async def _copied(live, origin, size, topic="catalogue"):
    log = await live.log(origin, topic)
    return log is not None and log.size == size and log.indexed in (None, size)


async def _refused_for_its_clock(live):
    peers = (await live.ask("node.peers")).peers
    return any("LLN-233" in one.last_error for one in peers)


@pytest.mark.parametrize("ms", [HOUR_MS, -HOUR_MS])
@pytest.mark.parametrize("who", [SCHOOL, COUNTY, ROOT])
async def test_after_a_step_of_an_hour_and_back_nothing_is_lost_or_doubled(tmp_path, ms, who):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        school = nodes[SCHOOL]
        await school.publish("r1", "木雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 1))
        step(nodes[who], ms)
        await school.publish("r2", "石雕")
        await nodes[COUNTY].ask("node.suspend", name=SCHOOL, reason="核查")
        await nodes[COUNTY].ask("node.resume", name=SCHOOL, reason="完毕")
        told_by = SCHOOL if who == SCHOOL else COUNTY
        await until(lambda: _refused_for_its_clock(nodes[told_by]))
        step(nodes[who], 0)
        await school.publish("r3", "玉雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 3))
        said = (await nodes[COUNTY].log(COUNTY, "directory")).size
        for holder in (ROOT, SCHOOL):
            await until(lambda holder=holder: _copied(nodes[holder], COUNTY, said, "directory"))
        for live in nodes.live.values():
            for origin, topic, size in ((SCHOOL, "catalogue", 3), (COUNTY, "directory", said)):
                if await live.log(origin, topic) is not None:
                    verdict = await live.ask("log.verify", topic=topic, origin=origin)
                    assert (verdict.size, verdict.faults) == (size, ())
        assert [hit.id for hit in (await nodes[ROOT].search("木雕")).hits] == ["r1"]


async def test_when_every_clock_steps_together_nobody_notices(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")
        for size, ms in enumerate((HOUR_MS, -HOUR_MS, 0), 2):
            for live in nodes.live.values():
                step(live, ms)
            await nodes[SCHOOL].publish(f"r{size}", "石雕")
            await until(lambda size=size: _copied(nodes[ROOT], SCHOOL, size))
        verdict = await nodes[ROOT].ask("log.verify", topic="catalogue", origin=SCHOOL)
        assert (verdict.size, verdict.faults) == (4, ())
