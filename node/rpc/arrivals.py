"""A signed call that arrived otherwise than over its caller's own connection: by a link, or through relays.

What lives here: what a handler asks of gRPC's context, answered for such a call, so that one handler serves both. What
must not: any check; the gate makes the same ones for every road.
"""

from collections.abc import Sequence
from typing import Literal

import grpc

from federation.certificates import CertificateExpired, VerifiedNode
from node.ports import Clock
from node.rpc import envelope
from node.rpc.envelope import Sealed
from node.rpc.status_codes import number_of
from node.rpc.transports import RawReply

ArrivedBy = Literal["link", "relay"]


class LeftAnswer:
    """The part of `grpc.aio.ServicerContext` in which a handler leaves how it has answered."""

    def __init__(self) -> None:
        self.status = 0
        self.details = ""
        self.trailer: Sequence[tuple[str, bytes]] = ()

    def set_code(self, code: grpc.StatusCode) -> None:
        self.status = number_of(code)

    def set_details(self, details: str) -> None:
        self.details = details

    def set_trailing_metadata(self, trailer: Sequence[tuple[str, bytes]]) -> None:
        self.trailer = trailer


class Arrival(LeftAnswer):
    """Stands in for `grpc.aio.ServicerContext`; `caller` is whom a verified chain has shown the origin to be."""

    def __init__(self, *, caller: VerifiedNode, call: Sealed, timeout_s: float, by: ArrivedBy, clock: Clock) -> None:
        super().__init__()
        self.by = by
        self._caller = caller
        self._call = call
        self._ends_s = clock.monotonic_s() + timeout_s
        self._clock = clock

    def caller(self, now_ms: int) -> VerifiedNode:
        """Asked on every call, as of a TLS connection: a link outlives the certificate it began with."""
        if not self._caller.not_before_ms <= now_ms <= self._caller.not_after_ms:
            raise CertificateExpired(self._caller.name, "it ran out while the link was open")
        return self._caller

    def reply(self, body: bytes) -> RawReply:
        """What the handler has put together, `body` being what it returned."""
        return RawReply(
            status=self.status,
            sealed=envelope.find(self.trailer, envelope.REPLY),
            body=body if self.status == 0 else envelope.error_in(self.trailer),
            told=self.details,
        )

    # --- as gRPC has them --------------------------------------------------------------------------------------------

    def invocation_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return (envelope.CALL, self._call.header_bytes), (envelope.SIGNATURE, self._call.signature)

    def time_remaining(self) -> float:
        return max(0.0, self._ends_s - self._clock.monotonic_s())
