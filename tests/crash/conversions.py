"""A conversion of credits while one of its sides is to be killed: the school has the learner and issued the sources,
the town converts.

What lives here: that journey, and what must hold of the totals after it. What must not: processes (`world.py`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from federation.errors import NotFound
from tests.crash.world import SCHOOL, TOWN, Arm, Broken, World

AMOUNTS = (250, 100)
RULE = f"""
id = "community"
version = 1
authority = "{TOWN}"
title = {{ zh = "社区课程互认" }}
valid_from = 2026-01-01
once_per = "network"

[[source]]
name = "course"
kinds = ["other_non_formal"]
unit = "credit"
issuers = ["{SCHOOL}"]

[[target]]
achievement = "urn:lln:{TOWN}:community"
version = 1
title = {{ zh = "社区教育课程" }}
kind = "other_non_formal"
unit = "credit"
ratio = [1, 1]
"""


def converting_with(victim: str) -> Callable[[World, str, Arm], Awaitable[None]]:
    """Two records of a learner are applied for; whoever dies, both are converted, once, and the totals agree."""

    async def go(world: World, tag: str, arm: Arm) -> None:
        learner, records, request = await _prepare(world, tag)
        await world.settle(victim, arm)
        if victim == SCHOOL:
            await world.ask(SCHOOL, "convert.apply", id=request)
        async with asyncio.TaskGroup() as together:
            if victim != SCHOOL:  # it waits a while for an answer of whoever is dead
                together.create_task(world.ask(SCHOOL, "convert.apply", id=request))
            await world.until(lambda: _is_converted(world, learner, request), "the conversion")
        await _end(world, victim)
        if not await _is_converted(world, learner, request):
            raise Broken(f"{request} was converted, and is not")
        await check_totals(world, learner, records, request)
        for name in (SCHOOL, TOWN):
            await world.check_logs(name, "credits")

    return go


async def check_totals(world: World, learner: str, records: list[str], request: str) -> None:
    """What is used up at the source is what was granted for it at the receiver, and the home has just that."""
    held = (await world.ask(SCHOOL, "credit.list", learner=learner)).records
    sources = {one.id: one for one in held if one.id in records}
    lots = [(sources[one].available, sources[one].reserved, sources[one].consumed) for one in records]
    if lots != [(0, 0, amount) for amount in AMOUNTS]:
        raise Broken(f"the sources of {request} have {lots}")
    case = await world.ask(TOWN, "case.show", id=request)
    if (case.state, [hold.state for hold in case.holds]) != ("converted", ["committed"] * len(AMOUNTS)):
        raise Broken(f"{request} is {case.state} at its receiver, with {case.holds}")
    derived = {one.id: one for one in held if one.issuer == TOWN}
    if set(derived) != set(case.results) or sorted(one.hundredths for one in derived.values()) != sorted(AMOUNTS):
        raise Broken(f"{request} gave {case.results}, the home has {derived}")
    issued = await world.ask(TOWN, "credit.list", learner=case.subject)
    if {one.id for one in issued.records} != set(case.results):
        raise Broken(f"{request} gave {case.results}, the receiver issued {issued.records}")


async def _prepare(world: World, tag: str) -> tuple[str, list[str], str]:
    """While nobody is to die: a learner, records, a rule, a consent and a preview."""
    ask = world.ask
    written = {"name": "沈小满", "student_number": tag, "birth_date": "1961-03-05"}
    learner = (await ask(SCHOOL, "learner.register", written=written)).id
    rows = []
    for row, amount in enumerate(AMOUNTS, 2):
        credited = {"unit": "credit", "hundredths": amount}
        code = f"course{row}"
        await ask(SCHOOL, "achievement.define", code=code, name={"zh": code}, kind="other_non_formal", credits=credited)
        rows.append({"row": row, "student_number": tag, "achievement": code, "achieved_on": "2026-05-01"})
    plan = await ask(SCHOOL, "credit.issue", rows=rows, by="王老师", apply=True)
    records = [one.id for one in plan.rows]
    await ask(TOWN, "rule.publish", toml=RULE, apply=True)
    request = await world.until(lambda: _preview(world, learner, records), "a preview")
    return learner, records, request


async def _preview(world: World, learner: str, records: list[str]) -> str:
    """Under a consent of its own: the last one is used, whether or not the receiver could be reached."""
    consent = await world.ask(
        SCHOOL,
        "consent.give",
        learner=learner,
        purpose="convert",
        fields=["records"],
        recipient=TOWN,
        records=records,
        confirmed=True,
    )
    asked = {"learner": learner, "to": TOWN, "records": records, "consent": consent.id}
    return (await world.ask(SCHOOL, "convert.preview", **asked)).id


async def _is_converted(world: World, learner: str, request: str) -> bool:
    for name, to in ((SCHOOL, TOWN), (TOWN, SCHOOL)):  # as a person who does not wait for the next try
        with contextlib.suppress(NotFound):  # nothing waits
            await world.ask(name, "outbox.retry", what=to)
    state = await world.ask(SCHOOL, "convert.status", id=request)
    if state.state not in ("previewed", "asked", "received", "reserving", "committing", "converted"):
        raise Broken(f"{request} is {state.state}: {state.en}")
    held = {one.id for one in (await world.ask(SCHOOL, "credit.list", learner=learner)).records}
    return state.state == "converted" and set(state.results) <= held


async def _end(world: World, victim: str) -> None:
    """Whoever was to die and has not is killed at rest."""
    if not await world.revive(victim):
        await world.settle(victim)
    await world.check_home(victim)
