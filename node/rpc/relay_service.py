"""The Link and Relay services: children that attach, and calls passed on between nodes that do not dial each other.

What lives here: one hop of a relayed call, and its delivery at the target. What must not: which way is right
(`federation/relaying.py`), or whether a delivered call is admitted; the gate judges it like any other.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

from federation.callers import Callers, RateLimit
from federation.calls import METHOD_CHARS_MAX, AdmittedCall
from federation.certificates import ChainVerifier, VerifiedNode
from federation.errors import PeerRefused, PeerUnreachable, UntrustedPeer
from federation.naming import NodeName, is_within
from federation.relaying import RELAYS_MAX, ForeignOrigin, NoWayThere, check_passage, next_hop
from federation.unknown_names import NameUnknown
from node.ports import Clock, Identity, Passed
from node.rpc import wire
from node.rpc.arrivals import Arrival
from node.rpc.channels import RefusedByPeer
from node.rpc.envelope import Sealed
from node.rpc.links import Links
from node.rpc.relay_transport import FORWARD_METHOD, read_forwarded, write_forwarded
from node.rpc.services import Service, make_service
from node.rpc.uplink import ServeCall
from protos.lln.v1 import link_pb2

TIMEOUT_MS_MAX: Final = 60_000
MARGIN_MS: Final = 50
"""Left for the way back, so that whoever waits hears why instead of nothing."""

Pass = Callable[[NodeName, str, bytes, float], Awaitable[bytes]]


def link_service(links: Links) -> Service:
    async def attach(
        call: AdmittedCall, first: link_pb2.Upward, following: AsyncIterator[link_pb2.Upward]
    ) -> AsyncGenerator[link_pb2.Downward, None]:
        if first.WhichOneof("said") != "attached":
            raise wire.MalformedMessage("link", "the first message does not attach")
        async with aclosing(links.attach(call, following)) as saying:
            async for message in saying:
                yield message

    return make_service(link_pb2.DESCRIPTOR.services_by_name["Link"], {}, exchanges={"Attach": attach})


class Relays:
    """Passes calls on, and delivers those that have arrived.

    `serve`: the own methods, set once they are put together. `meet`: asked before a call of somebody unknown is judged.
    `is_child`: whether a name below this node's is anybody's; a road to nobody is not looked for.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        chains: ChainVerifier,
        clock: Clock,
        links: Links,
        pass_on: Pass,
        limit: RateLimit,
        meet: Callable[[VerifiedNode], Awaitable[None]],
        missed: Callable[[NodeName, NodeName], None] = lambda *_: None,
        is_child: Callable[[NodeName], bool] = lambda _: True,
    ) -> None:
        """`missed` is told of a child that could not be reached, and by whom."""
        self._identity = identity
        self._chains = chains
        self._clock = clock
        self._links = links
        self._pass_on = pass_on
        self._origins = Callers(limit)
        self._meet = meet
        self._missed = missed
        self._is_child = is_child

    def service(self, serve: ServeCall) -> Service:
        async def forward(call: AdmittedCall, asked: link_pb2.ForwardRequest) -> link_pb2.ForwardReply:
            return await self._forward(call.caller.name, asked, serve)

        return make_service(link_pb2.DESCRIPTOR.services_by_name["Relay"], {"Forward": forward})

    async def _forward(
        self, caller: NodeName, asked: link_pb2.ForwardRequest, serve: ServeCall
    ) -> link_pb2.ForwardReply:
        wire.within("relays", len(asked.via), RELAYS_MAX)
        wire.read_text("method", asked.method, METHOD_CHARS_MAX)
        timeout_ms = wire.within("time, ms", asked.timeout_ms, TIMEOUT_MS_MAX)
        origin, target = wire.read_name(asked.origin), wire.read_name(asked.target)
        own = self._identity.name
        check_passage(
            origin=origin,
            target=target,
            via=[wire.read_name(name) for name in asked.via],
            caller=caller,
            own=own,
        )
        self._origins.take_turn(origin, self._clock.now_ms())
        if target == own:
            return await self._deliver(origin, asked, timeout_ms, serve)
        hop = next_hop(own, target, self._identity.root)
        if hop is None:
            raise NoWayThere(target, f"it is not in the network of {own}")
        if is_within(hop, own) and not self._is_child(hop):
            raise NameUnknown(target, f"{own} has no child {hop}")
        onward = link_pb2.ForwardRequest()
        onward.CopyFrom(asked)
        onward.via.append(own)
        onward.timeout_ms = max(1, timeout_ms - MARGIN_MS)
        began_s = self._clock.monotonic_s()
        try:
            body = await self._pass_on(hop, FORWARD_METHOD, onward.SerializeToString(), onward.timeout_ms / 1_000)
        except RefusedByPeer as refused:
            raise refused.as_told() from refused
        except (PeerUnreachable, PeerRefused, UntrustedPeer) as failed:
            if hop == target:
                self._missed(target, origin)
            raise NoWayThere(target, f"{own} → {hop}: {failed}") from failed
        reply, beyond = read_forwarded(wire.read(link_pb2.ForwardReply, body))
        passed = Passed(
            name=own,
            ms=int((self._clock.monotonic_s() - began_s) * 1_000),
            over_link=self._links.get(hop) is not None,
        )
        return write_forwarded(reply, (passed, *beyond)[: RELAYS_MAX + 1])

    async def _deliver(
        self, origin: NodeName, asked: link_pb2.ForwardRequest, timeout_ms: int, serve: ServeCall
    ) -> link_pb2.ForwardReply:
        caller = self._chains.node(wire.read_chain(asked.chain), self._clock.now_ms())
        if caller.name != origin:
            raise ForeignOrigin(origin, f"its certificates are those of {caller.name}")
        await self._meet(caller)
        arrival = Arrival(
            caller=caller,
            call=Sealed(header_bytes=asked.header, signature=asked.signature),
            timeout_s=timeout_ms / 1_000,
            by="relay",
            clock=self._clock,
        )
        return write_forwarded(await serve(asked.method, asked.payload, arrival), ())
