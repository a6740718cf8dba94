"""Accounts and consents on real stores: registered, imported, shown, disclosed, exported and erased."""

import io
import json
import zipfile
from datetime import UTC, date, datetime

import msgspec
import pytest

from federation.naming import NodeName
from federation.pseudonyms import Handle
from node import desk
from node.ports.crediting import CreditEventRow, ProofRow, RecordRow, RequestRow
from node.usecases import agreeing, consenting, disclosing, erasing, registering
from node.usecases.consenting import Consenting
from node.usecases.disclosing import (
    ConsentLacking,
    ConsentUnknown,
    LearnerGone,
    LearnerUnknown,
    RecordElsewhere,
    disclose,
    learner_behind,
    pseudonym_for,
)
from node.usecases.erasing import CaseUnderWay, Erasing
from node.usecases.exporting import Exporting
from node.usecases.registering import NumberTaken, Registering, UnfitPerson
from node.usecases.showing import Showing
from tests.support.people import identity_number
from tests.support.stores import opened

HOME, B, C = NodeName("school.lln.internal"), NodeName("b.lln.internal"), NodeName("c.lln.internal")
NOW_MS = int(datetime(2026, 11, 25, 2, tzinfo=UTC).timestamp() * 1_000)
DAY_MS = 86_400_000
NUMBER, CHILD, ELDER = (identity_number(born) for born in ("19900228", "20150101", "19450815"))
OWN, OTHERS = "urn:uuid:00000000-0000-4000-8000-000000000001", "urn:uuid:00000000-0000-4000-8000-000000000002"


class Time:
    def __init__(self):
        self.ms = NOW_MS

    def now_ms(self):
        return self.ms


class Chance:
    def __init__(self):
        self.count = 0

    def token(self, size_bytes):
        self.count += 1
        return self.count.to_bytes(size_bytes, "big")


class Office:
    """The use cases around one store, as the desk has them."""

    def __init__(self, store):
        self.store, self.time, self.chance = store, Time(), Chance()
        parts = {"store": store, "clock": self.time}
        self.registering = Registering(**parts, randomness=self.chance)
        self.showing = Showing(**parts, own_name=HOME)
        self.consenting = Consenting(**parts, randomness=self.chance)
        self.exporting = Exporting(**parts, formats=(_extra,))
        self.erasing = Erasing(**parts, kept_years=30)

    async def register(self, **said):
        return await self.registering.register(desk.RegisterAsked(written=desk_written(**said)))

    async def change(self, learner, *emptied, **said):
        asked = desk.ChangeAsked(learner=learner, written=desk_written(**({"name": ""} | said)), emptied=emptied)
        return await self.registering.change(asked)

    async def take_in(self, *rows, apply=True):
        written = tuple(desk.LearnerWritten(row=at, written=desk_written(**row)) for at, row in enumerate(rows, 2))
        return (await self.registering.import_learners(desk.LearnersImportAsked(rows=written, apply=apply))).rows

    async def give(self, learner, **asked):
        asked = {"purpose": "convert", "fields": ("records",), "recipient": B, "every_record": True} | asked
        return await self.consenting.give(desk.ConsentAsked(learner=learner, confirmed=True, **asked))

    async def disclose(self, learner, consent, **use):
        use = {"recipient": B, "purpose": "convert", "fields": ("records",), "records": (OWN,)} | use
        return await self.store.write(lambda tx: disclose(tx, learner, consent, **use, now_ms=self.time.ms, home=HOME))

    async def keep_records(self, learner):
        def unit(tx):
            tx.credits.records.put([record(OWN, learner, HOME), record(OTHERS, learner, B)])
            event = {"document": b"{}", "salt": "salt-of-the-other", "log_index": 0, "at_ms": 1}
            tx.credits.events.put([CreditEventRow(id=f"{OTHERS}/000001", owner=OTHERS, state="issue", **event)])
            tx.credits.events.put([CreditEventRow(id=f"{OWN}/000001", owner=OWN, state="issue", **event)])
            tx.credits.proofs.put(
                [ProofRow(id="P1", owner=learner, records=(OWN,), consent="", until_ms=1, made_at_ms=1)]
            )

        await self.store.write(unit)


def _extra(account, records):
    return {"extra/x.txt": f"{account.id} {len(records)}".encode()}


def desk_written(**said):
    return registering.Written(**({"name": "某某"} | said))


def record(key, owner, issuer):
    return RecordRow(
        id=key,
        owner=owner,
        document=json.dumps({"id": key}).encode(),
        sha256="0" * 64,
        issuer=issuer,
        home=HOME,
        is_own=issuer == HOME,
        achievement="urn:lln:x@1",
        unit="credit",
        hundredths=100,
        achieved_on=date(2024, 2, 29),
        issued_at_ms=int(datetime(2024, 2, 28, 20, tzinfo=UTC).timestamp() * 1_000),
        changed_at_ms=1,
    )


def request_of(owner, state):
    return RequestRow(
        id="c1",
        owner=owner,
        state=state,
        request=b'{"case":"c1"}',
        receiver=B,
        records=(OWN,),
        consent="",
        asked_at_ms=1,
        changed_at_ms=1,
    )


@pytest.fixture
async def office(place):
    async with opened(place) as store:
        yield Office(store)


# --- accounts --------------------------------------------------------------------------------------------------------


async def test_a_learner_is_registered_and_shown_without_the_number(office):
    learner = await office.register(name="欧阳测试", identity_number=NUMBER, contact="13800000000")
    shown = await office.showing.show(learner)
    assert (shown.name, shown.identity_number, shown.birth_date) == (
        "欧阳测试",
        "999999********" + NUMBER[-4:],
        date(1990, 2, 28),
    )
    assert shown.consent_by == "learner"
    assert NUMBER not in msgspec.json.encode(shown).decode()
    listed = await office.showing.list_learners(desk.LearnersAsked())
    assert [row.id for row in listed.rows] == [learner]
    assert NUMBER not in msgspec.json.encode(listed).decode()


async def test_a_number_belongs_to_one_account(office):
    first = await office.register(identity_number=NUMBER, student_number="1")
    for said in ({"identity_number": NUMBER.lower()}, {"student_number": "1"}):
        with pytest.raises(NumberTaken) as taken:
            await office.register(**said)
        assert taken.value.subject == first
        assert NUMBER not in str(taken.value)
    with pytest.raises(UnfitPerson) as unfit:
        await office.register(identity_number=NUMBER[:-1] + ("1" if NUMBER[-1] != "1" else "2"))
    assert NUMBER[:-1] not in str(unfit.value)


async def test_an_account_is_put_right(office):
    learner = await office.register(identity_number=NUMBER, guardian="甲", contact="1")
    other = await office.register(student_number="7")
    await office.change(learner, "guardian", contact="2", identity_number=CHILD)
    shown = await office.showing.show(learner)
    assert (shown.guardian, shown.contact, shown.birth_date) == ("", "2", date(2015, 1, 1))
    await office.change(learner, "identity_number")
    shown = await office.showing.show(learner)
    assert (shown.identity_number, shown.birth_date) == ("", date(2015, 1, 1))
    with pytest.raises(NumberTaken):
        await office.change(learner, student_number="7")
    with pytest.raises(UnfitPerson):
        await office.change(learner, identity_number=NUMBER)  # the birth date on record is another
    with pytest.raises(LearnerUnknown):
        await office.change("L" + "0" * 16, contact="3")
    assert (await office.showing.show(other)).student_number == "7"


async def test_a_sheet_is_planned_then_written_and_changes_nothing_the_second_time(office):
    rows = ({"name": "甲", "identity_number": NUMBER}, {"name": "乙", "student_number": "2"})
    assert [row.change for row in await office.take_in(*rows, apply=False)] == ["add", "add"]
    assert not (await office.showing.list_learners(desk.LearnersAsked())).rows
    written = await office.take_in(*rows)
    assert [row.change for row in written] == ["add", "add"]
    office.time.ms += 1
    again = await office.take_in(*rows)
    assert [(row.change, row.id) for row in again] == [("same", row.id) for row in written]
    assert (await office.showing.show(written[0].id)).changed_at_ms == NOW_MS


async def test_a_row_changes_what_it_says_and_leaves_what_it_does_not(office):
    (first,) = await office.take_in({"name": "甲", "identity_number": NUMBER, "contact": "1", "guardian": "丙"})
    (second,) = await office.take_in({"name": "甲甲", "identity_number": NUMBER, "student_number": "5"})
    assert (second.change, second.id, second.changed) == ("update", first.id, ("name", "student_number"))
    (third,) = await office.take_in({"name": "甲甲", "student_number": "5"})
    assert (third.change, third.id) == ("same", first.id)
    shown = await office.showing.show(first.id)
    assert (shown.contact, shown.guardian, shown.student_number) == ("1", "丙", "5")


async def test_rows_that_mean_nobody_or_two_are_refused_and_the_others_stand(office):
    held = await office.take_in({"identity_number": NUMBER, "student_number": "1"}, {"student_number": "2"})
    rows = await office.take_in(
        {"identity_number": NUMBER, "student_number": "2"},
        {"name": "没有号码"},
        {"identity_number": CHILD, "student_number": "1"},
        {"identity_number": ELDER, "student_number": "9"},
        {"student_number": "9"},
        {"name": "", "student_number": "8"},
        {"student_number": "3"},
    )
    assert [row.change for row in rows] == ["refused"] * 3 + ["add", "refused", "refused", "add"]
    assert [row.row for row in rows] == list(range(2, 9))
    assert held[0].id in rows[0].reason_en
    assert held[1].id in rows[0].reason_en
    assert held[0].id in rows[2].reason_en
    assert "row 5" in rows[4].reason_en
    assert rows[5].changed == ("name",)
    assert all(row.reason_zh and row.remedy_zh and row.remedy_en for row in rows if row.change == "refused")
    assert NUMBER not in msgspec.json.encode(rows).decode()


async def test_handles_are_the_learners_own_and_lead_back_home(office):
    first, second = await office.register(), await office.register()
    handles = [
        Handle.parse((await office.showing.handle(desk.HandleAsked(learner=learner, node=node))).handle)
        for learner, node in ((first, B), (first, B), (first, C), (second, B))
    ]
    assert handles[0] == handles[1]
    assert len({handle.subject for handle in handles}) == 3
    assert {handle.home for handle in handles} == {HOME}
    assert (await office.store.read(lambda tx: learner_behind(tx, handles[2].subject))).id == first
    assert await office.store.read(lambda tx: learner_behind(tx, "urn:lln:learner:nobody")) is None
    assert [one.node for one in (await office.showing.show(first)).pseudonyms] == [B, C]


# --- consents --------------------------------------------------------------------------------------------------------


async def test_nothing_is_kept_before_the_words_are_agreed_to(office):
    learner = await office.register(birth_date="1990-01-01")
    asked = desk.ConsentAsked(learner=learner, purpose="convert", fields=("name",), recipient=B)
    told = await office.consenting.give(asked)
    assert B in told.zh
    assert not (await office.showing.list_consents(desk.LearnerNamed(learner=learner))).consents


async def test_a_consent_for_one_use_is_used_up_and_every_disclosure_is_seen(office):
    learner = await office.register(birth_date="1990-01-01")
    await office.keep_records(learner)
    given = await office.give(learner)
    grant = await office.disclose(learner, given.id)
    assert (grant.home, grant.recipient, grant.records, grant.uses) == (HOME, B, (OWN,), "one")
    assert grant.subject == await office.store.write(lambda tx: pseudonym_for(tx, learner, B))
    assert learner not in msgspec.json.encode(grant).decode()
    with pytest.raises(ConsentLacking, match="one use"):
        await office.disclose(learner, given.id)
    shown = await office.showing.show(learner)
    assert [(one.state, one.disclosed) for one in shown.consents] == [("used", 1)]
    assert [(one.recipient, one.records, one.consent) for one in shown.disclosures] == [(B, (OWN,), given.id)]
    with pytest.raises(consenting.ConsentOver):
        await office.consenting.withdraw(desk.ConsentNamed(consent=given.id))


async def test_a_unit_that_fails_after_a_disclosure_uses_nothing_up(office):
    learner = await office.register(birth_date="1990-01-01")
    await office.keep_records(learner)
    given = await office.give(learner)

    def unit(tx):
        use = {"recipient": B, "purpose": "convert", "fields": ("records",), "records": (OWN,)}
        disclose(tx, learner, given.id, **use, now_ms=NOW_MS, home=HOME)
        raise ValueError("on second thoughts")

    with pytest.raises(ValueError, match="second thoughts"):
        await office.store.write(unit)
    assert not (await office.showing.show(learner)).disclosures
    assert (await office.disclose(learner, given.id)).id == f"{given.id}/000001"


async def test_a_withdrawal_stops_every_later_use(office):
    learner = await office.register(birth_date="1990-01-01")
    await office.keep_records(learner)
    given = await office.give(learner, uses="many")
    for at in (1, 2):
        assert (await office.disclose(learner, given.id)).id == f"{given.id}/{at:06d}"
    withdrawn = await office.consenting.withdraw(desk.ConsentNamed(consent=given.id))
    assert (withdrawn.state, withdrawn.ended_at_ms) == ("withdrawn", NOW_MS)
    office.time.ms += 5
    assert (await office.consenting.withdraw(desk.ConsentNamed(consent=given.id))).ended_at_ms == NOW_MS
    with pytest.raises(ConsentLacking, match="withdrawn"):
        await office.disclose(learner, given.id)
    assert len((await office.showing.show(learner)).disclosures) == 2


async def test_what_a_consent_does_not_cover_is_not_disclosed(office):
    learner, other = await office.register(birth_date="1990-01-01"), await office.register(birth_date="1990-01-01")
    await office.keep_records(learner)
    given = await office.give(learner, days=1)
    for use in ({"recipient": C}, {"purpose": "transfer"}, {"fields": ("records", "name")}):
        with pytest.raises(ConsentLacking):
            await office.disclose(learner, given.id, **use)
    with pytest.raises(RecordElsewhere):
        await office.disclose(learner, given.id, records=("urn:uuid:00000000-0000-4000-8000-000000000009",))
    elsewhere = await office.give(other)
    with pytest.raises(RecordElsewhere):  # every record of theirs, not of somebody else
        await office.disclose(other, elsewhere.id)
    for wrong in ((other, given.id), (learner, "C" + "0" * 16)):
        with pytest.raises(ConsentUnknown):
            await office.disclose(*wrong)
    office.time.ms += DAY_MS
    with pytest.raises(ConsentLacking, match="over"):
        await office.disclose(learner, given.id)
    assert [one.state for one in (await office.showing.show(learner)).consents] == ["expired"]


async def test_a_proof_may_be_shown_to_whoever_holds_its_code(office):
    learner = await office.register(birth_date="1990-01-01")
    await office.keep_records(learner)
    given = await office.give(learner, purpose="present", recipient="bearer", fields=("records", "name"), uses="many")
    grant = await office.disclose(
        learner, given.id, purpose="present", recipient="bearer", fields=("name",), records=()
    )
    assert (grant.subject, grant.recipient) == (None, "bearer")


async def test_who_may_agree(office):
    child = await office.register(identity_number=CHILD)
    with pytest.raises(agreeing.GuardianNeeded):
        await office.give(child)
    with pytest.raises(agreeing.GuardianNeeded):
        await office.give(child, by_guardian=True)  # nobody is on record
    await office.change(child, guardian="监护某")
    with pytest.raises(agreeing.GuardianNeeded):
        await office.give(child)
    given = await office.give(child, by_guardian=True)
    assert given.by == "guardian"
    assert "监护某" not in msgspec.json.encode(given).decode()
    grown = await office.register(birth_date="2012-11-25")  # fourteen today in China
    with pytest.raises(agreeing.GuardianNotNeeded):
        await office.give(grown, by_guardian=True)
    assert (await office.give(grown)).by == "learner"
    with pytest.raises(agreeing.AgeUnknown):
        await office.give(await office.register())


async def test_consents_that_are_not_whole_are_refused(office):
    learner = await office.register(birth_date="1990-01-01")
    for asked in ({"every_record": False}, {"fields": ("name",)}, {"fields": ("name", "name"), "every_record": False}):
        with pytest.raises(agreeing.UnfitConsent):
            await office.give(learner, **asked)
    with pytest.raises(RecordElsewhere):
        await office.give(learner, every_record=False, records=(OWN,))


# --- export and erasure ----------------------------------------------------------------------------------------------


async def test_an_export_holds_everything_and_is_the_same_twice(office):
    learner = await office.register(name="欧阳测试", identity_number=NUMBER)
    await office.keep_records(learner)
    await office.store.write(lambda tx: tx.credits.requests.put([request_of(learner, "reviewing")]))
    given = await office.give(learner)
    await office.disclose(learner, given.id)
    made = await office.exporting.export(desk.LearnerNamed(learner=learner))
    assert made == await office.exporting.export(desk.LearnerNamed(learner=learner))
    assert NUMBER not in repr(made)
    with zipfile.ZipFile(io.BytesIO(made.archive)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert tuple(files) == made.files
    account = json.loads(files["account.json"])
    assert (account["name"], account["identity_number"]) == ("欧阳测试", NUMBER)
    assert files[f"credentials/{OTHERS.removeprefix('urn:uuid:')}.json"] == json.dumps({"id": OTHERS}).encode()
    assert {one["id"] for one in json.loads(files["records.json"])} == {OWN, OTHERS}
    assert json.loads(files["consents.json"])[0]["shown"]["state"] == "used"
    assert json.loads(files["disclosures.json"])[0]["recipient"] == B
    assert json.loads(files["pseudonyms.json"])[0]["node"] == B
    assert json.loads(files["proofs.json"])[0]["id"] == "P1"
    assert "credentials/" in files["README.txt"].decode()
    assert json.loads(files["requests.json"])[0]["request"] == {"case": "c1"}
    assert json.loads(files["requests.json"])[0]["news"] is None
    assert files["extra/x.txt"] == f"{learner} 2".encode()


async def test_an_erasure_is_told_first_and_leaves_what_the_law_keeps(office):
    learner = await office.register(name="欧阳测试", identity_number=NUMBER, student_number="2026001")
    await office.keep_records(learner)
    subject = await office.store.write(lambda tx: pseudonym_for(tx, learner, HOME))
    given = await office.give(learner)
    await office.disclose(learner, given.id)
    told = await office.erasing.erase(desk.EraseAsked(learner=learner))
    assert (told.erased, (await office.showing.show(learner)).name) == (False, "欧阳测试")
    done = await office.erasing.erase(desk.EraseAsked(learner=learner, confirmed=True))
    assert done == msgspec.structs.replace(told, erased=True)
    assert done.gone == {"account": 1, "record": 1, "pseudonym": 2, "consent": 1, "disclosure": 1, "proof": 1}
    assert [(one.id, one.until) for one in done.kept] == [(OWN, date(2054, 3, 1))]
    assert "四十七" in done.basis_zh

    def left(tx):
        shelves = tx.credits
        assert not list(shelves.consents.all()) + list(shelves.disclosures.all()) + list(shelves.pseudonyms.all())
        assert shelves.learners.by_identity_number(NUMBER) is None
        assert shelves.learners.by_student_number("2026001") is None
        assert shelves.records.get(OTHERS) is None
        assert not shelves.events.of(OTHERS)
        assert shelves.events.of(OWN)
        return shelves.records.get(OWN)

    kept = await office.store.read(left)
    assert (kept.owner, kept.document) == (subject, json.dumps({"id": OWN}).encode())
    again = await office.erasing.erase(desk.EraseAsked(learner=learner, confirmed=True))
    assert (again.gone, again.kept) == ({}, ())
    assert (await office.showing.show(learner)).state == "erased"
    with pytest.raises(LearnerGone):
        await office.give(learner)
    fresh = await office.register(identity_number=NUMBER)
    assert fresh != learner


async def test_an_account_with_a_request_under_way_is_not_erased(office):
    learner = await office.register(identity_number=NUMBER)
    request = request_of(learner, "reviewing")
    await office.store.write(lambda tx: tx.credits.requests.put([request]))
    with pytest.raises(CaseUnderWay):
        await office.erasing.erase(desk.EraseAsked(learner=learner))
    settled = msgspec.structs.replace(request, state="converted")
    await office.store.write(lambda tx: tx.credits.requests.put([settled]))
    done = await office.erasing.erase(desk.EraseAsked(learner=learner, confirmed=True))
    assert done.gone == {"account": 1, "request": 1}


async def test_errors_about_learners_name_nobody(office):
    assert disclosing.LearnerUnknown("L1").subject == "L1"
    with pytest.raises(LearnerUnknown):
        await office.showing.show("L" + "0" * 16)
    with pytest.raises(LearnerUnknown):
        await office.erasing.erase(desk.EraseAsked(learner="L" + "0" * 16))
    assert erasing.ScrubPending.code
