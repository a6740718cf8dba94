"""What a conversion must withstand, one thing at a time, between credit banks whose post is carried by hand."""

import msgspec
import pytest

from federation import canonical
from federation.conversion_cases import ConversionRequest, ReserveRequest
from federation.receipts import receipt_of
from federation.signed_papers import sign_paper
from node.ports import Delivered, PostItem, Refused
from node.usecases.ledgering import RECEIPT_PURPOSE
from node.usecases.reviewing import ReviewedAlready
from tests.support.post_office import REVIEWED, post_office
from tests.unit.test_conversion_post import HOME, RECEIVER, asked, refused_items, totals


@pytest.fixture
async def office(tmp_path):
    async with post_office(tmp_path, HOME, RECEIVER, "c") as made:
        yield made


async def state_of(office, request):
    return (await office[HOME].ask("convert.status", id=request)).state


async def test_a_reservation_that_expired_is_made_again_by_its_receiver(office):
    _, _, request = await asked(office, 250)
    await office.carry_all(until="credit.reserve")
    office.clock.move(hours=73)
    await office.carry_all()
    assert await state_of(office, request) == "converted"
    [ledger] = await office[HOME].lots()
    assert [held.state for held in ledger.reservations] == ["lapsed", "committed"]
    assert await totals(office[HOME]) == (0, 0, 250)


async def test_what_an_expired_reservation_held_is_free_for_whoever_comes_next(office):
    learner, records, late = await asked(office, 250)
    await office["c"].rule()
    await office.carry_all(until="credit.reserve")
    office.clock.move(hours=73)
    prompt = await office[HOME].request(learner, records, office["c"].name)
    while await state_of(office, prompt) != "converted":
        for sender, to in (HOME, "c"), ("c", "c"), ("c", HOME):
            await office.carry(sender, to)
    await office.carry_all()
    assert await state_of(office, late) == "refused"
    assert await totals(office[HOME]) == (0, 0, 250)


async def commit_answered(office, forge):
    """Carry on until a commit has been answered by what `forge` makes of the true answer; then to the end."""
    await office.carry_all(until="credit.reserve")
    while "credit.commit" not in await office.carry(RECEIVER, HOME, limit=1, forge=forge):
        pass
    await office.carry_all()


async def test_a_receipt_of_another_case_is_no_receipt_and_the_credits_go_back(office):
    learner, records = await office[HOME].learner_with(250, 100)
    await office[RECEIVER].rule()
    first = await office[HOME].request(learner, records[:1], office[RECEIVER].name)
    await office.carry_all()
    [case] = await office[RECEIVER].cases()
    receipt = case.holds[0].receipt.encode()
    second = await office[HOME].request(learner, records[1:], office[RECEIVER].name)
    await commit_answered(office, lambda _: Delivered(reply=receipt))
    assert [await state_of(office, one) for one in (first, second)] == ["converted", "refused"]
    assert await totals(office[HOME]) == (100, 0, 250)


async def test_a_receipt_for_another_amount_is_no_receipt_even_if_the_issuer_signed_it(office):
    _, _, request = await asked(office, 250)

    async def receipt_for(amount):
        [ledger] = await office[HOME].lots()
        [held] = ledger.reservations
        other = msgspec.structs.replace(held.reservation, amount=amount)
        settled = msgspec.structs.replace(held, reservation=other, state="committed", settled_at_ms=1)
        paper = receipt_of([settled], issuer=office[HOME].name, at_ms=1)
        return sign_paper(paper, purpose=RECEIPT_PURPOSE, signer=office[HOME].identity)

    await office.carry_all(until="credit.reserve")
    reply = Delivered(reply=await receipt_for(200))
    await office.carry(RECEIVER, HOME, forge=lambda _: reply)
    carried = await office.carry_all()
    assert "credit.return" in carried
    assert await state_of(office, request) == "refused"
    assert await office[RECEIVER].store.read(lambda tx: tx.credits.derived.all("", 10)) == []
    assert await totals(office[HOME]) == (250, 0, 0)


async def test_the_same_id_with_other_content_is_refused_and_changes_nothing(office):
    _, _, request = await asked(office, 250)
    [item] = await office[HOME].store.read(lambda tx: tx.outbox.waiting(office[RECEIVER].name, 10))
    other = msgspec.structs.replace(canonical.decode(item.document, ConversionRequest, bytes_max=10**6), programme="p2")
    document = canonical.encode(other)
    await office[HOME].store.write(
        lambda tx: tx.outbox.add(office[RECEIVER].name, item.kind, document, f"{item.id}.again", 1)
    )
    await office.carry(HOME, RECEIVER)
    assert await refused_items(office[HOME]) == ["LLN-1364"]
    posted = [PostItem(id=item.id, kind=item.kind, document=document)]
    told = await office[RECEIVER].receiving.deliver(
        office[HOME].name, office[HOME].identity.did, posted, office[RECEIVER].store.write
    )
    assert [(type(one), one.code) for one in told] == [(Refused, "LLN-1372")]

    [reserve] = await office[RECEIVER].store.read(
        lambda tx: [one for one in tx.outbox.waiting(office[HOME].name, 10) if one.kind == "credit.reserve"]
    )
    wanted = canonical.decode(reserve.document, ReserveRequest, bytes_max=10**6)
    less = msgspec.structs.replace(wanted, reservation=msgspec.structs.replace(wanted.reservation, amount=10))
    await office[RECEIVER].store.write(
        lambda tx: tx.outbox.add(office[HOME].name, reserve.kind, canonical.encode(less), "reserve.again", 1)
    )
    await office.carry(RECEIVER, HOME)
    assert "LLN-1364" in await refused_items(office[RECEIVER])
    await office.carry_all()
    assert await state_of(office, request) == "converted"
    assert await totals(office[HOME]) == (0, 0, 250)


@pytest.mark.parametrize(("cascade", "state"), [("flag", "active"), ("cascade", "revoked")])
async def test_when_a_source_is_revoked_later_what_came_of_it_is_flagged_or_falls(office, cascade, state):
    _, records, request = await asked(office, 250, cascade=cascade)
    await office.carry_all()
    [result] = (await office[HOME].ask("convert.status", id=request)).results
    await office[HOME].ask("credit.step", id=records[0], step="revoke", reason="误发", by="王老师")
    await office.carry_all()
    for place in (RECEIVER, HOME):
        shown = (await office[place].ask("credit.show", id=result)).record
        assert (shown.state, records[0] in shown.flagged) == (state, True), place


async def test_a_source_revoked_between_reserving_and_using_up_ends_the_case(office):
    _, records, request = await asked(office, 250)
    await office.carry_all(until="credit.reserve")
    await office[HOME].ask("credit.step", id=records[0], step="revoke", reason="误发", by="王老师")
    await office.carry_all()
    assert await state_of(office, request) == "refused"
    [ledger] = await office[HOME].lots()
    assert (ledger.lot.reserved, ledger.lot.consumed) == (0, 0)


async def test_a_conversion_is_cancelled_while_its_sources_are_being_reserved(office):
    _, _, request = await asked(office, 250)
    await office.carry(HOME, RECEIVER)
    await office[HOME].ask("convert.act", id=request, act="cancel")
    await office.carry_all()
    assert await state_of(office, request) == "cancelled"
    assert await totals(office[HOME]) == (250, 0, 0)


async def test_what_is_being_used_up_can_no_longer_be_cancelled(office):
    _, _, request = await asked(office, 250)
    await office.carry_all(until="credit.reserve")
    await office[HOME].ask("convert.act", id=request, act="cancel")
    await office.carry_all()
    assert await state_of(office, request) == "converted"
    assert await refused_items(office[HOME]) == ["LLN-1370"]


async def test_people_return_a_conversion_then_two_others_agree_and_a_week_of_notice_passes(office):
    _, _, request = await asked(office, 250, more=REVIEWED)
    receiver = office[RECEIVER]
    await office.carry_all()
    await receiver.ask("case.review", id=request, by="甲", approve=False, remark="缺材料")
    await office.carry_all()
    await office[HOME].ask("convert.act", id=request, act="appeal", remark="材料已补")
    await office.carry_all()
    await receiver.ask("case.review", id=request, by="乙", approve=True)
    with pytest.raises(ReviewedAlready):
        await receiver.ask("case.review", id=request, by=" 乙 ", approve=True)
    assert (await receiver.ask("case.review", id=request, by="丙", approve=True)).state == "notice"
    office.clock.move(days=7, ms=-1)
    assert await receiver.bank.reviewing.end_notices() == 0
    office.clock.move(ms=1)
    assert await receiver.bank.reviewing.end_notices() == 1
    assert await receiver.bank.reviewing.end_notices() == 0
    await office.carry_all()
    assert await state_of(office, request) == "converted"
    assert await totals(office[HOME]) == (0, 0, 250)
