"""A federation on one machine: every node its own process, enrolled by a real invite over loopback.

What lives here: starting, enrolling, asking and stopping nodes. What must not: what is shown of it (`tour.py`).
"""

import asyncio
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from config.settings import NO_PORTAL, Listen, Portal
from federation.directory import NodeDescription
from federation.errors import Unavailable
from federation.naming import NodeName
from node import desk
from node.beginnings import found_home, join_home
from node.demo.plan import ROOT, PlannedNode
from node.desk import OPERATIONS
from node.host.clock import SystemClock, SystemRandomness
from node.host.homes import Home
from node.host.key_files import open_identity
from node.rpc.desk_client import DeskClient
from node.runtime import Serving, read_serving

T = TypeVar("T")
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 15.0
AT_ONCE: Final = 6
PORTS: Final = range(20_000, 32_000)
"""Below those that systems hand out by themselves: nobody is given one between a look at it and the node's start."""


class NodeDidNotStart(Unavailable):
    code = "LLN-1680"
    zh = "演示中的一个节点没有启动。请看它目录里的 node.log。"
    en = "A node of the demonstration did not start. See node.log in its directory."


class Federation:
    """All nodes of a demonstration under one folder; `stop` ends every process that `start` began."""

    def __init__(
        self, folder: Path, nodes: Sequence[PlannedNode], told: Callable[[str], None], portal: Portal = NO_PORTAL
    ) -> None:
        """`portal`: where each node's pages are listened for."""
        self._folder = folder
        self.nodes = nodes
        self._portal = portal
        self._told = told
        self._processes: dict[NodeName, asyncio.subprocess.Process] = {}
        self._desks: dict[NodeName, DeskClient] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._free_ports = free_ports()

    def home(self, name: NodeName) -> Path:
        return self._folder / name

    def serving(self, name: NodeName) -> Serving | None:
        return read_serving(self.home(name))

    async def start(self) -> None:
        """Level by level: a node is invited by its running parent, joins, and starts."""
        for level in sorted({node.level for node in self.nodes}):
            async with asyncio.TaskGroup() as together:
                for node in self.nodes:
                    if node.level == level:
                        together.create_task(self._bring_up(node), name=f"start {node.name}")

    async def stop(self) -> None:
        for client in self._desks.values():
            await client.close()
        for process in self._processes.values():
            if process.returncode is None:
                process.terminate()
        for process in self._processes.values():
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def ask(self, name: NodeName, operation: str, asked: msgspec.Struct, answered: type[T]) -> T:
        """One operation of a node's desk, over a signed call."""
        known = OPERATIONS[operation]
        assert isinstance(asked, known.asked), operation  # noqa: S101  # our own table
        reply = await self._desks[name].ask(operation, msgspec.json.encode(asked))
        return msgspec.json.decode(reply, type=answered)

    async def each(self, names: Sequence[NodeName], work: Callable[[NodeName], Awaitable[T]]) -> list[T]:
        async def one(name: NodeName) -> T:
            async with self._slots:
                return await work(name)

        async with asyncio.TaskGroup() as together:
            tasks = [together.create_task(one(name)) for name in names]
        return [task.result() for task in tasks]

    async def _bring_up(self, node: PlannedNode) -> None:
        async with self._slots:
            port, enrolment_port = next(self._free_ports), next(self._free_ports)
            endpoint = f"127.0.0.1:{port}" if node.is_dialable else None
            listen = Listen(grpc=f"127.0.0.1:{port}", enrolment=f"127.0.0.1:{enrolment_port}")
            description = msgspec.structs.replace(node.description, endpoint=endpoint)
            home = self.home(node.name)
            if node.parent is None:
                found_home(home, ROOT, description, listen, self._portal)
            else:
                await self._join(node, home, listen, endpoint)
            await self._serve(node.name, home)
            self._told(f"{'  ' * (node.level - 1)}{node.description.title}  {node.name}  {endpoint or '—'}")

    async def _join(self, node: PlannedNode, home: Path, listen: Listen, endpoint: str | None) -> None:
        assert node.parent is not None, node.name  # noqa: S101  # the root is founded, not joined
        invited = desk.InviteAsked(label=node.name.split(".", 1)[0], description=node.description)
        made = await self.ask(node.parent, "invite.make", invited, desk.InviteMade)
        refined: Callable[[NodeDescription], NodeDescription] = partial(msgspec.structs.replace, endpoint=endpoint)
        await join_home(home, made.code, listen, refined, self._portal)

    async def _serve(self, name: NodeName, home: Path) -> None:
        log = (home / "node.log").open("wb")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "node.cli.main", "--home", str(home), "serve", stdout=log, stderr=log
        )
        log.close()
        self._processes[name] = process
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while self.serving(name) is None:
                    if process.returncode is not None:
                        raise NodeDidNotStart(name, f"it ended with {process.returncode}; {home / 'node.log'}")
                    await asyncio.sleep(0.05)
        except TimeoutError as late:
            raise NodeDidNotStart(name, f"not serving after {START_TIMEOUT_S:.0f} s; {home / 'node.log'}") from late
        self._desks[name] = self._client(home, name)

    def _client(self, home: Path, name: NodeName) -> DeskClient:
        clock, randomness = SystemClock(), SystemRandomness()
        identity = open_identity(Home(home), clock=clock, randomness=randomness)
        serving = self.serving(name)
        assert serving is not None, name  # noqa: S101  # it has just been seen
        return DeskClient(
            endpoint=serving.endpoint, identity=identity, material=identity, clock=clock, randomness=randomness
        )


def free_ports() -> Iterator[int]:
    """Each once, from a place of its own, so that two demonstrations do not ask for the same."""
    first = secrets.randbelow(len(PORTS))
    for step in range(len(PORTS)):
        port = PORTS[(first + step) % len(PORTS)]
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port
    raise NodeDidNotStart("the demonstration", f"every port from {PORTS.start} to {PORTS.stop} is taken")
