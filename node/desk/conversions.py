"""Conversions: what a learner's home can ask for, and what the people of a receiver decide on."""

from datetime import date
from typing import Annotated, Final, Literal

from msgspec import Meta, field

from federation.catalogue import BilingualLine
from federation.conversion import Evaluation, Grant, Refusal
from federation.conversion_cases import CaseNote, CaseState, Hold, ReviewNote
from federation.naming import NameField
from federation.second_looks import PassedOn
from node.desk.plain import Document, Limit, Operation, Person

CaseId = Annotated[str, Meta(min_length=1, max_length=64)]
RequestedState = Literal["previewed", "asked", CaseState]


class ConvertAsked(Document, frozen=True, kw_only=True):
    """What `to` would make of some records of a learner, shown to it under a consent."""

    learner: Annotated[str, Meta(min_length=1, max_length=64)]
    to: NameField
    records: Annotated[tuple[str, ...], Meta(min_length=1, max_length=32)]
    consent: Annotated[str, Meta(min_length=1, max_length=64)]
    programme: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:/-]*$", max_length=128)] = ""


class Previewed(Document, frozen=True, kw_only=True):
    """`id`: to apply for exactly this, under the same consent."""

    id: str
    evaluation: Evaluation


class RequestNamed(Document, frozen=True, kw_only=True):
    id: CaseId


class RequestActAsked(Document, frozen=True, kw_only=True):
    """Cancel, or ask for the decision to be looked at again."""

    id: CaseId
    act: Literal["cancel", "appeal"]
    remark: Annotated[str, Meta(max_length=1_000)] = ""


class RequestState(Document, frozen=True, kw_only=True):
    """A learner's request as its receiver described it last; `results`: the records that came of it."""

    id: str
    learner: str
    receiver: str
    state: RequestedState
    zh: str = ""
    en: str = ""
    programme: str = ""
    records: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    results: tuple[str, ...] = ()
    asked_at_ms: int
    changed_at_ms: int


class RequestsAsked(Document, frozen=True, kw_only=True):
    learner: Annotated[str, Meta(max_length=64)] = ""
    after: str = ""
    limit: Limit = 100


class Requests(Document, frozen=True, kw_only=True):
    requests: tuple[RequestState, ...]
    more: bool


class CasesAsked(Document, frozen=True, kw_only=True):
    """At the receiver; every state where none is named."""

    state: CaseState | None = None
    after: str = ""
    limit: Limit = 100


class CaseShown(Document, frozen=True, kw_only=True):
    """A case as the people of the receiver see it: a learner by pseudonym, what would be granted, and why.

    `names`: what the ids of records and achievements in it stand for, as their credentials and rules call them.
    `trace_holds`: whether the evaluation, made again for the day of the decision upon what was known then, gives the
    same bytes; None before a decision.
    """

    id: str
    state: CaseState
    home: str
    subject: str
    programme: str
    decided_on: date | None
    grants: tuple[Grant, ...]
    refusals: tuple[Refusal, ...]
    reviewers: int
    notice_until_ms: int
    reviews: tuple[ReviewNote, ...]
    passed_on: tuple[PassedOn, ...] = ()
    holds: tuple[Hold, ...]
    results: tuple[str, ...]
    history: tuple[CaseNote, ...]
    trace_sha256: str
    trace_holds: bool | None = None
    names: dict[str, BilingualLine] = field(default_factory=dict)


class Cases(Document, frozen=True, kw_only=True):
    cases: tuple[CaseShown, ...]
    more: bool


class CaseNamed(Document, frozen=True, kw_only=True):
    id: CaseId


class CaseReviewAsked(Document, frozen=True, kw_only=True):
    """Approve, or return with a remark that says why; each person once."""

    id: CaseId
    by: Person
    approve: bool
    remark: Annotated[str, Meta(max_length=1_000)] = ""


class CasePassOnAsked(Document, frozen=True, kw_only=True):
    """Somebody else shall decide; the people of this node read why."""

    id: CaseId
    by: Person
    reason: Annotated[str, Meta(max_length=1_000)] = ""


OPERATIONS: Final = (
    Operation(name="convert.preview", asked=ConvertAsked, answered=Previewed),
    Operation(name="convert.apply", asked=RequestNamed, answered=RequestState),
    Operation(name="convert.status", asked=RequestNamed, answered=RequestState),
    Operation(name="convert.list", asked=RequestsAsked, answered=Requests),
    Operation(name="convert.act", asked=RequestActAsked, answered=RequestState),
    Operation(name="case.list", asked=CasesAsked, answered=Cases),
    Operation(name="case.show", asked=CaseNamed, answered=CaseShown),
    Operation(name="case.review", asked=CaseReviewAsked, answered=CaseShown),
    Operation(name="case.pass_on", asked=CasePassOnAsked, answered=CaseShown),
)
