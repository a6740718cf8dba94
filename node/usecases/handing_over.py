"""Handing over: a sheet of credits that waits for a second registrar, and what that one makes of it.

What lives here: keeping such a sheet, bounded, until somebody else has decided, and who may decide. What must not:
issuing (`credit.issue`), or what becomes of an upload once it is being issued (`uploading.py`).

What a sheet says is personal data. It stands in one row of the store and goes in the very transaction that ends its
waiting. Where it is approved it goes when all is issued: a stop in between leaves an upload that is `issuing` with its
sheet, and approving once more goes on; rows that are issued already are the same then, not new.
"""

from typing import Final, Literal

import msgspec

from federation.errors import Conflict, InvalidInput
from node.desk.credits import CreditSheet
from node.ports import Clock, Randomness, Store, Transaction
from node.ports.people import PersonRow, SecondRow, SheetRow, UploadRow, UploadState
from node.usecases.noting import UNDO_MS, Noting, UploadUnknown, shown_name, upload_id

WAIT_MS: Final = 7 * 24 * 3_600_000
WAITING_MAX: Final = 20
SHEET_BYTES_MAX: Final = 4_000_000
EXPIRE_EVERY_S: Final = 60.0
PERSONS_MAX: Final = 100_000
Step = Literal["approve", "return", "take_back", "expire"]
UPLOAD_STEPS: Final[dict[tuple[UploadState, Step], UploadState]] = {
    ("waiting", "approve"): "issuing",
    ("waiting", "return"): "returned",
    ("waiting", "take_back"): "taken_back",
    ("waiting", "expire"): "expired",
    ("issuing", "approve"): "issuing",  # cut off, with its sheet still kept: it goes on
    ("issuing", "expire"): "issued",  # as far as it came
}
DID: Final[dict[Step, str]] = {
    "approve": "approve_sheet",
    "return": "return_sheet",
    "take_back": "take_back_sheet",
    "expire": "expire_sheet",
}


class OwnSheet(Conflict):
    code = "LLN-1359"
    zh = "这是您自己上传的表格，请由另一位登记员决定；您可以取回它。"
    en = "You uploaded this sheet yourself: another registrar has to decide. You can take it back."


class SheetDecided(Conflict):
    code = "LLN-1343"
    zh = "这份表格已不再等待复核：已登记、退回、取回，或者等满了 7 天。请在“我上传过的表格”里看结果。"
    en = "The sheet no longer waits: it was issued, returned, taken back, or 7 days passed. See the list of uploads."


class TooManySheets(Conflict):
    code = "LLN-1344"
    zh = "已有 20 份表格在等待复核，放不下了。请先请另一位登记员处理一些，再交这一份。"
    en = "20 sheets wait for a second registrar already. Have some of them decided on first, then hand this one over."


class SheetTooLarge(InvalidInput):
    code = "LLN-1173"
    zh = "这份表格内容太多，不能存着等待复核。请拆成几份，再分别交出。"
    en = "There is too much in this sheet to be kept waiting. Split it, and hand the parts over."


class HandingOver:
    """The one writer of sheets that wait, and of their uploads until somebody has decided."""

    def __init__(self, *, store: Store, clock: Clock, randomness: Randomness, noting: Noting) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._noting = noting

    async def hand_over(
        self, person: PersonRow, file: str, sheet: CreditSheet, *, planned: int, remark: str
    ) -> UploadRow:
        """Raises SheetTooLarge, TooManySheets."""
        now_ms, content = self._clock.now_ms(), msgspec.json.encode(sheet)
        if len(content) > SHEET_BYTES_MAX:
            raise SheetTooLarge(shown_name(file), f"{len(content)} bytes")
        row = UploadRow(
            id=upload_id(now_ms, self._randomness),
            owner=person.id,
            name=person.known_as,
            state="waiting",
            file=shown_name(file),
            remark=remark,
            planned=planned,
            at_ms=now_ms,
            until_ms=now_ms + WAIT_MS,
            kept_bytes=len(content),
        )

        def unit(tx: Transaction) -> UploadRow:
            if len(_kept(tx)) >= WAITING_MAX:
                raise TooManySheets(row.file)
            tx.people.uploads.put([row])
            tx.people.sheets.put([SheetRow(id=row.id, owner=person.id, sheet=content)])
            tx.people.doings.put([self._noting.row(person, "hand_sheet", about=row.id)])
            return row

        await self.expire()
        return await self._store.write(unit)

    async def waiting(self) -> tuple[UploadRow, ...]:
        """Whatever waits, or was cut off while it was issued: the oldest first."""
        now_ms = self._clock.now_ms()
        rows = await self._store.read(_kept)
        return tuple(sorted((row for row in rows if now_ms < row.until_ms or row.state == "issuing"), key=_age))

    async def opened(self, upload: str) -> tuple[UploadRow, CreditSheet]:
        """What waits, and what it says; raises UploadUnknown, SheetDecided."""
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> tuple[UploadRow, bytes]:
            row = tx.people.uploads.get(upload)
            if row is None:
                raise UploadUnknown(upload)
            kept = tx.people.sheets.get(upload)
            if kept is None or (row.state == "waiting" and row.until_ms <= now_ms):
                raise SheetDecided(row.id, row.state)
            return row, kept.sheet

        row, content = await self._store.read(unit)
        return row, msgspec.json.decode(content, type=CreditSheet)

    async def has_other(self, person: PersonRow) -> bool:
        """Whether there is another registrar who could decide."""

        def unit(tx: Transaction) -> bool:
            active = tx.people.persons.in_state("active", limit=PERSONS_MAX)
            return any(one.id != person.id and one.has("registrar") for one in active)

        return await self._store.read(unit)

    async def approve(self, person: PersonRow, upload: str) -> UploadRow:
        """From here on it is issued: raises UploadUnknown, OwnSheet, SheetDecided."""
        return await self._decide(person, upload, "approve")

    async def send_back(self, person: PersonRow, upload: str, reason: str) -> UploadRow:
        return await self._decide(person, upload, "return", reason=reason)

    async def take_back(self, person: PersonRow, upload: str) -> UploadRow:
        """By whoever uploaded it; raises UploadUnknown, SheetDecided."""
        return await self._decide(person, upload, "take_back")

    async def _decide(self, person: PersonRow, upload: str, step: Step, *, reason: str = "") -> UploadRow:
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> UploadRow:
            row = tx.people.uploads.get(upload)
            if row is None or (step == "take_back" and row.owner != person.id):
                raise UploadUnknown(upload)
            if step != "take_back" and row.owner == person.id:
                raise OwnSheet(row.id)
            is_kept = tx.people.sheets.get(upload) is not None
            if not is_kept or (row.state == "waiting" and row.until_ms <= now_ms):
                raise SheetDecided(row.id, row.state)
            changed = _stepped(row, step, reason=reason)
            if step != "take_back" and not row.approver:
                changed = msgspec.structs.replace(changed, approver=person.id, approver_name=person.known_as)
                tx.people.seconds.put([SecondRow(id=row.id, owner=person.id)])
            if step == "approve":
                changed = msgspec.structs.replace(changed, kept_bytes=row.kept_bytes, until_ms=now_ms + UNDO_MS)
            self._keep(tx, changed, person, step)
            return changed

        return await self._store.write(unit)

    def _keep(self, tx: Transaction, row: UploadRow, person: PersonRow | None, step: Step) -> None:
        """The upload, its line in the audit trail, which names whoever uploaded it, and no sheet any more."""
        tx.people.uploads.put([row])
        if not row.kept_bytes:
            tx.people.sheets.drop(row.id)
        tx.people.doings.put([self._noting.row(person, DID[step], about=f"{row.id} {row.name}")])

    # --- by itself ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        while True:
            await self.expire()
            await self._clock.sleep(EXPIRE_EVERY_S)

    async def expire(self) -> int:
        """What nobody has decided on within its days is forgotten; how many there were."""
        now_ms = self._clock.now_ms()

        def is_over(row: UploadRow) -> bool:
            return (row.until_ms if row.state == "waiting" else row.until_ms - UNDO_MS + WAIT_MS) <= now_ms

        if not any(is_over(row) for row in await self._store.read(_kept)):
            return 0

        def unit(tx: Transaction) -> int:
            over = [row for row in _kept(tx) if is_over(row)]
            for row in over:
                self._keep(tx, _stepped(row, "expire"), None, "expire")
            return len(over)

        return await self._store.write(unit)


def _stepped(row: UploadRow, step: Step, *, reason: str = "") -> UploadRow:
    """Raises SheetDecided."""
    state = UPLOAD_STEPS.get((row.state, step))
    if state is None:
        raise SheetDecided(row.id, f"{row.state}, asked to {step}")
    return msgspec.structs.replace(row, state=state, reason=reason, kept_bytes=0)


def _kept(tx: Transaction) -> list[UploadRow]:
    """Uploads whose sheet is kept; never more than a handful."""
    sheets = {state: tx.people.uploads.in_state(state, limit=PERSONS_MAX) for state in ("waiting", "issuing")}
    return [row for rows in sheets.values() for row in rows if row.kept_bytes]


def _age(row: UploadRow) -> int:
    return row.at_ms
