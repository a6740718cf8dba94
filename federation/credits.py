"""Life of a credit record and of its lot, as literal tables; every step is balanced postings.

What lives here: which step is legal from which state, lots 学分批次 and their reservations 预占, and what each step
posts. What must not: adding postings up again (`postings.py`), receipts (`receipts.py`), signatures
(`credentials.py`), rules (`conversion_rules.py`), storage.

The issuer of a record is the one writer of its lot (DESIGN.md §7). Time comes in as `at_ms`. A step that may not be
made raises a leaf of Conflict; a step that was made already gives its first answer again with `is_repeat`.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, structs

from federation import canonical
from federation.amounts import Hundredths, Unit, written
from federation.catalogue import EpochMs
from federation.errors import Conflict
from federation.naming import NameField

OutcomeKind = Literal["formal", "vocational_training", "other_non_formal", "unformatted"]
"""学历教育, 职业培训, 其他非学历教育, 无定式: amounts of two kinds never add up without a rule."""
RecordState = Literal["active", "suspended", "revoked", "superseded", "expired"]
RecordStep = Literal["suspend", "resume", "revoke", "supersede", "expire"]
ReservationState = Literal["reserved", "committed", "voided", "lapsed", "given_back"]
ReservationStep = Literal["commit", "void", "lapse", "give_back"]
LotStep = Literal["grant", "reserve", "commit", "void", "lapse", "give_back", "cancel"]
Account = Literal["granted", "available", "reserved", "consumed", "cancelled"]

AchievementId = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9+.-]{0,31}:[A-Za-z0-9._:/@-]+$", max_length=200)]
"""A URI that whoever defines it has chosen; `urn:lln:<node name>:<code>` by custom."""
OperationId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
"""Chosen by whoever asks, and the same in every repeat: of a lot, a reservation, a cancellation, a case."""
LotId = OperationId
ScopeKey = Annotated[str, Meta(min_length=1, max_length=512)]
"""What a lot is used for at most once: `conversion.py` composes it, the source issuer keeps UNIQUE(lot, scope key)."""
RuleId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$", max_length=128)]
Sha256Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]

RECORD_STEPS: Final[dict[tuple[RecordState, RecordStep], RecordState]] = {
    ("active", "suspend"): "suspended",
    ("active", "revoke"): "revoked",
    ("active", "supersede"): "superseded",
    ("active", "expire"): "expired",
    ("suspended", "resume"): "active",
    ("suspended", "revoke"): "revoked",
    ("suspended", "supersede"): "superseded",
    ("suspended", "expire"): "expired",
}
FINAL_RECORD_STATES: Final[frozenset[RecordState]] = frozenset(("revoked", "superseded", "expired"))

RESERVATION_STEPS: Final[dict[tuple[ReservationState, ReservationStep], ReservationState]] = {
    ("reserved", "commit"): "committed",
    ("reserved", "void"): "voided",
    ("reserved", "lapse"): "lapsed",
    ("committed", "give_back"): "given_back",
}

SCOPE_TAKEN: Final[frozenset[ReservationState]] = frozenset(("reserved", "committed"))
POSTED: Final[dict[LotStep, tuple[Account, Account]]] = {  # step: (debited, credited)
    "grant": ("available", "granted"),
    "reserve": ("reserved", "available"),
    "commit": ("consumed", "reserved"),
    "void": ("available", "reserved"),
    "lapse": ("available", "reserved"),
    "give_back": ("available", "consumed"),
    "cancel": ("cancelled", "available"),
}


class IllegalRecordStep(Conflict):
    code = "LLN-1360"
    zh = "学分记录当前的状态不允许这一步：已撤销、已被更正替代或已失效的记录不再改变。请先查看记录的状态。"
    en = "The credit record's state does not allow this step; one revoked, superseded or expired never changes again."


class IllegalReservationStep(Conflict):
    code = "LLN-1361"
    zh = "这笔预占已经了结（已核销、已释放或已过期），不能再改。如仍需要，请用新的编号重新预占。"
    en = "The reservation is settled: committed, voided or lapsed. If it is still needed, reserve again under a new id."


class ReservationPastDeadline(Conflict):
    code = "LLN-1362"
    zh = "预占的期限已过，学分已可另用。请重新预占后再核销。"
    en = "The reservation's deadline has passed and its credits are free again. Reserve anew, then commit."


class ReservationBeforeDeadline(Conflict):
    code = "LLN-1363"
    zh = "预占的期限未到，不能按过期处理；接收方可以主动释放。"
    en = "The reservation's deadline has not passed, so it cannot lapse; the receiver may void it."


class IdReused(Conflict):
    code = "LLN-1364"
    zh = "同一编号先前用于不同的内容。重复请求须一字不差；新的请求请用新的编号。"
    en = "The id was used before with other content. Repeat a request as it was, or choose a new id for a new one."


class ScopeUsed(Conflict):
    code = "LLN-1365"
    zh = "这一批学分在这个范围内已经用过或正被预占，每个范围只能用一次。"
    en = "The lot has been used, or is reserved, in this scope already; it counts once in each."


class LotTooSmall(Conflict):
    code = "LLN-1366"
    zh = "这一批学分的可用余额不够。请查看余额，减少数量，或等待其他预占释放。"
    en = "Not enough of the lot is available. Look at its balance, ask for less, or wait for reservations to be voided."


class RecordNotActive(Conflict):
    code = "LLN-1367"
    zh = "学分记录不在有效状态（暂停、撤销、替代或失效），其学分现在不能动用。"
    en = "The credit record is not active (suspended, revoked, superseded or expired); its credits cannot be used now."


class UnknownLotStep(Conflict):
    code = "LLN-1368"
    zh = "这一步与该批学分的记载不符：批次、单位或预占编号不存在，或颁发了两次。"
    en = "The step does not fit the lot: another lot, another unit, an unknown reservation, or a second grant."


class RuleReference(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a conversion rule, and the SHA-256 of its canonical bytes in hex."""

    id: RuleId
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    digest: Sha256Hex

    def __str__(self) -> str:
        return f"{self.id}@{self.version}"


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver asks a source issuer to set aside. Its canonical bytes are compared when an id comes again.

    `amount` may be 0: a recognition that consumes nothing still takes its scope.
    """

    id: OperationId
    lot_id: LotId
    scope_key: ScopeKey
    amount: Hundredths
    unit: Unit
    receiver: NameField
    rule: RuleReference
    case_id: OperationId
    deadline_ms: EpochMs


class HeldReservation(msgspec.Struct, frozen=True, kw_only=True):
    """A reservation and what has become of it; `settled_at_ms` once it is no longer `reserved`."""

    reservation: Reservation
    reserved_at_ms: EpochMs
    state: ReservationState = "reserved"
    settled_at_ms: EpochMs | None = None


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """The credits of one record 学分批次: consumed + reserved + cancelled <= granted, none below zero."""

    id: LotId
    unit: Unit
    granted: Hundredths
    reserved: Hundredths = 0
    consumed: Hundredths = 0
    cancelled: Hundredths = 0

    def __post_init__(self) -> None:
        if min(self.granted, self.reserved, self.consumed, self.cancelled, self.available) < 0:
            raise ValueError("a lot: consumed + reserved + cancelled <= granted, and none below zero")

    @property
    def available(self) -> int:
        return self.granted - self.reserved - self.consumed - self.cancelled


class LotEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of one lot, as its issuer writes it down; `id` is the reservation's, the cancellation's or the lot's."""

    step: LotStep
    lot_id: LotId
    id: OperationId
    amount: Hundredths
    unit: Unit
    at_ms: EpochMs
    reservation: Reservation | None = None


class LotLedger(msgspec.Struct, frozen=True, kw_only=True):
    """A lot with every reservation and cancellation it has known, oldest first; a value, replaced at every step."""

    lot: Lot
    granted_at_ms: EpochMs
    reservations: tuple[HeldReservation, ...] = ()
    cancellations: tuple[LotEvent, ...] = ()


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the double entry: a debit or a credit of one account of one lot, the other being 0."""

    lot_id: LotId
    account: Account
    unit: Unit
    debit: Hundredths = 0
    credit: Hundredths = 0


class LedgerStep(msgspec.Struct, frozen=True, kw_only=True):
    """What a step comes to: the ledger after it, its event, its postings; a repeat changes and posts nothing."""

    ledger: LotLedger
    event: LotEvent
    postings: tuple[Posting, ...]
    is_repeat: bool = False


# --- records ---------------------------------------------------------------------------------------------------------


def next_record_state(state: RecordState, step: RecordStep, *, subject: str = "credit record") -> RecordState:
    """The state after `step`; raises IllegalRecordStep. Final states are final."""
    if (after := RECORD_STEPS.get((state, step))) is None:
        raise IllegalRecordStep(subject, f"{state}, asked to {step}")
    return after


# --- lots ------------------------------------------------------------------------------------------------------------


def grant(lot_id: LotId, *, amount: int, unit: Unit, at_ms: int) -> LedgerStep:
    """A new lot, when a record is issued."""
    event = LotEvent(step="grant", lot_id=lot_id, id=lot_id, amount=amount, unit=unit, at_ms=at_ms)
    return _made(LotLedger(lot=Lot(id=lot_id, unit=unit, granted=amount), granted_at_ms=at_ms), event)


def reserve(ledger: LotLedger, reservation: Reservation, *, record_state: RecordState, at_ms: int) -> LedgerStep:
    """Set an amount aside for one scope until its deadline.

    Raises IdReused, UnknownLotStep (another lot or unit), RecordNotActive, ReservationPastDeadline, ScopeUsed or
    LotTooSmall. The same reservation again gives the first answer, whatever has become of it since.
    """
    lot = ledger.lot
    if (earlier := _find(ledger, reservation.id)) is not None:
        if canonical.encode(earlier.reservation) != canonical.encode(reservation):
            raise IdReused(reservation.id, "reserved before with other content")
        return _repeated(ledger, _event("reserve", earlier.reservation, earlier.reserved_at_ms))
    if (reservation.lot_id, reservation.unit) != (lot.id, lot.unit):
        raise UnknownLotStep(reservation.id, f"asks for {reservation.unit} of {reservation.lot_id}, this is {lot.id}")
    if any(cancelled.id == reservation.id for cancelled in ledger.cancellations):
        raise IdReused(reservation.id, "a cancellation has this id")
    _require_active(lot.id, record_state)
    if at_ms >= reservation.deadline_ms:
        raise ReservationPastDeadline(reservation.id, f"deadline {reservation.deadline_ms}, now {at_ms}")
    if used := next((held for held in ledger.reservations if _takes_scope(held, reservation.scope_key)), None):
        raise ScopeUsed(lot.id, f"{used.state} by {used.reservation.id}")
    _require_available(lot, reservation.amount)
    after = structs.replace(
        ledger,
        lot=structs.replace(lot, reserved=lot.reserved + reservation.amount),
        reservations=(*ledger.reservations, HeldReservation(reservation=reservation, reserved_at_ms=at_ms)),
    )
    return _made(after, _event("reserve", reservation, at_ms))


def commit(ledger: LotLedger, reservation_id: OperationId, *, record_state: RecordState, at_ms: int) -> LedgerStep:
    """Use the reserved amount up 核销.

    Raises UnknownLotStep, IllegalReservationStep, RecordNotActive, or ReservationPastDeadline from the deadline on,
    whether or not somebody has marked it as lapsed: the answer does not hang on when a timer ran.
    """
    held = _held(ledger, reservation_id)
    if held.state == "reserved":
        _require_active(ledger.lot.id, record_state)
    if held.state in ("reserved", "lapsed") and at_ms >= held.reservation.deadline_ms:
        raise ReservationPastDeadline(reservation_id, f"deadline {held.reservation.deadline_ms}, now {at_ms}")
    return _settle(ledger, held, "commit", at_ms)


def void(ledger: LotLedger, reservation_id: OperationId, *, at_ms: int) -> LedgerStep:
    """Let the reserved amount go 释放, before or after the deadline; raises UnknownLotStep, IllegalReservationStep."""
    return _settle(ledger, _held(ledger, reservation_id), "void", at_ms)


def give_back(ledger: LotLedger, reservation_id: OperationId, *, at_ms: int) -> LedgerStep:
    """Free what was used up for a conversion that came to nothing; raises UnknownLotStep, IllegalReservationStep."""
    return _settle(ledger, _held(ledger, reservation_id), "give_back", at_ms)


def lapse(ledger: LotLedger, reservation_id: OperationId, *, at_ms: int) -> LedgerStep:
    """Let go what was not committed in time; raises ReservationBeforeDeadline before `deadline_ms`."""
    held = _held(ledger, reservation_id)
    if held.state == "reserved" and at_ms < held.reservation.deadline_ms:
        raise ReservationBeforeDeadline(reservation_id, f"deadline {held.reservation.deadline_ms}, now {at_ms}")
    return _settle(ledger, held, "lapse", at_ms)


def cancel(ledger: LotLedger, cancellation_id: OperationId, *, amount: int, at_ms: int) -> LedgerStep:
    """Take an available amount out of use for good (a record revoked or superseded); raises IdReused, LotTooSmall."""
    lot = ledger.lot
    if earlier := next((one for one in ledger.cancellations if one.id == cancellation_id), None):
        if earlier.amount != amount:
            raise IdReused(cancellation_id, f"cancelled {earlier.amount} before, now asked for {amount}")
        return _repeated(ledger, earlier)
    if _find(ledger, cancellation_id) is not None:
        raise IdReused(cancellation_id, "a reservation has this id")
    _require_available(lot, amount)
    event = LotEvent(step="cancel", lot_id=lot.id, id=cancellation_id, amount=amount, unit=lot.unit, at_ms=at_ms)
    after = structs.replace(
        ledger,
        lot=structs.replace(lot, cancelled=lot.cancelled + amount),
        cancellations=(*ledger.cancellations, event),
    )
    return _made(after, event)


def lapsing(ledger: LotLedger, *, at_ms: int) -> tuple[OperationId, ...]:
    """The reservations that `lapse` would end now."""
    return tuple(
        held.reservation.id
        for held in ledger.reservations
        if held.state == "reserved" and at_ms >= held.reservation.deadline_ms
    )


_ENDS: Final[dict[ReservationStep, ReservationState]] = {step: after for (_, step), after in RESERVATION_STEPS.items()}


def _settle(ledger: LotLedger, held: HeldReservation, step: ReservationStep, at_ms: int) -> LedgerStep:
    reservation, lot = held.reservation, ledger.lot
    if held.settled_at_ms is not None and held.state == _ENDS[step]:
        return _repeated(ledger, _event(step, reservation, held.settled_at_ms))
    if (state := RESERVATION_STEPS.get((held.state, step))) is None:
        raise IllegalReservationStep(reservation.id, f"{held.state}, asked to {step}")
    settled = structs.replace(held, state=state, settled_at_ms=at_ms)
    was_reserved = reservation.amount if held.state == "reserved" else 0
    used = {"commit": reservation.amount, "give_back": -reservation.amount}.get(step, 0)
    after = structs.replace(
        ledger,
        lot=structs.replace(lot, reserved=lot.reserved - was_reserved, consumed=lot.consumed + used),
        reservations=tuple(settled if each is held else each for each in ledger.reservations),
    )
    return _made(after, _event(step, reservation, at_ms))


def _event(step: LotStep, reservation: Reservation, at_ms: int) -> LotEvent:
    return LotEvent(
        step=step,
        lot_id=reservation.lot_id,
        id=reservation.id,
        amount=reservation.amount,
        unit=reservation.unit,
        at_ms=at_ms,
        reservation=reservation if step == "reserve" else None,
    )


def _made(ledger: LotLedger, event: LotEvent) -> LedgerStep:
    return LedgerStep(ledger=ledger, event=event, postings=postings_of(event))


def _repeated(ledger: LotLedger, event: LotEvent) -> LedgerStep:
    return LedgerStep(ledger=ledger, event=event, postings=(), is_repeat=True)


def _find(ledger: LotLedger, reservation_id: OperationId) -> HeldReservation | None:
    return next((held for held in ledger.reservations if held.reservation.id == reservation_id), None)


def _held(ledger: LotLedger, reservation_id: OperationId) -> HeldReservation:
    if (held := _find(ledger, reservation_id)) is None:
        raise UnknownLotStep(reservation_id, f"not a reservation of {ledger.lot.id}")
    return held


def _takes_scope(held: HeldReservation, scope_key: ScopeKey) -> bool:
    return held.state in SCOPE_TAKEN and held.reservation.scope_key == scope_key


def _require_active(subject: str, state: RecordState) -> None:
    if state != "active":
        raise RecordNotActive(subject, state)


def _require_available(lot: Lot, amount: int) -> None:
    if amount > lot.available:
        raise LotTooSmall(lot.id, f"{written(lot.available)} {lot.unit} available, asked for {written(amount)}")


def postings_of(event: LotEvent) -> tuple[Posting, Posting]:
    """The debit and the credit of a step; their sums are equal per unit."""
    debited, credited = POSTED[event.step]
    return (
        Posting(lot_id=event.lot_id, account=debited, unit=event.unit, debit=event.amount),
        Posting(lot_id=event.lot_id, account=credited, unit=event.unit, credit=event.amount),
    )
