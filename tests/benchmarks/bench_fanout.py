"""Thirty peers that take 50 ms each, asked at the same time: how much longer than the slowest alone.

Thirty servers with names and certificates of their own stand in one other process; each answers a search after 50 ms.
The first call to each peer, with its TLS handshake and hello, has been made. What must not live here: timing
(`measuring.py`).
"""

import asyncio
from contextlib import AsyncExitStack

import uvloop

from tests.benchmarks.call_nodes import REQUEST, Papers, Served, server_process, signed_line
from tests.benchmarks.measuring import Figure, Flags, paired_async
from tests.support.small_network import found

NAME = "fanout"
SMALLEST = {"PEERS": 3, "PAUSE_S": 0.001}
PEERS = 30
PAUSE_S = 0.05
TIMEOUT_S = 5.0


def run(flags: Flags) -> list[Figure]:
    district = found().admit("chongqing").admit("jiulongpo")
    peers = [Papers.of(district.admit(f"no{number}-middle", kind="school")) for number in range(1, PEERS + 1)]
    asker = Papers.of(district.admit("asker", kind="school"))
    with server_process(*peers, pause_s=PAUSE_S) as served:
        return uvloop.run(figures(served, asker, flags.rounds))


async def figures(served: tuple[Served, ...], asker: Papers, rounds: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        peers = await stack.enter_async_context(signed_line(asker.identity(), *served))

        async def ask(one: Served) -> None:
            await peers.search(one.name, REQUEST, timeout_s=TIMEOUT_S)

        async def ask_all() -> None:
            async with asyncio.TaskGroup() as together:
                for one in served:
                    together.create_task(ask(one))

        async def ask_one() -> None:
            await ask(served[-1])

        for one in served:
            await ask(one)
        paired = await paired_async(
            f"{PEERS} peers of {PAUSE_S * 1e3:.0f} ms each, wall", ask_all, ask_one, rounds=rounds
        )
    return [paired.figure(gate="≤ 1.5", aim="≤ 1.3", by="wall", rival="one of them")]
