"""Budgets: what each of many peers may still do of one thing, as token buckets in a bounded table.

What lives here: spending and asking. What must not: a clock; epoch milliseconds are passed in. A peer that is forgotten
to make room begins with a full budget again, so the table holds more peers than can be busy at once.
"""

from collections import OrderedDict
from typing import Final

import msgspec

HOLDERS_MAX: Final = 65_536


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """`burst` at once, refilled at `per_second`."""

    per_second: float
    burst: float


def per_minute(count: int) -> Allowance:
    """`count` at once, and as many again within a minute."""
    return Allowance(per_second=count / 60, burst=float(count))


class Budgets:
    """One allowance for everybody, spent by each for itself; the least recent spender is forgotten first."""

    def __init__(self, allowance: Allowance, *, holders_max: int = HOLDERS_MAX) -> None:
        self._allowance = allowance
        self._holders_max = holders_max
        self._left: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def spend(self, holder: str, now_ms: int) -> bool:
        """Take one, if there is one; False where the budget is spent."""
        left = self._left_to(holder, now_ms)
        is_there = left >= 1
        self._left[holder] = (left - 1 if is_there else left, now_ms)
        self._left.move_to_end(holder)
        while len(self._left) > self._holders_max:
            self._left.popitem(last=False)
        return is_there

    def is_spent(self, holder: str, now_ms: int) -> bool:
        return holder in self._left and self._left_to(holder, now_ms) < 1

    def _left_to(self, holder: str, now_ms: int) -> float:
        left, at_ms = self._left.get(holder, (self._allowance.burst, now_ms))
        refilled = left + max(0, now_ms - at_ms) * self._allowance.per_second / 1_000
        return min(self._allowance.burst, refilled)
