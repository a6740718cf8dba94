"""The node's own keys at work: signing, certifying children, and the TLS leaf it shows.

What lives here: `node.ports.Identity` over keys in memory. What must not: files (`key_files.py`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from federation import issuance
from federation.certificate_profile import BACKDATED_MS, p256_spki, read_authority, to_pem
from federation.certificates import verify_node_chain
from federation.errors import InvalidInput, UntrustedPeer
from federation.keys import KeyInMemory, NodeKey
from federation.naming import NodeKind, NodeName
from federation.sealing import SUITE, SealBroken, open_sealed
from node.ports import Clock, Randomness

Chain = tuple[bytes, ...]


class NotOurCertificate(UntrustedPeer):
    code = "LLN-2151"
    zh = "收到的证书链不是发给本节点的：名称或密钥不符。"
    en = "The certificate chain is not for this node: it states another name or other keys."


class RefusedCertificate(InvalidInput):
    code = "LLN-1157"
    zh = "不能为这个请求签发证书：名称不符，或不是直接下级。"
    en = "No certificate can be issued for this request: the name differs, or is not directly below this node."


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnKeys:
    """The three keys of a node; none of them ever leaves it."""

    ca_key: ec.EllipticCurvePrivateKey
    node_key: KeyInMemory
    sealing: X25519PrivateKey

    @property
    def did(self) -> str:
        return self.node_key.did

    @property
    def sealing_key(self) -> bytes:
        """The public half, raw."""
        return self.sealing.public_key().public_bytes_raw()

    @property
    def ca_public_key(self) -> bytes:
        """The public half of the P-256 key, SPKI in DER."""
        return p256_spki(self.ca_key.public_key(), "ca.key")

    def sign(self, message: bytes) -> bytes:
        """Ed25519 by the node key."""
        return self.node_key.sign(message)

    def make_signing_request(self, name: NodeName) -> bytes:
        """PKCS #10 in DER, by which the P-256 key asks for `name`."""
        return issuance.make_signing_request(name, self.ca_key)

    def issue_root(self, name: NodeName, serial: bytes, now_ms: int) -> bytes:
        """The root certificate of a new network, DER."""
        return issuance.issue_root(name, self.node_key.public, self.ca_key, serial=serial, now_ms=now_ms)

    def check_own(self, certificate: bytes) -> NodeName:
        """The name in a node or root certificate for exactly these keys; raises NotOurCertificate."""
        claims = read_authority(certificate).claims
        if claims.did != self.did or claims.public_key != self.ca_public_key:
            raise NotOurCertificate(claims.name, "for other keys than this node's")
        return claims.name


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsLeaf:
    """What this node shows in TLS handshakes: private key and chain as PEM, and when to make the next."""

    key_pem: bytes
    chain_pem: bytes
    renew_at_ms: int


class OwnIdentity:
    """`node.ports.Identity` over keys in memory; `keep` makes a renewed chain durable before it is used.

    TLS layers ask `current_tls` from threads of their own: it only ever reads one reference.
    """

    LEAF_HALF_LIFE_MS: Final = issuance.LEAF_LIFE_MS // 2

    def __init__(
        self,
        *,
        keys: OwnKeys,
        root_certificate: bytes,
        chain: Chain,
        clock: Clock,
        randomness: Randomness,
        keep: Callable[[Chain], None],
        certificate_life_ms: int = issuance.NODE_LIFE_MS,
    ) -> None:
        self._keys = keys
        self._root_certificate = root_certificate
        self._clock = clock
        self._randomness = randomness
        self._keep = keep
        self._certificate_life_ms = certificate_life_ms
        self._root = read_authority(root_certificate).claims.name
        self._chain = chain
        self._name = keys.check_own(self.certificate)
        self._leaf = self._new_leaf(clock.now_ms())

    @property
    def name(self) -> NodeName:
        return self._name

    @property
    def root(self) -> NodeName:
        return self._root

    @property
    def root_certificate(self) -> bytes:
        return self._root_certificate

    @property
    def root_pem(self) -> bytes:
        return to_pem((self._root_certificate,))

    @property
    def chain(self) -> Chain:
        return self._chain

    @property
    def sealing_key(self) -> bytes:
        return self._keys.sealing_key

    def seal(self, plain: bytes, to_key: bytes, info: bytes) -> bytes:
        try:
            return SUITE.encrypt(plain, X25519PublicKey.from_public_bytes(to_key), info)
        except ValueError as error:
            raise SealBroken("sealing key", str(error)) from error

    def unseal(self, sealed: bytes, info: bytes) -> bytes:
        return open_sealed(sealed, self._keys.sealing, info)

    @property
    def certificate(self) -> bytes:
        """The node's own certificate, DER; the root's is the root certificate."""
        return self._chain[0] if self._chain else self._root_certificate

    @property
    def did(self) -> str:
        return self._keys.did

    @property
    def keys(self) -> OwnKeys:
        return self._keys

    def sign(self, message: bytes) -> bytes:
        return self._keys.sign(message)

    def issue_certificate(self, name: NodeName, key: str, kind: NodeKind, signing_request: bytes, now_ms: int) -> bytes:
        """As the port says; raises RefusedCertificate, MalformedSigningRequest or IssuerExpired."""
        request = issuance.read_signing_request(signing_request)
        if request.name != name:
            raise RefusedCertificate(name, f"the request is for {request.name}")
        try:
            return issuance.issue_node(
                request,
                NodeKey.parse(key),
                kind=kind,
                issuer=self.certificate,
                ca_key=self._keys.ca_key,
                serial=self._randomness.token(issuance.SERIAL_BYTES),
                now_ms=now_ms,
                life_ms=self._certificate_life_ms,
            )
        except UntrustedPeer as error:
            raise RefusedCertificate(error.subject, error.detail) from error

    def make_signing_request(self) -> bytes:
        return self._keys.make_signing_request(self._name)

    async def adopt_chain(self, chain: Chain) -> None:
        """As the port says; raises NotOurCertificate, or what `verify_node_chain` raises.

        A crash leaves the old chain or the new one, never half of either.
        """
        now_ms = self._clock.now_ms()
        verified = verify_node_chain(chain, self._root_certificate, now_ms)
        if verified.name != self._name:
            raise NotOurCertificate(verified.name, f"this node is {self._name}")
        self._keys.check_own(verified.certificate)
        await self._keep_durably(verified.chain)
        self._chain = verified.chain
        self._leaf = self._new_leaf(now_ms)

    def refresh_tls(self) -> bool:
        """Make a new TLS leaf if half of its life is over, or the clock went back before it; to be asked hourly."""
        now_ms = self._clock.now_ms()
        if self._leaf.renew_at_ms - self.LEAF_HALF_LIFE_MS - BACKDATED_MS <= now_ms < self._leaf.renew_at_ms:
            return False
        self._leaf = self._new_leaf(now_ms)
        return True

    def current_tls(self) -> tuple[bytes, bytes]:
        """Private key and chain (leaf, node certificate, and so on upward, root left out) as PEM."""
        leaf = self._leaf
        return leaf.key_pem, leaf.chain_pem

    async def _keep_durably(self, chain: Chain) -> None:
        await asyncio.to_thread(self._keep, chain)  # files, and waiting until the disk has them

    def _new_leaf_key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    def _new_leaf(self, now_ms: int) -> TlsLeaf:
        key = self._new_leaf_key()
        leaf = issuance.issue_tls_leaf(
            self.certificate,
            self._keys.ca_key,
            key.public_key(),
            serial=self._randomness.token(issuance.SERIAL_BYTES),
            now_ms=now_ms,
        )
        return TlsLeaf(
            key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            chain_pem=to_pem((leaf, *self._chain)),
            renew_at_ms=now_ms + self.LEAF_HALF_LIFE_MS,
        )
