"""An operator's pages about the nodes directly below: how each stands, and suspending, resuming and revoking one.

What lives here: the list and the form, where the name has to be typed. What must not: which orders are legal when; that
stands behind the desk.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.responses import Response

from federation.directory import Standing
from federation.errors import LlnError, NotFound
from node import desk
from node.portal.branches import HEAD, Branch, all_branches
from node.portal.invite_pages import told
from node.portal.pages import Page
from node.portal.tables import as_csv, as_json
from node.portal.visits import Visit
from node.ports.people import Role

OPERATOR: Final[tuple[Role, ...]] = ("operator",)
ORDERS: Final[Mapping[str, tuple[str, ...]]] = {"active": ("suspend", "revoke"), "suspended": ("resume", "revoke")}
"""By how a node stands, what can be ordered about it."""
ORDER_WORDS: Final = ("suspend", "resume", "revoke")
ROWS_SHOWN: Final = 100


class NoSuchBranch(NotFound):
    code = "LLN-1268"
    zh = "本节点下面没有叫这个名称的直接下级。请从“下级节点”里选。"
    en = "There is no direct child by this name. Choose one from the list of nodes below."


async def children(visit: Visit) -> Sequence[Branch]:
    return [one for one in await all_branches(visit) if one.parent == visit.behind.name]


async def below(visit: Visit) -> Response:
    sought, done = visit.query("q").strip()[:100], visit.query("done")
    rows = [one for one in await children(visit) if _is_like(one, sought.casefold())]
    return visit.page(
        "below.html",
        rows=rows[:ROWS_SHOWN],
        more=max(0, len(rows) - ROWS_SHOWN),
        sought=sought,
        done=done if done in ORDER_WORDS else "",
    )


def _is_like(one: Branch, sought: str) -> bool:
    title = one.description.title
    return any(sought in text.casefold() for text in (one.name, title.zh, title.en))


async def below_json(visit: Visit) -> Response:
    return visit.finish(as_json(await children(visit)))


async def below_csv(visit: Visit) -> Response:
    return visit.finish(as_csv("below.csv", HEAD, [one.cells for one in await children(visit)]))


async def child(visit: Visit) -> Response:
    return await _child(visit)


async def _child(visit: Visit, problem: str = "") -> Response:
    name = visit.request.path_params["name"]
    found = next((one for one in await children(visit) if one.name == name), None)
    if found is None:
        raise NoSuchBranch
    return visit.page(
        "below_one.html",
        status=422 if problem else 200,
        one=found,
        orders=ORDERS.get(found.status, ()),
        problem=problem,
    )


async def order(visit: Visit) -> Response:
    """Suspend, resume or revoke: only with the node's name typed, and a reason, which all the network can read."""
    name, verb = visit.request.path_params["name"], visit.text("order")
    if verb not in ORDER_WORDS:
        return await _child(visit, visit.say("below.choose"))
    if visit.text("typed").lower() != name:
        return await _child(visit, visit.say("below.wrong_name", name=name))
    if not visit.text("reason"):
        return await _child(visit, visit.say("below.reason_needed"))
    asked = visit.read(desk.StandingAsked, name=name, reason=visit.text("reason")[:500])
    try:
        await visit.ask(f"node.{verb}", asked, Standing)
    except LlnError as refused:
        return await _child(visit, told(visit, refused))
    await visit.behind.noting.note(visit.person, f"{verb}_node", about=name)
    return visit.go("/below", done=verb)


PAGES: Final = (
    Page(path="/below", answer=below, roles=OPERATOR, shows=True),
    Page(path="/below.json", answer=below_json, roles=OPERATOR),
    Page(path="/below.csv", answer=below_csv, roles=OPERATOR),
    Page(path="/below/{name}", answer=child, roles=OPERATOR),
    Page(path="/below/{name}", answer=order, roles=OPERATOR, methods=("POST",)),
)
