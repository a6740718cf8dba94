"""The site: every page with who may open it, and the one way in that checks this for all of them.

What lives here: the table of pages, put together from the modules that draw them; sessions, roles and form tokens; how
errors read. What must not: what stands on any page.
"""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from federation.errors import Conflict, InvalidInput, LlnError, NotAllowed, NotFound, Unavailable
from node.portal import (
    account_pages,
    again_pages,
    below_pages,
    contributor_pages,
    days_pages,
    exchange_pages,
    file_pages,
    finished_pages,
    handed_pages,
    help_pages,
    institution_pages,
    invite_pages,
    learner_pages,
    offer_sheet_pages,
    operator_pages,
    picture_pages,
    registrar_pages,
    reviewer_pages,
    search_pages,
    second_pages,
    sheet_pages,
    together_pages,
    twin_pages,
    verify_pages,
    watch_pages,
)
from node.portal.form_reading import FormReading
from node.portal.pages import ANYBODY, Page
from node.portal.visits import SESSION, YEAR_S, Behind, FormStale, Visit, display_change
from node.usecases.second_factor import SecondFactorNeeded

FORM_FIELDS_MAX: Final = 600
FORM_FILES_MAX: Final = 2
FORM_PART_BYTES_MAX: Final = 2_000_000
_STATUS: Final[tuple[tuple[type[LlnError], int], ...]] = (
    (InvalidInput, 422),
    (NotFound, 404),
    (Conflict, 409),
    (NotAllowed, 403),
    (Unavailable, 503),
)

PAGES: Final[tuple[Page, ...]] = (
    *search_pages.PAGES,
    *help_pages.PAGES,
    *verify_pages.PAGES,
    *account_pages.PAGES,
    *again_pages.PAGES,
    *second_pages.PAGES,
    *institution_pages.PAGES,
    *learner_pages.PAGES,
    *exchange_pages.PAGES,
    *registrar_pages.PAGES,
    *sheet_pages.PAGES,
    *handed_pages.PAGES,
    *operator_pages.PAGES,
    *watch_pages.PAGES,
    *invite_pages.PAGES,
    *below_pages.PAGES,
    *twin_pages.PAGES,
    *picture_pages.PAGES,
    *days_pages.PAGES,
    *contributor_pages.PAGES,
    *offer_sheet_pages.PAGES,
    *reviewer_pages.PAGES,
    *together_pages.PAGES,
    *finished_pages.PAGES,
    *file_pages.PAGES,
)


def file_paths() -> tuple[str, ...]:
    """How the addresses begin whose forms may bring a file."""
    return tuple(dict.fromkeys(page.path.partition("{")[0] for page in PAGES if page.takes_file))


def build_site(behind: Behind) -> Starlette:
    def wrong(request: Request, error: Exception) -> Response:
        visit: Visit = getattr(request.state, "visit", None) or Visit(request, behind)
        return _error_page(visit, error)

    routes: Sequence[BaseRoute] = [
        Route(page.path, _entrance(page, behind), methods=list(page.methods), name=page.name) for page in PAGES
    ]
    return Starlette(routes=list(routes), exception_handlers={HTTPException: wrong, LlnError: wrong})


def _entrance(page: Page, behind: Behind) -> Callable[[Request], Awaitable[Response]]:
    async def enter(request: Request) -> Response:
        change = display_change(request)
        if change is not None:
            return _change_display(Visit(request, behind), *change)
        visit = request.state.visit = Visit(request, behind)
        try:
            return await answered(visit)
        finally:
            if visit.arrived is not None:  # whatever became of the form: what its page did not keep is not wanted
                await visit.arrived.discard()

    async def answered(visit: Visit) -> Response:
        visit.person = await behind.signing_in.person_of(visit.cookie(SESSION))
        is_whole = visit.request.method != "POST" or await _read_form(visit, page)
        if page.roles is ANYBODY and not is_whole:
            raise FormStale("form", "its token is not of this browser")
        if page.roles is not ANYBODY and visit.person is None:
            return await again_pages.ended(visit)
        if page.roles and not visit.may(*page.roles):
            raise RoleMissing(page.path)
        if not is_whole:
            return await again_pages.stale(visit)
        if page.roles and page.path != "/account/code" and behind.second.is_missing(visit.signed_in):
            return _ask_for_second(visit)
        visit.behind.forms.take(visit.text("again"), visit.person.id if visit.person else "", visit.now_ms)
        return await page.answer(visit)

    return enter


def _ask_for_second(visit: Visit) -> Response:
    """The settings want one-time codes of staff: no role opens anything before they are set up."""
    if visit.request.method == "POST":
        raise SecondFactorNeeded(visit.path)
    return visit.go("/account/code")


class RoleMissing(NotAllowed):
    code = "LLN-1466"
    zh = "您的角色不能打开这个页面。需要的话请系统管理员为您添加角色。"
    en = "Your roles do not open this page. Ask an operator to add one if you need it."


async def _read_form(visit: Visit, page: Page) -> bool:
    """Whether the form carries the token of this session; raises FormStale for one that comes from another site."""
    origin = visit.request.headers.get("origin", "null")
    is_ours = origin.partition("://")[2] == visit.request.headers.get("host", "")
    if not is_ours and visit.request.headers.get("sec-fetch-site") != "same-origin":
        raise FormStale("form", "it was sent from another site")
    try:
        if page.takes_file and visit.request.headers.get("content-type", "").startswith("multipart/form-data"):
            await _read_form_with_file(visit, page)
        else:
            visit.form = await visit.request.form(
                max_fields=FORM_FIELDS_MAX, max_files=FORM_FILES_MAX, max_part_size=FORM_PART_BYTES_MAX
            )
    except ClientDisconnect as gone:
        raise FormStale("form", "it did not arrive whole") from gone
    return visit.holds(visit.text("form_token"))


async def _read_form_with_file(visit: Visit, page: Page) -> None:
    """The file goes to disk for whoever may open the page; of anybody else's form the texts alone are kept."""
    filing, person = visit.behind.filing, visit.person
    is_welcome = person is not None and person.has(*(page.roles or ()))
    stage = (lambda: filing.stage(visit.signed_in)) if is_welcome else None
    reading = FormReading(visit.request.headers["content-type"], stage, filing.limits.file_bytes)
    try:
        visit.form = await reading.read(visit.request.stream())
    finally:
        visit.arrived = reading.file


def _change_display(visit: Visit, path: str, cookies: dict[str, str]) -> Response:
    response = RedirectResponse(path, status_code=303)
    for name, value in cookies.items():
        response.set_cookie(name, value, max_age=YEAR_S, path="/", secure=visit.is_secure, samesite="lax")
    response.headers["Cache-Control"] = "no-store"
    return response


def _error_page(visit: Visit, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        key = "error.missing" if error.status_code == HTTPStatus.NOT_FOUND else "error.method"
        if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            key = "error.invalid"
        return visit.page("missing.html", status=error.status_code, heading=visit.say(key))
    assert isinstance(error, LlnError), error  # noqa: S101  # nothing else is sent here
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 502)
    return visit.page("error.html", status=status, error=error)
