"""Vouching: whether a caller, whose certificate chain has already been verified, is still admitted.

What lives here: a view in memory of every directory held here, kept current after each commit, the judgement on each
call, and looking again at what was admitted while the directory was stale. What must not: checking certificates, or
refusing a method to a relation.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from federation import directory
from federation.directory import FRESH_MS, DirectoryEntry, Standing, Status, apply_entry
from federation.errors import Unavailable
from federation.logs import ENTRIES_MAX, LogId
from federation.naming import NodeName, is_within, lineage, parent_of
from federation.provisional import Ledger, ProvisionalCalls
from node.ports import Clock, Store, Transaction

LEDGER_NOTE: Final = "calls admitted provisionally"
FOLLOWED_MOVES_MAX: Final = 8
CLOCKS_APART_MS: Final = 120_000
"""How far the clocks of a node and its authority may differ: what a node signs as it is admitted counts."""

_entries: Final[msgspec.json.Decoder[DirectoryEntry]] = msgspec.json.Decoder(DirectoryEntry)


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a node may be written to today, where it is not at this name, and why not, in words."""

    status: Status
    told: str = ""
    moved_to: NodeName | None = None


class Stood(msgspec.Struct, frozen=True, kw_only=True):
    """How a node stood at some moment: its status, and the key that was recorded for it."""

    status: Status | Literal["unknown"]
    key: str = ""


class HeldDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """One authority's directory as this node knows it, after its first `size` entries; `confirmed_at_ms` None for the
    node's own, always current.
    """

    size: int
    standings: dict[NodeName, Standing]
    confirmed_at_ms: int | None


class Vouching:
    """Who is admitted, as far as the directories held here tell."""

    def __init__(self, *, store: Store, clock: Clock, own_name: NodeName, root: NodeName) -> None:
        self._store = store
        self._clock = clock
        self._own_name = own_name
        self._root = root
        self._parent = parent_of(own_name, root)
        self._held: dict[NodeName, HeldDirectory] = {}
        self._provisional = ProvisionalCalls()
        self._kept = self._provisional.ledger()

    async def load(self) -> None:
        """Read every directory held; once, before the first call is served."""
        self._held = await self._store.read(self._read_all)
        noted = await self._store.read(lambda tx: tx.notes.get(LEDGER_NOTE))
        if noted:
            self._provisional = ProvisionalCalls(msgspec.json.decode(noted, type=Ledger))
            self._kept = self._provisional.ledger()

    async def refresh(self, authorities: Iterable[NodeName]) -> bool:
        """Read some directories anew, after entries were added to them or they were confirmed; then look again at
        whoever was admitted while they were stale. Returns whether some node is known to have moved, or to be back.
        """
        wanted = tuple(authorities)
        before = self._moved_from(wanted)
        fresh = await self._store.read(lambda tx: {name: self._read_one(tx, name) for name in wanted})
        self._held.update({name: held for name, held in fresh.items() if held is not None})
        if self._provisional.to_look_at():
            self._provisional.review(self._freshly_known, self._clock.now_ms())
            await self.keep_ledger()
        return self._moved_from(wanted) != before

    def _moved_from(self, authorities: Iterable[NodeName]) -> frozenset[NodeName]:
        held = (self._held[name] for name in authorities if name in self._held)
        return frozenset(one.name for each in held for one in each.standings.values() if one.moved_to)

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

    def current_name(self, name: NodeName) -> NodeName:
        """Where the node `name` is now, as far as the directories held here tell; the name itself if it never moved."""
        for _ in range(FOLLOWED_MOVES_MAX):
            standing = self.standing_of(name)
            if standing is None or standing.moved_to is None:
                return name
            name = standing.moved_to
        return name

    def whereabouts(self, name: NodeName) -> Whereabouts:
        """As far as the directories held here tell; a revoked or suspended authority takes those below it with it."""
        for one in lineage(name, self._root)[:-1]:
            standing = None if is_within(self._own_name, one) else self.standing_of(one)
            if standing is None or standing.status == "active":
                continue
            told = f"{one} is {standing.status}" + (f": {standing.reason}" if standing.reason else "")
            if standing.status != "moved":
                return Whereabouts(status=standing.status, told=told)
            if one == name:
                return Whereabouts(status="moved", told=told, moved_to=standing.moved_to)
        return Whereabouts(status="active")

    async def stood_at(self, name: NodeName, at_ms: int) -> Stood:
        """How a node stood at a moment, by the directories held here, as whoever is above it has logged it.

        Those above it count as well, as far as their directories are held: a suspended county takes its schools with
        it. `unknown` before the node was admitted, and where no directory held here names it.
        """
        line = [one for one in lineage(name, self._root)[:-1] if one == name or not is_within(self._own_name, one)]
        then = [await self._standing_then(one, at_ms) for one in line]
        own = then[0] if then else None
        if own is None:
            return Stood(status="unknown")
        fallen = (one.status for one in then if one is not None and one.status in ("suspended", "revoked"))
        return Stood(status=next(fallen, own.status), key=own.key)

    async def _standing_then(self, name: NodeName, at_ms: int) -> Standing | None:
        """Replayed only where something has changed since: anybody may ask, and a directory may be long."""
        standing = self.standing_of(name)
        if standing is None or standing.since_ms <= at_ms:
            return standing
        history = await self._store.read(lambda tx: self._history(tx, name))
        return _standing_at(history, at_ms)

    def _history(self, tx: Transaction, name: NodeName) -> Sequence[DirectoryEntry]:
        """Everything its authority has logged about one node."""
        authority = parent_of(name, self._root)
        log = LogId(origin=authority or self._root, topic=directory.TOPIC)
        found: list[DirectoryEntry] = []
        start = 0
        while entries := tx.logs.entries(log, start, ENTRIES_MAX):
            start += len(entries)
            found += (
                _entries.decode(one.document)
                for one in entries
                if one.document and b'"%s"' % name.encode() in one.document
            )
        return [entry for entry in found if entry.name == name]

    def is_current(self, name: NodeName) -> bool:
        """Whether what was said under this name is this node's or somebody's below it, and not history since a move."""
        standing = self.standing_of(name)
        return is_within(name, self._own_name) and (standing is None or standing.status != "moved")

    def is_followed(self, name: NodeName) -> bool:
        """Whether the directory that decides about `name` reaches this node regularly."""
        return self._age_if_followed(parent_of(name, self._root)) is not None

    def directory_age_ms(self, authority: NodeName) -> int | None:
        """How long ago a directory was last confirmed; None where it is not held."""
        held = self._held.get(authority)
        if held is None:
            return None
        return 0 if held.confirmed_at_ms is None else max(0, self._clock.now_ms() - held.confirmed_at_ms)

    def judge(self, names: Sequence[NodeName], certificates: Sequence[str], *, reads_catalogue: bool) -> bool:
        """Whether a caller may go on; `names` and `certificates` (DER in base64) run from the caller up to the root's
        child. Returns True for "provisionally", raises the refusal of `federation.directory.judge` otherwise.

        Every member of the chain whose authority's directory is followed here must stand in it: a revoked county takes
        its schools with it. Where it is not, only the certificates speak for the caller, and only for as long as this
        node is not itself cut off (DESIGN.md §3, Status); that is never so for children and siblings once this node has
        met its parent.
        """
        provisional = False
        stale: dict[NodeName, int] = {}
        for name, certificate in zip(names, certificates, strict=True):
            if is_within(self._own_name, name):
                continue
            age_ms = self._age_if_followed(parent_of(name, self._root))
            if age_ms is None:
                standing = self.standing_of(name)
                if standing is not None:
                    directory.check_standing(standing)
                provisional = True
                is_stale = directory.carries(name, age_ms=self._cut_off_ms(), reads_catalogue=reads_catalogue)
            else:
                is_stale = directory.judge(
                    self.standing_of(name),
                    name=name,
                    certificate=certificate,
                    age_ms=age_ms,
                    reads_catalogue=reads_catalogue,
                )
            if is_stale:
                stale[name] = self._confirmed_at_ms(parent_of(name, self._root))
        if stale:
            self._provisional.admitted(names[0], stale, self._clock.now_ms())
        return provisional or bool(stale)

    # --- what was admitted while the directory was stale -------------------------------------------------------------

    def ledger(self) -> Ledger:
        """Who was admitted provisionally and has not been looked at since, and who should not have been."""
        return self._provisional.ledger()

    def unsettled(self) -> tuple[NodeName, ...]:
        """Names that decide about callers admitted provisionally and stand in no directory followed here."""
        names = self._provisional.to_look_at()
        return tuple(sorted(name for name in names if self._age_if_followed(parent_of(name, self._root)) is None))

    def settle(self, statuses: Mapping[NodeName, Status]) -> None:
        """What others, freshly asked, have said of `unsettled` names."""
        self._provisional.review(lambda name, _: statuses.get(name), self._clock.now_ms())

    async def keep_ledger(self) -> None:
        """Write the ledger down if it has changed since: a restart in the middle of an outage must not forget it.

        Where the disk is full it is kept in memory until the next time.
        """
        ledger = self._provisional.ledger()
        if ledger != self._kept:
            with contextlib.suppress(Unavailable):
                await self._store.write(lambda tx: tx.notes.put(LEDGER_NOTE, msgspec.json.encode(ledger)))
                self._kept = ledger

    def _freshly_known(self, name: NodeName, believed_ms: int) -> Standing | Status | None:
        authority = parent_of(name, self._root)
        age_ms = self._age_if_followed(authority)
        if age_ms is None or age_ms >= FRESH_MS or self._confirmed_at_ms(authority) == believed_ms:
            return None
        return self.standing_of(name) or "revoked"

    def _age_if_followed(self, authority: NodeName | None) -> int | None:
        """The age of a directory that reaches this node regularly: its own, its parent's, those of nodes below it.

        One left over from before a move is held too, and grows old for ever.
        """
        if authority is None or not (authority == self._parent or is_within(authority, self._own_name)):
            return None
        return self.directory_age_ms(authority)

    def _confirmed_at_ms(self, authority: NodeName | None) -> int:
        """0 for a directory that is not held, and for this node's own, which nobody has to confirm."""
        held = self._held.get(authority) if authority else None
        return (held.confirmed_at_ms or 0) if held else 0

    def _cut_off_ms(self) -> int:
        """For how long nothing has been heard from above; 0 at the root, and before the parent was first met."""
        return (self.directory_age_ms(self._parent) or 0) if self._parent else 0

    def _read_all(self, tx: Transaction) -> dict[NodeName, HeldDirectory]:
        authorities = [NodeName(stored.log.origin) for stored in tx.logs.all() if stored.log.topic == directory.TOPIC]
        read = {name: self._read_one(tx, name) for name in authorities}
        return {name: held for name, held in read.items() if held is not None}

    def _read_one(self, tx: Transaction, authority: NodeName) -> HeldDirectory | None:
        stored = tx.logs.get(LogId(origin=authority, topic="directory"))
        if stored is None:
            return None
        held, size = self._held.get(authority), stored.head.size
        if held is not None and held.size == size:  # only confirmed: nobody's standing has changed
            standings = held.standings
        else:
            standings = {standing.name: standing for standing in tx.standings.of(authority)}
        own = authority == self._own_name
        return HeldDirectory(size=size, standings=standings, confirmed_at_ms=None if own else stored.confirmed_at_ms)


def _standing_at(history: Sequence[DirectoryEntry], at_ms: int) -> Standing | None:
    standing: Standing | None = None
    for entry in history:
        if entry.at_ms > at_ms and not (standing is None and entry.at_ms <= at_ms + CLOCKS_APART_MS):
            break
        standing = apply_entry(standing, entry)
    return standing
