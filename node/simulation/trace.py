"""What happened in a simulation: a digest of all of it in order, and counts for people.

What must not live here: what should have happened (`invariants.py`).
"""

from hashlib import sha256
from typing import Final

import msgspec

_DIGEST_CHARS: Final = 16


class Counts(msgspec.Struct, kw_only=True):
    """All count up from 0. `stopped` and `refused` by error code; `deeds` by what people did and how it went."""

    calls: int = 0
    streams: int = 0
    messages: int = 0
    lost: int = 0
    duplicated: int = 0
    late: int = 0
    spoilt: int = 0
    parted: int = 0
    crashes: int = 0
    stops: int = 0
    partitions: int = 0
    clock_steps: int = 0
    disk_troubles: int = 0
    attacks: int = 0
    checks: int = 0
    entries: int = 0
    copied_entries: int = 0
    letters: int = 0
    stopped: dict[str, int] = {}
    refused: dict[str, int] = {}
    deeds: dict[str, int] = {}


class Trace:
    """Two runs with the same digest did the same things in the same order, byte for byte."""

    def __init__(self) -> None:
        self._digest = sha256()
        self.notes = 0

    def note(self, at_s: float, what: str, *words: str | bytes) -> None:
        """`at_s` to the microsecond; a word that is bytes counts by its own digest."""
        told = [f"{at_s:.6f}", what, *(word if isinstance(word, str) else sha256(word).hexdigest() for word in words)]
        self._digest.update("\t".join(told).encode() + b"\n")
        self.notes += 1

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()[:_DIGEST_CHARS]
