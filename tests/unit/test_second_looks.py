"""A second look: a matter passed on is decided by somebody else, and only the institution's people read why."""

import msgspec
import pytest

from federation import canonical
from federation.conversion_cases import CASE_STEPS, CaseState, ConversionCase, IllegalCaseStep, escalate
from federation.second_looks import (
    PASSED_ON_MAX,
    PassedOnAlready,
    PassedOnTooOften,
    ReasonMissing,
    check_may_decide,
    pass_on,
)
from node.usecases.reviewing import ReviewedAlready
from tests.support.post_office import REVIEWED, post_office
from tests.unit.test_conversion_moves import REQUEST
from tests.unit.test_conversion_post import HOME, RECEIVER, asked

WHY = "章子像是扫描的，请老周看看"


@pytest.fixture
async def office(tmp_path):
    async with post_office(tmp_path, HOME, RECEIVER) as made:
        yield made


def test_whoever_passed_a_matter_on_no_longer_decides_and_everybody_else_may():
    passed = pass_on((), by="甲老师", reason=f" {WHY} ", at_ms=5)
    assert [(one.by, one.reason, one.at_ms) for one in passed] == [("甲老师", WHY, 5)]
    check_may_decide(passed, "乙老师")
    for alike in ("甲老师", " 甲 老师 ", "甲老师\u3000"):
        with pytest.raises(PassedOnAlready):
            check_may_decide(passed, alike)
        with pytest.raises(PassedOnAlready):
            pass_on(passed, by=alike, reason=WHY, at_ms=6)


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_a_matter_is_not_passed_on_without_a_reason(reason):
    with pytest.raises(ReasonMissing):
        pass_on((), by="甲", reason=reason, at_ms=5)


def test_a_matter_is_passed_on_so_often_and_no_more():
    passed = ()
    for number in range(PASSED_ON_MAX):
        passed = pass_on(passed, by=f"第{number}位", reason=WHY, at_ms=number)
    with pytest.raises(PassedOnTooOften):
        pass_on(passed, by="又一位", reason=WHY, at_ms=99)


async def waiting(office):
    _, _, request = await asked(office, 250, more=REVIEWED)
    await office.carry_all()
    return request


async def test_a_case_passed_on_waits_for_others_who_read_why_and_its_learner_does_not(office):
    request, receiver = await waiting(office), office[RECEIVER]
    shown = await receiver.ask("case.pass_on", id=request, by="甲", reason=WHY)
    assert (shown.state, [one.by for one in shown.passed_on]) == ("reviewing", ["甲"])
    for approve in (True, False):
        with pytest.raises(PassedOnAlready):
            await receiver.ask("case.review", id=request, by="甲", approve=approve, remark="不行")
    await office.carry_all()
    told = await office[HOME].ask("convert.status", id=request)
    assert told.state == "reviewing"
    assert "复核" in told.zh
    assert WHY not in repr(told)
    await receiver.ask("case.review", id=request, by="乙", approve=True)
    with pytest.raises(ReviewedAlready):
        await receiver.ask("case.pass_on", id=request, by="乙", reason=WHY)
    assert (await receiver.ask("case.review", id=request, by="丙", approve=True)).state == "notice"


async def test_an_appeal_is_looked_at_anew_also_by_whoever_passed_it_on(office):
    request, receiver = await waiting(office), office[RECEIVER]
    await receiver.ask("case.pass_on", id=request, by="甲", reason=WHY)
    await receiver.ask("case.review", id=request, by="乙", approve=False, remark="缺材料")
    await office.carry_all()
    await office[HOME].ask("convert.act", id=request, act="appeal", remark="材料已补")
    await office.carry_all()
    shown = await receiver.ask("case.review", id=request, by="甲", approve=True)
    assert (shown.passed_on, [one.by for one in shown.reviews]) == ((), ["甲"])


async def test_only_what_waits_for_people_is_passed_on(office):
    request, receiver = await waiting(office), office[RECEIVER]
    legal = [state for state in CaseState.__args__ if (state, "pass_on") in CASE_STEPS]
    assert legal == ["reviewing"]
    await receiver.ask("case.review", id=request, by="乙", approve=False, remark="缺材料")
    with pytest.raises(IllegalCaseStep):
        await receiver.ask("case.pass_on", id=request, by="甲", reason=WHY)


@pytest.mark.parametrize("state", CaseState.__args__)
def test_every_state_but_the_one_that_waits_for_people_refuses(state):
    case = ConversionCase(request=REQUEST, sources=(), state=state)
    if (state, "pass_on") in CASE_STEPS:
        passed = escalate(case, by="甲", reason=WHY, at_ms=5)
        assert (passed.state, passed.passed_on[0].reason) == (state, WHY)
        assert WHY not in repr(passed.history)
    else:
        with pytest.raises(IllegalCaseStep):
            escalate(case, by="甲", reason=WHY, at_ms=5)


async def test_a_case_that_nobody_passed_on_keeps_its_bytes_and_one_kept_before_is_read(office):
    request, receiver = await waiting(office), office[RECEIVER]

    async def kept():
        return (await receiver.store.read(lambda tx: tx.credits.cases.get(request))).document

    before = await kept()
    assert b"passed_on" not in before
    case = canonical.decode(before, ConversionCase, bytes_max=1_000_000)
    assert (case.passed_on, msgspec.json.encode(case)) == ((), before)
    await receiver.ask("case.pass_on", id=request, by="甲", reason=WHY)
    after = canonical.decode(await kept(), ConversionCase, bytes_max=1_000_000)
    assert [one.reason for one in after.passed_on] == [WHY]
