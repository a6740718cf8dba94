"""Identities and homes in memory, over the members of a small network."""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federation.certificate_profile import read_authority
from node.host.identity import OwnIdentity, OwnKeys
from node.host.key_files import HomeOccupied
from tests.support.machine import CountedRandomness, HandClock
from tests.support.small_network import Member, new_ca_key, new_node_key


def new_keys() -> OwnKeys:
    return OwnKeys(ca_key=new_ca_key(), node_key=new_node_key(), sealing=X25519PrivateKey.generate())


def identity_of(member: Member, clock: HandClock, **changes) -> OwnIdentity:
    """The member as a running node; `changes` go to OwnIdentity."""
    keys = OwnKeys(ca_key=member.ca_key, node_key=member.node_key, sealing=X25519PrivateKey.generate())
    given = {"keys": keys, "root_certificate": member.root_certificate, "chain": member.chain, "clock": clock}
    randomness = CountedRandomness(member.name.encode())
    return OwnIdentity(**(given | {"randomness": randomness, "keep": lambda _: None} | changes))


class MemoryHome:
    """`node.usecases.joining.NewcomersHome` in memory; `keys` are made once, like files."""

    def __init__(self) -> None:
        self.keys: OwnKeys | None = None
        self.trust: tuple[bytes, tuple[bytes, ...]] | None = None

    def check_free_for(self, name, root_certificate):
        if self.trust is None:
            return
        root, chain = self.trust
        if root != root_certificate or read_authority(chain[0]).claims.name != name:
            raise HomeOccupied("memory", "another node")

    def make_keys(self):
        self.keys = self.keys or new_keys()
        return self.keys

    def must_continue(self, positions):
        self.continues = positions

    def keep(self, root_certificate, chain):
        self.trust = (root_certificate, chain)

    def identity(self, clock: HandClock, **changes) -> OwnIdentity:
        assert self.trust is not None, "not joined"
        root_certificate, chain = self.trust
        given = {"keys": self.keys, "root_certificate": root_certificate, "chain": chain, "clock": clock}
        return OwnIdentity(**(given | {"randomness": CountedRandomness(), "keep": lambda _: None} | changes))
