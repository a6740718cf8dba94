"""Other nodes, as the use cases see them: `node.ports.Peers` over signed gRPC.

What lives here: each call as typed values, and the lines to peers, kept, rebuilt and left alone. What must not:
retries, or when to call whom.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

from google.protobuf.message import Message

from federation.calls import Judge
from federation.certificate_profile import read_authority
from federation.certificates import ChainVerifier
from federation.directory import NodeDescription
from federation.errors import PeerRefused, PeerUnreachable, UntrustedPeer
from federation.keys import NodeKey
from federation.logs import Page
from federation.naming import NodeName
from federation.search import SearchAnswer, SearchRequest
from node.ports import (
    Clock,
    ForkEvidence,
    HeldLog,
    Identity,
    LogHeadNote,
    PeerHello,
    PushReceipt,
    Randomness,
    Resolved,
)
from node.rpc import wire, wire_logs
from node.rpc.breaker import Breaker
from node.rpc.channels import Line
from node.rpc.tls import TlsMaterial
from protos.lln.v1 import catalogue_pb2, directory_pb2, logs_pb2

ACCEPTANCE_S: Final = 10.0
HELD_PAGES_MAX: Final = 500

AMessage = TypeVar("AMessage", bound=Message)
AValue = TypeVar("AValue")


class AddressUnknown(PeerUnreachable):
    code = "LLN-251"
    zh = "不知道这个节点的地址，无法直接联系。"
    en = "No address is known for this node, so it cannot be dialled."


class BreakerOpen(PeerUnreachable):
    code = "LLN-252"
    zh = "该节点最近多次没有应答，暂时不再联系，稍后自动再试。"
    en = "The node did not answer several times in a row; it is left alone for a moment and then tried again."


class UnreadableReply(PeerUnreachable):
    code = "LLN-254"
    zh = "对端的答复签名正确但内容无法读取，已丢弃。请确认双方程序版本。"
    en = "The answer is signed but cannot be read; it was discarded. Check that both programs' versions agree."


class GrpcPeers:
    """Signed calls to other nodes. One line to each; close it when done.

    `judge`: whether the directory still admits a peer, asked before every call to it. Errors as `node.ports.Peers`.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        material: TlsMaterial,
        chains: ChainVerifier,
        clock: Clock,
        randomness: Randomness,
        judge: Judge | None = None,
        software_version: str = "",
    ) -> None:
        self._identity = identity
        self._material = material
        self._chains = chains
        self._clock = clock
        self._randomness = randomness
        self._judge = judge
        self._software_version = software_version
        self._endpoints: dict[NodeName, str] = {}
        self._lines: dict[NodeName, Line] = {}
        self._retired: list[Line] = []
        self._breakers: dict[NodeName, Breaker] = {}

    def know(self, name: NodeName, endpoint: str) -> None:
        self._endpoints[name] = endpoint

    def can_dial(self, name: NodeName) -> bool:
        return name in self._endpoints

    def endpoint_of(self, name: NodeName) -> str:
        return self._endpoints.get(name, "")

    def heard_from(self, name: NodeName) -> None:
        """A verified call came in from `name`: whatever was wrong with reaching it may be over."""
        breaker = self._breakers.get(name)
        if breaker is not None:
            breaker.succeeded()

    async def hang_up_retired(self) -> None:
        """Close the lines that a renewed leaf or a new address has replaced; calls in flight may finish first."""
        retired, self._retired = self._retired, []
        for line in retired:
            await line.close()

    async def close(self) -> None:
        self._retired.extend(self._lines.values())
        self._lines.clear()
        await self.hang_up_retired()

    # --- the port ----------------------------------------------------------------------------------------------------

    async def hello(self, to: NodeName, *, timeout_s: float) -> PeerHello:
        line = self._line(to)
        try:
            hello = await line.hello(timeout_s)
        except (PeerUnreachable, UntrustedPeer):
            self._failed(to)
            raise
        self.heard_from(to)
        return hello

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
        asked = logs_pb2.PushRequest(page=wire_logs.write_page(page), confirmed_at_ms=confirmed_at_ms)
        receipt = _reading(logs_pb2.PushReply, lambda told: wire_logs.read_receipt(told, page.log))
        return await self._ask(to, "/lln.v1.Logs/Push", asked, timeout_s=timeout_s, read=receipt)

    async def read(self, to: NodeName, topic: str, start: int, limit: int, *, timeout_s: float) -> Page:
        asked = logs_pb2.ReadRequest(topic=topic, start=start, limit=limit)
        return await self._ask(to, "/lln.v1.Logs/Read", asked, timeout_s=timeout_s, read=_PAGE)

    async def watch(self, to: NodeName, topics: Sequence[str]) -> AsyncIterator[LogHeadNote]:
        asked = logs_pb2.WatchRequest(topics=topics).SerializeToString()
        line = self._line(to)
        try:
            async with aclosing(line.stream("/lln.v1.Logs/Watch", asked, timeout_s=ACCEPTANCE_S)) as messages:
                async for message in messages:
                    self.heard_from(to)
                    yield _understood(to, message, _HEAD)
        except (PeerUnreachable, UntrustedPeer):
            self._failed(to)
            raise

    async def report_fork(self, to: NodeName, evidence: ForkEvidence, operation_id: str, *, timeout_s: float) -> None:
        asked = wire_logs.write_fork(evidence)
        await self._ask(
            to, "/lln.v1.Logs/ReportFork", asked, timeout_s=timeout_s, read=_nothing, operation_id=operation_id
        )

    async def search(self, to: NodeName, request: SearchRequest, *, timeout_s: float) -> SearchAnswer:
        return await self._ask(
            to, "/lln.v1.Catalogue/Search", wire.write_search(request), timeout_s=timeout_s, read=_ANSWER
        )

    async def statistics(self, to: NodeName, *, timeout_s: float) -> tuple[bytes, int]:
        asked = catalogue_pb2.StatisticsRequest()
        return await self._ask(to, "/lln.v1.Catalogue/Statistics", asked, timeout_s=timeout_s, read=_STATISTICS)

    async def resolve(self, to: NodeName, name: NodeName, hops_left: int, *, timeout_s: float) -> Resolved:
        asked = directory_pb2.ResolveRequest(name=name, hops_left=hops_left)
        return await self._ask(to, "/lln.v1.Directory/Resolve", asked, timeout_s=timeout_s, read=_RESOLVED)

    async def renew(
        self, to: NodeName, signing_request: bytes, operation_id: str, *, timeout_s: float
    ) -> tuple[bytes, ...]:
        asked = directory_pb2.RenewRequest(signing_request=signing_request)
        return await self._ask(
            to, "/lln.v1.Directory/Renew", asked, timeout_s=timeout_s, read=_CHAIN, operation_id=operation_id
        )

    async def describe(
        self, to: NodeName, description: NodeDescription, operation_id: str, *, timeout_s: float
    ) -> None:
        asked = directory_pb2.DescribeRequest(description=wire.write_document(description))
        await self._ask(
            to, "/lln.v1.Directory/Describe", asked, timeout_s=timeout_s, read=_nothing, operation_id=operation_id
        )

    # --- lines -------------------------------------------------------------------------------------------------------

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
        """One call, its verified answer as a value, and what its outcome means for the peer's breaker."""
        line = self._line(to)
        payload = asked.SerializeToString()
        try:
            body = await line.call(method, payload, timeout_s=timeout_s, operation_id=operation_id)
        except (PeerUnreachable, UntrustedPeer):
            self._failed(to)
            raise
        except PeerRefused:
            self.heard_from(to)
            raise
        self.heard_from(to)
        return _understood(to, body, read)

    def _line(self, to: NodeName) -> Line:
        """The line in use; a new one where the address or our own TLS leaf has changed since.

        Raises AddressUnknown, BreakerOpen.
        """
        endpoint = self._endpoints.get(to)
        if not endpoint:
            raise AddressUnknown(to, "no directory held here, and no hello, has told its address")
        breaker = self._breakers.get(to)
        if breaker is not None and not breaker.lets_through(self._clock.monotonic_s()):
            raise BreakerOpen(to, f"{breaker.failures} failures in a row")
        line = self._lines.get(to)
        if line is not None and line.endpoint == endpoint and line.tls == self._material.current_tls():
            return line
        if line is not None:
            self._retired.append(line)
        self._lines[to] = line = Line(
            to=to,
            endpoint=endpoint,
            identity=self._identity,
            material=self._material,
            chains=self._chains,
            clock=self._clock,
            randomness=self._randomness,
            judge=self._judge,
            key=line.key if line is not None else self._key_above(to),
            software_version=self._software_version,
        )
        return line

    def _key_above(self, name: NodeName) -> NodeKey | None:
        """The node key of an authority above this node, as its own chain, verified long since, records it."""
        for der in (*self._identity.chain, self._identity.root_certificate):
            claims = read_authority(der).claims
            if claims.name == name:
                return NodeKey.parse(claims.did)
        return None

    def _failed(self, to: NodeName) -> None:
        breaker = self._breakers.setdefault(to, Breaker())
        breaker.failed(self._clock.monotonic_s(), self._randomness.fraction())


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
