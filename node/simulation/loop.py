"""An event loop whose time is not the machine's: when nobody can go on, it jumps to the next timer.

What lives here: the loop, and running something on it to its end. What must not: a socket, a thread or the real clock;
with them gone, the same program does the same things in the same order, whatever the machine is doing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from heapq import heapify, heappop, heappush
from typing import Any, Final, TypeVar

from federation.errors import LocalFault

T = TypeVar("T")
SWEPT_AT_LEAST: Final = 1_000


class NothingLeftToWaitFor(LocalFault):
    code = "LLN-1701"
    zh = "模拟中所有任务都在等待永远不会发生的事。这是程序的错误，请把种子告诉维护者。"
    en = "Everything simulated waits for what can never come. That is our mistake; tell the maintainers the seed."


class VirtualLoop(asyncio.BaseEventLoop):
    """Begins at 0 s. It leans on three protected names of `asyncio.BaseEventLoop`; tests/simulation hold them.

    Timers that are due at the same moment go off in the order in which they were set.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_set = 0
        self._timers_cancelled = 0

    def time(self) -> float:
        return self._now_s

    def call_at(  # type: ignore[override]  # typeshed ties the arguments to the callback
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_set += 1
        heappush(self._timers, (when, self._timers_set, timer))
        return timer

    def _timer_handle_cancelled(self, _timer: asyncio.TimerHandle) -> None:
        """Most timers are time limits that are never reached: they are swept out before they are the majority."""
        self._timers_cancelled += 1
        if self._timers_cancelled > SWEPT_AT_LEAST and self._timers_cancelled * 2 > len(self._timers):
            self._timers = [one for one in self._timers if not one[2].cancelled()]
            heapify(self._timers)
            self._timers_cancelled = 0

    def _write_to_self(self) -> None:
        """There is no other thread that could want to wake this loop."""

    def _run_once(self) -> None:
        """One round: whatever can go on does; when nothing can, time jumps to the next timer."""
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]  # typeshed shows public names
        self._wake_timers(is_idle=not ready and not self._stopping)  # type: ignore[attr-defined]  # as above
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001  # as in BaseEventLoop

    def _wake_timers(self, *, is_idle: bool) -> None:
        """`is_idle`: only time can bring anything; it goes exactly to the next timer, so that no rounding adds up."""
        while self._timers:
            when_s, _, timer = self._timers[0]
            if timer.cancelled():
                self._timers_cancelled = max(0, self._timers_cancelled - 1)
            elif when_s <= self._now_s or is_idle:
                is_idle = False
                self._now_s = max(self._now_s, when_s)
                self._ready.append(timer)  # type: ignore[attr-defined]  # as above
            else:
                break
            heappop(self._timers)
        if is_idle:
            raise NothingLeftToWaitFor("simulation", f"at {self._now_s:.3f} s")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a loop of its own, from 0 s to its end; whatever it leaves running is cancelled."""
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(main)
        finally:
            _end(loop)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _end(loop: VirtualLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.run_until_complete(loop.shutdown_asyncgens())
