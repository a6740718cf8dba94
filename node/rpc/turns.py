"""Turns: how much of this node one peer may keep busy, so that no peer's calls stand in the way of another's.

What lives here: a lane for each peer, in which its calls wait for each other, never for anybody else's; and the share
of the node's own time that a lane gets. What must not: whether a call is good (`federation/calls.py`), or how often a
peer may call (`federation/callers.py`).

The event loop has one thread, so what counts is the time that a peer's calls hold it. Each step of a call is measured,
and a lane that has used more than its share starts its next call only when the time has been made good. A lane is taken
before anything is verified: a flood of forged calls waits in its sender's own lane.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, TypeVar

import msgspec

from federation.errors import Unavailable

T = TypeVar("T")
CREDIT_S: Final = 0.02
OUTSIDE_S: Final = 0.000_15
"""What gRPC itself needs for a call, before and after the steps that can be measured."""
LANES_KEPT_MAX: Final = 4_096
DEBT_MAX_S: Final = 1.0
TICK_S: Final = 0.001
"""No shorter wait: what is left of a debt after one may be too little for a clock to show."""


class TooBusy(Unavailable):
    code = "LLN-1605"
    zh = "节点正忙，请稍后再试。"
    en = "The node is busy; try again shortly."


class Busyness(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be under way at once, in all and for one peer, waiting included.

    An open stream counts among its peer's calls, but has a bound of its own (`streams`) among all: each child keeps two
    open, so that a county with a thousand schools would have no room left for anything else.
    `going_per_peer`: of these, how many are worked on; the others wait for them.
    `share_per_peer`: of the node's time, what one peer's calls get while they go on; 1 for all of it.
    """

    calls: int = 512
    calls_per_peer: int = 64
    streams: int = 4_096
    going_per_peer: int = 4
    payload_bytes_per_peer: int = 16 * 1024 * 1024
    share_per_peer: float = 0.25


class Lane:
    """One peer's calls: `going` are being worked on, `waiting` not yet; `debt_s` is time used beyond the share."""

    __slots__ = ("at_s", "calls", "debt_s", "going", "payload_bytes", "timer", "waiting")

    def __init__(self, at_s: float) -> None:
        self.calls = 0
        self.payload_bytes = 0
        self.going = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.debt_s = 0.0
        self.at_s = at_s
        self.timer: asyncio.TimerHandle | None = None


class Turn:
    """One call's place: `wait` for it first, `stay_open` where it is a stream, `end` it always."""

    __slots__ = ("_bytes", "_has_left", "_is_open", "_lane", "_name", "_turns", "_waits_for")

    def __init__(
        self, turns: "Turns", name: str, lane: Lane, payload_bytes: int, waits_for: "asyncio.Future[None] | None"
    ) -> None:
        self._turns = turns
        self._name = name
        self._lane = lane
        self._bytes = payload_bytes
        self._waits_for = waits_for
        self._has_left = False
        self._is_open = False

    @property
    def must_wait(self) -> bool:
        return self._waits_for is not None and not self._waits_for.done()

    async def wait(self) -> None:
        if self._waits_for is not None:
            await self._waits_for

    def stand_back(self) -> None:
        """The next call of this peer may begin, though this one has not ended."""
        if self._has_left:
            return
        self._has_left = True
        if self._waits_for is None or (not self._waits_for.cancel() and not self._waits_for.cancelled()):
            self._turns.leave(self._lane)  # it was let in, even if its caller hung up in that very moment

    def stay_open(self) -> None:
        """From now on this is a stream, which nobody waits for; raises TooBusy where there are too many of them."""
        self._turns.open_stream()
        self._is_open = True
        self.stand_back()

    def end(self) -> None:
        self.stand_back()
        if self._is_open:
            self._turns.close_stream()
        self._turns.forget(self._name, self._lane, self._bytes)

    async def metered(self, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of `work`; the time that its steps take is the lane's."""
        outcome: T = await _Metered(work, self._turns.monotonic_s, self._spend)
        return outcome

    def _spend(self, seconds: float) -> None:
        self._lane.debt_s += seconds


class Turns:
    def __init__(self, busyness: Busyness, monotonic_s: Callable[[], float]) -> None:
        self.monotonic_s = monotonic_s
        self._busyness = busyness
        self._share = busyness.share_per_peer
        self._calls = 0
        self._streams = 0
        self._lanes: dict[str, Lane] = {}

    def take(self, name: str, payload_bytes: int) -> Turn:
        """A place in the lane of `name`; end it whatever happens. Raises TooBusy."""
        lane = self._lanes.get(name) or self._open_lane(name)
        allowed = self._busyness
        if self._calls >= allowed.calls:
            raise TooBusy("this node", f"{allowed.calls} calls are under way")
        if lane.calls >= allowed.calls_per_peer:
            raise TooBusy(name, f"{allowed.calls_per_peer} of its calls are under way")
        if lane.payload_bytes and lane.payload_bytes + payload_bytes > allowed.payload_bytes_per_peer:
            raise TooBusy(name, f"{lane.payload_bytes} bytes of its calls are under way")
        self._calls += 1
        lane.calls += 1
        lane.payload_bytes += payload_bytes
        self._refill(lane)
        lane.debt_s += OUTSIDE_S
        if not lane.waiting and lane.going < self._width(lane) and lane.debt_s <= CREDIT_S:
            lane.going += 1
            return Turn(self, name, lane, payload_bytes, None)
        waits_for: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.waiting.append(waits_for)
        self._let_in(lane)
        return Turn(self, name, lane, payload_bytes, waits_for)

    def open_stream(self) -> None:
        if self._streams >= self._busyness.streams:
            raise TooBusy("this node", f"{self._busyness.streams} streams are open")
        self._streams += 1
        self._calls -= 1

    def close_stream(self) -> None:
        self._streams -= 1
        self._calls += 1  # until `forget`

    def leave(self, lane: Lane) -> None:
        lane.going -= 1
        if lane.waiting:
            self._let_in(lane)

    def forget(self, name: str, lane: Lane, payload_bytes: int) -> None:
        """A call of `name` is over."""
        self._calls -= 1
        lane.calls -= 1
        lane.payload_bytes -= payload_bytes
        if not lane.calls:
            self._refill(lane)
            if not lane.debt_s:
                self._lanes.pop(name, None)

    def _open_lane(self, name: str) -> Lane:
        if len(self._lanes) >= LANES_KEPT_MAX:
            self._lanes = {key: lane for key, lane in self._lanes.items() if lane.calls or self._refill(lane)}
        lane = self._lanes[name] = Lane(self.monotonic_s())
        return lane

    def _refill(self, lane: Lane) -> float:
        """Make good what time has passed; returns what is left of the debt."""
        now_s = self.monotonic_s()
        lane.debt_s = min(DEBT_MAX_S, max(0.0, lane.debt_s - max(0.0, now_s - lane.at_s) * self._share))
        if self._share >= 1:
            lane.debt_s = 0.0
        lane.at_s = now_s
        return lane.debt_s

    def _let_in(self, lane: Lane) -> None:
        """Start who waits, for as long as there is room in the lane and time to its credit."""
        while lane.waiting:
            owed_s = self._refill(lane) - CREDIT_S
            if lane.going >= self._width(lane):
                return
            if owed_s > 0:
                if lane.timer is None:
                    later_s = max(owed_s / self._share, TICK_S)
                    lane.timer = asyncio.get_running_loop().call_later(later_s, self._let_in_later, lane)
                return
            waits_for = lane.waiting.popleft()
            if not waits_for.done():
                lane.going += 1
                waits_for.set_result(None)

    def _width(self, lane: Lane) -> int:
        """How many of its calls go on side by side: what four of them cost is known only when it is spent, so a lane
        that has used up half of its credit goes on with one at a time.
        """
        return self._busyness.going_per_peer if lane.debt_s <= CREDIT_S / 2 else 1

    def _let_in_later(self, lane: Lane) -> None:
        lane.timer = None
        self._let_in(lane)


class _Metered:
    """Awaits a coroutine step by step, and tells how long each step held the event loop."""

    __slots__ = ("_monotonic_s", "_spend", "_work")

    def __init__(
        self, work: Coroutine[Any, Any, T], monotonic_s: Callable[[], float], spend: Callable[[float], None]
    ) -> None:
        self._work = work
        self._monotonic_s = monotonic_s
        self._spend = spend

    def __await__(self) -> Generator[Any, Any, Any]:
        work, clock, spend = self._work, self._monotonic_s, self._spend
        step, told = work.send, None
        while True:
            began_s = clock()
            try:
                awaited = step(told)
            except StopIteration as done:
                return done.value
            finally:
                spend(clock() - began_s)
            try:
                told = yield awaited
                step = work.send
            except BaseException as thrown:  # noqa: BLE001  # whatever is thrown in is the coroutine's to answer
                step, told = work.throw, thrown
