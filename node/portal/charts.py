"""Charts of one number a day: bars as inline SVG, whose numbers stand beside them as a table.

What lives here: where each bar stands. What must not: text inside the picture (it would not follow the size of type),
or what is counted.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final

import msgspec

DAYS_SHOWN: Final = 30
STEP: Final = 10
BAR: Final = 8
HEIGHT: Final = 100


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """`count` None on a day of which nothing is known; sizes in the picture's own units."""

    day: date
    count: int | None
    x: int
    y: float
    height: float


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    bars: tuple[Bar, ...]
    most: int
    total: int
    width: int = STEP * DAYS_SHOWN
    height: int = HEIGHT
    bar: int = BAR

    @property
    def is_empty(self) -> bool:
        return not self.most


def draw_days(counts: Mapping[date, int], today: date, days: int = DAYS_SHOWN) -> Chart:
    """The last `days` days up to today, each with its bar; the highest fills the picture."""
    shown: Sequence[date] = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    most = max((counts.get(day, 0) for day in shown), default=0)
    bars = []
    for at, day in enumerate(shown):
        count = counts.get(day)
        height = round(HEIGHT * (count or 0) / most, 1) if most else 0.0
        bars.append(Bar(day=day, count=count, x=at * STEP + (STEP - BAR) // 2, y=HEIGHT - height, height=height))
    return Chart(bars=tuple(bars), most=most, total=sum(counts.get(day, 0) for day in shown), width=STEP * days)
