"""One member floods another node: it is refused and counted, and everybody else is answered as before.

What lives here: that, for each kind of flood, between whole nodes. What must not: how long a good peer then waits
(`tests/benchmarks/bench_floods.py`).
"""

import asyncio
import json

import grpc
import pytest
from click.testing import CliRunner

from federation.budgets import per_minute
from federation.callers import TooManyCalls, TooManyFailures
from federation.calls import MalformedEnvelope, WrongSignature
from federation.naming import NodeName
from federation.search import SearchRequest
from federation.unknown_names import NameUnknown
from node.cli.main import main
from node.host.clock import SystemClock, SystemRandomness
from node.rpc.hosting import Connecting
from node.rpc.server import Allowances
from node.rpc.turns import Busyness, TooBusy
from node.usecases.resolving import TooManyUnknownNames
from tests.support.flooders import Flooder
from tests.support.live_nodes import ROOT, network, until
from tests.support.signed_nodes import Forger, Tree, dialled

COUNTY = NodeName(f"county.{ROOT}")
BAD = NodeName(f"school-bad.{COUNTY}")
GOOD = NodeName(f"school-good.{COUNTY}")
UNSIGNED = ("unavailable", "resource_exhausted")  # who hears "not now" too often hears it without a signature
RESOLVE = "/lln.v1.Directory/Resolve"


class Flooded:
    """A county that one of its schools floods, and another that searches there all the while."""

    def __init__(self, nodes, flooder):
        self.nodes = nodes
        self.flooder = flooder
        self.county = nodes[COUNTY].node
        self.answered = 0

    async def pour(self, kind, count):
        """`count` drops at once, and what came of them; meanwhile the good school is answered, each time."""
        drop = self.flooder.kinds[kind]
        async with asyncio.TaskGroup() as together:
            drops = [together.create_task(drop()) for _ in range(count)]
            searching = together.create_task(self._search_until_done(drops))
        assert searching.result() > 0
        told = {}
        for one in drops:
            told[one.result()] = told.get(one.result(), 0) + 1
        return told

    async def _search_until_done(self, drops):
        request = SearchRequest(text="木雕", scope="siblings", asker=GOOD)
        count = 0
        while not all(drop.done() for drop in drops) or not count:
            answer = await self.nodes[GOOD].node.peers.search(COUNTY, request, timeout_s=10)
            assert [hit.id for hit in answer.hits] == ["r1"]
            count += 1
            await asyncio.sleep(0.01)
        return count

    def refused(self, code):
        """How often the flooder was refused with `code`, as the county's people see it."""
        lln = CliRunner().invoke
        peers = json.loads(lln(main, ["--home", str(self.county.home.path), "--json", "peers"]).output)["peers"]
        status = json.loads(lln(main, ["--home", str(self.county.home.path), "--json", "status"]).output)
        theirs = {peer["name"]: peer["refused"] for peer in peers}
        assert theirs[GOOD] == {}
        assert status["refused"][code] >= theirs[BAD][code]
        return theirs[BAD][code]


@pytest.fixture
async def flooded(tmp_path):
    async with network(tmp_path, "county", "school-bad.county", "school-good.county") as nodes:
        await nodes[COUNTY].publish("r1", "木雕入门")

        async def searchable():
            return nodes[COUNTY].node.index.count() == 1

        await until(searchable)
        flooder = Flooder(
            nodes[BAD].node.identity,
            to=COUNTY,
            endpoint=nodes[COUNTY].node.addresses.endpoint,
            clock=SystemClock(),
            randomness=SystemRandomness(),
        )
        async with flooder:
            yield Flooded(nodes, flooder)


async def as_people_see(flooded, code):
    return await asyncio.to_thread(flooded.refused, code)


# --- between whole nodes ---------------------------------------------------------------------------------------------


async def test_bad_signatures_are_not_even_looked_at_after_a_while(flooded):
    told = await flooded.pour("bad signatures", 200)
    allowed = flooded.county.settings.limits.failures_per_minute
    assert allowed <= told[WrongSignature.code] < allowed + 20  # a few more as time passes
    assert set(told) <= {WrongSignature.code, TooManyFailures.code, TooBusy.code, *UNSIGNED}
    assert await as_people_see(flooded, WrongSignature.code) == told[WrongSignature.code]
    assert await as_people_see(flooded, TooManyFailures.code) >= told[TooManyFailures.code]


async def test_valid_calls_wait_in_their_senders_own_lane(flooded):
    told = await flooded.pour("valid calls", 300)
    assert told["ok"] > 0
    held_back = sum(count for outcome, count in told.items() if outcome != "ok")
    assert held_back > 0
    assert set(told) <= {"ok", TooBusy.code, TooManyCalls.code, *UNSIGNED}
    assert await as_people_see(flooded, TooBusy.code) > 0


async def test_unknown_names_cost_the_parent_little_and_a_repeated_one_nothing(flooded):
    told = await flooded.pour("unknown names", 150)
    allowed = flooded.county.settings.limits.unknown_names_per_minute
    assert told[NameUnknown.code] >= allowed
    assert set(told) <= {NameUnknown.code, TooManyUnknownNames.code, TooBusy.code, *UNSIGNED}
    assert await as_people_see(flooded, TooManyUnknownNames.code) > 0
    hub = flooded.nodes[ROOT].node
    asked_above = hub.refusals.by_code[NameUnknown.code]
    assert asked_above <= told[NameUnknown.code]
    for _ in range(5):
        with pytest.raises(Exception, match=NameUnknown.code):
            await flooded.nodes[GOOD].node.peers.resolve(COUNTY, NodeName(f"ghost.{ROOT}"), 8, timeout_s=5)
    assert hub.refusals.by_code[NameUnknown.code] == asked_above + 1
    found = await flooded.nodes[BAD].node.peers.resolve(COUNTY, GOOD, 8, timeout_s=10)  # who is known still is
    assert found.status == "active"


async def test_huge_pages_that_do_not_hold_are_not_read_after_a_while(flooded):
    before = await flooded.nodes[COUNTY].log(BAD)
    told = {}
    while TooManyFailures.code not in told:
        told = await flooded.pour("huge pages", 60)
        assert "ok" not in told
    assert await as_people_see(flooded, TooManyFailures.code) > 0
    assert await flooded.nodes[COUNTY].log(BAD) == before


async def test_connections_that_come_to_nothing_disturb_nobody(flooded):
    told = await flooded.pour("connections", 45)
    assert told["half open"] == 15
    assert told["opened"] == 15
    assert told["refused"] == 15  # without a certificate
    status = await flooded.nodes[COUNTY].ask("node.status")
    assert status.connections >= 30


# --- one server, and who gets at it -----------------------------------------------------------------------------------


@pytest.fixture
async def tree():
    tree = Tree()
    yield tree
    for node in tree.all():
        await node.stop()


async def serves(tree, *, by):
    async with dialled(by.dialling(tree.district)) as peers:
        return await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=10)


async def silent_connection(tree):
    host, port = tree.district.endpoint.rsplit(":", 1)
    return await asyncio.open_connection(host, int(port))


async def test_a_connection_that_never_shows_a_certificate_is_hung_up(tree):
    await tree.district.start(connecting=Connecting(handshake_s=1))
    opened = [await silent_connection(tree) for _ in range(20)]
    assert await serves(tree, by=tree.sister)
    async with asyncio.timeout(15):
        for reader, writer in opened:
            while await reader.read(1_000):
                """Whatever it still says, it hangs up."""
            writer.close()


async def test_there_are_never_more_connections_than_allowed_and_who_has_one_keeps_it(tree):
    await tree.district.start(connecting=Connecting(connections=8, handshake_s=2))
    async with dialled(tree.sister.dialling(tree.district)) as peers:
        assert await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=10)
        opened = [await silent_connection(tree) for _ in range(40)]
        for _ in range(5):
            assert await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=10)
        async with asyncio.timeout(20):
            for reader, writer in opened:
                while await reader.read(1_000):
                    """Hung up at once, or when its handshake has taken too long."""
                writer.close()
        assert await serves(tree, by=tree.school)  # there is room again


async def test_calls_whose_message_never_comes_shut_out_nobody(tree):
    await tree.district.start(busyness=Busyness(calls=16, calls_per_peer=4))
    forger = Forger(tree.school, tree.district)
    calls = [forger.channel.stream_stream("/lln.v1.Link/Attach")(metadata=()) for _ in range(12)]
    waiting = [asyncio.ensure_future(call.wait_for_connection()) for call in calls]
    assert await serves(tree, by=tree.sister)
    for call in calls:
        call.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await forger.close()


async def test_nobody_keeps_a_call_open_by_watching_health(tree):
    await tree.district.start()
    forger = Forger(tree.school, tree.district)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await forger.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"").read()
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert await forger.channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5)
    await forger.close()


async def test_changes_are_few_because_each_is_kept_for_ever(tree):
    await tree.district.start(allowances=Allowances(changes=per_minute(3)))
    forger = Forger(tree.school, tree.district)
    payload = b"\x0a\x02{}"
    told = [await forger.send("/lln.v1.Directory/Renew", payload, operation_id=f"renew-{n}") for n in range(6)]
    assert [one.code for one in told[3:]] == [TooManyCalls.code] * 3
    assert [what[0] for what in tree.district.behind.asked] == ["renew"] * 3
    await forger.close()


async def test_a_peer_that_sent_too_much_that_did_not_hold_is_heard_again_later(tree):
    await tree.district.start(allowances=Allowances(failures=per_minute(4)))
    forger = Forger(tree.school, tree.district)
    told = [await forger.send(RESOLVE, b"", ()) for _ in range(6)]
    assert [one.code for one in told] == [MalformedEnvelope.code] * 4 + [TooManyFailures.code] * 2
    assert (await forger.send(RESOLVE, b"")).code == TooManyFailures.code  # a sound one, too
    assert await serves(tree, by=tree.sister)
    tree.district.clock.move(s=60)
    tree.school.clock.move(s=60)
    assert (await forger.send(RESOLVE, b"\x0a\x0clln.internal")).status is grpc.StatusCode.OK
    await forger.close()
