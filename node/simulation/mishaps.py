"""Things that happen to machines and lines: crashes, cuts, clocks that step, disks that fill up or fail.

What lives here: when each happens, to whom and for how long, and its mending. What must not: the fate of single
messages (`network.py`), or anything done on purpose (`malice.py`).
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from node.simulation.chance import Chance, pause_s
from node.simulation.faults import Faults
from node.simulation.lives import Life, Surroundings
from node.simulation.network import Cut

T = TypeVar("T")
DOWN_S: Final = (1.0, 1_800.0)
CUT_S: Final = (20.0, 10_800.0)
STEPPED_S: Final = (60.0, 3_600.0)
FAR_STEP_MS: Final = 600_000
FAR_STEPS_PART: Final = 0.2
ALONE_PART: Final = 0.6
DISK_S: Final = (10.0, 1_200.0)


class Mishaps:
    """`run` lasts until it is cancelled; `mend` then makes everything whole."""

    def __init__(self, around: Surroundings, faults: Faults, chance: Chance) -> None:
        self._around = around
        self._faults = faults
        self._chance = chance
        self._lives = list(around.lives.values())
        self._loop = asyncio.get_running_loop()
        self._is_over = False

    async def run(self) -> None:
        faults, nodes = self._faults, len(self._lives)
        async with asyncio.TaskGroup() as together:
            for happen, per_hour in (
                (self._crash, faults.crashes_per_node_hour * nodes),
                (self._cut, faults.cuts_per_hour),
                (self._step, faults.clock_steps_per_node_hour * nodes),
                (self._spoil_disk, faults.disk_troubles_per_node_hour * nodes),
            ):
                if per_hour:
                    together.create_task(self._again_and_again(happen, per_hour))

    def skew_all(self) -> None:
        """No clock is ever quite right."""
        for life in self._lives:
            life.clock.skew_ms = self._skew()

    def mend(self) -> None:
        """From now on nothing goes wrong any more."""
        self._is_over = True
        self._around.network.cuts.clear()
        self._around.network.faults = Faults(delay=self._faults.delay)
        for life in self._lives:
            life.clock.skew_ms = 0
            life.disk.trouble = None
            life.start()

    async def _again_and_again(self, happen: Callable[[Life], None], per_hour: float) -> None:
        while True:
            await asyncio.sleep(pause_s(self._chance, per_hour))
            happen(self._chance.choice(self._lives))

    def _crash(self, life: Life) -> None:
        if life.node is None:
            return
        self._around.counts.crashes += 1
        self._note("crash", life)
        life.crash()
        self._loop.call_later(self._between(DOWN_S), self._unless_over, self._power_up, life)

    def _power_up(self, life: Life) -> None:
        self._around.checker.reopened(life.disk)
        life.start()

    def _cut(self, life: Life) -> None:
        cut = Cut(head=life.name, alone=self._chance.random() < ALONE_PART)
        self._around.counts.partitions += 1
        self._note("cut", life)
        self._around.network.part(cut)
        self._loop.call_later(self._between(CUT_S), self._unless_over, self._heal, cut)

    def _heal(self, cut: Cut) -> None:
        self._around.network.cuts.remove(cut)

    def _step(self, life: Life) -> None:
        self._around.counts.clock_steps += 1
        self._note("clock", life)
        is_far = self._chance.random() < FAR_STEPS_PART
        life.clock.skew_ms = self._chance.choice((-1, 1)) * FAR_STEP_MS if is_far else self._skew()
        if is_far:
            self._loop.call_later(self._between(STEPPED_S), self._unless_over, self._set_right, life)

    def _set_right(self, life: Life) -> None:
        life.clock.skew_ms = self._skew()

    def _spoil_disk(self, life: Life) -> None:
        self._around.counts.disk_troubles += 1
        self._note("disk", life)
        life.disk.trouble = self._chance.choice(("full", "full", "failing"))
        self._loop.call_later(self._between(DISK_S), self._unless_over, self._replace_disk, life)

    def _replace_disk(self, life: Life) -> None:
        life.disk.trouble = None

    def _unless_over(self, mend: Callable[[T], None], what: T) -> None:
        if not self._is_over:
            mend(what)

    def _skew(self) -> int:
        return self._chance.randint(-self._faults.skew_ms_max, self._faults.skew_ms_max)

    def _between(self, span_s: tuple[float, float]) -> float:
        """Short ones are more frequent than long ones."""
        least, most = span_s
        return least + (most - least) * self._chance.random() ** 3

    def _note(self, what: str, life: Life) -> None:
        self._around.trace.note(self._loop.time(), what, life.name)
