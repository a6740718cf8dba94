"""Issuing: one credit record comes to be, inside an open transaction; shared by whoever may issue.

What lives here: a place in a status list, the signed credential, its lot, its event, and sending it home. What must
not: who may have a record, and why (`crediting.py`, `amending.py`, `converting.py`).

The credential, its slot, its lot, its log entry and the message to the learner's home are one transaction.
"""

import uuid
from datetime import date
from hashlib import sha256
from typing import Final

import msgspec

from federation import canonical, credentials, status_lists
from federation import credits as credit_bank
from federation.amounts import Amount
from federation.catalogue import BilingualLine
from federation.credit_records import (
    SLOTS,
    Achievement,
    Conversion,
    CreditRecord,
    Grade,
    RecordIssuer,
    Score,
    StatusSlot,
)
from federation.credits import RecordState
from federation.naming import NodeName
from node.ports import Clock, Identity, Randomness, Transaction
from node.ports.crediting import RecordRow, SlotRow
from node.usecases.ledgering import Ledgering

LISTS_NOTE: Final = "status lists"
FILLED_MAX: Final = SLOTS * 3 // 4
"""How many places of a list are given out before the next is begun: a free one is then still found by chance."""
RECORD_KIND: Final = "credit.record"
RAISED: Final[dict[RecordState, str]] = {
    "active": "",
    "suspended": "suspension",
    "revoked": "revocation",
    "superseded": "revocation",
    "expired": "",
}
"""Which bit of a record's slot is raised in each state; the dates in a credential speak for its expiry."""


class StatusLists(msgspec.Struct, frozen=True, kw_only=True):
    """The list that is being filled, by its number, and how many of its places are taken."""

    number: int = 1
    taken: int = 0


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A record to be. `owner`: the account here, empty for a learner of another home; `key`: what it is issued for."""

    subject: str
    owner: str
    home: NodeName
    achievement: Achievement
    amount: Amount
    achieved_on: date
    valid_until_ms: int | None = None
    result: Score | Grade | None = None
    hours: int | None = None
    number: str = ""
    evidence_sha256: str | None = None
    conversion: Conversion | None = None
    supersedes: str | None = None
    by: str = ""


class SentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A credential on its way home, with what opens its commitment in the issuer's log."""

    credential: str
    event: str
    salt: str
    log_index: int


class Issuing:
    """The one writer of status slots and of new records of this node's own."""

    def __init__(
        self,
        *,
        identity: Identity,
        clock: Clock,
        randomness: Randomness,
        ledgering: Ledgering,
        title: BilingualLine,
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._randomness = randomness
        self._ledgering = ledgering
        self._issuer = RecordIssuer(did=identity.did, node=identity.name, title=title)

    def issue(self, tx: Transaction, draft: Draft) -> RecordRow:
        """Issue a record and everything that belongs to it; raises UnwritableRecord, and then nothing is written."""
        now_ms = self._clock.now_ms()
        slot = self._take_slot(tx)
        try:
            record = self._record(slot, draft, now_ms)
        except ValueError as error:  # such as a validity that would end before it begins
            raise credentials.UnwritableRecord(draft.achievement.id, str(error)) from error
        document = credentials.issue(record, self._identity, now_ms)
        row = _row_of(record, document, draft, now_ms)
        tx.credits.slots.put([SlotRow(id=slot_key(slot), owner=row.id, list=slot.list, index=slot.index)])
        made = credit_bank.grant(row.id, amount=row.hundredths, unit=row.unit, at_ms=now_ms)
        row = self._ledgering.issued(tx, row, made, by=draft.by)
        if draft.home != self._identity.name:
            send_home(tx, row, now_ms)
        return row

    def _record(self, slot: StatusSlot, draft: Draft, now_ms: int) -> CreditRecord:
        return CreditRecord(
            id=f"urn:uuid:{uuid.UUID(bytes=self._randomness.token(16), version=4)}",
            achievement=draft.achievement,
            subject=draft.subject,
            issuer=self._issuer,
            amount=draft.amount,
            achieved_on=draft.achieved_on,
            valid_from_ms=now_ms,
            valid_until_ms=draft.valid_until_ms,
            result=draft.result,
            hours=draft.hours,
            number=draft.number,
            evidence_sha256=draft.evidence_sha256,
            status=slot,
            conversion=draft.conversion,
            supersedes=draft.supersedes,
        )

    def _take_slot(self, tx: Transaction) -> StatusSlot:
        """A place that was never given out, at random; the next list is begun in time."""
        noted = tx.notes.get(LISTS_NOTE)
        filling = msgspec.json.decode(noted, type=StatusLists) if noted else StatusLists()
        if filling.taken >= FILLED_MAX:
            filling = StatusLists(number=filling.number + 1)
        list_id = status_lists.list_id(self._identity.name, filling.number)
        slot = self._draw(list_id)
        while tx.credits.slots.get(slot_key(slot)) is not None:
            slot = self._draw(list_id)
        tx.notes.put(LISTS_NOTE, msgspec.json.encode(StatusLists(number=filling.number, taken=filling.taken + 1)))
        return slot

    def _draw(self, list_id: str) -> StatusSlot:
        return StatusSlot(list=list_id, index=int.from_bytes(self._randomness.token(4), "big") % SLOTS)


def send_home(tx: Transaction, row: RecordRow, now_ms: int) -> None:
    """A record that this node issued, to the learner's home; the same again arrives once."""
    [event] = tx.credits.events.of(row.id, limit=1)
    sent = SentRecord(
        credential=row.document.decode(), event=event.document.decode(), salt=event.salt, log_index=event.log_index
    )
    tx.outbox.add(NodeName(row.home), RECORD_KIND, canonical.encode(sent), f"record.{row.id}", now_ms)


def lists_begun(tx: Transaction) -> int:
    """How many status lists this node has; 0 before its first record."""
    noted = tx.notes.get(LISTS_NOTE)
    return msgspec.json.decode(noted, type=StatusLists).number if noted else 0


def slot_of(tx: Transaction, slot: StatusSlot) -> SlotRow | None:
    return tx.credits.slots.get(slot_key(slot))


def slot_key(slot: StatusSlot) -> str:
    return f"{slot.list}/{slot.index}"


def _row_of(record: CreditRecord, document: bytes, draft: Draft, now_ms: int) -> RecordRow:
    sources = draft.conversion.sources if draft.conversion else ()
    return RecordRow(
        id=record.id,
        owner=draft.owner,
        document=document,
        sha256=sha256(document).hexdigest(),
        issuer=record.issuer.node,
        home=draft.home,
        is_own=True,
        achievement=record.achievement.id,
        unit=record.amount.unit,
        hundredths=record.amount.hundredths,
        achieved_on=record.achieved_on,
        valid_until_ms=record.valid_until_ms,
        slot=record.status,
        converted_from=tuple(source.id for source in sources),
        supersedes=draft.supersedes or "",
        issued_at_ms=now_ms,
        changed_at_ms=now_ms,
    )
