"""The road through relays: a signed call, whole, inside the call of each hop.

What lives here: wrapping a call for the first hop, and unwrapping what comes back. What must not: passing on what comes
from others (`relay_service.py`).
"""

from collections.abc import Awaitable, Callable
from typing import Final

from federation.errors import PeerRefused, PeerUnreachable
from federation.naming import NodeName
from federation.relaying import RELAYS_MAX, NoWayThere
from node.ports import Identity, Passed, Road
from node.rpc import wire
from node.rpc.envelope import Sealed
from node.rpc.transports import RawReply
from protos.lln.v1 import link_pb2

FORWARD_METHOD: Final = "/lln.v1.Relay/Forward"
HOP_MS_MAX: Final = 600_000


class RelayTransport:
    """To `to` by way of the neighbour `hop`; `hops` are those of the last call that came back."""

    road: Final[Road] = "relay"

    def __init__(
        self,
        to: NodeName,
        *,
        hop: NodeName,
        identity: Identity,
        send: Callable[[NodeName, str, bytes, float], Awaitable[bytes]],
    ) -> None:
        self.hops: tuple[Passed, ...] = ()
        self._to = to
        self._hop = hop
        self._identity = identity
        self._send = send

    @property
    def place(self) -> str:
        return self._hop

    async def unary(self, method: str, payload: bytes, call: Sealed, timeout_s: float) -> RawReply:
        """Raises NoWayThere, where a relay says so, or PeerUnreachable for the first hop."""
        asked = link_pb2.ForwardRequest(
            origin=self._identity.name,
            target=self._to,
            method=method,
            header=call.header_bytes,
            signature=call.signature,
            payload=payload,
            chain=self._identity.chain,
            timeout_ms=int(timeout_s * 1_000),
        )
        try:
            body = await self._send(self._hop, FORWARD_METHOD, asked.SerializeToString(), timeout_s)
            told = wire.read(link_pb2.ForwardReply, body)
            reply, self.hops = read_forwarded(told)
        except PeerRefused as refused:
            raise NoWayThere(self._to, str(refused)) from refused
        except wire.MalformedMessage as malformed:
            raise PeerUnreachable(self._to, str(malformed)) from malformed
        return reply

    async def close(self) -> None:
        """Nothing of its own is open."""


def read_forwarded(told: link_pb2.ForwardReply) -> tuple[RawReply, tuple[Passed, ...]]:
    """Raises MalformedMessage."""
    wire.within("hops", len(told.hops), RELAYS_MAX + 1)
    hops = tuple(
        Passed(name=wire.read_name(hop.name), ms=wire.within("hop, ms", hop.ms, HOP_MS_MAX), over_link=hop.over_link)
        for hop in told.hops
    )
    sealed = Sealed(header_bytes=told.header, signature=told.signature)
    return RawReply(status=told.status, sealed=sealed, body=told.body, told="through relays"), hops


def write_forwarded(reply: RawReply, hops: tuple[Passed, ...]) -> link_pb2.ForwardReply:
    return link_pb2.ForwardReply(
        status=reply.status,
        header=reply.sealed.header_bytes,
        signature=reply.sealed.signature,
        body=reply.body,
        hops=[link_pb2.Hop(name=hop.name, ms=min(hop.ms, HOP_MS_MAX), over_link=hop.over_link) for hop in hops],
    )
