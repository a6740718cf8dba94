"""Conversions between credit banks whose post is carried by hand: what goes wrong on the way, and what is left then."""

import pytest

from node.usecases.requesting import NothingToAppeal
from tests.support.post_office import REVIEWED, post_office

HOME, RECEIVER = "a", "b"


async def asked(office, *amounts, **rule):
    """A learner at `a` asks `b` to convert all records."""
    learner, records = await office[HOME].learner_with(*amounts)
    await office[RECEIVER].rule(**rule)
    return learner, records, await office[HOME].request(learner, records, office[RECEIVER].name)


async def totals(branch):
    """Of all lots of a node: what is available, reserved, consumed."""
    lots = [ledger.lot for ledger in await branch.lots()]
    return tuple(sum(getattr(lot, what) for lot in lots) for what in ("available", "reserved", "consumed"))


async def test_a_conversion_goes_through_the_post(tmp_path):
    async with post_office(tmp_path, HOME, RECEIVER) as office:
        _, records, request = await asked(office, 250, 100)
        carried = await office.carry_all()
        state = await office[HOME].ask("convert.status", id=request)
        assert (state.state, len(state.results)) == ("converted", 2)
        assert await totals(office[HOME]) == (0, 0, 350)
        assert carried.count("credit.commit") == len(records)
        held = await office[HOME].ask("credit.list", learner=state.learner)
        assert set(state.results) < {row.id for row in held.records}


async def test_a_trace_is_made_again_whatever_was_published_and_granted_since(tmp_path):
    async with post_office(tmp_path, HOME, RECEIVER) as office:
        learner, records, request = await asked(office, 250, 100)
        await office.carry_all()
        await office[RECEIVER].rule(version=2)
        later = await office[HOME].request(learner, records[:1], office[RECEIVER].name)
        await office.carry_all()
        await office.reopen(RECEIVER)
        shown = [await office[RECEIVER].ask("case.show", id=one) for one in (request, later)]
        assert [case.state for case in shown] == ["converted", "refused"]
        assert [case.trace_holds for case in shown] == [True, True]
        assert shown[0].trace_sha256 != shown[1].trace_sha256


async def test_when_records_cannot_be_issued_what_was_used_goes_back_and_the_reason_is_told(tmp_path):
    async with post_office(tmp_path, HOME, RECEIVER) as office:
        _, _, request = await asked(office, 250)
        await office.carry_all(until="credit.commit")
        assert await totals(office[HOME]) == (0, 0, 250)
        office.forget(HOME)
        carried = await office.carry_all()
        assert carried.count("credit.return") == 1
        state = await office[HOME].ask("convert.status", id=request)
        assert (state.state, state.results) == ("refused", ())
        assert "LLN-2199" in state.en
        assert await totals(office[HOME]) == (250, 0, 0)


async def test_a_request_that_was_only_previewed_is_cancelled_at_home(tmp_path):
    async with post_office(tmp_path, HOME, RECEIVER) as office:
        learner, records = await office[HOME].learner_with(250)
        await office[RECEIVER].rule()
        request = await office[HOME].preview(learner, records, office[RECEIVER].name)
        with pytest.raises(NothingToAppeal):
            await office[HOME].ask("convert.act", id=request, act="appeal")
        assert (await office[HOME].ask("convert.act", id=request, act="cancel")).state == "cancelled"
        assert (await office[HOME].ask("convert.apply", id=request)).state == "cancelled"
        assert await office.routes() == []
        assert await office[RECEIVER].cases() == []


async def test_an_appeal_in_the_millisecond_of_the_refusal_is_heard_at_home(tmp_path):
    """The clock of the post office stands still, so all news of the case have one time."""
    async with post_office(tmp_path, HOME, RECEIVER) as office:
        _, _, request = await asked(office, 250, more=REVIEWED)
        await office.carry_all()
        await office[RECEIVER].ask("case.review", id=request, by="甲", approve=False, remark="缺材料")
        await office.carry_all()
        assert (await office[HOME].ask("convert.status", id=request)).state == "refused"
        await office[HOME].ask("convert.act", id=request, act="appeal", remark="材料已补")
        await office.carry_all()
        assert (await office[HOME].ask("convert.status", id=request)).state == "reviewing"


async def test_appeals_are_bounded_and_each_answers_one_refusal(tmp_path):
    async with post_office(tmp_path, HOME, RECEIVER) as office:
        _, _, request = await asked(office, 250, more=REVIEWED)

        async def refuse():
            await office.carry_all()
            await office[RECEIVER].ask("case.review", id=request, by="甲", approve=False, remark="缺材料")
            await office.carry_all()

        await refuse()
        for _ in range(2):
            await office[HOME].ask("convert.act", id=request, act="appeal")
        assert await office.carry(HOME, RECEIVER) == ["credit.act", "credit.act"]
        assert await refused_items(office[HOME]) == ["LLN-1370"]
        # One against the first refusal that comes after the second is not taken for one against that.
        await office[RECEIVER].ask("case.review", id=request, by="甲", approve=False, remark="仍缺")
        await office[HOME].ask("convert.act", id=request, act="appeal")
        await office.carry_all()
        assert await refused_items(office[HOME]) == ["LLN-1332", "LLN-1370"]
        for _ in range(2):
            await office[HOME].ask("convert.act", id=request, act="appeal")
            await refuse()
        await office[HOME].ask("convert.act", id=request, act="appeal")
        await office.carry_all()
        assert await refused_items(office[HOME]) == ["LLN-1331", "LLN-1332", "LLN-1370"]
        [case] = await office[RECEIVER].cases()
        assert (case.state, case.appeals) == ("refused", 3)


async def refused_items(branch):
    return sorted(item.code for item in await branch.store.read(lambda tx: tx.outbox.dead(10)))


async def test_a_receiver_that_moved_settles_what_it_reserved_under_its_old_name(tmp_path):
    async with post_office(tmp_path, HOME, RECEIVER) as office:
        _, _, request = await asked(office, 250)
        await office.carry_all(until="credit.reserve")
        await office.rename(RECEIVER, "b1")
        await office.carry_all()
        state = await office[HOME].ask("convert.status", id=request)
        assert (state.state, len(state.results)) == ("converted", 1)
        held = await office[HOME].ask("credit.show", id=state.results[0])
        assert held.record.issuer == "b1.lln.internal"
        assert await totals(office[HOME]) == (0, 0, 250)
        assert await refused_items(office[HOME]) == await refused_items(office[RECEIVER]) == []


async def test_somebody_else_cannot_settle_a_reservation(tmp_path):
    async with post_office(tmp_path, HOME, RECEIVER, "c") as office:
        await asked(office, 250)
        await office.carry_all(until="credit.reserve")
        waiting = await office[RECEIVER].store.read(lambda tx: tx.outbox.waiting(office[HOME].name, 10))
        [commit] = [item for item in waiting if item.kind == "credit.commit"]
        for kind in ("credit.commit", "credit.void"):
            await office["c"].store.write(
                lambda tx, kind=kind: tx.outbox.add(office[HOME].name, kind, commit.document, f"stolen.{kind}", 1)
            )
        await office.carry("c", HOME)
        assert await refused_items(office["c"]) == ["LLN-2299", "LLN-2299"]
        assert await totals(office[HOME]) == (0, 250, 0)
