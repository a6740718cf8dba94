"""Hosting: the gRPC server of a node, with every signed service, health, and reflection for its own people.

What lives here: what is served, and on which terms of transport. What must not: what a call means, or who may make it.
"""

import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Final

import grpc
import msgspec
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from federation.callers import RateLimit
from federation.calls import EPOCH_BYTES, Gate, Judge
from federation.certificates import ChainVerifier
from federation.errors import LlnError, Unavailable
from federation.naming import NodeName
from node.ports import Clock, Identity, Randomness, Store
from node.rpc.answers import FirstAnswers
from node.rpc.arrivals import Arrival
from node.rpc.catalogue_service import CatalogueInbound, catalogue_service
from node.rpc.credits_service import CreditsInbound, credits_service
from node.rpc.desk_service import DeskInbound, desk_service
from node.rpc.directory_service import DirectoryInbound, directory_service
from node.rpc.links import Links
from node.rpc.logs_service import LogsInbound, logs_service
from node.rpc.node_service import NodeInbound, node_service
from node.rpc.post_service import PostInbound, post_service
from node.rpc.refusals import Refusals
from node.rpc.relay_service import Relays, link_service
from node.rpc.server import Allowances, SignedMethods
from node.rpc.services import Service
from node.rpc.tls import TlsMaterial, TlsPeers, server_credentials
from node.rpc.transports import RawReply
from node.rpc.turns import Busyness

RECEIVED_BYTES_MAX: Final = 4 * 1024 * 1024 + 262_144
"""The largest request of any method (desk.proto), and its envelope; the gate then holds each method to its own."""
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", RECEIVED_BYTES_MAX),
    ("grpc.max_metadata_size", 8_192),  # beyond it, gRPC refuses metadata
    ("grpc.absolute_max_metadata_size", 16_384),
    ("grpc.keepalive_time_ms", 60_000),  # a peer that vanished is noticed, and its streams end
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),  # more often is a flood, and ends the connection
    ("grpc.http2.max_ping_strikes", 3),
    ("grpc.so_reuseport", 0),  # a second process on this port is a mistake, and is told
)
_STREAMS_MARGIN: Final = 8
_CALLS_IN_GRPC_MAX: Final = 16_384
"""A call whose message never comes is counted by gRPC alone, and nobody can say whose it is: with a small number here,
one peer's silent calls would shut out everybody else's."""


class PortTaken(Unavailable):
    code = "LLN-1608"
    zh = "端口已被占用。请停止占用它的程序，或在 config.toml 的 listen.grpc 中换一个端口。"
    en = "The port is taken. Stop whatever uses it, or choose another as listen.grpc in config.toml."


class Connecting(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection may cost before anybody knows whose it is."""

    connections: int = 1_024
    idle_s: float = 600.0
    handshake_s: float = 20.0


class NodeServer:
    """One listening server; start it and stop it in the same task."""

    def __init__(
        self,
        *,
        identity: Identity,
        material: TlsMaterial,
        chains: ChainVerifier,
        judge: Judge,
        store: Store,
        clock: Clock,
        randomness: Randomness,
        node: NodeInbound,
        directory: DirectoryInbound,
        logs: LogsInbound,
        catalogue: CatalogueInbound,
        desk: DeskInbound,
        post: PostInbound,
        credits: CreditsInbound,  # noqa: A002  # the field's word
        links: Links | None = None,
        relays: Relays | None = None,
        limit: RateLimit | None = None,
        busyness: Busyness | None = None,
        allowances: Allowances | None = None,
        connecting: Connecting | None = None,
        heard_from: Callable[[NodeName], None] = lambda _: None,
    ) -> None:
        """`links` and `relays`: who may be reached only through this node; absent where nobody is.

        `heard_from` is told the name of each caller whose call was admitted. Raises MethodWithoutRules.
        """
        self._material = material
        self._busyness = busyness or Busyness()
        self._connecting = connecting or Connecting()
        self._answers = FirstAnswers(store=store, clock=clock)
        tls_peers = TlsPeers(chains)
        epoch = randomness.token(EPOCH_BYTES)
        gate = Gate(own_name=identity.name, root=identity.root, epoch=epoch, judge=judge, limit=limit)
        self._signed = SignedMethods(
            identity=identity,
            tls_peers=tls_peers,
            gate=gate,
            new_epoch=lambda: randomness.token(EPOCH_BYTES),
            answers=self._answers,
            clock=clock,
            busyness=self._busyness,
            allowances=allowances,
            heard_from=heard_from,
        )
        self._services: tuple[Service, ...] = (
            node_service(node, epoch=lambda: gate.epoch, clock=clock, sealing_key=identity.sealing_key),
            directory_service(directory),
            logs_service(logs),
            catalogue_service(catalogue),
            desk_service(desk),
            post_service(post),
            credits_service(credits),
            *(() if links is None else (link_service(links),)),
            *(() if relays is None else (relays.service(self._signed.answer),)),
        )
        self._health = _Health()
        self._reflection = _ForOwnPeople([one.name for one in self._services], identity, tls_peers, clock)
        self._running = contextlib.AsyncExitStack()
        self._server: grpc.aio.Server | None = None

    @property
    def refusals(self) -> Refusals:
        """How many calls were refused since the start, by error code and by peer."""
        return self._signed.refusals

    async def answer(self, method: str, payload: bytes, arrival: Arrival) -> RawReply:
        """The signed answer to a call that came over the link to the parent."""
        return await self._signed.answer(method, payload, arrival)

    @contextlib.asynccontextmanager
    async def without_port(self) -> AsyncIterator[dict[str, "grpc.RpcMethodHandler[bytes, bytes]"]]:
        """Every handler by its method's full name, for who brings calls by itself; a cancelled body ends all work."""
        async with self._answers:
            yield {
                f"/{service.name}/{name}": handler
                for service in self._services
                for name, handler in self._signed.handlers(service.methods).items()
            }

    async def start(self, listen: str) -> int:
        """Listen on `listen` (host:port); returns the port. Raises PortTaken."""
        server = grpc.aio.server(options=self._options(), maximum_concurrent_rpcs=_CALLS_IN_GRPC_MAX)
        for service in self._services:
            handlers = self._signed.handlers(service.methods)
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.name, handlers),))
            await self._health.set(service.name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(self._reflection, server)  # type: ignore[no-untyped-call]  # as generated
        try:
            port: int = server.add_secure_port(
                listen, server_credentials(self._material, mutual=True, begun=self._count_connection)
            )
        except RuntimeError as error:
            raise PortTaken(listen, "cannot be listened on") from error
        await self._running.enter_async_context(self._answers)
        await server.start()
        self._server = server
        return port

    def _options(self) -> tuple[tuple[str, int], ...]:
        """What one peer may have under way is also all that one connection carries: the rest waits at the caller."""
        return (
            *_OPTIONS,
            ("grpc.max_concurrent_streams", self._busyness.calls_per_peer + _STREAMS_MARGIN),
            ("grpc.max_allowed_incoming_connections", self._connecting.connections),
            ("grpc.max_connection_idle_ms", int(self._connecting.idle_s * 1_000)),
            ("grpc.server_handshake_timeout_ms", int(self._connecting.handshake_s * 1_000)),
        )

    def _count_connection(self) -> None:
        self.refusals.connections += 1  # from gRPC's own threads: a count that is one short is still a count

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, hang up streams, and give what is being worked on `grace_s`; harmless when not started.

        A change that has begun is finished and its answer kept, even beyond the grace.
        """
        await self._health.enter_graceful_shutdown()
        self._signed.hang_up_streams()
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace_s)
        await self._running.aclose()


class _Health(health.aio.HealthServicer):
    """Whoever asks is answered; nobody is told of every change, since that would keep a call open for ever."""

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: ARG002, N802  # gRPC names it
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "ask with Check")


class _ForOwnPeople(reflection.aio.ReflectionServicer):
    """Reflection tells what there is to attack, so only who holds this node's own keys may ask."""

    def __init__(self, services: list[str], identity: Identity, tls_peers: TlsPeers, clock: Clock) -> None:
        super().__init__([*services, health.SERVICE_NAME, reflection.SERVICE_NAME])
        self._identity = identity
        self._tls_peers = tls_peers
        self._clock = clock

    async def ServerReflectionInfo(  # type: ignore[override]  # noqa: N802  # the stub mistakes the generator for a coroutine
        self, request_iterator: AsyncIterable[Any], context: Any
    ) -> AsyncIterator[Any]:
        if not self._is_own(context):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "reflection is for this node's own people")
        replies: Any = super().ServerReflectionInfo(request_iterator, context)
        async for reply in replies:
            yield reply

    def _is_own(self, context: Any) -> bool:
        try:
            peer = self._tls_peers.peer_of(context.auth_context(), self._clock.now_ms())
        except LlnError:
            return False
        return peer.name == self._identity.name
