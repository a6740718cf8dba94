"""Asking one's own running node: the same signed call over the same mutual TLS, by who holds the node's keys."""

from typing import Final

from federation.certificates import ChainVerifier
from node.ports import Clock, Identity, Randomness
from node.rpc import wire
from node.rpc.channels import Line
from node.rpc.tls import TlsMaterial
from node.rpc.transports import Channel
from protos.lln.v1 import desk_pb2

DESK_TIMEOUT_S: Final = 60.0
DESK_REPLY_BYTES_MAX: Final = 64 * 1024 * 1024


class DeskClient:
    """A line from this process to the node whose keys it holds; close it when done."""

    def __init__(
        self, *, endpoint: str, identity: Identity, material: TlsMaterial, clock: Clock, randomness: Randomness
    ) -> None:
        self._line = Line(
            to=identity.name,
            transport=Channel(
                identity.name,
                endpoint,
                tls=material.current_tls(),
                root_pem=material.root_pem,
                reply_bytes_max=DESK_REPLY_BYTES_MAX,
            ),
            identity=identity,
            chains=ChainVerifier(identity.root_certificate),
            clock=clock,
            randomness=randomness,
        )

    async def ask(self, operation: str, request: bytes, *, timeout_s: float = DESK_TIMEOUT_S) -> bytes:
        """The JSON answer of one operation; raises PeerUnreachable, or RefusedByPeer, whose `as_told` is the error
        that the node named.
        """
        asked = desk_pb2.AskRequest(operation=operation, request=request).SerializeToString()
        body = await self._line.call("/lln.v1.Desk/Ask", asked, timeout_s=timeout_s)
        return wire.read(desk_pb2.AskReply, body).reply

    async def close(self) -> None:
        await self._line.close()
