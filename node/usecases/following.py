"""Following: the parent's directory comes down as soon as it changes, and is confirmed while it does not.

What lives here: reading the parent's own logs. What must not: deciding what a page is worth (`accepting.py` does).
"""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Protocol

from federation import directory
from federation.checkpoints import unverified_checkpoint
from federation.errors import BadLog, LlnError, PeerUnreachable, RemoteFault, Unavailable
from federation.logs import ENTRIES_MAX, LogId, Page, Topic
from federation.naming import NodeName, parent_of
from federation.sync import backoff_s
from node.ports import Clock, LogHeadNote, Peers, PushReceipt, Randomness, Store
from node.usecases.dealings import Dealings

FOLLOWED: tuple[Topic, ...] = (directory.TOPIC,)


class AcceptsRead(Protocol):
    """Takes in a page that was asked for; raises BadLog and keeps nothing of it otherwise."""

    async def accept_read(self, page: Page, *, from_node: NodeName) -> PushReceipt: ...


class Following:
    """Keeps this node's copy of its parent's directory current and confirmed."""

    def __init__(
        self,
        *,
        store: Store,
        peers: Peers,
        accepting: AcceptsRead,
        clock: Clock,
        randomness: Randomness,
        dealings: Dealings,
        own_name: NodeName,
        root: NodeName,
        confirm_every_s: float,
        retry_first_s: float,
        retry_longest_s: float,
        call_timeout_s: float,
    ) -> None:
        self._store = store
        self._peers = peers
        self._accepting = accepting
        self._clock = clock
        self._randomness = randomness
        self._dealings = dealings
        self._parent = parent_of(own_name, root)
        self._confirm_every_s = confirm_every_s
        self._retry_first_s = retry_first_s
        self._retry_longest_s = retry_longest_s
        self._call_timeout_s = call_timeout_s

    async def run(self) -> None:
        """Watch and confirm for ever; an outage is waited out with jitter and begins with catching up."""
        if self._parent is None:
            return
        failures = 0
        while True:
            try:
                await self.catch_up(self._parent)
                failures = 0
                await self._watch(self._parent)
            except (RemoteFault, Unavailable) as outage:
                if _is_cancelled():  # a group that fails while it is cancelled forgets the cancellation (gh-116720)
                    raise asyncio.CancelledError from None
                failures += 1
                self._dealings.failed(self._parent, outage)
            await self._clock.sleep(
                backoff_s(
                    max(failures, 1),
                    first_s=self._retry_first_s,
                    longest_s=self._retry_longest_s,
                    fraction=self._randomness.fraction(),
                )
            )

    async def catch_up(self, parent: NodeName) -> None:
        """Read every followed log of the parent to its end; the last answer confirms the copy as of now."""
        for topic in FOLLOWED:
            await self._read_to_end(parent, topic)
        self._dealings.succeeded(parent)

    async def _watch(self, parent: NodeName) -> None:
        try:
            async with asyncio.TaskGroup() as together:
                together.create_task(self._confirm_regularly(parent), name="confirm directory")
                async with aclosing(self._peers.watch(parent, FOLLOWED)) as told:
                    async for news in told:
                        if news.log.origin == parent and await self._is_news(news):
                            await self._read_to_end(parent, news.log.topic)
                raise PeerUnreachable(parent, "the stream of checkpoints ended")
        except* (RemoteFault, Unavailable) as outages:
            raise next(_leaves(outages)) from None

    async def _is_news(self, told: LogHeadNote) -> bool:
        """Not so for a beat, which repeats the checkpoint that is held: what confirms the copy is read regularly."""
        stored = await self._store.read(lambda tx: tx.logs.get(told.log))
        return stored is None or stored.note.partition(b"\n\n")[0] != told.note.partition(b"\n\n")[0]

    async def _confirm_regularly(self, parent: NodeName) -> None:
        while True:
            await self._clock.sleep(self._confirm_every_s)
            await self.catch_up(parent)

    async def _read_to_end(self, parent: NodeName, topic: Topic) -> None:
        log = LogId(origin=parent, topic=topic)
        stored = await self._store.read(lambda tx: tx.logs.get(log))
        size = stored.head.size if stored else 0
        while True:
            page = await self._peers.read(parent, topic, size, ENTRIES_MAX, timeout_s=self._call_timeout_s)
            receipt = await self._accepting.accept_read(page, from_node=parent)
            goal = unverified_checkpoint(page.checkpoint_note).size
            if receipt.size >= goal:
                return
            if receipt.size <= size:
                raise BadLog(log.origin_line, f"the answer brought nothing beyond {size} of {goal}")
            size = receipt.size


def _leaves(group: BaseExceptionGroup[LlnError]) -> Iterator[LlnError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
