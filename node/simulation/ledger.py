"""What each node has truly said: every entry of every own log, in order, with the root at each size.

What lives here: the truth that copies are held against, and what it means. What must not: copies (`invariants.py`), or
the product's own replay and visibility rules where a second, plainer telling of them can be had.
"""

from collections.abc import Sequence

from federation import canonical
from federation.catalogue import DOCUMENT_BYTES_MAX, CatalogueEntry, ResourcePublished, ShareScope, scope_of
from federation.directory import DirectoryEntry, NodeAdmitted, Standing, apply_entry
from federation.errors import LlnError
from federation.logs import Entry, LogId
from federation.merkle import Frontier
from federation.naming import NodeName


class Broken(Exception):  # the first words of a sentence: Broken: what, where
    """An invariant does not hold; says which, and what was found."""

    def __init__(self, invariant: str, found: str) -> None:
        super().__init__(invariant, found)
        self.invariant = invariant
        self.found = found

    def __str__(self) -> str:
        return f"{self.invariant}: {self.found}"


class Ledger:
    """One own log; `add` is told of each commit that grew it."""

    def __init__(self, log: LogId) -> None:
        self.log = log
        self.leaves: list[bytes] = []
        self.roots: list[bytes] = [Frontier().root()]
        self.scopes: list[ShareScope | None] = []
        self.published: dict[tuple[str, int], int] = {}
        self.live: dict[str, int] = {}
        self.standings: list[Standing] = []
        self._said: set[bytes] = set()
        self._frontier = Frontier()
        self._now: dict[NodeName, Standing] = {}

    @property
    def size(self) -> int:
        return len(self.leaves)

    def add(self, entries: Sequence[Entry]) -> None:
        """Raises Broken for what was said before, or says nothing."""
        for entry in entries:
            if entry.document is None:
                raise Broken("an own log holds its own documents", f"{self.log} entry {self.size}")
            leaf = entry.leaf_hash
            if leaf in self._said:
                raise Broken("no entry is doubled", f"{self.log} entry {self.size} was said before")
            self._said.add(leaf)
            self._take(entry.document)
            self.leaves.append(leaf)
            self._frontier = self._frontier.extend([leaf]).frontier
            self.roots.append(self._frontier.root())

    def _take(self, document: bytes) -> None:
        if self.log.topic == "directory":
            self._take_standing(canonical.decode(document, DirectoryEntry, bytes_max=DOCUMENT_BYTES_MAX))
        elif self.log.topic == "catalogue":
            self._take_resource(canonical.decode(document, CatalogueEntry, bytes_max=DOCUMENT_BYTES_MAX))

    def _take_standing(self, entry: DirectoryEntry) -> None:
        before = self._now.get(NodeName(entry.name))
        try:
            after = apply_entry(before, entry)
        except LlnError as illegal:
            raise Broken("a directory follows its own rules", f"{self.log} entry {self.size}: {illegal}") from illegal
        if after == before and not isinstance(entry, NodeAdmitted):
            raise Broken("a changing call has its effect once", f"{self.log} entry {self.size} changes nothing")
        self._now[after.name] = after
        self.standings.append(after)

    def _take_resource(self, entry: CatalogueEntry) -> None:
        self.scopes.append(scope_of(entry))
        if not isinstance(entry, ResourcePublished):
            self.live.pop(entry.id, None)
            return
        version = (entry.resource.id, entry.resource.version)
        if version in self.published:
            raise Broken("nothing is published twice", f"{self.log}: {version[0]} version {version[1]}")
        self.published[version] = self.live[entry.resource.id] = self.size


def may_see(scope: ShareScope, publisher: str, viewer: str, root: str) -> bool:
    """DESIGN.md §5, Share scope, told a second time, from names alone; the product's own rule is not asked."""
    if viewer == publisher or scope.reach == "network":
        return viewer == root or viewer.endswith(f".{root}")
    if scope.reach == "node" or publisher == root:
        return scope.reach == "subtree" and scope.ancestor == root
    family = publisher.partition(".")[2]
    if scope.reach == "siblings":
        return family in (viewer, viewer.partition(".")[2])
    ancestor = scope.ancestor or publisher
    is_above = publisher == ancestor or publisher.endswith(f".{ancestor}")
    return is_above and (viewer == ancestor or viewer.endswith(f".{ancestor}"))
