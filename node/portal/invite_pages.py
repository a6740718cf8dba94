"""An operator's pages about newcomers: invites, one at a time or a sheet of schools at once, and how they stand.

What lives here: the forms, the plan of a sheet, and the sheet of invites that comes out. What must not: who may be
invited where; that stands behind the desk.

A code stands in the answer that makes it and nowhere else: a sheet is planned on one page, and confirming it answers
with the sheet of codes itself. Whoever loses it uploads the sheet again, which makes the former invites void.
"""

import asyncio
from base64 import b64decode
from collections.abc import Sequence
from typing import Final, get_args

import msgspec
from starlette.responses import Response

from federation.errors import InvalidInput, LlnError
from federation.naming import Level, NodeKind
from federation.timestamps import day_in_china
from node import desk
from node.intake.schools import COLUMN_WORDS, SCHOOLS_MAX, SchoolRow, read_schools
from node.portal.pages import Page
from node.portal.tables import as_csv, as_json
from node.portal.visits import FormFaulty, Visit
from node.ports.people import Role

OPERATOR: Final[tuple[Role, ...]] = ("operator",)
LEVELS: Final = get_args(Level)
KINDS: Final = get_args(NodeKind)
FILE_BYTES_MAX: Final = 2_000_000
SHOWN: Final = 200
PLAN_SHOWN: Final = 60
HEAD: Final = ("name", "title", "level", "kind", "state", "expires_on", "tries_left", "id")
SHEET_HEAD: Final = ("单位名称 title", "节点名称 name", "有效期至 until", "邀请码 code", "说明 remark")
WRITTEN: Final = ("label", "title", "title_en", "level", "kind", "division_code", "institution_code", "days")


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a sheet, and what making its invite would come to: `new`, `again` (voids one), or `taken`."""

    row: SchoolRow
    change: str = "new"


class Packed(msgspec.Struct, frozen=True, array_like=True):
    """A row of a plan as the form that confirms it carries it: 500 of them are a light page yet."""

    label: str
    zh: str
    en: str
    level: str
    kind: str
    division_code: str | None
    institution_code: str | None
    days: int

    @classmethod
    def of(cls, asked: desk.InviteAsked) -> "Packed":
        about = asked.description
        return cls(
            asked.label,
            about.title.zh,
            about.title.en,
            about.level,
            about.kind,
            about.division_code,
            about.institution_code,
            asked.days,
        )

    def asked(self) -> desk.InviteAsked:
        """Raises msgspec.ValidationError."""
        description = {
            "title": {"zh": self.zh, "en": self.en},
            "level": self.level,
            "kind": self.kind,
            "division_code": self.division_code,
            "institution_code": self.institution_code,
        }
        return msgspec.convert({"label": self.label, "description": description, "days": self.days}, desk.InviteAsked)


async def listed(visit: Visit) -> tuple[desk.InviteState, ...]:
    """Every invite given out, open ones first, then the latest."""
    told = await visit.ask("invite.list", desk.Nothing(), desk.Invites)
    return tuple(sorted(told.invites, key=lambda one: (standing(one, visit.now_ms) != "open", -one.expires_at_ms)))


def standing(invite: desk.InviteState, now_ms: int) -> str:
    """How an invite stands: an open one that nobody came with in time has expired."""
    return "expired" if invite.state == "open" and invite.expires_at_ms < now_ms else invite.state


async def invites(visit: Visit) -> Response:
    return await _invites(visit)


async def _invites(visit: Visit, *, problem: str = "", made: desk.InviteMade | None = None) -> Response:
    found = await listed(visit)
    wanted = visit.query("state")[:20]
    rows = [(one, standing(one, visit.now_ms)) for one in found]
    typed = {name: "" if made else visit.text(name)[:200] for name in WRITTEN}
    return visit.page(
        "invites.html",
        status=422 if problem else 200,
        rows=[row for row in rows if wanted in ("", row[1])][:SHOWN],
        counts={
            state: sum(one == state for _, one in rows) for state in ("open", "used", "expired", "burnt", "cancelled")
        },
        wanted=wanted,
        typed=typed,
        levels=LEVELS,
        kinds=KINDS,
        problem=problem,
        made=made,
        done=visit.query("done"),
        columns=COLUMN_WORDS,
        schools_max=SCHOOLS_MAX,
    )


async def invites_json(visit: Visit) -> Response:
    return visit.finish(as_json(await listed(visit)))


async def invites_csv(visit: Visit) -> Response:
    rows = [
        (
            one.name,
            one.description.title.zh or one.description.title.en,
            one.description.level,
            one.description.kind,
            standing(one, visit.now_ms),
            day_in_china(one.expires_at_ms).isoformat(),
            one.tries_left,
            one.id,
        )
        for one in await listed(visit)
    ]
    return visit.finish(as_csv("invites.csv", HEAD, rows))


async def make(visit: Visit) -> Response:
    """One invite; its code is shown once."""
    try:
        made = await visit.ask("invite.make", _typed(visit), desk.InviteMade)
    except LlnError as refused:
        return await _invites(visit, problem=told(visit, refused))
    await visit.behind.noting.note(visit.person, "invite_node", about=made.name)
    return await _invites(visit, made=made)


def _typed(visit: Visit) -> desk.InviteAsked:
    days = visit.text("days") or "7"
    if not (days.isascii() and days.isdigit() and len(days) <= 2):
        raise FormFaulty("days", visit.say("invites.days_shape"))
    codes = {name: visit.text(name) for name in ("division_code", "institution_code") if visit.text(name)}
    description = {
        "title": {"zh": visit.text("title"), "en": visit.text("title_en")},
        "level": visit.text("level"),
        "kind": visit.text("kind"),
        **codes,
    }
    return visit.read(desk.InviteAsked, label=visit.text("label").lower(), description=description, days=int(days))


async def void(visit: Visit) -> Response:
    invite = visit.text("id")[:64]
    try:
        await visit.ask("invite.cancel", visit.read(desk.InviteNamed, id=invite), desk.Nothing)
    except LlnError as refused:
        return await _invites(visit, problem=told(visit, refused))
    await visit.behind.noting.note(visit.person, "void_invite", about=invite)
    return visit.go("/invites", done="void")


# --- a sheet of schools ----------------------------------------------------------------------------------------------


async def plan(visit: Visit) -> Response:
    """What a sheet would come to; nothing is made yet."""
    upload = visit.upload("file")
    if upload is None:
        return await _invites(visit, problem=visit.say("invites.no_file"))
    content = await upload.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        return await _invites(visit, problem=visit.say("invites.too_large"))
    name = (upload.filename or "")[-80:]
    try:
        rows = await asyncio.to_thread(lambda: list(read_schools(content, name)))
    except InvalidInput as refused:
        return await _invites(visit, problem=told(visit, refused))
    if not rows:
        return await _invites(visit, problem=visit.say("invites.empty_sheet"))
    planned = await _planned(visit, rows)
    wrong = sum(bool(one.row.faults) for one in planned)
    good = [Packed.of(one.row.asked) for one in planned if one.row.asked is not None]
    return visit.page(
        "invites_plan.html",
        planned=planned,
        wrong=wrong,
        packed="" if wrong else msgspec.json.encode(good).decode(),
        columns=COLUMN_WORDS,
        shown_max=PLAN_SHOWN,
    )


async def _planned(visit: Visit, rows: Sequence[SchoolRow]) -> list[Planned]:
    tree = await visit.ask("node.tree", desk.Nothing(), desk.Tree)
    taken = {one.name for one in tree.nodes if one.parent == tree.top and one.status in ("active", "suspended")}
    is_open = {one.name for one in await listed(visit) if standing(one, visit.now_ms) == "open"}

    def change(row: SchoolRow) -> str:
        name = f"{row.asked.label}.{tree.top}" if row.asked else ""
        return "taken" if name in taken else "again" if name in is_open else "new"

    return [Planned(row=row, change=change(row)) for row in rows]


async def make_sheet(visit: Visit) -> Response:
    """The sheet of invites: a row for each school, with its code, or with what stood in the way."""
    try:
        packed = msgspec.json.decode(b64decode(visit.text("rows"), validate=True), type=tuple[Packed, ...])
        asked = [one.asked() for one in packed[: SCHOOLS_MAX + 1]]
    except (ValueError, RecursionError) as wrong:  # msgspec's and base64's own are ValueErrors
        raise FormFaulty("rows", visit.say("invites.upload_again")) from wrong
    if not 1 <= len(asked) <= SCHOOLS_MAX:
        raise FormFaulty("rows", visit.say("invites.upload_again"))
    rows = [await _made(visit, one) for one in asked]
    return visit.finish(as_csv("lln-invites.csv", SHEET_HEAD, rows))


async def _made(visit: Visit, asked: desk.InviteAsked) -> tuple[object, ...]:
    title = asked.description.title.zh or asked.description.title.en
    try:
        made = await visit.ask("invite.make", asked, desk.InviteMade)
    except LlnError as refused:
        return (title, asked.label, "", "", told(visit, refused))
    await visit.behind.noting.note(visit.person, "invite_node", about=made.name)
    return (title, made.name, day_in_china(made.expires_at_ms).isoformat(), made.code, "")


def told(visit: Visit, refused: LlnError) -> str:
    """An error as one sentence of a page, with what it is about where that helps."""
    sentence = visit.told(refused)
    detail = refused.detail if isinstance(refused, FormFaulty) else ""
    return " ".join(part for part in (sentence, detail, f"({refused.code})") if part)


PAGES: Final = (
    Page(path="/invites", answer=invites, roles=OPERATOR, shows=True),
    Page(path="/invites.json", answer=invites_json, roles=OPERATOR),
    Page(path="/invites.csv", answer=invites_csv, roles=OPERATOR),
    Page(path="/invites", answer=make, roles=OPERATOR, methods=("POST",)),
    Page(path="/invites/void", answer=void, roles=OPERATOR, methods=("POST",)),
    Page(path="/invites/sheet", answer=plan, roles=OPERATOR, methods=("POST",)),
    Page(path="/invites/sheet/make", answer=make_sheet, roles=OPERATOR, methods=("POST",)),
)
