"""Whole nodes in this process: real homes, certificates, stores and sockets, with every loop that a node runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from config.settings import NO_PORTAL, Listen, Portal
from federation.catalogue import CRITERIA, BilingualLine, Resource, ShareScope
from federation.directory import NodeDescription
from federation.errors import LlnError
from federation.naming import NodeName, parent_of
from federation.search import SearchAnswer
from federation.timestamps import to_ms
from node.assembly import Node
from node.beginnings import found_home, join_home
from node.desk import OPERATIONS
from node.host.clock import SystemClock
from node.opening import open_node
from node.runtime import _Running

ROOT = NodeName("lln.internal")
WAIT_S = 45.0


class Live:
    """A running node: `node` is its inside, `ask` what its people can do, `told` what it said when it had started."""

    def __init__(self, node: Node, running: _Running, task: "asyncio.Task[None]") -> None:
        self.node = node
        self._running = running
        self._task = task
        self.told = None

    async def ask(self, operation, **asked):
        known = OPERATIONS[operation]
        reply = await self.node.desk.ask(operation, msgspec.json.encode(asked))
        return msgspec.json.decode(reply, type=known.answered)

    async def publish(self, resource_id, title, reach="network", ancestor=None):
        resource = Resource(
            id=resource_id,
            title=BilingualLine(zh=title),
            type="online_course",
            section="hobbies_interests",
            audience=("elder",),
            share_scope=ShareScope(reach=reach, ancestor=ancestor),
        )
        rows = [{"row": 1, "resource": msgspec.to_builtins(resource)}]
        await self.ask("resource.import", rows=rows, author="a", apply=True)
        await self.ask("resource.review", ids=[resource_id], reviewer="b", approve=True, criteria=list(CRITERIA))
        done = await self.ask("resource.publish", ids=[resource_id])
        assert [one.state for one in done.outcomes] == ["published"]

    async def preview(self, **asked):
        """Of a conversion, as soon as the hub has heard where the receiver is dialled: a consent is for one try."""

        async def way():
            try:
                return await self.node.peers.hello(NodeName(asked["to"]), timeout_s=5)
            except LlnError:
                return None

        if asked["to"] != self.node.identity.name:
            await until(way, "a way to the receiver")
        return await self.ask("convert.preview", **asked)

    async def search(self, text, **asked) -> SearchAnswer:
        return await self.ask("search", text=text, **asked)

    async def log(self, origin, topic="catalogue"):
        told = await self.ask("log.list")
        return next((one for one in told.logs if (one.origin, one.topic) == (origin, topic)), None)

    async def stop(self):
        self._running._stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


class MovedClock(SystemClock):
    """The machine's clock, so many milliseconds off; the credit banks of a network go by it, and nothing else does."""

    off_ms = 0

    def now_ms(self):
        return super().now_ms() + self.off_ms

    def set(self, day: str) -> None:
        """To nine in the morning of a day in China."""
        self.off_ms = to_ms(f"{day}T01:00:00Z") - super().now_ms()


class Network:
    """Nodes by label path; `add` invites, joins and starts one below its parent."""

    def __init__(self, folder: Path, portal: Portal = NO_PORTAL) -> None:
        self.folder = folder
        self.portal = portal
        self.live: dict[str, Live] = {}
        self.bank_clock = MovedClock()

    def __getitem__(self, label: str) -> Live:
        return self.live[label]

    async def found(self) -> None:
        described = NodeDescription(title=BilingualLine(zh="国家"), level="national", kind="authority")
        found_home(self.folder / ROOT, ROOT, described, _listen(), self.portal)
        await self.start(ROOT)

    async def add(self, name, kind="authority", level="county", *, dialable=True, title=""):
        name = NodeName(name)
        parent = self.live[parent_of(name, ROOT)]
        made = await parent.ask(
            "invite.make",
            label=name.split(".", 1)[0],
            description={"title": {"zh": title or name}, "level": level, "kind": kind},
        )
        await join_home(self.folder / name, made.code, _listen(), lambda told: told, self.portal)
        return await self.start(name, dialable=dialable)

    async def start(self, name, *, dialable=True):
        """Start, or start again, the node of an existing home; its port is a new one."""
        home = self.folder / name
        parent = parent_of(NodeName(name), ROOT)
        if parent is not None and parent in self.live:
            _say_where(home, self.live[parent].node.addresses.endpoint)
        ready: asyncio.Future[Live] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(_run(home, ready, self.bank_clock, dialable=dialable))
        await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        live = ready.result()
        live._task = task
        self.live[name] = live
        return live

    async def stop(self, name):
        await self.live.pop(name).stop()

    async def stop_all(self):
        for name in sorted(self.live, key=len, reverse=True):
            await self.live[name].stop()


@asynccontextmanager
async def network(folder: Path, *names: str) -> AsyncIterator[Network]:
    """A hub and the named nodes below it, parents first; schools are those whose label begins with "school"."""
    nodes = Network(folder)
    try:
        await nodes.found()
        for name in names:
            kind, level = ("school", "school") if name.startswith("school") else ("authority", "county")
            await nodes.add(f"{name}.{ROOT}", kind, level)
        yield nodes
    finally:
        await nodes.stop_all()


async def until(condition, what="it"):
    """Wait until an async condition holds; what is awaited here takes a fraction of the limit."""
    async with asyncio.timeout(WAIT_S):
        while not (found := await condition()):  # noqa: ASYNC110  # what is waited for happens in another node
            await asyncio.sleep(0.03)
    assert found, what
    return found


async def _run(home, ready, bank_clock, *, dialable):
    async with open_node(home) as node:
        node.bank._clock = bank_clock
        node.forwarding._pace = msgspec.structs.replace(node.forwarding._pace, retry_first_s=0.1, retry_longest_s=0.3)
        running = _Running(node)
        running._follow_signals = lambda: None

        def told(serving):
            node.addresses.endpoint = serving.endpoint
            if dialable:
                node.meeting._description = msgspec.structs.replace(node.settings.node, endpoint=serving.endpoint)
            node.addresses.enrolment_endpoint = f"127.0.0.1:{running._door.port}"
            live = Live(node, running, None)
            live.told = serving
            ready.set_result(live)

        door = running._door.follow

        async def follow(*, need):  # never shut: with port 0 it would open elsewhere than an invite just said
            await door(need=True)
            node.addresses.enrolment_endpoint = f"127.0.0.1:{running._door.port}"

        running._door.follow = follow
        running._door.close = lambda: door(need=False)
        await running._door.follow(need=True)
        await running.until_stopped(told)


def _listen():
    return Listen(grpc="127.0.0.1:0", enrolment="127.0.0.1:0")


def _say_where(home, endpoint):
    config = home / "config.toml"
    lines = config.read_text(encoding="utf-8").splitlines()
    at = lines.index("[parent]")
    for index in range(at, len(lines)):
        if lines[index].startswith("endpoint = "):
            lines[index] = f'endpoint = "{endpoint}"'
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
