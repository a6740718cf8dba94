"""The signed server: raw bytes in, raw bytes out, and the gate between the wire and every service.

What lives here: hash, verify, only then parse; sign every answer, errors included; repeat the first answer to a call
that changes something. What must not: what any method does (`services.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, Final, Protocol

import grpc
import msgspec

from federation.calls import (
    AdmittedCall,
    Gate,
    MethodRules,
    ReplyHeader,
    SignedCall,
    call_digest,
    sign_reply,
)
from federation.certificates import VerifiedNode
from federation.errors import Conflict, LlnError, Unavailable
from federation.keys import SUITE_ED25519
from node.ports import Clock, Identity, KeptAnswer, Store
from node.rpc import envelope
from node.rpc.status_codes import number_of, status_of
from node.rpc.tls import TlsPeers

RECEIVED_BYTES_MAX: Final = 4 * 1024 * 1024 + 65_536

Unary = Callable[[AdmittedCall, bytes], Awaitable[bytes]]
Streaming = Callable[[AdmittedCall, bytes], AsyncIterator[bytes]]


class DeadlinePassed(Unavailable):
    code = "LLN-1604"
    zh = "处理超时，没有完成。程序会稍后重试。"
    en = "The work took longer than its deadline and was given up; the program retries later."


class TooBusy(Unavailable):
    code = "LLN-1605"
    zh = "节点正忙，请稍后再试。"
    en = "The node is busy; try again shortly."


class OperationReused(Conflict):
    code = "LLN-1302"
    zh = "同一个操作编号用于两个不同的请求。"
    en = "One operation id was used for two different requests."


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One method as it is served: exactly one of `unary` and `streaming` is set."""

    rules: MethodRules
    unary: Unary | None = None
    streaming: Streaming | None = None


class Busyness(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls may be worked on at once, in all and for one peer."""

    calls: int
    calls_per_peer: int


class Judges(Protocol):
    def __call__(self, caller: VerifiedNode, reads_catalogue: bool) -> bool: ...  # noqa: FBT001  # as Gate.admit


class SignedServer:
    """Turns methods into gRPC handlers; one per process."""

    def __init__(
        self,
        *,
        identity: Identity,
        gate: Gate,
        tls_peers: TlsPeers,
        judge: Judges,
        store: Store,
        clock: Clock,
        busyness: Busyness,
    ) -> None:
        self._identity = identity
        self._gate = gate
        self._tls_peers = tls_peers
        self._judge = judge
        self._store = store
        self._clock = clock
        self._busyness = busyness
        self._at_work: dict[str, int] = {}
        self._changing: dict[tuple[str, str], asyncio.Future[tuple[int, bytes]]] = {}
        self.refused: dict[str, int] = {}

    def handlers(self, methods: Mapping[str, Method]) -> dict[str, grpc.RpcMethodHandler[bytes, bytes]]:
        """Handlers by method name, without (de)serialisers: the bytes arrive and leave as they are."""
        return {name: self._handler(method) for name, method in methods.items()}

    def _handler(self, method: Method) -> grpc.RpcMethodHandler[bytes, bytes]:
        if method.streaming is not None:
            return grpc.unary_stream_rpc_method_handler(self._stream(method.rules, method.streaming))
        assert method.unary is not None, method.rules.method  # noqa: S101  # our own table
        return grpc.unary_unary_rpc_method_handler(self._unary(method.rules, method.unary))

    def _unary(self, rules: MethodRules, work: Unary) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def serve(payload: bytes, context: Any) -> bytes:
            metadata = context.invocation_metadata()
            call: SignedCall | None = None
            try:
                call = envelope.read_call(metadata, payload)
                admitted = self._admit(call, rules, context)
                status, body = await self._work(call, admitted, rules, work)
            except LlnError as error:
                status, body = self._refusal(error)
            trailer = self._sign(metadata, status, body)
            if status:
                await context.abort(_STATUSES[status], "see lln-error-bin", trailer)
            context.set_trailing_metadata(trailer)
            return body

        return serve

    def _stream(self, rules: MethodRules, work: Streaming) -> Callable[[bytes, Any], AsyncIterator[bytes]]:
        async def serve(payload: bytes, context: Any) -> AsyncIterator[bytes]:
            metadata = context.invocation_metadata()
            try:
                call = envelope.read_call(metadata, payload)
                admitted = self._admit(call, rules, context)
                await context.send_initial_metadata(self._sign(metadata, 0, b""))
                async with asyncio.timeout(rules.deadline_ms_max / 1_000):
                    async for message in work(admitted, payload):
                        self._judge(admitted.caller, rules.reads_catalogue)
                        yield message
            except TimeoutError:
                return
            except LlnError as error:
                status, body = self._refusal(error)
                await context.abort(_STATUSES[status], "see lln-error-bin", self._sign(metadata, status, body))

        return serve

    def _admit(self, call: SignedCall, rules: MethodRules, context: Any) -> AdmittedCall:
        peer = self._tls_peers.peer_of(context.auth_context())
        return self._gate.admit(call, rules, peer=peer, now_ms=self._clock.now_ms(), judge=self._judge)

    async def _work(
        self, call: SignedCall, admitted: AdmittedCall, rules: MethodRules, work: Unary
    ) -> tuple[int, bytes]:
        caller = admitted.caller.name
        if sum(self._at_work.values()) >= self._busyness.calls:
            raise TooBusy(self._identity.name, f"{self._busyness.calls} calls are being worked on")
        if self._at_work.get(caller, 0) >= self._busyness.calls_per_peer:
            raise TooBusy(caller, f"{self._busyness.calls_per_peer} of its calls are being worked on")
        self._at_work[caller] = self._at_work.get(caller, 0) + 1
        try:
            async with asyncio.timeout(min(rules.deadline_ms_max, call.header.ttl_ms) / 1_000):
                if rules.changes:
                    return await self._once(call, admitted, rules, work)
                return 0, await work(admitted, call.payload)
        except TimeoutError as late:
            raise DeadlinePassed(rules.method, f"more than {rules.deadline_ms_max} ms") from late
        finally:
            self._at_work[caller] -= 1
            if not self._at_work[caller]:
                del self._at_work[caller]

    async def _once(
        self, call: SignedCall, admitted: AdmittedCall, rules: MethodRules, work: Unary
    ) -> tuple[int, bytes]:
        """The first answer to (caller, operation id), now or as it was kept; two arrivals at once share one."""
        key = (admitted.caller.name, admitted.operation_id)
        running = self._changing.get(key)
        if running is not None:
            return await asyncio.shield(running)
        kept = await self._store.read(lambda tx: tx.answers.get(admitted.caller.name, admitted.operation_id))
        if kept is not None:
            if (kept.method, kept.payload_sha256) != (rules.method, call.header.payload_sha256):
                raise OperationReused(admitted.operation_id, f"first used for {kept.method}")
            return kept.status, kept.body
        answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._changing[key] = answered
        try:
            status, body = await self._first(call, admitted, rules, work)
            answered.set_result((status, body))
        except BaseException as error:
            answered.set_exception(error)
            answered.exception()  # seen here, so that an answer nobody else waits for is not reported as lost
            raise
        finally:
            del self._changing[key]
        return status, body

    async def _first(
        self, call: SignedCall, admitted: AdmittedCall, rules: MethodRules, work: Unary
    ) -> tuple[int, bytes]:
        try:
            status, body = 0, await work(admitted, call.payload)
        except Unavailable:
            raise  # nothing was decided; the caller may try again under the same id
        except LlnError as error:
            status, body = self._refusal(error)
        answer = KeptAnswer(
            caller=admitted.caller.name,
            operation_id=admitted.operation_id,
            call_sha256=call_digest(call.header_bytes, call.signature),
            method=rules.method,
            payload_sha256=call.header.payload_sha256,
            call_header=call.header_bytes,
            call_signature=call.signature,
            status=status,
            body=body,
            at_ms=self._clock.now_ms(),
        )
        await self._store.write(lambda tx: tx.answers.put(answer))
        return status, body

    def _refusal(self, error: LlnError) -> tuple[int, bytes]:
        self.refused[error.code] = self.refused.get(error.code, 0) + 1
        return number_of(status_of(error)), envelope.write_error(error)

    def _sign(self, metadata: envelope.Metadata, status: int, body: bytes) -> tuple[tuple[str, bytes], ...]:
        header = envelope.write_reply(
            ReplyHeader(
                suite=SUITE_ED25519,
                responder=self._identity.name,
                call_sha256=call_digest(
                    envelope.value_of(metadata, envelope.CALL), envelope.value_of(metadata, envelope.SIGNATURE)
                ),
                status=status,
                body_sha256=sha256(body).digest(),
                at_ms=self._clock.now_ms(),
            )
        )
        signed = ((envelope.REPLY, header), (envelope.SIGNATURE, sign_reply(header, self._identity)))
        return (*signed, (envelope.ERROR, body)) if status else signed


_STATUSES: Final = {number_of(status): status for status in grpc.StatusCode}
