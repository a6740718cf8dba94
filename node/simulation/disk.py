"""One machine's disk: the real engine and the real statements over a database in memory, on the loop's own time.

What lives here: a disk that outlives its process, syncs slowly, fills up or fails, and loses at a crash what was not
synced; and the store of one start of the process. What must not: a thread, a file, or a statement of its own.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from federation.errors import LlnError
from federation.logs import LogHead, LogId
from federation.naming import NodeName
from node.ports import Transaction
from node.simulation.chance import Chance
from node.storage import sqlite_files
from node.storage.engine import Committed, Reading, StoredTransaction, Unit, commit_group
from node.storage.errors import DatabaseClosed, DiskFull, StoreClosed
from node.storage.sqlite_store import SqliteEngine

T = TypeVar("T")
Trouble = Literal["full", "failing"]
Durable = Callable[[frozenset[LogId]], None]
GROUP_UNITS_MAX: Final = 1_000
SYNC_S: Final = (0.001, 0.02)
ANSWER_S: Final = 0.002
"""Between the sync and the caller's answer: who crashes here has done what nobody knows of."""


class Disk:
    """`trouble`: what is wrong with it at the moment. `durable` is told, at once, which logs a commit has touched."""

    def __init__(self, name: NodeName, *, durable: Durable = lambda _: None) -> None:
        self.name = name
        self.trouble: Trouble | None = None
        self.durable = durable
        self._connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=64)
        self._connection.execute("PRAGMA page_size = 1024")
        sqlite_files.migrate(self._connection, Path(":memory:"))
        self._engine = SqliteEngine(self._connection, name)
        self._reading = StoredTransaction(Reading(self._engine), name)

    def read(self, unit: Callable[[Transaction], T]) -> T:
        """What is on the disk, whatever is wrong with it. Nothing is written while it runs, so it needs no snapshot."""
        return unit(self._reading)

    def commit(
        self, units: list[Unit], *, seal: Callable[[LogHead], bytes], now_ms: Callable[[], int]
    ) -> Committed | LlnError:
        """Everything or nothing of a group; what a failing disk says instead."""
        fault = self.fault()
        if fault is not None:
            return fault
        committed = commit_group(self._engine, units, own_node=self.name, seal=seal, now_ms=now_ms)
        self.durable(committed.touched)
        return committed

    def fault(self, *, reading: bool = False) -> LlnError | None:
        if self.trouble == "failing":
            return DatabaseClosed(self.name, "an error of the simulated disk")
        return DiskFull(self.name, "the simulated disk is full") if self.trouble == "full" and not reading else None

    def close(self) -> None:
        self._connection.close()


class DiskStore:
    """`node.ports.Store` of one start of a process. After `die` it does nothing more, and answers nobody."""

    def __init__(
        self, disk: Disk, *, seal: Callable[[LogHead], bytes], now_ms: Callable[[], int], chance: Chance
    ) -> None:
        self._disk = disk
        self._seal = seal
        self._now_ms = now_ms
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Unit, asyncio.Future[Any]]] = deque()
        self._is_syncing = False
        self._is_dead = False
        self._told: list[Callable[[frozenset[LogId]], None]] = []
        self._told_of_post: list[Callable[[frozenset[NodeName]], None]] = []

    def die(self) -> None:
        """The process is gone: what waits was never written."""
        self._is_dead = True
        self._waiting.clear()

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        self._check_alive()
        answered: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append((unit, answered))
        if not self._is_syncing:
            self._begin()
        return await answered

    async def read(self, unit: Callable[[Transaction], T]) -> T:
        await asyncio.sleep(0)  # another thread reads in a real one
        self._check_alive()
        fault = self._disk.fault(reading=True)
        if fault is not None:
            raise fault
        return self._disk.read(unit)

    def on_commit(self, told: Callable[[frozenset[LogId]], None]) -> None:
        self._told.append(told)

    def on_post(self, told: Callable[[frozenset[NodeName]], None]) -> None:
        self._told_of_post.append(told)

    async def scrub(self) -> None:
        """The simulated disk is memory: what was deleted is nowhere."""
        self._check_alive()

    async def close(self) -> None:
        self.die()

    def _check_alive(self) -> None:
        if self._is_dead:
            raise StoreClosed(self._disk.name, "the process has crashed")

    def _begin(self) -> None:
        self._is_syncing = True
        self._loop.call_later(self._chance.uniform(*SYNC_S), self._sync)

    def _sync(self) -> None:
        """The one moment at which a group becomes durable."""
        if self._is_dead:
            return
        group = [one for one in self._take() if not one[1].done()]  # cancelled before it began
        committed = self._disk.commit([unit for unit, _ in group], seal=self._seal, now_ms=self._now_ms)
        if not isinstance(committed, LlnError):
            for told in self._told if committed.touched else ():
                self._loop.call_soon(self._tell, told, committed.touched)
            for told_of_post in self._told_of_post if committed.posted else ():
                self._loop.call_soon(self._tell, told_of_post, committed.posted)
        self._loop.call_later(self._chance.uniform(0, ANSWER_S), self._answer, group, committed)
        self._is_syncing = False
        if self._waiting:
            self._begin()

    def _take(self) -> list[tuple[Unit, asyncio.Future[Any]]]:
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP_UNITS_MAX))]

    def _tell(self, told: Callable[[frozenset[Any]], None], news: frozenset[Any]) -> None:
        if not self._is_dead:
            told(news)

    def _answer(self, group: list[tuple[Unit, asyncio.Future[Any]]], committed: Committed | LlnError) -> None:
        if self._is_dead:
            return
        for place, (_, answered) in enumerate(group):
            if answered.done():
                continue
            if isinstance(committed, LlnError):
                answered.set_exception(type(committed)(committed.subject, committed.detail))
            elif place in committed.raised:
                answered.set_exception(committed.raised[place])
            else:
                answered.set_result(committed.values[place])
