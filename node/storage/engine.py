"""One transaction of many units: how a commit group runs in the writer's thread, the same for every engine.

What lives here: the order begin, run each, seal, commit; undoing one unit alone; what a unit sees. What must not: the
event loop (`group_commit.py`), statements (`rows.py`, `log_rows.py`), or anything that only one engine has.

A crash before the commit leaves nothing of the group; after it, everything, checkpoints included.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from federation.logs import LogId
from federation.naming import NodeName
from node.ports import Transaction
from node.storage.errors import OpenedForReading
from node.storage.log_rows import Seal, StoredLogs
from node.storage.rows import StoredAnswers, StoredInvites, StoredNotes, StoredResources, StoredStandings, Tables

T = TypeVar("T")
Unit = Callable[[Transaction], Any]


class Engine(Protocol):
    """A connection in the one thread that uses it. Statements have `?` for each parameter, whatever the engine."""

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]: ...

    def write(self, sql: str, parameters: Sequence[Any]) -> int:
        """Run one statement and return how many rows it wrote."""
        ...

    def write_many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None: ...

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

    def told(self, error: BaseException) -> BaseException:
        """The engine's own error in our words; anything else unchanged."""
        ...


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A unit's return value, or what it raised (and was undone for)."""

    value: Any = None
    raised: Exception | None = None


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each unit of a group, in order, and the logs it touched."""

    outcomes: Sequence[Outcome]
    touched: frozenset[LogId]


class StoredTransaction:
    """Everything stored, on one connection; the one implementation of `node.ports.Transaction` for SQL."""

    def __init__(self, tables: Tables, own_node: NodeName) -> None:
        self.logs = StoredLogs(tables, own_node)
        self.standings = StoredStandings(tables)
        self.invites = StoredInvites(tables)
        self.resources = StoredResources(tables)
        self.answers = StoredAnswers(tables)
        self.notes = StoredNotes(tables)


class Writing:
    """`Tables` of a commit group. A unit that writes no row, or only appends to logs, costs no savepoint."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_marked = True

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._engine.rows(sql, parameters)

    def write(self, sql: str, parameters: Sequence[Any]) -> int:
        if not self._is_marked:
            self._mark()
        return self._engine.write(sql, parameters)

    def write_many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        if not self._is_marked:
            self._mark()
        self._engine.write_many(sql, parameters)

    def begin_unit(self) -> None:
        self._is_marked = False

    def end_unit(self) -> None:
        if self._is_marked:
            self._engine.release()
        self._is_marked = True  # what is written between units belongs to the group

    def undo_unit(self) -> None:
        if self._is_marked:
            self._engine.undo()
        self._is_marked = True

    def _mark(self) -> None:
        self._engine.savepoint()
        self._is_marked = True


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


def commit_group(
    engine: Engine, units: Sequence[Unit], *, own_node: NodeName, seal: Seal, now_ms: Callable[[], int]
) -> Committed:
    """Run a group in the writer's thread; raises what made the whole group fail, after undoing all of it."""
    try:
        engine.begin()
        writing = Writing(engine)
        transaction = StoredTransaction(writing, own_node)
        outcomes = [_run(engine, writing, transaction, unit) for unit in units]
        transaction.logs.seal(seal, now_ms)
        engine.commit()
    except BaseException as error:
        engine.rollback()
        raise engine.told(error) from error
    return Committed(outcomes=outcomes, touched=transaction.logs.touched())


def read_unit(engine: Engine, unit: Callable[[Transaction], T], *, own_node: NodeName) -> T:
    """Run a unit on a snapshot, in the reader's thread."""
    try:
        engine.begin_reading()
        return unit(StoredTransaction(Reading(engine), own_node))
    except Exception as error:
        told = engine.told(error)
        if told is error:
            raise
        raise told from error
    finally:
        engine.rollback()


def _run(engine: Engine, writing: Writing, transaction: StoredTransaction, unit: Unit) -> Outcome:
    writing.begin_unit()
    transaction.logs.begin_unit()
    try:
        value = unit(transaction)
    except Exception as error:  # noqa: BLE001  # whatever a unit raises is its caller's; the group goes on without it
        try:
            writing.undo_unit()
        except Exception:  # noqa: BLE001  # the engine has given up the whole transaction, and `error` is why
            raise error from None
        transaction.logs.undo_unit()
        return Outcome(raised=_raisable(engine.told(error), error))
    writing.end_unit()
    return Outcome(value=value)


def _raisable(told: BaseException, error: Exception) -> Exception:
    """An exception that can pass through a future, with its cause."""
    if isinstance(told, StopIteration) or not isinstance(told, Exception):
        return RuntimeError(f"a unit of work raised {told!r}")
    if told is not error:
        told.__cause__ = error
    return told
