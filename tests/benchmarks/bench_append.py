"""Records stored durably together with their log entries: 64 callers at once, against what they would do otherwise.

A record is what publishing writes: the resource's row, and its document in the node's catalogue log under a signed
checkpoint. All sides write the same rows to files with the same settings, ids in ascending order as an import brings
them. "One transaction each" is this store with groups of one. "One bulk insert" is plain sqlite3 in a thread: it makes
the rows of a slice (JSON, hashes, checkpoint) and writes them with `executemany` in one transaction. What must not live
here: timing (`measuring.py`).
"""

import asyncio
import sqlite3
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvloop

from federation.catalogue import CRITERIA, BilingualLine, BilingualProse, Resource, ResourcePublished, Review
from federation.checkpoints import sign_checkpoint
from federation.keys import KeyInMemory
from federation.logs import LogHead, LogId, append
from federation.naming import NodeName
from node.ports import ResourceRow, Transaction
from node.storage import sqlite_files
from node.storage.group_commit import GroupCommit
from node.storage.log_rows import ENTRY_PUT, LOG_PUT
from node.storage.rows import RESOURCE_PUT
from node.storage.sqlite_store import SqliteStore, UnitConnection, open_sqlite
from tests.benchmarks.measuring import AsyncStep, Figure, Flags, Paired, paired_async

NAME = "append"
SMALLEST = {"RECORDS_BEFORE_SLICE": 100}
CALLERS = 64
RECORDS = 10 * CALLERS
RECORDS_BEFORE_SLICE = 15_000
OWN = LogId(origin=NodeName("school.county.city.province.lln.internal"), topic="catalogue")
KEY = KeyInMemory(b"\7" * 32)

Record = tuple[ResourceRow, bytes]
Unit = Callable[[Transaction], object]
UnitOf = Callable[[ResourceRow, bytes], Unit]


def run(flags: Flags) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        return uvloop.run(figures(Path(folder), flags.rounds))


async def figures(folder: Path, rounds: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        grouped = await stack.enter_async_context(opened(folder / "grouped.db"))
        single = await stack.enter_async_context(opened(folder / "single.db"))
        await single._group_commit.close()
        single._group_commit = GroupCommit(single._commit, group_units_max=1)
        writer = await UnitConnection.opened(lambda: sqlite_files.connect_writer(folder / "bulk.db"))
        stack.push_async_callback(writer.close)
        stores = Stores(grouped=grouped, single=single, bulk=Bulk(writer))
        return [
            *await compared(stores, "record and log entry, 64 callers", store_and_append, rounds),
            *await compared(stores, "log entry alone, 64 callers", append_alone, rounds),
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stores:
    grouped: SqliteStore
    single: SqliteStore
    bulk: "Bulk"


async def compared(stores: Stores, name: str, unit_of: UnitOf, rounds: int) -> list[Figure]:
    ours, rival, bulk = Callers(stores.grouped, unit_of), Callers(stores.single, unit_of), stores.bulk
    bulk.has_rows = is_whole = unit_of is store_and_append

    async def refill() -> None:
        for side in (ours, rival, bulk):
            side.supply.refill()

    async def against(other: AsyncStep) -> Paired:
        return await paired_async(name, ours.step, other, rounds=rounds, operations=RECORDS, before_slice=refill)

    each, same, large = await against(rival.step), await against(bulk.step), await against(bulk.large_step)
    promised = (("≥ 6", "≥ 15"), ("≥ 0.6", "≥ 0.8")) if is_whole else (("", ""), ("", ""))
    return [
        each.figure(gate=promised[0][0], aim=promised[0][1], rival="one transaction each"),
        same.figure(gate=promised[1][0], aim=promised[1][1], rival=f"one bulk insert of the same {CALLERS}"),
        large.figure(rival=f"one bulk insert of {RECORDS}", note="durable a tenth as often"),
    ]


# --- ours, and one transaction each ----------------------------------------------------------------------------------


class Callers:
    """64 callers of one store, each waiting for its record to be durable before it brings the next."""

    def __init__(self, store: SqliteStore, unit_of: UnitOf) -> None:
        self.supply = Supply()
        self._store = store
        self._unit_of = unit_of

    async def step(self) -> None:
        await asyncio.gather(*(self._caller() for _ in range(CALLERS)))

    async def _caller(self) -> None:
        for _ in range(RECORDS // CALLERS):
            await self._store.write(self._unit_of(*self.supply.take()))


def store_and_append(row: ResourceRow, document: bytes) -> Unit:
    def unit(tx: Transaction) -> int:
        tx.resources.put([row])
        return tx.logs.append(OWN, [document])

    return unit


def append_alone(_: ResourceRow, document: bytes) -> Unit:
    return lambda tx: tx.logs.append(OWN, [document])


def opened(path: Path) -> AbstractAsyncContextManager[SqliteStore]:
    return open_sqlite(path, own_node=OWN.origin, seal=seal, now_ms=lambda: 0)


def seal(head: LogHead) -> bytes:
    return sign_checkpoint(head.checkpoint(), KEY)


# --- one bulk insert -------------------------------------------------------------------------------------------------


class Bulk:
    """Everything at once, by hand, with no store in between."""

    def __init__(self, connection: UnitConnection) -> None:
        self.supply = Supply()
        self.has_rows = True
        self._connection = connection
        self._head = LogHead(log=OWN)

    async def step(self) -> None:
        for _ in range(RECORDS // CALLERS):
            await self._take(CALLERS)

    async def large_step(self) -> None:
        await self._take(RECORDS)

    async def _take(self, count: int) -> None:
        records = [self.supply.take() for _ in range(count)]
        await self._connection.run(lambda connection: self._insert(connection, records))

    def _insert(self, connection: sqlite3.Connection, records: list[Record]) -> None:
        first, documents = self._head.size, [document for _, document in records]
        appended = append(self._head, documents)
        head = appended.head
        connection.execute("BEGIN IMMEDIATE")
        if self.has_rows:
            columns = [(row.id, row.state, row.log_index, row.author, msgspec.json.encode(row)) for row, _ in records]
            connection.executemany(RESOURCE_PUT, columns)
        connection.execute(LOG_PUT, (OWN.origin, OWN.topic, head.size, b"".join(head.frontier.roots), seal(head), 0))
        connection.executemany(
            ENTRY_PUT, [(1, first + at, *pair) for at, pair in enumerate(zip(appended.rows, documents, strict=True))]
        )
        connection.execute("COMMIT")
        self._head = head


# --- records ---------------------------------------------------------------------------------------------------------


class Supply:
    """Records of an import in ascending order, made outside of what is timed."""

    def __init__(self) -> None:
        self._ready: deque[Record] = deque()
        self._made = 0

    def refill(self) -> None:
        while len(self._ready) < RECORDS_BEFORE_SLICE:
            self._ready.append(record(self._made))
            self._made += 1

    def take(self) -> Record:
        if not self._ready:
            self.refill()
        return self._ready.popleft()


def record(number: int) -> Record:
    """A resource of about the size of the demo's, and its catalogue entry."""
    resource = Resource(
        id=f"course/{number:08}",
        title=BilingualLine(zh=f"社区老年智慧生活（第{number}期）", en="Everyday digital skills for older people"),
        description=BilingualProse(zh="社区老年人智能手机使用入门课程，含挂号、缴费与防诈骗。" * 4),
        keywords=("智能手机", "防诈骗"),
        type="online_course",
        section="silver_age",
        audience=("elder",),
        location=f"https://school.lln.internal/courses/{number}",
    )
    review = Review(reviewer="reviewer-3", criteria=CRITERIA, at_ms=1)
    row = ResourceRow(
        id=resource.id,
        resource=resource,
        state="published",
        author="author-7",
        review=review,
        published=resource,
        log_index=number,
        updated_at_ms=1,
    )
    entry = ResourcePublished(
        publisher=OWN.origin, resource=resource, review=review, published_at_ms=1, salt=f"{number:022}"
    )
    return row, msgspec.json.encode(entry)
