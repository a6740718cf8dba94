"""Reporting: how many credit records there are here and below, told to the parent once a day, and what children tell.

What lives here: counting this node's own records, taking in what children report, sending up what the two come to, and
showing it. What must not: which cells are too small to be told (`federation/counts.py`).

A report goes up once a day at most: whoever could compare two of one hour would see single records come and go.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Final

from federation import canonical, credentials
from federation.counts import COUNTS_BYTES_MAX, TABLES, Counts, Tally, report
from federation.errors import LlnError, RefusedCall
from federation.naming import NodeName, parent_of
from federation.timestamps import day_in_china
from node.desk.ledgers import CountsShown, CountTable
from node.desk.plain import Nothing
from node.ports import Clock, Store, Transaction
from node.ports.crediting import CountsRow, RecordRow

COUNTS_KIND: Final = "credit.counts"
TOLD_NOTE: Final = "counts told"
RECORDS_AT_ONCE: Final = 200
LOOK_EVERY_S: Final = 3_600.0
KEPT_DAYS: Final = 40
"""After so many days without a report a child is counted no more: it has left, or has nothing left to count."""
COUNTED: Final = frozenset(("active", "suspended", "expired"))
Unit = Callable[[Transaction], bytes]


class NotTheirCounts(RefusedCall):
    code = "LLN-2240"
    zh = "统计只能由直接下级报送，并且只报它自己和它的下级。"
    en = "Counts are reported by a direct child, of itself and those below it."


class Reporting:
    """The one writer of reports held here."""

    def __init__(self, *, store: Store, clock: Clock, own_name: NodeName, root: NodeName) -> None:
        self._store = store
        self._clock = clock
        self._own_name = own_name
        self._root = root
        self._parent = parent_of(own_name, root)

    async def counts(self, _: Nothing) -> CountsShown:
        """The records issued here, exactly; what its children have reported; and what of it the parent is told."""
        own, below = await self._tally(), await self._below()
        return CountsShown(
            own=own.total,
            tables=tuple(
                CountTable(table=name, cells=dict(sorted(own.tables[name].items()))) for name in TABLES if own.total
            ),
            below=tuple(below),
            told=report(self._own_name, self._today(), own, below),
            parent=self._parent or "",
        )

    async def run(self) -> None:
        while True:
            await self.report()
            await self._clock.sleep(LOOK_EVERY_S)

    async def report(self) -> bool:
        """Tell the parent, unless it was told today, or there never was anything to tell; whether it is told now."""
        parent, today = self._parent, self._today()
        told = await self._store.read(lambda tx: tx.notes.get(TOLD_NOTE))
        if parent is None or told == today.isoformat().encode():
            return False
        counts = report(self._own_name, today, await self._tally(), await self._below())
        if not counts.total and not told:
            return False
        await self._store.write(partial(_tell, parent, counts, self._clock.now_ms()))
        return True

    async def take_in(self, sender: NodeName, document: bytes) -> Unit:
        """What a child counts; the newest report of each is kept. Raises MalformedDocument, NotTheirCounts."""
        counts = canonical.decode(document, Counts, bytes_max=COUNTS_BYTES_MAX)
        if counts.node != sender or parent_of(sender, self._root) != self._own_name:
            raise NotTheirCounts(counts.node, f"brought by {sender}")
        row = CountsRow(id=sender, document=canonical.encode(counts), at_ms=self._clock.now_ms())

        def unit(tx: Transaction) -> bytes:
            held = tx.credits.counts.get(sender)
            if held is None or _counts_of(held).day <= counts.day:
                tx.credits.counts.put([row])
            return b"{}"

        return unit

    def _today(self) -> date:
        return day_in_china(self._clock.now_ms())

    async def _below(self) -> list[Counts]:
        oldest = self._today() - timedelta(days=KEPT_DAYS)
        rows = await self._store.read(_all_reports)
        return [counts for row in rows if (counts := _counts_of(row)).day >= oldest]

    async def _tally(self) -> Tally:
        tally, after = Tally(), ""
        while rows := await self._store.read(partial(_records, after)):
            for row in rows:
                if row.is_own and row.state in COUNTED:
                    self._count(tally, row)
            after = rows[-1].id
            await asyncio.sleep(0)
        return tally

    def _count(self, tally: Tally, row: RecordRow) -> None:
        """A record that cannot be read is for an audit to find; it is not counted."""
        try:
            record = credentials.read(row.document)
        except LlnError:
            return
        tally.count(record, region=self._own_name)


def _tell(parent: NodeName, counts: Counts, now_ms: int, tx: Transaction) -> None:
    day = counts.day.isoformat()
    tx.notes.put(TOLD_NOTE, day.encode())
    tx.outbox.add(parent, COUNTS_KIND, canonical.encode(counts), f"counts.{day}", now_ms)


def _counts_of(row: CountsRow) -> Counts:
    return canonical.decode(row.document, Counts, bytes_max=COUNTS_BYTES_MAX)


def _records(after: str, tx: Transaction) -> Sequence[RecordRow]:
    return tx.credits.records.all(after, RECORDS_AT_ONCE)


def _all_reports(tx: Transaction) -> list[CountsRow]:
    found: list[CountsRow] = []
    after = ""
    while rows := tx.credits.counts.all(after):
        found += rows
        after = rows[-1].id
    return found
