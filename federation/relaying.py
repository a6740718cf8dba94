"""Relaying: which way a call goes that its origin cannot make itself, and what a relay checks before it passes it on.

What lives here: the next hop, and the checks. What must not: sockets, time, or what is in the call; the origin's
signature covers it end to end, and only the target judges it.
"""

from collections.abc import Sequence
from typing import Final

from federation.errors import NotAllowed, PeerUnreachable
from federation.naming import NodeName, is_within, lineage, parent_of

RELAYS_MAX: Final = 16
"""Up from a node at depth seven and down to another passes twelve."""


class ForeignOrigin(NotAllowed):
    code = "LLN-1420"
    zh = "转发的请求声称来自一个不经过这条路的节点，已拒绝。"
    en = "A call to be relayed names an origin from which it could not have come this way; it was refused."


class RelayLoop(NotAllowed):
    code = "LLN-1421"
    zh = "转发的请求绕了圈子或经过太多节点，已拒绝。"
    en = "A call to be relayed has come round in a circle, or through too many nodes; it was refused."


class NoWayThere(PeerUnreachable):
    code = "LLN-2503"
    zh = "沿途有节点联系不上，请求没有送到。lln ping 名称 可以看到停在哪一步。"
    en = "A node on the way could not be reached, so the call did not arrive. lln ping NAME shows where it stopped."


def next_hop(own: NodeName, target: NodeName, root: NodeName) -> NodeName | None:
    """The neighbour nearer to `target`: the child above it, or else the parent; None for oneself and above the root."""
    if target == own:
        return None
    if not is_within(target, own):
        return parent_of(own, root)
    return next(name for name in lineage(target, root) if parent_of(name, root) == own)


def check_passage(
    *, origin: NodeName, target: NodeName, via: Sequence[NodeName], caller: NodeName, own: NodeName
) -> None:
    """Raise ForeignOrigin or RelayLoop unless `caller` may hand this on to `own`."""
    # 1. Whoever hands it over is the origin, or the relay that was named last.
    if caller != (via[-1] if via else origin):
        raise ForeignOrigin(origin, f"handed over by {caller}")
    # 2. From below come calls of those below; from above, of all others.
    if is_within(caller, own) != is_within(origin, own) or (is_within(caller, own) and not is_within(origin, caller)):
        raise ForeignOrigin(origin, f"handed over by {caller}")
    # 3. Downward it never turns up again.
    if not is_within(caller, own) and not is_within(target, own):
        raise RelayLoop(target, f"{caller} sent it to {own}, which is not above it")
    # 4. Bounded, and never twice through the same node.
    if own in via or own == origin or len(via) >= RELAYS_MAX:
        raise RelayLoop(target, " → ".join(via))
