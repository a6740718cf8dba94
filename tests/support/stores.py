"""Stores under test, one way to open each engine's, and what must hold of a log in any of them."""

from contextlib import asynccontextmanager
from pathlib import Path

from federation.checkpoints import open_checkpoint, sign_checkpoint
from federation.keys import KeyInMemory
from federation.logs import LogId
from federation.merkle import Frontier, leaf_hashes
from federation.naming import NodeName
from node.storage.sqlite_store import open_sqlite

KEY = KeyInMemory(b"\7" * 32)
OWN = LogId(origin=NodeName("school.lln.internal"), topic="catalogue")
OWN_DIRECTORY = LogId(origin=NodeName("school.lln.internal"), topic="directory")
OTHER = LogId(origin=NodeName("other.lln.internal"), topic="catalogue")
NOW_MS = 1_000


def seal(head):
    return sign_checkpoint(head.checkpoint(), KEY)


@asynccontextmanager
async def opened(place: Path | str, *, sealing=seal):
    """The store at a path (SQLite) or a connection string (PostgreSQL)."""
    if isinstance(place, Path):
        async with open_sqlite(place, own_node=OWN.origin, seal=sealing, now_ms=lambda: NOW_MS) as store:
            yield store
        return
    from node.storage.postgres_store import open_postgres  # noqa: PLC0415  # not everybody has the driver

    async with open_postgres(place, own_node=OWN.origin, seal=sealing, now_ms=lambda: NOW_MS) as store:
        yield store


async def check_log_holds_together(store, size=None, *, log=OWN, key=KEY):
    """Recompute the root from the entries: it is the frontier's and the signed checkpoint's; returns the documents."""
    stored, entries = await store.read(lambda tx: (tx.logs.get(log), tx.logs.entries(log, 0, 1_000_000)))
    size = stored.head.size if size is None else size
    assert len(entries) == stored.head.size == size
    recomputed = Frontier().extend(leaf_hashes([entry.document for entry in entries]))
    checkpoint = open_checkpoint(stored.note, origin=log.origin_line, key=key.public)
    assert (checkpoint.size, checkpoint.root) == (size, recomputed.frontier.root())
    assert stored.head.frontier == recomputed.frontier
    rows = await store.read(lambda tx: tx.logs.hash_rows(log, range(size)))
    assert [rows[index] for index in range(size)] == recomputed.rows
    return [entry.document for entry in entries]
