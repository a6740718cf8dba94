"""What must hold once the network is whole again and everybody has had time: every copy complete, everybody agreed.

What lives here: what is still missing, in words. What must not: what must hold at every moment (`invariants.py`).
"""

from collections.abc import Iterator, Mapping

from federation.directory import Standing
from federation.logs import LogId
from federation.naming import NodeName, lineage, parent_of
from node.simulation.disk import Disk
from node.simulation.invariants import Checker
from node.simulation.ledger import may_see


class Settled:
    """Asked again and again until nothing is missing; `positions` are those of the indexes of running nodes."""

    def __init__(self, checker: Checker, disks: Mapping[NodeName, Disk]) -> None:
        self._checker = checker
        self._disks = disks
        self._root = checker.root
        self._statuses: dict[NodeName, dict[NodeName, str]] = {}

    def missing(self, positions: Mapping[NodeName, Mapping[NodeName, int]]) -> Iterator[str]:
        """What is not yet as it must be in the end; each a clause with its subject first."""
        self._statuses.clear()
        for log, ledger in sorted(self._checker.ledgers.items()):
            origin = NodeName(log.origin)
            if origin in self._checker.deceivers or not self.is_in_good_standing(origin):
                continue
            for holder in lineage(origin, self._root)[1:]:
                yield from self._missing_at(holder, log, ledger.size)
                searchable = positions.get(holder, {}).get(origin, 0)
                if log.topic == "catalogue" and searchable != ledger.size:
                    yield f"{holder} has {searchable} of {ledger.size} entries of {log} searchable"
        for name in self._disks:
            parent = parent_of(name, self._root)
            if parent is not None and self.is_in_good_standing(name):
                log = LogId(origin=parent, topic="directory")
                yield from self._missing_at(name, log, self._checker.ledger(log).size)
        yield from self._checker.letters.missing(self._disks, self.is_in_good_standing)

    def is_in_good_standing(self, name: NodeName) -> bool:
        """Whether `name` and everybody above it is admitted today, by their authorities' own directories."""
        line = lineage(name, self._root)[:-1]
        return all(self._status(one) == "active" for one in line)

    def incomplete_documents(self) -> Iterator[str]:
        """Live versions that an ancestor may see and yet holds only the hash of."""
        for log, ledger in sorted(self._checker.ledgers.items()):
            origin = NodeName(log.origin)
            if log.topic != "catalogue" or origin in self._checker.deceivers or not self.is_in_good_standing(origin):
                continue
            for holder in lineage(origin, self._root)[1:]:
                seen = [
                    at
                    for at in ledger.live.values()
                    if may_see(ledger.scopes[at], origin, holder, self._root)  # type: ignore[arg-type]
                ]
                for at in seen:
                    entry = self._disks[holder].read(lambda tx, log=log, at=at: tx.logs.entries(log, at, 1))[0]  # type: ignore[misc]
                    if entry.document is None and self._is_seen_on_the_way(ledger.scopes[at], origin, holder):
                        yield f"{holder} lacks the document of {log} entry {at}"

    def unreported_forks(self, forked: Mapping[LogId, None]) -> Iterator[str]:
        """Forks whose evidence is not with every authority above; and evidence of forks that never were."""
        for name, disk in self._disks.items():
            for fork in disk.read(lambda tx: tuple(tx.logs.forks())):
                if fork.log not in forked and fork.log.origin not in self._checker.deceivers:
                    yield f"{name} holds evidence against {fork.log}, which never forked"
        for log in forked:
            for holder in lineage(NodeName(log.origin), self._root)[1:]:
                held = self._disks[holder].read(lambda tx: [fork.log for fork in tx.logs.forks()])
                if log not in held:
                    yield f"{holder} has no evidence of the fork of {log}"

    def _is_seen_on_the_way(self, scope: object, origin: NodeName, holder: NodeName) -> bool:
        """A copy travels by every authority between; where one of them may not see, it goes on as a hash."""
        line = lineage(origin, self._root)
        between = line[1 : line.index(holder)]
        return all(may_see(scope, origin, one, self._root) for one in between)  # type: ignore[arg-type]

    def _missing_at(self, holder: NodeName, log: LogId, size: int) -> Iterator[str]:
        held = self._checker.sizes[holder].get(log, 0)
        if held != size:
            yield f"{holder} holds {held} of {size} entries of {log}"

    def disagreements(self) -> Iterator[str]:
        """Whoever, with its copy complete, does not hold exactly what its authority holds on who is admitted."""
        meant: dict[NodeName, tuple[Standing, ...]] = {}
        for name, disk in self._disks.items():
            authority = parent_of(name, self._root)
            if authority is None or not self.is_in_good_standing(name):
                continue
            if authority not in meant:
                meant[authority] = _standings(self._disks[authority], authority)
            if _standings(disk, authority) != meant[authority]:
                yield f"{name} and {authority} disagree on who is admitted"

    def _status(self, name: NodeName) -> str:
        """As of the last look at what is missing: an authority is asked once for all its children."""
        authority = parent_of(name, self._root)
        if authority is None:
            return "active"
        if authority not in self._statuses:
            found = _standings(self._disks[authority], authority)
            self._statuses[authority] = {standing.name: standing.status for standing in found}
        return self._statuses[authority].get(name, "not admitted")


def _standings(disk: Disk, authority: NodeName) -> tuple[Standing, ...]:
    return disk.read(lambda tx: tuple(tx.standings.of(authority)))
