"""A node's logs: growing one's own, and accepting a page of somebody else's.

What lives here: what a log is called, what an entry and a page are, and the one door by which a page comes in. What
must not: Merkle arithmetic (`merkle.py`), the form of notes (`notes.py`), what documents mean, or how far a peer has
come (`sync.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, islice
from typing import Final, Literal, Self, cast, get_args

import msgspec

from federation import merkle
from federation.canonical import MalformedDocument
from federation.checkpoints import (
    Checkpoint,
    VerifiedCheckpoint,
    WrongOrigin,
    open_checkpoint,
    unverified_checkpoint,
)
from federation.errors import BadLog
from federation.keys import NodeKey
from federation.merkle import HASH_BYTES, Extended, Frontier, Hashes, ProofTooLong, WrongRoot
from federation.naming import MalformedName, NodeName, parse_name

ENTRIES_MAX: Final = 500
PAGE_BYTES_MAX: Final = 1024 * 1024
"""Of documents and withheld hashes together; the note, the proof and the wire's own framing come on top."""
DOCUMENT_BYTES_MAX: Final = 64 * 1024

Topic = Literal["directory", "catalogue", "credits"]
TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)


class LogGap(BadLog):
    """Its `held_size` is where the next page must start, or before."""

    code = "LLN-247"
    zh = "日志页没有接上已保存的部分。对方应从已保存的大小处重新发送。"
    en = "The page does not follow on what is held. The sender should start again at the held size."

    def __init__(self, subject: str, detail: str, *, held_size: int) -> None:
        super().__init__(subject, detail)
        self.held_size = held_size


class CheckpointShrank(BadLog):
    code = "LLN-248"
    zh = "检查点比已保存的更小：日志只能增长。请核对对方是否从旧备份恢复。"
    en = "The checkpoint is smaller than the one held, though logs only grow. Was the peer restored from an old backup?"


class LogForked(BadLog):
    """Its notes `one` (held) and `other` (found) are both signed by the log's node and cannot both be true."""

    code = "LLN-249"
    zh = "同一份日志签出了两种互相矛盾的历史，已保留证据。请联系该节点的上级。"
    en = "One log has signed two histories that contradict each other. The evidence is kept; tell the node's authority."

    def __init__(self, subject: str, detail: str, *, one: bytes, other: bytes) -> None:
        super().__init__(subject, detail)
        self.one = one
        self.other = other


class OversizePage(BadLog):
    code = "LLN-2411"
    zh = "日志页过大：最多 500 条、1 MiB，每条文档最多 64 KiB。"
    en = "The page is too large: at most 500 entries and 1 MiB together, and 64 KiB a document."


class MalformedPage(BadLog):
    code = "LLN-2412"
    zh = "日志页自相矛盾或超出其检查点，已拒绝。"
    en = "The page contradicts itself or runs past its checkpoint; it was refused."


class LogId(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Which log: the name of the node that speaks, and what it speaks of."""

    origin: NodeName
    topic: Topic

    @property
    def origin_line(self) -> str:
        """The first line of its checkpoints (tlog-checkpoint, Note text)."""
        return f"{self.origin}/{self.topic}"

    @classmethod
    def parse(cls, origin_line: str) -> Self:
        """Read an origin line; raises WrongOrigin."""
        name, _, topic = origin_line.partition("/")
        if topic in TOPICS:
            try:
                log = cls(origin=parse_name(name), topic=topic)
            except MalformedName as error:
                raise WrongOrigin(origin_line[:300], "not the name of a node") from error
            if log.origin_line == origin_line:
                return log
        raise WrongOrigin(origin_line[:300], "expected <node name>/<topic>")

    def __str__(self) -> str:
        return self.origin_line


class LogHead(msgspec.Struct, frozen=True, kw_only=True):
    """How far a log is held, verified."""

    log: LogId
    frontier: Frontier = Frontier()

    @property
    def size(self) -> int:
        return self.frontier.size

    def root(self) -> bytes:
        return self.frontier.root()

    def checkpoint(self) -> Checkpoint:
        """What the log's own node signs at this size."""
        return Checkpoint(origin=self.log.origin_line, size=self.size, root=self.root())


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry as it travels and is kept: in full, or withheld, when only its leaf hash is there.

    A full entry has no hash of its own that anybody could believe: it is computed from the document.
    """

    document: bytes | None
    withheld_hash: bytes = b""

    @classmethod
    def full(cls, document: bytes) -> Self:
        return cls(document=document)

    @classmethod
    def withheld(cls, leaf_hash: bytes) -> Self:
        return cls(document=None, withheld_hash=leaf_hash)

    @property
    def leaf_hash(self) -> bytes:
        return self.withheld_hash if self.document is None else merkle.leaf_hash(self.document)


def leaf_hashes_of(entries: Sequence[Entry]) -> list[bytes]:
    """The leaf hash of each entry, in order."""
    documents = [entry.document for entry in entries]
    if None not in documents:
        return merkle.leaf_hashes(cast("list[bytes]", documents))
    return [entry.leaf_hash for entry in entries]


def _sizes_of(entries: Sequence[Entry]) -> list[int]:
    return [len(entry.withheld_hash if entry.document is None else entry.document) for entry in entries]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A run of entries from `start`, a signed checkpoint, and the proof from the page's end to that checkpoint."""

    log: LogId
    start: int
    entries: tuple[Entry, ...]
    checkpoint_note: bytes
    consistency_proof: Hashes = ()

    @property
    def end(self) -> int:
        return self.start + len(self.entries)


# --- the sender's side -----------------------------------------------------------------------------------------------


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """A grown log, and the hash rows (`merkle.py`) of its new entries in order."""

    head: LogHead
    rows: list[bytes]


def append(head: LogHead, documents: Sequence[bytes]) -> Appended:
    """The log with `documents` appended; raises MalformedDocument for one beyond 64 KiB."""
    if max(map(len, documents), default=0) > DOCUMENT_BYTES_MAX:
        raise MalformedDocument(str(head.log), f"a document of more than {DOCUMENT_BYTES_MAX} bytes")
    extended = head.frontier.extend(merkle.leaf_hashes(documents))
    return Appended(head=LogHead(log=head.log, frontier=extended.frontier), rows=extended.rows)


def take_page(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """As many of the entries, from the first on, as one page may carry: at least one, if there is one."""
    found = list(islice(entries, ENTRIES_MAX))
    sizes = _sizes_of(found)
    if sum(sizes) <= PAGE_BYTES_MAX:
        return tuple(found)
    fitting = sum(1 for so_far in accumulate(sizes) if so_far <= PAGE_BYTES_MAX)
    return tuple(found[: max(1, fitting)])


def rows_for_page(end: int, note: bytes) -> tuple[int, ...]:
    """The hash rows that `make_page` reads for a page that ends at `end` under the checkpoint in `note`."""
    return merkle.rows_for_consistency(end, unverified_checkpoint(note).size)


def make_page(log: LogId, *, start: int, entries: Sequence[Entry], note: bytes, rows: Mapping[int, bytes]) -> Page:
    """A page under a checkpoint that the sender holds whole; raises MalformedProof, BrokenTree."""
    end, size = start + len(entries), unverified_checkpoint(note).size
    proof = merkle.consistency_proof(end, size, rows)
    return Page(log=log, start=start, entries=tuple(entries), checkpoint_note=note, consistency_proof=proof)


# --- the receiver's side ---------------------------------------------------------------------------------------------


class AcceptedPage(msgspec.Struct, frozen=True, kw_only=True):
    """What a page added, every bit of it verified: store it in one transaction.

    `rows` belong to the last `len(rows)` entries of the page; the first `skipped` were held already. `checkpoint` is
    the one to hold from now on; it may reach beyond `head`, when more pages are to come.
    """

    head: LogHead
    rows: list[bytes]
    checkpoint: VerifiedCheckpoint
    skipped: int


def accept_page(head: LogHead, page: Page, *, key: NodeKey, held_checkpoint: VerifiedCheckpoint | None) -> AcceptedPage:
    """Verify one page by itself against what is held; nothing of it may be used unless this returns.

    `key` is the node key of the log's own node, whoever relays the page. An empty page brings a newer checkpoint alone.
    Raises WrongOrigin, OversizePage, MalformedPage, ProofTooLong, LogGap, MalformedNote, BadCheckpointSignature,
    CheckpointShrank, LogForked, MalformedProof, WrongRoot; none of them leaves anything changed.
    """
    # 1. The page is of this log, and within bounds.
    if page.log != head.log:
        raise WrongOrigin(str(head.log), f"the page is of {page.log}")
    _check_bounds(page)
    # 2. It follows on what is held; entries that are held already are a harmless repeat.
    if page.start > head.size:
        raise LogGap(str(head.log), f"held {head.size}, the page starts at {page.start}", held_size=head.size)
    # 3. The log's node has signed the checkpoint (signed-note, Signatures; tlog-checkpoint, Signatures).
    checkpoint = open_checkpoint(page.checkpoint_note, origin=head.log.origin_line, key=key)
    # 4. It is not older than the one held, and does not contradict it (tlog-checkpoint, Signatures).
    if held_checkpoint is not None:
        _check_growth(head.log, held_checkpoint, checkpoint)
    if page.end > checkpoint.size:
        raise MalformedPage(str(head.log), f"ends at {page.end}, its checkpoint at {checkpoint.size}")
    # 5. A full entry's leaf hash is computed here, never believed (RFC 9162 §2.1.1).
    skipped = min(head.size - page.start, len(page.entries))
    extended = head.frontier.extend(leaf_hashes_of(page.entries[skipped:]))
    # 6. The log up to the page's end is the beginning of what was signed (RFC 9162 §2.1.4.2).
    if page.end < head.size:
        return _only_repeated(head, held_checkpoint, checkpoint, skipped)
    _check_root(head.log, extended.frontier, checkpoint, page.consistency_proof)
    # 7. The checkpoint held before, if this page has reached it, was of the same history.
    if held_checkpoint is not None:
        _check_reached(head, extended, held_checkpoint, checkpoint)
    grown = LogHead(log=head.log, frontier=extended.frontier)
    return AcceptedPage(head=grown, rows=extended.rows, checkpoint=checkpoint, skipped=skipped)


def _check_bounds(page: Page) -> None:
    subject = str(page.log)
    if page.start < 0:
        raise MalformedPage(subject, f"starts at {page.start}")
    if len(page.consistency_proof) > merkle.PROOF_HASHES_MAX:
        raise ProofTooLong(subject, f"{len(page.consistency_proof)} hashes, at most {merkle.PROOF_HASHES_MAX}")
    if len(page.entries) > ENTRIES_MAX:
        raise OversizePage(subject, f"{len(page.entries)} entries, at most {ENTRIES_MAX}")
    sizes = _sizes_of(page.entries)
    if max(sizes, default=0) > DOCUMENT_BYTES_MAX:
        raise OversizePage(subject, f"a document of {max(sizes)} bytes, at most {DOCUMENT_BYTES_MAX}")
    if sum(sizes) > PAGE_BYTES_MAX:
        raise OversizePage(subject, f"{sum(sizes)} bytes, at most {PAGE_BYTES_MAX}")
    for entry in page.entries:
        if entry.document is None and len(entry.withheld_hash) != HASH_BYTES:
            raise MalformedPage(subject, f"a withheld entry with a hash of {len(entry.withheld_hash)} bytes")


def _check_growth(log: LogId, held: VerifiedCheckpoint, found: VerifiedCheckpoint) -> None:
    if found.size < held.size:
        raise CheckpointShrank(str(log), f"held {held.size}, got {found.size}")
    if found.size == held.size and found.root != held.root:
        raise LogForked(str(log), f"two roots for size {held.size}", one=held.note, other=found.note)


def _check_root(log: LogId, frontier: Frontier, checkpoint: VerifiedCheckpoint, proof: Hashes) -> None:
    if frontier.size == 0:  # the empty log begins every log, and there is nothing to prove
        if proof or (checkpoint.size == 0 and checkpoint.root != merkle.EMPTY_ROOT):
            raise MalformedPage(str(log), "a proof from nothing, or a root of nothing")
        return
    try:
        merkle.verify_consistency(frontier.size, frontier.root(), checkpoint.size, checkpoint.root, proof)
    except WrongRoot as error:
        raise WrongRoot(str(log), f"the first {frontier.size} entries do not begin what was signed") from error


def _check_reached(head: LogHead, extended: Extended, held: VerifiedCheckpoint, found: VerifiedCheckpoint) -> None:
    """Two signed checkpoints of different size, and entries between them that fit the one and not the other.

    A page that fails at step 6 proves no fork: whoever relayed it may have spoilt it.
    """
    if not head.size < held.size <= extended.frontier.size or held.size == found.size:
        return
    rows = extended.rows[: held.size - head.size]
    if head.frontier.extend([row[:HASH_BYTES] for row in rows]).frontier.root() != held.root:
        raise LogForked(str(head.log), f"sizes {held.size} and {found.size}", one=held.note, other=found.note)


def _only_repeated(
    head: LogHead, held: VerifiedCheckpoint | None, found: VerifiedCheckpoint, skipped: int
) -> AcceptedPage:
    """A page that ends before what is held says nothing new, unless its checkpoint is of exactly what is held."""
    if found.size == head.size:
        _check_root(head.log, head.frontier, found, ())
        held = found
    if held is None:
        raise MalformedPage(str(head.log), "only repeats, under a checkpoint that nothing held can confirm")
    return AcceptedPage(head=head, rows=[], checkpoint=held, skipped=skipped)
