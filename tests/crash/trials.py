"""Which kills are tried, and what comes of them: every point of every journey, or a sample of them by a seed.

What must not live here: what a journey does (`journeys.py`), or what must hold after it (`world.py`).
"""

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.crash.journeys import JOURNEYS, Journey
from tests.crash.world import Arm, World

WORLD_TRIALS = 80  # then another federation begins: logs would only grow longer
TRIAL_S = 150.0
TOLD_EVERY = 100
LATER_S_MAX = 0.03
MODES = ("at once", "a moment later", "power cut")


@dataclass(frozen=True, kw_only=True)
class Trial:
    journey: Journey
    kill_at: int
    mode: str

    def arm(self, chance: random.Random) -> Arm:
        later_s = chance.uniform(0.0, LATER_S_MAX) if self.mode == "a moment later" else 0.0
        return Arm(self.kill_at, later_s=later_s, cuts_power=self.mode == "power cut")

    def __str__(self) -> str:
        return f"{self.journey.name}, at point {self.kill_at}, {self.mode}"


@dataclass(kw_only=True)
class Tally:
    """`points`: how many each journey has; `struck`: what was being done when a process was killed."""

    seed: int
    points: dict[str, int] = field(default_factory=dict)
    struck: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    trials: int = 0
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        return sum(self.struck.values())

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.kills} kills in {self.trials} trials, {self.seconds:.0f} s,"
            f" {sum(self.points.values())} points, {len(self.broken)} broken"
        )


async def run_trials(
    seed: int,
    kills: int,
    *,
    seconds_max: float = 2.0**30,
    told: Callable[[str], None] = print,
    journeys: tuple[Journey, ...] = JOURNEYS,
) -> Tally:
    """Count the points of every journey, then kill at `kills` of them, or at as many as `seconds_max` allow.

    A broken invariant is told, and the rest goes on.
    """
    tally, began_s = Tally(seed=seed), time.monotonic()
    chance = random.Random(seed)  # noqa: S311  # to be the same again, not to be unguessable
    async with _Worlds(chance, tally) as worlds:
        for journey in journeys:
            world = await worlds.current()
            await journey.go(world, f"n{world.number}", Arm(0))
            tally.points[journey.name] = len(world.report.read_text(encoding="utf-8").splitlines())
        counted_s = time.monotonic()
        for trial in _plan(tally.points, kills, chance):
            if time.monotonic() - counted_s > seconds_max:
                break
            await _try(trial, worlds, chance, tally, told)
            if tally.trials % TOLD_EVERY == 0:
                told(f"{tally.trials} trials, {sum(tally.modes.values())} kills, {len(tally.broken)} broken")
    tally.seconds = time.monotonic() - began_s
    return tally


async def _try(
    trial: Trial, worlds: "_Worlds", chance: random.Random, tally: Tally, told: Callable[[str], None]
) -> None:
    world = await worlds.current()
    before = sum(world.kills.values())
    tally.trials += 1
    try:
        async with asyncio.timeout(TRIAL_S):
            await trial.journey.go(world, f"t{world.number}", trial.arm(chance))
    except Exception as error:  # noqa: BLE001  # whatever a kill led to is what is looked for
        tally.broken.append(f"{trial}: {type(error).__name__} {error}\n    {await world.diagnosis()}")
        told(tally.broken[-1])
        worlds.give_up()
    tally.modes[trial.mode] += sum(world.kills.values()) - before


class _Worlds:
    """One federation after the other, each for so many trials, or until it is broken."""

    def __init__(self, chance: random.Random, tally: Tally) -> None:
        self._chance = chance
        self._tally = tally
        self._world: World | None = None
        self._stack = AsyncExitStack()
        self._trials = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def current(self) -> World:
        if self._world is not None and self._trials >= WORLD_TRIALS:
            await self._end()
        if self._world is None:
            await self._end()
            self._stack = AsyncExitStack()
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lln-crash-"))
            self._world = await self._stack.enter_async_context(World(Path(folder), self._chance.randrange(2**32)))
            self._trials = 0
        self._trials += 1
        return self._world

    def give_up(self) -> None:
        self._trials = WORLD_TRIALS

    async def _end(self) -> None:
        if self._world is not None:
            self._tally.struck.update(self._world.kills)
            self._world = None
            await self._stack.aclose()


def _plan(points: dict[str, int], kills: int, chance: random.Random) -> Iterator[Trial]:
    """Every point once, at random, as far as `kills` go; then again, another way. A sample has some of each journey."""
    by_name = {journey.name: journey for journey in JOURNEYS}
    waiting = {name: _shuffled(count, chance) for name, count in points.items()}
    planned = 0
    while planned < kills:
        names = [name for name, left in waiting.items() if left] or list(by_name)
        for name in chance.sample(names, len(names))[: kills - planned]:
            waiting[name] = waiting[name] or _shuffled(points[name], chance)
            yield Trial(journey=by_name[name], kill_at=waiting[name].pop(), mode=MODES[planned % len(MODES)])
            planned += 1


def _shuffled(count: int, chance: random.Random) -> list[int]:
    return chance.sample(range(1, count + 1), count)
