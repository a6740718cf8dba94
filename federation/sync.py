"""How far each log has come at the parent, and when it is time to say something again.

What lives here: decisions about what is due. What must not: pages (`logs.py`), sending, or waiting.
"""

from typing import Final

import msgspec

ASKS_MAX: Final = 8


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What the parent has said of one log: the verified size it holds, and when it was last told it is current.

    `asks_again`: how often it has been asked, since the log last grew, whether every node above has indexed it;
    0 when nobody is behind.
    """

    size: int = 0
    told_ms: int = 0
    confirmed_at_ms: int = 0
    asks_again: int = 0

    def is_due(self, size: int, *, confirmed_at_ms: int | None, now_ms: int, every_ms: int) -> bool:
        """Whether to send a page now: entries are missing, the origin's confirmation is newer by `every_ms`, or
        somebody above was still indexing. `confirmed_at_ms` None: the log is our own and confirmed as we speak.
        """
        if self.size < size or self.told_ms == 0:
            return True
        if self.asks_at_ms is not None and now_ms >= self.asks_at_ms:
            return True
        confirmed = now_ms if confirmed_at_ms is None else confirmed_at_ms
        return confirmed - self.confirmed_at_ms >= every_ms

    @property
    def asks_at_ms(self) -> int | None:
        """When to ask once more whether everybody above has indexed the log; None when nobody needs to be asked."""
        return self.told_ms + 500 * 2**self.asks_again if 0 < self.asks_again < ASKS_MAX else None

    def told(self, size: int, *, confirmed_at_ms: int, now_ms: int, behind: bool, empty: bool) -> "Progress":
        """After the parent answered; `empty`: the page brought no entries, so whoever is behind was asked again."""
        asks = 0
        if behind:
            asks = min(self.asks_again + 1, ASKS_MAX) if empty else 1
        return Progress(size=size, told_ms=now_ms, confirmed_at_ms=confirmed_at_ms, asks_again=asks)


REFUSED_LONGEST_S: Final = 300.0
"""Who was refused by name will be again, until people decide otherwise: hello and the link wait longer for that."""


def backoff_s(failures: int, *, first_s: float, longest_s: float, fraction: float) -> float:
    """How long to wait after the n-th failure in a row: full jitter under a ceiling that doubles.

    `fraction` in [0, 1) comes from outside. A tenth of the ceiling is always waited, so that nobody hammers.
    """
    ceiling = min(longest_s, first_s * 2.0 ** min(failures - 1, 30))
    return ceiling * (0.1 + 0.9 * fraction)
