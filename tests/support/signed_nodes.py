"""Real nodes on real gRPC: a server with real certificates on port 0, what stands behind it faked, and lines to it."""

import asyncio
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import NamedTuple

import grpc

from federation.callers import RateLimit
from federation.calls import CallHeader, sign_call
from federation.catalogue import BilingualLine
from federation.certificates import ChainVerifier
from federation.directory import CallerRevoked, CallerSuspended, NodeDescription
from federation.errors import NotFound
from federation.logs import Entry, LogId, Page
from federation.merkle import EMPTY_ROOT
from federation.naming import NodeName
from federation.search import Coverage, SearchAnswer, TermStatistics
from node.ports import (
    Delivered,
    HeldLog,
    Holding,
    LogHeadNote,
    PeerHello,
    PostItem,
    PushReceipt,
    PutOff,
    Refused,
    Resolved,
)
from node.rpc.channels import REPLY_BYTES_MAX, Line
from node.rpc.desk_client import DeskClient
from node.rpc.envelope import error_in, read_error, write_call
from node.rpc.hosting import NodeServer
from node.rpc.peers import GrpcPeers
from node.rpc.transports import Channel
from tests.support.identities import identity_of
from tests.support.machine import CountedRandomness, HandClock
from tests.support.memory_store import MemoryStore
from tests.support.small_network import Member, found

DESCRIPTION = NodeDescription(title=BilingualLine(zh="重庆市", en="Chongqing"), level="provincial", kind="authority")
ITEMS = (
    PostItem(id="1", kind="test", document=b"\0\xff"),
    PostItem(id="2", kind="test", document=b""),
    PostItem(id="3", kind="other", document=b"{}"),
)
POST_ANSWERS = [
    Delivered(reply=b"\xff\0"),
    Refused(code="LLN-1261", told="其他"),
    PutOff(code="LLN-160", told="not now"),
]
ANSWER = SearchAnswer(
    hits=(),
    total=0,
    total_is_exact=True,
    facets=(),
    sources=(),
    coverage=Coverage(records=0, nodes_answered=1, nodes_in_scope=1),
    statistics=TermStatistics(documents=0, average_lengths=(1.0,)),
)


def page_of(origin: str, *documents: bytes) -> Page:
    return Page(
        log=LogId(origin=NodeName(origin), topic="catalogue"),
        start=0,
        entries=tuple(map(Entry.full, documents)),
        checkpoint_note=b"a note",
        consistency_proof=(EMPTY_ROOT,),
    )


class Behind:
    """Everything that stands behind the services of one node; it remembers what it was asked, in order."""

    def __init__(self, identity, clock) -> None:
        self.identity = identity
        self.clock = clock
        self.asked: list[tuple] = []
        self.slow_s = 0.0
        self.heads: asyncio.Queue = asyncio.Queue()
        self.watchers = 0

    async def _note(self, *what) -> None:
        self.asked.append(what)
        if self.slow_s:
            await asyncio.sleep(self.slow_s)

    def hello(self):
        return PeerHello(
            name=self.identity.name,
            chain=self.identity.chain,
            software_version="0.1.0",
            clock_offset_ms=0,
            lineage=((self.identity.name, "127.0.0.1:7443"), (self.identity.root, "")),
        )

    async def resolve(self, caller, name, hops_left, at_ms):
        await self._note("resolve", caller, name, hops_left)
        if name.startswith("nobody"):
            raise NotFound(name, "not in any directory held here")
        return Resolved(
            name=name,
            status="active",
            chain=self.identity.chain,
            description=DESCRIPTION,
            moved_to=None,
            confirmed_at_ms=self.clock.now_ms(),
            answered_by=self.identity.name,
        )

    async def renew(self, caller, signing_request, write):
        await self._note("renew", caller, signing_request)
        chain = (b"certificate %d" % len(self.asked), *self.identity.chain)
        return await write(lambda _: chain)

    async def describe(self, caller, description, write):
        await self._note("describe", caller, description)
        await write(lambda _: None)

    async def held(self, caller, after):
        await self._note("held", caller, after)
        log = LogId(origin=caller, topic="catalogue" if not after else "directory")
        return [HeldLog(log=log, size=7, confirmed_at_ms=self.clock.now_ms())], not after

    async def push(self, caller, page, confirmed_at_ms):
        await self._note("push", caller, page, confirmed_at_ms)
        holding = Holding(
            log=page.log, holder=self.identity.name, size=page.end, indexed=page.end, at_ms=self.clock.now_ms()
        )
        return PushReceipt(size=page.end, cosignature=b"a line", holdings=(holding,))

    async def read(self, caller, topic, start, limit):
        await self._note("read", caller, topic, start, limit)
        return page_of(self.identity.name, b'{"document":1}', b'{"document":2}')

    async def watch(self, topics):
        self.watchers += 1
        try:
            while True:
                yield LogHeadNote(log=LogId(origin=self.identity.name, topic=topics[0]), note=await self.heads.get())
        finally:
            self.watchers -= 1

    async def deliver(self, caller, key, items, write):
        await self._note("deliver", caller, key, items)
        return await write(lambda _: POST_ANSWERS)

    async def answer(self, caller, request):
        await self._note("answer", caller, request)
        return ANSWER

    async def statistics(self):
        await self._note("statistics")
        return b"statistics", 1

    async def ask(self, operation, request):
        await self._note("ask", operation, request)
        if operation == "broken":
            raise ZeroDivisionError("a secret that must not travel")
        if operation == "missing":
            raise NotFound("resource 7", "never imported")
        return request


class Node:
    """One member on the network: what it shows, what it dials with, and whether it is serving."""

    def __init__(self, member: Member, clock: HandClock | None = None) -> None:
        self.member = member
        self.name = member.name
        self.clock = clock or HandClock()
        self.randomness = CountedRandomness(member.name.encode())
        self.identity = identity_of(member, self.clock)
        self.chains = ChainVerifier(member.root_certificate)
        self.store = MemoryStore(self.identity, self.clock.now_ms)
        self.behind = Behind(self.identity, self.clock)
        self.standings: dict[NodeName, str] = {}
        self.heard: list[NodeName] = []
        self.server: NodeServer | None = None
        self.endpoint = ""

    def judge(self, peer, _):
        """As a directory that is fresh: True, for provisionally, only where a test says so."""
        for name in peer.names:
            if self.standings.get(name) == "suspended":
                raise CallerSuspended(name, "not this term")
            if self.standings.get(name) == "revoked":
                raise CallerRevoked(name, "left the network")
        return self.standings.get(peer.name) == "provisional"

    async def start(self, listen: str = "127.0.0.1:0", *, limit: RateLimit | None = None, **changes) -> None:
        given = {
            "identity": self.identity,
            "material": self.identity,
            "chains": self.chains,
            "judge": self.judge,
            "store": self.store,
            "clock": self.clock,
            "randomness": self.randomness,
            "heard_from": self.heard.append,
            "limit": limit or RateLimit(calls_per_second=100_000.0, burst=100_000),
        }
        behind = dict.fromkeys(("node", "directory", "logs", "catalogue", "desk", "post", "credits"), self.behind)
        self.server = NodeServer(**(given | behind | changes))
        self.endpoint = f"127.0.0.1:{await self.server.start(listen)}"

    async def stop(self, grace_s: float = 0.2) -> None:
        server, self.server = self.server, None
        if server is not None:
            await server.stop(grace_s)

    async def restart(self) -> None:
        """A new start of the process at the same address: a new epoch, and an empty memory of nonces."""
        await self.stop()
        await self.start(self.endpoint)

    def dialling(self, *others: "Node", **changes) -> GrpcPeers:
        given = {"identity": self.identity, "material": self.identity, "chains": self.chains, "clock": self.clock}
        peers = GrpcPeers(**(given | {"randomness": self.randomness} | changes))
        for other in others:
            peers.know(other.name, other.endpoint)
        return peers

    def line(self, to: "Node", **changes) -> Line:
        tls, root_pem = self.identity.current_tls(), self.identity.root_pem
        channel = Channel(to.name, to.endpoint, tls=tls, root_pem=root_pem, reply_bytes_max=REPLY_BYTES_MAX)
        given = {"to": to.name, "transport": channel, "identity": self.identity}
        given |= {"chains": self.chains, "clock": self.clock, "randomness": self.randomness}
        return Line(**(given | changes))

    def desk(self) -> DeskClient:
        return DeskClient(
            endpoint=self.endpoint,
            identity=self.identity,
            material=self.identity,
            clock=self.clock,
            randomness=self.randomness,
        )


class Tree:
    """Root, two provinces, a district and a school under one of them, each ready to be started."""

    def __init__(self) -> None:
        root = found()
        chongqing = root.admit("chongqing")
        district = chongqing.admit("jiulongpo")
        self.root = Node(root)
        self.chongqing = Node(chongqing)
        self.zhejiang = Node(root.admit("zhejiang"))
        self.district = Node(district)
        self.school = Node(district.admit("no1-middle", kind="school"))
        self.sister = Node(district.admit("no2-middle", kind="school"))

    def all(self) -> tuple[Node, ...]:
        return (self.root, self.chongqing, self.zhejiang, self.district, self.school, self.sister)


class Told(NamedTuple):
    """What came back, whatever it was: the status, the message, and the trailing metadata."""

    status: grpc.StatusCode
    body: bytes
    trailer: tuple

    @property
    def code(self) -> str:
        """The error code that the answer names, signed or not; empty for none."""
        told = read_error(error_in(self.trailer))
        return told.code if told else ""

    @property
    def detail(self) -> str:
        told = read_error(error_in(self.trailer))
        return f"{told.subject}: {told.detail}" if told else ""


class Forger:
    """A member that speaks gRPC by hand: its own TLS leaf, and whatever envelope it likes."""

    def __init__(self, node: Node, to: Node, *, leaf=None, endpoint="", options=(("grpc.enable_retries", 0),)) -> None:
        self.node = node
        self.to = to
        self.epoch = b""
        key_pem, chain_pem = (leaf.key_pem, leaf.chain_pem) if leaf else node.identity.current_tls()
        credentials = grpc.ssl_channel_credentials(node.identity.root_pem, key_pem, chain_pem)
        options = (("grpc.ssl_target_name_override", to.name), *options)
        self.channel = grpc.aio.secure_channel(endpoint or to.endpoint, credentials, options=options)

    async def close(self) -> None:
        await self.channel.close()

    def header(self, method: str, payload: bytes, **changes) -> bytes:
        given = {
            "caller": self.node.name,
            "audience": self.to.name,
            "audience_epoch": self.to.server._signed._gate.epoch,
            "method": method,
            "issued_at_ms": self.node.clock.now_ms(),
            "ttl_ms": 5_000,
            "nonce": self.node.randomness.token(16),
            "operation_id": "",
            "payload_sha256": sha256(payload).digest(),
        }
        return write_call(CallHeader(**(given | changes)))

    def seal(self, header_bytes: bytes):
        return (("lln-call-bin", header_bytes), ("lln-signature-bin", sign_call(header_bytes, self.node.identity)))

    def sealed(self, method: str, payload: bytes, **changes):
        return self.seal(self.header(method, payload, **changes))

    async def send(self, method: str, payload: bytes, metadata=None, **changes) -> Told:
        """`metadata` None: a sound envelope, but for `changes` to its header."""
        sent = self.channel.unary_unary(method)(
            payload, metadata=self.sealed(method, payload, **changes) if metadata is None else metadata, timeout=5
        )
        try:
            body = await sent
            return Told(grpc.StatusCode.OK, body, tuple(await sent.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            return Told(error.code(), b"", tuple(error.trailing_metadata()))


@asynccontextmanager
async def dialled(peers):
    """Peers, a line or a desk client, closed at the end."""
    try:
        yield peers
    finally:
        await peers.close()
