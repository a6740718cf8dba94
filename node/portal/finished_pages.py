"""“I have finished this”: a learner says so, and the registrar issues on it, or says why not, with nothing typed twice.

What lives here: the learner's word and its list, and the registrar's page about one. What must not: any credit that
nobody has looked into, or rules of issuing (`credit.issue`).
"""

from typing import Any, Final

import msgspec
from starlette.responses import Response

from federation.catalogue import Resource
from federation.errors import LlnError
from federation.second_looks import check_may_decide
from federation.spellings import is_spelled_alike
from federation.timestamps import day_in_china
from node import desk
from node.portal import search_pages
from node.portal.learner_pages import LEARNER, NotYours
from node.portal.pages import Page
from node.portal.tables import as_csv, as_json
from node.portal.visits import FormFaulty, Visit
from node.ports.people import Role

REGISTRAR: Final[tuple[Role, ...]] = ("registrar",)
SHOWN: Final = 100
TWIN_ROWS_MAX: Final = 1_000
Told = tuple[desk.CompletionShown, ...]


# --- the learner -----------------------------------------------------------------------------------------------------


async def ask(visit: Visit) -> Response:
    return await _ask(visit)


async def _ask(visit: Visit, problem: str = "") -> Response:
    if not visit.signed_in.learner:
        return visit.page("no_learner.html")
    node, resource_id = visit.request.path_params["node"], visit.request.path_params["id"]
    return visit.page(
        "finish.html",
        status=422 if problem else 200,
        it=await search_pages.found(visit, node, resource_id),
        node=node,
        problem=problem,
        today=day_in_china(visit.now_ms).isoformat(),
    )


async def tell(visit: Visit) -> Response:
    """The title is looked up, never typed: the registrar reads what the network offers."""
    if not visit.signed_in.learner:
        return visit.page("no_learner.html")
    node, resource_id = visit.request.path_params["node"], visit.request.path_params["id"]
    it = await search_pages.found(visit, node, resource_id)
    try:
        asked = visit.read(
            desk.CompletionAsked,
            learner=visit.signed_in.learner,
            publisher=node,
            resource=resource_id,
            title=it.title.zh or it.title.en,
            finished_on=visit.text("finished_on"),
            remark=visit.text("remark")[:500],
        )
        told = await visit.ask("completion.tell", asked, desk.CompletionShown)
    except FormFaulty:
        return await _ask(visit, visit.say("finished.date_needed"))
    except LlnError as refused:
        return await _ask(visit, visit.told(refused))
    await visit.behind.noting.note(visit.person, "finish", about=told.id)
    return visit.go("/my/finished", done="told")


async def mine(visit: Visit) -> Response:
    if not visit.signed_in.learner:
        return visit.page("no_learner.html")
    return visit.page("my_finished.html", rows=await _own(visit), done=visit.query("done"))


async def mine_json(visit: Visit) -> Response:
    return visit.finish(as_json(await _own(visit)))


async def mine_csv(visit: Visit) -> Response:
    return visit.finish(_table("finished.csv", await _own(visit)))


async def take_back(visit: Visit) -> Response:
    completion = visit.request.path_params["id"]
    if completion not in {one.id for one in await _own(visit)}:
        raise NotYours
    await _settle(visit, completion, "withdrawn")
    await visit.behind.noting.note(visit.person, "take_back", about=completion)
    return visit.go("/my/finished", done="withdrawn")


async def _own(visit: Visit) -> Told:
    if not visit.signed_in.learner:
        return ()
    asked = desk.CompletionsAsked(learner=visit.signed_in.learner, limit=TWIN_ROWS_MAX)
    listed = await visit.ask("completion.list", asked, desk.Completions)
    own = [msgspec.structs.replace(one, passed_on=()) for one in listed.completions]  # what colleagues told each other
    return tuple(sorted(own, key=lambda one: one.told_at_ms, reverse=True))


def _table(name: str, rows: Told) -> Response:
    head = ("id", "state", "learner", "title", "publisher", "resource", "finished_on", "remark", "record", "reason")
    cells = [
        (
            one.id,
            one.state,
            one.learner,
            one.title,
            one.publisher,
            one.resource,
            one.finished_on.isoformat(),
            one.remark,
            one.record,
            one.reason,
        )
        for one in rows
    ]
    return as_csv(name, head, cells)


# --- the registrar ---------------------------------------------------------------------------------------------------


async def waiting(visit: Visit, limit: int = SHOWN) -> desk.Completions:
    """What learners say they have finished, and nobody has looked into."""
    asked = desk.CompletionsAsked(state="told", after=visit.query("after")[:64], limit=limit)
    listed = await visit.ask("completion.list", asked, desk.Completions)
    first = sorted(listed.completions, key=lambda one: not one.passed_on)
    return desk.Completions(completions=tuple(first), more=listed.more)


async def worklist(visit: Visit) -> Response:
    listed = await waiting(visit)
    more = max(one.id for one in listed.completions) if listed.more else ""
    return visit.page("desk_finished.html", rows=listed.completions, more=more, done=visit.query("done"))


async def worklist_json(visit: Visit) -> Response:
    return visit.finish(as_json((await waiting(visit, TWIN_ROWS_MAX)).completions))


async def worklist_csv(visit: Visit) -> Response:
    return visit.finish(_table("finished.csv", (await waiting(visit, TWIN_ROWS_MAX)).completions))


async def look_into(visit: Visit) -> Response:
    return await _look_into(visit)


async def _look_into(visit: Visit, *, problem: str = "", plan: desk.PlannedCredit | None = None) -> Response:
    told = await _told(visit)
    learner = await visit.ask("learner.show", desk.LearnerNamed(learner=told.learner), desk.LearnerShown)
    achievements = await visit.ask("achievement.list", desk.AchievementsAsked(limit=500), desk.Achievements)
    own = await _offered_here(visit, told)
    typed = {name: visit.text(name) for name in ("achievement", "amount", "achieved_on", "reason", "why")}
    typed["achieved_on"] = typed["achieved_on"] or told.finished_on.isoformat()
    return visit.page(
        "desk_finished_one.html",
        status=422 if problem else 200,
        told=told,
        learner=learner,
        achievements=achievements.achievements,
        own=own,
        mine=any(is_spelled_alike(one.by, visit.signed_in.known_as) for one in told.passed_on),
        typed=typed,
        plan=plan,
        problem=problem,
    )


async def _told(visit: Visit) -> desk.CompletionShown:
    named = visit.read(desk.CompletionNamed, id=visit.request.path_params["id"])
    return await visit.ask("completion.show", named, desk.CompletionShown)


async def _offered_here(visit: Visit, told: desk.CompletionShown) -> Resource | None:
    """What this node itself says of the resource; None for one of another node, or one that is gone."""
    if told.publisher != visit.behind.name:
        return None
    try:
        it = await search_pages.found(visit, told.publisher, told.resource)
    except LlnError:
        return None
    return it if isinstance(it, Resource) else None


async def decide(visit: Visit) -> Response:
    """First the plan, then the record; or a reason, which the learner reads."""
    told = await _told(visit)
    try:
        if visit.text("decision") == "pass_on":
            return await _pass_on(visit, told)
        if visit.text("decision") == "decline":
            return await _decline(visit, told)
        return await _issue(visit, told)
    except LlnError as refused:
        said = refused.detail if isinstance(refused, FormFaulty) else visit.told(refused)
        return await _look_into(visit, problem=said)


async def _decline(visit: Visit, told: desk.CompletionShown) -> Response:
    if not visit.text("reason"):
        raise FormFaulty("reason", visit.say("finished.reason_needed"))
    await _settle(visit, told.id, "declined", reason=visit.text("reason")[:500])
    await visit.behind.noting.note(visit.person, "decline", about=told.id)
    return visit.go("/desk/finished", done="declined")


async def _pass_on(visit: Visit, told: desk.CompletionShown) -> Response:
    """Somebody else shall look into it; the learner does not read why."""
    by, reason = visit.signed_in.known_as, visit.text("why")[:1_000]
    asked = visit.read(desk.CompletionPassOnAsked, id=told.id, by=by, reason=reason)
    await visit.ask("completion.pass_on", asked, desk.CompletionShown)
    await visit.behind.noting.note(visit.person, "pass_on", about=told.id)
    return visit.go("/desk/finished", done="passed_on")


async def _issue(visit: Visit, told: desk.CompletionShown) -> Response:
    """A crash between the record and the word that it was issued leaves both as they are; done again, it ends alike."""
    if told.state != "told":
        raise FormFaulty("state", visit.say("finished.settled"))
    if told.learner == visit.signed_in.learner:
        raise FormFaulty("learner", visit.say("finished.own"))
    check_may_decide(told.passed_on, visit.signed_in.known_as)
    is_confirmed = visit.text("decision") == "issue"
    asked = desk.IssueAsked(rows=(_row(visit, told),), by=visit.signed_in.known_as, apply=is_confirmed)
    [planned] = (await visit.ask("credit.issue", asked, desk.IssuePlan)).rows
    if planned.change == "refused":
        raise FormFaulty("row", planned.reason_zh if visit.ui == "zh" else planned.reason_en)
    if not is_confirmed:
        return await _look_into(visit, plan=planned)
    await _settle(visit, told.id, "issued", record=planned.id)
    await visit.behind.noting.note(visit.person, "issue", about=planned.id)
    return visit.go("/desk/finished", done="issued")


def _row(visit: Visit, told: desk.CompletionShown) -> desk.CreditRow:
    fields: dict[str, Any] = {
        "row": 1,
        "learner": told.learner,
        "achievement": visit.text("achievement"),
        "achieved_on": visit.text("achieved_on"),
    }
    if not visit.text("achievement"):
        raise FormFaulty("achievement", visit.say("finished.choose"))
    if visit.text("amount"):
        fields["amount"] = visit.hundredths("amount")
    return visit.read(desk.CreditRow, **fields)


async def _settle(visit: Visit, completion: str, state: str, *, record: str = "", reason: str = "") -> None:
    asked = visit.read(
        desk.CompletionSettleAsked,
        id=completion,
        state=state,
        by=visit.signed_in.known_as,
        record=record,
        reason=reason,
    )
    await visit.ask("completion.settle", asked, desk.CompletionShown)


PAGES: Final = (
    Page(path="/finish/{node}/{id:path}", answer=ask, roles=LEARNER),
    Page(path="/finish/{node}/{id:path}", answer=tell, roles=LEARNER, methods=("POST",)),
    Page(path="/my/finished", answer=mine, roles=LEARNER, shows=True),
    Page(path="/my/finished.json", answer=mine_json, roles=LEARNER),
    Page(path="/my/finished.csv", answer=mine_csv, roles=LEARNER),
    Page(path="/my/finished/{id}/withdraw", answer=take_back, roles=LEARNER, methods=("POST",)),
    Page(path="/desk/finished", answer=worklist, roles=REGISTRAR, shows=True),
    Page(path="/desk/finished.json", answer=worklist_json, roles=REGISTRAR),
    Page(path="/desk/finished.csv", answer=worklist_csv, roles=REGISTRAR),
    Page(path="/desk/finished/{id}", answer=look_into, roles=REGISTRAR),
    Page(path="/desk/finished/{id}", answer=decide, roles=REGISTRAR, methods=("POST",)),
)
