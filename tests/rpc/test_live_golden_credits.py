"""The cases that everybody in the field knows, through whole running nodes, by the rules of config/demo/rules."""

from datetime import date, timedelta

import pytest

from node.usecases.ruling import RuleUnknown
from tests.style.tree import ROOT as TREE
from tests.support.live_nodes import ROOT, Network, until

JIASHAN = "jiashan.jiaxing.zhejiang.lln.internal"
HAINING = "haining.jiaxing.zhejiang.lln.internal"
JINSHAN = "jinshan.shanghai.lln.internal"
WUJIANG = "wujiang.suzhou.jiangsu.lln.internal"
XUANZHOU = "xuanzhou.xuancheng.anhui.lln.internal"
COUNTIES = (JIASHAN, HAINING, JINSHAN, WUJIANG, XUANZHOU)
POST, COLLEGE, UNIVERSITY = "post.lln.internal", "college.lln.internal", "university.lln.internal"
PUPIL = {"name": "沈小满", "student_number": "2026001", "birth_date": "1961-03-05"}


@pytest.fixture
async def nodes(tmp_path):
    made = Network(tmp_path)
    await made.found()
    try:
        yield made
    finally:
        await made.stop_all()


async def add_all(nodes, *names):
    """The nodes, and whatever stands above them."""
    for name in names:
        labels = name.removesuffix(f".{ROOT}").split(".")
        for depth in range(len(labels) - 1, -1, -1):
            above = ".".join((*labels[depth:], ROOT))
            if above not in nodes.live:
                await nodes.add(above)


def rule_text(name):
    return (TREE / "config" / "demo" / "rules" / f"{name}.toml").read_text(encoding="utf-8")


async def rule_of_hub(nodes, rule, *receivers, files=None):
    """The hub publishes a rule, in all its versions; the receivers adopt each."""
    for version, name in enumerate(files or (rule,), 1):
        await nodes[ROOT].ask("rule.publish", toml=rule_text(name), apply=True)
        for receiver in receivers:
            await nodes[receiver].ask("rule.adopt", authority=ROOT, id=rule, version=version)


async def issued(home, code, kind, unit, hundredths, *, learner="", **row):
    """A learner, new unless given, with one record of an achievement under a shared id; both ids."""
    learner = learner or (await home.ask("learner.register", written=PUPIL)).id
    await home.ask(
        "achievement.define", code=code, name={"zh": code}, kind=kind, credits={"unit": unit, "hundredths": hundredths}
    )
    achieved_on = date.today() - timedelta(days=200)  # noqa: DTZ011  # any day that is neither too old nor to come
    rows = [{"row": 2, "student_number": "2026001", "achievement": code, "achieved_on": str(achieved_on), **row}]
    plan = await home.ask("credit.issue", rows=rows, by="王老师", apply=True)
    assert [(one.change, one.reason_en) for one in plan.rows] == [("issue", "")]
    return learner, plan.rows[0].id


async def previewed(home, learner, record, to, programme=""):
    consent = await home.ask(
        "consent.give",
        learner=learner,
        purpose="convert",
        fields=["records"],
        recipient=to,
        records=[record],
        days=30,
        confirmed=True,
    )
    return await home.preview(learner=learner, to=to, records=[record], consent=consent.id, programme=programme)


async def ended(home, request_id, *states):
    async def reached():
        state = await home.ask("convert.status", id=request_id)
        return state if state.state in (states or ("converted", "refused")) else None

    return await until(reached, f"the case, {states}")


async def derived(home, learner, state):
    """What came of a conversion, once it has arrived at home: achievement, amount, kind."""

    async def arrived():
        rows = {row.id: row for row in (await home.ask("credit.list", learner=learner)).records}
        return [rows[one] for one in state.results] if set(state.results) <= set(rows) else None

    found = await until(arrived, "the records issued")
    return [(row.achievement, row.hundredths, row.unit) for row in found]


async def converted(home, learner, record, to, **asked):
    preview = await previewed(home, learner, record, to, **asked)
    await home.ask("convert.apply", id=preview.id)
    return await ended(home, preview.id)


async def test_a_courier_certificate_becomes_three_courses_of_eight_credits_once(nodes):
    await add_all(nodes, POST, COLLEGE, UNIVERSITY)
    await rule_of_hub(nodes, "courier-certificate", COLLEGE, UNIVERSITY)
    home = nodes[POST]
    learner, record = await issued(home, "certificate:postal-courier", "vocational_training", "certificate", 100)
    state = await converted(home, learner, record, COLLEGE)
    assert await derived(home, learner, state) == [
        ("course:logistics-foundations", 300, "credit"),
        ("course:warehousing-and-delivery", 300, "credit"),
        ("course:express-service", 200, "credit"),
    ]
    used = (await home.ask("credit.show", id=record)).record
    assert (used.available, used.consumed) == (0, 100)
    again = await converted(home, learner, record, UNIVERSITY)
    assert (again.state, again.results) == ("refused", ())
    assert POST in again.en


async def test_an_accounting_certificate_becomes_one_course_of_four_credits(nodes):
    await add_all(nodes, POST, COLLEGE)
    await rule_of_hub(nodes, "accounting-certificate", COLLEGE)
    learner, record = await issued(nodes[POST], "certificate:accounting", "vocational_training", "certificate", 100)
    state = await converted(nodes[POST], learner, record, COLLEGE)
    assert await derived(nodes[POST], learner, state) == [("course:basic-accounting", 400, "credit")]


async def test_a_membership_is_converted_only_where_a_rule_says_so_after_two_people_and_a_week(nodes):
    await add_all(nodes, JIASHAN, JINSHAN)
    province = nodes["zhejiang.lln.internal"]
    await province.ask("rule.publish", toml=rule_text("calligraphers-membership"), apply=True)
    home, receiver = nodes[JIASHAN], province
    learner, record = await issued(home, "membership:calligraphers-zhejiang", "unformatted", "membership", 0)
    elsewhere = await previewed(home, learner, record, JINSHAN)
    assert [one.code for one in elsewhere.evaluation.refusals] == ["no_rule"]
    preview = await previewed(home, learner, record, province.node.identity.name)
    assert (await home.ask("convert.apply", id=preview.id)).state in ("asked", "reviewing")
    await ended(home, preview.id, "reviewing")
    for person in ("何老师", "米老师"):
        await receiver.ask("case.review", id=preview.id, by=person, approve=True)
    await ended(home, preview.id, "notice")
    assert await receiver.node.bank.reviewing.end_notices() == 0
    nodes.bank_clock.off_ms += 7 * 86_400_000
    assert await receiver.node.bank.reviewing.end_notices() == 1
    receiver.node.posting.wake([receiver.node.identity.name, home.node.identity.name])
    state = await ended(home, preview.id)
    assert await derived(home, learner, state) == [("course:calligraphy-appreciation", 200, "credit")]
    assert (await receiver.ask("case.show", id=preview.id)).trace_holds is True


async def test_five_counties_of_four_provinces_recognise_each_others_courses(nodes):
    await add_all(nodes, *COUNTIES)
    await rule_of_hub(nodes, "five-counties-community", *COUNTIES, files=("five-counties",))
    for place, county in enumerate(COUNTIES):
        home, neighbour = nodes[county], COUNTIES[(place + 1) % len(COUNTIES)]
        learner, record = await issued(home, "community:tea", "other_non_formal", "credit", 150)
        state = await converted(home, learner, record, neighbour)
        assert await derived(home, learner, state) == [("community:recognised", 150, "credit")]
        kept = (await home.ask("credit.show", id=record)).record
        assert (kept.available, kept.consumed) == (150, 0), "the county keeps its lot"
        again = await previewed(home, learner, record, neighbour)
        assert [one.code for one in again.evaluation.refusals] == ["already_consumed"], "each county counts it once"
        own = await previewed(home, learner, record, county)
        assert [one.code for one in own.evaluation.refusals] == ["own_credit"]


async def test_august_goes_by_the_first_version_and_september_by_the_second(nodes):
    nodes.bank_clock.set("2026-08-31")
    await add_all(nodes, POST, COLLEGE)
    await rule_of_hub(nodes, "training-hours", COLLEGE, files=("training-hours.v1", "training-hours.v2"))
    home = nodes[POST]
    learner = ""
    for day, version, granted, left in (("2026-08-31", 1, 250, 0), ("2026-09-01", 2, 200, 400)):
        learner, record = await issued(
            home,
            f"training:express-{version}",
            "vocational_training",
            "hour",
            4_000,
            learner=learner,
            achieved_on="2026-05-01",
            result={"form": "score", "hundredths": 8_000, "scale_hundredths": 10_000},
        )
        nodes.bank_clock.set(day)
        preview = await previewed(home, learner, record, COLLEGE, programme=f"p{day}")
        [grant] = preview.evaluation.grants
        assert grant.rule.version == version
        await home.ask("convert.apply", id=preview.id)
        state = await ended(home, preview.id)
        assert await derived(home, learner, state) == [("course:workplace-practice", granted, "credit")]
        assert (await home.ask("credit.show", id=record)).record.available == left


async def test_a_rule_that_nobody_knows_cannot_be_adopted(nodes):
    await add_all(nodes, COLLEGE)
    with pytest.raises(RuleUnknown):
        await nodes[COLLEGE].ask("rule.adopt", authority=ROOT, id="courier-certificate")
