"""What a good peer notices while one other peer floods the node: the p99 of its calls, with each flood and without.

A hub, a province with some catalogue, and two schools below it: the province runs as `lln serve` in a process of its
own, with the limits its template has. One school searches at a steady pace, the other floods from a third process,
which gives way where cores are short. Slices with and without the flood alternate, shuffled; the gate judges the median
of the rounds' ratios. What must not live here: what a flood consists of (`tests/support/flooders.py`).
"""

import asyncio
import random
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec

from federation.catalogue import CRITERIA, BilingualLine, Resource, ShareScope
from federation.certificates import ChainVerifier
from federation.directory import NodeDescription
from federation.naming import NodeName
from federation.search import SearchRequest
from node import desk
from node.demo.federation import Federation
from node.demo.plan import ROOT, PlannedNode
from node.host.clock import SystemClock, SystemRandomness
from node.host.homes import Home
from node.host.key_files import open_identity
from node.rpc.peers import GrpcPeers
from tests.benchmarks.flood_process import Flood, FloodProcess, flood_process
from tests.benchmarks.load import Load
from tests.benchmarks.measuring import OTHERS_SHARE_MAX, Figure, Flags, percentile

NAME = "floods"
SMALLEST = {"RESOURCES": 5, "SLICE_S": 0.2, "SETTLE_S": 0.05, "WARM_UP_S": 0.05}
GATE = "≤ 2"
PROVINCE = NodeName(f"province.{ROOT}")
GOOD = NodeName(f"good.{PROVINCE}")
BAD = NodeName(f"bad.{PROVINCE}")
RESOURCES = 300
SLICE_S = 3.0
PAUSE_S = 0.005
SETTLE_S = 0.5
WARM_UP_S = 1.0
TIMEOUT_S = 10.0
FLOODS = {
    "bad signatures": 1_000.0,
    "valid calls": 1_000.0,
    "connections": 100.0,
    "unknown names": 1_000.0,
    "huge pages": 30.0,
}
"""How many a second one peer tries; what it gets through is the flooded node's to say."""


def run(flags: Flags) -> list[Figure]:
    return asyncio.run(_measure(flags.rounds))


async def _measure(rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        federation = Federation(Path(folder), list(planned()), told=lambda _: None)
        try:
            await federation.start()
            await fill(federation)
            serving = federation.serving(PROVINCE)
            assert serving is not None  # it has just been started
            peers = good_peer(federation.home(GOOD), serving.endpoint)
            with flood_process(federation.home(BAD), to=PROVINCE, endpoint=serving.endpoint) as flooder:
                figures = [
                    await compare(peers, flooder, kind, per_second, rounds) for kind, per_second in FLOODS.items()
                ]
            await peers.close()
        finally:
            await federation.stop()
    return figures


def planned() -> list[PlannedNode]:
    def node(name: NodeName, parent: NodeName | None, level: str, kind: str) -> PlannedNode:
        described = {"title": {"zh": name.split(".", 1)[0]}, "level": level, "kind": kind}
        description = msgspec.convert(described, NodeDescription)
        return PlannedNode(name=name, parent=parent, description=description, is_dialable=True)

    return [
        node(ROOT, None, "national", "authority"),
        node(PROVINCE, ROOT, "provincial", "authority"),
        node(GOOD, PROVINCE, "school", "school"),
        node(BAD, PROVINCE, "school", "school"),
    ]


async def fill(federation: Federation) -> None:
    """Some catalogue at the province, so that a search finds something."""
    rows = tuple(
        desk.ImportRow(
            row=number,
            resource=Resource(
                id=f"r{number}",
                title=BilingualLine(zh=f"书法入门之{number}"),
                type="online_course",
                section="hobbies_interests",
                share_scope=ShareScope(reach="network"),
            ),
        )
        for number in range(1, RESOURCES + 1)
    )
    ids = tuple(row.resource.id for row in rows)
    asked = desk.ImportAsked(rows=rows, author="a", apply=True)
    await federation.ask(PROVINCE, "resource.import", asked, desk.ImportPlan)
    review = desk.ReviewAsked(ids=ids, reviewer="b", approve=True, criteria=CRITERIA)
    await federation.ask(PROVINCE, "resource.review", review, desk.ResourceOutcomes)
    await federation.ask(PROVINCE, "resource.publish", desk.ResourcesNamed(ids=ids), desk.ResourceOutcomes)
    while (await federation.ask(PROVINCE, "node.status", desk.Nothing(), desk.NodeState)).searchable < RESOURCES:  # noqa: ASYNC110  # indexing happens in another process
        await asyncio.sleep(0.1)


def good_peer(home: Path, endpoint: str) -> GrpcPeers:
    clock, randomness = SystemClock(), SystemRandomness()
    identity = open_identity(Home(home), clock=clock, randomness=randomness)
    peers = GrpcPeers(
        identity=identity,
        material=identity,
        chains=ChainVerifier(identity.root_certificate),
        clock=clock,
        randomness=randomness,
    )
    peers.know(PROVINCE, endpoint)
    return peers


async def compare(peers: GrpcPeers, flooder: FloodProcess, kind: str, per_second: float, rounds: int) -> Figure:
    shuffle = random.Random(0)  # noqa: S311  # an order of running, not a secret
    calm_s, flooded_s, ratios, told = [], [], [], {}
    await calls(peers, WARM_UP_S)
    before = Load.now()
    for _ in range(rounds):
        p99 = {}
        for flooded in shuffle.sample((True, False), 2):
            if flooded:
                flood = Flood(kind=kind, per_second=per_second, seconds=SLICE_S + SETTLE_S)
                async with asyncio.TaskGroup() as together:
                    pouring = together.create_task(flooder.pour(flood))
                    await asyncio.sleep(SETTLE_S / 2)
                    taken = await calls(peers, SLICE_S)
                for outcome, count in pouring.result().outcomes.items():
                    told[outcome] = told.get(outcome, 0) + count
                flooded_s += taken
            else:
                taken = await calls(peers, SLICE_S)
                calm_s += taken
            p99[flooded] = percentile(taken, 0.99)
            await asyncio.sleep(SETTLE_S)
        ratios.append(p99[True] / p99[False])
    others = Load.now().others_share_since(before)
    outcomes = ", ".join(f"{outcome} {count}" for outcome, count in sorted(told.items(), key=lambda one: -one[1]))
    return Figure(
        name=f"flood of {kind}, {per_second:g}/s: p99 of a good peer",
        ours=f"{percentile(flooded_s, 0.99) * 1e3:.1f} ms",
        rival_or_ceiling=f"without {percentile(calm_s, 0.99) * 1e3:.1f} ms",
        ratio=round(median(ratios), 2),
        gate=GATE,
        disturbed=others is not None and others > OTHERS_SHARE_MAX,
        note=f"median {median(flooded_s) * 1e3:.1f} against {median(calm_s) * 1e3:.1f} ms; flooder got: {outcomes}",
    )


async def calls(peers: GrpcPeers, seconds: float) -> list[float]:
    """Seconds that each call took, one after another with a pause, for so long."""
    request = SearchRequest(text="书法 入门", scope="siblings", asker=GOOD)
    taken: list[float] = []
    ends = time.perf_counter() + seconds
    while (began := time.perf_counter()) < ends:
        answer = await peers.search(PROVINCE, request, timeout_s=TIMEOUT_S)
        taken.append(time.perf_counter() - began)
        assert answer.hits  # served means answered rightly
        await asyncio.sleep(PAUSE_S)
    return taken
