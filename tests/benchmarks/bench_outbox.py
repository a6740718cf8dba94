"""What must arrive: 10,000 items drained to one node and to twenty, and how long one that somebody waits for takes.

One process holds a hub and those below it, with real sockets, certificates, SQLite files and fsyncs, so its two cores
are shared by both ends. The rival is the same documents as durable units of one bare store: what no sender could beat.
What must not live here: how figures are judged (`measuring.py`).
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from federation.naming import NodeName
from node.ports import Delivered, Transaction
from tests.benchmarks.load import Load
from tests.benchmarks.measuring import OTHERS_SHARE_MAX, Figure, Flags
from tests.support.live_nodes import ROOT, network, until  # type: ignore[import-untyped,unused-ignore]  # a test's

NAME = "outbox"
SMALLEST = {"ITEMS": 64, "PEERS": 2, "ALONE": 2}
ITEMS = 10_000
PEERS = 20
ALONE = 200
DOCUMENT = b"x" * 1_024
KIND = "bench"
WAIT_S = 120.0


def run(flags: Flags) -> list[Figure]:
    del flags
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(figures(Path(folder)))


async def figures(folder: Path) -> list[Figure]:
    names = [f"school-{number}" for number in range(PEERS)]
    async with network(folder, *names) as nodes:  # type: ignore[no-untyped-call,unused-ignore]
        hub, peers = nodes[ROOT].node, [NodeName(f"{name}.{ROOT}") for name in names]
        for name in peers:
            nodes[name].node.receives[KIND] = taking
            hub.peers.know(name, nodes[name].node.addresses.endpoint)
        bare = await timed(lambda: store_all(hub))
        return [
            await drained("10,000 items to one node", hub, peers[:1], bare),
            await drained("10,000 items to twenty nodes", hub, peers, bare),
            await alone(hub, peers[0]),
        ]


async def taking(_: NodeName, document: bytes) -> Callable[[Transaction], bytes]:
    def unit(tx: Transaction) -> bytes:
        tx.notes.put("last", document[:16])
        return b"taken"

    return unit


async def store_all(hub: Any) -> None:
    """Each document in a unit of its own, as many at once as a batch has."""
    for start in range(0, ITEMS, 64):
        async with asyncio.TaskGroup() as group:
            for number in range(start, min(ITEMS, start + 64)):
                group.create_task(hub.store.write(lambda tx, n=number: tx.notes.put(f"bare {n}", DOCUMENT)))


async def drained(name: str, hub: Any, to: Sequence[NodeName], bare_s: float) -> Figure:
    def fill(tx: Transaction) -> None:
        for number in range(ITEMS):
            tx.outbox.add(to[number % len(to)], KIND, DOCUMENT, f"{len(to)}-{number}", 1)

    async def empty() -> bool:
        return not await hub.store.read(lambda tx: tx.outbox.backlogs())

    async def drain() -> None:
        await hub.store.write(fill)
        await until(empty)  # type: ignore[no-untyped-call,unused-ignore]

    before = Load.now()
    took_s = await timed(drain)
    return Figure(
        name=name,
        ours=f"{took_s:.1f} s, {ITEMS / took_s:,.0f}/s",
        rival_or_ceiling=f"{bare_s:.1f} s to store them once",
        ratio=took_s / bare_s,
        disturbed=is_disturbed(before),
        note="written, sent, applied, settled",
    )


async def alone(hub: Any, to: NodeName) -> Figure:
    """One after the other, each awaited: what a person who waits for it sees."""
    took_ms = []
    before = Load.now()
    for number in range(ALONE):
        began = time.perf_counter()
        item_id = f"alone-{number}"
        await hub.store.write(lambda tx, item_id=item_id: tx.outbox.add(to, KIND, DOCUMENT, item_id, 1))
        outcome = await hub.posting.settled(to, item_id, WAIT_S)
        assert isinstance(outcome, Delivered), outcome
        took_ms.append((time.perf_counter() - began) * 1_000)
    middle, late = statistics.median(took_ms), statistics.quantiles(took_ms, n=20)[-1]
    return Figure(
        name="one item, awaited",
        ours=f"median {middle:.1f} ms",
        rival_or_ceiling="half of a conversion",
        ratio=late,
        gate="≤ 25",
        aim="≤ 12.5",
        unit="ms (p95)",
        disturbed=is_disturbed(before),
        note="durable at both ends",
    )


def is_disturbed(before: Load) -> bool:
    share = Load.now().others_share_since(before)
    return share is not None and share > OTHERS_SHARE_MAX


async def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began
