"""Rows of the outbox and the inbox.

What lives here: whole statements, and what a unit sees of what must arrive. What must not: transactions (`engine.py`),
or when anything is sent.
"""

from collections.abc import Sequence
from typing import Any, Final

from federation.naming import NodeName
from node.ports import Backlog, InboxRow, OutboxItem, Sending
from node.ports.posting import ITEM_BYTES_MAX, ITEM_ID_CHARS_MAX, KIND_CHARS_MAX
from node.storage.errors import ItemReused, RowsClash, UnfitItem
from node.storage.rows import Tables

ITEM_ADD: Final = (
    "INSERT INTO outbox_item (destination, sequence, id, kind, document, created_at_ms, attempts, is_dead, code, told)"
    " SELECT ?, coalesce(max(sequence), 0) + 1, ?, ?, ?, ?, 0, 0, '', '' FROM outbox_item WHERE destination = ?"
    " ON CONFLICT (destination, id) DO NOTHING"
)
ITEM_GET: Final = (
    "SELECT destination, sequence, id, kind, document, created_at_ms, attempts, is_dead, code, told"
    " FROM outbox_item WHERE destination = ? AND id = ?"
)
ITEMS_WAITING: Final = (
    "SELECT destination, sequence, id, kind, document, created_at_ms, attempts, is_dead, code, told"
    " FROM outbox_item WHERE destination = ? AND is_dead = 0 ORDER BY sequence LIMIT ?"
)
ITEMS_FOUND: Final = (
    "SELECT destination, sequence, id, kind, document, created_at_ms, attempts, is_dead, code, told"
    " FROM outbox_item WHERE id = ? ORDER BY destination"
)
ITEMS_DEAD: Final = (
    "SELECT destination, sequence, id, kind, document, created_at_ms, attempts, is_dead, code, told"
    " FROM outbox_item WHERE is_dead = 1 ORDER BY destination, sequence LIMIT ?"
)
ITEM_PUT: Final = (
    "UPDATE outbox_item SET sequence = ?, attempts = ?, is_dead = ?, code = ?, told = ?"
    " WHERE destination = ? AND id = ?"
)
ITEM_LAST: Final = "SELECT coalesce(max(sequence), 0) FROM outbox_item WHERE destination = ?"
ITEM_REMOVE: Final = "DELETE FROM outbox_item WHERE destination = ? AND id = ?"
SENDING_GET: Final = "SELECT failures, next_try_at_ms, last_error FROM outbox_sending WHERE destination = ?"
SENDING_ALL: Final = "SELECT destination, failures, next_try_at_ms, last_error FROM outbox_sending"
SENDING_PUT: Final = (
    "INSERT INTO outbox_sending (destination, failures, next_try_at_ms, last_error) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (destination) DO UPDATE SET failures = excluded.failures,"
    " next_try_at_ms = excluded.next_try_at_ms, last_error = excluded.last_error"
)
SENDING_REMOVE: Final = "DELETE FROM outbox_sending WHERE destination = ?"
BACKLOGS: Final = (
    "SELECT destination, count(*) FILTER (WHERE is_dead = 0),"
    " coalesce(sum(length(document)) FILTER (WHERE is_dead = 0), 0),"
    " coalesce(min(created_at_ms) FILTER (WHERE is_dead = 0), 0), count(*) FILTER (WHERE is_dead = 1)"
    " FROM outbox_item GROUP BY destination"
)
INBOX_GET: Final = "SELECT content_sha256, reply, at_ms FROM inbox WHERE sender = ? AND id = ?"
INBOX_PUT: Final = (
    "INSERT INTO inbox (sender, id, content_sha256, reply, at_ms) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (sender, id) DO NOTHING"
)


class StoredOutbox:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._added: dict[NodeName, None] = {}

    def added(self) -> frozenset[NodeName]:
        """The nodes that items were added for, or set free; one of a unit that was undone may be among them."""
        return frozenset(self._added)

    def add(self, to: NodeName, kind: str, document: bytes, item_id: str, at_ms: int) -> None:
        check_fit(to, kind, document, item_id)
        self._added[to] = None
        if self._tables.write(ITEM_ADD, (to, item_id, kind, document, at_ms, to)):
            return
        held = self.get(to, item_id)
        if held is None or (held.kind, held.document) != (kind, document):
            raise ItemReused(f"{to} {item_id}", f"waits as {held.kind if held else 'another'}")

    def get(self, to: NodeName, item_id: str) -> OutboxItem | None:
        rows = self._tables.rows(ITEM_GET, (to, item_id))
        return _item(*rows[0]) if rows else None

    def waiting(self, to: NodeName, limit: int) -> Sequence[OutboxItem]:
        return [_item(*row) for row in self._tables.rows(ITEMS_WAITING, (to, limit))]

    def find(self, item_id: str) -> Sequence[OutboxItem]:
        return [_item(*row) for row in self._tables.rows(ITEMS_FOUND, (item_id,))]

    def dead(self, limit: int) -> Sequence[OutboxItem]:
        return [_item(*row) for row in self._tables.rows(ITEMS_DEAD, (limit,))]

    def put(self, item: OutboxItem) -> None:
        if not item.is_dead:
            self._added[item.to] = None
        changed = (item.sequence, item.attempts, int(item.is_dead), item.code, item.told, item.to, item.id)
        if not self._tables.write(ITEM_PUT, changed):
            raise RowsClash(f"{item.to} {item.id}", "no such item waits")

    def last(self, to: NodeName) -> int:
        last: int = self._tables.rows(ITEM_LAST, (to,))[0][0]
        return last

    def remove(self, to: NodeName, item_id: str) -> None:
        self._tables.write(ITEM_REMOVE, (to, item_id))

    def sending(self, to: NodeName) -> Sending:
        for failures, next_try_at_ms, last_error in self._tables.rows(SENDING_GET, (to,)):
            return Sending(to=to, failures=failures, next_try_at_ms=next_try_at_ms, last_error=last_error)
        return Sending(to=to)

    def put_sending(self, sending: Sending) -> None:
        if sending == Sending(to=sending.to):
            self._tables.write(SENDING_REMOVE, (sending.to,))
            return
        columns = (sending.to, sending.failures, sending.next_try_at_ms, sending.last_error)
        self._tables.write(SENDING_PUT, columns)

    def backlogs(self) -> Sequence[Backlog]:
        rows = self._tables.rows(SENDING_ALL, ())
        sendings = {to: (failures, next_ms, error) for to, failures, next_ms, error in rows}
        counted = {to: counts for to, *counts in self._tables.rows(BACKLOGS, ())}
        names = sorted({*sendings, *counted})
        return [_backlog(to, counted.get(to, _NOTHING), sendings.get(to, _WELL)) for to in names]


class StoredInbox:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def get(self, sender: str, item_id: str) -> InboxRow | None:
        for content_sha256, reply, at_ms in self._tables.rows(INBOX_GET, (sender, item_id)):
            return InboxRow(sender=sender, id=item_id, content_sha256=content_sha256, reply=reply, at_ms=at_ms)
        return None

    def put(self, row: InboxRow) -> None:
        if not self._tables.write(INBOX_PUT, (row.sender, row.id, row.content_sha256, row.reply, row.at_ms)):
            raise RowsClash(f"{row.sender} {row.id}", "the item has been taken in before")


def check_fit(to: NodeName, kind: str, document: bytes, item_id: str) -> None:
    """Raise UnfitItem for what no outbox takes."""
    if len(document) > ITEM_BYTES_MAX:
        raise UnfitItem(f"{to} {item_id}", f"{len(document)} bytes, at most {ITEM_BYTES_MAX}")
    if not 1 <= len(item_id) <= ITEM_ID_CHARS_MAX or not 1 <= len(kind) <= KIND_CHARS_MAX:
        raise UnfitItem(f"{to} {item_id}", f"an id of {len(item_id)} characters, a kind of {len(kind)}")


_NOTHING: Final = (0, 0, 0, 0)
_WELL: Final = (0, 0, "")


def _item(to: str, sequence: int, item_id: str, kind: str, document: bytes, *rest: Any) -> OutboxItem:
    created_at_ms, attempts, is_dead, code, told = rest
    return OutboxItem(
        to=NodeName(to),
        sequence=sequence,
        id=item_id,
        kind=kind,
        document=document,
        created_at_ms=created_at_ms,
        attempts=attempts,
        is_dead=bool(is_dead),
        code=code,
        told=told,
    )


def _backlog(to: str, counts: Sequence[int], sending: tuple[int, int, str]) -> Backlog:
    waiting, waiting_bytes, oldest_at_ms, dead = counts
    failures, next_try_at_ms, last_error = sending
    return Backlog(
        to=NodeName(to),
        waiting=waiting,
        waiting_bytes=waiting_bytes,
        oldest_at_ms=oldest_at_ms,
        dead=dead,
        failures=failures,
        next_try_at_ms=next_try_at_ms,
        last_error=last_error,
    )
