"""From what was written down back to the lots.

What lives here: adding postings up, and making every step of a list of events again. What must not: deciding whether a
step may be made; `credits.py` does, here too.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from federation.amounts import Unit
from federation.credits import (
    Account,
    LedgerStep,
    Lot,
    LotEvent,
    LotId,
    LotLedger,
    LotStep,
    Posting,
    UnknownLotStep,
    cancel,
    commit,
    give_back,
    grant,
    lapse,
    reserve,
    void,
)

DEBIT_ACCOUNTS: Final[tuple[Account, ...]] = ("available", "reserved", "consumed", "cancelled")


def balances(postings: Iterable[Posting]) -> dict[LotId, Lot]:
    """The lots that postings add up to, in any order; raises UnknownLotStep where they do not make a lot."""
    sums: dict[tuple[LotId, Unit], Counter[Account]] = {}
    for posting in postings:
        account = sums.setdefault((posting.lot_id, posting.unit), Counter())
        account[posting.account] += posting.debit - posting.credit
    lots: dict[LotId, Lot] = {}
    for (lot_id, unit), account in sorted(sums.items()):
        if lot_id in lots or sum(account.values()) != 0 or min(account[each] for each in DEBIT_ACCOUNTS) < 0:
            raise UnknownLotStep(lot_id, "its postings do not balance, fall below zero or have two units")
        lots[lot_id] = Lot(
            id=lot_id,
            unit=unit,
            granted=-account["granted"],
            reserved=account["reserved"],
            consumed=account["consumed"],
            cancelled=account["cancelled"],
        )
    return lots


def replay(events: Iterable[LotEvent]) -> dict[LotId, LotLedger]:
    """Rebuild every ledger from its events in order; raises the Conflict that making the step would have raised.

    What was written down was decided then, so the record counts as active at each step.
    """
    ledgers: dict[LotId, LotLedger] = {}
    for event in events:
        step = _replayed(ledgers.get(event.lot_id), event)
        if step.event != event:
            raise UnknownLotStep(event.id, f"a {event.step} that differs from what it repeats or settles")
        ledgers[event.lot_id] = step.ledger
    return ledgers


def _replayed(ledger: LotLedger | None, event: LotEvent) -> LedgerStep:
    if ledger is None:
        if event.step != "grant":
            raise UnknownLotStep(event.lot_id, f"{event.step} before grant")
        return grant(event.lot_id, amount=event.amount, unit=event.unit, at_ms=event.at_ms)
    if (settle := _SETTLES.get(event.step)) is not None:
        return settle(ledger, event)
    if event.step == "reserve" and event.reservation is not None:
        return reserve(ledger, event.reservation, record_state="active", at_ms=event.at_ms)
    raise UnknownLotStep(event.lot_id, "granted twice, or a reservation without its content")


_SETTLES: Final[dict[LotStep, Callable[[LotLedger, LotEvent], LedgerStep]]] = {
    "commit": lambda ledger, event: commit(ledger, event.id, record_state="active", at_ms=event.at_ms),
    "void": lambda ledger, event: void(ledger, event.id, at_ms=event.at_ms),
    "give_back": lambda ledger, event: give_back(ledger, event.id, at_ms=event.at_ms),
    "lapse": lambda ledger, event: lapse(ledger, event.id, at_ms=event.at_ms),
    "cancel": lambda ledger, event: cancel(ledger, event.id, amount=event.amount, at_ms=event.at_ms),
}
