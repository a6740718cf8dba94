"""What the credit bank keeps, as use cases see it: shelves of documents, each with a key, an owner and a state.

What lives here: the rows and the Protocol of a shelf. What must not: statements, or decisions about any of it. Personal
data stands in `LearnerRow` alone; everything else knows a learner by the random id of their account.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from federation.consents import ConsentState
from federation.credit_records import Achievement, StatusSlot
from federation.second_looks import PassedOn


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a shelf. What `owner` and `state` mean is the row's own to say; both may be empty."""

    id: str
    owner: str = ""
    state: str = ""


D = TypeVar("D", bound=Kept)


class LearnerRow(Kept, frozen=True, kw_only=True):
    """An account 个人学习账户 at its home node; `id` is random, `state` active, moving, moved or erased.

    `moving`: handed over to `moved_to`, whose answer is awaited; nothing is changed meanwhile.

    The numbers identify a person to the people of this institution. They stand here and nowhere else: in no log, no
    digest, no other row, and in nothing that leaves the node. Of an erased account only id, state and times are left.
    """

    state: Literal["active", "moving", "moved", "erased"] = "active"
    name: str = ""
    identity_number: str = ""
    student_number: str = ""
    birth_date: date | None = None
    guardian: str = ""
    contact: str = ""
    moved_to: str = ""
    registered_at_ms: int
    changed_at_ms: int

    def __repr__(self) -> str:
        """Whose account it is stays out of tracebacks and telemetry."""
        return f"LearnerRow({self.id}, {self.state})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("state", self.state)]


class PseudonymRow(Kept, frozen=True, kw_only=True):
    """`id`: the subject urn by which one other node knows a learner (`owner`); `state`: that node's name."""


class AchievementRow(Kept, frozen=True, kw_only=True):
    """`id`: achievement id@version; `owner`: the achievement's id; `state` defined or withdrawn."""

    state: Literal["defined", "withdrawn"] = "defined"
    achievement: Achievement
    log_index: int | None = None
    at_ms: int


class RecognitionRow(Kept, frozen=True, kw_only=True):
    """`id`: the endorsement's id; `document`: its bytes, as signed."""

    document: bytes
    log_index: int
    at_ms: int


class RecordRow(Kept, frozen=True, kw_only=True):
    """A credit record that this node issued, or holds for one of its learners, or both.

    `id`: the credential's id. `owner`: the learner's account here, or the pseudonym of somebody else's learner.
    `document`: the credential's bytes, verbatim. `home`: the node of the learner's account. `note`: why its state is
    what it is. `flagged`: what has become of a source. `events`: how many are written down. `told_at_ms`: when its
    issuer last said what has become of it. `used`: how much of another issuer's record was used up by the time the
    account came here.
    """

    state: Literal["active", "suspended", "revoked", "superseded", "expired"] = "active"
    document: bytes
    sha256: str
    issuer: str
    home: str
    is_own: bool
    achievement: str
    unit: str
    hundredths: int
    achieved_on: date
    valid_until_ms: int | None = None
    slot: StatusSlot | None = None
    converted_from: tuple[str, ...] = ()
    supersedes: str = ""
    superseded_by: str = ""
    flagged: str = ""
    note: str = ""
    events: int = 0
    told_at_ms: int = 0
    used: int = 0
    issued_at_ms: int
    changed_at_ms: int


class IssueRow(Kept, frozen=True, kw_only=True):
    """`id`: the key of one issuing (a row of a sheet, or an operation); `owner`: the record it became."""

    sha256: str


class DerivedRow(Kept, frozen=True, kw_only=True):
    """`id`: source credential and derived record; `owner`: the source; `state`: what to do when the source falls."""

    record: str
    issuer: str


class SlotRow(Kept, frozen=True, kw_only=True):
    """`id`: a status list and a place in it, never given out twice; `owner`: the record; `state`: what is raised."""

    list: str
    index: int


class LotRow(Kept, frozen=True, kw_only=True):
    """`id`: the lot, which is its record's id; `owner`: the issuing node; `ledger`: a `LotLedger` document."""

    ledger: bytes


class CreditEventRow(Kept, frozen=True, kw_only=True):
    """One change of a record, with what opens its commitment in the `credits` log.

    `id`: record id and a sequence number of six digits; `owner`: the record; `state`: the kind of event. `details`:
    what the event names by digest; absent for a record of another issuer.
    """

    document: bytes
    salt: str
    details: bytes = b""
    log_index: int
    at_ms: int


class ConsentRow(Kept, frozen=True, kw_only=True):
    """`owner`: the learner; `document`: a `federation.consents.Consent`; `disclosed`: how many times it was used.

    An active consent that has run out stays `active` here; `federation.consents.state_at` says what it is.
    """

    state: ConsentState = "active"
    document: bytes
    given_at_ms: int
    ended_at_ms: int | None = None
    disclosed: int = 0


class GrantUseRow(Kept, frozen=True, kw_only=True):
    """`id`: a home and its grant for one use; `owner`: the case that the grant serves."""


class DisclosureRow(Kept, frozen=True, kw_only=True):
    """What was shown of a learner (`owner`), to whom, when, and under which consent; the learner sees every one.

    `id`: the consent's and a sequence number of six digits, as in the grant that went out.
    """

    recipient: str
    purpose: str
    consent: str
    fields: tuple[str, ...]
    records: tuple[str, ...] = ()
    at_ms: int


class RuleRow(Kept, frozen=True, kw_only=True):
    """`id`: authority/rule@version; `owner`: the authority; `state`: own, adopted, or known from its log."""

    state: Literal["own", "adopted", "known"]
    document: bytes
    sha256: str
    at_ms: int


class CaseRow(Kept, frozen=True, kw_only=True):
    """A conversion on its way, at the receiver. `owner`: the learner's pseudonym; `document`: a `ConversionCase`.

    `due_at_ms`: when public notice ends, 0 where there is none.
    """

    document: bytes
    home: str
    due_at_ms: int = 0
    changed_at_ms: int


class RequestRow(Kept, frozen=True, kw_only=True):
    """What a learner of this node has asked a receiver to convert. `id`: the case; `owner`: the learner.

    `request`: the `ConversionRequest` as it is sent; `news`: what the receiver said last, a `CaseNews`.
    """

    request: bytes
    receiver: str
    records: tuple[str, ...]
    programme: str = ""
    consent: str
    news: bytes = b""
    asked_at_ms: int
    changed_at_ms: int


class CompletionRow(Kept, frozen=True, kw_only=True):
    """自述学完: what a learner of this node says they have finished, until somebody has looked into it.

    `owner`: the learner; `state`: told, issued, declined, withdrawn. It is the learner's word and no credit:
    `record` is what was issued on it, `reason` why nothing was. `passed_on`: who would not decide alone; for the
    institution's own people.
    """

    state: Literal["told", "issued", "declined", "withdrawn"] = "told"
    publisher: str
    resource: str
    title: str
    finished_on: date
    remark: str = ""
    by: str = ""
    record: str = ""
    reason: str = ""
    passed_on: tuple[PassedOn, ...] = ()
    told_at_ms: int
    changed_at_ms: int


class ProofRow(Kept, frozen=True, kw_only=True):
    """学习成果证明: `id`: the 16-character code; `owner`: the learner; `state` valid or withdrawn."""

    records: tuple[str, ...]
    consent: str
    until_ms: int
    made_at_ms: int


class MoveRow(Kept, frozen=True, kw_only=True):
    """An account that moves. `id`: `out/` or `in/` and the code, `owner`: the account, `node`: the other home.

    `state`: at the old home sent, stopped (nobody knows whether it arrived), moved or declined; at the new one open,
    taken or declined. `document`: what was handed over, as signed. A record that has arrived before its account is a
    row of its own: `part/`, code and record; `owner`: the code; `state`: why it cannot be believed, or nothing.
    `parts`: how many of them a code has.
    """

    node: str
    document: bytes = b""
    parts: int = 0
    until_ms: int = 0
    at_ms: int
    zh: str = ""
    en: str = ""


class MirrorRow(Kept, frozen=True, kw_only=True):
    """Somebody else's status list. `id`: the list; `owner`: the node that signed it."""

    document: bytes
    fetched_at_ms: int


class CountsRow(Kept, frozen=True, kw_only=True):
    """Counts of one node and everything below it, small cells left out. `id`: the node that reported them."""

    document: bytes
    at_ms: int


class Shelf(Protocol[D]):
    """Documents of one kind. Lists are in the order of their keys, those after `after`, at most `limit`."""

    def get(self, key: str) -> D | None: ...

    def many(self, keys: Sequence[str]) -> Mapping[str, D]: ...

    def of(self, owner: str, after: str = "", limit: int = 1_000) -> Sequence[D]: ...

    def in_state(self, state: str, after: str = "", limit: int = 1_000) -> Sequence[D]: ...

    def all(self, after: str = "", limit: int = 1_000) -> Sequence[D]: ...

    def counts(self) -> Mapping[str, int]:
        """How many documents are in each state."""
        ...

    def put(self, rows: Sequence[D]) -> None:
        """Keep each under its key, in place of what was there."""
        ...

    def add(self, row: D) -> bool:
        """Keep a document only where its key is free; whether it was."""
        ...

    def drop(self, key: str) -> None:
        """Take a document out for good; its bytes are overwritten. Harmless where there is none."""
        ...


class LearnerShelf(Shelf[LearnerRow], Protocol):
    def by_identity_number(self, number: str) -> LearnerRow | None: ...

    def by_student_number(self, number: str) -> LearnerRow | None: ...


class CreditShelves(Protocol):
    """Everything of the credit bank, changed in the same transaction as the log entries that speak of it."""

    @property
    def learners(self) -> LearnerShelf: ...
    @property
    def pseudonyms(self) -> Shelf[PseudonymRow]: ...
    @property
    def achievements(self) -> Shelf[AchievementRow]: ...
    @property
    def recognitions(self) -> Shelf[RecognitionRow]: ...
    @property
    def records(self) -> Shelf[RecordRow]: ...
    @property
    def issues(self) -> Shelf[IssueRow]: ...
    @property
    def derived(self) -> Shelf[DerivedRow]: ...
    @property
    def slots(self) -> Shelf[SlotRow]: ...
    @property
    def lots(self) -> Shelf[LotRow]: ...
    @property
    def events(self) -> Shelf[CreditEventRow]: ...
    @property
    def consents(self) -> Shelf[ConsentRow]: ...
    @property
    def grants(self) -> Shelf[GrantUseRow]: ...
    @property
    def disclosures(self) -> Shelf[DisclosureRow]: ...
    @property
    def rules(self) -> Shelf[RuleRow]: ...
    @property
    def cases(self) -> Shelf[CaseRow]: ...
    @property
    def requests(self) -> Shelf[RequestRow]: ...
    @property
    def completions(self) -> Shelf[CompletionRow]: ...
    @property
    def proofs(self) -> Shelf[ProofRow]: ...
    @property
    def moves(self) -> Shelf[MoveRow]: ...
    @property
    def mirrors(self) -> Shelf[MirrorRow]: ...
    @property
    def counts(self) -> Shelf[CountsRow]: ...
