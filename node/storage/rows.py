"""Rows of every table but the logs.

What lives here: whole statements and the documents they carry. What must not: transactions (`engine.py`), or anything
that only one engine understands. Parameters are written `?`; lists of ids have a fixed number of them, padded.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from federation.directory import Standing
from federation.naming import NodeName
from node.ports import Invite, KeptAnswer, ResourceRow, ResourceState
from node.storage.errors import AnswerKeptAlready, DatabaseBroken

D = TypeVar("D")
FEW: Final = 8
SOME: Final = 32
MANY: Final = 128


class Writes(Protocol):
    """Statements run at once; every parameter is a `?`."""

    def rows(self, sql: str, parameters: Sequence[Any], /) -> list[tuple[Any, ...]]: ...

    def write(self, sql: str, parameters: Sequence[Any], /) -> int:
        """Run one statement and return how many rows it wrote."""
        ...

    def write_many(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None: ...


class Tables(Writes, Protocol):
    """What a unit's rows are read and written through."""

    def put_off(self, sql: str, parameters: Sequence[Any], /) -> None:
        """Have one row written before anything else is read, or the group commits.

        Only for what cannot fail for a reason of its own by then: text that is known to be text, a key that may repeat.
        """
        ...


def marks(count: int) -> str:
    """`count` parameters, for the constants below."""
    return ", ".join("?" * count)


def padded(ids: Sequence[Any]) -> Iterable[tuple[int, Sequence[Any]]]:
    """The ids in runs of FEW, SOME or MANY, the last of a run repeated until it is full; each with the run's length."""
    for start in range(0, len(ids), MANY):
        run = list(ids[start : start + MANY])
        width = next(width for width in (FEW, SOME, MANY) if len(run) <= width)
        yield width, [*run, *run[-1:] * (width - len(run))]


def by_width(sql: str) -> Mapping[int, str]:
    """A statement for each length that `padded` gives a run."""
    return {width: sql.format(marks(width)) for width in (FEW, SOME, MANY)}


class Document(Generic[D]):
    """How one type is kept as JSON bytes; what cannot be read back is a damaged database."""

    def __init__(self, kind: type[D], table: str) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._table = table

    def one(self, rows: Sequence[tuple[bytes]]) -> D | None:
        return self.read(rows[0][0]) if rows else None

    def all(self, rows: Sequence[tuple[bytes]]) -> list[D]:
        return [self.read(document) for (document,) in rows]

    def read(self, document: bytes) -> D:
        try:
            return self._decoder.decode(document)
        except msgspec.MsgspecError as unreadable:
            raise DatabaseBroken(self._table, f"a stored document cannot be read: {unreadable}") from unreadable


# --- statements ------------------------------------------------------------------------------------------------------

STANDING_GET: Final = "SELECT document FROM standing WHERE authority = ? AND name = ?"
STANDING_OF: Final = "SELECT document FROM standing WHERE authority = ? ORDER BY name"
STANDING_ALL: Final = "SELECT document FROM standing ORDER BY authority, name"
STANDING_PUT: Final = (
    "INSERT INTO standing (authority, name, document) VALUES (?, ?, ?)"
    " ON CONFLICT (authority, name) DO UPDATE SET document = excluded.document"
)
INVITE_GET: Final = "SELECT document FROM invite WHERE id = ?"
INVITE_ALL: Final = "SELECT document FROM invite ORDER BY id"
INVITE_PUT: Final = (
    "INSERT INTO invite (id, document) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document"
)
RESOURCE_GET: Final = "SELECT document FROM resource WHERE id = ?"
RESOURCE_SOME: Final = "SELECT document FROM resource WHERE id IN ({})"
RESOURCE_BY_WIDTH: Final = by_width(RESOURCE_SOME)
RESOURCE_LIST: Final = "SELECT document FROM resource WHERE id > ? ORDER BY id LIMIT ?"
RESOURCE_IN_STATE: Final = "SELECT document FROM resource WHERE state = ? AND id > ? ORDER BY id LIMIT ?"
RESOURCE_OF: Final = "SELECT document FROM resource WHERE author = ? AND id > ? ORDER BY id LIMIT ?"
RESOURCE_DROP: Final = "DELETE FROM resource WHERE id = ?"
RESOURCE_COUNTS: Final = "SELECT state, count(*) FROM resource GROUP BY state"
RESOURCE_IN_FORCE: Final = "SELECT log_index FROM resource WHERE log_index >= ? AND log_index < ?"
RESOURCE_PUT: Final = (
    "INSERT INTO resource (id, state, log_index, author, document) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET"
    " state = excluded.state, log_index = excluded.log_index, author = excluded.author, document = excluded.document"
)
ANSWER_GET: Final = (
    "SELECT call_sha256, method, payload_sha256, call_header, call_signature, status, body, at_ms"
    " FROM kept_answer WHERE caller = ? AND operation_id = ?"
)
ANSWER_KEYS: Final = (
    "SELECT caller, operation_id FROM kept_answer WHERE (caller, operation_id) > (?, ?)"
    " ORDER BY caller, operation_id LIMIT ?"
)
ANSWER_PUT: Final = (
    "INSERT INTO kept_answer (caller, operation_id, call_sha256, method, payload_sha256, call_header, call_signature,"
    " status, body, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (caller, operation_id) DO NOTHING"
)
NOTE_GET: Final = "SELECT value FROM note WHERE name = ?"
NOTE_PUT: Final = "INSERT INTO note (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

_encode = msgspec.json.encode
_STANDING: Final = Document(Standing, "standing")
_INVITE: Final = Document(Invite, "invite")
_RESOURCE: Final = Document(ResourceRow, "resource")


class StoredStandings:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def get(self, authority: NodeName, name: NodeName) -> Standing | None:
        return _STANDING.one(self._tables.rows(STANDING_GET, (authority, name)))

    def of(self, authority: NodeName) -> Sequence[Standing]:
        return _STANDING.all(self._tables.rows(STANDING_OF, (authority,)))

    def all(self) -> Sequence[Standing]:
        return _STANDING.all(self._tables.rows(STANDING_ALL, ()))

    def put(self, standing: Standing) -> None:
        self._tables.put_off(STANDING_PUT, (standing.authority, standing.name, _encode(standing)))


class StoredInvites:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def get(self, invite_id: str) -> Invite | None:
        return _INVITE.one(self._tables.rows(INVITE_GET, (invite_id,)))

    def all(self) -> Sequence[Invite]:
        return _INVITE.all(self._tables.rows(INVITE_ALL, ()))

    def put(self, invite: Invite) -> None:
        self._tables.put_off(INVITE_PUT, (invite.id, _encode(invite)))


class StoredResources:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def get(self, resource_id: str) -> ResourceRow | None:
        return _RESOURCE.one(self._tables.rows(RESOURCE_GET, (resource_id,)))

    def many(self, resource_ids: Sequence[str]) -> Mapping[str, ResourceRow]:
        found: dict[str, ResourceRow] = {}
        for width, ids in padded(resource_ids):
            found.update((row.id, row) for row in _RESOURCE.all(self._tables.rows(RESOURCE_BY_WIDTH[width], ids)))
        return found

    def in_force(self, start: int, end: int) -> AbstractSet[int]:
        return frozenset(index for (index,) in self._tables.rows(RESOURCE_IN_FORCE, (start, end)))

    def list(self, states: Sequence[ResourceState], after: str, limit: int) -> Sequence[ResourceRow]:
        if not states:
            return _RESOURCE.all(self._tables.rows(RESOURCE_LIST, (after, limit)))
        parameters = [(state, after, limit) for state in dict.fromkeys(states)]
        found = [row for each in parameters for row in _RESOURCE.all(self._tables.rows(RESOURCE_IN_STATE, each))]
        return sorted(found, key=lambda row: row.id)[:limit]

    def of(self, author: str, after: str, limit: int) -> Sequence[ResourceRow]:
        return _RESOURCE.all(self._tables.rows(RESOURCE_OF, (author, after, limit)))

    def counts(self) -> Mapping[ResourceState, int]:
        return dict(self._tables.rows(RESOURCE_COUNTS, ()))

    def put(self, rows: Sequence[ResourceRow]) -> None:
        for row in rows:
            self._tables.put_off(RESOURCE_PUT, (row.id, row.state, row.log_index, row.author, _encode(row)))

    def drop(self, resource_id: str) -> None:
        self._tables.write(RESOURCE_DROP, (resource_id,))


class StoredAnswers:
    """Kept in columns: what was signed stays byte for byte as it was."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def get(self, caller: NodeName, operation_id: str) -> KeptAnswer | None:
        for row in self._tables.rows(ANSWER_GET, (caller, operation_id)):
            call_sha256, method, payload_sha256, call_header, call_signature, status, body, at_ms = row
            return KeptAnswer(
                caller=caller,
                operation_id=operation_id,
                call_sha256=call_sha256,
                method=method,
                payload_sha256=payload_sha256,
                call_header=call_header,
                call_signature=call_signature,
                status=status,
                body=body,
                at_ms=at_ms,
            )
        return None

    def keys(self, after: tuple[NodeName, str], limit: int) -> Sequence[tuple[NodeName, str]]:
        found = self._tables.rows(ANSWER_KEYS, (*after, limit))
        return [(NodeName(caller), operation_id) for caller, operation_id in found]

    def put(self, answer: KeptAnswer) -> None:
        columns = (
            answer.caller,
            answer.operation_id,
            answer.call_sha256,
            answer.method,
            answer.payload_sha256,
            answer.call_header,
            answer.call_signature,
            answer.status,
            answer.body,
            answer.at_ms,
        )
        if not self._tables.write(ANSWER_PUT, columns):
            raise AnswerKeptAlready(f"{answer.caller} {answer.operation_id}", "the first answer stands")


class StoredNotes:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def get(self, name: str) -> bytes | None:
        rows = self._tables.rows(NOTE_GET, (name,))
        return rows[0][0] if rows else None

    def put(self, name: str, value: bytes) -> None:
        self._tables.write(NOTE_PUT, (name, value))
