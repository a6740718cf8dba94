"""Credit banks of a few nodes on real SQLite stores, with a post between them that a test carries by hand.

What lives here: who is there, and one step of carrying at a time: a batch from one to another, its answer kept or lost.
What must not: expectations. Everything is real but the calls: outbox, receiving, settling, keys, signatures, stores.
"""

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import msgspec

from config.settings import Settings
from federation.catalogue import BilingualLine
from federation.checkpoints import sign_checkpoint
from federation.directory import NodeDescription
from node.bank import Bank
from node.bank_parts import Knowing
from node.desk import OPERATIONS
from node.ports import PostItem
from node.storage.sqlite_store import open_sqlite
from node.usecases.identifying import NobodyVouches
from node.usecases.ledgering import ledger_of
from node.usecases.posting import StillOnItsWay
from node.usecases.receiving import Receiving
from node.usecases.settling import next_batch, readdress, settle, until_put_off
from node.usecases.weighing import case_of
from tests.support.identities import identity_of
from tests.support.machine import CountedRandomness, HandClock
from tests.support.small_network import found

OPENED_MS = 1_790_000_000_000
"""A day in September 2026."""

RULE = """
id = "community"
version = {version}
authority = "{receiver}.lln.internal"
title = {{ zh = "社区课程互认" }}
valid_from = 2026-01-01
once_per = "{once_per}"
cascade = "{cascade}"

[[source]]
name = "course"
kinds = ["other_non_formal"]
unit = "credit"
issuers_within = ["lln.internal"]

[[target]]
achievement = "urn:lln:{receiver}.lln.internal:community"
version = 1
title = {{ zh = "社区教育课程" }}
kind = "other_non_formal"
unit = "credit"
ratio = [1, 1]
{more}"""
REVIEWED = "\n[review]\nreviewers = 2\nnotice_days = 7\n"


class Branch:
    """One node's credit bank, as long as its store is open."""

    def __init__(self, office, identity, store) -> None:
        self.name, self.identity, self.store = identity.name, identity, store
        self.bank = Bank(
            store=store,
            identity=identity,
            clock=office.clock,
            randomness=office.randomness[identity.did],
            settings=Settings(
                node=NodeDescription(title=BilingualLine(zh=identity.name), level="county", kind="authority")
            ),
            peers=_Previews(office, identity.name),
            keys_of=office.keys_of,
            waits=lambda: office,
            knowing=Knowing(resolve=None, signatory=None),  # nobody is asked for here
        )
        self.receiving = Receiving(store=store, clock=office.clock, receives=self.bank.receives())

    async def ask(self, operation, **asked):
        """What a person of the node asks of the credit bank."""
        return await self.bank.doing()[operation](msgspec.convert(asked, OPERATIONS[operation].asked))

    async def learner_with(self, *amounts):
        """A learner with a record of each amount, issued here; their ids."""
        learner = await self.ask(
            "learner.register", written={"name": "沈小满", "student_number": "2026001", "birth_date": "1961-03-05"}
        )
        records = []
        for place, amount in enumerate(amounts, 1):
            credits_ = {"unit": "credit", "hundredths": amount}
            code = f"course{place}"
            await self.ask(
                "achievement.define", code=code, name={"zh": "面塑"}, kind="other_non_formal", credits=credits_
            )
            rows = [{"row": 2, "student_number": "2026001", "achievement": code, "achieved_on": "2026-05-01"}]
            plan = await self.ask("credit.issue", rows=rows, by="王老师", apply=True)
            records.append(plan.rows[0].id)
        return learner.id, records

    async def rule(self, once_per="network", cascade="flag", more="", version=1):
        label = self.name.partition(".")[0]
        toml = RULE.format(receiver=label, once_per=once_per, cascade=cascade, more=more, version=version)
        await self.ask("rule.publish", toml=toml, apply=True)

    async def preview(self, learner, records, to):
        consent = await self.ask(
            "consent.give",
            learner=learner,
            purpose="convert",
            fields=["records"],
            recipient=to,
            records=records,
            days=300,
            confirmed=True,
        )
        shown = await self.ask("convert.preview", learner=learner, to=to, records=records, consent=consent.id)
        return shown.id

    async def request(self, learner, records, to):
        """Ask `to` to convert; the request waits in the outbox."""
        request_id = await self.preview(learner, records, to)
        await self.ask("convert.apply", id=request_id)
        return request_id

    async def lots(self):
        def unit(tx):
            rows = tx.credits.records.all("", 1_000)
            return [ledger for row in rows if row.is_own and (ledger := ledger_of(tx, row.id)) is not None]

        return await self.store.read(unit)

    async def cases(self):
        return await self.store.read(lambda tx: [case_of(row) for row in tx.credits.cases.all("", 1_000)])

    async def waiting(self):
        """Whom something waits for here."""
        backlogs = await self.store.read(lambda tx: tx.outbox.backlogs())
        return [backlog.to for backlog in backlogs if backlog.waiting]


class PostOffice:
    def __init__(self, folder, at_ms=OPENED_MS) -> None:
        self.clock = HandClock(at_ms)
        self.folder = folder
        self.branches = {}
        self.randomness = {}
        self._root = found(now_ms=at_ms)
        self._members, self._keys, self._open = {}, {}, {}

    def __getitem__(self, label) -> Branch:
        return self.branches[label]

    async def add(self, label):
        member = self._root.admit(label, "authority", life_ms=200 * 86_400_000)
        self._members[label] = member
        self._keys[member.name] = [member.key]
        self.randomness[identity_of(member, self.clock).did] = CountedRandomness(label.encode())
        await self._start(label)

    async def _start(self, label):
        identity = identity_of(self._members[label], self.clock)
        held = AsyncExitStack()
        path = self.folder / f"{label}.db"
        store = await held.enter_async_context(
            open_sqlite(
                path,
                own_node=identity.name,
                seal=lambda head: sign_checkpoint(head.checkpoint(), identity),
                now_ms=self.clock.now_ms,
            )
        )
        self._open[label] = held
        self.branches[label] = Branch(self, identity, store)

    async def reopen(self, label):
        """Stop a node and start it again, with nothing but what its disk has."""
        await self._open[label].aclose()
        await self._start(label)

    async def rename(self, label, new):
        """The node moves: its key stays, its name is another."""
        moved = self._root.admit(new, "authority")
        newcomer = replace(self._members[label], name=moved.name, chain=())
        self._members[label] = replace(newcomer, chain=(self._root.certify(newcomer), *self._root.chain))
        self._keys[moved.name] = [newcomer.key]
        old = self[label].name
        await self.reopen(label)
        for branch in self.branches.values():
            await branch.store.write(lambda tx: readdress(tx, old, moved.name))

    def forget(self, label):
        """From now on nobody vouches for a key of this node."""
        self._keys[self[label].name] = []

    async def keys_of(self, name):
        if not self._keys.get(name):
            raise NobodyVouches(name)
        return self._keys[name]

    async def settled(self, to, item_id, timeout_s):
        """`Waits`: nobody stands at the counter and waits."""
        raise StillOnItsWay(to, item_id)

    # --- carrying ----------------------------------------------------------------------------------------------------

    async def routes(self):
        """Between whom something waits to be carried."""
        labels = {branch.name: label for label, branch in self.branches.items()}
        return [
            (label, labels[to])
            for label, branch in sorted(self.branches.items())
            for to in await branch.waiting()
            if to in labels
        ]

    async def carry(self, sender, to, *, limit=100, is_lost=False, is_doubled=False, forge=None):
        """One batch, delivered, and settled at its sender unless the answer is lost on the way; returns the kinds.

        `forge`: what the receiver says instead of its answers, made from them.
        """
        source, target = self[sender], self[to]
        batch = (await source.store.read(lambda tx: next_batch(tx, target.name)))[:limit]
        items = [PostItem(id=item.id, kind=item.kind, document=item.document) for item in batch]
        key = source.identity.did
        for _ in range(2 if is_doubled else 1):
            answers = await target.receiving.deliver(source.name, key, items, target.store.write)
        if forge is not None:
            answers = [forge(answer) for answer in answers]
        if not is_lost:
            settles = source.bank.settles()
            known = until_put_off(batch, answers)
            await source.store.write(lambda tx: [settle(tx, settles, item, answer) for item, answer in known])
        return [item.kind for item in batch]

    async def carry_all(self, *, until=None):
        """Carry until nothing waits, or until a kind was carried; returns what was."""
        carried = []
        while routes := await self.routes():
            for sender, to in routes:
                carried += await self.carry(sender, to, limit=1)
                if until is not None and until in carried:
                    return carried
        return carried

    async def close(self):
        for held in self._open.values():
            await held.aclose()


@asynccontextmanager
async def post_office(folder, *labels):
    office = PostOffice(folder)
    try:
        for label in labels:
            await office.add(label)
        yield office
    finally:
        await office.close()


class _Previews:
    """`CreditPeers`, as far as a preview needs it: the receiver is asked directly."""

    def __init__(self, office, own_name) -> None:
        self._office = office
        self._own_name = own_name

    async def preview(self, to, document, *, timeout_s):
        [receiver] = [branch for branch in self._office.branches.values() if branch.name == to]
        return await receiver.bank.converting.preview(self._own_name, document)
