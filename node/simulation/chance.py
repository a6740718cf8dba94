"""Chance that repeats itself: every source is drawn from the seed and from whose it is, so none disturbs another.

What lives here: the one place of this room that knows Python's generator. What must not: the machine's randomness.
"""

import random
from hashlib import sha256
from typing import Final

Chance = random.Random  # allowed: effect, seeded where it is made and nowhere else

_SECRET_BYTES: Final = 32


def chance_of(seed: int, *whose: str) -> Chance:
    """A generator of its own for `whose`; drawing from one never changes what another gives."""
    return Chance(int.from_bytes(derived(seed, *whose), "big"))


def derived(seed: int, *whose: str) -> bytes:
    """32 bytes that follow from the seed and a name: keys, and the beginnings of generators."""
    return sha256("\n".join((f"lln simulation {seed}", *whose)).encode()).digest()[:_SECRET_BYTES]


class SeededRandomness:
    """`node.ports.Randomness` of one start of one node."""

    def __init__(self, seed: int, *whose: str) -> None:
        self._drawn = chance_of(seed, "randomness", *whose)

    def token(self, size_bytes: int) -> bytes:
        return self._drawn.randbytes(size_bytes)

    def fraction(self) -> float:
        return self._drawn.random()


def pause_s(chance: Chance, per_hour: float) -> float:
    """How long until the next of something that happens `per_hour` times at random moments."""
    return chance.expovariate(per_hour / 3_600)
