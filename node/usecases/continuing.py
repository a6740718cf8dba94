"""Continuing: a machine that has lost its data takes its own logs back from its parent before it says anything new.

What lives here: fetching what the parent holds, checking it against what the parent recorded, and what follows from the
entries (standings, resources). What must not: joining (`joining.py`), or deciding whose key counts
(`federation/continuity.py`). Until it is done the node does not start: another first entry would be a fork.
"""

from collections.abc import Sequence
from typing import Final, Protocol, cast

import msgspec

from federation import canonical, catalogue, directory
from federation.catalogue import DOCUMENT_BYTES_MAX, CatalogueEntry, ResourcePublished
from federation.directory import DirectoryEntry, LogPosition, apply_entry
from federation.errors import BadLog, LlnError
from federation.logs import Entry, LogHead, LogId, Page
from federation.naming import NodeName, parent_of
from node.ports import Clock, Identity, ResourceRow, Store, Transaction

TIMEOUT_S: Final = 20.0
AUTHOR_LOST: Final = "?"


class NotAsRecorded(BadLog):
    code = "LLN-2422"
    zh = "上级送回的日志与它登记的不符，或与本机已有的条目矛盾，节点未启动。请联系上级核对。"
    en = "What the parent sent back is not what it recorded, or contradicts what is here; the node did not start."


class ContinuingHome(Protocol):
    def to_continue(self) -> tuple[LogPosition, ...]:
        """How far the parent held this node's logs when it joined; empty when there is nothing to fetch."""
        ...

    def continued(self) -> None:
        """Everything has been fetched, durably."""
        ...


class Recalls(Protocol):
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
    await store.write(lambda tx: _seal(tx, identity.name, wanted))
    home.continued()


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
        elif page.head.log.topic == catalogue.TOPIC:
            _take_resource(tx, entry.document, first + at, at_ms)


def _take_standing(tx: Transaction, document: bytes) -> None:
    said = cast("DirectoryEntry", canonical.decode(document, DirectoryEntry, bytes_max=DOCUMENT_BYTES_MAX))
    tx.standings.put(apply_entry(tx.standings.get(NodeName(said.authority), NodeName(said.name)), said))


def _take_resource(tx: Transaction, document: bytes, index: int, at_ms: int) -> None:
    """The row as the log knows it: who wrote it is not in the log, so that anybody may review the next version."""
    try:
        said = cast("CatalogueEntry", canonical.decode(document, CatalogueEntry, bytes_max=DOCUMENT_BYTES_MAX))
    except LlnError:  # an entry of a later version of this program stays in the log, and has no row here
        return
    if isinstance(said, ResourcePublished):
        row = ResourceRow(
            id=said.resource.id,
            resource=said.resource,
            state="published",
            author=AUTHOR_LOST,
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


def _seal(tx: Transaction, name: NodeName, positions: Sequence[LogPosition]) -> None:
    for position in positions:
        tx.logs.append(LogId(origin=name, topic=position.topic), [])
