"""What a learner does with credits: has them converted elsewhere, and proves them to others.

What lives here: choosing, agreeing and applying, step by step, each a page of its own. What must not: rules
(`federation/conversion.py`), or what a consent covers.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from federation.catalogue import BilingualLine
from federation.conversion_rules import read_rule
from federation.errors import LlnError
from node import desk
from node.portal.learner_pages import LEARNER, NotYours, own_records
from node.portal.pages import Page
from node.portal.visits import FormFaulty, Visit

ACHIEVEMENTS_SOUGHT: Final = 6
CONSENT_DAYS: Final = 30
PROOF_DAYS: Final = (30, 90, 365)
OPEN: Final = frozenset(("asked", "received", "reviewing", "notice", "reserving"))


async def possible(visit: Visit) -> Response:
    """Rules of the network that take what this learner holds, or whose title has the words typed."""
    text = visit.query("q").strip()[:200]
    rules = await found_rules(visit)
    await visit.know(*(one.authority for one in rules))
    return visit.page("convert.html", records=await _convertible(visit), rules=rules, text=text)


async def found_rules(visit: Visit) -> Sequence[desk.RuleTold]:
    text = visit.query("q").strip()[:200]
    held = () if text else await _convertible(visit)
    sought = [text] if text else list(dict.fromkeys(one.achievement for one in held))[:ACHIEVEMENTS_SOUGHT]
    async with asyncio.TaskGroup() as together:
        tasks = [together.create_task(_rules_for(visit, one)) for one in sought]
    told = (one.told for task in tasks for one in task.result())
    return tuple({(one.authority, one.id): one for one in told}.values())


async def _rules_for(visit: Visit, text: str) -> Sequence[desk.RuleShown]:
    """Rules by words or an achievement; none where the network cannot be asked now."""
    try:
        found = await visit.ask("rule.find", desk.RulesSought(text=text[:200]), desk.RulesFound)
    except LlnError:
        return ()
    return found.rules


async def choose(visit: Visit) -> Response:
    to = visit.query("to").strip().lower()[:253]
    await visit.know(to)
    return visit.page("convert_choose.html", to=to, records=await _convertible(visit), problem="")


async def agree(visit: Visit) -> Response:
    """What is to be shown to whom, in the words that will be agreed to."""
    chosen = await _chosen(visit)
    to = visit.text("to").lower()
    if not chosen:
        records, problem = await _convertible(visit), visit.say("my.choose_one")
        return visit.page("convert_choose.html", status=422, to=to, records=records, problem=problem)
    await visit.know(to)
    told = await _consent(visit, to, chosen, confirmed=False)
    return visit.page("convert_agree.html", to=to, records=chosen, told=told)


async def preview(visit: Visit) -> Response:
    chosen, to = await _chosen(visit), visit.text("to")
    if visit.text("agree") != "yes":
        raise FormFaulty("agree", visit.say("my.must_agree"))
    consent = await _consent(visit, to, chosen, confirmed=True)
    asked = visit.read(
        desk.ConvertAsked,
        learner=visit.signed_in.learner,
        to=to,
        records=[one.id for one in chosen],
        consent=consent.id,
    )
    seen = await visit.ask("convert.preview", asked, desk.Previewed)
    names = {one.id: one.name for one in chosen} | await _targets(visit, seen)
    await visit.know(to)
    return visit.page("convert_preview.html", to=to, seen=seen, names=names, consent=consent)


async def _targets(visit: Visit, seen: desk.Previewed) -> dict[str, BilingualLine]:
    """What the rules call the achievements that would be given; left out where their rules cannot be read now."""
    wanted = {credit.achievement for grant in seen.evaluation.grants for credit in grant.credits}
    async with asyncio.TaskGroup() as together:
        tasks = [together.create_task(_rules_for(visit, one)) for one in sorted(wanted)[:ACHIEVEMENTS_SOUGHT]]
    rules = (read_rule(bytes(rule.rule)) for task in tasks for rule in task.result())
    return {target.achievement: target.title for rule in rules for target in rule.targets}


async def _consent(
    visit: Visit, to: str, chosen: Sequence[desk.RecordSummary], *, confirmed: bool
) -> desk.ConsentShown:
    learner = visit.signed_in.learner
    shown = await visit.ask("learner.show", desk.LearnerNamed(learner=learner), desk.LearnerShown)
    asked = visit.read(
        desk.ConsentAsked,
        learner=learner,
        purpose="convert",
        fields=["records"],
        recipient=to,
        records=[one.id for one in chosen],
        days=CONSENT_DAYS,
        by_guardian=shown.consent_by == "guardian",
        confirmed=confirmed,
    )
    return await visit.ask("consent.give", asked, desk.ConsentShown)


async def apply(visit: Visit) -> Response:
    state = await _own_request(visit, visit.text("id"))
    await visit.ask("convert.apply", desk.RequestNamed(id=state.id), desk.RequestState)
    await visit.behind.noting.note(visit.person, "apply", about=state.id)
    return visit.go(f"/my/requests/{state.id}")


async def request(visit: Visit) -> Response:
    state = await _own_request(visit, visit.request.path_params["id"])
    names = {one.id: one.name for one in await own_records(visit)}
    await visit.know(state.receiver)
    return visit.page("request.html", state=state, names=names, is_open=state.state in OPEN)


async def act(visit: Visit) -> Response:
    state = await _own_request(visit, visit.request.path_params["id"])
    asked = visit.read(desk.RequestActAsked, id=state.id, act=visit.text("act"), remark=visit.text("remark")[:1_000])
    await visit.ask("convert.act", asked, desk.RequestState)
    await visit.behind.noting.note(visit.person, asked.act, about=state.id)
    return visit.go(f"/my/requests/{state.id}")


async def _own_request(visit: Visit, request_id: str) -> desk.RequestState:
    try:
        state = await visit.ask("convert.status", visit.read(desk.RequestNamed, id=request_id), desk.RequestState)
    except LlnError as absent:
        raise NotYours from absent
    if state.learner != visit.signed_in.learner:
        raise NotYours
    return state


async def _convertible(visit: Visit) -> list[desk.RecordSummary]:
    """What is in force and, as far as this node can know, not used up."""
    return [one for one in await own_records(visit) if one.state == "active" and one.available != 0]


async def _chosen(visit: Visit) -> list[desk.RecordSummary]:
    """The learner's own records that are ticked; somebody else's never."""
    ticked = set(visit.texts("record"))
    return [one for one in await own_records(visit) if one.id in ticked]


# --- proofs ----------------------------------------------------------------------------------------------------------


async def proof_form(visit: Visit) -> Response:
    records = [one for one in await own_records(visit) if one.state == "active"]
    return visit.page("proof_choose.html", records=records, days=PROOF_DAYS, problem="")


async def prove(visit: Visit) -> Response:
    """Choose, then agree, then print."""
    chosen = await _chosen(visit)
    if not chosen:
        records = [one for one in await own_records(visit) if one.state == "active"]
        problem = visit.say("my.choose_one")
        return visit.page("proof_choose.html", status=422, records=records, days=PROOF_DAYS, problem=problem)
    learner = await visit.ask("learner.show", desk.LearnerNamed(learner=visit.signed_in.learner), desk.LearnerShown)
    asked = visit.read(
        desk.ProofAsked,
        learner=learner.id,
        records=[one.id for one in chosen],
        days=int(visit.text("days")) if visit.text("days").isdigit() else PROOF_DAYS[0],
        by_guardian=learner.consent_by == "guardian",
        confirmed=visit.text("agree") == "yes",
    )
    made = await visit.ask("credit.prove", asked, desk.ProofMade)
    if not made.code:
        return visit.page("proof_agree.html", records=chosen, made=made, days=asked.days)
    await visit.behind.noting.note(visit.person, "prove", about=made.consent)
    address = visit.behind.address
    return visit.page(
        "proof.html", records=chosen, made=made, learner=learner, address=address, qr=_qr(visit, made) or made.qr
    )


def _qr(visit: Visit, made: desk.ProofMade) -> str:
    """An address, so that any telephone opens the right page; "" where ours is not one that others can open."""
    behind = visit.behind
    return behind.draw_qr(f"{behind.address}/verify?code={made.where}") if behind.is_secure else ""


PAGES: Final = (
    Page(path="/my/convert", answer=possible, roles=LEARNER, shows=True),
    Page(path="/my/convert/choose", answer=choose, roles=LEARNER),
    Page(path="/my/convert/agree", answer=agree, roles=LEARNER, methods=("POST",)),
    Page(path="/my/convert/preview", answer=preview, roles=LEARNER, methods=("POST",)),
    Page(path="/my/convert/apply", answer=apply, roles=LEARNER, methods=("POST",)),
    Page(path="/my/requests/{id}", answer=request, roles=LEARNER),
    Page(path="/my/requests/{id}", answer=act, roles=LEARNER, methods=("POST",)),
    Page(path="/my/proof", answer=proof_form, roles=LEARNER, shows=True),
    Page(path="/my/proof", answer=prove, roles=LEARNER, methods=("POST",)),
)
