"""A home, opened in this process: its settings, keys and database, and the node wired upon them.

What lives here: the order in which things are opened and closed. What must not: wiring (`assembly.py`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from config.settings import read_settings
from federation.checkpoints import sign_checkpoint
from node.assembly import Node
from node.host.clock import SystemClock, SystemRandomness
from node.host.homes import SHOWN_FILE, Home, write_whole
from node.host.key_files import FileHome, open_identity
from node.storage.errors import DatabaseMissing
from node.storage.opening import open_store


@asynccontextmanager
async def open_node(home_path: Path) -> AsyncIterator[Node]:
    """Open the home in this process, alone; everything is closed at the end. Raises BrokenHome leaves or HomeInUse."""
    home, clock = Home(home_path), SystemClock()
    FileHome(home).is_restored()  # a restore that is unfinished is told of before an empty database is made
    settings = read_settings(home.config)
    identity = open_identity(home, clock=clock, randomness=SystemRandomness())
    if settings.storage.postgres is None and home.begun.exists() and not home.database.exists():
        raise DatabaseMissing(str(home.database), "no such file")
    async with open_store(
        home.database,
        own_node=identity.name,
        seal=lambda head: sign_checkpoint(head.checkpoint(), identity),
        now_ms=clock.now_ms,
        postgres=settings.storage.postgres,
    ) as store:
        node = Node(home=home, settings=settings, identity=identity, store=store, clock=clock)
        try:
            if home.begun.exists() and await store.read(lambda tx: not tx.logs.all()):
                raise DatabaseMissing(identity.name, "it holds nothing")
            await node.recall(FileHome(home))
            if not home.begun.exists():
                write_whole(home.begun, b"", mode=SHOWN_FILE)
            yield node
        finally:
            await node.peers.close()
            await node.index.close()
