"""Titling: what nodes are called, for people who do not read names such as `jiashan.zhejiang.lln.internal`.

What lives here: titles from the directories held here, and those of other branches, asked for once and remembered for a
while. What must not: believing anything because of a title; it is what a node says of itself, and its name stays beside
it wherever something depends on who it is.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from federation.catalogue import BilingualLine
from federation.errors import LlnError
from federation.naming import NodeName, is_name, is_within
from node.ports import Clock, Identity, Resolved
from node.usecases.vouching import Vouching

HOPS_MAX: Final = 8
WAIT_S: Final = 0.5
LEARNT_AT_ONCE_MAX: Final = 16
KNOWN_MAX: Final = 4_096
KNOWN_FOR_MS: Final = 6 * 3_600_000
IN_VAIN_FOR_MS: Final = 60_000

Resolve = Callable[[NodeName, NodeName, int], Awaitable[Resolved]]


class Titling:
    def __init__(self, *, vouching: Vouching, resolve: Resolve, identity: Identity, clock: Clock) -> None:
        self._vouching = vouching
        self._resolve = resolve
        self._identity = identity
        self._clock = clock
        self._learnt: OrderedDict[str, tuple[int, BilingualLine | None]] = OrderedDict()

    def title_of(self, name: str) -> BilingualLine | None:
        """As far as it is known at this moment; None otherwise."""
        standing = self._vouching.standing_of(NodeName(name))
        return standing.description.title if standing else self._learnt.get(name, (0, None))[1]

    async def learn(self, names: Iterable[str]) -> None:
        """Ask who some nodes are, for `title_of`; waits WAIT_S at most, and does without where nobody answers."""
        now_ms = self._clock.now_ms()
        unknown = [name for name in dict.fromkeys(names) if self._is_to_ask(name, now_ms)][:LEARNT_AT_ONCE_MAX]
        for name in unknown:
            self._remember(name, now_ms + IN_VAIN_FOR_MS, self.title_of(name))
        try:
            async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as together:
                for name in unknown:
                    together.create_task(self._ask(name))
        except TimeoutError:
            return

    def _is_to_ask(self, name: str, now_ms: int) -> bool:
        if self._vouching.standing_of(NodeName(name)) is not None or now_ms < self._learnt.get(name, (0, None))[0]:
            return False
        return is_name(name) and is_within(name, self._identity.root)

    async def _ask(self, name: str) -> None:
        try:
            told = await self._resolve(self._identity.name, NodeName(name), HOPS_MAX)
        except LlnError:
            return
        self._remember(name, self._clock.now_ms() + KNOWN_FOR_MS, told.description.title)

    def _remember(self, name: str, until_ms: int, title: BilingualLine | None) -> None:
        self._learnt[name] = (until_ms, title)
        self._learnt.move_to_end(name)
        while len(self._learnt) > KNOWN_MAX:
            self._learnt.popitem(last=False)
