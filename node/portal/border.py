"""The border of the pages: what comes in is bounded, what goes out carries its headers, all of it is counted.

What lives here: one layer around every page. What must not: who may see what (`site.py`).
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import msgspec

from federation.budgets import Allowance, Budgets
from node.ports import Clock
from node.ports.machine import PICTURE_BYTES_MAX

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_BYTES_MAX: Final = 2_200_000
PICTURE_BODY_BYTES_MAX: Final = PICTURE_BYTES_MAX + 200_000
PICTURE_PATHS: Final = ("/verify",)
PICTURES_AT_ONCE: Final = 16
TARGET_BYTES_MAX: Final = 8_192
CALLS: Final = Allowance(per_second=20.0, burst=200.0)
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
MAY_DO: Final = b"camera=(%s), geolocation=(), microphone=(), payment=()"
_HOST: Final = re.compile(r"^(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?$")


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says that it brings, `length` -1 where that is no number, and how much it may."""

    length: int
    bytes_max: int
    is_large_picture: bool = False


class Border:
    """`hosts`: the names by which the pages may be asked for, besides addresses in figures and localhost.

    `large`: how the addresses begin to which as much as `large_bytes_max` may be sent.
    """

    def __init__(
        self,
        app: App,
        *,
        hosts: frozenset[str],
        clock: Clock,
        is_secure: bool,
        large: tuple[str, ...] = (),
        large_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self._app = app
        self._large = large
        self._large_bytes_max = large_bytes_max
        self._hosts = hosts
        self._clock = clock
        self._headers = (*HEADERS, (b"strict-transport-security", b"max-age=31536000")) if is_secure else HEADERS
        self._budgets = Budgets(CALLS)
        self.answered: Counter[int] = Counter()
        self.seconds = 0.0
        self._pictures = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began_s = self._clock.monotonic_s()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answered[message["status"]] += 1
                given = message.get("headers", ())
                own = {name.lower() for name, _ in given}
                may_do = MAY_DO % (b"self" if scope["path"] in PICTURE_PATHS else b"")
                ours = (*self._headers, (b"permissions-policy", may_do))
                message["headers"] = [*given, *(one for one in ours if one[0] not in own)]
            await send(message)

        headers = dict(scope["headers"])
        body = self._body(scope["path"], headers)
        refusal = self._refusal(scope, headers, body)
        if refusal is not None:
            await _refuse(told, *refusal)
        else:
            self._pictures += body.is_large_picture
            try:
                await self._app(scope, _bounded(receive, body.bytes_max), told)
            finally:
                self._pictures -= body.is_large_picture
        self.seconds += self._clock.monotonic_s() - began_s

    def _body(self, path: str, headers: Mapping[bytes, bytes]) -> _Body:
        length = _length(headers)
        if _is_picture(path, headers):
            return _Body(length=length, bytes_max=PICTURE_BODY_BYTES_MAX, is_large_picture=length > BODY_BYTES_MAX)
        return _Body(length=length, bytes_max=self._large_bytes_max if path.startswith(self._large) else BODY_BYTES_MAX)

    def _refusal(self, scope: Scope, headers: Mapping[bytes, bytes], body: _Body) -> tuple[int, str] | None:
        if not self._is_known_host(headers.get(b"host", b"").decode("latin-1")):
            return (
                421,
                "Not served under this name; set portal.address. 本站不以这个域名提供服务，请设置 portal.address。",
            )
        if len(scope.get("raw_path", b"")) + len(scope.get("query_string", b"")) > TARGET_BYTES_MAX:
            return 414, "The address is too long. 地址太长。"
        if not 0 <= body.length <= body.bytes_max:
            told = f"{body.bytes_max // 1_000_000} MB"
            return 413, f"What was sent is larger than {told}. 提交的内容超过 {told}。"
        if body.is_large_picture and self._pictures >= PICTURES_AT_ONCE:
            return 503, "Too many pictures at once; wait a minute. 上传图片的人太多，请过一分钟再试。"
        client = (scope.get("client") or ("", 0))[0]
        if not is_loopback(client) and not self._budgets.spend(client, self._clock.now_ms()):
            return 429, "Too many requests; wait a moment. 请求太多，请稍等片刻。"
        return None

    def _is_known_host(self, host: str) -> bool:
        """A page elsewhere whose name is made to lead here must not be able to read ours (DNS rebinding)."""
        read = _HOST.match(host)
        if read is None:
            return False
        name = read["name"].strip("[]").lower()
        return name == "localhost" or name in self._hosts or is_address(name)


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(text: str) -> bool:
    return is_address(text) and ipaddress.ip_address(text).is_loopback


def _length(headers: Mapping[bytes, bytes]) -> int:
    """What a request says of its own length; -1 where that is no number."""
    told = headers.get(b"content-length", b"0").decode("latin-1")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 12 else -1


def _is_picture(path: str, headers: Mapping[bytes, bytes]) -> bool:
    """Files are spooled to nameless ones on disk; other forms would lie in memory."""
    return path in PICTURE_PATHS and headers.get(b"content-type", b"").startswith(b"multipart/form-data")


def _bounded(receive: Receive, bytes_max: int) -> Receive:
    """What is sent in pieces without saying how long it is ends where it grows too large, as if the sender had left."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return {"type": "http.disconnect"} if taken > bytes_max else message

    return bounded


async def _refuse(send: Send, status: int, told: str) -> None:
    body = told.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
