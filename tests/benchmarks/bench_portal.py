"""Pages a second of a real node's portal, and what node and portal weigh, with 1,000 learners and 100,000 resources.

`lln serve` in a process of its own; a bare Starlette page of the same size over the same uvicorn and event loop in
another. Both are asked by the same client, over as many connections, in turns. `--small`: 50 learners and 2,000
resources. What must not live here: the client (`page_loads.py`), or how figures are judged (`measuring.py`).
"""

import asyncio
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from config.settings import Listen, Portal
from federation import canonical
from federation.catalogue import CRITERIA, BilingualLine, BilingualProse, Resource, ResourcePublished, Review
from federation.directory import NodeDescription
from federation.logs import LogId
from node import desk
from node.assembly import Node
from node.beginnings import found_home
from node.opening import open_node
from node.portal.serving import BACKLOG, _configured
from node.portal.visits import SESSION
from node.ports import ResourceRow, Transaction
from node.runtime import read_serving
from tests.benchmarks.catalogues import SALT
from tests.benchmarks.load import Load
from tests.benchmarks.measuring import OTHERS_SHARE_MAX, Figure, Flags, duration, percentile
from tests.benchmarks.page_loads import Loaded, Page, fetch, load

NAME = "portal"
SMALLEST = {"LEARNERS": 16, "RESOURCES": 200, "SLICE_S": 0.1}
LEARNERS, RESOURCES = 1_000, 100_000
LEARNERS_SMALL, RESOURCES_SMALL = 50, 2_000
SIGNED_IN: Final = 16
CONNECTIONS: Final = 8
SLICE_S: Final = 2.0
BATCH: Final = 1_000
START_S: Final = 600.0
P95_GATE_MS: Final = 500.0
LISTEN: Final = Listen(grpc="127.0.0.1:0", enrolment="127.0.0.1:0")
WORDS: Final = (
    *("课程", "手机", "老年", "书法", "烹饪", "摄影", "护理", "会计", "编程", "数据", "安全", "法律", "文化", "历史"),
    *("科学", "音乐", "舞蹈", "英语", "木雕", "茶艺", "养老", "防骗", "太极", "园艺", "急救", "物流", "邮政", "戏曲"),
)


def run(flags: Flags) -> list[Figure]:
    learners, resources = (LEARNERS_SMALL, RESOURCES_SMALL) if flags.small else (LEARNERS, RESOURCES)
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(Path(folder) / "hub", learners, resources, flags.rounds))


async def measure(home: Path, learners: int, resources: int, rounds: int) -> list[Figure]:
    described = NodeDescription(title=BilingualLine(zh="枢纽"), level="national", kind="authority")
    found_home(home, "lln.internal", described, LISTEN, Portal(listen="127.0.0.1:0"))
    async with open_node(home) as node:
        tokens = await fill(node, learners, resources)
    asked = [one + other for one in WORDS for other in WORDS[:3] if one != other]
    kinds = {
        "home": [Page(path="/")],
        "results": [Page(path=f"/search?q={quote(one)}") for one in asked],
        "account": [Page(path="/my", cookie=f"{SESSION}={token}") for token in tokens],
    }
    async with serving(home, resources) as (pid, address):
        figures = []
        for kind, pages in kinds.items():
            size_bytes = await fetch(address, pages[0])
            with bare_page(size_bytes) as bare:
                before = Load.now()
                ours, ceiling = await in_turns((address, pages), (bare, [Page(path="/")]), rounds)
                share = Load.now().others_share_since(before)
            is_disturbed = share is not None and share > OTHERS_SHARE_MAX
            figures += told(f"portal: {kind} page", ours, ceiling, size_bytes, is_disturbed=is_disturbed)
        weight = resident_bytes(pid)
    return [*figures, weighed(weight, learners, resources)]


async def in_turns(ours: tuple[str, list[Page]], ceiling: tuple[str, list[Page]], rounds: int) -> tuple[Loaded, Loaded]:
    """A round asks both for SLICE_S each; the first is for warming up."""
    told = (Loaded(), Loaded())
    for at in range(rounds + 1):
        one, other = [
            await load(address, pages, connections=CONNECTIONS, seconds=SLICE_S) for address, pages in (ours, ceiling)
        ]
        if at:
            told = (told[0].with_more(one), told[1].with_more(other))
    return told


def told(name: str, ours: Loaded, ceiling: Loaded, size_bytes: int, *, is_disturbed: bool) -> list[Figure]:
    p95_s = percentile(ours.times_s, 0.95)
    return [
        Figure(
            name=f"{name}, {CONNECTIONS} connections",
            ours=f"{ours.per_second:,.0f}/s",
            rival_or_ceiling=f"{ceiling.per_second:,.0f}/s bare page",
            ratio=round(ours.per_second / ceiling.per_second, 3),
            disturbed=is_disturbed,
            note=f"{size_bytes / 1e3:.1f} kB; wall clock, node and client on one machine",
        ),
        Figure(
            name=f"{name}, p95",
            ours=duration(p95_s),
            rival_or_ceiling=f"{duration(percentile(ceiling.times_s, 0.95))} bare page",
            ratio=round(p95_s * 1e3, 1),
            gate=f"≤ {P95_GATE_MS:.0f}",
            unit="ms",
            disturbed=is_disturbed,
            note=f"of {len(ours.times_s):,} pages, {CONNECTIONS} at once",
        ),
    ]


def weighed(resident: int, learners: int, resources: int) -> Figure:
    return Figure(
        name="node and portal: memory",
        ours=f"{resident / 1e6:.0f} MB",
        rival_or_ceiling="",
        ratio=round(resident / 1e6, 1),
        unit="MB",
        note=f"resident, after these pages; {learners:,} learners and {resources:,} resources in one process",
    )


# --- filling ---------------------------------------------------------------------------------------------------------


async def fill(node: Node, learners: int, resources: int) -> list[str]:
    """Learners with a record each, resources, and tokens of a few who have signed in."""
    log = LogId(origin=node.name, topic="catalogue")
    for start in range(0, resources, BATCH):
        made = [resource_of(number) for number in range(start, min(start + BATCH, resources))]
        await node.store.write(lambda tx, at=start, made=made: publish(tx, node, log, at, made))
    worth = {"unit": "credit", "hundredths": 250}
    await ask(node, "achievement.define", code="dough", name={"zh": "面塑"}, kind="other_non_formal", credits=worth)
    accounts = []
    for number in range(learners):
        written = {"name": f"学员{number}", "student_number": f"n{number}", "birth_date": "1961-03-05"}
        accounts.append(msgspec.json.decode(await ask(node, "learner.register", written=written))["id"])
    rows = [
        {"row": at, "learner": account, "achievement": "dough", "achieved_on": f"2026-05-{day:02}"}
        for at, account in enumerate(accounts)
        for day in range(1, 6)
    ]
    for start in range(0, len(rows), BATCH):
        await ask(node, "credit.issue", rows=rows[start : start + BATCH], by="王老师", apply=True)
    return [await sign_in(node, at, account) for at, account in enumerate(accounts[:SIGNED_IN])]


async def ask(node: Node, operation: str, **asked: Any) -> bytes:
    read = msgspec.convert(asked, desk.OPERATIONS[operation].asked, strict=False)
    return await node.desk.ask(operation, msgspec.json.encode(read))


async def sign_in(node: Node, at: int, account: str) -> str:
    login = f"learner{at}"
    _, token = await node.staffing.invite(login, "学员", ["learner"], learner=account)
    made = await node.staffing.set_up(token, login=login, name="学员", password=f"江南水乡春来早 {at}")
    return (await node.signing_in.begin(made.person, "sign_in")).token


def resource_of(number: int) -> Resource:
    words = [WORDS[(number * 7 + at * 13 + number // 28) % len(WORDS)] for at in range(40)]
    return Resource(
        id=f"resource-{number:07d}",
        title=BilingualLine(zh=f"{words[0]}{words[1]}第{number}讲", en=f"Lecture {number}"),
        description=BilingualProse(zh="，".join(words)),
        type="online_course",
        section="silver_age",
        audience=("elder",),
        licence="CC BY 4.0",
        location=f"https://school.example/{number}",
    )


def publish(tx: Transaction, node: Node, log: LogId, start: int, made: list[Resource]) -> None:
    """What publishing leaves: the entries, and for each resource the row that says which of them is in force."""
    review = Review(reviewer="r-1", criteria=CRITERIA, at_ms=1)
    entries = [
        ResourcePublished(publisher=node.name, resource=one, review=review, published_at_ms=1, salt=SALT)
        for one in made
    ]
    tx.logs.append(log, [canonical.encode(one) for one in entries])
    tx.resources.put(
        [
            ResourceRow(
                id=one.id,
                resource=one,
                state="published",
                author="a",
                review=review,
                published=one,
                log_index=index,
                updated_at_ms=1,
            )
            for index, one in enumerate(made, start)
        ]
    )


# --- processes -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(home: Path, resources: int) -> AsyncIterator[tuple[int, str]]:
    """`lln serve`, once everything is searchable: its process and the address of its pages."""
    with subprocess.Popen(
        [sys.executable, "-m", "node.cli.main", "--home", str(home), "serve"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        try:
            until = time.monotonic() + START_S
            while (told := read_serving(home)) is None or await searchable(told.portal) < resources:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("the node did not start, or its resources did not become searchable")
                await asyncio.sleep(0.2)
            yield process.pid, told.portal
        finally:
            process.terminate()
            process.wait(60)


async def searchable(address: str) -> int:
    told: list[bytes] = []
    await fetch(address, Page(path="/metrics"), told)
    lines = [line for line in b"".join(told).decode().splitlines() if line.startswith("lln_searchable ")]
    return int(float(lines[0].split()[1])) if lines else 0


@contextmanager
def bare_page(size_bytes: int) -> Iterator[str]:
    """The address of a page of so many bytes that asks nobody for anything."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_serve_bare, args=(size_bytes, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join(10)


def _serve_bare(size_bytes: int, pipe: Connection) -> None:
    content = b"x" * size_bytes

    async def page(_: Request) -> Response:
        return HTMLResponse(content)

    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    pipe.send(listening.getsockname()[1])
    server = uvicorn.Server(_configured(Starlette(routes=[Route("/", page)])))
    uvloop.run(server.serve([listening]))


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1_024
    raise RuntimeError("no VmRSS")
