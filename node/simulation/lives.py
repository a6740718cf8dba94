"""One simulated machine: keys and a disk that stay, and a process that starts, crashes and starts again.

What lives here: the real node, wired over this room's clock, disk, index and network, and its loops. What must not:
when anything crashes (`mishaps.py`), or a use case.
"""

import asyncio
import traceback
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from config.settings import Listen, Parent, Settings, Sync
from federation.checkpoints import sign_checkpoint
from federation.enrolment import JoinAnswer, JoinRequest, LateRenewal
from federation.errors import LlnError, PeerRefused, PeerUnreachable
from federation.logs import LogId
from federation.naming import NodeName, parent_of
from node.assembly import Node
from node.desk import OPERATIONS
from node.host.homes import Home
from node.parts import JOIN_TIMEOUT_S, SOFTWARE_VERSION
from node.ports import Receives, Settles, Store
from node.rpc.carriage import Handlers
from node.runtime import loops_of, server_of
from node.simulation.chance import SeededRandomness, chance_of
from node.simulation.clocks import SkewedClock
from node.simulation.disk import Disk, DiskStore
from node.simulation.invariants import Checker
from node.simulation.keys import DerivedIdentity, HomeWithoutDisk
from node.simulation.letters import KIND as LETTER
from node.simulation.network import Host, Network
from node.simulation.plain_index import PlainIndex
from node.simulation.trace import Counts, Trace
from node.simulation.trees import Place
from node.usecases.joining import EnrolmentDoor, renew_expired

T = TypeVar("T")
RESTART_S: Final = 30.0


@dataclass(kw_only=True)
class Surroundings:
    """What all machines of one simulation share."""

    seed: int
    sync: Sync
    certificate_life_ms: int
    links: bool
    network: Network
    checker: Checker
    counts: Counts
    trace: Trace
    lives: "dict[NodeName, Life]" = field(default_factory=dict)


class SimulatedNode(Node):
    """The node as `node/assembly.py` puts it together, but for what would leave this process."""

    def __init__(
        self,
        *,
        around: Surroundings,
        settings: Settings,
        identity: DerivedIdentity,
        store: Store,
        clock: SkewedClock,
        randomness: SeededRandomness,
    ) -> None:
        super().__init__(home=Home(Path(identity.name)), settings=settings, identity=identity, store=store, clock=clock)
        self.randomness = randomness
        self.dial = lambda endpoint, tls: around.network.dial(self.name, endpoint, tls[1])
        self._around = around

    @cached_property
    def index(self) -> PlainIndex:  # type: ignore[override]  # all that is asked of the real one
        return PlainIndex(own_name=self.name, root=self.root)

    @cached_property
    def receives(self) -> dict[str, Receives]:
        return super().receives | {LETTER: self._around.checker.letters.receives(self.name)}

    @cached_property
    def settles(self) -> dict[str, Settles]:
        settle: Settles = self._around.checker.letters.settle
        return super().settles | {LETTER: settle}

    async def _renew_expired(self) -> None:
        authority = parent_of(self.name, self.root)
        assert authority is not None, self.name  # noqa: S101  # the root's certificate outlives every simulation
        await renew_expired(
            self.identity,
            authority=authority,
            enrolment_endpoint="",
            doors=OpenDoors(self._around, self.name),
            clock=self.clock,
            timeout_s=JOIN_TIMEOUT_S,
        )


class OpenDoors:
    """`node.usecases.joining.Doors` of the authorities that are running and can be reached."""

    def __init__(self, around: Surroundings, newcomer: NodeName) -> None:
        self._around = around
        self._newcomer = newcomer

    async def join(self, door: EnrolmentDoor, request: JoinRequest, *, timeout_s: float) -> JoinAnswer:
        async with asyncio.timeout(timeout_s):
            return await self._authority(door).enrolling.accept_join(request)

    async def renew_expired(self, door: EnrolmentDoor, request: LateRenewal, *, timeout_s: float) -> JoinAnswer:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._authority(door).enrolling.renew_expired(request)
        except TimeoutError as late:
            raise PeerUnreachable(door.authority, "deadline") from late
        except LlnError as refused:
            raise PeerRefused(door.authority, str(refused)) from refused

    def _authority(self, door: EnrolmentDoor) -> Node:
        authority = self._around.lives[door.authority].node
        if authority is None or self._around.network.is_parted(self._newcomer, door.authority):
            raise PeerUnreachable(door.authority, "its door is shut")
        return authority


class Life:
    """One machine, from when it is bought to the end of the simulation."""

    def __init__(self, around: Surroundings, place: Place) -> None:
        self._around = around
        self.place = place
        self.name = place.name
        self.home = HomeWithoutDisk(around.seed, place.name)
        self.disk = Disk(place.name, durable=self._committed)
        self.clock = SkewedClock(asyncio.get_running_loop())
        self.title = ""
        self.starts = 0
        self.node: SimulatedNode | None = None
        self._store: DiskStore | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._wanted = False

    # --- its process -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process, unless it runs; one that ends by itself is started again, as a service would be."""
        self._wanted = True
        if self._task is None:
            self._task = self._loop.create_task(self._run(), name=self.name)  # ended by crash()

    def crash(self) -> None:
        """The process is gone at once: nothing it waited for will ever be, nothing it says is heard."""
        self._wanted = False
        self._end()

    async def ask(self, operation: str, kind: type[T], /, **asked: object) -> T:
        """One operation of this node's own people; raises what the node says, or PeerUnreachable when it is down."""
        if self.node is None:
            raise PeerUnreachable(self.name, "its process is down")
        reply = await self.node.desk.ask(operation, msgspec.json.encode(asked))
        assert OPERATIONS[operation].answered is kind  # noqa: S101  # our own table
        return msgspec.json.decode(reply, type=kind)

    def open(self) -> SimulatedNode:
        """Put the node together; nothing of it runs."""
        self.starts += 1
        randomness = SeededRandomness(self._around.seed, self.name, str(self.starts))
        identity = self.home.identity(self.clock, randomness, self._around.certificate_life_ms)
        self._store = store = DiskStore(
            self.disk,
            seal=lambda head: sign_checkpoint(head.checkpoint(), identity),
            now_ms=self.clock.now_ms,
            chance=chance_of(self._around.seed, "disk", self.name, str(self.starts)),
        )
        self.node = SimulatedNode(
            around=self._around,
            settings=self._settings(),
            identity=identity,
            store=store,
            clock=self.clock,
            randomness=randomness,
        )
        return self.node

    def _settings(self) -> Settings:
        parent = self._around.lives.get(self.place.parent) if self.place.parent else None
        return Settings(
            node=self.place.description(SOFTWARE_VERSION, self.title),
            listen=Listen(grpc=self.place.endpoint),
            parent=Parent(endpoint=parent.place.endpoint if parent else None),
            sync=self._around.sync,
        )

    async def _run(self) -> None:
        try:
            await self._live(self.open())
        except LlnError as told:
            self._stopped(told)
        except BaseExceptionGroup as group:
            foreign = group.split(LlnError)[1]
            if foreign is None:
                self._stopped(_first(group))
            elif foreign.split(asyncio.CancelledError)[1] is not None:
                self._failed(foreign)
        except Exception as foreign:  # noqa: BLE001  # this is what is looked for
            self._failed(foreign)

    async def _live(self, node: SimulatedNode) -> None:
        await node.recall(self.home)
        server = server_of(node)
        async with server.without_port() as by_path:
            if self.place.is_dialable:
                self._around.network.listen(self.place.endpoint, Host(self.name, Handlers(by_path)))
            await _run_loops(node, links=self._around.links)

    def _committed(self, touched: frozenset[LogId]) -> None:
        self._around.checker.committed(self.disk, touched)
        for log in sorted(touched):
            self._around.trace.note(self._loop.time(), "commit", self.name, log.origin_line)

    def _stopped(self, told: BaseException) -> None:
        """It ended with a sentence of ours: somebody, or something, starts it again."""
        counts, code = self._around.counts, getattr(told, "code", type(told).__name__)
        counts.stops += 1
        counts.stopped[code] = counts.stopped.get(code, 0) + 1
        self._around.trace.note(self._loop.time(), "stop", self.name, str(told))
        self._end()
        self._loop.call_later(RESTART_S, self._restart)

    def _restart(self) -> None:
        if self._wanted:
            self.start()

    def _failed(self, error: BaseException) -> None:
        told = "".join(traceback.format_exception(error))
        self._around.checker.fail("nothing fails in a way nobody foresaw", f"{self.name}: {told}")
        self._end()

    def _end(self) -> None:
        if self._store is not None:
            self._store.die()
        self._around.network.leave(self.place.endpoint)
        if self._task is not None and not self._task.done():
            self._task.cancel()
        self._task = self.node = self._store = None


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _run_loops(node: SimulatedNode, *, links: bool) -> None:
    """What `node/runtime.py` runs, but for doors and signals."""
    async with asyncio.TaskGroup() as running:
        for name, run in loops_of(node).items():
            if links or name != "attaching":
                running.create_task(run())
