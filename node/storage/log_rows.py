"""Rows of logs and their entries, and the heads that grow while a commit group is being written.

What lives here: appending, extending and reading logs inside one transaction. What must not: when a group commits
(`engine.py`). The head of a growing own log lives in memory until `seal` writes it with its signed checkpoint.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from federation.logs import Entry, LogHead, LogId, Topic, append
from federation.merkle import HASH_BYTES, Frontier
from federation.naming import NodeName
from node.ports import ForkEvidence, Holding, StoredLog
from node.storage.rows import Connection

Seal = Callable[[LogHead], bytes]


class StoredLogs:
    def __init__(self, connection: Connection, now_ms: Callable[[], int]) -> None:
        self._connection = connection
        self._now_ms = now_ms
        self._grown: dict[LogId, LogHead] = {}
        self._touched: frozenset[LogId] = frozenset()

    # --- one commit group --------------------------------------------------------------------------------------------

    def mark(self) -> tuple[dict[LogId, LogHead], frozenset[LogId]]:
        """What `undo` needs to forget a unit that failed."""
        return dict(self._grown), self._touched

    def undo(self, mark: tuple[dict[LogId, LogHead], frozenset[LogId]]) -> None:
        self._grown, self._touched = mark

    def seal(self, seal: Seal) -> frozenset[LogId]:
        """Write the checkpoint of every own log that grew, once for the group; returns every log touched by it."""
        for head in self._grown.values():
            self._put(head, seal(head), self._now_ms())
        return self._touched

    # --- reading -----------------------------------------------------------------------------------------------------

    def get(self, log: LogId) -> StoredLog | None:
        row = self._connection.execute(
            "SELECT size, frontier, note, confirmed_at_ms FROM log WHERE origin = ? AND topic = ?",
            (log.origin, log.topic),
        ).fetchone()
        grown = self._grown.get(log)
        if row is None:
            return StoredLog(log=log, head=grown, note=b"", confirmed_at_ms=0) if grown else None
        return _stored(log, row, grown)

    def all(self) -> Sequence[StoredLog]:
        rows = self._connection.execute(
            "SELECT origin, topic, size, frontier, note, confirmed_at_ms FROM log ORDER BY origin, topic"
        ).fetchall()
        return [_stored(_log(row[0], row[1]), row[2:], None) for row in rows]

    def entries(self, log: LogId, start: int, limit: int) -> Sequence[Entry]:
        rows = self._connection.execute(
            "SELECT document, hashes FROM log_entry WHERE origin = ? AND topic = ? AND idx >= ? ORDER BY idx LIMIT ?",
            (log.origin, log.topic, start, limit),
        ).fetchall()
        return [
            Entry.withheld(bytes(hashes[:HASH_BYTES])) if document is None else Entry.full(bytes(document))
            for document, hashes in rows
        ]

    def hash_rows(self, log: LogId, indexes: Iterable[int]) -> Mapping[int, bytes]:
        found = {}
        for index in indexes:
            row = self._connection.execute(
                "SELECT hashes FROM log_entry WHERE origin = ? AND topic = ? AND idx = ?",
                (log.origin, log.topic, index),
            ).fetchone()
            if row is not None:
                found[index] = bytes(row[0])
        return found

    # --- writing -----------------------------------------------------------------------------------------------------

    def append(self, log: LogId, documents: Sequence[bytes]) -> int:
        head = self._grown.get(log) or self._head(log)
        appended = append(head, documents)
        self._insert(log, head.size, appended.rows, documents)
        self._grown[log] = appended.head
        self._touched |= {log}
        return head.size

    def extend(
        self, head: LogHead, rows: Sequence[bytes], entries: Sequence[Entry], note: bytes, confirmed_at_ms: int
    ) -> None:
        self._insert(head.log, head.size - len(rows), rows, [entry.document for entry in entries])
        self._put(head, note, confirmed_at_ms)
        self._touched |= {head.log}

    def confirm(self, log: LogId, note: bytes, confirmed_at_ms: int) -> None:
        self._connection.execute(
            "UPDATE log SET note = ?, confirmed_at_ms = ? WHERE origin = ? AND topic = ?",
            (note, confirmed_at_ms, log.origin, log.topic),
        )
        self._touched |= {log}

    # --- forks and holdings ------------------------------------------------------------------------------------------

    def add_fork(self, evidence: ForkEvidence) -> None:
        log = evidence.log
        self._connection.execute(
            "INSERT INTO fork (origin, topic, one, other, found_by, found_at_ms, reported) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (origin, topic, one, other) DO UPDATE SET reported = excluded.reported",
            (
                log.origin,
                log.topic,
                evidence.one,
                evidence.other,
                evidence.found_by,
                evidence.found_at_ms,
                int(evidence.reported),
            ),
        )

    def forks(self) -> Sequence[ForkEvidence]:
        rows = self._connection.execute(
            "SELECT origin, topic, one, other, found_by, found_at_ms, reported FROM fork ORDER BY found_at_ms"
        ).fetchall()
        return [
            ForkEvidence(
                log=_log(row[0], row[1]),
                one=bytes(row[2]),
                other=bytes(row[3]),
                found_by=row[4],
                found_at_ms=row[5],
                reported=bool(row[6]),
            )
            for row in rows
        ]

    def put_holding(self, holding: Holding) -> None:
        self._connection.execute(
            "INSERT INTO holding (origin, topic, holder, size, indexed, at_ms) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (origin, topic, holder) DO UPDATE SET"
            " size = excluded.size, indexed = excluded.indexed, at_ms = excluded.at_ms",
            (
                holding.log.origin,
                holding.log.topic,
                holding.holder,
                holding.size,
                holding.indexed,
                holding.at_ms,
            ),
        )

    def holdings(self, log: LogId) -> Sequence[Holding]:
        rows = self._connection.execute(
            "SELECT holder, size, indexed, at_ms FROM holding WHERE origin = ? AND topic = ?"
            " ORDER BY length(holder) DESC, holder",
            (log.origin, log.topic),
        ).fetchall()
        return [Holding(log=log, holder=row[0], size=row[1], indexed=row[2], at_ms=row[3]) for row in rows]

    # -----------------------------------------------------------------------------------------------------------------

    def _head(self, log: LogId) -> LogHead:
        stored = self.get(log)
        return stored.head if stored else LogHead(log=log)

    def _insert(self, log: LogId, start: int, rows: Sequence[bytes], documents: Sequence[bytes | None]) -> None:
        self._connection.executemany(
            "INSERT INTO log_entry (origin, topic, idx, hashes, document) VALUES (?, ?, ?, ?, ?)",
            [
                (log.origin, log.topic, start + at, hashes, document)
                for at, (hashes, document) in enumerate(zip(rows, documents, strict=True))
            ],
        )

    def _put(self, head: LogHead, note: bytes, confirmed_at_ms: int) -> None:
        self._connection.execute(
            "INSERT INTO log (origin, topic, size, frontier, note, confirmed_at_ms) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (origin, topic) DO UPDATE SET size = excluded.size, frontier = excluded.frontier,"
            " note = excluded.note, confirmed_at_ms = excluded.confirmed_at_ms",
            (
                head.log.origin,
                head.log.topic,
                head.size,
                b"".join(head.frontier.roots),
                note,
                confirmed_at_ms,
            ),
        )


def _log(origin: str, topic: Topic) -> LogId:
    return LogId(origin=NodeName(origin), topic=topic)


def _stored(log: LogId, row: tuple[int, bytes, bytes, int], grown: LogHead | None) -> StoredLog:
    size, frontier, note, confirmed_at_ms = row
    roots = tuple(bytes(frontier[at : at + HASH_BYTES]) for at in range(0, len(frontier), HASH_BYTES))
    head = grown or LogHead(log=log, frontier=Frontier(size=size, roots=roots))
    return StoredLog(log=log, head=head, note=bytes(note), confirmed_at_ms=confirmed_at_ms)
