"""The child's end of a link: a stream to the parent, kept open, over which the parent's calls are served.

What lives here: one attachment from its first word to its end. What must not: when to attach again
(`node/usecases/attaching.py`), or any method (`server.py` serves these calls as it serves all others).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Final

import grpc

from federation.certificates import VerifiedNode
from federation.errors import LlnError
from node.ports import Clock
from node.rpc import wire
from node.rpc.arrivals import Arrival
from node.rpc.channels import Line
from node.rpc.envelope import Sealed
from node.rpc.status_codes import number_of
from node.rpc.transports import RawReply
from protos.lln.v1 import link_pb2

ATTACH_METHOD: Final = "/lln.v1.Link/Attach"
ACCEPTANCE_S: Final = 10.0
CALLS_MAX: Final = 64
TIMEOUT_S_MAX: Final = 60.0
_SAID_MAX: Final = 2 * CALLS_MAX

ServeCall = Callable[[str, bytes, Arrival], Awaitable[RawReply]]
"""(full method, payload, the call) -> the signed answer; never raises."""


class Uplink:
    """One attachment to the parent over `line`; `run` lasts as long as it does."""

    def __init__(self, *, line: Line, serve: ServeCall, clock: Clock, software_version: str) -> None:
        self._line = line
        self._serve = serve
        self._clock = clock
        self._first = link_pb2.Upward(attached=link_pb2.Attached(software_version=software_version))
        self._said: asyncio.Queue[link_pb2.Upward | None] = asyncio.Queue(_SAID_MAX)
        self._working: dict[int, asyncio.Task[None]] = {}

    async def run(self, attached: Callable[[], None]) -> None:
        """Attach, and serve what the parent calls; `attached` is told once the parent has accepted.

        Ends only by raising: PeerUnreachable, RefusedByPeer or UntrustedPeer.
        """
        ended: LlnError | None = None
        async with asyncio.TaskGroup() as working:
            try:
                await self._follow(working, attached)
            except LlnError as broken:
                ended = broken
            for task in self._working.values():
                task.cancel()
        if ended is not None:
            raise ended

    async def _follow(self, working: asyncio.TaskGroup, attached: Callable[[], None]) -> None:
        is_told = False
        first = self._first.SerializeToString()
        stream = self._line.exchange(ATTACH_METHOD, first, self._saying(), timeout_s=ACCEPTANCE_S)
        try:
            async with aclosing(stream) as messages:
                async for message in messages:
                    if not is_told:
                        attached()
                        is_told = True
                    await self._heed(wire.read(link_pb2.Downward, message), working)
        finally:
            self._end_saying()

    async def _saying(self) -> AsyncGenerator[bytes, None]:
        while (said := await self._said.get()) is not None:
            yield said.SerializeToString()

    def _end_saying(self) -> None:
        """Until our next word there is one waiting for it: gRPC keeps a task, and all it holds, for an ended stream."""
        with suppress(asyncio.QueueFull):  # then there is one
            self._said.put_nowait(None)

    async def _heed(self, told: link_pb2.Downward, working: asyncio.TaskGroup) -> None:
        match told.WhichOneof("said"):
            case "call":
                await self._take(told.call, working)
            case "cancelled":
                task = self._working.get(told.cancelled)
                if task is not None:
                    task.cancel()
            case "beat":
                await self._said.put(link_pb2.Upward(beat=told.beat))
            case _:
                pass  # a later version's word

    async def _take(self, call: link_pb2.Call, working: asyncio.TaskGroup) -> None:
        parent = self._line.peer
        assert parent is not None  # noqa: S101  # hello came before the stream
        if len(self._working) >= CALLS_MAX or call.number in self._working:
            busy = link_pb2.Answer(number=call.number, status=number_of(grpc.StatusCode.RESOURCE_EXHAUSTED))
            await self._said.put(link_pb2.Upward(answer=busy))
            return
        task = self._working[call.number] = working.create_task(self._answer(call, parent))
        task.add_done_callback(lambda _: self._working.pop(call.number, None))

    async def _answer(self, call: link_pb2.Call, parent: VerifiedNode) -> None:
        arrival = Arrival(
            caller=parent,
            call=Sealed(header_bytes=call.header, signature=call.signature),
            timeout_s=min(TIMEOUT_S_MAX, call.timeout_ms / 1_000),
            by="link",
            clock=self._clock,
        )
        reply = await self._serve(call.method, call.payload, arrival)
        await self._said.put(
            link_pb2.Upward(
                answer=link_pb2.Answer(
                    number=call.number,
                    status=reply.status,
                    header=reply.sealed.header_bytes,
                    signature=reply.sealed.signature,
                    body=reply.body,
                )
            )
        )
