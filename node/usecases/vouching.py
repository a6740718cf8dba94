"""Vouching: whether a caller, whose certificate chain has already been verified, is still admitted.

What lives here: a view in memory of every directory held here, kept current after each commit, and the judgement on
each call. What must not: checking certificates, or refusing a method to a relation.
"""

from collections.abc import Iterable, Sequence

import msgspec

from federation import directory
from federation.directory import Standing
from federation.logs import LogId
from federation.naming import NodeName, is_within, parent_of
from node.ports import Clock, Store, Transaction


class HeldDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """One authority's directory as this node knows it; `confirmed_at_ms` None for the node's own, always current."""

    standings: dict[NodeName, Standing]
    confirmed_at_ms: int | None


class Vouching:
    """Who is admitted, as far as the directories held here tell."""

    def __init__(self, *, store: Store, clock: Clock, own_name: NodeName, root: NodeName) -> None:
        self._store = store
        self._clock = clock
        self._own_name = own_name
        self._root = root
        self._held: dict[NodeName, HeldDirectory] = {}

    async def load(self) -> None:
        """Read every directory held; once, before the first call is served."""
        self._held = await self._store.read(self._read_all)

    async def refresh(self, authorities: Iterable[NodeName]) -> None:
        """Read some directories anew, after entries were added to them or they were confirmed."""
        wanted = tuple(authorities)
        fresh = await self._store.read(lambda tx: {name: self._read_one(tx, name) for name in wanted})
        self._held.update({name: held for name, held in fresh.items() if held is not None})

    def standing_of(self, name: NodeName) -> Standing | None:
        authority = parent_of(name, self._root)
        held = self._held.get(authority) if authority else None
        return held.standings.get(name) if held else None

    def standings(self) -> Sequence[Standing]:
        """Every standing known, authorities in order of name length so that parents come before children."""
        ordered = sorted(self._held, key=lambda name: (name.count("."), name))
        return [standing for name in ordered for standing in self._held[name].standings.values()]

    def children(self) -> Sequence[Standing]:
        held = self._held.get(self._own_name)
        return tuple(held.standings.values()) if held else ()

    def siblings(self) -> Sequence[Standing]:
        parent = parent_of(self._own_name, self._root)
        held = self._held.get(parent) if parent else None
        return tuple(s for s in held.standings.values() if s.name != self._own_name) if held else ()

    def directory_age_ms(self, authority: NodeName) -> int | None:
        """How long ago a directory was last confirmed; None where it is not held."""
        held = self._held.get(authority)
        if held is None:
            return None
        return 0 if held.confirmed_at_ms is None else max(0, self._clock.now_ms() - held.confirmed_at_ms)

    def judge(self, names: Sequence[NodeName], certificates: Sequence[str], *, reads_catalogue: bool) -> bool:
        """Whether a caller may go on; `names` and `certificates` (DER in base64) run from the caller up to the root's
        child. Returns True for "provisionally", raises the refusal of `federation.directory.judge` otherwise.

        Every member of the chain whose authority's directory is held here must stand in it: a revoked county takes its
        schools with it. Where the caller's own directory is not held, only its certificates speak for it; that is never
        so for children and siblings once this node has met its parent.
        """
        provisional = False
        for name, certificate in zip(names, certificates, strict=True):
            authority = parent_of(name, self._root)
            age_ms = self.directory_age_ms(authority) if authority else None
            if age_ms is None or is_within(self._own_name, name):
                provisional = provisional or not is_within(self._own_name, name)
                continue
            provisional |= directory.judge(
                self.standing_of(name),
                name=name,
                certificate=certificate,
                age_ms=age_ms,
                reads_catalogue=reads_catalogue,
            )
        return provisional

    def _read_all(self, tx: Transaction) -> dict[NodeName, HeldDirectory]:
        authorities = [NodeName(stored.log.origin) for stored in tx.logs.all() if stored.log.topic == directory.TOPIC]
        read = {name: self._read_one(tx, name) for name in authorities}
        return {name: held for name, held in read.items() if held is not None}

    def _read_one(self, tx: Transaction, authority: NodeName) -> HeldDirectory | None:
        stored = tx.logs.get(LogId(origin=authority, topic="directory"))
        if stored is None:
            return None
        own = authority == self._own_name
        return HeldDirectory(
            standings={standing.name: standing for standing in tx.standings.of(authority)},
            confirmed_at_ms=None if own else stored.confirmed_at_ms,
        )
