"""Lending: the credits of records that this node issued, set aside and used up by those who convert them.

What lives here: what the one writer of a lot does when a receiver asks: reserve, commit, void, take back, and what has
lapsed. What must not: deciding on a conversion (`converting.py`), or the arithmetic of lots (`federation/credits.py`).
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from federation import canonical
from federation import credits as credit_bank
from federation.consents import ConsentGrant, GrantTooNarrow, Use, check_grant, open_grant
from federation.conversion_cases import ReserveRequest, SettleRequest
from federation.credits import HeldReservation, LotLedger, Reservation
from federation.errors import NotFound, RefusedCall
from federation.keys import NodeKey
from federation.naming import NodeName
from federation.receipts import receipt_of
from federation.signed_papers import sign_paper
from node.ports import Clock, Identity, Store, Transaction
from node.ports.crediting import RecordRow
from node.usecases.ledgering import RECEIPT_PURPOSE, Ledgering, bind_grant, ledger_of
from node.usecases.regaining import check_whole
from node.usecases.renaming import is_same_node, names_of

REQUEST_BYTES_MAX: Final = 65_536
LAPSE_EVERY_S: Final = 3_600.0
KeysOf = Callable[[NodeName], Awaitable[Sequence[NodeKey]]]
Unit = Callable[[Transaction], bytes]


class NotIssuedHere(NotFound):
    code = "LLN-1297"
    zh = "这条学分记录不是本节点颁发的，不能在这里预占或核销。"
    en = "This node did not issue that credit record, so it can neither reserve nor use up its credits."


class NotTheirReservation(RefusedCall):
    code = "LLN-2299"
    zh = "只有发起预占的接收方，才能核销、释放或退回它。"
    en = "Only the receiver that made a reservation may use it up, let it go or give it back."


class Lending:
    """The one writer of lots after they were granted."""

    def __init__(
        self, *, store: Store, clock: Clock, identity: Identity, ledgering: Ledgering, keys_of: KeysOf
    ) -> None:
        self._store = store
        self._clock = clock
        self._identity = identity
        self._ledgering = ledgering
        self._keys_of = keys_of

    # --- what receivers ask ------------------------------------------------------------------------------------------

    async def reserve(self, sender: NodeName, document: bytes) -> Unit:
        """Set an amount aside; raises NotIssuedHere, NotTheirReservation, UnsignedGrant, GrantTooNarrow, LedgerBehind,
        or as `federation.credits.reserve`.
        """
        asked = canonical.decode(document, ReserveRequest, bytes_max=REQUEST_BYTES_MAX)
        if not await is_same_node(self._keys_of, asked.reservation.receiver, sender):
            raise NotTheirReservation(asked.reservation.id, f"asked by {sender}")
        row = await self._store.read(lambda tx: _own_record(tx, asked.reservation.lot_id))
        home = NodeName(row.home)
        grant = open_grant(asked.grant, home, await self._keys_of(home))
        self._check_grant(grant, row, asked)
        return lambda tx: self._reserve(tx, asked, grant)

    async def commit(self, sender: NodeName, document: bytes) -> Unit:
        """Use a reservation up; the reply is the signed receipt. Raises as `federation.credits.commit`."""
        asked = _settle_request(document)
        names = await self._names(sender, asked)
        return lambda tx: self._commit(tx, names, asked)

    async def void(self, sender: NodeName, document: bytes) -> Unit:
        """Let a reservation go; raises as `federation.credits.void`."""
        asked = _settle_request(document)
        names = await self._names(sender, asked)
        return lambda tx: self._let_go(tx, names, asked, credit_bank.void)

    async def take_back(self, sender: NodeName, document: bytes) -> Unit:
        """What was used for a conversion that came to nothing is free again; raises as `credits.give_back`."""
        asked = _settle_request(document)
        names = await self._names(sender, asked)
        return lambda tx: self._let_go(tx, names, asked, credit_bank.give_back)

    async def _names(self, sender: NodeName, asked: SettleRequest) -> frozenset[str]:
        """Whose reservations `sender` may settle: its own, and the one it asks about if it made that under an earlier
        name. Who made it is looked at again in the unit, which may find another than there is now.
        """
        held = await self._store.read(lambda tx: _reservation(tx, asked))
        return await names_of(self._keys_of, held.receiver if held else sender, sender)

    # --- by itself ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Free what was reserved and not used in time; what is overdue is free by its deadline even before that."""
        while True:
            await self.lapse_overdue()
            await self._clock.sleep(LAPSE_EVERY_S)

    async def lapse_overdue(self) -> int:
        """How many reservations have lapsed; each is an event of its own."""
        now_ms = self._clock.now_ms()
        overdue = await self._store.read(lambda tx: _overdue(tx, now_ms))
        for record_id in overdue:
            await self._store.write(partial(self._lapse, record_id, now_ms))
        return len(overdue)

    # --- units -------------------------------------------------------------------------------------------------------

    def _check_grant(self, grant: ConsentGrant, row: RecordRow, asked: ReserveRequest) -> None:
        use = Use(recipient=asked.reservation.receiver, purpose="convert", fields=("records",), records=(row.id,))
        check_grant(grant, use, now_ms=self._clock.now_ms())
        if asked.credential_sha256 != row.sha256:
            raise GrantTooNarrow(asked.reservation.id, "another credential was shown than the one issued")

    def _reserve(self, tx: Transaction, asked: ReserveRequest, grant: ConsentGrant) -> bytes:
        row = _own_record(tx, asked.reservation.lot_id)
        bind_grant(tx, grant, asked.reservation.case_id)
        now_ms = self._clock.now_ms()
        row, ledger = self._lapse_in(tx, row, now_ms)
        if all(held.reservation.id != asked.reservation.id for held in ledger.reservations):
            check_whole(tx, row)
        made = credit_bank.reserve(ledger, asked.reservation, record_state=row.state, at_ms=now_ms)
        self._ledgering.lot(tx, row, made)
        return canonical.encode({"reserved": asked.reservation.id, "deadline_ms": asked.reservation.deadline_ms})

    def _commit(self, tx: Transaction, names: frozenset[str], asked: SettleRequest) -> bytes:
        row = _own_record(tx, asked.lot_id)
        ledger = _ledger(tx, row)
        _check_theirs(tx, names, asked)
        made = credit_bank.commit(ledger, asked.reservation_id, record_state=row.state, at_ms=self._clock.now_ms())
        self._ledgering.lot(tx, row, made)
        committed = _held(made.ledger, asked.reservation_id)
        receipt = receipt_of([committed], issuer=self._identity.name, at_ms=made.event.at_ms)
        return sign_paper(receipt, purpose=RECEIPT_PURPOSE, signer=self._identity)

    def _let_go(
        self, tx: Transaction, names: frozenset[str], asked: SettleRequest, by: Callable[..., credit_bank.LedgerStep]
    ) -> bytes:
        row = _own_record(tx, asked.lot_id)
        ledger = _ledger(tx, row)
        _check_theirs(tx, names, asked)
        self._ledgering.lot(tx, row, by(ledger, asked.reservation_id, at_ms=self._clock.now_ms()))
        return canonical.encode({"let_go": asked.reservation_id})

    def _lapse(self, record_id: str, now_ms: int, tx: Transaction) -> None:
        self._lapse_in(tx, _own_record(tx, record_id), now_ms)

    def _lapse_in(self, tx: Transaction, row: RecordRow, now_ms: int) -> tuple[RecordRow, LotLedger]:
        """What is overdue is free for whoever asks next, whether or not the timer has run since."""
        ledger = _ledger(tx, row)
        for reservation_id in credit_bank.lapsing(ledger, at_ms=now_ms):
            made = credit_bank.lapse(ledger, reservation_id, at_ms=now_ms)
            row, ledger = self._ledgering.lot(tx, row, made), made.ledger
        return row, ledger


def _settle_request(document: bytes) -> SettleRequest:
    return canonical.decode(document, SettleRequest, bytes_max=REQUEST_BYTES_MAX)


def _own_record(tx: Transaction, record_id: str) -> RecordRow:
    row = tx.credits.records.get(record_id)
    if row is None or not row.is_own:
        raise NotIssuedHere(record_id)
    return row


def _ledger(tx: Transaction, row: RecordRow) -> LotLedger:
    ledger = ledger_of(tx, row.id)
    if ledger is None:
        raise NotIssuedHere(row.id, "it has no lot")
    return ledger


def _held(ledger: LotLedger, reservation_id: str) -> HeldReservation:
    return next(held for held in ledger.reservations if held.reservation.id == reservation_id)


def _check_theirs(tx: Transaction, names: frozenset[str], asked: SettleRequest) -> None:
    """An unknown reservation is left to `federation.credits` to refuse."""
    held = _reservation(tx, asked)
    if held is not None and (held.receiver not in names or held.case_id != asked.case_id):
        raise NotTheirReservation(asked.reservation_id, f"asked by {', '.join(sorted(names))}")


def _reservation(tx: Transaction, asked: SettleRequest) -> Reservation | None:
    ledger = ledger_of(tx, asked.lot_id)
    held = ledger.reservations if ledger else ()
    return next((one.reservation for one in held if one.reservation.id == asked.reservation_id), None)


def _overdue(tx: Transaction, now_ms: int) -> list[str]:
    """Records with a reservation past its deadline. Lots with one under way are few, and found by their state."""
    found: list[str] = []
    after = ""
    while rows := tx.credits.lots.in_state("reserved", after):
        for row in rows:
            ledger = ledger_of(tx, row.id)
            if ledger is not None and credit_bank.lapsing(ledger, at_ms=now_ms):
                found.append(row.id)
        after = rows[-1].id
    return found
