"""The command line beside a running node: asked over the desk, joined through the door, checked up to the parent."""

import asyncio
import json
import os
import signal
import socket

import msgspec
import pytest
from click.testing import CliRunner

from federation.errors import LlnError
from federation.naming import NodeName
from node.checking import check_home
from node.cli.main import main
from node.ports import Refused
from node.runtime import read_serving, serve
from tests.support.live_nodes import ROOT, network, until

COUNTY = NodeName(f"county.{ROOT}")
SCHOOL = NodeName(f"school-a.county.{ROOT}")
INVITED = ("--title", "学校", "--level", "school", "--kind", "school")
ROW = {
    "id": "r1",
    "title": {"zh": "木雕\u001b[31m入门", "en": "Carving"},
    "description": {"zh": "从握刀开始"},
    "type": "online_course",
    "section": "hobbies_interests",
    "audience": ["elder"],
    "hours": 12,
    "credits": 50,
    "location": "https://example.org/r1",
}


class Terminal:
    """A person at the nodes' homes; each command runs in a thread, the nodes go on meanwhile."""

    def __init__(self, folder):
        self.folder = folder

    async def __call__(self, name, *words, ui="en", told=None):
        arguments = ["--home", str(self.folder / name), "--ui", ui, *words]
        return await asyncio.to_thread(CliRunner().invoke, main, arguments, told)


@pytest.fixture
def lln(tmp_path):
    return Terminal(tmp_path)


async def test_a_resource_is_published_and_found_over_the_desk_of_running_nodes(tmp_path, lln):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        file = tmp_path / "rows.jsonl"
        file.write_text(json.dumps(ROW), encoding="utf-8")
        assert (await lln(SCHOOL, "resource", "import", str(file), "--as", "a", "--apply")).exit_code == 0
        waiting = await lln(SCHOOL, "resource", "review")
        assert "r1  pending" in waiting.output
        assert "\x1b" not in waiting.output
        returned = await lln(SCHOOL, "resource", "review", "r1", "--as", "b", "--return", "--remark", "改标题")
        assert "returned 1" in returned.output
        assert (await lln(SCHOOL, "resource", "publish", "r1")).exit_code == 1
        await lln(SCHOOL, "resource", "import", str(file), "--as", "a", "--apply")
        file.write_text(json.dumps(ROW | {"hours": 13}), encoding="utf-8")
        changed = await lln(SCHOOL, "resource", "import", str(file), "--as", "a", "--apply", ui="zh")
        assert "更新: 1" in changed.output
        assert "(hours)" in changed.output
        approved = await lln(SCHOOL, "--json", "resource", "review", "--all", "--as", "b", "--approve")
        assert json.loads(approved.output)[0]["outcomes"][0]["state"] == "reviewed"
        assert "published 1" in (await lln(SCHOOL, "resource", "publish", "--all")).output

        async def at_hub():
            log = await nodes[ROOT].log(SCHOOL)
            return log is not None and log.indexed == 1

        await until(at_hub)
        found = await lln(ROOT, "search", "木雕", "--type", "online_course", "--audience", "elder")
        assert "1. Carving" in found.output
        assert "13 hours · 0.5 credits · copy just now" in found.output
        assert "https://example.org/r1" in found.output
        assert "audience: elders 1" in found.output
        assert "1. 木雕[31m入门" in (await lln(ROOT, "search", "木雕", ui="zh")).output
        assert "Nothing found" in (await lln(ROOT, "search", "木雕", "--stage", "basic")).output
        assert "Nothing found" in (await lln(ROOT, "search", "木雕", "--page", "3")).output
        assert json.loads((await lln(ROOT, "--json", "search", "木雕")).output)["total"] == 1
        listed = await lln(ROOT, "--json", "resource", "list")
        assert json.loads(listed.output) == []


async def test_how_running_nodes_are_and_whom_they_know(tmp_path, lln):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("r1", "木雕")

        async def told():
            return len((await nodes[SCHOOL].log(SCHOOL)).holdings) == 2

        await until(told)
        status = await lln(SCHOOL, "status")
        assert status.output.startswith("✓ Everything works.")
        assert "not running" not in status.output
        assert f"↑ {COUNTY}" in status.output
        assert f"{ROOT}: holds 1" in status.output
        assert "children: active 1" in (await lln(COUNTY, "status")).output
        assert json.loads((await lln(COUNTY, "--json", "status")).output)["name"] == COUNTY
        tree = (await lln(ROOT, "tree", ui="zh")).output.splitlines()
        assert tree[1].startswith("└─ county")
        assert tree[2].startswith("   └─ school-a")
        assert "学校" in tree[2]
        assert json.loads((await lln(ROOT, "--json", "tree")).output)["top"] == ROOT
        peers = (await lln(COUNTY, "peers")).output
        assert f"{ROOT}  parent  active" in peers
        assert f"{SCHOOL}  child  active" in peers
        assert "last success: just now" in peers
        assert len(json.loads((await lln(COUNTY, "--json", "peers")).output)["peers"]) == 2
        logs = (await lln(SCHOOL, "log", "show")).output
        assert f"{ROOT}: holds 1, indexed" in logs
        assert len(json.loads((await lln(ROOT, "--json", "log", "show")).output)["logs"]) >= 5
        shown = await lln(ROOT, "--json", "log", "show", "catalogue", "--origin", SCHOOL)
        assert json.loads(shown.output)["entries"][0]["document"]["resource"]["id"] == "r1"
        verdict = await lln(SCHOOL, "log", "verify", "catalogue")
        assert f"cosigned by {COUNTY}" in verdict.output
        as_json = await lln(ROOT, "--json", "log", "verify", "catalogue", "--origin", SCHOOL)
        assert json.loads(as_json.output)["faults"] == []
        proof = await lln(ROOT, "log", "prove", "catalogue", "0", "--origin", SCHOOL)
        assert proof.output.startswith("c2sp.org/tlog-proof@v1")


async def test_a_node_is_invited_joins_and_is_suspended_from_the_command_line(tmp_path, lln):
    async with network(tmp_path, "county") as nodes:
        made = await lln(COUNTY, "--json", "invite", "school-a", *INVITED)
        told = json.loads(made.output)
        assert told["name"] == SCHOOL
        joined = await lln(SCHOOL, "join", told["code"], "--listen", "127.0.0.1:0", "--contact", "office")
        assert joined.exit_code == 0, joined.output
        assert f"Joined: {SCHOOL}  ← {COUNTY}" in joined.output
        listed = json.loads((await lln(COUNTY, "--json", "invites")).output)
        assert [one["state"] for one in listed["invites"]] == ["used"]
        again = await lln("elsewhere", "join", told["code"], "--listen", "127.0.0.1:0")
        assert again.exit_code == 3
        assert (await lln(COUNTY, "suspend", SCHOOL, "--reason", "核查")).output == f"{SCHOOL}: suspended\n"
        twice = await lln(COUNTY, "suspend", SCHOOL, "--reason", "核查")
        assert twice.exit_code == 1
        assert "[LLN-131]" in twice.output
        resumed = await lln(COUNTY, "--json", "resume", SCHOOL, "--reason", "完毕")
        assert json.loads(resumed.output)["status"] == "active"
        assert (await lln(COUNTY, "revoke", SCHOOL, "--reason", "停办", told="another\n")).exit_code == 1
        revoked = await lln(COUNTY, "revoke", SCHOOL, "--reason", "停办", told=f"{SCHOOL}\n", ui="zh")
        assert "已撤销" in revoked.output

        async def known():
            return nodes[COUNTY].node.vouching.standing_of(SCHOOL).status == "revoked"

        await until(known)


async def test_a_serving_file_left_by_a_crash_does_not_shut_people_out(tmp_path, lln):
    async with network(tmp_path) as nodes:
        left = (tmp_path / ROOT / "run" / "serving.json").read_bytes()
        await nodes.stop(ROOT)
        assert read_serving(tmp_path / ROOT) is None
        (tmp_path / ROOT / "run" / "serving.json").write_bytes(left)
        assert (await lln(ROOT, "status")).exit_code == 0
        (tmp_path / ROOT / "run" / "serving.json").write_bytes(b"{")
        assert (await lln(ROOT, "status")).exit_code == 0


async def _checked(home):
    return {finding.step: finding async for finding in check_home(home)}


async def test_a_check_walks_up_to_the_parents_logs_while_everything_runs(tmp_path, lln):
    async with network(tmp_path, "county", "school-a.county"):
        found = await _checked(tmp_path / SCHOOL)
        assert list(found) == [
            "config",
            "data",
            "database",
            "backup",
            "certificate",
            "tcp",
            "hello",
            "clock",
            "log",
        ]
        assert {step for step, one in found.items() if one.severity != "good"} == {"backup"}  # none was made yet
        told = await lln(SCHOOL, "--json", "check")
        assert told.exit_code == 0


async def test_a_check_says_what_is_in_the_way_of_the_parent(tmp_path, lln):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        county = nodes[COUNTY]
        await county.ask("node.suspend", name=SCHOOL, reason="核查")

        async def refused():
            return (await _checked(tmp_path / SCHOOL)).get("hello").severity == "fault"

        await until(refused)
        assert (await lln(SCHOOL, "check")).exit_code == 1
        await nodes.stop(COUNTY)
        assert (await _checked(tmp_path / SCHOOL))["tcp"].severity == "fault"
    config = tmp_path / SCHOOL / "config.toml"
    text = config.read_text(encoding="utf-8")
    at = text.index("[parent]")
    lines = [line for line in text[at:].splitlines() if not line.startswith("endpoint")]
    for endpoint, step in (
        ("no-such-host.invalid:1", "lookup"),
        ("a..b:1", "lookup"),
        ("127.0.0.1:99999", "tcp"),
        (None, "parent"),
    ):
        line = [f'endpoint = "{endpoint}"'] if endpoint else []
        config.write_text(text[:at] + "\n".join([lines[0], *line, *lines[1:]]) + "\n", encoding="utf-8")
        found = await _checked(tmp_path / SCHOOL)
        assert found[step].severity == "fault", endpoint
        assert found[step].remedy
    config.write_text("[node\n", encoding="utf-8")
    assert list(await _checked(tmp_path / SCHOOL)) == ["config"]


async def test_a_check_says_which_file_is_broken(tmp_path):
    async with network(tmp_path):
        pass
    home = tmp_path / ROOT
    found = await _checked(home)
    assert {step for step, one in found.items() if one.severity != "good"} == {"backup"}  # none was made yet
    (home / "data" / "node.db").write_bytes(b"not a database" * 1_000)
    found = await _checked(home)
    assert found["database"].severity == "fault"
    for key in (home / "keys").iterdir():
        key.unlink()
    assert (await _checked(home))["keys"].severity == "fault"


async def test_a_node_serves_until_it_is_told_to_stop(tmp_path):
    async with network(tmp_path):
        pass
    heard = []

    def told(serving):
        heard.append((serving, read_serving(tmp_path / ROOT)))
        os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(10):
        await serve(tmp_path / ROOT, told)
    [(serving, written)] = heard
    assert msgspec.structs.asdict(written).items() <= msgspec.structs.asdict(serving).items()
    assert (serving.portal, serving.first_link, serving.portal_trouble) == ("", "", None)
    assert serving.name == ROOT
    assert read_serving(tmp_path / ROOT) is None


async def test_a_port_that_is_taken_is_an_error_with_a_code(tmp_path):
    async with network(tmp_path):
        pass
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = tmp_path / ROOT / "config.toml"
        text = config.read_text(encoding="utf-8")
        config.write_text(
            text.replace('grpc = "127.0.0.1:0"', f'grpc = "127.0.0.1:{taken.getsockname()[1]}"'), encoding="utf-8"
        )
        with pytest.raises(LlnError, match="LLN-"):
            await serve(tmp_path / ROOT)


async def test_a_node_moves_and_a_parent_is_found_from_the_command_line(tmp_path, lln):
    async with network(tmp_path, "county", "town", "school-a.county") as nodes:
        town = NodeName(f"town.{ROOT}")
        moved = NodeName(f"school-a.{town}")
        told = json.loads((await lln(town, "--json", "invite", "school-a", *INVITED)).output)
        busy = await lln(SCHOOL, "move", told["code"])
        assert (busy.exit_code, "[LLN-1601]" in busy.output) == (1, True)
        await nodes.stop(SCHOOL)
        done = await lln(SCHOOL, "move", told["code"])
        assert done.exit_code == 0, done.output
        assert f"{SCHOOL} → {moved}" in done.output
        again = await lln(COUNTY, "moved", SCHOOL, moved)
        assert again.output == f"{SCHOOL}: moved → {moved}\n"
        assert (await lln(COUNTY, "moved", SCHOOL, COUNTY)).exit_code != 0
        endpoint = nodes[town].node.addresses.endpoint
        found = await lln(SCHOOL, "parent", endpoint)
        assert found.output == f"the parent was found at: {endpoint}\n"
        lost = await lln(SCHOOL, "parent", "127.0.0.1:1")
        assert lost.exit_code == 3
        assert (await lln(SCHOOL, "parent", "nowhere at all")).exit_code == 1
        assert f'endpoint = "{endpoint}"' not in (tmp_path / SCHOOL / "config.toml").read_text(encoding="utf-8")
        replaced = json.loads((await lln(town, "--json", "invite", "school-a", *INVITED, "--replace")).output)
        assert replaced["name"] == moved


async def test_what_waits_for_others_is_shown_sent_again_and_dropped(tmp_path, lln):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        assert (await lln(SCHOOL, "outbox")).output == "nothing waits\n"

        def unit(tx):
            for item_id in ("a", "b"):
                tx.outbox.add(COUNTY, "no such kind", b"x" * 2_048, item_id, nodes[SCHOOL].node.clock.now_ms())

        await nodes[SCHOOL].node.store.write(unit)
        await nodes[SCHOOL].node.posting.settled(COUNTY, "b", 20)
        shown = (await lln(SCHOOL, "outbox")).output
        assert f"{COUNTY}  waiting 0 · given up 2" in shown
        assert f"✗ a  no such kind → {COUNTY}  just now" in shown
        assert "[LLN-1261] no such kind: a" in shown
        assert "given up" in (await lln(SCHOOL, "status")).output
        assert (await lln(SCHOOL, "outbox", "retry", "a")).output == "sent again: 1\n"
        assert isinstance(await nodes[SCHOOL].node.posting.settled(COUNTY, "a", 20), Refused)
        unsure = await lln(SCHOOL, "outbox", "drop", "a")
        assert (unsure.exit_code, "--yes" in unsure.output) == (2, True)
        assert (await lln(SCHOOL, "outbox", "drop", "a", "--yes", ui="zh")).output == "已删除: 1\n"
        missing = await lln(SCHOOL, "outbox", "drop", "a", "--yes")
        assert (missing.exit_code, "LLN-1262" in missing.output) == (1, True)
        await nodes.stop(COUNTY)
        await nodes[SCHOOL].node.store.write(unit)
        told = json.loads((await lln(SCHOOL, "--json", "outbox")).output)
        assert [(one["id"], one["code"]) for one in told["given_up"]] == [("b", "LLN-1261")]
        assert (told["nodes"][0]["waiting"], told["nodes"][0]["waiting_bytes"]) == (1, 2_048)
        assert "2.0 KiB · oldest just now" in (await lln(SCHOOL, "outbox")).output
