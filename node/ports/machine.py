"""What the machine and the home give: time, chance, and the keys of the node that runs here."""

from dataclasses import dataclass
from typing import Final, Protocol

from federation.naming import NodeKind, NodeName

PICTURE_BYTES_MAX: Final = 8_000_000


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC by the machine's clock, which may step."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never step back; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Randomness(Protocol):
    def token(self, size_bytes: int) -> bytes:
        """Unpredictable bytes from the operating system."""
        ...

    def fraction(self) -> float:
        """A number in [0, 1) for jitter; not for secrets."""
        ...


class Identity(Protocol):
    """The keys and chain of the node that runs here, wherever they are kept."""

    @property
    def name(self) -> NodeName: ...
    @property
    def root(self) -> NodeName: ...
    @property
    def root_certificate(self) -> bytes:
        """The pinned network root, DER."""
        ...

    @property
    def chain(self) -> tuple[bytes, ...]:
        """DER, own node certificate first, root left out; empty for the root itself."""
        ...

    @property
    def did(self) -> str: ...

    def sign(self, message: bytes) -> bytes:
        """Ed25519 by the node key; with `did` this makes an Identity a `federation.keys.Signer`."""
        ...

    @property
    def sealing_key(self) -> bytes:
        """The X25519 key, raw, to which payloads for this node are sealed when they pass relays."""
        ...

    def seal(self, plain: bytes, to_key: bytes, info: bytes) -> bytes:
        """Seal to somebody's `sealing_key` by HPKE (RFC 9180) under `info`; raises SealBroken for an unusable key."""
        ...

    def unseal(self, sealed: bytes, info: bytes) -> bytes:
        """Open what was sealed to `sealing_key` by HPKE (RFC 9180) under `info`; raises SealBroken."""
        ...

    def issue_certificate(self, name: NodeName, key: str, kind: NodeKind, signing_request: bytes, now_ms: int) -> bytes:
        """A node certificate for a direct child, DER; raises InvalidInput for a request that must not be granted."""
        ...

    def make_signing_request(self) -> bytes: ...

    async def adopt_chain(self, chain: tuple[bytes, ...]) -> None:
        """Verify, store and use a renewed chain for this node's name and key; running servers take it up live."""
        ...


@dataclass(kw_only=True, slots=True)
class Addresses:
    """Where this node can be dialled: as configured, or, for a port of 0, as it turned out."""

    endpoint: str
    enrolment_endpoint: str
