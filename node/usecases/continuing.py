"""Continuing: a machine that has lost data takes its own logs back from other nodes before it says anything new.

What lives here: fetching what others hold, checking it, and what follows from the entries (standings, resources, how
much the ledger has lost). A machine that took another's place knows what the parent recorded; one that was restored
from a backup knows nothing, and believes what its own key has signed. What must not: joining (`joining.py`), or
deciding whose key counts (`federation/continuity.py`). Until it is done the node does not start: another entry in the
same place would be a fork.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, cast

import msgspec

from federation import canonical, catalogue, credit_log, directory
from federation.catalogue import DOCUMENT_BYTES_MAX, CatalogueEntry, ResourcePublished
from federation.checkpoints import VerifiedCheckpoint, open_checkpoint
from federation.directory import DirectoryEntry, LogPosition, apply_entry
from federation.errors import BadLog, LlnError, NotFound, PeerRefused, RemoteFault, Unavailable
from federation.keys import NodeKey
from federation.logs import Entry, LogHead, LogId, Page, Topic
from federation.merkle import frontier_at, rows_for_frontier
from federation.naming import NodeName, parent_of
from federation.notes import BadCheckpointSignature
from node.ports import Clock, HeldLog, Identity, ResourceRow, Store, Transaction
from node.usecases.regaining import count_lost

TIMEOUT_S: Final = 20.0
CHILD_TIMEOUT_S: Final = 5.0
ASKED_AT_ONCE: Final = 16
AUTHOR_LOST: Final = "?"


class NotAsRecorded(BadLog):
    code = "LLN-2422"
    zh = "上级送回的日志与它登记的不符，或与本机已有的条目矛盾，节点未启动。请联系上级核对。"
    en = "What the parent sent back is not what it recorded, or contradicts what is here; the node did not start."


class EntriesLost(BadLog):
    code = "LLN-2471"
    zh = (
        "本节点在备份之后签发过的日志条目，现在没有任何节点持有完整内容，节点未启动。"
        "请上级运行 lln invite --replace，本机移走 keys 和 trust 后用 lln join 换新密钥继续。"
    )
    en = (
        "Entries this node has signed since the backup are held by nobody, so it did not start. Have the parent run"
        " lln invite --replace, move keys/ and trust/ away here, and lln join with new keys."
    )


class NobodyToAsk(Unavailable):
    code = "LLN-1671"
    zh = "从备份恢复后要先向下级核对备份之后签发过的目录日志，但没有一个下级应答。请至少让一个下级节点运行起来再启动。"
    en = "A restored root first asks its children what it has said since the backup, and none answered. Bring one up."


class ContinuingHome(Protocol):
    def to_continue(self) -> tuple[LogPosition, ...]:
        """How far the parent held this node's logs when it joined; empty when there is nothing to fetch."""
        ...

    def is_restored(self) -> bool:
        """Whether the data here come from a backup, and nobody has been asked yet what was said since."""
        ...

    def continued(self) -> None:
        """What was to be continued has been fetched, durably."""
        ...

    def recalled(self) -> None:
        """What was said since the backup has been taken back, durably."""
        ...


class Recalls(Protocol):
    async def held(self, to: NodeName, *, timeout_s: float) -> Sequence[HeldLog]:
        """Which logs of the caller, and below it, the parent holds; raises as `node.ports.Peers`."""
        ...

    async def recall(self, to: NodeName, topic: str, start: int, *, timeout_s: float) -> Page:
        """Entries of the caller's own log as the peer holds them; raises as `node.ports.Peers`."""
        ...


class _Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """One page, ready to be stored: `head` after it."""

    head: LogHead
    rows: tuple[bytes, ...]
    entries: tuple[Entry, ...]


async def continue_logs(
    store: Store, *, home: ContinuingHome, peers: Recalls, identity: Identity, clock: Clock
) -> None:
    """Fetch what is missing here, seal it with the key in force, and forget that it was to be done.

    A crash leaves a verified part, and the next start fetches the rest. Raises PeerUnreachable, UntrustedPeer,
    PeerRefused or NotAsRecorded; the node then must not start.
    """
    parent, wanted = parent_of(identity.name, identity.root), home.to_continue()
    if parent is None or not wanted:
        return
    for position in wanted:
        log = LogId(origin=identity.name, topic=position.topic)
        stored = await store.read(lambda tx, log=log: tx.logs.get(log))  # type: ignore[misc]
        note = stored.note if stored else b""
        for page in await _fetch(peers, parent, stored.head if stored else LogHead(log=log), position):
            now_ms = clock.now_ms()
            await store.write(lambda tx, page=page, note=note, at_ms=now_ms: _store(tx, page, note, at_ms))  # type: ignore[misc]
    await store.write(lambda tx: _seal(tx, identity.name, [position.topic for position in wanted]))
    home.continued()


# --- after a restore -------------------------------------------------------------------------------------------------


async def recall_logs(
    store: Store,
    *,
    home: ContinuingHome,
    peers: Recalls,
    identity: Identity,
    clock: Clock,
    children: Sequence[NodeName],
) -> None:
    """Take back whatever this node has said since the backup that its data come from; nothing where there was none.

    The parent has to answer; of the `children` that can be dialled whoever answers is asked too, since they read the
    directory first hand, and a root has nobody else. What anybody brings counts only under a checkpoint that this
    node's own key has signed. A crash leaves a verified part. Raises as `continue_logs`, EntriesLost and NobodyToAsk;
    the node then must not start.
    """
    if not home.is_restored():
        return
    recalling = _Recalling(store, peers, identity, clock)
    parent = parent_of(identity.name, identity.root)
    topics: set[Topic] = {directory.TOPIC}
    if parent is not None:
        held = await peers.held(parent, timeout_s=TIMEOUT_S)
        topics |= {one.log.topic for one in held if one.log.origin == identity.name}
        for topic in sorted(topics & {one.log.topic for one in held if one.log.origin == identity.name}):
            await recalling.take(parent, topic, timeout_s=TIMEOUT_S)
    answered = await recalling.ask_children(children)
    if parent is None and children and not answered:
        raise NobodyToAsk(identity.name, f"{len(children)} asked")
    await recalling.finish(topics)
    home.recalled()


class _Recalling:
    """`promised`: the largest size of each log that this node's own key is known to have signed."""

    def __init__(self, store: Store, peers: Recalls, identity: Identity, clock: Clock) -> None:
        self._store = store
        self._peers = peers
        self._identity = identity
        self._clock = clock
        self._promised: dict[Topic, int] = {}

    async def ask_children(self, children: Sequence[NodeName]) -> bool:
        """Ask all of them how far they have read this node's directory, and take from those that are ahead of it."""
        log, size = LogId(origin=self._identity.name, topic=directory.TOPIC), await self._size(directory.TOPIC)
        slots, notes = asyncio.Semaphore(ASKED_AT_ONCE), dict[NodeName, int]()

        async def ask(child: NodeName) -> None:
            async with slots:
                try:
                    page = await self._peers.recall(child, log.topic, size, timeout_s=CHILD_TIMEOUT_S)
                except PeerRefused as refusal:
                    if NotFound.code in str(refusal):  # any other refusal tells nothing of what it holds
                        notes[child] = 0
                except RemoteFault:
                    return
                else:
                    opened = self._opened(log, page.checkpoint_note)
                    notes[child] = opened.size if opened else 0

        async with asyncio.TaskGroup() as together:
            for child in children:
                together.create_task(ask(child))
        for child in sorted(notes, key=lambda name: (-notes[name], name)):
            if notes[child] > await self._size(directory.TOPIC):
                await self.take(child, directory.TOPIC, timeout_s=CHILD_TIMEOUT_S)
        return bool(notes)

    async def take(self, source: NodeName, topic: Topic, *, timeout_s: float) -> None:
        """Whatever `source` holds of an own log beyond what is here, if it adds up to what this node has signed."""
        log = LogId(origin=self._identity.name, topic=topic)
        stored = await self._store.read(lambda tx: tx.logs.get(log))
        head, pages, note = stored.head if stored else LogHead(log=log), [], b""
        while True:
            page = await self._peers.recall(source, topic, head.size, timeout_s=timeout_s)
            if page.log != log:
                raise NotAsRecorded(str(log), f"{source} answered with {page.log}")
            note = page.checkpoint_note
            if not page.entries or page.start != head.size:
                break
            extended = head.frontier.extend([entry.leaf_hash for entry in page.entries])
            head = LogHead(log=log, frontier=extended.frontier)
            pages.append(_Fetched(head=head, rows=tuple(extended.rows), entries=page.entries))
        signed = self._opened(log, note)
        if signed is None:
            return
        self._promised[topic] = max(self._promised.get(topic, 0), signed.size)
        if signed.size > head.size:  # a copy that was being received when its source lost this node
            return
        found = head if signed.size == head.size else await self._head_at(log, signed.size)
        if found.root() != signed.root:
            raise NotAsRecorded(str(log), f"{source} holds another tree of {signed.size} entries, signed by this node")
        before = stored.note if stored else b""
        for fetched in pages:
            now_ms = self._clock.now_ms()
            await self._store.write(lambda tx, page=fetched, at_ms=now_ms: _store(tx, page, before, at_ms))  # type: ignore[misc]

    async def finish(self, topics: set[Topic]) -> None:
        """Nothing that was promised may be missing; then every log is sealed as it stands."""
        for topic in sorted(topics):
            size, promised = await self._size(topic), self._promised.get(topic, 0)
            if size < promised:
                raise EntriesLost(f"{self._identity.name}/{topic}", f"signed up to {promised}, found {size}")
        await self._store.write(lambda tx: _seal(tx, self._identity.name, sorted(topics)))

    async def _size(self, topic: Topic) -> int:
        log = LogId(origin=self._identity.name, topic=topic)
        stored = await self._store.read(lambda tx: tx.logs.get(log))
        return stored.head.size if stored else 0

    async def _head_at(self, log: LogId, size: int) -> LogHead:
        rows: Mapping[int, bytes] = await self._store.read(lambda tx: tx.logs.hash_rows(log, rows_for_frontier(size)))
        return LogHead(log=log, frontier=frontier_at(size, rows))

    def _opened(self, log: LogId, note: bytes) -> VerifiedCheckpoint | None:
        """None for one of a former key of this node, which the key in force has continued long since."""
        if not note:
            return None
        try:
            return open_checkpoint(note, origin=log.origin_line, key=NodeKey.parse(self._identity.did))
        except BadCheckpointSignature:
            return None


# --- pages of one's own log ------------------------------------------------------------------------------------------


async def _fetch(peers: Recalls, parent: NodeName, head: LogHead, position: LogPosition) -> Sequence[_Fetched]:
    """Everything from `head` to the position, verified as a whole before any of it is stored."""
    pages: list[_Fetched] = []
    while head.size < position.size:
        page = await peers.recall(parent, position.topic, head.size, timeout_s=TIMEOUT_S)
        entries = page.entries[: position.size - head.size]
        if page.log != head.log or page.start != head.size or not entries:
            raise NotAsRecorded(str(head.log), f"{len(page.entries)} entries from {page.start}, wanted {head.size}")
        extended = head.frontier.extend([entry.leaf_hash for entry in entries])
        head = LogHead(log=head.log, frontier=extended.frontier)
        pages.append(_Fetched(head=head, rows=tuple(extended.rows), entries=entries))
    if head.size == position.size and head.root().hex() != position.root:
        raise NotAsRecorded(str(head.log), f"another tree at {position.size}")
    return pages


def _store(tx: Transaction, page: _Fetched, note: bytes, at_ms: int) -> None:
    tx.logs.extend(page.head, page.rows, page.entries, note, at_ms)
    first = page.head.size - len(page.entries)
    for at, entry in enumerate(page.entries):
        if entry.document is None:
            continue
        if page.head.log.topic == directory.TOPIC:
            _take_standing(tx, entry.document)
        elif page.head.log.topic == credit_log.TOPIC:
            count_lost(tx, entry.document, first + at + 1)
        elif page.head.log.topic == catalogue.TOPIC:
            _take_resource(tx, entry.document, first + at, at_ms)


def _take_standing(tx: Transaction, document: bytes) -> None:
    said = cast("DirectoryEntry", canonical.decode(document, DirectoryEntry, bytes_max=DOCUMENT_BYTES_MAX))
    tx.standings.put(apply_entry(tx.standings.get(NodeName(said.authority), NodeName(said.name)), said))


def _take_resource(tx: Transaction, document: bytes, index: int, at_ms: int) -> None:
    """The row as the log knows it: who wrote it is not in the log, so that, where no row of it was left, anybody may
    review the next version.
    """
    try:
        said = cast("CatalogueEntry", canonical.decode(document, CatalogueEntry, bytes_max=DOCUMENT_BYTES_MAX))
    except LlnError:  # an entry of a later version of this program stays in the log, and has no row here
        return
    if isinstance(said, ResourcePublished):
        left = tx.resources.get(said.resource.id)
        row = ResourceRow(
            id=said.resource.id,
            resource=said.resource,
            state="published",
            author=left.author if left else AUTHOR_LOST,
            review=said.review,
            published=said.resource,
            log_index=index,
            updated_at_ms=at_ms,
        )
        tx.resources.put([row])
        return
    held = tx.resources.get(said.id)
    if held is not None:
        gone = msgspec.structs.replace(
            held, state="withdrawn", remark=said.reason, published=None, log_index=index, updated_at_ms=at_ms
        )
        tx.resources.put([gone])


def _seal(tx: Transaction, name: NodeName, topics: Sequence[Topic]) -> None:
    for topic in topics:
        tx.logs.append(LogId(origin=name, topic=topic), [])
