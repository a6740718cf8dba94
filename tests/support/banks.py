"""Credit banks of several nodes on real stores, with the post between them carried by hand.

What lives here: put together without sockets, so that a test decides what arrives, how often, and what gets lost. What
must not: expectations.
"""

from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from config.settings import Settings
from federation.catalogue import BilingualLine
from federation.checkpoints import sign_checkpoint
from federation.directory import NodeDescription
from federation.errors import Unavailable
from node.bank import Bank
from node.bank_parts import Knowing
from node.desk import OPERATIONS
from node.ports import PostItem
from node.storage.sqlite_store import open_sqlite
from node.usecases.founding import open_own_logs
from node.usecases.receiving import Receiving
from node.usecases.settling import next_batch, settle
from tests.support.identities import identity_of
from tests.support.machine import CountedRandomness, HandClock


class _Waits:
    """The post of a test goes when the test says so, and never while somebody waits."""

    async def settled(self, to, item_id, timeout_s):
        raise Unavailable(item_id)


async def _nobody(name, *_):
    raise Unavailable(name, "nobody else is asked here")


class BankNode:
    """One node's credit bank; `ask` is what its people can do."""

    def __init__(self, member, store, clock, keys_of) -> None:
        self.name = member.name
        self.store = store
        self.identity = identity_of(member, clock)
        described = NodeDescription(title=BilingualLine(zh=member.name), level="county", kind="authority")
        self.bank = Bank(
            store=store,
            identity=self.identity,
            clock=clock,
            randomness=CountedRandomness(member.name.encode()),
            settings=Settings(node=described),
            peers=None,
            keys_of=keys_of,
            knowing=Knowing(resolve=_nobody, signatory=_nobody),
            waits=_Waits,
        )
        self.receiving = Receiving(store=store, clock=clock, receives=self.bank.receives())

    async def ask(self, operation, **asked):
        known = OPERATIONS[operation]
        return await self.bank.doing()[operation](msgspec.convert(asked, known.asked))

    async def waiting(self):
        """Whom items wait for here."""
        backlogs = await self.store.read(lambda tx: tx.outbox.backlogs())
        return [one.to for one in backlogs if one.waiting]


class Banks:
    def __init__(self, nodes) -> None:
        self.nodes = nodes

    def __getitem__(self, name) -> BankNode:
        return self.nodes[name]

    async def carry(self, sender, receiver, *, answers="arrive", limit=64):
        """One batch from one node to another; `answers` "lost": applied there, and not heard of here."""
        one, other = self.nodes[sender], self.nodes[receiver]
        batch = (await one.store.read(lambda tx: next_batch(tx, other.name)))[:limit]
        items = [PostItem(id=item.id, kind=item.kind, document=item.document) for item in batch]
        told = await other.receiving.deliver(one.name, one.identity.did, items, other.store.write)
        if answers == "arrive":
            for item, answer in zip(batch, told, strict=True):
                await one.store.write(lambda tx, item=item, answer=answer: settle(tx, one.bank.settles(), item, answer))
        return told

    async def carry_all(self):
        """Everything to everybody, until nothing waits."""
        for _ in range(100):
            ways = [(name, to) for name, node in self.nodes.items() for to in await node.waiting()]
            if not ways:
                return
            for sender, receiver in ways:
                await self.carry(sender, receiver)
        raise AssertionError("the post never ends")


@asynccontextmanager
async def banks(folder, *members):
    """A credit bank for each member, whose keys all of them know."""
    clock = HandClock()
    keys = {member.name: [member.key] for member in members}

    async def keys_of(name):
        return keys[name]

    async with AsyncExitStack() as stores:
        nodes = {}
        for member in members:
            seal = lambda head, member=member: sign_checkpoint(head.checkpoint(), member.node_key)  # noqa: E731
            store = await stores.enter_async_context(
                open_sqlite(folder / f"{member.name}.db", own_node=member.name, seal=seal, now_ms=clock.now_ms)
            )
            await open_own_logs(store, member.name)
            nodes[member.name] = BankNode(member, store, clock, keys_of)
        yield Banks(nodes)
