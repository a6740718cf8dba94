"""Attaching: the link that a node keeps to its parent, so that it can be called without being dialled.

What lives here: attaching again after an outage. What must not: what comes over the link (`node/rpc/uplink.py`).
"""

from typing import Final

from federation.errors import LlnError, PeerRefused
from federation.naming import NodeName, parent_of
from federation.sync import REFUSED_LONGEST_S, backoff_s
from node.ports import Clock, Peers, Randomness

RETRY_FIRST_S: Final = 0.5
RETRY_LONGEST_S: Final = 60.0
HELD_LONG_S: Final = 60.0


class Attaching:
    """`since_s`: how long the link has been open; None while there is none."""

    def __init__(
        self, *, peers: Peers, clock: Clock, randomness: Randomness, own_name: NodeName, root: NodeName
    ) -> None:
        self._peers = peers
        self._clock = clock
        self._randomness = randomness
        self._parent = parent_of(own_name, root)
        self._attached_s: float | None = None

    @property
    def since_s(self) -> float | None:
        return None if self._attached_s is None else self._clock.monotonic_s() - self._attached_s

    async def run(self) -> None:
        """Keep the link for ever; a parent that was lost by many children at once is not stormed by them."""
        if self._parent is None:
            return
        failures, longest_s = 0, RETRY_LONGEST_S
        while True:
            try:
                await self._peers.attach(self._parent, self._accepted)
            except LlnError as outage:  # hello and forwarding tell of the same outage, with the words
                held_s, self._attached_s = self.since_s or 0.0, None
                failures = 1 if held_s > HELD_LONG_S else failures + 1
                longest_s = REFUSED_LONGEST_S if isinstance(outage, PeerRefused) else RETRY_LONGEST_S
            await self._clock.sleep(
                backoff_s(
                    failures,
                    first_s=RETRY_FIRST_S,
                    longest_s=longest_s,
                    fraction=self._randomness.fraction(),
                )
            )

    def _accepted(self) -> None:
        self._attached_s = self._clock.monotonic_s()
