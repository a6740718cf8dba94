"""The breaker of one peer: after several failures in a row it is left alone for a while, then tried by one call.

What must not live here: a clock or randomness; both are passed in. Only silence counts, never a refusal.
"""

from typing import Final

FAILURES_TO_OPEN: Final = 3
PAUSE_FIRST_S: Final = 1.0
PAUSE_LONGEST_S: Final = 30.0
PROBE_S: Final = 5.0


class Breaker:
    """Closed until `FAILURES_TO_OPEN` failures follow each other; then open, and half open after a jittered pause."""

    __slots__ = ("_closed_to_calls_until_s", "failures")

    def __init__(self) -> None:
        self.failures = 0
        self._closed_to_calls_until_s = 0.0

    def lets_through(self, now_s: float) -> bool:
        """Whether a call may go; when half open, one goes, and the next only if it has said nothing for `PROBE_S`."""
        if self.failures < FAILURES_TO_OPEN:
            return True
        if now_s < self._closed_to_calls_until_s:
            return False
        self._closed_to_calls_until_s = now_s + PROBE_S
        return True

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self, now_s: float, fraction: float) -> None:
        """`fraction` in [0, 1): the pause doubles with each failure, and half of it is left to chance."""
        self.failures += 1
        if self.failures >= FAILURES_TO_OPEN:
            ceiling_s = min(PAUSE_LONGEST_S, PAUSE_FIRST_S * 2.0 ** min(self.failures - FAILURES_TO_OPEN, 16))
            self._closed_to_calls_until_s = now_s + ceiling_s * (0.5 + 0.5 * fraction)
