"""A flooder in a process of its own, told through a pipe which flood to pour and for how long.

It gives way to the others where they contend for a core: whoever floods has a machine of his own, and what is measured
is what his flood costs the node. What must not live here: what a flood consists of (`tests/support/flooders.py`).
"""

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import uvloop

from federation.naming import NodeName
from node.host.clock import SystemClock, SystemRandomness
from node.host.homes import Home
from node.host.key_files import open_identity
from tests.support.flooders import Flooder, Tally, pour  # type: ignore[import-untyped,unused-ignore]  # a test's

NICE = 10
AT_ONCE_MAX = 256


class Flood(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    per_second: float
    seconds: float


class FloodProcess:
    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    async def pour(self, flood: Flood) -> Tally:
        self._pipe.send(flood)
        tally: Tally = await asyncio.to_thread(self._pipe.recv)
        return tally


@contextmanager
def flood_process(home: Path, *, to: NodeName, endpoint: str) -> Iterator[FloodProcess]:
    """The member in `home` floods `to` from another process until the end of the block."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_run, args=(home, to, endpoint, theirs), daemon=True)
    process.start()
    try:
        yield FloodProcess(ours)
    finally:
        ours.send(None)
        process.join(10)
        if process.is_alive():
            process.kill()


def _run(home: Path, to: NodeName, endpoint: str, pipe: Connection) -> None:
    if hasattr(os, "nice"):
        os.nice(NICE)
    uvloop.run(_serve(home, to, endpoint, pipe))


async def _serve(home: Path, to: NodeName, endpoint: str, pipe: Connection) -> None:
    clock, randomness = SystemClock(), SystemRandomness()
    identity = open_identity(Home(home), clock=clock, randomness=randomness)
    async with Flooder(identity, to=to, endpoint=endpoint, clock=clock, randomness=randomness) as flooder:
        while (flood := await asyncio.to_thread(pipe.recv)) is not None:
            drop = flooder.kinds[flood.kind]
            pipe.send(await pour(drop, per_second=flood.per_second, seconds=flood.seconds, at_once_max=AT_ONCE_MAX))
            await flooder.let_go()
