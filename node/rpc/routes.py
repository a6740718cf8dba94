"""Routes: the roads to each peer, best first, and the lines on them.

What lives here: addresses, which lines are in use, kept, rebuilt and left alone. What must not: what is said on them
(`peers.py`).
"""

from collections.abc import Awaitable, Callable
from typing import Final

from federation.calls import Judge
from federation.certificate_profile import read_authority
from federation.certificates import ChainVerifier
from federation.errors import PeerUnreachable
from federation.keys import NodeKey
from federation.naming import NodeName
from federation.relaying import next_hop
from node.ports import Clock, Identity, Randomness, Road
from node.rpc.breaker import Breaker
from node.rpc.channels import REPLY_BYTES_MAX, Line
from node.rpc.links import Links
from node.rpc.relay_transport import RelayTransport
from node.rpc.tls import TlsMaterial
from node.rpc.transports import Channel, Dial, Transport

Send = Callable[[NodeName, str, bytes, float], Awaitable[bytes]]
"""(neighbour, method, payload, seconds) -> the verified reply, by any road but a relay."""
ROADS: Final[tuple[Road, ...]] = ("direct", "link", "relay")


class AddressUnknown(PeerUnreachable):
    code = "LLN-251"
    zh = "不知道这个节点的地址，它没有挂接到本节点，也没有可以转发的上级。"
    en = "No address is known for this node, it is not attached to this one, and no relay can be reached."


class BreakerOpen(PeerUnreachable):
    code = "LLN-252"
    zh = "该节点最近多次没有应答，暂时不再联系，稍后自动再试。"
    en = "The node did not answer several times in a row; it is left alone for a moment and then tried again."


class Routes:
    """`judge`: whether the directory still admits a peer, asked before every call to it."""

    def __init__(
        self,
        *,
        identity: Identity,
        material: TlsMaterial,
        chains: ChainVerifier,
        clock: Clock,
        randomness: Randomness,
        links: Links,
        send: Send,
        judge: Judge | None = None,
        software_version: str = "",
        dial: Dial | None = None,
    ) -> None:
        self._identity = identity
        self._material = material
        self._chains = chains
        self._clock = clock
        self._randomness = randomness
        self._links = links
        self._send = send
        self._judge = judge
        self._software_version = software_version
        self._dial = dial
        self._endpoints: dict[NodeName, str] = {}
        self._lines: dict[tuple[NodeName, Road], Line] = {}
        self._retired: list[Line] = []
        self._breakers: dict[NodeName, Breaker] = {}

    def know(self, name: NodeName, endpoint: str) -> None:
        """What failed at another address says nothing of this one."""
        if self._endpoints.get(name) != endpoint:
            self._breakers.pop(name, None)
        self._endpoints[name] = endpoint

    def endpoint_of(self, name: NodeName) -> str:
        return self._endpoints.get(name, "")

    def heard_from(self, name: NodeName) -> None:
        breaker = self._breakers.get(name)
        if breaker is not None:
            breaker.succeeded()

    def failed(self, line: Line) -> None:
        if line.transport.road == "direct":
            breaker = self._breakers.setdefault(line.to, Breaker())
            breaker.failed(self._clock.monotonic_s(), self._randomness.fraction())

    async def hang_up_retired(self) -> None:
        """Close the lines that a renewed leaf or a new address has replaced; calls in flight may finish first."""
        retired, self._retired = self._retired, []
        for line in retired:
            await line.close()

    async def close(self) -> None:
        self._retired.extend(self._lines.values())
        self._lines.clear()
        await self.hang_up_retired()

    # -----------------------------------------------------------------------------------------------------------------

    def roads(self, to: NodeName, *, relayed: bool) -> list[Line]:
        """Every road there is now, best first, relays only if `relayed`; raises AddressUnknown or BreakerOpen."""
        breaker = self._breakers.get(to)
        is_left_alone = breaker is not None and not breaker.lets_through(self._clock.monotonic_s())
        lines: list[Line] = []
        if to in self._endpoints and not is_left_alone:
            lines.append(self._by_channel(to))
        link = self._links.get(to)
        if link is not None:
            lines.append(self._by(link, to))
        hop = next_hop(self._identity.name, to, self._identity.root)
        if relayed and hop is not None and hop != to and self._has_road(hop):
            lines.append(self._by_relay(hop, to))
        if lines:
            return lines
        if breaker is not None and is_left_alone:
            raise BreakerOpen(to, f"{breaker.failures} failures in a row")
        raise AddressUnknown(to, "no directory held here, and no hello, has told its address")

    def _has_road(self, hop: NodeName) -> bool:
        return bool(self._endpoints.get(hop)) or self._links.get(hop) is not None

    def _by_channel(self, to: NodeName) -> Line:
        """The line in use; a new one where the address or our own TLS leaf has changed since."""
        endpoint, tls = self._endpoints[to], self._material.current_tls()
        line = self._lines.get((to, "direct"))
        channel = line.transport if line is not None else None
        if line is not None and isinstance(channel, Channel) and (channel.place, channel.tls) == (endpoint, tls):
            return line
        fresh = Channel(
            to,
            endpoint,
            tls=tls,
            root_pem=self._material.root_pem,
            reply_bytes_max=REPLY_BYTES_MAX,
            dial=self._dial,
        )
        return self._replace(to, fresh)

    def _by_relay(self, hop: NodeName, to: NodeName) -> Line:
        line = self._lines.get((to, "relay"))
        if line is not None:
            return line
        return self._replace(to, RelayTransport(to, hop=hop, identity=self._identity, send=self._send))

    def _by(self, transport: Transport, to: NodeName) -> Line:
        line = self._lines.get((to, transport.road))
        return line if line is not None and line.transport is transport else self._replace(to, transport)

    def _replace(self, to: NodeName, transport: Transport) -> Line:
        older = self._lines.get((to, transport.road))
        if older is not None:
            self._retired.append(older)
        known = older or next((line for road in ROADS if (line := self._lines.get((to, road)))), None)
        line = self._lines[to, transport.road] = Line(
            to=to,
            transport=transport,
            identity=self._identity,
            chains=self._chains,
            clock=self._clock,
            randomness=self._randomness,
            judge=self._judge,
            key=known.key if known is not None else self._key_above(to),
            software_version=self._software_version,
        )
        return line

    def _key_above(self, name: NodeName) -> NodeKey | None:
        """The node key of an authority above this node, as its own chain, verified long since, records it."""
        for der in (*self._identity.chain, self._identity.root_certificate):
            claims = read_authority(der).claims
            if claims.name == name:
                return NodeKey.parse(claims.did)
        return None
