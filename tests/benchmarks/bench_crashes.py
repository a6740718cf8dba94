"""How many kills and power cuts at points that nobody picked real nodes survive, and whether anything broke.

It is a test of a thousand parts rather than a race, and has no rival: `--kills` says how many (100 otherwise).
"""

import asyncio
import secrets
import sys

from tests.benchmarks.measuring import Figure, Flags
from tests.crash.journeys import JOURNEYS
from tests.crash.trials import Tally, run_trials

NAME = "crashes"
TRIED = JOURNEYS
SMALLEST = {"TRIED": JOURNEYS[:1]}


def run(flags: Flags) -> list[Figure]:
    tally = asyncio.run(run_trials(secrets.randbelow(2**32), flags.kills, told=_told, journeys=TRIED))
    for journey, points in tally.points.items():
        _told(f"{points:>5} points  {journey}")
    for what, times in tally.struck.most_common(12):
        _told(f"{times:>5} ×  {what}")
    return [_figure(tally)]


def _figure(tally: Tally) -> Figure:
    modes = ", ".join(f"{count} {mode}" for mode, count in tally.modes.most_common())
    return Figure(
        name="processes killed at numbered writes: what was lost, doubled, forked or did not start",
        ours=f"{tally.kills:,} kills",
        rival_or_ceiling=f"{sum(tally.points.values()):,} points",
        ratio=len(tally.broken),
        gate="≤ 0",
        unit="broken",
        note=f"{modes}; {len(tally.points)} journeys, {tally.seconds:.0f} s, seed {tally.seed}",
    )


def _told(line: str) -> None:
    sys.stderr.write(f"{line}\n")
