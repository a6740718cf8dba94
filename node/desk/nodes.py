"""How the node is, and who is admitted below it: what can be asked, and what is answered."""

from datetime import date
from typing import Annotated, Final, Literal

from msgspec import Meta

from federation.directory import Endpoint, NodeDescription, Standing
from federation.naming import NameField, Relation
from node.desk.logs import LogState
from node.desk.plain import Document, NodeNamed, Nothing, Operation, Severity
from node.ports import ResourceState, RoadTried


class Finding(Document, frozen=True, kw_only=True):
    """One thing looked at: what was found, why it matters, and the command that mends it (empty when good)."""

    step: str
    severity: Severity
    zh: str
    en: str
    remedy: str = ""


class PingAsked(Document, frozen=True, kw_only=True):
    name: NodeNamed


class PingTold(Document, frozen=True, kw_only=True):
    """Every road to a node that was tried, best first; empty where there is none, and `told` says why."""

    name: str
    roads: tuple[RoadTried, ...] = ()
    told: str = ""


class PeerState(Document, frozen=True, kw_only=True):
    """One peer, as far as this node has dealt with it since it started; times 0 when never.

    `refused`: how many of its calls were refused, by error code.
    """

    name: str
    relation: Relation
    endpoint: str
    status: str
    last_success_ms: int
    last_failure_ms: int
    last_error: str
    waiting: int
    clock_offset_ms: int | None
    refused: dict[str, int]


class NodeState(Document, frozen=True, kw_only=True):
    """`verdict` is one sentence; `findings` hold everything that is not as it should be.

    `backed_up_at_ms`: when `lln backup` last wrote a file; absent where it never did.
    `refused`: calls since the start, by error code; `connections`: how many were begun, whatever came of them.
    `limits`: what one peer may cost this node, as the settings say.
    """

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
    refused: dict[str, int]
    connections: int
    backed_up_at_ms: int | None = None
    limits: dict[str, float]


class TreeNode(Document, frozen=True, kw_only=True):
    name: str
    parent: str | None
    description: NodeDescription
    status: str
    catalogue_size: int | None
    confirmed_at_ms: int | None


class Tree(Document, frozen=True, kw_only=True):
    """Everything this node knows below `top`, parents before their children."""

    top: str
    nodes: tuple[TreeNode, ...]


class Peers(Document, frozen=True, kw_only=True):
    peers: tuple[PeerState, ...]


class DayTally(Document, frozen=True, kw_only=True):
    """One day, in China: searches that people of this node asked of the network, entries of the catalogue and credit
    logs held here that came, and the oldest copy of a neighbour's log that was met.
    """

    day: date
    searches: int = 0
    published: int = 0
    credits: int = 0
    lag_s: int = 0


class DayTallies(Document, frozen=True, kw_only=True):
    """Oldest first; a day on which the node did not run is missing."""

    today: date
    days: tuple[DayTally, ...]


# --- admission -----------------------------------------------------------------------------------------------------


class InviteAsked(Document, frozen=True, kw_only=True):
    """`replace`: for another machine of a node that is admitted."""

    label: Annotated[str, Meta(min_length=1, max_length=63)]
    description: NodeDescription
    days: Annotated[int, Meta(ge=1, le=90)] = 7
    replace: bool = False


class InviteMade(Document, frozen=True, kw_only=True):
    """`code` is the one line to hand over; it carries a secret."""

    id: str
    name: str
    code: str
    expires_at_ms: int


class InviteState(Document, frozen=True, kw_only=True):
    id: str
    name: str
    description: NodeDescription
    state: Literal["open", "used", "burnt", "cancelled"]
    expires_at_ms: int
    tries_left: int


class Invites(Document, frozen=True, kw_only=True):
    invites: tuple[InviteState, ...]


class InviteNamed(Document, frozen=True, kw_only=True):
    id: str


class StandingAsked(Document, frozen=True, kw_only=True):
    """Suspend, resume or revoke a direct child."""

    name: NameField
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class ParentAsked(Document, frozen=True, kw_only=True):
    """Where the parent is dialled from now on."""

    endpoint: Endpoint


class MovedAsked(Document, frozen=True, kw_only=True):
    """A direct child that is certified under another authority now."""

    name: NameField
    to: NameField


OPERATIONS: Final = (
    Operation(name="node.status", asked=Nothing, answered=NodeState),
    Operation(name="node.tree", asked=Nothing, answered=Tree),
    Operation(name="node.peers", asked=Nothing, answered=Peers),
    Operation(name="node.days", asked=Nothing, answered=DayTallies),
    Operation(name="node.ping", asked=PingAsked, answered=PingTold),
    Operation(name="invite.make", asked=InviteAsked, answered=InviteMade),
    Operation(name="invite.list", asked=Nothing, answered=Invites),
    Operation(name="invite.cancel", asked=InviteNamed, answered=Nothing),
    Operation(name="node.suspend", asked=StandingAsked, answered=Standing),
    Operation(name="node.resume", asked=StandingAsked, answered=Standing),
    Operation(name="node.revoke", asked=StandingAsked, answered=Standing),
    Operation(name="node.parent", asked=ParentAsked, answered=Nothing),
    Operation(name="node.moved", asked=MovedAsked, answered=Standing),
)
