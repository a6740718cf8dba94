"""Cutting: a page stands under the checkpoint it was asked under, whatever was written since."""

from federation.logs import LogHead, LogId, accept_page
from federation.naming import NodeName
from node.usecases.cutting import Cutting
from tests.support.identities import identity_of
from tests.support.machine import HandClock
from tests.support.memory_store import MemoryStore
from tests.support.small_network import found


async def test_a_log_that_grew_since_it_was_looked_at_gives_the_page_that_was_signed():
    clock = HandClock()
    root = found(now_ms=clock.now_ms())
    log, viewer = LogId(origin=root.name, topic="directory"), NodeName("school.lln.internal")
    store = MemoryStore(identity_of(root, clock), clock.now_ms)
    cutting = Cutting(own_name=root.name, root=root.name)
    await store.write(lambda tx: tx.logs.append(log, [b"one", b"two"]))
    seen = await store.read(lambda tx: tx.logs.get(log))
    await store.write(lambda tx: tx.logs.append(log, [b"three"]))
    page = await store.read(lambda tx: cutting.page(tx, seen, 1, viewer=viewer))
    assert [entry.document for entry in page.entries] == [b"two"]
    whole = await store.read(lambda tx: cutting.page(tx, seen, 0, viewer=viewer))
    accepted = accept_page(LogHead(log=log), whole, key=root.key, held_checkpoint=None)
    assert (accepted.head.size, accepted.checkpoint.size) == (2, 2)
    nothing = await store.read(lambda tx: cutting.page(tx, seen, 2, viewer=viewer))
    assert nothing.entries == ()
