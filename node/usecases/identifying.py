"""Identifying: whose key is whose, for documents that were signed by nodes of other branches.

What lives here: the node keys of a name, now and at a moment past, from the directories held here or from the lowest
common authority, remembered for a while. What must not: judging a caller (`vouching.py`), or a document (whoever reads
it).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from federation.certificates import ChainVerifier
from federation.errors import UntrustedPeer
from federation.keys import NodeKey
from federation.naming import NodeName, parent_of
from node.ports import Clock, Identity, Peers, Resolved
from node.usecases.vouching import Vouching

ASK_AGAIN_MS: Final = 5 * 60_000
REMEMBERED_MAX: Final = 4_096
HOPS_MAX: Final = 8
TIMEOUT_S: Final = 5.0


class NobodyVouches(UntrustedPeer):
    code = "LLN-2199"
    zh = "查不到这个机构的密钥，不能核对它的签名。请稍后再试，或核对名称。"
    en = "Nobody vouches for a key of that institution, so its signature cannot be checked. Try later."


class Signatory(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a signature could be: key and status of a node when something was signed, and now (keys as `did:key`)."""

    key_then: str
    status_then: str
    key_now: str
    status_now: str

    def could_sign(self, key: str) -> bool:
        """Whether the key was the node's when it signed, and the node admitted."""
        return self.status_then == "active" and self.key_then == key

    def may_still_sign(self, key: str) -> bool:
        """Whether it still is: then nobody has to prove that the signature was not made, and dated back, since."""
        return self.status_now in ("active", "moved") and self.key_now == key


class Identifying:
    """Keys by name, the one in force first, then those it replaced."""

    def __init__(
        self,
        *,
        vouching: Vouching,
        peers: Peers,
        identity: Identity,
        chains: ChainVerifier,
        clock: Clock,
        lineage_keys: Callable[[], Mapping[NodeName, NodeKey]],
    ) -> None:
        self._vouching = vouching
        self._peers = peers
        self._identity = identity
        self._chains = chains
        self._clock = clock
        self._lineage_keys = lineage_keys
        self._asked: OrderedDict[NodeName, tuple[int, NodeKey]] = OrderedDict()

    async def keys_of(self, name: NodeName) -> Sequence[NodeKey]:
        """Raises NobodyVouches, or PeerUnreachable where somebody may know but does not answer."""
        if name == self._identity.name:
            return (NodeKey.parse(self._identity.did), *self._former(name))
        standing = self._vouching.standing_of(name)
        if standing is not None:
            return (NodeKey.parse(standing.key), *self._former(name))
        above = self._lineage_keys().get(name)
        if above is not None:
            return (above,)
        return (await self._resolved(name),)

    async def signatory(self, name: NodeName, at_ms: int) -> Signatory:
        """What is known of a node's key at a moment; raises as `keys_of` does."""
        standing = self._vouching.standing_of(name)
        if standing is not None:
            then = await self._vouching.stood_at(name, at_ms)
            return Signatory(
                key_then=then.key, status_then=then.status, key_now=standing.key, status_now=standing.status
            )
        own = self._identity.did if name == self._identity.name else None
        line = self._lineage_keys().get(name)
        key = own or (line.did if line else None)
        if key is not None:  # this node's own line, without which nothing here would be believed at all
            return Signatory(key_then=key, status_then="active", key_now=key, status_now="active")
        found, key = await self._ask_above(name, at_ms)
        return Signatory(
            key_then=found.key_then or key,
            status_then=found.status_then or found.status,
            key_now=key,
            status_now=found.status,
        )

    def _former(self, name: NodeName) -> Sequence[NodeKey]:
        standing = self._vouching.standing_of(name)
        return tuple(NodeKey.parse(one.key) for one in standing.former_keys) if standing else ()

    async def _resolved(self, name: NodeName) -> NodeKey:
        now_ms = self._clock.now_ms()
        asked_ms, known = self._asked.get(name, (0, None))
        if known is not None and now_ms - asked_ms < ASK_AGAIN_MS:
            return known
        _, did = await self._ask_above(name, 0)
        key = NodeKey.parse(did)
        self._asked[name] = (now_ms, key)
        self._asked.move_to_end(name)
        while len(self._asked) > REMEMBERED_MAX:
            self._asked.popitem(last=False)
        return key

    async def _ask_above(self, name: NodeName, at_ms: int) -> tuple[Resolved, str]:
        """What the lowest common authority says of a name, and the key that its chain proves."""
        parent = parent_of(self._identity.name, self._identity.root)
        if parent is None:
            raise NobodyVouches(name, "no directory held here names it")
        found = await self._peers.resolve(parent, name, HOPS_MAX, timeout_s=TIMEOUT_S, at_ms=at_ms)
        verified = self._chains.node(found.chain, self._clock.now_ms())
        if verified.name != name:
            raise NobodyVouches(name, f"the answer is about {verified.name}")
        return found, verified.key.did
