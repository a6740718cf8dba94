"""Points in time as they stand in credentials: RFC 3339 text on the outside, milliseconds since 1970 UTC inside.

What lives here: the way there and back. What must not: a clock.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

MS_MAX: Final = 253_402_300_799_999
"""The last millisecond of the year 9999; what four digits can still write."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CHINA: Final = timedelta(hours=8)
_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})\Z"
)
_REMEMBERED_MAX: Final = 4_096


@lru_cache(maxsize=_REMEMBERED_MAX)
def to_text(at_ms: int) -> str:
    """`2026-05-01T08:00:00Z`, with three decimals unless they are zero; raises ValueError beyond the year 9999."""
    if not 0 <= at_ms <= MS_MAX:
        raise ValueError(f"{at_ms} ms is not between 1970 and 9999")
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    precision = "milliseconds" if at_ms % 1000 else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


@lru_cache(maxsize=_REMEMBERED_MAX)
def to_ms(text: str) -> int:
    """Read a timestamp with a time zone (RFC 3339 §5.6), cut to milliseconds; raises ValueError."""
    if not _TIMESTAMP.match(text):
        raise ValueError("expected a time such as 2026-05-01T08:00:00Z")
    at_ms = (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
    if not 0 <= at_ms <= MS_MAX:
        raise ValueError("expected a time between 1970 and 9999")
    return at_ms


def day_to_text(day: date) -> str:
    """A day where a credential wants a time: its first moment, UTC."""
    return f"{day.isoformat()}T00:00:00Z"


def to_day(text: str) -> date:
    """The day of a time, in the zone it was written in; raises ValueError."""
    if not _TIMESTAMP.match(text):
        raise ValueError("expected a time such as 2026-05-01T00:00:00Z")
    return datetime.fromisoformat(text).date()


def day_in_china(at_ms: int) -> date:
    """The day on a calendar on a wall in China, whatever the day is in UTC."""
    return (_EPOCH + timedelta(milliseconds=at_ms) + _CHINA).date()


def end_of_day_in_china_ms(day: date) -> int:
    """The last millisecond of a day in China."""
    after = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1) - _CHINA
    return (after - _EPOCH) // timedelta(milliseconds=1) - 1
