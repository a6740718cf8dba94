"""Dealings: how the last calls to and from each peer went, for the people who look after this node.

What lives here: a record in memory since the start of the process. What must not: decisions that depend on it.
"""

from collections.abc import Callable

import msgspec

from federation.errors import LlnError
from federation.naming import NodeName
from node.ports import Clock

PEERS_MAX = 4_096


class Dealing(msgspec.Struct, frozen=True, kw_only=True):
    """Times in epoch milliseconds, 0 for never; `last_error` in words."""

    last_success_ms: int = 0
    last_failure_ms: int = 0
    last_error: str = ""
    clock_offset_ms: int | None = None
    software_version: str = ""


class Dealings:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._with: dict[NodeName, Dealing] = {}
        self._told: list[Callable[[NodeName], None]] = []

    def on_recovery(self, told: Callable[[NodeName], None]) -> None:
        """Have `told` called with each peer that has answered again after a failure."""
        self._told.append(told)

    def of(self, peer: NodeName) -> Dealing:
        return self._with.get(peer, Dealing())

    def peers(self) -> tuple[NodeName, ...]:
        return tuple(self._with)

    def succeeded(self, peer: NodeName, *, clock_offset_ms: int | None = None) -> None:
        before = self.of(peer)
        offset = before.clock_offset_ms if clock_offset_ms is None else clock_offset_ms
        self._keep(peer, msgspec.structs.replace(before, last_success_ms=self._clock.now_ms(), clock_offset_ms=offset))
        if before.last_failure_ms > before.last_success_ms:
            for told in self._told:
                told(peer)

    def failed(self, peer: NodeName, error: LlnError) -> None:
        self._keep(
            peer,
            msgspec.structs.replace(self.of(peer), last_failure_ms=self._clock.now_ms(), last_error=str(error)[:300]),
        )

    def _keep(self, peer: NodeName, dealing: Dealing) -> None:
        if peer in self._with or len(self._with) < PEERS_MAX:
            self._with[peer] = dealing
