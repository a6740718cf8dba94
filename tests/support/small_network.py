"""Members of a network with real keys and certificates, held in memory; for tests of trust and of signed calls."""

import itertools
import time
from dataclasses import dataclass, field, replace
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from federation.certificate_profile import to_pem
from federation.issuance import (
    SigningRequest,
    issue_node,
    issue_root,
    issue_tls_leaf,
    make_signing_request,
    read_signing_request,
)
from federation.keys import KeyInMemory, NodeKey
from federation.naming import NodeKind, NodeName, child_name

_counter = itertools.count(1)


def serial() -> bytes:
    """16 bytes, never the same twice in one run."""
    return sha256(b"serial %d" % next(_counter)).digest()[:16]


def new_ca_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def new_node_key() -> KeyInMemory:
    return KeyInMemory(sha256(b"seed %d" % next(_counter)).digest())


@dataclass(frozen=True, kw_only=True)
class TlsLeaf:
    certificate: bytes
    key_pem: bytes
    chain: tuple[bytes, ...]

    @property
    def chain_pem(self) -> bytes:
        return to_pem(self.chain)


@dataclass(frozen=True, kw_only=True)
class Member:
    """One node: its keys, and its chain as it would show it (own certificate first, root left out)."""

    name: NodeName
    root_certificate: bytes
    chain: tuple[bytes, ...]
    now_ms: int
    ca_key: ec.EllipticCurvePrivateKey = field(default_factory=new_ca_key)
    node_key: KeyInMemory = field(default_factory=new_node_key)

    @property
    def key(self) -> NodeKey:
        return self.node_key.public

    @property
    def certificate(self) -> bytes:
        return self.chain[0] if self.chain else self.root_certificate

    def admit(self, label: str, kind: NodeKind = "authority", **changes) -> "Member":
        """A direct child; `changes` go to `issue_node`, such as now_ms or life_ms."""
        newcomer = Member(
            name=child_name(label, self.name), root_certificate=self.root_certificate, chain=(), now_ms=self.now_ms
        )
        certificate = self.certify(newcomer, kind, **changes)
        return replace(newcomer, chain=(certificate, *self.chain))

    def certify(self, newcomer: "Member", kind: NodeKind = "authority", **changes) -> bytes:
        request = read_signing_request(make_signing_request(newcomer.name, newcomer.ca_key))
        given = {"issuer": self.certificate, "ca_key": self.ca_key, "serial": serial(), "now_ms": self.now_ms}
        return issue_node(request, newcomer.key, kind=kind, **(given | changes))

    def request(self) -> SigningRequest:
        return read_signing_request(make_signing_request(self.name, self.ca_key))

    def tls(self, *, now_ms: int | None = None) -> TlsLeaf:
        key = new_ca_key()
        leaf = issue_tls_leaf(
            self.certificate, self.ca_key, key.public_key(), serial=serial(), now_ms=now_ms or self.now_ms
        )
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return TlsLeaf(certificate=leaf, key_pem=key_pem, chain=(leaf, *self.chain))


def found(root: str = "lln.internal", *, now_ms: int | None = None) -> Member:
    """The root of a new network, at `now_ms` or now."""
    at_ms = int(time.time() * 1000) if now_ms is None else now_ms
    ca_key, node_key = new_ca_key(), new_node_key()
    certificate = issue_root(NodeName(root), node_key.public, ca_key, serial=serial(), now_ms=at_ms)
    return Member(
        name=NodeName(root), root_certificate=certificate, chain=(), now_ms=at_ms, ca_key=ca_key, node_key=node_key
    )
