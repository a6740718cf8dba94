"""gRPC's two ends without gRPC's middle: what looks like a channel to a caller, and like a call's context to a handler.

What lives here: the imitation of exactly those parts of `grpc.aio` that `transports.py` and `server.py` use, over
whatever carries the bytes (`node/simulation`). What must not: signing, verifying, or a network.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, Final, Protocol

import grpc
import msgspec

from node.rpc import envelope
from node.rpc.arrivals import LeftAnswer
from node.rpc.status_codes import STATUS_BY_NUMBER, number_of

Pairs = Sequence[tuple[str, bytes]]
"""Metadata: keys and values, as they are sent."""
UNAVAILABLE: Final = 14
DEADLINE_EXCEEDED: Final = 4
CANCELLED: Final = 1
_LEAF_ENDS: Final = b"-----END CERTIFICATE-----\n"


class Told(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a call ended: a status number, what belongs to it, and the message, empty where it is not 0."""

    status: int
    details: str = ""
    trailer: Pairs = ()
    body: bytes = b""

    @property
    def error_body(self) -> bytes:
        """The error detail in the trailer, unverified."""
        return envelope.error_in(self.trailer)


class CarriedStream(Protocol):
    """The caller's end of a stream."""

    async def accepted(self) -> Pairs:
        """The metadata that come first."""
        ...

    async def read(self) -> bytes | Told:
        """The next message, or how the stream ended."""
        ...

    def cancel(self) -> None: ...


class Carrier(Protocol):
    """One connection, as far as its caller sees it."""

    def unary(self, method: str, payload: bytes, metadata: Pairs, timeout_s: float) -> Awaitable[Told]: ...

    def stream(self, method: str, said: bytes | AsyncIterator[bytes], metadata: Pairs) -> CarriedStream:
        """`said`: the one message of the caller's, or all that it will ever say."""
        ...


class CarriedChannel:
    """Stands in for `grpc.aio.Channel`."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    def unary_unary(self, method: str) -> Callable[..., "_UnaryCall"]:
        return lambda payload, *, timeout, metadata: _UnaryCall(self._carrier.unary(method, payload, metadata, timeout))

    def unary_stream(self, method: str) -> Callable[..., "_StreamCall"]:
        return lambda payload, *, metadata: _StreamCall(self._carrier.stream(method, payload, metadata))

    stream_stream = unary_stream

    async def close(self, grace: float | None = None) -> None:
        """Calls under way end by themselves."""


class _UnaryCall:
    def __init__(self, carried: Awaitable[Told]) -> None:
        self._carried = carried
        self._trailer: Pairs = ()

    def __await__(self) -> Generator[Any, Any, bytes]:
        told = yield from self._carried.__await__()
        if told.status:
            raise _error(told)
        self._trailer = told.trailer
        return told.body

    async def trailing_metadata(self) -> Pairs:
        return self._trailer


class _StreamCall:
    def __init__(self, carried: CarriedStream) -> None:
        self._carried = carried
        self.cancel = carried.cancel

    async def initial_metadata(self) -> Pairs:
        return await self._carried.accepted()

    async def read(self) -> Any:
        said = await self._carried.read()
        if isinstance(said, bytes):
            return said
        if said.status:
            raise _error(said)
        return grpc.aio.EOF


def _error(told: Told) -> grpc.aio.AioRpcError:
    trailer: Any = tuple(told.trailer)  # gRPC's own class would only copy it
    return grpc.aio.AioRpcError(STATUS_BY_NUMBER[told.status], grpc.aio.Metadata(), trailer, told.details)


# --- the other end ---------------------------------------------------------------------------------------------------


def tls_properties(chain_pem: bytes) -> Mapping[str, Sequence[bytes]]:
    """What a server learns of a caller that shows this chain, leaf first, in the handshake."""
    leaf = chain_pem[: chain_pem.index(_LEAF_ENDS) + len(_LEAF_ENDS)]
    return {"x509_pem_cert": (leaf,), "x509_pem_cert_chain": (chain_pem,)}


class CarriedContext(LeftAnswer):
    """Stands in for `grpc.aio.ServicerContext`; `accept` and `write` are only asked by streams."""

    def __init__(
        self,
        *,
        metadata: Pairs,
        properties: Mapping[str, Sequence[bytes]],
        ends_s: float | None = None,
        accept: Callable[[Pairs], None] = lambda _: None,
        write: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        super().__init__()
        self._metadata = metadata
        self._properties = properties
        self._ends_s = ends_s
        self._accept = accept
        self._write = write

    def told(self, body: bytes = b"") -> Told:
        """How the handler has answered, `body` being what it returned."""
        return Told(status=self.status, details=self.details, trailer=self.trailer, body=body)

    def invocation_metadata(self) -> Pairs:
        return self._metadata

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        return self._properties

    def time_remaining(self) -> float | None:
        if self._ends_s is None:
            return None
        return max(0.0, self._ends_s - asyncio.get_running_loop().time())

    async def send_initial_metadata(self, metadata: Pairs) -> None:
        self._accept(metadata)

    async def write(self, message: bytes) -> None:
        self._write(message)


class Handlers:
    """A node's methods by their full names, as gRPC would find them."""

    def __init__(self, by_path: Mapping[str, Any]) -> None:
        self._by_path = by_path

    async def unary(self, method: str, payload: bytes, context: CarriedContext) -> Told:
        serve = getattr(self._by_path.get(method), "unary_unary", None)
        if serve is None:
            return _unimplemented(method)
        return context.told(await serve(payload, context))

    async def stream(self, method: str, said: bytes | AsyncIterator[bytes], context: CarriedContext) -> Told:
        handler = self._by_path.get(method)
        serve = getattr(handler, "unary_stream" if isinstance(said, bytes) else "stream_stream", None)
        if serve is None:
            return _unimplemented(method)
        await serve(said, context)
        return context.told()


def _unimplemented(method: str) -> Told:
    return Told(status=number_of(grpc.StatusCode.UNIMPLEMENTED), details=method)
