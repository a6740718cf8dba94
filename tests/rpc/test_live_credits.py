"""Credits through whole running nodes: issued at one county, converted at a sibling, once."""

import asyncio

import pytest

from node.usecases.requesting import ActRefused
from tests.support.live_nodes import Network, until

COUNTY, SIBLING, RIVAL = "a.lln.internal", "b.lln.internal", "c.lln.internal"

RULE = """
id = "community"
version = 1
authority = "b.lln.internal"
title = { zh = "社区课程互认" }
valid_from = 2026-01-01

[[source]]
name = "course"
kinds = ["other_non_formal"]
unit = "credit"
issuers_within = ["lln.internal"]

[[target]]
achievement = "urn:lln:b.lln.internal:community"
version = 1
title = { zh = "社区教育课程" }
kind = "other_non_formal"
unit = "credit"
ratio = [1, 1]
"""


@pytest.fixture
async def network(tmp_path):
    made = Network(tmp_path)
    await made.found()
    for name in (COUNTY, SIBLING):
        await made.add(name)
    try:
        yield made
    finally:
        await made.stop_all()


async def learner_with_record(home, number="2026001"):
    shown = await home.ask(
        "learner.register", written={"name": "沈小满", "student_number": number, "birth_date": "1961-03-05"}
    )
    await home.ask(
        "achievement.define",
        code="dough",
        name={"zh": "面塑入门"},
        kind="other_non_formal",
        credits={"unit": "credit", "hundredths": 250},
    )
    rows = [{"row": 2, "student_number": number, "achievement": "dough", "achieved_on": "2026-05-01"}]
    plan = await home.ask("credit.issue", rows=rows, by="王老师", apply=True)
    assert [row.change for row in plan.rows] == ["issue"]
    return shown, plan.rows[0].id


async def test_a_record_is_converted_at_a_sibling_once(network):
    home, receiver = network[COUNTY], network[SIBLING]
    shown, record = await learner_with_record(home)
    told = await receiver.ask("rule.publish", toml=RULE, apply=True)
    assert told.change == "new"
    learner = shown.id
    consent = await home.ask(
        "consent.give",
        learner=learner,
        purpose="convert",
        fields=["records"],
        recipient=SIBLING,
        records=[record],
        days=30,
        confirmed=True,
    )
    preview = await home.preview(learner=learner, to=SIBLING, records=[record], consent=consent.id)
    [grant] = preview.evaluation.grants
    assert [credit.amount for credit in grant.credits] == [250]
    await home.ask("convert.apply", id=preview.id)

    async def converted():
        state = await home.ask("convert.status", id=preview.id)
        return state if state.state == "converted" else None

    state = await until(converted, "the conversion")
    [result] = state.results

    async def arrived():
        listed = await home.ask("credit.list", learner=learner)
        return {row.id: row for row in listed.records}.get(result)

    derived = await until(arrived, "the derived record")
    assert (derived.issuer, derived.hundredths, derived.converted_from) == (SIBLING, 250, (record,))
    source = (await home.ask("credit.show", id=record)).record
    assert (source.available, source.reserved, source.consumed) == (0, 0, 250)
    with pytest.raises(ActRefused):
        await home.ask("convert.act", id=preview.id, act="cancel")


async def asked_of(home, receiver, learner, record):
    consent = await home.ask(
        "consent.give",
        learner=learner,
        purpose="convert",
        fields=["records"],
        recipient=receiver,
        records=[record],
        days=30,
        confirmed=True,
    )
    return await home.preview(learner=learner, to=receiver, records=[record], consent=consent.id)


async def test_of_two_receivers_that_race_for_one_lot_one_converts_and_the_other_is_told_why(network):
    await network.add(RIVAL)
    home = network[COUNTY]
    shown, record = await learner_with_record(home)
    for name in (SIBLING, RIVAL):
        once = RULE.replace("b.lln.internal", name).replace(
            "version = 1\nauth", 'once_per = "network"\nversion = 1\nauth'
        )
        await network[name].ask("rule.publish", toml=once, apply=True)
    previews = [await asked_of(home, name, shown.id, record) for name in (SIBLING, RIVAL)]
    assert all(preview.evaluation.grants for preview in previews)
    async with asyncio.TaskGroup() as together:
        for preview in previews:
            together.create_task(home.ask("convert.apply", id=preview.id))

    async def ended():
        states = [await home.ask("convert.status", id=preview.id) for preview in previews]
        return states if all(one.state in ("converted", "refused") for one in states) else None

    lost, won = sorted(await until(ended, "both cases"), key=lambda one: one.state == "converted")
    assert (won.state, len(won.results)) == ("converted", 1)
    assert (lost.state, lost.results) == ("refused", ())
    assert COUNTY in lost.en
    source = (await home.ask("credit.show", id=record)).record
    assert (source.available, source.reserved, source.consumed) == (0, 0, 250)
