"""Codes under which records are shown: who agrees, until when, what a look leaves behind, and what it tells nobody."""

from datetime import date
from itertools import count

import pytest

from federation import credentials, short_codes
from federation.naming import NodeName
from federation.short_codes import ProofUnknown
from federation.short_ids import ID_BYTES, write_id
from node.desk.credits import ProofAsked
from node.desk.learners import ConsentNamed
from node.ports.crediting import LearnerRow, RecordRow
from node.usecases.agreeing import AgeUnknown, GuardianNeeded
from node.usecases.consenting import Consenting
from node.usecases.disclosing import LearnerUnknown, RecordElsewhere, keep_secret, rows_of
from node.usecases.presenting import LOOKS_PER_MINUTE, Presenting, ProofTooLarge, TooManyLooks
from tests.support.credit_records import NOW_MS, SIGNER, full_record, uuid
from tests.support.machine import HandClock
from tests.support.stores import OWN, opened

LOOKER = NodeName("far.lln.internal")
ADULT, CHILD, UNKNOWN = (write_id("L", bytes([number]) * ID_BYTES) for number in (1, 2, 3))
FIRST = (uuid(1),)


class Counted:
    """Bytes that are never the same twice."""

    def __init__(self):
        self._numbers = count(1)

    def token(self, size_bytes):
        return next(self._numbers).to_bytes(size_bytes, "big")


class Office:
    def __init__(self, store):
        self.store = store
        self.clock = HandClock(NOW_MS)
        parts = {"store": store, "clock": self.clock, "randomness": Counted()}
        self.presenting = Presenting(**parts, own_name=OWN.origin)
        self.consenting = Consenting(**parts)

    async def prove(self, learner=ADULT, records=FIRST, **asked):
        asked = {"confirmed": True, "days": 2} | asked
        return await self.presenting.prove(ProofAsked(learner=learner, records=records, **asked))

    async def disclosures(self, learner=ADULT):
        return await self.store.read(lambda tx: list(rows_of(tx.credits.disclosures, learner)))

    async def kept(self):
        return await self.store.read(lambda tx: (tx.credits.proofs.all(), tx.credits.consents.all()))


@pytest.fixture
async def office(tmp_path):
    async with opened(tmp_path / "node.sqlite") as store:
        made = Office(store)

        def rows(tx):
            keep_secret(tx, Counted())
            for learner, born in ((ADULT, date(1961, 3, 5)), (CHILD, date(2020, 1, 1)), (UNKNOWN, None)):
                tx.credits.learners.put([account(learner, born)])
            tx.credits.records.put([held(1, ADULT), held(2, ADULT), held(3, CHILD), held(4, UNKNOWN)])

        await store.write(rows)
        yield made


def account(learner, born):
    return LearnerRow(
        id=learner, name="沈", guardian="母亲", birth_date=born, registered_at_ms=NOW_MS, changed_at_ms=NOW_MS
    )


def held(number, owner, document=None):
    record = full_record(id=uuid(number))
    return RecordRow(
        id=record.id,
        owner=owner,
        document=document or credentials.issue(record, SIGNER, NOW_MS),
        sha256="0" * 64,
        issuer=record.issuer.node,
        home=OWN.origin,
        is_own=False,
        achievement=record.achievement.id,
        unit=record.amount.unit,
        hundredths=record.amount.hundredths,
        achieved_on=record.achieved_on,
        issued_at_ms=NOW_MS,
        changed_at_ms=NOW_MS,
    )


async def test_without_a_yes_the_words_are_told_and_nothing_is_kept(office):
    told = await office.prove(confirmed=False)
    assert (told.code, "持有证明码的人" in told.consent.zh, "whoever holds the proof code" in told.consent.en) == (
        "",
        1,
        1,
    )
    assert await office.kept() == ([], [])


async def test_a_look_shows_exactly_the_records_and_is_written_down_with_who_looked(office):
    made = await office.prove(records=(uuid(1), uuid(1)))
    assert short_codes.read(made.code) == made.code
    shown = await office.presenting.look(LOOKER, made.code)
    assert [credentials.read(one.credential).id for one in shown.records] == [uuid(1)]
    [seen] = await office.disclosures()
    assert (seen.recipient, seen.purpose, seen.records, seen.consent) == (
        LOOKER,
        "present",
        (uuid(1),),
        made.consent.id,
    )


async def test_wrong_over_withdrawn_and_gone_are_one_answer(office):
    first, second, third = [await office.prove() for _ in range(3)]
    await office.consenting.withdraw(ConsentNamed(consent=second.consent.id))
    await office.store.write(lambda tx: tx.credits.consents.drop(third.consent.id))
    wrong = short_codes.new(b"\xff" * 9)
    told = set()
    for code in (wrong, second.code, third.code, "", "x" * 16):
        with pytest.raises(ProofUnknown) as refused:
            await office.presenting.look(LOOKER, code)
        told.add(str(refused.value))
    await office.presenting.look(LOOKER, first.code)
    office.clock.move(s=2 * 86_400)
    with pytest.raises(ProofUnknown) as over:
        await office.presenting.look(LOOKER, first.code)
    assert told == {str(over.value)}
    assert len(await office.disclosures()) == 1
    for code in (first.code, second.code, wrong):
        assert await office.presenting.records_of(code) is None


async def test_a_caller_has_a_number_of_tries_and_another_is_not_held_up_by_it(office):
    made = await office.prove()
    for _ in range(LOOKS_PER_MINUTE):
        with pytest.raises(ProofUnknown):
            await office.presenting.look(LOOKER, short_codes.new(b"\x01" * 9))
    with pytest.raises(TooManyLooks):
        await office.presenting.look(LOOKER, made.code)
    assert (await office.presenting.look(NodeName("b.lln.internal"), made.code)).records
    office.clock.move(s=61)
    assert (await office.presenting.look(LOOKER, made.code)).records


async def test_who_has_to_agree_agrees(office):
    with pytest.raises(GuardianNeeded):
        await office.prove(CHILD, (uuid(3),))
    with pytest.raises(AgeUnknown):
        await office.prove(UNKNOWN, (uuid(4),))
    with pytest.raises(RecordElsewhere):
        await office.prove(ADULT, (uuid(1), uuid(3)))
    with pytest.raises(LearnerUnknown):
        await office.prove(write_id("L", bytes(ID_BYTES)))
    assert (await office.kept()) == ([], [])
    made = await office.prove(CHILD, (uuid(3),), by_guardian=True)
    assert (made.consent.by, "监护人" in made.consent.zh) == ("guardian", True)


async def test_more_than_fits_one_answer_is_refused_before_anything_is_given_out(office):
    large = [held(number, ADULT, document=bytes(60_000)) for number in range(10, 30)]
    await office.store.write(lambda tx: tx.credits.records.put(large))
    with pytest.raises(ProofTooLarge):
        await office.prove(records=tuple(one.id for one in large))
    assert (await office.kept()) == ([], [])


@pytest.mark.parametrize("typed", ["{}\n", " {} ", "{}\u3000", "\t{}\r\n"], ids=["line", "blanks", "wide", "tab"])
def test_a_code_copied_from_a_page_with_what_stands_around_it_is_read(typed):
    code = short_codes.new(bytes(range(9)))
    assert short_codes.read(typed.format(short_codes.grouped(code))) == code
