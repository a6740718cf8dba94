"""Erasing: an account goes, and all that is known of its learner with it, but for what has to be kept.

What lives here: what goes, what stays, on which basis and until when. What must not: any copy of what goes.

What is deleted is overwritten in the database file; `Store.scrub` also empties the write-ahead log and the gaps that
moving rows about leaves, and runs after the unit. A crash between the two leaves the account erased and old bytes in
the file until the next erasure, or `lln learner erase` of the same account again, which scrubs once more.
"""

from datetime import date
from typing import Any, Final

import msgspec

from federation.errors import Conflict, Unavailable
from node.desk.credits import CreditSheet
from node.desk.learners import EraseAsked, KeptRecord, LearnerErased
from node.ports import Clock, ResourceRow, Store, Transaction
from node.ports.crediting import LearnerRow, RecordRow
from node.ports.people import SheetRow
from node.usecases.disclosing import LearnerUnknown, rows_of
from node.usecases.noting import offers_of
from node.usecases.recording import china_date

BASIS_ZH: Final = (
    "本节点颁发的学分记录属已作出的认定，依《个人信息保护法》第十三条第一款第（三）项（履行法定职责或者法定义务所必需）"
    "和第四十七条第二款（法定保存期限未届满的，停止除存储和必要安全保护之外的处理）留存；其中没有姓名和号码，"
    "也不再与任何账户相连。日志里只有加盐的承诺值，不含个人信息。"
)
BASIS_EN: Final = (
    "Records that this node issued are decisions already made. They are kept under Articles 13(1)(3) and 47(2) of the "
    "Personal Information Protection Law of the PRC, stored and secured but no longer used; they hold no name and no "
    "number, and are tied to no account. Logs hold salted commitments only, which say nothing of anybody."
)


_UNPUBLISHED: Final = ("pending", "returned", "reviewed")
SETTLED: Final = frozenset(("previewed", "converted", "refused", "cancelled"))
"""States of a request in which nobody waits for anything any more; its learner may be erased."""


class CaseUnderWay(Conflict):
    code = "LLN-1383"
    zh = "这个账户还有正在办理的学分转换。请先等它办完或取消，再注销账户。"
    en = "A conversion of this account is still under way. Let it end, or cancel it, before the account is erased."


class ScrubPending(Unavailable):
    code = "LLN-1685"
    zh = "账户已注销，但数据库文件里可能还有残留：正有人在读。请稍后再运行一次同一命令。"
    en = "The account is erased, but bytes of it may still be in the database file, which is being read. Run it again."


class Erasing:
    def __init__(self, *, store: Store, clock: Clock, kept_years: int) -> None:
        self._store = store
        self._clock = clock
        self._kept_years = kept_years

    async def erase(self, asked: EraseAsked) -> LearnerErased:
        """Tell what would go and what would stay; with `confirmed`, let it go.

        Raises LearnerUnknown, CaseUnderWay, ScrubPending. Erasing what is erased already is harmless.
        """
        if not asked.confirmed:
            return await self._store.read(lambda tx: self._told(tx, _account(tx, asked.learner), erased=False))
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> LearnerErased:
            account = _account(tx, asked.learner)
            told = self._told(tx, account, erased=True)
            _erase(tx, account, now_ms)
            return told

        told = await self._store.write(unit)
        try:
            await self._store.scrub()
        except Unavailable as busy:
            raise ScrubPending(asked.learner, busy.detail) from busy
        return told

    def _told(self, tx: Transaction, account: LearnerRow, *, erased: bool) -> LearnerErased:
        records = list(rows_of(tx.credits.records, account.id))
        gone = {"account": int(account.state != "erased"), "record": sum(not record.is_own for record in records)}
        gone["sheet_row"] = sum(len(rows) for _, _, rows in _waiting_rows(tx, account))
        gone["offer"] = len(_unpublished(tx, account.id))
        gone |= {kind: len(list(rows_of(shelf, account.id))) for kind, shelf in _going(tx).items()}
        return LearnerErased(
            erased=erased,
            gone={kind: count for kind, count in gone.items() if count},
            kept=tuple(self._kept(record) for record in records if record.is_own),
            basis_zh=BASIS_ZH,
            basis_en=BASIS_EN,
        )

    def _kept(self, record: RecordRow) -> KeptRecord:
        issued = china_date(record.issued_at_ms)
        return KeptRecord(id=record.id, issued_at_ms=record.issued_at_ms, until=_years_after(issued, self._kept_years))


def _account(tx: Transaction, learner: str) -> LearnerRow:
    account = tx.credits.learners.get(learner)
    if account is None:
        raise LearnerUnknown(learner)
    if account.state == "moving":
        raise CaseUnderWay(learner, "it is moving to another home")
    waiting = sum(request.state not in SETTLED for request in rows_of(tx.credits.requests, learner))
    if waiting:
        raise CaseUnderWay(learner, f"{waiting} under way")
    return account


def _going(tx: Transaction) -> dict[str, Any]:
    """The shelves whose rows of a learner all go."""
    shelves = tx.credits
    return {
        "pseudonym": shelves.pseudonyms,
        "consent": shelves.consents,
        "disclosure": shelves.disclosures,
        "proof": shelves.proofs,
        "request": shelves.requests,
        "completion": shelves.completions,
        "move": shelves.moves,
    }


def _erase(tx: Transaction, account: LearnerRow, now_ms: int) -> None:
    subjects = {pseudonym.state: pseudonym.id for pseudonym in rows_of(tx.credits.pseudonyms, account.id)}
    for move in list(rows_of(tx.credits.moves, account.id)):
        for part in list(rows_of(tx.credits.moves, move.id.partition("/")[2])):
            tx.credits.moves.drop(part.id)
    for shelf in _going(tx).values():
        for row in list(rows_of(shelf, account.id)):
            shelf.drop(row.id)
    for kept, sheet, gone in _waiting_rows(tx, account):
        tx.people.sheets.put([msgspec.structs.replace(kept, sheet=msgspec.json.encode(_without(sheet, gone)))])
    for row in _unpublished(tx, account.id):
        _drop_offer(tx, row, now_ms)
    for record in list(rows_of(tx.credits.records, account.id)):
        if record.is_own:
            tx.credits.records.put([msgspec.structs.replace(record, owner=subjects.get(record.issuer, ""), note="")])
        else:
            _drop_record(tx, record)
    if account.state != "erased":
        tx.credits.learners.drop(account.id)  # first, so that not even the lengths of the former values stay
        tx.credits.learners.put([_blank(account, now_ms)])


def _waiting_rows(tx: Transaction, account: LearnerRow) -> list[tuple[SheetRow, CreditSheet, frozenset[int]]]:
    """Rows about a learner in sheets that wait for a second registrar; of those nobody could read, any with a number
    of theirs in it.
    """
    numbers = {_folded(one) for one in (account.id, account.student_number, account.identity_number)} - {""}
    found = []
    for kept in tx.people.sheets.all():
        sheet = msgspec.json.decode(kept.sheet, type=CreditSheet)
        named = {row.row: {row.learner, row.student_number, row.identity_number} for row in sheet.rows}
        rows = {row for row, cells in sheet.cells.items() if numbers & set(map(_folded, named.get(row, cells)))}
        if rows:
            found.append((kept, sheet, frozenset(rows)))
    return found


def _without(sheet: CreditSheet, gone: frozenset[int]) -> CreditSheet:
    return CreditSheet(
        rows=tuple(row for row in sheet.rows if row.row not in gone),
        refused=tuple(row for row in sheet.refused if row.row not in gone),
        columns=sheet.columns,
        cells={row: cells for row, cells in sheet.cells.items() if row not in gone},
    )


def _folded(text: str) -> str:
    return "".join(one for one in text.upper() if one.isalnum())


def _unpublished(tx: Transaction, learner: str) -> list[ResourceRow]:
    """What a learner has offered and is not, or not so, in the catalogue."""
    return [row for row in offers_of(tx, learner) if row.state in _UNPUBLISHED]


def _drop_offer(tx: Transaction, row: ResourceRow, now_ms: int) -> None:
    """What was never published goes, with the row of its file, and the file with the next sweep; of what was, the
    version in the catalogue stays.
    """
    for file in tx.people.files.of(row.id):
        if row.published is None or file.state != row.published.sha256:
            tx.people.files.drop(file.id)
    if row.published is None:
        tx.resources.drop(row.id)
        return
    shown = msgspec.structs.replace(
        row, resource=row.published, state="published", review=None, remark="", updated_at_ms=now_ms
    )
    tx.resources.put([shown])


def _drop_record(tx: Transaction, record: RecordRow) -> None:
    """A record held for the learner goes with what opens its commitments: what stands in the log says nothing then."""
    for event in list(rows_of(tx.credits.events, record.id)):
        tx.credits.events.drop(event.id)
    tx.credits.records.drop(record.id)


def _blank(account: LearnerRow, now_ms: int) -> LearnerRow:
    """What tells, if somebody asks, that there was such an account and that it was erased."""
    return LearnerRow(id=account.id, state="erased", registered_at_ms=account.registered_at_ms, changed_at_ms=now_ms)


def _years_after(day: date, years: int) -> date:
    """The same day so many years on; 29 February becomes 1 March where there is none."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)
