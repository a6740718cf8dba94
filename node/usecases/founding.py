"""Founding: a new network comes to be, with this node as its root.

What lives here: the root's keys, its certificate, and the empty logs that every node begins with. What must not: files,
configuration or databases as such.
"""

from typing import Final, Protocol

import msgspec

from federation import catalogue, credit_log, directory
from federation.issuance import SERIAL_BYTES
from federation.logs import LogId, Topic
from federation.naming import NodeName
from node.ports import Clock, Randomness, Store, Transaction

OWN_TOPICS: Final[tuple[Topic, ...]] = (directory.TOPIC, catalogue.TOPIC, credit_log.TOPIC)


class FoundersHome(Protocol):
    """Where the keys and certificates of a root are kept."""

    def root_in_force(self, name: NodeName) -> bytes | None:
        """The root certificate (DER) if this home is the root `name` already; raises Conflict if it is anybody else."""
        ...

    def issue_root(self, name: NodeName, serial: bytes, now_ms: int) -> bytes:
        """Make the keys, where there are none, and a root certificate (DER) that is signed by them."""
        ...

    def keep(self, root_certificate: bytes, chain: tuple[bytes, ...]) -> None:
        """Pin the root and keep the chain, durably."""
        ...


class Founded(msgspec.Struct, frozen=True, kw_only=True):
    name: NodeName
    root_certificate: bytes
    is_new: bool


def found_network(name: NodeName, *, home: FoundersHome, clock: Clock, randomness: Randomness) -> Founded:
    """Make this home the root of a new network; asked again, it answers with the network that is there.

    A crash at any point leaves nothing, some keys, or a root without its chain: the next call goes on from there.
    """
    in_force = home.root_in_force(name)
    if in_force is not None:
        return Founded(name=name, root_certificate=in_force, is_new=False)
    certificate = home.issue_root(name, randomness.token(SERIAL_BYTES), clock.now_ms())
    home.keep(certificate, ())
    return Founded(name=name, root_certificate=certificate, is_new=True)


async def open_own_logs(store: Store, name: NodeName) -> None:
    """Begin this node's own logs, empty and signed, so that others can confirm them from the first hello on."""

    def unit(transaction: Transaction) -> None:
        for topic in OWN_TOPICS:
            log = LogId(origin=name, topic=topic)
            if transaction.logs.get(log) is None:
                transaction.logs.append(log, [])

    await store.write(unit)
