"""The running node: one TaskGroup with the server, the loops that keep logs moving, and a graceful stop.

What lives here: what runs, and in which order it starts and stops. What must not: wiring (`assembly.py`) or decisions.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Collection, Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from federation.budgets import per_minute
from federation.catalogue import TOPIC as CATALOGUE
from federation.credit_log import TOPIC as CREDITS
from federation.directory import TOPIC as DIRECTORY
from federation.errors import LlnError
from federation.logs import LogId
from federation.naming import NodeName
from node.assembly import Node
from node.host.homes import SHOWN_FILE, write_whole
from node.opening import open_node
from node.rpc.enrolment_server import EnrolmentServer
from node.rpc.hosting import Connecting, NodeServer
from node.rpc.server import Allowances
from node.rpc.turns import Busyness

if TYPE_CHECKING:
    from node.portal.serving import PortalServer

DOOR_EVERY_S: Final = 2.0
TLS_EVERY_S: Final = 3_600.0
STOP_GRACE_S: Final = 2.0
STOP_AGAIN_S: Final = 0.5
Loop = Callable[[], Coroutine[Any, Any, None]]


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What `run/serving.json` says while a node runs, so that the command line finds it."""

    pid: int
    name: str
    endpoint: str
    enrolment_endpoint: str
    portal: str = ""


class Told(Serving, frozen=True, kw_only=True):
    """What is said to whoever started the node, besides: a one-time link for its first operator, or why there are no
    pages. It is written nowhere.
    """

    first_link: str = ""
    portal_trouble: LlnError | None = None


async def serve(home_path: Path, told: Callable[[Told], None] | None = None) -> None:
    """Run the node in `home_path` until SIGINT or SIGTERM; `told` is called once it serves."""
    try:
        async with open_node(home_path) as node:
            await _Running(node).until_stopped(told)
    except BaseExceptionGroup as group:
        fault = _one_of_ours(group)
        if fault is None:
            raise
        raise fault from group


def server_of(node: Node) -> NodeServer:
    """The server that answers for `node`, over its own port and over the link to its parent."""

    def heard_from(name: NodeName) -> None:
        node.peers.heard_from(name)
        node.posting.heard_from(name)
        node.telling.is_back(name)

    limits = node.settings.limits
    server = NodeServer(
        identity=node.identity,
        material=node.identity,
        chains=node.chains,
        judge=node.acquainting.judge,
        store=node.store,
        clock=node.clock,
        randomness=node.randomness,
        limit=limits.calls,
        busyness=Busyness(
            calls=limits.calls_at_once,
            calls_per_peer=limits.calls_at_once_per_peer,
            share_per_peer=limits.share_per_peer,
        ),
        allowances=Allowances(
            failures=per_minute(limits.failures_per_minute), changes=per_minute(limits.changes_per_minute)
        ),
        connecting=Connecting(
            connections=limits.connections, idle_s=limits.connection_idle_s, handshake_s=limits.handshake_s
        ),
        node=node.meeting,
        directory=node.inbound_directory,
        logs=node.inbound_logs,
        catalogue=node.inbound_catalogue,
        desk=node.desk,
        post=node.inbound_post,
        credits=node.inbound_credits,
        heard_from=heard_from,
        links=node.links,
        relays=node.relays,
    )
    node.peers.serve_with(server.answer)
    node.refusals = server.refusals
    return server


def loops_of(node: Node) -> dict[str, Loop]:
    """What runs for as long as the node does, by name; from now on it is told of every commit."""
    news = _News()
    node.store.on_commit(news.heard)
    node.store.on_post(node.posting.wake)
    node.dealings.on_recovery(node.posting.is_back)
    return {
        "news": lambda: _spread_news(node, news),
        "indexing": node.indexing.run,
        "forwarding": node.forwarding.run,
        "following": node.following.run,
        "meeting": node.meeting.run,
        "tls": lambda: _keep_tls(node),
        "attaching": node.attaching.run,
        "posting": node.posting.run,
        "telling": node.telling.run,
        **node.bank.loops(),
    }


class _News:
    """The logs that commits have touched since they were last asked for: never more than there are."""

    def __init__(self) -> None:
        self._logs: dict[LogId, None] = {}
        self._came = asyncio.Event()

    def heard(self, logs: frozenset[LogId]) -> None:
        self._logs.update(dict.fromkeys(sorted(logs)))
        self._came.set()

    async def next(self) -> Collection[LogId]:
        await self._came.wait()
        self._came.clear()
        logs, self._logs = self._logs, {}
        return logs


async def _spread_news(node: Node, news: _News) -> None:
    """After each commit: standings first, since calls are judged by them, then whoever waits for entries."""
    while True:
        logs = await news.next()
        directories = sorted(NodeName(log.origin) for log in logs if log.topic == DIRECTORY)
        moves = False
        if directories:
            moves = await node.vouching.refresh(directories)
            node.meeting.know_siblings()
            node.posting.look_again()
            node.resolving.news()
        catalogues = [NodeName(log.origin) for log in logs if log.topic == CATALOGUE]
        if moves or catalogues:
            node.indexing.wake(None if moves else catalogues)
        if any(log.topic == CREDITS and log.origin != node.name for log in logs):
            await node.bank.ruling.catch_up()
        if any(log.origin == node.name for log in logs):  # nobody watches anything else
            await node.answering.news()
        node.forwarding.wake(logs)


async def _keep_tls(node: Node) -> None:
    while True:
        node.identity.refresh_tls()
        await node.peers.hang_up_retired()
        await node.clock.sleep(TLS_EVERY_S)


class _Running:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._stop = asyncio.Event()
        self._server = server_of(node)
        node.open_door = self._follow_need
        self._door = EnrolmentServer(
            listen=node.settings.listen.enrolment,
            material=node.identity,
            join=node.enrolling.accept_join,
            renew_expired=node.enrolling.renew_expired,
            clock=node.clock,
        )

    async def until_stopped(self, told: Callable[[Told], None] | None) -> None:
        node = self._node
        loops = loops_of(node) | {
            "enrolment door": self._keep_door,
            "tallying": node.tallying.run,
            "filing": node.filing.run,
            "handing over": node.handing_over.run,
        }
        self._follow_signals()
        port = await self._server.start(node.settings.listen.grpc)
        portal, trouble = self._open_portal()
        if portal is not None:
            loops["portal"] = portal.run
        try:
            serving = await self._tell(self._write_serving(port, portal), trouble)
            async with asyncio.TaskGroup() as running:
                tasks = [running.create_task(run(), name=name) for name, run in loops.items()]
                if told is not None:
                    told(serving)
                await self._stop.wait()
                await _end(tasks)
        finally:
            self._serving_file().unlink(missing_ok=True)
            await self._door.close()
            await self._server.stop(STOP_GRACE_S)

    async def _keep_door(self) -> None:
        """The enrolment port is open exactly while somebody may use it."""
        node = self._node
        while True:
            await self._follow_need()
            await node.clock.sleep(DOOR_EVERY_S)

    async def _follow_need(self) -> None:
        needed = await self._node.enrolling.is_enrolment_port_needed(self._node.clock.now_ms())
        await self._door.follow(need=needed)

    def _follow_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for one in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(one, self._stop.set)
            except NotImplementedError:
                signal.signal(one, lambda *_: loop.call_soon_threadsafe(self._stop.set))

    def _open_portal(self) -> tuple["PortalServer | None", LlnError | None]:
        """The pages, and, where their address cannot be used, why: the node does without them."""
        node = self._node
        if not node.settings.portal.listen:
            return None, None
        from node.portal.serving import PortalPortTaken, PortalServer  # noqa: PLC0415  # a node without pages needs none

        try:
            portal = PortalServer(
                desk=node.desk,
                people=node,
                settings=node.settings.portal,
                description=node.settings.node,
                name=node.name,
            )
        except PortalPortTaken as taken:
            return None, taken
        return portal, None

    async def _tell(self, serving: Serving, trouble: LlnError | None) -> Told:
        token = await self._node.staffing.first_link() if serving.portal else ""
        link = f"{serving.portal}/setup/{token}" if token else ""
        return Told(**msgspec.structs.asdict(serving), first_link=link, portal_trouble=trouble)

    def _write_serving(self, port: int, portal: "PortalServer | None") -> Serving:
        node = self._node
        host = node.settings.listen.grpc.rpartition(":")[0]
        near = "127.0.0.1" if host in ("0.0.0.0", "[::]", "*") else host  # noqa: S104  # read, not bound
        serving = Serving(
            pid=os.getpid(),
            name=node.identity.name,
            endpoint=f"{near}:{port}",
            enrolment_endpoint=node.addresses.enrolment_endpoint,
            portal=portal.address if portal else "",
        )
        if node.addresses.endpoint.endswith(":0"):
            node.addresses.endpoint = serving.endpoint
        write_whole(self._serving_file(), msgspec.json.encode(serving), mode=SHOWN_FILE)
        return serving

    def _serving_file(self) -> Path:
        return self._node.home.run / "serving.json"


async def _end(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel until all have ended: one that is just failing for a reason of its own may miss the first word."""
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=STOP_AGAIN_S)


def _one_of_ours(group: BaseExceptionGroup[BaseException]) -> LlnError | None:
    """The first error of ours among those that ended the loops, for a person to read."""
    for error in group.exceptions:
        found = _one_of_ours(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, LlnError):
            return found
    return None


def read_serving(home_path: Path) -> Serving | None:
    """What the running node of this home says of itself, or None where none is running."""
    try:
        return msgspec.json.decode((home_path / "run" / "serving.json").read_bytes(), type=Serving)
    except (OSError, msgspec.MsgspecError):
        return None


def run(home_path: Path, told: Callable[[Told], None] | None = None) -> None:
    """Run the node to its end, on uvloop where there is one."""
    if sys.platform == "win32":
        asyncio.run(serve(home_path, told))
        return
    import uvloop  # noqa: PLC0415  # absent on Windows

    uvloop.run(serve(home_path, told))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
