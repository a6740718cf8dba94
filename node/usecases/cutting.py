"""Cutting: a page of a log for one viewer, so that nobody sees more than a resource's share scope allows.

What lives here: which entries travel in full and which as their hash, for every page that leaves this node. What must
not: sending it, or the decision about visibility itself (`federation/catalogue.py`).
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from federation import catalogue
from federation.catalogue import Reach, ShareScope, is_visible, reach_of
from federation.logs import ENTRIES_MAX, Entry, LogId, Page, make_page, rows_for_page, take_page
from federation.merkle import leaf_hash
from federation.naming import NodeName
from node.ports import StoredLog, Transaction


class Cutting:
    def __init__(self, *, own_name: NodeName, root: NodeName) -> None:
        self._own_name = own_name
        self._root = root

    def page(self, tx: Transaction, stored: StoredLog, start: int, *, viewer: NodeName) -> Page:
        """The next page of a log for `viewer`, with everything withheld that it may not see.

        It ends with what `stored` has, however much the log has grown since that was read: beyond it nothing is signed.
        Own versions that have been superseded or withdrawn travel as their hash: a later copy costs what is live.
        """
        left = min(ENTRIES_MAX, stored.head.size - start)
        entries = tx.logs.entries(stored.log, start, left) if left > 0 else ()
        if stored.log.topic == catalogue.TOPIC:
            entries = self._as_seen(tx, stored.log, entries, start, viewer)
        taken = take_page(entries)
        rows = tx.logs.hash_rows(stored.log, rows_for_page(start + len(taken), stored.note))
        return make_page(stored.log, start=start, entries=taken, note=stored.note, rows=rows)

    def _as_seen(
        self, tx: Transaction, log: LogId, entries: Sequence[Entry], start: int, viewer: NodeName
    ) -> Sequence[Entry]:
        reaches = [reach_of(entry.document) if entry.document is not None else None for entry in entries]
        superseded = self._superseded(tx, log, reaches, start)
        audiences = {(reach.publisher, reach.scope) for reach in reaches if reach}
        admitting = {audience for audience in audiences if self._admits(audience, viewer)}
        if audiences == admitting and not superseded and None not in reaches:
            return entries
        return [
            entry
            if entry.document is None
            or (reach and (reach.publisher, reach.scope) in admitting and index not in superseded)
            else Entry.withheld(leaf_hash(entry.document))
            for index, (entry, reach) in enumerate(zip(entries, reaches, strict=True), start)
        ]

    def _superseded(self, tx: Transaction, log: LogId, reaches: Sequence[Reach | None], start: int) -> AbstractSet[int]:
        """Where own publications stand that are not in force; of others' logs nothing is known but what is said."""
        if log.origin != self._own_name:
            return frozenset()
        in_force = tx.resources.in_force(start, start + len(reaches))
        if len(in_force) == len(reaches):
            return frozenset()
        others = {
            index: reach.id
            for index, reach in enumerate(reaches, start)
            if reach and reach.is_publication and index not in in_force
        }
        known = tx.resources.many(tuple(set(others.values())))  # an entry of no known resource goes as it is
        return {index for index, id_ in others.items() if id_ in known}

    def _admits(self, audience: tuple[NodeName, ShareScope], viewer: NodeName) -> bool:
        publisher, scope = audience
        return is_visible(scope, publisher=publisher, viewer=viewer, root=self._root)
