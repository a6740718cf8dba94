"""Links: the streams that children keep to this node, and calls made over them.

What lives here: who is attached, calls under way by number, and their answers. What must not: what a call says, or
whether an answer is true (`channels.py` signs and verifies as over a channel of its own).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

from federation.calls import AdmittedCall
from federation.errors import PeerUnreachable
from federation.naming import NodeName
from node.ports import Clock, Road
from node.rpc import wire
from node.rpc.envelope import Sealed
from node.rpc.transports import RawReply
from protos.lln.v1 import link_pb2

CALLS_MAX: Final = 64
PAYLOAD_BYTES_MAX: Final = 16 * 1024 * 1024
BEAT_S: Final = 120.0
SILENCE_S: Final = 370.0
"""Three beats that nobody answered: the child's process hangs. One whose machine or line is gone is noticed sooner, by
the keepalive of the connection.
"""


class LinkBroken(PeerUnreachable):
    code = "LLN-2501"
    zh = "下级与本节点之间的长连接中断了，正在等待它重新连接。"
    en = "The link that the child keeps to this node has broken; it attaches again by itself."


class LinkBusy(PeerUnreachable):
    code = "LLN-2502"
    zh = "下级的长连接上已有太多调用在等待，请稍后再试。"
    en = "Too many calls are under way over the child's link; try again shortly."


class Link:
    """One attached child. Calls wait here for their answers; nothing waits for a call that nobody waits for."""

    road: Final[Road] = "link"

    def __init__(self, child: NodeName, clock: Clock) -> None:
        self.child = child
        self.heard_s = clock.monotonic_s()
        self._clock = clock
        self._said: asyncio.Queue[link_pb2.Downward | None] = asyncio.Queue()
        self._under_way: dict[int, asyncio.Future[RawReply]] = {}
        self._payload_bytes = 0
        self._number = 0
        self._is_open = True

    @property
    def place(self) -> str:
        return "its link to this node"

    async def close(self) -> None:
        """As a transport: a line that is given up leaves the link to others."""

    async def unary(self, method: str, payload: bytes, call: Sealed, timeout_s: float) -> RawReply:
        """One call over the link; raises LinkBroken, LinkBusy or PeerUnreachable."""
        if not self._is_open:
            raise LinkBroken(self.child, "before the call was sent")
        if len(self._under_way) >= CALLS_MAX or self._payload_bytes + len(payload) > PAYLOAD_BYTES_MAX:
            raise LinkBusy(self.child, f"{len(self._under_way)} calls, {self._payload_bytes} bytes under way")
        self._payload_bytes += len(payload)
        self._number += 1
        number = self._number
        answer: asyncio.Future[RawReply] = asyncio.get_running_loop().create_future()
        self._under_way[number] = answer
        self._said.put_nowait(
            link_pb2.Downward(
                call=link_pb2.Call(
                    number=number,
                    method=method,
                    header=call.header_bytes,
                    signature=call.signature,
                    payload=payload,
                    timeout_ms=max(1, int(timeout_s * 1_000)),
                )
            )
        )
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError as late:
            raise PeerUnreachable(self.child, f"no answer over its link within {timeout_s:g} s") from late
        finally:
            self._payload_bytes -= len(payload)
            del self._under_way[number]
            if answer.cancelled():  # by the time limit, or because the caller is
                self._said.put_nowait(link_pb2.Downward(cancelled=number))

    def heard(self, said: link_pb2.Upward) -> None:
        """Take in what the child said; an answer to no call that is waited for is dropped."""
        self.heard_s = self._clock.monotonic_s()
        if said.WhichOneof("said") != "answer":
            return
        told = said.answer
        waiting = self._under_way.get(told.number)
        if waiting is not None and not waiting.done():
            sealed = Sealed(header_bytes=told.header, signature=told.signature)
            waiting.set_result(RawReply(status=told.status, sealed=sealed, body=told.body, told="over its link"))

    def hang_up(self, why: str) -> None:
        """End the stream, and every call under way with it."""
        if not self._is_open:
            return
        self._is_open = False
        for waiting in self._under_way.values():
            if not waiting.done():
                waiting.set_exception(LinkBroken(self.child, why))
        self._said.put_nowait(None)

    async def saying(self) -> AsyncGenerator[link_pb2.Downward, None]:
        """What is to be sent to the child, with a beat at first and whenever it has been quiet; ends with the link."""
        beat = 0
        yield link_pb2.Downward(beat=beat)
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    said = await self._said.get()
            except TimeoutError:
                if self._clock.monotonic_s() - self.heard_s > SILENCE_S:
                    return
                beat += 1
                said = link_pb2.Downward(beat=beat)
            if said is None:
                return
            yield said


class Links:
    """Every child that is attached; `attached` is told its name."""

    def __init__(self, clock: Clock, *, attached: Callable[[NodeName], None] = lambda _: None) -> None:
        self._clock = clock
        self._attached = attached
        self._links: dict[NodeName, Link] = {}

    def get(self, child: NodeName) -> Link | None:
        return self._links.get(child)

    async def attach(
        self, call: AdmittedCall, said: AsyncIterator[link_pb2.Upward]
    ) -> AsyncGenerator[link_pb2.Downward, None]:
        """Serve one `Link.Attach`; a child that attaches anew replaces its older link."""
        child = call.caller.name
        older = self._links.get(child)
        if older is not None:
            older.hang_up("it attached anew")
        link = self._links[child] = Link(child, self._clock)
        listening = asyncio.create_task(_listen(link, said))  # ended by the lines below
        self._attached(child)
        try:
            async with aclosing(link.saying()) as saying:
                async for message in saying:
                    yield message
        finally:
            listening.cancel()
            link.hang_up("the stream ended")
            if self._links.get(child) is link:
                del self._links[child]


async def _listen(link: Link, said: AsyncIterator[link_pb2.Upward]) -> None:
    try:
        async for message in said:
            link.heard(message)
    except wire.MalformedMessage as malformed:
        link.hang_up(str(malformed))
        return
    link.hang_up("the child hung up")
