"""How much of the machine's CPU time other processes took, so that a disturbed run can say so.

Reads /proc where there is one; elsewhere the answer is None, unknown. What must not live here: timing or comparing.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
IDLE_FIELDS = (3, 4)  # idle and iowait, proc_stat(5)
GUEST_FIELDS_FROM = 8  # already counted in user and nice


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What had been spent at one moment: by everybody, and by us with all our descendants; seconds of CPU."""

    at_s: float
    busy_s: float | None
    own_s: float
    cores: int

    @classmethod
    def now(cls) -> "Load":
        busy_s, cores = machine_cpu_s()
        return cls(at_s=time.perf_counter(), busy_s=busy_s, own_s=family_cpu_s(), cores=cores)

    def others_share_since(self, before: "Load") -> float | None:
        """Of all cores, the part that other processes took since `before`; None where it cannot be known."""
        if self.busy_s is None or before.busy_s is None:
            return None
        others_s = (self.busy_s - before.busy_s) - (self.own_s - before.own_s)
        return max(0.0, others_s / max((self.at_s - before.at_s) * self.cores, 1e-9))


def machine_cpu_s() -> tuple[float | None, int]:
    try:
        lines = [line.split() for line in (PROC / "stat").read_text("ascii").splitlines() if line.startswith("cpu")]
    except OSError:
        return None, os.cpu_count() or 1
    ticks = [int(number) for number in lines[0][1 : 1 + GUEST_FIELDS_FROM]]
    busy = sum(number for field, number in enumerate(ticks) if field not in IDLE_FIELDS)
    return (busy / TICKS_PER_S if any(ticks) else None), len(lines) - 1


def family_cpu_s() -> float:
    """CPU seconds of this process, of children that have ended, and of descendants that are alive."""
    spent = os.times()
    ended_s = spent.children_user + spent.children_system
    return time.process_time() + ended_s + sum(process_cpu_s(child) for child in descendants(os.getpid()))


def descendants(of: int) -> Iterable[int]:
    children: dict[int, list[int]] = {}
    for entry in PROC.glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text("utf-8", errors="replace").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue  # it ended while we looked
        children.setdefault(parent, []).append(int(entry.parent.name))
    waiting = list(children.get(of, ()))
    while waiting:
        child = waiting.pop()
        yield child
        waiting += children.get(child, ())


def process_cpu_s(process: int) -> float:
    """CPU seconds of a process that is alive, all its threads together; 0 where it cannot be asked.

    clock_getcpuclockid(3) makes the same clock id on Linux.
    """
    try:
        return time.clock_gettime((~process << 3) | 2)
    except (OSError, AttributeError, OverflowError):
        return 0.0
