"""Admitting: what becomes of the nodes below this one once they have joined.

What lives here: suspend, resume, revoke, renew and describe; each is one directory entry and the standing it leads to,
in one transaction. What must not: invites and joins (`enrolling.py`), or moving the entry to others (`forwarding.py`).
"""

import base64
from collections.abc import Callable, Sequence
from typing import Final

from federation.admission import newest_certificate, same_keys
from federation.certificate_profile import issued_at_ms, read_authority
from federation.certificates import is_issued_by
from federation.directory import (
    DirectoryEntry,
    IllegalTransition,
    NodeDescribed,
    NodeDescription,
    NodeRenewed,
    NodeResumed,
    NodeRevoked,
    NodeSuspended,
    Standing,
)
from federation.errors import InvalidInput, NotFound
from federation.issuance import DAY_MS
from federation.naming import NodeName
from node.ports import Clock, Identity, Randomness, Store, Transaction, Write
from node.usecases.recording import make_salts, record_admission

RENEWAL_GAIN_MS: Final = DAY_MS
"""A renewal that would win less, or a tenth of a short life, is answered with the certificate in force: a child that
asks too often does not fill the log."""
REASON_CHARS_MAX: Final = 500


class NoSuchChild(NotFound):
    code = "LLN-1251"
    zh = "没有这个名称的直接下级。请用 lln tree 查看下级节点。"
    en = "There is no direct child by this name. See lln tree."


class ReasonMissing(InvalidInput):
    code = "LLN-1158"
    zh = "请写明理由（1 至 500 字），它会记入目录日志。"
    en = "Give a reason of 1 to 500 characters; it is recorded in the directory log."


class NotTheirs(InvalidInput):
    code = "LLN-1159"
    zh = "级别和类别由上级决定，不能自行更改。请联系上级。"
    en = "Level and kind are the authority's to say and cannot be changed by the node itself. Ask the authority."


class Admitting:
    """An authority's standing orders about its direct children."""

    def __init__(self, *, store: Store, identity: Identity, clock: Clock, randomness: Randomness) -> None:
        self._store = store
        self._identity = identity
        self._clock = clock
        self._randomness = randomness

    async def children(self) -> Sequence[Standing]:
        """Where every node stands that this one has ever admitted."""
        return await self._store.read(lambda transaction: transaction.standings.of(self._identity.name))

    async def suspend(self, name: NodeName, reason: str) -> Standing:
        """Raises NoSuchChild, ReasonMissing or IllegalTransition, as do `resume` and `revoke`."""
        return await self._order(NodeSuspended, name, reason)

    async def resume(self, name: NodeName, reason: str) -> Standing:
        return await self._order(NodeResumed, name, reason)

    async def revoke(self, name: NodeName, reason: str) -> Standing:
        """For good; the name may be invited again, with new keys."""
        return await self._order(NodeRevoked, name, reason)

    async def renew(self, name: NodeName, signing_request: bytes, write: Write[tuple[bytes, ...]]) -> tuple[bytes, ...]:
        """A child's new chain (DER, own certificate first, root left out), for the keys that it has.

        Where the certificate in force lasts as long as a new one would, the answer is that one under this node's own
        present chain. Raises NoSuchChild, NotAsInvited, WrongKeyProof, IllegalTransition or IssuerExpired.
        """
        [salt], now_ms = make_salts(self._randomness, 1), self._clock.now_ms()

        def unit(transaction: Transaction) -> tuple[bytes, ...]:
            standing = self._child(transaction, name)
            if standing.status != "active":
                raise IllegalTransition(name, f"a renewal does not follow '{standing.status}'")
            same_keys(signing_request, standing)
            held = newest_certificate(standing)
            fresh = self._identity.issue_certificate(
                name, standing.key, standing.description.kind, signing_request, now_ms
            )
            own = self._identity.chain[0] if self._identity.chain else self._identity.root_certificate
            if is_issued_by(held, own) and not _is_worth_it(held, fresh):
                return (held, *self._identity.chain)
            certificate = base64.b64encode(fresh).decode()
            record_admission(transaction, self._entry(NodeRenewed, name, salt, now_ms, certificate=certificate))
            return (fresh, *self._identity.chain)

        return await write(unit)

    async def describe(self, name: NodeName, description: NodeDescription, write: Write[Standing]) -> Standing:
        """Record what a child says of itself, if it is anything new; level and kind stay as admitted.

        Raises NoSuchChild, NotTheirs or IllegalTransition.
        """
        [salt], now_ms = make_salts(self._randomness, 1), self._clock.now_ms()

        def unit(transaction: Transaction) -> Standing:
            standing = self._child(transaction, name)
            if (description.level, description.kind) != (standing.description.level, standing.description.kind):
                raise NotTheirs(name, f"admitted as {standing.description.level} {standing.description.kind}")
            if description == standing.description:
                return standing
            entry = self._entry(NodeDescribed, name, salt, now_ms, description=description)
            return record_admission(transaction, entry)

        return await write(unit)

    async def _order(
        self, kind: type[NodeSuspended | NodeResumed | NodeRevoked], name: NodeName, reason: str
    ) -> Standing:
        told = reason.strip()
        if not 1 <= len(told) <= REASON_CHARS_MAX:
            raise ReasonMissing(name, f"{len(told)} characters")
        [salt], now_ms = make_salts(self._randomness, 1), self._clock.now_ms()

        def unit(transaction: Transaction) -> Standing:
            self._child(transaction, name)
            return record_admission(transaction, self._entry(kind, name, salt, now_ms, reason=told))

        return await self._store.write(unit)

    def _child(self, transaction: Transaction, name: NodeName) -> Standing:
        standing = transaction.standings.get(self._identity.name, name)
        if standing is None:
            raise NoSuchChild(name, f"not admitted by {self._identity.name}")
        return standing

    def _entry(
        self, kind: Callable[..., DirectoryEntry], name: NodeName, salt: str, at_ms: int, **said: object
    ) -> DirectoryEntry:
        return kind(authority=self._identity.name, name=name, at_ms=at_ms, salt=salt, **said)


def _is_worth_it(held: bytes, fresh: bytes) -> bool:
    held_ends_ms = read_authority(held).claims.not_after_ms
    tenth_ms = (held_ends_ms - issued_at_ms(held)) // 10
    return read_authority(fresh).claims.not_after_ms - held_ends_ms >= min(RENEWAL_GAIN_MS, tenth_ms)
