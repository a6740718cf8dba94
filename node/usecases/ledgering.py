"""Ledgering: what the use cases of the credit bank share when they write down that a record or its lot has changed.

What lives here: an event, what opens its commitment, and the entry of the `credits` log, inside an open transaction.
What must not: decisions, or a call to another use case.

One event is one entry: record row, lot, event and entry are there together after a crash, or none of them is. The event
that is committed to names its details by digest; the details (who, why, which lot) stay in this node's database.
"""

from typing import Final, Literal

import msgspec

from federation import canonical, credit_log
from federation.consents import ConsentGrant, GrantTooNarrow
from federation.credit_log import CreditEvent, EventKind
from federation.credits import LedgerStep, LotEvent, LotLedger
from federation.logs import LogId
from federation.naming import NodeName
from node.ports import Randomness, Transaction
from node.ports.crediting import CreditEventRow, GrantUseRow, LotRow, RecordRow

RECEIPT_PURPOSE: Final = "lln.receipt.v1"
USED: Final = "used"
"""State of a lot that was reserved at some time, and is not now."""
_ABOUT: Final = "sha256:"

RecordStepKind = Literal["suspend", "resume", "revoke", "supersede", "expire"]


class Issued(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="of", tag="issue"):
    """A record and its lot came to be; `grant` is the first event of the lot, `by` whoever issued it."""

    grant: LotEvent
    by: str = ""


class RecordChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="of", tag="record"):
    """A record is in another state; `lot`: what became of its credits with it; `other`: the record that replaces it."""

    step: RecordStepKind
    reason: str = ""
    by: str = ""
    other: str = ""
    lot: LotEvent | None = None


class LotChanged(msgspec.Struct, frozen=True, kw_only=True, tag_field="of", tag="lot"):
    lot: LotEvent


Detail = Issued | RecordChanged | LotChanged
_detail_decoder: Final[msgspec.json.Decoder[Detail]] = msgspec.json.Decoder(Detail)
_LOT_KINDS: Final[dict[str, EventKind]] = {
    "reserve": "reserve",
    "commit": "commit",
    "void": "void",
    "lapse": "void",
    "give_back": "void",
    "cancel": "supersede",  # what a corrected record cannot give a second time
}


class Ledgering:
    """Holds what every event needs; the transaction is the caller's."""

    def __init__(self, *, own_name: NodeName, randomness: Randomness) -> None:
        self._own_name = own_name
        self._log = LogId(origin=own_name, topic=credit_log.TOPIC)
        self._randomness = randomness

    def issued(self, tx: Transaction, row: RecordRow, made: LedgerStep, *, by: str) -> RecordRow:
        """Write down a new record and its lot; the row, counted and kept."""
        tx.credits.lots.put([lot_row(row, made.ledger)])
        kind: EventKind = "convert" if row.converted_from else "issue"
        return self._write(tx, row, kind, Issued(grant=made.event, by=by), made.event.at_ms)

    def changed(
        self, tx: Transaction, row: RecordRow, detail: RecordChanged, *, made: LedgerStep | None, at_ms: int
    ) -> RecordRow:
        """Write down a record in its new state, and its lot where that changed with it."""
        if made is not None:
            tx.credits.lots.put([lot_row(row, made.ledger)])
            detail = msgspec.structs.replace(detail, lot=made.event)
        return self._write(tx, row, detail.step, detail, at_ms)

    def lot(self, tx: Transaction, row: RecordRow, made: LedgerStep) -> RecordRow:
        """Keep a lot after a step, and write the step down; a repeated step changes nothing."""
        if made.is_repeat:
            return row
        tx.credits.lots.put([lot_row(row, made.ledger)])
        return self._write(tx, row, _LOT_KINDS[made.event.step], LotChanged(lot=made.event), made.event.at_ms)

    def _write(self, tx: Transaction, row: RecordRow, kind: EventKind, detail: Detail, at_ms: int) -> RecordRow:
        details = canonical.encode(detail)
        salt = self._randomness.token(credit_log.SALT_BYTES)
        about = f"{_ABOUT}{canonical.digest(details).hex()}"
        event = CreditEvent(kind=kind, credential=row.id, sha256=row.sha256, at_ms=at_ms, about=about)
        document, entry = credit_log.commit(event, issuer=self._own_name, salt=salt)
        written = CreditEventRow(
            id=event_key(row.id, row.events + 1),
            owner=row.id,
            state=kind,
            document=document,
            salt=credit_log.salt_to_text(salt),
            details=details,
            log_index=tx.logs.append(self._log, [canonical.encode(entry)]),
            at_ms=at_ms,
        )
        counted = msgspec.structs.replace(row, events=row.events + 1, changed_at_ms=at_ms)
        tx.credits.events.put([written])
        tx.credits.records.put([counted])
        return counted


def event_key(record: str, number: int) -> str:
    return f"{record}/{number:06}"


def short(record: str) -> str:
    """The part of a record's id that tells it from others, for ids of items about it."""
    return record.removeprefix("urn:uuid:")


def lot_row(row: RecordRow, ledger: LotLedger) -> LotRow:
    """`state`: whether something of the lot is set aside just now, or ever was."""
    is_reserved = any(held.state == "reserved" for held in ledger.reservations)
    state = "reserved" if is_reserved else USED if ledger.reservations else ""
    return LotRow(id=row.id, owner=row.issuer, state=state, ledger=msgspec.json.encode(ledger))


def ledger_of(tx: Transaction, record_id: str) -> LotLedger | None:
    """The lot of a record that this node issued; None for anybody else's."""
    kept = tx.credits.lots.get(record_id)
    return msgspec.json.decode(kept.ledger, type=LotLedger) if kept else None


def read_details(details: bytes) -> Detail:
    """What this node wrote down beside an event."""
    return _detail_decoder.decode(details)


def are_details_of(row: CreditEventRow) -> bool:
    """Whether the details kept are those that the event names."""
    event = credit_log.read_event(row.document)
    return event.about == f"{_ABOUT}{canonical.digest(row.details).hex()}"


def bind_grant(tx: Transaction, grant: ConsentGrant, case_id: str) -> None:
    """Have a grant for one use serve this case and no other; raises GrantTooNarrow where it serves another already."""
    if grant.uses != "one":
        return
    use = GrantUseRow(id=f"{grant.home}/{grant.id}", owner=case_id)
    held = tx.credits.grants.get(use.id)
    if held is not None and held.owner != case_id:
        raise GrantTooNarrow(grant.id, "it was for one use, and serves another case")
    if held is None:
        tx.credits.grants.put([use])
