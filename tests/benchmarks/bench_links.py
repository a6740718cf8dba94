"""Calls over a link and through a relay, against the same call over a channel of its own.

One process holds a hub, a county and two schools, with real sockets, certificates and stores; the call reads one page
of the school's log. What must not live here: timing (`measuring.py`).
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from federation.callers import Callers, RateLimit
from federation.naming import NodeName
from node.rpc.peers import GrpcPeers
from tests.benchmarks.measuring import ROUNDS_MIN, AsyncStep, Figure, Flags, paired_async
from tests.support.live_nodes import ROOT, network, until  # type: ignore[import-untyped,unused-ignore]  # a test's

NAME = "links"
SMALLEST = {"ROUNDS_MIN": 1}
TIMEOUT_S = 10.0
UNLIMITED = RateLimit(calls_per_second=1e6, burst=1_000_000)
COUNTY = NodeName(f"county.{ROOT}")
SCHOOL = NodeName(f"school-a.county.{ROOT}")
OTHER = NodeName(f"school-b.county.{ROOT}")


def run(flags: Flags) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(figures(Path(folder), max(flags.rounds, ROUNDS_MIN)))


async def figures(folder: Path, rounds: int) -> list[Figure]:
    async with network(folder, "county") as nodes:  # type: ignore[no-untyped-call,unused-ignore]
        for name in (SCHOOL, OTHER):
            await nodes.add(name, "school", "school", dialable=False)
        county, asker = nodes[COUNTY].node, nodes[SCHOOL].node

        async def attached() -> bool:
            return county.links.get(OTHER) is not None and county.links.get(SCHOOL) is not None

        await until(attached)  # type: ignore[no-untyped-call,unused-ignore]
        address = nodes[OTHER].node.addresses.endpoint
        for name in (COUNTY, SCHOOL, OTHER):
            lift_limits(nodes[name])
        by_channel, from_school = dialling(county, address), dialling(asker, address)
        told = [
            await compare("one call over a link", reading(county.peers), reading(by_channel), rounds),
            await compare("16 calls over a link", reading(county.peers, 16), reading(by_channel, 16), rounds, 16),
            await compare("one call through one relay", reading(asker.peers), reading(from_school), rounds),
            await compare("16 calls through one relay", reading(asker.peers, 16), reading(from_school, 16), rounds, 16),
        ]
        await by_channel.close()
        await from_school.close()
        return told


def lift_limits(live: Any) -> None:
    """What is measured is the road, not how much of it one peer may have."""
    live._running._server._signed._gate._callers = Callers(UNLIMITED)
    live.node.relays._origins = Callers(UNLIMITED)


def dialling(node: Any, address: str) -> GrpcPeers:
    """The node's calls, to a school whose address it has been told."""
    peers = GrpcPeers(
        identity=node.identity,
        material=node.identity,
        chains=node.chains,
        clock=node.clock,
        randomness=node.randomness,
    )
    peers.know(OTHER, address)
    return peers


def reading(peers: GrpcPeers, at_once: int = 1) -> AsyncStep:
    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(peers.read(OTHER, "catalogue", 0, 1, timeout_s=TIMEOUT_S))

    return all_of_them


async def compare(name: str, ours: AsyncStep, rival: AsyncStep, rounds: int, at_once: int = 1) -> Figure:
    paired = await paired_async(name, ours, rival, operations=at_once, rounds=rounds)
    return paired.figure(rival="a channel of its own")
