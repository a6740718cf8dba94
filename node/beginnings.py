"""How a home comes to be: a network is founded in it, or its node joins one.

What lives here: the two, put together from the keys, files and doors of this machine. What must not: a running node
(`assembly.py`).
"""

from collections.abc import Callable
from pathlib import Path

from config.settings import Listen, Parent, first_settings
from federation.directory import NodeDescription
from federation.invites import read_invite
from federation.naming import NodeName, parse_name
from node.assembly import JOIN_TIMEOUT_S
from node.host.clock import SystemClock, SystemRandomness
from node.host.homes import Home
from node.host.key_files import FileHome
from node.rpc.enrolment_client import GrpcDoors
from node.usecases.founding import found_network
from node.usecases.joining import Joined, join


def found_home(home_path: Path, root_name: str, description: NodeDescription, listen: Listen) -> tuple[NodeName, bool]:
    """`lln init`: make the home of a new network's root; returns its name and whether it is new."""
    home = Home(home_path)
    founded = found_network(
        parse_name(root_name), home=FileHome(home), clock=SystemClock(), randomness=SystemRandomness()
    )
    home.write_config(first_settings(description, listen, Parent()))
    return founded.name, founded.is_new


async def join_home(
    home_path: Path, code_text: str, listen: Listen, refine: Callable[[NodeDescription], NodeDescription]
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
    home.write_config(first_settings(joined.description, listen, parent))
    return joined
