"""What a gate remembers of each caller: how many calls it may still make, and the nonces it has used.

What lives here: a token bucket and a set of nonces for each peer, every table bounded. What must not: a clock; epoch
milliseconds are passed in. None of it outlives the process: the boot epoch of `calls.py` makes a restart safe.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from federation.errors import BadCall, RefusedCall
from federation.naming import NodeName

NONCES_PER_CALLER_MAX: Final = 100_000
CALLERS_MAX: Final = 65_536
_SLOT_MS: Final = 60_000
_IDLE_MS: Final = 10 * 60_000
"""After this long every nonce has expired (`calls.py`: at most five minutes) and every bucket is full."""


class TooManyCalls(RefusedCall):
    code = "LLN-225"
    zh = "对端调用过于频繁，已被限流，稍后会自动恢复。"
    en = "The peer calls too often and is held back; this passes by itself."


class TooManyFailures(TooManyCalls):
    code = "LLN-227"
    zh = "对端发来的调用多次未通过验证，暂时不再受理它的调用，稍后会自动恢复。"
    en = "Too many of the peer's calls did not hold, so that it is not listened to for a moment; this passes by itself."


class ReplayedCall(BadCall):
    code = "LLN-235"
    zh = "这个调用已经收到过一次，已拒绝重放。"
    en = "This very call has been received before; a replay is refused."


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A token bucket: `burst` calls at once, refilled at `calls_per_second`."""

    calls_per_second: float = 500.0
    burst: int = 1_000


class _Caller:
    """`nonces` by the minute in which they expire: a replay bears the same times, so it looks in the same minute."""

    __slots__ = ("at_ms", "forgotten_slot", "nonces", "remembered", "tokens")

    def __init__(self, tokens: float, at_ms: int) -> None:
        self.tokens = tokens
        self.at_ms = at_ms
        self.nonces: dict[int, set[bytes]] = {}
        self.remembered = 0
        self.forgotten_slot = 0


class Callers:
    """One gate's memory, the least recently heard caller first."""

    def __init__(self, limit: RateLimit, *, callers_max: int = CALLERS_MAX) -> None:
        self._limit = limit
        self._callers_max = callers_max
        self._of: OrderedDict[NodeName, _Caller] = OrderedDict()

    def take_turn(self, name: NodeName, now_ms: int) -> None:
        """Count one call; raises TooManyCalls beyond the caller's share."""
        caller = self._of.get(name) or self._meet(name, now_ms)
        self._of.move_to_end(name)
        burst, per_second = self._limit.burst, self._limit.calls_per_second
        tokens = min(burst, caller.tokens + max(0, now_ms - caller.at_ms) * per_second / 1_000)
        caller.at_ms = now_ms
        if tokens < 1:
            caller.tokens = tokens
            raise TooManyCalls(name, f"more than {per_second:g} calls a second")
        caller.tokens = tokens - 1

    def use_nonce(self, name: NodeName, nonce: bytes, *, expires_ms: int, now_ms: int) -> None:
        """Remember a nonce until its call has expired; raises ReplayedCall, TooManyCalls.

        Minutes are forgotten once and for all: after the clock was set back, what expired before counts as seen, until
        `forget_nonces`.
        """
        caller = self._of.get(name) or self._meet(name, now_ms)
        slot = expires_ms // _SLOT_MS
        if slot <= caller.forgotten_slot:
            raise ReplayedCall(name, "it had expired before this node's clock was set back")
        seen = caller.nonces.get(slot)
        if seen is None:
            self._forget_expired(caller, now_ms // _SLOT_MS)
            seen = caller.nonces.setdefault(slot, set())
        if nonce in seen:
            raise ReplayedCall(name, "its nonce has been used")
        if caller.remembered >= NONCES_PER_CALLER_MAX:
            raise TooManyCalls(name, f"{NONCES_PER_CALLER_MAX} of its calls have not expired yet")
        seen.add(nonce)
        caller.remembered += 1

    def forget_nonces(self) -> None:
        """For a new epoch, which refuses by itself whatever was signed before it."""
        for caller in self._of.values():
            caller.nonces.clear()
            caller.remembered = caller.forgotten_slot = 0

    def _meet(self, name: NodeName, now_ms: int) -> _Caller:
        if len(self._of) >= self._callers_max:
            idlest, known = next(iter(self._of.items()))
            if now_ms - known.at_ms < _IDLE_MS:
                raise TooManyCalls(name, f"{self._callers_max} other nodes have called just now")
            del self._of[idlest]
        caller = self._of[name] = _Caller(float(self._limit.burst), now_ms)
        return caller

    def _forget_expired(self, caller: _Caller, current_slot: int) -> None:
        for slot in [slot for slot in caller.nonces if slot < current_slot]:
            caller.remembered -= len(caller.nonces.pop(slot))
            caller.forgotten_slot = max(caller.forgotten_slot, slot)
