"""Proof, to whoever has only a text file and a key, that an entry stands in a log (c2sp.org/tlog-proof).

What lives here: the proof as a value and as text, and its verification offline. What must not: where its hashes are
stored (`node/storage`), or whether the witnesses are the right ones (their names and keys are handed in).
"""

import base64
import re
from collections.abc import Mapping
from typing import Final, Self

import msgspec

from federation import merkle
from federation.checkpoints import (
    Cosignature,
    VerifiedCheckpoint,
    open_checkpoint,
    unverified_checkpoint,
    verify_cosignature,
)
from federation.errors import BadLog
from federation.keys import NodeKey
from federation.logs import DOCUMENT_BYTES_MAX, LogId
from federation.merkle import Hashes
from federation.notes import NOTE_BYTES_MAX, MalformedNote, read_base64

PROOF_BYTES_MAX: Final = 4 * DOCUMENT_BYTES_MAX // 3 + NOTE_BYTES_MAX + 4096

_HEADER: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})\Z")


class MalformedLogProof(BadLog):
    code = "LLN-2413"
    zh = "存证证明文件不符合 C2SP tlog-proof 格式，或与所给内容不符。"
    en = "The proof file is not as C2SP tlog-proof writes it, or is not about the entry it was shown with."


class LogProof(msgspec.Struct, frozen=True, kw_only=True):
    """That the entry at `index` stands in the tree of the signed checkpoint `note`; as yet unverified.

    `document` is None when the entry is withheld; whoever verifies then brings its leaf hash.
    """

    index: int
    document: bytes | None
    path: Hashes
    note: bytes

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read a proof (tlog-proof, Format); the extra line, if any, is the document. Raises MalformedLogProof."""
        if len(text) > PROOF_BYTES_MAX:
            raise MalformedLogProof("log proof", f"{len(text)} bytes, at most {PROOF_BYTES_MAX}")
        head, blank, note = text.partition(b"\n\n")
        try:
            header, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise MalformedLogProof("log proof", "its first lines are not ASCII") from error
        if header != _HEADER or not blank:
            raise MalformedLogProof("log proof", f"expected {_HEADER}, and a checkpoint after an empty line")
        document = None
        if lines and lines[0].startswith("extra "):
            document = _base64(lines.pop(0).removeprefix("extra "))
        index = _INDEX.match(lines[0]) if lines else None
        if not index or len(lines) - 1 > merkle.PROOF_HASHES_MAX:
            raise MalformedLogProof("log proof", f"expected an index line and at most {merkle.PROOF_HASHES_MAX} hashes")
        return cls(index=int(index[1]), document=document, path=tuple(map(_base64, lines[1:])), note=note)

    def __bytes__(self) -> bytes:
        """The text of the proof, to be kept as a `.tlog-proof` file (tlog-proof, Format)."""
        extra = [] if self.document is None else [f"extra {base64.b64encode(self.document).decode()}"]
        path = [base64.b64encode(hash_).decode() for hash_ in self.path]
        return "\n".join([_HEADER, *extra, f"index {self.index}", *path, "", ""]).encode() + self.note


class VerifiedProof(msgspec.Struct, frozen=True, kw_only=True):
    """A proof that held; only `verify_proof` makes it."""

    checkpoint: VerifiedCheckpoint
    index: int
    leaf_hash: bytes
    document: bytes | None
    cosignatures: tuple[Cosignature, ...]


def rows_for_proof(index: int, note: bytes) -> tuple[int, ...]:
    """The hash rows that `write_proof` reads; raises MalformedProof for an entry beyond the checkpoint."""
    return merkle.rows_for_inclusion(index, unverified_checkpoint(note).size)


def write_proof(index: int, document: bytes | None, note: bytes, rows: Mapping[int, bytes]) -> bytes:
    """The proof of one entry under a checkpoint that the writer holds whole; raises MalformedProof, BrokenTree."""
    path = merkle.inclusion_proof(index, unverified_checkpoint(note).size, rows)
    return bytes(LogProof(index=index, document=document, path=path, note=note))


def verify_proof(
    text: bytes,
    *,
    log: LogId,
    key: NodeKey,
    leaf_hash: bytes | None = None,
    witnesses: Mapping[str, NodeKey] | None = None,
) -> VerifiedProof:
    """Verify a proof offline; every witness that is named must have cosigned the checkpoint.

    `leaf_hash` is of the entry the verifier has at hand; it may be left out when the document is in the proof. Raises
    MalformedLogProof, MalformedNote, WrongOrigin, BadCheckpointSignature, BadCosignature, MalformedProof, WrongRoot.
    """
    proof = LogProof.parse(text)
    # Verifying a tlog proof, step 1: the leaf hash. What stands in the proof is not trusted for being there.
    enclosed = None if proof.document is None else merkle.leaf_hash(proof.document)
    leaf = leaf_hash or enclosed
    if leaf is None:
        raise MalformedLogProof(str(log), "the entry is withheld; bring its leaf hash")
    if enclosed is not None and enclosed != leaf:
        raise MalformedLogProof(str(log), "the document in the proof is not the one it was shown with")
    # Step 2: the origin is the expected one, and its key has signed.
    checkpoint = open_checkpoint(proof.note, origin=log.origin_line, key=key)
    # Step 3: the witnesses.
    named = (witnesses or {}).items()
    cosignatures = tuple(verify_cosignature(proof.note, name, witness) for name, witness in named)
    # Step 4: the inclusion proof binds the leaf to the signed root.
    merkle.verify_inclusion(leaf, proof.index, checkpoint.size, proof.path, checkpoint.root)
    return VerifiedProof(
        checkpoint=checkpoint, index=proof.index, leaf_hash=leaf, document=proof.document, cosignatures=cosignatures
    )


def _base64(encoded: str) -> bytes:
    try:
        return read_base64(encoded, "log proof")
    except MalformedNote as error:
        raise MalformedLogProof("log proof", error.detail) from error
