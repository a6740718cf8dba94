"""Several resources reviewed together, as those of one sheet: the same answers for each, and what has come of each.

What lives here: choosing, and the outcome one by one. What must not: what is asked of a reviewer (`reviewer_pages.py`).
"""

from typing import Final

from starlette.responses import Response

from federation.catalogue import CRITERIA
from federation.errors import LlnError
from node import desk
from node.portal.pages import Page
from node.portal.reviewer_pages import REVIEWER, answers_of, fault_of, remark_of, versions_of
from node.portal.visits import Visit
from node.ports import ResourceRow

TOGETHER_MAX: Final = 50
Outcome = tuple[ResourceRow, str, str]


async def choose(visit: Visit) -> Response:
    return await _page(visit, visit.request.query_params.getlist("id"))


async def _page(visit: Visit, ids: list[str], problem: str = "", outcomes: tuple[Outcome, ...] = ()) -> Response:
    rows = () if outcomes else await _pending(visit, ids)
    return visit.page(
        "review_together.html",
        status=422 if problem else 200,
        rows=rows,
        criteria=CRITERIA,
        answers=answers_of(visit),
        problem=problem,
        outcomes=outcomes,
    )


async def _pending(visit: Visit, ids: list[str]) -> tuple[ResourceRow, ...]:
    """Those that wait for a review by somebody else than their author."""
    rows = await _rows(visit, ids)
    return tuple(row for row in rows if row.state == "pending" and row.author != visit.signed_in.known_as)


async def _rows(visit: Visit, ids: list[str]) -> list[ResourceRow]:
    found = []
    for resource_id in dict.fromkeys(ids[:TOGETHER_MAX]):
        try:
            named = visit.read(desk.ResourceNamed, id=resource_id)
            found.append(await visit.ask("resource.show", named, ResourceRow))
        except LlnError:
            continue  # gone, or never there: it is not listed, and so not decided on
    return found


async def decide(visit: Visit) -> Response:
    """Each by itself: what cannot be decided on is left as it is, with the reason; the others stand."""
    ids, answers = list(visit.texts("id"))[:TOGETHER_MAX], answers_of(visit)
    is_approved = visit.text("decision") == "approve"
    problem = fault_of(visit, answers, approves=is_approved)
    if problem or not ids:
        return await _page(visit, ids, problem)
    asked = visit.read(
        desk.ReviewAsked,
        ids=ids,
        reviewer=visit.signed_in.known_as,
        approve=is_approved,
        criteria=CRITERIA if is_approved else (),
        remark="" if is_approved else remark_of(visit, answers),
        versions=versions_of(visit),
    )
    told = {one.id: one for one in (await visit.ask("resource.review", asked, desk.ResourceOutcomes)).outcomes}
    decided = tuple(one.id for one in told.values() if one.state in ("reviewed", "returned"))
    if is_approved and decided:
        named = desk.ResourcesNamed(ids=decided)
        told |= {one.id: one for one in (await visit.ask("resource.publish", named, desk.ResourceOutcomes)).outcomes}
    for resource_id in decided:
        await visit.behind.noting.note(visit.person, "approve" if is_approved else "return", about=resource_id)
        if told[resource_id].state == "published":
            await visit.behind.noting.note(visit.person, "publish", about=resource_id)
    outcomes = tuple((row, told[row.id].state, _why(visit, told[row.id])) for row in await _rows(visit, ids))
    return await _page(visit, ids, outcomes=outcomes)


def _why(visit: Visit, outcome: desk.ResourceOutcome) -> str:
    if outcome.state not in ("refused", "missing"):
        return ""
    return outcome.reason_zh if visit.ui == "zh" else outcome.reason_en


PAGES: Final = (
    Page(path="/review/together", answer=choose, roles=REVIEWER, shows=True),
    Page(path="/review/together", answer=decide, roles=REVIEWER, methods=("POST",)),
)
