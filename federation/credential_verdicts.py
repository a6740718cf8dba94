"""One outcome from separate answers: is this credential good, as of now, and if not, why not.

What lives here: the answers, the outcomes with their sentences and exit codes, and the table between them. What must
not: finding the answers out: signatures (`credentials.py`), standing of the issuer (`directory.py`), log proofs
(`log_proofs.py`).
"""

from collections.abc import Collection
from typing import Final, Literal

import msgspec

from federation.credit_records import CreditRecord
from federation.status_lists import Purpose, VerifiedStatusList, sister_of

Signature = Literal["good", "bad", "unverified"]
IssuerStanding = Literal["admitted", "unknown", "unreachable"]
"""`admitted`: the key was the issuer's, and the node admitted, when it signed. `unreachable`: nobody could be asked."""
Bit = Literal["clear", "raised", "unknown", "unreachable"]
"""`unknown`: no list, a stale one, or another issuer's; `unreachable`: so because the issuer does not answer.

A raised bit counts however old the list: see `bit_of`.
"""
Dates = Literal["within", "early", "late"]
Inclusion = Literal["proven", "unproven", "disproven"]
Outcome = Literal[
    "valid",
    "tampered",
    "not_verified",
    "unknown_issuer",
    "revoked",
    "not_yet_valid",
    "expired",
    "suspended",
    "status_unknown",
    "issuer_offline",
]


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out, each by itself; `list_age_ms` of the older of both status lists, if there were any."""

    signature: Signature
    issuer: IssuerStanding
    revocation: Bit
    suspension: Bit
    dates: Dates
    inclusion: Inclusion = "unproven"
    list_age_ms: int | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome, with the sentence to show and the exit code of whoever asked on a command line."""

    outcome: Outcome
    zh: str
    en: str
    exit_code: int
    answers: Answers

    @property
    def is_valid(self) -> bool:
        return self.outcome == "valid"


class _Wording(msgspec.Struct, frozen=True):
    exit_code: int
    zh: str
    en: str


_TABLE: Final[tuple[tuple[str, str, Outcome], ...]] = (
    # question, answer -> outcome. The first row that applies decides: what makes the rest meaningless comes first, and
    # what may pass (a suspension, a list that could not be fetched) comes after what will not.
    ("signature", "bad", "tampered"),
    ("inclusion", "disproven", "tampered"),
    ("signature", "unverified", "not_verified"),
    ("issuer", "unknown", "unknown_issuer"),
    ("revocation", "raised", "revoked"),
    ("dates", "late", "expired"),
    ("dates", "early", "not_yet_valid"),
    ("suspension", "raised", "suspended"),
    ("issuer", "unreachable", "issuer_offline"),
    ("revocation", "unreachable", "issuer_offline"),
    ("suspension", "unreachable", "issuer_offline"),
    ("revocation", "unknown", "status_unknown"),
    ("suspension", "unknown", "status_unknown"),
)

_WORDING: Final[dict[Outcome, _Wording]] = {
    "valid": _Wording(0, "有效。", "Valid."),
    "tampered": _Wording(
        20,
        "内容与签名不符，已被改动，不能采信。",
        "It does not match its signature: it was changed and is not to be believed.",
    ),
    "not_verified": _Wording(
        21, "没有可核验的签名，不能采信。", "It carries no signature that can be verified, so it is not to be believed."
    ),
    "unknown_issuer": _Wording(
        22,
        "签名成立，但颁发者不是本网络认可的节点。",
        "The signature is good, but its issuer is not a node that this network has admitted.",
    ),
    "revoked": _Wording(23, "颁发者已撤销该记录。", "Its issuer has revoked it."),
    "not_yet_valid": _Wording(24, "尚未生效。", "It is not valid yet."),
    "expired": _Wording(25, "已过有效期。", "It has expired."),
    "suspended": _Wording(26, "颁发者已暂停该记录，请向颁发者了解情况。", "Its issuer has suspended it; ask there."),
    "status_unknown": _Wording(
        27,
        "签名成立，但手头的状态列表已过期或不是颁发者的，无法得知最新状态。请联网后再核验。",
        "The signature is good, but the status list at hand is old or not the issuer's. Verify again with a network.",
    ),
    "issuer_offline": _Wording(
        28,
        "签名成立，但现在联系不上颁发者或为其作证的节点，无法得知最新状态。请稍后再核验。",
        "The signature is good, but neither its issuer nor who vouches for it can be reached just now. Try later.",
    ),
}


def judge(answers: Answers) -> Verdict:
    """The one outcome of all answers together."""
    found = (outcome for question, answer, outcome in _TABLE if getattr(answers, question) == answer)
    outcome: Outcome = next(found, "valid")
    wording = _WORDING[outcome]
    return Verdict(outcome=outcome, zh=wording.zh, en=wording.en, exit_code=wording.exit_code, answers=answers)


def dates_of(record: CreditRecord, as_of_ms: int) -> Dates:
    """Where `as_of_ms` stands in the record's span of validity, both ends included."""
    if as_of_ms < record.valid_from_ms:
        return "early"
    if record.valid_until_ms is not None and as_of_ms > record.valid_until_ms:
        return "late"
    return "within"


def bit_of(
    record: CreditRecord,
    purpose: Purpose,
    held: VerifiedStatusList | None,
    as_of_ms: int,
    *,
    successors: Collection[str] = (),
) -> Bit:
    """What a status list says of a record; a record without a slot is never revoked by list.

    `successors`: keys (`did:key`) that have since taken the place of the one that signed, after a machine was replaced.

    A stale list that has the revocation bit raised still tells: revocation is for ever. A suspension may have been
    lifted since, and a bit that is not raised may have been raised since: there a stale list is `unknown`.
    """
    slot = record.status
    if slot is None:
        return "clear"
    expected = slot.list if purpose == "revocation" else sister_of(slot.list)
    if held is None or held.statuses.id != expected or held.issuer.did not in (record.issuer.did, *successors):
        return "unknown"
    is_raised = held.statuses.is_raised(slot.index)
    if is_raised and purpose == "revocation" and held.statuses.valid_from_ms <= as_of_ms:
        return "raised"
    if not held.statuses.is_fresh(as_of_ms):
        return "unknown"
    return "raised" if is_raised else "clear"
