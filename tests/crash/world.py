"""A small federation of real processes that are killed and come back: hub, county, town, and a school.

What lives here: starting, asking, killing and reviving them, and what must hold whenever they are at rest. What must
not: what is done with them (`journeys.py`).
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Self

import msgspec

from federation.errors import LlnError, PeerRefused, PeerUnreachable
from node.checking import check_home
from node.demo.federation import free_ports
from node.desk import OPERATIONS
from node.host.clock import SystemClock, SystemRandomness
from node.host.homes import Home
from node.host.key_files import open_identity
from node.rpc.desk_client import DeskClient
from node.runtime import read_serving
from tests.crash.points import cut_power

ROOT = "lln.internal"
COUNTY = f"county.{ROOT}"
TOWN = f"town.{ROOT}"
SCHOOL = f"school.{COUNTY}"
WAIT_S = 50.0
REPOSITORY = Path(__file__).resolve().parents[2]
PEER_SILENT = 3
"""How `lln` ends where a peer did not answer."""
TRIES_MAX = 5
KILLED = -signal.SIGKILL


class Broken(AssertionError):
    """Something that must hold does not."""


class Process:
    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.began = asyncio.Event()
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()


class Arm:
    """Which process is to be killed, and when; `cuts_power`: unsynced writes are lost with it."""

    def __init__(self, kill_at: int, *, later_s: float = 0.0, cuts_power: bool = False) -> None:
        self.kill_at = kill_at
        self.later_s = later_s
        self.cuts_power = cuts_power


class World:
    """Use it as a context. `victim`: whom the trial that runs is about; killed or not, it is revived when needed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)  # noqa: S311  # to be the same again, not to be unguessable
        self.kills: Counter[str] = Counter()
        self.number = 0
        self._processes: dict[str, Process] = {}
        self._desks: dict[str, DeskClient] = {}
        self._by_number: dict[int, Process] = {}
        self._ports: dict[str, tuple[int, int]] = {}
        self._free_ports = free_ports()
        self._checked: Counter[str] = Counter()
        self._published: dict[str, set] = {}
        self._victim, self._arm = "", None

    async def __aenter__(self) -> Self:
        self._nursery = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.crash.nursery", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read())
        self._by_number[0] = Process(0)
        async with asyncio.timeout(WAIT_S):
            await self._by_number[0].began.wait()
        await self._found()
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in list(self._desks):
            await self._desks.pop(name).close()
        self._nursery.stdin.close()
        await self._nursery.wait()
        self._reading.cancel()

    def home(self, name: str) -> Path:
        return self.folder / "homes" / name

    async def _found(self) -> None:
        (self.folder / "homes").mkdir(parents=True)
        words = ("init", "--root", ROOT, "--title", "国家", *self._addresses(ROOT))
        assert await self.run(ROOT, *words) == 0
        await self.settle(ROOT)
        authority, school = ("county", "authority"), ("school", "school")
        for name, (level, kind) in ((COUNTY, authority), (TOWN, authority), (SCHOOL, school)):
            code = await self.invite(name, level, kind)
            assert await self.run(name, "join", code, *self._addresses(name)) == 0
            await self.settle(name)

    def _addresses(self, name: str) -> tuple[str, ...]:
        port, door = self._ports.setdefault(name, (next(self._free_ports), next(self._free_ports)))
        return ("--listen", f"127.0.0.1:{port}", "--enrolment-listen", f"127.0.0.1:{door}",
                "--endpoint", f"127.0.0.1:{port}")  # fmt: skip

    addresses = _addresses

    async def invite(self, name: str, level: str, kind: str, *, replace: bool = False) -> str:
        label, authority = name.split(".", 1)
        described = {"title": {"zh": name}, "level": level, "kind": kind}
        made = await self.ask(authority, "invite.make", label=label, description=described, replace=replace)
        return made.code

    # --- processes ---------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while line := await self._nursery.stdout.readline():
            told = json.loads(line)
            process = self._by_number[told["id"]]
            if "pid" in told:
                process.pid = told["pid"]
                process.began.set()
            else:
                process.ended.set_result(told["ended"])

    async def _spawn(self, name: str, words: tuple[str, ...], arm: Arm | None, quirks: tuple[str, ...]) -> Process:
        self.number += 1
        process = self._by_number[self.number] = Process(self.number)
        asked = {"id": self.number, "words": ["--home", str(self.home(name)), *words], "log": str(self.log(name)),
                 "quirks": quirks}  # fmt: skip
        if arm is not None:
            self.report.unlink(missing_ok=True)
            shutil.rmtree(self.durable, ignore_errors=True)
            self.durable.mkdir()
            durable = str(self.durable) if arm.cuts_power else None
            folder = self.home(name)
            asked["points"] = [str(folder), str(self.report), arm.kill_at, arm.later_s, durable]
        self._nursery.stdin.write(json.dumps(asked).encode() + b"\n")
        async with asyncio.timeout(WAIT_S):
            await process.began.wait()
        return process

    @property
    def report(self) -> Path:
        return self.folder / "points"

    @property
    def durable(self) -> Path:
        return self.folder / "durable"

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    async def run(self, name: str, *words: str, arm: Arm | None = None, quirks: tuple[str, ...] = ()) -> int:
        """One command to its end; its exit status, KILLED where it was killed."""
        process = await self._spawn(name, words, arm, quirks)
        async with asyncio.timeout(WAIT_S):
            status = await process.ended
        self._check_end(name, status)
        if status == KILLED and arm is not None:
            self._count(name, arm)
        return status

    async def until_done(self, name: str, *words: str, arm: Arm, quirks: tuple[str, ...] = ()) -> None:
        """A command that may be killed once, and is then repeated as a person would."""
        if await self.run(name, *words, arm=arm, quirks=quirks) != 0:
            for _ in range(TRIES_MAX):
                status = await self.run(name, *words, quirks=quirks)
                if status != PEER_SILENT:  # a machine that is busy with other things
                    break
                await asyncio.sleep(1)
            if status != 0:
                raise Broken(f"lln {words[0]} ended with {status} when repeated: {self.said(name)}")

    def _check_end(self, name: str, status: int) -> None:
        if status not in (0, KILLED, -signal.SIGTERM) and "Traceback" in self.said(name):
            raise Broken(f"{name} ended with {status} and a traceback: {self.said(name)}")

    def said(self, name: str) -> str:
        log = self.log(name)
        return log.read_text(encoding="utf-8", errors="replace")[-3_000:] if log.exists() else ""

    def _count(self, name: str, arm: Arm) -> None:
        lines = self.report.read_text(encoding="utf-8").splitlines()
        self.kills[lines[arm.kill_at - 1].split(" /")[0] if len(lines) >= arm.kill_at else "?"] += 1
        if arm.cuts_power:
            cut_power(self.durable, self.home(name) / "data", self.chance)

    async def settle(self, name: str, arm: Arm | None = None, quirks: tuple[str, ...] = ()) -> None:
        """Start, or start again, a node's process; returns when it serves, or has been killed."""
        await self.kill(name)
        if name in self._desks:
            await self._desks.pop(name).close()
        if not arm:
            _retry_fast(self.home(name) / "config.toml")
        quirks = (*quirks, "worth")
        process = self._processes[name] = await self._spawn(name, ("serve",), arm, quirks)
        self._victim, self._arm = (name, arm) if arm else (self._victim, self._arm)
        async with asyncio.timeout(WAIT_S):
            while (serving := read_serving(self.home(name))) is None or serving.pid != process.pid:
                if process.ended.done():
                    if arm and process.ended.result() == KILLED:
                        return
                    raise Broken(f"{name} did not start: {process.ended.result()} {self.said(name)}")
                await asyncio.sleep(0.005)

    async def kill(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None and not process.ended.done():
            with contextlib.suppress(ProcessLookupError):  # it has just died, and nobody has been told yet
                os.kill(process.pid, signal.SIGKILL)
            async with asyncio.timeout(WAIT_S):
                await process.ended

    async def until_dead_or(self, name: str, condition) -> None:
        async with asyncio.timeout(WAIT_S):
            while not self._processes[name].ended.done() and not await condition():  # noqa: ASYNC110  # files change
                await asyncio.sleep(0.02)

    async def revive(self, name: str) -> bool:
        """Start whoever has died; whether it had to be."""
        process = self._processes[name]
        if not process.ended.done():
            return False
        self._check_end(name, process.ended.result())
        if process.ended.result() != KILLED:
            raise Broken(f"{name} ended by itself with {process.ended.result()}: {self.said(name)}")
        if name == self._victim and self._arm is not None:
            self._count(name, self._arm)
            self._arm = None
        await self.settle(name)
        return True

    # --- asking ------------------------------------------------------------------------------------------------------

    async def ask(self, name: str, operation: str, /, **asked):
        """One operation of a node's desk, as a person would ask who tries again when the node is down."""
        known = OPERATIONS[operation]
        async with asyncio.timeout(WAIT_S):
            while True:
                await self.revive(name)
                try:
                    reply = await self._desk(name).ask(operation, msgspec.json.encode(asked), timeout_s=10)
                    return msgspec.json.decode(reply, type=known.answered)
                except PeerRefused as refusal:
                    raise refusal.as_told() from refusal
                except PeerUnreachable:
                    if name in self._desks:
                        await self._desks.pop(name).close()
                    await asyncio.sleep(0.02)

    def _desk(self, name: str) -> DeskClient:
        if name not in self._desks:
            clock, randomness = SystemClock(), SystemRandomness()
            identity = open_identity(Home(self.home(name)), clock=clock, randomness=randomness)
            serving = read_serving(self.home(name))
            endpoint = serving.endpoint if serving else "127.0.0.1:1"
            self._desks[name] = DeskClient(
                endpoint=endpoint, identity=identity, material=identity, clock=clock, randomness=randomness
            )
        return self._desks[name]

    async def until(self, condition, what: str):
        refusal: LlnError | None = None
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    for name in list(self._processes):
                        await self.revive(name)
                    try:
                        if found := await condition():
                            return found
                    except LlnError as error:
                        refusal = error
                    await asyncio.sleep(0.03)
        except TimeoutError:
            raise Broken(f"{what}: not within {WAIT_S:.0f} s; the last refusal was {refusal}") from None

    async def diagnosis(self) -> str:
        """How everybody who answers gets on with everybody else, for whoever has to find out what is wrong."""
        told = []
        for name in list(self._processes):
            try:
                async with asyncio.timeout(5):
                    peers = (await self.ask(name, "node.peers")).peers
            except (TimeoutError, LlnError, Broken) as silent:
                told.append(f"{name}: {silent!r}")
            else:
                told += [f"{name} ← {one.name}: {one.last_error}" for one in peers if one.last_error]
        return "\n    ".join(told)

    # --- what must hold ----------------------------------------------------------------------------------------------

    async def check_logs(self, origin: str, topic: str = "catalogue") -> None:
        """The log holds together where it was written, every node above has the same, and nothing is in it twice."""
        own = await self.ask(origin, "log.verify", topic=topic)
        if own.faults:
            raise Broken(f"{origin}/{topic}: {own.faults}")
        above = [name for name in (COUNTY, ROOT) if origin.endswith(name) and name != origin]
        for holder in above:
            copy = await self.until(lambda holder=holder: self._agreed(holder, origin, topic, own), f"copy at {holder}")
            if copy.faults:
                raise Broken(f"{origin}/{topic} at {holder}: {copy.faults}")
            await self._check_no_forks(holder)
        if topic == "catalogue":
            await self._check_nothing_twice(origin, own.size)

    async def _agreed(self, holder: str, origin: str, topic: str, own):
        copy = await self.ask(holder, "log.verify", topic=topic, origin=origin)
        if copy.size > own.size or (copy.size == own.size and copy.recomputed_root != own.recomputed_root):
            raise Broken(f"{holder} has {copy.size} of {origin}/{topic} under another root than its {own.size}")
        return copy if copy.size == own.size else None

    async def _check_no_forks(self, name: str) -> None:
        state = await self.ask(name, "node.status")
        if any(one.step == "forks" for one in state.findings):
            raise Broken(f"{name} has found a fork: {state.findings}")

    async def _check_nothing_twice(self, origin: str, size: int) -> None:
        seen = self._published.setdefault(origin, set())
        while self._checked[origin] < size:
            start = self._checked[origin]
            shown = await self.ask(origin, "log.show", topic="catalogue", start=start, limit=500)
            for entry in shown.entries:
                said = msgspec.json.decode(bytes(entry.document))
                if said["entry"] != "resource_published":
                    continue
                version = (said["resource"]["id"], said["resource"].get("version", 1))
                if version in seen:
                    raise Broken(f"{version} was published twice")
                seen.add(version)
            self._checked[origin] = start + len(shown.entries)

    async def check_home(self, name: str) -> None:
        """`lln check` finds no fault that time would not mend."""
        found = {one.step: one async for one in check_home(self.home(name))}
        looked_at = [found[step] for step in ("config", "keys", "database") if step in found]
        faults = [one for one in looked_at if one.severity == "fault"]
        if faults:
            raise Broken(f"{name}: {faults}")


def _retry_fast(config: Path) -> None:
    text = config.read_text(encoding="utf-8")
    fast = text.replace("retry_first_s = 1.0", "retry_first_s = 0.1").replace(
        "retry_longest_s = 900.0", "retry_longest_s = 0.4"
    )
    if fast != text:
        config.write_text(fast, encoding="utf-8")
