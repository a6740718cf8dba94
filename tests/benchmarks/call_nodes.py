"""A node in a process of its own, for the benchmarks of calls: signed as it ships, and beside it the same service bare.

What lives here: the processes and what stands behind their services. What must not: timing (`measuring.py`).
"""

import asyncio
import multiprocessing
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import grpc
import uvloop
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from federation.budgets import Allowance
from federation.callers import RateLimit
from federation.catalogue import BilingualLine
from federation.certificates import ChainVerifier
from federation.checkpoints import sign_checkpoint
from federation.directory import NodeDescription
from federation.keys import KeyInMemory
from federation.logs import Entry, LogId, Page
from federation.naming import NodeName
from federation.search import Coverage, Hit, SearchAnswer, SearchRequest, SourceStatus, TermStatistics
from node.host.clock import SystemClock, SystemRandomness
from node.host.identity import OwnIdentity, OwnKeys
from node.ports import PeerHello, PushReceipt, Write
from node.rpc import wire, wire_logs
from node.rpc.hosting import NodeServer
from node.rpc.peers import GrpcPeers
from node.rpc.server import Allowances
from node.rpc.tls import channel_credentials, server_credentials
from node.rpc.turns import Busyness
from node.storage.sqlite_store import open_sqlite
from protos.lln.v1 import catalogue_pb2_grpc, directory_pb2, directory_pb2_grpc, logs_pb2_grpc
from tests.support.small_network import Member, found

UNLIMITED = RateLimit(calls_per_second=1e9, burst=1_000_000_000)
MANY = Busyness(calls=4_096, calls_per_peer=4_096, going_per_peer=4_096, share_per_peer=1)
ANYBODY = NodeName("anybody.lln.internal")
SPECTRUM = ("hobbies_interests", "书法与篆刻入门", "Calligraphy and seal carving for beginners")
REQUEST = SearchRequest(text="书法 入门", scope="network", asker="no1-middle.jiulongpo.chongqing.lln.internal")
DESCRIPTION = NodeDescription(
    title=BilingualLine(zh="九龙坡区终身学习中心", en="Jiulongpo Lifelong Learning Centre"),
    level="county",
    kind="authority",
    endpoint="jiulongpo.example:7443",
)


def ten_hits() -> SearchAnswer:
    """A first page, as a hub answers it: 10 hits of about 600 bytes, and where they come from."""
    section, zh, en = SPECTRUM
    hits = tuple(
        Hit(
            publisher=f"no{number}-middle.jiulongpo.chongqing.lln.internal",
            id=f"calligraphy-{number:04}",
            title=BilingualLine(zh=f"{zh}({number})", en=f"{en}, part {number}"),
            snippet="从执笔、运笔到临摹欧体楷书，每周一次，结课时刻一方自己的名章。" * 2,
            type="online_course",
            section=section,
            stage="lifelong",
            audience=("elder", "worker"),
            language="zh",
            hours=24,
            licence="CC-BY-4.0",
            provider="九龙坡区社区学院",
            location=f"https://learn.example/courses/{number}",
            fingerprint="0123456789abcdef",
            score=9.5 - number / 10,
            age_s=30 * number,
            held_by=NodeName("lln.internal"),
        )
        for number in range(10)
    )
    return SearchAnswer(
        hits=hits,
        total=186,
        total_is_exact=True,
        facets=(),
        sources=(SourceStatus(node="lln.internal", outcome="ok", hits=10, ms=3, index_position=286, age_s=30),),
        coverage=Coverage(records=286, nodes_answered=21, nodes_in_scope=21),
        statistics=TermStatistics(documents=286, average_lengths=(4.0, 60.0), frequencies={"书法": 9, "入门": 41}),
    )


PAGE = Page(
    log=LogId(origin=NodeName("no1-middle.jiulongpo.chongqing.lln.internal"), topic="catalogue"),
    start=0,
    entries=tuple(
        Entry.full(b'{"id":"calligraphy-%04d","salt":"' % number + b"x" * 600 + b'"}') for number in range(500)
    ),
    checkpoint_note=b"x" * 400,
    consistency_proof=(b"h" * 32,) * 12,
)
_SIGNER = KeyInMemory(b"k" * 32)
_SIGNED = b"x" * 200
_SIGNATURE = _SIGNER.sign(_SIGNED)


def prove_and_sign() -> None:
    """What one end of a signed call cannot do without."""
    _SIGNER.sign(_SIGNED)
    _SIGNER.public.verify(_SIGNED, _SIGNATURE)


class Behind:
    """What stands behind every service: the same answer each time, after `pause_s`."""

    def __init__(self, identity: OwnIdentity, pause_s: float = 0.0) -> None:
        self._identity = identity
        self._pause_s = pause_s
        self._answer = ten_hits()

    def hello(self) -> PeerHello:
        name, chain = self._identity.name, self._identity.chain
        return PeerHello(name=name, chain=chain, software_version="0.1.0", clock_offset_ms=0, lineage=())

    async def answer(self, caller: NodeName, request: SearchRequest) -> SearchAnswer:
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
        return self._answer

    async def statistics(self) -> tuple[bytes, int]:
        return b"", 0

    async def describe(self, caller: NodeName, description: NodeDescription, write: Write[None]) -> None:
        return await write(lambda _: None)

    async def push(self, caller: NodeName, page: Page, confirmed_at_ms: int) -> PushReceipt:
        return PushReceipt(size=page.end, cosignature=b"", holdings=())


@dataclass(frozen=True, kw_only=True, slots=True)
class Papers:
    """A member's keys and chain, as they go to another process."""

    root_certificate: bytes
    chain: tuple[bytes, ...]
    ca_key_pem: bytes
    node_seed: bytes

    @classmethod
    def of(cls, member: Member) -> "Papers":
        pem = member.ca_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return cls(
            root_certificate=member.root_certificate,
            chain=member.chain,
            ca_key_pem=pem,
            node_seed=member.node_key.seed,
        )

    def identity(self) -> OwnIdentity:
        ca_key = load_pem_private_key(self.ca_key_pem, None)
        keys = OwnKeys(ca_key=ca_key, node_key=KeyInMemory(self.node_seed), sealing=X25519PrivateKey.generate())  # type: ignore[arg-type]  # written above
        return OwnIdentity(
            keys=keys,
            root_certificate=self.root_certificate,
            chain=self.chain,
            clock=SystemClock(),
            randomness=SystemRandomness(),
            keep=lambda _: None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A server process: its id, its name, and where it serves signed and bare."""

    process: int
    name: NodeName
    signed: str
    bare: str


def network() -> tuple[Papers, Papers]:
    """An authority that is called, and the school below it that calls."""
    district = found().admit("chongqing").admit("jiulongpo")
    return Papers.of(district), Papers.of(district.admit("no1-middle", kind="school"))


@contextmanager
def server_process(*papers: Papers, pause_s: float = 0.0) -> Iterator[tuple[Served, ...]]:
    """Serve each of these nodes, signed and bare, from one other process until the end of the block."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_serve_process, args=(papers, theirs, pause_s), daemon=True)
    process.start()
    try:
        yield tuple(
            Served(process=process.pid or 0, name=name, signed=f"127.0.0.1:{signed}", bare=f"127.0.0.1:{bare}")
            for name, signed, bare in ours.recv()
        )
    finally:
        ours.send("stop")
        process.join(10)
        if process.is_alive():
            process.kill()


def _serve_process(papers: tuple[Papers, ...], pipe: Connection, pause_s: float) -> None:
    uvloop.run(_serve(papers, pipe, pause_s))


async def _serve(papers: tuple[Papers, ...], pipe: Connection, pause_s: float) -> None:
    serving = []
    async with AsyncExitStack() as stack:
        for number, one in enumerate(papers):
            identity = one.identity()
            behind = Behind(identity, pause_s)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"lln-bench-{number}-")))
            signed = await stack.enter_async_context(serving_signed(identity, behind, folder))
            bare = await stack.enter_async_context(serving_bare(identity, behind))
            serving.append((identity.name, signed, bare))
        pipe.send(serving)
        await asyncio.to_thread(pipe.recv)


@asynccontextmanager
async def serving_signed(identity: OwnIdentity, behind: Behind, folder: Path) -> AsyncIterator[int]:
    """A node's own server on the store it ships with; yields the port."""
    clock = SystemClock()
    seal = lambda head: sign_checkpoint(head.checkpoint(), identity)  # noqa: E731  # one line, used once
    async with open_sqlite(folder / "node.db", own_node=identity.name, seal=seal, now_ms=clock.now_ms) as store:
        server = NodeServer(
            identity=identity,
            material=identity,
            chains=ChainVerifier(identity.root_certificate),
            judge=lambda peer, _: not peer.names,
            store=store,
            clock=clock,
            randomness=SystemRandomness(),
            node=behind,
            directory=behind,  # type: ignore[arg-type]  # only what is measured is answered
            logs=behind,  # type: ignore[arg-type]
            catalogue=behind,
            desk=behind,  # type: ignore[arg-type]
            post=behind,  # type: ignore[arg-type]
            credits=behind,  # type: ignore[arg-type]
            limit=UNLIMITED,
            busyness=MANY,
            allowances=Allowances(changes=Allowance(per_second=1e9, burst=1e9)),
        )
        yield await server.start("127.0.0.1:0")
        await server.stop(0.1)


class BareCatalogue(catalogue_pb2_grpc.CatalogueServicer):
    """The same service as anybody would write it: generated code, parsing, converting, answering."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    async def Search(self, request, context):  # type: ignore[no-untyped-def, override]  # noqa: N802  # gRPC names it
        if any(key == "sign" for key, _ in context.invocation_metadata()):
            prove_and_sign()
        return wire.write_answer(await self._behind.answer(ANYBODY, wire.read_search(request)))

    Statistics = Search  # not measured


class BareDirectory(directory_pb2_grpc.DirectoryServicer):
    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    async def Describe(self, request, context):  # type: ignore[no-untyped-def, override]  # noqa: N802  # gRPC names it
        wire.read_description(request.description)
        return directory_pb2.DescribeReply()

    Resolve = Renew = Describe  # not measured


class BareLogs(logs_pb2_grpc.LogsServicer):
    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    async def Push(self, request, context):  # type: ignore[no-untyped-def, override]  # noqa: N802  # gRPC names it
        page = wire_logs.read_page(request.page)
        return wire_logs.write_receipt(await self._behind.push(ANYBODY, page, request.confirmed_at_ms))

    Held = Read = Watch = Push  # not measured


@asynccontextmanager
async def serving_bare(identity: OwnIdentity, behind: Behind) -> AsyncIterator[int]:
    server = grpc.aio.server()
    catalogue_pb2_grpc.add_CatalogueServicer_to_server(BareCatalogue(behind), server)
    directory_pb2_grpc.add_DirectoryServicer_to_server(BareDirectory(behind), server)
    logs_pb2_grpc.add_LogsServicer_to_server(BareLogs(behind), server)
    port = server.add_secure_port("127.0.0.1:0", server_credentials(identity, mutual=True))
    await server.start()
    yield port
    await server.stop(0.1)


@asynccontextmanager
async def signed_line(identity: OwnIdentity, *served: Served) -> AsyncIterator[GrpcPeers]:
    peers = GrpcPeers(
        identity=identity,
        material=identity,
        chains=ChainVerifier(identity.root_certificate),
        clock=SystemClock(),
        randomness=SystemRandomness(),
        judge=lambda peer, _: not peer.names,
    )
    for one in served:
        peers.know(one.name, one.signed)
    try:
        yield peers
    finally:
        await peers.close()


@asynccontextmanager
async def bare_channel(identity: OwnIdentity, served: Served) -> AsyncIterator[grpc.aio.Channel]:
    credentials = channel_credentials(identity.current_tls(), identity.root_pem)
    options = (("grpc.ssl_target_name_override", served.name),)
    async with grpc.aio.secure_channel(served.bare, credentials, options=options) as channel:
        yield channel
