"""Every call there is, over real gRPC between real nodes: asked, answered, refused."""

import asyncio

import msgspec
import pytest

from federation.calls import RelationRefused, UnprovenReply
from federation.errors import LlnError, NotFound, PeerUnreachable
from federation.logs import LogId
from federation.search import SearchRequest
from node.ports import LogHeadNote
from node.rpc.channels import PeerNotAdmitted, RefusedByPeer, WrongPeer
from node.rpc.routes import AddressUnknown, BreakerOpen
from node.rpc.server import DeadlinePassed, NodeStopping
from node.rpc.turns import Busyness, TooBusy
from tests.support.signed_nodes import ANSWER, DESCRIPTION, ITEMS, POST_ANSWERS, Forger, Tree, dialled, page_of

TIMEOUT_S = 5.0


@pytest.fixture
async def tree():
    tree = Tree()
    await tree.district.start()
    yield tree
    for node in tree.all():
        await node.stop()


async def test_hello_tells_whom_we_met_and_how_far_apart_the_clocks_are(tree):
    tree.district.clock.move(s=7)
    async with dialled(tree.school.dialling(tree.district)) as peers:
        hello = await peers.hello(tree.district.name, timeout_s=TIMEOUT_S)
    assert hello.name == tree.district.name
    assert hello.chain == tree.district.identity.chain
    assert abs(hello.clock_offset_ms - 7_000) < 1_000
    assert hello.lineage[0] == (tree.district.name, "127.0.0.1:7443")


async def test_every_call_of_a_child_reaches_its_use_case_and_comes_back(tree):
    district, school = tree.district, tree.school
    request = SearchRequest(text="书法", scope="network", asker=school.name)
    page = page_of(school.name, b"{}")
    async with dialled(school.dialling(district)) as peers:
        held = await peers.held(district.name, timeout_s=TIMEOUT_S)
        receipt = await peers.push(district.name, page, 42, timeout_s=TIMEOUT_S)
        read = await peers.read(district.name, "catalogue", 3, 20, timeout_s=TIMEOUT_S)
        delivered = await peers.deliver(district.name, ITEMS, "post-1", timeout_s=TIMEOUT_S)
        assert await peers.search(district.name, request, timeout_s=TIMEOUT_S) == ANSWER
        assert await peers.statistics(district.name, timeout_s=TIMEOUT_S) == (b"statistics", 1)
        resolved = await peers.resolve(district.name, "lln.internal", 3, timeout_s=TIMEOUT_S)
        chain = await peers.renew(district.name, b"a request", "renew-1", timeout_s=TIMEOUT_S)
        await peers.describe(district.name, DESCRIPTION, "describe-1", timeout_s=TIMEOUT_S)
    assert [log.log.topic for log in held] == ["catalogue", "directory"]
    assert (receipt.size, receipt.cosignature, receipt.holdings[0].holder) == (1, b"a line", district.name)
    assert read == page_of(district.name, b'{"document":1}', b'{"document":2}')
    assert (resolved.name, resolved.answered_by) == ("lln.internal", district.name)
    assert chain[1:] == district.identity.chain
    assert list(delivered) == POST_ANSWERS
    asked = [what[0] for what in district.behind.asked]
    assert asked == [
        "held",
        "held",
        "push",
        "read",
        "deliver",
        "answer",
        "statistics",
        "resolve",
        "renew",
        "describe",
    ]
    assert district.behind.asked[2] == ("push", school.name, page, 42)
    assert district.behind.asked[3] == ("read", school.name, "catalogue", 3, 20)
    assert set(district.heard) == {school.name}


async def test_checkpoints_are_watched_as_they_come(tree):
    async with dialled(tree.school.dialling(tree.district)) as peers:
        watching = peers.watch(tree.district.name, ["directory"])
        for note in (b"first", b"second"):
            tree.district.behind.heads.put_nowait(note)
            assert await anext(watching) == LogHeadNote(
                log=LogId(origin=tree.district.name, topic="directory"), note=note
            )
        await watching.aclose()
        for _ in range(100):
            if not tree.district.behind.watchers:
                break
            await asyncio.sleep(0.02)
        assert tree.district.behind.watchers == 0


async def test_a_watch_ends_when_the_node_stops_and_when_its_caller_is_suspended(tree):
    async with dialled(tree.school.dialling(tree.district)) as peers:
        watching = peers.watch(tree.district.name, ["directory"])
        tree.district.behind.heads.put_nowait(b"first")
        await anext(watching)
        tree.district.standings[tree.school.name] = "suspended"
        tree.district.behind.heads.put_nowait(b"second")
        with pytest.raises(RefusedByPeer) as refused:
            await anext(watching)
        assert refused.value.peer_code == "LLN-222"
        tree.district.standings.clear()
        watching = peers.watch(tree.district.name, ["directory"])
        tree.district.behind.heads.put_nowait(b"third")
        await anext(watching)
        ended = asyncio.ensure_future(anext(watching))
        await asyncio.sleep(0.05)
        await tree.district.stop()
        with pytest.raises(RefusedByPeer) as told:
            await ended
        assert told.value.peer_code == NodeStopping.code


async def test_a_watch_by_a_stranger_is_refused_and_says_why(tree):
    async with dialled(tree.zhejiang.dialling(tree.district)) as peers:
        with pytest.raises(RefusedByPeer) as refused:
            await anext(peers.watch(tree.district.name, ["directory"]))
    assert refused.value.peer_code == RelationRefused.code


async def test_a_refusal_is_told_with_its_own_code_subject_and_sentence(tree):
    async with dialled(tree.school.dialling(tree.district)) as peers:
        with pytest.raises(RefusedByPeer) as refused:
            await peers.resolve(tree.district.name, "nobody.lln.internal", 3, timeout_s=TIMEOUT_S)
    told = refused.value.as_told()
    assert type(told) is NotFound
    assert (told.subject, told.detail) == ("nobody.lln.internal", "not in any directory held here")


async def test_who_may_call_what_holds_over_the_wire(tree):
    page = page_of(tree.zhejiang.name, b"{}")
    async with dialled(tree.zhejiang.dialling(tree.district)) as stranger:
        with pytest.raises(RefusedByPeer) as refused:
            await stranger.push(tree.district.name, page, 0, timeout_s=TIMEOUT_S)
        assert refused.value.peer_code == RelationRefused.code
        assert await stranger.resolve(tree.district.name, "lln.internal", 0, timeout_s=TIMEOUT_S)
    async with dialled(tree.chongqing.dialling(tree.district)) as parent:
        assert await parent.read(tree.district.name, "catalogue", 0, 10, timeout_s=TIMEOUT_S)
        with pytest.raises(RefusedByPeer):
            await parent.renew(tree.district.name, b"", "renew-1", timeout_s=TIMEOUT_S)
    assert [what[0] for what in tree.district.behind.asked] == ["resolve", "read"]


@pytest.mark.parametrize("caller", ["root", "zhejiang"])
async def test_the_hub_is_a_node_like_any_other(tree, caller):
    caller = getattr(tree, caller)
    await tree.root.start()
    async with dialled(caller.dialling(tree.root, tree.district)) as peers:
        assert (await peers.hello(tree.root.name, timeout_s=TIMEOUT_S)).chain == ()
        assert await peers.resolve(tree.root.name, tree.school.name, 0, timeout_s=TIMEOUT_S)
        assert await peers.resolve(tree.district.name, tree.school.name, 0, timeout_s=TIMEOUT_S)


# --- one's own node --------------------------------------------------------------------------------------------------


async def test_the_desk_answers_its_own_people(tree):
    async with dialled(tree.district.desk()) as desk:
        assert await desk.ask("node.status", b'{"question":1}') == b'{"question":1}'
        with pytest.raises(RefusedByPeer) as refused:
            await desk.ask("missing", b"{}")
    assert str(refused.value.as_told()) == "[LLN-120] resource 7: never imported"


async def test_the_desk_answers_nobody_else(tree):
    line = tree.chongqing.line(tree.district)
    async with dialled(line):
        with pytest.raises(RefusedByPeer) as refused:
            await line.call("/lln.v1.Desk/Ask", b"", timeout_s=TIMEOUT_S)
    assert refused.value.peer_code == RelationRefused.code
    assert tree.district.behind.asked == []


async def test_a_large_answer_reaches_ones_own_people_whole(tree):
    question = b'"' + b"x" * 4_000_000 + b'"'
    async with dialled(tree.district.desk()) as desk:
        assert await desk.ask("echo", question) == question


async def test_what_nobody_foresaw_is_answered_and_tells_nothing(tree, caplog):
    async with dialled(tree.district.desk()) as desk:
        with pytest.raises(RefusedByPeer) as refused:
            await desk.ask("broken", b"{}")
        assert refused.value.peer_code == LlnError.code
        assert "secret" not in str(refused.value)
        assert "ZeroDivisionError" in caplog.text
        assert await desk.ask("node.status", b"{}") == b"{}"


# --- limits ----------------------------------------------------------------------------------------------------------


async def test_an_unknown_address_is_not_dialled(tree):
    peers = tree.school.dialling()
    assert not peers.can_dial(tree.district.name)
    with pytest.raises(AddressUnknown):
        await peers.hello(tree.district.name, timeout_s=TIMEOUT_S)
    peers.know(tree.district.name, "127.0.0.1:1")
    assert peers.can_dial(tree.district.name)
    assert peers.endpoint_of(tree.district.name) == "127.0.0.1:1"


async def test_a_silent_peer_is_given_up_at_the_deadline(tree):
    tree.district.behind.slow_s = 5
    async with dialled(tree.school.dialling(tree.district)) as peers:
        await peers.hello(tree.district.name, timeout_s=TIMEOUT_S)
        started = asyncio.get_running_loop().time()
        with pytest.raises(PeerUnreachable, match="deadline"):
            await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=0.3)
        assert asyncio.get_running_loop().time() - started < 3


async def test_the_server_gives_up_at_the_methods_own_deadline(tree):
    """A caller may be patient, or have no deadline at all: the method has its own."""
    method = tree.district.server._services[1].methods["Resolve"]
    hasty = msgspec.structs.replace(method, rules=msgspec.structs.replace(method.rules, deadline_ms_max=100))
    serve = tree.district.server._signed.handlers({"Resolve": hasty})["Resolve"].unary_unary
    tree.district.behind.slow_s = 3
    forger = Forger(tree.school, tree.district)
    payload = b"\x0a\x0clln.internal"
    for patience_s in (None, 60.0):
        context = Context(tree.school, forger.sealed(method.rules.method, payload), patience_s)
        assert await serve(payload, context) == b""
        assert context.told == DeadlinePassed.code
    await forger.close()


class Context:
    """A call as gRPC hands it to a handler, from a caller of a certain patience."""

    def __init__(self, caller, metadata, patience_s):
        self.invocation_metadata = lambda: metadata
        self.auth_context = lambda: {"x509_pem_cert": [caller.identity.current_tls()[1]]}
        self.time_remaining = lambda: patience_s
        self.set_code = self.set_trailing_metadata = lambda _: None

    def set_details(self, details):
        self.told = details


async def test_open_streams_leave_room_for_calls(tree):
    """Each child keeps streams open for as long as it runs; a county has more of them than it could work on at once."""
    await tree.district.stop()
    await tree.district.start(busyness=Busyness(calls=1, calls_per_peer=2, streams=2))
    async with (
        dialled(tree.school.dialling(tree.district)) as school,
        dialled(tree.sister.dialling(tree.district)) as sister,
    ):
        watching = [peers.watch(tree.district.name, ["directory"]) for peers in (school, sister)]
        opened = [asyncio.ensure_future(anext(stream)) for stream in watching]
        while tree.district.behind.watchers < len(opened):  # noqa: ASYNC110  # the district says no word of it
            await asyncio.sleep(0.01)
        for _ in opened:
            tree.district.behind.heads.put_nowait(b"note")
        await asyncio.gather(*opened)
        for peers in (school, sister):
            assert (await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=TIMEOUT_S)).status == "active"
        with pytest.raises(RefusedByPeer) as refused:
            await anext(school.watch(tree.district.name, ["directory"]))
        assert refused.value.peer_code == TooBusy.code
        for stream in watching:
            await stream.aclose()


async def test_a_peer_cannot_keep_more_than_its_share_of_the_node_busy(tree):
    await tree.district.stop()
    await tree.district.start(busyness=Busyness(calls=10, calls_per_peer=2))
    tree.district.behind.slow_s = 0.4
    async with (
        dialled(tree.school.dialling(tree.district)) as greedy,
        dialled(tree.sister.dialling(tree.district)) as modest,
    ):
        await greedy.hello(tree.district.name, timeout_s=TIMEOUT_S)

        def ask(peers):
            return peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=TIMEOUT_S)

        told = await asyncio.gather(*(ask(greedy) for _ in range(5)), ask(modest), return_exceptions=True)
    refused = [one for one in told if isinstance(one, RefusedByPeer)]
    assert len(refused) == 3
    assert {one.peer_code for one in refused} == {TooBusy.code}
    assert all(one.retry_after_ms > 0 for one in refused)
    assert not isinstance(told[-1], Exception)


async def test_a_dead_peer_is_left_alone_and_tried_again_when_it_is_heard_from(tree):
    await tree.district.stop()
    async with dialled(tree.school.dialling(tree.district)) as peers:
        for _ in range(3):
            with pytest.raises(PeerUnreachable):
                await peers.hello(tree.district.name, timeout_s=0.3)
        with pytest.raises(BreakerOpen):
            await peers.hello(tree.district.name, timeout_s=0.3)
        await tree.district.start(tree.district.endpoint)
        peers.heard_from(tree.district.name)
        for _ in range(20):
            try:
                await peers.hello(tree.district.name, timeout_s=TIMEOUT_S)
                break
            except PeerUnreachable:
                peers.heard_from(tree.district.name)
                await asyncio.sleep(0.1)
        assert await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=TIMEOUT_S)


async def test_a_peer_at_another_address_is_tried_at_once(tree):
    async with dialled(tree.school.dialling(tree.district)) as peers:
        peers.know(tree.district.name, "127.0.0.1:1")
        for _ in range(3):
            with pytest.raises(PeerUnreachable):
                await peers.hello(tree.district.name, timeout_s=0.3)
        with pytest.raises(BreakerOpen):
            await peers.hello(tree.district.name, timeout_s=0.3)
        peers.know(tree.district.name, tree.district.endpoint)
        assert (await peers.hello(tree.district.name, timeout_s=TIMEOUT_S)).name == tree.district.name


async def test_a_refusal_never_opens_a_breaker(tree):
    async with dialled(tree.school.dialling(tree.district)) as peers:
        for _ in range(6):
            with pytest.raises(RefusedByPeer):
                await peers.resolve(tree.district.name, "nobody.lln.internal", 0, timeout_s=TIMEOUT_S)


# --- who answers -----------------------------------------------------------------------------------------------------


async def test_another_node_at_the_address_is_not_spoken_to(tree):
    """gRPC itself refuses a certificate for another name; a hello that names another is refused by us."""
    async with dialled(tree.school.dialling()) as peers:
        peers.know(tree.chongqing.name, tree.district.endpoint)
        with pytest.raises(PeerUnreachable):
            await peers.hello(tree.chongqing.name, timeout_s=2)
    assert tree.district.heard == []
    tree.district.behind.identity = tree.sister.identity  # a node that shows somebody else's chain
    async with dialled(tree.school.dialling(tree.district)) as peers:
        with pytest.raises(WrongPeer):
            await peers.hello(tree.district.name, timeout_s=TIMEOUT_S)


async def test_a_node_that_cannot_sign_for_its_chain_is_not_believed(tree):
    tree.district.server._signed._identity = tree.sister.identity
    async with dialled(tree.school.dialling(tree.district)) as peers:
        with pytest.raises(UnprovenReply):
            await peers.hello(tree.district.name, timeout_s=TIMEOUT_S)


async def test_a_peer_that_the_directory_no_longer_admits_is_sent_nothing(tree):
    async with dialled(tree.school.dialling(tree.district, judge=tree.school.judge)) as peers:
        await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=TIMEOUT_S)
        tree.school.standings[tree.district.name] = "revoked"
        with pytest.raises(PeerNotAdmitted):
            await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=TIMEOUT_S)
        with pytest.raises(PeerNotAdmitted):
            await anext(peers.watch(tree.district.name, ["directory"]))
    assert len(tree.district.behind.asked) == 1
