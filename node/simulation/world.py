"""One simulation from its founding to its verdict: a tree of nodes, a day of their lives, what went wrong, what held.

What lives here: the order of things. What must not: the wall clock, printing (`node/cli/simulate.py`), or any one part.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Final

import msgspec

from config.settings import Sync
from federation.errors import LlnError
from federation.invites import read_invite
from federation.issuance import HOUR_MS
from federation.naming import NodeName
from node.parts import JOIN_TIMEOUT_S, SOFTWARE_VERSION
from node.simulation.chance import SeededRandomness, chance_of
from node.simulation.faults import QUIET, Faults
from node.simulation.healed import Settled
from node.simulation.invariants import Checker
from node.simulation.ledger import Broken
from node.simulation.lives import Life, OpenDoors, Surroundings
from node.simulation.loop import run
from node.simulation.malice import Malice
from node.simulation.mishaps import Mishaps
from node.simulation.network import Network
from node.simulation.signatures import verified_once
from node.simulation.trace import Counts, Trace
from node.simulation.trees import Tree
from node.simulation.workload import Workload
from node.usecases.founding import found_network, open_own_logs
from node.usecases.joining import join

CALM: Final = Sync(confirm_own_every_s=3_600.0, confirm_copies_every_s=14_400.0, directory_every_s=600.0)
"""How often a large federation confirms what has not changed; the settings' own values are for small ones."""
BRISK: Final = Sync()
STARTING_S: Final = 60.0
SETTLING_S: Final = 3 * 3_600.0
LOOK_EVERY_S: Final = 60.0
WATCH_S: Final = 5.0
NAMED_MAX: Final = 5
LIFE_LEAST_MS: Final = 2 * HOUR_MS
COLLECTED_EVERY: Final = (100_000, 50, 100)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is simulated. `meddle` is told of the world before anything runs: tests break something there."""

    tree: Tree
    hours: float
    seed: int
    faults: Faults = QUIET
    sync: Sync = CALM
    links: bool = False
    certificate_hours: float | None = None
    meddle: Callable[[Surroundings], None] | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`broken` is empty when everything held; `digest` is the same for the same plan, always."""

    seed: int
    nodes: int
    hours: float
    broken: str
    found: str
    at_s: float
    settled_after_s: float | None
    digest: str
    counts: Counts


def simulate(plan: Plan) -> Outcome:
    """Run a plan to its end, or to the first invariant that does not hold."""
    with verified_once(), _seldom_collected():
        return run(_World(plan).run())


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Thousands of objects for each node live to the end: looking through them again and again is a tenth of the time.

    Nothing that happens depends on when: no generator and no task is left to the collector.
    """
    before = gc.get_threshold()
    gc.set_threshold(*COLLECTED_EVERY)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _World:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._root = plan.tree[0].name
        self._settled_after_s: float | None = None

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        self._around = around = self._surroundings()
        loop.set_exception_handler(lambda _, context: around.checker.fail("nothing goes wrong unheard", str(context)))
        try:
            await self._found()
            await self._live()
            await self._settle()
        except Broken as broken:
            around.checker.broken = around.checker.broken or broken
        ended_s = loop.time()
        loop.set_exception_handler(lambda _, __: None)
        for life in around.lives.values():
            life.crash()
        for life in around.lives.values():
            life.disk.close()
        broken_first = around.checker.broken
        return Outcome(
            seed=self._plan.seed,
            nodes=len(around.lives),
            hours=self._plan.hours,
            broken=broken_first.invariant if broken_first else "",
            found=broken_first.found if broken_first else "",
            at_s=ended_s,
            settled_after_s=self._settled_after_s,
            digest=around.trace.digest,
            counts=around.counts,
        )

    def _surroundings(self) -> Surroundings:
        plan, counts, trace = self._plan, Counts(), Trace()
        checker = Checker(self._root, counts)
        network = Network(
            chance=chance_of(plan.seed, "network"), faults=QUIET, trace=trace, counts=counts, fail=checker.fail
        )
        life_hours = plan.certificate_hours or max(48.0, 4 * plan.hours)
        return Surroundings(
            seed=plan.seed,
            sync=plan.sync,
            certificate_life_ms=max(LIFE_LEAST_MS, int(life_hours * HOUR_MS)),
            links=plan.links,
            network=network,
            checker=checker,
            counts=counts,
            trace=trace,
        )

    # --- beginning ---------------------------------------------------------------------------------------------------

    async def _found(self) -> None:
        """Everybody joins by an invite, on a network where nothing goes wrong yet."""
        around = self._around
        for place in self._plan.tree:
            around.lives[place.name] = Life(around, place)
        if self._plan.meddle is not None:
            self._plan.meddle(around)
        for life in around.lives.values():
            if life.place.parent is None:
                self._found_root(life)
            else:
                await self._join(life, around.lives[life.place.parent])
            node = life.open()
            await open_own_logs(node.store, life.name)
            self._check()

    def _found_root(self, life: Life) -> None:
        randomness = SeededRandomness(self._plan.seed, "founding")
        found_network(life.name, home=life.home, clock=life.clock, randomness=randomness)

    async def _join(self, life: Life, parent: Life) -> None:
        assert parent.node is not None, parent.name  # noqa: S101  # it was opened a moment ago
        label = life.name.partition(".")[0]
        made = await parent.node.enrolling.invite(label, life.place.description(SOFTWARE_VERSION))
        await join(
            read_invite(made.code),
            home=life.home,
            doors=OpenDoors(self._around, life.name),
            clock=life.clock,
            timeout_s=JOIN_TIMEOUT_S,
        )

    async def _live(self) -> None:
        """Everybody starts within a minute; then the hours pass, with all that happens in them."""
        around, plan = self._around, self._plan
        starting = chance_of(plan.seed, "starting")
        for life in around.lives.values():
            life.crash()
            asyncio.get_running_loop().call_later(starting.uniform(0, STARTING_S), life.start)
        self._mishaps = mishaps = Mishaps(around, plan.faults, chance_of(plan.seed, "mishaps"))
        self._malice = malice = Malice(around, plan.faults.attacks_per_hour, chance_of(plan.seed, "malice"))
        around.network.faults = plan.faults
        mishaps.skew_all()
        self._workload = workload = Workload(around, chance_of(plan.seed, "workload"))
        async with asyncio.TaskGroup() as together:
            tasks = [together.create_task(part.run()) for part in (workload, mishaps, malice)]
            await self._pass(plan.hours * 3_600)
            for task in tasks:
                task.cancel()

    async def _pass(self, seconds: float) -> None:
        """Let time pass, and stop at once when an invariant has been broken."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + seconds
        while loop.time() < ends_s and self._around.checker.broken is None:  # noqa: ASYNC110  # told by no event
            await asyncio.sleep(min(WATCH_S, max(0.0, ends_s - loop.time())))

    # --- ending ------------------------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Everything is mended; within hours everybody must be complete and agree."""
        self._check()
        self._mishaps.mend()
        healed_s = asyncio.get_running_loop().time()
        settled = Settled(self._around.checker, {name: life.disk for name, life in self._around.lives.items()})
        missing: list[str] = []
        while asyncio.get_running_loop().time() < healed_s + SETTLING_S:
            await self._pass(LOOK_EVERY_S)
            self._check()
            await self._resume_all()
            missing = list(islice(settled.missing(self._positions()), NAMED_MAX))
            missing = missing or list(islice(settled.unreported_forks(self._malice.forked), NAMED_MAX))
            missing = missing or list(islice(settled.disagreements(), NAMED_MAX))
            if not missing:
                break
        if missing:
            raise Broken("once healed, everything arrives", "; ".join(missing))
        self._settled_after_s = asyncio.get_running_loop().time() - healed_s
        lacking = list(islice(settled.incomplete_documents(), NAMED_MAX))
        if lacking:
            raise Broken("live documents arrive where they may be seen", "; ".join(lacking))
        self._around.checker.check_all_acknowledged()
        async for found in self._workload.learning.broken(settled.is_in_good_standing):
            raise Broken("every ledger holds together, and goes with those of others", found)
        for life in self._around.lives.values():
            self._around.checker.reopened(life.disk)
        self._check()

    async def _resume_all(self) -> None:
        """Authorities let everybody back in whom they suspended."""
        for life in self._around.lives.values():
            if life.node is None or not life.place.is_authority:
                continue
            for standing in life.disk.read(lambda tx, name=life.name: tuple(tx.standings.of(name))):  # type: ignore[misc]
                if standing.status == "suspended":
                    try:
                        await life.node.admitting.resume(standing.name, "the simulation ends")
                    except LlnError:
                        continue

    def _positions(self) -> Mapping[NodeName, Mapping[NodeName, int]]:
        return {name: life.node.index.positions() for name, life in self._around.lives.items() if life.node}

    def _check(self) -> None:
        if self._around.checker.broken is not None:
            raise self._around.checker.broken
