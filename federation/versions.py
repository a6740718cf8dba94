"""Which versions of the protocol a node speaks, and which one two nodes speak with each other.

What lives here: the numbers and the rule. What must not: what a version changed in a message (`protos/lln/v1` says it
where it did). A program speaks its own version and the one before it, so that a network is upgraded node by node, in
any order; what a peer lacks beyond that it refuses by itself.

1: the first. 2: a parent may ask for its own log, too (`Logs.Recall`), after it was restored from a backup.
"""

from typing import Final

from federation.errors import RefusedCall, UntrustedPeer

PROTOCOL_VERSION: Final = 2
PROTOCOL_VERSION_OLDEST: Final = PROTOCOL_VERSION - 1


class ProtocolUnknown(RefusedCall):
    code = "LLN-2271"
    zh = "两个节点的程序版本相差太远，没有共同的协议版本。请升级较旧的一方。"
    en = "The programs of the two nodes are too far apart: they have no protocol version in common. Upgrade the older."


class PeerTooFarApart(UntrustedPeer):
    code = "LLN-2171"
    zh = "对端按本程序不认识的协议版本应答。请升级较旧的一方。"
    en = "The peer answered by a protocol version that this program does not speak. Upgrade the older of the two."


def agree(said: int) -> int:
    """The version to speak with a caller that announces `said`, its newest; raises ProtocolUnknown.

    It speaks the one before its newest as well: that is what lets it talk to us before we are upgraded.
    """
    common = min(said, PROTOCOL_VERSION)
    if common < max(PROTOCOL_VERSION_OLDEST, said - 1):
        ours = f"{PROTOCOL_VERSION_OLDEST} to {PROTOCOL_VERSION}"
        raise ProtocolUnknown("protocol version", f"the caller speaks {said}, this node {ours}")
    return common


def check_agreed(peer: str, found: int) -> None:
    """Whether an answered hello chose a version we speak; raises PeerTooFarApart."""
    if not PROTOCOL_VERSION_OLDEST <= found <= PROTOCOL_VERSION:
        ours = f"{PROTOCOL_VERSION_OLDEST} to {PROTOCOL_VERSION}"
        raise PeerTooFarApart(peer, f"it answered by {found}, this node speaks {ours}")
