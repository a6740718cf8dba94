"""How this repository measures: ours and a rival in one run, in short shuffled slices, compared round by round.

A noisy machine slows both sides of a round alike, so the median of the per-round ratios is steady (to about ±0.05)
where times are not. CPU time decides, wall time stands beside it. A run during which other processes took more than
15 % of the cores says so. What lives here: timing and comparing. What must not: printing (`__main__.py`), or anything
that is measured.

    told = paired("signed call", ours=call_signed, rival=call_bare)
    return [told.figure(gate="≥ 0.65", aim="≥ 0.75")]
"""

import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from tests.benchmarks.load import Load, process_cpu_s

ROUNDS_MIN = 9
SLICE_S = 0.1
SMALLEST = {"SLICE_S": 0.002}
WARM_UP_S = 0.2
OTHERS_SHARE_MAX = 0.15
CALLS_MAX = 10_000_000
OURS, RIVAL = 0, 1

Step = Callable[[], object]
AsyncStep = Callable[[], Awaitable[object]]
Clock = Literal["cpu", "wall"]
Verdict = Literal["aim held", "gate held", "missed", "told"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Flags:
    """What the person who measures asked for: `large` for the runs of a million documents, `small` for a quick
    look; `smallest` to see no more than that each still runs; `kills` of `crashes`.
    """

    large: bool = False
    small: bool = False
    smallest: bool = False
    kills: int = 100
    rounds: int = ROUNDS_MIN


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One row of the table. `ratio` is the number that `gate` and `aim` ("≥ 6", "≤ 1.5", or "") judge, in `unit`."""

    name: str
    ours: str
    rival_or_ceiling: str
    ratio: float
    gate: str = ""
    aim: str = ""
    unit: str = "×"
    disturbed: bool = False
    note: str = ""

    @property
    def held(self) -> Verdict:
        if self.aim and is_within(self.ratio, self.aim):
            return "aim held"
        if self.gate:
            return "gate held" if is_within(self.ratio, self.gate) else "missed"
        return "missed" if self.aim else "told"


@dataclass(frozen=True, kw_only=True, slots=True)
class Paired:
    """Ours beside a rival. Times are medians in seconds per operation; `speed` is rival / ours, paired by round.

    `rounds`: the per-round CPU ratios, sorted. `others_share`: of all cores, what other processes took (None: unknown).
    """

    name: str
    ours_cpu_s: float
    rival_cpu_s: float
    ours_wall_s: float
    rival_wall_s: float
    speed: float
    wall_speed: float
    rounds: tuple[float, ...]
    others_share: float | None

    @property
    def cost(self) -> float:
        """Ours / rival in CPU time: what a gate of the form "≤ 1.5" judges."""
        return 1 / self.speed

    @property
    def wall_cost(self) -> float:
        return 1 / self.wall_speed

    @property
    def disturbed(self) -> bool:
        return self.others_share is not None and self.others_share > OTHERS_SHARE_MAX

    def figure(self, *, gate: str = "", aim: str = "", by: Clock = "cpu", rival: str = "", note: str = "") -> Figure:
        """A row judged by CPU or wall time: how many times as fast for "≥", how many times as long for "≤"."""
        is_cost = (gate or aim).startswith("≤")
        cpu, wall = (self.cost, self.wall_cost) if is_cost else (self.speed, self.wall_speed)
        ours, theirs = (self.ours_cpu_s, self.rival_cpu_s) if by == "cpu" else (self.ours_wall_s, self.rival_wall_s)
        other_clock = f"wall {wall:.2f} ×" if by == "cpu" else f"CPU {cpu:.2f} ×"
        return Figure(
            name=self.name,
            ours=duration(ours),
            rival_or_ceiling=f"{rival} {duration(theirs)}".strip(),
            ratio=cpu if by == "cpu" else wall,
            gate=gate,
            aim=aim,
            disturbed=self.disturbed,
            note="; ".join(part for part in (other_clock, note) if part),
        )


def is_within(value: float, bound: str) -> bool:
    """Whether a value keeps a bound such as "≥ 6" or "≤ 1.5"; what follows the number is its unit."""
    sign, number = bound[:1], float(bound[1:].split(maxsplit=1)[0].rstrip("×"))
    if sign not in ("≥", "≤"):
        raise ValueError(f"a bound starts with ≥ or ≤: {bound!r}")
    return value >= number if sign == "≥" else value <= number


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` (0 to 1) of the values do not exceed: `percentile(times, 0.95)` is the p95."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-part * len(ordered) // 1) - 1))]


def duration(seconds: float) -> str:
    for scale, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


# --- measuring -------------------------------------------------------------------------------------------------------


def paired(
    name: str,
    ours: Step,
    rival: Step,
    *,
    rounds: int = ROUNDS_MIN,
    slice_s: float = 0.0,
    operations: int = 1,
    rival_operations: int = 0,
    before_slice: Step | None = None,
    processes: Iterable[int] = (),
    seed: int = 0,
) -> Paired:
    """Compare two steps.

    A slice repeats a step until it lasts about `slice_s` (0: `SLICE_S`). `operations`: how many a step does
    (`rival_operations` where the rival's does another number). `before_slice` runs before each slice, outside
    the window. `processes`: ids of processes whose CPU time counts as ours and the rival's beside this one's, such as a
    server's.
    """
    contest = Contest(
        name, rounds, slice_s or SLICE_S, (operations, rival_operations or operations), tuple(processes), seed
    )
    steps = (ours, rival)
    plan = contest.plan()
    side, calls = next(plan)
    while True:
        if before_slice is not None:
            before_slice()
        gc.collect()
        step, cpu, wall = steps[side], contest.cpu_s(), time.perf_counter()
        for _ in range(calls):
            step()
        took = Slice(wall_s=time.perf_counter() - wall, cpu_s=contest.cpu_s() - cpu)
        try:
            side, calls = plan.send(took)
        except StopIteration as done:
            return cast(Paired, done.value)


async def paired_async(
    name: str,
    ours: AsyncStep,
    rival: AsyncStep,
    *,
    rounds: int = ROUNDS_MIN,
    slice_s: float = 0.0,
    operations: int = 1,
    rival_operations: int = 0,
    before_slice: AsyncStep | None = None,
    processes: Iterable[int] = (),
    seed: int = 0,
) -> Paired:
    """`paired` for steps that are awaited, in the loop that is running."""
    contest = Contest(
        name, rounds, slice_s or SLICE_S, (operations, rival_operations or operations), tuple(processes), seed
    )
    steps = (ours, rival)
    plan = contest.plan()
    side, calls = next(plan)
    while True:
        if before_slice is not None:
            await before_slice()
        gc.collect()
        step, cpu, wall = steps[side], contest.cpu_s(), time.perf_counter()
        for _ in range(calls):
            await step()
        took = Slice(wall_s=time.perf_counter() - wall, cpu_s=contest.cpu_s() - cpu)
        try:
            side, calls = plan.send(took)
        except StopIteration as done:
            return cast(Paired, done.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    wall_s: float
    cpu_s: float

    def divided_by(self, operations: int) -> "Slice":
        return Slice(wall_s=self.wall_s / operations, cpu_s=max(self.cpu_s, 1e-9) / operations)


@dataclass(frozen=True, slots=True)
class Contest:
    """Which side runs next and how often, and what comes of it; it neither runs nor awaits a step itself."""

    name: str
    rounds: int
    slice_s: float
    operations: tuple[int, int]
    processes: tuple[int, ...]
    seed: int

    def plan(self) -> Generator[tuple[int, int], Slice, Paired]:
        """Yield (side, calls) and take the slice that came of it: warm-up first, then the shuffled rounds."""
        ours_calls = yield from self.warm_up(OURS)
        calls = (ours_calls, (yield from self.warm_up(RIVAL)))
        slices: tuple[list[Slice], list[Slice]] = ([], [])
        shuffle = random.Random(self.seed)  # noqa: S311  # an order of running, not a secret
        before = Load.now()
        for _ in range(max(self.rounds, 1)):
            for side in shuffle.sample((OURS, RIVAL), 2):
                took = yield side, calls[side]
                slices[side].append(took.divided_by(calls[side] * self.operations[side]))
        return self.compare(*slices, Load.now().others_share_since(before))

    def warm_up(self, side: int) -> Generator[tuple[int, int], Slice, int]:
        """Run a side outside the window until it is warm; how many calls then fill a slice."""
        calls, spent_s = 1, 0.0
        while True:
            took = yield side, calls
            spent_s += took.wall_s
            fitting = max(1, min(CALLS_MAX, round(calls * self.slice_s / max(took.wall_s, 1e-9))))
            if spent_s >= min(WARM_UP_S, 2 * self.slice_s):
                return fitting
            calls = min(fitting, calls * 10)

    def compare(self, ours: list[Slice], rival: list[Slice], others_share: float | None) -> Paired:
        cpu_ratios = sorted(r.cpu_s / o.cpu_s for o, r in zip(ours, rival, strict=True))
        return Paired(
            name=self.name,
            ours_cpu_s=statistics.median(s.cpu_s for s in ours),
            rival_cpu_s=statistics.median(s.cpu_s for s in rival),
            ours_wall_s=statistics.median(s.wall_s for s in ours),
            rival_wall_s=statistics.median(s.wall_s for s in rival),
            speed=statistics.median(cpu_ratios),
            wall_speed=statistics.median(r.wall_s / o.wall_s for o, r in zip(ours, rival, strict=True)),
            rounds=tuple(cpu_ratios),
            others_share=others_share,
        )

    def cpu_s(self) -> float:
        return time.process_time() + sum(process_cpu_s(process) for process in self.processes)
