"""Recounting: a credit record as the people of this node see it; shared by whoever changes one.

What lives here: finding a record, and its summary with what is left of its lot. What must not: anything that changes.
"""

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec

from federation import credentials
from federation.conversion import SourceLot
from federation.credentials import VerifiedCredential
from federation.credits import LotLedger
from federation.errors import NotFound
from federation.naming import NodeName
from federation.progress import Balance, balances_of
from node.desk.credits import RecordSummary
from node.ports import Transaction
from node.ports.crediting import RecordRow
from node.usecases.ledgering import ledger_of
from node.usecases.weighing import lot_of


class RecordUnknown(NotFound):
    code = "LLN-1293"
    zh = "本节点没有这条学分记录。请用 lln credit list 查看。"
    en = "There is no credit record of that id here. Look it up with lln credit list."


def find_record(tx: Transaction, record_id: str) -> RecordRow:
    """A record issued or held here, by its id, with or without `urn:uuid:` in front; raises RecordUnknown."""
    wanted = record_id if record_id.startswith("urn:") else f"urn:uuid:{record_id}"
    row = tx.credits.records.get(wanted)
    if row is None:
        raise RecordUnknown(record_id)
    return row


def summary_of(tx: Transaction, row: RecordRow) -> RecordSummary:
    """A record for people of this node; where the lot is ours, with what is left of it."""
    record = credentials.read(row.document)
    lot = ledger_of(tx, row.id) if row.is_own else None
    return RecordSummary(
        id=row.id,
        state=row.state,
        learner=row.owner,
        issuer=row.issuer,
        home=row.home,
        achievement=row.achievement,
        name=record.achievement.name,
        kind=record.achievement.kind,
        unit=row.unit,
        hundredths=row.hundredths,
        achieved_on=row.achieved_on,
        valid_until_ms=row.valid_until_ms,
        **_left_of(lot),
        converted_from=row.converted_from,
        supersedes=row.supersedes,
        superseded_by=row.superseded_by,
        flagged=row.flagged,
        note=row.note,
        issued_at_ms=row.issued_at_ms,
    )


def held_row(verified: VerifiedCredential, *, owner: str, home: NodeName, now_ms: int) -> RecordRow:
    """A record of another issuer, as it is held for a learner of this node."""
    record = verified.record
    return RecordRow(
        id=record.id,
        owner=owner,
        document=verified.document,
        sha256=verified.sha256,
        issuer=record.issuer.node,
        home=home,
        is_own=False,
        achievement=record.achievement.id,
        unit=record.amount.unit,
        hundredths=record.amount.hundredths,
        achieved_on=record.achieved_on,
        valid_until_ms=record.valid_until_ms,
        slot=record.status,
        converted_from=tuple(one.id for one in record.conversion.sources) if record.conversion else (),
        supersedes=record.supersedes or "",
        events=1,
        issued_at_ms=record.valid_from_ms,
        changed_at_ms=now_ms,
    )


def balances_held(tx: Transaction, rows: Iterable[RecordRow], as_of: date) -> tuple[Balance, ...]:
    """What records add up to on a day: of our own lots what is left, of others' what was not used when it came here."""
    return balances_of((_lot_held(tx, row) for row in rows), as_of)


def used_of(tx: Transaction, row: RecordRow) -> int:
    """How much of a record is no longer there to be used, as far as it is known here."""
    ledger = ledger_of(tx, row.id) if row.is_own else None
    return row.hundredths - ledger.lot.available if ledger else row.used


def _lot_held(tx: Transaction, row: RecordRow) -> SourceLot:
    lot = lot_of(credentials.read(row.document))
    return msgspec.structs.replace(lot, record_state=row.state, available=lot.granted - used_of(tx, row))


def _left_of(ledger: LotLedger | None) -> Mapping[str, int]:
    if ledger is None:
        return {}
    lot = ledger.lot
    return {
        "available": lot.available,
        "reserved": lot.reserved,
        "consumed": lot.consumed,
        "cancelled": lot.cancelled,
    }
