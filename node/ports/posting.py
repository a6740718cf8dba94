"""What must arrive at another node: the outbox it waits in, the inbox that records it, and what both sides do with it.

What lives here: the rows, the outcomes, the limits, and the two Protocols that a kind of item is registered with. What
must not: when anything is sent (`node/usecases/posting.py`) or taken in (`receiving.py`).

A new kind needs an entry in `Node.receives` (what the node it arrives at does) and, where the sender has to learn what
became of it, in `Node.settles` (node/assembly.py).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from federation.naming import NodeName

if TYPE_CHECKING:
    from node.ports.storing import Transaction

ITEM_BYTES_MAX: Final = 262_144
"""Of one document on its way."""
REPLY_BYTES_MAX: Final = 32_768
"""Of one reply: those to a whole batch fit into one answer."""
BATCH_ITEMS_MAX: Final = 64
BATCH_BYTES_MAX: Final = 393_216
"""Of all documents sent together."""
ITEM_ID_CHARS_MAX: Final = 64
KIND_CHARS_MAX: Final = 64
TOLD_CHARS_MAX: Final = 300


class PostItem(msgspec.Struct, frozen=True, kw_only=True):
    """What travels: a document of some kind under an id that its sender has chosen."""

    id: str
    kind: str
    document: bytes


class OutboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item on its way to `to`, or given up there (`is_dead`) until a person retries or drops it.

    `sequence`: its place among everything for that node. `attempts`: how many answers have left it here; `code` and
    `told`: what the last of them said.
    """

    to: NodeName
    sequence: int
    id: str
    kind: str
    document: bytes
    created_at_ms: int
    attempts: int = 0
    is_dead: bool = False
    code: str = ""
    told: str = ""


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver has applied the item, once and for all; `reply` is its document about that."""

    reply: bytes


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver will not have it, or it can no longer be sent: `code` is stable, `told` a sentence."""

    code: str
    told: str


class PutOff(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver could not now: nothing was changed, and the same item is sent again later."""

    code: str
    told: str


Outcome = Delivered | Refused
Answered = Delivered | Refused | PutOff
"""What a receiver says of one item; `Outcome` is what settles it."""


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """How the sending to one node goes: kept, so that a restart waits on where the last start left off."""

    to: NodeName
    failures: int = 0
    next_try_at_ms: int = 0
    last_error: str = ""


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one node, and what has been given up. `oldest_at_ms` 0 where nothing waits."""

    to: NodeName
    waiting: int
    waiting_bytes: int
    oldest_at_ms: int
    dead: int
    failures: int
    next_try_at_ms: int
    last_error: str


class InboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """An item that was taken in: of which content (SHA-256 over kind and document), and what was replied.

    `sender`: its node key, as did:key, which a node keeps when it moves and has another name.
    """

    sender: str
    id: str
    content_sha256: bytes
    reply: bytes
    at_ms: int


class OutboxRows(Protocol):
    """What waits here for other nodes. An item is durable with whatever else its unit of work writes."""

    def add(self, to: NodeName, kind: str, document: bytes, item_id: str, at_ms: int) -> None:
        """Have the document arrive at `to`, after everything that was added for it before.

        The same id with the same content changes nothing while it waits. Raises ItemReused where it waits, or is given
        up, with another, and UnfitItem for what is too large or has no id.
        """
        ...

    def get(self, to: NodeName, item_id: str) -> OutboxItem | None: ...

    def waiting(self, to: NodeName, limit: int) -> Sequence[OutboxItem]:
        """What is to be sent there, in order; nothing that has been given up."""
        ...

    def find(self, item_id: str) -> Sequence[OutboxItem]:
        """Every item of this id, whoever it is for."""
        ...

    def dead(self, limit: int) -> Sequence[OutboxItem]:
        """What has been given up, by node, in order."""
        ...

    def put(self, item: OutboxItem) -> None:
        """Replace the item of this node and id, which is there; its place may change."""
        ...

    def last(self, to: NodeName) -> int:
        """The last place taken; 0 where there is nothing."""
        ...

    def remove(self, to: NodeName, item_id: str) -> None: ...

    def sending(self, to: NodeName) -> Sending: ...

    def put_sending(self, sending: Sending) -> None: ...

    def backlogs(self) -> Sequence[Backlog]:
        """Every node that something is kept for, or that does not answer; ordered by name."""
        ...


class InboxRows(Protocol):
    """What has been taken in from other nodes; for ever, so that no item is applied twice."""

    def get(self, sender: str, item_id: str) -> InboxRow | None: ...

    def put(self, row: InboxRow) -> None:
        """Raises RowsClash if there is one already."""
        ...


class Receives(Protocol):
    """What this node does with items of one kind that others send it."""

    async def __call__(self, sender: NodeName, document: bytes, /) -> "Callable[[Transaction], bytes]":
        """Check the document, and return the unit that applies it and answers with the reply document.

        The unit runs in one transaction with the record that the item has been taken in: exactly once for (sender, id),
        whatever crashes. What either raises is the item's refusal, and nothing is changed; Unavailable, BrokenHome and
        PeerUnreachable put it off instead. May be asked again for an item whose unit never ran.
        """
        ...


class Settles(Protocol):
    """What the sender does once it knows what became of an item of one kind."""

    def __call__(self, tx: "Transaction", item: OutboxItem, outcome: Outcome, /) -> None:
        """Runs in the transaction that removes the item, or moves it to the dead letters; exactly once per outcome.

        An item that is retried after a refusal may have another outcome later. An item whose settling raises is given
        up with that error.
        """
        ...
