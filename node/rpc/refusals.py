"""Refusals: how many there were, by code and by peer, and how little those cost who are told "not now" too often.

What lives here: the counts, and the pause before a peer that is held back hears so. What must not: why a call is
refused.

A caller that is answered at once calls again at once. So "not now" is said after a pause, and to one peer never twice
in the same moment: its calls then come back one by one, and not in a burst. How many wait is bounded by what a peer's
connections may have open; its deadline bounds how long. Signing costs as much as checking does; beyond its allowance a
peer is told without a signature, which proves nothing to it and means that the transport failed.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from federation.budgets import Allowance, Budgets
from federation.naming import NodeName

PAUSE_S: Final = 0.25
SPACING_S: Final = 0.01
PAUSE_S_MAX: Final = 10.0
PAUSING_MAX: Final = 4_096
PEERS_COUNTED_MAX: Final = 1_024
SIGNED: Final = Allowance(per_second=10.0, burst=100.0)


class Refusals:
    """`connections`: how many were begun since the start, whether or not anything came of them."""

    def __init__(self) -> None:
        self.by_code: dict[str, int] = {}
        self.connections = 0
        self._by_peer: OrderedDict[NodeName, dict[str, int]] = OrderedDict()
        self._signed = Budgets(SIGNED)
        self._last_s: OrderedDict[str, float] = OrderedDict()
        self._pausing = 0

    def count(self, code: str, peer: NodeName | None) -> None:
        """`peer`: who was refused, where its own connection says so; somebody else's word is nobody's fault."""
        self.by_code[code] = self.by_code.get(code, 0) + 1
        if peer is None:
            return
        counts = self._by_peer.setdefault(peer, {})
        counts[code] = counts.get(code, 0) + 1
        self._by_peer.move_to_end(peer)
        if len(self._by_peer) > PEERS_COUNTED_MAX:
            self._by_peer.popitem(last=False)

    def of(self, peer: NodeName) -> Mapping[str, int]:
        """How often this peer was refused since the start, by error code."""
        return self._by_peer.get(peer, {})

    def peers(self) -> tuple[NodeName, ...]:
        return tuple(self._by_peer)

    async def pause(self, lane: str, left_s: float | None) -> None:
        """Let a peer wait that is told "not now": behind its other calls that wait for the same, but never until this
        one runs out; not at all where too many wait here already.
        """
        now_s = asyncio.get_running_loop().time()
        until_s = max(now_s + PAUSE_S, self._last_s.get(lane, 0.0) + SPACING_S)
        longest_s = PAUSE_S_MAX if left_s is None else min(PAUSE_S_MAX, left_s / 2)
        if self._pausing >= PAUSING_MAX or until_s - now_s > longest_s:
            return
        self._last_s[lane] = until_s
        self._last_s.move_to_end(lane)
        if len(self._last_s) > PEERS_COUNTED_MAX:
            self._last_s.popitem(last=False)
        self._pausing += 1
        try:
            await asyncio.sleep(until_s - now_s)
        finally:
            self._pausing -= 1

    def is_worth_signing(self, lane: str, now_ms: int) -> bool:
        return self._signed.spend(lane, now_ms)
