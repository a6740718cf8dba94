"""Issuing by sheet: upload, the plan with its differences, confirm, and for a while undo.

What lives here: the registrar's pages about whole sheets. What must not: reading a file (`node/intake`), what a row
becomes (`credit.issue`), or which records an upload issued (`node/usecases/uploading.py`).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from starlette.responses import Response

from federation.errors import InvalidInput, LlnError
from node import desk
from node.portal.pages import Page
from node.portal.tables import as_csv, as_json
from node.portal.visits import SHEET_BYTES_MAX, HeldSheet, Visit
from node.ports.people import Role, UploadRow
from node.usecases.uploading import SecondPersonNeeded

REGISTRAR: Final[tuple[Role, ...]] = ("registrar",)
BATCH: Final = 200
SHOWN: Final = 50
UPLOADS_SHOWN: Final = 50
UPLOADS_MAX: Final = 1_000


class SheetGone(InvalidInput):
    code = "LLN-1142"
    zh = "这份表格已不在这里：可能已经登记过，或者放了超过 30 分钟。请重新上传；登记过的行不会重复登记。"
    en = "The sheet is no longer here: it was issued, or kept for over 30 minutes. Upload it again; nothing is doubled."


async def form(visit: Visit) -> Response:
    return _form(visit)


def _form(visit: Visit, problem: str = "") -> Response:
    return visit.page("sheet.html", status=422 if problem else 200, problem=problem)


async def upload(visit: Visit) -> Response:
    """Read the sheet, and hold it for whoever sent it; nothing is issued."""
    file = visit.upload("file")
    if file is None:
        return _form(visit, visit.say("sheet.choose"))
    content = await file.read(SHEET_BYTES_MAX + 1)
    try:
        read = await visit.behind.read_sheet(content, file.filename or "")
    except LlnError as refused:
        return _form(visit, visit.told(refused))
    held = HeldSheet(file=file.filename or "", sheet=read)
    name = visit.behind.sheets.put(visit.signed_in.id, held, visit.now_ms)
    return visit.go(f"/desk/issue/sheet/{name}")


async def plan(visit: Visit) -> Response:
    return await _plan(visit, visit.request.path_params["id"], _held(visit))


async def _plan(visit: Visit, name: str, held: HeldSheet, problem: str = "") -> Response:
    planned = await plan_of(visit, held.sheet)
    needs_second = await visit.behind.uploading.is_second_needed(visit.signed_in, len(rows_to_issue(planned)))
    return visit.page(
        "sheet_plan.html",
        status=409 if problem else 200,
        name=name,
        file=held.file,
        needs_second=needs_second,
        has_other=await visit.behind.handing_over.has_other(visit.signed_in) if needs_second else False,
        problem=problem,
        **shown_plan(planned),
    )


def shown_plan(planned: Sequence[desk.PlannedCredit]) -> dict[str, Any]:
    """A plan as pages draw it: how many rows each change has, and the first of them."""
    by_change = {change: [row for row in planned if row.change == change] for change in ("issue", "same", "refused")}
    counts = {change: len({row.row for row in rows}) for change, rows in by_change.items()}
    return {"shown": SHOWN, "counts": counts} | {change: rows[:SHOWN] for change, rows in by_change.items()}


def rows_to_issue(planned: Sequence[desk.PlannedCredit]) -> frozenset[int]:
    return frozenset(row.row for row in planned if row.change == "issue")


async def refused_csv(visit: Visit) -> Response:
    """The rows that are refused, as they stood, each with why: to be corrected and uploaded again."""
    held = _held(visit)
    refused = [row for row in await plan_of(visit, held.sheet) if row.change == "refused"]
    head = (*held.sheet.columns, "原因 reason", "行 row")
    why: dict[int, list[str]] = {}
    for row in refused:
        why.setdefault(row.row, []).append(f"{row.reason_zh} {row.reason_en}")
    rows = [(*held.sheet.cells.get(row, ()), "；".join(reasons), row) for row, reasons in why.items()]
    return visit.finish(as_csv("refused.csv", head, rows))


async def issue(visit: Visit) -> Response:
    """Carry the plan out: the sheet is taken, so that a second press finds nothing to do."""
    held, person = _held(visit, takes=True), visit.signed_in
    try:
        wanted = rows_to_issue(await plan_of(visit, held.sheet))
        begun = await visit.behind.uploading.begin(person, held.file, planned=len(wanted))
    except SecondPersonNeeded as needed:
        return await _plan(visit, _put_back(visit, held), held, visit.told(needed))
    await carry_out(visit, begun.id, held.sheet, wanted)
    return visit.go(f"/desk/uploads/{begun.id}", done="issued")


async def carry_out(visit: Visit, upload: str, sheet: desk.CreditSheet, wanted: frozenset[int]) -> None:
    """Issue the rows that were planned, and no other, for as long as nobody begins to undo."""
    uploading = visit.behind.uploading
    for rows in _batches([row for row in sheet.rows if row.row in wanted]):
        asked = desk.IssueAsked(rows=rows, by=visit.signed_in.known_as, apply=True)
        told = await visit.ask("credit.issue", asked, desk.IssuePlan)
        now = await uploading.issued(upload, tuple(row.id for row in told.rows if row.change == "issue"))
        if now.state != "issuing":
            return
    await uploading.finish(upload)


async def hand_over(visit: Visit) -> Response:
    """It waits, durably, for another registrar."""
    held = _held(visit, takes=True)
    try:
        wanted = rows_to_issue(await plan_of(visit, held.sheet))
        row = await visit.behind.handing_over.hand_over(
            visit.signed_in, held.file, held.sheet, planned=len(wanted), remark=visit.text("remark")[:400]
        )
    except LlnError as refused:
        return await _plan(visit, _put_back(visit, held), held, visit.told(refused))
    return visit.go(f"/desk/waiting/{row.id}", done="handed")


def _put_back(visit: Visit, held: HeldSheet) -> str:
    return visit.behind.sheets.put(visit.signed_in.id, held, visit.now_ms)


def _held(visit: Visit, *, takes: bool = False) -> HeldSheet:
    """Raises SheetGone, for somebody else's sheet, too."""
    name, sheets = visit.request.path_params["id"], visit.behind.sheets
    held = (sheets.take if takes else sheets.get)(name, visit.signed_in.id, visit.now_ms)
    if held is None:
        raise SheetGone(name[:40])
    return held


async def plan_of(visit: Visit, sheet: desk.CreditSheet) -> list[desk.PlannedCredit]:
    """What would become of each row now, in the order of the sheet."""
    planned = list(sheet.refused)
    for rows in _batches(sheet.rows):
        asked = desk.IssueAsked(rows=rows, by=visit.signed_in.known_as)
        planned += (await visit.ask("credit.issue", asked, desk.IssuePlan)).rows
    return sorted(planned, key=lambda row: row.row)


def _batches(rows: Sequence[desk.CreditRow]) -> Iterable[tuple[desk.CreditRow, ...]]:
    return (tuple(rows[at : at + BATCH]) for at in range(0, len(rows), BATCH))


# --- what was uploaded, and taking it back ---------------------------------------------------------------------------


async def uploads(visit: Visit) -> Response:
    latest = await visit.behind.uploading.latest(visit.signed_in, UPLOADS_SHOWN)
    return visit.page("uploads.html", uploads=latest)


async def uploads_json(visit: Visit) -> Response:
    return visit.finish(as_json(await visit.behind.uploading.latest(visit.signed_in, UPLOADS_MAX)))


async def uploads_csv(visit: Visit) -> Response:
    latest = await visit.behind.uploading.latest(visit.signed_in, UPLOADS_MAX)
    rows = [
        (
            one.id,
            one.at_ms,
            one.file,
            one.state,
            len(one.records),
            len(one.revoked),
            one.reason,
            one.name,
            one.approver_name,
        )
        for one in latest
    ]
    head = ("id", "at_ms", "file", "state", "records", "revoked", "reason", "uploaded_by", "second")
    return visit.finish(as_csv("uploads.csv", head, rows))


async def one_upload(visit: Visit) -> Response:
    return _upload_page(visit, await visit.behind.uploading.one(visit.signed_in, visit.request.path_params["id"]))


def _upload_page(visit: Visit, row: UploadRow, problem: str = "") -> Response:
    is_open = row.state == "undoing" or (row.state in ("issued", "issuing") and visit.now_ms < row.until_ms)
    return visit.page(
        "upload.html",
        status=422 if problem else 200,
        upload=row,
        may_undo=is_open and len(row.revoked) < len(row.records),
        minutes=max(1, (row.until_ms - visit.now_ms) // 60_000),
        kept=[one for one in row.records if one not in set(row.revoked)] if row.state == "undone" else [],
        shown=SHOWN,
        problem=problem,
        done=visit.query("done"),
    )


async def undo(visit: Visit) -> Response:
    """Revoke what this upload issued, one record after another; what has become something else meanwhile stays so."""
    person, uploading = visit.signed_in, visit.behind.uploading
    row = await uploading.one(person, visit.request.path_params["id"])
    reason = visit.text("reason")[:400]
    if not reason:
        return _upload_page(visit, row, visit.say("sheet.reason_needed"))
    try:
        row = await uploading.begin_undo(person, row.id, reason)
    except LlnError as refused:
        return _upload_page(visit, row, visit.told(refused))
    done = set(row.revoked)
    revoked: list[str] = []
    for record in (one for one in row.records if one not in done):
        if await _revoke(visit, record, reason):
            revoked.append(record)
        if len(revoked) == BATCH:
            await uploading.revoked(row.id, tuple(revoked), ended=False)
            revoked.clear()
    await uploading.revoked(row.id, tuple(revoked), ended=True)
    return visit.go(f"/desk/uploads/{row.id}", done="undone")


async def _revoke(visit: Visit, record: str, reason: str) -> bool:
    """False for a record that somebody has corrected, revoked or that has run out since."""
    shown = await visit.ask("credit.show", visit.read(desk.RecordNamed, id=record), desk.RecordShown)
    if shown.record.state not in ("active", "suspended"):
        return False
    asked = visit.read(
        desk.RecordStepAsked, id=record, step="revoke", reason=reason, by=visit.signed_in.known_as, reopens=True
    )
    await visit.ask("credit.step", asked, desk.RecordSummary)
    return True


PAGES: Final = (
    Page(path="/desk/issue/sheet", answer=form, roles=REGISTRAR, shows=True),
    Page(path="/desk/issue/sheet", answer=upload, roles=REGISTRAR, methods=("POST",)),
    Page(path="/desk/issue/sheet/{id}", answer=plan, roles=REGISTRAR),
    Page(path="/desk/issue/sheet/{id}", answer=issue, roles=REGISTRAR, methods=("POST",)),
    Page(path="/desk/issue/sheet/{id}/hand", answer=hand_over, roles=REGISTRAR, methods=("POST",)),
    Page(path="/desk/issue/sheet/{id}/refused.csv", answer=refused_csv, roles=REGISTRAR),
    Page(path="/desk/uploads", answer=uploads, roles=REGISTRAR, shows=True),
    Page(path="/desk/uploads.json", answer=uploads_json, roles=REGISTRAR),
    Page(path="/desk/uploads.csv", answer=uploads_csv, roles=REGISTRAR),
    Page(path="/desk/uploads/{id}", answer=one_upload, roles=REGISTRAR),
    Page(path="/desk/uploads/{id}", answer=undo, roles=REGISTRAR, methods=("POST",)),
)
