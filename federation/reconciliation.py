"""Two nodes compare what each has written down of conversions between them.

What lives here: one side's lines, how they travel, and where the two sides differ. What must not: reading the lines
(`reconciling.py`), or an end to a quarrel: which side is right, people find out.

A line names a reservation, its lot, its case and amount, and says by digest what was agreed and what the receipt says:
whoever holds the same documents gets the same digests, and nobody learns what they did not have.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from federation import canonical
from federation.amounts import Hundredths, Unit
from federation.canonical import MalformedDocument
from federation.conversion_cases import Hold, HoldState
from federation.credits import HeldReservation, LotId, OperationId, Reservation, ReservationState, Sha256Hex
from federation.naming import NodeName
from federation.receipts import receipt_of
from federation.signed_papers import read_paper

LINES_MAX: Final = 500
LINES_WITH_PAPERS_MAX: Final = 100
PAPER_BYTES_MAX: Final = 4_096
"""A receipt of one reservation has less than half of it."""
PAGE_BYTES_MAX: Final = 524_288
ASKED_BYTES_MAX: Final = 1_024
NOTHING: Final = "nothing"

Side = Literal["issuer", "receiver"]
Difference = Literal["state", "terms", "receipt", "unknown_to_issuer", "unknown_to_receiver"]
Cursor = Annotated[str, Meta(pattern=r"^((cases|reserved|used)/[A-Za-z0-9._:/-]{0,200})?$")]

SENTENCES: Final[Mapping[Difference, tuple[str, str]]] = {
    "state": ("两边的状态不相符", "the two sides' states do not go together"),
    "terms": (
        "两边记载的约定不同（数量、范围、规则或期限）",
        "what was agreed differs: amount, scope, rule or deadline",
    ),
    "receipt": ("两边的核销回执不同", "the receipts of the two sides differ"),
    "unknown_to_issuer": (
        "接收方认为已预占或核销，来源机构没有记载",
        "the receiver counts on it; the issuer has no such reservation",
    ),
    "unknown_to_receiver": (
        "来源机构已预占或核销，接收方没有这笔转换",
        "the issuer holds or used credits for it; the receiver has no such conversion",
    ),
}

GOES_WITH: Final[Mapping[str, frozenset[str]]] = {
    "asked": frozenset(("nothing", "reserved", "lapsed")),
    "reserved": frozenset(("reserved", "lapsed")),
    "committing": frozenset(("reserved", "committed", "lapsed")),
    "committed": frozenset(("committed",)),
    "letting_go": frozenset(("nothing", "reserved", "committed", "voided", "lapsed", "given_back")),
    "let_go": frozenset(("nothing", "voided", "lapsed", "given_back")),
    "refused": frozenset(("nothing", "voided", "lapsed", "given_back")),
    "unusable": frozenset(("nothing", "reserved", "voided", "lapsed", "given_back")),
}
"""What the issuer may say of a hold in each state of the receiver's, while messages are still on their way."""
FORGETTABLE: Final[frozenset[str]] = frozenset(("voided", "lapsed", "given_back"))
"""What the issuer may say of a reservation that the receiver has given up for another try."""


class Dealing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reservation, as the side that says it has it: the lot's issuer, or the receiver of the conversion.

    `terms`: digest of the reservation's canonical bytes; `receipt`: of the receipt's, once it is committed; `paper`:
    the receipt as its issuer has signed it, where that one asks for it.
    """

    side: Side
    reservation: OperationId
    lot: LotId
    case: OperationId
    amount: Hundredths
    unit: Unit
    state: ReservationState | HoldState
    terms: Sha256Hex
    receipt: Sha256Hex | None = None
    paper: Annotated[str, Meta(max_length=PAPER_BYTES_MAX)] = ""


class DealingsAsked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The lines after `after`, which is the `next` of the page before. `papers`: with receipts, to an issuer that has
    lost its own.
    """

    after: Cursor = ""
    papers: bool = False


class DealingsPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Some lines, perhaps none, and where to go on; `next` is empty at the end."""

    lines: Annotated[tuple[Dealing, ...], Meta(max_length=LINES_MAX)] = ()
    next: Cursor = ""


class Discrepancy(msgspec.Struct, frozen=True, kw_only=True):
    """Where two sides do not agree: which case, which reservation of which lot, and what each says."""

    case: str
    reservation: str
    lot: str
    difference: Difference
    issuer_says: str
    receiver_says: str


def lent_line(held: HeldReservation, *, issuer: NodeName, at_ms: int) -> Dealing:
    """The issuer's word on a reservation; one past its deadline has lapsed, whether or not that is written down yet."""
    receipt = None
    if held.state == "committed" and held.settled_at_ms is not None:
        receipt = canonical.digest(canonical.encode(receipt_of([held], issuer=issuer, at_ms=held.settled_at_ms))).hex()
    is_overdue = held.state == "reserved" and at_ms >= held.reservation.deadline_ms
    return _line("issuer", held.reservation, "lapsed" if is_overdue else held.state, receipt)


def held_line(hold: Hold, *, with_paper: bool = False) -> Dealing:
    """The receiver's word on a reservation; a receipt that cannot be read is as good as none."""
    receipt = None
    if hold.receipt:
        try:
            receipt = canonical.digest(read_paper(hold.receipt.encode())).hex()
        except MalformedDocument:
            receipt = None
    line = _line("receiver", hold.reservation, hold.state, receipt)
    return msgspec.structs.replace(line, paper=hold.receipt) if with_paper and receipt else line


def compare(lent: Mapping[str, Dealing], held: Mapping[str, Dealing]) -> list[Discrepancy]:
    """Where an issuer and a receiver do not agree, by reservation; both may be empty, in any order."""
    found = []
    for name in sorted({*lent, *held}):
        difference = _difference(lent.get(name), held.get(name))
        if difference is not None:
            line = lent.get(name) or held[name]
            found.append(
                Discrepancy(
                    case=line.case,
                    reservation=name,
                    lot=line.lot,
                    difference=difference,
                    issuer_says=said(lent.get(name)),
                    receiver_says=said(held.get(name)),
                )
            )
    return found


def said(line: Dealing | None) -> str:
    """What a side says, in its own words."""
    return NOTHING if line is None else f"{line.state} {line.amount} {line.unit}"


def _difference(lent: Dealing | None, held: Dealing | None) -> Difference | None:
    if held is None:
        return "unknown_to_receiver" if lent is not None and lent.state not in FORGETTABLE else None
    allowed = GOES_WITH.get(held.state, frozenset[str]())
    if lent is None:
        return None if NOTHING in allowed else "unknown_to_issuer"
    if lent.state not in allowed:
        return "state"
    if lent.terms != held.terms:
        return "terms"
    if held.state == "committed" and lent.receipt != held.receipt:
        return "receipt"
    return None


def _line(
    side: Side, reservation: Reservation, state: ReservationState | HoldState, receipt: Sha256Hex | None
) -> Dealing:
    return Dealing(
        side=side,
        reservation=reservation.id,
        lot=reservation.lot_id,
        case=reservation.case_id,
        amount=reservation.amount,
        unit=reservation.unit,
        state=state,
        terms=canonical.digest(canonical.encode(reservation)).hex(),
        receipt=receipt,
    )
