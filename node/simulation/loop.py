"""An event loop whose time is not the machine's: when nobody can go on, it jumps to the next timer.

What lives here: the loop, and running something on it to its end. What must not: a socket, a thread or the real clock;
with them gone, the same program does the same things in the same order, whatever the machine is doing.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from federation.errors import LocalFault

T = TypeVar("T")
_RESOLUTION_S: Final = 1e-9


class NothingLeftToWaitFor(LocalFault):
    code = "LLN-1701"
    zh = "模拟中所有任务都在等待永远不会发生的事。这是程序的错误，请把种子告诉维护者。"
    en = "Everything simulated waits for what can never come. That is our mistake; tell the maintainers the seed."


class _Jump:
    """Stands where a loop has its selector: nothing comes from outside, so waiting is only the passing of time."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout_s: float | None) -> list[Any]:
        if timeout_s is None:
            raise NothingLeftToWaitFor("simulation", f"at {self._loop.time():.3f} s")
        if timeout_s > 0:
            self._loop.jump()
        return []

    def close(self) -> None:
        """Nothing was opened."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Begins at 0 s. It leans on three protected names of `asyncio.BaseEventLoop`; tests/simulation hold them."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._clock_resolution = _RESOLUTION_S
        self._selector = _Jump(self)

    def time(self) -> float:
        return self._now_s

    def jump(self) -> None:
        """On to the next timer; exactly there, so that no rounding adds up."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # typeshed shows public names
        if timers:
            self._now_s = max(self._now_s, timers[0].when())

    def _process_events(self, _events: list[Any]) -> None:
        """None ever come."""

    def _write_to_self(self) -> None:
        """There is no other thread that could want to wake this loop."""


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
