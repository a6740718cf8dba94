"""A registrar's pages: what waits for a decision, credits to issue, learners to open accounts for.

What lives here: the worklist and its forms. What must not: rules and limits on who decides what; those stand behind the
desk, which is told who it is that decides.
"""

from datetime import date
from typing import Final

from starlette.responses import Response

from federation.errors import LlnError
from federation.spellings import is_spelled_alike
from federation.timestamps import day_in_china
from node import desk
from node.portal import finished_pages
from node.portal.pages import Page
from node.portal.visits import FormFaulty, Visit
from node.ports.people import Role

REGISTRAR: Final[tuple[Role, ...]] = ("registrar",)
CASES_SHOWN: Final = 100
FINISHED_SHOWN: Final = 10
LEARNERS_SHOWN: Final = 50


async def worklist(visit: Visit) -> Response:
    waiting = await visit.ask("case.list", desk.CasesAsked(state="reviewing", limit=CASES_SHOWN), desk.Cases)
    recent = await visit.ask("case.list", desk.CasesAsked(limit=CASES_SHOWN), desk.Cases)
    done = [one for one in recent.cases if one.state != "reviewing"]
    finished = await finished_pages.waiting(visit, FINISHED_SHOWN)
    await visit.know(*(one.home for one in recent.cases), *(one.home for one in waiting.cases))
    sheets = await visit.behind.handing_over.waiting()
    own = [one for one in sheets if one.owner == visit.signed_in.id]
    return visit.page(
        "work.html",
        sheets=[one for one in sheets if one not in own],
        own_sheets=own,
        finished=finished,
        waiting=sorted(waiting.cases, key=lambda one: not one.passed_on),
        done=done,
        said=visit.query("done"),
    )


async def case(visit: Visit) -> Response:
    return await _case(visit)


async def _case(visit: Visit, problem: str = "") -> Response:
    named = visit.read(desk.CaseNamed, id=visit.request.path_params["id"])
    shown = await visit.ask("case.show", named, desk.CaseShown)
    await visit.know(shown.home)
    mine = any(review.by == visit.signed_in.known_as for review in shown.reviews)
    passed = any(is_spelled_alike(one.by, visit.signed_in.known_as) for one in shown.passed_on)
    return visit.page(
        "case.html", status=422 if problem else 200, case=shown, mine=mine, passed=passed, problem=problem
    )


async def decide(visit: Visit) -> Response:
    """Approve, return with a reason, or pass on; the decision carries the name of who is signed in."""
    if visit.text("decision") == "pass_on":
        return await _pass_on(visit)
    is_approved = visit.text("decision") == "approve"
    if not is_approved and not visit.text("remark"):
        return await _case(visit, visit.say("work.reason_needed"))
    asked = visit.read(
        desk.CaseReviewAsked,
        id=visit.request.path_params["id"],
        by=visit.signed_in.known_as,
        approve=is_approved,
        remark=visit.text("remark")[:1_000],
    )
    try:
        await visit.ask("case.review", asked, desk.CaseShown)
    except LlnError as refused:
        return await _case(visit, visit.told(refused))
    await visit.behind.noting.note(visit.person, "approve" if is_approved else "return", about=asked.id)
    return visit.go("/desk", done="decided")


async def _pass_on(visit: Visit) -> Response:
    by, reason = visit.signed_in.known_as, visit.text("why")[:1_000]
    asked = visit.read(desk.CasePassOnAsked, id=visit.request.path_params["id"], by=by, reason=reason)
    try:
        await visit.ask("case.pass_on", asked, desk.CaseShown)
    except LlnError as refused:
        return await _case(visit, visit.told(refused))
    await visit.behind.noting.note(visit.person, "pass_on", about=asked.id)
    return visit.go("/desk", done="passed_on")


# --- issuing ---------------------------------------------------------------------------------------------------------


async def issue_form(visit: Visit) -> Response:
    return await _issue(visit)


async def issue(visit: Visit) -> Response:
    """First the plan, as the node would carry it out; then, confirmed, the record."""
    try:
        row = _row(visit)
    except LlnError as refused:
        return await _issue(visit, problem=visit.told(refused))
    is_confirmed = visit.text("confirm") == "yes"
    asked = desk.IssueAsked(rows=(row,), by=visit.signed_in.known_as, apply=is_confirmed)
    plan = await visit.ask("credit.issue", asked, desk.IssuePlan)
    [planned] = plan.rows
    if planned.change == "refused":
        return await _issue(visit, problem=planned.reason_zh if visit.ui == "zh" else planned.reason_en)
    if not is_confirmed:
        return await _issue(visit, plan=planned)
    await visit.behind.noting.note(visit.person, "issue", about=planned.id)
    return visit.go("/desk/issue", done=planned.id)


async def _issue(visit: Visit, *, problem: str = "", plan: desk.PlannedCredit | None = None) -> Response:
    achievements = await visit.ask("achievement.list", desk.AchievementsAsked(limit=500), desk.Achievements)
    typed = {name: visit.text(name) for name in ("learner", "achievement", "achieved_on", "amount", "number")}
    named = visit.read(desk.LearnerNamed, learner=plan.learner) if plan and plan.learner else None
    return visit.page(
        "issue.html",
        status=422 if problem else 200,
        achievements=achievements.achievements,
        typed=typed,
        problem=problem,
        plan=plan,
        who=await visit.ask("learner.show", named, desk.LearnerShown) if named else None,
        achieved_on=date.fromisoformat(typed["achieved_on"]) if plan else None,
        done=visit.query("done")[:64],
        today=day_in_china(visit.now_ms).isoformat(),
    )


def _row(visit: Visit) -> desk.CreditRow:
    """A learner is an account id, a handle of somebody else's learner, or a student number."""
    learner = visit.text("learner")
    is_id = "@" in learner or (learner[:1] in "Ll" and len(learner.replace("-", "")) == 17)
    fields: dict[str, object] = {
        "row": 1,
        "learner" if is_id else "student_number": learner.upper() if is_id and "@" not in learner else learner,
        "achievement": visit.text("achievement"),
        "achieved_on": visit.text("achieved_on"),
        "number": visit.text("number"),
    }
    if not learner:
        raise FormFaulty("learner", visit.say("work.learner_needed"))
    if visit.text("amount"):
        fields["amount"] = visit.hundredths("amount")
    return visit.read(desk.CreditRow, **fields)


# --- learners --------------------------------------------------------------------------------------------------------


async def learners(visit: Visit) -> Response:
    """All of them, or those sought: by a form that is sent, for names and numbers stand in no address and no log."""
    return await _learners(visit)


async def _learners(
    visit: Visit, *, problem: str = "", link: str = "", opened: desk.LearnerShown | None = None
) -> Response:
    sought = visit.text("find")[:64]
    asked = visit.read(desk.LearnersAsked, after=visit.query("after")[:40], text=sought, limit=LEARNERS_SHOWN)
    listed = await visit.ask("learner.list", asked, desk.Learners)
    typed = {} if opened else {name: visit.text(name) for name in _WRITTEN}
    return visit.page(
        "learners.html",
        status=422 if problem else 200,
        rows=listed.rows,
        sought=sought,
        more=listed.rows[-1].id if listed.more else "",
        problem=problem,
        link=link,
        opened=opened,
        typed={name: typed.get(name, "") for name in (*_WRITTEN, "login")},
    )


_WRITTEN: Final = ("name", "student_number", "identity_number", "birth_date", "guardian", "contact")


async def register(visit: Visit) -> Response:
    """An account, and a login to it where one is wanted: the one-time link is handed over at the counter."""
    written = {name: visit.text(name)[:200] for name in _WRITTEN}
    login, link = visit.text("login"), ""
    try:
        asked = visit.read(desk.RegisterAsked, written=written)
        shown = await visit.ask("learner.register", asked, desk.LearnerShown)
        if login:
            _, token = await visit.behind.staffing.invite(
                login, shown.name, ("learner",), learner=shown.id, by=visit.signed_in
            )
            link = f"{visit.behind.address}/setup/{token}"
    except LlnError as refused:
        told = visit.told(refused)
        return await _learners(visit, problem=f"{told} {refused.detail}".strip())
    await visit.behind.noting.note(visit.person, "register", about=shown.id)
    return await _learners(visit, link=link, opened=shown)


async def give_login(visit: Visit) -> Response:
    """A login for a learner who has an account already."""
    learner, login = visit.request.path_params["id"], visit.text("login")
    try:
        named = visit.read(desk.LearnerNamed, learner=learner)
        shown = await visit.ask("learner.show", named, desk.LearnerShown)
        _, token = await visit.behind.staffing.invite(
            login or shown.id, shown.name, ("learner",), learner=shown.id, by=visit.signed_in
        )
    except LlnError as refused:
        return await _learners(visit, problem=visit.told(refused))
    return await _learners(visit, link=f"{visit.behind.address}/setup/{token}", opened=shown)


PAGES: Final = (
    Page(path="/desk", answer=worklist, roles=REGISTRAR, shows=True),
    Page(path="/desk/cases/{id}", answer=case, roles=REGISTRAR),
    Page(path="/desk/cases/{id}", answer=decide, roles=REGISTRAR, methods=("POST",)),
    Page(path="/desk/issue", answer=issue_form, roles=REGISTRAR, shows=True),
    Page(path="/desk/issue", answer=issue, roles=REGISTRAR, methods=("POST",)),
    Page(path="/desk/learners", answer=learners, roles=REGISTRAR, shows=True),
    Page(path="/desk/learners", answer=register, roles=REGISTRAR, methods=("POST",)),
    Page(path="/desk/learners/find", answer=learners, roles=REGISTRAR, methods=("POST",)),
    Page(path="/desk/learners/{id}/login", answer=give_login, roles=REGISTRAR, methods=("POST",)),
)
