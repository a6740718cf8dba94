"""A contributor's pages: what they have offered and how far it has come, offering something, and putting it right.

What lives here: the list, the form of three fields, a resource's way through review. What must not: sheets
(`offer_sheet_pages.py`), review itself, or a choice of who the author is: that is whoever has signed in.
"""

import re
from typing import Any, Final

import msgspec
from starlette.responses import Response

from federation.catalogue import CRITERIA, Audience, Resource, ResourceType, Section
from federation.errors import LlnError
from node import desk
from node.intake.describing import describe
from node.intake.rows import RowFault
from node.portal import offer_files
from node.portal.addresses import web_address
from node.portal.learner_pages import NotYours
from node.portal.offer_files import Chosen
from node.portal.pages import Page
from node.portal.tables import as_csv, as_json
from node.portal.visits import Visit
from node.ports import ResourceRow
from node.ports.files import FileRow, KeptFile
from node.ports.people import Role

CONTRIBUTORS: Final[tuple[Role, ...]] = ("contributor", "learner")
SHOWN: Final = 100
TWIN_ROWS_MAX: Final = 1_000
SECTIONS: Final[tuple[str, ...]] = Section.__args__  # type: ignore[attr-defined]  # typing offers no other way
AUDIENCES: Final[tuple[str, ...]] = Audience.__args__  # type: ignore[attr-defined]  # as above
TYPES: Final[tuple[str, ...]] = ResourceType.__args__  # type: ignore[attr-defined]  # as above
AIDS: Final = ("captions", "transcript", "large_type")
TEXTS: Final = ("title", "section", "description", "location", "type", "hours", "licence")
_CHINESE: Final = re.compile("[\u3400-\u9fff]")


async def offered(visit: Visit) -> Response:
    listed = await _own_rows(visit, SHOWN)
    rows = sorted(listed.rows, key=lambda one: one.updated_at_ms, reverse=True)
    more = listed.rows[-1].id if listed.more else ""
    return visit.page("contribute.html", rows=rows, more=more, done=visit.query("done"))


async def offered_json(visit: Visit) -> Response:
    return visit.finish(as_json((await _own_rows(visit, TWIN_ROWS_MAX)).rows))


async def offered_csv(visit: Visit) -> Response:
    return visit.finish(resource_table("contributions.csv", (await _own_rows(visit, TWIN_ROWS_MAX)).rows))


async def _own_rows(visit: Visit, limit: int) -> desk.Resources:
    asked = desk.ResourcesAsked(author=visit.signed_in.known_as, after=visit.query("after")[:128], limit=limit)
    return await visit.ask("resource.list", asked, desk.Resources)


def resource_table(name: str, rows: tuple[ResourceRow, ...]) -> Response:
    head = ("id", "title", "state", "version", "author", "section", "location", "remark", "updated_at_ms")
    return as_csv(
        name,
        head,
        [
            (
                row.id,
                str(row.resource.title),
                row.state,
                row.resource.version,
                row.author,
                row.resource.section,
                row.resource.location,
                row.remark,
                row.updated_at_ms,
            )
            for row in rows
        ],
    )


# --- one of them -----------------------------------------------------------------------------------------------------


async def own_resource(visit: Visit) -> ResourceRow:
    """Raises NotYours alike for what is not there and for what somebody else has submitted."""
    try:
        named = visit.read(desk.ResourceNamed, id=visit.request.path_params["id"])
        row = await visit.ask("resource.show", named, ResourceRow)
    except LlnError as absent:
        raise NotYours from absent
    if row.author != visit.signed_in.known_as:
        raise NotYours
    return row


async def progress(visit: Visit) -> Response:
    row = await own_resource(visit)
    _, file = await offer_files.files_of(visit, row)
    told: dict[str, Any] = {
        "file": file,
        "is_near_only": not visit.behind.public_address,
        "size_of": offer_files.size_of,
    }
    saves = offer_files.path_of(row.id, file.state) if file else ""
    return visit.page("contribution.html", row=row, criteria=CRITERIA, done=visit.query("done"), saves=saves, **told)


async def blank(visit: Visit) -> Response:
    return _form(visit, None, _typed_before(None, None))


async def offer(visit: Visit) -> Response:
    return await _submit(visit, None)


async def correct_form(visit: Visit) -> Response:
    row = await own_resource(visit)
    file = await offer_files.file_of(visit, row.resource)
    return _form(visit, row, _typed_before(row, file), file=file)


async def correct(visit: Visit) -> Response:
    return await _submit(visit, await own_resource(visit))


async def _submit(visit: Visit, row: ResourceRow | None) -> Response:
    """It is submitted for review at once: there is one step, and it can be put right as often as wanted."""
    before = await offer_files.file_of(visit, row.resource) if row else None
    sent = await offer_files.chosen(visit)
    found = describe(_described(visit, row, before, sent.file))
    problems = [_told(visit, one) for one in found] if not isinstance(found, Resource) else []
    if not visit.text("title"):
        problems = [visit.say("give.title_needed")]
    elif visit.text("location") and not web_address(_location(visit))[0]:
        problems.append(visit.say("give.link_shape"))
    if sent.problem:
        problems.append(sent.problem)
    elif sent.file and visit.text("location"):
        problems.append(visit.say("give.link_or_file"))
    if problems or not isinstance(found, Resource):
        return _form(visit, row, _typed(visit), problems, file=before, sent=sent)
    planned = await _import(visit, found, sent.file)
    if planned.change in ("refused", "same"):
        said = (planned.reason_zh, planned.remedy_zh) if visit.ui == "zh" else (planned.reason_en, planned.remedy_en)
        told = " ".join(one for one in said if one) or visit.say("give.same")
        return _form(visit, row, _typed(visit), [told], file=before, sent=sent)
    await visit.behind.noting.note(visit.person, "submit", about=planned.id)
    return visit.go(f"/contribute/of/{planned.id}", done="submitted")


async def _import(visit: Visit, it: Resource, file: KeptFile | None) -> desk.PlannedRow:
    """A file is tied before the version that refers to it is written, and only where that will be."""
    asked = desk.ImportAsked(
        rows=(desk.ImportRow(row=1, resource=it),), author=visit.signed_in.known_as, apply=file is None, own_alone=True
    )
    [planned] = (await visit.ask("resource.import", asked, desk.ImportPlan)).rows
    if file is None or planned.change in ("refused", "same"):
        return planned
    await visit.behind.filing.tie(visit.signed_in, it.id, file)
    again = msgspec.structs.replace(asked, apply=True)
    [planned] = (await visit.ask("resource.import", again, desk.ImportPlan)).rows
    return planned


def _form(
    visit: Visit,
    row: ResourceRow | None,
    typed: dict[str, Any],
    problems: list[str] | None = None,
    *,
    file: FileRow | None = None,
    sent: Chosen | None = None,
) -> Response:
    """`file`: the one of the version submitted last; `sent`: what came with the form that has to be put right."""
    return visit.page(
        "contribute_form.html",
        status=422 if problems else 200,
        row=row,
        typed=typed,
        problems=problems or [],
        sections=SECTIONS,
        audiences=AUDIENCES,
        types=TYPES,
        aids=AIDS,
        file=file,
        sent=sent or Chosen(),
        size_of=offer_files.size_of,
        **offer_files.drawn(visit),
    )


def _typed(visit: Visit) -> dict[str, Any]:
    """What was typed, so that nothing has to be typed again."""
    texts = {name: visit.text(name) for name in TEXTS}
    ticks = {name: visit.texts(name) for name in ("audience", "aid")}
    return {**texts, **ticks, "ai": bool(visit.text("ai")), "named": bool(visit.text("named"))}


def _typed_before(row: ResourceRow | None, file: FileRow | None) -> dict[str, Any]:
    """The form as it opens: empty, or with what was submitted last."""
    if row is None:
        empty: dict[str, Any] = dict.fromkeys(TEXTS, "")
        return {**empty, "type": TYPES[0], "audience": (), "aid": (), "ai": False, "named": False}
    it = row.resource
    return {
        "title": it.title.zh or it.title.en,
        "section": it.section,
        "description": it.description.zh or it.description.en,
        "location": "" if file or offer_files.was_file(it) else it.location,
        "type": it.type,
        "hours": "" if it.hours is None else str(it.hours),
        "licence": it.licence,
        "audience": it.audience,
        "aid": tuple(one for one in AIDS if getattr(it.accessibility, one)),
        "ai": it.ai_generated,
        "named": bool(it.contributor),
    }


def _described(visit: Visit, row: ResourceRow | None, file: FileRow | None, new: KeptFile | None) -> dict[str, Any]:
    """The fields of the resource: what was submitted before, with what the form says in its place.

    A file of before stays where neither another one nor a link is given.
    """
    before: dict[str, Any] = msgspec.to_builtins(row.resource) if row else {}
    hours = visit.text("hours")
    fields = {
        **before,
        "title": _in_its_language(before.get("title", {}), visit.text("title")),
        "description": _in_its_language(before.get("description", {}), visit.text("description")),
        "section": visit.text("section"),
        "type": visit.text("type"),
        "audience": [one for one in AUDIENCES if one in visit.texts("audience")],
        "location": _location(visit),
        "hours": int(hours) if hours.isascii() and hours.isdigit() and len(hours) < 10 else hours or None,
        "licence": visit.text("licence"),
        "ai_generated": bool(visit.text("ai")),
        "accessibility": {one: one in visit.texts("aid") for one in AIDS},
        "contributor": visit.signed_in.name if visit.text("named") else "",
    }
    if row is None:
        provider = visit.node.title
        fields["provider"] = provider.zh or provider.en
        fields["language"] = "zh-Hans" if _CHINESE.search(visit.text("title")) else "en"
    digest = new.digest if new else file.state if file and not visit.text("location") else None
    if digest is not None:
        fields.setdefault("id", offer_files.id_for(visit.signed_in.id, digest))
        fields |= {"sha256": digest, "location": offer_files.location_of(visit, fields["id"], digest)}
    elif row is not None and (file is not None or offer_files.was_file(row.resource)):
        fields["sha256"] = None
    return fields


def _in_its_language(before: dict[str, str], text: str) -> dict[str, str]:
    """The form shows one language of a text; the other stays as it was."""
    shown = "zh" if before.get("zh") else "en" if before.get("en") else "zh" if _CHINESE.search(text) else "en"
    return {**before, shown: text}


def _location(visit: Visit) -> str:
    """People copy addresses without their beginning."""
    text = visit.text("location")
    return f"https://{text}" if text and "://" not in text and "." in text.partition("/")[0] else text


def _told(visit: Visit, fault: RowFault) -> str:
    return f"{fault.reason_zh}{fault.remedy_zh}" if visit.ui == "zh" else f"{fault.reason_en} {fault.remedy_en}"


PAGES: Final = (
    Page(path="/contribute", answer=offered, roles=CONTRIBUTORS, shows=True),
    Page(path="/contribute.json", answer=offered_json, roles=CONTRIBUTORS),
    Page(path="/contribute.csv", answer=offered_csv, roles=CONTRIBUTORS),
    Page(path="/contribute/new", answer=blank, roles=CONTRIBUTORS, shows=True),
    Page(path="/contribute/new", answer=offer, roles=CONTRIBUTORS, methods=("POST",), takes_file=True),
    Page(path="/contribute/of/{id:path}", answer=progress, roles=CONTRIBUTORS),
    Page(path="/contribute/correct/{id:path}", answer=correct_form, roles=CONTRIBUTORS),
    Page(
        path="/contribute/correct/{id:path}",
        answer=correct,
        roles=CONTRIBUTORS,
        methods=("POST",),
        takes_file=True,
    ),
)
