"""A contributor's sheet: many resources at once, as a plan with its differences, and submitted on a second word.

What lives here: the upload, its bounds, the plan and the word to go ahead. What must not: reading files (`node/intake`,
which refuses what would unpack into too much). Each row is reviewed by somebody else like any other.
"""

import asyncio
from itertools import islice
from typing import Final

from starlette.datastructures import UploadFile
from starlette.responses import Response

from federation.errors import LlnError, NotFound
from node import desk
from node.intake import IntakeRow, read_catalogue
from node.portal.comparing import label
from node.portal.pages import Page
from node.portal.visits import Visit
from node.ports.people import Role

SENDERS: Final[tuple[Role, ...]] = ("contributor",)
ROWS_MAX: Final = 1_000
ROWS_SHOWN: Final = 150
FILE_BYTES_MAX: Final = 2_000_000
CHANGES: Final = ("add", "update", "same", "refused")


class SheetForgotten(NotFound):
    code = "LLN-1269"
    zh = "这份表格放得太久，已经不在了，什么都没有提交。请重新上传一次。"
    en = "The sheet was kept for too long and is gone; nothing was submitted. Upload it once more."


async def form(visit: Visit) -> Response:
    return _page(visit)


async def plan(visit: Visit) -> Response:
    """What the sheet would change, row by row; nothing is written."""
    upload = visit.upload("file")
    if upload is None:
        return _page(visit, problem=visit.say("give.no_file"))
    try:
        rows = await _read(upload)
    except LlnError as unfit:
        return _page(visit, problem=visit.told(unfit))
    if len(rows) > ROWS_MAX:
        return _page(visit, problem=visit.say("give.too_many", count=ROWS_MAX))
    good = tuple(desk.ImportRow(row=one.row, resource=one.resource) for one in rows if one.resource is not None)
    planned = [line for one in rows for line in _faulty(one)]
    if good:
        planned += (await _ask(visit, good, apply=False)).rows
    changes = any(one.change in ("add", "update") for one in planned)
    token = visit.behind.offers.put(visit.signed_in.id, good, visit.now_ms) if changes else ""
    return _page(visit, planned=sorted(planned, key=lambda one: one.row), token=token)


async def go_ahead(visit: Visit) -> Response:
    """Submit what was planned, as it stands now; whole or not at all."""
    good = visit.behind.offers.take(visit.text("sheet"), visit.signed_in.id, visit.now_ms)
    if good is None:
        return _page(visit, problem=visit.told(SheetForgotten()))
    done = await _ask(visit, good, apply=True)
    submitted = sum(one.change in ("add", "update") for one in done.rows)
    await visit.behind.noting.note(visit.person, "submit", about=visit.say("give.rows", count=submitted))
    return visit.go("/contribute", done="sheet")


async def _read(upload: UploadFile) -> list[IntakeRow]:
    """One row more than may be, so that too many are noticed; off the event loop, since a file may be slow to read."""
    content = await upload.read(FILE_BYTES_MAX + 1)
    name = (upload.filename or "")[-200:]
    return await asyncio.to_thread(lambda: list(islice(read_catalogue(content, name), ROWS_MAX + 1)))


async def _ask(visit: Visit, rows: tuple[desk.ImportRow, ...], *, apply: bool) -> desk.ImportPlan:
    asked = desk.ImportAsked(rows=rows, author=visit.signed_in.known_as, apply=apply, own_alone=True)
    return await visit.ask("resource.import", asked, desk.ImportPlan)


def _faulty(row: IntakeRow) -> list[desk.PlannedRow]:
    return [
        desk.PlannedRow(
            row=row.row,
            id="",
            change="refused",
            reason_zh=fault.reason_zh,
            reason_en=fault.reason_en,
            remedy_zh=fault.remedy_zh,
            remedy_en=fault.remedy_en,
        )
        for fault in row.faults
    ]


def _page(
    visit: Visit, *, problem: str = "", planned: list[desk.PlannedRow] | None = None, token: str = ""
) -> Response:
    rows = planned or []
    counts = {change: len({one.row for one in rows if one.change == change}) for change in CHANGES}
    first = sorted(rows, key=lambda one: (CHANGES[::-1].index(one.change), one.row))
    return visit.page(
        "contribute_sheet.html",
        status=422 if problem else 200,
        problem=problem,
        planned=None if planned is None else first[:ROWS_SHOWN],
        hidden=max(0, len(first) - ROWS_SHOWN),
        counts=counts,
        sheet=token,
        label=lambda field: label(visit.ui, field),
    )


PAGES: Final = (
    Page(path="/contribute/sheet", answer=form, roles=SENDERS, shows=True),
    Page(path="/contribute/sheet", answer=plan, roles=SENDERS, methods=("POST",)),
    Page(path="/contribute/sheet/confirm", answer=go_ahead, roles=SENDERS, methods=("POST",)),
)
