"""Regaining: what an issuer's ledger has lost when its data were restored from a backup, and how it comes back.

The `credits` log, taken back from the parent, says how many events there were since the backup, of which kind, and no
more: what they commit to was lost with the machine. A lot that looks available here may be used up. So nothing of the
records from before is set aside until as many receipts as there were commits have come back from those who hold them,
or until people say that no more are to be found.

What lives here: counting what was lost, holding reservations back, and taking receipts in. What must not: fetching
logs (`continuing.py`), or asking peers for receipts (`reconciling.py`).
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from federation import credit_log
from federation import credits as credit_bank
from federation.credit_log import EventCommitted, MalformedCreditEntry
from federation.errors import Conflict, LlnError
from federation.keys import NodeKey
from federation.naming import NodeName
from federation.receipts import Receipt, check_receipt, read_receipt
from federation.signed_papers import open_paper
from node.desk.ledgers import LedgerReopened
from node.desk.plain import Nothing
from node.ports import Store, Transaction
from node.ports.crediting import RecordRow
from node.usecases.ledgering import RECEIPT_PURPOSE, Ledgering, event_key, ledger_of

NOTE: Final = "credits lost"
KeysOf = Callable[[NodeName], Awaitable[Sequence[NodeKey]]]


class LedgerBehind(Conflict):
    """Refused for good rather than put off: what waits behind a reservation, such as commits, must not wait with it."""

    code = "LLN-1384"
    zh = "颁发机构从备份恢复后还在补齐核销回执，恢复前的学分记录暂不能预占，请过几天再申请。"
    en = "The issuer was restored from a backup and lends earlier records once its receipts are back: ask again later."


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """`kinds`: events since the backup that only the log knows of, by kind; `until`: the size of the log with them;
    `regained`: commits that receipts have brought back.
    """

    kinds: dict[str, int] = {}
    until: int = 0
    regained: int = 0

    @property
    def missing(self) -> int:
        return max(0, self.kinds.get("commit", 0) - self.regained)


def lost_of(tx: Transaction) -> Lost:
    noted = tx.notes.get(NOTE)
    return msgspec.json.decode(noted, type=Lost) if noted else Lost()


def count_lost(tx: Transaction, document: bytes, size: int) -> None:
    """An entry of this node's own `credits` log has come back, and the log has `size` entries with it."""
    try:
        entry = credit_log.read_entry(document)
    except MalformedCreditEntry:
        return
    if isinstance(entry, EventCommitted):
        before = lost_of(tx)
        kinds = before.kinds | {entry.kind: before.kinds.get(entry.kind, 0) + 1}
        _keep(tx, msgspec.structs.replace(before, kinds=kinds, until=size))


def check_whole(tx: Transaction, row: RecordRow) -> None:
    """Raises LedgerBehind for a record from before the backup while receipts are missing."""
    lost = lost_of(tx)
    if not lost.missing:
        return
    first = tx.credits.events.get(event_key(row.id, 1))
    if first is None or first.log_index < lost.until:
        raise LedgerBehind(row.id, f"restored from a backup, receipts missing: {lost.missing}; ask again later")


class Regaining:
    def __init__(self, *, store: Store, own_name: NodeName, ledgering: Ledgering, keys_of: KeysOf) -> None:
        self._store = store
        self._own_name = own_name
        self._ledgering = ledgering
        self._keys_of = keys_of

    async def take(self, papers: Sequence[str]) -> int:
        """Make the commits again that receipts, signed by this node, bear witness to; how many there were.

        A receipt that is not ours, or that contradicts the lot as it stands, changes nothing: it stays a difference.
        """
        keys = await self._keys_of(self._own_name)
        regained = 0
        for paper in papers:
            try:
                receipt = read_receipt(open_paper(paper.encode(), purpose=RECEIPT_PURPOSE, keys=keys))
                check_receipt(receipt, receipt.reservations, issuer=self._own_name)
                regained += await self._store.write(partial(self._commit_again, receipt))
            except LlnError:
                continue
        return regained

    async def reopen(self, _: Nothing) -> LedgerReopened:
        """People say that no more receipts are to be found: lots are lent again as they stand."""

        def unit(tx: Transaction) -> LedgerReopened:
            lost = lost_of(tx)
            _keep(tx, msgspec.structs.replace(lost, regained=max(lost.regained, lost.kinds.get("commit", 0))))
            return LedgerReopened(given_up=lost.missing)

        return await self._store.write(unit)

    def _commit_again(self, receipt: Receipt, tx: Transaction) -> int:
        made_again = 0
        for asked in receipt.reservations:
            row, ledger = tx.credits.records.get(asked.lot_id), ledger_of(tx, asked.lot_id)
            if row is None or not row.is_own or ledger is None:
                continue
            reserved = credit_bank.reserve(ledger, asked, record_state=row.state, at_ms=receipt.at_ms)
            row = self._ledgering.lot(tx, row, reserved)
            committed = credit_bank.commit(reserved.ledger, asked.id, record_state=row.state, at_ms=receipt.at_ms)
            self._ledgering.lot(tx, row, committed)
            made_again += not committed.is_repeat
        if made_again:
            lost = lost_of(tx)
            _keep(tx, msgspec.structs.replace(lost, regained=lost.regained + made_again))
        return made_again


def _keep(tx: Transaction, lost: Lost) -> None:
    tx.notes.put(NOTE, msgspec.json.encode(lost))
