"""What was typed, pasted or scanned, told apart: something to check here, an address elsewhere, or something else.

What lives here: reading a text. What must not: asking anybody about it. Nothing here follows an address.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec

from federation import short_codes

TOLD_CHARS_MAX: Final = 120
CODE_CHARS_MAX: Final = 320
_ADDRESS: Final = re.compile(r"https?://", re.IGNORECASE)
_CODE: Final = re.compile(r"[0-9A-Za-z -]{16,40}(@[a-z0-9.-]{1,253})?", re.IGNORECASE)

Meaning = Literal["code", "document", "elsewhere", "other", "nothing", "several"]


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """`text`: a code, a document, or a few words of something else; `host`: whose address holds the code."""

    meaning: Meaning
    text: str = ""
    host: str = ""

    @property
    def is_checked_here(self) -> bool:
        return self.meaning in ("code", "document")


def read(text: str, address: str) -> Scanned:
    """One text; `address` is this portal's own, by which it knows its own links."""
    text = text.strip()
    if text.startswith("{"):
        return Scanned(meaning="document", text=text)
    if _ADDRESS.match(text):
        return _of_address(text, address)
    if _CODE.fullmatch(text):
        return Scanned(meaning="code", text=text)
    return Scanned(meaning="other", text=text[:TOLD_CHARS_MAX]) if text else Scanned(meaning="nothing")


def read_all(texts: Sequence[str], address: str) -> Scanned:
    """What a picture shows: beside a proof, other codes on the same sheet of paper do not matter."""
    found = tuple(dict.fromkeys(read(text, address) for text in texts))
    for wanted in (
        [one for one in found if one.is_checked_here],
        [one for one in found if one.meaning == "elsewhere"],
        found,
    ):
        if wanted:
            return wanted[0] if len(wanted) == 1 else Scanned(meaning="several")
    return Scanned(meaning="nothing")


def _of_address(text: str, address: str) -> Scanned:
    try:
        led, ours = urlsplit(text), urlsplit(address)
        host, code = led.netloc.rpartition("@")[2].lower(), _asked_for(led.query)
        is_ours = (led.scheme.lower(), led.hostname, led.port) == (ours.scheme, ours.hostname, ours.port)
    except ValueError:  # a port or a bracket that is none
        return Scanned(meaning="other", text=text[:TOLD_CHARS_MAX])
    if led.path.rstrip("/") != "/verify" or not code or not host.isprintable():
        return Scanned(meaning="other", text=text[:TOLD_CHARS_MAX])
    if is_ours and "@" not in led.netloc:
        return Scanned(meaning="code", text=code)
    return Scanned(meaning="elsewhere", text=code, host=host[:253])


def _asked_for(query: str) -> str:
    """The code in an address, where it is one at all."""
    code = parse_qs(query, max_num_fields=10).get("code", [""])[0].strip()
    return code if len(code) <= CODE_CHARS_MAX and _CODE.fullmatch(code) else ""


def is_whole_code(text: str) -> bool:
    """Whether a code says which node has it, so that any node of the network may be asked."""
    code, _, node = text.partition("@")
    try:
        short_codes.read(code)
    except short_codes.MistypedCode:
        return False
    return bool(node)
