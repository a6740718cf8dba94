"""Checkpoints of logs and cosignatures of witnesses (c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature).

What lives here: what a signed note says about a log, and who vouches for it. What must not: the form of a note
(`notes.py`), or whether two checkpoints fit together (`merkle.py`, `logs.py`).

C2SP frames what is signed here, so these two signatures do not go through `framing.pae`. One node key makes both: a
checkpoint's text begins with its log's origin, a cosignature's with `cosignature/v1`, and no log may be called that.
"""

import base64
import re
from functools import lru_cache
from typing import Final

import msgspec

from federation.errors import BadLog
from federation.keys import SIGNATURE_BYTES, NodeKey, Signer
from federation.merkle import HASH_BYTES, SIZE_MAX
from federation.notes import (
    NOTE_BYTES_MAX,
    TYPE_COSIGNATURE,
    MalformedNote,
    Note,
    SignatureLine,
    is_key_name,
    key_id,
    public_key,
    read_base64,
    sign_note,
)

TIMESTAMP_MAX: Final = 2**63 - 1  # tlog-cosignature, Format

_COSIGNATURE_HEADER: Final = "cosignature/v1"
_TIMESTAMP_BYTES: Final = 8
_NOTES_REMEMBERED_MAX: Final = 4_096  # who looks through all logs it holds, looks at the same notes again
_DECIMAL: Final = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z")


class WrongOrigin(BadLog):
    code = "LLN-245"
    zh = "检查点或日志页属于另一份日志，已拒绝。"
    en = "The checkpoint or page belongs to another log; it was refused."


class BadCosignature(BadLog):
    code = "LLN-246"
    zh = "检查点没有见证节点的有效见证签名。请等待或重新索取见证。"
    en = "The checkpoint does not carry a good cosignature of the witness that was asked for. Wait, or ask again."


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A log's tree at one size; `root` is 32 bytes. Extension lines are kept, but this program never writes any."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> bytes:
        """The note text (tlog-checkpoint, Note text), with its final newline."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines).encode()


class VerifiedCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that its log's key has signed, with the note it was read from; only `open_checkpoint` makes it."""

    checkpoint: Checkpoint
    note: bytes

    @property
    def origin(self) -> str:
        return self.checkpoint.origin

    @property
    def size(self) -> int:
        return self.checkpoint.size

    @property
    def root(self) -> bytes:
        return self.checkpoint.root


class Cosignature(msgspec.Struct, frozen=True, kw_only=True):
    """What a witness vouched for: at `timestamp` (POSIX seconds) it had seen no larger tree, and none that disagrees.

    Only `verify_cosignature` makes it.
    """

    cosigner_name: str
    timestamp: int


# --- the log's own signature -----------------------------------------------------------------------------------------


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """The checkpoint as a note with its log's signature; the key name is the origin (tlog-checkpoint, Signatures).

    Raises MalformedNote for a checkpoint that nobody could read back.
    """
    text = checkpoint.text()
    if _parse_text(text) != checkpoint:
        raise MalformedNote(checkpoint.origin, "an extension line that is not one line")
    return sign_note(text, checkpoint.origin, signer)


@lru_cache(maxsize=_NOTES_REMEMBERED_MAX)
def open_checkpoint(note: bytes, *, origin: str, key: NodeKey) -> VerifiedCheckpoint:
    """The checkpoint of the log `origin`, signed by `key`; other signatures are ignored.

    Every page of a copy comes under the same note, so what has been verified is remembered, and only that.

    Raises MalformedNote, WrongOrigin, BadCheckpointSignature.
    """
    opened = Note.parse(note)
    checkpoint = _parse_text(opened.text)
    if checkpoint.origin != origin:
        raise WrongOrigin(origin, f"the checkpoint is of {checkpoint.origin[:300]}")
    opened.check_signed(origin, key)
    return VerifiedCheckpoint(checkpoint=checkpoint, note=note)


@lru_cache(maxsize=_NOTES_REMEMBERED_MAX)
def unverified_checkpoint(note: bytes) -> Checkpoint:
    """What a note says, believed by nobody yet: to look up whose key should verify it; raises MalformedNote."""
    return _parse_text(Note.parse(note).text)


def _parse_text(text: bytes) -> Checkpoint:
    """Read a note text as a checkpoint (tlog-checkpoint, Note text)."""
    lines = text.decode().split("\n")[:-1]
    if len(lines) < 3 or not all(lines):
        raise MalformedNote("checkpoint", "expected at least three lines, none of them empty")
    origin, size, root = lines[:3]
    if not is_key_name(origin) or origin == _COSIGNATURE_HEADER:  # their SHOULD is our must: it is a key name too
        raise MalformedNote("checkpoint", "an origin that cannot be the name of a log")
    if not _DECIMAL.match(size) or int(size) > SIZE_MAX:
        raise MalformedNote("checkpoint", f"size {size[:40]!r}, expected a decimal number without leading zeros")
    root_hash = read_base64(root, "checkpoint")
    if len(root_hash) != HASH_BYTES:
        raise MalformedNote("checkpoint", f"a root of {len(root_hash)} bytes, expected {HASH_BYTES}")
    return Checkpoint(origin=origin, size=int(size), root=root_hash, extensions=tuple(lines[3:]))


# --- cosignatures of witnesses ---------------------------------------------------------------------------------------


def cosign(note: bytes, checkpoint: VerifiedCheckpoint, cosigner_name: str, signer: Signer, at_s: int) -> bytes:
    """The signature line, with its newline, by which a witness vouches for a checkpoint (tlog-cosignature).

    To be called after the checkpoint was found consistent, and after that is stored. Raises WrongOrigin if the note is
    not the one that `checkpoint` was verified from, cosignatures aside.
    """
    text = Note.parse(note).text
    if text != checkpoint.checkpoint.text():
        raise WrongOrigin(checkpoint.origin, "the note to cosign is not the one that was verified")
    assert 0 < at_s <= TIMESTAMP_MAX, at_s  # noqa: S101  # our own clock
    signature = at_s.to_bytes(_TIMESTAMP_BYTES, "big") + signer.sign(_cosigned_message(at_s, text))
    identifier = key_id(cosigner_name, TYPE_COSIGNATURE, public_key(signer.did))
    return str(SignatureLine(name=cosigner_name, key_id=identifier, signature=signature)).encode()


def add_cosignature(note: bytes, line: bytes) -> bytes:
    """The note with one more signature line, in place of an earlier one by the same key; raises MalformedNote.

    The line is not verified here; whoever received it calls `verify_cosignature` on the result before storing it.
    """
    opened = Note.parse(note)
    try:
        added = SignatureLine.parse(line[:NOTE_BYTES_MAX].decode().removesuffix("\n"))
    except UnicodeDecodeError as error:
        raise MalformedNote("signature line", "not UTF-8") from error
    own, *others = opened.lines  # the log's own comes first and is never replaced
    kept = (other for other in others if (other.name, other.key_id) != (added.name, added.key_id))
    cosigned = bytes(Note(text=opened.text, lines=(own, *kept, added)))
    Note.parse(cosigned)  # still within bounds
    return cosigned


def verify_cosignature(note: bytes, cosigner_name: str, key: NodeKey) -> Cosignature:
    """The newest cosignature of one witness on a note; raises MalformedNote, BadCosignature."""
    opened = Note.parse(note)
    own = opened.by(cosigner_name, TYPE_COSIGNATURE, key)
    timestamps = [_verified_timestamp(opened.text, line, key) for line in own]
    if not timestamps:
        raise BadCosignature(cosigner_name, f"not cosigned by {key.did}")
    return Cosignature(cosigner_name=cosigner_name, timestamp=max(timestamps))


def _verified_timestamp(text: bytes, line: SignatureLine, key: NodeKey) -> int:
    """Check one `timestamped_signature` (tlog-cosignature, Format)."""
    if len(line.signature) != _TIMESTAMP_BYTES + SIGNATURE_BYTES:
        raise BadCosignature(line.name, f"{len(line.signature)} bytes, expected a timestamped signature")
    timestamp = int.from_bytes(line.signature[:_TIMESTAMP_BYTES], "big")
    if timestamp > TIMESTAMP_MAX:
        raise BadCosignature(line.name, "a timestamp beyond 2^63 - 1")
    if not key.verify(_cosigned_message(timestamp, text), line.signature[_TIMESTAMP_BYTES:]):
        raise BadCosignature(line.name, f"the cosignature is not that of {key.did}")
    return timestamp


def _cosigned_message(timestamp: int, text: bytes) -> bytes:
    """What an Ed25519 cosignature signs (tlog-cosignature, Ed25519 signed message)."""
    return f"{_COSIGNATURE_HEADER}\ntime {timestamp}\n".encode() + text
