"""Published at a school, found at the national hub over four hops; and a school's search of the whole network."""

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median

from federation.catalogue import CRITERIA, BilingualLine, Resource
from federation.naming import NodeName
from federation.search import SearchAnswer
from node import desk
from node.demo.federation import Federation
from node.demo.plan import ROOT, read_tree
from tests.benchmarks.measuring import Figure, Flags, percentile

NAME = "propagation"
SMALLEST = {"PUBLICATIONS": 1, "SEARCHES": 1}
SCHOOL = NodeName(f"xitang.jiashan.jiaxing.zhejiang.{ROOT}")
PUBLICATIONS = 20
SEARCHES = 60
TIMEOUT_S = 30.0


def run(flags: Flags) -> list[Figure]:
    del flags
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    line = [node for node in read_tree() if node.name == SCHOOL or SCHOOL.endswith(f".{node.name}")]
    with tempfile.TemporaryDirectory() as folder:
        federation = Federation(Path(folder), line, told=lambda _: None)
        try:
            await federation.start()
            delays = [await _published_to_found(federation, number) for number in range(PUBLICATIONS + 2)][2:]
            near, far = await _searches(federation)
        finally:
            await federation.stop()
    return [
        Figure(
            name="published at a school → found at the hub, 4 hops",
            ours=f"p50 {median(delays):.2f} s, p95 {percentile(delays, 0.95):.2f} s",
            rival_or_ceiling="5 s",
            ratio=round(percentile(delays, 0.95), 2),
            gate="≤ 5",
            aim="≤ 2",
            unit="s",
            note=f"{PUBLICATIONS} publications, five processes",
        ),
        Figure(
            name="school → hub search, against the hub's own",
            ours=f"{far * 1e3:.1f} ms",
            rival_or_ceiling=f"{near * 1e3:.1f} ms",
            ratio=round((far - near) * 1e3, 2),
            aim="≤ 10",
            unit="ms more",
            note="median; the difference is two signed round trips and the merge",
        ),
    ]


async def _published_to_found(federation: Federation, number: int) -> float:
    word = f"unicum{number:04d}x"
    resource = Resource(
        id=word, title=BilingualLine(en=f"Course {word}"), type="online_course", section="workplace_skills"
    )
    rows = (desk.ImportRow(row=1, resource=resource),)
    await federation.ask(
        SCHOOL, "resource.import", desk.ImportAsked(rows=rows, author="a", apply=True), desk.ImportPlan
    )
    review = desk.ReviewAsked(ids=(word,), reviewer="b", approve=True, criteria=CRITERIA)
    await federation.ask(SCHOOL, "resource.review", review, desk.ResourceOutcomes)
    started = time.perf_counter()
    await federation.ask(SCHOOL, "resource.publish", desk.ResourcesNamed(ids=(word,)), desk.ResourceOutcomes)
    while time.perf_counter() - started < TIMEOUT_S:
        asked = desk.SearchAsked(text=word, facets=False)
        found = await federation.ask(ROOT, "search", asked, SearchAnswer)
        if found.hits:
            return time.perf_counter() - started
        await asyncio.sleep(0.02)
    raise RuntimeError("never found")


async def _searches(federation: Federation) -> tuple[float, float]:
    """Median seconds of the same search at the hub, where it is local, and at the school."""
    asked = desk.SearchAsked(text="course", scope="network")
    seconds: dict[NodeName, list[float]] = {ROOT: [], SCHOOL: []}
    for _ in range(SEARCHES):
        for name, taken in seconds.items():
            started = time.perf_counter()
            await federation.ask(name, "search", asked, SearchAnswer)
            taken.append(time.perf_counter() - started)
    return median(seconds[ROOT]), median(seconds[SCHOOL])
