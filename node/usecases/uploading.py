"""Uploading: what each sheet of credits from the pages issued, so that just this can be taken back for a while.

What lives here: the list of uploads, and until when each may be undone. What must not: issuing or revoking (the desk's
`credit.issue` and `credit.step`), or anything that stood in a sheet.

What an upload issued is written down after each part of it. A stop between the two leaves records that are in force and
in no upload: undoing takes back less than it might, never more.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from federation.errors import Conflict, NotFound
from node.ports import Clock, Randomness, Store, Transaction
from node.ports.people import PersonRow, UploadRow
from node.usecases.noting import Noting

UNDO_MS: Final = 15 * 60_000
FILE_CHARS_MAX: Final = 80
_TIMES_END: Final = 10**15


class UploadUnknown(NotFound):
    code = "LLN-1241"
    zh = "没有这次上传，或者它不是您做的。只有登记的人自己能撤销。"
    en = "There is no such upload of yours. Only whoever issued a sheet can undo it."


class UndoOver(Conflict):
    code = "LLN-1341"
    zh = "撤销的时间已过，或者已经撤销过。仍有错的记录请逐条撤销（lln credit revoke）或更正（lln credit correct）。"
    en = "The time to undo is over, or it was undone. Revoke or correct single records: lln credit revoke, correct."


class Uploading:
    """The one writer of uploads."""

    def __init__(self, *, store: Store, clock: Clock, randomness: Randomness, noting: Noting) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._noting = noting

    async def begin(self, person: PersonRow, file: str) -> UploadRow:
        now_ms = self._clock.now_ms()
        row = UploadRow(
            id=f"{_TIMES_END - now_ms:015d}-{self._randomness.token(6).hex()}",
            owner=person.id,
            file=shown_name(file),
            at_ms=now_ms,
            until_ms=now_ms + UNDO_MS,
        )
        done = self._noting.row(person, "issue_sheet", about=row.id)

        def unit(tx: Transaction) -> None:
            tx.people.uploads.put([row])
            tx.people.doings.put([done])

        await self._store.write(unit)
        return row

    async def issued(self, upload: str, records: tuple[str, ...]) -> None:
        """Records that came to be by this upload, besides those told before."""
        await self._change(upload, lambda row: msgspec.structs.replace(row, records=(*row.records, *records)))

    async def finish(self, upload: str) -> UploadRow:
        """Whole; an upload that is being undone already stays so."""
        return await self._change(
            upload, lambda row: msgspec.structs.replace(row, state="issued") if row.state == "issuing" else row
        )

    async def begin_undo(self, person: PersonRow, upload: str, reason: str) -> UploadRow:
        """Raises UploadUnknown, UndoOver; an undoing that was cut off goes on, even after its time."""
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> UploadRow:
            row = _of(tx, person, upload)
            is_open = row.state in ("issuing", "issued") and now_ms < row.until_ms
            if not is_open and row.state != "undoing":
                raise UndoOver(row.id, row.state)
            changed = msgspec.structs.replace(row, state="undoing", reason=reason)
            tx.people.uploads.put([changed])
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
        """Newest first, of one person."""
        return tuple(await self._store.read(lambda tx: tx.people.uploads.of(person.id, limit=limit)))

    async def _change(self, upload: str, change: Callable[[UploadRow], UploadRow]) -> UploadRow:
        def unit(tx: Transaction) -> UploadRow:
            row = tx.people.uploads.get(upload)
            if row is None:
                raise UploadUnknown(upload)
            changed = change(row)
            tx.people.uploads.put([changed])
            return changed

        return await self._store.write(unit)


def shown_name(file: str) -> str:
    """The name of a file as somebody's computer gave it: to be shown, never to be opened."""
    last = file.replace("\\", "/").rpartition("/")[2]
    return "".join(one for one in last if one.isprintable())[:FILE_CHARS_MAX]


def _of(tx: Transaction, person: PersonRow, upload: str) -> UploadRow:
    row = tx.people.uploads.get(upload)
    if row is None or row.owner != person.id:
        raise UploadUnknown(upload)
    return row
