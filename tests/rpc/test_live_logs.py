"""Logs on their way through a running network: copies, withheld entries, outages, standings, forks."""

import shutil

import msgspec
import pytest

from federation.callers import TooManyCalls
from federation.errors import LlnError
from federation.logs import Entry, LogId, Page
from federation.naming import NodeName
from tests.support.live_nodes import ROOT, network, until

COUNTY = NodeName(f"county.{ROOT}")
SCHOOL = NodeName(f"school-a.county.{ROOT}")
OTHER = NodeName(f"school-b.county.{ROOT}")


async def _copied(nodes, holder, origin, size):
    log = await nodes[holder].log(origin)
    return log is not None and log.size == size and log.indexed == size


async def _documents(live, origin):
    log = LogId(origin=origin, topic="catalogue")
    entries = await live.node.store.read(lambda tx: tx.logs.entries(log, 0, 100))
    return [entry.document for entry in entries]


async def test_what_a_school_publishes_reaches_the_hub_and_the_school_hears_how_far(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕入门")
        await until(lambda: _copied(nodes, ROOT, SCHOOL, 1))
        roots = {(await nodes[name].log(SCHOOL)).root for name in (SCHOOL, COUNTY, ROOT)}
        assert len(roots) == 1

        async def told():
            log = await nodes[SCHOOL].log(SCHOOL)
            return {one.holder: (one.size, one.indexed) for one in log.holdings} == {COUNTY: (1, 1), ROOT: (1, 1)}

        await until(told)
        verdict = await nodes[ROOT].ask("log.verify", topic="catalogue", origin=SCHOOL)
        assert verdict.faults == ()
        own = await nodes[SCHOOL].ask("log.verify", topic="catalogue")
        assert own.cosigned_by == (COUNTY,)
        proof = await nodes[ROOT].ask("log.prove", topic="catalogue", origin=SCHOOL, index=0)
        assert proof.proof.startswith("c2sp.org/tlog-proof@v1")


async def test_entries_beyond_their_share_scope_travel_as_hashes(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        school = nodes[SCHOOL]
        await school.publish("own", "本校独有", "node")
        await school.publish("family", "兄弟共享", "siblings")
        await school.publish("branch", "县内共享", "subtree", COUNTY)
        await school.publish("all", "全网共享")
        await until(lambda: _copied(nodes, ROOT, SCHOOL, 4))
        seen = {
            name: [document is not None for document in await _documents(nodes[name], SCHOOL)]
            for name in (SCHOOL, COUNTY, ROOT)
        }
        assert seen == {
            SCHOOL: [True, True, True, True],
            COUNTY: [False, True, True, True],
            ROOT: [False, False, False, True],
        }
        assert (await nodes[ROOT].ask("log.verify", topic="catalogue", origin=SCHOOL)).faults == ()
        assert (await nodes[ROOT].search("共享", scope="network")).total == 1


async def test_withdrawn_and_narrowed_resources_leave_the_hub(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        school = nodes[SCHOOL]
        await school.publish("one", "剪纸")
        await school.publish("two", "竹编")
        await until(lambda: _copied(nodes, ROOT, SCHOOL, 2))
        await school.ask("resource.withdraw", id="one", reason="过期", case_id="c-1")
        await school.publish("two", "竹编", "node")
        await until(lambda: _copied(nodes, ROOT, SCHOOL, 5))
        assert (await nodes[ROOT].search("剪纸")).total == 0
        assert (await nodes[ROOT].search("竹编")).total == 0
        assert (await school.search("竹编", scope="node")).total == 1


async def test_an_outage_of_the_parent_is_caught_up_and_nothing_is_doubled(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")
        await until(lambda: _copied(nodes, ROOT, SCHOOL, 1))
        await nodes.stop(COUNTY)
        await nodes[SCHOOL].publish("r2", "石雕")

        async def both_found():
            return {hit.id for hit in (await nodes[SCHOOL].search("雕")).hits} == {"r1", "r2"}

        await until(both_found)
        county = await nodes.start(COUNTY)
        nodes[SCHOOL].node.peers.know(COUNTY, county.node.addresses.endpoint)
        await until(lambda: _copied(nodes, ROOT, SCHOOL, 2))
        assert len(await _documents(nodes[ROOT], SCHOOL)) == 2


async def test_a_parent_that_says_not_now_is_asked_again_from_where_its_copy_stands(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")
        await until(lambda: _copied(nodes, COUNTY, SCHOOL, 1))
        accepting, starts = nodes[COUNTY].node.accepting, []
        honest = accepting.accept_pushed

        async def busy_at_first(caller, page, confirmed_at_ms):
            if page.log.topic == "catalogue":
                starts.append(page.start)
                if len(starts) <= 2:
                    raise TooManyCalls(caller, "not now")
            return await honest(caller, page, confirmed_at_ms)

        accepting.accept_pushed = busy_at_first
        await nodes[SCHOOL].publish("r2", "石雕")
        await until(lambda: _copied(nodes, COUNTY, SCHOOL, 2))
        assert starts[:3] == [1, 1, 1]


async def test_a_suspension_is_known_to_parent_and_sibling_within_a_second(tmp_path):
    async with network(tmp_path, "county", "school-a.county", "school-b.county") as nodes:
        county, school, sibling = nodes[COUNTY], nodes[SCHOOL], nodes[OTHER]
        await until(lambda: _is(sibling, SCHOOL, "active"))
        assert await school.node.peers.hello(COUNTY, timeout_s=3)
        await county.ask("node.suspend", name=SCHOOL, reason="核查")
        await until(lambda: _is(sibling, SCHOOL, "suspended"))
        with pytest.raises(LlnError, match="LLN-222"):
            await school.node.peers.held(COUNTY, timeout_s=3)
        await county.ask("node.resume", name=SCHOOL, reason="核查完毕")
        await until(lambda: _is(sibling, SCHOOL, "active"))
        assert await school.node.peers.held(COUNTY, timeout_s=3)
        status = await county.ask("node.status")
        assert status.children == {"active": 2}
        tree = await nodes[ROOT].ask("node.tree")
        assert {one.name for one in tree.nodes} == {ROOT, COUNTY, SCHOOL, OTHER}


async def _is(live, name, status):
    standing = live.node.vouching.standing_of(name)
    return standing is not None and standing.status == status


async def test_a_page_of_somebody_elses_log_is_refused(tmp_path):
    async with network(tmp_path, "county", "school-a.county", "school-b.county") as nodes:
        await nodes[OTHER].publish("r1", "木雕")
        await until(lambda: _copied(nodes, COUNTY, OTHER, 1))
        stored = await nodes[COUNTY].node.store.read(lambda tx: tx.logs.get(LogId(origin=OTHER, topic="catalogue")))
        page = Page(log=stored.log, start=1, entries=(), checkpoint_note=stored.note)
        with pytest.raises(LlnError, match="LLN-2201"):
            await nodes[SCHOOL].node.peers.push(COUNTY, page, 1, timeout_s=3)
        unknown = msgspec.structs.replace(page, log=LogId(origin=NodeName(f"x.{SCHOOL}"), topic="catalogue"))
        with pytest.raises(LlnError, match="LLN-2202"):
            await nodes[SCHOOL].node.peers.push(COUNTY, unknown, 1, timeout_s=3)


async def test_a_tampered_page_is_refused_and_nothing_of_it_stays(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")
        await until(lambda: _copied(nodes, COUNTY, SCHOOL, 1))
        await nodes.stop(COUNTY)
        await nodes[SCHOOL].publish("r2", "石雕")
        stored = await nodes[SCHOOL].node.store.read(lambda tx: tx.logs.get(LogId(origin=SCHOOL, topic="catalogue")))
        await nodes.stop(SCHOOL)
        county = await nodes.start(COUNTY)
        false = Page(log=stored.log, start=1, entries=(Entry.full(b"{}"),), checkpoint_note=stored.note)
        with pytest.raises(LlnError, match="LLN-241"):
            await county.node.inbound_logs.push(SCHOOL, false, 1)
        assert (await county.log(SCHOOL)).size == 1


async def test_a_restored_database_that_goes_another_way_is_a_fork_and_is_reported(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes.stop(SCHOOL)
        shutil.copytree(tmp_path / SCHOOL, tmp_path / "older")
        await nodes.start(SCHOOL)
        await nodes[SCHOOL].publish("r1", "木雕")
        await until(lambda: _copied(nodes, ROOT, SCHOOL, 1))
        await nodes.stop(SCHOOL)
        shutil.rmtree(tmp_path / SCHOOL)
        shutil.copytree(tmp_path / "older", tmp_path / SCHOOL)
        await nodes.start(SCHOOL)
        await nodes[SCHOOL].publish("r2", "另一段历史")

        async def reported():
            told = [await nodes[name].ask("node.status") for name in (COUNTY, ROOT)]
            return all(one.verdict.severity == "fault" and "forks" in {f.step for f in one.findings} for one in told)

        await until(reported)
        assert (await nodes[ROOT].search("另一段历史")).total == 0
        assert (await nodes[ROOT].search("木雕")).total == 1
