"""Resolving: who a name is, asked of the lowest authority that stands above both.

What lives here: answering from the directories held here, and climbing when they do not reach. What must not: believing
an answer; whoever asked verifies the chain against its own root.
"""

from base64 import b64decode
from typing import Final

from federation.errors import NotFound
from federation.naming import NodeName, is_within, lineage, parent_of
from node.ports import Clock, Identity, Peers, Resolved
from node.usecases.vouching import Vouching

TIMEOUT_S: Final = 3.0


class NameUnknown(NotFound):
    code = "LLN-121"
    zh = "网络中没有这个名称的节点，或其上级的目录还没有送达。"
    en = "No node of that name is known in the network, or the directory that names it has not arrived."


class Resolving:
    def __init__(self, *, vouching: Vouching, peers: Peers, identity: Identity, clock: Clock) -> None:
        self._vouching = vouching
        self._peers = peers
        self._identity = identity
        self._clock = clock

    async def resolve(self, caller: NodeName, name: NodeName, hops_left: int) -> Resolved:
        """From the directories held here, else from the parent; raises NameUnknown."""
        del caller  # everybody admitted may know who is who
        known = self._from_held(name)
        if known is not None:
            return known
        parent = parent_of(self._identity.name, self._identity.root)
        if parent is None or hops_left < 1 or is_within(name, self._identity.name):
            raise NameUnknown(name, f"asked of {self._identity.name}")
        return await self._peers.resolve(parent, name, hops_left - 1, timeout_s=TIMEOUT_S)

    def _from_held(self, name: NodeName) -> Resolved | None:
        standing = self._vouching.standing_of(name)
        authority = parent_of(name, self._identity.root)
        if standing is None or authority is None:
            return None
        chain = self._chain(name)
        age_ms = self._vouching.directory_age_ms(authority) or 0
        if chain is None:
            return None
        return Resolved(
            name=name,
            status=standing.status,
            chain=chain,
            description=standing.description,
            moved_to=standing.moved_to,
            confirmed_at_ms=self._clock.now_ms() - age_ms,
            answered_by=self._identity.name,
        )

    def _chain(self, name: NodeName) -> tuple[bytes, ...] | None:
        """Certificates from `name` up to below the root, where the directories held here record all of them."""
        own = dict(zip(self._own_line(), self._identity.chain, strict=True))
        chain = []
        for one in lineage(name, self._identity.root)[:-1]:
            standing = self._vouching.standing_of(one)
            der = b64decode(standing.certificates[-1]) if standing else own.get(one)
            if der is None:
                return None
            chain.append(der)
        return tuple(chain)

    def _own_line(self) -> tuple[NodeName, ...]:
        return lineage(self._identity.name, self._identity.root)[:-1]
