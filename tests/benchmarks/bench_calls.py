"""A signed call, both directions signed and verified, against the same call over bare mutual TLS.

Two processes, as two nodes are; the CPU time of both counts. The call is a search answered by ten hits: both sides
parse the question, convert, answer and read the ten hits; one through the generated stub and servicer, the other
through everything that stands between two nodes. The last rows repeat a call that changes something, its evidence
stored durably before it is answered. What must not live here: timing (`measuring.py`).
"""

import asyncio
import itertools

import uvloop

from node.rpc import wire
from protos.lln.v1 import catalogue_pb2_grpc, directory_pb2, directory_pb2_grpc
from tests.benchmarks.call_nodes import (
    DESCRIPTION,
    REQUEST,
    bare_channel,
    network,
    server_process,
    signed_line,
)
from tests.benchmarks.measuring import AsyncStep, Figure, Flags, paired_async

NAME = "calls"
TOGETHER = 16
CALLERS = 64
TIMEOUT_S = 10.0
GATE, AIM = "≥ 0.65", "≥ 0.75"
GATE_STORED, AIM_STORED = "≥ 0.40", "≥ 0.55"


def run(flags: Flags) -> list[Figure]:
    authority, school = network()
    with server_process(authority) as (served,):
        return uvloop.run(figures(served, school, max(flags.rounds, 15)))


async def figures(served, school, rounds: int) -> list[Figure]:
    identity = school.identity()
    numbers = itertools.count(1)
    async with signed_line(identity, served) as peers, bare_channel(identity, served) as channel:
        catalogue = catalogue_pb2_grpc.CatalogueStub(channel)
        directory = directory_pb2_grpc.DirectoryStub(channel)

        async def signed() -> None:
            await peers.search(served.name, REQUEST, timeout_s=TIMEOUT_S)

        async def bare() -> None:
            wire.read_answer(await catalogue.Search(wire.write_search(REQUEST), timeout=TIMEOUT_S))

        async def signed_stored() -> None:
            await peers.describe(served.name, DESCRIPTION, f"operation-{next(numbers)}", timeout_s=TIMEOUT_S)

        async def bare_unstored() -> None:
            asked = directory_pb2.DescribeRequest(description=wire.write_document(DESCRIPTION))
            await directory.Describe(asked, timeout=TIMEOUT_S)

        compared = []
        for name, ours, rival, at_once, bounds in (
            ("signed call, one at a time", signed, bare, 1, (GATE, AIM)),
            (f"signed call, {TOGETHER} at once", signed, bare, TOGETHER, (GATE, AIM)),
            (
                f"signed call, evidence stored, {CALLERS} callers",
                signed_stored,
                bare_unstored,
                CALLERS,
                (GATE_STORED, AIM_STORED),
            ),
        ):
            paired = await paired_async(
                name,
                together(ours, at_once),
                together(rival, at_once),
                operations=at_once,
                rounds=rounds,
                processes=(served.process,),
            )
            compared.append(paired.figure(gate=bounds[0], aim=bounds[1], rival="bare mTLS"))
    return compared


def together(step: AsyncStep, at_once: int) -> AsyncStep:
    """`at_once` of a step, all under way at the same time."""
    if at_once == 1:
        return step

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(step())  # type: ignore[arg-type]  # a coroutine, always

    return all_of_them
