"""Holding: what a person is in the middle of, between two pages of theirs: in memory, for a while, bounded.

What lives here: the one box for such things. What must not: what any of them is. Nothing here outlives a restart, and
nobody gets what another has put down.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec

T = TypeVar("T")
HOLD_MS: Final = 30 * 60_000
EACH_MAX: Final = 12
ALL_MAX: Final = 200


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    value: object
    until_ms: int


class Holding(Generic[T]):
    """`draw`: a name that nobody guesses. Of one person the oldest goes first, and so it does of all."""

    def __init__(self, draw: Callable[[], str], *, each_max: int = EACH_MAX, all_max: int = ALL_MAX) -> None:
        self._draw = draw
        self._each_max = each_max
        self._all_max = all_max
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def put(self, owner: str, value: T, now_ms: int) -> str:
        for name in [name for name, one in self._held.items() if one.until_ms <= now_ms]:
            del self._held[name]
        own = [name for name, one in self._held.items() if one.owner == owner]
        for name in own[: max(0, len(own) - self._each_max + 1)]:
            del self._held[name]
        while len(self._held) >= self._all_max:
            self._held.popitem(last=False)
        name = self._draw()
        self._held[name] = _Held(owner=owner, value=value, until_ms=now_ms + HOLD_MS)
        return name

    def get(self, name: str, owner: str, now_ms: int) -> T | None:
        """What its owner has put down, while it is held; None for anybody else."""
        held = self._held.get(name)
        if held is None or held.owner != owner or held.until_ms <= now_ms:
            return None
        return held.value  # type: ignore[return-value]  # `put` took it as T

    def take(self, name: str, owner: str, now_ms: int) -> T | None:
        """The same, once."""
        value = self.get(name, owner, now_ms)
        if value is not None:
            del self._held[name]
        return value

    def pop_where(self, owner: str, now_ms: int, is_it: Callable[[T], bool]) -> T | None:
        """The same for what is known by something of its own."""
        for name in [name for name, one in self._held.items() if one.owner == owner]:
            value = self.get(name, owner, now_ms)
            if owner and value is not None and is_it(value):
                return self.take(name, owner, now_ms)
        return None
