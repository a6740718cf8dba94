"""A machine that was lost and is replaced: the name and the logs go on, under new keys or the old ones."""

import shutil

import pytest

from config.settings import Listen
from federation.errors import LlnError
from federation.naming import NodeName
from node.beginnings import join_home, set_parent
from node.opening import open_node
from tests.support.live_nodes import ROOT, network, until

COUNTY = NodeName(f"county.{ROOT}")
SCHOOL = NodeName(f"school-a.county.{ROOT}")
SIBLING = NodeName(f"school-b.county.{ROOT}")
LISTEN = Listen(grpc="127.0.0.1:0", enrolment="127.0.0.1:0")


async def _copied(live, origin, size, topic="catalogue"):
    log = await live.log(origin, topic)
    return log is not None and log.size == size and log.indexed in (None, size)


async def _stands(live, name, key):
    standing = live.node.vouching.standing_of(name)
    return standing is not None and standing.key == key


async def _invite(nodes, name, kind="school", level="school", *, replace=True):
    label, authority = name.split(".", 1)
    made = await nodes[authority].ask(
        "invite.make",
        label=label,
        description={"title": {"zh": name}, "level": level, "kind": kind},
        replace=replace,
    )
    return made.code


async def _replace(nodes, tmp_path, name, **described):
    """Lose the machine and everything on it, and let another one join under its name; returns the lost key."""
    lost = nodes[name].node.identity.did
    await nodes.stop(name)
    shutil.rmtree(tmp_path / name)
    await join_home(tmp_path / name, await _invite(nodes, name, **described), LISTEN, lambda told: told)
    await nodes.start(name)
    return lost


async def _ids(live, text):
    return sorted(hit.id for hit in (await live.search(text)).hits)


async def test_a_new_machine_with_new_keys_goes_on_with_the_same_logs(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        for resource_id, reach in (("r1", "network"), ("r2", "siblings"), ("r3", "network")):
            await nodes[SCHOOL].publish(resource_id, f"木雕 {resource_id}", reach)
        await nodes[SCHOOL].ask("resource.withdraw", id="r3", reason="过期", case_id="c-1")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 4))
        lost = await _replace(nodes, tmp_path, SCHOOL)
        school = nodes[SCHOOL]
        key = school.node.identity.did
        assert key != lost
        rows = {row.id: row.state for row in (await school.ask("resource.list")).rows}
        assert rows.pop("r3", "withdrawn") == "withdrawn"  # gone where its text never left the school
        assert rows == {"r1": "published", "r2": "published"}
        await school.publish("r4", "木雕 r4")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 5))
        for holder in (SCHOOL, COUNTY, ROOT):
            await until(lambda holder=holder: _stands(nodes[holder], SCHOOL, key))
            verdict = await nodes[holder].ask("log.verify", topic="catalogue", origin=SCHOOL)
            assert (verdict.size, verdict.faults) == (5, ())
        [former] = nodes[ROOT].node.vouching.standing_of(SCHOOL).former_keys
        assert (former.key, [(one.topic, one.size) for one in former.until]) == (lost, [("catalogue", 4)])
        assert await _ids(nodes[ROOT], "木雕") == ["r1", "r4"]
        assert await _ids(school, "木雕") == ["r1", "r2", "r4"]
        assert (await nodes[ROOT].ask("node.status")).verdict.severity == "good"


async def test_a_log_that_had_no_entries_is_signed_by_the_new_key_wherever_it_is_held(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 0, "directory"))
        await _replace(nodes, tmp_path, SCHOOL)
        key = nodes[SCHOOL].node.identity.did

        async def signed_anew(holder):
            county = nodes[COUNTY].node.forwarding
            county._progress.clear()  # as after a restart: else nothing is due until the next confirmation
            county.wake()
            await until(lambda: _stands(nodes[holder], SCHOOL, key))
            return not (await nodes[holder].ask("log.verify", topic="directory", origin=SCHOOL)).faults

        for holder in (COUNTY, ROOT):
            assert await until(lambda holder=holder: signed_anew(holder))
        assert (await nodes[ROOT].log(SCHOOL, "directory")).size == 0


async def test_what_never_left_the_lost_machine_is_lost_and_nothing_forks(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 1))
        await nodes.stop(COUNTY)
        await nodes[SCHOOL].publish("r2", "石雕")
        await nodes.stop(SCHOOL)
        await nodes.start(COUNTY)
        shutil.rmtree(tmp_path / SCHOOL)
        await join_home(tmp_path / SCHOOL, await _invite(nodes, SCHOOL), LISTEN, lambda told: told)
        school = await nodes.start(SCHOOL)
        await school.publish("r3", "玉雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 2))
        assert await _ids(nodes[ROOT], "雕") == ["r1", "r3"]
        assert (await nodes[ROOT].ask("node.status")).verdict.severity == "good"


async def test_the_lost_machine_is_refused_as_soon_as_another_has_its_place(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        thief = nodes[SCHOOL]
        code = await _invite(nodes, SCHOOL)
        assert await thief.node.peers.resolve(COUNTY, SCHOOL, 1, timeout_s=3)
        await join_home(tmp_path / "elsewhere", code, LISTEN, lambda told: told)
        with pytest.raises(LlnError, match="LLN-22"):
            await thief.node.peers.held(COUNTY, timeout_s=3)
        with pytest.raises(LlnError, match="LLN-22"):
            await thief.node.peers.recall(COUNTY, "catalogue", 0, timeout_s=3)


async def test_a_name_in_use_needs_the_word_replace(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        with pytest.raises(LlnError, match="LLN-1350"):
            await _invite(nodes, SCHOOL, replace=False)
        await nodes[COUNTY].ask("node.suspend", name=SCHOOL, reason="核查")
        with pytest.raises(LlnError, match="LLN-1350"):  # a suspension is not shed by a new machine
            await _invite(nodes, SCHOOL)


async def test_a_machine_whose_earlier_logs_are_out_of_reach_does_not_start(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")
        await until(lambda: _copied(nodes[COUNTY], SCHOOL, 1))
        await nodes.stop(SCHOOL)
        shutil.rmtree(tmp_path / SCHOOL)
        addresses = nodes[COUNTY].node.addresses
        code, right, addresses.endpoint = await _invite(nodes, SCHOOL), addresses.endpoint, "127.0.0.1:1"
        with pytest.raises(LlnError, match="LLN-25"):
            await join_home(tmp_path / SCHOOL, code, LISTEN, lambda told: told)
        with pytest.raises(LlnError, match="LLN-25"):
            async with open_node(tmp_path / SCHOOL):
                pass
        addresses.endpoint = right
        set_parent(tmp_path / SCHOOL, right)
        await join_home(tmp_path / SCHOOL, code, LISTEN, lambda told: told)  # the same command once more
        school = await nodes.start(SCHOOL)
        await school.publish("r2", "石雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 2))


async def test_a_new_key_that_begins_the_log_anew_is_refused(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")
        await nodes[SCHOOL].publish("r2", "木雕二")
        await until(lambda: _copied(nodes[COUNTY], SCHOOL, 2))
        await nodes.stop(SCHOOL)
        shutil.rmtree(tmp_path / SCHOOL)
        nodes[COUNTY].node.addresses.endpoint, right = "127.0.0.1:1", nodes[COUNTY].node.addresses.endpoint
        with pytest.raises(LlnError, match="LLN-25"):
            await join_home(tmp_path / SCHOOL, await _invite(nodes, SCHOOL), LISTEN, lambda told: told)
        nodes[COUNTY].node.addresses.endpoint = right
        (tmp_path / SCHOOL / "trust" / "continues.json").unlink()
        school = await nodes.start(SCHOOL)
        await school.publish("other", "石雕")

        async def refused():
            peers = (await school.ask("node.peers")).peers
            return any("LLN-2421" in one.last_error for one in peers)

        await until(refused)
        assert (await nodes[COUNTY].log(SCHOOL)).size == 2
        assert (await nodes[COUNTY].ask("node.status")).verdict.severity != "fault"


async def test_a_machine_restored_with_its_keys_alone_joins_again_as_itself(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 1))
        key = nodes[SCHOOL].node.identity.did
        await nodes.stop(SCHOOL)
        for gone in ("data", "trust", "run"):
            shutil.rmtree(tmp_path / SCHOOL / gone)
        code = await _invite(nodes, SCHOOL)
        for _ in range(2):  # the same invite and the same keys: the same answer
            await join_home(tmp_path / SCHOOL, code, LISTEN, lambda told: told)
        school = await nodes.start(SCHOOL)
        assert school.node.identity.did == key
        await school.publish("r2", "石雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 2))
        assert nodes[ROOT].node.vouching.standing_of(SCHOOL).former_keys == ()


async def test_a_replaced_authority_knows_its_children_and_they_get_certificates_of_its_new_key(tmp_path):
    async with network(tmp_path, "county", "school-a.county", "school-b.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 1))
        await until(lambda: _copied(nodes[ROOT], COUNTY, 2, "directory"))
        before = nodes[SCHOOL].node.identity.chain
        await _replace(nodes, tmp_path, COUNTY, kind="authority", level="county")
        county = nodes[COUNTY]
        assert {one.name for one in county.node.vouching.children()} == {SCHOOL, SIBLING}
        for name in (SCHOOL, SIBLING):
            await nodes[name].ask("node.parent", endpoint=county.node.addresses.endpoint)
        after = nodes[SCHOOL].node.identity.chain
        assert after[0] != before[0]
        assert after[1] == county.node.identity.chain[0]
        await nodes[SCHOOL].publish("r2", "石雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 2))
        said = (await county.log(COUNTY, "directory")).size
        assert said >= 4  # two admissions from before, and two renewals by the new key
        await until(lambda: _copied(nodes[ROOT], COUNTY, said, "directory"))
        for holder in (COUNTY, ROOT):
            assert (await nodes[holder].ask("log.verify", topic="directory", origin=COUNTY)).faults == ()
        assert (await nodes[SCHOOL].node.peers.resolve(COUNTY, SIBLING, 4, timeout_s=3)).status == "active"


async def test_new_keys_for_a_node_that_keeps_its_data_lose_nothing(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 1))
        lost = nodes[SCHOOL].node.identity.did
        await nodes.stop(COUNTY)
        await nodes[SCHOOL].publish("r2", "石雕")  # known here alone
        await nodes.stop(SCHOOL)
        county = await nodes.start(COUNTY)
        for gone in ("keys", "trust"):
            shutil.rmtree(tmp_path / SCHOOL / gone)
        code = await _invite(nodes, SCHOOL)
        await join_home(tmp_path / SCHOOL, code, LISTEN, lambda told: told)
        school = await nodes.start(SCHOOL)
        assert school.node.identity.did != lost
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 2))
        assert await _ids(nodes[ROOT], "雕") == ["r1", "r2"]
        for live in (school, county, nodes[ROOT]):
            assert (await live.ask("log.verify", topic="catalogue", origin=SCHOOL)).faults == ()
