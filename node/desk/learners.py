"""Learners, their accounts and their consents: what can be asked, and what is answered.

Identity numbers come in here and go out masked, but for a learner's own export. What names a person does not print.
"""

from datetime import date
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from federation.consents import ConsentState, Field, Purpose, RecipientField, Records, Uses
from federation.naming import NameField
from federation.persons import Written
from federation.relocation import MoveCode
from federation.short_ids import ConsentId, LearnerId
from node.desk.plain import Document, Limit, Operation

ROWS_MAX: Final = 1_000
LearnerState = Literal["active", "moving", "moved", "erased"]


class _Unshown(Document, frozen=True, kw_only=True):
    """A document about one person; its content stays out of tracebacks and telemetry."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class RegisterAsked(Document, frozen=True, kw_only=True):
    written: Written


class ChangeAsked(Document, frozen=True, kw_only=True):
    """What is written takes the place of what is held; what is empty stays, but for the fields in `emptied`."""

    learner: LearnerId
    written: Written
    emptied: tuple[Literal["identity_number", "student_number", "birth_date", "guardian", "contact"], ...] = ()


class LearnerWritten(Document, frozen=True, kw_only=True):
    """`row` is the row's own number in the sheet it came from, counted as a person would see it."""

    row: int
    written: Written


class LearnersImportAsked(Document, frozen=True, kw_only=True):
    rows: Annotated[tuple[LearnerWritten, ...], Meta(max_length=ROWS_MAX)]
    apply: bool = False


class PlannedLearner(_Unshown, frozen=True, kw_only=True):
    """`changed` names the fields that differ, or that a row is refused for; then it says why and the remedy."""

    row: int
    change: Literal["add", "update", "same", "refused"]
    id: str = ""
    name: str = ""
    number: str = ""
    changed: tuple[str, ...] = ()
    reason_zh: str = ""
    reason_en: str = ""
    remedy_zh: str = ""
    remedy_en: str = ""


class LearnerPlan(Document, frozen=True, kw_only=True):
    applied: bool
    rows: tuple[PlannedLearner, ...]


class LearnerNamed(Document, frozen=True, kw_only=True):
    learner: LearnerId


class LearnersAsked(Document, frozen=True, kw_only=True):
    """`text`: part of a name, the beginning of an account's id, or a whole number of a person."""

    after: str = ""
    text: Annotated[str, Meta(max_length=64)] = ""
    limit: Limit = 50


class LearnerLine(_Unshown, frozen=True, kw_only=True):
    """Numbers are masked."""

    id: LearnerId
    state: LearnerState
    name: str
    identity_number: str
    student_number: str
    registered_at_ms: int


class Learners(Document, frozen=True, kw_only=True):
    rows: tuple[LearnerLine, ...]
    more: bool


class PseudonymShown(Document, frozen=True, kw_only=True):
    node: NameField
    subject: str


class ConsentShown(Document, frozen=True, kw_only=True):
    """`zh` and `en`: what was agreed to, in words; `disclosed`: how many times it was used."""

    id: ConsentId
    learner: LearnerId
    state: ConsentState
    purpose: Purpose
    fields: tuple[Field, ...]
    recipient: str
    records: Records
    every_record: bool
    uses: Uses
    by: Literal["learner", "guardian"]
    given_at_ms: int
    expires_at_ms: int
    ended_at_ms: int | None
    text_version: str
    disclosed: int
    zh: str
    en: str


class DisclosureShown(Document, frozen=True, kw_only=True):
    at_ms: int
    recipient: str
    purpose: str
    consent: str
    fields: tuple[str, ...]
    records: tuple[str, ...]


class Consents(Document, frozen=True, kw_only=True):
    """Newest first, both."""

    consents: tuple[ConsentShown, ...]
    disclosures: tuple[DisclosureShown, ...]


class LearnerShown(_Unshown, frozen=True, kw_only=True):
    """An account as the institution's people see it; numbers are masked. `records` counts by state.

    `consent_by`: who can consent today, the learner, the guardian, or nobody as long as the birth date is not known.
    """

    id: LearnerId
    state: LearnerState
    name: str
    identity_number: str
    student_number: str
    birth_date: date | None
    guardian: str
    contact: str
    moved_to: str
    registered_at_ms: int
    changed_at_ms: int
    consent_by: Literal["learner", "guardian", "unknown"]
    records: dict[str, int]
    pseudonyms: tuple[PseudonymShown, ...]
    consents: tuple[ConsentShown, ...]
    disclosures: tuple[DisclosureShown, ...]


class HandleAsked(Document, frozen=True, kw_only=True):
    """`node`: who shall be able to issue to the learner."""

    learner: LearnerId
    node: NameField


class HandleMade(Document, frozen=True, kw_only=True):
    """`handle` is `subject@home`, to be handed to that node."""

    handle: str


class LearnerExport(_Unshown, frozen=True, kw_only=True):
    """`archive`: a ZIP of everything the node holds of one learner, for the learner; `files` in it."""

    archive: bytes
    files: tuple[str, ...]


class EraseAsked(Document, frozen=True, kw_only=True):
    """Without `confirmed` it only tells what would go and what would stay."""

    learner: LearnerId
    confirmed: bool = False


class KeptRecord(Document, frozen=True, kw_only=True):
    """A record this node issued and has to keep; it names nobody. `until`: when the term of keeping ends."""

    id: str
    issued_at_ms: int
    until: date


class LearnerErased(Document, frozen=True, kw_only=True):
    """`gone` counts by kind what is, or would be, erased; what stays does so on the basis told in both languages."""

    erased: bool
    gone: dict[str, int]
    kept: tuple[KeptRecord, ...]
    basis_zh: str
    basis_en: str


# --- moving home -----------------------------------------------------------------------------------------------------


class WelcomeAsked(Document, frozen=True, kw_only=True):
    """At the new home: the account that shall take in what `node`, the old home, hands over."""

    learner: LearnerId
    node: NameField


class Welcomed(Document, frozen=True, kw_only=True):
    """`code`: what the learner takes to the old home, once, until it ends."""

    code: MoveCode
    learner: LearnerId
    node: NameField
    until_ms: int


class LearnerMoveAsked(Document, frozen=True, kw_only=True):
    """At the old home: hand the account over to `to`, under a consent for that and the code it gave.

    The same again asks again for the outcome, and sends again what was stopped.
    """

    learner: LearnerId
    to: NameField
    code: MoveCode
    consent: ConsentId


class LearnerMoveTold(Document, frozen=True, kw_only=True):
    """`state`: moving until the new home has answered; then moved, or active again because it declined."""

    learner: LearnerId
    to: NameField
    state: LearnerState
    records: int
    zh: str = ""
    en: str = ""


# --- consents --------------------------------------------------------------------------------------------------------


class ConsentAsked(Document, frozen=True, kw_only=True):
    """`confirmed` only after learner or guardian have read the words; without it they are only told."""

    learner: LearnerId
    purpose: Purpose
    fields: Annotated[tuple[Field, ...], Meta(min_length=1, max_length=4)]
    recipient: RecipientField
    records: Records = ()
    every_record: bool = False
    days: Annotated[int, Meta(ge=1, le=3_660)] = 30
    uses: Uses = "one"
    by_guardian: bool = False
    confirmed: bool = False


class ConsentNamed(Document, frozen=True, kw_only=True):
    consent: ConsentId


OPERATIONS: Final = (
    Operation(name="learner.register", asked=RegisterAsked, answered=LearnerShown),
    Operation(name="learner.change", asked=ChangeAsked, answered=LearnerShown),
    Operation(name="learner.import", asked=LearnersImportAsked, answered=LearnerPlan),
    Operation(name="learner.show", asked=LearnerNamed, answered=LearnerShown),
    Operation(name="learner.list", asked=LearnersAsked, answered=Learners),
    Operation(name="learner.handle", asked=HandleAsked, answered=HandleMade),
    Operation(name="learner.export", asked=LearnerNamed, answered=LearnerExport),
    Operation(name="learner.erase", asked=EraseAsked, answered=LearnerErased),
    Operation(name="learner.welcome", asked=WelcomeAsked, answered=Welcomed),
    Operation(name="learner.move", asked=LearnerMoveAsked, answered=LearnerMoveTold),
    Operation(name="consent.give", asked=ConsentAsked, answered=ConsentShown),
    Operation(name="consent.list", asked=LearnerNamed, answered=Consents),
    Operation(name="consent.withdraw", asked=ConsentNamed, answered=ConsentShown),
)
