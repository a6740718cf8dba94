"""The enrolment port: where newcomers knock, who have no certificate yet.

What lives here: a gRPC server with server TLS only, that is open while it is needed and shut otherwise, and limits on
what a stranger may cost. What must not: who is admitted (`node/usecases/enrolling.py`).

Refusals travel inside the reply, so that they are covered by TLS up to the pinned root; a gRPC error here only ever
means that the transport failed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from federation import canonical
from federation.callers import Callers, RateLimit
from federation.enrolment import JoinAnswer, JoinRequest, LateRenewal
from federation.errors import LlnError, Unavailable
from federation.naming import NodeName
from node.ports import Clock
from node.rpc import wire
from node.rpc.tls import TlsMaterial, server_credentials
from protos.lln.v1 import enrolment_pb2

SERVICE: Final = "lln.v1.Enrolment"
MESSAGE_BYTES_MAX: Final = 65_536
STRANGER_LIMIT: Final = RateLimit(calls_per_second=1.0, burst=20)
STRANGERS_MAX: Final = 4_096
CALLS_AT_ONCE: Final = 16
CALL_TIMEOUT_S: Final = 15.0
_GRACE_S: Final = 5.0
_TOLD_CHARS_MAX: Final = 300

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", 8_192),
    ("grpc.max_concurrent_streams", 4),
    ("grpc.max_connection_idle_ms", 30_000),
    ("grpc.max_connection_age_ms", 120_000),
    ("grpc.so_reuseport", 0),  # a second process on this port is a mistake, and is told
)


class EnrolmentPortTaken(Unavailable):
    code = "LLN-1651"
    zh = "入网端口已被占用。请在 config.toml 的 listen.enrolment 中换一个端口。"
    en = "The enrolment port is taken. Choose another as listen.enrolment in config.toml."


class JoinTimedOut(Unavailable):
    code = "LLN-1652"
    zh = "上级处理入网请求超时。请稍后用同一邀请码重试，不会重复入网。"
    en = "The authority took too long. Try again later with the same invite; nobody is admitted twice."


class EnrolmentServer:
    """Opens and shuts with `follow`; a port of 0 is chosen once and then kept."""

    def __init__(
        self,
        *,
        listen: str,
        material: TlsMaterial,
        join: Callable[[JoinRequest], Awaitable[JoinAnswer]],
        renew_expired: Callable[[LateRenewal], Awaitable[JoinAnswer]],
        clock: Clock,
    ) -> None:
        self._host, _, port = listen.rpartition(":")
        self._port = int(port)
        self._material = material
        self._join = join
        self._renew_expired = renew_expired
        self._clock = clock
        self._strangers = Callers(STRANGER_LIMIT, callers_max=STRANGERS_MAX)
        self._server: grpc.aio.Server | None = None
        self._turning = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        return self._server is not None

    @property
    def port(self) -> int:
        """The port it listens on, or will; 0 until a free one has been taken."""
        return self._port

    async def follow(self, *, need: bool) -> None:
        """Open or shut, as needed; harmless when it is so already. Raises EnrolmentPortTaken."""
        async with self._turning:
            if need and self._server is None:
                self._server = await self._open()
            elif not need and self._server is not None:
                closing, self._server = self._server, None
                await closing.stop(_GRACE_S)

    async def close(self) -> None:
        await self.follow(need=False)

    async def _open(self) -> grpc.aio.Server:
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=CALLS_AT_ONCE)
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Join": grpc.unary_unary_rpc_method_handler(self._serve_join),
            "RenewExpired": grpc.unary_unary_rpc_method_handler(self._serve_renewal),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        try:
            self._port = server.add_secure_port(
                f"{self._host}:{self._port}", server_credentials(self._material, mutual=False)
            )
        except RuntimeError as error:
            raise EnrolmentPortTaken(f"{self._host}:{self._port}", "cannot be listened on") from error
        await server.start()
        return server

    async def _serve_join(self, payload: bytes, context: Any) -> bytes:
        return await self._answered(context, lambda: self._join(read_join(payload)))

    async def _serve_renewal(self, payload: bytes, context: Any) -> bytes:
        return await self._answered(context, lambda: self._renew_expired(read_renewal(payload)))

    async def _answered(self, context: Any, work: Callable[[], Awaitable[JoinAnswer]]) -> bytes:
        try:
            self._strangers.take_turn(NodeName(_address(context.peer())), self._clock.now_ms())
            async with asyncio.timeout(CALL_TIMEOUT_S):
                reply = _write_answer(await work())
        except TimeoutError:
            reply = _write_refusal(JoinTimedOut("join"))
        except LlnError as refusal:
            reply = _write_refusal(refusal)
        return reply.SerializeToString()


def read_join(payload: bytes) -> JoinRequest:
    """Raises MalformedMessage; what the fields say is judged by `federation.admission`."""
    message = wire.read(enrolment_pb2.JoinRequest, payload)
    return JoinRequest(
        invite_id=message.invite_id,
        name=message.name,
        signing_request=message.signing_request,
        key=message.key,
        sealing_key=message.sealing_key,
        sealing_signature=message.sealing_signature,
        description=message.description,
        key_proof=message.key_proof,
        secret_proof=message.secret_proof,
        former_chain=tuple(message.former_chain),
    )


def read_renewal(payload: bytes) -> LateRenewal:
    """Raises MalformedMessage."""
    message = wire.read(enrolment_pb2.RenewExpiredRequest, payload)
    return LateRenewal(
        name=message.name,
        signing_request=message.signing_request,
        issued_at_ms=message.issued_at_ms,
        key_proof=message.key_proof,
    )


def _write_answer(answer: JoinAnswer) -> enrolment_pb2.JoinReply:
    return enrolment_pb2.JoinReply(
        chain=answer.chain,
        parent_endpoint=answer.parent_endpoint,
        description=canonical.encode(answer.description),
        continues=(
            enrolment_pb2.LogPosition(topic=one.topic, size=one.size, root=bytes.fromhex(one.root))
            for one in answer.continues
        ),
    )


def _write_refusal(refusal: LlnError) -> enrolment_pb2.JoinReply:
    return enrolment_pb2.JoinReply(
        error_code=refusal.code,
        error_subject=refusal.subject[:_TOLD_CHARS_MAX],
        error_detail=refusal.detail[:_TOLD_CHARS_MAX],
    )


def _address(peer: str) -> str:
    """The host part of gRPC's `ipv4:192.0.2.1:50000` or `ipv6:%5B2001:db8::1%5D:50000`; strangers share one by /64."""
    kind, _, rest = peer.partition(":")
    host = rest.rpartition(":")[0].removeprefix("%5B").removesuffix("%5D").strip("[]")
    return ":".join(host.split(":")[:4]) if kind == "ipv6" else host
