"""How a call's bytes reach a peer: over a channel of its own, over the link it keeps to this node, or through relays.

What lives here: the one contract of the three, and the channel. What must not: signing or believing anything
(`channels.py`); a transport only ever says what came back, or that nothing did.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final, Protocol

import grpc
import msgspec

from federation.errors import LlnError, PeerUnreachable
from federation.naming import NodeName
from node.ports import Road
from node.rpc import envelope
from node.rpc.envelope import Sealed
from node.rpc.status_codes import number_of
from node.rpc.tls import channel_credentials

Dial = Callable[[str, tuple[bytes, bytes]], Any]
"""(address, own TLS key and chain as PEM) -> what can be used as a `grpc.aio.Channel`."""
CLOSING_S: Final = 5.0
_OPTIONS: Final = (
    ("grpc.enable_retries", 0),  # gRPC would send the same nonce again
    ("grpc.max_metadata_size", 8_192),
    ("grpc.absolute_max_metadata_size", 16_384),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),  # a quiet line is looked after like any other
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),  # a new line is a new connection, under our newest leaf
)


class RawReply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What came back, nothing of it believed: `body` is the reply message, or the error detail where `status` is not 0.

    `told` is the transport's own word where there is no body to read it from.
    """

    status: int
    sealed: Sealed
    body: bytes
    told: str = ""


class Transport(Protocol):
    """One road to one peer. Raises PeerUnreachable where nothing came back at all."""

    @property
    def road(self) -> Road: ...

    @property
    def place(self) -> str:
        """Where it leads, for people: an address, or through whom."""
        ...

    async def unary(self, method: str, payload: bytes, call: Sealed, timeout_s: float) -> RawReply: ...

    async def close(self) -> None: ...


class Channel:
    """A gRPC channel to one endpoint under one TLS leaf of ours; also carries streams."""

    road: Final = "direct"

    def __init__(
        self,
        to: NodeName,
        endpoint: str,
        *,
        tls: tuple[bytes, bytes],
        root_pem: bytes,
        reply_bytes_max: int,
        dial: Dial | None = None,
    ) -> None:
        """`dial`: what opens the channel instead of gRPC."""
        self._to = to
        self.place = endpoint
        self.tls = tls
        options = (
            *_OPTIONS,
            ("grpc.ssl_target_name_override", to),
            ("grpc.max_receive_message_length", reply_bytes_max),
        )
        self._channel: Any = (
            dial(endpoint, tls)
            if dial
            else grpc.aio.secure_channel(endpoint, channel_credentials(tls, root_pem), options=options)
        )
        self._unary: dict[str, Any] = {}

    async def close(self) -> None:
        """Let calls in flight finish, for a while, then hang up."""
        await self._channel.close(grace=CLOSING_S)

    async def unary(self, method: str, payload: bytes, call: Sealed, timeout_s: float) -> RawReply:
        unary = self._unary.get(method)
        if unary is None:
            unary = self._unary[method] = self._channel.unary_unary(method)
        sent = unary(payload, timeout=timeout_s, metadata=_metadata(call))
        try:
            body = await sent
            return RawReply(status=0, sealed=envelope.find(await sent.trailing_metadata(), envelope.REPLY), body=body)
        except grpc.aio.AioRpcError as error:
            return _refusal(error)
        except asyncio.CancelledError:
            if is_this_task_cancelled():
                raise
            raise PeerUnreachable(self._to, "the channel was closed") from None

    def stream(self, method: str, payload: bytes, call: Sealed) -> "Stream":
        """A stream that only the peer writes to."""
        streaming: Any = self._channel.unary_stream(method)
        return Stream(self._to, streaming(payload, metadata=_metadata(call)))

    def exchange(self, method: str, call: Sealed, said: AsyncIterator[bytes]) -> "Stream":
        """A stream that both write to; what this side says is drawn from `said`, as fast as the peer takes it."""
        streaming: Any = self._channel.stream_stream(method)
        return Stream(self._to, streaming(said, metadata=_metadata(call)))


class Stream:
    """An open stream's other end, read message by message."""

    def __init__(self, to: NodeName, opened: Any) -> None:
        self._to = to
        self._opened = opened

    def hang_up(self) -> None:
        self._opened.cancel()

    async def acceptance(self, timeout_s: float) -> Sealed:
        """The signed acceptance that stands in the initial metadata; unverified."""
        said = await self._heard(self._opened.initial_metadata(), timeout_s, "no acceptance")
        return envelope.find(said, envelope.REPLY)

    async def messages(self, silence_s: float) -> AsyncGenerator[bytes, None]:
        """Ends only by raising: PeerUnreachable, or StreamEnded with what the peer last said."""
        while True:
            message = await self._heard(self._opened.read(), silence_s, "nothing")
            if not isinstance(message, bytes):  # the mark that gRPC gives for the end
                raise PeerUnreachable(self._to, "the stream ended")
            yield message

    async def _heard(self, saying: Awaitable[Any], limit_s: float, otherwise: str) -> Any:
        """What the peer says next; `otherwise` is what it has then said within the limit."""
        try:
            async with asyncio.timeout(limit_s):
                return await saying
        except TimeoutError as silent:
            raise PeerUnreachable(self._to, f"{otherwise} within {limit_s:g} s") from silent
        except grpc.aio.AioRpcError as error:
            raise StreamEnded(_refusal(error)) from error
        except asyncio.CancelledError:
            if is_this_task_cancelled():
                raise
            raise PeerUnreachable(self._to, "the channel was closed") from None


class StreamEnded(Exception):  # no error of its own: the line turns it into one
    """A stream ended with a last word, which is still to be verified."""

    def __init__(self, reply: RawReply) -> None:
        super().__init__(reply.told)
        self.reply = reply


def is_this_task_cancelled() -> bool:
    """Not so when a channel that closes has cancelled its calls: gRPC raises CancelledError for that, too."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def unreachable(to: NodeName, reply: RawReply) -> LlnError:
    """What a refusal means that nobody has signed: only that the transport failed."""
    return PeerUnreachable(to, reply.told[:300] or f"status {reply.status}")


def _refusal(error: grpc.aio.AioRpcError) -> RawReply:
    trailer = error.trailing_metadata()
    return RawReply(
        status=number_of(error.code()),
        sealed=envelope.find(trailer, envelope.REPLY),
        body=envelope.error_in(trailer),
        told=f"{error.code().name.lower()}: {(error.details() or '')[:200]}",
    )


def _metadata(sealed: Sealed) -> tuple[tuple[str, bytes], ...]:
    return (envelope.CALL, sealed.header_bytes), (envelope.SIGNATURE, sealed.signature)
