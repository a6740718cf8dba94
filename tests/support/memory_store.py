"""The Store port in memory: real logs and real checkpoints, no disk. A fake for use cases; the contract is the port's.

A unit that raises is undone alone; a read that writes is an error of the test's subject.
"""

import asyncio
import copy
from collections import defaultdict

from federation import logs as federated
from federation.checkpoints import sign_checkpoint
from federation.errors import Conflict
from federation.keys import Signer
from federation.logs import Entry, LogHead, LogId
from federation.naming import NodeName
from node.ports import Backlog, ForkEvidence, OutboxItem, Sending, StoredLog, Transaction
from node.storage.errors import ItemReused
from node.storage.post_rows import check_fit


class _Tables:
    """Everything stored; tables hold immutable values, so that a shallow copy of each is a snapshot."""

    def __init__(self) -> None:
        self.logs: dict[LogId, StoredLog] = {}
        self.entries: dict[LogId, tuple[Entry, ...]] = defaultdict(tuple)
        self.rows: dict[LogId, tuple[bytes, ...]] = defaultdict(tuple)
        self.forks: dict[tuple[LogId, bytes, bytes], ForkEvidence] = {}
        self.holdings: dict = {}
        self.standings: dict = {}
        self.invites: dict = {}
        self.resources: dict = {}
        self.answers: dict = {}
        self.notes: dict[str, bytes] = {}
        self.outbox: dict = {}
        self.sendings: dict = {}
        self.inbox: dict = {}

    def snapshot(self) -> "_Tables":
        other = _Tables()
        other.__dict__ = {name: copy.copy(table) for name, table in self.__dict__.items()}
        return other


class _Rows:
    def __init__(self, tables: _Tables, *, may_write: bool) -> None:
        self._tables = tables
        self._may_write = may_write

    def _changing(self) -> _Tables:
        assert self._may_write, "a read may not write"
        return self._tables


class _LogRows(_Rows):
    def __init__(self, tables: _Tables, store: "MemoryStore", *, may_write: bool) -> None:
        super().__init__(tables, may_write=may_write)
        self._store = store
        self.grown: set[LogId] = set()

    def get(self, log):
        return self._tables.logs.get(log)

    def all(self):
        return [self._tables.logs[log] for log in sorted(self._tables.logs)]

    def append(self, log, documents):
        tables = self._changing()
        held = tables.logs.get(log)
        before = held.head if held else LogHead(log=log)
        appended = federated.append(before, documents)
        note = sign_checkpoint(appended.head.checkpoint(), self._store.signer)
        self._extend(appended.head, appended.rows, [Entry.full(d) for d in documents], note, self._store.now_ms())
        return before.size

    def extend(self, head, rows, entries, note, confirmed_at_ms):
        assert len(rows) == len(entries)
        held = self._changing().logs.get(head.log)
        assert head.size - len(rows) == (held.head.size if held else 0), "rows are those just before head.size"
        self._extend(head, rows, entries, note, confirmed_at_ms)

    def _extend(self, head, rows, entries, note, confirmed_at_ms):
        tables = self._changing()
        tables.entries[head.log] += tuple(entries)
        tables.rows[head.log] += tuple(rows)
        tables.logs[head.log] = StoredLog(log=head.log, head=head, note=note, confirmed_at_ms=confirmed_at_ms)
        self.grown.add(head.log)

    def confirm(self, log, note, confirmed_at_ms):
        tables = self._changing()
        tables.logs[log] = StoredLog(log=log, head=tables.logs[log].head, note=note, confirmed_at_ms=confirmed_at_ms)

    def entries(self, log, start, limit):
        return list(self._tables.entries.get(log, ())[start : start + limit])

    def hash_rows(self, log, indexes):
        rows = self._tables.rows.get(log, ())
        return {index: rows[index] for index in indexes if index < len(rows)}

    def add_fork(self, evidence):
        self._changing().forks[evidence.log, evidence.one, evidence.other] = evidence
        self.grown.add(evidence.log)

    def forks(self):
        return list(self._tables.forks.values())

    def put_holding(self, holding):
        self._changing().holdings[holding.log, holding.holder] = holding

    def holdings(self, log):
        return [holding for (of, _), holding in sorted(self._tables.holdings.items()) if of == log]


class _StandingRows(_Rows):
    def get(self, authority, name):
        return self._tables.standings.get((authority, name))

    def of(self, authority):
        return [standing for standing in self.all() if standing.authority == authority]

    def all(self):
        return [standing for _, standing in sorted(self._tables.standings.items())]

    def put(self, standing):
        self._changing().standings[standing.authority, standing.name] = standing


class _InviteRows(_Rows):
    def get(self, invite_id):
        return self._tables.invites.get(invite_id)

    def all(self):
        return list(self._tables.invites.values())

    def put(self, invite):
        self._changing().invites[invite.id] = invite


class _ResourceRows(_Rows):
    def get(self, resource_id):
        return self._tables.resources.get(resource_id)

    def many(self, resource_ids):
        return {name: self._tables.resources[name] for name in resource_ids if name in self._tables.resources}

    def in_force(self, start, end):
        indexes = {row.log_index for row in self._tables.resources.values()}
        return frozenset(index for index in range(start, end) if index in indexes)

    def list(self, states, after, limit):
        wanted = [row for _, row in sorted(self._tables.resources.items()) if row.id > after]
        return [row for row in wanted if not states or row.state in states][:limit]

    def of(self, author, after, limit):
        rows = [row for _, row in sorted(self._tables.resources.items()) if row.id > after]
        return [row for row in rows if row.author == author][:limit]

    def counts(self):
        counted: dict = defaultdict(int)
        for row in self._tables.resources.values():
            counted[row.state] += 1
        return dict(counted)

    def put(self, rows):
        self._changing().resources.update({row.id: row for row in rows})

    def drop(self, resource_id):
        self._changing().resources.pop(resource_id, None)


class _AnswerRows(_Rows):
    def get(self, caller, operation_id):
        return self._tables.answers.get((caller, operation_id))

    def keys(self, after, limit):
        return [key for key in sorted(self._tables.answers) if key > after][:limit]

    def put(self, answer):
        key = (answer.caller, answer.operation_id)
        if key in self._changing().answers:
            raise Conflict(answer.operation_id, "answered already")
        self._tables.answers[key] = answer


class _NoteRows(_Rows):
    def get(self, name):
        return self._tables.notes.get(name)

    def put(self, name, value):
        self._changing().notes[name] = value


class _OutboxRows(_Rows):
    def __init__(self, tables: _Tables, *, may_write: bool) -> None:
        super().__init__(tables, may_write=may_write)
        self.added: set[NodeName] = set()

    def add(self, to, kind, document, item_id, at_ms):
        check_fit(to, kind, document, item_id)
        self.added.add(to)
        held = self.get(to, item_id)
        if held is not None and (held.kind, held.document) != (kind, document):
            raise ItemReused(item_id, "waits already")
        if held is None:
            item = OutboxItem(
                to=to, sequence=self.last(to) + 1, id=item_id, kind=kind, document=document, created_at_ms=at_ms
            )
            self._changing().outbox[to, item_id] = item

    def get(self, to, item_id):
        return self._tables.outbox.get((to, item_id))

    def waiting(self, to, limit):
        return [item for item in self._in_order() if item.to == to and not item.is_dead][:limit]

    def find(self, item_id):
        return [item for item in self._in_order() if item.id == item_id]

    def dead(self, limit):
        return [item for item in self._in_order() if item.is_dead][:limit]

    def put(self, item):
        assert (item.to, item.id) in self._tables.outbox
        self._changing().outbox[item.to, item.id] = item
        self.added.add(item.to)

    def last(self, to):
        return max((item.sequence for item in self._tables.outbox.values() if item.to == to), default=0)

    def remove(self, to, item_id):
        self._changing().outbox.pop((to, item_id), None)

    def sending(self, to):
        return self._tables.sendings.get(to, Sending(to=to))

    def put_sending(self, sending):
        if sending == Sending(to=sending.to):
            self._changing().sendings.pop(sending.to, None)
        else:
            self._changing().sendings[sending.to] = sending

    def backlogs(self):
        items = self._tables.outbox.values()
        return [self._backlog(to) for to in sorted({*self._tables.sendings, *(item.to for item in items)})]

    def _backlog(self, to):
        waiting, sending = self.waiting(to, 1_000_000), self.sending(to)
        return Backlog(
            to=to,
            waiting=len(waiting),
            waiting_bytes=sum(len(item.document) for item in waiting),
            oldest_at_ms=min((item.created_at_ms for item in waiting), default=0),
            dead=sum(item.is_dead for item in self._tables.outbox.values() if item.to == to),
            failures=sending.failures,
            next_try_at_ms=sending.next_try_at_ms,
            last_error=sending.last_error,
        )

    def _in_order(self):
        return sorted(self._tables.outbox.values(), key=lambda item: (item.to, item.sequence))


class _InboxRows(_Rows):
    def get(self, sender, item_id):
        return self._tables.inbox.get((sender, item_id))

    def put(self, row):
        assert (row.sender, row.id) not in self._tables.inbox
        self._changing().inbox[row.sender, row.id] = row


class _Transaction:
    def __init__(self, tables: _Tables, store: "MemoryStore", *, may_write: bool) -> None:
        self.logs = _LogRows(tables, store, may_write=may_write)
        self.standings = _StandingRows(tables, may_write=may_write)
        self.invites = _InviteRows(tables, may_write=may_write)
        self.resources = _ResourceRows(tables, may_write=may_write)
        self.answers = _AnswerRows(tables, may_write=may_write)
        self.notes = _NoteRows(tables, may_write=may_write)
        self.outbox = _OutboxRows(tables, may_write=may_write)
        self.inbox = _InboxRows(tables, may_write=may_write)


class MemoryStore:
    """`node.ports.Store`; `signer` signs the checkpoints of this node's own logs, `now_ms` dates them."""

    def __init__(self, signer: Signer, now_ms=lambda: 0) -> None:
        self.signer = signer
        self.now_ms = now_ms
        self._tables = _Tables()
        self._told = []
        self._told_of_post = []
        self.commits = 0

    async def write(self, unit):
        await asyncio.sleep(0)  # a real one waits here
        tables = self._tables.snapshot()
        transaction = _Transaction(tables, self, may_write=True)
        result = unit(transaction)
        self._tables = tables  # nothing before this line is seen by anybody
        self.commits += 1
        if transaction.logs.grown:
            for told in self._told:
                told(frozenset(transaction.logs.grown))
        if transaction.outbox.added:
            for told in self._told_of_post:
                told(frozenset(transaction.outbox.added))
        return result

    async def scrub(self):
        """What is not in the tables is nowhere."""

    async def read(self, unit):
        await asyncio.sleep(0)
        return unit(_Transaction(self._tables, self, may_write=False))

    def on_commit(self, told):
        self._told.append(told)

    def on_post(self, told):
        self._told_of_post.append(told)

    async def close(self):
        self._told.clear()


def directory_of(transaction: Transaction, name: NodeName) -> list[bytes]:
    """The documents of a node's own directory log, in order."""
    log = LogId(origin=name, topic="directory")
    return [entry.document for entry in transaction.logs.entries(log, 0, 10_000)]
