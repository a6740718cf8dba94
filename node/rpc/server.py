"""Signed methods: raw bytes in, raw bytes out, and the gate between the wire and every service.

What lives here: hash, verify, only then parse; sign every answer, errors included; bound what one peer can keep busy.
What must not: what any method does (`*_service.py`), or ports and processes (`hosting.py`).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from hashlib import sha256
from typing import Any, Final, TypeVar

import grpc
import msgspec

from federation.budgets import Allowance, Budgets
from federation.callers import TooManyCalls, TooManyFailures
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
from federation.certificates import VerifiedNode
from federation.errors import BadCall, BadLog, NotFound, Unavailable
from federation.naming import NodeName
from node.ports import Clock, Identity
from node.rpc import envelope
from node.rpc.answers import Answer, Change, FirstAnswers, answer_to
from node.rpc.arrivals import Arrival
from node.rpc.envelope import Sealed
from node.rpc.refusals import Refusals
from node.rpc.sealing import open_call
from node.rpc.status_codes import STATUS_BY_NUMBER
from node.rpc.tls import TlsPeers
from node.rpc.transports import RawReply
from node.rpc.turns import Busyness, TooBusy, Turn, Turns

T = TypeVar("T")
Unary = Callable[[AdmittedCall, bytes], Awaitable[bytes]]
Streaming = Callable[[AdmittedCall, bytes], AsyncGenerator[bytes, None]]
Changing = Callable[[AdmittedCall, bytes, Change], Awaitable[None]]
Exchange = Callable[[AdmittedCall, bytes, AsyncIterator[bytes]], AsyncGenerator[bytes, None]]
FIRST_MESSAGE_S: Final = 10.0
_ACCEPTED: Final = Answer()
_NOT_NOW: Final = (TooManyCalls, TooBusy)


class DeadlinePassed(Unavailable):
    code = "LLN-1604"
    zh = "处理超时，没有完成。程序会稍后重试。"
    en = "The work took longer than its deadline and was given up; the program retries later."


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


class Allowances(msgspec.Struct, frozen=True, kw_only=True):
    """Of what one peer may do little: calls that do not hold, and calls that change something and are kept for ever."""

    failures: Allowance = Allowance(per_second=1.0, burst=60.0)
    changes: Allowance = Allowance(per_second=2.0, burst=120.0)


class _Heard(msgspec.Struct, frozen=True, gc=False):
    """Who is at the other end, and in which lane its calls wait.

    What has come through relays waits in a lane of its own: a relay can show anybody's certificates, and must not be
    able to shut out their bearer, who calls by itself. For the same reason nobody is blamed for it.
    """

    peer: VerifiedNode
    lane: str
    blamed: NodeName | None


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
        allowances: Allowances | None = None,
        heard_from: Callable[[NodeName], None] = lambda _: None,
    ) -> None:
        """`heard_from` is told the name of each caller whose call was admitted."""
        allowed = allowances or Allowances()
        self._identity = identity
        self._tls_peers = tls_peers
        self._gate = gate
        self._new_epoch = new_epoch
        self._answers = answers
        self._clock = clock
        self._heard_from = heard_from
        self._turns = Turns(busyness or Busyness(), clock.monotonic_s)
        self._failures = Budgets(allowed.failures)
        self._changes = Budgets(allowed.changes)
        self._streams: set[asyncio.Task[Any]] = set()
        self._is_stopping = False
        self._by_path: dict[str, Callable[[bytes, Any], Awaitable[bytes]]] = {}
        self.refusals = Refusals()

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
        return arrival.reply(self._send(arrival, sealed, answer_to(MethodNotServed(method[:METHOD_CHARS_MAX])), None))

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
            heard: _Heard | None = None
            try:
                heard = self._hear(context)

                async def answered(turn: Turn | None, by: _Heard = heard) -> Answer:
                    call, admitted = self._admit(sealed, payload, rules, by)
                    if turn is not None and rules.waits:
                        turn.stand_back()
                    return await self._work_sealed(call, admitted, method, context)

                answer = await self._in_turn(heard, len(payload), answered, is_metered=not rules.waits)
            except Exception as error:  # noqa: BLE001  # a peer gets a signed answer to everything
                return await self._refuse(context, sealed, error, heard, rules)
            return self._send(context, sealed, answer, heard)

        return serve

    async def _in_turn(
        self,
        heard: _Heard,
        payload_bytes: int,
        answered: Callable[[Turn | None], Coroutine[Any, Any, Answer]],
        *,
        is_metered: bool,
    ) -> Answer:
        if heard.peer.name == self._identity.name:  # its own people have the whole node
            return await answered(None)
        turn = self._take_turn(heard, payload_bytes)
        try:
            if turn.must_wait:
                await turn.wait()
            return await (turn.metered(answered(turn)) if is_metered else answered(turn))
        finally:
            turn.end()

    def _stream(self, rules: MethodRules, work: Streaming) -> Callable[[bytes, Any], Awaitable[None]]:
        async def serve(payload: bytes, context: Any) -> None:
            async def first() -> bytes:
                return payload

            await self._serve_stream(rules, work, first, context)

        return serve

    def _exchange(self, rules: MethodRules, work: Exchange) -> Callable[[AsyncIterator[bytes], Any], Awaitable[None]]:
        async def serve(said: AsyncIterator[bytes], context: Any) -> None:
            async def first() -> bytes:
                try:
                    async with asyncio.timeout(FIRST_MESSAGE_S):
                        return await anext(said)
                except (TimeoutError, StopAsyncIteration):
                    return b""  # what was signed is not there, and is refused for that

            await self._serve_stream(rules, lambda call, payload: work(call, payload, said), first, context)

        return serve

    async def _serve_stream(
        self, rules: MethodRules, work: Streaming, first: Callable[[], Awaitable[bytes]], context: Any
    ) -> None:
        """A stream is one of its caller's calls from its first moment, while even its first message is waited for."""
        sealed = envelope.find(context.invocation_metadata(), envelope.CALL)
        heard: _Heard | None = None
        try:
            heard = self._hear(context)
            turn = self._take_turn(heard, 0)
            try:
                if turn.must_wait:
                    await turn.wait()
                turn.stay_open()
                call, admitted = self._admit(sealed, await first(), rules, heard)
                await context.send_initial_metadata(self._seal(sealed, _ACCEPTED))
                await self._pour(call, admitted, rules, work, context)
            finally:
                turn.end()
        except Exception as error:  # noqa: BLE001  # a peer gets a signed answer to everything
            await self._refuse(context, sealed, error, heard, rules)
            return
        self._send(context, sealed, _ACCEPTED, heard)

    def _hear(self, context: Any) -> _Heard:
        now_ms = self._clock.now_ms()
        if isinstance(context, Arrival):
            peer = context.caller(now_ms)
            if context.by == "relay":
                return _Heard(peer, f"{peer.name} by relay", None)
        else:
            peer = self._tls_peers.peer_of(context.auth_context(), now_ms)
        return _Heard(peer, peer.name, peer.name)

    def _take_turn(self, heard: _Heard, payload_bytes: int) -> Turn:
        """Before anything of the call is looked at: who has sent too much that did not hold is not listened to."""
        if self._failures.is_spent(heard.lane, self._clock.now_ms()):
            raise TooManyFailures(heard.peer.name, "too many of its calls did not hold")
        return self._turns.take(heard.lane, payload_bytes)

    def _admit(
        self, sealed: Sealed, payload: bytes, rules: MethodRules, heard: _Heard
    ) -> tuple[SignedCall, AdmittedCall]:
        now_ms = self._clock.now_ms()
        try:
            call = envelope.read_call(sealed, payload)
            if self._gate.is_set_back(now_ms):
                self._gate.begin_epoch(self._new_epoch())
            admitted = self._gate.admit(call, rules, peer=heard.peer, now_ms=now_ms)
        except BadCall:
            if rules.waits:
                self._failures.spend(heard.lane, now_ms)
            raise
        if rules.changes and admitted.relation != "self" and not self._changes.spend(heard.lane, now_ms):
            raise TooManyCalls(heard.peer.name, "too many of its calls change something")
        self._heard_from(heard.peer.name)
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

    async def _refuse(
        self, context: Any, sealed: Sealed, error: Exception, heard: _Heard | None, rules: MethodRules
    ) -> bytes:
        """Answer with a refusal: what did not hold is counted against its sender, and "not now" is no quick answer.

        What is only passed on may have been refused by others, for what others had put into it: `_admit` counts there.
        """
        is_signed = True
        if heard is not None and heard.peer.name != self._identity.name:
            if isinstance(error, BadCall | BadLog) and not rules.waits:
                self._failures.spend(heard.lane, self._clock.now_ms())
            if isinstance(error, _NOT_NOW):
                is_signed = self.refusals.is_worth_signing(heard.lane, self._clock.now_ms())
                await self.refusals.pause(heard.lane, context.time_remaining())
        return self._send(context, sealed, answer_to(error), heard, is_signed=is_signed)

    def _send(
        self, context: Any, sealed: Sealed, answer: Answer, heard: _Heard | None, *, is_signed: bool = True
    ) -> bytes:
        """Put the signed answer on its way; returns the message's bytes, empty for a refusal."""
        if answer.status == 0:
            context.set_trailing_metadata(self._seal(sealed, answer))
            return answer.body
        if heard is None or heard.peer.name != self._identity.name:  # what its own people mistype is their matter
            self.refusals.count(answer.code, heard.blamed if heard else None)
        context.set_code(STATUS_BY_NUMBER[answer.status])
        context.set_details(answer.code)
        if is_signed:
            context.set_trailing_metadata((*self._seal(sealed, answer), (envelope.ERROR, answer.body)))
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


async def _in_time(rules: MethodRules, work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(rules.deadline_ms_max / 1_000):
            return await work
    except TimeoutError as late:
        raise DeadlinePassed(rules.method, f"more than {rules.deadline_ms_max} ms") from late
