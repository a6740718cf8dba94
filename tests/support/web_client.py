"""A visitor of the pages without a browser: one HTTP request at a time, with cookies, off the event loop.

What must not live here: expectations.
"""

import asyncio
import http.client
import re
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    cookies: dict[str, str]

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.headers.get("location", "")


@dataclass
class Visitor:
    """`origin`: the portal; `headers` go with every request."""

    origin: str
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, path, **headers) -> Answer:
        return await asyncio.to_thread(self._ask, "GET", path, None, headers)

    async def post(self, path, fields=None, *, token=None, page=None, **headers) -> Answer:
        """A form, with the token that the page `page` (the path itself) carries, or another one."""
        if token is None:
            found = TOKEN.search((await self.get(page or path)).text)
            token = found[1] if found else ""
        body = urlencode({"form_token": token, **(fields or {})}, doseq=True).encode()
        sent = {"content-type": "application/x-www-form-urlencoded", "origin": self.origin, **headers}
        return await asyncio.to_thread(self._ask, "POST", path, body, sent)

    async def upload(self, path, content, name, fields=None, *, page=None, field="file", **headers) -> Answer:
        """A form of one file, and of other fields."""
        token = TOKEN.search((await self.get(page or path)).text)[1]
        mark = "a-line-that-stands-in-no-file"
        head = ""
        for field_name, value in {"form_token": token, **(fields or {})}.items():
            head += f'--{mark}\r\nContent-Disposition: form-data; name="{field_name}"\r\n\r\n{value}\r\n'
        head += f'--{mark}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        sent = {"content-type": f"multipart/form-data; boundary={mark}", "origin": self.origin, **headers}
        return await asyncio.to_thread(self._ask, "POST", path, body, sent)

    def _ask(self, method, path, body, headers) -> Answer:
        place = urlsplit(self.origin)
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
        sent = {key.replace("_", "-"): value for key, value in {**self.headers, **headers}.items()}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, path, body=body, headers=sent)
            reply = connection.getresponse()
            content = reply.read()
        finally:
            connection.close()
        set_now = {}
        for line in reply.headers.get_all("set-cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                set_now[name] = morsel.value
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        headers_now = {name.lower(): value for name, value in reply.headers.items()}
        return Answer(status=reply.status, headers=headers_now, body=content, cookies=set_now)
