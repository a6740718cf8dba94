"""A node comes back from a backup, however old, and never says two different things in the same place of a log."""

import asyncio
import shutil

import pytest

from federation.errors import LlnError
from federation.naming import NodeName
from node.backups import DatabaseInPlace, back_up_home, catch_up_home, restore_home
from node.host.homes import Home, last_backup_ms
from node.host.key_files import HomeOccupied, RestoreUnfinished, keep_restore_mark, restore_mark
from node.opening import open_node
from node.usecases.continuing import EntriesLost, NobodyToAsk, NotAsRecorded
from tests.support.live_nodes import ROOT, _say_where, network, until

COUNTY = NodeName(f"county.{ROOT}")
SCHOOL = NodeName(f"school-a.county.{ROOT}")
SIBLING = NodeName(f"school-b.county.{ROOT}")


async def _copied(live, origin, size, topic="catalogue"):
    log = await live.log(origin, topic)
    return log is not None and log.size == size and log.indexed in (None, size)


async def _back_up(tmp_path, name, passphrase=None):
    target = tmp_path / f"{name}.backup"
    await back_up_home(tmp_path / name, target, passphrase)
    return target


async def _lose(nodes, tmp_path, name):
    await nodes.stop(name)
    shutil.rmtree(tmp_path / name)


async def _restore(nodes, tmp_path, name, backup):
    """On another machine; its parent, if it runs, is where it is now."""
    await asyncio.to_thread(restore_home, tmp_path / name, backup, None)
    authority = name.partition(".")[2]
    if authority in nodes.live:
        _say_where(tmp_path / name, nodes[authority].node.addresses.endpoint)


async def _check_logs(nodes, origin, size, topic="catalogue"):
    """Every copy holds together, and nobody has seen a fork."""
    for holder, live in nodes.live.items():
        if not origin.endswith(holder) and not (topic == "directory" and holder.endswith(origin)):
            continue
        verdict = await live.ask("log.verify", topic=topic, origin=origin)
        assert (holder, verdict.size, verdict.faults) == (holder, size, ())
        assert not [one for one in (await live.ask("node.status")).findings if one.step == "forks"]


def _answers_at(home, endpoint):
    """From its next start on, the node listens where others expect it."""
    config = home / "config.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('grpc = "127.0.0.1:0"', f'grpc = "{endpoint}"'), encoding="utf-8")


async def _tell_address(nodes, child):
    """A child that knows how it is described tells its parent, at the next hello, where it can be dialled."""
    parent = nodes[child.partition(".")[2]]

    async def known():
        await nodes[child].ask("node.parent", endpoint=parent.node.addresses.endpoint)
        return parent.node.vouching.standing_of(child).description.endpoint is not None

    await until(known)


async def _found(live, text, ids):
    return sorted(hit.id for hit in (await live.search(text)).hits) == ids


async def test_a_lost_machine_comes_back_with_everything_that_was_in_the_backup(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕", reach="node")
        await nodes[SCHOOL].ask(
            "resource.import",
            rows=[{"row": 1, "resource": {"id": "draft", "title": {"zh": "草稿"}, "type": "online_course",
                                          "section": "hobbies_interests"}}],
            author="王老师",
            apply=True,
        )  # fmt: skip
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 1))
        before = nodes[SCHOOL].node.identity
        backup = await _back_up(tmp_path, SCHOOL)
        assert backup.stat().st_mode & 0o777 == 0o600
        assert last_backup_ms(Home(tmp_path / SCHOOL)) is not None
        assert (await nodes[SCHOOL].ask("node.status")).backed_up_at_ms is not None
        await _lose(nodes, tmp_path, SCHOOL)
        await _restore(nodes, tmp_path, SCHOOL, backup)
        school = await nodes.start(SCHOOL)
        assert (school.node.identity.did, school.node.identity.chain) == (before.did, before.chain)
        rows = {row.id: (row.state, row.author) for row in (await school.ask("resource.list")).rows}
        assert rows == {"r1": ("published", "a"), "draft": ("pending", "王老师")}
        await until(lambda: _found(school, "木雕", ["r1"]))
        await school.publish("r2", "石雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 2))
        await _check_logs(nodes, SCHOOL, 2)
        assert restore_mark(Home(tmp_path / SCHOOL)) is None


async def test_a_stale_backup_goes_on_from_what_the_parent_has_seen_since(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        school = nodes[SCHOOL]
        for resource_id in ("r1", "r2"):
            await school.publish(resource_id, f"木雕 {resource_id}")
        backup = await _back_up(tmp_path, SCHOOL)
        await school.ask("resource.withdraw", id="r1", reason="过期", case_id="c-1")
        for resource_id in ("r3", "r4"):
            await school.publish(resource_id, f"木雕 {resource_id}")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 5))
        await _lose(nodes, tmp_path, SCHOOL)
        await _restore(nodes, tmp_path, SCHOOL, backup)
        await catch_up_home(tmp_path / SCHOOL)
        school = await nodes.start(SCHOOL)
        rows = {row.id: (row.state, row.author) for row in (await school.ask("resource.list")).rows}
        assert rows == {
            "r1": ("withdrawn", "a"),
            "r2": ("published", "a"),
            "r3": ("published", "?"),
            "r4": ("published", "?"),
        }
        await school.publish("r5", "木雕 r5")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 6))
        await _check_logs(nodes, SCHOOL, 6)
        await until(lambda: _found(nodes[ROOT], "木雕", ["r2", "r3", "r4", "r5"]))


async def test_an_authority_takes_its_directory_back_from_children_that_have_read_further_than_its_parent(tmp_path):
    async with network(tmp_path, "county", "school-a.county", "school-b.county") as nodes:
        await _tell_address(nodes, SIBLING)
        backup = await _back_up(tmp_path, COUNTY)
        await nodes.stop(ROOT)
        await nodes[COUNTY].ask("node.suspend", name=SCHOOL, reason="核查")
        said = (await nodes[COUNTY].log(COUNTY, "directory")).size
        await until(lambda: _copied(nodes[SIBLING], COUNTY, said, "directory"))
        await nodes.stop(COUNTY)
        shutil.rmtree(tmp_path / COUNTY)
        hub = await nodes.start(ROOT)
        assert (await hub.log(COUNTY, "directory")).size < said
        await _restore(nodes, tmp_path, COUNTY, backup)
        county = await nodes.start(COUNTY)
        assert county.node.vouching.standing_of(SCHOOL).status == "suspended"
        await county.ask("node.resume", name=SCHOOL, reason="完毕")
        await until(lambda: _copied(nodes[ROOT], COUNTY, said + 1, "directory"))
        for child in (SIBLING, SCHOOL):
            await nodes[child].ask("node.parent", endpoint=county.node.addresses.endpoint)
        said = (await county.log(COUNTY, "directory")).size
        for holder in (ROOT, SIBLING, SCHOOL):
            await until(lambda holder=holder: _copied(nodes[holder], COUNTY, said, "directory"))
        await _check_logs(nodes, COUNTY, said, "directory")


async def test_a_restored_root_has_only_its_children_to_ask_and_waits_for_one(tmp_path):
    async with network(tmp_path, "county", "town") as nodes:
        town = NodeName(f"town.{ROOT}")
        for name in (COUNTY, town):
            await _tell_address(nodes, name)
        backup = await _back_up(tmp_path, ROOT)
        await nodes[ROOT].ask("node.suspend", name=town, reason="核查")
        said = (await nodes[ROOT].log(ROOT, "directory")).size
        await until(lambda: _copied(nodes[COUNTY], ROOT, said, "directory"))
        where = {name: nodes[name].node.addresses.endpoint for name in (COUNTY, town)}
        await _lose(nodes, tmp_path, ROOT)
        await nodes.stop(COUNTY)
        await nodes.stop(town)
        await _restore(nodes, tmp_path, ROOT, backup)
        with pytest.raises(NobodyToAsk):
            await catch_up_home(tmp_path / ROOT)
        assert restore_mark(Home(tmp_path / ROOT)).is_complete
        _answers_at(tmp_path / COUNTY, where[COUNTY])
        await nodes.start(COUNTY)
        hub = await nodes.start(ROOT)
        assert hub.node.vouching.standing_of(town).status == "suspended"
        assert (await hub.log(ROOT, "directory")).size == said


async def test_entries_that_nobody_holds_any_more_stop_the_node_instead_of_being_signed_anew(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")
        await until(lambda: _copied(nodes[COUNTY], SCHOOL, 1))
        backup = await _back_up(tmp_path, SCHOOL)
        await nodes[SCHOOL].publish("r2", "石雕")
        await until(lambda: _copied(nodes[COUNTY], SCHOOL, 2))
        await _lose(nodes, tmp_path, SCHOOL)
        await _restore(nodes, tmp_path, SCHOOL, backup)
        recall = nodes[COUNTY].node.answering.recall

        async def cut_off(caller, topic, start):
            """A copy that was being received: its note promises two entries, and one has arrived."""
            page = await recall(caller, topic, min(start, 1))
            kept = () if topic == "catalogue" else page.entries
            return type(page)(log=page.log, start=start, entries=kept, checkpoint_note=page.checkpoint_note)

        nodes[COUNTY].node.answering.recall = cut_off
        with pytest.raises(EntriesLost, match="signed up to 2, found 1"):
            await catch_up_home(tmp_path / SCHOOL)
        nodes[COUNTY].node.answering.recall = recall
        await catch_up_home(tmp_path / SCHOOL)


async def test_a_backup_of_a_history_that_was_never_told_does_not_start_beside_the_one_that_was(tmp_path):
    """Two machines once ran with the same keys: what the other told is in the network, and this one's is not."""
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 1))
        first = await _back_up(tmp_path, SCHOOL)
        await nodes.stop(SCHOOL)
        shutil.copytree(tmp_path / SCHOOL, tmp_path / "twin")
        async with open_node(tmp_path / "twin") as twin:  # it never reaches the parent
            twin_live = type(nodes[ROOT])(twin, None, None)
            await twin_live.publish("other", "石雕")
        second = tmp_path / "second.backup"
        await back_up_home(tmp_path / "twin", second, None)
        school = await nodes.start(SCHOOL)
        await school.publish("r2", "玉雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 2))
        await _lose(nodes, tmp_path, SCHOOL)
        await _restore(nodes, tmp_path, SCHOOL, second)
        with pytest.raises(NotAsRecorded):
            await catch_up_home(tmp_path / SCHOOL)
        shutil.rmtree(tmp_path / SCHOOL)
        await _restore(nodes, tmp_path, SCHOOL, first)
        school = await nodes.start(SCHOOL)
        await _check_logs(nodes, SCHOOL, 2)


async def test_a_restored_node_does_not_start_while_its_parent_is_away(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        backup = await _back_up(tmp_path, SCHOOL)
        await _lose(nodes, tmp_path, SCHOOL)
        await _restore(nodes, tmp_path, SCHOOL, backup)
        await nodes.stop(COUNTY)
        with pytest.raises(LlnError, match="LLN-25"):
            await catch_up_home(tmp_path / SCHOOL)
        await nodes.start(COUNTY)
        await nodes.start(SCHOOL)
        assert restore_mark(Home(tmp_path / SCHOOL)) is None


async def test_what_was_done_before_the_loss_is_not_done_again_when_it_is_asked_for_again(tmp_path):
    """Answers kept since the backup are lost; the logs that come back hold what they answered for."""
    async with network(tmp_path, "county", "school-a.county") as nodes:
        backup = await _back_up(tmp_path, COUNTY)
        school = nodes[SCHOOL].node
        told = school.settings.node
        for _ in range(2):  # described at the meeting already, or now; a repeat is answered as the first was
            await school.peers.describe(COUNTY, told, "describe-1", timeout_s=5)
        said = (await nodes[COUNTY].log(COUNTY, "directory")).size
        await until(lambda: _copied(nodes[ROOT], COUNTY, said, "directory"))
        await _lose(nodes, tmp_path, COUNTY)
        await _restore(nodes, tmp_path, COUNTY, backup)
        county = await nodes.start(COUNTY)
        await nodes[SCHOOL].ask("node.parent", endpoint=county.node.addresses.endpoint)
        for _ in range(2):
            await school.peers.describe(COUNTY, told, "describe-1", timeout_s=5)
        after = (await county.log(COUNTY, "directory")).size
        await until(lambda: _copied(nodes[ROOT], COUNTY, after, "directory"))
        await until(lambda: _copied(nodes[SCHOOL], COUNTY, after, "directory"))
        await _check_logs(nodes, COUNTY, after, "directory")
        shown = await county.ask("log.show", topic="directory")
        said = [bytes(entry.document) for entry in shown.entries]
        assert len(said) == len(set(said))


async def test_a_backup_goes_only_where_nothing_is_lost_by_it(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        backup = await _back_up(tmp_path, SCHOOL)
        other = await _back_up(tmp_path, COUNTY)
        await nodes.stop(SCHOOL)
        home = tmp_path / SCHOOL
        with pytest.raises(DatabaseInPlace):
            restore_home(home, backup, None)
        with pytest.raises(HomeOccupied, match="it is"):
            restore_home(home, other, None)
        shutil.rmtree(home / "data")
        with pytest.raises(HomeOccupied, match="it is"):
            restore_home(home, other, None)
        (home / "data").mkdir()
        (home / "data" / "node.db-wal").write_bytes(b"of the database that is lost")
        chain = (home / "trust" / "chain.pem").read_bytes()
        restore_home(home, backup, None)
        assert (home / "trust" / "chain.pem").read_bytes() == chain
        assert not (home / "data" / "node.db-wal").exists()
        await nodes.start(SCHOOL)
        await nodes[SCHOOL].publish("r1", "木雕")
        await until(lambda: _copied(nodes[ROOT], SCHOOL, 1))


async def test_a_restore_that_was_interrupted_is_told_of_and_gone_on_with(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        backup = await _back_up(tmp_path, SCHOOL)
        await nodes.stop(SCHOOL)
        home = Home(tmp_path / SCHOOL)
        shutil.rmtree(home.path)
        restore_home(home.path, backup, None)
        keep_restore_mark(home, type(restore_mark(home))(backed_up_at_ms=1, is_complete=False))
        with pytest.raises(RestoreUnfinished):
            await nodes.start(SCHOOL)
        restore_home(home.path, backup, None)
        _say_where(home.path, nodes[COUNTY].node.addresses.endpoint)
        await nodes.start(SCHOOL)
