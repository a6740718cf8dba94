"""Declaring: a learner says that they have finished something, and somebody who may issue credits looks into it.

What lives here: keeping such a word until it is settled, once. What must not: issuing (`crediting.py`); a learner's
word is no credit, counts in no balance and leaves the node in no message.
"""

import msgspec

from federation.errors import Conflict, InvalidInput, NotFound
from federation.second_looks import check_may_decide, pass_on
from federation.short_ids import ID_BYTES, write_id
from node.desk.completions import (
    CompletionAsked,
    CompletionNamed,
    CompletionPassOnAsked,
    Completions,
    CompletionsAsked,
    CompletionSettleAsked,
    CompletionShown,
)
from node.ports import Clock, Randomness, Store, Transaction
from node.ports.crediting import CompletionRow
from node.usecases.disclosing import LearnerGone, LearnerUnknown, rows_of
from node.usecases.recording import china_date

WAITING_MAX = 50


class CompletionUnknown(NotFound):
    code = "LLN-1272"
    zh = "没有这条“已学完”的说明，可能已随账户注销。"
    en = "There is no such word of having finished something; it may be gone with its account."


class CompletionSettled(Conflict):
    code = "LLN-1379"
    zh = "这条“已学完”的说明已经处理过。请刷新页面看结果。"
    en = "This word of having finished something is settled already. Reload the page to see how."


class TooManyWaiting(Conflict):
    code = "LLN-1376"
    zh = "等待登记员处理的已经太多。请等一些处理完，或撤回不需要的。"
    en = "Too many wait for the registrar already. Let some be settled, or take back what is not needed."


class NotFinishedYet(InvalidInput):
    code = "LLN-1169"
    zh = "学完的日期不能晚于今天。请改正日期。"
    en = "What is finished was not finished after today. Correct the date."


class Declaring:
    """The one writer of completions."""

    def __init__(self, *, store: Store, clock: Clock, randomness: Randomness) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness

    async def tell(self, asked: CompletionAsked) -> CompletionShown:
        """Keep a learner's word; the one that waits already where it is of the same resource.

        Raises LearnerUnknown, LearnerGone, NotFinishedYet, TooManyWaiting.
        """
        now_ms = self._clock.now_ms()
        if asked.finished_on > china_date(now_ms):
            raise NotFinishedYet(asked.finished_on.isoformat())
        return await self._store.write(lambda tx: _shown(self._tell(tx, asked, now_ms)))

    def _tell(self, tx: Transaction, asked: CompletionAsked, now_ms: int) -> CompletionRow:
        account = tx.credits.learners.get(asked.learner)
        if account is None:
            raise LearnerUnknown(asked.learner)
        if account.state != "active":
            raise LearnerGone(asked.learner, account.state)
        waiting = [row for row in rows_of(tx.credits.completions, asked.learner) if row.state == "told"]
        for row in waiting:
            if (row.publisher, row.resource) == (asked.publisher, asked.resource):
                return row
        if len(waiting) >= WAITING_MAX:
            raise TooManyWaiting(asked.learner, f"{len(waiting)} wait")
        row = CompletionRow(
            id=write_id("F", self._randomness.token(ID_BYTES)),
            owner=asked.learner,
            publisher=asked.publisher,
            resource=asked.resource,
            title=asked.title,
            finished_on=asked.finished_on,
            remark=asked.remark,
            told_at_ms=now_ms,
            changed_at_ms=now_ms,
        )
        tx.credits.completions.put([row])
        return row

    async def list_completions(self, asked: CompletionsAsked) -> Completions:
        def unit(tx: Transaction) -> list[CompletionRow]:
            shelf = tx.credits.completions
            if asked.learner:
                return list(shelf.of(asked.learner, asked.after, asked.limit + 1))
            return list(shelf.in_state(asked.state, asked.after, asked.limit + 1))

        rows = await self._store.read(unit)
        return Completions(completions=tuple(map(_shown, rows[: asked.limit])), more=len(rows) > asked.limit)

    async def show(self, asked: CompletionNamed) -> CompletionShown:
        """Raises CompletionUnknown."""
        return await self._store.read(lambda tx: _shown(_held(tx, asked.id)))

    async def settle(self, asked: CompletionSettleAsked) -> CompletionShown:
        """Once; settled alike once more, it stays as it is.

        Raises CompletionUnknown, CompletionSettled, PassedOnAlready.
        """
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> CompletionShown:
            row = _held(tx, asked.id)
            if (row.state, row.record) == (asked.state, asked.record):
                return _shown(row)
            if row.state != "told":
                raise CompletionSettled(asked.id, row.state)
            if asked.state != "withdrawn":
                check_may_decide(row.passed_on, asked.by)
            settled = msgspec.structs.replace(
                row, state=asked.state, by=asked.by, record=asked.record, reason=asked.reason, changed_at_ms=now_ms
            )
            tx.credits.completions.put([settled])
            return _shown(settled)

        return await self._store.write(unit)

    async def pass_on(self, asked: CompletionPassOnAsked) -> CompletionShown:
        """Have somebody else decide; raises CompletionUnknown, CompletionSettled, and as `second_looks.pass_on`."""
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> CompletionShown:
            row = _held(tx, asked.id)
            if row.state != "told":
                raise CompletionSettled(asked.id, row.state)
            passed_on = pass_on(row.passed_on, by=asked.by, reason=asked.reason, at_ms=now_ms)
            passed = msgspec.structs.replace(row, passed_on=passed_on, changed_at_ms=now_ms)
            tx.credits.completions.put([passed])
            return _shown(passed)

        return await self._store.write(unit)


def _held(tx: Transaction, completion_id: str) -> CompletionRow:
    row = tx.credits.completions.get(completion_id)
    if row is None:
        raise CompletionUnknown(completion_id)
    return row


def _shown(row: CompletionRow) -> CompletionShown:
    return CompletionShown(learner=row.owner, **{name: getattr(row, name) for name in _ALIKE})


_ALIKE = tuple(name for name in CompletionShown.__struct_fields__ if name != "learner")
