"""The tree below this node as rows: what pages and their twins say of each node, put together from what the desk says.

What lives here: one row per node, and the list of them. What must not: pages, or any change.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from federation.directory import NodeDescription
from node import desk
from node.portal.visits import Visit

HEAD: Final = (
    "name",
    "title",
    "level",
    "kind",
    "division_code",
    "status",
    "version",
    "catalogue_entries",
    "confirmed_at_ms",
    "not_yet_searchable",
    "waiting",
)


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """One node. `depth` 0 is this one. `entries` of its catalogue that are held here, `unindexed` of them not
    searchable yet; `waiting` for it in the outbox. `confirmed_at_ms` None where nothing of it has come; `version` ""
    until a node has described itself to its parent.
    """

    name: str
    parent: str | None
    depth: int
    description: NodeDescription
    status: str
    version: str
    entries: int | None
    confirmed_at_ms: int | None
    unindexed: int
    waiting: int

    @property
    def cells(self) -> tuple[object, ...]:
        about = self.description
        return (
            self.name,
            about.title.zh or about.title.en,
            about.level,
            about.kind,
            about.division_code,
            self.status,
            self.version,
            self.entries,
            self.confirmed_at_ms,
            self.unindexed,
            self.waiting,
        )


async def branches(visit: Visit, state: desk.NodeState, outbox: desk.Outbox) -> Sequence[Branch]:
    """The node itself and everything known below it, parents before their children."""
    tree = await visit.ask("node.tree", desk.Nothing(), desk.Tree)
    waiting = {one.to: one.waiting for one in outbox.nodes}
    unindexed: Counter[str] = Counter()
    for log in state.logs:
        unindexed[log.origin] += max(0, log.size - log.indexed) if log.indexed is not None else 0
    return [
        Branch(
            name=one.name,
            parent=one.parent,
            depth=one.name.removesuffix(tree.top).count("."),
            description=one.description,
            status=one.status,
            version=state.software_version if one.name == state.name else one.description.software_version,
            entries=one.catalogue_size,
            confirmed_at_ms=one.confirmed_at_ms,
            unindexed=unindexed[one.name],
            waiting=waiting.get(one.name, 0),
        )
        for one in tree.nodes
    ]


async def all_branches(visit: Visit) -> Sequence[Branch]:
    """As `branches`, where nothing else of the node is wanted."""
    state = await visit.ask("node.status", desk.Nothing(), desk.NodeState)
    outbox = await visit.ask("outbox.show", desk.Nothing(), desk.Outbox)
    return await branches(visit, state, outbox)
