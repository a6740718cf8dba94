"""Amending: what becomes of a record after it was issued: suspended, resumed, revoked, corrected, expired, flagged.

What lives here: the steps of a record's life at its issuer, and telling everybody concerned: the learner's home,
whoever reserved or used its credits, whoever reads the status lists. What must not: new records (`issuing.py`), or
lots' steps (`lending.py`).
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from federation import canonical, credentials
from federation import credits as credit_bank
from federation.amounts import Amount
from federation.conversion_cases import SourceNews
from federation.credit_records import CreditRecord
from federation.credits import LedgerStep, RecordStep, next_record_state
from federation.errors import InvalidInput, RefusedCall
from federation.naming import NodeName
from federation.timestamps import end_of_day_in_china_ms
from node.desk.credits import CorrectAsked, ExpireAsked, Expired, RecordStepAsked, RecordSummary
from node.ports import Clock, Store, Transaction
from node.ports.crediting import DerivedRow, RecordRow
from node.usecases.homing import Homing, RecordNews
from node.usecases.issuing import RAISED, Draft, Issuing, slot_of
from node.usecases.ledgering import Ledgering, RecordChanged, RecordStepKind, ledger_of, short
from node.usecases.recounting import find_record, summary_of

SOURCE_KIND: Final = "credit.source"
NEWS_BYTES_MAX: Final = 16_384
Unit = Callable[[Transaction], bytes]
EXPIRE_EVERY_S: Final = 3_600.0


class NotOurRecord(InvalidInput):
    code = "LLN-1197"
    zh = "这条学分记录由别的机构颁发，只有颁发机构能改变它。"
    en = "Another institution issued that credit record, and it alone can change it."


class NotTheirRecord(RefusedCall):
    code = "LLN-2295"
    zh = "只有颁发这条记录的机构，才能告知它的状态。"
    en = "Only the institution that issued a record can say what has become of it."


class UsedAlready(InvalidInput):
    code = "LLN-1196"
    zh = "这条记录的学分已有一部分被预占或核销，不能更正到比它更少。请先与接收机构商定撤销转换。"
    en = "Part of the record's credits is reserved or used, and it cannot be corrected to less. Settle that first."


class Amending:
    """The one writer of a record's state, of its bits, and of flags."""

    def __init__(
        self, *, store: Store, clock: Clock, own_name: NodeName, ledgering: Ledgering, issuing: Issuing, homing: Homing
    ) -> None:
        self._store = store
        self._clock = clock
        self._own_name = own_name
        self._ledgering = ledgering
        self._issuing = issuing
        self._homing = homing

    # --- what our people ask -----------------------------------------------------------------------------------------

    async def step(self, asked: RecordStepAsked) -> RecordSummary:
        """Suspend, resume or revoke; raises RecordUnknown, NotOurRecord, IllegalRecordStep."""

        def unit(tx: Transaction) -> RecordSummary:
            row = _own(find_record(tx, asked.id))
            changed = self._change(tx, row, asked.step, reason=asked.reason, by=asked.by)
            if asked.reopens and asked.step == "revoke":
                for issued in tx.credits.issues.of(row.id):
                    tx.credits.issues.drop(issued.id)
            return summary_of(tx, changed)

        return await self._store.write(unit)

    async def correct(self, asked: CorrectAsked) -> RecordSummary:
        """Issue a record that takes the place of one, in one transaction; raises as `step`.

        What others have used or reserved of the old record stays so, and cannot be used again of the new one.
        """
        return await self._store.write(lambda tx: summary_of(tx, self._correct(tx, asked)))

    async def expire(self, asked: ExpireAsked) -> Expired:
        """Mark what has run out by the end of a day; what was marked before is not named again."""
        until_ms = end_of_day_in_china_ms(asked.as_of) if asked.as_of else self._clock.now_ms()
        until_ms = min(until_ms, self._clock.now_ms())
        expired: list[str] = []
        for state in ("active", "suspended"):
            for record_id in await self._store.read(partial(_run_out, state, until_ms)):
                await self._store.write(partial(self._expire, record_id, until_ms))
                expired.append(record_id)
        return Expired(ids=tuple(expired))

    async def run(self) -> None:
        """Records expire by themselves."""
        while True:
            await self.expire(ExpireAsked())
            await self._clock.sleep(EXPIRE_EVERY_S)

    # --- what others say ---------------------------------------------------------------------------------------------

    async def hear_state(self, sender: NodeName, document: bytes) -> Unit:
        """News of a record that we hold for a learner; raises NotTheirRecord."""
        news = canonical.decode(document, RecordNews, bytes_max=NEWS_BYTES_MAX)

        def unit(tx: Transaction) -> bytes:
            row = tx.credits.records.get(news.record)
            if row is None:
                return b"{}"  # the account has moved on, or was erased
            if row.issuer != sender or row.is_own:
                raise NotTheirRecord(news.record, f"told by {sender}")
            learner = tx.credits.learners.get(row.owner)
            if learner is not None and learner.state == "moved":
                self._homing.tell_moved(tx, sender, credentials.read(row.document).subject, learner)
            if news.at_ms >= row.told_at_ms:
                tx.credits.records.put([_told(row, news, self._clock.now_ms())])
            return b"{}"

        return unit

    async def hear_source(self, sender: NodeName, document: bytes) -> Unit:
        """A source of what we converted is not what it was: flag that, or let it fall with it, as the rule says."""
        news = canonical.decode(document, SourceNews, bytes_max=NEWS_BYTES_MAX)

        def unit(tx: Transaction) -> bytes:
            for link in tx.credits.derived.of(news.record):
                self._follow_source(tx, link, news, sender)
            return b"{}"

        return unit

    # --- units -------------------------------------------------------------------------------------------------------

    def _change(
        self, tx: Transaction, row: RecordRow, step: RecordStep, *, reason: str, by: str, other: str = ""
    ) -> RecordRow:
        """One step of a record, its lot, its bit and all its news, as one unit."""
        now_ms = self._clock.now_ms()
        state = next_record_state(row.state, step, subject=row.id)
        made = self._cancel_rest(tx, row, now_ms) if step in ("revoke", "supersede", "expire") else None
        changed = msgspec.structs.replace(
            row, state=state, note=reason, superseded_by=other or row.superseded_by, told_at_ms=now_ms
        )
        kind: RecordStepKind = step
        detail = RecordChanged(step=kind, reason=reason, by=by, other=other)
        changed = self._ledgering.changed(tx, changed, detail, made=made, at_ms=now_ms)
        self._raise_bit(tx, changed)
        self._homing.tell_home(tx, changed)
        self._tell_receivers(tx, changed)
        return changed

    def _cancel_rest(self, tx: Transaction, row: RecordRow, now_ms: int) -> LedgerStep | None:
        """What is left of a lot goes out of use with its record; what is reserved can no longer be used up."""
        ledger = ledger_of(tx, row.id)
        if ledger is None or not ledger.lot.available:
            return None
        return credit_bank.cancel(ledger, f"cancel.{row.id}", amount=ledger.lot.available, at_ms=now_ms)

    def _raise_bit(self, tx: Transaction, row: RecordRow) -> None:
        slot = slot_of(tx, row.slot) if row.slot else None
        if slot is not None and slot.state != RAISED[row.state]:
            tx.credits.slots.put([msgspec.structs.replace(slot, state=RAISED[row.state])])

    def _tell_receivers(self, tx: Transaction, row: RecordRow) -> None:
        """Whoever has reserved or used credits of the record learns what has become of it; ourselves, too."""
        ledger = ledger_of(tx, row.id)
        held = ledger.reservations if ledger else ()
        receivers = {one.reservation.receiver for one in held if one.state in ("reserved", "committed")}
        news = SourceNews(record=row.id, state=row.state, at_ms=row.told_at_ms)
        for receiver in sorted(receivers):
            item_id = f"source.{short(row.id)}.{row.told_at_ms}"
            tx.outbox.add(NodeName(receiver), SOURCE_KIND, canonical.encode(news), item_id, self._clock.now_ms())

    def _correct(self, tx: Transaction, asked: CorrectAsked) -> RecordRow:
        old = _own(find_record(tx, asked.id))
        record = credentials.read(old.document)
        next_record_state(old.state, "supersede", subject=old.id)
        ledger = ledger_of(tx, old.id)
        used = ledger.lot.consumed + ledger.lot.reserved if ledger else 0
        wanted = record.amount.hundredths if asked.amount is None else asked.amount
        if wanted < used:
            raise UsedAlready(old.id, f"{used} hundredths are used or reserved, corrected to {wanted}")
        new = self._issuing.issue(tx, _corrected(old, record, asked, wanted))
        new_ledger = ledger_of(tx, new.id)
        if used and new_ledger is not None:  # what was used of the old record cannot be used again of the new one
            carried = credit_bank.cancel(new_ledger, f"carried.{old.id}", amount=used, at_ms=self._clock.now_ms())
            new = self._ledgering.lot(tx, new, carried)
        self._change(tx, old, "supersede", reason=asked.reason, by=asked.by, other=new.id)
        return new

    def _expire(self, record_id: str, until_ms: int, tx: Transaction) -> None:
        row = tx.credits.records.get(record_id)
        if row is None or row.valid_until_ms is None or row.valid_until_ms > until_ms:
            return
        if row.state in ("active", "suspended"):
            self._change(tx, row, "expire", reason="有效期已满 · its validity has ended", by="")

    def _follow_source(self, tx: Transaction, link: DerivedRow, news: SourceNews, sender: NodeName) -> None:
        row = tx.credits.records.get(link.record)
        if row is None:
            return
        if link.issuer != sender:
            raise NotTheirRecord(news.record, f"told by {sender}")
        told = f"{news.record} {news.state}" if news.state in ("revoked", "suspended") else ""
        now_ms = self._clock.now_ms()
        if news.state == "revoked" and link.state == "cascade" and row.state in ("active", "suspended"):
            reason = f"来源记录已被颁发机构撤销 · its source was revoked: {news.record}"
            self._change(tx, msgspec.structs.replace(row, flagged=told), "revoke", reason=reason, by="")
            return
        if row.flagged != told:
            flagged = msgspec.structs.replace(row, flagged=told, told_at_ms=now_ms, changed_at_ms=now_ms)
            tx.credits.records.put([flagged])
            self._homing.tell_home(tx, flagged)


def _own(row: RecordRow) -> RecordRow:
    if not row.is_own:
        raise NotOurRecord(row.id, f"issued by {row.issuer}")
    return row


def _told(row: RecordRow, news: RecordNews, now_ms: int) -> RecordRow:
    return msgspec.structs.replace(
        row,
        state=news.state,
        note=news.note,
        superseded_by=news.superseded_by or "",
        flagged=news.flagged,
        told_at_ms=news.at_ms,
        changed_at_ms=now_ms,
    )


def _corrected(old: RecordRow, record: CreditRecord, asked: CorrectAsked, wanted: int) -> Draft:
    return Draft(
        subject=record.subject,
        owner=old.owner,
        home=NodeName(old.home),
        achievement=record.achievement,
        amount=Amount(unit=record.amount.unit, hundredths=wanted),
        achieved_on=asked.achieved_on or record.achieved_on,
        valid_until_ms=record.valid_until_ms,
        result=asked.result or record.result,
        hours=record.hours if asked.hours is None else asked.hours,
        number=record.number if asked.number is None else asked.number,
        evidence_sha256=record.evidence_sha256,
        conversion=record.conversion,
        supersedes=old.id,
        by=asked.by,
    )


def _run_out(state: str, until_ms: int, tx: Transaction) -> list[str]:
    """Own records in a state whose validity ended by a time."""
    found: list[str] = []
    after = ""
    while rows := tx.credits.records.in_state(state, after):
        found += [
            row.id for row in rows if row.is_own and row.valid_until_ms is not None and row.valid_until_ms <= until_ms
        ]
        after = rows[-1].id
    return found
