"""What use cases need from the world, as Protocols; each method states its contract.

What must not live here: implementations, and any word of SQL, protobuf, sockets or threads.
"""

from node.ports.machine import Clock, Identity, Randomness
from node.ports.peering import HeldLog, LogHeadNote, PeerHello, Peers, PushReceipt, Resolved
from node.ports.storing import (
    AnswerRows,
    ForkEvidence,
    Holding,
    Index,
    Invite,
    InviteRows,
    InviteState,
    KeptAnswer,
    LogRows,
    NoteRows,
    ResourceRow,
    ResourceRows,
    ResourceState,
    StandingRows,
    Store,
    StoredLog,
    Transaction,
)

__all__ = [
    "AnswerRows",
    "Clock",
    "ForkEvidence",
    "HeldLog",
    "Holding",
    "Identity",
    "Index",
    "Invite",
    "InviteRows",
    "InviteState",
    "KeptAnswer",
    "LogHeadNote",
    "LogRows",
    "NoteRows",
    "PeerHello",
    "Peers",
    "PushReceipt",
    "Randomness",
    "Resolved",
    "ResourceRow",
    "ResourceRows",
    "ResourceState",
    "StandingRows",
    "Store",
    "StoredLog",
    "Transaction",
]
