"""What the credit bank 学分银行 of one node consists of; each use case is made once needed.

What lives here: wiring. What must not: which operation or item is whose (`bank.py`), a decision, or what is
not of the credit bank (`parts.py`).
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from config.settings import Settings
from federation.keys import NodeKey
from federation.naming import NodeName
from node import desk
from node.formats import wallets
from node.formats.exports import Exports
from node.ports import Clock, CreditPeers, Identity, Randomness, Resolved, ShownProof, Store
from node.usecases.amending import Amending
from node.usecases.auditing import Auditing
from node.usecases.bundling import Bundling
from node.usecases.consenting import Consenting
from node.usecases.converting import Converting
from node.usecases.crediting import Crediting
from node.usecases.declaring import Declaring
from node.usecases.defining import Defining
from node.usecases.erasing import Erasing
from node.usecases.exporting import Exporting
from node.usecases.homing import Homing
from node.usecases.identifying import Signatory
from node.usecases.issuing import Issuing
from node.usecases.ledgering import Ledgering
from node.usecases.lending import Lending
from node.usecases.listing import Listing
from node.usecases.presenting import Presenting
from node.usecases.reconciling import Reconciling
from node.usecases.regaining import Regaining
from node.usecases.registering import Registering
from node.usecases.relocating import Relocating
from node.usecases.rendering import Rendering
from node.usecases.reporting import Reporting
from node.usecases.requesting import Requesting, Waits
from node.usecases.reviewing import Reviewing
from node.usecases.ruling import Ruling
from node.usecases.showing import Showing
from node.usecases.verifying import Sources, Verifying
from node.usecases.welcoming import Welcoming

ASK_TIMEOUT_S: Final = 8.0
KeysOf = Callable[[NodeName], Awaitable[Sequence[NodeKey]]]
Loop = Callable[[], Coroutine[Any, Any, None]]


class Knowing(msgspec.Struct, frozen=True, kw_only=True):
    """Who a node is, with its chain, and how it stood at a moment."""

    resolve: Callable[[NodeName, NodeName, int], Awaitable[Resolved]]
    signatory: Callable[[NodeName, int], Awaitable[Signatory]]


class BankParts:
    """Wired but still, like the node it is a part of: each part is made when it is first needed."""

    def __init__(
        self,
        *,
        store: Store,
        identity: Identity,
        clock: Clock,
        randomness: Randomness,
        settings: Settings,
        peers: CreditPeers,
        keys_of: KeysOf,
        knowing: Knowing,
        waits: Callable[[], Waits],
    ) -> None:
        """`waits`: who knows when an item that was posted has its outcome; asked for late, since it asks this bank."""
        self._store = store
        self._identity = identity
        self._clock = clock
        self._randomness = randomness
        self._settings = settings
        self._peers = peers
        self._keys_of = keys_of
        self._knowing = knowing
        self._waits = waits

    # --- learners ----------------------------------------------------------------------------------------------------

    @cached_property
    def registering(self) -> Registering:
        return Registering(store=self._store, clock=self._clock, randomness=self._randomness)

    @cached_property
    def showing(self) -> Showing:
        return Showing(store=self._store, clock=self._clock, own_name=self._identity.name)

    @cached_property
    def declaring(self) -> Declaring:
        return Declaring(store=self._store, clock=self._clock, randomness=self._randomness)

    @cached_property
    def consenting(self) -> Consenting:
        return Consenting(store=self._store, clock=self._clock, randomness=self._randomness)

    @cached_property
    def exporting(self) -> Exporting:
        return Exporting(store=self._store, clock=self._clock, formats=(self._exports.account_files,))

    @cached_property
    def erasing(self) -> Erasing:
        return Erasing(store=self._store, clock=self._clock, kept_years=self._settings.learners.records_kept_years)

    async def _register(self, asked: desk.RegisterAsked) -> desk.LearnerShown:
        return await self.showing.show(await self.registering.register(asked))

    async def _change(self, asked: desk.ChangeAsked) -> desk.LearnerShown:
        return await self.showing.show(await self.registering.change(asked))

    # --- records -----------------------------------------------------------------------------------------------------

    @cached_property
    def _ledgering(self) -> Ledgering:
        return Ledgering(own_name=self._identity.name, randomness=self._randomness)

    @cached_property
    def _issuing(self) -> Issuing:
        return Issuing(
            identity=self._identity,
            clock=self._clock,
            randomness=self._randomness,
            ledgering=self._ledgering,
            title=self._settings.node.title,
        )

    @cached_property
    def defining(self) -> Defining:
        return Defining(
            store=self._store,
            clock=self._clock,
            randomness=self._randomness,
            identity=self._identity,
            title=self._settings.node.title,
        )

    @cached_property
    def crediting(self) -> Crediting:
        return Crediting(store=self._store, clock=self._clock, identity=self._identity, issuing=self._issuing)

    @cached_property
    def amending(self) -> Amending:
        return Amending(
            store=self._store,
            clock=self._clock,
            own_name=self._identity.name,
            ledgering=self._ledgering,
            issuing=self._issuing,
            homing=self._homing,
        )

    @cached_property
    def listing(self) -> Listing:
        return Listing(
            store=self._store, clock=self._clock, identity=self._identity, peers=self._peers, keys_of=self._keys_of
        )

    # --- showing and verifying ---------------------------------------------------------------------------------------

    @cached_property
    def _exports(self) -> Exports:
        return Exports(
            name=self._identity.name,
            title=self._settings.node.title,
            signer=self._identity,
            random=self._randomness.token,
        )

    @cached_property
    def presenting(self) -> Presenting:
        return Presenting(
            store=self._store, clock=self._clock, randomness=self._randomness, own_name=self._identity.name
        )

    @cached_property
    def bundling(self) -> Bundling:
        return Bundling(
            store=self._store,
            clock=self._clock,
            identity=self._identity,
            resolve=self._knowing.resolve,
            fetch=self.listing.fetch,
            ask=lambda node, index, leaf: self._peers.inclusion(node, index, leaf, timeout_s=ASK_TIMEOUT_S),
        )

    @cached_property
    def rendering(self) -> Rendering:
        return Rendering(
            store=self._store,
            clock=self._clock,
            identity=self._identity,
            writers=self._exports.writers(),
            bundle=self.bundling.bundle,
            proof_of=self.presenting.records_of,
        )

    @cached_property
    def verifying(self) -> Verifying:
        return Verifying(
            store=self._store,
            clock=self._clock,
            identity=self._identity,
            sources=Sources(
                signatory=self._knowing.signatory,
                keys_of=self._keys_of,
                fetch=self.listing.fetch,
                inclusion=self.bundling.inclusion,
                proof=self._look,
            ),
            rdf=wallets.installed_canonicaliser,
        )

    async def _look(self, node: NodeName, code: str) -> ShownProof:
        if node == self._identity.name:
            return await self.presenting.look(node, code)
        return await self._peers.proof(node, code, timeout_s=ASK_TIMEOUT_S)

    async def _prove(self, asked: desk.ProofAsked) -> desk.ProofMade:
        proof = await self.presenting.prove(asked)
        told = desk.ProofMade(until_ms=proof.consent.expires_at_ms, zh=proof.consent.zh, en=proof.consent.en)
        if not proof.code:
            return told
        return msgspec.structs.replace(
            told,
            code=proof.code,
            where=self._exports.where(proof.code),
            consent=proof.consent.id,
            qr=self._exports.qr(proof.code),
        )

    # --- rules and conversions ---------------------------------------------------------------------------------------

    @cached_property
    def ruling(self) -> Ruling:
        return Ruling(
            store=self._store,
            clock=self._clock,
            randomness=self._randomness,
            own_name=self._identity.name,
            root=self._identity.root,
            peers=self._peers,
        )

    @cached_property
    def lending(self) -> Lending:
        return Lending(
            store=self._store,
            clock=self._clock,
            identity=self._identity,
            ledgering=self._ledgering,
            keys_of=self._keys_of,
        )

    @cached_property
    def converting(self) -> Converting:
        return Converting(
            store=self._store,
            clock=self._clock,
            own_name=self._identity.name,
            issuing=self._issuing,
            keys_of=self._keys_of,
        )

    @cached_property
    def reviewing(self) -> Reviewing:
        return Reviewing(store=self._store, clock=self._clock, own_name=self._identity.name, deciding=self.converting)

    @cached_property
    def requesting(self) -> Requesting:
        return Requesting(
            store=self._store,
            clock=self._clock,
            randomness=self._randomness,
            identity=self._identity,
            keys_of=self._keys_of,
            preview_at=self._preview_at,
            waits=self._waits,
            homing=self._homing,
        )

    # --- moving home -------------------------------------------------------------------------------------------------

    @cached_property
    def _homing(self) -> Homing:
        return Homing(identity=self._identity, clock=self._clock)

    @cached_property
    def relocating(self) -> Relocating:
        return Relocating(
            store=self._store,
            clock=self._clock,
            identity=self._identity,
            homing=self._homing,
            keys_of=self._keys_of,
            waits=self._waits,
        )

    @cached_property
    def welcoming(self) -> Welcoming:
        return Welcoming(
            store=self._store,
            clock=self._clock,
            randomness=self._randomness,
            identity=self._identity,
            homing=self._homing,
            keys_of=self._keys_of,
        )

    async def _preview_at(self, to: NodeName, document: bytes, timeout_s: float) -> bytes:
        """A call, but for what this node converts itself."""
        if to == self._identity.name:
            return await self.converting.preview(to, document)
        return await self._peers.preview(to, document, timeout_s=timeout_s)

    # --- the ledger --------------------------------------------------------------------------------------------------

    @cached_property
    def auditing(self) -> Auditing:
        return Auditing(store=self._store, clock=self._clock, own_name=self._identity.name, keys_of=self._keys_of)

    @cached_property
    def reporting(self) -> Reporting:
        return Reporting(store=self._store, clock=self._clock, own_name=self._identity.name, root=self._identity.root)

    @cached_property
    def reconciling(self) -> Reconciling:
        return Reconciling(
            store=self._store,
            clock=self._clock,
            own_name=self._identity.name,
            peers=self._peers,
            take_receipts=self.regaining.take,
        )

    @cached_property
    def regaining(self) -> Regaining:
        return Regaining(
            store=self._store, own_name=self._identity.name, ledgering=self._ledgering, keys_of=self._keys_of
        )
