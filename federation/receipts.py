"""The receipt 核销回执 of a conversion: the source issuer's word that its credits were used up.

What lives here: building a receipt, reading it, and comparing it with what was asked. What must not: its signature
(`credentials.py`), or the lots (`credits.py`).
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from federation import canonical
from federation.catalogue import EpochMs
from federation.credits import HeldReservation, IllegalReservationStep, OperationId, Reservation, RuleReference
from federation.errors import PeerRefused
from federation.naming import NameField

RECEIPT_BYTES_MAX: Final = 65_536
RECEIPT_RESERVATIONS_MAX: Final = 32


class ReceiptMismatch(PeerRefused):
    code = "LLN-2640"
    zh = "原颁发机构的核销回执与所请求的不符，未予采用。请联系该机构核对。"
    en = "The source issuer's receipt is not of what was asked, so it was not used. Ask that institution to check it."


class Receipt(msgspec.Struct, frozen=True, kw_only=True, tag_field="document", tag="consumption_receipt"):
    """核销回执: the source issuer's word that these reservations of one case were committed. It signs the bytes."""

    issuer: NameField
    receiver: NameField
    case_id: OperationId
    rule: RuleReference
    reservations: Annotated[tuple[Reservation, ...], Meta(min_length=1, max_length=RECEIPT_RESERVATIONS_MAX)]
    at_ms: EpochMs


def receipt_of(committed: Sequence[HeldReservation], *, issuer: NameField, at_ms: int) -> Receipt:
    """The receipt of one case's committed reservations, sorted by id; raises IllegalReservationStep for any other."""
    reservations = tuple(sorted((held.reservation for held in committed), key=lambda each: each.id))
    if not reservations or any(held.state != "committed" for held in committed):
        raise IllegalReservationStep(issuer, "a receipt is of committed reservations, at least one")
    first = reservations[0]
    if any(_terms(each) != _terms(first) for each in reservations):
        raise IllegalReservationStep(first.case_id, "a receipt is of one case: one receiver, one rule")
    return Receipt(
        issuer=issuer,
        receiver=first.receiver,
        case_id=first.case_id,
        rule=first.rule,
        reservations=reservations,
        at_ms=at_ms,
    )


def read_receipt(data: bytes) -> Receipt:
    """Read a receipt whose signature was verified over `data`; raises MalformedDocument."""
    return canonical.decode(data, Receipt, bytes_max=RECEIPT_BYTES_MAX)


def check_receipt(receipt: Receipt, asked: Sequence[Reservation], *, issuer: NameField) -> None:
    """That a receipt is of exactly what was asked, from whom it was asked; raises ReceiptMismatch."""
    if receipt.issuer != issuer:
        raise ReceiptMismatch(receipt.case_id, f"from {receipt.issuer}, asked of {issuer}")
    if receipt.reservations != tuple(sorted(asked, key=lambda each: each.id)):
        raise ReceiptMismatch(receipt.case_id, "its reservations are not the ones that were asked for")
    terms = (receipt.receiver, receipt.case_id, receipt.rule)
    if any(_terms(each) != terms for each in receipt.reservations):
        raise ReceiptMismatch(receipt.case_id, "its head and its reservations name different cases")


def _terms(reservation: Reservation) -> tuple[str, str, RuleReference]:
    return (reservation.receiver, reservation.case_id, reservation.rule)
