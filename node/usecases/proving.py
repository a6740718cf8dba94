"""Proving: what the logs held here say, and that they say it whole.

What lives here: showing a log, recomputing its root from what is stored, and proofs that verify without this node. What
must not: changing anything.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from federation.checkpoints import open_checkpoint
from federation.errors import BadLog, NotFound
from federation.keys import NodeKey
from federation.log_proofs import rows_for_proof, write_proof
from federation.logs import ENTRIES_MAX, Entry, LogId
from federation.merkle import Frontier
from federation.naming import NodeName, parse_name
from federation.notes import SignatureLine
from node.desk import (
    HolderState,
    LogAsked,
    LogEntryAsked,
    LogEntryShown,
    LogProofMade,
    Logs,
    LogShown,
    LogState,
    LogVerdict,
)
from node.ports import Store, StoredLog, Transaction


class LogUnknown(NotFound):
    code = "LLN-122"
    zh = "本节点没有这份日志。用 lln log show 查看现有的日志。"
    en = "This node holds no such log. See those it holds with lln log show."


class EntryUnknown(NotFound):
    code = "LLN-123"
    zh = "日志中没有这个编号的条目。"
    en = "The log has no entry of that number."


class Proving:
    def __init__(
        self,
        *,
        store: Store,
        own_name: NodeName,
        key_of: Callable[[NodeName], NodeKey | None],
        indexed: Callable[[], Mapping[NodeName, int]],
    ) -> None:
        self._store = store
        self._own_name = own_name
        self._key_of = key_of
        self._indexed = indexed

    async def logs(self) -> Logs:
        """Every log held here, own ones first."""
        states = await self._store.read(lambda tx: [self.state(tx, stored) for stored in tx.logs.all()])
        return Logs(logs=tuple(sorted(states, key=lambda one: (one.origin != self._own_name, one.origin, one.topic))))

    async def show(self, asked: LogAsked) -> LogShown:
        def unit(tx: Transaction) -> LogShown:
            stored = self._stored(tx, asked.topic, asked.origin)
            entries = tx.logs.entries(stored.log, asked.start, asked.limit)
            return LogShown(
                state=self.state(tx, stored),
                checkpoint=stored.note.decode(),
                entries=tuple(
                    LogEntryShown(
                        index=asked.start + at,
                        leaf_hash=entry.leaf_hash.hex(),
                        document=msgspec.Raw(b"null" if entry.document is None else entry.document),
                    )
                    for at, entry in enumerate(entries)
                ),
            )

        return await self._store.read(unit)

    async def verify(self, asked: LogAsked) -> LogVerdict:
        """Recompute the root entry by entry; every fault is told, none stops the others."""
        stored = await self._store.read(lambda tx: self._stored(tx, asked.topic, asked.origin))
        frontier, withheld, faults = Frontier(), 0, list[str]()
        while frontier.size < stored.head.size:
            start = frontier.size
            entries, rows = await self._store.read(lambda tx, at=start: self._read(tx, stored, at))  # type: ignore[misc]
            if not entries:
                faults.append(f"entries from {start} on are missing, {stored.head.size} were signed for")
                break
            withheld += sum(entry.document is None for entry in entries)
            extended = frontier.extend([entry.leaf_hash for entry in entries])
            wrong = [start + at for at, row in enumerate(extended.rows) if rows.get(start + at) != row]
            faults.extend(f"entry {index}: its stored hashes are not those of its document" for index in wrong[:5])
            frontier = extended.frontier
        signed_root, cosigners = self._signed(stored, frontier, faults)
        return LogVerdict(
            origin=stored.log.origin,
            topic=stored.log.topic,
            size=stored.head.size,
            withheld=withheld,
            stored_root=stored.head.root().hex(),
            recomputed_root=frontier.root().hex(),
            signed_root=signed_root,
            cosigned_by=cosigners,
            faults=tuple(faults),
        )

    async def prove(self, asked: LogEntryAsked) -> LogProofMade:
        def unit(tx: Transaction) -> str:
            stored = self._stored(tx, asked.topic, asked.origin)
            if asked.index >= stored.head.size:
                raise EntryUnknown(f"{stored.log}", f"entry {asked.index}, the log has {stored.head.size}")
            rows = tx.logs.hash_rows(stored.log, {*rows_for_proof(asked.index, stored.note), asked.index})
            entry = tx.logs.entries(stored.log, asked.index, 1)[0]
            return write_proof(asked.index, entry.document, stored.note, rows).decode()

        return LogProofMade(proof=await self._store.read(unit))

    def state(self, tx: Transaction, stored: StoredLog) -> LogState:
        catalogue = stored.log.topic == "catalogue"
        return LogState(
            origin=stored.log.origin,
            topic=stored.log.topic,
            size=stored.head.size,
            root=stored.head.root().hex(),
            confirmed_at_ms=stored.confirmed_at_ms,
            indexed=self._indexed().get(NodeName(stored.log.origin), 0) if catalogue else None,
            holdings=tuple(
                HolderState(holder=one.holder, size=one.size, indexed=one.indexed, at_ms=one.at_ms)
                for one in tx.logs.holdings(stored.log)
            ),
        )

    def _stored(self, tx: Transaction, topic: str, origin: str) -> StoredLog:
        log = LogId.parse(f"{parse_name(origin) if origin else self._own_name}/{topic}")
        stored = tx.logs.get(log)
        if stored is None:
            raise LogUnknown(str(log), "not held here")
        return stored

    def _read(self, tx: Transaction, stored: StoredLog, start: int) -> tuple[Sequence[Entry], Mapping[int, bytes]]:
        entries = tx.logs.entries(stored.log, start, ENTRIES_MAX)
        return entries, tx.logs.hash_rows(stored.log, range(start, start + len(entries)))

    def _signed(self, stored: StoredLog, recomputed: Frontier, faults: list[str]) -> tuple[str, tuple[str, ...]]:
        key = self._key_of(NodeName(stored.log.origin))
        if key is None:
            faults.append(f"the key of {stored.log.origin} is not known here, so its signature was not checked")
            return "", ()
        try:
            checkpoint = open_checkpoint(stored.note, origin=stored.log.origin_line, key=key)
        except BadLog as error:
            faults.append(str(error))
            return "", ()
        if (checkpoint.size, checkpoint.root) != (recomputed.size, recomputed.root()):
            faults.append(f"the signed checkpoint is of {checkpoint.size} entries and another root")
        return checkpoint.root.hex(), _cosigners(stored)


def _cosigners(stored: StoredLog) -> tuple[str, ...]:
    lines = stored.note.decode().partition("\n\n")[2].splitlines()
    names = [SignatureLine.parse(line).name for line in lines]
    return tuple(name for name in names if name != stored.log.origin_line)
