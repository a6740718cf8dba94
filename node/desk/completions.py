"""What learners say they have finished: what can be asked, and what is answered. It is their word, and no credit."""

from datetime import date
from typing import Annotated, Final, Literal

from msgspec import Meta

from federation.catalogue import ResourceId
from federation.naming import NameField
from federation.second_looks import PassedOn
from node.desk.plain import Document, Limit, Operation, Person

CompletionId = Annotated[str, Meta(pattern=r"^F[0-9A-Z]{16}$")]
LearnerNamed = Annotated[str, Meta(min_length=1, max_length=64)]
CompletionState = Literal["told", "issued", "declined", "withdrawn"]
Remark = Annotated[str, Meta(max_length=500)]


class CompletionAsked(Document, frozen=True, kw_only=True):
    """`title` as the learner saw it: the resource may be gone when somebody reads this."""

    learner: LearnerNamed
    publisher: NameField
    resource: ResourceId
    title: Annotated[str, Meta(min_length=1, max_length=300)]
    finished_on: date
    remark: Remark = ""


class CompletionShown(Document, frozen=True, kw_only=True):
    """`record`: what was issued on it; `reason`: why nothing was; `by`: who said so."""

    id: str
    state: CompletionState
    learner: str
    publisher: str
    resource: str
    title: str
    finished_on: date
    remark: str
    by: str
    record: str
    reason: str
    passed_on: tuple[PassedOn, ...] = ()
    told_at_ms: int
    changed_at_ms: int


class CompletionNamed(Document, frozen=True, kw_only=True):
    id: CompletionId


class CompletionsAsked(Document, frozen=True, kw_only=True):
    """Of one learner, else those in a state."""

    learner: Annotated[str, Meta(max_length=64)] = ""
    state: CompletionState = "told"
    after: str = ""
    limit: Limit = 100


class Completions(Document, frozen=True, kw_only=True):
    completions: tuple[CompletionShown, ...]
    more: bool


class CompletionSettleAsked(Document, frozen=True, kw_only=True):
    """What has come of it: a record (`issued`), a reason why not (`declined`), or its learner took it back."""

    id: CompletionId
    state: Literal["issued", "declined", "withdrawn"]
    by: Person
    record: Annotated[str, Meta(max_length=64)] = ""
    reason: Remark = ""


class CompletionPassOnAsked(Document, frozen=True, kw_only=True):
    """Somebody else shall look into it; the people of this node read why."""

    id: CompletionId
    by: Person
    reason: Annotated[str, Meta(max_length=1_000)] = ""


OPERATIONS: Final = (
    Operation(name="completion.tell", asked=CompletionAsked, answered=CompletionShown),
    Operation(name="completion.list", asked=CompletionsAsked, answered=Completions),
    Operation(name="completion.show", asked=CompletionNamed, answered=CompletionShown),
    Operation(name="completion.settle", asked=CompletionSettleAsked, answered=CompletionShown),
    Operation(name="completion.pass_on", asked=CompletionPassOnAsked, answered=CompletionShown),
)
