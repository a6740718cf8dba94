"""Conversions under any order of carrying between three credit banks: doubled, answers lost, stores opened again."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from federation.conversion_cases import FINAL_STATES
from federation.credits import SCOPE_TAKEN
from tests.support.post_office import post_office

HOMES, RECEIVERS = ("a",), ("b", "c")
LABELS = (*HOMES, *RECEIVERS)
ENDED = FINAL_STATES | {"refused"}
ACTS = ("carry", "carry", "carry", "carry", "lose", "double", "reopen", "cancel", "revoke", "forget_time")

steps = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 30)), max_size=25)
amounts = st.lists(st.sampled_from((50, 100, 250)), min_size=1, max_size=2)
rules = st.tuples(st.sampled_from(("network", "receiver")), st.sampled_from(("flag", "cascade")))


@settings(max_examples=25)
@given(amounts=amounts, rules=rules, steps=steps)
async def test_whatever_the_post_does_no_credit_counts_twice_and_every_case_ends(amounts, rules, steps):
    with tempfile.TemporaryDirectory() as folder:
        async with post_office(Path(folder), *LABELS) as office:
            learner, records = await office["a"].learner_with(*amounts)
            requests = []
            for label in RECEIVERS:
                await office[label].rule(*rules)
                requests.append(await office["a"].request(learner, records, office[label].name))
            for act, pick in steps:
                await carry_out(office, act, pick, records, requests)
                await check_lots(office)
            await office.carry_all()
            office.clock.move(days=4)  # beyond every deadline: what nobody settled would lapse, and show below
            await check_the_end(office)


async def carry_out(office, act, pick, records, requests):
    routes = await office.routes()
    if act in ("carry", "lose", "double") and routes:
        sender, to = routes[pick % len(routes)]
        limit = 1 + pick % 3
        await office.carry(sender, to, limit=limit, is_lost=act == "lose", is_doubled=act == "double")
    elif act == "reopen":
        await office.reopen(LABELS[pick % len(LABELS)])
    elif act == "cancel" and pick % 4 == 0:
        await office["a"].ask("convert.act", id=requests[pick % 2], act="cancel")
    elif act == "revoke" and pick % 4 == 0:
        shown = (await office["a"].ask("credit.show", id=records[0])).record
        if shown.state == "active":
            await office["a"].ask("credit.step", id=records[0], step="revoke", reason="误发", by="王老师")
    elif act == "forget_time" and pick % 4 == 0:
        office.clock.move(hours=73)  # past the deadline of whatever is reserved


async def check_lots(office):
    for label in LABELS:
        for ledger in await office[label].lots():
            lot = ledger.lot
            assert min(lot.available, lot.reserved, lot.consumed, lot.cancelled) >= 0
            assert lot.consumed + lot.reserved + lot.cancelled <= lot.granted
            taken = [held.reservation.scope_key for held in ledger.reservations if held.state in SCOPE_TAKEN]
            assert len(taken) == len(set(taken)), "one consumption for each lot and scope"
            for state, total in (("reserved", lot.reserved), ("committed", lot.consumed)):
                held = [one.reservation.amount for one in ledger.reservations if one.state == state]
                assert sum(held) == total


async def check_the_end(office):
    """Everything has arrived: every case has ended, and both sides agree on what was used for what."""
    for label in LABELS:
        assert await office[label].waiting() == []
    lots = {ledger.lot.id: ledger for ledger in await office["a"].lots()}
    used_for = {
        held.reservation.id: held.reservation.case_id
        for ledger in lots.values()
        for held in ledger.reservations
        if held.state == "committed"
    }
    assert not [held for ledger in lots.values() for held in ledger.reservations if held.state == "reserved"]
    converted = set()
    for label in RECEIVERS:
        for case in await office[label].cases():
            assert case.state in ENDED
            told = await office["a"].ask("convert.status", id=case.id)
            assert (told.state, told.results) == (case.state, case.results)
            assert bool(case.results) == (case.state == "converted")
            if case.state == "converted":
                converted.add(case.id)
                assert case.holds
                assert all(hold.receipt and hold.reservation.id in used_for for hold in case.holds)
    assert set(used_for.values()) == converted, "what is used up is used for records that were issued"
