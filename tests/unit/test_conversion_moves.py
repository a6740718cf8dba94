"""Moves of a conversion: what is said to the issuers of its sources, and that nothing is left set aside or used up."""

import pytest
from msgspec import structs

from federation import credits as lots
from federation.conversion_cases import ConversionCase, ConversionRequest, Hold
from federation.conversion_moves import advance, answered, begin_reserving, give_back
from federation.credits import RecordNotActive, Reservation, ReservationPastDeadline, RuleReference

RULE = RuleReference(id="r", version=1, digest="0" * 64)
REQUEST = ConversionRequest(
    case_id="case",
    home="h",
    receiver="r",
    subject="s",
    credentials=("{}",),
    grant=None,  # nobody opens it here
)


def hold(place: int, state="asked", **changed) -> Hold:
    reservation = Reservation(
        id=f"case.0.{place}.1",
        lot_id=f"lot{place}",
        scope_key="scope",
        amount=100,
        unit="credit",
        receiver="r",
        rule=RULE,
        case_id="case",
        deadline_ms=1_000,
    )
    return Hold(reservation=reservation, issuer=f"issuer{place}", state=state, **changed)


def case_of(state: str, *holds: Hold) -> ConversionCase:
    return ConversionCase(request=REQUEST, sources=(), state=state, holds=holds)


def told(case, place, kind, *, is_accepted, code=""):
    case = answered(case, case.holds[place], kind, is_accepted=is_accepted, code=code, told=code)
    return advance(case, at_ms=1, deadline_ms=2_000)


def said(move):
    return [(message.kind, message.hold.reservation.id) for message in move.messages]


def test_what_an_issuer_will_not_use_up_is_let_go_there_and_the_reason_stays():
    case = case_of("committing", hold(1, "committed"), hold(2, "committing"))
    move = told(case, 1, "credit.commit", is_accepted=False, code=RecordNotActive.code)
    assert said(move) == [("credit.return", "case.0.1.1"), ("credit.void", "case.0.2.1")]
    move = told(move.case, 0, "credit.return", is_accepted=True)
    assert move.case.state == "returning"
    move = told(move.case, 1, "credit.void", is_accepted=True)
    assert move.case.state == "refused"
    assert RecordNotActive.code in move.case.history[-1].en


def test_a_reservation_past_its_deadline_is_asked_for_again_a_few_times():
    case = case_of("committing", hold(1, "committing"))
    ids = []
    for _ in range(2):
        move = told(case, 0, "credit.commit", is_accepted=False, code=ReservationPastDeadline.code)
        ids += said(move)
        case = told(move.case, 0, "credit.reserve", is_accepted=True).case
    assert ids == [("credit.reserve", "case.0.1.2"), ("credit.reserve", "case.0.1.3")]
    move = told(case, 0, "credit.commit", is_accepted=False, code=ReservationPastDeadline.code)
    assert said(move) == [("credit.void", "case.0.1.3")]


def test_credits_whose_receipt_is_not_believed_are_given_back():
    case = case_of("committing", hold(1, "committed"), hold(2, "committed", code="LLN-2640", told="amount"))
    move = give_back(case, at_ms=1)
    assert said(move) == [("credit.return", "case.0.1.1"), ("credit.return", "case.0.2.1")]
    move = told(told(move.case, 0, "credit.return", is_accepted=True).case, 1, "credit.return", is_accepted=True)
    assert move.case.state == "refused"
    assert "amount" in move.case.history[-1].en


def test_an_answer_that_comes_twice_changes_nothing_and_says_nothing():
    case = begin_reserving(case_of("reserving", hold(1), hold(2))).case
    once = told(case, 0, "credit.reserve", is_accepted=True)
    assert said(once) == []
    again = told(once.case, 0, "credit.reserve", is_accepted=False, code="late")
    assert (again.case, again.messages) == (once.case, ())


def test_a_commit_past_the_deadline_is_answered_alike_before_and_after_the_timer_ran():
    asked = structs.replace(hold(1).reservation, lot_id="lot")
    ledger = lots.grant("lot", amount=100, unit="credit", at_ms=0).ledger
    reserved = lots.reserve(ledger, asked, record_state="active", at_ms=1).ledger
    for held in (reserved, lots.lapse(reserved, asked.id, at_ms=1_000).ledger):
        with pytest.raises(ReservationPastDeadline):
            lots.commit(held, asked.id, record_state="active", at_ms=1_001)
