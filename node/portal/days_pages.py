"""An operator's charts: searches, publications, credits and lag over the last days.

What lives here: the page and its twins. What must not: counting (`node/usecases/tallying.py`).
"""

from typing import Final

from starlette.responses import Response

from node import desk
from node.portal.charts import draw_days
from node.portal.pages import Page
from node.portal.picture_pages import ANALYST
from node.portal.tables import as_csv, as_json
from node.portal.visits import Visit

HEAD: Final = ("day", "searches", "published", "credits", "lag_s")


async def _days(visit: Visit) -> desk.DayTallies:
    return await visit.ask("node.days", desk.Nothing(), desk.DayTallies)


async def days(visit: Visit) -> Response:
    told = await _days(visit)
    charts = [
        (name, draw_days({one.day: count for one, count in zip(told.days, counts, strict=True)}, told.today))
        for name, counts in (
            ("searches", [one.searches for one in told.days]),
            ("published", [one.published for one in told.days]),
            ("credits", [one.credits for one in told.days]),
            ("lag", [one.lag_s // 60 for one in told.days]),
        )
    ]
    return visit.page(
        "days.html", charts=charts, days=told.days[::-1], first=charts[0][1].bars[0].day, today=told.today
    )


async def days_json(visit: Visit) -> Response:
    return visit.finish(as_json(await _days(visit)))


async def days_csv(visit: Visit) -> Response:
    rows = [
        (one.day.isoformat(), one.searches, one.published, one.credits, one.lag_s) for one in (await _days(visit)).days
    ]
    return visit.finish(as_csv("days.csv", HEAD, rows))


PAGES: Final = (
    Page(path="/days", answer=days, roles=ANALYST, shows=True),
    Page(path="/days.json", answer=days_json, roles=ANALYST),
    Page(path="/days.csv", answer=days_csv, roles=ANALYST),
)
