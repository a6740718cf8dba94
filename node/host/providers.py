"""An institution's own sign-in, by OpenID Connect: the code flow with PKCE and nonce.

What lives here: asking the provider, within bounds, and whether its ID token is to be believed. What must not: who of
our people that is (`node/usecases/linking.py`), or cookies. Nothing but issuer and subject is asked for or kept.
"""

import asyncio
import base64
import json
import urllib.request
from http.client import HTTPException
from typing import Any, Final, cast
from urllib.parse import quote, urlencode, urlsplit

from federation.errors import NotAllowed, Unavailable
from node.ports import Clock
from node.ports.people import Asked, Foreign

ANSWER_BYTES_MAX: Final = 262_144
TIMEOUT_S: Final = 10.0
LEEWAY_S: Final = 60
ALGORITHMS: Final = ["RS256", "ES256"]
AT_ONCE: Final = 4
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class ProviderAway(Unavailable):
    code = "LLN-1641"
    zh = "现在联系不上您所在单位的统一登录。请稍后再试，或用本站的账号和密码登录。"
    en = "Your institution's sign-in cannot be reached now. Try again later, or use login and password of this site."


class ProviderRefused(NotAllowed):
    code = "LLN-1444"
    zh = "统一登录没有成功，或者它的答复不可信。请重新登录一次；总是这样时请告诉系统管理员。"
    en = "The institution's sign-in did not succeed, or its answer cannot be trusted. Try again, or tell an operator."


class OidcProvider:
    """`node.ports.people.Provider`. Every address it names is of TLS, or of this machine where the issuer is."""

    def __init__(self, *, issuer: str, title: str, client: str, secret: str, clock: Clock) -> None:
        self.issuer = issuer
        self.title = title or urlsplit(issuer).hostname or issuer
        self._client = client
        self._secret = secret
        self._clock = clock
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._opener = _opener()

    async def address(self, asked: Asked) -> str:
        """Where a browser is sent; raises ProviderAway."""
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # noqa: PLC0415  # for those who sign in so

        known = await self._known()
        query = {
            "response_type": "code",
            "client_id": self._client,
            "redirect_uri": asked.back,
            "scope": "openid",
            "state": asked.state,
            "nonce": asked.nonce,
            "code_challenge": create_s256_code_challenge(asked.verifier),
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoint(known, "authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def finish(self, code: str, asked: Asked) -> Foreign:
        """Who signed in there, by the code that the browser brought; raises ProviderAway, ProviderRefused."""
        known = await self._known()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": asked.back,
            "client_id": self._client,
            "code_verifier": asked.verifier,
        }
        told = await self._fetch(self._endpoint(known, "token_endpoint"), urlencode(form).encode())
        keys = await self._fetch(self._endpoint(known, "jwks_uri"))
        return self._believed(told, keys, asked.nonce)

    def _believed(self, told: dict[str, Any], keys: dict[str, Any], nonce: str) -> Foreign:
        """Signature, issuer, audience, times and nonce, as OpenID Connect Core §3.1.3.7 asks."""
        from authlib.oidc.core import CodeIDToken  # noqa: PLC0415  # as above
        from joserfc import jwt  # noqa: PLC0415  # as above
        from joserfc.errors import JoseError  # noqa: PLC0415  # as above
        from joserfc.jwk import KeySet  # noqa: PLC0415  # as above

        options = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self._client},
            "nonce": {"essential": True, "value": nonce},
        }
        try:
            token = jwt.decode(str(told["id_token"]), KeySet.import_key_set(cast("Any", keys)), algorithms=ALGORITHMS)
            params = {"nonce": nonce, "client_id": self._client, "access_token": told.get("access_token")}
            claims = CodeIDToken(token.claims, token.header, options, params)
            claims.validate(now=self._clock.now_ms() // 1_000, leeway=LEEWAY_S)
            subject = claims["sub"]
        except (JoseError, KeyError, ValueError, TypeError) as wrong:
            raise ProviderRefused(self.issuer, type(wrong).__name__) from wrong
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise ProviderRefused(self.issuer, "its subject is no text")
        return Foreign(issuer=self.issuer, subject=subject)

    async def _known(self) -> dict[str, Any]:
        """What the provider says of itself; it must name itself as the settings name it."""
        known = await self._fetch(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if known.get("issuer") != self.issuer:
            raise ProviderRefused(self.issuer, "it calls itself something else")
        return known

    def _endpoint(self, known: dict[str, Any], name: str) -> str:
        address = known.get(name)
        if not isinstance(address, str) or not is_safe(address, beside=self.issuer):
            raise ProviderRefused(self.issuer, f"its {name} is not an address of TLS")
        return address

    async def _fetch(self, address: str, form: bytes | None = None) -> dict[str, Any]:
        async with self._at_once:
            return await asyncio.to_thread(self._fetch_now, address, form)

    def _fetch_now(self, address: str, form: bytes | None) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        if form is not None and self._secret:
            both = f"{quote(self._client, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
        try:
            request = urllib.request.Request(address, form, headers)  # noqa: S310  # is_safe has looked at it
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                read = answer.read(ANSWER_BYTES_MAX + 1)
            document = json.loads(read) if len(read) <= ANSWER_BYTES_MAX else None
        except (OSError, HTTPException, ValueError) as away:
            status = getattr(away, "code", 0)
            if form is not None and isinstance(status, int) and 400 <= status < 500:  # HTTP's own classes
                raise ProviderRefused(self.issuer, f"it answered with {status}") from away
            raise ProviderAway(self.issuer, type(away).__name__) from away
        if not isinstance(document, dict):
            raise ProviderAway(self.issuer, "its answer is no JSON object, or too long")
        return document


def is_safe(address: str, *, beside: str) -> bool:
    """Whether an address is of TLS, or of this machine where `beside` is."""
    read, near = urlsplit(address), urlsplit(beside)
    is_near = read.scheme == "http" and read.hostname in _LOOPBACK and near.hostname in _LOOPBACK
    return bool(read.hostname) and (read.scheme == "https" or is_near)


def _opener() -> urllib.request.OpenerDirector:
    """Without redirects, so that a code and a secret go where the provider said and no further, and without proxies."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
