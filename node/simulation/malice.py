"""Nodes that lie: forged pages, forks, other people's logs, floods. They hold real keys and real certificates.

What lives here: each attack, and what must come of it. What must not: replayed calls, which the network itself brings
(`network.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from federation.checkpoints import sign_checkpoint, unverified_checkpoint
from federation.errors import LlnError, PeerRefused, PeerUnreachable
from federation.logs import Entry, LogForked, LogHead, LogId, Page, append
from federation.naming import NodeName, parent_of
from node.ports import StoredLog
from node.simulation.chance import Chance, pause_s
from node.simulation.keys import keys_of
from node.simulation.lives import Life, SimulatedNode, Surroundings

LIARS_PART: Final = 0.03
TIMEOUT_S: Final = 10.0
FLOOD_CALLS: Final = 450
PATIENCE_S: Final = 60.0


class Malice:
    """`forked`: the logs whose liars were caught signing two histories; every authority above must hear of it."""

    def __init__(self, around: Surroundings, per_hour: float, chance: Chance) -> None:
        self._around = around
        self._per_hour = per_hour
        self._chance = chance
        able = [life for life in around.lives.values() if not life.place.is_authority and life.place.parent]
        count = max(1, int(len(able) * LIARS_PART)) if able and per_hour else 0
        self._liars = chance.sample(able, count)
        self.forked: dict[LogId, None] = {}
        self._attacks: tuple[Callable[[Life, SimulatedNode], Awaitable[None]], ...] = (
            self._forge,
            self._bring_foreign,
            self._sign_wrongly,
            self._fork,
            self._flood,
        )

    async def run(self) -> None:
        """Attack until cancelled."""
        while self._liars:
            await asyncio.sleep(pause_s(self._chance, self._per_hour))
            liar, attack = self._chance.choice(self._liars), self._chance.choice(self._attacks)
            if liar.node is None:
                continue
            self._around.counts.attacks += 1
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await attack(liar, liar.node)
            except (TimeoutError, LlnError):
                continue  # out of reach, suspended or down: an attack that nobody noticed

    # --- attacks -----------------------------------------------------------------------------------------------------

    async def _forge(self, liar: Life, node: SimulatedNode) -> None:
        """Entries that were never signed for: beyond the newest true checkpoint, and in place of the last true entry.

        The second may be taken for a repeat, which changes nothing; that it does not is the checker's to see.
        """
        stored = await self._own_log(liar, node)
        size, forged = stored.head.size, (Entry.full(b'{"forged":true}'),)
        page = Page(log=stored.log, start=size, entries=forged, checkpoint_note=stored.note)
        await self._must_be_refused(node, page, "a page beyond what was signed")
        if size:
            await self._push(node, msgspec.structs.replace(page, start=size - 1))

    async def _bring_foreign(self, liar: Life, node: SimulatedNode) -> None:
        """The log of somebody who does not stand below the liar."""
        victim = self._chance.choice([life for life in self._around.lives.values() if life.name != liar.name])
        log = LogId(origin=victim.name, topic="catalogue")
        page = self._page(LogHead(log=log), b'{"foreign":true}', signer=liar)
        await self._must_be_refused(node, page, f"a page of {log}")

    async def _sign_wrongly(self, liar: Life, node: SimulatedNode) -> None:
        """The next entry, signed with a key that nobody knows."""
        stored = await self._own_log(liar, node)
        grown = append(stored.head, [b'{"unsigned":true}']).head
        stranger = keys_of(self._chance.getrandbits(32), "a stranger")
        page = Page(
            log=stored.log,
            start=stored.head.size,
            entries=(Entry.full(b'{"unsigned":true}'),),
            checkpoint_note=sign_checkpoint(grown.checkpoint(), stranger.node_key),
        )
        await self._must_be_refused(node, page, "a page signed with another key")

    async def _fork(self, liar: Life, node: SimulatedNode) -> None:
        """Two histories of one size, both truly signed: the second one to arrive is the proof."""
        stored = await self._own_log(liar, node)
        self._around.checker.deceivers[liar.name] = None
        words = [b'{"history":%d}' % self._chance.getrandbits(32) for _ in range(2)]
        codes = [await self._push(node, self._page(stored.head, word, signer=liar)) for word in words]
        if codes[1] == LogForked.code:
            self.forked[stored.log] = None

    async def _flood(self, liar: Life, node: SimulatedNode) -> None:
        """More valid calls at once than anybody may make."""
        del liar
        parent = self._parent(node)
        async with asyncio.TaskGroup() as together:
            for _ in range(FLOOD_CALLS):
                together.create_task(self._call(node, parent))

    # --- means -------------------------------------------------------------------------------------------------------

    async def _call(self, node: SimulatedNode, parent: NodeName) -> None:
        try:
            await node.peers.held(parent, timeout_s=TIMEOUT_S)
        except LlnError:
            return

    async def _own_log(self, liar: Life, node: SimulatedNode) -> StoredLog:
        log = LogId(origin=liar.name, topic="catalogue")
        stored = await node.store.read(lambda tx: tx.logs.get(log))
        if stored is None:
            raise PeerUnreachable(liar.name, "it has no log to lie about")
        assert unverified_checkpoint(stored.note).size == stored.head.size  # noqa: S101  # its own store is honest
        return stored

    def _page(self, head: LogHead, document: bytes, *, signer: Life) -> Page:
        grown = append(head, [document]).head
        return Page(
            log=head.log,
            start=head.size,
            entries=(Entry.full(document),),
            checkpoint_note=sign_checkpoint(grown.checkpoint(), signer.home.keys),
        )

    async def _must_be_refused(self, node: SimulatedNode, page: Page, what: str) -> None:
        code = await self._push(node, page)
        if code is None:
            self._around.checker.fail("nothing forged is taken in", f"{what} by {node.name}")

    async def _push(self, node: SimulatedNode, page: Page) -> str | None:
        """The code it was refused with, None when it was taken; raises when nobody answered."""
        try:
            await node.peers.push(self._parent(node), page, node.clock.now_ms(), timeout_s=TIMEOUT_S)
        except PeerRefused as refused:
            return str(getattr(refused, "peer_code", refused.code))
        return None

    def _parent(self, node: SimulatedNode) -> NodeName:
        parent = parent_of(node.name, node.root)
        assert parent is not None, node.name  # noqa: S101  # liars are leaves
        return parent
