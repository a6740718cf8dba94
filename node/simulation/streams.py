"""A stream between two simulated nodes: messages in order, until either end or the network breaks it.

What lives here: both directions of one stream. What must not: unary calls (`network.py`).

Messages that meet a cut break the stream, once both ends have had the time that keepalive takes to notice.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from federation.naming import NodeName
from node.rpc.carriage import UNAVAILABLE, CarriedContext, Pairs, Told

if TYPE_CHECKING:
    from node.simulation.network import Host, Network, Request

T = TypeVar("T")
NOTICED_S: Final = 40.0
"""How long a caller's keepalive takes to notice that nobody is there any more."""


class Stream:
    """`node.rpc.carriage.CarriedStream`; whoever serves it runs as work of the callee's host."""

    def __init__(self, network: "Network", request: "Request", said: bytes | AsyncIterator[bytes]) -> None:
        self._network = network
        self._request = request
        self._said = said
        self._loop = asyncio.get_running_loop()
        self._callee = NodeName(request.endpoint.rpartition(":")[0])
        self._acceptance: asyncio.Future[Pairs] = self._loop.create_future()
        self._inbox: asyncio.Queue[bytes | Told] = asyncio.Queue()
        self._upward: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._host: Host | None = None
        self._work: asyncio.Task[None] | None = None
        self._saying: asyncio.Task[None] | None = None
        self._last_s = {True: 0.0, False: 0.0}
        self._is_over = False

    # --- the caller's end --------------------------------------------------------------------------------------------

    async def accepted(self) -> Pairs:
        return await asyncio.shield(self._acceptance)

    async def read(self) -> bytes | Told:
        return await self._inbox.get()

    def cancel(self) -> None:
        """The caller hangs up; the callee learns of it when the word arrives."""
        if not self._is_over:
            self._is_over = True
            self._end_saying()
            self._loop.call_later(self._network.delay_s(), self._end_work)

    # --- the callee's end --------------------------------------------------------------------------------------------

    def arrive(self) -> None:
        """The caller's first word has come."""
        host = self._network.host_at(self._request.endpoint)
        if self._is_over:
            return
        if self._network.is_parted(self._request.sender, self._callee):
            self._loop.call_later(NOTICED_S, self.break_off, "nobody answered")
            return
        if host is None:
            self._deliver(self.break_off, "refused", upward=False)
            return
        self._host = host
        host.streams[self] = None
        self._work = self._loop.create_task(self._serve(host))  # ended by Host.vanish, or by _end_work
        host.work[self._work] = None
        self._work.add_done_callback(host.work.pop)
        if not isinstance(self._said, bytes):
            self._saying = self._loop.create_task(self._say(self._said))  # ended by _end_saying

    async def _serve(self, host: "Host") -> None:
        context = CarriedContext(
            metadata=self._request.metadata,
            properties=self._request.properties,
            accept=lambda pairs: self._deliver(self._accept, pairs, upward=False),
            write=lambda message: self._deliver(self._inbox.put_nowait, message, upward=False),
        )
        said = self._said if isinstance(self._said, bytes) else self._heard()
        told = await host.handlers.stream(self._request.method, said, context)
        host.streams.pop(self, None)
        self._deliver(self._end, told, upward=False)

    async def _heard(self) -> AsyncIterator[bytes]:
        while (message := await self._upward.get()) is not None:
            yield message

    async def _say(self, said: AsyncIterator[bytes]) -> None:
        async for message in said:
            self._deliver(self._upward.put_nowait, message, upward=True)

    # --- between them ------------------------------------------------------------------------------------------------

    def break_off(self, why: str) -> None:
        """The connection is gone, for both."""
        self._end(Told(status=UNAVAILABLE, details=why))
        self._end_work()

    def break_if_parted(self) -> None:
        if self._network.is_parted(self._request.sender, self._callee):
            self.break_off("keepalive timed out")

    def _deliver(self, take: Callable[[T], None], what: T, *, upward: bool) -> None:
        if self._is_over:
            return
        if self._network.is_parted(self._request.sender, self._callee):
            self._network.counts.parted += 1
            self._loop.call_later(NOTICED_S, self.break_off, "keepalive timed out")
            return
        self._network.counts.messages += 1
        at_s = max(self._last_s[upward], self._loop.time() + self._network.delay_s())
        self._last_s[upward] = at_s
        self._loop.call_at(at_s, take, what)

    def _accept(self, pairs: Pairs) -> None:
        if not self._acceptance.done():
            self._acceptance.set_result(pairs)

    def _end(self, told: Told) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._accept(())
        self._inbox.put_nowait(told)
        self._end_saying()

    def _end_saying(self) -> None:
        if self._saying is not None:
            self._saying.cancel()
        self._upward.put_nowait(None)

    def _end_work(self) -> None:
        if self._host is not None:
            self._host.streams.pop(self, None)
        if self._work is not None:
            self._work.cancel()
