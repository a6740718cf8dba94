"""A line to one peer: a channel on which hello has been said, so that every reply can be verified.

What lives here: dialling, hello, signing calls, verifying replies. What must not: what the calls mean (`peers.py`).
Nothing is retried, but for one new call when the peer has restarted since the last hello (it refused the first before
doing anything).
"""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any, Final

import grpc

from federation.calls import (
    NONCE_BYTES,
    TTL_MS_MAX,
    BadReply,
    CallHeader,
    ReplyHeader,
    WrongEpoch,
    call_digest,
    check_reply,
    sign_call,
)
from federation.certificates import ChainVerifier, VerifiedNode
from federation.errors import LlnError, PeerRefused, PeerUnreachable, UntrustedPeer
from federation.keys import SUITE_ED25519
from federation.naming import NodeName
from node.ports import Clock, Identity, PeerHello, Randomness
from node.rpc import envelope, wire
from node.rpc.tls import TlsMaterial, channel_credentials
from protos.lln.v1 import node_pb2

PROTOCOL_VERSION: Final = 1
HELLO_METHOD: Final = "/lln.v1.Node/Hello"
_OPTIONS: Final = (
    ("grpc.enable_retries", 0),  # gRPC would send the same nonce again
    ("grpc.max_receive_message_length", 4 * 1024 * 1024 + 65_536),
    ("grpc.max_send_message_length", 4 * 1024 * 1024 + 65_536),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),
)


class WrongPeer(UntrustedPeer):
    code = "LLN-2102"
    zh = "接电话的不是要找的节点。请检查地址是否写错。"
    en = "Another node answered than the one that was dialled. Check the address."


class RefusedByPeer(PeerRefused):
    """A verified refusal: `peer_code` is the error code the peer named, so that its own sentence can be shown."""

    code = "LLN-261"
    zh = "对端节点明确拒绝了请求。"
    en = "The peer answered with a signed refusal."

    def __init__(self, peer: NodeName, peer_code: str, subject: str, detail: str) -> None:
        told = ": ".join(part for part in (subject, detail) if part)
        super().__init__(peer, f"[{peer_code}] {told}")
        self.peer_code = peer_code
        self.peer_subject = subject
        self.peer_detail = detail


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
    ) -> None:
        self.to = to
        self.endpoint = endpoint
        self.tls = material.current_tls()
        self._identity = identity
        self._chains = chains
        self._clock = clock
        self._randomness = randomness
        self._channel = grpc.aio.secure_channel(
            endpoint,
            channel_credentials(self.tls, material.root_pem),
            options=[("grpc.ssl_target_name_override", to), *_OPTIONS],
        )
        self._calls: dict[str, Any] = {}
        self._hello: PeerHello | None = None
        self._peer: VerifiedNode | None = None
        self._epoch = b""
        self._saying_hello = asyncio.Lock()

    async def close(self) -> None:
        """Let calls in flight finish, for a while, then hang up."""
        await self._channel.close(grace=5)

    async def hello(self, timeout_s: float) -> PeerHello:
        """Say hello now, and keep whom and which start of its process was met."""
        payload = node_pb2.HelloRequest(
            protocol_version=PROTOCOL_VERSION, software_version=SOFTWARE_VERSION
        ).SerializeToString()
        sent_ms = self._clock.now_ms()
        header_bytes, signature = self._signed(HELLO_METHOD, payload, timeout_s, "", epoch=b"")
        body, reply = await self._send(HELLO_METHOD, payload, header_bytes, signature, timeout_s)
        digest = call_digest(header_bytes, signature)
        message = wire.read(node_pb2.HelloReply, body)
        middle_ms = (sent_ms + self._clock.now_ms()) // 2
        peer = self._chains.node(wire.read_chain(message.chain), self._clock.now_ms())
        if peer.name != self.to:
            raise WrongPeer(self.to, f"{peer.name} answered at {self.endpoint}")
        _check(reply, digest, body, peer)
        self._peer, self._epoch = peer, message.epoch
        self._hello = wire.read_hello(message, called=self.to, clock_offset_ms=message.at_ms - middle_ms)
        return self._hello

    async def call(self, method: str, payload: bytes, *, timeout_s: float, operation_id: str = "") -> bytes:
        """The verified answer's bytes; raises PeerUnreachable, RefusedByPeer, UntrustedPeer or BadReply."""
        await self._met(timeout_s)
        try:
            return await self._once(method, payload, timeout_s, operation_id)
        except RefusedByPeer as refusal:
            if refusal.peer_code != WrongEpoch.code:
                raise
        await self.hello(timeout_s)
        return await self._once(method, payload, timeout_s, operation_id)

    async def stream(self, method: str, payload: bytes, *, timeout_s: float) -> AsyncIterator[bytes]:
        """The messages of a stream whose acceptance the peer has signed; what they carry is signed itself."""
        await self.hello(timeout_s)
        peer = self._peer
        assert peer is not None  # noqa: S101  # hello has just set it
        header_bytes, signature = self._signed(method, payload, timeout_s, "", epoch=self._epoch)
        opening: Any = self._channel.unary_stream(method)
        open_call = opening(payload, metadata=((envelope.CALL, header_bytes), (envelope.SIGNATURE, signature)))
        digest = call_digest(header_bytes, signature)
        try:
            accepted = envelope.read_reply(await open_call.initial_metadata())
            if accepted is not None:
                _check(accepted, digest, b"", peer)
                async for message in open_call:
                    yield message
        except grpc.aio.AioRpcError as error:
            raise self._told(error, digest) from error
        finally:
            open_call.cancel()
        raise PeerUnreachable(self.to, "the stream ended")

    async def _met(self, timeout_s: float) -> None:
        if self._peer is None:
            async with self._saying_hello:
                if self._peer is None:
                    await self.hello(timeout_s)

    async def _once(self, method: str, payload: bytes, timeout_s: float, operation_id: str) -> bytes:
        peer = self._peer
        assert peer is not None  # noqa: S101  # _met has said hello
        header_bytes, signature = self._signed(method, payload, timeout_s, operation_id, epoch=self._epoch)
        body, reply = await self._send(method, payload, header_bytes, signature, timeout_s)
        _check(reply, call_digest(header_bytes, signature), body, peer)
        return body

    def _signed(
        self, method: str, payload: bytes, timeout_s: float, operation_id: str, *, epoch: bytes
    ) -> tuple[bytes, bytes]:
        header = envelope.write_call(
            CallHeader(
                suite=SUITE_ED25519,
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
        return header, sign_call(header, self._identity)

    async def _send(
        self, method: str, payload: bytes, header_bytes: bytes, signature: bytes, timeout_s: float
    ) -> tuple[bytes, tuple[ReplyHeader, bytes, bytes]]:
        """The unverified answer with its reply header; raises what a failed call means."""
        multi = self._calls.get(method)
        if multi is None:
            multi = self._calls[method] = self._channel.unary_unary(method)
        sent = multi(
            payload,
            metadata=((envelope.CALL, header_bytes), (envelope.SIGNATURE, signature)),
            timeout=timeout_s,
        )
        try:
            body: bytes = await sent
            reply = envelope.read_reply(await sent.trailing_metadata())
        except grpc.aio.AioRpcError as error:
            raise self._told(error, call_digest(header_bytes, signature)) from error
        if reply is None:
            raise BadReply(self.to, "the answer is not signed")
        return body, reply

    def _told(self, error: grpc.aio.AioRpcError, call_sha256: bytes) -> LlnError:
        """A signed refusal is believed; anything else means only that the transport failed."""
        trailer: Any = error.trailing_metadata()
        reply = envelope.read_reply(trailer)
        detail = envelope.value_of(trailer, envelope.ERROR)
        unsigned = PeerUnreachable(self.to, f"{error.code().name.lower()}: {(error.details() or '')[:200]}")
        if reply is None:
            return unsigned
        if self._peer is None:
            peer_code, subject, told = envelope.read_error(detail)
            return PeerUnreachable(self.to, f"refused before hello, unverified: [{peer_code}] {subject}: {told}")
        try:
            _check(reply, call_sha256, detail, self._peer)
        except BadReply:
            return unsigned
        return RefusedByPeer(self.to, *envelope.read_error(detail))


def _check(reply: tuple[ReplyHeader, bytes, bytes], call_sha256: bytes, body: bytes, peer: VerifiedNode) -> None:
    header, header_bytes, signature = reply
    check_reply(
        header,
        header_bytes,
        signature,
        call_sha256=call_sha256,
        body=body,
        responder=peer.name,
        key=peer.key,
    )


SOFTWARE_VERSION: Final = "0.1.0"
