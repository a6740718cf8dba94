"""Names of which nobody has heard, remembered for a moment, so that asking again costs nobody a call.

What lives here: the memory, bounded in number and time. What must not: a clock (epoch milliseconds are passed in), or
any belief in a name that is known.
"""

from collections import OrderedDict
from typing import Final

from federation.errors import NotFound
from federation.naming import NodeName

REMEMBERED_MS: Final = 30_000
"""A newcomer whom somebody asked for too early is found after this long at the latest."""
REMEMBERED_MAX: Final = 4_096


class NameUnknown(NotFound):
    code = "LLN-121"
    zh = "网络中没有这个名称的节点，或其上级的目录还没有送达。"
    en = "No node of that name is known in the network, or the directory that names it has not arrived."


class UnknownNames:
    def __init__(self, *, remembered_max: int = REMEMBERED_MAX) -> None:
        self._remembered_max = remembered_max
        self._until_ms: OrderedDict[NodeName, int] = OrderedDict()

    def add(self, name: NodeName, now_ms: int) -> None:
        self._until_ms[name] = now_ms + REMEMBERED_MS
        self._until_ms.move_to_end(name)
        while len(self._until_ms) > self._remembered_max:
            self._until_ms.popitem(last=False)

    def holds(self, name: NodeName, now_ms: int) -> bool:
        """Also after the clock was set back: nothing is remembered longer than it was to be."""
        until_ms = self._until_ms.get(name, 0)
        return now_ms < until_ms <= now_ms + REMEMBERED_MS

    def forget(self) -> None:
        """A directory has changed: whoever was not there may be now."""
        self._until_ms.clear()
