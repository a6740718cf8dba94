"""Other nodes, as the use cases see them: `node.ports.Peers` over signed gRPC.

What lives here: lines to peers, kept, rebuilt and broken off; each call as typed values. What must not: retries, or
when to call whom.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from federation import canonical
from federation.certificates import ChainVerifier
from federation.directory import NodeDescription
from federation.errors import PeerUnreachable
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
from node.rpc import wire
from node.rpc.channels import Line
from node.rpc.tls import TlsMaterial
from protos.lln.v1 import catalogue_pb2, directory_pb2, logs_pb2

BREAKER_FAILURES: Final = 3
BREAKER_FIRST_S: Final = 1.0
BREAKER_LONGEST_S: Final = 30.0
WATCH_TIMEOUT_S: Final = 30.0


class AddressUnknown(PeerUnreachable):
    code = "LLN-251"
    zh = "不知道这个节点的地址，无法直接联系。"
    en = "No address is known for this node, so it cannot be dialled."


class BreakerOpen(PeerUnreachable):
    code = "LLN-252"
    zh = "该节点最近多次没有应答，暂时不再联系，稍后自动再试。"
    en = "The node did not answer several times in a row; it is left alone for a moment and then tried again."


class _Breaker(msgspec.Struct, kw_only=True):
    failures: int = 0
    closed_again_s: float = 0.0


class GrpcPeers:
    def __init__(
        self,
        *,
        identity: Identity,
        material: TlsMaterial,
        chains: ChainVerifier,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._identity = identity
        self._material = material
        self._chains = chains
        self._clock = clock
        self._randomness = randomness
        self._endpoints: dict[NodeName, str] = {}
        self._lines: dict[NodeName, Line] = {}
        self._retired: list[Line] = []
        self._breakers: dict[NodeName, _Breaker] = {}

    def know(self, name: NodeName, endpoint: str) -> None:
        self._endpoints[name] = endpoint

    def can_dial(self, name: NodeName) -> bool:
        return name in self._endpoints

    def endpoint_of(self, name: NodeName) -> str:
        return self._endpoints.get(name, "")

    async def close(self) -> None:
        for line in (*self._lines.values(), *self._retired):
            await line.close()
        self._lines.clear()
        self._retired.clear()

    # --- calls -------------------------------------------------------------------------------------------------------

    async def hello(self, to: NodeName, *, timeout_s: float) -> PeerHello:
        async with _Watched(self, to) as line:
            return await line.hello(timeout_s)

    async def held(self, to: NodeName, *, timeout_s: float) -> Sequence[HeldLog]:
        held: list[HeldLog] = []
        while True:
            asked = logs_pb2.HeldRequest(after=held[-1].log.origin_line if held else "")
            body = await self._call(to, "Logs/Held", asked.SerializeToString(), timeout_s)
            told = wire.read(logs_pb2.HeldReply, body)
            page = wire.read_held(told)
            held.extend(page)
            if not told.more or not page:
                return held

    async def push(self, to: NodeName, page: Page, confirmed_at_ms: int, *, timeout_s: float) -> PushReceipt:
        asked = logs_pb2.PushRequest(page=wire.write_page(page), confirmed_at_ms=confirmed_at_ms)
        body = await self._call(to, "Logs/Push", asked.SerializeToString(), timeout_s)
        return wire.read_receipt(wire.read(logs_pb2.PushReply, body), page.log)

    async def read(self, to: NodeName, topic: str, start: int, limit: int, *, timeout_s: float) -> Page:
        asked = logs_pb2.ReadRequest(topic=topic, start=start, limit=limit)
        body = await self._call(to, "Logs/Read", asked.SerializeToString(), timeout_s)
        return wire.read_page(wire.read(logs_pb2.ReadReply, body).page)

    async def watch(self, to: NodeName, topics: Sequence[str]) -> AsyncIterator[LogHeadNote]:
        asked = logs_pb2.WatchRequest(topics=topics).SerializeToString()
        async for message in self._line(to).stream("/lln.v1.Logs/Watch", asked, timeout_s=WATCH_TIMEOUT_S):
            head = wire.read(logs_pb2.Head, message)
            wire.within("note bytes", len(head.checkpoint), wire.NOTE_BYTES_MAX)
            yield LogHeadNote(log=wire.log_id(head.origin, head.topic), note=head.checkpoint)

    async def report_fork(self, to: NodeName, evidence: ForkEvidence, operation_id: str, *, timeout_s: float) -> None:
        asked = logs_pb2.ReportForkRequest(
            origin=evidence.log.origin,
            topic=evidence.log.topic,
            one=evidence.one,
            other=evidence.other,
            found_by=evidence.found_by,
        )
        await self._call(to, "Logs/ReportFork", asked.SerializeToString(), timeout_s, operation_id)

    async def search(self, to: NodeName, request: SearchRequest, *, timeout_s: float) -> SearchAnswer:
        return wire.read_answer(await self._call(to, "Catalogue/Search", wire.write_search(request), timeout_s))

    async def statistics(self, to: NodeName, *, timeout_s: float) -> tuple[bytes, int]:
        body = await self._call(to, "Catalogue/Statistics", b"", timeout_s)
        told = wire.read(catalogue_pb2.StatisticsReply, body)
        wire.within("statistics bytes", len(told.statistics), wire.STATISTICS_BYTES_MAX)
        return told.statistics, told.at_ms

    async def resolve(self, to: NodeName, name: NodeName, hops_left: int, *, timeout_s: float) -> Resolved:
        asked = directory_pb2.ResolveRequest(name=name, hops_left=hops_left)
        body = await self._call(to, "Directory/Resolve", asked.SerializeToString(), timeout_s)
        return wire.read_resolved(wire.read(directory_pb2.ResolveReply, body))

    async def renew(
        self, to: NodeName, signing_request: bytes, operation_id: str, *, timeout_s: float
    ) -> tuple[bytes, ...]:
        asked = directory_pb2.RenewRequest(signing_request=signing_request)
        body = await self._call(to, "Directory/Renew", asked.SerializeToString(), timeout_s, operation_id)
        return wire.read_chain(wire.read(directory_pb2.RenewReply, body).chain)

    async def describe(
        self, to: NodeName, description: NodeDescription, operation_id: str, *, timeout_s: float
    ) -> None:
        asked = directory_pb2.DescribeRequest(description=canonical.encode(description))
        await self._call(to, "Directory/Describe", asked.SerializeToString(), timeout_s, operation_id)

    # -----------------------------------------------------------------------------------------------------------------

    async def _call(self, to: NodeName, method: str, payload: bytes, timeout_s: float, operation_id: str = "") -> bytes:
        async with _Watched(self, to) as line:
            return await line.call(f"/lln.v1.{method}", payload, timeout_s=timeout_s, operation_id=operation_id)

    def _line(self, to: NodeName) -> Line:
        """The line in use; a new one where the address or our own TLS leaf has changed since."""
        endpoint = self._endpoints.get(to)
        if not endpoint:
            raise AddressUnknown(to, "no directory held here, and no hello, has told its address")
        line = self._lines.get(to)
        if line is not None and (line.endpoint, line.tls) == (endpoint, self._material.current_tls()):
            return line
        if line is not None:
            self._retired.append(line)
        line = Line(
            to=to,
            endpoint=endpoint,
            identity=self._identity,
            material=self._material,
            chains=self._chains,
            clock=self._clock,
            randomness=self._randomness,
        )
        self._lines[to] = line
        return line

    def check_breaker(self, to: NodeName) -> Line:
        breaker = self._breakers.get(to)
        if breaker is not None and self._clock.monotonic_s() < breaker.closed_again_s:
            raise BreakerOpen(to, f"{breaker.failures} failures in a row")
        return self._line(to)

    def succeeded(self, to: NodeName) -> None:
        self._breakers.pop(to, None)

    def failed(self, to: NodeName) -> None:
        breaker = self._breakers.setdefault(to, _Breaker())
        breaker.failures += 1
        if breaker.failures >= BREAKER_FAILURES:
            ceiling = min(BREAKER_LONGEST_S, BREAKER_FIRST_S * 2.0 ** (breaker.failures - BREAKER_FAILURES))
            breaker.closed_again_s = self._clock.monotonic_s() + ceiling * (0.5 + 0.5 * self._randomness.fraction())

    async def hang_up_retired(self) -> None:
        """Close the lines that a renewal or a new address has replaced."""
        while self._retired:
            await self._retired.pop().close()


class _Watched:
    """One use of a line, counted by its peer's breaker: only silence counts against a peer, a refusal does not."""

    def __init__(self, peers: GrpcPeers, to: NodeName) -> None:
        self._peers = peers
        self._to = to

    async def __aenter__(self) -> Line:
        return self._peers.check_breaker(self._to)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            self._peers.succeeded(self._to)
        elif isinstance(error, PeerUnreachable):
            self._peers.failed(self._to)
