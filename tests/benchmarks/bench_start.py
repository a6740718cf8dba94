"""From the start of the process to ready, and what an idle school node weighs."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from config.settings import Portal, changed_settings
from node.runtime import read_serving
from tests.benchmarks.measuring import Figure, Flags, duration
from tests.benchmarks.two_nodes import parent_and_child

NAME = "start"
SMALLEST = {"STARTS": 1, "IDLE_S": 0.1}
STARTS = 7
IDLE_S = 5.0
TIMEOUT_S = 30.0


def run(flags: Flags) -> list[Figure]:
    del flags
    import asyncio  # noqa: PLC0415  # only to make the home

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_make_home(Path(folder)))
        home = Path(folder) / "child"
        seconds = [_start(home, idle=False)[0] for _ in range(STARTS)]
        _, idle_bytes = _start(home, idle=True)
    ready = median(seconds)
    return [
        Figure(
            name="school node: start to ready",
            ours=duration(ready),
            rival_or_ceiling="1 s",
            ratio=round(ready, 3),
            gate="≤ 1",
            aim="≤ 0.5",
            unit="s",
            note=f"median of {STARTS} starts of `lln serve`, process creation included",
        ),
        Figure(
            name="school node: idle memory",
            ours=f"{idle_bytes / 1e6:.0f} MB",
            rival_or_ceiling="90 MB",
            ratio=round(idle_bytes / 1e6, 1),
            gate="≤ 90",
            aim="≤ 60",
            unit="MB",
            note="resident set, five seconds after ready, with its portal",
        ),
    ]


async def _make_home(folder: Path) -> None:
    """As `lln join` makes one: with pages, here on a port that is free."""
    async with parent_and_child(folder):
        pass
    config = folder / "child" / "config.toml"
    pages = Portal(listen="127.0.0.1:0")
    config.write_text(changed_settings(config.read_text("utf-8"), "portal", pages, ("listen",)), encoding="utf-8")


def _start(home: Path, *, idle: bool) -> tuple[float, int]:
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "node.cli.main", "--home", str(home), "serve"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        while read_serving(home) is None:
            if process.poll() is not None or time.perf_counter() - started > TIMEOUT_S:
                raise RuntimeError("the node did not start")
            time.sleep(0.005)
        ready = time.perf_counter() - started
        resident = 0
        if idle:
            time.sleep(IDLE_S)
            resident = _resident_bytes(process.pid)
        process.terminate()
        process.wait(TIMEOUT_S)
    return ready, resident


def _resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1_024
    raise RuntimeError("no VmRSS")
