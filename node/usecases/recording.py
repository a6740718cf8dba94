"""Recording: the little that use cases share when they write down what this node says.

What lives here: the states of a resource on its way through review as one table, salts, the day it is, and writing
documents to own logs inside an open transaction. What must not: decisions about who may do what, or a call to another
use case.
"""

import base64
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final, Literal

import msgspec

from federation import canonical, directory
from federation.catalogue import CatalogueEntry
from federation.directory import DirectoryEntry, Standing, apply_entry
from federation.logs import LogId
from federation.naming import NodeName
from node.ports import Randomness, ResourceState, Transaction

SALT_BYTES: Final = 16
_CHINA: Final = timezone(timedelta(hours=8))

ReviewStep = Literal["change", "approve", "return", "publish", "withdraw"]

TRANSITIONS: Final[dict[tuple[ResourceState, ReviewStep], ResourceState]] = {
    ("pending", "change"): "pending",
    ("pending", "approve"): "reviewed",
    ("pending", "return"): "returned",
    ("pending", "withdraw"): "withdrawn",
    ("returned", "change"): "pending",
    ("returned", "withdraw"): "withdrawn",
    ("reviewed", "change"): "pending",
    ("reviewed", "publish"): "published",
    ("reviewed", "withdraw"): "withdrawn",
    ("published", "change"): "pending",
    ("published", "withdraw"): "withdrawn",
    ("withdrawn", "change"): "pending",
}
"""Everything else is refused. `withdraw` asks besides that some version is in the catalogue: it is what leaves."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why one row or one id is left as it is, and what to do, in plain sentences."""

    zh: str
    en: str
    remedy_zh: str = ""
    remedy_en: str = ""


def after(state: ResourceState, step: ReviewStep) -> ResourceState | None:
    """The state that follows, or None where the step is not legal."""
    return TRANSITIONS.get((state, step))


def china_date(at_ms: int) -> date:
    """The day it is in China: by it people are so many years old, and terms end."""
    return datetime.fromtimestamp(at_ms / 1_000, tz=UTC).astimezone(_CHINA).date()


def make_salts(randomness: Randomness, count: int) -> list[str]:
    """Salts for `count` documents (`federation.catalogue.Salt`), drawn at once."""
    drawn = randomness.token(SALT_BYTES * count)
    return [_in_text(drawn[at : at + SALT_BYTES]) for at in range(0, len(drawn), SALT_BYTES)]


def append_documents(tx: Transaction, log: LogId, entries: Iterable[CatalogueEntry | DirectoryEntry]) -> int:
    """Append the canonical bytes of `entries`, in order, to one of this node's own logs; the first index."""
    return tx.logs.append(log, [canonical.encode(entry) for entry in entries])


def record_admission(tx: Transaction, entry: DirectoryEntry) -> Standing:
    """Append `entry` to this node's own directory log and bring the standing it speaks of up to date.

    Raises IllegalTransition, and then nothing is written.
    """
    authority, name = NodeName(entry.authority), NodeName(entry.name)
    standing = apply_entry(tx.standings.get(authority, name), entry)
    append_documents(tx, LogId(origin=authority, topic=directory.TOPIC), [entry])
    tx.standings.put(standing)
    return standing


def _in_text(salt: bytes) -> str:
    return base64.urlsafe_b64encode(salt).rstrip(b"=").decode()
