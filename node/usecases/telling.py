"""Telling: whoever could not get something through to a child of this node hears as soon as the child is back.

What lives here: whom to tell of whom, in memory and bounded; a sender that is not told tries again later. What must
not: what anybody wants of the child.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from federation.errors import LlnError
from federation.naming import NodeName
from node.ports import Peers

MISSED_MAX: Final = 1_024
WAITING_MAX: Final = 64
TIMEOUT_S: Final = 5.0


class Telling:
    def __init__(self, *, peers: Peers) -> None:
        self._peers = peers
        self._waiting: OrderedDict[NodeName, dict[NodeName, None]] = OrderedDict()
        self._back: asyncio.Queue[NodeName] = asyncio.Queue(MISSED_MAX)

    def missed(self, child: NodeName, sender: NodeName) -> None:
        """What `sender` had for a child could not be passed on."""
        waiting = self._waiting.setdefault(child, {})
        if len(waiting) < WAITING_MAX:
            waiting[sender] = None
        while len(self._waiting) > MISSED_MAX:
            self._waiting.popitem(last=False)

    def is_back(self, child: NodeName) -> None:
        """A verified word of the child has come, or it is attached."""
        if child in self._waiting and not self._back.full():
            self._back.put_nowait(child)

    async def run(self) -> None:
        while True:
            child = await self._back.get()
            for sender in self._waiting.pop(child, {}):
                try:
                    await self._peers.tell_up(sender, child, timeout_s=TIMEOUT_S)
                except LlnError:  # it tries again by itself, only later
                    continue
