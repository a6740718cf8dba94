"""A line to one peer: a road on which hello has been said, so that every reply can be verified.

What lives here: hello, signing calls, verifying replies. What must not: what the calls mean (`peers.py`), or how bytes
get there (`transports.py`).
Nothing is retried, but for one new call when the peer has restarted since the last hello: it refused the first before
doing anything.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from hashlib import sha256
from typing import Final

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
from federation.versions import PROTOCOL_VERSION, check_agreed
from node.ports import Clock, Identity, PeerHello, Randomness
from node.rpc import envelope, wire
from node.rpc.envelope import Sealed, ToldError
from node.rpc.rules import is_sealed
from node.rpc.sealing import SealedCall, seal_call
from node.rpc.status_codes import rebuild
from node.rpc.transports import Channel, RawReply, Stream, StreamEnded, Transport, unreachable
from protos.lln.v1 import node_pb2

HELLO_METHOD: Final = "/lln.v1.Node/Hello"
REPLY_BYTES_MAX: Final = 4 * 1024 * 1024 + 65_536
SILENCE_S: Final = 370.0
"""A stream's peer says something every two minutes (`node/usecases/answering.py`); three missed ones mean it hangs.
A connection that is gone is noticed sooner, by its keepalive.
"""


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
    sealing_key: bytes


class Line:
    """One road to one peer, as `transport` goes it."""

    def __init__(
        self,
        *,
        to: NodeName,
        transport: Transport,
        identity: Identity,
        chains: ChainVerifier,
        clock: Clock,
        randomness: Randomness,
        judge: Judge | None = None,
        key: NodeKey | None = None,
        software_version: str = "",
    ) -> None:
        """`key`: the peer's node key if it is known already, so that even a refused hello can be believed.

        `judge`: asks the directory whether the peer may still be spoken to, before every call.
        """
        self.to = to
        self.transport = transport
        self._identity = identity
        self._chains = chains
        self._clock = clock
        self._randomness = randomness
        self._judge = judge
        self._key = key
        self._software_version = software_version
        self._met: _Met | None = None
        self._greeting = asyncio.Lock()

    @property
    def key(self) -> NodeKey | None:
        """The peer's node key, once it is known."""
        return self._key

    @property
    def peer(self) -> VerifiedNode | None:
        """Whom hello has met."""
        return self._met.peer if self._met else None

    async def close(self) -> None:
        await self.transport.close()

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
        channel, met = await self._greet_by_channel(timeout_s)
        sealed, digest = self._sign(method, payload, timeout_s, "", epoch=met.epoch)
        async with aclosing(self._pour(channel.stream(method, payload, sealed), digest, met, timeout_s)) as messages:
            async for message in messages:
                yield message

    async def exchange(
        self, method: str, first: bytes, said: AsyncIterator[bytes], *, timeout_s: float
    ) -> AsyncGenerator[bytes, None]:
        """As `stream`, but both write: `first`, which the signed call covers, and then whatever `said` brings."""
        channel, met = await self._greet_by_channel(timeout_s)
        sealed, digest = self._sign(method, first, timeout_s, "", epoch=met.epoch)
        opened = channel.exchange(method, sealed, _after(first, said))
        async with aclosing(self._pour(opened, digest, met, timeout_s)) as messages:
            async for message in messages:
                yield message

    async def _greet_by_channel(self, timeout_s: float) -> tuple[Channel, _Met]:
        assert isinstance(self.transport, Channel)  # noqa: S101  # streams go upward, and whoever is above can be dialled
        async with self._greeting:
            met = await self._greet(timeout_s)
        self._check_peer(met.peer)
        return self.transport, met

    async def _pour(self, opened: Stream, digest: bytes, met: _Met, timeout_s: float) -> AsyncGenerator[bytes, None]:
        try:
            accepted = await opened.acceptance(timeout_s)
            is_accepted = False
            async with aclosing(opened.messages(SILENCE_S)) as messages:
                async for message in messages:
                    if not is_accepted:  # only now: a refusal has no acceptance, but a last word
                        self._prove(accepted, digest, b"", met.peer.key)
                        is_accepted = True
                    yield message
        except StreamEnded as ended:
            raise self._failure(ended.reply, digest) from ended
        finally:
            opened.hang_up()

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
        body, proof = await self._send(HELLO_METHOD, payload, sealed, digest, timeout_s)
        now_ms = self._clock.now_ms()
        try:
            message = wire.read(node_pb2.HelloReply, body)
            offset_ms = message.at_ms - (sent_ms + now_ms) // 2
            hello = wire.read_hello(message, called=self.to, clock_offset_ms=offset_ms)
        except wire.MalformedMessage as malformed:
            raise UnprovenReply(self.to, str(malformed)) from malformed
        peer = self._chains.node(hello.chain, now_ms)
        if peer.name != self.to:
            raise WrongPeer(self.to, f"{peer.name} answered at {self.transport.place}")
        self._prove(proof, digest, body, peer.key)
        check_agreed(peer.name, message.protocol_version)
        self._key = peer.key
        self._met = _Met(peer=peer, epoch=message.epoch, hello=hello, sealing_key=message.sealing_key)
        return self._met

    # --- one call ----------------------------------------------------------------------------------------------------

    async def _once(self, met: _Met, method: str, payload: bytes, timeout_s: float, operation_id: str) -> bytes:
        self._check_peer(met.peer)
        under_seal = self._seal(met, method, payload)
        sent = under_seal.payload if under_seal else payload
        sealed, digest = self._sign(method, sent, timeout_s, operation_id, epoch=met.epoch)
        body, proof = await self._send(method, sent, sealed, digest, timeout_s)
        self._prove(proof, digest, body, met.peer.key)
        return under_seal.open_reply(body) if under_seal else body

    def _seal(self, met: _Met, method: str, payload: bytes) -> SealedCall | None:
        """What relays must not read, if this call passes any and is of that kind."""
        if self.transport.road != "relay" or not is_sealed(method):
            return None
        return seal_call(
            payload,
            met.sealing_key,
            identity=self._identity,
            audience=self.to,
            method=method,
            randomness=self._randomness,
        )

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
    ) -> tuple[bytes, Sealed]:
        """The unverified answer with its signed header; raises what a failed call means."""
        reply = await self.transport.unary(method, payload, sealed, timeout_s)
        if reply.status != 0:
            raise self._failure(reply, digest)
        return reply.body, reply.sealed

    def _prove(self, sealed: Sealed, digest: bytes, body: bytes, key: NodeKey, *, status: int = 0) -> None:
        reply = envelope.read_reply(sealed)
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

    def _failure(self, reply: RawReply, digest: bytes) -> LlnError:
        """A signed refusal is believed; anything else means only that the transport failed."""
        told = envelope.read_error(reply.body)
        if told is None:
            return unreachable(self.to, reply)
        if self._key is None:
            return PeerUnreachable(self.to, f"it refused before hello, unproven: [{told.code}] {told.detail}")
        try:
            self._prove(reply.sealed, digest, reply.body, self._key, status=reply.status)
        except UnprovenReply as unproven:
            return unproven
        return RefusedByPeer(self.to, told.code, told.subject, told.detail, retry_after_ms=told.retry_after_ms)


async def _after(first: bytes, said: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield first
    async for message in said:
        yield message
