"""The machine's side of a node under test: a clock that is moved by hand, and randomness that is repeatable."""

import asyncio
import time
from hashlib import sha256


class HandClock:
    """Clock port; stands still until it is moved."""

    def __init__(self, now_ms: int | None = None) -> None:
        self.at_ms = int(time.time() * 1000) if now_ms is None else now_ms

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_s(self) -> float:
        return self.at_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.at_ms += int(seconds * 1000)
        await asyncio.sleep(0)

    def move(self, *, ms: int = 0, s: float = 0, hours: float = 0, days: float = 0) -> None:
        self.at_ms += ms + int(1000 * (s + 3_600 * (hours + 24 * days)))


class CountedRandomness:
    """Randomness port: never the same bytes twice, always the same in each run with the same seed."""

    def __init__(self, seed: bytes = b"test") -> None:
        self._seed = seed
        self._drawn = 0

    def token(self, size_bytes: int) -> bytes:
        drawn = b""
        while len(drawn) < size_bytes:
            self._drawn += 1
            drawn += sha256(self._seed + b"%d" % self._drawn).digest()
        return drawn[:size_bytes]

    def fraction(self) -> float:
        return int.from_bytes(self.token(4), "big") / 2**32
