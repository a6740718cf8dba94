"""Other nodes, as the use cases see them: `node.ports.Peers` over signed gRPC.

What lives here: each call as typed values, tried on one road after the other. What must not: which roads there are
(`routes.py`), retries, or when to call whom.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

from google.protobuf.message import Message

from federation.calls import Judge
from federation.certificates import ChainVerifier
from federation.directory import NodeDescription
from federation.errors import PeerRefused, PeerUnreachable, UntrustedPeer
from federation.logs import Page
from federation.naming import NodeName
from federation.search import SearchAnswer, SearchRequest
from node.ports import (
    Answered,
    Clock,
    HeldLog,
    Identity,
    LogHeadNote,
    PeerHello,
    PostItem,
    PushReceipt,
    Randomness,
    Resolved,
    RoadTried,
)
from node.rpc import wire, wire_logs, wire_post
from node.rpc.channels import Line
from node.rpc.links import Links
from node.rpc.pinging import try_road
from node.rpc.routes import Routes
from node.rpc.tls import TlsMaterial
from node.rpc.transports import Dial
from node.rpc.uplink import ServeCall, Uplink
from protos.lln.v1 import catalogue_pb2, directory_pb2, logs_pb2, post_pb2

ACCEPTANCE_S: Final = 10.0
HELD_PAGES_MAX: Final = 500
LEAST_S: Final = 0.001

AMessage = TypeVar("AMessage", bound=Message)
AValue = TypeVar("AValue")


class UnreadableReply(PeerUnreachable):
    code = "LLN-254"
    zh = "对端的答复签名正确但内容无法读取，已丢弃。请确认双方程序版本。"
    en = "The answer is signed but cannot be read; it was discarded. Check that both programs' versions agree."


class GrpcPeers:
    """Signed calls to other nodes, by whatever road leads there; close it when done.

    `links`: the children attached to this node. `judge`: whether the directory still admits a peer, asked before every
    call to it. Errors as `node.ports.Peers`.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        material: TlsMaterial,
        chains: ChainVerifier,
        clock: Clock,
        randomness: Randomness,
        links: Links | None = None,
        judge: Judge | None = None,
        software_version: str = "",
        dial: Dial | None = None,
    ) -> None:
        self._clock = clock
        self._software_version = software_version
        self._routes = Routes(
            identity=identity,
            material=material,
            chains=chains,
            clock=clock,
            randomness=randomness,
            links=links or Links(clock),
            send=self.pass_on,
            judge=judge,
            software_version=software_version,
            dial=dial,
        )
        self._serve: ServeCall | None = None

    def know(self, name: NodeName, endpoint: str) -> None:
        self._routes.know(name, endpoint)

    def can_dial(self, name: NodeName) -> bool:
        return bool(self.endpoint_of(name))

    def endpoint_of(self, name: NodeName) -> str:
        return self._routes.endpoint_of(name)

    def heard_from(self, name: NodeName) -> None:
        """A verified call came in from `name`: whatever was wrong with reaching it may be over."""
        self._routes.heard_from(name)

    def serve_with(self, serve: ServeCall) -> None:
        """What answers the calls that the parent makes over the link to it."""
        self._serve = serve

    async def hang_up_retired(self) -> None:
        """Close the lines that a renewed leaf or a new address has replaced; calls in flight may finish first."""
        await self._routes.hang_up_retired()

    async def close(self) -> None:
        await self._routes.close()

    # --- the port ----------------------------------------------------------------------------------------------------

    async def hello(self, to: NodeName, *, timeout_s: float) -> PeerHello:
        return await self._by_any_road(to, timeout_s, lambda line, share_s: line.hello(share_s))

    async def ping(self, to: NodeName, *, timeout_s: float) -> Sequence[RoadTried]:
        lines = self._routes.roads(to, relayed=True)
        return [await try_road(line, timeout_s=timeout_s, clock=self._clock) for line in lines]

    async def attach(self, to: NodeName, attached: Callable[[], None]) -> None:
        assert self._serve is not None  # noqa: S101  # the server starts before anything runs
        [line] = self._routes.roads(to, relayed=False)[:1]
        uplink = Uplink(line=line, serve=self._serve, clock=self._clock, software_version=self._software_version)
        try:
            await uplink.run(attached)
        except (PeerUnreachable, UntrustedPeer):
            self._routes.failed(line)
            raise

    async def pass_on(self, to: NodeName, method: str, payload: bytes, timeout_s: float) -> bytes:
        """One call to a neighbour with bytes that are somebody else's; the verified reply's bytes."""
        return await self._by_any_road(
            to, timeout_s, lambda line, share_s: line.call(method, payload, timeout_s=share_s), relayed=False
        )

    async def held(self, to: NodeName, *, timeout_s: float) -> Sequence[HeldLog]:
        held: list[HeldLog] = []
        for _ in range(HELD_PAGES_MAX):
            asked = logs_pb2.HeldRequest(after=held[-1].log.origin_line if held else "")
            logs, more = await self._ask(to, "/lln.v1.Logs/Held", asked, timeout_s=timeout_s, read=_HELD)
            held.extend(logs)
            if not more or not logs:
                break
        return held

    async def push(self, to: NodeName, page: Page, confirmed_at_ms: int, *, timeout_s: float) -> PushReceipt:
        asked = wire_logs.write_push(page, confirmed_at_ms)
        receipt = _reading(logs_pb2.PushReply, lambda told: wire_logs.read_receipt(told, page.log))
        return await self._ask(to, "/lln.v1.Logs/Push", asked, timeout_s=timeout_s, read=receipt)

    async def read(self, to: NodeName, topic: str, start: int, limit: int, *, timeout_s: float) -> Page:
        asked = logs_pb2.ReadRequest(topic=topic, start=start, limit=limit)
        return await self._ask(to, "/lln.v1.Logs/Read", asked, timeout_s=timeout_s, read=_PAGE)

    async def recall(self, to: NodeName, topic: str, start: int, *, timeout_s: float) -> Page:
        """What the parent holds of this node's own log; `node.usecases.continuing.Recalls`."""
        asked = logs_pb2.ReadRequest(topic=topic, start=start)
        return await self._ask(to, "/lln.v1.Logs/Recall", asked, timeout_s=timeout_s, read=_PAGE)

    async def watch(self, to: NodeName, topics: Sequence[str]) -> AsyncGenerator[LogHeadNote, None]:
        asked = logs_pb2.WatchRequest(topics=topics).SerializeToString()
        [line] = self._routes.roads(to, relayed=False)[:1]
        try:
            async with aclosing(line.stream("/lln.v1.Logs/Watch", asked, timeout_s=ACCEPTANCE_S)) as messages:
                async for message in messages:
                    self.heard_from(to)
                    yield _understood(to, message, _HEAD)
        except (PeerUnreachable, UntrustedPeer):
            self._routes.failed(line)
            raise

    async def deliver(
        self, to: NodeName, items: Sequence[PostItem], operation_id: str, *, timeout_s: float
    ) -> Sequence[Answered]:
        return await self._ask(
            to,
            "/lln.v1.Post/Deliver",
            wire_post.write_items(items),
            timeout_s=timeout_s,
            read=_reading(post_pb2.DeliverReply, lambda told: wire_post.read_answers(told, count=len(items))),
            operation_id=operation_id,
        )

    async def tell_up(self, to: NodeName, name: NodeName, *, timeout_s: float) -> None:
        asked = post_pb2.UpRequest(name=name)
        await self._ask(to, "/lln.v1.Post/Up", asked, timeout_s=timeout_s, read=_nothing)

    async def search(self, to: NodeName, request: SearchRequest, *, timeout_s: float) -> SearchAnswer:
        return await self._ask(
            to, "/lln.v1.Catalogue/Search", wire.write_search(request), timeout_s=timeout_s, read=_ANSWER
        )

    async def statistics(self, to: NodeName, *, timeout_s: float) -> tuple[bytes, int]:
        asked = catalogue_pb2.StatisticsRequest()
        return await self._ask(to, "/lln.v1.Catalogue/Statistics", asked, timeout_s=timeout_s, read=_STATISTICS)

    async def resolve(
        self, to: NodeName, name: NodeName, hops_left: int, *, timeout_s: float, at_ms: int = 0
    ) -> Resolved:
        asked = directory_pb2.ResolveRequest(name=name, hops_left=hops_left, at_ms=at_ms)
        return await self._ask(to, "/lln.v1.Directory/Resolve", asked, timeout_s=timeout_s, read=_RESOLVED)

    async def renew(
        self, to: NodeName, signing_request: bytes, operation_id: str, *, timeout_s: float
    ) -> tuple[bytes, ...]:
        asked = directory_pb2.RenewRequest(signing_request=signing_request)
        return await self._ask(
            to, "/lln.v1.Directory/Renew", asked, timeout_s=timeout_s, read=_CHAIN, operation_id=operation_id
        )

    async def move(self, to: NodeName, chain: tuple[bytes, ...], operation_id: str, *, timeout_s: float) -> None:
        """Tell the authority so far under which name this node is certified now; `node.usecases.moving.Farewells`."""
        asked = directory_pb2.MoveRequest(chain=chain)
        await self._ask(
            to, "/lln.v1.Directory/Move", asked, timeout_s=timeout_s, read=_nothing, operation_id=operation_id
        )

    async def describe(
        self, to: NodeName, description: NodeDescription, operation_id: str, *, timeout_s: float
    ) -> None:
        asked = directory_pb2.DescribeRequest(description=wire.write_document(description))
        await self._ask(
            to, "/lln.v1.Directory/Describe", asked, timeout_s=timeout_s, read=_nothing, operation_id=operation_id
        )

    # --- roads -------------------------------------------------------------------------------------------------------

    async def _ask(
        self,
        to: NodeName,
        method: str,
        asked: Message,
        *,
        timeout_s: float,
        read: Callable[[bytes], AValue],
        operation_id: str = "",
    ) -> AValue:
        """One call, and its verified answer as a value."""
        payload = asked.SerializeToString()
        body = await self._by_any_road(
            to,
            timeout_s,
            lambda line, share_s: line.call(method, payload, timeout_s=share_s, operation_id=operation_id),
        )
        return _understood(to, body, read)

    ask = _ask  # for calls that stand in modules of their own

    async def _by_any_road(
        self,
        to: NodeName,
        timeout_s: float,
        work: Callable[[Line, float], Awaitable[AValue]],
        *,
        relayed: bool = True,
    ) -> AValue:
        """The best road that leads there; each but the last gets half of the time that is left.

        A call whose answer was lost on one road may be carried out and then arrive again by the next: it has the same
        operation id, and calls without one change nothing.
        """
        ends_s = self._clock.monotonic_s() + timeout_s
        lines = self._routes.roads(to, relayed=relayed)
        for line in lines:
            left_s = max(LEAST_S, ends_s - self._clock.monotonic_s())  # the road before may have taken all of it
            try:
                done = await work(line, left_s if line is lines[-1] else left_s / 2)
            except (PeerUnreachable, UntrustedPeer):
                self._routes.failed(line)
                if line is lines[-1]:
                    raise
                continue
            except PeerRefused:
                self.heard_from(to)
                raise
            if line.transport.road != "relay":
                self.heard_from(to)
            return done
        raise AssertionError("roads are never none")


def _understood(to: NodeName, body: bytes, read: Callable[[bytes], AValue]) -> AValue:
    try:
        return read(body)
    except wire.MalformedMessage as malformed:
        raise UnreadableReply(to, str(malformed)) from malformed


def _reading(kind: type[AMessage], convert: Callable[[AMessage], AValue]) -> Callable[[bytes], AValue]:
    return lambda body: convert(wire.read(kind, body))


_HELD: Final = _reading(logs_pb2.HeldReply, lambda told: (wire_logs.read_held(told), told.more))
_PAGE: Final = _reading(logs_pb2.ReadReply, lambda told: wire_logs.read_page(told.page))
_HEAD: Final = _reading(logs_pb2.Head, wire_logs.read_head)
_ANSWER: Final = _reading(catalogue_pb2.SearchReply, wire.read_answer)
_STATISTICS: Final = _reading(catalogue_pb2.StatisticsReply, wire.read_statistics)
_RESOLVED: Final = _reading(directory_pb2.ResolveReply, wire.read_resolved)
_CHAIN: Final = _reading(directory_pb2.RenewReply, lambda told: wire.read_chain(told.chain))


def _nothing(_: bytes) -> None:
    """For replies that say nothing but that it was done."""
