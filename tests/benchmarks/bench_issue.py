"""Credit records: issued by 64 callers at once, from a sheet of 10,000, and converted across two nodes.

Everything is durable: signed, in the ledger and the log, committed. Rates count CPU seconds of this process, so that
they are per core; the wall clock stands beside them. A conversion is what two nodes in one process make of it, over
real sockets, from applying to the record's arrival at home. What must not live here: how figures are judged
(`measuring.py`).
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from node.ports import Transaction
from tests.benchmarks.load import Load
from tests.benchmarks.measuring import OTHERS_SHARE_MAX, Figure, Flags
from tests.support.live_nodes import network  # type: ignore[import-untyped,unused-ignore]  # a test's
from tests.support.post_office import RULE  # type: ignore[import-untyped,unused-ignore]  # a test's

NAME = "issue"
SMALLEST = {"CALLERS": 2, "EACH": 1, "SHEET": 200, "CONVERSIONS": 2}
CALLERS = 64
EACH = 40
SHEET = 10_000
AT_ONCE = 1_000
BAD_EVERY = 100
CONVERSIONS = 40
HOME, RECEIVER = "a.lln.internal", "b.lln.internal"
ISSUED = "signed, in ledger and log, committed, durable"


def run(flags: Flags) -> list[Figure]:
    del flags
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(figures(Path(folder)))


async def figures(folder: Path) -> list[Figure]:
    async with network(folder, "a", "b") as nodes:  # type: ignore[no-untyped-call,unused-ignore]
        home, receiver = nodes[HOME], nodes[RECEIVER]
        credited = {"unit": "credit", "hundredths": 250}
        for code in ("many", "sheet"):
            await home.ask(
                "achievement.define", code=code, name={"zh": code}, kind="other_non_formal", credits=credited
            )
        learners = []
        for number in range(CALLERS):
            written = {"name": "学员", "student_number": f"n{number}", "birth_date": "1961-03-05"}
            learners.append((await home.ask("learner.register", written=written)).id)
        rule = RULE.format(receiver="b", once_per="network", cascade="flag", more="", version=1)
        await receiver.ask("rule.publish", toml=rule, apply=True)
        return [
            await many_callers(home, learners),
            await sheet(home, learners, "new"),
            await sheet(home, learners, "again"),
            await conversions(home, learners[0]),
        ]


async def many_callers(home: Any, learners: list[str]) -> Figure:
    async def caller(learner: str) -> None:
        for number in range(EACH):
            await issue(home, [row(number, learner, "many", f"c{number}")])

    before, cpu_s, began_s = Load.now(), time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as together:
        for learner in learners:
            together.create_task(caller(learner))
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - began_s
    count = CALLERS * EACH
    return Figure(
        name=f"issue a record, {CALLERS} callers",
        ours=f"{cpu_s / count * 1e6:,.0f} µs",
        rival_or_ceiling="one core",
        ratio=count / cpu_s,
        gate="≥ 1500",
        aim="≥ 3000",
        unit="/s",
        disturbed=is_disturbed(before),
        note=f"{ISSUED}; wall {count / wall_s:,.0f}/s",
    )


async def sheet(home: Any, learners: list[str], which: str) -> Figure:
    """One row in a hundred names nobody, and comes back."""
    rows = [
        row(number, learners[number % CALLERS] if number % BAD_EVERY else "nobody", "sheet", f"s{number}")
        for number in range(SHEET)
    ]
    before, cpu_s, began_s = Load.now(), time.process_time(), time.perf_counter()
    told = [one for start in range(0, SHEET, AT_ONCE) for one in await issue(home, rows[start : start + AT_ONCE])]
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - began_s
    changes = {one.change for one in told if one.change != "refused"}
    assert changes == {"issue" if which == "new" else "same"}, changes
    assert sum(one.change == "refused" for one in told) == SHEET // BAD_EVERY
    return Figure(
        name=f"a sheet of {SHEET:,} certificates, {which}",
        ours=f"{wall_s:.1f} s",
        rival_or_ceiling="one core",
        ratio=SHEET / cpu_s,
        unit="/s",
        disturbed=is_disturbed(before),
        note=f"1 % of the rows come back; {AT_ONCE} in a transaction",
    )


async def conversions(home: Any, learner: str) -> Figure:
    """One after the other, each from `apply` to the arrival of its record."""
    owned = (await home.ask("credit.list", learner=learner, limit=CONVERSIONS)).records
    before, took_ms = Load.now(), []
    for record in owned:
        consent = await home.ask("consent.give", learner=learner, purpose="convert", fields=["records"],
                                 recipient=RECEIVER, records=[record.id], confirmed=True)  # fmt: skip
        shown = await home.ask("convert.preview", learner=learner, to=RECEIVER, records=[record.id], consent=consent.id)
        began_s = time.perf_counter()
        await home.ask("convert.apply", id=shown.id)
        while not await arrived(home, shown.id):  # noqa: ASYNC110  # what is waited for happens in another node
            await asyncio.sleep(0.001)
        took_ms.append((time.perf_counter() - began_s) * 1_000)
    return Figure(
        name="a conversion across two nodes",
        ours=f"median {statistics.median(took_ms):.0f} ms",
        rival_or_ceiling="five items, each durable at both ends",
        ratio=statistics.quantiles(took_ms, n=20)[-1],
        unit="ms (p95)",
        disturbed=is_disturbed(before),
        note=f"{CONVERSIONS} one after the other, both nodes in one process",
    )


async def arrived(home: Any, request: str) -> bool:
    state = await home.ask("convert.status", id=request)
    assert state.state not in ("refused", "cancelled"), state

    def unit(tx: Transaction) -> bool:
        return all(tx.credits.records.get(one) for one in state.results)

    return state.state == "converted" and await home.node.store.read(unit)


async def issue(home: Any, rows: list[dict[str, object]]) -> Any:
    return (await home.ask("credit.issue", rows=rows, by="王老师", apply=True)).rows


def row(number: int, learner: str, achievement: str, certificate: str) -> dict[str, object]:
    day = f"2025-{number // 28 % 12 + 1:02}-{number % 28 + 1:02}"
    return {"row": number, "learner": learner, "achievement": achievement, "achieved_on": day, "number": certificate}


def is_disturbed(before: Load) -> bool:
    share = Load.now().others_share_since(before)
    return share is not None and share > OTHERS_SHARE_MAX
