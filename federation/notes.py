"""Signed notes: a text, and lines by which keys sign it (c2sp.org/signed-note, whose clauses are cited).

What lives here: the format, key ids, and whether a key has signed. What must not: what a text says (`checkpoints.py`).
"""

import base64
import binascii
import functools
import hashlib
import re
from collections.abc import Iterator
from typing import Final, Self

import msgspec

from federation.errors import BadLog
from federation.keys import NodeKey, Signer

NOTE_BYTES_MAX: Final = 8 * 1024
SIGNATURE_LINES_MAX: Final = 16  # Format: at least 16 MUST be accepted

TYPE_ED25519: Final = b"\x01"  # Signature types
TYPE_COSIGNATURE: Final = b"\x04"

_KEY_ID_BYTES: Final = 4
_LINE_START: Final = "\u2014 "  # an em dash and a space
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")  # Format: no control characters but newline
_NOT_IN_NAMES: Final = re.compile(r"[\s+]")  # Format: no Unicode spaces, no plus


class MalformedNote(BadLog):
    code = "LLN-243"
    zh = "检查点文本不符合 C2SP 格式，已拒绝。"
    en = "The text of a checkpoint is not as C2SP writes it; it was refused."


class BadCheckpointSignature(BadLog):
    code = "LLN-244"
    zh = "检查点没有日志所有者的有效签名，已拒绝。"
    en = "The checkpoint does not carry a good signature of the log's own node; it was refused."


class SignatureLine(msgspec.Struct, frozen=True, kw_only=True):
    """One signature of a note, as yet unverified; `signature` is what follows the key id."""

    name: str
    key_id: bytes
    signature: bytes

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read one line without its newline (Format); raises MalformedNote."""
        name, space, encoded = line.removeprefix(_LINE_START).partition(" ")
        if not line.startswith(_LINE_START) or not space or not is_key_name(name):
            raise MalformedNote("signature line", "expected '— name base64', the name without spaces or plus")
        raw = read_base64(encoded, "signature line")
        if len(raw) <= _KEY_ID_BYTES:
            raise MalformedNote("signature line", "too short for a key id and a signature")
        return cls(name=name, key_id=raw[:_KEY_ID_BYTES], signature=raw[_KEY_ID_BYTES:])

    def __str__(self) -> str:
        return f"{_LINE_START}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A note taken apart, as yet unverified; `text` ends in a newline."""

    text: bytes
    lines: tuple[SignatureLine, ...]

    @classmethod
    def parse(cls, note: bytes) -> Self:
        """Take a signed note apart (Format): ≤ 8 KiB, ≤ 16 signatures; raises MalformedNote."""
        if len(note) > NOTE_BYTES_MAX:
            raise MalformedNote("note", f"{len(note)} bytes, at most {NOTE_BYTES_MAX}")
        try:
            written = note.decode()
        except UnicodeDecodeError as error:
            raise MalformedNote("note", "not UTF-8") from error
        if _CONTROL.search(written):
            raise MalformedNote("note", "a control character")
        text, blank, signatures = written.rpartition("\n\n")  # the text is separated by the last empty line
        if not blank or not signatures.endswith("\n"):
            raise MalformedNote("note", "expected a text, an empty line, and signature lines")
        lines = signatures[:-1].split("\n")
        if len(lines) > SIGNATURE_LINES_MAX:
            raise MalformedNote("note", f"{len(lines)} signatures, at most {SIGNATURE_LINES_MAX}")
        return cls(text=f"{text}\n".encode(), lines=tuple(map(SignatureLine.parse, lines)))

    def by(self, name: str, signature_type: bytes, key: NodeKey) -> Iterator[SignatureLine]:
        """The lines that claim to be one key's: name and key id together say which (Signatures)."""
        wanted = key_id(name, signature_type, key)
        return (line for line in self.lines if line.name == name and line.key_id == wanted)

    def check_signed(self, name: str, key: NodeKey) -> None:
        """Check that `key` has signed the text under `name`; raises BadCheckpointSignature.

        Unknown keys are ignored; a signature of the known key that fails spoils the whole note (Signatures).
        """
        own = list(self.by(name, TYPE_ED25519, key))
        if not own:
            raise BadCheckpointSignature(name, f"not signed by {key.did}")
        if not all(key.verify(self.text, line.signature) for line in own):
            raise BadCheckpointSignature(name, f"a signature that is not that of {key.did}")

    def __bytes__(self) -> bytes:
        return self.text + b"\n" + "".join(map(str, self.lines)).encode()


def sign_note(text: bytes, name: str, signer: Signer) -> bytes:
    """The text as a note signed under `name` (Ed25519 signatures)."""
    identifier = key_id(name, TYPE_ED25519, public_key(signer.did))
    return bytes(Note(text=text, lines=(SignatureLine(name=name, key_id=identifier, signature=signer.sign(text)),)))


def verifier_key(name: str, key: NodeKey) -> str:
    """The key as other tools take it (Verifier keys)."""
    material = base64.b64encode(TYPE_ED25519 + key.raw).decode()
    return f"{name}+{key_id(name, TYPE_ED25519, key).hex()}+{material}"


@functools.lru_cache(maxsize=4096)
def key_id(name: str, signature_type: bytes, key: NodeKey) -> bytes:
    """SHA-256(key name || 0x0A || signature type || public key)[:4] (Signatures)."""
    return hashlib.sha256(name.encode() + b"\n" + signature_type + key.raw).digest()[:_KEY_ID_BYTES]


@functools.lru_cache(maxsize=256)
def public_key(did: str) -> NodeKey:
    """`NodeKey.parse`, once per signer."""
    return NodeKey.parse(did)


def is_key_name(name: str) -> bool:
    """Not empty, no Unicode spaces, no plus, nothing invisible that a note may not hold (Format)."""
    return bool(name) and not _NOT_IN_NAMES.search(name) and not _CONTROL.search(name)


def read_base64(encoded: str, subject: str) -> bytes:
    """RFC 4648 §4, and only in its one canonical spelling: nobody varies a note without its key."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedNote(subject, "not base64") from error
    if base64.b64encode(raw).decode() != encoded:
        raise MalformedNote(subject, "not the canonical base64 of what it says")
    return raw
