"""Settling: what the outbox becomes once something is known of an item, inside an open transaction.

What lives here: the steps that sending (`posting.py`) and a person (`clearing.py`) share. What must not: calls,
waiting, or a clock.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from federation.errors import Conflict, NotAllowed, PeerRefused
from federation.naming import NodeName
from node.ports import Answered, Delivered, OutboxItem, Outcome, PutOff, Refused, Sending, Settles, Transaction
from node.ports.posting import BATCH_BYTES_MAX, BATCH_ITEMS_MAX, TOLD_CHARS_MAX

PUT_OFF_MAX: Final = 10
"""An item that was put off so often lets the others pass: it goes to the end, and is never given up for that."""
AT_ONCE_MAX: Final = 1_000


class SettlingFailed(Exception):
    """Carries what a kind's own settling raised out of its unit, which is undone."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class ReceiverRevoked(PeerRefused):
    code = "LLN-2671"
    zh = "接收的节点已被其上级撤销，发给它的消息不再发送。"
    en = "The receiving node has been revoked by its authority; what was for it is not sent any more."


class ItemDropped(NotAllowed):
    code = "LLN-1467"
    zh = "本节点的工作人员已将这条消息从待发箱中删除，不再发送。"
    en = "The people of this node have dropped the item from the outbox; it is not sent any more."


# --- what is sent --------------------------------------------------------------------------------------------------


def operation_of(batch: Sequence[OutboxItem]) -> str:
    """The operation id of a batch: the same for the same items, as long as no answer has left any of them here."""
    digest = sha256()
    for item in batch:
        content = f"{item.id}\n{item.kind}\n{item.attempts}\n{len(item.document)}\n"
        digest.update(content.encode() + item.document)
    return f"post-{digest.hexdigest()[:40]}"


def next_batch(tx: Transaction, to: NodeName) -> Sequence[OutboxItem]:
    """The first of those that wait for a node, no more than one call carries."""
    waiting, size = tx.outbox.waiting(to, BATCH_ITEMS_MAX), 0
    for place, item in enumerate(waiting):
        size += len(item.document)
        if place and size > BATCH_BYTES_MAX:
            return waiting[:place]
    return waiting


def until_put_off(batch: Sequence[OutboxItem], answers: Sequence[Answered]) -> Sequence[tuple[OutboxItem, Answered]]:
    """Each item with its answer; of several that were put off only the first, which holds up the others."""
    known: list[tuple[OutboxItem, Answered]] = []
    is_held_up = False
    for item, answer in zip(batch, answers, strict=True):
        if isinstance(answer, PutOff):
            if is_held_up:
                continue
            is_held_up = True
        known.append((item, answer))
    return known


# --- what becomes of it ---------------------------------------------------------------------------------------------


def settle(tx: Transaction, settles: Mapping[str, Settles], item: OutboxItem, answer: Answered) -> Outcome | None:
    """Carry out what a receiver said of an item, or what stands in for that; returns the outcome, or None where the
    item is not settled: put off, or gone since because a person dropped it.

    Raises SettlingFailed where the kind's own settling does.
    """
    held = tx.outbox.get(item.to, item.id)
    if held is None or held.is_dead:
        return None
    if isinstance(answer, PutOff):
        _put_off(tx, held, answer)
        return None
    follows = settles.get(item.kind)
    if follows is not None:
        try:
            follows(tx, held, answer)
        except Exception as error:
            raise SettlingFailed(error) from error
    if isinstance(answer, Delivered):
        tx.outbox.remove(item.to, item.id)
    else:
        give_up(tx, held, answer)
    return answer


def give_up(tx: Transaction, item: OutboxItem, why: Refused) -> None:
    """To the dead letters: it stays, and is not sent."""
    tx.outbox.put(
        msgspec.structs.replace(
            item, is_dead=True, attempts=item.attempts + 1, code=why.code, told=why.told[:TOLD_CHARS_MAX]
        )
    )


def give_up_waiting(tx: Transaction, item: OutboxItem, why: Refused) -> None:
    """As `give_up`, unless a person has dropped the item meanwhile."""
    held = tx.outbox.get(item.to, item.id)
    if held is not None and not held.is_dead:
        give_up(tx, held, why)


def revive(tx: Transaction, item: OutboxItem) -> None:
    """Out of the dead letters, in its old place; `attempts` stays, so that it is another call than the last."""
    tx.outbox.put(msgspec.structs.replace(item, is_dead=False))


def readdress(tx: Transaction, old: NodeName, new: NodeName) -> Sequence[str]:
    """What waits for a node that has moved waits for it under its new name, after what does so already.

    Returns the ids. An item under whose id another waits there is given up, and a person's to look at.
    """
    items = tx.outbox.waiting(old, AT_ONCE_MAX)
    for item in items:
        try:
            tx.outbox.add(new, item.kind, item.document, item.id, item.created_at_ms)
        except Conflict as clash:
            give_up(tx, item, Refused(code=clash.code, told=str(clash)))
        else:
            tx.outbox.remove(old, item.id)
    tx.outbox.put_sending(Sending(to=old))
    return [item.id for item in items]


def _put_off(tx: Transaction, item: OutboxItem, answer: PutOff) -> None:
    attempts = item.attempts + 1
    place = item.sequence if attempts % PUT_OFF_MAX else tx.outbox.last(item.to) + 1
    tx.outbox.put(msgspec.structs.replace(item, sequence=place, attempts=attempts, code=answer.code, told=answer.told))
