"""Joining over real gRPC and real TLS: who is let in, and each way of being turned away."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import msgspec
import pytest

from federation import admission
from federation.callers import RateLimit
from federation.catalogue import BilingualLine
from federation.certificate_profile import to_pem
from federation.directory import NodeDescription
from federation.enrolment import make_join_request
from federation.errors import PeerRefused, PeerUnreachable, UntrustedPeer
from federation.invites import InviteCode, read_invite, write_invite
from federation.issuance import LEAF_LIFE_MS
from federation.naming import NodeName
from node.rpc import enrolment_server
from node.rpc.channels import RefusedByPeer
from node.rpc.enrolment_client import AuthorityNotRecognised, EnrolmentPortShut, GrpcDoors, MalformedAnswer
from node.rpc.enrolment_server import EnrolmentPortTaken, EnrolmentServer
from node.usecases.admitting import Admitting
from node.usecases.enrolling import Enrolling
from node.usecases.joining import EnrolmentDoor, join, renew_expired
from protos.lln.v1 import enrolment_pb2
from tests.support.identities import MemoryHome, identity_of
from tests.support.machine import CountedRandomness, HandClock
from tests.support.memory_store import MemoryStore, directory_of
from tests.support.small_network import found

COUNTY = NodeDescription(title=BilingualLine(zh="嘉善县"), level="county", kind="authority")
DOORS = GrpcDoors()


class Hub:
    """A root that can be joined over the wire; its clock starts at the machine's own, as TLS reads that."""

    def __init__(self, member=None, **changes):
        self.clock = HandClock()
        self.member = member or found(now_ms=self.clock.at_ms)
        self.identity = identity_of(self.member, self.clock, **changes)
        self.store = MemoryStore(self.identity, self.clock.now_ms)
        parts = {
            "store": self.store,
            "identity": self.identity,
            "clock": self.clock,
            "randomness": CountedRandomness(b"hub"),
        }
        self.enrolling = Enrolling(
            **parts, endpoint=lambda: "127.0.0.1:7443", enrolment_endpoint=lambda: f"127.0.0.1:{self.server.port}"
        )
        self.admitting = Admitting(**parts)
        self.server = self.new_server()

    def new_server(self, listen="127.0.0.1:0", **changes):
        given = {
            "listen": listen,
            "material": self.identity,
            "join": self.enrolling.accept_join,
            "renew_expired": self.enrolling.renew_expired,
            "clock": self.clock,
        }
        return EnrolmentServer(**(given | changes))

    async def follow(self):
        await self.server.follow(need=await self.enrolling.is_enrolment_port_needed(self.clock.at_ms))

    async def entries(self):
        return await self.store.read(lambda tx: directory_of(tx, self.identity.name))

    async def code(self, label="jiashan") -> InviteCode:
        return read_invite((await self.enrolling.invite(label, COUNTY)).code)

    def door(self, **changes) -> EnrolmentDoor:
        given = {
            "endpoint": f"127.0.0.1:{self.server.port}",
            "authority": self.identity.name,
            "root_certificate": self.identity.root_certificate,
        }
        return EnrolmentDoor(**(given | changes))


@asynccontextmanager
async def open_hub(**changes):
    hub = Hub(**changes)
    await hub.server.follow(need=True)
    try:
        yield hub
    finally:
        await hub.server.close()


@pytest.fixture
async def hub():
    async with open_hub() as opened:
        yield opened


async def enter(hub, code, home=None, clock=None):
    home = home or MemoryHome()
    return home, await join(code, home=home, doors=DOORS, clock=clock or hub.clock, timeout_s=5)


def request_for(code: InviteCode, home: MemoryHome):
    keys = home.make_keys()
    return make_join_request(
        code,
        signer=keys,
        sealing_key=keys.sealing_key,
        signing_request=keys.make_signing_request(NodeName(code.name)),
        description=code.description,
    )


async def raw_call(hub, payload: bytes, method="Join", **ignored) -> bytes:
    credentials = grpc.ssl_channel_credentials(to_pem((hub.identity.root_certificate,)))
    options = (("grpc.ssl_target_name_override", hub.identity.name),)
    async with grpc.aio.secure_channel(f"127.0.0.1:{hub.server.port}", credentials, options=options) as channel:
        return await channel.unary_unary(f"/lln.v1.Enrolment/{method}")(payload, timeout=5)


# --- let in ----------------------------------------------------------------------------------------------------------


async def test_a_newcomer_joins_with_one_line(hub):
    home, told = await enter(hub, await hub.code())
    assert (told.name, told.parent_endpoint, told.description) == ("jiashan.lln.internal", "127.0.0.1:7443", COUNTY)
    assert home.identity(hub.clock).name == told.name
    assert len(await hub.entries()) == 1


async def test_an_authority_below_the_root_is_recognised_by_its_own_name():
    clock = HandClock()
    county = found(now_ms=clock.at_ms).admit("chongqing").admit("jiulongpo")
    async with open_hub(member=county) as hub:
        _, told = await enter(hub, await hub.code("shequ"))
        assert told.name == "shequ.jiulongpo.chongqing.lln.internal"


async def test_joining_again_gives_the_same_answer_over_the_wire(hub):
    code = await hub.code()
    home, _ = await enter(hub, code)
    chain = home.trust[1]
    await enter(hub, code, home)
    assert home.trust[1] == chain
    assert len(await hub.entries()) == 1


async def test_many_join_at_once_and_each_gets_its_own(hub):
    codes = [await hub.code(f"county{number}") for number in range(8)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(enter(hub, code)) for code in codes]
    assert [task.result()[1].name for task in tasks] == [code.name for code in codes]
    assert len(await hub.entries()) == 8


async def test_one_invite_used_by_two_machines_at_once_admits_one(hub):
    code = await hub.code()
    results = await asyncio.gather(enter(hub, code), enter(hub, code), return_exceptions=True)
    refused = [result for result in results if isinstance(result, PeerRefused)]
    assert [error.peer_code for error in refused] == [admission.InviteUsed.code]
    assert len(await hub.entries()) == 1


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_newcomer_whose_clock_is_an_hour_off_can_join(hub, hours):
    clock = HandClock()
    clock.move(hours=hours)
    _, told = await enter(hub, await hub.code(), clock=clock)
    assert told.name == "jiashan.lln.internal"


@pytest.mark.parametrize("hours", [-1, 1])
async def test_an_authority_whose_clock_is_an_hour_off_still_gets_through_tls(hours):
    clock = HandClock()
    member = found(now_ms=clock.at_ms)
    clock.move(hours=hours)
    async with open_hub(member=member) as hub:
        hub.clock.move(hours=hours)
        hub.identity.refresh_tls()
        _, told = await enter(hub, await hub.code(), clock=HandClock())
        assert told.name == "jiashan.lln.internal"


async def test_a_renewed_leaf_is_shown_at_the_next_handshake(hub):
    shown = hub.identity.current_tls()
    hub.clock.move(ms=LEAF_LIFE_MS // 2)
    assert hub.identity.refresh_tls()
    assert hub.identity.current_tls() != shown
    hub.clock.move(ms=-LEAF_LIFE_MS // 2)
    hub.identity.refresh_tls()  # a leaf that is valid by the machine's own clock
    await enter(hub, await hub.code())


async def test_an_expired_child_renews_over_the_wire(hub):
    home, told = await enter(hub, await hub.code())
    clock = HandClock()
    child = home.identity(clock)
    for moved in (hub.clock, clock):
        moved.move(days=400)
    before = child.chain
    parts = {"authority": told.parent, "enrolment_endpoint": told.enrolment_endpoint, "doors": DOORS, "timeout_s": 5}
    await renew_expired(child, clock=clock, **parts)
    assert child.chain != before
    assert len(await hub.entries()) == 2
    clock.move(hours=1)
    with pytest.raises(RefusedByPeer) as refused:
        await renew_expired(child, clock=clock, **parts)
    assert refused.value.peer_code == admission.ClockTooFar.code


# --- turned away -----------------------------------------------------------------------------------------------------


async def test_a_refusal_arrives_with_its_code_and_reason(hub):
    code = msgspec.structs.replace(await hub.code(), id="00" * 8)
    with pytest.raises(RefusedByPeer) as refused:
        await enter(hub, code)
    assert (refused.value.peer_code, refused.value.subject) == (admission.InviteUnknown.code, "lln.internal")


async def test_the_wrong_root_is_not_recognised(hub):
    elsewhere = found(now_ms=hub.clock.at_ms)
    code = msgspec.structs.replace(await hub.code(), root_certificate=elsewhere.root_certificate)
    home = MemoryHome()
    with pytest.raises(AuthorityNotRecognised):
        await enter(hub, code, home)
    assert home.trust is None
    assert await hub.entries() == []


async def test_another_node_of_the_network_is_not_the_authority(hub):
    """Its certificate leads to the right root; its name is not that of the one that invites."""
    sibling = hub.member.admit("hubei")
    async with open_hub(member=sibling) as other:
        code = msgspec.structs.replace(
            await hub.code(), endpoint=f"127.0.0.1:{other.server.port}", name="jiashan.lln.internal"
        )
        with pytest.raises(AuthorityNotRecognised):
            await enter(hub, code)


async def test_nobody_at_the_port_is_told_so(hub):
    code = await hub.code()
    await hub.server.close()
    with pytest.raises(EnrolmentPortShut):
        await enter(hub, code)


class InFlight:
    """Somebody on the way who can change what is sent or answered (as if TLS were not there)."""

    def __init__(self, change_request=None, change_answer=None):
        self._change_request = change_request or (lambda request: request)
        self._change_answer = change_answer or (lambda answer: answer)
        self.seen = []

    async def join(self, door, request, *, timeout_s):
        self.seen.append(request)
        return self._change_answer(await DOORS.join(door, self._change_request(request), timeout_s=timeout_s))


@pytest.mark.parametrize(
    "field", ["signing_request", "sealing_key", "sealing_signature", "description", "secret_proof"]
)
async def test_a_join_altered_in_flight_is_refused_and_spends_a_try(hub, field):
    def flipped(request):
        value = bytearray(getattr(request, field))
        value[len(value) // 2] ^= 1
        return msgspec.structs.replace(request, **{field: bytes(value)})

    code = await hub.code()
    with pytest.raises(RefusedByPeer) as refused:
        await join(code, home=MemoryHome(), doors=InFlight(flipped), clock=hub.clock, timeout_s=5)
    assert refused.value.peer_code == admission.WrongSecret.code
    assert [invite.tries_left for invite in await hub.enrolling.invites()] == [4]
    await enter(hub, code)


async def test_a_replayed_join_changes_nothing_and_serves_nobody_else(hub):
    code = await hub.code()
    on_the_way, home = InFlight(), MemoryHome()
    await join(code, home=home, doors=on_the_way, clock=hub.clock, timeout_s=5)
    [recorded] = on_the_way.seen
    answer = await DOORS.join(hub.door(), recorded, timeout_s=5)
    assert answer.chain == home.trust[1]  # the same public certificate, for keys that the replayer has not got
    assert len(await hub.entries()) == 1
    await hub.admitting.revoke(NodeName(code.name), "stolen")
    with pytest.raises(RefusedByPeer):
        await DOORS.join(hub.door(), recorded, timeout_s=5)
    assert len(await hub.entries()) == 2


async def test_a_join_recorded_at_one_network_is_refused_at_another(hub):
    code = await hub.code()
    recorded = request_for(code, MemoryHome())
    async with open_hub() as other:
        same_invite = next(iter(await hub.enrolling.invites()))
        await other.store.write(lambda tx: tx.invites.put(same_invite))
        with pytest.raises(RefusedByPeer) as refused:
            await DOORS.join(other.door(), recorded, timeout_s=5)
        assert refused.value.peer_code == admission.WrongSecret.code
        assert await other.entries() == []


async def test_five_wrong_secrets_burn_the_invite_over_the_wire(hub):
    code = await hub.code()
    wrong = msgspec.structs.replace(code, secret=b"\x00" * 16)
    codes = []
    for attempt in (*[wrong] * 5, code):
        with pytest.raises(RefusedByPeer) as refused:
            await enter(hub, attempt)
        codes.append(refused.value.peer_code)
    assert codes == [admission.WrongSecret.code] * 5 + [admission.InviteBurnt.code]


def _spoilt(der):
    return der[:-1] + bytes([der[-1] ^ 1])


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: msgspec.structs.replace(answer, chain=()),
        lambda answer: msgspec.structs.replace(
            answer, chain=(answer.chain[0][:-1] + bytes([answer.chain[0][-1] ^ 1]),)
        ),
        lambda answer: msgspec.structs.replace(answer, chain=answer.chain * 2),
    ],
)
async def test_an_answer_altered_in_flight_is_not_kept(hub, change):
    home = MemoryHome()
    with pytest.raises(UntrustedPeer):
        await join(await hub.code(), home=home, doors=InFlight(change_answer=change), clock=hub.clock, timeout_s=5)
    assert home.trust is None


async def test_garbage_gets_a_typed_refusal_and_the_next_caller_is_served(hub):
    for method in ("Join", "RenewExpired"):
        for payload in (b"\xff" * 100, b"", b"\x0a\xff\xff\xff\xff\x0f", b"\x1b" * 1_000):
            reply = enrolment_pb2.JoinReply.FromString(await raw_call(hub, payload, method))
            assert reply.error_code.startswith("LLN-2")
            assert not reply.chain
    await enter(hub, await hub.code())


async def test_a_message_too_large_is_refused_by_the_transport(hub):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await raw_call(hub, enrolment_pb2.JoinRequest(description=b"x" * 70_000).SerializeToString())
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await enter(hub, await hub.code())


async def test_who_knocks_too_often_is_held_back(monkeypatch):
    monkeypatch.setattr(enrolment_server, "STRANGER_LIMIT", RateLimit(calls_per_second=1.0, burst=3))
    async with open_hub() as hub:
        unknown = msgspec.structs.replace(await hub.code(), id="00" * 8)
        codes = []
        for _ in range(4):
            with pytest.raises(RefusedByPeer) as refused:
                await enter(hub, unknown)
            codes.append(refused.value.peer_code)
        assert codes == [admission.InviteUnknown.code] * 3 + ["LLN-225"]
        hub.clock.move(s=1)
        await enter(hub, await hub.code())


async def test_an_authority_that_hangs_is_given_up(hub):
    async def hangs(_request):
        await asyncio.sleep(60)

    slow = hub.new_server(join=hangs)
    await slow.follow(need=True)
    try:
        door = hub.door(endpoint=f"127.0.0.1:{slow.port}")
        with pytest.raises(PeerUnreachable):
            await DOORS.join(door, request_for(await hub.code(), MemoryHome()), timeout_s=0.3)
    finally:
        await asyncio.wait_for(slow.close(), 10)


async def test_an_answer_that_makes_no_sense_is_told(hub):
    async def nonsense(_request):
        return enrolment_server.JoinAnswer(chain=(b"x",) * 9, parent_endpoint="", description=COUNTY)

    odd = hub.new_server(join=nonsense)
    await odd.follow(need=True)
    try:
        with pytest.raises(MalformedAnswer):
            await DOORS.join(
                hub.door(endpoint=f"127.0.0.1:{odd.port}"), request_for(await hub.code(), MemoryHome()), timeout_s=5
            )
    finally:
        await odd.close()


# --- open and shut ---------------------------------------------------------------------------------------------------


async def test_the_port_follows_the_need():
    hub = Hub()
    await hub.follow()
    assert not hub.server.is_open
    code = await hub.code()
    await hub.follow()
    assert hub.server.is_open
    port = hub.server.port
    await enter(hub, msgspec.structs.replace(code, endpoint=f"127.0.0.1:{port}"))
    await hub.follow()
    assert hub.server.is_open  # for a day, in case the answer was lost
    hub.clock.move(days=2)
    await hub.follow()
    assert not hub.server.is_open
    with pytest.raises(EnrolmentPortShut):
        await DOORS.join(hub.door(), request_for(code, MemoryHome()), timeout_s=2)
    hub.clock.move(days=-2)
    await hub.server.follow(need=True)
    assert hub.server.port == port
    await hub.server.follow(need=True)
    await hub.server.close()
    await hub.server.close()


async def test_a_port_in_use_is_told(hub):
    second = hub.new_server(f"127.0.0.1:{hub.server.port}")
    with pytest.raises(EnrolmentPortTaken):
        await second.follow(need=True)
    assert not second.is_open


def test_an_invite_points_to_the_port_that_is_open():
    code = InviteCode(
        id="00" * 8,
        name="a.lln.internal",
        endpoint="[::1]:7444",
        description=COUNTY,
        expires_at_ms=1,
        secret=b"s" * 16,
        root_certificate=found().root_certificate,
    )
    assert read_invite(write_invite(code)).endpoint == "[::1]:7444"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50000", "192.0.2.1"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:50000", "2001:db8:1:2"),
        ("ipv6:[2001:db8:1:2::9]:50000", "2001:db8:1:2"),
        ("unix:", ""),
    ],
)
def test_strangers_are_told_apart_by_address(peer, address):
    assert enrolment_server._address(peer) == address
