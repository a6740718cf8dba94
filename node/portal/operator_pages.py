"""An operator's pages: how the node is, and who may do what at its pages; and the auditor's, what was done.

What lives here: the same sentences as `lln status`, and forms about people. What must not: mending anything by itself.
"""

from typing import Final, get_args

from starlette.responses import Response

from federation.errors import LlnError
from federation.naming import Relation
from node import desk
from node.portal.branches import branches
from node.portal.help_pages import faults
from node.portal.pages import Page
from node.portal.tables import as_csv, as_json
from node.portal.visits import FormFaulty, Visit
from node.ports.people import Role

OPERATOR: Final[tuple[Role, ...]] = ("operator",)
AUDITOR: Final[tuple[Role, ...]] = ("auditor",)
ROLES: Final[tuple[Role, ...]] = get_args(Role)
PEOPLE_SHOWN: Final = 100
DOINGS_SHOWN: Final = 100
DOINGS_MAX: Final = 1_000
ROWS_SHOWN: Final = 60
DIRECTIONS: Final[tuple[Relation, ...]] = (
    "parent", "child", "sibling", "ancestor", "descendant", "network", "self",
)  # fmt: skip
MENDS: Final = {"lln peers": "#peers", "lln outbox": "#waiting", "lln log show": "#logs"}
"""Where on the page stands what a command of a finding would show."""


async def node(visit: Visit) -> Response:
    state = await visit.ask("node.status", desk.Nothing(), desk.NodeState)
    peers = await visit.ask("node.peers", desk.Nothing(), desk.Peers)
    outbox = await visit.ask("outbox.show", desk.Nothing(), desk.Outbox)
    return visit.page(
        "node.html",
        state=state,
        below=await branches(visit, state, outbox),
        peers=sorted(peers.peers, key=lambda one: DIRECTIONS.index(one.relation)),
        outbox=outbox,
        waiting={one.to: one for one in outbox.nodes},
        shown_max=ROWS_SHOWN,
        mends=MENDS,
        said=visit.query("done"),
        in_words=lambda told: in_words(visit, told),
    )


async def retry(visit: Visit) -> Response:
    """What was given up is sent again, and what waits is tried now."""
    changed = await visit.ask("outbox.retry", desk.OutboxRetryAsked(), desk.OutboxChanged)
    await visit.behind.noting.note(visit.person, "retry_outbox", about=str(changed.items))
    return visit.go("/node", done="retried")


async def node_json(visit: Visit) -> Response:
    return visit.finish(as_json(await visit.ask("node.status", desk.Nothing(), desk.NodeState)))


def in_words(visit: Visit, told: str) -> str:
    """An error as a peer's state tells it, `[LLN-nnn] …`, by its sentence and its code."""
    fault = faults().get(told.partition("]")[0].lstrip("["))
    if fault is None:
        return told
    return f"{fault.zh if visit.ui == 'zh' else fault.en} ({fault.code})"


async def people(visit: Visit) -> Response:
    """All of them, or those sought by part of a name or a login; the form is sent, so that no log has a name."""
    return await _people(visit)


async def _people(visit: Visit, *, problem: str = "", link: str = "", whose: str = "", status: int = 200) -> Response:
    sought, after = visit.text("find")[:64], visit.query("after")[:40]
    persons = await visit.behind.staffing.persons(after, PEOPLE_SHOWN + 1, text=sought)
    return visit.page(
        "people.html",
        status=status,
        persons=persons[:PEOPLE_SHOWN],
        sought=sought,
        more=persons[PEOPLE_SHOWN - 1].id if len(persons) > PEOPLE_SHOWN else "",
        roles=ROLES,
        problem=problem,
        link=link,
        whose=whose,
    )


async def invite(visit: Visit) -> Response:
    """Another account: its one-time link is shown once, to be handed over."""
    try:
        login = _login(visit)
        person, token = await visit.behind.staffing.invite(
            login, visit.text("name"), _roles(visit), learner=visit.text("learner")[:64], by=visit.signed_in
        )
    except LlnError as refused:
        return await _people(visit, problem=visit.told(refused), status=422)
    return await _people(visit, link=f"{visit.behind.address}/setup/{token}", whose=person.owner)


def _login(visit: Visit) -> str:
    login = visit.text("login")
    if not 2 <= len(login) <= 64 or any(one.isspace() or one in "/\\" for one in login):
        raise FormFaulty("login", visit.say("people.login_shape"))
    return login


def _roles(visit: Visit) -> tuple[Role, ...]:
    chosen = visit.texts("role")
    roles = tuple(role for role in ROLES if role in chosen)
    if not roles:
        raise FormFaulty("role", visit.say("people.choose_role"))
    return roles


async def change(visit: Visit) -> Response:
    """Roles, another link, or the end of an account."""
    person_id, staffing = visit.request.path_params["id"], visit.behind.staffing
    try:
        if visit.text("do") == "link":
            person, token = await staffing.renew_link(person_id, visit.signed_in)
            return await _people(visit, link=f"{visit.behind.address}/setup/{token}", whose=person.owner)
        if visit.text("do") == "close":
            await staffing.close(person_id, visit.signed_in)
        else:
            await staffing.change_roles(person_id, _roles(visit), visit.signed_in)
    except LlnError as refused:
        return await _people(visit, problem=visit.told(refused), status=422)
    return visit.go("/people")


async def audit(visit: Visit) -> Response:
    doings = await visit.behind.noting.latest(visit.query("after")[:60], DOINGS_SHOWN + 1)
    more = doings[DOINGS_SHOWN - 1].id if len(doings) > DOINGS_SHOWN else ""
    return visit.page("audit.html", doings=doings[:DOINGS_SHOWN], more=more)


async def audit_csv(visit: Visit) -> Response:
    doings = await visit.behind.noting.latest("", DOINGS_MAX)
    rows = [(one.at_ms, one.name, one.state, one.about, one.outcome) for one in doings]
    return visit.finish(as_csv("audit.csv", ("at_ms", "who", "what", "about", "outcome"), rows))


async def audit_json(visit: Visit) -> Response:
    return visit.finish(as_json(await visit.behind.noting.latest("", DOINGS_MAX)))


PAGES: Final = (
    Page(path="/node", answer=node, roles=OPERATOR, shows=True),
    Page(path="/node.json", answer=node_json, roles=OPERATOR),
    Page(path="/node/retry", answer=retry, roles=OPERATOR, methods=("POST",)),
    Page(path="/people/find", answer=people, roles=OPERATOR, methods=("POST",)),
    Page(path="/people", answer=people, roles=OPERATOR, shows=True),
    Page(path="/people", answer=invite, roles=OPERATOR, methods=("POST",)),
    Page(path="/people/{id}", answer=change, roles=OPERATOR, methods=("POST",)),
    Page(path="/audit", answer=audit, roles=AUDITOR, shows=True),
    Page(path="/audit.csv", answer=audit_csv, roles=AUDITOR),
    Page(path="/audit.json", answer=audit_json, roles=AUDITOR),
)
