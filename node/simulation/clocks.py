"""The clock of one simulated machine: the loop's time, wrong by as much as its owner does not know.

What must not live here: the machine's own clock.
"""

import asyncio
from typing import Final

BEGINS_MS: Final = 1_790_000_000_000
"""When every simulation begins: 2026-09-21, some term at some school."""


class SkewedClock:
    """`node.ports.Clock`; `skew_ms` may be stepped at any moment, and only `now_ms` then steps with it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, skew_ms: int = 0) -> None:
        self._time = loop.time
        self.skew_ms = skew_ms

    def now_ms(self) -> int:
        return BEGINS_MS + int(self._time() * 1_000) + self.skew_ms

    def monotonic_s(self) -> float:
        return self._time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
