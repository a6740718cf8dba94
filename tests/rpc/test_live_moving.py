"""A node that gets another authority: keys and history stay, the name changes, and nothing is found twice."""

import json

import pytest

from config.settings import read_settings
from federation.catalogue import BilingualLine
from federation.certificate_profile import read_authority
from federation.directory import NodeDescription
from federation.errors import LlnError
from federation.naming import NodeName
from node.beginnings import move_home, set_parent
from tests.support.live_nodes import ROOT, network, until

OLD = NodeName(f"county.{ROOT}")
NEW = NodeName(f"town.{ROOT}")
BEFORE = NodeName(f"school-a.county.{ROOT}")
AFTER = NodeName(f"school-a1.town.{ROOT}")
SIBLING = NodeName(f"school-b.county.{ROOT}")
STRANGER = NodeName(f"school-c.town.{ROOT}")
DESCRIBED = NodeDescription(title=BilingualLine(zh="并入新县的学校"), level="school", kind="school")


async def _invited(nodes, authority=NEW, label="school-a1"):
    made = await nodes[authority].ask("invite.make", label=label, description={**_plain(DESCRIBED)})
    return made.code


def _plain(description):
    return {"title": {"zh": description.title.zh}, "level": description.level, "kind": description.kind}


async def _copied(live, origin, size):
    log = await live.log(origin)
    return log is not None and (log.size, log.indexed) == (size, size)


async def _reaches(live, name):
    try:
        return await live.node.peers.hello(name, timeout_s=3)
    except LlnError:
        return None


async def _stands(live, name, status):
    standing = live.node.vouching.standing_of(name)
    return standing is not None and standing.status == status


async def _move(nodes, tmp_path, code):
    """Stop the school, move its home, and start it under its new name."""
    await nodes.stop(BEFORE)
    moved = await move_home(tmp_path / BEFORE, code)
    (tmp_path / BEFORE).rename(tmp_path / AFTER)
    await nodes.start(AFTER)
    return moved


async def _keys(nodes, text):
    return sorted(f"{hit.publisher}#{hit.id}" for hit in (await nodes[ROOT].search(text)).hits)


async def test_a_school_moves_with_its_keys_and_its_catalogue(tmp_path):
    async with network(tmp_path, "county", "town", "school-a.county", "school-b.county", "school-c.town") as nodes:
        school = nodes[BEFORE]
        await school.publish("r1", "木雕")
        await school.publish("r2", "石雕", "siblings")
        await school.publish("r3", "玉雕", "subtree", OLD)
        await until(lambda: _copied(nodes[ROOT], BEFORE, 3))
        key = school.node.identity.did

        moved = await _move(nodes, tmp_path, await _invited(nodes))
        assert (moved.old, moved.new, moved.untold) == (BEFORE, AFTER, "")
        assert nodes[AFTER].node.identity.did == key
        names = [read_authority(der).claims.name for der in nodes[AFTER].node.identity.chain]
        assert names == [AFTER, NEW]

        # Both directories have it, and so has the hub.
        for name in (OLD, ROOT):
            await until(lambda name=name: _stands(nodes[name], BEFORE, "moved"))
        for name in (NEW, ROOT):
            await until(lambda name=name: _stands(nodes[name], AFTER, "active"))
        [admitted] = [one for one in await _directory(nodes[NEW]) if one["name"] == AFTER]
        assert (admitted["entry"], admitted["moved_from"], admitted["key"]) == ("node_admitted", BEFORE, key)
        told = [one for one in await _directory(nodes[OLD]) if one["entry"] == "node_moved"]
        assert [(one["name"], one["to"]) for one in told] == [(BEFORE, AFTER)]

        # What can be published anew is, and nothing is found twice.
        await until(lambda: _copied(nodes[ROOT], AFTER, 2))
        await until(lambda: _found_once(nodes))
        assert (await nodes[ROOT].search("雕")).total == 1
        assert (await nodes[AFTER].search("雕", scope="siblings")).total == 2
        given_back = await nodes[AFTER].ask("resource.show", id="r3")
        assert (given_back.state, given_back.published) == ("returned", None)

        # The old log stays, closed, and every signature in it still verifies.
        for holder in (ROOT, OLD, AFTER):
            verdict = await nodes[holder].ask("log.verify", topic="catalogue", origin=BEFORE)
            assert (verdict.size, verdict.faults) == (3, ())

        # The old name leads to the new one.
        found = await nodes[STRANGER].node.peers.resolve(NEW, BEFORE, 4, timeout_s=3)
        assert (found.status, found.moved_to) == ("moved", AFTER)
        below = await nodes[STRANGER].search("木雕", scope="subtree", under=BEFORE)
        assert [hit.publisher for hit in below.hits] == [AFTER]

        # Work goes on under the new name, and goes the new way.
        await nodes[AFTER].publish("r4", "根雕")
        await until(lambda: _copied(nodes[ROOT], AFTER, 3))
        assert (await nodes[OLD].ask("node.status")).children == {"moved": 1, "active": 1}


async def _directory(live):
    shown = await live.ask("log.show", topic="directory")
    return [json.loads(bytes(entry.document)) for entry in shown.entries]


async def _found_once(nodes):
    return await _keys(nodes, "雕") == [f"{AFTER}#r1"]


async def test_a_move_is_repeated_until_the_old_authority_knows(tmp_path):
    async with network(tmp_path, "county", "town", "school-a.county") as nodes:
        await nodes[BEFORE].publish("r1", "木雕")
        await until(lambda: _copied(nodes[ROOT], BEFORE, 1))
        code = await _invited(nodes)
        await nodes.stop(OLD)
        await nodes.stop(BEFORE)
        moved = await move_home(tmp_path / BEFORE, code)
        assert "LLN-25" in moved.untold
        again = await move_home(tmp_path / BEFORE, code)
        assert (again.old, again.new, bool(again.untold)) == (BEFORE, AFTER, True)
        (tmp_path / BEFORE).rename(tmp_path / AFTER)
        await nodes.start(AFTER)
        await until(lambda: _copied(nodes[NEW], AFTER, 1))
        await nodes.start(OLD)
        assert await _stands(nodes[OLD], BEFORE, "active")
        nodes[OLD].node.peers.know(ROOT, nodes[ROOT].node.addresses.endpoint)
        standing = await nodes[OLD].ask("node.moved", name=BEFORE, to=AFTER)
        assert (standing.status, standing.moved_to) == ("moved", AFTER)
        assert (await nodes[OLD].ask("node.moved", name=BEFORE, to=AFTER)) == standing
        await until(lambda: _found_once(nodes))


async def test_a_suspended_school_does_not_slip_away(tmp_path):
    async with network(tmp_path, "county", "town", "school-a.county") as nodes:
        code = await _invited(nodes)
        await nodes[OLD].ask("node.suspend", name=BEFORE, reason="核查")
        await nodes.stop(BEFORE)
        with pytest.raises(LlnError, match="LLN-222"):
            await move_home(tmp_path / BEFORE, code)
        await nodes[OLD].ask("node.resume", name=BEFORE, reason="核查完毕")
        moved = await move_home(tmp_path / BEFORE, code)
        assert (moved.new, moved.untold) == (AFTER, "")


async def test_a_parent_at_another_address_is_found_once_its_child_is_told(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await until(lambda: _copied(nodes[OLD], BEFORE, 0))
        await nodes.stop(OLD)
        await nodes[BEFORE].publish("r1", "木雕")
        county = await nodes.start(OLD)  # a standby with its keys and data, elsewhere
        endpoint = county.node.addresses.endpoint
        set_parent(tmp_path / BEFORE, endpoint)
        await nodes[BEFORE].ask("node.parent", endpoint=endpoint)
        await until(lambda: _copied(county, BEFORE, 1))
        assert read_settings(tmp_path / BEFORE / "config.toml").parent.endpoint == endpoint
        with pytest.raises(LlnError, match="LLN-25"):
            await nodes[BEFORE].ask("node.parent", endpoint="127.0.0.1:1")
        with pytest.raises(LlnError, match="LLN-112"):
            await nodes[BEFORE].ask("node.parent", endpoint="nowhere")


async def test_what_does_not_move(tmp_path):
    async with network(tmp_path, "county", "town", "school-a.county", "school-b.county") as nodes:
        code = await _invited(nodes)
        with pytest.raises(LlnError, match="LLN-1601"):
            await move_home(tmp_path / BEFORE, code)  # while it runs
        await nodes.stop(OLD)
        with pytest.raises(LlnError, match="LLN-1453"):
            await move_home(tmp_path / OLD, await _invited(nodes, NEW, "county"))
        county = await nodes.start(OLD)
        nodes[BEFORE].node.peers.know(OLD, county.node.addresses.endpoint)
        await until(lambda: _reaches(nodes[BEFORE], OLD))
        with pytest.raises(LlnError, match="LLN-2262"):
            await nodes[OLD].ask("node.moved", name=BEFORE, to=SIBLING)
        with pytest.raises(LlnError, match="LLN-1252"):
            await nodes[OLD].ask("node.moved", name=f"nobody.{OLD}", to=SIBLING)
        with pytest.raises(LlnError, match="LLN-2262"):
            await nodes[BEFORE].node.peers.move(OLD, nodes[SIBLING].node.identity.chain, "move-1", timeout_s=3)
        assert await _stands(nodes[OLD], BEFORE, "active")
        await nodes.stop(ROOT)
        with pytest.raises(LlnError, match="LLN-1452"):
            await move_home(tmp_path / ROOT, code)
