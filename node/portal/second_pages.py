"""One-time codes at the pages: typing one when signing in, and setting them up.

What lives here: forms, and the picture to scan. What must not: secrets at rest, or which code counts
(`node/usecases/second_factor.py`).
"""

from typing import Final
from urllib.parse import quote, urlencode

from starlette.responses import Response

from federation.errors import LlnError
from node.portal.account_pages import first_page, let_in
from node.portal.pages import Page
from node.portal.visits import DEVICE, HALFWAY, SESSION, Visit, inner_path
from node.ports.people import ROLES, STAFF, Role

STAFF_ROLES: Final[tuple[Role, ...]] = tuple(role for role in ROLES if role in STAFF)


async def ask(visit: Visit) -> Response:
    return visit.page("second.html", next=inner_path(visit.query("next")), problem="")


async def prove(visit: Visit) -> Response:
    """The second half of a sign-in; only now there is a session."""
    to = inner_path(visit.text("next"))
    try:
        proved = await visit.behind.second.prove(
            visit.cookie(HALFWAY), visit.text("code"), address=visit.address, device=visit.cookie(DEVICE)
        )
        signed_in = await visit.behind.signing_in.begin(
            proved.person, "sign_in", former=visit.cookie(SESSION), device=proved.device
        )
    except LlnError as refused:
        return visit.page("second.html", status=422, next=to, problem=visit.told(refused))
    response = let_in(visit, signed_in, visit.go(first_page(proved.person) if to == "/" else to))
    visit.set_cookie(response, HALFWAY, "", 0)
    return response


async def shown(visit: Visit) -> Response:
    return _page(visit)


def _page(visit: Visit, problem: str = "", secret: str = "") -> Response:
    address = _address(visit, secret) if secret else ""
    return visit.page(
        "second_setup.html",
        status=422 if problem else 200,
        problem=problem,
        secret=secret,
        address=address,
        qr=visit.behind.draw_qr(address) if address else "",
        is_needed=visit.behind.second.is_missing(visit.signed_in),
    )


def _address(visit: Visit, secret: str) -> str:
    """What programs for such codes read from the picture; our own clock and digits are what they take for granted."""
    issuer = visit.institution(visit.behind.name)[:40]
    label = quote(f"{issuer}:{visit.signed_in.owner}", safe="")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': issuer}, quote_via=quote)}"


async def change(visit: Visit) -> Response:
    """Begin, confirm by a first code, or end; the first and the last with the password."""
    person, second = visit.signed_in, visit.behind.second
    try:
        if visit.text("do") == "begin":
            return _page(visit, secret=await second.begin(person, visit.text("password")))
        if visit.text("do") == "end":
            visit.person = await second.end(person, visit.text("password"), visit.text("code"))
            return visit.go("/account/code", done="off")
        changed = await second.confirm(person, visit.text("code"))
    except LlnError as refused:
        pending = person.totp_next if visit.text("do") == "confirm" else ""
        return _page(visit, visit.told(refused), pending)
    signed_in = await visit.behind.signing_in.begin(changed, "sign_in", former=visit.cookie(SESSION))
    return let_in(visit, signed_in, visit.go("/account/code", done="on"))


PAGES: Final = (
    Page(path="/sign-in/code", answer=ask, shows=True),
    Page(path="/sign-in/code", answer=prove, methods=("POST",)),
    Page(path="/account/code", answer=shown, roles=STAFF_ROLES, shows=True),
    Page(path="/account/code", answer=change, roles=STAFF_ROLES, methods=("POST",)),
)
