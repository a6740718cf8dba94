"""Rows of logs and their entries, and own logs that grow while a commit group is being written.

What lives here: appending, extending and reading logs inside one transaction. What must not: when a group commits
(`engine.py`), or which documents a log may hold.

An append touches no table. The documents of a group gather in memory, where a unit that fails leaves them by cutting
the list short; `seal` hashes them together, writes them with one statement and signs one checkpoint over them.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from federation.canonical import MalformedDocument
from federation.logs import DOCUMENT_BYTES_MAX, Entry, LogHead, LogId, Topic, append
from federation.merkle import HASH_BYTES, Frontier
from federation.naming import NodeName
from node.ports import ForkEvidence, Holding, StoredLog
from node.storage.errors import LogMovedOn, NotOwnLog
from node.storage.rows import Tables, Writes, by_width, padded

Seal = Callable[[LogHead], bytes]

LOG_GET: Final = "SELECT id, size, frontier, note, confirmed_at_ms FROM log WHERE origin = ? AND topic = ?"
LOG_ALL: Final = "SELECT origin, topic, size, frontier, note, confirmed_at_ms FROM log ORDER BY origin, topic"
LOG_ID: Final = "SELECT id FROM log WHERE origin = ? AND topic = ?"
LOG_PUT: Final = (
    "INSERT INTO log (origin, topic, size, frontier, note, confirmed_at_ms) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (origin, topic) DO UPDATE SET size = excluded.size, frontier = excluded.frontier,"
    " note = excluded.note, confirmed_at_ms = excluded.confirmed_at_ms"
)
LOG_CONFIRM: Final = "UPDATE log SET note = ?, confirmed_at_ms = ? WHERE origin = ? AND topic = ?"
ENTRY_PUT: Final = "INSERT INTO log_entry (log_id, idx, hashes, document) VALUES (?, ?, ?, ?)"
ENTRIES: Final = (
    "SELECT document, CASE WHEN document IS NULL THEN hashes END FROM log_entry"
    " WHERE log_id = (SELECT id FROM log WHERE origin = ? AND topic = ?) AND idx >= ? ORDER BY idx LIMIT ?"
)
HASHES: Final = (
    "SELECT idx, hashes FROM log_entry"
    " WHERE log_id = (SELECT id FROM log WHERE origin = ? AND topic = ?) AND idx IN ({})"
)
HASHES_BY_WIDTH: Final = by_width(HASHES)
FORK_PUT: Final = (
    "INSERT INTO fork (origin, topic, evidence, one, other, found_by, found_at_ms, reported)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (origin, topic, evidence) DO UPDATE SET reported = excluded.reported"
)
FORKS: Final = (
    "SELECT origin, topic, one, other, found_by, found_at_ms, reported FROM fork"
    " ORDER BY found_at_ms, origin, topic, evidence"
)
HOLDING_PUT: Final = (
    "INSERT INTO holding (origin, topic, holder, size, indexed, at_ms) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (origin, topic, holder) DO UPDATE SET"
    " size = excluded.size, indexed = excluded.indexed, at_ms = excluded.at_ms"
)
HOLDINGS: Final = (
    "SELECT holder, size, indexed, at_ms FROM holding WHERE origin = ? AND topic = ?"
    " ORDER BY length(holder) DESC, holder"
)


class Growing:
    """An own log within one commit group: as it was stored, and the documents appended since."""

    def __init__(self, stored: StoredLog) -> None:
        self.stored = stored
        self.documents: list[bytes] = []
        self._counted = stored.head
        self._rows: list[bytes] = []

    @property
    def size(self) -> int:
        return self.stored.head.size + len(self.documents)

    @property
    def head(self) -> LogHead:
        self._count()
        return self._counted

    @property
    def rows(self) -> list[bytes]:
        """The hash rows of `documents`."""
        self._count()
        return self._rows

    def cut(self, count: int) -> None:
        """Forget all but the first `count` documents."""
        del self.documents[count:]
        if len(self._rows) > count:
            self._counted, self._rows = self.stored.head, []

    def _count(self) -> None:
        fresh = self.documents[len(self._rows) :]
        if fresh:
            appended = append(self._counted, fresh)
            self._counted = appended.head
            self._rows += appended.rows


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """The new end of a log: what belongs just before `head.size`, and the note to hold from now on."""

    head: LogHead
    rows: Sequence[bytes]
    documents: Sequence[bytes | None]
    note: bytes
    confirmed_at_ms: int

    def write(self, writes: Writes) -> None:
        log, size, frontier = self.head.log, self.head.size, b"".join(self.head.frontier.roots)
        writes.write(LOG_PUT, (log.origin, log.topic, size, frontier, self.note, self.confirmed_at_ms))
        if self.rows:
            log_id = writes.rows(LOG_ID, (log.origin, log.topic))[0][0]
            indexes = range(size - len(self.rows), size)
            entries = zip((log_id,) * len(self.rows), indexes, self.rows, self.documents, strict=True)
            writes.write_many(ENTRY_PUT, entries)


class StoredLogs:
    def __init__(self, tables: Tables, own_node: NodeName) -> None:
        self._tables = tables
        self._own_node = own_node
        self._growing: dict[LogId, Growing] = {}
        self._touched: dict[LogId, None] = {}
        # what the unit that is running would have to give back
        self._begun: list[LogId] = []
        self._lengths: list[tuple[Growing, int]] = []
        self._touched_before = 0

    # --- one commit group --------------------------------------------------------------------------------------------

    def end_unit(self) -> None:
        """Nothing of the unit can be undone any more."""
        self._lengths.clear()
        if self._begun:
            self._begun.clear()
        self._touched_before = len(self._touched)

    def undo_unit(self) -> None:
        """Forget what the unit appended and touched; the statements it ran are undone by the engine."""
        for growing, count in reversed(self._lengths):
            growing.cut(count)
        for log in self._begun:
            del self._growing[log]
        for log in list(self._touched)[self._touched_before :]:
            del self._touched[log]
        self._lengths.clear()
        self._begun.clear()

    def seal(self, seal: Seal, now_ms: Callable[[], int], writes: Writes) -> None:
        """Write what own logs grew by, each with its one signed checkpoint for the group."""
        for growing in self._growing.values():
            head = growing.head
            Grown(
                head=head,
                rows=growing.rows,
                documents=growing.documents,
                note=seal(head),
                confirmed_at_ms=now_ms(),
            ).write(writes)

    def touched(self) -> frozenset[LogId]:
        """Every log that grew, or whose note changed, or that was found to be forked."""
        return frozenset((*self._growing, *self._touched))

    # --- reading -----------------------------------------------------------------------------------------------------

    def get(self, log: LogId) -> StoredLog | None:
        rows = self._tables.rows(LOG_GET, (log.origin, log.topic))
        stored = _stored(log, rows[0][1:]) if rows else None
        return self._grown(log, stored)

    def all(self) -> Sequence[StoredLog]:
        rows = self._tables.rows(LOG_ALL, ())
        stored = [_stored(_log(origin, topic), columns) for origin, topic, *columns in rows]
        if not self._growing:
            return stored
        held = {**dict.fromkeys(self._growing), **{each.log: each for each in stored}}
        return [found for log in sorted(held) if (found := self._grown(log, held[log]))]

    def entries(self, log: LogId, start: int, limit: int) -> Sequence[Entry]:
        rows = self._tables.rows(ENTRIES, (log.origin, log.topic, start, limit))
        found = [Entry(document) if document is not None else _withheld(hashes) for document, hashes in rows]
        growing = self._growing.get(log)
        if growing and len(found) < limit:
            first = max(0, start - growing.stored.head.size)
            found += map(Entry.full, growing.documents[first : first + limit - len(found)])
        return found

    def hash_rows(self, log: LogId, indexes: Iterable[int]) -> Mapping[int, bytes]:
        wanted = list(indexes)
        found: dict[int, bytes] = {}
        for width, run in padded(wanted):
            found.update(self._tables.rows(HASHES_BY_WIDTH[width], (log.origin, log.topic, *run)))
        growing = self._growing.get(log)
        if growing:
            first = growing.stored.head.size
            found.update((index, growing.rows[index - first]) for index in wanted if first <= index < growing.size)
        return found

    # --- writing -----------------------------------------------------------------------------------------------------

    def append(self, log: LogId, documents: Sequence[bytes]) -> int:
        if max(map(len, documents), default=0) > DOCUMENT_BYTES_MAX:
            raise MalformedDocument(str(log), f"a document of more than {DOCUMENT_BYTES_MAX} bytes")
        growing = self._growing.get(log) or self._begin_growing(log)
        first = growing.size
        self._lengths.append((growing, len(growing.documents)))
        growing.documents += documents
        return first

    def extend(
        self, head: LogHead, rows: Sequence[bytes], entries: Sequence[Entry], note: bytes, confirmed_at_ms: int
    ) -> None:
        """Raises LogMovedOn where the rows do not follow on what is stored."""
        log = head.log
        stored = self.get(log)
        held_size, follows_on = stored.head.size if stored else 0, head.size - len(rows)
        if follows_on != held_size or log in self._growing:
            raise LogMovedOn(str(log), f"stored {held_size}, the page starts at {follows_on}")
        documents = [entry.document for entry in entries]
        Grown(head=head, rows=rows, documents=documents, note=note, confirmed_at_ms=confirmed_at_ms).write(self._tables)
        self._touched[log] = None

    def confirm(self, log: LogId, note: bytes, confirmed_at_ms: int) -> None:
        self._tables.write(LOG_CONFIRM, (note, confirmed_at_ms, log.origin, log.topic))
        self._touched[log] = None

    def _begin_growing(self, log: LogId) -> Growing:
        if log.origin != self._own_node:
            raise NotOwnLog(str(log), f"this node is {self._own_node}")
        stored = self.get(log) or StoredLog(log=log, head=LogHead(log=log), note=b"", confirmed_at_ms=0)
        growing = self._growing[log] = Growing(stored)
        self._begun.append(log)
        return growing

    def _grown(self, log: LogId, stored: StoredLog | None) -> StoredLog | None:
        """What is stored with what the group has appended; its note is signed only when the group is sealed."""
        growing = self._growing.get(log)
        if growing is None:
            return stored
        return StoredLog(
            log=log,
            head=growing.head,
            note=stored.note if stored else b"",
            confirmed_at_ms=stored.confirmed_at_ms if stored else 0,
        )

    # --- forks and holdings ------------------------------------------------------------------------------------------

    def add_fork(self, evidence: ForkEvidence) -> None:
        log = evidence.log
        both = hashlib.sha256(b"".join(sorted((evidence.one, evidence.other)))).digest()
        self._tables.write(
            FORK_PUT,
            (
                log.origin,
                log.topic,
                both,
                evidence.one,
                evidence.other,
                evidence.found_by,
                evidence.found_at_ms,
                int(evidence.reported),
            ),
        )
        self._touched[log] = None

    def forks(self) -> Sequence[ForkEvidence]:
        return [
            ForkEvidence(
                log=_log(origin, topic),
                one=one,
                other=other,
                found_by=NodeName(found_by),
                found_at_ms=found_at_ms,
                reported=bool(reported),
            )
            for origin, topic, one, other, found_by, found_at_ms, reported in self._tables.rows(FORKS, ())
        ]

    def put_holding(self, holding: Holding) -> None:
        log = holding.log
        self._tables.write(
            HOLDING_PUT, (log.origin, log.topic, holding.holder, holding.size, holding.indexed, holding.at_ms)
        )

    def holdings(self, log: LogId) -> Sequence[Holding]:
        return [
            Holding(log=log, holder=NodeName(holder), size=size, indexed=indexed, at_ms=at_ms)
            for holder, size, indexed, at_ms in self._tables.rows(HOLDINGS, (log.origin, log.topic))
        ]


def _log(origin: str, topic: Topic) -> LogId:
    return LogId(origin=NodeName(origin), topic=topic)


def _stored(log: LogId, columns: Sequence[Any]) -> StoredLog:
    size, frontier, note, confirmed_at_ms = columns
    roots = tuple(frontier[at : at + HASH_BYTES] for at in range(0, len(frontier), HASH_BYTES))
    head = LogHead(log=log, frontier=Frontier(size=size, roots=roots))
    return StoredLog(log=log, head=head, note=note, confirmed_at_ms=confirmed_at_ms)


def _withheld(hashes: bytes) -> Entry:
    return Entry.withheld(hashes[:HASH_BYTES])
