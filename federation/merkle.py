"""Merkle trees of logs: hashes, frontier, inclusion and consistency proofs (RFC 6962 §2.1, RFC 9162 §2.1).

What lives here: arithmetic on hashes, and which stored rows a proof needs. What must not: what a leaf means, who signed
a root (`checkpoints.py`), or where rows are kept.

A tree is stored as one blob, a *row*, per leaf: row i is the hashes of all complete subtrees that end at leaf i, level
0 (the leaf itself) first, 32 bytes each. So the node (level, n), which covers the leaves n·2^level up to (n+1)·2^level,
stands in row (n+1)·2^level - 1 at offset 32·level; rows are written once and never change, and there is nothing else.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from federation.errors import BadLog, BrokenHome

HASH_BYTES: Final = 32
SIZE_MAX: Final = 2**63 - 1
PROOF_HASHES_MAX: Final = 64
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()  # RFC 9162 §2.1.1

Hashes = tuple[bytes, ...]
Span = tuple[int, int]
"""Leaves from the first number up to, not including, the second; it starts where a subtree at least as wide may."""

_sha256 = hashlib.sha256


class WrongRoot(BadLog):
    code = "LLN-241"
    zh = "计算出的根哈希与签名的根哈希不一致：内容被改动、缺失或次序不对。未保存任何内容。"
    en = "The computed root is not the signed one: something was altered, left out or reordered. Nothing was stored."


class MalformedProof(BadLog):
    code = "LLN-242"
    zh = "默克尔证明的长度、大小或序号不可能正确。请向对方重新索取。"
    en = "A Merkle proof whose length, sizes or index cannot be right. Ask for it again."


class ProofTooLong(BadLog):
    code = "LLN-2410"
    zh = "默克尔证明超过 64 个哈希，不可能属于任何存证日志。"
    en = "A Merkle proof of more than 64 hashes, which no log can need."


class BrokenTree(BrokenHome):
    code = "LLN-1515"
    zh = "本节点保存的日志哈希缺失或不完整。请运行 lln log verify，并从备份恢复。"
    en = "Stored hashes of a log are missing or cut short. Run lln log verify and restore from a backup."


def leaf_hash(document: bytes) -> bytes:
    """HASH(0x00 || d), RFC 9162 §2.1.1."""
    return _sha256(b"\0" + document).digest()


def leaf_hashes(documents: Iterable[bytes]) -> list[bytes]:
    """The leaf hash of each document, in order."""
    return [_sha256(b"\0" + document).digest() for document in documents]


def node_hash(left: bytes, right: bytes) -> bytes:
    """HASH(0x01 || left || right), RFC 9162 §2.1.1."""
    return _sha256(b"\1" + left + right).digest()


# --- growing ---------------------------------------------------------------------------------------------------------


class Extended(msgspec.Struct, frozen=True, kw_only=True):
    """A grown tree, and the rows of its new leaves in order."""

    frontier: "Frontier"
    rows: list[bytes]


class Frontier(msgspec.Struct, frozen=True, kw_only=True):
    """All that a tree needs to grow: its size, and the roots of its complete subtrees, largest first.

    There is one root for each one bit of `size`.
    """

    size: int = 0
    roots: Hashes = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.roots) != self.size.bit_count():
            raise BrokenTree("frontier", f"{len(self.roots)} roots for size {self.size}")

    def root(self) -> bytes:
        """The root hash at this size."""
        return _fold(self.roots) if self.roots else EMPTY_ROOT

    def extend(self, hashes: Sequence[bytes]) -> Extended:
        """The tree with these leaf hashes appended; hashes each new interior node once, level by level."""
        waiting = list(self.roots)  # still without a right sibling; the smallest is last
        roots: list[bytes] = []  # those of the grown tree, smallest first
        rows = list(hashes)
        nodes, blobs = list(hashes), list(hashes)  # of this level, from number `first` on
        first, level = self.size, 0
        while nodes:
            if first & 1:
                nodes.insert(0, waiting.pop())
                blobs.insert(0, b"")  # a left sibling: its row was written when it was new
            if len(nodes) & 1:
                roots.append(nodes[-1])
            nodes = [
                _sha256(b"\1" + left + right).digest() for left, right in zip(nodes[::2], nodes[1::2], strict=False)
            ]
            blobs = [blob + node for blob, node in zip(blobs[1::2], nodes, strict=True)]
            first, level = first >> 1, level + 1
            rows[((first + 1) << level) - 1 - self.size :: 1 << level] = blobs  # node n ends at leaf (n+1)·2^level - 1
        roots.extend(reversed(waiting))
        frontier = Frontier(size=self.size + len(rows), roots=tuple(reversed(roots)))
        return Extended(frontier=frontier, rows=rows)


# --- proofs from stored rows -----------------------------------------------------------------------------------------


def rows_for_frontier(size: int) -> tuple[int, ...]:
    """The rows that `frontier_at` reads."""
    return tuple(end - 1 for _, end in _complete((0, size)))


def rows_for_inclusion(index: int, size: int) -> tuple[int, ...]:
    """The rows that `inclusion_proof` reads, in ascending order; raises MalformedProof."""
    return _rows_of(_inclusion_spans(index, size))


def rows_for_consistency(old_size: int, new_size: int) -> tuple[int, ...]:
    """The rows that `consistency_proof` reads, in ascending order; raises MalformedProof."""
    return _rows_of(_consistency_spans(old_size, new_size))


def frontier_at(size: int, rows: Mapping[int, bytes]) -> Frontier:
    """The frontier of the first `size` leaves; raises BrokenTree."""
    return Frontier(size=size, roots=tuple(_stored_hash(span, rows) for span in _complete((0, size))))


def inclusion_proof(index: int, size: int, rows: Mapping[int, bytes]) -> Hashes:
    """PATH(index, D_size) of RFC 9162 §2.1.3.1; raises MalformedProof, BrokenTree."""
    return tuple(_hash_of(span, rows) for span in _inclusion_spans(index, size))


def consistency_proof(old_size: int, new_size: int, rows: Mapping[int, bytes]) -> Hashes:
    """PROOF(old_size, D_new_size) of RFC 9162 §2.1.4.1; empty from 0 and from the same size; raises as above."""
    return tuple(_hash_of(span, rows) for span in _consistency_spans(old_size, new_size))


# --- verification ----------------------------------------------------------------------------------------------------


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf hash stands at `index` of the tree (RFC 9162 §2.1.3.2).

    Raises MalformedProof, ProofTooLong, WrongRoot.
    """
    _check_hashes("inclusion proof", proof)
    _check_hashes("leaf", (leaf,))
    _check_index(index, size)
    inner = (index ^ (size - 1)).bit_length()  # below this level the path has siblings on both sides, above on the left
    if len(proof) != inner + (index >> inner).bit_count():
        raise MalformedProof("inclusion proof", f"{len(proof)} hashes for index {index} of {size}")
    if _climb(leaf, index, proof, inner) != root:
        raise WrongRoot("inclusion proof", f"index {index} of {size}")


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the new tree begins with the old one, which is not empty (RFC 9162 §2.1.4.2).

    Raises MalformedProof, ProofTooLong, WrongRoot.
    """
    _check_hashes("consistency proof", proof)
    _check_sizes(old_size, new_size)
    if old_size == 0:  # RFC 9162 §2.1.4.1 wants 0 < m: every tree begins with the empty one, so nothing would be proven
        raise MalformedProof("consistency proof", "from the empty tree")
    if old_size == new_size:
        if proof:
            raise MalformedProof("consistency proof", f"{len(proof)} hashes between equal sizes, expected none")
        if old_root != new_root:
            raise WrongRoot("consistency proof", f"two roots for size {old_size}")
        return
    # The proof climbs from the last complete subtree of the old tree, which is left out when it is the whole of it.
    shift = (old_size & -old_size).bit_length() - 1
    number = (old_size - 1) >> shift
    inner = (number ^ ((new_size - 1) >> shift)).bit_length()
    path = (old_root, *proof) if number == 0 else tuple(proof)
    if len(path) != 1 + inner + (number >> inner).bit_count():
        raise MalformedProof("consistency proof", f"{len(proof)} hashes from {old_size} to {new_size}")
    seed, siblings = path[0], path[1:]
    lefts = [hash_ for level, hash_ in enumerate(siblings) if level >= inner or number >> level & 1]
    if _climb(seed, 0, lefts, 0) != old_root:
        raise WrongRoot("consistency proof", f"does not begin with the tree of size {old_size}")
    if _climb(seed, number, siblings, inner) != new_root:
        raise WrongRoot("consistency proof", f"does not lead to the tree of size {new_size}")


def _check_hashes(subject: str, hashes: Sequence[bytes]) -> None:
    if len(hashes) > PROOF_HASHES_MAX:
        raise ProofTooLong(subject, f"{len(hashes)} hashes, at most {PROOF_HASHES_MAX}")
    if any(len(hash_) != HASH_BYTES for hash_ in hashes):
        raise MalformedProof(subject, f"a hash that is not {HASH_BYTES} bytes")


def _check_sizes(old_size: int, new_size: int) -> None:
    if not 0 <= old_size <= new_size <= SIZE_MAX:
        raise MalformedProof("Merkle proof", f"a tree of {old_size} within one of {new_size}")


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size <= SIZE_MAX:
        raise MalformedProof("inclusion proof", f"index {index} of {size}")


def _climb(seed: bytes, number: int, siblings: Sequence[bytes], inner: int) -> bytes:
    for level, sibling in enumerate(siblings):
        is_right = level >= inner or number >> level & 1
        seed = node_hash(sibling, seed) if is_right else node_hash(seed, sibling)
    return seed


# --- where hashes stand ----------------------------------------------------------------------------------------------


def _inclusion_spans(index: int, size: int) -> list[Span]:
    _check_index(index, size)
    return _siblings(index, 0, size)


def _consistency_spans(old_size: int, new_size: int) -> list[Span]:
    _check_sizes(old_size, new_size)
    if old_size in (0, new_size):
        return []
    level = (old_size & -old_size).bit_length() - 1
    spans = _siblings(old_size - 1, level, new_size)
    is_whole = old_size == 1 << level
    return spans if is_whole else [(old_size - (1 << level), old_size), *spans]


def _siblings(index: int, level: int, size: int) -> list[Span]:
    """The siblings met on the way from the node over leaf `index` at `level` up to the root."""
    inner = max(level, (index ^ (size - 1)).bit_length())
    spans = [((index >> at ^ 1) << at, ((index >> at ^ 1) + 1) << at) for at in range(level, inner)]
    if spans:
        spans[-1] = (spans[-1][0], size)  # the one right sibling that may be cut short by the end of the tree
    ups = (at for at in range(inner, index.bit_length()) if index >> at & 1)
    return spans + [((index >> at) - 1 << at, index >> at << at) for at in ups]


def _complete(span: Span) -> list[Span]:
    """The complete subtrees that make up a span, largest first."""
    start, end = span
    spans = []
    while start < end:
        width = 1 << ((end - start).bit_length() - 1)
        spans.append((start, start + width))
        start += width
    return spans


def _rows_of(spans: Iterable[Span]) -> tuple[int, ...]:
    rows = []
    for start, end in spans:
        width = end - start
        rows += [part_end - 1 for _, part_end in _complete((start, end))] if width & (width - 1) else [end - 1]
    return tuple(sorted(rows))


def _hash_of(span: Span, rows: Mapping[int, bytes]) -> bytes:
    width = span[1] - span[0]
    if width & (width - 1):
        return _fold([_stored_hash(part, rows) for part in _complete(span)])
    return _stored_hash(span, rows)


def _stored_hash(span: Span, rows: Mapping[int, bytes]) -> bytes:
    start, end = span
    offset = ((end - start).bit_length() - 1) * HASH_BYTES
    stored = rows.get(end - 1, b"")[offset : offset + HASH_BYTES]
    if len(stored) != HASH_BYTES:
        raise BrokenTree(f"row {end - 1}", f"no hash at offset {offset}")
    return stored


def _fold(roots: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, largest first."""
    folded = roots[-1]
    for root in reversed(roots[:-1]):
        folded = node_hash(root, folded)
    return folded
