"""A signed call, both directions signed and verified, against the same call over bare mutual TLS.

Two processes, as two nodes are; the CPU time of both counts. Both sides do the same work: they parse the question,
convert, answer, and read the answer; one through the generated stub and servicer, the other through everything that
stands between two nodes. The calls are a search answered by ten hits, a log page of 500 entries, and a change whose
evidence is stored durably before it is answered. "Its signatures alone" is the bare search with nothing added but two
signatures and two verifications: what no signed call can beat. What must not live here: timing (`measuring.py`).
"""

import asyncio
import itertools

import uvloop

from node.rpc import wire, wire_logs
from protos.lln.v1 import catalogue_pb2_grpc, directory_pb2, directory_pb2_grpc, logs_pb2_grpc
from tests.benchmarks.call_nodes import (
    DESCRIPTION,
    PAGE,
    REQUEST,
    Papers,
    Served,
    bare_channel,
    network,
    prove_and_sign,
    server_process,
    signed_line,
)
from tests.benchmarks.measuring import ROUNDS_MIN, AsyncStep, Figure, Flags, paired_async

NAME = "calls"
SMALLEST = {"ROUNDS_MIN": 1}
TIMEOUT_S = 10.0
GATE, AIM = "≥ 0.65", "≥ 0.75"
GATE_STORED, AIM_STORED = "≥ 0.40", "≥ 0.55"
RIVAL = "bare mTLS"


def run(flags: Flags) -> list[Figure]:
    authority, school = network()
    with server_process(authority) as (served,):
        return uvloop.run(figures(served, school, max(flags.rounds, ROUNDS_MIN)))


async def figures(served: Served, school: Papers, rounds: int) -> list[Figure]:
    identity = school.identity()
    numbers = itertools.count(1)
    async with signed_line(identity, served) as peers, bare_channel(identity, served) as channel:
        catalogue = catalogue_pb2_grpc.CatalogueStub(channel)
        logs = logs_pb2_grpc.LogsStub(channel)
        directory = directory_pb2_grpc.DirectoryStub(channel)

        async def signed_search() -> None:
            await peers.search(served.name, REQUEST, timeout_s=TIMEOUT_S)

        async def bare_search() -> None:
            wire.read_answer(await catalogue.Search(wire.write_search(REQUEST), timeout=TIMEOUT_S))

        async def signatures_alone() -> None:
            prove_and_sign()
            asked = wire.write_search(REQUEST)
            wire.read_answer(await catalogue.Search(asked, timeout=TIMEOUT_S, metadata=(("sign", "too"),)))

        async def signed_page() -> None:
            await peers.push(served.name, PAGE, 0, timeout_s=TIMEOUT_S)

        async def bare_page() -> None:
            asked = wire_logs.write_push(PAGE, 0)
            wire_logs.read_receipt(await logs.Push(asked, timeout=TIMEOUT_S), PAGE.log)

        async def signed_change() -> None:
            await peers.describe(served.name, DESCRIPTION, f"operation-{next(numbers)}", timeout_s=TIMEOUT_S)

        async def bare_change() -> None:
            asked = directory_pb2.DescribeRequest(description=wire.write_document(DESCRIPTION))
            await directory.Describe(asked, timeout=TIMEOUT_S)

        async def compare(
            name: str, ours: AsyncStep, rival: AsyncStep, *, at_once: int = 1, gate: str = "", aim: str = ""
        ) -> Figure:
            paired = await paired_async(
                name,
                together(ours, at_once),
                together(rival, at_once),
                operations=at_once,
                rounds=rounds,
                processes=(served.process,),
            )
            return paired.figure(gate=gate, aim=aim, rival=RIVAL)

        return [
            await compare("signed search", signed_search, bare_search, gate=GATE, aim=AIM),
            await compare("bare search and its signatures alone", signatures_alone, bare_search),
            await compare("signed search, 16 at once", signed_search, bare_search, at_once=16),
            await compare(
                "bare search and its signatures alone, 16 at once", signatures_alone, bare_search, at_once=16
            ),
            await compare("signed page of 500 entries", signed_page, bare_page, gate=GATE, aim=AIM),
            await compare(
                "signed change, evidence stored", signed_change, bare_change, gate=GATE_STORED, aim=AIM_STORED
            ),
            await compare("signed change, evidence stored, 64 callers", signed_change, bare_change, at_once=64),
        ]


def together(step: AsyncStep, at_once: int) -> AsyncStep:
    """`at_once` of a step, all under way at the same time."""
    if at_once == 1:
        return step

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(step())  # type: ignore[arg-type]  # a coroutine, always

    return all_of_them
