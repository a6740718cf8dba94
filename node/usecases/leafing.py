"""Leafing: the ledger in pages, each one snapshot in which what belongs together is read together.

What lives here: reading, and turning rows into what `federation/audits.py` checks; shared by whoever goes through all
of it. What must not: a check, a decision, or writing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from federation import credentials, credit_log
from federation.audits import KeptLot, WrittenEvent, WrittenRecord
from federation.canonical import digest
from federation.conversion_cases import Hold
from federation.credit_records import StatusSlot
from federation.credits import LotEvent, LotLedger, RecordStep
from federation.errors import LlnError
from federation.logs import Entry, LogId
from federation.merkle import HASH_BYTES
from federation.naming import NodeName
from node.ports import StoredLog, Transaction
from node.ports.crediting import CreditEventRow, Kept, LotRow, RecordRow, SlotRow
from node.usecases.issuing import slot_key
from node.usecases.ledgering import Issued, RecordChanged, read_details
from node.usecases.weighing import case_of

RECORDS_AT_ONCE: Final = 100
ROWS_AT_ONCE: Final = 500
EVENTS_AT_ONCE: Final = 600
CORRECTIONS_MAX: Final = 64
"""How many corrections one after another are followed back to the conversion that the first record came of."""


class Leaf(Protocol):
    """`last`: the key to go on after; empty where there is no more."""

    @property
    def last(self) -> str: ...


class Strays(msgspec.Struct, frozen=True, kw_only=True):
    """So many rows were looked at, and these of them belong to nothing."""

    seen: int
    strays: Sequence[str]
    last: str


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A record that came of a conversion, with the holds that should have paid for it; None: there is no such case."""

    record: str
    sources: tuple[str, ...]
    holds: tuple[Hold, ...] | None


class RecordPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some records with everything that belongs to them, as of one moment."""

    rows: Sequence[RecordRow]
    events: Mapping[str, Sequence[CreditEventRow]]
    lots: Mapping[str, LotRow]
    slots: Mapping[str, SlotRow]
    leaves: Mapping[NodeName, Mapping[int, bytes]]
    claims: Sequence[Claim]

    @property
    def last(self) -> str:
        return self.rows[-1].id if self.rows else ""


class _Ledger(msgspec.Struct, frozen=True, kw_only=True):
    lot: KeptLot


def record_page(own_name: NodeName, after: str, tx: Transaction) -> RecordPage:
    """The records after one, in the order of their ids."""
    rows = tx.credits.records.all(after, RECORDS_AT_ONCE)
    own = [row for row in rows if row.is_own]
    events = _events_of(tx, [row.id for row in rows])
    indexes: dict[NodeName, list[int]] = {}
    for row in own:
        for name in names_of(row, own_name):
            indexes.setdefault(name, []).extend(event.log_index for event in events[row.id])
    return RecordPage(
        rows=rows,
        events=events,
        lots=tx.credits.lots.many([row.id for row in own]),
        slots=tx.credits.slots.many([slot_key(row.slot) for row in own if row.slot is not None]),
        leaves={name: tx.logs.hash_rows(credit_log_of(name), wanted) for name, wanted in indexes.items()},
        claims=[_claim(tx, row) for row in own if row.converted_from],
    )


def names_of(row: RecordRow, own_name: NodeName) -> tuple[NodeName, ...]:
    """Under which names a record's events may have been logged: a node that has moved goes on in another log."""
    return (own_name,) if row.issuer == own_name else (NodeName(row.issuer), own_name)


def _events_of(tx: Transaction, records: Sequence[str]) -> Mapping[str, list[CreditEventRow]]:
    """Everything that was written down of records next to each other, in order: their keys begin with the record's."""
    found: dict[str, list[CreditEventRow]] = {record: [] for record in records}
    after = f"{records[0]}/" if records else ""
    while records and (rows := tx.credits.events.all(after, EVENTS_AT_ONCE)) and rows[-1].id > after:
        for row in rows:
            record = row.id.rpartition("/")[0]
            if record in found:
                found[record].append(row)
        if rows[-1].id > f"{records[-1]}/~":
            break
        after = rows[-1].id
    return found


def credit_log_of(name: NodeName) -> LogId:
    return LogId(origin=name, topic=credit_log.TOPIC)


def credit_logs(tx: Transaction) -> list[StoredLog]:
    return [stored for stored in tx.logs.all() if stored.log.topic == credit_log.TOPIC]


def log_page(log: LogId, start: int, size: int, tx: Transaction) -> tuple[Sequence[Entry], Mapping[int, bytes]]:
    """Entries from `start` on, before `size`, and the hashes that are stored beside them."""
    entries = tx.logs.entries(log, start, min(ROWS_AT_ONCE, size - start))
    return entries, tx.logs.hash_rows(log, range(start, start + len(entries)))


def stray_lots(after: str, tx: Transaction) -> Strays:
    """Lots after one that belong to no own record."""
    rows = tx.credits.lots.all(after, ROWS_AT_ONCE)
    own = tx.credits.records.many([row.id for row in rows])
    return _strays(rows, [row.id for row in rows if row.id not in own or not own[row.id].is_own])


def counted(tx: Transaction) -> Mapping[str, int]:
    """How many events and places in status lists are kept, whomever they belong to."""
    return {
        "events": sum(tx.credits.events.counts().values()),
        "slots": sum(tx.credits.slots.counts().values()),
    }


def stray_events(after: str, tx: Transaction) -> Strays:
    """Events after one that belong to no record."""
    rows = tx.credits.events.all(after, ROWS_AT_ONCE)
    records = tx.credits.records.many([*{row.owner for row in rows}])
    return _strays(rows, [row.id for row in rows if row.owner not in records])


def stray_slots(after: str, tx: Transaction) -> Strays:
    """Places after one that are given to no record, or to one that has another."""
    rows = tx.credits.slots.all(after, ROWS_AT_ONCE)
    records = tx.credits.records.many([*{row.owner for row in rows}])
    given = {row.owner: records[row.owner].slot for row in rows if row.owner in records}
    return _strays(rows, [row.id for row in rows if given.get(row.owner) != StatusSlot(list=row.list, index=row.index)])


def _strays(rows: Sequence[Kept], strays: Sequence[str]) -> Strays:
    return Strays(seen=len(rows), strays=strays, last=rows[-1].id if rows else "")


def _claim(tx: Transaction, row: RecordRow) -> Claim:
    """The case that issued a record, or the one that it corrects: a correction rests on the same receipts."""
    issued: RecordRow | None = row
    for _ in range(CORRECTIONS_MAX):
        if issued is None or not issued.supersedes:
            break
        issued = tx.credits.records.get(issued.supersedes)
    holds = _holds_of(tx, issued) if issued is not None else None
    return Claim(record=row.id, sources=row.converted_from, holds=holds)


def _holds_of(tx: Transaction, row: RecordRow) -> tuple[Hold, ...] | None:
    try:
        subject = credentials.read(row.document).subject
    except LlnError:
        return None
    after = ""
    while (rows := tx.credits.cases.of(subject, after)) and rows[-1].id > after:
        for kept in rows:
            case = case_of(kept)
            if row.id in case.results:
                return case.holds
        after = rows[-1].id
    return None


# --- rows as they are checked ----------------------------------------------------------------------------------------


def written_record(row: RecordRow) -> WrittenRecord:
    return WrittenRecord(
        id=row.id,
        state=row.state,
        unit=row.unit,
        hundredths=row.hundredths,
        digest=digest(row.document).hex(),
        sha256=row.sha256,
        events=row.events,
        is_own=row.is_own,
    )


def written_events(page: RecordPage, row: RecordRow, own_name: NodeName) -> list[WrittenEvent]:
    names = names_of(row, own_name) if row.is_own else ()
    return [_written_event(page, event, names) for event in page.events[row.id]]


def _written_event(page: RecordPage, event: CreditEventRow, names: Iterable[NodeName]) -> WrittenEvent:
    step, lot = _details_of(event)
    hashes = ((name, page.leaves[name].get(event.log_index)) for name in names)
    return WrittenEvent(
        number=_number_of(event.id),
        kind=event.state,  # type: ignore[arg-type]  # compared with its document
        document=event.document,
        salt=_salt_of(event),
        details=event.details,
        step=step,
        lot=lot,
        log_index=event.log_index,
        leaves=tuple((name, row[:HASH_BYTES]) for name, row in hashes if row is not None),
    )


def _details_of(event: CreditEventRow) -> tuple[RecordStep | None, LotEvent | None]:
    """What an event did to its record and to its lot; nothing where that cannot be read, as its digest will show."""
    try:
        details = read_details(event.details) if event.details else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        details = None
    if details is None:
        return None, None
    if isinstance(details, Issued):
        return None, details.grant
    return (details.step if isinstance(details, RecordChanged) else None), details.lot


def _number_of(event_id: str) -> int:
    number = event_id.rpartition("/")[2]
    return int(number) if number.isascii() and number.isdigit() else 0


def _salt_of(event: CreditEventRow) -> bytes:
    try:
        return credit_log.salt_from_text(event.salt)
    except ValueError:
        return b""


def read_lot(kept: LotRow | None) -> tuple[LotLedger | None, KeptLot | None]:
    """A lot with its reservations, if it can be one; and its numbers, if they are there at all."""
    if kept is None:
        return None, None
    try:
        ledger = msgspec.json.decode(kept.ledger, type=LotLedger)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None, _numbers_of(kept)
    lot = ledger.lot
    return ledger, KeptLot(
        id=lot.id,
        unit=lot.unit,
        granted=lot.granted,
        reserved=lot.reserved,
        consumed=lot.consumed,
        cancelled=lot.cancelled,
    )


def _numbers_of(kept: LotRow) -> KeptLot | None:
    try:
        return msgspec.json.decode(kept.ledger, type=_Ledger).lot
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
