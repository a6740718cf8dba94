"""Real keys and real certificates that follow from the seed: the same federation every time.

What lives here: `node.ports.Identity` and TLS material over derived keys, and a home that needs no disk. What must not:
a key that the machine's randomness made.
"""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federation.certificate_profile import read_authority
from federation.directory import LogPosition
from federation.errors import Conflict
from federation.naming import NodeName
from federation.sealing import KEY_BYTES as SEALING_SECRET_BYTES
from federation.sealing import SealBroken
from node.host.identity import Chain, OwnIdentity, OwnKeys
from node.ports import Clock, Randomness
from node.simulation.chance import derived
from node.simulation.sealing import seal
from node.simulation.signatures import RememberingKey


def keys_of(seed: int, name: str) -> OwnKeys:
    """The three keys of a node, by its name."""
    return OwnKeys(
        ca_key=_p256(derived(seed, "ca.key", name)),
        node_key=RememberingKey(derived(seed, "node.key", name)),
        sealing=X25519PrivateKey.from_private_bytes(derived(seed, "sealing.key", name)),
    )


def _p256(secret: bytes) -> ec.EllipticCurvePrivateKey:
    """A private key from 32 bytes; they are below the order of the group in all but one of 2^32 cases."""
    return ec.derive_private_key(int.from_bytes(secret, "big") >> 1 or 1, ec.SECP256R1())


class DerivedIdentity(OwnIdentity):
    """A node's keys at work, but for its TLS leaf, whose key is drawn like everything else, and for threads."""

    async def _keep_durably(self, chain: Chain) -> None:
        self._keep(chain)

    def seal(self, plain: bytes, to_key: bytes, info: bytes) -> bytes:
        try:
            return seal(plain, to_key, info, self._randomness.token(SEALING_SECRET_BYTES))
        except ValueError as error:
            raise SealBroken("sealing key", str(error)) from error

    def _new_leaf_key(self) -> ec.EllipticCurvePrivateKey:
        return _p256(self._randomness.token(32))


class HomeWithoutDisk:
    """What a node keeps of its keys and trust across a crash; for founding, joining and opening."""

    def __init__(self, seed: int, name: NodeName) -> None:
        self.name = name
        self.keys = keys_of(seed, name)
        self.root_certificate = b""
        self.chain: Chain = ()
        self.continues: tuple[LogPosition, ...] = ()

    def identity(self, clock: Clock, randomness: Randomness, certificate_life_ms: int) -> DerivedIdentity:
        return DerivedIdentity(
            keys=self.keys,
            root_certificate=self.root_certificate,
            chain=self.chain,
            clock=clock,
            randomness=randomness,
            keep=self._keep_chain,
            certificate_life_ms=certificate_life_ms,
        )

    def _keep_chain(self, chain: Chain) -> None:
        self.chain = chain

    # --- node.usecases.founding.FoundersHome, node.usecases.joining.NewcomersHome ------------------------------------

    def root_in_force(self, name: NodeName) -> bytes | None:
        self.check_free_for(name, self.root_certificate)
        return self.root_certificate or None

    def issue_root(self, name: NodeName, serial: bytes, now_ms: int) -> bytes:
        return self.keys.issue_root(name, serial, now_ms)

    def check_free_for(self, name: NodeName, root_certificate: bytes) -> None:
        held = read_authority(self.chain[0]).claims.name if self.chain else self.name
        if held != name or (self.root_certificate and self.root_certificate != root_certificate):
            raise Conflict(name, f"this home is {held}")

    def make_keys(self) -> OwnKeys:
        return self.keys

    def must_continue(self, positions: tuple[LogPosition, ...]) -> None:
        self.continues = positions

    def to_continue(self) -> tuple[LogPosition, ...]:
        return self.continues

    def is_restored(self) -> bool:
        return False

    def recalled(self) -> None:
        """It is never restored."""

    def continued(self) -> None:
        self.continues = ()

    def keep(self, root_certificate: bytes, chain: Chain) -> None:
        self.root_certificate, self.chain = root_certificate, chain
