"""Cutting: a page of a log for one viewer, so that nobody sees more than a resource's share scope allows.

What lives here: which entries travel in full and which as their hash, for every page that leaves this node. What must
not: sending it, or the decision about visibility itself (`federation/catalogue.py`).
"""

from collections.abc import Mapping, Sequence

from federation import catalogue
from federation.catalogue import Reach, is_visible, reach_of
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

        Own versions that have been superseded or withdrawn travel as their hash: a later copy costs what is live.
        """
        entries = tx.logs.entries(stored.log, start, ENTRIES_MAX) if start < stored.head.size else ()
        if stored.log.topic == catalogue.TOPIC:
            entries = self._as_seen(tx, stored.log, entries, start, viewer)
        taken = take_page(entries)
        rows = tx.logs.hash_rows(stored.log, rows_for_page(start + len(taken), stored.note))
        return make_page(stored.log, start=start, entries=taken, note=stored.note, rows=rows)

    def _as_seen(
        self, tx: Transaction, log: LogId, entries: Sequence[Entry], start: int, viewer: NodeName
    ) -> Sequence[Entry]:
        reaches = [reach_of(entry.document) if entry.document is not None else None for entry in entries]
        live = self._live_indexes(tx, log, reaches)
        return [
            entry
            if entry.document is None or (reach and self._is_sent(reach, start + at, viewer, live))
            else Entry.withheld(leaf_hash(entry.document))
            for at, (entry, reach) in enumerate(zip(entries, reaches, strict=True))
        ]

    def _live_indexes(self, tx: Transaction, log: LogId, reaches: Sequence[Reach | None]) -> Mapping[str, int | None]:
        """Where the version in force of each own resource stands; of others' logs nothing is known but what is said."""
        if log.origin != self._own_name:
            return {}
        ids = tuple({reach.id for reach in reaches if reach and reach.is_publication})
        return {found: row.log_index for found, row in tx.resources.many(ids).items()}

    def _is_sent(self, reach: Reach, index: int, viewer: NodeName, live: Mapping[str, int | None]) -> bool:
        if reach.is_publication and live.get(reach.id, index) != index:
            return False
        return is_visible(reach.scope, publisher=reach.publisher, viewer=viewer, root=self._root)
