"""A learner's account moves from Jinshan to Haining, on real stores: whole or not at all, and to one home at a time."""

import msgspec
import pytest

from federation import credentials
from federation.short_ids import write_id
from node.ports import Delivered, Refused
from node.usecases.disclosing import ConsentLacking, LearnerGone
from node.usecases.relocating import CodeTaken, NowhereToMove
from node.usecases.settling import ItemDropped, settle
from tests.support.banks import banks
from tests.support.people import identity_number
from tests.support.small_network import found

ROOT = found()
JINSHAN, HAINING = ROOT.admit("shanghai").admit("jinshan"), ROOT.admit("zhejiang").admit("haining")
JIASHAN = ROOT.admit("jiashan")
OLD, NEW, OTHER = JINSHAN.name, HAINING.name, JIASHAN.name
NUMBER = identity_number("19610305")
TEA = {
    "code": "tea",
    "name": {"zh": "茶艺"},
    "kind": "other_non_formal",
    "credits": {"unit": "credit", "hundredths": 250},
}


@pytest.fixture
async def there(tmp_path):
    async with banks(tmp_path, JINSHAN, HAINING, JIASHAN) as made:
        yield made


async def agreed(home, learner, to, purpose="transfer"):
    given = await home.ask(
        "consent.give",
        learner=learner,
        purpose=purpose,
        fields=("records",),
        recipient=to,
        every_record=True,
        confirmed=True,
    )
    return given.id


async def pseudonyms(home, learner):
    return {one.node: one.subject for one in (await home.ask("learner.show", learner=learner)).pseudonyms}


class Mover:
    """A learner of Jinshan with records of three counties, on the way to Haining."""

    def __init__(self, there):
        self.there, self.old, self.new = there, there[OLD], there[NEW]

    async def prepare(self):
        written = {"name": "沈小满", "identity_number": NUMBER}
        self.learner = (await self.old.ask("learner.register", written=written)).id
        self.records = [await self.earn(issuer) for issuer in (OLD, NEW, OTHER)]
        self.account = (await self.new.ask("learner.register", written=written)).id
        await self.agree()
        return self

    async def earn(self, issuer, on="2026-05-01"):
        await self.there[issuer].ask("achievement.define", **TEA)
        handle = (await self.old.ask("learner.handle", learner=self.learner, node=issuer)).handle
        rows = [{"row": 1, "learner": handle, "achievement": "tea", "achieved_on": on}]
        plan = await self.there[issuer].ask("credit.issue", rows=rows, by="王老师", apply=True)
        await self.there.carry_all()
        return plan.rows[0].id

    async def agree(self):
        self.code = (await self.new.ask("learner.welcome", learner=self.account, node=OLD)).code
        self.consent = await agreed(self.old, self.learner, NEW)

    async def move(self, **other):
        asked = {"learner": self.learner, "to": NEW, "code": self.code, "consent": self.consent} | other
        return await self.old.ask("learner.move", **asked)

    async def states(self):
        """How the account stands at the old home, and how many of its records the new one holds."""
        shown = await self.old.ask("learner.show", learner=self.learner)
        return shown.state, len((await self.new.ask("credit.list", learner=self.account)).records)

    async def drop(self):
        """A person drops the account from the outbox, as `lln outbox drop` does."""

        def unit(tx):
            [item] = [one for one in tx.outbox.waiting(NEW, 64) if one.kind == "learner.account"]
            settle(tx, self.old.bank.settles(), item, Refused(code=ItemDropped.code, told=""))
            tx.outbox.remove(NEW, item.id)

        await self.old.store.write(unit)


@pytest.fixture
async def mover(there):
    return await Mover(there).prepare()


async def test_all_that_is_in_an_account_is_at_the_new_home_and_every_signature_verifies(there, mover):
    before = await mover.old.ask("credit.balance", learner=mover.learner)
    assert (await mover.move()).state == "moving"
    await there.carry_all()
    assert await mover.states() == ("moved", 3)
    assert (await mover.old.ask("learner.show", learner=mover.learner)).moved_to == NEW
    assert await mover.new.ask("credit.balance", learner=mover.account) == before
    assert await mover.old.ask("credit.balance", learner=mover.learner) == before
    for record in mover.records:
        shown = await mover.new.ask("credit.show", id=record)
        assert credentials.verify(bytes(shown.credential)).record.id == record
    for issuer, record in zip((OLD, NEW, OTHER), mover.records, strict=True):
        assert (await there[issuer].ask("credit.show", id=record)).record.home == NEW
    assert await pseudonyms(mover.new, mover.account) == await pseudonyms(mover.old, mover.learner)


async def test_the_old_account_can_only_be_read(there, mover):
    await mover.move()
    for state in ("moving", "moved"):
        assert (await mover.states())[0] == state
        with pytest.raises(LearnerGone):
            await mover.old.ask("learner.handle", learner=mover.learner, node=OTHER)
        with pytest.raises(LearnerGone):
            await mover.old.ask("learner.change", learner=mover.learner, written={"name": "别人"})
        await there.carry_all()


async def test_a_record_and_news_that_were_on_their_way_to_the_old_home_reach_the_new_one(there, mover):
    other = there[OTHER]
    handle = (await mover.old.ask("learner.handle", learner=mover.learner, node=OTHER)).handle
    await mover.move()
    await there.carry(OLD, NEW)
    assert await mover.states() == ("moved", 3)
    rows = [{"row": 1, "learner": handle, "achievement": "tea", "achieved_on": "2026-07-01"}]
    late = (await other.ask("credit.issue", rows=rows, by="王老师", apply=True)).rows[0].id
    await other.ask("credit.step", id=mover.records[2], step="revoke", reason="登记有误", by="李老师")
    await there.carry(OTHER, OLD)
    await there.carry_all()
    listed = {row.id: row.state for row in (await mover.new.ask("credit.list", learner=mover.account)).records}
    assert listed == {
        mover.records[0]: "active",
        mover.records[1]: "active",
        mover.records[2]: "revoked",
        late: "active",
    }


async def test_what_the_old_and_the_new_home_issued_is_changed_by_them_as_before(there, mover):
    await mover.move()
    await there.carry_all()
    await mover.old.ask("credit.step", id=mover.records[0], step="suspend", reason="核实中", by="李老师")
    await mover.new.ask("credit.step", id=mover.records[1], step="revoke", reason="登记有误", by="李老师")
    await there.carry_all()
    listed = {row.id: row.state for row in (await mover.new.ask("credit.list", learner=mover.account)).records}
    assert [listed[one] for one in mover.records] == ["suspended", "revoked", "active"]


@pytest.mark.parametrize("lost", range(1, 5))
async def test_lost_answers_and_repeats_leave_the_account_at_one_home(there, mover, lost):
    await mover.move()
    for limit in range(1, lost + 1):
        await there.carry(OLD, NEW, answers="lost", limit=limit)
        state, held = await mover.states()
        assert (state, held) in {("moving", 0), ("moving", 3)}
    await there.carry_all()
    assert await mover.states() == ("moved", 3)
    await mover.move()
    await there.carry_all()
    assert await mover.states() == ("moved", 3)


async def test_the_account_waits_for_records_that_come_after_it(there, mover):
    await mover.move()

    def last_first(tx):
        [item] = [one for one in tx.outbox.waiting(NEW, 64) if one.kind == "learner.account"]
        tx.outbox.put(msgspec.structs.replace(item, sequence=0))

    await mover.old.store.write(last_first)
    [told] = await there.carry(OLD, NEW, limit=1)
    assert told.code == "LLN-1656"
    assert await mover.states() == ("moving", 0)
    for item in await mover.old.store.read(lambda tx: tx.outbox.waiting(NEW, 64)):
        if item.kind == "learner.record":
            documents = await mover.new.receiving.deliver(OLD, mover.old.identity.did, [item], mover.new.store.write)
            assert [type(one) for one in documents] == [Delivered]
    await there.carry_all()
    assert await mover.states() == ("moved", 3)


@pytest.mark.parametrize("wrong", ["unknown", "over", "others"])
async def test_a_code_that_is_not_good_leaves_the_account_where_it_was(there, mover, wrong):
    code = mover.code
    if wrong == "unknown":
        code = write_id("M", b"\7" * 10)
    if wrong == "over":
        mover.new.bank._clock.move(days=31)
        mover.consent = await agreed(mover.old, mover.learner, NEW)
    if wrong == "others":
        code = (await mover.new.ask("learner.welcome", learner=mover.account, node=OTHER)).code
    await mover.move(code=code)
    await there.carry_all()
    told = await mover.move(code=code)
    assert told.state == "active"
    assert told.zh
    assert told.en
    assert await mover.states() == ("active", 0)
    assert await mover.new.store.read(lambda tx: tx.credits.moves.of(code)) == []


async def test_a_code_serves_one_account(there, mover):
    other = (await mover.old.ask("learner.register", written={"name": "邻居", "birth_date": "1950-01-01"})).id
    await mover.move()
    with pytest.raises(CodeTaken):
        await mover.move(learner=other, consent=await agreed(mover.old, other, NEW))
    await there.carry_all()
    assert await mover.states() == ("moved", 3)


async def test_after_a_refusal_the_account_moves_under_a_new_code(there, mover):
    await mover.move(code=write_id("M", b"\7" * 10))
    await there.carry_all()
    await mover.agree()
    await mover.move()
    await there.carry_all()
    assert await mover.states() == ("moved", 3)


@pytest.mark.parametrize("arrived", [False, True])
async def test_what_a_person_drops_is_sent_again_by_the_same_command(there, mover, arrived):
    await mover.move()
    if arrived:
        await there.carry(OLD, NEW, answers="lost")
    await mover.drop()
    assert (await mover.states())[0] == "moving"
    assert (await mover.move()).en == ""
    await there.carry_all()
    assert await mover.states() == ("moved", 3)


async def test_nothing_moves_without_a_consent_for_it_or_to_the_home_itself(there, mover):
    other = await agreed(mover.old, mover.learner, NEW, "convert")
    with pytest.raises(ConsentLacking):
        await mover.move(consent=other)
    with pytest.raises(NowhereToMove):
        await mover.move(to=OLD)
    assert await mover.states() == ("active", 0)


async def test_a_forged_record_is_not_taken_in_and_nothing_else_is(there, mover):
    def spoil(tx):
        row = tx.credits.records.get(mover.records[2])
        forged = row.document.replace("茶艺".encode(), "茶道".encode())
        tx.credits.records.put([msgspec.structs.replace(row, document=forged)])

    await mover.old.store.write(spoil)
    await mover.move()
    await there.carry_all()
    told = await mover.move()
    assert told.state == "active"
    assert mover.records[2] in told.en
    assert await mover.states() == ("active", 0)


async def test_somebody_elses_word_moves_nobody(there, mover):
    other = there[OTHER]
    subject = (await pseudonyms(mover.old, mover.learner))[OTHER]
    learner = await mover.old.store.read(lambda tx: tx.credits.learners.get(mover.learner))
    gone = msgspec.structs.replace(learner, state="moved", moved_to=NEW)
    homing = mover.new.bank.relocating._homing
    await mover.new.store.write(lambda tx: homing.tell_moved(tx, OTHER, subject, gone))
    [told] = await there.carry(NEW, OTHER)
    assert isinstance(told, Delivered)
    assert (await other.ask("credit.show", id=mover.records[2])).record.home == OLD


async def test_no_name_and_no_number_goes_along(there, mover):
    await mover.move()
    items = await mover.old.store.read(lambda tx: tx.outbox.waiting(NEW, 64))
    assert len(items) == 4
    for item in items:
        assert NUMBER.encode() not in item.document
        assert "沈小满".encode() not in item.document


async def test_a_learner_comes_back_to_the_account_they_left(there, mover):
    await mover.move()
    await there.carry_all()
    code = (await mover.old.ask("learner.welcome", learner=mover.learner, node=NEW)).code
    consent = await agreed(mover.new, mover.account, OLD)
    await mover.new.ask("learner.move", learner=mover.account, to=OLD, code=code, consent=consent)
    await there.carry_all()
    assert (await mover.old.ask("learner.show", learner=mover.learner)).state == "active"
    assert (await mover.new.ask("learner.show", learner=mover.account)).state == "moved"
    for issuer, record in zip((OLD, NEW, OTHER), mover.records, strict=True):
        assert (await there[issuer].ask("credit.show", id=record)).record.home == OLD
    await there[OTHER].ask("credit.step", id=mover.records[2], step="revoke", reason="登记有误", by="李老师")
    await there.carry_all()
    listed = {row.id: row.state for row in (await mover.old.ask("credit.list", learner=mover.learner)).records}
    assert [listed[one] for one in mover.records] == ["active", "active", "revoked"]
