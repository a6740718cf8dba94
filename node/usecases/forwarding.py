"""Forwarding: this node's logs, and the copies it holds of those below it, travel to its parent.

What lives here: what is due, and the loop that keeps going. What must not: what a viewer may see of a page
(`cutting.py`), or accepting pages (`accepting.py`).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from federation import credit_log, directory
from federation.checkpoints import add_cosignature, unverified_checkpoint
from federation.errors import BadLog, PeerRefused, RemoteFault, Unavailable
from federation.logs import LogId
from federation.naming import NodeName, is_within, parent_of
from federation.sync import Progress, backoff_s
from node.ports import Clock, Peers, PushReceipt, Randomness, Store, StoredLog, Transaction
from node.usecases.cutting import Cutting
from node.usecases.dealings import Dealings
from node.usecases.witnessing import WITNESSED_NOTE

RECEIPT_EVERY_S: Final = 1.0
"""While page follows page, what the parent says of the pages before the last is kept no more often than this."""
LEAST_PAUSE_S: Final = 0.25
"""However much is due: a log that cannot go up yet must not keep this loop turning."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds between confirmations when nothing changes, and between tries when nothing works."""

    confirm_own_s: float
    confirm_copies_s: float
    retry_first_s: float
    retry_longest_s: float
    call_timeout_s: float


class Forwarding:
    """One batch in flight to the parent, for as long as the node runs."""

    def __init__(
        self,
        *,
        store: Store,
        peers: Peers,
        clock: Clock,
        randomness: Randomness,
        dealings: Dealings,
        own_name: NodeName,
        root: NodeName,
        pace: Pace,
    ) -> None:
        self._store = store
        self._peers = peers
        self._clock = clock
        self._randomness = randomness
        self._dealings = dealings
        self._own_name = own_name
        self._root = root
        self._pace = pace
        self._cutting = Cutting(own_name=own_name, root=root)
        self._progress: dict[LogId, Progress] = {}
        self._refused: dict[LogId, str] = {}
        self._failures = 0
        self._knows_held = False
        self._grown: dict[LogId, None] = {}
        self._all_due_s = 0.0
        self._rounds_refused = 0
        self._refused_due_s = 0.0
        self._wake = asyncio.Event()
        self._kept_s = 0.0

    def wake(self, logs: Iterable[LogId] | None = None) -> None:
        """These logs have grown or were confirmed, None: who knows; called from the event loop after a commit."""
        if logs is None:
            self._all_due_s = 0.0
            self._wake.set()
            return
        ours = [log for log in logs if is_within(NodeName(log.origin), self._own_name)]
        if ours:
            self._grown.update(dict.fromkeys(ours))
            self._wake.set()

    def waiting(self) -> int:
        """How many logs the parent is known to be behind on, or has refused."""
        return len(self._refused) + (0 if self._knows_held else 1)

    async def run(self) -> None:
        """Forward what is due, for ever; outages are waited out with jitter, and news cut the wait short."""
        parent = parent_of(self._own_name, self._root)
        if parent is None:
            return
        while True:
            self._wake.clear()
            try:
                await self.round(parent)
                self._failures = 0
            except (RemoteFault, Unavailable) as outage:
                self._failures += 1
                self._knows_held = False
                self._dealings.failed(parent, outage)
            await self._pause()

    async def round(self, parent: NodeName) -> None:
        """Bring the parent up to date once; raises RemoteFault when the parent cannot take more."""
        if not self._knows_held:
            await self._learn_held(parent)
        for stored in sorted(await self._store.read(self._looked_at()), key=_road_order):
            if self._goes_up(stored):
                await self._bring(parent, stored)
        self._plan_refused()

    def _plan_refused(self) -> None:
        """When to try again what was refused: its reason, such as a clock that is wrong, may end without any news."""
        if not self._refused:
            self._rounds_refused = 0
        elif self._clock.monotonic_s() >= self._refused_due_s:
            self._rounds_refused += 1
            self._refused_due_s = self._clock.monotonic_s() + self._backoff_s(self._rounds_refused)

    async def _learn_held(self, parent: NodeName) -> None:
        """What the parent holds, after a start or an outage. Where that is what it last told us, it need not be told
        anything again: a line that loses one call in fifty would otherwise never get through a thousand logs.
        """
        held = await self._peers.held(parent, timeout_s=self._pace.call_timeout_s)
        known = self._progress
        self._progress = {
            one.log: known[one.log] if one.log in known and known[one.log].size == one.size else Progress(size=one.size)
            for one in held
        }
        self._refused.clear()
        self._knows_held = True
        self._all_due_s = 0.0
        self._dealings.succeeded(parent)

    def _looked_at(self) -> Callable[[Transaction], Sequence[StoredLog]]:
        """A read of the logs that may be due: now and then all of them, in between those of which there is news."""
        grown, self._grown = self._grown, {}
        now_s = self._clock.monotonic_s()
        if now_s >= self._all_due_s:
            self._all_due_s = now_s + min(self._pace.confirm_own_s, self._pace.confirm_copies_s) / 2
            return lambda tx: tx.logs.all()
        now_ms = self._clock.now_ms()
        grown.update((log, None) for log, one in self._progress.items() if one.asks_at_ms and one.asks_at_ms <= now_ms)
        may_say_why = any(log.topic == directory.TOPIC for log in grown)  # what it says may be what the parent lacked
        if may_say_why or now_s >= self._refused_due_s:
            grown.update(dict.fromkeys(self._refused))
        return lambda tx: [stored for log in grown if (stored := tx.logs.get(log)) is not None]

    def _goes_up(self, stored: StoredLog) -> bool:
        """Only what is held whole: a copy still being received waits for its own last page."""
        return (
            bool(stored.note)
            and is_within(NodeName(stored.log.origin), self._own_name)
            and unverified_checkpoint(stored.note).size == stored.head.size
        )

    async def _bring(self, parent: NodeName, stored: StoredLog) -> None:
        progress = self._progress.get(stored.log, Progress())
        is_own = stored.log.origin == self._own_name
        is_soon_stale = stored.log.topic == directory.TOPIC  # whoever judges callers by it insists on a fresh one
        every_s = self._pace.confirm_own_s if is_own or is_soon_stale else self._pace.confirm_copies_s
        try:
            while progress.is_due(
                stored.head.size,
                confirmed_at_ms=None if is_own else stored.confirmed_at_ms,
                now_ms=self._clock.now_ms(),
                every_ms=int(every_s * 1_000),
            ):
                progress = await self._push(parent, stored, progress)
        except (PeerRefused, BadLog) as refusal:
            if isinstance(refusal, PeerRefused) and refusal.retry_after_ms:
                raise  # "not now" is no judgement of this log: the whole round waits, and goes on from where it was
            self._refused[stored.log] = str(refusal)
            self._dealings.failed(parent, refusal)
            self._progress.pop(stored.log, None)

    async def _push(self, parent: NodeName, stored: StoredLog, progress: Progress) -> Progress:
        page = await self._store.read(lambda tx: self._cutting.page(tx, stored, progress.size, viewer=parent))
        confirmed = self._clock.now_ms() if stored.log.origin == self._own_name else stored.confirmed_at_ms
        receipt = await self._peers.push(parent, page, confirmed, timeout_s=self._pace.call_timeout_s)
        self._dealings.succeeded(parent)
        self._refused.pop(stored.log, None)
        is_done = receipt.size >= stored.head.size or receipt.size <= progress.size
        if is_done or self._clock.monotonic_s() - self._kept_s >= RECEIPT_EVERY_S:
            await self._store.write(lambda tx: self._keep_receipt(tx, stored, receipt))
            self._kept_s = self._clock.monotonic_s()
        if receipt.size <= progress.size < stored.head.size:  # a page that brought nothing is never tried at once again
            raise BadLog(stored.log.origin_line, f"the parent took a page and still holds {receipt.size}")
        behind = any(holding.indexed < stored.head.size for holding in receipt.holdings)
        now = progress.told(
            receipt.size, confirmed_at_ms=confirmed, now_ms=self._clock.now_ms(), behind=behind, empty=not page.entries
        )
        self._progress[stored.log] = now
        self._failures = 0
        return now

    def _keep_receipt(self, tx: Transaction, stored: StoredLog, receipt: PushReceipt) -> None:
        for holding in receipt.holdings:
            tx.logs.put_holding(holding)
        now = tx.logs.get(stored.log)
        same = now is not None and now.note.split(b"\n\n")[0] == stored.note.split(b"\n\n")[0]
        if receipt.cosignature and stored.log.topic == credit_log.TOPIC:  # a log that grows on keeps its last witness
            tx.notes.put(WITNESSED_NOTE, add_cosignature(stored.note, receipt.cosignature))
        if receipt.cosignature and now is not None and same:
            tx.logs.confirm(stored.log, add_cosignature(now.note, receipt.cosignature), now.confirmed_at_ms)

    async def _pause(self) -> None:
        wait_s = self._next_due_s()
        if self._failures:
            wait_s = self._backoff_s(self._failures)
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            return

    def _backoff_s(self, failures: int) -> float:
        pace = self._pace
        return backoff_s(
            failures, first_s=pace.retry_first_s, longest_s=pace.retry_longest_s, fraction=self._randomness.fraction()
        )

    def _next_due_s(self) -> float:
        asked = [progress.asks_at_ms for progress in self._progress.values() if progress.asks_at_ms]
        due_s = min(self._all_due_s, self._refused_due_s) if self._refused else self._all_due_s
        wait_s = due_s - self._clock.monotonic_s()
        if asked:
            wait_s = min(wait_s, (min(asked) - self._clock.now_ms()) / 1_000)
        return max(LEAST_PAUSE_S, wait_s)


def _road_order(stored: StoredLog) -> tuple[bool, int, str]:
    """Directories before catalogues and authorities before those below: each log's key is known before it arrives."""
    return (stored.log.topic != directory.TOPIC, stored.log.origin.count("."), stored.log.origin)
