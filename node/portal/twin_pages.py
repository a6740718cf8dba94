"""Twins for programs of list pages that show more than one kind of thing: the same rows as JSON and as CSV.

What lives here: which rows and columns. What must not: another choice of rows than the page of the same name may show;
the roles are the same, and a test looks.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.responses import Response

from node import desk
from node.portal.branches import HEAD as BRANCH_HEAD
from node.portal.branches import all_branches
from node.portal.exchange_pages import found_rules
from node.portal.learner_pages import LEARNER
from node.portal.operator_pages import OPERATOR
from node.portal.pages import Page
from node.portal.registrar_pages import REGISTRAR
from node.portal.tables import as_csv, as_json
from node.portal.visits import Visit
from node.ports.people import UploadRow

AT_ONCE: Final = 1_000
ROWS_MAX: Final = 10_000
CASE_HEAD: Final = ("id", "state", "home", "decided_on", "credits", "reviewers", "reviews", "sheet", "by", "remark")
LEARNER_HEAD: Final = ("id", "state", "name", "identity_number", "student_number", "registered_at_ms")
PERSON_HEAD: Final = ("id", "login", "name", "state", "roles", "learner")
SEEN_HEAD: Final = ("at_ms", "recipient", "purpose", "fields", "records")
RULE_HEAD: Final = ("authority", "id", "version", "title")


async def node_csv(visit: Visit) -> Response:
    return visit.finish(as_csv("nodes.csv", BRANCH_HEAD, [one.cells for one in await all_branches(visit)]))


# --- the registrar's -------------------------------------------------------------------------------------------------


async def _cases(visit: Visit) -> Sequence[desk.CaseShown]:
    """What waits for a decision first."""
    waiting = await visit.ask("case.list", desk.CasesAsked(state="reviewing", limit=AT_ONCE), desk.Cases)
    every = await visit.ask("case.list", desk.CasesAsked(limit=AT_ONCE), desk.Cases)
    return (*waiting.cases, *(one for one in every.cases if one.state != "reviewing"))


async def _sheets(visit: Visit) -> list[UploadRow]:
    """Sheets of others that wait for a second registrar."""
    return [one for one in await visit.behind.handing_over.waiting() if one.owner != visit.signed_in.id]


async def cases_json(visit: Visit) -> Response:
    return visit.finish(as_json({"sheets": await _sheets(visit), "cases": await _cases(visit)}))


async def cases_csv(visit: Visit) -> Response:
    sheets = [
        (one.id, one.state, "", "", "", "", "", one.file or "-", one.name, one.remark) for one in await _sheets(visit)
    ]
    rows = [
        (
            one.id,
            one.state,
            one.home,
            one.decided_on.isoformat() if one.decided_on else "",
            "; ".join(f"{credit.amount / 100:g} {credit.unit}" for grant in one.grants for credit in grant.credits),
            one.reviewers,
            len(one.reviews),
            "",
            "",
            "",
        )
        for one in await _cases(visit)
    ]
    return visit.finish(as_csv("cases.csv", CASE_HEAD, [*sheets, *rows]))


async def _learners(visit: Visit) -> list[desk.LearnerLine]:
    """With their numbers masked, as on the page."""
    rows: list[desk.LearnerLine] = []
    more = True
    while more and len(rows) < ROWS_MAX:
        asked = desk.LearnersAsked(after=rows[-1].id if rows else "", limit=AT_ONCE)
        listed = await visit.ask("learner.list", asked, desk.Learners)
        rows += listed.rows
        more = listed.more
    return rows


async def learners_json(visit: Visit) -> Response:
    return visit.finish(as_json(await _learners(visit)))


async def learners_csv(visit: Visit) -> Response:
    rows = [msgspec.structs.astuple(one) for one in await _learners(visit)]
    return visit.finish(as_csv("learners.csv", LEARNER_HEAD, rows))


# --- the operator's --------------------------------------------------------------------------------------------------


async def _people(visit: Visit) -> tuple[desk.PersonLine, ...]:
    """Nothing by which anybody could sign in is among it."""
    return (await visit.ask("person.list", desk.PersonsAsked(limit=AT_ONCE), desk.Persons)).persons


async def people_json(visit: Visit) -> Response:
    return visit.finish(as_json(await _people(visit)))


async def people_csv(visit: Visit) -> Response:
    rows = [(one.id, one.login, one.name, one.state, "; ".join(one.roles), one.learner) for one in await _people(visit)]
    return visit.finish(as_csv("people.csv", PERSON_HEAD, rows))


# --- the learner's ---------------------------------------------------------------------------------------------------


async def _seen(visit: Visit) -> desk.Consents:
    if not visit.signed_in.learner:
        return desk.Consents(consents=(), disclosures=())
    return await visit.ask("consent.list", desk.LearnerNamed(learner=visit.signed_in.learner), desk.Consents)


async def seen_json(visit: Visit) -> Response:
    return visit.finish(as_json(await _seen(visit)))


async def seen_csv(visit: Visit) -> Response:
    rows = [
        (one.at_ms, one.recipient, one.purpose, "; ".join(one.fields), "; ".join(one.records))
        for one in (await _seen(visit)).disclosures
    ]
    return visit.finish(as_csv("who-has-looked.csv", SEEN_HEAD, rows))


async def rules_json(visit: Visit) -> Response:
    return visit.finish(as_json(await found_rules(visit)))


async def rules_csv(visit: Visit) -> Response:
    rows = [(one.authority, one.id, one.version, one.title.zh or one.title.en) for one in await found_rules(visit)]
    return visit.finish(as_csv("conversions.csv", RULE_HEAD, rows))


PAGES: Final = (
    Page(path="/node.csv", answer=node_csv, roles=OPERATOR),
    Page(path="/desk.json", answer=cases_json, roles=REGISTRAR),
    Page(path="/desk.csv", answer=cases_csv, roles=REGISTRAR),
    Page(path="/desk/learners.json", answer=learners_json, roles=REGISTRAR),
    Page(path="/desk/learners.csv", answer=learners_csv, roles=REGISTRAR),
    Page(path="/people.json", answer=people_json, roles=OPERATOR),
    Page(path="/people.csv", answer=people_csv, roles=OPERATOR),
    Page(path="/my/data.json", answer=seen_json, roles=LEARNER),
    Page(path="/my/data.csv", answer=seen_csv, roles=LEARNER),
    Page(path="/my/convert.json", answer=rules_json, roles=LEARNER),
    Page(path="/my/convert.csv", answer=rules_csv, roles=LEARNER),
)
