"""Pinging: by which roads another node can be reached, for whoever wonders who is in the way."""

from typing import Final

from federation.errors import PeerUnreachable
from federation.naming import NodeName
from node.desk import PingTold
from node.ports import Peers

TIMEOUT_S: Final = 5.0


async def ping(peers: Peers, name: NodeName) -> PingTold:
    """Every road is tried, so that one that is blocked is seen beside one that is open."""
    try:
        roads = await peers.ping(name, timeout_s=TIMEOUT_S)
    except PeerUnreachable as nowhere:
        return PingTold(name=name, told=str(nowhere))
    return PingTold(name=name, roads=tuple(roads))
