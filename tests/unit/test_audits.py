"""An audit finds nothing in a ledger that came about by its own steps, and something in one that was tampered with."""

from contextlib import suppress
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from federation import canonical, credit_log
from federation import credits as lots
from federation.audits import KeptLot, Totals, WrittenEvent, WrittenRecord, check_lot, check_record, check_scopes
from federation.credit_log import CreditEvent
from federation.credits import LotLedger, Reservation, RuleReference
from federation.errors import Conflict
from federation.merkle import leaf_hash
from federation.naming import NodeName

NODE = NodeName("a.lln.internal")
RECORD = "urn:uuid:00000000-0000-4000-8000-000000000001"
SHA256 = "ab" * 32
RULE = RuleReference(id="r", version=1, digest="0" * 64)


class Lived(NamedTuple):
    record: WrittenRecord
    history: list[WrittenEvent]
    ledger: LotLedger | None
    draw: Random


def written(number, lot, *, step=None):
    """An event as it is written down and logged."""
    details = canonical.encode({"step": step or "", "lot": canonical.encode(lot).decode() if lot else ""})
    kind = step or ("issue" if number == 1 else "reserve")
    event = CreditEvent(
        kind=kind,
        credential=RECORD,
        sha256=SHA256,
        at_ms=number,
        about=f"sha256:{canonical.digest(details).hex()}",
    )
    salt = bytes([number % 256]) * 32
    document, entry = credit_log.commit(event, issuer=NODE, salt=salt)
    return WrittenEvent(
        number=number,
        kind=kind,
        document=document,
        salt=salt,
        details=details,
        step=step,
        lot=lot,
        log_index=number,
        leaves=((NODE, leaf_hash(canonical.encode(entry))),),
    )


def lived(seed):
    """A record, its history and its lot after some steps that were drawn."""
    draw = Random(seed)  # noqa: S311  # not a secret
    made = lots.grant(RECORD, amount=draw.randrange(1_000), unit="credit", at_ms=1)
    granted = made.ledger.lot.granted
    ledger, history, state = made.ledger, [written(1, made.event)], "active"
    for at in range(2, 2 + draw.randrange(14)):
        with suppress(Conflict):
            match draw.randrange(6):
                case 0 | 1:
                    made = lots.reserve(ledger, asking(f"r{at}", draw), record_state=state, at_ms=at)
                case 2 | 3 | 4:
                    name = draw.choice([held.reservation.id for held in ledger.reservations] or ["none"])
                    ends = draw.choice((lots.void, lots.give_back, lots.commit))
                    more = {"record_state": state} if ends is lots.commit else {}
                    made = ends(ledger, name, at_ms=at, **more)
                case _:
                    step = draw.choice(("suspend", "resume", "revoke"))
                    state = lots.next_record_state(state, step)
                    history.append(written(len(history) + 1, None, step=step))
                    continue
            if not made.is_repeat:
                ledger = made.ledger
                history.append(written(len(history) + 1, made.event))
    record = WrittenRecord(
        id=RECORD,
        state=state,
        unit="credit",
        hundredths=granted,
        digest=SHA256,
        sha256=SHA256,
        events=len(history),
        is_own=True,
    )
    return Lived(record, history, ledger, draw)


def asking(name, draw):
    return Reservation(
        id=name,
        lot_id=RECORD,
        scope_key=draw.choice(("one", "two", "three")),
        amount=draw.randrange(400),
        unit="credit",
        receiver="school.lln.internal",
        rule=RULE,
        case_id="case-1",
        deadline_ms=1_000,
    )


@given(st.integers(0, 2**40))
def test_what_came_about_step_by_step_holds(seed):
    record, history, ledger, _ = lived(seed)
    assert check_record(record, history, ledger) == []
    totals, lot = Totals(), ledger.lot
    totals.count_events(event.lot for event in history if event.lot is not None)
    totals.count_lot(kept(lot))
    assert totals.check() == []
    assert check_lot(kept(lot)) == []


def kept(lot, **changed):
    numbers = {name: getattr(lot, name) for name in ("id", "unit", "granted", "reserved", "consumed", "cancelled")}
    return KeptLot(**(numbers | changed))


TAMPERINGS = {
    "a lot that grew": lambda one: one._replace(ledger=grown(one.ledger)),
    "an event less": lambda one: one._replace(history=without(one)),
    "an event twice": lambda one: one._replace(history=[*one.history, one.draw.choice(one.history)]),
    "backwards, and the last again": lambda one: one._replace(history=one.history[::-1] + one.history[:1]),
    "another amount": lambda one: changed(one, hundredths=one.record.hundredths + 1),
    "another state": lambda one: changed(one, state="expired"),
    "other bytes": lambda one: changed(one, digest="cd" * 32),
    "another credential": lambda one: changed(one, digest="cd" * 32, sha256="cd" * 32),
    "no lot": lambda one: one._replace(ledger=None),
    "another salt": lambda one: spoilt(one, salt=b"x" * 32),
    "a short salt": lambda one: spoilt(one, salt=b"x"),
    "other details": lambda one: spoilt(one, details=b"{}"),
    "no document": lambda one: spoilt(one, document=b"{"),
    "no entry": lambda one: spoilt(one, leaves=()),
    "another entry": lambda one: spoilt(one, leaves=((NODE, bytes(32)),)),
}


def grown(ledger):
    return structs.replace(ledger, lot=structs.replace(ledger.lot, granted=ledger.lot.granted + 1))


def without(one):
    at = one.draw.randrange(len(one.history))
    return one.history[:at] + one.history[at + 1 :]


def changed(one, **fields):
    return one._replace(record=structs.replace(one.record, **fields))


def spoilt(one, **fields):
    at = one.draw.randrange(len(one.history))
    event = structs.replace(one.history[at], **fields)
    return one._replace(history=[*one.history[:at], event, *one.history[at + 1 :]])


@pytest.mark.parametrize("how", TAMPERINGS)
@given(seed=st.integers(0, 2**40))
def test_tampering_is_found(how, seed):
    one = TAMPERINGS[how](lived(seed))
    assert check_record(one.record, one.history, one.ledger) != []


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ({"granted": 100, "consumed": 60, "reserved": 41}, "1.01 used, reserved or cancelled of 1 credit granted"),
        ({"granted": -1}, "granted is -0.01"),
        ({"granted": 100, "cancelled": -5}, "cancelled is -0.05"),
    ],
)
def test_a_lot_that_cannot_be_is_found(numbers, found):
    assert found in {fault.found for fault in check_lot(KeptLot(id="l", unit="credit", **numbers))}


def test_a_scope_used_twice_is_found():
    ledger = lots.grant(RECORD, amount=800, unit="credit", at_ms=1).ledger
    draw = Random(1)  # noqa: S311  # not a secret
    asked = structs.replace(asking("r1", draw), scope_key="one")
    ledger = lots.reserve(ledger, asked, record_state="active", at_ms=2).ledger
    assert check_scopes(ledger) == []
    [held] = ledger.reservations
    again = structs.replace(held, reservation=structs.replace(asked, id="r2"))
    [fault] = check_scopes(structs.replace(ledger, reservations=(held, again)))
    assert (fault.check, fault.found) == ("scope", "used more than once in one scope, by r1, r2")


def test_units_are_summed_apart():
    totals = Totals()
    for unit, amount in (("credit", 100), ("hour", 50)):
        totals.count_events([lots.grant("l", amount=amount, unit=unit, at_ms=1).event])
    totals.count_lot(KeptLot(id="l", unit="credit", granted=50))
    totals.count_lot(KeptLot(id="l", unit="hour", granted=100))
    assert [(fault.subject, fault.found) for fault in totals.check()] == [
        ("credit", "debits 0.5, credits 1"),
        ("hour", "debits 1, credits 0.5"),
    ]
