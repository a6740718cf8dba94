"""What an admitted member with bad intentions can put on the wire, and that the node goes on serving everybody else."""

import asyncio
import json

import grpc
import msgspec
import pytest

from federation.callers import RateLimit, ReplayedCall, TooManyCalls
from federation.calls import (
    ClockApart,
    MalformedEnvelope,
    OperationIdMissing,
    OversizeCall,
    PayloadAltered,
    WrongAudience,
    WrongEpoch,
    WrongSignature,
)
from federation.certificates import CertificateExpired
from federation.directory import CallerRevoked, CallerSuspended
from federation.errors import PeerUnreachable
from node.rpc.channels import RefusedByPeer
from node.rpc.envelope import REPLY, Sealed, find
from node.rpc.transports import RawReply
from node.rpc.wire import MalformedMessage
from protos.lln.v1 import directory_pb2, logs_pb2
from tests.support.signed_nodes import DESCRIPTION, Forger, Tree, dialled

RESOLVE = "/lln.v1.Directory/Resolve"
RENEW = "/lln.v1.Directory/Renew"
PUSH = "/lln.v1.Logs/Push"
PAYLOAD = directory_pb2.ResolveRequest(name="lln.internal").SerializeToString()


@pytest.fixture
async def tree():
    tree = Tree()
    await tree.district.start()
    yield tree
    await still_serves(tree)
    for node in tree.all():
        await node.stop()


@pytest.fixture
async def forger(tree):
    forger = Forger(tree.school, tree.district)
    yield forger
    await forger.close()


async def still_serves(tree):
    """After every attack: another member is answered, and the attacker has changed nothing."""
    assert not [what for what in tree.district.behind.asked if what[0] in ("renew", "push", "describe")]
    async with dialled(tree.sister.dialling(tree.district)) as peers:
        assert await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=5)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


async def test_a_sound_call_by_hand_is_answered(forger):
    assert (await forger.send(RESOLVE, PAYLOAD)).status is grpc.StatusCode.OK


# --- replay, redirect, swap ------------------------------------------------------------------------------------------


async def test_the_same_bytes_sent_again_are_refused(tree, forger):
    sealed = forger.sealed(RESOLVE, PAYLOAD)
    assert (await forger.send(RESOLVE, PAYLOAD, sealed)).status is grpc.StatusCode.OK
    for _ in range(2):
        assert (await forger.send(RESOLVE, PAYLOAD, sealed)).code == ReplayedCall.code
    assert len(tree.district.behind.asked) == 1


async def test_the_same_bytes_over_another_connection_of_the_same_member_are_refused(tree, forger):
    sealed = forger.sealed(RESOLVE, PAYLOAD)
    await forger.send(RESOLVE, PAYLOAD, sealed)
    other = Forger(tree.school, tree.district)
    assert (await other.send(RESOLVE, PAYLOAD, sealed)).code == ReplayedCall.code
    await other.close()


async def test_many_replays_at_once_are_admitted_once(tree, forger):
    sealed = forger.sealed(RESOLVE, PAYLOAD)
    told = await asyncio.gather(*(forger.send(RESOLVE, PAYLOAD, sealed) for _ in range(20)))
    assert sum(one.status is grpc.StatusCode.OK for one in told) == 1
    assert len(tree.district.behind.asked) == 1


async def test_the_same_bytes_after_a_restart_are_refused(tree, forger):
    sealed = forger.sealed(RESOLVE, PAYLOAD)
    await forger.send(RESOLVE, PAYLOAD, sealed)
    await tree.district.restart()
    again = Forger(tree.school, tree.district)
    assert (await again.send(RESOLVE, PAYLOAD, sealed)).code == WrongEpoch.code
    await again.close()


async def test_what_grpc_itself_sends_again_is_not_carried_out_again(tree):
    """A channel as gRPC would have it sends a call once more when its connection breaks, nonce and all."""
    asked = []
    honest = tree.district.behind.resolve

    async with WireThatBreaks(tree.district.endpoint) as wire:

        async def breaks_the_wire(caller, name, hops_left, at_ms):
            asked.append(name)
            wire.cut()
            return await honest(caller, name, hops_left, at_ms)

        tree.district.behind.resolve = breaks_the_wire
        policy = {"maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "0.1s", "backoffMultiplier": 1}
        config = {"methodConfig": [{"name": [{}], "retryPolicy": policy | {"retryableStatusCodes": ["UNAVAILABLE"]}}]}
        options = (("grpc.enable_retries", 1), ("grpc.service_config", json.dumps(config)))
        again = Forger(tree.school, tree.district, endpoint=wire.endpoint, options=options)
        try:
            told = await again.send(RESOLVE, PAYLOAD)
        finally:
            tree.district.behind.resolve = honest
            await again.close()
        assert told.code == ReplayedCall.code  # of the second attempt
        assert asked == ["lln.internal"]


class WireThatBreaks:
    """A way to `endpoint` that can be cut; whoever connects anew gets through."""

    def __init__(self, endpoint):
        self._to = endpoint
        self._ends = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.endpoint = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self.cut()
        self._server.close()

    def cut(self):
        for writer in self._ends:
            writer.close()
        self._ends.clear()

    async def _join(self, reader, writer):
        host, _, port = self._to.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        self._ends += [writer, far_writer]
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)


async def pump(reader, writer):
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def test_a_call_signed_for_another_node_is_refused(tree, forger):
    told = await forger.send(RESOLVE, PAYLOAD, audience=tree.chongqing.name)
    assert told.code == WrongAudience.code


async def test_a_call_signed_for_another_method_is_refused(forger):
    sealed = forger.sealed(RESOLVE, PAYLOAD)
    assert (await forger.send("/lln.v1.Logs/Held", PAYLOAD, sealed)).code == WrongAudience.code


async def test_a_call_of_another_member_is_refused_over_this_connection(tree, forger):
    stolen = Forger(tree.sister, tree.district)
    told = await forger.send(RESOLVE, PAYLOAD, stolen.sealed(RESOLVE, PAYLOAD))
    assert told.code == WrongSignature.code
    await stolen.close()


async def test_two_payloads_cannot_be_swapped(forger):
    other = directory_pb2.ResolveRequest(name="chongqing.lln.internal").SerializeToString()
    assert (await forger.send(RESOLVE, other, forger.sealed(RESOLVE, PAYLOAD))).code == PayloadAltered.code


async def test_two_answers_cannot_be_swapped(tree, forger):
    """The answer to one call is no answer to another, even where the question is the same."""
    line = tree.school.line(tree.district)
    async with dialled(line):
        await line.hello(5)
        one = forger.sealed(RESOLVE, PAYLOAD)
        answer = await forger.send(RESOLVE, PAYLOAD, one)

        async def swapped(*_):
            return RawReply(status=0, sealed=find(answer.trailer, REPLY), body=answer.body)

        line.transport.unary = swapped
        with pytest.raises(PeerUnreachable, match="another call"):
            await line.call(RESOLVE, PAYLOAD, timeout_s=5)


# --- bits, metadata --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["header", "signature", "payload"])
async def test_one_flipped_bit_anywhere_is_refused(tree, forger, part):
    for bit in range(0, 400, 37):
        (_, header), (_, signature) = forger.sealed(RENEW, PAYLOAD, operation_id="renew-1")
        payload = PAYLOAD
        if part == "header":
            header = flipped(header, bit % (8 * len(header)))
        elif part == "signature":
            signature = flipped(signature, bit)
        else:
            payload = flipped(payload, bit % (8 * len(payload)))
        metadata = (("lln-call-bin", header), ("lln-signature-bin", signature))
        told = await forger.send(RENEW, payload, metadata)
        assert told.status is not grpc.StatusCode.OK
        assert told.code.startswith("LLN-23"), (bit, told)
    assert tree.district.behind.asked == []


@pytest.mark.parametrize("part", ["body", "reply header", "signature"])
async def test_one_flipped_bit_in_an_answer_is_discarded(tree, part):
    line = tree.school.line(tree.district)
    async with dialled(line):
        await line.hello(5)
        line.transport.unary = altering(line.transport.unary, part)
        with pytest.raises(PeerUnreachable):
            await line.call(RESOLVE, PAYLOAD, timeout_s=5)


def altering(honest, part):
    """A transport with one bit of each answer flipped."""

    async def altered(*asked):
        told = await honest(*asked)
        if part == "body":
            return msgspec.structs.replace(told, body=flipped(told.body, 11))
        field = "header_bytes" if part == "reply header" else "signature"
        sealed = msgspec.structs.replace(told.sealed, **{field: flipped(getattr(told.sealed, field), 99)})
        return msgspec.structs.replace(told, sealed=sealed)

    return altered


@pytest.mark.parametrize("part", ["body", "reply header", "signature"])
async def test_an_altered_refusal_is_not_believed(tree, part):
    line = tree.school.line(tree.district)
    payload = directory_pb2.ResolveRequest(name="nobody.lln.internal").SerializeToString()
    async with dialled(line):
        await line.hello(5)
        with pytest.raises(RefusedByPeer):
            await line.call(RESOLVE, payload, timeout_s=5)
        line.transport.unary = altering(line.transport.unary, part)
        with pytest.raises(PeerUnreachable):
            await line.call(RESOLVE, payload, timeout_s=5)


@pytest.mark.parametrize("status", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED])
async def test_an_unsigned_refusal_means_only_that_the_transport_failed(tree, status):
    line = tree.school.line(tree.district)
    async with dialled(line):
        await line.hello(5)
        unsigned = RawReply(status=status.value[0], sealed=Sealed(), body=b"", told="no such node")
        with pytest.raises(PeerUnreachable, match="no such node"):
            raise line._failure(unsigned, b"digest")


async def test_unsigned_metadata_is_never_trusted(tree, forger):
    more = (
        ("caller", tree.root.name),
        ("lln-caller-bin", tree.root.name.encode()),
        ("lln-relation", "parent"),
        ("x-forwarded-for", "10.0.0.1"),
    )
    told = await forger.send(RESOLVE, PAYLOAD, (*more, *forger.sealed(RESOLVE, PAYLOAD)))
    assert told.status is grpc.StatusCode.OK
    assert tree.district.behind.asked == [("resolve", tree.school.name, "lln.internal", 0)]


@pytest.mark.parametrize("spoil", ["none", "no header", "no signature", "two headers", "garbage", "huge"])
async def test_a_call_without_a_sound_envelope_is_refused(forger, spoil):
    header, signature = forger.sealed(RESOLVE, PAYLOAD)
    metadata = {
        "none": (),
        "no header": (signature,),
        "no signature": (header,),
        "two headers": (header, header, signature),
        "garbage": ((header[0], b"\xff" * 60), signature),
        "huge": ((header[0], b"\x0a" * 2_000), signature),
    }[spoil]
    told = await forger.send(RESOLVE, PAYLOAD, metadata)
    assert told.code == MalformedEnvelope.code
    assert dict(told.trailer)["lln-signature-bin"]  # even this refusal is signed


# --- who and when ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("standing", "kind"), [("suspended", CallerSuspended), ("revoked", CallerRevoked)])
async def test_an_open_connection_does_not_outlive_an_admission(tree, standing, kind):
    async with dialled(tree.school.dialling(tree.district)) as peers:
        await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=5)
        tree.district.standings[tree.school.name] = standing
        with pytest.raises(RefusedByPeer) as refused:
            await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=5)
        assert type(refused.value.as_told()) is kind
        tree.district.standings.clear()
        await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=5)


async def test_an_open_connection_does_not_outlive_its_certificate(tree, forger):
    assert (await forger.send(RESOLVE, PAYLOAD)).status is grpc.StatusCode.OK
    for node in (tree.school, tree.district):
        node.clock.move(days=8)  # a TLS leaf lives for seven
    told = await forger.send(RESOLVE, PAYLOAD)
    assert told.code == CertificateExpired.code
    for node in (tree.school, tree.district):
        node.clock.move(days=-8)


async def test_an_expired_leaf_is_refused_by_tls_itself(tree):
    past = Forger(
        tree.school, tree.district, leaf=tree.school.member.tls(now_ms=tree.school.clock.now_ms() - 8 * 86_400_000)
    )
    told = await past.send(RESOLVE, PAYLOAD)
    assert told.status is grpc.StatusCode.UNAVAILABLE
    assert told.code == ""
    await past.close()
    assert tree.district.heard == []


async def test_nobody_from_another_network_gets_through_tls(tree):
    strangers = Tree()
    stranger = Forger(strangers.school, tree.district)
    assert (await stranger.send(RESOLVE, PAYLOAD)).status is grpc.StatusCode.UNAVAILABLE
    await stranger.close()


async def test_nobody_without_a_certificate_gets_through_tls(tree):
    credentials = grpc.ssl_channel_credentials(tree.school.identity.root_pem)
    options = (("grpc.ssl_target_name_override", tree.district.name),)
    async with grpc.aio.secure_channel(tree.district.endpoint, credentials, options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(RESOLVE)(PAYLOAD, timeout=5)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("apart_s", [90, -90])
async def test_clocks_a_minute_and_a_half_apart_work(tree, apart_s):
    tree.school.clock.move(s=apart_s)
    async with dialled(tree.school.dialling(tree.district)) as peers:
        hello = await peers.hello(tree.district.name, timeout_s=5)
        assert await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=5)
    assert abs(hello.clock_offset_ms + 1_000 * apart_s) < 1_000
    tree.school.clock.move(s=-apart_s)


@pytest.mark.parametrize("apart_hours", [1, -1])
async def test_clocks_an_hour_apart_are_refused_with_a_sentence_about_the_clock(tree, apart_hours):
    tree.school.clock.move(hours=apart_hours)
    async with dialled(tree.school.dialling(tree.district)) as peers:
        with pytest.raises(RefusedByPeer) as refused:  # believed: its own chain has told it the district's key
            await peers.hello(tree.district.name, timeout_s=5)
    told = refused.value.as_told()
    assert type(told) is ClockApart
    assert "clock" in str(told)
    assert f"{3_600 * apart_hours:+} s" in str(told)
    tree.sister.clock.move(hours=apart_hours)
    await tree.sister.start()
    async with dialled(tree.school.dialling(tree.sister)) as peers:
        assert await peers.hello(tree.sister.name, timeout_s=5)  # two who are wrong alike understand each other
    tree.school.clock.move(hours=-apart_hours)
    async with dialled(tree.school.dialling(tree.sister)) as peers:
        with pytest.raises(PeerUnreachable, match="clock"):  # a sister's key is not known before hello
            await peers.hello(tree.sister.name, timeout_s=5)
    tree.sister.clock.move(hours=-apart_hours)


# --- size, depth, number ---------------------------------------------------------------------------------------------


async def test_a_message_beyond_its_methods_bound_is_refused(forger):
    assert (await forger.send(RESOLVE, b"\x0a" + b"x" * 2_000)).code == OversizeCall.code
    assert (await forger.send(PUSH, b"x" * 2_097_153)).code == OversizeCall.code


async def test_a_message_beyond_every_bound_does_not_get_past_grpc(forger):
    told = await forger.send(PUSH, b"x" * 5_000_000)
    assert told.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert told.code == ""


async def test_a_deeply_nested_message_is_refused(forger):
    nested = b""
    for _ in range(400):
        nested = b"\x0b" + nested + b"\x0c"
    assert (await forger.send(RESOLVE, nested)).code == MalformedMessage.code
    deep = b'{"text":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
    told = await forger.send("/lln.v1.Catalogue/Search", b"\x0a" + varint(len(deep)) + deep)
    assert told.code == MalformedMessage.code


def varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes((*written, number))


async def test_a_search_of_a_million_characters_is_refused(forger):
    text = b'{"text":"' + b"x" * 1_000_000 + b'"}'
    told = await forger.send("/lln.v1.Catalogue/Search", b"\x0a" + varint(len(text)) + text)
    assert told.code == OversizeCall.code


async def test_a_page_with_an_entry_too_many_is_refused(tree, forger):
    page = logs_pb2.Page(origin=tree.school.name, topic="catalogue", entries=[b""] * 501)
    told = await forger.send(PUSH, logs_pb2.PushRequest(page=page).SerializeToString())
    assert told.code == MalformedMessage.code


async def test_a_flood_is_held_back_and_its_neighbours_are_not(tree):
    await tree.district.stop()
    await tree.district.start(limit=RateLimit(calls_per_second=0.001, burst=20))
    flood = Forger(tree.school, tree.district)
    told = await asyncio.gather(*(flood.send(RESOLVE, PAYLOAD) for _ in range(60)))
    refused = [one for one in told if one.status is not grpc.StatusCode.OK]
    assert len(refused) == 40
    assert {one.code for one in refused} == {TooManyCalls.code}
    assert {one.status for one in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert tree.district.server.refusals.by_code == {TooManyCalls.code: 40}
    await flood.close()


async def test_a_change_without_an_operation_id_is_refused(tree, forger):
    payload = directory_pb2.DescribeRequest(description=b"{}").SerializeToString()
    told = await forger.send("/lln.v1.Directory/Describe", payload)
    assert told.code == OperationIdMissing.code
    async with dialled(tree.school.dialling(tree.district)) as peers:
        with pytest.raises(RefusedByPeer):
            await peers.describe(tree.district.name, DESCRIPTION, "", timeout_s=5)


async def test_a_method_that_does_not_exist_proves_nothing(tree, forger):
    told = await forger.send("/lln.v1.Logs/Forget", b"")
    assert told.status is grpc.StatusCode.UNIMPLEMENTED
    line = tree.school.line(tree.district)
    async with dialled(line):
        with pytest.raises(PeerUnreachable):
            await line.call("/lln.v1.Logs/Forget", b"", timeout_s=5)


async def test_bytes_that_are_not_grpc_at_all_disturb_nobody(tree):
    host, port = tree.district.endpoint.rsplit(":", 1)
    for junk in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 64,
        b"\x16\x03\x01" + b"\xff" * 300,
    ):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(junk)
        await writer.drain()
        writer.close()
    await still_serves(tree)
    assert set(tree.district.heard) == {tree.sister.name}
