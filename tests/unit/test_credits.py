"""Records and lots step as the tables say, nothing is lost or doubled, and postings add up to the lots again."""

from contextlib import suppress
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from federation import canonical
from federation import credits as lots
from federation.credits import (
    FINAL_RECORD_STATES,
    RECORD_STEPS,
    RESERVATION_STEPS,
    IdReused,
    IllegalRecordStep,
    IllegalReservationStep,
    Lot,
    LotTooSmall,
    RecordNotActive,
    Reservation,
    ReservationBeforeDeadline,
    ReservationPastDeadline,
    RuleReference,
    ScopeUsed,
    UnknownLotStep,
    next_record_state,
)
from federation.errors import Conflict, LlnError
from federation.postings import balances, replay
from federation.receipts import ReceiptMismatch, check_receipt, read_receipt, receipt_of

RULE = RuleReference(id="courier", version=1, digest="0" * 64)
DEADLINE = 1_000


def asking(name="r1", amount=100, scope="here", **changed) -> Reservation:
    asked = Reservation(
        id=name,
        lot_id="lot",
        scope_key=scope,
        amount=amount,
        unit="credit",
        receiver="school.lln.internal",
        rule=RULE,
        case_id="case-1",
        deadline_ms=DEADLINE,
    )
    return structs.replace(asked, **changed)


def lot_of(amount=800):
    return lots.grant("lot", amount=amount, unit="credit", at_ms=0)


def reserving(ledger, asked, *, at_ms=10, record_state="active"):
    return lots.reserve(ledger, asked, record_state=record_state, at_ms=at_ms)


def committing(ledger, name="r1", *, at_ms=20, record_state="active"):
    return lots.commit(ledger, name, record_state=record_state, at_ms=at_ms)


STEPPING = {
    "commit": committing,
    "void": lambda ledger: lots.void(ledger, "r1", at_ms=30),
    "lapse": lambda ledger: lots.lapse(ledger, "r1", at_ms=DEADLINE),
}


# --- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "step"),
    list(
        product(
            ("active", "suspended", "revoked", "superseded", "expired"),
            ("suspend", "resume", "revoke", "supersede", "expire"),
        )
    ),
)
def test_records_step_as_the_table_says_and_no_other_way(state, step):
    if (state, step) in RECORD_STEPS:
        assert next_record_state(state, step) == RECORD_STEPS[state, step]
        assert state not in FINAL_RECORD_STATES
    else:
        with pytest.raises(IllegalRecordStep):
            next_record_state(state, step)


def test_every_final_state_can_be_reached():
    assert set(RECORD_STEPS.values()) == {"active", "suspended", *FINAL_RECORD_STATES}


# --- reservations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), list(product(STEPPING, STEPPING)))
def test_reservations_step_as_the_table_says_and_no_other_way(first, second):
    reserved = reserving(lot_of().ledger, asking())
    settled = STEPPING[first](reserved.ledger)
    assert replay([lot_of().event, reserved.event, settled.event]) == {"lot": settled.ledger}
    held = settled.ledger.reservations[0]
    assert held.state == RESERVATION_STEPS["reserved", first]
    if first == second:
        again = STEPPING[second](settled.ledger)
        assert (again.event, again.postings, again.is_repeat) == (settled.event, (), True)
        assert again.ledger == settled.ledger
    else:
        with pytest.raises(IllegalReservationStep):
            STEPPING[second](settled.ledger)


def test_a_commitment_uses_the_amount_up_and_a_void_gives_it_back():
    reserved = reserving(lot_of().ledger, asking(amount=300)).ledger
    assert (reserved.lot.available, reserved.lot.reserved) == (500, 300)
    assert committing(reserved).ledger.lot == Lot(id="lot", unit="credit", granted=800, consumed=300)
    assert lots.void(reserved, "r1", at_ms=20).ledger.lot == lot_of().ledger.lot


def test_the_same_reservation_again_has_the_same_answer_and_other_content_is_refused():
    first = reserving(lot_of().ledger, asking())
    again = reserving(first.ledger, asking(), at_ms=999, record_state="revoked")
    assert (again.event, again.is_repeat, again.ledger) == (first.event, True, first.ledger)
    assert reserving(committing(first.ledger).ledger, asking()).event == first.event
    with pytest.raises(IdReused):
        reserving(first.ledger, asking(amount=101))
    with pytest.raises(IdReused):
        lots.cancel(first.ledger, "r1", amount=100, at_ms=20)


def test_a_lot_counts_once_in_a_scope_until_it_is_let_go():
    first = reserving(lot_of().ledger, asking()).ledger
    for taken in (first, committing(first).ledger):
        with pytest.raises(ScopeUsed):
            reserving(taken, asking("r2"))
        assert reserving(taken, asking("r2", scope="elsewhere")).ledger.lot.reserved
    assert reserving(lots.void(first, "r1", at_ms=20).ledger, asking("r2")).ledger.lot.reserved == 100


def test_a_reservation_of_nothing_still_takes_its_scope():
    ledger = committing(reserving(lot_of(0).ledger, asking(amount=0)).ledger).ledger
    with pytest.raises(ScopeUsed):
        reserving(ledger, asking("r2", amount=0))


def test_more_than_is_there_is_refused():
    with pytest.raises(LotTooSmall, match=r"8 credit available, asked for 8\.01"):
        reserving(lot_of().ledger, asking(amount=801))
    with pytest.raises(LotTooSmall):
        lots.cancel(reserving(lot_of().ledger, asking(amount=800)).ledger, "c1", amount=1, at_ms=20)


def test_deadlines_are_kept_to_the_millisecond():
    reserved = reserving(lot_of().ledger, asking()).ledger
    assert committing(reserved, at_ms=DEADLINE - 1).ledger.lot.consumed == 100
    with pytest.raises(ReservationPastDeadline):
        committing(reserved, at_ms=DEADLINE)
    with pytest.raises(ReservationBeforeDeadline):
        lots.lapse(reserved, "r1", at_ms=DEADLINE - 1)
    with pytest.raises(ReservationPastDeadline):
        reserving(lot_of().ledger, asking(), at_ms=DEADLINE)
    assert lots.lapsing(reserved, at_ms=DEADLINE - 1) == ()
    assert lots.lapsing(reserved, at_ms=DEADLINE) == ("r1",)


@pytest.mark.parametrize("state", ["suspended", "revoked", "superseded", "expired"])
def test_credits_of_a_record_that_is_not_active_stay_where_they_are(state):
    with pytest.raises(RecordNotActive):
        reserving(lot_of().ledger, asking(), record_state=state)
    reserved = reserving(lot_of().ledger, asking()).ledger
    with pytest.raises(RecordNotActive):
        committing(reserved, record_state=state)
    assert committing(committing(reserved).ledger, record_state=state).is_repeat


def test_a_step_of_another_lot_is_refused():
    with pytest.raises(UnknownLotStep):
        reserving(lot_of().ledger, asking(lot_id="other"))
    with pytest.raises(UnknownLotStep):
        reserving(lot_of().ledger, asking(unit="hour"))
    with pytest.raises(UnknownLotStep):
        committing(lot_of().ledger, "nobody")
    cancelled = lots.cancel(lot_of().ledger, "c1", amount=800, at_ms=5)
    assert lots.cancel(cancelled.ledger, "c1", amount=800, at_ms=9).event == cancelled.event
    with pytest.raises(IdReused):
        lots.cancel(cancelled.ledger, "c1", amount=700, at_ms=9)
    with pytest.raises(IdReused):
        reserving(cancelled.ledger, asking("c1", amount=0))


def test_a_lot_that_breaks_its_invariant_cannot_be_made():
    with pytest.raises(ValueError, match="consumed"):
        Lot(id="lot", unit="credit", granted=1, reserved=1, consumed=1)


# --- any sequence ----------------------------------------------------------------------------------------------------

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(("reserve", "commit", "void", "lapse", "cancel")),
        st.sampled_from(("r1", "r2", "r3")),
        st.integers(0, 500),
        st.sampled_from(("s1", "s2")),
        st.integers(0, 1_500),
        st.sampled_from(("active", "active", "active", "suspended", "revoked")),
    ),
    max_size=30,
)


def attempt(ledger, operation):
    step, name, amount, scope, at_ms, state = operation
    match step:
        case "reserve":
            return reserving(ledger, asking(name, amount, scope), at_ms=at_ms, record_state=state)
        case "commit":
            return committing(ledger, name, at_ms=at_ms, record_state=state)
        case "cancel":
            return lots.cancel(ledger, f"c-{name}", amount=amount, at_ms=at_ms)
        case _:
            return getattr(lots, step)(ledger, name, at_ms=at_ms)


@given(st.integers(0, 1_000), OPERATIONS)
def test_no_sequence_of_steps_loses_doubles_or_overdraws(granted, operations):
    start = lot_of(granted)
    ledger, events, posted = start.ledger, [start.event], list(start.postings)
    for operation in operations:
        try:
            made = attempt(ledger, operation)
        except Conflict:
            continue
        again = attempt(made.ledger, operation)
        assert again.is_repeat
        assert again.ledger == made.ledger
        assert sum(line.debit - line.credit for line in made.postings) == 0
        ledger = made.ledger
        posted += made.postings
        if not made.is_repeat:
            events.append(made.event)
        lot = ledger.lot
        assert min(lot.reserved, lot.consumed, lot.cancelled, lot.available) >= 0
        assert lot.consumed + lot.reserved + lot.cancelled <= lot.granted == granted
        taken = [h.reservation.scope_key for h in ledger.reservations if h.state in lots.SCOPE_TAKEN]
        assert len(taken) == len(set(taken))
    assert replay(events) == {"lot": ledger}
    assert replay([each for each in events for _ in range(1 if each.step == "grant" else 2)]) == {"lot": ledger}
    assert balances(reversed(posted)) == {"lot": ledger.lot}


def test_events_that_nobody_can_have_written_are_refused():
    start = lot_of()
    reserved = reserving(start.ledger, asking())
    committed = committing(reserved.ledger)
    written = [start.event, reserved.event, committed.event]
    for wrong in (
        [reserved.event],
        [start.event, start.event],
        [start.event, committed.event],
        [start.event, structs.replace(reserved.event, reservation=None)],
        [start.event, structs.replace(reserved.event, amount=1)],
        [*written, structs.replace(committed.event, at_ms=21)],
    ):
        with pytest.raises(UnknownLotStep):
            replay(wrong)
    with pytest.raises(UnknownLotStep):
        balances(committed.postings)
    with pytest.raises(UnknownLotStep):
        balances([*start.postings, start.postings[0]])


# --- receipts --------------------------------------------------------------------------------------------------------


def test_a_receipt_is_of_exactly_what_was_asked():
    held = committing(reserving(lot_of().ledger, asking()).ledger).ledger.reservations
    receipt = receipt_of(held, issuer="post.lln.internal", at_ms=50)
    assert read_receipt(canonical.encode(receipt)) == receipt
    check_receipt(receipt, [asking()], issuer="post.lln.internal")
    for wrong, asked, issuer in (
        (receipt, [asking()], "other.lln.internal"),
        (receipt, [asking(amount=99)], "post.lln.internal"),
        (receipt, [], "post.lln.internal"),
        (structs.replace(receipt, case_id="case-2"), [asking()], "post.lln.internal"),
    ):
        with pytest.raises(ReceiptMismatch):
            check_receipt(wrong, asked, issuer=issuer)


def test_there_is_no_receipt_of_what_was_not_committed():
    reserved = reserving(lot_of().ledger, asking()).ledger
    with pytest.raises(IllegalReservationStep):
        receipt_of(reserved.reservations, issuer="post.lln.internal", at_ms=50)
    with pytest.raises(IllegalReservationStep):
        receipt_of((), issuer="post.lln.internal", at_ms=50)
    both = committing(reserved).ledger
    both = committing(reserving(both, asking("r2", scope="s2", case_id="case-2")).ledger, "r2").ledger
    with pytest.raises(IllegalReservationStep):
        receipt_of(both.reservations, issuer="post.lln.internal", at_ms=50)


@given(st.binary(max_size=60))
def test_reading_a_receipt_raises_nothing_foreign(data):
    with suppress(LlnError):
        assert read_receipt(data).reservations
