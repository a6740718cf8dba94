"""A parent and its child in one process, over real sockets, certificates and stores: what copying is measured on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from config.settings import Listen
from federation.catalogue import BilingualLine
from federation.directory import NodeDescription
from node.assembly import Node
from node.beginnings import found_home, join_home
from node.opening import open_node
from node.runtime import _Running

LISTEN = Listen(grpc="127.0.0.1:0", enrolment="127.0.0.1:0")


@asynccontextmanager
async def parent_and_child(folder: Path) -> AsyncIterator[tuple[Node, Node]]:
    """Both open, the parent listening; no loop of theirs runs."""
    described = NodeDescription(title=BilingualLine(zh="上级"), level="national", kind="authority")
    found_home(folder / "parent", "lln.internal", described, LISTEN)
    async with open_node(folder / "parent") as parent:
        running = _Running(parent)
        port = await running._server.start("127.0.0.1:0")
        try:
            await running._door.follow(need=True)
            parent.addresses.endpoint = f"127.0.0.1:{port}"
            parent.addresses.enrolment_endpoint = f"127.0.0.1:{running._door.port}"
            school = NodeDescription(title=BilingualLine(zh="学校"), level="school", kind="school")
            code = (await parent.enrolling.invite("school", school)).code
            await join_home(folder / "child", code, LISTEN, lambda told: msgspec.structs.replace(told, endpoint=None))
            await running._door.close()
            await parent.vouching.refresh([parent.name])
            async with open_node(folder / "child") as child:
                yield parent, child
        finally:
            await running._server.stop(0)
