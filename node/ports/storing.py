"""The database, as use cases see it: rows, one transaction over all of them, and the index derived from it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal, Protocol, TypeVar

import msgspec

from federation.catalogue import Resource, Review
from federation.directory import NodeDescription, Standing
from federation.logs import Entry, LogHead, LogId
from federation.naming import NodeName
from federation.search import SearchAnswer, SearchRequest
from node.ports.crediting import CreditShelves
from node.ports.people import PeopleShelves
from node.ports.posting import InboxRows, OutboxRows

T = TypeVar("T")


class StoredLog(msgspec.Struct, frozen=True, kw_only=True):
    """One log, own or copied: `note` is the newest signed checkpoint, empty before the first entry.

    `confirmed_at_ms`: when its origin last said, verifiably, that this is all there is.
    """

    log: LogId
    head: LogHead
    note: bytes
    confirmed_at_ms: int


class ForkEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Two signed notes of one log that cannot both be true."""

    log: LogId
    one: bytes
    other: bytes
    found_by: NodeName
    found_at_ms: int
    reported: bool = False


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """How far a node above holds and has indexed one log, as it last told us."""

    log: LogId
    holder: NodeName
    size: int
    indexed: int
    at_ms: int


InviteState = Literal["open", "used", "burnt", "cancelled"]


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation this authority gave out; `secret` is wiped once it is used, burnt or cancelled."""

    id: str
    name: NodeName
    description: NodeDescription
    secret: bytes
    expires_at_ms: int
    tries_left: int
    state: InviteState
    joined_key: str = ""
    transcript_sha256: bytes = b""
    chain: tuple[bytes, ...] = ()
    replaces: bool = False


ResourceState = Literal["pending", "returned", "reviewed", "published", "withdrawn"]


class ResourceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One of this node's own resources on its way through review.

    `resource` is the version being worked on; `published` the version that is in the log now, if any.
    """

    id: str
    resource: Resource
    state: ResourceState
    author: str
    review: Review | None = None
    remark: str = ""
    published: Resource | None = None
    log_index: int | None = None
    updated_at_ms: int


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The first signed answer to a call that changed something; repeated byte for byte ever after."""

    caller: NodeName
    operation_id: str
    call_sha256: bytes
    method: str
    payload_sha256: bytes
    call_header: bytes
    call_signature: bytes
    status: int
    body: bytes
    at_ms: int


class LogRows(Protocol):
    """Logs and their entries. Own logs grow by `append`; copies by `extend`, after `federation.logs.accept_page`."""

    def get(self, log: LogId) -> StoredLog | None: ...

    def all(self) -> Sequence[StoredLog]: ...

    def append(self, log: LogId, documents: Sequence[bytes]) -> int:
        """Append to one of this node's own logs and return the first index.

        The checkpoint over all appends of a commit group is signed once, before the group commits, in the same
        transaction: after a crash either both are there or neither.
        """
        ...

    def extend(
        self, head: LogHead, rows: Sequence[bytes], entries: Sequence[Entry], note: bytes, confirmed_at_ms: int
    ) -> None:
        """Store the accepted end of a page: `rows` and `entries` are those just before `head.size`."""
        ...

    def confirm(self, log: LogId, note: bytes, confirmed_at_ms: int) -> None:
        """Keep a newer note (cosigned, or the same) and when it was confirmed; the entries stay."""
        ...

    def entries(self, log: LogId, start: int, limit: int) -> Sequence[Entry]:
        """Up to `limit` entries from `start`, in order."""
        ...

    def hash_rows(self, log: LogId, indexes: Iterable[int]) -> Mapping[int, bytes]:
        """The hash blobs of the rows asked for (federation/merkle.py says what is in them)."""
        ...

    def add_fork(self, evidence: ForkEvidence) -> None: ...

    def forks(self) -> Sequence[ForkEvidence]: ...

    def put_holding(self, holding: Holding) -> None: ...

    def holdings(self, log: LogId) -> Sequence[Holding]: ...


class StandingRows(Protocol):
    """What the directory logs held here add up to; written in the same transaction as the entries."""

    def get(self, authority: NodeName, name: NodeName) -> Standing | None: ...

    def of(self, authority: NodeName) -> Sequence[Standing]: ...

    def all(self) -> Sequence[Standing]: ...

    def put(self, standing: Standing) -> None: ...


class InviteRows(Protocol):
    def get(self, invite_id: str) -> Invite | None: ...

    def all(self) -> Sequence[Invite]: ...

    def put(self, invite: Invite) -> None: ...


class ResourceRows(Protocol):
    def get(self, resource_id: str) -> ResourceRow | None: ...

    def many(self, resource_ids: Sequence[str]) -> Mapping[str, ResourceRow]: ...

    def in_force(self, start: int, end: int) -> AbstractSet[int]:
        """The `log_index` of every row that has one from `start` up to, not including, `end`."""
        ...

    def list(self, states: Sequence[ResourceState], after: str, limit: int) -> Sequence[ResourceRow]:
        """Ordered by id, those after `after`; every state when `states` is empty."""
        ...

    def of(self, author: str, after: str, limit: int) -> Sequence[ResourceRow]:
        """What one author submitted last, whatever became of it, ordered by id, those after `after`."""
        ...

    def counts(self) -> Mapping[ResourceState, int]: ...

    def put(self, rows: Sequence[ResourceRow]) -> None: ...

    def drop(self, resource_id: str) -> None:
        """One that was never published; harmless where there is none."""
        ...


class AnswerRows(Protocol):
    def get(self, caller: NodeName, operation_id: str) -> KeptAnswer | None: ...

    def keys(self, after: tuple[NodeName, str], limit: int) -> Sequence[tuple[NodeName, str]]:
        """(caller, operation id) of up to `limit` answers, in order, those after `after`."""
        ...

    def put(self, answer: KeptAnswer) -> None:
        """Raises Conflict if (caller, operation id) has an answer already."""
        ...


class NoteRows(Protocol):
    """Small named values: the chain in force, addresses of the lineage, published statistics."""

    def get(self, name: str) -> bytes | None: ...

    def put(self, name: str, value: bytes) -> None: ...


class Transaction(Protocol):
    """Everything stored, seen and changed as one; only valid inside the unit it was handed to."""

    @property
    def logs(self) -> LogRows: ...
    @property
    def standings(self) -> StandingRows: ...
    @property
    def invites(self) -> InviteRows: ...
    @property
    def resources(self) -> ResourceRows: ...
    @property
    def answers(self) -> AnswerRows: ...
    @property
    def notes(self) -> NoteRows: ...
    @property
    def credits(self) -> CreditShelves: ...
    @property
    def people(self) -> PeopleShelves: ...
    @property
    def outbox(self) -> OutboxRows: ...
    @property
    def inbox(self) -> InboxRows: ...


Write = Callable[[Callable[[Transaction], T]], Awaitable[T]]
"""How a use case writes a unit: `Store.write`, or one that keeps what is answered to a call in the same transaction."""


class Store(Protocol):
    """One node's database. Units are plain functions: they decide and write, they never wait.

    `write` runs `unit` in the one writer, with others that wait, as one durable commit (fsync) per group, and returns
    only after it. A unit that raises is undone alone. After a crash every unit is there whole or not at all.
    `read` runs `unit` on a consistent snapshot beside the writer; it must not write.
    """

    async def write(self, unit: Callable[[Transaction], T]) -> T: ...

    async def read(self, unit: Callable[[Transaction], T]) -> T: ...

    def on_commit(self, told: Callable[[frozenset[LogId]], None]) -> None:
        """Have `told` called in the event loop after each commit, with the logs that grew, were confirmed or forked."""
        ...

    def on_post(self, told: Callable[[frozenset[NodeName]], None]) -> None:
        """Have `told` called in the event loop, after each commit, with the nodes that items were added for."""
        ...

    async def scrub(self) -> None:
        """Make sure that no byte of what was deleted stands in the database's files any more.

        It rewrites them, while writers wait: for what the law says is gone, not for housekeeping. Raises StoreBusy
        where readers would not let go in time, and may be repeated; what was deleted stays deleted either way.
        """
        ...

    async def close(self) -> None: ...


class Index(Protocol):
    """The search index over every catalogue log held here; derived data that may be deleted at any time."""

    def positions(self) -> Mapping[NodeName, int]:
        """For each publisher, the size of its catalogue log up to which entries are searchable."""
        ...

    async def apply(
        self, publisher: NodeName, entries: Sequence[tuple[int, bytes]], upto: int, after: int | None = None
    ) -> int:
        """Take in documents (log index, catalogue entry bytes), searchable within a second; repeating is harmless.

        Returns the size of the log up to which it has taken entries in: less than `upto` where the index has begun
        anew meanwhile and so has not come as far as `after`, the size from which these continue.
        """
        ...

    async def forget(self, publisher: NodeName) -> None:
        """Take out whatever a publisher said, and its position: from here on nothing of it is searchable."""
        ...

    async def search(self, request: SearchRequest, *, viewer: NodeName, candidates: int) -> SearchAnswer:
        """The best of this index that `viewer` may see, rescored with `request.statistics` or the index's own."""
        ...

    async def statistics(self) -> bytes:
        """The index's term statistics in the encoding of `federation/search.py`."""
        ...

    async def close(self) -> None: ...
