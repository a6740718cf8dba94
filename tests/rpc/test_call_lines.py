"""Lines to peers, and the server they end at: renewal, restart, stop, health, reflection."""

import asyncio
import ssl
import tempfile

import grpc
import msgspec
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from federation.errors import PeerUnreachable
from node.rpc.channels import RefusedByPeer
from node.rpc.hosting import PortTaken
from node.rpc.peers import UnreadableReply
from node.rpc.server import NodeStopping
from tests.support.signed_nodes import Forger, Tree, dialled


@pytest.fixture
async def tree():
    tree = Tree()
    await tree.district.start()
    yield tree
    for node in tree.all():
        await node.stop()


def resolve(tree, peers):
    return peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=5)


async def test_a_restarted_peer_is_greeted_again_within_the_same_call(tree):
    async with dialled(tree.school.dialling(tree.district)) as peers:
        await resolve(tree, peers)
        line = peers._routes._lines[tree.district.name, "direct"]
        await tree.district.restart()
        for _ in range(50):
            try:
                assert await resolve(tree, peers)
                break
            except PeerUnreachable:  # the old connection may take a moment to be given up
                peers.heard_from(tree.district.name)
                await asyncio.sleep(0.05)
        assert peers._routes._lines[tree.district.name, "direct"] is line
        assert tree.district.server.refusals.by_code == {"LLN-237": 1}


async def test_many_calls_after_a_restart_share_one_hello(tree):
    async with dialled(tree.school.dialling(tree.district)) as peers:
        await resolve(tree, peers)
        await tree.district.restart()
        await asyncio.sleep(0.3)
        await peers.hello(tree.district.name, timeout_s=5)
        greeted = []
        tree.district.behind.hello, hello = lambda: (greeted.append(1), hello())[1], tree.district.behind.hello
        peers._routes._lines[tree.district.name, "direct"]._met = None
        await asyncio.gather(*(resolve(tree, peers) for _ in range(10)))
        assert len(greeted) == 1


async def test_our_renewed_leaf_makes_a_new_line_and_calls_in_flight_finish(tree):
    tree.district.behind.slow_s = 0.3
    async with dialled(tree.school.dialling(tree.district)) as peers:
        await peers.hello(tree.district.name, timeout_s=5)
        before = peers._routes._lines[tree.district.name, "direct"]
        in_flight = asyncio.ensure_future(resolve(tree, peers))
        await asyncio.sleep(0.1)
        renew_leaf(tree.school)
        assert await resolve(tree, peers)
        assert peers._routes._lines[tree.district.name, "direct"] is not before
        hanging_up = asyncio.ensure_future(peers.hang_up_retired())
        assert await in_flight
        await hanging_up
        assert peers._routes._retired == []


async def test_the_servers_renewed_leaf_is_taken_up_live(tree):
    async with dialled(tree.school.dialling(tree.district)) as before:
        await resolve(tree, before)
        renew_leaf(tree.district)
        async with dialled(tree.sister.dialling(tree.district)) as after:
            await resolve(tree, after)
        await resolve(tree, before)
    shown = await shown_leaf(tree)
    assert shown in tree.district.identity.current_tls()[1].decode()


def renew_leaf(node):
    """What the identity does at half of a leaf's life, now."""
    node.identity._leaf = node.identity._new_leaf(node.clock.now_ms())


async def shown_leaf(tree):
    """The certificate the district shows in a fresh handshake, PEM."""
    host, port = tree.district.endpoint.rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=tree.school.identity.root_pem.decode())
    context.set_alpn_protocols(["h2"])
    key, chain = tree.school.identity.current_tls()
    with tempfile.NamedTemporaryFile() as file:
        file.write(key + chain)
        file.flush()
        context.load_cert_chain(file.name)
    _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=tree.district.name)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return ssl.DER_cert_to_PEM_cert(der)


async def test_a_new_address_makes_a_new_line(tree):
    async with dialled(tree.school.dialling(tree.district)) as peers:
        await resolve(tree, peers)
        before = peers._routes._lines[tree.district.name, "direct"]
        await tree.district.stop()
        await tree.district.start()
        peers.know(tree.district.name, tree.district.endpoint)
        await resolve(tree, peers)
        assert peers._routes._lines[tree.district.name, "direct"] is not before
        await peers.hang_up_retired()


async def test_closing_ends_calls_as_unreachable_and_not_as_a_cancellation_of_their_callers(tree, monkeypatch):
    monkeypatch.setattr("node.rpc.transports.CLOSING_S", 0.1)
    tree.district.behind.slow_s = 2
    peers = tree.school.dialling(tree.district)
    await peers.hello(tree.district.name, timeout_s=5)
    asking = asyncio.ensure_future(resolve(tree, peers))
    await asyncio.sleep(0.1)
    await peers.close()
    with pytest.raises(PeerUnreachable):
        await asking


async def test_a_caller_that_is_cancelled_stays_cancelled(tree):
    tree.district.behind.slow_s = 2
    async with dialled(tree.school.dialling(tree.district)) as peers:
        await peers.hello(tree.district.name, timeout_s=5)
        asking = asyncio.ensure_future(resolve(tree, peers))
        await asyncio.sleep(0.1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_a_signed_answer_that_makes_no_sense_is_discarded(tree):
    async def nonsense(*_):
        found = await type(tree.district.behind).resolve(tree.district.behind, *_)
        return msgspec.structs.replace(found, status="unheard of")

    tree.district.behind.resolve = nonsense
    async with dialled(tree.school.dialling(tree.district)) as peers:
        with pytest.raises(UnreadableReply):
            await resolve(tree, peers)


# --- the server ------------------------------------------------------------------------------------------------------


async def test_a_port_that_is_taken_is_told(tree):
    with pytest.raises(PortTaken):
        await tree.sister.start(tree.district.endpoint)
    tree.sister.server = None


async def test_stopping_lets_calls_in_flight_finish_and_takes_no_more(tree):
    tree.district.behind.slow_s = 0.3
    async with dialled(tree.school.dialling(tree.district)) as peers:
        await peers.hello(tree.district.name, timeout_s=5)
        in_flight = asyncio.ensure_future(resolve(tree, peers))
        await asyncio.sleep(0.1)
        await tree.district.stop(grace_s=3)
        assert await in_flight
        with pytest.raises(PeerUnreachable):
            await resolve(tree, peers)


async def test_stopping_does_not_wait_for_streams(tree):
    async with dialled(tree.school.dialling(tree.district)) as peers:
        watching = peers.watch(tree.district.name, ["directory"])
        tree.district.behind.heads.put_nowait(b"first")
        await anext(watching)
        began = asyncio.get_running_loop().time()
        await tree.district.stop(grace_s=10)
        assert asyncio.get_running_loop().time() - began < 5
        with pytest.raises(RefusedByPeer) as told:
            await anext(watching)
        assert told.value.peer_code == NodeStopping.code


async def test_health_is_told_to_every_member_plainly(tree):
    forger = Forger(tree.zhejiang, tree.district)
    stub = health_pb2_grpc.HealthStub(forger.channel)
    for service in ("", "lln.v1.Logs", "lln.v1.Desk"):
        told = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        assert told.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.Check(health_pb2.HealthCheckRequest(service="lln.v1.Nothing"), timeout=5)
    await forger.close()


async def services_shown(node, to):
    forger = Forger(node, to)
    stub = reflection_pb2_grpc.ServerReflectionStub(forger.channel)
    try:
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        async for told in stub.ServerReflectionInfo(asked, timeout=5):
            return {service.name for service in told.list_services_response.service}
    finally:
        await forger.close()


async def test_reflection_is_for_the_nodes_own_people(tree):
    shown = await services_shown(tree.district, tree.district)
    assert {"lln.v1.Node", "lln.v1.Directory", "lln.v1.Logs", "lln.v1.Catalogue", "lln.v1.Desk"} <= shown
    for stranger in (tree.school, tree.chongqing):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await services_shown(stranger, tree.district)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_last_road_is_tried_with_no_time_left_rather_than_less_than_none(tree):
    """A clock that runs on while the first road hangs must not leave the second a limit that no message holds."""
    peers, shares = tree.school.dialling(tree.district), []

    class Road:
        transport = type("Relayed", (), {"road": "relay"})

        async def call(self, method, payload, *, timeout_s, operation_id=""):
            shares.append(timeout_s)
            tree.school.clock.move(s=60)
            raise PeerUnreachable(tree.district.name, "nobody there")

    peers._routes.roads = lambda *_, **__: [Road(), Road()]
    with pytest.raises(PeerUnreachable):
        await peers.resolve(tree.district.name, tree.school.name, 1, timeout_s=2.0)
    assert shares == [1.0, 0.001]
    await peers.close()
