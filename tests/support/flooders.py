"""A member of the network that means ill: every kind of flood it can pour over another node, one drop at a time.

What lives here: what is sent. What must not: how often (`tests/benchmarks/flood_process.py`, `tests/rpc`), or what
ought to come of it.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from hashlib import sha256

import grpc
import msgspec

from federation.calls import CallHeader, sign_call
from federation.logs import Entry, LogId, Page
from federation.merkle import EMPTY_ROOT
from federation.naming import NodeName
from federation.search import SearchRequest
from node.rpc import wire, wire_logs
from node.rpc.envelope import error_in, read_error, write_call
from protos.lln.v1 import directory_pb2, logs_pb2, node_pb2

HELLO = "/lln.v1.Node/Hello"
SEARCH = "/lln.v1.Catalogue/Search"
RESOLVE = "/lln.v1.Directory/Resolve"
PUSH = "/lln.v1.Logs/Push"
CHANNELS = 4
TIMEOUT_S = 10.0
HALF_OPEN_S = 3.0
HALF_OPEN_MAX = 400
PAGE_DOCUMENT = b'{"salt":"0","text":"' + b"x" * 2_000 + b'"}'
PAGE_ENTRIES = 500

Drop = Callable[[], Awaitable[str]]
"""Sends one, and says what came of it: "ok", the error code that the answer names, or gRPC's word for a failure."""


class Flooder:
    """`identity`: the member's own, with its keys and chain; `to`: the node that is flooded, at `endpoint`."""

    def __init__(self, identity, *, to: NodeName, endpoint: str, clock, randomness) -> None:
        self.identity = identity
        self.to = to
        self.endpoint = endpoint
        self.clock = clock
        self.randomness = randomness
        self.epoch = b""
        self._turn = itertools.count()
        self._names = itertools.count()
        self._channels = [self._channel(number) for number in range(CHANNELS)]
        self._opened: list = []
        self._huge_page = self._page()
        self._question = wire.write_search(
            SearchRequest(text="书法 入门", scope="siblings", asker=identity.name)
        ).SerializeToString()
        self.kinds: dict[str, Drop] = {
            "bad signatures": self.bad_signature,
            "valid calls": self.valid_call,
            "connections": self.connection,
            "unknown names": self.unknown_name,
            "huge pages": self.huge_page,
        }

    async def __aenter__(self):
        asked = node_pb2.HelloRequest(protocol_version=1).SerializeToString()
        body = await self._channels[0].unary_unary(HELLO)(asked, metadata=self._sealed(HELLO, asked), timeout=TIMEOUT_S)
        self.epoch = node_pb2.HelloReply.FromString(body).epoch
        return self

    async def __aexit__(self, *_):
        for channel in self._channels:
            await channel.close()
        await self.let_go()

    # --- one drop of each flood --------------------------------------------------------------------------------------

    async def bad_signature(self) -> str:
        (key, header), (_, signature) = self._sealed(SEARCH, self._question)
        spoilt = bytes((signature[0] ^ 1, *signature[1:]))
        return await self._send(SEARCH, self._question, ((key, header), ("lln-signature-bin", spoilt)))

    async def valid_call(self) -> str:
        return await self._send(SEARCH, self._question)

    async def unknown_name(self) -> str:
        name = f"nobody{next(self._names)}.nowhere.{self.identity.root}"
        asked = directory_pb2.ResolveRequest(name=name, hops_left=8).SerializeToString()
        return await self._send(RESOLVE, asked)

    async def huge_page(self) -> str:
        """A page of a megabyte that is read to its end before it is found not to hold."""
        return await self._send(PUSH, self._huge_page)

    async def connection(self) -> str:
        """In turn: a connection that says nothing, one without a certificate, and one that is made in full and left."""
        kind = next(self._turn) % 3
        if kind == 0:
            return await self._half_open()
        key_pem, chain_pem = self.identity.current_tls() if kind == 1 else (None, None)
        credentials = grpc.ssl_channel_credentials(self.identity.root_pem, key_pem, chain_pem)
        channel = grpc.aio.secure_channel(self.endpoint, credentials, options=self._options(next(self._names)))
        await self._keep(channel)
        try:
            async with asyncio.timeout(HALF_OPEN_S):
                await channel.channel_ready()
        except TimeoutError:
            return "refused"
        return "opened"

    async def _half_open(self) -> str:
        host, _, port = self.endpoint.rpartition(":")
        try:
            async with asyncio.timeout(HALF_OPEN_S):
                _, writer = await asyncio.open_connection(host, int(port))
        except (OSError, TimeoutError):
            return "refused"
        await self._keep(writer)
        return "half open"

    async def let_go(self) -> None:
        """Close whatever is still open."""
        kept, self._opened = self._opened, []
        for one in kept:
            with contextlib.suppress(OSError):
                closing = one.close()
                if closing is not None:
                    await closing

    async def _keep(self, one) -> None:
        self._opened.append(one)
        if len(self._opened) > HALF_OPEN_MAX:
            await self.let_go()

    # --- by hand -----------------------------------------------------------------------------------------------------

    async def _send(self, method: str, payload: bytes, metadata=None) -> str:
        channel = self._channels[next(self._turn) % CHANNELS]
        try:
            await channel.unary_unary(method)(
                payload, metadata=metadata or self._sealed(method, payload), timeout=TIMEOUT_S
            )
        except grpc.aio.AioRpcError as error:
            told = read_error(error_in(error.trailing_metadata()))
            return told.code if told else error.code().name.lower()
        return "ok"

    def _sealed(self, method: str, payload: bytes):
        header = write_call(
            CallHeader(
                caller=self.identity.name,
                audience=self.to,
                audience_epoch=self.epoch,
                method=method,
                issued_at_ms=self.clock.now_ms(),
                ttl_ms=int(1_000 * TIMEOUT_S),
                nonce=self.randomness.token(16),
                operation_id="",
                payload_sha256=sha256(payload).digest(),
            )
        )
        return (("lln-call-bin", header), ("lln-signature-bin", sign_call(header, self.identity)))

    def _channel(self, number: int):
        key_pem, chain_pem = self.identity.current_tls()
        credentials = grpc.ssl_channel_credentials(self.identity.root_pem, key_pem, chain_pem)
        return grpc.aio.secure_channel(self.endpoint, credentials, options=self._options(number))

    def _options(self, number: int):
        """`number` keeps channels apart, which gRPC would otherwise run over one connection."""
        return (
            ("grpc.ssl_target_name_override", self.to),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("lln.flooder", number),
        )

    def _page(self) -> bytes:
        page = Page(
            log=LogId(origin=self.identity.name, topic="catalogue"),
            start=0,
            entries=(Entry.full(PAGE_DOCUMENT),) * PAGE_ENTRIES,
            checkpoint_note=b"no note",
            consistency_proof=(EMPTY_ROOT,),
        )
        return logs_pb2.PushRequest(page=wire_logs.write_page(page)).SerializeToString()


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a flood."""

    sent: int
    outcomes: dict[str, int]
    seconds: float


async def pour(drop: Drop, *, per_second: float, seconds: float, at_once_max: int) -> Tally:
    """A flood at a steady pace, whether or not it is answered; bounded in number, and in how much is under way."""
    outcomes: dict[str, int] = {}
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Task[None]] = set()

    async def one() -> None:
        told = await drop()
        outcomes[told] = outcomes.get(told, 0) + 1

    began, sent = loop.time(), 0
    while (passed := loop.time() - began) < seconds:
        while sent < passed * per_second and len(under_way) < at_once_max:
            task = asyncio.ensure_future(one())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            sent += 1
        await asyncio.sleep(0.002)
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    return Tally(sent=sent, outcomes=outcomes, seconds=loop.time() - began)
