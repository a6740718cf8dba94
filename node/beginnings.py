"""How a home comes to be, and to be another's: a network is founded in it, its node joins one, or moves within it.

What lives here: these, put together from the keys, files and doors of this machine. What must not: a running node
(`assembly.py`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from config.settings import NO_PORTAL, Listen, Parent, Portal, changed_settings, first_settings, read_settings
from federation.certificates import ChainVerifier
from federation.directory import LogPosition, NodeDescription
from federation.invites import InviteCode, read_invite
from federation.naming import NodeName, parent_of, parse_name
from node.host.clock import SystemClock, SystemRandomness
from node.host.homes import SHOWN_FILE, Home, read_bounded, write_whole
from node.host.identity import Chain, OwnIdentity, OwnKeys
from node.host.key_files import FileHome, keep_renewed_chain
from node.opening import open_node
from node.parts import JOIN_TIMEOUT_S
from node.rpc.enrolment_client import GrpcDoors
from node.rpc.peers import GrpcPeers
from node.usecases.founding import found_network
from node.usecases.joining import Joined, join
from node.usecases.moving import Moved, check_may_move, say_farewell

_NODE_KEYS: Final = ("title", "level", "kind", "division_code", "institution_code")
_PARENT_KEYS: Final = ("endpoint", "enrolment_endpoint")


class Former(msgspec.Struct, frozen=True, kw_only=True):
    """What a home remembers of its place before a move: its chain there (DER), and where that parent is dialled."""

    chain: tuple[bytes, ...]
    parent_endpoint: str | None


class MovingHome:
    """A home as `joining.join` needs it while its node still has another name: nothing in it changes."""

    def __init__(self, keys: OwnKeys) -> None:
        self._keys = keys
        self.chain: Chain = ()

    def check_free_for(self, name: NodeName, root_certificate: bytes) -> None:
        """`check_may_move` has looked at both."""

    def make_keys(self) -> OwnKeys:
        return self._keys

    def must_continue(self, positions: tuple[LogPosition, ...]) -> None:
        """Its logs are here; only a name it had before could have some at the new authority, and that is closed."""

    def keep(self, root_certificate: bytes, chain: Chain) -> None:
        del root_certificate  # the same network
        self.chain = chain


def found_home(
    home_path: Path, root_name: str, description: NodeDescription, listen: Listen, portal: Portal = NO_PORTAL
) -> tuple[NodeName, bool]:
    """`lln init`: make the home of a new network's root; returns its name and whether it is new."""
    home = Home(home_path)
    founded = found_network(
        parse_name(root_name), home=FileHome(home), clock=SystemClock(), randomness=SystemRandomness()
    )
    home.write_config(first_settings(description, listen, Parent(), portal))
    return founded.name, founded.is_new


async def join_home(
    home_path: Path,
    code_text: str,
    listen: Listen,
    refine: Callable[[NodeDescription], NodeDescription],
    portal: Portal = NO_PORTAL,
) -> Joined:
    """`lln join`: make, or finish making, the home of a node that was invited.

    `refine` adds what the newcomer says of itself (its endpoint, its contact) to what the invite proposes.
    """
    home = Home(home_path)
    code = read_invite(code_text)
    joined = await join(
        code,
        home=FileHome(home),
        doors=GrpcDoors(),
        clock=SystemClock(),
        timeout_s=JOIN_TIMEOUT_S,
        description=refine(code.description),
    )
    parent = Parent(endpoint=joined.parent_endpoint, enrolment_endpoint=joined.enrolment_endpoint)
    home.write_config(first_settings(joined.description, listen, parent, portal))
    if joined.continues:
        async with open_node(home_path):  # fetches its own earlier logs, and says so where it cannot
            return joined
    return joined


async def move_home(home_path: Path, code_text: str) -> Moved:
    """`lln move`: the node of this home, which must not be running, takes up another place with the keys that it has.

    The new authority admits it, the old one is told, and only then is the new chain kept, with which the new name
    counts. A crash before leaves the old node, one after it the new one; the same command goes on from either.
    """
    home, code = Home(home_path), read_invite(code_text)
    async with open_node(home_path) as node:
        here, settings = node.identity, node.settings
        if here.name == code.name:
            former = _former(home) or Former(chain=here.chain, parent_endpoint=None)
        else:
            check_may_move(code, here, await node.admitting.children())
            former = Former(chain=here.chain, parent_endpoint=settings.parent.endpoint)
            write_whole(home.former, msgspec.json.encode(former), mode=SHOWN_FILE)
        joined, chain = await _join_again(code, here.keys, former, settings.node)
        moved = await _tell_former(here, joined.name, chain, former)
        if here.name != joined.name:
            keep_renewed_chain(home, chain)
    parent = Parent(endpoint=joined.parent_endpoint, enrolment_endpoint=joined.enrolment_endpoint)
    text = changed_settings(home.config.read_text(encoding="utf-8"), "parent", parent, _PARENT_KEYS)
    text = changed_settings(text, "node", joined.description, _NODE_KEYS)
    write_whole(home.config, text.encode(), mode=SHOWN_FILE)
    async with open_node(home_path):  # publishes anew under the new name
        return moved


def set_parent(home_path: Path, endpoint: str) -> None:
    """`lln parent`: keep where the parent is dialled; raises SettingsRejected."""
    home = Home(home_path)
    enrolment = read_settings(home.config).parent.enrolment_endpoint
    parent = Parent(endpoint=endpoint, enrolment_endpoint=enrolment)
    text = changed_settings(home.config.read_text(encoding="utf-8"), "parent", parent, _PARENT_KEYS)
    write_whole(home.config, text.encode(), mode=SHOWN_FILE)


async def _join_again(
    code: InviteCode, keys: OwnKeys, former: Former, description: NodeDescription
) -> tuple[Joined, Chain]:
    moving = MovingHome(keys)
    joined = await join(
        code,
        home=moving,
        doors=GrpcDoors(),
        clock=SystemClock(),
        timeout_s=JOIN_TIMEOUT_S,
        description=description,
        former_chain=former.chain,
    )
    return joined, moving.chain


async def _tell_former(here: OwnIdentity, new: NodeName, chain: Chain, former: Former) -> Moved:
    """Over a connection as the node that the old authority knows."""
    clock, randomness = SystemClock(), SystemRandomness()
    there = OwnIdentity(
        keys=here.keys,
        root_certificate=here.root_certificate,
        chain=former.chain,
        clock=clock,
        randomness=randomness,
        keep=lambda _: None,
    )
    peers = GrpcPeers(
        identity=there,
        material=there,
        chains=ChainVerifier(here.root_certificate),
        clock=clock,
        randomness=randomness,
    )
    authority = parent_of(there.name, there.root)
    if authority is not None and former.parent_endpoint:
        peers.know(authority, former.parent_endpoint)
    try:
        return await say_farewell(there, new, chain, peers)
    finally:
        await peers.close()


def _former(home: Home) -> Former | None:
    noted = read_bounded(home.former)
    return msgspec.json.decode(noted, type=Former) if noted else None
