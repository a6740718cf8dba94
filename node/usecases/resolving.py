"""Resolving: who a name is, asked of the lowest authority that stands above both.

What lives here: answering from the directories held here, and climbing when they do not reach, but not over and over
for names that nobody bears. What must not: believing an answer; whoever asked verifies the chain against its own root.
"""

from base64 import b64decode
from typing import Final

import msgspec

from federation.budgets import Budgets, per_minute
from federation.callers import TooManyCalls
from federation.errors import PeerRefused
from federation.naming import NodeName, is_within, lineage, parent_of
from federation.unknown_names import NameUnknown, UnknownNames
from node.ports import Clock, Identity, Peers, Resolved
from node.usecases.vouching import Vouching

TIMEOUT_S: Final = 3.0
UNKNOWN_PER_MINUTE: Final = 60


class TooManyUnknownNames(TooManyCalls):
    code = "LLN-228"
    zh = "对端询问了太多不存在的节点名称，暂时不再替它向上级查询，稍后会自动恢复。"
    en = "The peer has asked for too many names that nobody bears; for a moment nobody above is asked for it."


class Resolving:
    """`unknown_per_minute`: how many names that nobody knows one caller may have this node ask its parent for."""

    def __init__(
        self,
        *,
        vouching: Vouching,
        peers: Peers,
        identity: Identity,
        clock: Clock,
        unknown_per_minute: int = UNKNOWN_PER_MINUTE,
    ) -> None:
        self._vouching = vouching
        self._peers = peers
        self._identity = identity
        self._clock = clock
        self._unknown_names = UnknownNames()
        self._misses = Budgets(per_minute(unknown_per_minute))

    async def resolve(self, caller: NodeName, name: NodeName, hops_left: int, at_ms: int = 0) -> Resolved:
        """From the directories held here, else from the parent; with `at_ms`, also how the node stood then.

        Raises NameUnknown, TooManyUnknownNames.
        """
        known = self._from_held(name)
        if known is not None:
            return known if not at_ms else await self._with_then(known, at_ms)
        parent, now_ms = parent_of(self._identity.name, self._identity.root), self._clock.now_ms()
        if parent is None or hops_left < 1 or is_within(name, self._identity.name):
            raise NameUnknown(name, f"asked of {self._identity.name}")
        if self._unknown_names.holds(name, now_ms):
            raise NameUnknown(name, f"{self._identity.name} asked above a moment ago")
        if self._misses.is_spent(caller, now_ms):
            raise TooManyUnknownNames(caller, "of the names it asked for too many are nobody's")
        try:
            return await self._peers.resolve(parent, name, hops_left - 1, timeout_s=TIMEOUT_S, at_ms=at_ms)
        except PeerRefused as refused:
            if refused.peer_code != NameUnknown.code:
                raise
            self._unknown_names.add(name, now_ms)
            self._misses.spend(caller, now_ms)
            raise NameUnknown(name, f"{self._identity.name} asked {parent}") from refused

    def news(self) -> None:
        """A directory held here has changed: whoever was nobody may be somebody now."""
        self._unknown_names.forget()

    async def _with_then(self, known: Resolved, at_ms: int) -> Resolved:
        then = await self._vouching.stood_at(known.name, at_ms)
        return msgspec.structs.replace(known, status_then=then.status, key_then=then.key)

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
