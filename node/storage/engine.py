"""Group commit: many waiting units of work become one durable transaction.

What lives here: the order in which a group begins, runs, seals, commits and answers, the same for every engine. What
must not: SQL of any one engine (`sqlite_store.py`, `postgres_store.py`).

A crash before the commit leaves nothing of the group; after it, everything, checkpoints included.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from federation.errors import LlnError
from federation.logs import LogId
from node.ports import Transaction
from node.storage.errors import StoreClosed
from node.storage.log_rows import Seal, StoredLogs
from node.storage.rows import Connection, StoredAnswers, StoredInvites, StoredNotes, StoredResources, StoredStandings

T = TypeVar("T")
Unit = Callable[[Transaction], Any]
GROUP_UNITS_MAX = 1_000
WAITING_UNITS_MAX = 10_000


class StoredTransaction:
    """Everything stored, on one connection; the one implementation of `node.ports.Transaction` for SQL."""

    def __init__(self, connection: Connection, now_ms: Callable[[], int]) -> None:
        self.logs = StoredLogs(connection, now_ms)
        self.standings = StoredStandings(connection)
        self.invites = StoredInvites(connection)
        self.resources = StoredResources(connection)
        self.answers = StoredAnswers(connection)
        self.notes = StoredNotes(connection)


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each unit of a group, in order, and the logs it touched."""

    outcomes: tuple["Outcome", ...]
    touched: frozenset[LogId]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A unit's return value, or what it raised (and was undone for)."""

    value: Any = None
    raised: BaseException | None = None


class Session(Protocol):
    """A connection's transaction control, used inside its thread. `commit` returns after the data is durable."""

    @property
    def connection(self) -> Connection: ...

    def begin(self) -> None: ...

    def savepoint(self) -> None: ...

    def release(self) -> None: ...

    def undo(self) -> None:
        """Roll back to the savepoint and release it."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def told(self, error: BaseException) -> BaseException:
        """The engine's own error in our words; anything else unchanged."""
        ...


def commit_group(session: Session, units: Sequence[Unit], seal: Seal, now_ms: Callable[[], int]) -> Committed:
    """Run a group in the writer's thread; raises what made the whole group fail, after undoing all of it."""
    transaction = StoredTransaction(session.connection, now_ms)
    try:
        session.begin()
        outcomes = tuple(_run(session, transaction, unit) for unit in units)
        touched = transaction.logs.seal(seal)
        session.commit()
    except BaseException as error:
        session.rollback()
        raise session.told(error) from error
    return Committed(outcomes=outcomes, touched=touched)


def _run(session: Session, transaction: StoredTransaction, unit: Unit) -> Outcome:
    session.savepoint()
    mark = transaction.logs.mark()
    try:
        value = unit(transaction)
    except Exception as error:  # noqa: BLE001  # whatever a unit raises is its caller's; the group goes on without it
        session.undo()
        transaction.logs.undo(mark)
        return Outcome(raised=session.told(error))
    session.release()
    return Outcome(value=value)


class _Waiting(msgspec.Struct, kw_only=True):
    unit: Unit
    answered: "asyncio.Future[Any]"


class GroupCommit:
    """The one writer: takes units as they come, hands them over a group at a time, answers after each commit."""

    def __init__(self, commit: Callable[[Sequence[Unit]], Awaitable[Committed]]) -> None:
        self._commit = commit
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(WAITING_UNITS_MAX)
        self._listeners: list[Callable[[frozenset[LogId]], None]] = []
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write; the owner ends it with `close`."""
        self._task = asyncio.get_running_loop().create_task(self._drain(), name="group commit")

    def on_commit(self, told: Callable[[frozenset[LogId]], None]) -> None:
        self._listeners.append(told)

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Wait for room, for the group and for its commit; a caller that is cancelled does not stop its unit."""
        if self._closing:
            raise StoreClosed("store", "closed")
        answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Waiting(unit=unit, answered=answered))
        return await answered

    async def close(self) -> None:
        """Write what waits already, then stop."""
        self._closing = True
        last: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Waiting(unit=lambda _: None, answered=last))
        await asyncio.wait([last])
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _drain(self) -> None:
        while True:
            group = [await self._waiting.get()]
            while len(group) < GROUP_UNITS_MAX and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            await asyncio.shield(self._write_group(group))

    async def _write_group(self, group: Sequence[_Waiting]) -> None:
        try:
            committed = await self._commit([waiting.unit for waiting in group])
        except LlnError as error:
            for waiting in group:
                if not waiting.answered.done():
                    waiting.answered.set_exception(error)
            return
        for waiting, outcome in zip(group, committed.outcomes, strict=True):
            if waiting.answered.done():
                continue
            if outcome.raised is not None:
                waiting.answered.set_exception(outcome.raised)
            else:
                waiting.answered.set_result(outcome.value)
        if committed.touched:
            for told in self._listeners:
                told(committed.touched)
