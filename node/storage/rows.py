"""Rows of every table but the logs, on any connection that speaks `execute` with `?` placeholders.

What lives here: whole statements and the documents they carry. What must not: transactions (`engine.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from federation.directory import Standing
from federation.naming import NodeName
from node.ports import Invite, KeptAnswer, ResourceRow, ResourceState
from node.storage.errors import AnswerKeptAlready

MANY_AT_ONCE = 500


class Connection(Protocol):
    """What both engines offer: a synchronous connection inside its own thread."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any: ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any: ...


_encode = msgspec.msgpack.encode
_standing = msgspec.msgpack.Decoder(Standing)
_invite = msgspec.msgpack.Decoder(Invite)
_resource = msgspec.msgpack.Decoder(ResourceRow)
_answer = msgspec.msgpack.Decoder(KeptAnswer)


class StoredStandings:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, authority: NodeName, name: NodeName) -> Standing | None:
        row = self._connection.execute(
            "SELECT document FROM standing WHERE authority = ? AND name = ?", (authority, name)
        ).fetchone()
        return _standing.decode(row[0]) if row else None

    def of(self, authority: NodeName) -> Sequence[Standing]:
        rows = self._connection.execute(
            "SELECT document FROM standing WHERE authority = ? ORDER BY name", (authority,)
        ).fetchall()
        return [_standing.decode(row[0]) for row in rows]

    def all(self) -> Sequence[Standing]:
        rows = self._connection.execute("SELECT document FROM standing ORDER BY authority, name").fetchall()
        return [_standing.decode(row[0]) for row in rows]

    def put(self, standing: Standing) -> None:
        self._connection.execute(
            "INSERT INTO standing (authority, name, document) VALUES (?, ?, ?)"
            " ON CONFLICT (authority, name) DO UPDATE SET document = excluded.document",
            (standing.authority, standing.name, _encode(standing)),
        )


class StoredInvites:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, invite_id: str) -> Invite | None:
        row = self._connection.execute("SELECT document FROM invite WHERE id = ?", (invite_id,)).fetchone()
        return _invite.decode(row[0]) if row else None

    def all(self) -> Sequence[Invite]:
        rows = self._connection.execute("SELECT document FROM invite ORDER BY id").fetchall()
        return [_invite.decode(row[0]) for row in rows]

    def put(self, invite: Invite) -> None:
        self._connection.execute(
            "INSERT INTO invite (id, document) VALUES (?, ?)"
            " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
            (invite.id, _encode(invite)),
        )


class StoredResources:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, resource_id: str) -> ResourceRow | None:
        row = self._connection.execute("SELECT document FROM resource WHERE id = ?", (resource_id,)).fetchone()
        return _resource.decode(row[0]) if row else None

    def many(self, resource_ids: Sequence[str]) -> Mapping[str, ResourceRow]:
        found = {resource_id: self.get(resource_id) for resource_id in resource_ids}
        return {resource_id: row for resource_id, row in found.items() if row is not None}

    def list(self, states: Sequence[ResourceState], after: str, limit: int) -> Sequence[ResourceRow]:
        if not states:
            rows = self._connection.execute(
                "SELECT document FROM resource WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
            ).fetchall()
            return [_resource.decode(row[0]) for row in rows]
        found = [row for state in dict.fromkeys(states) for row in self._in_state(state, after, limit)]
        return sorted(found, key=lambda row: row.id)[:limit]

    def counts(self) -> Mapping[ResourceState, int]:
        return dict(self._connection.execute("SELECT state, count(*) FROM resource GROUP BY state").fetchall())

    def put(self, rows: Sequence[ResourceRow]) -> None:
        self._connection.executemany(
            "INSERT INTO resource (id, state, document) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET state = excluded.state, document = excluded.document",
            [(row.id, row.state, _encode(row)) for row in rows],
        )

    def _in_state(self, state: ResourceState, after: str, limit: int) -> Sequence[ResourceRow]:
        rows = self._connection.execute(
            "SELECT document FROM resource WHERE state = ? AND id > ? ORDER BY id LIMIT ?", (state, after, limit)
        ).fetchall()
        return [_resource.decode(row[0]) for row in rows]


class StoredAnswers:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, caller: NodeName, operation_id: str) -> KeptAnswer | None:
        row = self._connection.execute(
            "SELECT document FROM kept_answer WHERE caller = ? AND operation_id = ?", (caller, operation_id)
        ).fetchone()
        return _answer.decode(row[0]) if row else None

    def put(self, answer: KeptAnswer) -> None:
        written = self._connection.execute(
            "INSERT INTO kept_answer (caller, operation_id, document) VALUES (?, ?, ?)"
            " ON CONFLICT (caller, operation_id) DO NOTHING",
            (answer.caller, answer.operation_id, _encode(answer)),
        )
        if written.rowcount == 0:
            raise AnswerKeptAlready(f"{answer.caller} {answer.operation_id}", "the first answer stands")


class StoredNotes:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> bytes | None:
        row = self._connection.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def put(self, name: str, value: bytes) -> None:
        self._connection.execute(
            "INSERT INTO note (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )
