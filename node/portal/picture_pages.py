"""The page of the whole picture, for whoever runs or audits a node with others below it, and its downloads.

What lives here: the page and its twins as JSON, CSV and XLSX. What must not: counting (`picture.py`).
"""

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from node.portal.operator_pages import in_words
from node.portal.pages import Page
from node.portal.picture import Picture, picture
from node.portal.tables import as_csv, as_json
from node.portal.visits import Visit
from node.portal.workbooks import Sheet, as_xlsx
from node.ports.people import Role

ANALYST: Final[tuple[Role, ...]] = ("auditor", "operator")
LINKS_SHOWN: Final = 8
COUNT_HEAD: Final = ("key", "count")


async def whole(visit: Visit) -> Response:
    drawn = await picture(visit)
    slowest = sorted(drawn.links, key=lambda one: (-one.waiting_ms, -(one.age_ms or 0), one.name))
    return visit.page(
        "picture.html", it=drawn, slowest=slowest[:LINKS_SHOWN], in_words=lambda told: in_words(visit, told)
    )


async def whole_json(visit: Visit) -> Response:
    return visit.finish(as_json(await picture(visit)))


async def whole_csv(visit: Visit) -> Response:
    """Every table in one, each row under the name of its table."""
    rows = [
        (sheet.name, row[0], head, value)
        for sheet in _sheets(await picture(visit))
        for row in sheet.rows
        for head, value in zip(sheet.head[1:], row[1:], strict=True)
    ]
    return visit.finish(as_csv("picture.csv", ("table", "key", "measure", "value"), rows))


async def whole_xlsx(visit: Visit) -> Response:
    return visit.finish(as_xlsx("picture.xlsx", _sheets(await picture(visit))))


def _sheets(it: Picture) -> Sequence[Sheet]:
    return (
        Sheet(
            name="coverage",
            head=("key", "value"),
            rows=[
                ("node", it.top),
                ("at_ms", it.at_ms),
                ("nodes", it.nodes),
                ("nodes without a copy here", it.silent),
                ("resources", it.resources),
                ("resources are exact", "yes" if it.is_exact else "no"),
                ("credit records", it.credits.total),
                ("reports of children on credits", it.credits.reports),
            ],
        ),
        Sheet(name="levels", head=COUNT_HEAD, rows=it.levels),
        Sheet(name="statuses", head=COUNT_HEAD, rows=it.statuses),
        Sheet(
            name="provinces",
            head=("code", "name", "nodes", "catalogue entries"),
            rows=[(one.code, one.zh, one.nodes, one.entries) for one in it.regions],
        ),
        *(
            Sheet(name=facet, head=COUNT_HEAD, rows=[(one.key, one.count) for one in shares])
            for facet, shares in it.facets.items()
        ),
        Sheet(name="credit kinds", head=COUNT_HEAD, rows=_told(it, "kinds")),
        Sheet(name="credit levels", head=COUNT_HEAD, rows=_told(it, "levels")),
        Sheet(name="freshness of logs", head=COUNT_HEAD, rows=it.ages),
        Sheet(
            name="links",
            head=("name", "entries", "age_ms", "waiting", "waiting_ms", "last_error"),
            rows=[(one.name, one.entries, one.age_ms, one.waiting, one.waiting_ms, one.last_error) for one in it.links],
        ),
    )


def _told(it: Picture, table: str) -> list[tuple[str, object]]:
    """Numbers stay numbers; what is too small stays as it is told."""
    shares, withheld = (
        (it.credits.kinds, it.credits.kinds_withheld)
        if table == "kinds"
        else (it.credits.levels, it.credits.levels_withheld)
    )
    rows: list[tuple[str, object]] = [(one.key, one.told if one.count is None else one.count) for one in shares]
    return [*rows, ("not told one by one", withheld)] if withheld else rows


PAGES: Final = (
    Page(path="/picture", answer=whole, roles=ANALYST, shows=True),
    Page(path="/picture.json", answer=whole_json, roles=ANALYST),
    Page(path="/picture.csv", answer=whole_csv, roles=ANALYST),
    Page(path="/picture.xlsx", answer=whole_xlsx, roles=ANALYST),
)
