"""What the people of this node can ask of it: every operation by name, with the documents that go in and come out.

The command line prints these documents (`--json` prints them as they are), the portal draws them, and `Desk.Ask` moves
them. What must not live here: how any of it is done (`node/usecases`), or words for people beyond plain sentences.
"""

from typing import Final

from node.desk import logs, nodes, outbox, resources
from node.desk.logs import (
    HolderState,
    LogAsked,
    LogEntryAsked,
    LogEntryShown,
    LogProofMade,
    Logs,
    LogShown,
    LogState,
    LogVerdict,
)
from node.desk.nodes import (
    Finding,
    InviteAsked,
    InviteMade,
    InviteNamed,
    Invites,
    InviteState,
    MovedAsked,
    NodeState,
    ParentAsked,
    Peers,
    PeerState,
    PingAsked,
    PingTold,
    StandingAsked,
    Tree,
    TreeNode,
)
from node.desk.outbox import (
    GivenUp,
    Outbox,
    OutboxChanged,
    OutboxDropAsked,
    OutboxNode,
    OutboxRetryAsked,
)
from node.desk.plain import (
    Document,
    Limit,
    NodeNamed,
    Nothing,
    Operation,
    Person,
    Severity,
)
from node.desk.resources import (
    ImportAsked,
    ImportPlan,
    ImportRow,
    PlannedRow,
    ResourceNamed,
    ResourceOutcome,
    ResourceOutcomes,
    Resources,
    ResourcesAsked,
    ResourcesNamed,
    ReviewAsked,
    SearchAsked,
    WithdrawAsked,
)

OPERATIONS: Final[dict[str, Operation]] = {
    operation.name: operation
    for operation in (*nodes.OPERATIONS, *resources.OPERATIONS, *logs.OPERATIONS, *outbox.OPERATIONS)
}

__all__ = [
    "OPERATIONS",
    "Document",
    "Finding",
    "GivenUp",
    "HolderState",
    "ImportAsked",
    "ImportPlan",
    "ImportRow",
    "InviteAsked",
    "InviteMade",
    "InviteNamed",
    "InviteState",
    "Invites",
    "Limit",
    "LogAsked",
    "LogEntryAsked",
    "LogEntryShown",
    "LogProofMade",
    "LogShown",
    "LogState",
    "LogVerdict",
    "Logs",
    "MovedAsked",
    "NodeNamed",
    "NodeState",
    "Nothing",
    "Operation",
    "Outbox",
    "OutboxChanged",
    "OutboxDropAsked",
    "OutboxNode",
    "OutboxRetryAsked",
    "ParentAsked",
    "PeerState",
    "Peers",
    "Person",
    "PingAsked",
    "PingTold",
    "PlannedRow",
    "ResourceNamed",
    "ResourceOutcome",
    "ResourceOutcomes",
    "Resources",
    "ResourcesAsked",
    "ResourcesNamed",
    "ReviewAsked",
    "SearchAsked",
    "Severity",
    "StandingAsked",
    "Tree",
    "TreeNode",
    "WithdrawAsked",
]
