"""What waits for other nodes, and what was given up: what can be asked, and what is answered."""

from typing import Annotated, Final

from msgspec import Meta

from node.desk.plain import Document, Nothing, Operation

ItemNamed = Annotated[str, Meta(min_length=1, max_length=64)]


class OutboxNode(Document, frozen=True, kw_only=True):
    """What waits for one node; times 0 where there is none. `last_error`: in words, empty when all is well."""

    to: str
    waiting: int
    waiting_bytes: int
    oldest_at_ms: int
    given_up: int
    failures: int
    next_try_at_ms: int
    last_error: str


class GivenUp(Document, frozen=True, kw_only=True):
    """A dead letter, and why: it stays until it is retried or dropped."""

    to: str
    id: str
    kind: str
    size: int
    created_at_ms: int
    attempts: int
    code: str
    told: str


class Outbox(Document, frozen=True, kw_only=True):
    """`given_up`: the first thousand."""

    now_ms: int
    nodes: tuple[OutboxNode, ...]
    given_up: tuple[GivenUp, ...]


class OutboxRetryAsked(Document, frozen=True, kw_only=True):
    """`what`: a node's name or an item's id; everything where it is empty."""

    what: Annotated[str, Meta(max_length=253)] = ""


class OutboxDropAsked(Document, frozen=True, kw_only=True):
    """`to`: whose item, where several have one of this id."""

    id: ItemNamed
    to: Annotated[str, Meta(max_length=253)] = ""


class OutboxChanged(Document, frozen=True, kw_only=True):
    """How many items are sent again, or are gone."""

    items: int


OPERATIONS: Final = (
    Operation(name="outbox.show", asked=Nothing, answered=Outbox),
    Operation(name="outbox.retry", asked=OutboxRetryAsked, answered=OutboxChanged),
    Operation(name="outbox.drop", asked=OutboxDropAsked, answered=OutboxChanged),
)
