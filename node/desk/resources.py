"""What this node itself offers, and searches: what can be asked, and what is answered."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from federation.catalogue import Audience, Criterion, Resource, ResourceId, ResourceType, Section, Stage
from federation.naming import NameField
from federation.search import SearchAnswer, SearchScope
from node.desk.plain import Document, Limit, Operation, Person
from node.ports import ResourceRow, ResourceState


class ImportRow(Document, frozen=True, kw_only=True):
    """`row` is the row's own number in the file it came from, counted as a person would see it."""

    row: int
    resource: Resource


class ImportAsked(Document, frozen=True, kw_only=True):
    """`own_alone`: what another author submitted is not changed; its row is refused."""

    rows: Annotated[tuple[ImportRow, ...], Meta(max_length=1_000)]
    author: Person
    apply: bool = False
    own_alone: bool = False


class PlannedRow(Document, frozen=True, kw_only=True):
    """`changed` names the fields that differ; a refused row says why and the remedy."""

    row: int
    id: str
    change: Literal["add", "update", "same", "refused"]
    title: str = ""
    changed: tuple[str, ...] = ()
    reason_zh: str = ""
    reason_en: str = ""
    remedy_zh: str = ""
    remedy_en: str = ""


class ImportPlan(Document, frozen=True, kw_only=True):
    applied: bool
    rows: tuple[PlannedRow, ...]


class ReviewAsked(Document, frozen=True, kw_only=True):
    """Approve (all seven criteria met) or return with a remark; never one's own work.

    `versions`: those that were looked at, in the order of `ids`; what has changed since is left as it is.
    """

    ids: Annotated[tuple[ResourceId, ...], Meta(min_length=1, max_length=1_000)]
    reviewer: Person
    approve: bool
    criteria: tuple[Criterion, ...] = ()
    remark: Annotated[str, Meta(max_length=1_000)] = ""
    versions: Annotated[tuple[int, ...], Meta(max_length=1_000)] = ()


class ResourcesNamed(Document, frozen=True, kw_only=True):
    ids: Annotated[tuple[ResourceId, ...], Meta(min_length=1, max_length=1_000)]


class WithdrawAsked(Document, frozen=True, kw_only=True):
    id: ResourceId
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    case_id: Annotated[str, Meta(min_length=1, max_length=64)]


class ResourceOutcome(Document, frozen=True, kw_only=True):
    """What became of one id; `refused` with its reason leaves that id as it was, the others stand."""

    id: str
    state: ResourceState | Literal["refused", "missing"]
    log_index: int | None = None
    reason_zh: str = ""
    reason_en: str = ""


class ResourceOutcomes(Document, frozen=True, kw_only=True):
    outcomes: tuple[ResourceOutcome, ...]


class ResourceNamed(Document, frozen=True, kw_only=True):
    id: ResourceId


class ResourcesAsked(Document, frozen=True, kw_only=True):
    """Those in some states, or in all; with `author`, all that they submitted, in every state.

    `text`: part of a title in either language, whatever its width, case and blanks; not beside `author`.
    """

    author: Annotated[str, Meta(max_length=64)] = ""
    text: Annotated[str, Meta(max_length=100)] = ""
    states: tuple[ResourceState, ...] = ()
    after: str = ""
    limit: Limit = 50


class Resources(Document, frozen=True, kw_only=True):
    rows: tuple[ResourceRow, ...]
    more: bool


# --- search --------------------------------------------------------------------------------------------------------


class SearchAsked(Document, frozen=True, kw_only=True):
    """A search as a person of this node types it; several values of one filter mean any of them.

    `under`: the head of the subtree for scope `subtree`; this node where absent. `key`: `PUBLISHER#ID` of the resources
    wanted.
    """

    text: str
    scope: SearchScope = "network"
    under: NameField | None = None
    section: tuple[Section, ...] = ()
    audience: tuple[Audience, ...] = ()
    industry: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    type: tuple[ResourceType, ...] = ()
    stage: tuple[Stage, ...] = ()
    key: tuple[str, ...] = ()
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    offset: Annotated[int, Meta(ge=0, le=1_000)] = 0
    facets: bool = True


OPERATIONS: Final = (
    Operation(name="resource.import", asked=ImportAsked, answered=ImportPlan),
    Operation(name="resource.review", asked=ReviewAsked, answered=ResourceOutcomes),
    Operation(name="resource.publish", asked=ResourcesNamed, answered=ResourceOutcomes),
    Operation(name="resource.withdraw", asked=WithdrawAsked, answered=ResourceOutcomes),
    Operation(name="resource.show", asked=ResourceNamed, answered=ResourceRow),
    Operation(name="resource.list", asked=ResourcesAsked, answered=Resources),
    Operation(name="search", asked=SearchAsked, answered=SearchAnswer),
)
