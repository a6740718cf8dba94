"""Calls admitted while the directory was stale, and what is found about them once it is fresh again.

What lives here: who was admitted so, bounded, and the review of it. What must not: whether a call is admitted at all
(`directory.py`), or what people do about a caller that should not have been.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from federation.directory import Standing, Status
from federation.naming import NodeName

CALLERS_MAX: Final = 1_000
REGRETS_MAX: Final = 100

Look = Callable[[NodeName, int], Standing | Status | None]
"""A node's standing, or its status alone, where it is freshly known and by another confirmation of its directory than
the one of that time (epoch ms), which the caller was admitted on; None otherwise.
"""


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """One caller admitted provisionally: `names` of its line that are still to be looked at, `calls` how often.

    `believed_ms`: when the directory that a name was believed by had been confirmed; 0 where none was.
    """

    caller: NodeName
    names: tuple[NodeName, ...]
    believed_ms: dict[NodeName, int] = {}
    calls: int
    first_at_ms: int
    last_at_ms: int


class Regret(msgspec.Struct, frozen=True, kw_only=True):
    """A caller that was admitted provisionally although `name`, itself or an authority above it, was no longer
    admitted: whatever it brought between the two times deserves a look.
    """

    caller: NodeName
    name: NodeName
    status: Status
    calls: int
    first_at_ms: int
    last_at_ms: int
    found_at_ms: int


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of it across restarts. `unnamed` counts calls for which there was no room by name."""

    waiting: tuple[Admitted, ...] = ()
    regrets: tuple[Regret, ...] = ()
    regretted: int = 0
    unnamed: int = 0


class ProvisionalCalls:
    """Who was admitted provisionally; asked on every such call, so each costs one lookup."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        told = ledger or Ledger()
        self._open = {one.caller: one for one in told.waiting[:CALLERS_MAX]}
        self._regrets = list(told.regrets[-REGRETS_MAX:])
        self._regretted = told.regretted
        self._unnamed = told.unnamed

    def ledger(self) -> Ledger:
        return Ledger(
            waiting=tuple(self._open.values()),
            regrets=tuple(self._regrets),
            regretted=self._regretted,
            unnamed=self._unnamed,
        )

    def admitted(self, caller: NodeName, believed_ms: Mapping[NodeName, int], now_ms: int) -> None:
        """One more call, for which the standing of these names of its line was believed from stale directories."""
        before = self._open.get(caller)
        if before is None and len(self._open) >= CALLERS_MAX:
            self._unnamed += 1
            return
        self._open[caller] = Admitted(
            caller=caller,
            names=tuple(dict.fromkeys((*(before.names if before else ()), *believed_ms))),
            believed_ms={**(before.believed_ms if before else {}), **believed_ms},
            calls=(before.calls if before else 0) + 1,
            first_at_ms=before.first_at_ms if before else now_ms,
            last_at_ms=now_ms,
        )

    def to_look_at(self) -> frozenset[NodeName]:
        """Every node whose standing decides about a caller in the ledger."""
        return frozenset(name for one in self._open.values() for name in one.names)

    def review(self, look: Look, now_ms: int) -> tuple[Regret, ...]:
        """Judge again whoever can be judged; what was found wrong just now.

        The very directory that a caller was admitted on is no judge of that, even where it seems fresh by now because
        a clock was set back.
        A caller leaves the ledger when every name of its line has been looked at. A standing that turned bad after the
        caller's last call was good when it counted; a status without its time is taken for bad all along.
        """
        found: list[Regret] = []
        for one in tuple(self._open.values()):
            known = {name: seen for name in one.names if (seen := look(name, one.believed_ms.get(name, 0))) is not None}
            found.extend(
                Regret(
                    caller=one.caller,
                    name=name,
                    status=status,
                    calls=one.calls,
                    first_at_ms=one.first_at_ms,
                    last_at_ms=one.last_at_ms,
                    found_at_ms=now_ms,
                )
                for name, seen in known.items()
                if (status := _bad_at(seen, one.last_at_ms)) is not None
            )
            left = tuple(name for name in one.names if name not in known)
            if left:
                self._open[one.caller] = msgspec.structs.replace(one, names=left)
            else:
                del self._open[one.caller]
        self._regrets = [*self._regrets, *found][-REGRETS_MAX:]
        self._regretted += len(found)
        return tuple(found)


def _bad_at(seen: Standing | Status, at_ms: int) -> Status | None:
    """The status, where it was no good one at that time."""
    if not isinstance(seen, Standing):
        return None if seen == "active" else seen
    return seen.status if seen.status != "active" and seen.since_ms <= at_ms else None
