"""Two sides are compared: every pair of states, both directions, and what is on its way is no difference."""

from itertools import product
from typing import get_args

import pytest
from msgspec import structs

from federation.conversion_cases import Hold, HoldState
from federation.credits import HeldReservation, Reservation, ReservationState, RuleReference
from federation.naming import NodeName
from federation.receipts import receipt_of
from federation.reconciliation import GOES_WITH, compare, held_line, lent_line, said
from federation.signed_papers import sign_paper
from tests.support.credit_records import SIGNER

ISSUER = NodeName("a.lln.internal")
ASKED = Reservation(
    id="c1.0.1.1",
    lot_id="urn:uuid:00000000-0000-4000-8000-000000000001",
    scope_key="network",
    amount=250,
    unit="credit",
    receiver="b.lln.internal",
    rule=RuleReference(id="r", version=1, digest="0" * 64),
    case_id="c1",
    deadline_ms=1_000,
)


def lent(state="committed", asked=ASKED, now_ms=500):
    at_ms = None if state == "reserved" else 500
    kept = HeldReservation(reservation=asked, reserved_at_ms=1, state=state, settled_at_ms=at_ms)
    return lent_line(kept, issuer=ISSUER, at_ms=now_ms)


def held(state="committed", asked=ASKED, receipt=None):
    if receipt is None and state == "committed":
        committed = HeldReservation(reservation=asked, reserved_at_ms=1, state="committed", settled_at_ms=500)
        paper = receipt_of([committed], issuer=ISSUER, at_ms=500)
        receipt = sign_paper(paper, purpose="lln.receipt.v1", signer=SIGNER).decode()
    return held_line(Hold(reservation=asked, issuer=ISSUER, state=state, receipt=receipt or ""))


def by_id(*lines):
    return {line.reservation: line for line in lines}


def differences(ours, theirs):
    return [one.difference for one in compare(by_id(*ours), by_id(*theirs))]


@pytest.mark.parametrize("state", get_args(HoldState))
def test_each_state_of_a_hold_has_its_place_in_the_table(state):
    assert GOES_WITH[state]


@pytest.mark.parametrize(
    ("reservation", "hold"), list(product(get_args(ReservationState), get_args(HoldState))), ids=lambda state: state
)
def test_states_go_together_or_are_a_difference(reservation, hold):
    expected = [] if reservation in GOES_WITH[hold] else ["state"]
    assert differences([lent(reservation)], [held(hold)]) == expected


@pytest.mark.parametrize("hold", get_args(HoldState))
def test_what_the_issuer_does_not_know_is_a_difference_where_somebody_counts_on_it(hold):
    expected = ["unknown_to_issuer"] if hold in ("reserved", "committing", "committed") else []
    assert differences([], [held(hold)]) == expected


@pytest.mark.parametrize("reservation", get_args(ReservationState))
def test_what_the_receiver_does_not_know_is_a_difference_while_it_holds_credits(reservation):
    expected = ["unknown_to_receiver"] if reservation in ("reserved", "committed") else []
    assert differences([lent(reservation)], []) == expected


@pytest.mark.parametrize(
    "changed",
    [{"amount": 251}, {"scope_key": "other"}, {"deadline_ms": 1_001}, {"lot_id": "other"}, {"case_id": "c2"}],
)
def test_other_terms_are_a_difference(changed):
    other = structs.replace(ASKED, **changed)
    assert differences([lent()], [held(asked=other)]) == ["terms"]


@pytest.mark.parametrize("receipt", ["", "{}", "not a paper", '{"document":"{}","signature":"' + "0" * 128 + '"}'])
def test_another_receipt_is_a_difference(receipt):
    assert differences([lent()], [held(receipt=receipt)]) == ["receipt"]


def test_a_difference_says_where_it_is_and_what_each_says():
    [found] = compare(by_id(lent("given_back")), by_id(held()))
    assert (found.case, found.reservation, found.lot) == ("c1", ASKED.id, ASKED.lot_id)
    assert (found.issuer_says, found.receiver_says) == ("given_back 250 credit", "committed 250 credit")
    assert said(None) == "nothing"


def test_sound_books_are_equal_in_any_order():
    others = [structs.replace(ASKED, id=f"c{number}.0.1.1", case_id=f"c{number}") for number in range(5)]
    assert differences([lent(asked=one) for one in others], [held(asked=one) for one in reversed(others)]) == []


def test_what_is_overdue_at_the_issuer_has_lapsed():
    assert differences([lent("reserved")], []) == ["unknown_to_receiver"]
    assert differences([lent("reserved", now_ms=ASKED.deadline_ms)], []) == []
