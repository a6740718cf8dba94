"""A learner's pages: what they hold, and who has seen it.

What lives here: balance, records, consents, disclosures, export and erasure, only ever of the learner who is signed in.
What must not: converting and proving (`exchange_pages.py`), or any decision.
"""

from typing import Final

from starlette.responses import RedirectResponse, Response

from federation.errors import NotFound
from node import desk
from node.portal.pages import Page
from node.portal.tables import as_csv, as_json
from node.portal.visits import SESSION, Visit
from node.ports.people import Role

LEARNER: Final[tuple[Role, ...]] = ("learner",)
RECORDS_MAX: Final = 1_000


class NotYours(NotFound):
    """Told alike of what is somebody else's and of what does not exist."""

    code = "LLN-1267"
    zh = "您的账户里没有这一项。"
    en = "There is no such thing in your account."


async def own_records(visit: Visit) -> tuple[desk.RecordSummary, ...]:
    """The records of whoever is signed in; none where no account of a learner belongs to the login."""
    learner = visit.signed_in.learner
    if not learner:
        return ()
    asked = desk.RecordsAsked(learner=learner, limit=RECORDS_MAX)
    listed = await visit.ask("credit.list", asked, desk.Records)
    await visit.know(*(one.issuer for one in listed.records))
    return tuple(sorted(listed.records, key=lambda one: one.achieved_on, reverse=True))


async def own_record(visit: Visit, record_id: str) -> desk.RecordShown:
    """Raises NotYours for a record of anybody else."""
    if record_id not in {one.id for one in await own_records(visit)}:
        raise NotYours
    return await visit.ask("credit.show", visit.read(desk.RecordNamed, id=record_id), desk.RecordShown)


async def balance(visit: Visit) -> Response:
    learner = visit.signed_in.learner
    if not learner:
        return visit.page("no_learner.html")
    balances = await visit.ask("credit.balance", desk.BalanceAsked(learner=learner), desk.Balances)
    requests = await visit.ask("convert.list", desk.RequestsAsked(learner=learner), desk.Requests)
    newest = sorted(
        (one for one in requests.requests if one.state != "previewed"), key=lambda one: one.asked_at_ms, reverse=True
    )
    await visit.know(*(one.receiver for one in newest))
    return visit.page("my.html", lines=balances.lines, records=await own_records(visit), requests=newest)


async def records_json(visit: Visit) -> Response:
    return visit.finish(as_json(await own_records(visit)))


async def records_csv(visit: Visit) -> Response:
    head = ("name", "issuer", "kind", "amount", "unit", "achieved_on", "state", "id")
    rows = [
        (
            str(one.name),
            one.issuer,
            one.kind,
            one.hundredths / 100,
            one.unit,
            one.achieved_on.isoformat(),
            one.state,
            one.id,
        )
        for one in await own_records(visit)
    ]
    return visit.finish(as_csv("credits.csv", head, rows))


async def record(visit: Visit) -> Response:
    shown = await own_record(visit, visit.request.path_params["id"])
    return visit.page("record.html", record=shown.record, events=shown.events)


async def my_data(visit: Visit) -> Response:
    if not visit.signed_in.learner:
        return visit.page("no_learner.html")
    named = desk.LearnerNamed(learner=visit.signed_in.learner)
    shown = await visit.ask("learner.show", named, desk.LearnerShown)
    names = {one.id: one.name for one in await own_records(visit)}
    await visit.know(*(one.recipient for one in shown.disclosures), *(one.recipient for one in shown.consents))
    return visit.page("my_data.html", shown=shown, names=names, done=visit.query("done"))


async def withdraw(visit: Visit) -> Response:
    consent = visit.text("consent")
    consents = await visit.ask("consent.list", desk.LearnerNamed(learner=visit.signed_in.learner), desk.Consents)
    if consent not in {one.id for one in consents.consents}:
        raise NotYours
    await visit.ask("consent.withdraw", visit.read(desk.ConsentNamed, consent=consent), desk.ConsentShown)
    await visit.behind.noting.note(visit.person, "withdraw_consent", about=consent)
    return visit.go("/my/data", done="withdrawn")


async def export(visit: Visit) -> Response:
    named = desk.LearnerNamed(learner=visit.signed_in.learner)
    made = await visit.ask("learner.export", named, desk.LearnerExport)
    await visit.behind.noting.note(visit.person, "export")
    headers = {"Content-Disposition": 'attachment; filename="my-learning-account.zip"'}
    return visit.finish(Response(made.archive, media_type="application/zip", headers=headers))


async def erase(visit: Visit) -> Response:
    """First told what would go and what stays by law; then, with the word typed, done."""
    learner = visit.signed_in.learner
    is_confirmed = visit.text("word") == visit.say("my.erase_word")
    told = await visit.ask(
        "learner.erase", desk.EraseAsked(learner=learner, confirmed=is_confirmed), desk.LearnerErased
    )
    if not told.erased:
        names = {one.id: one.name for one in await own_records(visit)}
        return visit.page("erase.html", told=told, names=names, was_wrong=bool(visit.text("word")))
    await visit.behind.staffing.leave(visit.signed_in)
    await visit.behind.filing.let_go(visit.signed_in)
    response = RedirectResponse("/goodbye", status_code=303)
    visit.set_cookie(response, SESSION, "", 0)
    return visit.finish(response)


async def goodbye(visit: Visit) -> Response:
    return visit.page("goodbye.html")


PAGES: Final = (
    Page(path="/my", answer=balance, roles=LEARNER, shows=True),
    Page(path="/my.json", answer=records_json, roles=LEARNER),
    Page(path="/my.csv", answer=records_csv, roles=LEARNER),
    Page(path="/my/records/{id}", answer=record, roles=LEARNER),
    Page(path="/my/data", answer=my_data, roles=LEARNER, shows=True),
    Page(path="/my/data/withdraw", answer=withdraw, roles=LEARNER, methods=("POST",)),
    Page(path="/my/data/export", answer=export, roles=LEARNER, methods=("POST",)),
    Page(path="/my/data/erase", answer=erase, roles=LEARNER, methods=("POST",)),
    Page(path="/goodbye", answer=goodbye, shows=True),
)
