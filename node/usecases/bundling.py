"""Bundling: the offline proof 离线证明 of a record, from what is here and what its issuer says.

What lives here: gathering the parts: credential, status lists, the log's proof, the issuer's chain. What must not: the
form of a bundle, or verifying one (`federation/bundles.py`).
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from federation import bundles, credit_log
from federation.errors import Conflict, NotFound, Unavailable
from federation.naming import NodeName, parent_of
from federation.status_lists import sister_of
from node.ports import Clock, Identity, Resolved, Store, Transaction
from node.ports.crediting import CreditEventRow, RecordRow
from node.usecases.recounting import find_record
from node.usecases.witnessing import prove_entry


class OpeningGone(NotFound):
    code = "LLN-1211"
    zh = "本节点没有保存这条记录的存证凭据，不能出具离线证明。请由颁发者出具。"
    en = "What opens the log's commitment to this record is not kept here. Ask its issuer for the offline proof."


class ListsOutOfReach(Unavailable):
    code = "LLN-1614"
    zh = "取不到颁发者的状态列表，暂时不能出具离线证明。请稍后再试。"
    en = "The issuer's status lists cannot be had just now, so there is no offline proof yet. Try again later."


class NotProvable(Conflict):
    code = "LLN-1310"
    zh = (
        "这条记录的离线证明不成立，没有出具：签名密钥后来已更换，或日志与记录不符。请改用核验短码（lln credit prove）。"
    )
    en = (
        "The offline proof would not verify, so it was not made: the key that signed was replaced since, or the log "
        "differs. Give out a code instead, with lln credit prove."
    )


class Fetched(Protocol):
    @property
    def document(self) -> bytes: ...


class Bundling:
    """`resolve`: who a node is, with its chain; `fetch`: somebody's list; `ask`: the proof of another node's entry."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        identity: Identity,
        resolve: Callable[[NodeName, NodeName, int], Awaitable[Resolved]],
        fetch: Callable[[NodeName, str], Awaitable[Fetched]],
        ask: Callable[[NodeName, int, bytes], Awaitable[bytes]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._identity = identity
        self._parent = parent_of(identity.name, identity.root)
        self._resolve = resolve
        self._fetch = fetch
        self._ask = ask

    async def bundle(self, record_id: str) -> bytes:
        """The offline proof of a record issued or held here.

        Raises RecordUnknown, OpeningGone, NotWitnessedYet, ListsOutOfReach, NotProvable, or as calls do.
        """
        row, event = await self._store.read(lambda tx: _opening(tx, record_id))
        issuer = NodeName(row.issuer)
        salt = credit_log.salt_from_text(event.salt)
        leaf_hash = credit_log.leaf_of(event.document, salt, issuer)
        made = bundles.make_bundle(
            credential=row.document,
            lists=await self._lists(row),
            event=event.document,
            salt=salt,
            log_proof=await self.inclusion(issuer, event.log_index, leaf_hash),
            chain=await self._chain(issuer),
            root=self._identity.root_certificate,
        )
        self._check(row.id, made)
        return made

    def _check(self, record_id: str, made: bytes) -> None:
        """Nothing is handed out that does not verify where it is taken to."""
        root_sha256 = bundles.root_fingerprint(self._identity.root_certificate)
        found = bundles.verify_bundle(made, root_sha256=root_sha256, as_of_ms=self._clock.now_ms())
        if found.issuer is None or found.verdict.answers.inclusion != "proven":
            raise NotProvable(record_id, found.verdict.outcome)

    async def inclusion(self, issuer: NodeName, index: int, leaf_hash: bytes) -> bytes:
        """A tlog-proof of an entry of `issuer`'s credits log; unverified where that is another node."""
        if issuer != self._identity.name:
            return await self._ask(issuer, index, leaf_hash)
        return await self.own_inclusion(index, leaf_hash)

    async def own_inclusion(self, index: int, leaf_hash: bytes) -> bytes:
        """To whoever knows the entry; raises EntryNotHere, NotWitnessedYet."""
        name, parent = self._identity.name, self._parent
        return await self._store.read(lambda tx: prove_entry(tx, name, parent, index, leaf_hash))

    async def _lists(self, row: RecordRow) -> tuple[bytes, ...]:
        if row.slot is None:
            return ()
        wanted = (row.slot.list, sister_of(row.slot.list))
        found = [(await self._fetch(NodeName(row.issuer), one)).document for one in wanted]
        if not all(found):
            raise ListsOutOfReach(row.id, f"issued by {row.issuer}")
        return tuple(found)

    async def _chain(self, issuer: NodeName) -> tuple[bytes, ...]:
        own = self._identity
        if issuer == own.name:
            return own.chain
        if issuer == own.root:
            return ()
        return (await self._resolve(own.name, issuer, 8)).chain


def _opening(tx: Transaction, record_id: str) -> tuple[RecordRow, CreditEventRow]:
    row = find_record(tx, record_id)
    events = tx.credits.events.of(row.id, limit=1)
    if not events:
        raise OpeningGone(row.id)
    return row, events[0]
