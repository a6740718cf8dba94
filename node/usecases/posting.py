"""Posting: what waits in the outbox is sent until each item has arrived, or is refused for good.

What lives here: one sender for each node that something waits for, when it tries, and who is told of the outcome. What
must not: taking items in (`receiving.py`), what a person does with them (`clearing.py`), or what they mean.

One batch is in flight to a node. Its operation id follows from what is in it and how often that was answered, so after
a crash the same batch is the same call; and where more has come to wait meanwhile, so that it is another one, the
receiver's record of each item still keeps any from being applied twice.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, cast

from federation.callers import TooManyCalls
from federation.directory import Status
from federation.errors import LlnError, NotFound, PeerUnreachable, RemoteFault, Unavailable, UntrustedPeer
from federation.naming import NodeName, is_within, parent_of
from federation.sync import backoff_s
from node.ports import (
    Answered,
    Clock,
    Identity,
    OutboxItem,
    Outcome,
    Peers,
    PostItem,
    PutOff,
    Randomness,
    Refused,
    Sending,
    Settles,
    Store,
    Transaction,
    Write,
)
from node.ports.posting import TOLD_CHARS_MAX
from node.usecases.dealings import Dealings
from node.usecases.settling import (
    ReceiverRevoked,
    SettlingFailed,
    give_up_waiting,
    next_batch,
    operation_of,
    readdress,
    settle,
    until_put_off,
)
from node.usecases.vouching import Vouching, Whereabouts

_telemetry: Final = logging.getLogger(__name__)
Deliver = Callable[[NodeName, str, Sequence[PostItem], Write[Sequence[Answered]]], Awaitable[Sequence[Answered]]]
RETRY_FIRST_S: Final = 5.0
RETRY_LONGEST_PARENT_S: Final = 900.0
RETRY_LONGEST_S: Final = 3_600.0
CALL_TIMEOUT_S: Final = 30.0
RESOLVE_TIMEOUT_S: Final = 5.0
RESOLVE_HOPS: Final = 8
NODES_AT_ONCE: Final = 32
TOO_MANY_S: Final = 0.2
TOO_MANY_MAX: Final = 50
"""Whoever says that this node has had its share of calls is asked again after a moment, in which batches grow; up to so
often in a row that is no failure.
"""
OUTCOMES_REMEMBERED: Final = 256
SEEK_AGAIN_S: Final = 300.0
_NO_ANSWER: Final = (PeerUnreachable, UntrustedPeer)
_Key = tuple[NodeName, str]


class NoSuchItem(NotFound):
    code = "LLN-1260"
    zh = "待发箱里没有这个编号的消息：可能已经送达，或已被删除。"
    en = "No item of this id is in the outbox: it may have arrived already, or have been dropped."


class StillOnItsWay(Unavailable):
    code = "LLN-1667"
    zh = "消息还没有送达对方。它已保存在待发箱里，会自动继续发送；lln outbox 可以查看。"
    en = "The item has not arrived yet. It is kept in the outbox and goes on by itself (lln outbox)."


class _Sender:
    """What is known in memory of the sending to one node. `news`: something waits. `hurry`: the wait is over.

    `lacks_answer`: the last try got none, so that any sign of life ends the wait; `is_held_back`: no try is made until
    a directory says something new.
    """

    def __init__(self, name: NodeName) -> None:
        self.name = name
        self.news = asyncio.Event()
        self.hurry = asyncio.Event()
        self.lacks_answer = False
        self.is_held_back = False
        self.too_many = 0
        self.tried_s = 0.0


class Posting:
    """`settles`: what follows on the outcome of each kind. `to_self`: how this node takes in what it sends itself."""

    def __init__(
        self,
        *,
        store: Store,
        peers: Peers,
        vouching: Vouching,
        clock: Clock,
        randomness: Randomness,
        dealings: Dealings,
        identity: Identity,
        settles: Mapping[str, Settles],
        to_self: Deliver,
        retry_first_s: float = RETRY_FIRST_S,
    ) -> None:
        self._store = store
        self._peers = peers
        self._vouching = vouching
        self._clock = clock
        self._randomness = randomness
        self._dealings = dealings
        self._identity = identity
        self._own_name = identity.name
        self._parent = parent_of(identity.name, identity.root)
        self._settles = settles
        self._to_self = to_self
        self._retry_first_s = retry_first_s
        self._senders: dict[NodeName, _Sender] = {}
        self._group: asyncio.TaskGroup | None = None
        self._turns = asyncio.Semaphore(NODES_AT_ONCE)
        self._sought_s: dict[NodeName, float] = {}
        self._waiting: dict[_Key, list[asyncio.Future[Outcome]]] = {}
        self._outcomes: OrderedDict[_Key, Outcome] = OrderedDict()

    # --- what others tell --------------------------------------------------------------------------------------------

    def wake(self, names: Iterable[NodeName]) -> None:
        """Items were added for these nodes, or set free; called from the event loop after a commit."""
        for name in names:
            sender = self._senders.get(name)
            if sender is None:
                sender = self._senders[name] = _Sender(name)
                if self._group is not None:
                    self._group.create_task(self._send_to(sender), name=f"post to {name}")
            sender.news.set()

    def heard_from(self, name: NodeName) -> None:
        """A sign of life of `name`: what failed for want of an answer is due now, unless it was just tried."""
        sender = self._senders.get(name)
        if sender is None or not sender.lacks_answer:
            return
        if self._clock.monotonic_s() - sender.tried_s >= self._retry_first_s:
            sender.hurry.set()

    def is_back(self, name: NodeName) -> None:
        """`name` answers again after a failure; where it is the parent, the way to everybody else is open again."""
        for one in tuple(self._senders) if name == self._parent else (name,):
            self.heard_from(one)

    def look_again(self) -> None:
        """Directories have changed: somebody may have been revoked, resumed, or have moved."""
        for sender in self._senders.values():
            if sender.is_held_back or sender.lacks_answer:
                sender.hurry.set()

    def hurry(self, names: Collection[NodeName]) -> None:
        """A person does not want to wait for the next try."""
        self.wake(names)
        for name in names:
            self._senders[name].hurry.set()

    async def settled(self, to: NodeName, item_id: str, timeout_s: float) -> Outcome:
        """What has become of an item that was added a moment ago, as soon as it is settled here.

        Raises StillOnItsWay after `timeout_s` (the item goes on by itself), and NoSuchItem for one that is not there.
        """
        told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault((to, item_id), []).append(told)
        try:
            item = await self._store.read(lambda tx: tx.outbox.get(to, item_id))
            known = told.result() if told.done() else self._outcomes.get((to, item_id))
            if known is not None:
                return known
            if item is None:
                raise NoSuchItem(item_id, f"for {to}")
            if item.is_dead:
                return Refused(code=item.code, told=item.told)
            async with asyncio.timeout(timeout_s):
                return await told
        except TimeoutError as late:
            raise StillOnItsWay(to, item_id) from late
        finally:
            self._forget(told)

    # --- the loop ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send, for ever, to every node that something waits for; none holds up another."""
        backlogs = await self._store.read(lambda tx: tx.outbox.backlogs())
        left = [backlog.to for backlog in backlogs if backlog.waiting or backlog.failures]
        async with asyncio.TaskGroup() as self._group:
            woken, self._senders = tuple(self._senders), {}
            self.wake((*woken, *left))
            await asyncio.get_running_loop().create_future()  # until it is cancelled

    async def _send_to(self, sender: _Sender) -> None:
        """One batch after the other, until nothing waits."""
        while True:
            sender.news.clear()
            try:
                is_done = await self._round(sender)
            except Unavailable as trouble:  # of this node's own store: nothing is known of the other
                self._dealings.failed(sender.name, trouble)
                is_done = False
                await self._clock.sleep(self._retry_first_s)
            if is_done and not sender.news.is_set():
                del self._senders[sender.name]  # whoever adds something now starts another
                return

    async def _round(self, sender: _Sender) -> bool:
        """Wait until it is time, and send one batch. Returns whether nothing is left."""
        name = sender.name
        sending, batch = await self._store.read(lambda tx: (tx.outbox.sending(name), next_batch(tx, name)))
        if batch and sending.next_try_at_ms > self._clock.now_ms():
            sending = await self._wait(sender, sending)
            batch = await self._store.read(lambda tx: next_batch(tx, name))
        sender.hurry.clear()
        if not batch:
            await self._put(sending, Sending(to=name))
            return True
        where = await self._whereabouts(name, failures=sending.failures)
        sender.is_held_back = where.status == "suspended"
        if where.moved_to is not None:
            await self._follow(name, where.moved_to)
        elif where.status == "revoked":
            refusal = Refused(code=ReceiverRevoked.code, told=where.told)
            await self._conclude(batch, [refusal] * len(batch), sending, Sending(to=name))
        elif where.status == "suspended":
            await self._put(sending, self._after_failure(sending, where.told))
        else:
            async with self._turns:
                await self._send(sender, sending, batch)
        return False

    async def _wait(self, sender: _Sender, sending: Sending) -> Sending:
        """Until the next try is due, or something gives reason to try at once, and from the beginning."""
        left_s = (sending.next_try_at_ms - self._clock.now_ms()) / 1_000
        try:
            async with asyncio.timeout(min(left_s, self._longest_s(sender.name))):  # the clock may have been set
                await sender.hurry.wait()
        except TimeoutError:
            return sending
        return Sending(to=sender.name, last_error=sending.last_error)

    async def _send(self, sender: _Sender, sending: Sending, batch: Sequence[OutboxItem]) -> None:
        sender.tried_s = self._clock.monotonic_s()
        try:
            items = [PostItem(id=item.id, kind=item.kind, document=item.document) for item in batch]
            answers = await self._deliver(sender.name, items, operation_of(batch))
        except (RemoteFault, Unavailable) as failure:
            if f"[{TooManyCalls.code}]" in str(failure) and sender.too_many < TOO_MANY_MAX:
                sender.too_many += 1
                await self._clock.sleep(TOO_MANY_S)
                return
            sender.lacks_answer = isinstance(failure, _NO_ANSWER)
            self._dealings.failed(sender.name, failure)
            await self._put(sending, self._after_failure(sending, str(failure)))
            return
        sender.lacks_answer, sender.too_many = False, 0
        self._dealings.succeeded(sender.name)
        put_off = next((answer for answer in answers if isinstance(answer, PutOff)), None)
        after = Sending(to=sender.name)
        if put_off is not None:
            after = self._after_failure(sending, f"[{put_off.code}] {put_off.told}")
        await self._conclude(batch, answers, sending, after)

    async def _deliver(self, to: NodeName, items: Sequence[PostItem], operation_id: str) -> Sequence[Answered]:
        """By a call; what is for this node itself is taken in as from anybody, without one."""
        if to == self._own_name:
            return await self._to_self(to, self._identity.did, items, self._store.write)
        return await self._peers.deliver(to, items, operation_id, timeout_s=CALL_TIMEOUT_S)

    async def _put(self, before: Sending, after: Sending) -> None:
        if after != before:
            await self._store.write(lambda tx: tx.outbox.put_sending(after))

    def _after_failure(self, sending: Sending, told: str) -> Sending:
        wait_s = backoff_s(
            sending.failures + 1,
            first_s=self._retry_first_s,
            longest_s=self._longest_s(sending.to),
            fraction=self._randomness.fraction(),
        )
        return Sending(
            to=sending.to,
            failures=sending.failures + 1,
            next_try_at_ms=self._clock.now_ms() + int(wait_s * 1_000),
            last_error=told[:TOLD_CHARS_MAX],
        )

    def _longest_s(self, name: NodeName) -> float:
        return RETRY_LONGEST_PARENT_S if name == self._parent else RETRY_LONGEST_S

    # --- outcomes ----------------------------------------------------------------------------------------------------

    async def _conclude(
        self, batch: Sequence[OutboxItem], answers: Sequence[Answered], before: Sending, after: Sending
    ) -> None:
        """Everything that is known now, in one transaction; one by one where a kind's own settling fails.

        A crash before it leaves the batch as it was: it is sent again, and answered as before.
        """
        known = until_put_off(batch, answers)

        def unit(tx: Transaction) -> list[Outcome | None]:
            if after != before:
                tx.outbox.put_sending(after)
            return [settle(tx, self._settles, item, answer) for item, answer in known]

        try:
            outcomes = await self._store.write(unit)
        except SettlingFailed:
            outcomes = [await self._settle_alone(item, answer) for item, answer in known]
            await self._put(before, after)
        for (item, _), outcome in zip(known, outcomes, strict=True):
            if outcome is not None:
                self._tell((item.to, item.id), outcome)

    async def _settle_alone(self, item: OutboxItem, answer: Answered) -> Outcome | None:
        try:
            return await self._store.write(lambda tx: settle(tx, self._settles, item, answer))
        except SettlingFailed as failed:
            _telemetry.error("what became of an item could not be settled", exc_info=failed.error)
            code = failed.error.code if isinstance(failed.error, LlnError) else LlnError.code
            refusal = Refused(code=code, told=str(failed.error)[:TOLD_CHARS_MAX])
            await self._store.write(lambda tx: give_up_waiting(tx, item, refusal))
            return refusal

    def _tell(self, key: _Key, outcome: Outcome) -> None:
        self._outcomes[key] = outcome
        while len(self._outcomes) > OUTCOMES_REMEMBERED:
            self._outcomes.popitem(last=False)
        for told in self._waiting.pop(key, ()):
            if not told.done():
                told.set_result(outcome)

    def _forget(self, told: "asyncio.Future[Outcome]") -> None:
        for key, waiting in tuple(self._waiting.items()):
            if told in waiting:
                waiting.remove(told)
                if not waiting:
                    del self._waiting[key]

    # --- where the others are ----------------------------------------------------------------------------------------

    async def _follow(self, old: NodeName, new: NodeName) -> None:
        """Everything for a node that has moved is for its new name; whoever waits for an outcome goes on waiting."""
        moved = await self._store.write(lambda tx: readdress(tx, old, new))
        for item_id in moved:
            waiting = self._waiting.pop((old, item_id), None)
            if waiting:
                self._waiting.setdefault((new, item_id), []).extend(waiting)

    async def _whereabouts(self, name: NodeName, *, failures: int) -> Whereabouts:
        """By the directories held here; by the lowest common authority where they do not reach, once it is not known
        where to dial, and after each failure.
        """
        if name == self._own_name:
            return Whereabouts(status="active", told="")
        known = self._vouching.whereabouts(name)
        if known.status != "active" or self._parent is None or self._vouching.is_followed(name):
            return known
        if is_within(self._own_name, name) or (self._peers.can_dial(name) and not failures):
            return known
        now_s = self._clock.monotonic_s()
        if not failures and now_s - self._sought_s.get(name, -SEEK_AGAIN_S) < SEEK_AGAIN_S:
            return known
        self._sought_s[name] = now_s
        try:
            found = await self._peers.resolve(self._parent, name, RESOLVE_HOPS, timeout_s=RESOLVE_TIMEOUT_S)
        except (RemoteFault, Unavailable):  # the call itself will say what is wrong
            return known
        if found.description.endpoint:
            self._peers.know(name, found.description.endpoint)
        status = cast("Status", found.status)  # one of them, or it would not have been read
        return Whereabouts(status=status, told=f"{name} is {status}", moved_to=found.moved_to)
