"""Clearing: a person looks at what waits for other nodes and what was given up, and has it sent again or dropped.

What lives here: these three. What must not: sending (`posting.py`).
"""

from collections.abc import Callable, Collection, Mapping

from federation.errors import Conflict, NotFound
from federation.naming import NodeName
from node import desk
from node.ports import Clock, OutboxItem, Refused, Sending, Settles, Store, Transaction
from node.usecases.settling import AT_ONCE_MAX, ItemDropped, SettlingFailed, revive, settle


class NothingByThatName(NotFound):
    code = "LLN-1262"
    zh = "待发箱里没有这个节点或编号的消息。请用 lln outbox 查看。"
    en = "Nothing in the outbox is for a node, or has an id, by that name. See lln outbox."


class SeveralByThatId(Conflict):
    code = "LLN-1374"
    zh = "待发箱里有多条消息使用这个编号。请用 --to 指明发给哪个节点。"
    en = "Several items in the outbox have this id. Say with --to which node it is for."


class Clearing:
    """`hurry`: these nodes are tried at once."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        settles: Mapping[str, Settles],
        hurry: Callable[[Collection[NodeName]], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._settles = settles
        self._hurry = hurry

    async def show(self) -> desk.Outbox:
        backlogs, dead = await self._store.read(lambda tx: (tx.outbox.backlogs(), tx.outbox.dead(AT_ONCE_MAX)))
        nodes = tuple(
            desk.OutboxNode(
                to=one.to,
                waiting=one.waiting,
                waiting_bytes=one.waiting_bytes,
                oldest_at_ms=one.oldest_at_ms,
                given_up=one.dead,
                failures=one.failures,
                next_try_at_ms=one.next_try_at_ms,
                last_error=one.last_error,
            )
            for one in backlogs
        )
        return desk.Outbox(now_ms=self._clock.now_ms(), nodes=nodes, given_up=tuple(map(_given_up, dead)))

    async def retry(self, asked: desk.OutboxRetryAsked) -> desk.OutboxChanged:
        """Send again, at once: everything, what is for a node, or one item. Raises NothingByThatName."""
        items, names = await self._store.write(lambda tx: self._free(tx, asked.what))
        self._hurry(names)
        return desk.OutboxChanged(items=items)

    async def drop(self, asked: desk.OutboxDropAsked) -> desk.OutboxChanged:
        """An item that still waits is settled as refused first; whether it has arrived nobody knows any more.

        Raises NothingByThatName, SeveralByThatId, and what the settling of its kind raises.
        """
        try:
            await self._store.write(lambda tx: self._drop(tx, asked))
        except SettlingFailed as failed:
            raise failed.error from failed
        return desk.OutboxChanged(items=1)

    def _free(self, tx: Transaction, what: str) -> tuple[int, Collection[NodeName]]:
        backlogs = {one.to: one.waiting for one in tx.outbox.backlogs() if what in ("", one.to)}
        if backlogs:
            dead = [item for item in tx.outbox.dead(AT_ONCE_MAX) if item.to in backlogs]
            count = sum(backlogs.values()) + len(dead)
        else:
            found = tx.outbox.find(what)
            if what and not found:
                raise NothingByThatName(what)
            dead = [item for item in found if item.is_dead]
            backlogs, count = dict.fromkeys((item.to for item in found), 0), len(found)
        for item in dead:
            revive(tx, item)
        for name in backlogs:
            tx.outbox.put_sending(Sending(to=name))
        return count, tuple(backlogs)

    def _drop(self, tx: Transaction, asked: desk.OutboxDropAsked) -> None:
        found = [item for item in tx.outbox.find(asked.id) if asked.to in ("", item.to)]
        if not found:
            raise NothingByThatName(asked.id, asked.to)
        if len(found) > 1:
            raise SeveralByThatId(asked.id, ", ".join(item.to for item in found))
        settle(tx, self._settles, found[0], Refused(code=ItemDropped.code, told=ItemDropped.en))
        tx.outbox.remove(found[0].to, found[0].id)


def _given_up(item: OutboxItem) -> desk.GivenUp:
    return desk.GivenUp(
        to=item.to,
        id=item.id,
        kind=item.kind,
        size=len(item.document),
        created_at_ms=item.created_at_ms,
        attempts=item.attempts,
        code=item.code,
        told=item.told,
    )
