"""Accepting: pages of other nodes' logs come in, are verified whole, and are kept.

What lives here: who may bring which log, the checks before anything is stored, cosigning, and proof of forks. What must
not: sending (`forwarding.py`) or asking for pages (`following.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final, cast

import msgspec

from federation import canonical, directory
from federation.catalogue import DOCUMENT_BYTES_MAX
from federation.checkpoints import add_cosignature, cosign, open_checkpoint
from federation.continuity import Signers
from federation.directory import DirectoryEntry, Standing, apply_entry
from federation.errors import BadLog, RefusedCall, Unavailable
from federation.keys import NodeKey
from federation.logs import AcceptedPage, Entry, LogForked, LogHead, LogId, Page, Topic, accept_page
from federation.naming import NameField, NodeName, is_within, parent_of
from federation.notes import BadCheckpointSignature
from node.ports import (
    Clock,
    Delivered,
    ForkEvidence,
    Holding,
    Identity,
    OutboxItem,
    Outcome,
    PushReceipt,
    Store,
    StoredLog,
    Transaction,
)

CONFIRMED_AHEAD_MS_MAX = 120_000
FORK_KIND: Final = "log.fork"
FORK_BYTES_MAX: Final = 65_536


class NotTheirLog(RefusedCall):
    code = "LLN-2201"
    zh = "对端只能送来自己和下级的日志。"
    en = "A peer may bring only its own logs and those of nodes below it."


class OriginUnknown(RefusedCall):
    code = "LLN-2202"
    zh = "还不认识这份日志的来源节点：其上级的目录日志应先送达。"
    en = "The log's origin is not known here yet: the directory log of its authority has to arrive first."


class NotTheirMatter(RefusedCall):
    code = "LLN-2204"
    zh = "对端只能报告自己下级的日志分叉。"
    en = "A peer may report forks only of logs of its own or of nodes below it."


class ForkTooEarly(Unavailable):
    code = "LLN-1669"
    zh = "还不认识分叉日志的来源节点，其上级的目录日志送达后再处理这份报告。"
    en = "The origin of the log that forked is not known here yet; the report waits for the directory that names it."


class ForkReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two signed notes of one log that cannot both be true."""

    origin: NameField
    topic: Topic
    one: bytes
    other: bytes
    found_by: NameField


class DirectoryEntryRefused(BadLog):
    code = "LLN-2420"
    zh = "目录日志中的条目不成立：它说的不是自己的下级，或与之前的条目矛盾。"
    en = (
        "An entry of a directory log does not hold: it speaks of somebody else's child, or contradicts earlier entries."
    )


class Accepting:
    """The one way in for entries that other nodes have signed."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        identity: Identity,
        lineage_keys: Callable[[], Mapping[NodeName, NodeKey]],
    ) -> None:
        """`lineage_keys`: the node keys of this node and of every authority above it, as its own chain records them."""
        self._store = store
        self._clock = clock
        self._identity = identity
        self._lineage_keys = lineage_keys

    async def accept_pushed(self, caller: NodeName, page: Page, confirmed_at_ms: int) -> PushReceipt:
        """Take in a page that a child brings, of its own log or of one below it.

        The answer is durable before it is given: a crash after it leaves the page, the checkpoint and the cosignature.
        """
        if not is_within(NodeName(page.log.origin), caller):
            raise NotTheirLog(page.log.origin_line, f"brought by {caller}")
        is_own = page.log.origin == caller
        now_ms = self._clock.now_ms()
        confirmed = now_ms if is_own else min(confirmed_at_ms, now_ms + CONFIRMED_AHEAD_MS_MAX)
        return await self._store_or_report(page, confirmed, found_by=caller, cosigned=is_own)

    async def accept_read(self, page: Page, *, from_node: NodeName) -> PushReceipt:
        """Take in a page of the parent's own log that this node asked for; the signed answer confirms it as of now."""
        if page.log.origin != from_node:
            raise NotTheirLog(page.log.origin_line, f"answered by {from_node}")
        return await self._store_or_report(page, self._clock.now_ms(), found_by=self._identity.name, cosigned=False)

    async def receive_fork(self, sender: NodeName, document: bytes) -> Callable[[Transaction], bytes]:
        """Keep a fork that a child reports, and report it on; `node.ports.Receives` of FORK_KIND.

        Refuses what the two notes do not prove (BadLog), and what is none of the sender's business (NotTheirMatter).
        Where the log's origin is not known here yet, its directory is on its way, and the report waits for it.
        """
        report = canonical.decode(document, ForkReport, bytes_max=FORK_BYTES_MAX)
        origin = NodeName(report.origin)
        log = LogId(origin=origin, topic=report.topic)
        if not is_within(origin, sender):
            raise NotTheirMatter(log.origin_line, f"reported by {sender}")
        evidence = ForkEvidence(
            log=log,
            one=report.one,
            other=report.other,
            found_by=NodeName(report.found_by),
            found_at_ms=self._clock.now_ms(),
        )

        def unit(tx: Transaction) -> bytes:
            try:
                self._check_fork(tx, evidence)
            except OriginUnknown as unknown:
                raise ForkTooEarly(unknown.subject, unknown.detail) from unknown
            self._keep_fork(tx, evidence)
            return b""

        return unit

    def settle_fork(self, tx: Transaction, item: OutboxItem, outcome: Outcome) -> None:
        """The parent has the proof, or will not have it; `node.ports.Settles` of FORK_KIND."""
        told = isinstance(outcome, Delivered)
        for fork in tx.logs.forks() if told else ():
            if _fork_id(fork) == item.id:
                tx.logs.add_fork(msgspec.structs.replace(fork, reported=True))

    async def _store_or_report(
        self, page: Page, confirmed_at_ms: int, *, found_by: NodeName, cosigned: bool
    ) -> PushReceipt:
        try:
            return await self._store.write(lambda tx: self._take(tx, page, confirmed_at_ms, cosigned=cosigned))
        except LogForked as fork:
            evidence = ForkEvidence(
                log=page.log, one=fork.one, other=fork.other, found_by=found_by, found_at_ms=self._clock.now_ms()
            )
            await self._store.write(lambda tx: self._keep_fork(tx, evidence))
            raise

    def _take(self, tx: Transaction, page: Page, confirmed_at_ms: int, *, cosigned: bool) -> PushReceipt:
        signers = self._signers_of(tx, NodeName(page.log.origin))
        stored = tx.logs.get(page.log)
        head = stored.head if stored else LogHead(log=page.log)
        held = signers.held(stored.note, page.log) if stored and stored.note else None
        key = signers.key_for(page.checkpoint_note, page.log)
        accepted = accept_page(head, page, key=key, held_checkpoint=held)
        entries = page.entries[accepted.skipped :]
        signers.check_passed(head, entries)
        if page.log.topic == directory.TOPIC:
            for standing in self._judge_directory(tx, page.log, entries):
                tx.standings.put(standing)
        note = _note_to_keep(stored, accepted, key)
        cosignature = b""
        if cosigned and accepted.head.size == accepted.checkpoint.size:
            cosignature = cosign(
                note, accepted.checkpoint, self._identity.name, self._identity, self._clock.now_ms() // 1_000
            )
            note = add_cosignature(note, cosignature)
        if accepted.rows:
            tx.logs.extend(accepted.head, accepted.rows, entries, note, confirmed_at_ms)
        else:
            self._confirm(tx, stored, accepted.head, note, confirmed_at_ms)
        return PushReceipt(size=accepted.head.size, cosignature=cosignature, holdings=tuple(tx.logs.holdings(page.log)))

    def _confirm(
        self, tx: Transaction, stored: StoredLog | None, head: LogHead, note: bytes, confirmed_at_ms: int
    ) -> None:
        if stored is None:
            tx.logs.extend(head, (), (), note, confirmed_at_ms)
        else:
            tx.logs.confirm(stored.log, note, max(confirmed_at_ms, stored.confirmed_at_ms))

    def _signers_of(self, tx: Transaction, origin: NodeName) -> Signers:
        """The node keys that sign, and have signed, `origin`'s logs, as its authority's directory records them."""
        authority = parent_of(origin, self._identity.root)
        standing = tx.standings.get(authority, origin) if authority else None
        key = NodeKey.parse(standing.key) if standing else self._lineage_keys().get(origin)
        if key is None:
            raise OriginUnknown(origin, "no directory held here names it")
        return Signers(key=key, former=standing.former_keys if standing else (), is_above=standing is None)

    def _judge_directory(self, tx: Transaction, log: LogId, entries: Sequence[Entry]) -> list[Standing]:
        changed: dict[NodeName, Standing] = {}
        for entry in entries:
            if entry.document is None:
                raise DirectoryEntryRefused(log.origin_line, "directory entries are never withheld")
            said = _read_directory_entry(entry.document)
            name = NodeName(said.name)
            if said.authority != log.origin or parent_of(name, self._identity.root) != log.origin:
                raise DirectoryEntryRefused(log.origin_line, f"{name} is not its child")
            before = changed.get(name) or tx.standings.get(NodeName(log.origin), name)
            changed[name] = _follow(before, said, log)
        return list(changed.values())

    def _check_fork(self, tx: Transaction, evidence: ForkEvidence) -> None:
        signers = self._signers_of(tx, NodeName(evidence.log.origin))
        one, other = (
            open_checkpoint(note, origin=evidence.log.origin_line, key=signers.key_for(note, evidence.log))
            for note in (evidence.one, evidence.other)
        )
        if one.size == other.size and one.root == other.root:
            raise BadLog(evidence.log.origin_line, "the two notes agree, so they prove no fork")

    def _keep_fork(self, tx: Transaction, evidence: ForkEvidence) -> None:
        """Proof that is new goes into the outbox to the parent with the same commit that keeps it."""
        item_id = _fork_id(evidence)
        if any(_fork_id(fork) == item_id for fork in tx.logs.forks()):
            return
        tx.logs.add_fork(evidence)
        parent = parent_of(self._identity.name, self._identity.root)
        if parent is not None:
            report = ForkReport(
                origin=NodeName(evidence.log.origin),
                topic=evidence.log.topic,
                one=evidence.one,
                other=evidence.other,
                found_by=evidence.found_by,
            )
            tx.outbox.add(parent, FORK_KIND, canonical.encode(report), item_id, self._clock.now_ms())


def _fork_id(evidence: ForkEvidence) -> str:
    """The same whichever of the two notes came first."""
    log = f"{evidence.log.origin_line}\n".encode()
    return f"fork-{sha256(log + b''.join(sorted((evidence.one, evidence.other)))).hexdigest()[:40]}"


def with_own_holding(receipt: PushReceipt, own: Holding) -> PushReceipt:
    """The receipt as it goes out: this node's own holding first, then those above it."""
    return msgspec.structs.replace(receipt, holdings=(own, *receipt.holdings))


def _note_to_keep(stored: StoredLog | None, accepted: AcceptedPage, key: NodeKey) -> bytes:
    """The newest note; the held one stays when the same checkpoint comes again with fewer cosignatures.

    Not so where a former key has signed the held one: nobody further up would take it any more.
    """
    found = accepted.checkpoint.note
    if stored is None or not stored.note or len(stored.note) < len(found):
        return found
    if stored.note.partition(b"\n\n")[0] != found.partition(b"\n\n")[0]:
        return found
    try:
        return open_checkpoint(stored.note, origin=stored.log.origin_line, key=key).note
    except BadCheckpointSignature:
        return found


def _read_directory_entry(document: bytes) -> DirectoryEntry:
    return cast("DirectoryEntry", canonical.decode(document, DirectoryEntry, bytes_max=DOCUMENT_BYTES_MAX))


def _follow(before: Standing | None, said: DirectoryEntry, log: LogId) -> Standing:
    try:
        return apply_entry(before, said)
    except directory.IllegalTransition as illegal:
        raise DirectoryEntryRefused(log.origin_line, str(illegal)) from illegal
