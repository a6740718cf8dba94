"""Reaching an address: the steps before any connection of ours, told apart for people.

What lives here: name lookup and TCP. What must not: TLS, or anything that is sent.
"""

import asyncio
from typing import Literal

import msgspec


class Unreached(msgspec.Struct, frozen=True, kw_only=True):
    """The first step that failed, and why."""

    step: Literal["lookup", "tcp"]
    why: str


async def reach(endpoint: str, *, timeout_s: float) -> Unreached | None:
    """None where somebody listens at `endpoint` (host:port); each step may take `timeout_s`."""
    host, _, port = endpoint.rpartition(":")
    host = host.strip("[]")
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().getaddrinfo(host, int(port))
    except (OSError, TimeoutError, ValueError) as error:  # ValueError: labels that no DNS name can have
        return Unreached(step="lookup", why=str(error) or "no answer")
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError, OverflowError) as error:  # OverflowError: a port above 65535
        return Unreached(step="tcp", why=str(error) or "no answer")
    writer.close()
    return None
