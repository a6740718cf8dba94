"""One transaction of many units: how a commit group runs in the writer's thread, the same for every engine.

What lives here: the order begin, run each, seal, commit; undoing one unit alone; what a unit sees. What must not: the
event loop (`group_commit.py`), statements (`rows.py`, `log_rows.py`), or anything that only one engine has.

A crash before the commit leaves nothing of the group; after it, everything, checkpoints included.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from federation.logs import LogId
from federation.naming import NodeName
from node.ports import Transaction
from node.storage.errors import OpenedForReading
from node.storage.log_rows import Seal, StoredLogs
from node.storage.post_rows import StoredInbox, StoredOutbox
from node.storage.rows import (
    StoredAnswers,
    StoredInvites,
    StoredNotes,
    StoredResources,
    StoredStandings,
    Tables,
    Writes,
)
from node.storage.shelves import StoredCredits, StoredPeople

T = TypeVar("T")
Unit = Callable[[Transaction], Any]


class Engine(Writes, Protocol):
    """A connection in the one thread that uses it. Statements have `?` for each parameter, whatever the engine."""

    def begin(self) -> None: ...

    def begin_reading(self) -> None:
        """Begin on a snapshot that no later commit changes."""
        ...

    def savepoint(self) -> None: ...

    def release(self) -> None: ...

    def undo(self) -> None:
        """Roll back to the savepoint and release it."""
        ...

    def commit(self) -> None:
        """Return after the data is durable."""
        ...

    def rollback(self) -> None:
        """Leave no transaction open; harmless where none is."""
        ...

    def is_begun(self) -> bool:
        """Whether the transaction still stands: some failures make an engine give it up of its own accord."""
        ...

    def told(self, error: BaseException) -> BaseException:
        """The engine's own error in our words; anything else unchanged."""
        ...


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What each unit of a group returned, in order; what some raised instead, by their place; the logs touched, and
    the nodes that items were added to the outbox for.
    """

    values: Sequence[Any]
    raised: Mapping[int, Exception]
    touched: frozenset[LogId]
    posted: frozenset[NodeName] = frozenset()


class StoredTransaction:
    """Everything stored, on one connection; the one implementation of `node.ports.Transaction` for SQL."""

    def __init__(self, tables: Tables, own_node: NodeName) -> None:
        self.logs = StoredLogs(tables, own_node)
        self.standings = StoredStandings(tables)
        self.invites = StoredInvites(tables)
        self.resources = StoredResources(tables)
        self.answers = StoredAnswers(tables)
        self.notes = StoredNotes(tables)
        self.credits = StoredCredits(tables)
        self.people = StoredPeople(tables)
        self.outbox = StoredOutbox(tables)
        self.inbox = StoredInbox(tables)


class Writing:
    """`Tables` of a commit group.

    What is put off gathers until somebody reads or the group is sealed. So a unit that reads, then puts off, costs no
    savepoint, and rows of many units are written with one statement.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._has_savepoint = False
        self._put_off: list[tuple[str, Sequence[Any]]] = []
        self._ended = 0  # so many of them are of units that have ended

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self._put_off:
            self._flush()
        return self._engine.rows(sql, parameters)

    def write(self, sql: str, parameters: Sequence[Any]) -> int:
        self._flush(mark=True)
        return self._engine.write(sql, parameters)

    def write_many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        self._flush(mark=True)
        self._engine.write_many(sql, parameters)

    def put_off(self, sql: str, parameters: Sequence[Any]) -> None:
        self._put_off.append((sql, parameters))

    def end_unit(self) -> None:
        if self._has_savepoint:
            self._engine.release()
            self._has_savepoint = False
        self._ended = len(self._put_off)

    def undo_unit(self) -> None:
        if self._has_savepoint:
            self._engine.undo()
            self._has_savepoint = False
        del self._put_off[self._ended :]

    def end_group(self) -> None:
        """Write everything that is still put off; nothing of it can be undone alone any more."""
        _write_all(self._engine, self._put_off)
        self._put_off.clear()

    def _flush(self, *, mark: bool = False) -> None:
        """Write what was put off: rows of units that have ended first, outside the savepoint of this one."""
        if self._ended:
            _write_all(self._engine, self._put_off[: self._ended])
            del self._put_off[: self._ended]
            self._ended = 0
        if (mark or self._put_off) and not self._has_savepoint:
            self._engine.savepoint()
            self._has_savepoint = True
        if self._put_off:
            _write_all(self._engine, self._put_off)
            self._put_off.clear()


def _write_all(engine: Engine, put_off: Iterable[tuple[str, Sequence[Any]]]) -> None:
    """Each statement once, with all its rows. No table has two such statements, so their order does not matter."""
    rows: dict[str, list[Sequence[Any]]] = {}
    for sql, parameters in put_off:
        rows.setdefault(sql, []).append(parameters)
    for sql, all_parameters in rows.items():
        engine.write_many(sql, all_parameters)


class Reading:
    """`Tables` of a snapshot; it refuses to write."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._engine.rows(sql, parameters)

    def write(self, sql: str, _parameters: Sequence[Any]) -> int:
        raise OpenedForReading("database", sql.split(" (", 1)[0])

    def write_many(self, sql: str, _parameters: Iterable[Sequence[Any]]) -> None:
        raise OpenedForReading("database", sql.split(" (", 1)[0])

    def put_off(self, sql: str, _parameters: Sequence[Any]) -> None:
        raise OpenedForReading("database", sql.split(" (", 1)[0])


def commit_group(
    engine: Engine, units: Sequence[Unit], *, own_node: NodeName, seal: Seal, now_ms: Callable[[], int]
) -> Committed:
    """Run a group in the writer's thread; raises what made the whole group fail, after undoing all of it."""
    try:
        engine.begin()
        writing = Writing(engine)
        transaction = StoredTransaction(writing, own_node)
        values = [_run(engine, writing, transaction, unit) for unit in units]
        writing.end_group()
        transaction.logs.seal(seal, now_ms, engine)
        engine.commit()
    except BaseException as error:
        engine.rollback()
        _raise_told(engine, error)
        raise
    raised = {place: value.error for place, value in enumerate(values) if type(value) is _Raised}
    return Committed(
        values=values, raised=raised, touched=transaction.logs.touched(), posted=transaction.outbox.added()
    )


def read_unit(engine: Engine, unit: Callable[[Transaction], T], *, own_node: NodeName) -> T:
    """Run a unit on a snapshot, in the reader's thread."""
    try:
        engine.begin_reading()
        return unit(StoredTransaction(Reading(engine), own_node))
    except Exception as error:
        _raise_told(engine, error)
        raise
    finally:
        engine.rollback()


def _raise_told(engine: Engine, error: BaseException) -> None:
    """Raise the engine's own error in our words; return where it is none."""
    told = engine.told(error)
    if told is not error:
        raise told from error


class _Raised(msgspec.Struct, frozen=True):
    """Stands in a group's values for a unit that raised."""

    error: Exception


def _run(engine: Engine, writing: Writing, transaction: StoredTransaction, unit: Unit) -> Any:
    try:
        value = unit(transaction)
    except Exception as error:  # whatever a unit raises is its caller's; the group goes on without it
        try:
            writing.undo_unit()
        except Exception:  # noqa: BLE001  # `error` is why
            raise error from None
        if not engine.is_begun():  # the next unit would write outside any transaction
            raise
        transaction.logs.undo_unit()
        return _Raised(_raisable(engine.told(error), error))
    writing.end_unit()
    transaction.logs.end_unit()
    return value


def _raisable(told: BaseException, error: Exception) -> Exception:
    """An exception that can pass through a future, with its cause."""
    if isinstance(told, StopIteration) or not isinstance(told, Exception):
        return RuntimeError(f"a unit of work raised {told!r}")
    if told is not error:
        told.__cause__ = error
    return told
