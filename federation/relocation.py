"""Moving home: what a learner's account is handed over as, and who is told where it went.

What lives here: the documents, and whether what has arrived is what was handed over. What must not: names or numbers of
a person (the learner gives them again at the new home), who keeps what, or sending anything.

The new home gives the learner a code; the old home hands the account over under it, and is read-only from then on. The
new home's answer is a document, the same however often it is asked for: accepted, and the account lives there; or
declined, and it lives on where it was. At no time does it live at both.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from federation.catalogue import EpochMs
from federation.consents import Consent
from federation.credit_records import CredentialId, Subject
from federation.credits import RecordState
from federation.naming import NameField
from federation.progress import Balance

ACCOUNT_PURPOSE: Final = "lln.learner.account.v1"
MOVED_PURPOSE: Final = "lln.learner.moved.v1"
RECORDS_MAX: Final = 1_000
SUBJECTS_MAX: Final = 200
CONSENTS_MAX: Final = 50
HANDED_BYTES_MAX: Final = 262_144
CODE_LIFE_MS: Final = 30 * 86_400_000

MoveCode = Annotated[str, Meta(pattern=r"^M[0-9A-HJKMNP-TV-Z]{16}$")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class HandedRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One credit record on its way to the new home: verbatim, with what opens its commitment, and how it stands.

    `used`: how much of it was used up, as far as the old home knows; its issuer alone is sure.
    """

    code: MoveCode
    credential: Annotated[str, Meta(max_length=131_072)]
    event: Annotated[str, Meta(max_length=16_384)]
    salt: Annotated[str, Meta(max_length=200)]
    log_index: Annotated[int, Meta(ge=0)]
    state: RecordState
    note: Annotated[str, Meta(max_length=1_000)] = ""
    superseded_by: Annotated[str, Meta(max_length=64)] = ""
    flagged: Annotated[str, Meta(max_length=300)] = ""
    told_at_ms: EpochMs = 0
    used: Annotated[int, Meta(ge=0)] = 0


class RecordDigest(msgspec.Struct, frozen=True, kw_only=True):
    id: CredentialId
    sha256: Digest


class KnownAs(msgspec.Struct, frozen=True, kw_only=True):
    """By which pseudonym one node knows the learner; it goes on doing so, so that nothing counts twice there."""

    node: NameField
    subject: Subject


class HandedAccount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="document", tag="account"):
    """A whole account, signed by the old home: its records by digest, its pseudonyms, consents in force, balances."""

    code: MoveCode
    old_home: NameField
    new_home: NameField
    at_ms: EpochMs
    records: Annotated[tuple[RecordDigest, ...], Meta(max_length=RECORDS_MAX)] = ()
    subjects: Annotated[tuple[KnownAs, ...], Meta(max_length=SUBJECTS_MAX)] = ()
    consents: Annotated[tuple[Consent, ...], Meta(max_length=CONSENTS_MAX)] = ()
    balances: Annotated[tuple[Balance, ...], Meta(max_length=256)] = ()


class MoveAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the new home has made of an account, for good; where it declined, why."""

    is_accepted: bool
    zh: Annotated[str, Meta(max_length=1_000)] = ""
    en: Annotated[str, Meta(max_length=1_000)] = ""


class LearnerMoved(msgspec.Struct, frozen=True, kw_only=True, tag_field="document", tag="learner_moved"):
    """To one node that knows the learner as `subject`, signed by the old home: news of them goes to the new one."""

    subject: Subject
    recipient: NameField
    old_home: NameField
    new_home: NameField
    at_ms: EpochMs


def declined(zh: str, en: str) -> MoveAnswer:
    return MoveAnswer(is_accepted=False, zh=zh[:1_000], en=en[:1_000])


def missing_records(account: HandedAccount, arrived: Iterable[str]) -> tuple[CredentialId, ...]:
    """Records of the account that have not arrived."""
    there = frozenset(arrived)
    return tuple(one.id for one in account.records if one.id not in there)


def judge_contents(
    account: HandedAccount, arrived: Mapping[str, str], balances: Iterable[Balance]
) -> MoveAnswer | None:
    """Why an account that is all there is not what was handed over; None where it is.

    `arrived`: each record's digest by its id. `balances`: what they add up to here.
    """
    for one in account.records:
        if arrived[one.id] != one.sha256:
            return declined(
                f"记录 {one.id} 与原节点签名的清单不符。", f"The record {one.id} is not the one on the signed list."
            )
    if tuple(balances) != account.balances:
        return declined(
            "到达的记录合计与原节点的余额不等，没有接收。",
            "What arrived does not add up to the balances of the old home; it was not taken in.",
        )
    return None
