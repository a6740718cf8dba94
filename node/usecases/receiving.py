"""Receiving: what other nodes must get through to this one is taken in, each item once and for ever.

What lives here: the order of items, what is a refusal and what is put off, and the record that makes a repeat harmless.
What must not: what an item of some kind does (whoever registered it in `Node.receives`), or sending (`posting.py`).

Each item is a unit of its own: what it changes and the record that it was taken in are one transaction, so a crash
leaves both or neither. All units of a batch are queued together, the one that keeps the answer last, and so they are
made durable by one commit.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from federation.errors import BrokenHome, Conflict, LlnError, NotFound, PeerUnreachable, Unavailable
from federation.naming import NodeName
from node.ports import (
    Answered,
    Clock,
    Delivered,
    InboxRow,
    PostItem,
    PutOff,
    Receives,
    Refused,
    Store,
    Transaction,
    Write,
)
from node.ports.posting import REPLY_BYTES_MAX, TOLD_CHARS_MAX

_telemetry: Final = logging.getLogger(__name__)
PREPARING_S: Final = 10.0
"""What is not checked by then waits for the next batch, so that the call is answered within its deadline."""
_NOT_NOW: Final = (Unavailable, BrokenHome, PeerUnreachable)
Applies = Callable[[Transaction], bytes]


class KindUnknown(NotFound):
    code = "LLN-1261"
    zh = "接收方的程序不认识这种消息，可能版本较旧。升级之后可用 lln outbox retry 重发。"
    en = "The receiver's program knows no items of this kind; it may be older. Once it is not, lln outbox retry."


class OtherContent(Conflict):
    code = "LLN-1372"
    zh = "接收方已收到同一编号、但内容不同的消息，没有作任何改动。"
    en = "The receiver has taken in another item under the same id; nothing was changed."


class HeldUp(Unavailable):
    code = "LLN-1668"
    zh = "排在前面的消息暂时无法处理，这一条留待稍后。"
    en = "An item before this one could not be taken in yet, so this one waits."


class Receiving:
    """`receives`: what is done with each kind of item."""

    def __init__(self, *, store: Store, clock: Clock, receives: Mapping[str, Receives]) -> None:
        self._store = store
        self._clock = clock
        self._receives = receives

    async def deliver(
        self, caller: NodeName, key: str, items: Sequence[PostItem], write: Write[Sequence[Answered]]
    ) -> Sequence[Answered]:
        """Take in what can be, in order; after an item that is put off, so are all others.

        Raises what the disk says when not even a refusal can be kept; the whole batch is then sent again.
        """
        held = await self._store.read(lambda tx: [tx.inbox.get(key, item.id) for item in items])
        batch, began_s = _Batch(key, items, self._clock.now_ms()), self._clock.monotonic_s()
        for place, (item, row) in enumerate(zip(items, held, strict=True)):
            is_late = self._clock.monotonic_s() - began_s > PREPARING_S
            if row is None and (is_late or not await self._prepare(batch, place, caller, item)):
                break
        failed: list[Exception] = []
        async with asyncio.TaskGroup() as together:
            for place in range(len(items)):
                together.create_task(self._apply(batch, place))
            kept = together.create_task(_caught(write(batch.answer), failed))
        answers = kept.result()
        if answers is None:
            raise failed[0]
        return answers

    async def _prepare(self, batch: "_Batch", place: int, caller: NodeName, item: PostItem) -> bool:
        """Whether the items after this one may be prepared, too."""
        receives = self._receives.get(item.kind)
        if receives is None:
            batch.answers[place] = _refusal(KindUnknown(item.kind, item.id))
            return True
        try:
            batch.applies[place] = await receives(caller, item.document)
        except Exception as error:  # noqa: BLE001  # whatever it was, it is this item's and not the batch's
            batch.answers[place] = answer = _refusal(error)
            return not isinstance(answer, PutOff)
        return True

    async def _apply(self, batch: "_Batch", place: int) -> None:
        """An item's refusal is in the batch by now; what the disk says of its whole group is heard by whoever keeps the
        answer, which has not been kept either, or finds the item missing.
        """
        try:
            await self._store.write(lambda tx: batch.apply(tx, place))
        except Exception as error:  # noqa: BLE001  # it is this item's, and told as such
            if batch.answers[place] is None:
                batch.answers[place] = _put_off(error)


class _Batch:
    """What becomes of each item; units run one after the other, in the order in which they were queued."""

    def __init__(self, key: str, items: Sequence[PostItem], now_ms: int) -> None:
        self._key = key
        self._items = items
        self._now_ms = now_ms
        self._applied_in: dict[int, Transaction] = {}
        self.applies: dict[int, Applies] = {}
        self.answers: list[Answered | None] = [None] * len(items)

    def apply(self, tx: Transaction, place: int) -> None:
        """Take one item in, in its unit; raises its refusal, so that nothing of it stands."""
        try:
            self._follows_on(tx, place)
            if self.answers[place] is None:
                self.answers[place] = Delivered(reply=self._take_in(tx, place))
                self._applied_in[place] = tx
        except Exception as error:
            self.answers[place] = _refusal(error)
            raise

    def answer(self, tx: Transaction) -> Sequence[Answered]:
        """What is answered, in the unit that keeps it. Raises HeldUp where an item that was applied is not there: its
        group failed as a whole.
        """
        for place, item in enumerate(self._items):
            if not self._stands(tx, place):
                raise HeldUp(item.id, "what was applied could not be made durable")
        return [answer or _put_off(HeldUp(item.id)) for item, answer in zip(self._items, self.answers, strict=True)]

    def _follows_on(self, tx: Transaction, place: int) -> None:
        if not place:
            return
        before, answer = self._items[place - 1], self.answers[place - 1]
        if answer is None or isinstance(answer, PutOff):
            raise HeldUp(self._items[place].id, f"waits for {before.id}")
        if not self._stands(tx, place - 1):
            raise HeldUp(self._items[place].id, f"{before.id} could not be made durable")

    def _stands(self, tx: Transaction, place: int) -> bool:
        """Whether an item that was applied is there; in the same transaction it is, or all that follows is not."""
        if not isinstance(self.answers[place], Delivered) or self._applied_in.get(place) is tx:
            return True
        return tx.inbox.get(self._key, self._items[place].id) is not None

    def _take_in(self, tx: Transaction, place: int) -> bytes:
        item = self._items[place]
        content = content_sha256(item)
        held = tx.inbox.get(self._key, item.id)
        if held is not None:
            if held.content_sha256 != content:
                raise OtherContent(item.id, item.kind)
            return held.reply
        applies = self.applies.get(place)
        if applies is None:
            raise HeldUp(item.id, "not prepared")
        reply = applies(tx)
        assert len(reply) <= REPLY_BYTES_MAX, item.kind  # noqa: S101  # our own reply
        tx.inbox.put(InboxRow(sender=self._key, id=item.id, content_sha256=content, reply=reply, at_ms=self._now_ms))
        return reply


def content_sha256(item: PostItem) -> bytes:
    """What an id stands for; the kind has one length in front, so no two items are run together alike."""
    kind = item.kind.encode()
    return sha256(len(kind).to_bytes(4, "big") + kind + item.document).digest()


async def _caught(work: Awaitable[Sequence[Answered]], failed: list[Exception]) -> Sequence[Answered] | None:
    try:
        return await work
    except Exception as error:  # noqa: BLE001  # raised again outside the group, as itself
        failed.append(error)
        return None


def _refusal(error: Exception) -> Refused | PutOff:
    """What an error says of the item that raised it. What nobody foresaw is refused: it would be so again, and its
    traceback stays at home.
    """
    if isinstance(error, _NOT_NOW):
        return _put_off(error)
    if isinstance(error, LlnError):
        return Refused(code=error.code, told=_told(error))
    _telemetry.error("an item could not be taken in, in a way nobody foresaw", exc_info=error)
    return Refused(code=LlnError.code, told=LlnError.en)


def _put_off(error: Exception) -> PutOff:
    code = error.code if isinstance(error, LlnError) else LlnError.code
    return PutOff(code=code, told=_told(error) if isinstance(error, LlnError) else LlnError.en)


def _told(error: LlnError) -> str:
    told = ": ".join(part for part in (error.subject, error.detail) if part)
    return (told or error.en)[:TOLD_CHARS_MAX]
