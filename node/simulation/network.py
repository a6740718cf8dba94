"""The network between simulated nodes: real bytes, carried late, twice, spoilt, or not at all.

What lives here: who listens where, what is cut off from what, and the fate of each call and reply. What must not: what
the bytes say, and who decides that something fails when (`mishaps.py`).

Calls run over TLS, which lets nothing in that was altered on the way; `spoilt` bytes stand for a broken middlebox that
ends TLS itself, and copies for an attacker who has recorded a call. The gate must refuse both.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

import msgspec

from federation.errors import LlnError
from federation.naming import NodeName, is_within
from node.rpc.carriage import (
    DEADLINE_EXCEEDED,
    UNAVAILABLE,
    CarriedChannel,
    CarriedContext,
    Handlers,
    Pairs,
    Told,
    tls_properties,
)
from node.rpc.relay_transport import FORWARD_METHOD
from node.simulation.chance import Chance
from node.simulation.faults import Faults
from node.simulation.streams import NOTICED_S, Stream
from node.simulation.trace import Counts, Trace

NEAR_S: Final = (0.002, 0.06)
LATE_S: Final = (0.5, 8.0)
WINDOW_S: Final = 600.0
CALLS_MAX: Final = 6_000
"""More calls of one node in ten minutes are no federation at work, but a loop that nobody stops."""
COPY_S: Final = (0.01, 400.0)
"""A copy may arrive when its call has long expired, or its callee has restarted since."""


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody within `head` is cut off from everybody else; or, `alone`, only `head` itself is from all."""

    head: NodeName
    alone: bool = False

    def parts(self, one: NodeName, other: NodeName) -> bool:
        if self.alone:
            return self.head in (one, other) and one != other
        return is_within(one, self.head) != is_within(other, self.head)


class Host:
    """One start of a node's process, as the network knows it: it answers until it is gone."""

    def __init__(self, name: NodeName, handlers: Handlers) -> None:
        self.name = name
        self.handlers = handlers
        self.work: dict[asyncio.Task[None], None] = {}
        self.streams: dict[Stream, None] = {}

    def vanish(self) -> None:
        for task in tuple(self.work):
            task.cancel()
        for stream in tuple(self.streams):
            stream.break_off("the connection was reset")


class Request(msgspec.Struct, kw_only=True, gc=False):
    """One call on its way; `accepted`: how often its very bytes were answered with a yes."""

    sender: NodeName
    endpoint: str
    method: str
    payload: bytes
    metadata: Pairs
    properties: Mapping[str, Sequence[bytes]]
    ends_s: float
    accepted: int = 0


class Network:
    """`fail` is told of an invariant that does not hold, and of what was found."""

    def __init__(
        self, *, chance: Chance, faults: Faults, trace: Trace, counts: Counts, fail: Callable[[str, str], None]
    ) -> None:
        self.faults = faults
        self.cuts: list[Cut] = []
        self.counts = counts
        self._loop = asyncio.get_running_loop()
        self._chance = chance
        self._trace = trace
        self._fail = fail
        self._hosts: dict[str, Host] = {}
        self._window = 0
        self._calls_by: dict[NodeName, int] = {}

    # --- places ------------------------------------------------------------------------------------------------------

    def listen(self, endpoint: str, host: Host) -> None:
        self._hosts[endpoint] = host

    def leave(self, endpoint: str) -> None:
        host = self._hosts.pop(endpoint, None)
        if host is not None:
            host.vanish()

    def dial(self, sender: NodeName, endpoint: str, chain_pem: bytes) -> CarriedChannel:
        return CarriedChannel(_Connection(self, sender, endpoint, tls_properties(chain_pem)))

    def part(self, cut: Cut) -> None:
        """From now on nothing passes; streams that are open across the cut break once keepalive has noticed."""
        self.cuts.append(cut)
        self._loop.call_later(NOTICED_S, self._break_parted)

    def _break_parted(self) -> None:
        for host in self._hosts.values():
            for stream in tuple(host.streams):
                stream.break_if_parted()

    def is_parted(self, one: NodeName, other: NodeName) -> bool:
        return bool(self.cuts) and any(cut.parts(one, other) for cut in self.cuts)

    def host_at(self, endpoint: str) -> Host | None:
        return self._hosts.get(endpoint)

    # --- calls -------------------------------------------------------------------------------------------------------

    async def unary(self, request: Request) -> Told:
        """What came back, or what the transport says when nothing did."""
        answer: asyncio.Future[Told] = self._loop.create_future()
        late = Told(status=DEADLINE_EXCEEDED, details="deadline exceeded")
        timer = self._loop.call_at(request.ends_s, _settle, answer, late)
        self.counts.calls += 1
        self._check_patience(request)
        self._note("call", request, request.payload)
        self._send(request, answer)
        if self._strikes(self.faults.duplicated_share):
            self._copy(request)
        try:
            return await answer
        finally:
            timer.cancel()

    def stream(self, request: Request, said: bytes | AsyncIterator[bytes]) -> Stream:
        """Streams are single connections: in order, and broken rather than gapped."""
        self.counts.streams += 1
        stream = Stream(self, request, said)
        self._loop.call_later(self.delay_s(), stream.arrive)
        return stream

    def delay_s(self) -> float:
        if not self.faults.delay:
            return NEAR_S[0]
        if self._strikes(self.faults.late_share):
            self.counts.late += 1
            return self._chance.uniform(*LATE_S)
        return self._chance.uniform(*NEAR_S)

    def _check_patience(self, request: Request) -> None:
        window = int(self._loop.time() // WINDOW_S)
        if window != self._window:
            self._window, self._calls_by = window, {}
        made = self._calls_by[request.sender] = self._calls_by.get(request.sender, 0) + 1
        if made == CALLS_MAX:
            self._fail("nobody calls without end", f"{made} calls of {request.sender}, now {request.method}")

    def _strikes(self, share: float) -> bool:
        return bool(share) and self._chance.random() < share

    def _send(self, request: Request, answer: "asyncio.Future[Told]") -> None:
        if self._strikes(self.faults.lost_share):
            self.counts.lost += 1
            return
        if self._strikes(self.faults.spoilt_share):
            self.counts.spoilt += 1
            request = msgspec.structs.replace(request, payload=self._spoilt(request.payload))
        self._loop.call_later(self.delay_s(), self._arrive, request, answer)

    def _copy(self, request: Request) -> None:
        self.counts.duplicated += 1
        self._loop.call_later(self._chance.uniform(*COPY_S), self._arrive, request, None)

    def _arrive(self, request: Request, answer: "asyncio.Future[Told] | None") -> None:
        host = self._hosts.get(request.endpoint)
        callee = NodeName(request.endpoint.rpartition(":")[0])
        if self.is_parted(request.sender, callee):
            self.counts.parted += 1
            return
        if host is None:
            if answer is not None:
                self._loop.call_later(self.delay_s(), _settle, answer, Told(status=UNAVAILABLE, details="refused"))
            return
        work = self._loop.create_task(self._serve(host, request, answer))  # ended by Host.vanish, or by itself
        host.work[work] = None
        work.add_done_callback(host.work.pop)

    async def _serve(self, host: Host, request: Request, answer: "asyncio.Future[Told] | None") -> None:
        context = CarriedContext(metadata=request.metadata, properties=request.properties, ends_s=request.ends_s)
        try:
            async with asyncio.timeout_at(max(request.ends_s, self._loop.time() + 1)):
                told = await host.handlers.unary(request.method, request.payload, context)
        except TimeoutError:
            return
        self._judge(host, request, told)
        self._note("told", request, told.body)
        if answer is not None:
            self._send_back(host, request, told, answer)

    def _judge(self, host: Host, request: Request, told: Told) -> None:
        if told.status == 0:
            request.accepted += 1
            if request.accepted > 1:
                self._fail("a call is carried out once", f"{request.method} of {request.sender} at {host.name}")
            return
        self.counts.refused[told.details] = self.counts.refused.get(told.details, 0) + 1
        if told.details == LlnError.code:
            self._fail("nothing fails in a way nobody foresaw", f"{request.method} of {request.sender} at {host.name}")

    def _send_back(self, host: Host, request: Request, told: Told, answer: "asyncio.Future[Told]") -> None:
        if self._strikes(self.faults.lost_share) or self.is_parted(request.sender, host.name):
            self.counts.lost += 1
            return
        if told.body and self._strikes(self.faults.spoilt_share):
            self.counts.spoilt += 1
            told = msgspec.structs.replace(told, body=self._spoilt(told.body))
        self._loop.call_later(self.delay_s(), _settle, answer, told)

    def _spoilt(self, sent: bytes) -> bytes:
        if not sent:
            return b"\0"
        at = self._chance.randrange(len(sent))
        return sent[:at] + bytes((sent[at] ^ 1 << self._chance.randrange(8),)) + sent[at + 1 :]

    def _note(self, what: str, request: Request, sent: bytes) -> None:
        """What passes relays is sealed with chance that nobody can seed (HPKE), so only its length counts."""
        told = f"{len(sent)} bytes" if request.method == FORWARD_METHOD else sent
        self._trace.note(self._loop.time(), what, request.sender, request.endpoint, request.method, told)


class _Connection:
    """`node.rpc.carriage.Carrier` from one node to one address."""

    def __init__(
        self, network: Network, sender: NodeName, endpoint: str, properties: Mapping[str, Sequence[bytes]]
    ) -> None:
        self._network = network
        self._sender = sender
        self._endpoint = endpoint
        self._properties = properties
        self._loop = asyncio.get_running_loop()

    async def unary(self, method: str, payload: bytes, metadata: Pairs, timeout_s: float) -> Told:
        return await self._network.unary(self._request(method, payload, metadata, self._loop.time() + timeout_s))

    def stream(self, method: str, said: bytes | AsyncIterator[bytes], metadata: Pairs) -> Stream:
        payload = said if isinstance(said, bytes) else b""
        return self._network.stream(self._request(method, payload, metadata, 0.0), said)

    def _request(self, method: str, payload: bytes, metadata: Pairs, ends_s: float) -> Request:
        return Request(
            sender=self._sender,
            endpoint=self._endpoint,
            method=method,
            payload=payload,
            metadata=metadata,
            properties=self._properties,
            ends_s=ends_s,
        )


def _settle(answer: "asyncio.Future[Told]", told: Told) -> None:
    if not answer.done():
        answer.set_result(told)
