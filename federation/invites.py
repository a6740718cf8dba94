"""The invite: one line of text that an authority hands to an institution, and that carries all the trust it needs.

What lives here: the text and what is in it. What must not: what becomes of an invite once it is used (`enrolment.py`).

`LLN1-` and base64url of: the length of the payload (3 bytes), the payload, and the first 4 bytes of SHA-256 over
prefix, length and payload. Because the network's root certificate is inside, nothing is trusted on first use. The line
may come back from a chat or a letter: line breaks, spaces, full-width forms and what stands around it are forgiven.
"""

import base64
import binascii
import re
import unicodedata
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from federation.catalogue import EpochMs
from federation.certificates import check_root
from federation.directory import Endpoint, NodeDescription
from federation.errors import InvalidInput, LlnError
from federation.naming import DEPTH_MAX, NameField, NodeName, depth, parent_of

TEXT_CHARS_MAX: Final = 16_384
SECRET_BYTES: Final = 16

_PREFIX: Final = "LLN1-"
_VERSIONED: Final = re.compile(r"LLN([0-9]{1,4})-", re.IGNORECASE)
_NOT_BASE64URL: Final = re.compile(r"[^A-Za-z0-9_-]")
_OTHER_DASHES: Final = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212"), "-")
_LENGTH_BYTES: Final = 3  # four characters of their own
_CHECKSUM_BYTES: Final = 4


class NotAnInvite(InvalidInput):
    code = "LLN-1152"
    zh = "这不是邀请码：邀请码以 LLN1- 开头，由上级节点的 lln invite 给出。"
    en = "This is not an invite: one begins with LLN1- and is printed by lln invite at the authority above."


class NewerInvite(InvalidInput):
    code = "LLN-1153"
    zh = "邀请码来自另一版本的程序。请把本节点升级到与上级相同的版本。"
    en = "The invite was made by another version of the program. Bring this node to the version of its authority."


class CutInvite(InvalidInput):
    code = "LLN-1154"
    zh = "邀请码不完整。请重新复制整行，不要漏掉开头或结尾。"
    en = "The invite is cut short. Copy the whole line again, with its beginning and its end."


class MistypedInvite(InvalidInput):
    code = "LLN-1155"
    zh = "邀请码有错字，校验不通过。请复制粘贴，不要手工抄写。"
    en = "The invite was mistyped: its checksum does not hold. Copy and paste it rather than typing it."


class InviteCode(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What an invite says. `secret` must never be shown, logged or sent; `id` is harmless.

    `endpoint` is the authority's enrolment port; `description` is what the authority proposes to record.
    """

    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
    name: NameField
    endpoint: Endpoint
    description: NodeDescription
    expires_at_ms: EpochMs
    secret: Annotated[bytes, Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]
    root_certificate: Annotated[bytes, Meta(max_length=4_096)]

    @property
    def root(self) -> NodeName:
        """The name of the network's root, as its certificate states it."""
        return check_root(self.root_certificate).name

    @property
    def authority(self) -> NodeName:
        """The node that invites: the one directly above `name`."""
        return NodeName(self.name.partition(".")[2])

    def __repr__(self) -> str:
        return f"InviteCode({self.id}, {self.name})"


def write_invite(code: InviteCode) -> str:
    """The one line to hand over; about 1,100 characters."""
    payload = msgspec.msgpack.encode(code)
    framed = len(payload).to_bytes(_LENGTH_BYTES, "big") + payload
    return _PREFIX + _encoded(framed + _checksum(framed))


def read_invite(text: str) -> InviteCode:
    """Read an invite as it was pasted; raises NotAnInvite, NewerInvite, CutInvite or MistypedInvite.

    Expiry is left to the authority: its clock counts, and an invite that was used may be repeated after it.
    """
    framed = _framed(_body(text))
    payload = framed[_LENGTH_BYTES:-_CHECKSUM_BYTES]
    if framed[-_CHECKSUM_BYTES:] != _checksum(framed[:-_CHECKSUM_BYTES]):
        raise MistypedInvite("invite", "the checksum does not hold")
    try:
        code = msgspec.msgpack.decode(payload, type=InviteCode)
        root = code.root
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise NotAnInvite("invite", str(error)[:200]) from error
    except LlnError as error:
        raise NotAnInvite("invite", f"its root certificate: {error.detail}") from error
    if parent_of(NodeName(code.name), root) is None or depth(NodeName(code.name), root) > DEPTH_MAX:
        raise NotAnInvite(code.name, f"not a place in the network {root}")
    return code


def _body(text: str) -> str:
    """What follows the prefix, without what a chat, a letter or an input method may have put in."""
    if len(text) > TEXT_CHARS_MAX:
        raise NotAnInvite("invite", f"{len(text)} characters, at most {TEXT_CHARS_MAX}")
    folded = unicodedata.normalize("NFKC", text).translate(_OTHER_DASHES)
    visible = "".join(c for c in folded if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc"))
    found = _VERSIONED.search(visible)
    if not found:
        raise NotAnInvite("invite", "no LLN1- in it")
    if found[1] != "1":
        raise NewerInvite("invite", f"version {found[1]}, this program reads version 1")
    return visible[found.end() :]


def _framed(body: str) -> bytes:
    """Exactly as many characters as the length in front asks for; what follows them is not part of the code."""
    length_chars = _chars(_LENGTH_BYTES)
    length = int.from_bytes(_decoded(body[:length_chars]), "big")
    size_bytes = _LENGTH_BYTES + length + _CHECKSUM_BYTES
    return _decoded(body[: _chars(size_bytes)], size_bytes)


def _chars(size_bytes: int) -> int:
    return -(-size_bytes * 4 // 3)


def _decoded(characters: str, size_bytes: int = _LENGTH_BYTES) -> bytes:
    if foreign := _NOT_BASE64URL.search(characters):
        if foreign.start() > 0 and not re.search(r"[A-Za-z0-9_-]", characters[foreign.start() :]):
            raise CutInvite("invite", f"ends after {foreign.start()} characters")
        raise MistypedInvite("invite", f"{foreign[0]!r} at character {foreign.start() + len(_PREFIX) + 1}")
    if len(characters) < _chars(size_bytes):
        raise CutInvite("invite", f"{len(characters)} characters of {_chars(size_bytes)}")
    try:
        decoded = base64.urlsafe_b64decode(characters + "=" * (-len(characters) % 4))
    except binascii.Error as error:
        raise MistypedInvite("invite", "not base64url") from error
    if _encoded(decoded) != characters:
        raise MistypedInvite("invite", "not the one spelling of what it says")
    return decoded


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _checksum(framed: bytes) -> bytes:
    return sha256(_PREFIX.encode() + framed).digest()[:_CHECKSUM_BYTES]
