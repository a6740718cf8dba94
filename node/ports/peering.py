"""Other nodes, as use cases see them."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Literal, Protocol

import msgspec

from federation.directory import NodeDescription
from federation.logs import LogId, Page
from federation.naming import NodeName
from federation.search import SearchAnswer, SearchRequest
from node.ports.posting import Answered, PostItem
from node.ports.storing import Holding


class PeerHello(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified hello told: `clock_offset_ms` is the peer's time minus ours at the middle of the call."""

    name: NodeName
    chain: tuple[bytes, ...]
    software_version: str
    clock_offset_ms: int
    lineage: tuple[tuple[NodeName, str], ...]


class HeldLog(msgspec.Struct, frozen=True, kw_only=True):
    log: LogId
    size: int
    confirmed_at_ms: int


class PushReceipt(msgspec.Struct, frozen=True, kw_only=True):
    size: int
    cosignature: bytes
    holdings: tuple[Holding, ...]


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """Who a name is, as its lowest common authority says; the asker verifies `chain` against its pinned root.

    `status_then` and `key_then` (`did:key`): how it stood at the moment that was asked about, empty where none was.
    """

    name: NodeName
    status: str
    chain: tuple[bytes, ...]
    description: NodeDescription
    moved_to: NodeName | None
    confirmed_at_ms: int
    answered_by: NodeName
    status_then: str = ""
    key_then: str = ""


class LogHeadNote(msgspec.Struct, frozen=True, kw_only=True):
    log: LogId
    note: bytes


Road = Literal["direct", "link", "relay"]
PingStep = Literal["lookup", "tcp", "tls", "relays", "name", "chain", "clock", "signature", "policy"]


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """One relay on the way, and how long it waited for whoever came next; only the hop before vouches for it."""

    name: NodeName
    ms: int
    over_link: bool


class RoadTried(msgspec.Struct, frozen=True, kw_only=True):
    """How far a hello came by one road: every step passed, and the one that failed with its error, if any did."""

    road: Road
    place: str
    ms: int
    passed: tuple[PingStep, ...]
    failed: PingStep | None = None
    code: str = ""
    told: str = ""
    clock_offset_ms: int | None = None
    software_version: str = ""
    relays: tuple[Passed, ...] = ()


class Peers(Protocol):
    """Signed calls to other nodes. Every method raises PeerUnreachable when no verified answer came within
    `timeout_s`, PeerRefused when a verified refusal did, UntrustedPeer when the peer is not who it should be.
    Nothing is retried here.
    """

    def know(self, name: NodeName, endpoint: str) -> None:
        """Remember, or replace, the address `name` can be dialled at."""
        ...

    def can_dial(self, name: NodeName) -> bool: ...

    async def hello(self, to: NodeName, *, timeout_s: float) -> PeerHello: ...

    async def ping(self, to: NodeName, *, timeout_s: float) -> Sequence[RoadTried]:
        """A hello by every road there is, best first; raises PeerUnreachable only where there is none."""
        ...

    async def attach(self, to: NodeName, attached: Callable[[], None]) -> None:
        """Keep a link to the parent, which `attached` is told of, and answer the calls over it; ends by raising."""
        ...

    async def held(self, to: NodeName, *, timeout_s: float) -> Sequence[HeldLog]: ...

    async def push(self, to: NodeName, page: Page, confirmed_at_ms: int, *, timeout_s: float) -> PushReceipt: ...

    async def read(self, to: NodeName, topic: str, start: int, limit: int, *, timeout_s: float) -> Page: ...

    def watch(self, to: NodeName, topics: Sequence[str]) -> AsyncGenerator[LogHeadNote, None]:
        """The peer's checkpoints, now and at each change; ends by raising PeerUnreachable."""
        ...

    async def deliver(
        self, to: NodeName, items: Sequence[PostItem], operation_id: str, *, timeout_s: float
    ) -> Sequence[Answered]:
        """What the receiver says of each item, in their order."""
        ...

    async def tell_up(self, to: NodeName, name: NodeName, *, timeout_s: float) -> None:
        """Tell `to` that `name`, a node below this one, is up again."""
        ...

    async def search(self, to: NodeName, request: SearchRequest, *, timeout_s: float) -> SearchAnswer: ...

    async def statistics(self, to: NodeName, *, timeout_s: float) -> tuple[bytes, int]: ...

    async def resolve(
        self, to: NodeName, name: NodeName, hops_left: int, *, timeout_s: float, at_ms: int = 0
    ) -> Resolved:
        """Who `name` is; with `at_ms`, also how it stood then."""
        ...

    async def renew(
        self, to: NodeName, signing_request: bytes, operation_id: str, *, timeout_s: float
    ) -> tuple[bytes, ...]: ...

    async def describe(
        self, to: NodeName, description: NodeDescription, operation_id: str, *, timeout_s: float
    ) -> None: ...


class HeldStatusList(msgspec.Struct, frozen=True, kw_only=True):
    """A signed status list as somebody holds it; `fetched_at_ms` 0 from its issuer itself."""

    document: bytes
    fetched_at_ms: int


class ShownRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as it is shown to others, with what opens its issuer's commitment to it."""

    credential: bytes
    event: bytes
    salt: str
    log_index: int


class ShownProof(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials behind a short code, and until when it holds."""

    records: tuple[ShownRecord, ...]
    until_ms: int


class CreditPeers(Protocol):
    """Signed calls to other credit banks; errors as `Peers`, nothing is retried."""

    async def preview(self, to: NodeName, document: bytes, *, timeout_s: float) -> bytes:
        """What `to` would decide on a ConversionRequest document, as an Evaluation document."""
        ...

    async def status_list(self, to: NodeName, list_id: str, *, timeout_s: float) -> HeldStatusList: ...

    async def proof(self, to: NodeName, code: str, *, timeout_s: float) -> "ShownProof":
        """What a short code of `to` stands for; nothing of it is verified yet."""
        ...

    async def inclusion(self, to: NodeName, log_index: int, leaf_hash: bytes, *, timeout_s: float) -> bytes:
        """A tlog-proof of an entry of `to`'s credits log, to be verified before anything is believed of it."""
        ...

    async def find_rules(self, to: NodeName, text: str, limit: int, *, timeout_s: float) -> Sequence[bytes]:
        """Rule documents that `to` finds; to be read before anything is believed of them."""
        ...

    async def reconcile(self, to: NodeName, asked: bytes, *, timeout_s: float) -> bytes:
        """A DealingsPage document for a DealingsAsked document; to be read before anything is believed of it."""
        ...
