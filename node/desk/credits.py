"""Achievements and credit records: what can be asked, and what is answered.

A learner is named here by account id, or, as somebody else's learner, by a handle `subject@home`; numbers of people
come in with a sheet, find their account, and go no further.
"""

from datetime import date
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from federation.amounts import Amount, QualificationLevel
from federation.catalogue import BilingualLine
from federation.credit_records import Achievement, Grade, Score
from federation.credits import OutcomeKind
from federation.naming import NameField
from node.desk.plain import Document, Limit, Operation, Person

Code = Annotated[str, Meta(pattern=r"^([a-z][a-z0-9+.-]{0,31}:)?[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""Of this node's own, or, with a word and a colon in front, the id of what many institutions award alike."""
RecordId = Annotated[str, Meta(min_length=1, max_length=64)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]
RecordState = Literal["active", "suspended", "revoked", "superseded", "expired"]
Form = Literal["credential", "wallet", "transcript", "elmo", "bundle", "page"]
ROWS_MAX: Final = 1_000


# --- achievements ----------------------------------------------------------------------------------------------------


class AchievementAsked(Document, frozen=True, kw_only=True):
    """Define an achievement under a code; defining it otherwise makes this node's next version of it."""

    code: Code
    name: BilingualLine
    kind: OutcomeKind
    credits: Amount | None = None
    level: QualificationLevel | None = None
    criteria: Annotated[str, Meta(max_length=4_000)] = ""


class AchievementDefined(Document, frozen=True, kw_only=True):
    achievement: Achievement
    change: Literal["new", "same"]
    log_index: int | None


class AchievementsAsked(Document, frozen=True, kw_only=True):
    after: str = ""
    limit: Limit = 100


class Achievements(Document, frozen=True, kw_only=True):
    achievements: tuple[Achievement, ...]
    more: bool


class RecogniseAsked(Document, frozen=True, kw_only=True):
    """Recognise 认定 somebody's achievement, or one credential, in public; `by` is the person who decides."""

    issuer: NameField
    of: Annotated[str, Meta(min_length=1, max_length=200)]
    version: Annotated[int, Meta(ge=1)] = 1
    remark: Annotated[str, Meta(max_length=1_000)] = ""
    by: Person


class Recognised(Document, frozen=True, kw_only=True):
    """`document`: the signed endorsement."""

    id: str
    document: str
    log_index: int


# --- issuing ---------------------------------------------------------------------------------------------------------


class CreditRow(Document, frozen=True, kw_only=True):
    """One credit record to be. Exactly one of `learner` (account id or handle), and the two numbers, is given.

    `amount` in hundredths; what the achievement is worth where it is absent. `number`: of the certificate on paper.
    """

    row: int
    learner: Annotated[str, Meta(max_length=400)] = ""
    student_number: Annotated[str, Meta(max_length=64)] = ""
    identity_number: Annotated[str, Meta(max_length=18)] = ""
    achievement: Annotated[str, Meta(min_length=1, max_length=200)]
    version: Annotated[int, Meta(ge=1)] | None = None
    amount: Annotated[int, Meta(ge=0)] | None = None
    achieved_on: date
    valid_until: date | None = None
    result: Score | Grade | None = None
    hours: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    number: Annotated[str, Meta(max_length=64)] = ""
    evidence_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None


class IssueAsked(Document, frozen=True, kw_only=True):
    rows: Annotated[tuple[CreditRow, ...], Meta(max_length=ROWS_MAX)]
    by: Person
    apply: bool = False


class PlannedCredit(Document, frozen=True, kw_only=True):
    """`id`: the record it became, or is already; `name` of the achievement; a refused row says why, and what to do."""

    row: int
    change: Literal["issue", "same", "refused"]
    id: str = ""
    learner: str = ""
    achievement: str = ""
    name: BilingualLine | None = None
    hundredths: int = 0
    unit: str = ""
    reason_zh: str = ""
    reason_en: str = ""


class IssuePlan(Document, frozen=True, kw_only=True):
    applied: bool
    rows: tuple[PlannedCredit, ...]


class CreditSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A sheet as it was read: rows to be planned, rows that cannot be, and what stood in each row's cells."""

    rows: tuple[CreditRow, ...]
    refused: tuple[PlannedCredit, ...]
    columns: tuple[str, ...]
    cells: dict[int, tuple[str, ...]]


# --- records ---------------------------------------------------------------------------------------------------------


class RecordSummary(Document, frozen=True, kw_only=True):
    """One credit record as a person of this node sees it; `learner` empty for somebody else's learner.

    `available`, `reserved`, `consumed`, `cancelled` in hundredths, None where another node is the writer of the lot.
    """

    id: str
    state: RecordState
    learner: str
    issuer: str
    home: str
    achievement: str
    name: BilingualLine
    kind: OutcomeKind
    unit: str
    hundredths: int
    achieved_on: date
    valid_until_ms: int | None
    available: int | None = None
    reserved: int | None = None
    consumed: int | None = None
    cancelled: int | None = None
    converted_from: tuple[str, ...] = ()
    supersedes: str = ""
    superseded_by: str = ""
    flagged: str = ""
    note: str = ""
    issued_at_ms: int


class RecordNamed(Document, frozen=True, kw_only=True):
    id: RecordId


class RecordShown(Document, frozen=True, kw_only=True):
    """`events`: what has become of it, oldest first, each with its place in the credits log."""

    record: RecordSummary
    credential: msgspec.Raw
    events: tuple["EventShown", ...]


class EventShown(Document, frozen=True, kw_only=True):
    kind: str
    at_ms: int
    log_index: int


class RecordsAsked(Document, frozen=True, kw_only=True):
    """By learner, by state, or all; in the order of their ids."""

    learner: Annotated[str, Meta(max_length=64)] = ""
    state: RecordState | None = None
    after: str = ""
    limit: Limit = 100


class Records(Document, frozen=True, kw_only=True):
    records: tuple[RecordSummary, ...]
    more: bool


class RecordStepAsked(Document, frozen=True, kw_only=True):
    """`reopens`, with a revocation: that the row it was issued for may be issued again, put right. Else it is never."""

    id: RecordId
    step: Literal["suspend", "resume", "revoke"]
    reason: Reason
    by: Person
    reopens: bool = False


class CorrectAsked(Document, frozen=True, kw_only=True):
    """A new record that takes the place of one; what is absent stays as it was."""

    id: RecordId
    reason: Reason
    by: Person
    amount: Annotated[int, Meta(ge=0)] | None = None
    achieved_on: date | None = None
    result: Score | Grade | None = None
    hours: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    number: Annotated[str, Meta(max_length=64)] | None = None


class ExpireAsked(Document, frozen=True, kw_only=True):
    """Mark what has run out by the end of a day in China; today where it is absent."""

    as_of: date | None = None


class Expired(Document, frozen=True, kw_only=True):
    ids: tuple[str, ...]


class BalanceLine(Document, frozen=True, kw_only=True):
    """What one learner holds of one unit, kind and level; nothing is added across kinds."""

    unit: str
    kind: OutcomeKind
    level: QualificationLevel | None
    granted: int
    available: int
    records: int


class BalanceAsked(Document, frozen=True, kw_only=True):
    learner: Annotated[str, Meta(min_length=1, max_length=64)]


class Balances(Document, frozen=True, kw_only=True):
    lines: tuple[BalanceLine, ...]


# --- showing and verifying -------------------------------------------------------------------------------------------


class ExportAsked(Document, frozen=True, kw_only=True):
    """A record, an account (all that a learner has), or the code of a proof, in a form that others read."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    form: Form


class Exported(Document, frozen=True, kw_only=True):
    """A file: its usual name, its media type, and its bytes."""

    name: str
    media_type: str
    content: bytes


class ProofAsked(Document, frozen=True, kw_only=True):
    """A proof of outcomes 学习成果证明 with a code that others can look up until it ends or is withdrawn.

    `confirmed` only after learner or guardian have read the words they agree to; without it they are only told.
    """

    learner: Annotated[str, Meta(min_length=1, max_length=64)]
    records: Annotated[tuple[RecordId, ...], Meta(min_length=1, max_length=100)]
    days: Annotated[int, Meta(ge=1, le=3_650)] = 90
    by_guardian: bool = False
    confirmed: bool = False


class ProofMade(Document, frozen=True, kw_only=True):
    """`code` is given to whoever may look, `where` is what they type: CODE@NODE; `qr` is that as an SVG picture.

    `consent` ends the proof when it is withdrawn; `zh` and `en` are the words that were, or would be, agreed to. Code
    and consent are empty where nothing was confirmed.
    """

    code: str = ""
    where: str = ""
    consent: str = ""
    until_ms: int
    qr: str = ""
    zh: str
    en: str


class VerifyAsked(Document, frozen=True, kw_only=True):
    """A credential or a bundle as its text, or a code of a proof, perhaps with the node that gave it: `CODE@node`."""

    text: Annotated[str, Meta(max_length=2_000_000)]


class VerifyAnswer(Document, frozen=True, kw_only=True):
    """One question that was asked of a credential: `answer` is a stable word, the sentences are for people."""

    question: Literal["signature", "issuer", "status", "dates", "log"]
    answer: str
    zh: str
    en: str


class Verdict(Document, frozen=True, kw_only=True):
    """`outcome` a stable word with its own exit code; `answers` each by itself; the record where it could be read."""

    outcome: str
    exit_code: int
    zh: str
    en: str
    answers: tuple[VerifyAnswer, ...]
    issuer: str = ""
    issuer_title: BilingualLine | None = None
    achievement: BilingualLine | None = None
    hundredths: int = 0
    unit: str = ""
    achieved_on: date | None = None
    id: str = ""
    status_as_of_ms: int | None = None


class Verdicts(Document, frozen=True, kw_only=True):
    verdicts: tuple[Verdict, ...]


OPERATIONS: Final = (
    Operation(name="achievement.define", asked=AchievementAsked, answered=AchievementDefined),
    Operation(name="achievement.list", asked=AchievementsAsked, answered=Achievements),
    Operation(name="achievement.recognise", asked=RecogniseAsked, answered=Recognised),
    Operation(name="credit.issue", asked=IssueAsked, answered=IssuePlan),
    Operation(name="credit.show", asked=RecordNamed, answered=RecordShown),
    Operation(name="credit.list", asked=RecordsAsked, answered=Records),
    Operation(name="credit.step", asked=RecordStepAsked, answered=RecordSummary),
    Operation(name="credit.correct", asked=CorrectAsked, answered=RecordSummary),
    Operation(name="credit.expire", asked=ExpireAsked, answered=Expired),
    Operation(name="credit.balance", asked=BalanceAsked, answered=Balances),
    Operation(name="credit.export", asked=ExportAsked, answered=Exported),
    Operation(name="credit.prove", asked=ProofAsked, answered=ProofMade),
    Operation(name="credit.verify", asked=VerifyAsked, answered=Verdicts),
)
