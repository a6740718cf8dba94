"""Uploading: what each sheet of credits from the pages issued, so that just this can be taken back for a while.

What lives here: the list of uploads, and until when each may be undone. What must not: issuing or revoking (the desk's
`credit.issue` and `credit.step`), or anything that stood in a sheet.

What an upload issued is written down after each part of it. A stop between the two leaves records that are in force and
in no upload: undoing takes back less than it might, never more.

What one person may issue alone counts over a day, so that a large sheet in parts is still a large sheet.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from federation.errors import Conflict
from node.ports import Clock, Randomness, Store, Transaction
from node.ports.people import PersonRow, UploadRow
from node.usecases.noting import UNDO_MS, Noting, UploadUnknown, shown_name, upload_id

ALONE_MS: Final = 24 * 3_600_000
_PAGE: Final = 500


class SecondPersonNeeded(Conflict):
    code = "LLN-1358"
    zh = "这份表格要由另一位登记员复核：超过了一人 24 小时内可独自登记的条数。请点“交给另一位登记员复核”。"
    en = "Another registrar has to check this sheet: it is more than one person issues alone in 24 hours. Hand it over."


class UndoOver(Conflict):
    code = "LLN-1341"
    zh = "撤销的时间已过，或者已经撤销过。仍有错的记录请逐条撤销（lln credit revoke）或更正（lln credit correct）。"
    en = "The time to undo is over, or it was undone. Revoke or correct single records: lln credit revoke, correct."


class Uploading:
    """The one writer of uploads, but for those that wait for a second person (`handing_over.py`)."""

    def __init__(
        self, *, store: Store, clock: Clock, randomness: Randomness, noting: Noting, alone_max: int = 50
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._noting = noting
        self._alone_max = alone_max

    async def is_second_needed(self, person: PersonRow, planned: int) -> bool:
        """Whether so many records more are more than this person may issue by sheet on their own."""
        now_ms = self._clock.now_ms()
        return await self._store.read(lambda tx: self._exceeds(tx, person, planned, now_ms))

    def _exceeds(self, tx: Transaction, person: PersonRow, planned: int, now_ms: int) -> bool:
        return planned > 0 and planned + _issued_alone(tx, person, now_ms - ALONE_MS) > self._alone_max

    async def begin(self, person: PersonRow, file: str, *, planned: int) -> UploadRow:
        """One that is issued alone, of so many records; raises SecondPersonNeeded."""
        now_ms = self._clock.now_ms()
        row = UploadRow(
            id=upload_id(now_ms, self._randomness),
            owner=person.id,
            name=person.known_as,
            file=shown_name(file),
            at_ms=now_ms,
            until_ms=now_ms + UNDO_MS,
            planned=planned,
        )
        done = self._noting.row(person, "issue_sheet", about=row.id)

        def unit(tx: Transaction) -> None:
            if self._exceeds(tx, person, planned, now_ms):
                raise SecondPersonNeeded(row.file, f"{planned} records")
            tx.people.uploads.put([row])
            tx.people.doings.put([done])

        await self._store.write(unit)
        return row

    async def issued(self, upload: str, records: tuple[str, ...]) -> UploadRow:
        """Records that came to be by this upload, besides those told before."""
        return await self._change(upload, lambda row: msgspec.structs.replace(row, records=(*row.records, *records)))

    async def finish(self, upload: str) -> UploadRow:
        """Whole, and what its sheet said is gone; an upload that is being undone already stays so."""

        def whole(row: UploadRow) -> UploadRow:
            return msgspec.structs.replace(row, state="issued" if row.state == "issuing" else row.state, kept_bytes=0)

        return await self._change(upload, whole, drops_sheet=True)

    async def begin_undo(self, person: PersonRow, upload: str, reason: str) -> UploadRow:
        """Raises UploadUnknown, UndoOver; an undoing that was cut off goes on, even after its time."""
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> UploadRow:
            row = _of(tx, person, upload)
            is_open = row.state in ("issuing", "issued") and now_ms < row.until_ms
            if not is_open and row.state != "undoing":
                raise UndoOver(row.id, row.state)
            changed = msgspec.structs.replace(row, state="undoing", reason=reason, kept_bytes=0)
            tx.people.uploads.put([changed])
            tx.people.sheets.drop(row.id)
            tx.people.doings.put([self._noting.row(person, "undo_sheet", about=row.id)])
            return changed

        return await self._store.write(unit)

    async def revoked(self, upload: str, records: tuple[str, ...], *, ended: bool) -> UploadRow:
        state = "undone" if ended else "undoing"
        return await self._change(
            upload, lambda row: msgspec.structs.replace(row, state=state, revoked=(*row.revoked, *records))
        )

    async def one(self, person: PersonRow, upload: str) -> UploadRow:
        """Raises UploadUnknown."""
        return await self._store.read(lambda tx: _of(tx, person, upload))

    async def latest(self, person: PersonRow, limit: int) -> tuple[UploadRow, ...]:
        """Newest first: what one person uploaded, or decided on as the second."""

        def unit(tx: Transaction) -> tuple[UploadRow, ...]:
            own = tx.people.uploads.of(person.id, limit=limit)
            seconds = [row.id for row in tx.people.seconds.of(person.id, limit=limit)]
            found = {row.id: row for row in (*own, *tx.people.uploads.many(seconds).values())}
            return tuple(found[key] for key in sorted(found)[:limit])

        return await self._store.read(unit)

    async def _change(
        self, upload: str, change: Callable[[UploadRow], UploadRow], *, drops_sheet: bool = False
    ) -> UploadRow:
        def unit(tx: Transaction) -> UploadRow:
            row = tx.people.uploads.get(upload)
            if row is None:
                raise UploadUnknown(upload)
            changed = change(row)
            tx.people.uploads.put([changed])
            if drops_sheet:
                tx.people.sheets.drop(row.id)
            return changed

        return await self._store.write(unit)


def _issued_alone(tx: Transaction, person: PersonRow, since_ms: int) -> int:
    """Records in force that one person issued by sheet without a second; of an upload cut off, all it was to issue."""
    alone, after = 0, ""
    while page := tx.people.uploads.of(person.id, after, _PAGE):
        for row in page:
            if row.at_ms < since_ms:
                return alone
            if not row.approver and row.state in ("issuing", "issued", "undoing", "undone"):
                whole = max(row.planned, len(row.records)) if row.state == "issuing" else len(row.records)
                alone += whole - len(row.revoked)
        after = page[-1].id
    return alone


def _of(tx: Transaction, person: PersonRow, upload: str) -> UploadRow:
    row = tx.people.uploads.get(upload)
    if row is None or person.id not in (row.owner, row.approver):
        raise UploadUnknown(upload)
    return row
