"""Two live nodes compare what they wrote down of conversions between them; what differs is found, and named by both."""

import asyncio

import msgspec
import pytest
from click.testing import CliRunner

from federation import canonical
from federation.canonical import MalformedDocument
from federation.conversion_cases import with_hold
from federation.credits import LotLedger
from federation.naming import NodeName
from federation.reconciliation import DealingsAsked, DealingsPage
from node.cli.main import main
from node.usecases import reconciling
from tests.support.credit_life import COUNTY, SIBLING, convert, define, issue, publish_rule, register, until_reachable
from tests.support.live_nodes import Network

THIRD = "c.lln.internal"


@pytest.fixture
async def nodes(tmp_path, monkeypatch):
    monkeypatch.setattr(reconciling, "SECOND_LOOK_S", 0.1)
    network = Network(tmp_path)
    await network.found()
    for name in (COUNTY, SIBLING, THIRD):
        await network.add(name)
    try:
        for name in (SIBLING, THIRD):
            await publish_rule(network[name])
        home = network[COUNTY]
        await define(home)
        learner = await register(home)
        await until_reachable(network[SIBLING], COUNTY)
        network.records = await issue(home, *[learner] * 3)
        network.case = (await convert(home, learner, network.records[:2], SIBLING)).id
        await convert(home, learner, network.records[2:], THIRD)
        yield network
    finally:
        await network.stop_all()


async def both(nodes):
    """What each side finds, the same for both."""
    ours = await nodes[COUNTY].ask("ledger.reconcile", peer=SIBLING)
    theirs = await nodes[SIBLING].ask("ledger.reconcile", peer=COUNTY)
    assert ours.discrepancies == theirs.discrepancies
    return ours.discrepancies


async def change_lot(nodes, record, change):
    def unit(tx):
        kept = tx.credits.lots.get(record)
        ledger = change(msgspec.json.decode(kept.ledger, type=LotLedger))
        tx.credits.lots.put([msgspec.structs.replace(kept, ledger=msgspec.json.encode(ledger))])

    await nodes[COUNTY].node.store.write(unit)


async def change_hold(nodes, **changed):
    def unit(tx):
        row = tx.credits.cases.get(nodes.case)
        case = reconciling.case_of(row)
        hold = msgspec.structs.replace(case.holds[0], **changed)
        case = with_hold(case, hold)
        tx.credits.cases.put([msgspec.structs.replace(row, document=msgspec.json.encode(case))])

    await nodes[SIBLING].node.store.write(unit)


async def test_two_sides_agree_and_each_sees_only_what_lies_between_them(nodes):
    ours = await nodes[COUNTY].ask("ledger.reconcile", peer=SIBLING)
    assert (ours.lent, ours.converted, ours.discrepancies) == (2, 0, ())
    theirs = await nodes[SIBLING].ask("ledger.reconcile", peer=COUNTY)
    assert (theirs.lent, theirs.converted, theirs.discrepancies) == (0, 2, ())
    strangers = await nodes[SIBLING].ask("ledger.reconcile", peer=THIRD)
    assert (strangers.lent, strangers.converted, strangers.discrepancies) == (0, 0, ())
    seen, after = [], ""
    while True:
        asked = canonical.encode(DealingsAsked(after=after))
        told = await nodes[SIBLING].node.credit_calls.reconcile(NodeName(COUNTY), asked, timeout_s=5)
        page = canonical.decode(told, DealingsPage, bytes_max=1_000_000)
        seen += page.lines
        after = page.next
        if not after:
            break
    assert sorted(line.lot for line in seen) == sorted(nodes.records[:2])


async def test_a_reservation_that_the_issuer_has_lost_is_found(nodes):
    await change_lot(nodes, nodes.records[0], lambda ledger: msgspec.structs.replace(ledger, reservations=()))
    [found] = await both(nodes)
    assert (found.case, found.record, found.difference) == (nodes.case, nodes.records[0], "unknown_to_issuer")
    assert (found.issuer, found.issuer_says) == (COUNTY, "nothing")
    assert (found.receiver, found.receiver_says) == (SIBLING, "committed 250 credit")


async def test_another_state_at_the_issuer_is_found(nodes):
    def given_back(ledger):
        held = msgspec.structs.replace(ledger.reservations[0], state="given_back")
        return msgspec.structs.replace(ledger, reservations=(held,))

    await change_lot(nodes, nodes.records[1], given_back)
    [found] = await both(nodes)
    assert (found.record, found.difference) == (nodes.records[1], "state")
    assert (found.issuer_says, found.receiver_says) == ("given_back 250 credit", "committed 250 credit")


async def test_a_case_that_the_receiver_has_lost_is_found(nodes):
    await nodes[SIBLING].node.store.write(lambda tx: tx.credits.cases.drop(nodes.case))
    found = await both(nodes)
    assert {one.difference for one in found} == {"unknown_to_receiver"}
    assert sorted(one.record for one in found) == sorted(nodes.records[:2])
    assert {one.receiver_says for one in found} == {"nothing"}


async def test_another_receipt_is_found(nodes):
    await change_hold(nodes, receipt='{"document":"{}","signature":"' + "0" * 128 + '"}')
    [found] = await both(nodes)
    assert (found.case, found.difference) == (nodes.case, "receipt")


async def test_another_amount_is_found(nodes):
    row = await nodes[SIBLING].node.store.read(lambda tx: tx.credits.cases.get(nodes.case))
    reservation = reconciling.case_of(row).holds[0].reservation
    await change_hold(nodes, reservation=msgspec.structs.replace(reservation, amount=249))
    [found] = await both(nodes)
    assert found.difference == "terms"
    assert {found.issuer_says, found.receiver_says} == {"committed 250 credit", "committed 249 credit"}


async def test_a_person_sees_where_the_two_do_not_agree(nodes, tmp_path):
    async def lln(ui):
        words = ["--home", str(tmp_path / COUNTY), "--ui", ui, "reconcile", SIBLING]
        return await asyncio.to_thread(CliRunner().invoke, main, words)

    done = await lln("en")
    assert (done.exit_code, done.output) == (
        0,
        f"{SIBLING}: reservations of records issued here 2 · of records issued there 0 — good\n",
    )
    await nodes[SIBLING].node.store.write(lambda tx: tx.credits.cases.drop(nodes.case))
    done = await lln("en")
    assert done.exit_code == 1
    assert f"✗ {nodes.case}  the issuer holds or used credits for it" in done.output
    assert f"    {COUNTY}: committed 250 credit\n    {SIBLING}: nothing\n" in done.output
    assert "来源机构已预占或核销" in (await lln("zh")).output
    await nodes.stop(SIBLING)
    assert (await lln("en")).exit_code == 3


@pytest.mark.parametrize("after", ["elsewhere/", "cases", "lots/x", "reserved/" + "x" * 201, "cases/汉"])
async def test_a_place_that_is_none_is_refused(nodes, after):
    with pytest.raises(MalformedDocument):
        await nodes[COUNTY].node.bank.reconciling.answer(NodeName(SIBLING), canonical.encode({"after": after}))


async def test_a_peer_that_never_comes_to_an_end_is_left(nodes, monkeypatch):
    class Endless:
        asked = 0

        async def reconcile(self, to, asked, *, timeout_s):
            self.asked += 1
            return canonical.encode(DealingsPage(next=f"cases/{self.asked}"))

    monkeypatch.setattr(reconciling, "PAGES_OF_PEER_MAX", 5)
    monkeypatch.setattr(nodes[COUNTY].node.bank.reconciling, "_peers", endless := Endless())
    with pytest.raises(reconciling.TooManyDealings):
        await nodes[COUNTY].ask("ledger.reconcile", peer=SIBLING, restore=True)
    assert endless.asked == 5
