"""A line to one peer: a channel on which hello has been said, so that every reply can be verified.

What lives here: dialling, hello, signing calls, verifying replies. What must not: what the calls mean (`peers.py`).
Nothing is retried, but for one new call when the peer has restarted since the last hello: it refused the first before
doing anything.
"""

import asyncio
from collections.abc import AsyncGenerator
from hashlib import sha256
from typing import Any, Final

import grpc
import msgspec

from federation.calls import (
    NONCE_BYTES,
    TTL_MS_MAX,
    CallHeader,
    Judge,
    UnprovenReply,
    WrongEpoch,
    call_digest,
    check_reply,
    sign_call,
)
from federation.certificates import ChainVerifier, VerifiedNode
from federation.errors import LlnError, PeerRefused, PeerUnreachable, RefusedCall, UntrustedPeer
from federation.keys import NodeKey
from federation.naming import NodeName
from node.ports import Clock, Identity, PeerHello, Randomness
from node.rpc import envelope, wire
from node.rpc.envelope import Metadata, Sealed, ToldError
from node.rpc.status_codes import number_of, rebuild
from node.rpc.tls import TlsMaterial, channel_credentials
from protos.lln.v1 import node_pb2

PROTOCOL_VERSION: Final = 1
HELLO_METHOD: Final = "/lln.v1.Node/Hello"
REPLY_BYTES_MAX: Final = 4 * 1024 * 1024 + 65_536
SILENCE_S: Final = 90.0
"""A stream's peer says something every 30 s (`node/usecases/answering.py`); three missed beats mean it is gone."""
CLOSING_S: Final = 5.0
_OPTIONS: Final = (
    ("grpc.enable_retries", 0),  # gRPC would send the same nonce again
    ("grpc.max_metadata_size", 8_192),
    ("grpc.absolute_max_metadata_size", 16_384),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),  # a new line is a new connection, under our newest leaf
)


class PeerNotAdmitted(UntrustedPeer):
    code = "LLN-2103"
    zh = "要联系的节点已被暂停或撤销，或其证书与目录登记的不一致，没有发送任何内容。"
    en = "The node to be called is suspended or revoked, or its certificate is not the recorded one; nothing was sent."


class WrongPeer(UntrustedPeer):
    code = "LLN-2102"
    zh = "应答的不是要找的节点。请检查地址是否写错。"
    en = "Another node answered than the one that was dialled. Check the address."


class RefusedByPeer(PeerRefused):
    """A verified refusal: `peer_code` is the error code the peer named, so that its own sentence can be shown."""

    code = "LLN-261"
    zh = "对端节点明确拒绝了请求。"
    en = "The peer answered with a signed refusal."

    def __init__(
        self, peer: NodeName, peer_code: str, subject: str = "", detail: str = "", *, retry_after_ms: int = 0
    ) -> None:
        told = ": ".join(part for part in (subject, detail) if part)
        super().__init__(peer, f"[{peer_code}] {told}")
        self.peer_code = peer_code
        self.peer_subject = subject
        self.peer_detail = detail
        self.retry_after_ms = retry_after_ms

    def as_told(self) -> LlnError:
        """The error that the peer named, with its own sentences; this one where its code is not known here."""
        told = ToldError(code=self.peer_code, subject=self.peer_subject, detail=self.peer_detail)
        return rebuild(told) or self


class _Met(msgspec.Struct, frozen=True, kw_only=True):
    """Whom hello has met: which node, and which start of its process."""

    peer: VerifiedNode
    epoch: bytes
    hello: PeerHello


class Line:
    """One channel to one peer at one address, under one TLS leaf of ours."""

    def __init__(
        self,
        *,
        to: NodeName,
        endpoint: str,
        identity: Identity,
        material: TlsMaterial,
        chains: ChainVerifier,
        clock: Clock,
        randomness: Randomness,
        judge: Judge | None = None,
        key: NodeKey | None = None,
        software_version: str = "",
        reply_bytes_max: int = REPLY_BYTES_MAX,
    ) -> None:
        """`key`: the peer's node key if it is known already, so that even a refused hello can be believed.

        `judge`: asks the directory whether the peer may still be spoken to, before every call.
        """
        self.to = to
        self.endpoint = endpoint
        self.tls = material.current_tls()
        self._identity = identity
        self._chains = chains
        self._clock = clock
        self._randomness = randomness
        self._judge = judge
        self._key = key
        self._software_version = software_version
        self._channel = grpc.aio.secure_channel(
            endpoint,
            channel_credentials(self.tls, material.root_pem),
            options=[
                *_OPTIONS,
                ("grpc.ssl_target_name_override", to),
                ("grpc.max_receive_message_length", reply_bytes_max),
            ],
        )
        self._unary: dict[str, Any] = {}
        self._met: _Met | None = None
        self._greeting = asyncio.Lock()

    @property
    def key(self) -> NodeKey | None:
        """The peer's node key, once it is known."""
        return self._key

    async def close(self) -> None:
        """Let calls in flight finish, for a while, then hang up."""
        await self._channel.close(grace=CLOSING_S)

    # --- calls -------------------------------------------------------------------------------------------------------

    async def hello(self, timeout_s: float) -> PeerHello:
        """Say hello now, and keep whom and which start of its process was met."""
        async with self._greeting:
            return (await self._greet(timeout_s)).hello

    async def call(self, method: str, payload: bytes, *, timeout_s: float, operation_id: str = "") -> bytes:
        """The verified answer's bytes; raises PeerUnreachable, RefusedByPeer or UntrustedPeer."""
        met = self._met
        if met is not None:
            try:
                return await self._once(met, method, payload, timeout_s, operation_id)
            except RefusedByPeer as refusal:
                if refusal.peer_code != WrongEpoch.code:
                    raise
        asked_s = self._clock.monotonic_s()
        met = await self._meet(met, timeout_s)
        left_s = max(0.001, timeout_s - (self._clock.monotonic_s() - asked_s))
        return await self._once(met, method, payload, left_s, operation_id)

    async def stream(self, method: str, payload: bytes, *, timeout_s: float) -> AsyncGenerator[bytes, None]:
        """The messages of a stream whose acceptance the peer has signed; what they carry is signed itself.

        `timeout_s` is for the acceptance. Ends only by raising: PeerUnreachable, RefusedByPeer or UntrustedPeer.
        """
        async with self._greeting:
            met = await self._greet(timeout_s)
        self._check_peer(met.peer)
        sealed, digest = self._sign(method, payload, timeout_s, "", epoch=met.epoch)
        streaming: Any = self._channel.unary_stream(method)
        opened = streaming(payload, metadata=_metadata(sealed))
        try:
            yield await self._read_first(opened, digest, met.peer, timeout_s)
            while True:
                yield await self._read(opened, SILENCE_S)
        except grpc.aio.AioRpcError as error:
            raise self._failure(error, digest) from error
        finally:
            opened.cancel()

    # --- hello -------------------------------------------------------------------------------------------------------

    async def _meet(self, before: _Met | None, timeout_s: float) -> _Met:
        """Whoever answers now; callers that arrive together share one hello."""
        async with self._greeting:
            if self._met is not None and self._met is not before:
                return self._met
            return await self._greet(timeout_s)

    async def _greet(self, timeout_s: float) -> _Met:
        """The one reply that has to be read before it can be verified: the key it is signed with comes inside, with a
        chain up to the pinned root.
        """
        asked = node_pb2.HelloRequest(protocol_version=PROTOCOL_VERSION, software_version=self._software_version)
        sent_ms = self._clock.now_ms()
        payload = asked.SerializeToString()
        sealed, digest = self._sign(HELLO_METHOD, payload, timeout_s, "", epoch=b"")
        body, trailer = await self._send(HELLO_METHOD, payload, sealed, digest, timeout_s)
        now_ms = self._clock.now_ms()
        try:
            message = wire.read(node_pb2.HelloReply, body)
            offset_ms = message.at_ms - (sent_ms + now_ms) // 2
            hello = wire.read_hello(message, called=self.to, clock_offset_ms=offset_ms)
        except wire.MalformedMessage as malformed:
            raise UnprovenReply(self.to, str(malformed)) from malformed
        peer = self._chains.node(hello.chain, now_ms)
        if peer.name != self.to:
            raise WrongPeer(self.to, f"{peer.name} answered at {self.endpoint}")
        self._prove(trailer, digest, body, peer.key)
        self._key = peer.key
        self._met = _Met(peer=peer, epoch=message.epoch, hello=hello)
        return self._met

    # --- one call ----------------------------------------------------------------------------------------------------

    async def _once(self, met: _Met, method: str, payload: bytes, timeout_s: float, operation_id: str) -> bytes:
        self._check_peer(met.peer)
        sealed, digest = self._sign(method, payload, timeout_s, operation_id, epoch=met.epoch)
        body, trailer = await self._send(method, payload, sealed, digest, timeout_s)
        self._prove(trailer, digest, body, met.peer.key)
        return body

    def _check_peer(self, peer: VerifiedNode) -> None:
        if self._judge is None or peer.name == self._identity.name:
            return
        try:
            self._judge(peer, True)  # how stale our directory is, is the callee's to weigh
        except RefusedCall as refused:
            raise PeerNotAdmitted(self.to, str(refused)) from refused

    def _sign(
        self, method: str, payload: bytes, timeout_s: float, operation_id: str, *, epoch: bytes
    ) -> tuple[Sealed, bytes]:
        """The call's envelope, and the digest by which its reply must name it."""
        header_bytes = envelope.write_call(
            CallHeader(
                caller=self._identity.name,
                audience=self.to,
                audience_epoch=epoch,
                method=method,
                issued_at_ms=self._clock.now_ms(),
                ttl_ms=max(1, min(TTL_MS_MAX, int(timeout_s * 1_000))),
                nonce=self._randomness.token(NONCE_BYTES),
                operation_id=operation_id,
                payload_sha256=sha256(payload).digest(),
            )
        )
        signature = sign_call(header_bytes, self._identity)
        return Sealed(header_bytes=header_bytes, signature=signature), call_digest(header_bytes, signature)

    async def _send(
        self, method: str, payload: bytes, sealed: Sealed, digest: bytes, timeout_s: float
    ) -> tuple[bytes, Metadata]:
        """The unverified answer with its trailing metadata; raises what a failed call means."""
        unary = self._unary.get(method)
        if unary is None:
            unary = self._unary[method] = self._channel.unary_unary(method)
        sent = unary(payload, timeout=timeout_s, metadata=_metadata(sealed))
        try:
            return await sent, await sent.trailing_metadata()
        except grpc.aio.AioRpcError as error:
            raise self._failure(error, digest) from error
        except asyncio.CancelledError:
            if _is_this_task_cancelled():
                raise
            raise PeerUnreachable(self.to, "the channel was closed") from None

    def _prove(self, trailer: Metadata, digest: bytes, body: bytes, key: NodeKey, *, status: int = 0) -> None:
        reply = envelope.read_reply(trailer)
        if reply is None:
            raise UnprovenReply(self.to, "it is not signed")
        check_reply(
            reply,
            call_sha256=digest,
            status=status,
            body=body,
            responder=self.to,
            key=key,
            now_ms=self._clock.now_ms(),
        )

    def _failure(self, error: grpc.aio.AioRpcError, digest: bytes) -> LlnError:
        """A signed refusal is believed; anything else means only that the transport failed."""
        trailer: Metadata = error.trailing_metadata()
        body = envelope.error_in(trailer)
        told = envelope.read_error(body)
        if told is None:
            return PeerUnreachable(self.to, f"{error.code().name.lower()}: {(error.details() or '')[:200]}")
        if self._key is None:
            return PeerUnreachable(self.to, f"it refused before hello, unproven: [{told.code}] {told.detail}")
        try:
            self._prove(trailer, digest, body, self._key, status=number_of(error.code()))
        except UnprovenReply as unproven:
            return unproven
        return RefusedByPeer(self.to, told.code, told.subject, told.detail, retry_after_ms=told.retry_after_ms)

    # --- streams -----------------------------------------------------------------------------------------------------

    async def _read_first(self, opened: Any, digest: bytes, peer: VerifiedNode, timeout_s: float) -> bytes:
        """The first message, after the acceptance that stands in the initial metadata."""
        try:
            async with asyncio.timeout(timeout_s):
                accepted = await opened.initial_metadata()
        except TimeoutError as silent:
            raise PeerUnreachable(self.to, f"no acceptance within {timeout_s:g} s") from silent
        first = await self._read(opened, SILENCE_S)
        self._prove(accepted, digest, b"", peer.key)
        return first

    async def _read(self, opened: Any, silence_s: float) -> bytes:
        try:
            async with asyncio.timeout(silence_s):
                message: bytes | object = await opened.read()
        except TimeoutError as silent:
            raise PeerUnreachable(self.to, f"nothing within {silence_s:g} s") from silent
        except asyncio.CancelledError:
            if _is_this_task_cancelled():
                raise
            raise PeerUnreachable(self.to, "the channel was closed") from None
        if not isinstance(message, bytes):  # the mark that gRPC gives for the end
            raise PeerUnreachable(self.to, "the stream ended")
        return message


def _metadata(sealed: Sealed) -> tuple[tuple[str, bytes], ...]:
    return (envelope.CALL, sealed.header_bytes), (envelope.SIGNATURE, sealed.signature)


def _is_this_task_cancelled() -> bool:
    """Not so when a channel that closes has cancelled its calls: gRPC raises CancelledError for that, too."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
