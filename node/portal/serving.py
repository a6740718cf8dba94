"""The pages, served: one HTTP server in the node's own event loop.

What lives here: the socket, and starting and stopping. What must not: any page, or TLS, which a proxy in front ends.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol
from urllib.parse import urlsplit

import uvicorn

from config.settings import Portal, public_address
from federation.budgets import Budgets, per_minute
from federation.directory import NodeDescription
from federation.errors import Unavailable
from federation.short_ids import encode
from node.desk import CreditSheet
from node.portal.border import BODY_BYTES_MAX, App, Border
from node.portal.holding import Holding
from node.portal.site import build_site, file_paths
from node.portal.visits import TOKEN_BYTES, Behind, CodesIn
from node.portal.window import Desk, Window
from node.ports import Clock, Randomness
from node.ports.people import Provider
from node.usecases.filing import Filing
from node.usecases.handing_over import HandingOver
from node.usecases.linking import Linking
from node.usecases.noting import Noting
from node.usecases.second_factor import SecondFactor
from node.usecases.signing_in import SigningIn
from node.usecases.staffing import Staffing
from node.usecases.titling import Titling
from node.usecases.uploading import Uploading

CONNECTIONS_MAX: Final = 256
KEEP_ALIVE_S: Final = 15
STOP_GRACE_S: Final = 2
HEAD_BYTES_MAX: Final = 32_768
BACKLOG: Final = 128
LOOKS_PER_MINUTE: Final = 20
SHEETS_EACH_MAX: Final = 6
SHEETS_MAX: Final = 24
OFFERS_MAX: Final = 32
READ_TO_THE_END: Final = 4
"""A file up to so many times too large is read and refused in words; of a larger one the connection ends."""
BEGUN_EACH_MAX: Final = 4
BEGUN_MAX: Final = 2_000
EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104  # compared, and bound only where the operator says so


class PortalPortTaken(Unavailable):
    code = "LLN-1666"
    zh = "网页的地址不能用，可能已被占用。节点照常运行；请在 config.toml 的 portal.listen 换一个，再重新启动。"
    en = "The pages' address cannot be used; another program may have it. The node runs on; set portal.listen, restart."


class People(Protocol):
    """The parts of a node that know its people."""

    @property
    def signing_in(self) -> SigningIn: ...
    @property
    def staffing(self) -> Staffing: ...
    @property
    def noting(self) -> Noting: ...
    @property
    def second(self) -> SecondFactor: ...
    @property
    def linking(self) -> Linking: ...
    @property
    def provider(self) -> Provider | None: ...
    @property
    def draw_qr(self) -> Callable[[str], str]: ...
    @property
    def codes_in(self) -> CodesIn: ...
    @property
    def uploading(self) -> Uploading: ...
    @property
    def handing_over(self) -> HandingOver: ...
    @property
    def filing(self) -> Filing: ...
    @property
    def titling(self) -> Titling: ...
    @property
    def read_sheet(self) -> Callable[[bytes, str], Awaitable[CreditSheet]]: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def randomness(self) -> Randomness: ...


class PortalServer:
    """Takes its port when it is made, raising PortalPortTaken, and serves while it runs."""

    def __init__(
        self, *, desk: Desk, people: People, settings: Portal, description: NodeDescription, name: str
    ) -> None:
        self._socket = _take(settings.listen)
        self.port: int = self._socket.getsockname()[1]
        address = settings.address or f"http://{_near(settings.listen)}:{self.port}"
        is_secure = address.startswith("https://")
        self.address = address
        behind = Behind(
            window=Window(desk),
            signing_in=people.signing_in,
            staffing=people.staffing,
            noting=people.noting,
            clock=people.clock,
            randomness=people.randomness,
            node=description,
            name=name,
            address=address,
            is_secure=is_secure,
            shows_metrics=settings.metrics == "everybody",
            counts=lambda: border,
            looks=Budgets(per_minute(LOOKS_PER_MINUTE)),
            uploading=people.uploading,
            handing_over=people.handing_over,
            titling=people.titling,
            read_sheet=people.read_sheet,
            sheets=Holding(_draw_by(people.randomness), each_max=SHEETS_EACH_MAX, all_max=SHEETS_MAX),
            forms=Holding(_draw_by(people.randomness)),
            second=people.second,
            linking=people.linking,
            institution=lambda: people.provider,
            begun=Holding(_draw_by(people.randomness), each_max=BEGUN_EACH_MAX, all_max=BEGUN_MAX),
            draw_qr=people.draw_qr,
            codes_in=people.codes_in,
            offers=Holding(_draw_by(people.randomness), each_max=1, all_max=OFFERS_MAX),
            filing=people.filing,
            files_in_hand=Holding(_draw_by(people.randomness)),
            public_address=public_address(settings),
        )
        hosts = frozenset(host for host in (urlsplit(address).hostname,) if host)
        border = Border(
            build_site(behind),
            hosts=hosts,
            clock=people.clock,
            is_secure=is_secure,
            large=file_paths(),
            large_bytes_max=READ_TO_THE_END * people.filing.limits.file_bytes + BODY_BYTES_MAX,
        )
        self._server = _Quiet(_configured(border))

    async def run(self) -> None:
        """Serve until cancelled; pages under way are ended within STOP_GRACE_S."""
        try:
            await self._server.serve([self._socket])
        except asyncio.CancelledError:
            await self._server.shutdown([self._socket])
            raise
        finally:
            self.close()

    def close(self) -> None:
        self._socket.close()


def _draw_by(randomness: Randomness) -> Callable[[], str]:
    return lambda: encode(randomness.token(TOKEN_BYTES))


def _configured(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_GRACE_S,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        backlog=BACKLOG,
    )


def _take(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = EVERY_ADDRESS if host == "*" else host.strip("[]")
    try:
        taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, int(port)))
        taken.listen(BACKLOG)
        taken.setblocking(False)
    except (OSError, OverflowError) as refused:
        raise PortalPortTaken(listen, str(refused)[:200]) from refused
    return taken


def _near(listen: str) -> str:
    """Where this machine's own people find it."""
    host = listen.rpartition(":")[0]
    return "127.0.0.1" if host in (EVERY_ADDRESS, "[::]", "*") else host


class _Quiet(uvicorn.Server):
    """The node has its own signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
