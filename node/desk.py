"""What the people of this node can ask of it: every operation by name, with the documents that go in and come out.

The command line prints these documents (`--json` prints them as they are), the portal draws them, and `Desk.Ask` moves
them. What must not live here: how any of it is done (`node/usecases`), or words for people beyond plain sentences.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from federation.catalogue import Audience, Criterion, Resource, ResourceId, ResourceType, Section, Stage
from federation.directory import Endpoint, NodeDescription, Standing
from federation.naming import NameField, Relation
from federation.search import SearchAnswer, SearchScope
from node.ports import ResourceRow, ResourceState, RoadTried

NodeNamed = Annotated[str, Meta(min_length=1, max_length=253)]
Limit = Annotated[int, Meta(ge=1, le=1_000)]
Person = Annotated[str, Meta(min_length=1, max_length=64)]
Severity = Literal["good", "notice", "warning", "fault"]


class _Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    pass


class Nothing(_Document, frozen=True, kw_only=True):
    """No question, or no answer beyond that it was done."""


# --- how the node is -------------------------------------------------------------------------------------------------


class Finding(_Document, frozen=True, kw_only=True):
    """One thing looked at: what was found, why it matters, and the command that mends it (empty when good)."""

    step: str
    severity: Severity
    zh: str
    en: str
    remedy: str = ""


class PingAsked(_Document, frozen=True, kw_only=True):
    name: NodeNamed


class PingTold(_Document, frozen=True, kw_only=True):
    """Every road to a node that was tried, best first; empty where there is none, and `told` says why."""

    name: str
    roads: tuple[RoadTried, ...] = ()
    told: str = ""


class LogState(_Document, frozen=True, kw_only=True):
    """One log held here; `root` in hex; `holdings` say how far nodes above hold and have indexed it."""

    origin: str
    topic: str
    size: int
    root: str
    confirmed_at_ms: int
    indexed: int | None
    holdings: tuple["HolderState", ...] = ()


class HolderState(_Document, frozen=True, kw_only=True):
    holder: str
    size: int
    indexed: int
    at_ms: int


class PeerState(_Document, frozen=True, kw_only=True):
    """One peer, as far as this node has dealt with it since it started; times 0 when never."""

    name: str
    relation: Relation
    endpoint: str
    status: str
    last_success_ms: int
    last_failure_ms: int
    last_error: str
    waiting: int
    clock_offset_ms: int | None


class NodeState(_Document, frozen=True, kw_only=True):
    """`verdict` is one sentence; `findings` hold everything that is not as it should be."""

    verdict: Finding
    findings: tuple[Finding, ...]
    name: str
    root: str
    parent: str | None
    description: NodeDescription
    key: str
    certificate_ends_ms: int | None
    started_at_ms: int
    now_ms: int
    software_version: str
    resources: dict[ResourceState, int]
    searchable: int
    logs: tuple[LogState, ...]
    children: dict[str, int]


class TreeNode(_Document, frozen=True, kw_only=True):
    name: str
    parent: str | None
    description: NodeDescription
    status: str
    catalogue_size: int | None
    confirmed_at_ms: int | None


class Tree(_Document, frozen=True, kw_only=True):
    """Everything this node knows below `top`, parents before their children."""

    top: str
    nodes: tuple[TreeNode, ...]


class Peers(_Document, frozen=True, kw_only=True):
    peers: tuple[PeerState, ...]


class Logs(_Document, frozen=True, kw_only=True):
    logs: tuple[LogState, ...]


# --- admission -------------------------------------------------------------------------------------------------------


class InviteAsked(_Document, frozen=True, kw_only=True):
    """`replace`: for another machine of a node that is admitted."""

    label: Annotated[str, Meta(min_length=1, max_length=63)]
    description: NodeDescription
    days: Annotated[int, Meta(ge=1, le=90)] = 7
    replace: bool = False


class InviteMade(_Document, frozen=True, kw_only=True):
    """`code` is the one line to hand over; it carries a secret."""

    id: str
    name: str
    code: str
    expires_at_ms: int


class InviteState(_Document, frozen=True, kw_only=True):
    id: str
    name: str
    description: NodeDescription
    state: Literal["open", "used", "burnt", "cancelled"]
    expires_at_ms: int
    tries_left: int


class Invites(_Document, frozen=True, kw_only=True):
    invites: tuple[InviteState, ...]


class InviteNamed(_Document, frozen=True, kw_only=True):
    id: str


class StandingAsked(_Document, frozen=True, kw_only=True):
    """Suspend, resume or revoke a direct child."""

    name: NameField
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class ParentAsked(_Document, frozen=True, kw_only=True):
    """Where the parent is dialled from now on."""

    endpoint: Endpoint


class MovedAsked(_Document, frozen=True, kw_only=True):
    """A direct child that is certified under another authority now."""

    name: NameField
    to: NameField


# --- resources -------------------------------------------------------------------------------------------------------


class ImportRow(_Document, frozen=True, kw_only=True):
    """`row` is the row's own number in the file it came from, counted as a person would see it."""

    row: int
    resource: Resource


class ImportAsked(_Document, frozen=True, kw_only=True):
    rows: Annotated[tuple[ImportRow, ...], Meta(max_length=1_000)]
    author: Person
    apply: bool = False


class PlannedRow(_Document, frozen=True, kw_only=True):
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


class ImportPlan(_Document, frozen=True, kw_only=True):
    applied: bool
    rows: tuple[PlannedRow, ...]


class ReviewAsked(_Document, frozen=True, kw_only=True):
    """Approve (all seven criteria met) or return with a remark; never one's own work."""

    ids: Annotated[tuple[ResourceId, ...], Meta(min_length=1, max_length=1_000)]
    reviewer: Person
    approve: bool
    criteria: tuple[Criterion, ...] = ()
    remark: Annotated[str, Meta(max_length=1_000)] = ""


class ResourcesNamed(_Document, frozen=True, kw_only=True):
    ids: Annotated[tuple[ResourceId, ...], Meta(min_length=1, max_length=1_000)]


class WithdrawAsked(_Document, frozen=True, kw_only=True):
    id: ResourceId
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    case_id: Annotated[str, Meta(min_length=1, max_length=64)]


class ResourceOutcome(_Document, frozen=True, kw_only=True):
    """What became of one id; `refused` with its reason leaves that id as it was, the others stand."""

    id: str
    state: ResourceState | Literal["refused", "missing"]
    log_index: int | None = None
    reason_zh: str = ""
    reason_en: str = ""


class ResourceOutcomes(_Document, frozen=True, kw_only=True):
    outcomes: tuple[ResourceOutcome, ...]


class ResourceNamed(_Document, frozen=True, kw_only=True):
    id: ResourceId


class ResourcesAsked(_Document, frozen=True, kw_only=True):
    states: tuple[ResourceState, ...] = ()
    after: str = ""
    limit: Limit = 50


class Resources(_Document, frozen=True, kw_only=True):
    rows: tuple[ResourceRow, ...]
    more: bool


# --- search ----------------------------------------------------------------------------------------------------------


class SearchAsked(_Document, frozen=True, kw_only=True):
    """A search as a person of this node types it; several values of one filter mean any of them.

    `under`: the head of the subtree for scope `subtree`; this node where absent.
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
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    offset: Annotated[int, Meta(ge=0, le=1_000)] = 0
    facets: bool = True


# --- logs ------------------------------------------------------------------------------------------------------------


class LogAsked(_Document, frozen=True, kw_only=True):
    """`origin` empty means this node's own log."""

    topic: Literal["directory", "catalogue", "credits"]
    origin: str = ""
    start: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class LogEntryShown(_Document, frozen=True, kw_only=True):
    """`document` is null where the entry was withheld from this node; `leaf_hash` in hex."""

    index: int
    leaf_hash: str
    document: msgspec.Raw


class LogShown(_Document, frozen=True, kw_only=True):
    state: LogState
    checkpoint: str
    entries: tuple[LogEntryShown, ...]


class LogVerdict(_Document, frozen=True, kw_only=True):
    """`recomputed_root` from what is stored, entry by entry; `faults` is empty when everything holds."""

    origin: str
    topic: str
    size: int
    withheld: int
    stored_root: str
    recomputed_root: str
    signed_root: str
    cosigned_by: tuple[str, ...]
    faults: tuple[str, ...]


class LogEntryAsked(_Document, frozen=True, kw_only=True):
    topic: Literal["directory", "catalogue", "credits"]
    origin: str = ""
    index: Annotated[int, Meta(ge=0)]


class LogProofMade(_Document, frozen=True, kw_only=True):
    """`proof` is the text that verifies offline with `lln log verify --proof FILE`."""

    proof: str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be asked: its name on the wire and the types of its two documents."""

    name: str
    asked: type[msgspec.Struct]
    answered: type[msgspec.Struct]


OPERATIONS: Final[dict[str, Operation]] = {
    operation.name: operation
    for operation in (
        Operation(name="node.status", asked=Nothing, answered=NodeState),
        Operation(name="node.tree", asked=Nothing, answered=Tree),
        Operation(name="node.peers", asked=Nothing, answered=Peers),
        Operation(name="node.ping", asked=PingAsked, answered=PingTold),
        Operation(name="invite.make", asked=InviteAsked, answered=InviteMade),
        Operation(name="invite.list", asked=Nothing, answered=Invites),
        Operation(name="invite.cancel", asked=InviteNamed, answered=Nothing),
        Operation(name="node.suspend", asked=StandingAsked, answered=Standing),
        Operation(name="node.resume", asked=StandingAsked, answered=Standing),
        Operation(name="node.revoke", asked=StandingAsked, answered=Standing),
        Operation(name="node.parent", asked=ParentAsked, answered=Nothing),
        Operation(name="node.moved", asked=MovedAsked, answered=Standing),
        Operation(name="resource.import", asked=ImportAsked, answered=ImportPlan),
        Operation(name="resource.review", asked=ReviewAsked, answered=ResourceOutcomes),
        Operation(name="resource.publish", asked=ResourcesNamed, answered=ResourceOutcomes),
        Operation(name="resource.withdraw", asked=WithdrawAsked, answered=ResourceOutcomes),
        Operation(name="resource.show", asked=ResourceNamed, answered=ResourceRow),
        Operation(name="resource.list", asked=ResourcesAsked, answered=Resources),
        Operation(name="search", asked=SearchAsked, answered=SearchAnswer),
        Operation(name="log.list", asked=Nothing, answered=Logs),
        Operation(name="log.show", asked=LogAsked, answered=LogShown),
        Operation(name="log.verify", asked=LogAsked, answered=LogVerdict),
        Operation(name="log.prove", asked=LogEntryAsked, answered=LogProofMade),
    )
}
