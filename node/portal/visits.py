"""A visit: one request for a page, by whom, in which language and size of type; and the answer to it.

What lives here: cookies, forms and their tokens, redirects. What must not: what stands on any page.
"""

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from federation.amounts import NotAnAmount, read_hundredths
from federation.budgets import Budgets
from federation.directory import NodeDescription
from federation.errors import InvalidInput, LlnError
from federation.short_ids import encode
from node.desk import CreditSheet, ImportRow
from node.portal import drawing, wording
from node.portal.form_reading import Arrived
from node.portal.holding import Holding
from node.portal.window import Window
from node.ports import Clock, Randomness
from node.ports.files import KeptFile
from node.ports.people import Asked, PersonRow, Provider, Role
from node.usecases.filing import Filing
from node.usecases.handing_over import HandingOver
from node.usecases.linking import Linking
from node.usecases.noting import Noting
from node.usecases.second_factor import SecondFactor
from node.usecases.signing_in import SigningIn
from node.usecases.staffing import Staffing
from node.usecases.titling import Titling
from node.usecases.uploading import Uploading

T = TypeVar("T")
CodesIn = Callable[[Callable[[int], Awaitable[bytes]]], Awaitable[tuple[str, ...]]]
SESSION: Final = "lln-session"
DEVICE: Final = "lln-device"
HALFWAY: Final = "lln-halfway"
FORM: Final = "lln-form"
UI: Final = "lln-ui"
TYPE: Final = "lln-type"
DISPLAY_KEYS: Final = ("ui", "display")
YEAR_S: Final = 365 * 24 * 3_600
TOKEN_BYTES: Final = 20
SHEET_BYTES_MAX: Final = 2_000_000


class FormStale(InvalidInput):
    code = "LLN-1165"
    zh = "这个页面放得太久，或者不是从本站打开的，为安全起见没有提交。请返回上一页，刷新后再提交一次。"
    en = "The page was open for too long, or not opened from this site; nothing was sent. Go back, reload, send again."


class FormFaulty(InvalidInput):
    code = "LLN-1168"
    zh = "有一处填写得不对。请按提示改正。"
    en = "Something in the form is not acceptable. Correct what is named."


class Counts(Protocol):
    """Pages answered since the start, by status, and the time that it took."""

    @property
    def answered(self) -> Mapping[int, int]: ...
    @property
    def seconds(self) -> float: ...


class KeptForm(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed into a form, without secrets and files; `had_file`: that a file has to be chosen anew."""

    path: str
    fields: tuple[tuple[str, str], ...]
    had_file: bool


class HeldSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A sheet of credits between its upload and its confirmation; `file` as the browser named it."""

    file: str
    sheet: CreditSheet


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """What stands behind every page: the node's desk, its people, its clock, and what it says of itself."""

    window: Window
    signing_in: SigningIn
    staffing: Staffing
    noting: Noting
    clock: Clock
    randomness: Randomness
    node: NodeDescription
    name: str
    address: str
    is_secure: bool
    shows_metrics: bool
    counts: Callable[[], Counts]
    looks: Budgets
    uploading: Uploading
    handing_over: HandingOver
    titling: Titling
    read_sheet: Callable[[bytes, str], Awaitable[CreditSheet]]
    sheets: Holding[HeldSheet]
    forms: Holding[KeptForm]
    second: SecondFactor
    linking: Linking
    institution: Callable[[], Provider | None]
    begun: Holding[Asked]
    draw_qr: Callable[[str], str]
    codes_in: CodesIn
    offers: Holding[tuple[ImportRow, ...]]
    filing: Filing
    files_in_hand: Holding[KeptFile]
    public_address: str

    def draw_token(self) -> str:
        return encode(self.randomness.token(TOKEN_BYTES))


class Visit:
    """One request; `person` is who is signed in. What it is asked for is escaped wherever it is drawn."""

    def __init__(self, request: Request, desk: "Behind") -> None:
        self.request = request
        self.behind = desk
        self.is_secure = desk.is_secure
        self.node = desk.node
        self.person: PersonRow | None = None
        self.form: Mapping[str, Any] = {}
        self.ui = _language(request)
        self.is_large = request.cookies.get(TYPE) == "large"
        self.new_form_mark = ""
        self.arrived: Arrived | None = None

    # --- what was asked ----------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        return self.request.url.path

    @property
    def now_ms(self) -> int:
        return self.behind.clock.now_ms()

    @property
    def address(self) -> str:
        return self.request.client.host if self.request.client else ""

    def cookie(self, name: str) -> str:
        return self.request.cookies.get(self._cookie_name(name), "")[:200]

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "")[:2_000]

    def text(self, name: str) -> str:
        """One field of the form, without surrounding blanks; "" where it is absent or a file."""
        value = self.form.get(name, "")
        return value.strip() if isinstance(value, str) else ""

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.form.getlist(name) if isinstance(self.form, FormData) else ()
        return tuple(value for value in values if isinstance(value, str))[:500]

    def fields(self) -> tuple[tuple[str, Any], ...]:
        """Every field in the order of the form; a file is no text."""
        return tuple(self.form.multi_items()) if isinstance(self.form, FormData) else ()

    def upload(self, name: str) -> UploadFile | None:
        value = self.form.get(name)
        return value if isinstance(value, UploadFile) and value.filename else None

    @property
    def provider(self) -> Provider | None:
        """The sign-in of our institution, where it has one."""
        return self.behind.institution()

    def institution(self, name: str) -> str:
        """A node as people call it, where that is known here (`know`); its name otherwise."""
        title = self.node.title if name == self.behind.name else self.behind.titling.title_of(name)
        return wording.both(self.ui, title) if title else name

    async def know(self, *names: str) -> None:
        """Find out what some nodes are called, before a page that names them is drawn."""
        await self.behind.titling.learn(name for name in names if name != self.behind.name)

    def may(self, *roles: Role) -> bool:
        return self.person is not None and self.person.has(*roles)

    @property
    def signed_in(self) -> PersonRow:
        """Whoever is signed in; pages for roles are only opened to somebody."""
        assert self.person is not None, self.path  # noqa: S101  # the table of pages says so
        return self.person

    async def ask(self, operation: str, asked: msgspec.Struct, answered: type[T]) -> T:
        return await self.behind.window.ask(operation, asked, answered)

    def read(self, kind: type[T], **fields: Any) -> T:
        """A document of the desk from what was typed; raises FormFaulty."""
        try:
            return msgspec.convert(fields, kind)
        except msgspec.ValidationError as wrong:
            raise FormFaulty("form", str(wrong)[:300]) from wrong

    def hundredths(self, name: str) -> int:
        """An amount of credits as people write it, such as 2.5; raises FormFaulty."""
        try:
            return read_hundredths(self.text(name))
        except NotAnAmount as wrong:
            raise FormFaulty(name, wrong.zh if self.ui == "zh" else wrong.en) from wrong

    # --- forms -------------------------------------------------------------------------------------------------------

    @property
    def form_token(self) -> str:
        """What every form of this visitor carries; nobody else's pages can know it."""
        return sha256(f"form:{self.cookie(SESSION) or self.form_mark()}".encode()).hexdigest()[:32]

    def holds(self, token: str) -> bool:
        """Whether a form that was sent came from a page of ours, drawn for this very browser."""
        known = (self.cookie(SESSION), self.cookie(FORM))
        return any(one and token == sha256(f"form:{one}".encode()).hexdigest()[:32] for one in known)

    @property
    def device_mark(self) -> str:
        """What a form carries besides its token: it outlives the session, and is of this browser and this login."""
        device = self.cookie(DEVICE)
        return sha256(f"device:{device}".encode()).hexdigest()[:32] if device and self.person else ""

    def holds_device(self, mark: str) -> bool:
        """Whether a form was drawn for this browser, whoever of its sessions it was."""
        device = self.cookie(DEVICE)
        return bool(device) and mark == sha256(f"device:{device}".encode()).hexdigest()[:32]

    def form_mark(self) -> str:
        mark = self.cookie(FORM) or self.new_form_mark or self.behind.draw_token()
        if not self.cookie(FORM):
            self.new_form_mark = mark
        return mark

    # --- what is answered --------------------------------------------------------------------------------------------

    def say(self, key: str, **values: object) -> str:
        return wording.say(self.ui, key, **values)

    def told(self, refused: LlnError) -> str:
        """An error as its sentence in the language of the page."""
        return refused.zh if self.ui == "zh" else refused.en

    def draw(self, template: str, **values: Any) -> str:
        return drawing.draw(template, self.ui, {"visit": self, **values})

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        return self.finish(HTMLResponse(self.draw(template, **values), status_code=status))

    def finish(self, response: Response) -> Response:
        """Every answer goes through here: a cookie for forms where one was drawn, and how it may be kept."""
        if self.new_form_mark:
            self.set_cookie(response, FORM, self.new_form_mark, YEAR_S)
        response.headers.setdefault("Cache-Control", "no-store" if self.person or self.form else "private, no-cache")
        response.headers.setdefault("Vary", "Cookie, Accept-Language")
        return response

    def go(self, path: str, **query: str) -> Response:
        """To another page of ours, by an address without a host."""
        assert path.startswith("/") and not path.startswith("//"), path  # noqa: S101, PT018  # our own
        return self.finish(RedirectResponse(f"{path}?{urlencode(query)}" if query else path, status_code=303))

    def set_cookie(self, response: Response, name: str, value: str, life_s: int | None) -> None:
        response.set_cookie(
            self._cookie_name(name),
            value,
            max_age=life_s,
            path="/",
            secure=self.is_secure,
            httponly=True,
            samesite="lax",
        )

    def _cookie_name(self, name: str) -> str:
        """Over TLS a name that no other host and no plain connection can set."""
        return f"__Host-{name}" if self.is_secure else name

    def here(self, **changes: str | None) -> str:
        """The page's own address with some of its query changed; what is None goes."""
        kept = [(key, value) for key, value in self.request.query_params.multi_items() if key not in changes]
        added = [(key, value) for key, value in changes.items() if value is not None]
        asked = urlencode([*kept, *added])
        return f"{self.path}?{asked}" if asked else self.path


def display_change(request: Request) -> tuple[str, dict[str, str]] | None:
    """Where `?ui=en` or `?display=large` leads: the same page without it, and the cookies to set; None without any."""
    asked = {key: request.query_params.get(key, "") for key in DISPLAY_KEYS}
    if not any(asked.values()) or request.method != "GET":
        return None
    cookies = {}
    if asked["ui"] in ("zh", "en"):
        cookies[UI] = asked["ui"]
    if asked["display"] in ("large", "standard"):
        cookies[TYPE] = asked["display"]
    rest = urlencode([item for item in request.query_params.multi_items() if item[0] not in DISPLAY_KEYS])
    path = "/" + request.url.path.lstrip("/\\")
    return (f"{path}?{rest}" if rest else path), cookies


def inner_path(text: str) -> str:
    """A path of this site that somebody wants to go on to, or "/" for anything that leads elsewhere."""
    is_inner = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and "\\" not in text
    return text[:500] if is_inner else "/"


def _language(request: Request) -> wording.Ui:
    """As chosen, else Chinese, unless the browser asks for English and not for Chinese."""
    chosen = request.cookies.get(UI)
    if chosen in ("zh", "en"):
        return "zh" if chosen == "zh" else "en"
    wanted = request.headers.get("accept-language", "").lower()
    return "en" if "en" in wanted and "zh" not in wanted else "zh"
