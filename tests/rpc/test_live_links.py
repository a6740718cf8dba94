"""Nodes that cannot be dialled: called over the link they keep to their parent, and through relays across the tree."""

import asyncio

import msgspec
import pytest
from click.testing import CliRunner

from federation.errors import LlnError, PeerUnreachable
from federation.naming import NodeName
from federation.search import SearchRequest
from node.cli.main import main
from node.rpc import channels
from node.rpc.envelope import Sealed
from node.rpc.links import LinkBroken
from tests.support.live_nodes import ROOT, network, until

COUNTY = NodeName(f"county.{ROOT}")
FAR = NodeName(f"far.{ROOT}")
SCHOOL = NodeName(f"school-a.county.{ROOT}")
OTHER = NodeName(f"school-b.county.{ROOT}")
STRANGER = NodeName(f"school-c.far.{ROOT}")


class Undialled:
    """The hub and two counties as usual, and schools whose addresses nobody is told."""

    def __init__(self, nodes):
        self.nodes = nodes

    def __getitem__(self, name):
        return self.nodes[name].node

    async def attached(self, parent, child):
        async def is_there():
            return self[parent].links.get(child) is not None

        await until(is_there)


async def undialled(nodes, *schools):
    for name in schools:
        await nodes.add(name, "school", "school", dialable=False)
    tree = Undialled(nodes)
    for name in (COUNTY, *([FAR] if STRANGER in schools else [])):
        await tree.attached(ROOT, name)
    for name in schools:
        await tree.attached(NodeName(name.split(".", 1)[1]), name)
    return tree


async def test_a_parent_calls_a_child_that_it_cannot_dial(tmp_path):
    async with network(tmp_path, "county") as nodes:
        tree = await undialled(nodes, SCHOOL)
        peers = tree[COUNTY].peers
        assert not peers.can_dial(SCHOOL)
        met = await peers.hello(SCHOOL, timeout_s=5)
        assert met.name == SCHOOL
        page = await peers.read(SCHOOL, "catalogue", 0, 10, timeout_s=5)
        assert page.log.origin == SCHOOL
        with pytest.raises(LlnError, match="LLN-226"):  # the school's own rules hold over its link, too
            await peers.search(SCHOOL, SearchRequest(text="书法", asker=COUNTY, scope="node"), timeout_s=5)


async def test_a_link_that_has_ended_leaves_nobody_waiting_for_its_next_word(tmp_path):
    """gRPC draws what the child says from a task of its own, which outlives the stream if nobody ends it."""

    def drawing():
        return [task for task in asyncio.all_tasks() if "_consume_request" in getattr(task.get_coro(), "__name__", "")]

    async def nobody():
        return not drawing()

    async with network(tmp_path, "county") as nodes:
        await undialled(nodes, SCHOOL)
        assert len(drawing()) == 2  # the school's, and the county's own
        await nodes.stop(COUNTY)
        await nodes.stop(ROOT)
        await until(nobody)


async def test_two_schools_of_which_neither_can_be_dialled_call_each_other(tmp_path):
    async with network(tmp_path, "county") as nodes:
        tree = await undialled(nodes, SCHOOL, OTHER)
        await nodes[OTHER].publish("r1", "木雕入门", reach="node")
        met = await tree[SCHOOL].peers.hello(OTHER, timeout_s=5)
        assert met.name == OTHER
        page = await tree[SCHOOL].peers.read(OTHER, "catalogue", 0, 10, timeout_s=5)
        assert [entry.document for entry in page.entries] == [None]  # shared with nobody: withheld on this road, too
        [road] = await tree[SCHOOL].peers.ping(OTHER, timeout_s=5)
        assert (road.road, road.failed) == ("relay", None)
        assert [(relay.name, relay.over_link) for relay in road.relays] == [(COUNTY, True)]


async def test_a_road_to_nobody_is_not_looked_for(tmp_path):
    async with network(tmp_path, "county") as nodes:
        tree = await undialled(nodes, SCHOOL)
        tried = []
        tree[COUNTY].relays._pass_on = lambda *asked: tried.append(asked)
        for _ in range(3):
            with pytest.raises(LlnError, match=r"LLN-121|LLN-252"):
                await tree[SCHOOL].peers.hello(NodeName(f"ghost.{COUNTY}"), timeout_s=5)
        assert tried == []


async def test_a_call_crosses_the_tree_and_the_target_learns_who_a_stranger_is(tmp_path):
    async with network(tmp_path, "county", "far") as nodes:
        tree = await undialled(nodes, SCHOOL, STRANGER)

        async def known():
            return tree[ROOT].vouching.standing_of(STRANGER) and tree[ROOT].vouching.standing_of(SCHOOL)

        await until(known)
        await tree[SCHOOL].peers.hello(STRANGER, timeout_s=5)
        [road] = await tree[SCHOOL].peers.ping(STRANGER, timeout_s=5)
        assert [relay.name for relay in road.relays] == [COUNTY, ROOT, FAR]
        caller = tree[STRANGER].chains.node(tree[SCHOOL].identity.chain, tree[SCHOOL].clock.now_ms())
        assert (
            tree[STRANGER].acquainting.judge(caller, True) is False
        )  # resolved at the lowest common authority: not provisional
        await nodes[COUNTY].ask("node.suspend", name=SCHOOL, reason="核查")

        async def refused():
            try:
                await tree[SCHOOL].peers.hello(STRANGER, timeout_s=5)
            except LlnError as error:
                return "LLN-22" in str(error)
            return False

        await until(refused)


async def test_a_link_that_breaks_fails_its_calls_and_is_attached_again(tmp_path):
    async with network(tmp_path, "county") as nodes:
        tree = await undialled(nodes, SCHOOL)
        await tree[COUNTY].peers.hello(SCHOOL, timeout_s=5)
        link = tree[COUNTY].links.get(SCHOOL)
        waiting = asyncio.ensure_future(link.unary("/lln.v1.Nothing/Here", b"", Sealed(), 5))
        await asyncio.sleep(0)
        link.hang_up("cut")
        with pytest.raises(LinkBroken):
            await waiting

        async def anew():
            return tree[COUNTY].links.get(SCHOOL) not in (None, link)

        await until(anew)
        assert (await tree[COUNTY].peers.hello(SCHOOL, timeout_s=5)).name == SCHOOL


async def test_a_method_that_is_not_there_is_refused_with_a_signature(tmp_path):
    async with network(tmp_path, "county") as nodes:
        tree = await undialled(nodes, SCHOOL)
        with pytest.raises(LlnError, match="LLN-1220"):
            await tree[COUNTY].peers.pass_on(SCHOOL, "/lln.v1.Logs/Watch", b"", 5)


async def test_a_child_that_is_away_is_unreachable_and_the_relay_says_where_it_stopped(tmp_path):
    async with network(tmp_path, "county") as nodes:
        tree = await undialled(nodes, SCHOOL, OTHER)
        await nodes.stop(OTHER)

        async def gone():
            return tree[COUNTY].links.get(OTHER) is None

        await until(gone)
        with pytest.raises(PeerUnreachable, match=f"{COUNTY} → {OTHER}"):
            await tree[SCHOOL].peers.hello(OTHER, timeout_s=3)
        told = await asyncio.to_thread(
            CliRunner().invoke, main, ["--home", str(tmp_path / SCHOOL), "--ui", "en", "ping", OTHER]
        )
        assert told.exit_code == 1
        assert "✗ relay" in told.output
        assert "stopped at: relays" in told.output


async def test_ping_names_every_road_and_every_step(tmp_path):
    async with network(tmp_path, "county") as nodes:
        tree = await undialled(nodes, SCHOOL)
        command = ["--home", str(tmp_path / SCHOOL), "--ui", "en", "ping"]
        up = await asyncio.to_thread(CliRunner().invoke, main, [*command, COUNTY])
        assert up.exit_code == 0, up.output
        assert "✓ direct" in up.output
        assert "lookup → TCP → TLS → name → chain → clock → signature → policy → ✓" in up.output
        tree[COUNTY].peers.know(SCHOOL, "127.0.0.1:1")
        direct, link = await tree[COUNTY].peers.ping(SCHOOL, timeout_s=2)
        assert (direct.road, direct.failed, direct.passed) == ("direct", "tcp", ("lookup",))
        assert (link.road, link.failed) == ("link", None)
        nobody = await asyncio.to_thread(CliRunner().invoke, main, [*command, f"nobody.{COUNTY}"])
        assert nobody.exit_code == 1
        assert "LLN-" in nobody.output


async def test_relays_carry_a_search_that_they_cannot_read(tmp_path, monkeypatch):
    async with network(tmp_path, "county") as nodes:
        tree = await undialled(nodes, SCHOOL, OTHER)
        await nodes[OTHER].publish("r1", "木雕入门", reach="siblings")

        async def searchable():
            return tree[OTHER].index.count()

        await until(searchable)
        passed = []
        honest = tree[COUNTY].peers.pass_on

        async def seen(to, method, payload, timeout_s):
            body = await honest(to, method, payload, timeout_s)
            passed.extend((payload, body))
            return body

        monkeypatch.setattr(tree[COUNTY].relays, "_pass_on", seen)
        asked = SearchRequest(text="木雕", asker=SCHOOL, scope="siblings", hops_left=0)
        found = await tree[SCHOOL].peers.search(OTHER, asked, timeout_s=5)
        assert [hit.title.zh for hit in found.hits] == ["木雕入门"]
        assert len(passed) == 4  # a hello and a search, there and back
        assert all("木雕".encode() not in one and b"\\u6728" not in one for one in passed)
        assert any(OTHER.encode() in one for one in passed)


@pytest.mark.parametrize("spoil", ["plain", "flipped", "for another", "short"])
async def test_what_is_not_sealed_to_the_target_is_refused(tmp_path, monkeypatch, spoil):
    async with network(tmp_path, "county") as nodes:
        tree = await undialled(nodes, SCHOOL, OTHER)
        sealing = channels.seal_call

        def spoilt(payload, to_key, **call):
            honest = sealing(payload, to_key, **call)
            texts = {
                "plain": payload,
                "flipped": honest.payload[:-1] + bytes([honest.payload[-1] ^ 1]),
                "for another": sealing(payload, tree[COUNTY].identity.sealing_key, **call).payload,
                "short": b"",
            }
            return msgspec.structs.replace(honest, payload=texts[spoil])

        monkeypatch.setattr(channels, "seal_call", spoilt)
        with pytest.raises(LlnError, match="LLN-2301"):
            await tree[SCHOOL].peers.search(
                OTHER, SearchRequest(text="木雕", asker=SCHOOL, scope="siblings", hops_left=0), timeout_s=5
            )
