"""Cutting: a page of a log for one viewer, so that nobody sees more than a resource's share scope allows.

What lives here: which entries travel in full and which as their hash, for every page that leaves this node. What must
not: sending it, or the decision about visibility itself (`federation/catalogue.py`).
"""

from collections.abc import Mapping, Sequence
from typing import cast

from federation import canonical, catalogue
from federation.catalogue import CatalogueEntry, ResourcePublished, is_visible, scope_of
from federation.errors import LlnError
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
            live = self._live_indexes(tx, stored.log, entries)
            entries = [self._as_seen(entry, start + at, viewer, live) for at, entry in enumerate(entries)]
        taken = take_page(entries)
        rows = tx.logs.hash_rows(stored.log, rows_for_page(start + len(taken), stored.note))
        return make_page(stored.log, start=start, entries=taken, note=stored.note, rows=rows)

    def _live_indexes(self, tx: Transaction, log: LogId, entries: Sequence[Entry]) -> Mapping[str, int | None]:
        if log.origin != self._own_name:
            return {}
        said = (_read(entry) for entry in entries)
        ids = tuple({entry.resource.id for entry in said if isinstance(entry, ResourcePublished)})
        return {found: row.log_index for found, row in tx.resources.many(ids).items()}

    def _as_seen(self, entry: Entry, index: int, viewer: NodeName, live: Mapping[str, int | None]) -> Entry:
        said = _read(entry)
        if entry.document is None:
            return entry
        if said is None:
            return Entry.withheld(leaf_hash(entry.document))
        publisher = NodeName(said.publisher)
        superseded = isinstance(said, ResourcePublished) and live.get(said.resource.id, index) != index
        if not superseded and is_visible(scope_of(said), publisher=publisher, viewer=viewer, root=self._root):
            return entry
        return Entry.withheld(leaf_hash(entry.document))


def _read(entry: Entry) -> CatalogueEntry | None:
    """The entry as a catalogue document, or None where it is withheld or cannot be read (and so is shown to nobody)."""
    if entry.document is None:
        return None
    try:
        return cast(
            "CatalogueEntry", canonical.decode(entry.document, CatalogueEntry, bytes_max=catalogue.DOCUMENT_BYTES_MAX)
        )
    except LlnError:
        return None
