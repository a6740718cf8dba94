"""A sheet that waits for a second registrar: the plan as it is now, to be issued, returned, or taken back.

What lives here: the page of one such sheet. What must not: who may decide (`node/usecases/handing_over.py`), or how a
sheet is planned and issued (`sheet_pages.py`).
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec
from starlette.responses import Response

from federation.errors import LlnError
from node import desk
from node.portal.pages import Page
from node.portal.sheet_pages import REGISTRAR, carry_out, plan_of, rows_to_issue, shown_plan
from node.portal.tables import as_csv
from node.portal.visits import Visit
from node.usecases.handing_over import OwnSheet

REASON_CHARS_MAX: Final = 400


async def look(visit: Visit) -> Response:
    return await _look(visit)


async def _look(visit: Visit, problem: str = "", status: int = 422) -> Response:
    row, sheet = await visit.behind.handing_over.opened(visit.request.path_params["id"])
    planned = await plan_of(visit, sheet)
    is_own = row.owner == visit.signed_in.id
    return visit.page(
        "sheet_waiting.html",
        status=status if problem else 200,
        upload=row,
        is_own=is_own,
        has_other=await visit.behind.handing_over.has_other(visit.signed_in) if is_own else True,
        seen=_mark(planned),
        problem=problem,
        done=visit.query("done"),
        **shown_plan(planned),
    )


async def plan_csv(visit: Visit) -> Response:
    """Every row, where the page shows the first of them: whoever approves can look at all."""
    _, sheet = await visit.behind.handing_over.opened(visit.request.path_params["id"])
    head = ("row", "change", "learner", "achievement", "credits", "unit", "reason_zh", "reason_en")
    rows = [
        (
            one.row,
            one.change,
            one.learner,
            one.achievement,
            f"{one.hundredths / 100:g}",
            one.unit,
            one.reason_zh,
            one.reason_en,
        )
        for one in await plan_of(visit, sheet)
    ]
    return visit.finish(as_csv("plan.csv", head, rows))


async def decide(visit: Visit) -> Response:
    """Issue what the plan says, return it with a reason, or, for whoever uploaded it, take it back."""
    upload, person, handing = visit.request.path_params["id"], visit.signed_in, visit.behind.handing_over
    decision = visit.text("decision")
    if decision == "take_back":
        row = await handing.take_back(person, upload)
        return visit.go(f"/desk/uploads/{row.id}")
    if decision == "issue":
        return await _issue(visit, upload)
    reason = visit.text("reason")[:REASON_CHARS_MAX]
    if not reason:
        return await _look(visit, visit.say("handed.reason_needed"))
    try:
        await handing.send_back(person, upload, reason)
    except OwnSheet as own:
        return await _look(visit, visit.told(own), status=409)
    return visit.go("/desk", done="sent_back")


async def _issue(visit: Visit, upload: str) -> Response:
    """What the second person approves is the plan that they saw: where it has changed meanwhile they see it anew."""
    handing = visit.behind.handing_over
    _, sheet = await handing.opened(upload)
    planned = await plan_of(visit, sheet)
    try:
        if visit.text("seen") != _mark(planned):
            return await _look(visit, visit.say("handed.changed"), status=409)
        row = await handing.approve(visit.signed_in, upload)
    except LlnError as refused:
        return await _look(visit, visit.told(refused), status=409)
    await carry_out(visit, row.id, sheet, rows_to_issue(planned))
    return visit.go(f"/desk/uploads/{row.id}", done="issued")


def _mark(planned: Sequence[desk.PlannedCredit]) -> str:
    """By which a plan is recognised: what becomes of each row, whatever ids the records will have."""
    rows = [(one.row, one.change, one.learner, one.achievement, one.hundredths, one.unit) for one in planned]
    return sha256(msgspec.json.encode(rows)).hexdigest()[:32]


PAGES: Final = (
    Page(path="/desk/waiting/{id}", answer=look, roles=REGISTRAR),
    Page(path="/desk/waiting/{id}/plan.csv", answer=plan_csv, roles=REGISTRAR),
    Page(path="/desk/waiting/{id}", answer=decide, roles=REGISTRAR, methods=("POST",)),
)
