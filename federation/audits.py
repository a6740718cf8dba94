"""The ledger's invariants, checked on what is kept: one record's history, one lot, one case, and the sums over all.

What lives here: each check as a pure function from what was written down to what does not hold. What must not: what a
check means for people (`audit_checks.py`), reading a database, or knowing whose key signs what (`auditing.py`).

An audit believes nothing that is stored: lots are made again from their events (`postings.replay`), commitments from
their documents and salts, and each is compared with what stands there.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from federation import canonical, credit_log
from federation.amounts import Unit, written
from federation.audit_checks import Fault
from federation.conversion_cases import CASE_STEPS, CaseState, ConversionCase
from federation.credit_log import CreditEvent, EventCommitted, EventKind
from federation.credits import (
    RECORD_STEPS,
    SCOPE_TAKEN,
    Lot,
    LotEvent,
    LotLedger,
    RecordState,
    RecordStep,
    postings_of,
)
from federation.errors import LlnError
from federation.merkle import leaf_hash
from federation.naming import NodeName
from federation.postings import DEBIT_ACCOUNTS, replay

ABOUT: Final = "sha256:"
_NONE: Final = "0" * 64


class WrittenEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One change as it was written down, with what the log holds at its place.

    `details`: what the event names by digest. `step`: of the record; `lot`: of its lot. `leaves`: the hash at
    `log_index` in the log of each name that this node has had; a record of another issuer has no details and no leaf.
    """

    number: int
    kind: EventKind
    document: bytes
    salt: bytes
    details: bytes
    step: RecordStep | None
    lot: LotEvent | None
    log_index: int
    leaves: tuple[tuple[NodeName, bytes], ...]


class WrittenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it is kept: `digest` of the bytes that are there, `sha256` of what was issued."""

    id: str
    state: RecordState
    unit: Unit
    hundredths: int
    digest: str
    sha256: str
    events: int
    is_own: bool


# --- one record ------------------------------------------------------------------------------------------------------


def check_record(record: WrittenRecord, history: Sequence[WrittenEvent], lot: LotLedger | None) -> list[Fault]:
    """Everything that one record, its events and its lot have to agree on."""
    faults = list(_check_openings(record, history))
    if not record.is_own:
        return faults
    faults += _check_numbers(record, history)
    faults += _check_steps(record, history)
    faults += _check_replay(record, history, lot)
    if lot is not None:
        faults += check_scopes(lot)
    return faults


def _check_openings(record: WrittenRecord, history: Sequence[WrittenEvent]) -> Iterable[Fault]:
    if record.digest != record.sha256:
        yield Fault(check="opening", subject=record.id, found="the credential's bytes are not those that were issued")
    for event in history:
        told = _event_of(event)
        where = f"{record.id}, event {event.number}"
        if told is None or (told.credential, told.sha256) != (record.id, record.sha256):
            yield Fault(check="opening", subject=where, found="its document is not about this record and change")
        elif record.is_own:
            if told.kind != event.kind:
                yield Fault(check="opening", subject=where, found=f"kept as {event.kind}, its document is {told.kind}")
            if told.about != f"{ABOUT}{canonical.digest(event.details).hex()}":
                yield Fault(check="opening", subject=where, found="its details are not those that it names")
            yield from _check_leaf(event, told, where)


def _check_leaf(event: WrittenEvent, told: CreditEvent, where: str) -> Iterable[Fault]:
    if not event.leaves:
        yield Fault(check="entry", subject=where, found=f"the log has no entry {event.log_index}")
    elif len(event.salt) < credit_log.SALT_BYTES_MIN or all(
        leaf != leaf_hash(_entry_of(told, event, issuer)) for issuer, leaf in event.leaves
    ):
        yield Fault(check="opening", subject=where, found=f"it does not open entry {event.log_index} of the log")


def _entry_of(told: CreditEvent, event: WrittenEvent, issuer: NodeName) -> bytes:
    """The bytes that the log must have for an event."""
    before, after = _around_commitment(issuer, told.kind, told.at_ms - told.at_ms % credit_log.DAY_MS)
    return before + credit_log.commitment_of(event.document, event.salt).encode() + after


@lru_cache(maxsize=1_024)
def _around_commitment(issuer: NodeName, kind: EventKind, day_ms: int) -> tuple[bytes, bytes]:
    """What stands before and after the commitment: the same for all events of a kind and a day."""
    entry = EventCommitted(issuer=issuer, kind=kind, commitment=_NONE, day_ms=day_ms)
    before, _, after = canonical.encode(entry).partition(_NONE.encode())
    return before, after


def _event_of(event: WrittenEvent) -> CreditEvent | None:
    try:
        return credit_log.read_event(event.document)
    except LlnError:
        return None


def _check_numbers(record: WrittenRecord, history: Sequence[WrittenEvent]) -> Iterable[Fault]:
    numbers = [event.number for event in history]
    if numbers != list(range(1, record.events + 1)):
        found = f"{len(numbers)} events are written down, {record.events} were counted"
        yield Fault(check="entry", subject=record.id, found=found)


def _check_steps(record: WrittenRecord, history: Sequence[WrittenEvent]) -> Iterable[Fault]:
    state: RecordState = "active"
    for event in history:
        if event.step is None:
            continue
        after = RECORD_STEPS.get((state, event.step))
        if after is None:
            where = f"{record.id}, event {event.number}"
            yield Fault(check="final", subject=where, found=f"{state}, and then a step to {event.step}")
            return
        state = after
    if state != record.state:
        found = f"it is kept as {record.state}; its events make it {state}"
        yield Fault(check="final", subject=record.id, found=found)


def _check_replay(record: WrittenRecord, history: Sequence[WrittenEvent], lot: LotLedger | None) -> Iterable[Fault]:
    try:
        made = replay(event.lot for event in history if event.lot is not None)
    except LlnError as error:
        yield Fault(check="replay", subject=record.id, found=f"its events cannot be made again: {error}")
        return
    again = made.get(record.id)
    if again is None or list(made) != [record.id]:
        yield Fault(check="replay", subject=record.id, found="its events do not grant exactly its own lot")
    elif (again.lot.granted, again.lot.unit) != (record.hundredths, record.unit):
        granted = f"{_hundredths(again.lot.granted)} {again.lot.unit}"
        found = f"granted {granted}, for a record of {_hundredths(record.hundredths)} {record.unit}"
        yield Fault(check="replay", subject=record.id, found=found)
    elif lot is None:
        yield Fault(check="lot", subject=record.id, found="its lot is missing, or cannot be read")
    elif again != lot:
        found = f"kept {_balance_of(lot.lot)}; its events give {_balance_of(again.lot)}"
        yield Fault(check="replay", subject=record.id, found=found)


def _balance_of(lot: Lot) -> str:
    numbers = (lot.granted, lot.available, lot.reserved, lot.consumed, lot.cancelled)
    return " / ".join(map(_hundredths, numbers))


def _hundredths(amount: int) -> str:
    """An amount for people, below zero, too, where a sound ledger has none."""
    return f"-{written(-amount)}" if amount < 0 else written(amount)


# --- one lot ---------------------------------------------------------------------------------------------------------


class KeptLot(msgspec.Struct, frozen=True, kw_only=True):
    """A lot's numbers as they are kept, whatever they are; what is sound is a `Lot`."""

    id: str
    unit: str
    granted: int
    reserved: int = 0
    consumed: int = 0
    cancelled: int = 0

    @property
    def available(self) -> int:
        return self.granted - self.reserved - self.consumed - self.cancelled


def check_lot(lot: KeptLot) -> list[Fault]:
    """None below zero; consumed + reserved + cancelled <= granted."""
    kept = {"granted": lot.granted, "reserved": lot.reserved, "consumed": lot.consumed, "cancelled": lot.cancelled}
    faults = [
        Fault(check="lot", subject=lot.id, found=f"{name} is {_hundredths(amount)}")
        for name, amount in kept.items()
        if amount < 0
    ]
    if lot.available < 0:
        used = lot.reserved + lot.consumed + lot.cancelled
        found = f"{_hundredths(used)} used, reserved or cancelled of {_hundredths(lot.granted)} {lot.unit} granted"
        faults.append(Fault(check="lot", subject=lot.id, found=found))
    return faults


def check_scopes(ledger: LotLedger) -> list[Fault]:
    """One reservation or consumption of a lot in each scope."""
    scopes = Counter(held.reservation.scope_key for held in ledger.reservations if held.state in SCOPE_TAKEN)
    ids = {
        scope: [held.reservation.id for held in ledger.reservations if held.reservation.scope_key == scope]
        for scope, times in scopes.items()
        if times > 1
    }
    return [
        Fault(check="scope", subject=ledger.lot.id, found=f"used more than once in one scope, by {', '.join(each)}")
        for each in ids.values()
    ]


class Totals:
    """The two sides of the books per unit: what events have granted, and where the lots as kept say it is."""

    def __init__(self) -> None:
        self.granted: Counter[str] = Counter()
        self.accounts: dict[str, Counter[str]] = {}
        self._debits: Counter[str] = Counter()
        self._credits: Counter[str] = Counter()

    def count_events(self, events: Iterable[LotEvent]) -> None:
        """The credit side: postings of every event."""
        for posting in (each for event in events for each in postings_of(event)):
            self._debits[posting.unit] += posting.debit
            self._credits[posting.unit] += posting.credit
            if posting.account == "granted":
                self.granted[posting.unit] += posting.credit - posting.debit

    def count_lot(self, lot: KeptLot) -> None:
        """The debit side: what a lot as kept holds in each of its accounts."""
        account = self.accounts.setdefault(lot.unit, Counter())
        for name in DEBIT_ACCOUNTS:
            account[name] += getattr(lot, name)

    def check(self) -> list[Fault]:
        faults = []
        for unit in sorted({*self.granted, *self.accounts}):
            debit = sum(self.accounts.get(unit, Counter()).values())
            if debit != self.granted[unit] or self._debits[unit] != self._credits[unit]:
                found = f"debits {_hundredths(debit)}, credits {_hundredths(self.granted[unit])}"
                faults.append(Fault(check="balance", subject=unit, found=found))
        return faults


# --- one case --------------------------------------------------------------------------------------------------------

_FOLLOWS: Final[frozenset[tuple[CaseState, CaseState]]] = frozenset(
    (before, after) for (before, _), after in CASE_STEPS.items()
)


def check_case(case: ConversionCase) -> list[Fault]:
    """That what a case holds and has issued fits its state, and that every step to it was legal."""
    faults = [
        Fault(check="final", subject=case.id, found=f"{before.state}, and then {after.state}")
        for before, after in zip(case.history, case.history[1:], strict=False)
        if before.state != after.state and (before.state, after.state) not in _FOLLOWS
    ]
    if case.history and case.history[-1].state != case.state:
        found = f"it is kept as {case.state}; its history ends with {case.history[-1].state}"
        faults.append(Fault(check="final", subject=case.id, found=found))
    holding = sorted({hold.state for hold in case.holds})
    if case.state == "converted" and holding not in ([], ["committed"]):
        faults.append(Fault(check="case", subject=case.id, found=f"converted, with holds {', '.join(holding)}"))
    if case.state in ("refused", "cancelled") and not {"let_go", "refused"}.issuperset(holding):
        faults.append(Fault(check="case", subject=case.id, found=f"{case.state}, with holds {', '.join(holding)}"))
    if bool(case.results) != (case.state == "converted"):
        found = f"{case.state}, with {len(case.results)} record(s) issued"
        faults.append(Fault(check="case", subject=case.id, found=found))
    return faults
