"""An institution's sign-in for tests: a small OpenID provider on this machine, honest unless it is told otherwise.

What must not live here: expectations.
"""

import hmac
import html
import json
import time
from base64 import b64decode, urlsafe_b64encode
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "lln", "a secret of the tests"
PASSWORD = "of the institution"  # noqa: S105  # of people who do not exist
PAGE = """<!doctype html><html lang="zh-Hans"><meta charset="utf-8"><title>嘉善教育云</title><h1>嘉善教育云</h1>
<form method="post" action="/authorize"><input type="hidden" name="asked" value="{asked}"><p>{told}</p>
<label>工号 <input name="subject"></label> <label>口令 <input name="password" type="password"></label>
<button>进入</button></form></html>"""


@dataclass
class Provider:
    """`claims`, `known`: what it says otherwise than it should; `key`: what it signs with."""

    issuer: str = ""
    subject: str = "teacher-7"
    claims: dict[str, Any] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, parameters={"kid": "one"}))
    published: RSAKey | None = None
    algorithm: str = "RS256"
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def sign_in(self, address: str) -> dict[str, str]:
        """Somebody signs in there, having been sent to `address`: the query with which they come back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert query["code_challenge_method"] == "S256"
        assert query["response_type"] == "code"
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return {"code": code, "state": query["state"], "iss": self.issuer}

    def enter(self, form: dict[str, str]) -> str:
        """Somebody has typed who they are: where the browser goes now, "" for a wrong password."""
        if form.get("password") != PASSWORD:
            return ""
        self.subject = form["subject"]
        back = parse_qs(urlsplit(form["asked"]).query)["redirect_uri"][0]
        return f"{back}?{urlencode(self.sign_in(form['asked']))}"

    def described(self) -> dict[str, Any]:
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return {**told, **self.known}

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or asked["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        if b64decode(authorization.removeprefix("Basic ")).decode() != f"{CLIENT}:{SECRET.replace(' ', '%20')}":
            return 401, {"error": "invalid_client"}
        if challenge_of(form["code_verifier"]) != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": self.subject, "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"], **self.claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": "one"}
        token = jwt.encode(header, claims, self.key) if self.algorithm == "RS256" else self.forged(header, claims)
        return 200, {"id_token": token, "token_type": "Bearer"}

    def forged(self, header: dict[str, str], claims: dict[str, Any]) -> str:
        """What somebody makes who knows the public key alone: HMAC with it as the secret, or no signature at all."""
        said = ".".join(in_url(json.dumps(part).encode()) for part in (header, claims))
        mac = hmac.new(self.key.as_pem(private=False), said.encode(), sha256).digest()
        return f"{said}.{in_url(mac) if self.algorithm == 'HS256' else ''}"


def in_url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def challenge_of(verifier: str) -> str:
    return in_url(sha256(verifier.encode()).digest())


class _Handler(BaseHTTPRequestHandler):
    one: Provider

    def do_GET(self):
        self.one.asked.append(self.path)
        if self.path == "/.well-known/openid-configuration":
            self.answer(200, self.one.described())
        elif self.path == "/keys":
            key = self.one.published or self.one.key
            self.answer(200, {"keys": [{**key.as_dict(private=False), "kid": "one"}]})
        elif self.path.startswith("/authorize?"):
            self.show(self.path)
        elif self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("location", f"{self.one.issuer}/keys")
            self.end_headers()
        elif self.path == "/endless":
            self.answer(200, {"keys": "x" * 1_000_000})
        else:
            self.answer(404, {})

    def do_POST(self):
        self.one.asked.append(self.path)
        read = self.rfile.read(int(self.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(read).items()}
        if self.path == "/authorize":
            self.enter(form)
            return
        self.answer(*self.one.token(form, self.headers.get("authorization", "")))

    def enter(self, form):
        leads = self.one.enter(form)
        if not leads:
            self.show(form["asked"], "工号或口令不对")
            return
        self.send_response(303)
        self.send_header("location", leads)
        self.end_headers()

    def show(self, asked, told=""):
        body = PAGE.format(asked=html.escape(asked), told=told).encode()
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def provider(host="127.0.0.1"):
    """`host`: how a browser calls it; "localhost" is another site than the pages' own."""
    one = Provider()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"one": one}))
    one.issuer = f"http://{host}:{server.server_address[1]}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
