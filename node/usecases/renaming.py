"""Renaming: whether who asks now is who it was under another name, for what was agreed with a node before it moved.

What lives here: that one question, which the use cases of the credit bank share. What must not: finding keys
(`identifying.py`, handed in), or moving a node.
"""

from collections.abc import Awaitable, Callable, Sequence

from federation.errors import UntrustedPeer
from federation.keys import NodeKey
from federation.naming import NodeName

KeysOf = Callable[[NodeName], Awaitable[Sequence[NodeKey]]]


async def is_same_node(keys_of: KeysOf, earlier: str, sender: NodeName) -> bool:
    """Whether `sender` was `earlier` once: a node that moves keeps its key, and only its name is another.

    Whoever is no longer known under the earlier name is nobody's continuation. Raises PeerUnreachable.
    """
    if earlier == sender:
        return True
    try:
        return not set(await keys_of(NodeName(earlier))).isdisjoint(await keys_of(sender))
    except UntrustedPeer:
        return False


async def names_of(keys_of: KeysOf, earlier: str, sender: NodeName) -> frozenset[str]:
    """What `sender` is called, and `earlier` if that was a name of its own."""
    is_same = await is_same_node(keys_of, earlier, sender)
    return frozenset((sender, earlier)) if is_same else frozenset((sender,))
