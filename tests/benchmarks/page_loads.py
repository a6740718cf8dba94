"""A client that asks for pages as fast as they come, over a few connections that stay open.

What lives here: just enough HTTP/1.1 to read an answer whole. What must not: what is asked for, or judging it.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    path: str
    cookie: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """Pages that came, each by how long it took, in so many seconds."""

    times_s: tuple[float, ...] = ()
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.times_s) / self.seconds

    def with_more(self, more: "Loaded") -> "Loaded":
        return Loaded(times_s=self.times_s + more.times_s, seconds=self.seconds + more.seconds)


async def load(address: str, pages: Sequence[Page], *, connections: int, seconds: float) -> Loaded:
    """The pages in turns, over so many connections; raises RuntimeError for any answer but 200."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as together:
        asking = [
            together.create_task(_ask(address, islice(cycle(pages), at, None), began + seconds))
            for at in range(connections)
        ]
    times = tuple(taken for one in asking for taken in one.result())
    return Loaded(times_s=times, seconds=time.perf_counter() - began)


async def _ask(address: str, pages: "islice[Page]", until: float) -> list[float]:
    reader, writer = await _open(address)
    times = []
    try:
        while (started := time.perf_counter()) < until:
            await _one(reader, writer, address, next(pages))
            times.append(time.perf_counter() - started)
    finally:
        writer.close()
    return times


async def fetch(address: str, page: Page, told: list[bytes] | None = None) -> int:
    """One page, over a connection of its own: how many bytes it has, and, in `told`, which."""
    reader, writer = await _open(address)
    try:
        body = await _one(reader, writer, address, page)
    finally:
        writer.close()
    if told is not None:
        told.append(body)
    return len(body)


async def _open(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    place = urlsplit(address)
    return await asyncio.open_connection(place.hostname, place.port, limit=2**20)


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, page: Page) -> bytes:
    cookie = f"cookie: {page.cookie}\r\n" if page.cookie else ""
    writer.write(f"GET {page.path} HTTP/1.1\r\nhost: {urlsplit(address).netloc}\r\n{cookie}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = head.split(" ", 2)[1]
    lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    if "content-length" in lines:
        body = await reader.readexactly(int(lines["content-length"]))
    else:
        body = await _chunks(reader)
    if status != "200":
        raise RuntimeError(f"{page.path} was answered with {status}")
    return body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(parts)
