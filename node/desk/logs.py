"""Logs held here: what can be asked, and what is answered."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from node.desk.plain import Document, Nothing, Operation


class LogState(Document, frozen=True, kw_only=True):
    """One log held here; `root` in hex; `holdings` say how far nodes above hold and have indexed it."""

    origin: str
    topic: str
    size: int
    root: str
    confirmed_at_ms: int
    indexed: int | None
    holdings: tuple["HolderState", ...] = ()


class HolderState(Document, frozen=True, kw_only=True):
    holder: str
    size: int
    indexed: int
    at_ms: int


class Logs(Document, frozen=True, kw_only=True):
    logs: tuple[LogState, ...]


class LogAsked(Document, frozen=True, kw_only=True):
    """`origin` empty means this node's own log."""

    topic: Literal["directory", "catalogue", "credits"]
    origin: str = ""
    start: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class LogEntryShown(Document, frozen=True, kw_only=True):
    """`document` is null where the entry was withheld from this node; `leaf_hash` in hex."""

    index: int
    leaf_hash: str
    document: msgspec.Raw


class LogShown(Document, frozen=True, kw_only=True):
    state: LogState
    checkpoint: str
    entries: tuple[LogEntryShown, ...]


class LogVerdict(Document, frozen=True, kw_only=True):
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


class LogEntryAsked(Document, frozen=True, kw_only=True):
    topic: Literal["directory", "catalogue", "credits"]
    origin: str = ""
    index: Annotated[int, Meta(ge=0)]


class LogProofMade(Document, frozen=True, kw_only=True):
    """`proof` is the text that verifies offline with `lln log verify --proof FILE`."""

    proof: str


OPERATIONS: Final = (
    Operation(name="log.list", asked=Nothing, answered=Logs),
    Operation(name="log.show", asked=LogAsked, answered=LogShown),
    Operation(name="log.verify", asked=LogAsked, answered=LogVerdict),
    Operation(name="log.prove", asked=LogEntryAsked, answered=LogProofMade),
)
