"""Accounts at the pages: setting one up, signing in and out, a lost password, a new one.

What lives here: forms and cookies. What must not: passwords, sessions or limits (`node/usecases/signing_in.py`).
"""

from typing import Final

from starlette.responses import Response

from federation.errors import InvalidInput, LlnError
from node.portal.pages import SIGNED_IN, Page
from node.portal.visits import DEVICE, FORM, HALFWAY, SESSION, YEAR_S, Visit, inner_path
from node.ports.people import PersonRow
from node.usecases.signing_in import HALFWAY_MS, Halfway, SignedIn, check_password


async def ask_to_sign_in(visit: Visit, *, back: str = "") -> Response:
    """Somebody opens what only those who are signed in may see: they come back to it afterwards.

    `back`: where what they sent is kept; without it, it is not.
    """
    if visit.request.method == "POST":
        problem = visit.say("account.ended_kept") if back else visit.say("account.ended")
        return visit.page("sign_in.html", status=401, next=back or visit.path, login="", problem=problem)
    return visit.go("/sign-in", next=visit.here())


async def sign_in_form(visit: Visit) -> Response:
    if visit.person is not None:
        return visit.go(first_page(visit.person))
    return visit.page("sign_in.html", next=inner_path(visit.query("next")), login="", problem="")


async def sign_in(visit: Visit) -> Response:
    login = visit.text("login")
    try:
        signed_in = await visit.behind.signing_in.sign_in(
            login,
            visit.text("password"),
            address=visit.address,
            device=visit.cookie(DEVICE),
            former=visit.cookie(SESSION),
        )
    except LlnError as refused:
        return _again(visit, "sign_in.html", refused, next=inner_path(visit.text("next")), login=login)
    to = inner_path(visit.text("next"))
    if isinstance(signed_in, Halfway):
        return go_halfway(visit, signed_in, to)
    return let_in(visit, signed_in, visit.go(first_page(signed_in.person) if to == "/" else to))


def go_halfway(visit: Visit, halfway: Halfway, to: str) -> Response:
    response = visit.go("/sign-in/code", next=to)
    visit.set_cookie(response, HALFWAY, halfway.token, HALFWAY_MS // 1_000)
    return response


async def sign_out(visit: Visit) -> Response:
    await visit.behind.signing_in.sign_out(visit.cookie(SESSION))
    response = visit.go("/")
    visit.set_cookie(response, SESSION, "", 0)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


async def recover_form(visit: Visit) -> Response:
    return visit.page("recover.html", login="", problem="")


async def recover(visit: Visit) -> Response:
    try:
        _check_repeated(visit)
        signed_in = await visit.behind.signing_in.recover(
            visit.text("login"), visit.text("code"), visit.text("password"), address=visit.address
        )
    except LlnError as refused:
        return _again(visit, "recover.html", refused, login=visit.text("login"))
    if isinstance(signed_in, Halfway):
        return go_halfway(visit, signed_in, "/account")
    return let_in(visit, signed_in, visit.go("/account"))


async def set_up_form(visit: Visit) -> Response:
    person = await visit.behind.staffing.invited(visit.request.path_params["token"])
    return visit.page("set_up.html", invited=person, login=person.owner, name=person.name, problem="")


async def set_up(visit: Visit) -> Response:
    token = visit.request.path_params["token"]
    person = await visit.behind.staffing.invited(token)
    login, name = visit.text("login") or person.owner, visit.text("name") or person.name
    try:
        _check_repeated(visit)
        check_password(visit.text("password"), person)
        made = await visit.behind.staffing.set_up(token, login=login, name=name, password=visit.text("password"))
    except LlnError as refused:
        return _again(visit, "set_up.html", refused, invited=person, login=login, name=name)
    signed_in = await visit.behind.signing_in.begin(made.person, "sign_in", former=visit.cookie(SESSION))
    visit.person = made.person
    response = visit.page("codes.html", codes=made.codes, next=first_page(made.person))
    return let_in(visit, signed_in, response)


async def account(visit: Visit) -> Response:
    return visit.page("account.html", problem="")


async def change_password(visit: Visit) -> Response:
    try:
        _check_repeated(visit)
        signed_in = await visit.behind.signing_in.change_password(
            visit.signed_in, visit.text("old"), visit.text("password")
        )
    except LlnError as refused:
        return _again(visit, "account.html", refused)
    return let_in(visit, signed_in, visit.go("/account", done="password"))


def first_page(person: PersonRow) -> str:
    """Where somebody begins: with what waits for them."""
    for role, path in (("registrar", "/desk"), ("operator", "/node"), ("auditor", "/audit"), ("learner", "/my")):
        if role in person.roles:
            return path
    return "/"


def _again(visit: Visit, template: str, refused: LlnError, **values: object) -> Response:
    """The form once more, with what was typed but the passwords, and why it was not taken."""
    problem = visit.told(refused)
    return visit.page(template, status=422, problem=problem, **values)


def _check_repeated(visit: Visit) -> None:
    if visit.text("password") != visit.text("repeated"):
        raise PasswordsDiffer("password")


def let_in(visit: Visit, signed_in: SignedIn, response: Response) -> Response:
    """A new token in place of whatever the browser had, and a mark by which this browser is known for this login."""
    visit.set_cookie(response, SESSION, signed_in.token, None)
    visit.set_cookie(response, FORM, "", 0)
    visit.set_cookie(response, DEVICE, signed_in.device, YEAR_S)
    response.headers["Cache-Control"] = "no-store"
    return response


class PasswordsDiffer(InvalidInput):
    code = "LLN-1166"
    zh = "两次输入的密码不一样，请重新输入。"
    en = "The two passwords are not the same; type them again."


PAGES: Final = (
    Page(path="/sign-in", answer=sign_in_form, shows=True),
    Page(path="/sign-in", answer=sign_in, methods=("POST",)),
    Page(path="/sign-out", answer=sign_out, methods=("POST",)),
    Page(path="/recover", answer=recover_form, shows=True),
    Page(path="/recover", answer=recover, methods=("POST",)),
    Page(path="/setup/{token}", answer=set_up_form),
    Page(path="/setup/{token}", answer=set_up, methods=("POST",)),
    Page(path="/account", answer=account, roles=SIGNED_IN, shows=True),
    Page(path="/account", answer=change_password, roles=SIGNED_IN, methods=("POST",)),
)
