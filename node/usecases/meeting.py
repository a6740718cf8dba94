"""Meeting: hello to the parent, now and then, and what follows from it.

What lives here: learning the addresses of the lineage, telling the parent when this node's own description has changed,
renewing the node certificate in time, and, after an outage, asking again about whoever was admitted meanwhile. What
must not: logs (`forwarding.py`, `following.py`).
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final, cast

import msgspec

from federation import canonical
from federation.certificate_profile import read_authority, renewal_due_ms
from federation.directory import NodeDescription, Status
from federation.errors import LlnError, PeerRefused, UntrustedPeer
from federation.naming import NodeName, parent_of
from federation.sync import REFUSED_LONGEST_S, backoff_s
from node.ports import Clock, Identity, PeerHello, Peers, Randomness, Store
from node.usecases.dealings import Dealings
from node.usecases.vouching import Vouching

LINEAGE_NOTE: Final = "lineage"
HELLO_EVERY_S: Final = 600.0
CALL_TIMEOUT_S: Final = 10.0
RETRY_LONGEST_S: Final = 60.0
STATISTICS_TIMEOUT_S: Final = 30.0
SETTLED_AT_ONCE: Final = 20
RESOLVE_HOPS: Final = 8

Lineage = tuple[tuple[NodeName, str], ...]


class Meeting:
    def __init__(
        self,
        *,
        store: Store,
        peers: Peers,
        vouching: Vouching,
        identity: Identity,
        clock: Clock,
        randomness: Randomness,
        dealings: Dealings,
        description: NodeDescription,
        software_version: str,
        renew_expired: Callable[[], Awaitable[None]],
        statistics_note: str,
        statistics_every_s: float,
    ) -> None:
        """`renew_expired`: knocks at the parent's enrolment port, as a node must whose certificate has run out."""
        self._store = store
        self._peers = peers
        self._vouching = vouching
        self._identity = identity
        self._clock = clock
        self._randomness = randomness
        self._dealings = dealings
        self._description = description
        self._software_version = software_version
        self._renew_expired = renew_expired
        self._statistics_note = statistics_note
        self._statistics_every_ms = int(statistics_every_s * 1_000)
        self._statistics_at_ms = 0
        self._parent = parent_of(identity.name, identity.root)
        self._above: Lineage = ()

    async def recall(self) -> None:
        """Take up the addresses that were learnt before the last stop, and those of siblings from the directory."""
        noted = await self._store.read(lambda tx: tx.notes.get(LINEAGE_NOTE))
        if noted:
            self._learn(msgspec.json.decode(noted, type=Lineage))
        self.know_siblings()

    def know_siblings(self) -> None:
        for standing in (*self._vouching.siblings(), *self._vouching.children()):
            if standing.status == "active" and standing.description.endpoint:
                self._peers.know(standing.name, standing.description.endpoint)

    def hello(self) -> PeerHello:
        """What this node answers to a hello: its chain, and the way up from here."""
        own = (self._identity.name, self._description.endpoint or "")
        return PeerHello(
            name=self._identity.name,
            chain=self._identity.chain,
            software_version=self._software_version,
            clock_offset_ms=0,
            lineage=(own, *self._above),
        )

    async def run(self) -> None:
        """Say hello for ever; an outage is waited out."""
        if self._parent is None:
            return
        failures, longest_s = 0, RETRY_LONGEST_S
        while True:
            try:
                await self.meet(self._parent)
                failures = 0
            except LlnError as outage:
                failures += 1
                longest_s = REFUSED_LONGEST_S if isinstance(outage, PeerRefused) else RETRY_LONGEST_S
                self._dealings.failed(self._parent, outage)
                await self._vouching.keep_ledger()
            await self._clock.sleep(self._pause_s(failures, longest_s))

    async def find_parent(self, endpoint: str) -> NodeName | None:
        """The parent is dialled there from now on; raises as `meet` where it does not answer. None at the root."""
        if self._parent is not None:
            self._peers.know(self._parent, endpoint)
            await self.meet(self._parent)
        return self._parent

    async def meet(self, parent: NodeName) -> None:
        """One hello: addresses and clock are learnt, a changed description is told, a due renewal asked for."""
        if read_authority(self._identity.chain[0]).claims.not_after_ms <= self._clock.now_ms():
            await self._renew_expired()  # no TLS connection would be accepted from it
        met = await self._peers.hello(parent, timeout_s=CALL_TIMEOUT_S)
        self._dealings.succeeded(parent, clock_offset_ms=met.clock_offset_ms)
        if met.lineage != self._above:
            self._learn(met.lineage)
            await self._store.write(lambda tx: tx.notes.put(LINEAGE_NOTE, msgspec.json.encode(met.lineage)))
        await self._follow_chain(parent, met.chain)
        await self._describe(parent)
        await self._renew(parent)
        await self._settle(parent)
        await self._fetch_statistics(parent)

    async def _settle(self, parent: NodeName) -> None:
        """Ask about callers that only their certificates spoke for while this node was cut off."""
        statuses: dict[NodeName, Status] = {}
        for name in self._vouching.unsettled()[:SETTLED_AT_ONCE]:
            try:
                found = await self._peers.resolve(parent, name, RESOLVE_HOPS, timeout_s=CALL_TIMEOUT_S)
            except PeerRefused as refused:
                if not refused.retry_after_ms:  # nobody above knows it, so it is nobody
                    statuses[name] = "revoked"
            else:
                statuses[name] = cast("Status", found.status)  # one of them, or it would not have been read
        if statuses:
            self._vouching.settle(statuses)
            await self._vouching.keep_ledger()

    def _learn(self, lineage: Lineage) -> None:
        """Whoever the parent names above itself; its own address stays the configured one."""
        self._above = lineage
        for name, endpoint in lineage:
            if endpoint and name not in (self._parent, self._identity.name):
                self._peers.know(name, endpoint)

    async def _describe(self, parent: NodeName) -> None:
        standing = self._vouching.standing_of(self._identity.name)
        told = msgspec.structs.replace(self._description, software_version=self._software_version)
        if standing is None or standing.description == told:
            return
        operation = f"describe-{sha256(canonical.encode(told)).hexdigest()[:24]}-{standing.since_ms}"
        await self._peers.describe(parent, told, operation, timeout_s=CALL_TIMEOUT_S)

    async def _renew(self, parent: NodeName) -> None:
        due_ms = renewal_due_ms(self._identity.chain[0])
        if self._clock.now_ms() >= due_ms:
            await self._ask_renewal(parent)

    async def _follow_chain(self, parent: NodeName, chain: tuple[bytes, ...]) -> None:
        """The certificates above this node have changed: they are taken up, and where the parent has another key, since
        its machine was replaced, a certificate by that is asked for.
        """
        own = self._identity.chain
        if chain == own[1:]:
            return
        try:
            await self._identity.adopt_chain((own[0], *chain))
        except UntrustedPeer:
            await self._ask_renewal(parent)

    async def _ask_renewal(self, parent: NodeName) -> None:
        due_ms = renewal_due_ms(self._identity.chain[0])
        request = self._identity.make_signing_request()
        operation = f"renew-{due_ms}-{self._randomness.token(6).hex()}"
        chain = await self._peers.renew(parent, request, operation, timeout_s=CALL_TIMEOUT_S)
        await self._identity.adopt_chain(chain)

    async def _fetch_statistics(self, parent: NodeName) -> None:
        """Once a day; they serve when the parent is out of reach."""
        now_ms = self._clock.now_ms()
        if now_ms - self._statistics_at_ms < self._statistics_every_ms:
            return
        try:
            encoded, _ = await self._peers.statistics(parent, timeout_s=STATISTICS_TIMEOUT_S)
        except LlnError as missing:  # searches go on without; the next hello asks again
            self._dealings.failed(parent, missing)
            return
        await self._store.write(lambda tx: tx.notes.put(self._statistics_note, encoded))
        self._statistics_at_ms = now_ms

    def _pause_s(self, failures: int, longest_s: float) -> float:
        if not failures:
            return HELLO_EVERY_S * (0.9 + 0.2 * self._randomness.fraction())
        return backoff_s(failures, first_s=1.0, longest_s=longest_s, fraction=self._randomness.fraction())
