"""What must hold at every moment, checked at every commit of every node; the first that does not ends the simulation.

What lives here: each invariant, and the sentence it is reported by. What must not: faults, or the product's own checks;
a node that fools its parent must not fool this. What must hold in the end is in `healed.py`.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

from federation.checkpoints import unverified_checkpoint
from federation.logs import Entry, LogId
from federation.naming import NodeName
from federation.search import SearchAnswer
from node.ports import StoredLog
from node.simulation.disk import Disk
from node.simulation.ledger import Broken, Ledger, may_see
from node.simulation.letters import Letters
from node.simulation.trace import Counts

_ALL: Final = 1_000_000
_FEW: Final = 8


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """A person was told that this version stands in the catalogue, at this place of the log."""

    node: NodeName
    id: str
    version: int
    log_index: int


class Checker:
    """Told of every commit and every answer; remembers the first thing that did not hold in `broken`.

    `deceivers`: nodes that have signed two histories, of whose logs only what they themselves store can be checked.
    """

    def __init__(self, root: NodeName, counts: Counts) -> None:
        self.root = root
        self.counts = counts
        self.broken: Broken | None = None
        self.deceivers: dict[NodeName, None] = {}
        self.ledgers: dict[LogId, Ledger] = {}
        self.sizes: dict[NodeName, dict[LogId, int]] = defaultdict(dict)
        self.acknowledged: list[Acknowledged] = []
        self.letters = Letters(self.fail, counts)

    def ledger(self, log: LogId) -> Ledger:
        if log not in self.ledgers:
            self.ledgers[log] = Ledger(log)
        return self.ledgers[log]

    def fail(self, invariant: str, found: str) -> None:
        if self.broken is None:
            self.broken = Broken(invariant, found)

    # --- at each commit ----------------------------------------------------------------------------------------------

    def committed(self, disk: Disk, touched: frozenset[LogId]) -> None:
        """Look at what a commit has touched, before anybody else learns of it."""
        try:
            for log in sorted(touched):
                self._look_at(disk, log)
        except Broken as broken:
            self.broken = self.broken or broken

    def reopened(self, disk: Disk) -> None:
        """After a crash: nothing that was synced is gone, and nothing is there that was not."""
        held = {stored.log: stored.head.size for stored in disk.read(lambda tx: tuple(tx.logs.all()))}
        before = self.sizes[disk.name]
        self.counts.checks += 1
        for log in sorted({*held, *before}):
            if held.get(log, 0) != before.get(log, 0):
                self.fail(
                    "a crash loses nothing that was synced",
                    f"{disk.name} held {before.get(log, 0)} of {log}, and has {held.get(log, 0)}",
                )

    def _look_at(self, disk: Disk, log: LogId) -> None:
        known = self.sizes[disk.name].get(log, 0)
        stored, entries = disk.read(lambda tx: (tx.logs.get(log), tx.logs.entries(log, known, _ALL)))
        if stored is None:
            if any(fork.log == log for fork in disk.read(lambda tx: tuple(tx.logs.forks()))):
                return  # nothing of it is held here but the proof
            raise Broken("what was touched is there", f"{log} at {disk.name}")
        self.counts.checks += 1
        if stored.head.size != known + len(entries):
            raise Broken(
                "a log only grows", f"{disk.name} held {known} of {log}, has {stored.head.size}, {len(entries)} new"
            )
        self.sizes[disk.name][log] = stored.head.size
        if log.origin == disk.name:
            self._look_at_own(disk, stored, known, entries)
        elif log.origin not in self.deceivers:
            self._look_at_copy(disk, stored, known, entries)

    def _look_at_own(self, disk: Disk, stored: StoredLog, known: int, entries: Sequence[Entry]) -> None:
        ledger = self.ledger(stored.log)
        ledger.add(entries)
        self.counts.entries += len(entries)
        if stored.head.root() != ledger.roots[stored.head.size]:
            raise Broken("an own log is never rewritten", f"{stored.log} at size {stored.head.size}")
        signed = unverified_checkpoint(stored.note)
        if (signed.size, signed.root) != (stored.head.size, stored.head.root()):
            raise Broken("the signed checkpoint is of what is stored", f"{stored.log}: {signed.size}")
        if stored.log.topic == "directory":
            self._check_standings(disk, ledger, known, stored.head.size)

    def _look_at_copy(self, disk: Disk, stored: StoredLog, known: int, entries: Sequence[Entry]) -> None:
        ledger = self.ledgers.get(stored.log)
        size = stored.head.size
        if ledger is None or size > ledger.size:
            raise Broken("nobody holds what was never said", f"{disk.name}: {size} entries of {stored.log}")
        if stored.head.root() != ledger.roots[size]:
            raise Broken("a copy is a prefix of its origin's log", f"{disk.name}: {stored.log} at size {size}")
        self.counts.copied_entries += len(entries)
        for at, entry in enumerate(entries, start=known):
            if entry.leaf_hash != ledger.leaves[at]:
                raise Broken("a copy holds what its origin said", f"{disk.name}: {stored.log} entry {at}")
            if entry.document is not None and stored.log.topic == "catalogue":
                self._check_scope(ledger, at, disk.name)
        if stored.log.topic == "directory" and entries:
            self._check_standings(disk, ledger, known, size)

    def _check_scope(self, ledger: Ledger, at: int, holder: NodeName) -> None:
        scope = ledger.scopes[at]
        if scope is None or not may_see(scope, ledger.log.origin, holder, self.root):
            raise Broken("nobody holds what is not shared with it", f"{holder}: {ledger.log} entry {at}, {scope}")

    def _check_standings(self, disk: Disk, ledger: Ledger, known: int, size: int) -> None:
        authority = ledger.log.origin
        changed = {standing.name: standing for standing in ledger.standings[known:size]}
        if len(changed) > _FEW:
            found = {one.name: one for one in disk.read(lambda tx: tuple(tx.standings.of(authority)))}
        else:
            found = disk.read(lambda tx: {name: one for name in changed if (one := tx.standings.get(authority, name))})
        for name, meant in changed.items():
            if found.get(name) != meant:
                raise Broken("standings follow from the directory", f"{disk.name}: {name} at size {size}")

    # --- at each answer ----------------------------------------------------------------------------------------------

    def answered(self, asker: NodeName, answer: SearchAnswer) -> None:
        """Everything found may be seen by whoever asked."""
        self.counts.checks += 1
        for hit in answer.hits:
            publisher = NodeName(hit.publisher)
            if publisher in self.deceivers:
                continue
            ledger = self.ledgers.get(LogId(origin=publisher, topic="catalogue"))
            index = ledger.published.get((hit.id, hit.version)) if ledger else None
            scope = ledger.scopes[index] if ledger and index is not None else None
            if scope is None:
                self.fail("nothing is found that was never published", f"{asker} found {hit.key} {hit.version}")
            elif not may_see(scope, publisher, asker, self.root):
                self.fail("nobody finds what is not shared with it", f"{asker} found {hit.key}, {scope}")

    def acknowledge(self, told: Acknowledged) -> None:
        """Somebody was told so; from now on it must be so."""
        self.acknowledged.append(told)
        self._check_acknowledged(told)

    def check_all_acknowledged(self) -> None:
        for told in self.acknowledged:
            self._check_acknowledged(told)

    def _check_acknowledged(self, told: Acknowledged) -> None:
        self.counts.checks += 1
        ledger = self.ledger(LogId(origin=told.node, topic="catalogue"))
        found = ledger.published.get((told.id, told.version))
        if found != told.log_index:
            self.fail(
                "what was accepted is never lost",
                f"{told.node}: {told.id} version {told.version} at {told.log_index}, found {found}",
            )
