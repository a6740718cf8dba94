"""Signed methods: raw bytes in, raw bytes out, and the gate between the wire and every service.

What lives here: hash, verify, only then parse; sign every answer, errors included; bound what one peer can keep busy.
What must not: what any method does (`*_service.py`), or ports and processes (`hosting.py`).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from hashlib import sha256
from typing import Any, Final, TypeVar

import grpc
import msgspec

from federation.calls import (
    METHOD_CHARS_MAX,
    AdmittedCall,
    Gate,
    MethodRules,
    ReplyHeader,
    SignedCall,
    call_digest,
    sign_reply,
)
from federation.errors import NotFound, Unavailable
from federation.naming import NodeName
from node.ports import Clock, Identity
from node.rpc import envelope
from node.rpc.answers import Answer, Change, FirstAnswers, answer_to
from node.rpc.arrivals import Arrival
from node.rpc.envelope import Sealed
from node.rpc.sealing import open_call
from node.rpc.status_codes import STATUS_BY_NUMBER
from node.rpc.tls import TlsPeers
from node.rpc.transports import RawReply

T = TypeVar("T")
Unary = Callable[[AdmittedCall, bytes], Awaitable[bytes]]
Streaming = Callable[[AdmittedCall, bytes], AsyncGenerator[bytes, None]]
Changing = Callable[[AdmittedCall, bytes, Change], Awaitable[None]]
Exchange = Callable[[AdmittedCall, bytes, AsyncIterator[bytes]], AsyncGenerator[bytes, None]]
FIRST_MESSAGE_S: Final = 10.0
_ACCEPTED: Final = Answer()


class DeadlinePassed(Unavailable):
    code = "LLN-1604"
    zh = "处理超时，没有完成。程序会稍后重试。"
    en = "The work took longer than its deadline and was given up; the program retries later."


class TooBusy(Unavailable):
    code = "LLN-1605"
    zh = "节点正忙，请稍后再试。"
    en = "The node is busy; try again shortly."


class NodeStopping(Unavailable):
    code = "LLN-1607"
    zh = "节点正在停止，稍后会自动重新连接。"
    en = "The node is stopping; whoever watches it reconnects by itself later."


class MethodNotServed(NotFound):
    code = "LLN-1220"
    zh = "这个节点没有这个方法，或者它不能以这种方式调用。可能是版本不同。"
    en = "This node has no such method, or none that can be called this way. Its version may differ."


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One method as it is served: exactly one of `unary`, `changing`, `streaming` and `exchange` is set."""

    rules: MethodRules
    unary: Unary | None = None
    changing: Changing | None = None
    streaming: Streaming | None = None
    exchange: Exchange | None = None


class Busyness(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls may be worked on at once, in all and for one peer; an open stream is one of them."""

    calls: int = 512
    calls_per_peer: int = 64


class SignedMethods:
    """Turns methods into gRPC handlers; one per process."""

    def __init__(
        self,
        *,
        identity: Identity,
        tls_peers: TlsPeers,
        gate: Gate,
        new_epoch: Callable[[], bytes],
        answers: FirstAnswers,
        clock: Clock,
        busyness: Busyness | None = None,
        heard_from: Callable[[NodeName], None] = lambda _: None,
    ) -> None:
        """`heard_from` is told the name of each caller whose call was admitted."""
        self._identity = identity
        self._tls_peers = tls_peers
        self._gate = gate
        self._new_epoch = new_epoch
        self._answers = answers
        self._clock = clock
        self._busyness = busyness or Busyness()
        self._heard_from = heard_from
        self._at_work_in_all = 0
        self._at_work: dict[NodeName, int] = {}
        self._streams: set[asyncio.Task[Any]] = set()
        self._is_stopping = False
        self._by_path: dict[str, Callable[[bytes, Any], Awaitable[bytes]]] = {}
        self.refused: dict[str, int] = {}

    def handlers(self, methods: Mapping[str, Method]) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
        """Handlers by method name, without (de)serialisers: the bytes arrive and leave as they are."""
        return {name: self._handler(method) for name, method in methods.items()}

    def hang_up_streams(self) -> None:
        """End every open stream, and every later one, with a signed word that this node is stopping."""
        self._is_stopping = True
        for stream in self._streams:
            stream.cancel()

    async def answer(self, method: str, payload: bytes, arrival: Arrival) -> RawReply:
        """The signed answer to a call that came by another road than its caller's own connection; never raises."""
        serve = self._by_path.get(method)
        if serve is not None:
            return arrival.reply(await serve(payload, arrival))
        sealed = envelope.find(arrival.invocation_metadata(), envelope.CALL)
        return arrival.reply(self._send(arrival, sealed, answer_to(MethodNotServed(method[:METHOD_CHARS_MAX]))))

    def _handler(self, method: Method) -> "grpc.RpcMethodHandler[bytes, bytes]":
        if method.exchange is not None:
            return grpc.stream_stream_rpc_method_handler(self._exchange(method.rules, method.exchange))
        if method.streaming is not None:
            return grpc.unary_stream_rpc_method_handler(self._stream(method.rules, method.streaming))
        serve = self._by_path[method.rules.method] = self._unary(method)
        return grpc.unary_unary_rpc_method_handler(serve)

    def _unary(self, method: Method) -> Callable[[bytes, Any], Awaitable[bytes]]:
        rules = method.rules

        async def serve(payload: bytes, context: Any) -> bytes:
            sealed = envelope.find(context.invocation_metadata(), envelope.CALL)
            try:
                call, admitted = self._admit(sealed, payload, rules, context)
                self._begin_work(admitted.caller.name)
                try:
                    answer = await self._work_sealed(call, admitted, method, context)
                finally:
                    self._end_work(admitted.caller.name)
            except Exception as error:  # noqa: BLE001  # a peer gets a signed answer to everything
                answer = answer_to(error)
            return self._send(context, sealed, answer)

        return serve

    def _stream(self, rules: MethodRules, work: Streaming) -> Callable[[bytes, Any], Awaitable[None]]:
        async def serve(payload: bytes, context: Any) -> None:
            sealed = envelope.find(context.invocation_metadata(), envelope.CALL)
            try:
                call, admitted = self._admit(sealed, payload, rules, context)
                self._begin_work(admitted.caller.name)
                try:
                    await context.send_initial_metadata(self._seal(sealed, _ACCEPTED))
                    await self._pour(call, admitted, rules, work, context)
                finally:
                    self._end_work(admitted.caller.name)
                ended = _ACCEPTED
            except Exception as error:  # noqa: BLE001  # a peer gets a signed answer to everything
                ended = answer_to(error)
            self._send(context, sealed, ended)

        return serve

    def _exchange(self, rules: MethodRules, work: Exchange) -> Callable[[AsyncIterator[bytes], Any], Awaitable[None]]:
        async def serve(said: AsyncIterator[bytes], context: Any) -> None:
            try:
                async with asyncio.timeout(FIRST_MESSAGE_S):
                    first = await anext(said)
            except (TimeoutError, StopAsyncIteration):
                first = b""  # what was signed is not there, and is refused for that
            await self._stream(rules, lambda call, payload: work(call, payload, said))(first, context)

        return serve

    def _admit(
        self, sealed: Sealed, payload: bytes, rules: MethodRules, context: Any
    ) -> tuple[SignedCall, AdmittedCall]:
        now_ms = self._clock.now_ms()
        if isinstance(context, Arrival):
            peer = context.caller(now_ms)
        else:
            peer = self._tls_peers.peer_of(context.auth_context(), now_ms)
        call = envelope.read_call(sealed, payload)
        if self._gate.is_set_back(now_ms):
            self._gate.begin_epoch(self._new_epoch())
        admitted = self._gate.admit(call, rules, peer=peer, now_ms=now_ms)
        self._heard_from(peer.name)
        return call, admitted

    async def _work_sealed(self, call: SignedCall, admitted: AdmittedCall, method: Method, context: Any) -> Answer:
        """What has passed relays is opened first where the method's rules say so, and answered under seal."""
        if not (method.rules.sealed and isinstance(context, Arrival) and context.by == "relay"):
            return await self._work(call, admitted, method, context)
        opened = open_call(call.payload, self._identity, caller=admitted.caller.name, rules=method.rules)
        plain = msgspec.structs.replace(call, payload=opened.payload)
        answer = await self._work(plain, admitted, method, context)
        return answer if answer.status else msgspec.structs.replace(answer, body=opened.seal_reply(answer.body))

    async def _work(self, call: SignedCall, admitted: AdmittedCall, method: Method, context: Any) -> Answer:
        rules, changing, unary = method.rules, method.changing, method.unary
        if changing is not None:
            return await self._answers.once(
                call, admitted, rules, lambda change: _in_time(rules, changing(admitted, call.payload, change))
            )
        assert unary is not None, rules.method  # noqa: S101  # our own table
        left_s = context.time_remaining()
        if left_s is not None and left_s * 1_000 <= rules.deadline_ms_max:  # then gRPC itself gives up in time
            return Answer(body=await unary(admitted, call.payload))
        return Answer(body=await _in_time(rules, unary(admitted, call.payload)))

    async def _pour(
        self, call: SignedCall, admitted: AdmittedCall, rules: MethodRules, work: Streaming, context: Any
    ) -> None:
        """Send a stream's messages, for as long as its caller is admitted and the method's deadline allows."""
        stream = asyncio.current_task()
        assert stream is not None  # noqa: S101  # gRPC runs every handler in a task
        if self._is_stopping:
            raise NodeStopping(self._identity.name)
        self._streams.add(stream)
        try:
            async with (
                asyncio.timeout(rules.deadline_ms_max / 1_000),
                aclosing(work(admitted, call.payload)) as messages,
            ):
                async for message in messages:
                    self._gate.judge_again(admitted, rules)
                    await context.write(message)
        except TimeoutError as late:
            raise DeadlinePassed(rules.method, f"open for {rules.deadline_ms_max} ms") from late
        except asyncio.CancelledError:
            if not self._is_stopping:
                raise
            stream.uncancel()  # gRPC would leave a cancelled handler's stream open, and its peer waiting
            raise NodeStopping(self._identity.name) from None
        finally:
            self._streams.discard(stream)

    def _send(self, context: Any, sealed: Sealed, answer: Answer) -> bytes:
        """Put the signed answer on its way; returns the message's bytes, empty for a refusal."""
        trailer = self._seal(sealed, answer)
        if answer.status == 0:
            context.set_trailing_metadata(trailer)
            return answer.body
        self.refused[answer.code] = self.refused.get(answer.code, 0) + 1
        context.set_code(STATUS_BY_NUMBER[answer.status])
        context.set_details(answer.code)
        context.set_trailing_metadata((*trailer, (envelope.ERROR, answer.body)))
        return b""

    def _seal(self, sealed: Sealed, answer: Answer) -> tuple[tuple[str, bytes], ...]:
        header = envelope.write_reply(
            ReplyHeader(
                responder=self._identity.name,
                call_sha256=call_digest(sealed.header_bytes, sealed.signature),
                status=answer.status,
                body_sha256=sha256(answer.body).digest(),
                at_ms=self._clock.now_ms(),
            )
        )
        return (envelope.REPLY, header), (envelope.SIGNATURE, sign_reply(header, self._identity))

    def _begin_work(self, caller: NodeName) -> None:
        """Count a call for as long as it is worked on; raises TooBusy."""
        theirs = self._at_work.get(caller, 0)
        if self._at_work_in_all >= self._busyness.calls:
            raise TooBusy(self._identity.name, f"{self._busyness.calls} calls are being worked on")
        if theirs >= self._busyness.calls_per_peer:
            raise TooBusy(caller, f"{self._busyness.calls_per_peer} of its calls are being worked on")
        self._at_work_in_all += 1
        self._at_work[caller] = theirs + 1

    def _end_work(self, caller: NodeName) -> None:
        self._at_work_in_all -= 1
        self._at_work[caller] -= 1
        if not self._at_work[caller]:
            del self._at_work[caller]


async def _in_time(rules: MethodRules, work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(rules.deadline_ms_max / 1_000):
            return await work
    except TimeoutError as late:
        raise DeadlinePassed(rules.method, f"more than {rules.deadline_ms_max} ms") from late
