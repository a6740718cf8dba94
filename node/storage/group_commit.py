"""Many callers, one writer: units of work gather while the group before them commits, and are answered after theirs.

What lives here: who waits, in what order, for how long; who is told. What must not: threads and transactions
(`engine.py` and the stores). There is no lingering: a group takes what is there, and one turn of the event loop to let
callers that were answered together come again together.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from federation.logs import LogId
from federation.naming import NodeName
from node.ports import Transaction
from node.storage.engine import Committed, Unit
from node.storage.errors import StoreBusy, StoreClosed

T = TypeVar("T")
GROUP_UNITS_MAX: Final = 1_000
WAITING_UNITS_MAX: Final = 10_000
ROOM_WAIT_S: Final = 30.0

Answered = asyncio.Future[Any]
Told = Callable[[frozenset[LogId]], None]
ToldOfPost = Callable[[frozenset[NodeName]], None]


class GroupCommit:
    """The queue in front of the one writer; `commit` runs a group and returns once it is durable."""

    def __init__(
        self,
        commit: Callable[[Sequence[Unit]], Awaitable[Committed]],
        *,
        group_units_max: int = GROUP_UNITS_MAX,
        waiting_units_max: int = WAITING_UNITS_MAX,
        room_wait_s: float = ROOM_WAIT_S,
    ) -> None:
        self._commit = commit
        self._group_units_max = group_units_max
        self._waiting_units_max = waiting_units_max
        self._room_wait_s = room_wait_s
        self._waiting: deque[tuple[Unit, Answered]] = deque()
        self._blocked: deque[Answered] = deque()
        self._listeners: list[Told] = []
        self._post_listeners: list[ToldOfPost] = []
        self._loop = asyncio.get_running_loop()
        self._is_closing = False
        self._news = self._loop.create_future()
        self._task = self._loop.create_task(self._drain(), name="group commit")  # ended by close()

    def on_commit(self, told: Told) -> None:
        self._listeners.append(told)

    def on_post(self, told: ToldOfPost) -> None:
        self._post_listeners.append(told)

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Wait for room, for the group and for its commit.

        A caller that is cancelled before its group begins leaves nothing behind; after that its unit stands. Raises
        StoreBusy when there was no room for too long, StoreClosed, and whatever the unit or the commit raised.
        """
        if len(self._waiting) >= self._waiting_units_max:
            await self._room()
        if self._is_closing:
            raise StoreClosed("store", "closed")
        answered: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append((unit, answered))
        if not self._news.done():
            self._news.set_result(None)
        return await answered

    async def close(self) -> None:
        """Write what waits already, then stop."""
        self._is_closing = True
        if not self._news.done():
            self._news.set_result(None)
        await asyncio.wait([self._task])

    async def _drain(self) -> None:
        try:
            while self._waiting or not self._is_closing:
                if not self._waiting:
                    await self._news
                    self._news = self._loop.create_future()
                group = self._take()
                if group:
                    await self._write_group(group)
                await asyncio.sleep(0)
        finally:
            self._is_closing = True
            for _, answered in self._waiting:  # only when the loop itself is being torn down
                answered.cancel()
            self._wake_blocked()

    def _take(self) -> list[tuple[Unit, Answered]]:
        group: list[tuple[Unit, Answered]] = []
        while self._waiting and len(group) < self._group_units_max:
            waiting = self._waiting.popleft()
            if not waiting[1].done():  # cancelled before it began
                group.append(waiting)
        self._wake_blocked()
        return group

    async def _write_group(self, group: Sequence[tuple[Unit, Answered]]) -> None:
        try:
            committed = await self._commit([unit for unit, _ in group])
        except BaseException as error:  # every caller of the group is told, whatever it was
            for _, answered in group:
                if isinstance(error, Exception) and not answered.done():
                    answered.set_exception(error)
                else:
                    answered.cancel()
            if not isinstance(error, Exception):
                raise
            return
        self._tell(committed)  # first, so that whoever is answered finds the news on its way
        for place, raised in committed.raised.items():
            if not group[place][1].done():
                group[place][1].set_exception(raised)
        for (_, answered), value in zip(group, committed.values, strict=True):
            if not answered.done():
                answered.set_result(value)

    def _tell(self, committed: Committed) -> None:
        """What a listener raises is the loop's to report, and not the writer's end."""
        for told in self._listeners if committed.touched else ():
            self._loop.call_soon(told, committed.touched)
        for told_of_post in self._post_listeners if committed.posted else ():
            self._loop.call_soon(told_of_post, committed.posted)

    async def _room(self) -> None:
        try:
            async with asyncio.timeout(self._room_wait_s):
                while len(self._waiting) >= self._waiting_units_max and not self._is_closing:
                    turn: Answered = self._loop.create_future()
                    self._blocked.append(turn)
                    await turn
        except TimeoutError as waited:
            raise StoreBusy("store", f"{len(self._waiting)} units waiting") from waited

    def _wake_blocked(self) -> None:
        room = len(self._blocked) if self._is_closing else self._waiting_units_max - len(self._waiting)
        while self._blocked and room > 0:
            turn = self._blocked.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1
