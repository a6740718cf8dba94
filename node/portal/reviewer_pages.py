"""A reviewer's pages: what waits, two versions side by side, the seven criteria, and taking something out again.

What lives here: the worklist and its forms. What must not: who may review what, and which steps are legal; the use case
behind the desk is told who has signed in, and says no.
"""

from typing import Final, get_args

import msgspec
from starlette.responses import Response

from federation.catalogue import CRITERIA, Criterion
from node import desk
from node.portal import wording
from node.portal.addresses import web_address
from node.portal.comparing import compare
from node.portal.contributor_pages import resource_table
from node.portal.offer_files import files_of, path_of, size_of
from node.portal.pages import Page
from node.portal.tables import as_json
from node.portal.visits import Visit
from node.ports import ResourceRow, ResourceState
from node.ports.people import Role

REVIEWER: Final[tuple[Role, ...]] = ("reviewer",)
STATES: Final[tuple[ResourceState, ...]] = get_args(ResourceState)
SHOWN: Final = 50
TWIN_ROWS_MAX: Final = 1_000
REMARK_CHARS_MAX: Final = 700
TITLE_CHARS_MAX: Final = 100


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A node above that keeps a copy of our catalogue, and whether a withdrawal has come so far."""

    name: str
    has_it: bool
    shows_it_no_more: bool
    at_ms: int


class Takedown(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal as it stands in the catalogue log, which anybody may read."""

    reason: str
    case_id: str
    withdrawn_at_ms: int


async def worklist(visit: Visit) -> Response:
    state = _state(visit)
    listed = await _listed(visit, state, SHOWN)
    approved = await _listed(visit, "reviewed", SHOWN, is_first=True) if state == "pending" else None
    return visit.page(
        "review_list.html",
        state=state,
        states=STATES,
        sought=_sought(visit),
        rows=listed.rows,
        more=listed.rows[-1].id if listed.more else "",
        approved=approved.rows if approved else (),
        done=visit.query("done"),
        me=visit.signed_in.known_as,
    )


async def worklist_json(visit: Visit) -> Response:
    return visit.finish(as_json((await _listed(visit, _state(visit), TWIN_ROWS_MAX)).rows))


async def worklist_csv(visit: Visit) -> Response:
    return visit.finish(resource_table("review.csv", (await _listed(visit, _state(visit), TWIN_ROWS_MAX)).rows))


def _state(visit: Visit) -> ResourceState:
    asked = visit.query("state")
    return next((one for one in STATES if one == asked), "pending")


def _sought(visit: Visit) -> str:
    return visit.query("q").strip()[:TITLE_CHARS_MAX]


async def _listed(visit: Visit, state: ResourceState, limit: int, *, is_first: bool = False) -> desk.Resources:
    """What is in a state, from where the address says, or from the first on."""
    after = "" if is_first else visit.query("after")[:128]
    asked = desk.ResourcesAsked(states=(state,), text=_sought(visit), after=after, limit=limit)
    return await visit.ask("resource.list", asked, desk.Resources)


# --- one resource ----------------------------------------------------------------------------------------------------


async def side_by_side(visit: Visit) -> Response:
    return await _side_by_side(visit)


async def _side_by_side(visit: Visit, problem: str = "") -> Response:
    named = visit.read(desk.ResourceNamed, id=visit.request.path_params["id"])
    row = await visit.ask("resource.show", named, ResourceRow)
    is_update = row.published is not None and row.published.version != row.resource.version
    old_file, new_file = await files_of(visit, row)
    has_file = old_file is not None or new_file is not None
    compared = compare(visit.ui, row.published if is_update else None, row.resource, without_place=has_file)
    takedown, holders = await _how_far(visit, row) if row.state == "withdrawn" else (None, ())
    href, host = web_address(row.resource.location)
    return visit.page(
        "review.html",
        status=422 if problem else 200,
        row=row,
        is_update=is_update,
        changed=[one for one in compared if one.differs],
        unchanged=[one for one in compared if not one.differs],
        criteria=CRITERIA,
        answers=answers_of(visit),
        is_own=row.author == visit.signed_in.known_as,
        takedown=takedown,
        holders=holders,
        href=href,
        host=host,
        old_file=old_file if is_update else None,
        new_file=new_file,
        path_of=path_of,
        size_of=size_of,
        problem=problem,
        done=visit.query("done"),
    )


async def _how_far(visit: Visit, row: ResourceRow) -> tuple[Takedown | None, tuple[Holder, ...]]:
    """Where the withdrawal stands in our catalogue log, and which nodes above have that much of it."""
    if row.log_index is None:
        return None, ()
    asked = desk.LogAsked(topic="catalogue", start=row.log_index, limit=1)
    shown = await visit.ask("log.show", asked, desk.LogShown)
    documents = [bytes(one.document) for one in shown.entries if one.index == row.log_index]
    takedown = msgspec.json.decode(documents[0], type=Takedown) if documents else None
    holders = tuple(
        Holder(
            name=one.holder,
            has_it=one.size > row.log_index,
            shows_it_no_more=one.indexed > row.log_index,
            at_ms=one.at_ms,
        )
        for one in shown.state.holdings
    )
    return takedown, holders


# --- decisions -------------------------------------------------------------------------------------------------------


async def decide(visit: Visit) -> Response:
    """Approve and publish, or return with what is not met and why; nothing is decided where an answer lacks."""
    answers = answers_of(visit)
    is_approved = visit.text("decision") == "approve"
    problem = fault_of(visit, answers, approves=is_approved)
    if problem:
        return await _side_by_side(visit, problem)
    asked = visit.read(
        desk.ReviewAsked,
        ids=(visit.request.path_params["id"],),
        reviewer=visit.signed_in.known_as,
        approve=is_approved,
        criteria=tuple(one for one, answer in answers.items() if answer == "yes") if is_approved else (),
        remark="" if is_approved else remark_of(visit, answers),
        versions=versions_of(visit),
    )
    told = _refusal(visit, await visit.ask("resource.review", asked, desk.ResourceOutcomes))
    if told:
        return await _side_by_side(visit, told)
    await visit.behind.noting.note(visit.person, "approve" if is_approved else "return", about=asked.ids[0])
    return await publish(visit) if is_approved else visit.go("/review", done="returned")


def answers_of(visit: Visit) -> dict[Criterion, str]:
    return {one: visit.text(f"criterion.{one}") for one in CRITERIA}


def versions_of(visit: Visit) -> tuple[int, ...]:
    """Which versions the reviewer had before them, in the order of the ids."""
    return tuple(int(one) if one.isdecimal() and len(one) < 9 else 0 for one in visit.texts("version"))


def fault_of(visit: Visit, answers: dict[Criterion, str], *, approves: bool) -> str:
    """What lacks before anything is decided; "" where nothing does."""
    if not approves:
        return "" if visit.text("remark") else visit.say("review.reason_needed")
    if "no" in answers.values():
        return visit.say("review.one_not_met")
    return "" if all(one == "yes" for one in answers.values()) else visit.say("review.answer_all")


def remark_of(visit: Visit, answers: dict[Criterion, str]) -> str:
    """What the author reads: the criteria that are not met, in both languages, and the reviewer's words."""
    lacking = [one for one, answer in answers.items() if answer == "no"]
    reason = visit.text("remark")[:REMARK_CHARS_MAX]
    if not lacking:
        return reason
    zh = "、".join(wording.say("zh", f"criterion.{one}") for one in lacking)
    en = ", ".join(wording.say("en", f"criterion.{one}") for one in lacking)
    return f"未达到：{zh}（not met: {en}）。{reason}"


async def publish(visit: Visit) -> Response:
    """What is reviewed enters the catalogue; a review whose publication failed waits in the worklist for it."""
    asked = visit.read(desk.ResourcesNamed, ids=(visit.request.path_params["id"],))
    told = _refusal(visit, await visit.ask("resource.publish", asked, desk.ResourceOutcomes))
    if told:
        return await _side_by_side(visit, told)
    await visit.behind.noting.note(visit.person, "publish", about=asked.ids[0])
    return visit.go("/review", done="published")


async def withdraw(visit: Visit) -> Response:
    """Out of the catalogue, for a reason and under a case id; every copy follows by the road of the log."""
    if not visit.text("reason") or not visit.text("case_id"):
        return await _side_by_side(visit, visit.say("review.withdraw_needs"))
    asked = visit.read(
        desk.WithdrawAsked,
        id=visit.request.path_params["id"],
        reason=visit.text("reason")[:500],
        case_id=visit.text("case_id")[:64],
    )
    told = _refusal(visit, await visit.ask("resource.withdraw", asked, desk.ResourceOutcomes))
    if told:
        return await _side_by_side(visit, told)
    await visit.behind.noting.note(visit.person, "withdraw_resource", about=f"{asked.id} {asked.case_id}")
    return visit.go(f"/review/of/{asked.id}", done="withdrawn")


def _refusal(visit: Visit, outcomes: desk.ResourceOutcomes) -> str:
    """Why the one id was left as it was; "" where it was not."""
    [outcome] = outcomes.outcomes
    if outcome.state == "missing":
        return visit.say("review.gone")
    if outcome.state != "refused":
        return ""
    return outcome.reason_zh if visit.ui == "zh" else outcome.reason_en


PAGES: Final = (
    Page(path="/review", answer=worklist, roles=REVIEWER, shows=True),
    Page(path="/review.json", answer=worklist_json, roles=REVIEWER),
    Page(path="/review.csv", answer=worklist_csv, roles=REVIEWER),
    Page(path="/review/of/{id:path}", answer=side_by_side, roles=REVIEWER),
    Page(path="/review/of/{id:path}", answer=decide, roles=REVIEWER, methods=("POST",)),
    Page(path="/review/publish/{id:path}", answer=publish, roles=REVIEWER, methods=("POST",)),
    Page(path="/review/withdraw/{id:path}", answer=withdraw, roles=REVIEWER, methods=("POST",)),
)
