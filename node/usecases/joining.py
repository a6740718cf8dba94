"""Joining, on the newcomer's side: keys, one request, and a chain that is checked before it is kept.

What lives here: the first join, and the late renewal of a certificate that has expired. What must not: the authority's
side (`enrolling.py`), files or the wire.
"""

from typing import Protocol

import msgspec

from federation.certificates import verify_node_chain
from federation.directory import LogPosition, NodeDescription
from federation.enrolment import JoinAnswer, JoinRequest, LateRenewal, make_join_request, make_late_renewal
from federation.errors import PeerUnreachable, UntrustedPeer
from federation.invites import InviteCode
from federation.keys import Signer
from federation.naming import NodeName
from node.ports import Clock, Identity


class NotForUs(UntrustedPeer):
    code = "LLN-2153"
    zh = "上级给出的证书不是发给本节点的，未保存任何内容。请联系上级。"
    en = "The certificate that came back is not for this node; nothing was kept. Tell the authority."


class NewcomersKeys(Signer, Protocol):
    """The keys of a node that may not have a name yet."""

    @property
    def sealing_key(self) -> bytes:
        """The X25519 public key, raw."""
        ...

    def make_signing_request(self, name: NodeName) -> bytes: ...

    def check_own(self, certificate: bytes) -> NodeName:
        """The name in a certificate (DER) for exactly these keys; raises UntrustedPeer."""
        ...


class NewcomersHome(Protocol):
    """Where a node keeps its keys and what it trusts."""

    def check_free_for(self, name: NodeName, root_certificate: bytes) -> None:
        """Raises Conflict if this home is another node, or belongs to another network."""
        ...

    def make_keys(self) -> NewcomersKeys:
        """The keys that are there, or new ones; the same at every call, also after a crash."""
        ...

    def must_continue(self, positions: tuple[LogPosition, ...]) -> None:
        """Note, durably and before `keep`, which logs of its own the node has to fetch before it says anything."""
        ...

    def keep(self, root_certificate: bytes, chain: tuple[bytes, ...]) -> None:
        """Pin the root and keep the chain, durably."""
        ...


class EnrolmentDoor(msgspec.Struct, frozen=True, kw_only=True):
    """Where an authority lets newcomers in, and by which certificates it is known there."""

    endpoint: str
    authority: NodeName
    root_certificate: bytes


class Doors(Protocol):
    """Calls to an enrolment port, over TLS that is verified up to the door's root and for its authority's name.

    Both raise PeerUnreachable, UntrustedPeer when somebody else answers, or PeerRefused with the authority's reason.
    """

    async def join(self, door: EnrolmentDoor, request: JoinRequest, *, timeout_s: float) -> JoinAnswer: ...

    async def renew_expired(self, door: EnrolmentDoor, request: LateRenewal, *, timeout_s: float) -> JoinAnswer: ...


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """A node that has joined: its name, where its parent is dialled, and the description the parent has recorded."""

    name: NodeName
    root: NodeName
    parent: NodeName
    parent_endpoint: str
    enrolment_endpoint: str
    description: NodeDescription
    continues: tuple[LogPosition, ...] = ()


async def join(
    code: InviteCode,
    *,
    home: NewcomersHome,
    doors: Doors,
    clock: Clock,
    timeout_s: float,
    description: NodeDescription | None = None,
    former_chain: tuple[bytes, ...] = (),
) -> Joined:
    """Join the network that `code` invites to; `description` adds to what the invite proposes.

    `former_chain`: the certificates of a node that moves, by which it proves the name it had under the same keys.

    May be repeated after a crash at any point, or with an answer lost: the keys stay the same, and so does the answer.
    Raises HomeOccupied, PeerUnreachable, UntrustedPeer or PeerRefused.
    """
    name = NodeName(code.name)
    home.check_free_for(name, code.root_certificate)
    keys = home.make_keys()
    request = make_join_request(
        code,
        signer=keys,
        sealing_key=keys.sealing_key,
        signing_request=keys.make_signing_request(name),
        description=description or code.description,
        former_chain=former_chain,
    )
    door = EnrolmentDoor(endpoint=code.endpoint, authority=code.authority, root_certificate=code.root_certificate)
    answer = await doors.join(door, request, timeout_s=timeout_s)
    verified = verify_node_chain(answer.chain, code.root_certificate, clock.now_ms())
    if verified.name != name or keys.check_own(verified.certificate) != name:
        raise NotForUs(verified.name, f"expected {name}")
    home.must_continue(answer.continues)
    home.keep(code.root_certificate, verified.chain)
    return Joined(
        name=name,
        root=code.root,
        parent=code.authority,
        parent_endpoint=answer.parent_endpoint,
        enrolment_endpoint=code.endpoint,
        description=answer.description,
        continues=answer.continues,
    )


async def renew_expired(
    identity: Identity,
    *,
    authority: NodeName | None,
    enrolment_endpoint: str | None,
    doors: Doors,
    clock: Clock,
    timeout_s: float,
) -> None:
    """Get a new chain for this node after its certificate has expired, and take it up.

    Raises PeerUnreachable, UntrustedPeer or PeerRefused; the old chain then stays.
    """
    if authority is None or enrolment_endpoint is None:
        raise PeerUnreachable(identity.name, "the certificate has expired, and parent.enrolment_endpoint is not set")
    request = make_late_renewal(
        identity.name,
        signer=identity,
        signing_request=identity.make_signing_request(),
        root_certificate=identity.root_certificate,
        now_ms=clock.now_ms(),
    )
    door = EnrolmentDoor(endpoint=enrolment_endpoint, authority=authority, root_certificate=identity.root_certificate)
    answer = await doors.renew_expired(door, request, timeout_s=timeout_s)
    await identity.adopt_chain(answer.chain)
