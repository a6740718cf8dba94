"""The long run of the simulated network: how fast simulated days pass, and how much was tried without a break.

A day of a county with 75 schools with all faults, then many small trees with everything going wrong many times as
often; with `--large` more of them, and the large presets. The seeds are the same every time, and whatever broke is
seen again by the command in the row's note. What must not live here: invariants (`node/simulation`).
"""

import time
from collections.abc import Iterable

from node.simulation.chance import chance_of
from node.simulation.faults import read_faults
from node.simulation.trace import Counts
from node.simulation.trees import preset, random_tree
from node.simulation.world import BRISK, CALM, Outcome, Plan, simulate
from tests.benchmarks.load import Load
from tests.benchmarks.measuring import OTHERS_SHARE_MAX, Figure, Flags

NAME = "simulation"
SMALLEST = {"DAY_HOURS": 0.02, "SEEDS": 1}
DAY_SEED = 7
DAY_HOURS = 24.0
SEEDS, SEEDS_LARGE = 60, 600
FIRST_SEED = 1_000
LARGE_PRESETS = (("county-1000", 1.0), ("province", 0.25), ("nation", 0.05))
OFTEN = "delay,loss*2,duplicates*3,reorder,spoilt*2,partitions*4,crashes*6,clocks*5,disks*5,malice*3"
FAULTS = ("lost", "duplicated", "late", "spoilt", "parted", "crashes", "partitions", "clock_steps", "disk_troubles")


def run(flags: Flags) -> list[Figure]:
    figures = [a_day(), small_trees(SEEDS_LARGE if flags.large else SEEDS)]
    if flags.large:
        figures += [a_preset(name, hours) for name, hours in LARGE_PRESETS]
    return figures


def a_day() -> Figure:
    plan = Plan(
        tree=preset("county-75"), hours=DAY_HOURS, seed=DAY_SEED, faults=read_faults("all"), sync=CALM, links=True
    )
    before, wall_s, cpu_s = Load.now(), time.perf_counter(), time.process_time()
    outcome = simulate(plan)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    others = Load.now().others_share_since(before)
    again = f"lln simulate --preset county-75 --hours {DAY_HOURS:g} --seed {DAY_SEED}"
    return Figure(
        name="a simulated day of a county with 75 schools, all faults",
        ours=f"{wall_s:.0f} s wall",
        rival_or_ceiling="a minute",
        ratio=round(cpu_s, 1) if not outcome.broken else float("inf"),
        gate="≤ 60",
        aim="≤ 40",
        unit="s of CPU",
        disturbed=others is not None and others > OTHERS_SHARE_MAX,
        note=told([outcome], again),
    )


def small_trees(seeds: int) -> Figure:
    """Trees of 3 to 40 nodes, one to six hours each; both drawn from the seed, as the command line can say them."""
    started = time.perf_counter()
    outcomes = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        chance = chance_of(seed, "size of a long run")
        nodes, hours = chance.randint(3, 40), chance.randint(1, 6)
        plan = Plan(
            tree=random_tree(nodes, seed), hours=hours, seed=seed, faults=read_faults(OFTEN), sync=BRISK, links=True
        )
        outcomes.append(simulate(plan))
        if outcomes[-1].broken:
            again = f"lln simulate --nodes {nodes} --hours {hours} --seed {seed} --faults '{OFTEN}'"
            return _broken_or_not(f"{seeds} made-up trees", started, outcomes, again)
    return _broken_or_not(f"{seeds} made-up trees of 3 to 40 nodes, faults many times as often", started, outcomes, "")


def a_preset(name: str, hours: float) -> Figure:
    started = time.perf_counter()
    plan = Plan(tree=preset(name), hours=hours, seed=DAY_SEED, faults=read_faults("all"), sync=CALM, links=True)
    again = f"lln simulate --preset {name} --hours {hours:g} --seed {DAY_SEED}"
    return _broken_or_not(f"preset {name}, {hours:g} h, all faults", started, [simulate(plan)], again)


def _broken_or_not(name: str, started: float, outcomes: list[Outcome], again: str) -> Figure:
    return Figure(
        name=name,
        ours=f"{sum(outcome.hours for outcome in outcomes):g} h in {time.perf_counter() - started:.0f} s wall",
        rival_or_ceiling="nothing breaks",
        ratio=sum(bool(outcome.broken) for outcome in outcomes),
        gate="≤ 0",
        unit="broken",
        note=told(outcomes, again),
    )


def told(outcomes: list[Outcome], again: str) -> str:
    counts = [outcome.counts for outcome in outcomes]
    faults = sum(_sum(counts, (kind,)) for kind in FAULTS)
    said = [
        f"{_sum(counts, ('calls',)):,} calls and {_sum(counts, ('messages',)):,} messages",
        f"{faults:,} faults, of them {_sum(counts, ('crashes',)):,} crashes; {_sum(counts, ('attacks',)):,} attacks",
        f"{_sum(counts, ('checks',)):,} checks",
        *(f"{outcome.broken}: {outcome.found[:200]}" for outcome in outcomes if outcome.broken),
        again,
    ]
    return "; ".join(part for part in said if part)


def _sum(counts: Iterable[Counts], kinds: Iterable[str]) -> int:
    return sum(getattr(one, kind) for one in counts for kind in kinds)
