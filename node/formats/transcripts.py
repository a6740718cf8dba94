"""A transcript 学习成果清单: one learner's records, gathered by the home node to be handed out.

What lives here: what every format of it is written from. What must not: gathering (`usecases`), or any format.
"""

import msgspec

from federation.credentials import VerifiedCredential
from federation.credit_records import CredentialId, CreditRecord, RecordIssuer, Score, Subject
from federation.open_badges import to_decimal


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Whose transcript it is. The names go into formats that are handed to the learner, and into nothing signed."""

    subject: Subject
    given_names: str = ""
    family_name: str = ""


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """`issuer` is the home node; `is_partial` when the learner has chosen some records among others."""

    id: CredentialId
    holder: Holder
    issuer: RecordIssuer
    records: tuple[VerifiedCredential, ...]
    issued_at_ms: int
    is_partial: bool = False


def result_label(record: CreditRecord) -> str:
    """`86.5/100`, or the grade, or nothing."""
    result = record.result
    if isinstance(result, Score):
        return f"{to_decimal(result.hundredths)}/{to_decimal(result.scale_hundredths)}"
    return "" if result is None else result.text
