"""The parts of a node, each made when it is first needed: whom it knows, its logs, its catalogue, who is admitted.

What lives here: wiring of what stands by itself. What must not: who is answered, and what must arrive, which need all
of these (`assembly.py`); a decision; or anything that runs for ever (`runtime.py`).
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Final

from config.settings import Settings
from federation.certificate_profile import read_authority
from federation.certificates import ChainVerifier
from federation.keys import NodeKey
from federation.naming import NodeName, parent_of
from node.host.clock import SystemRandomness
from node.host.homes import Home
from node.host.identity import OwnIdentity
from node.index.folding import standard_analysis
from node.index.tantivy_index import TantivyIndex
from node.ports import Addresses, Clock, Randomness, Store
from node.rpc.enrolment_client import GrpcDoors
from node.rpc.links import Links
from node.rpc.peers import GrpcPeers
from node.rpc.refusals import Refusals
from node.rpc.transports import Dial
from node.usecases.accepting import Accepting
from node.usecases.acquainting import Acquainting
from node.usecases.admitting import Admitting
from node.usecases.answering import Answering
from node.usecases.attaching import Attaching
from node.usecases.dealings import Dealings
from node.usecases.enrolling import Enrolling
from node.usecases.following import Following
from node.usecases.forwarding import Forwarding, Pace
from node.usecases.indexing import Indexing
from node.usecases.joining import renew_expired
from node.usecases.meeting import Meeting
from node.usecases.moving import Moving
from node.usecases.proving import Proving
from node.usecases.resolving import Resolving
from node.usecases.searching import STATISTICS_NOTE, Searching
from node.usecases.titling import Titling
from node.usecases.vouching import Vouching

SOFTWARE_VERSION: Final = "0.1.0"
JOIN_TIMEOUT_S: Final = 30.0


class Parts:
    """What a node consists of, wired but still."""

    def __init__(self, *, home: Home, settings: Settings, identity: OwnIdentity, store: Store, clock: Clock) -> None:
        self.home, self.settings, self.identity = home, settings, identity
        self.store, self.clock = store, clock
        self.randomness: Randomness = SystemRandomness()
        self.name, self.root = identity.name, identity.root
        self.refusals = Refusals()
        self.addresses = Addresses(
            endpoint=settings.node.endpoint or settings.listen.grpc,
            enrolment_endpoint=settings.listen.enrolment_endpoint or settings.listen.enrolment,
        )
        self.open_door: Callable[[], Awaitable[None]] = _nobody_serves
        self.dial: Dial | None = None

    def key_of(self, origin: NodeName) -> NodeKey | None:
        """The node key that signs `origin`'s logs, where a directory held here, or our own chain, records it."""
        standing = self.vouching.standing_of(origin)
        return NodeKey.parse(standing.key) if standing else self.lineage_keys().get(origin)

    def lineage_keys(self) -> Mapping[NodeName, NodeKey]:
        shown = (*self.identity.chain, self.identity.root_certificate)
        return {one.name: NodeKey.parse(one.did) for one in (read_authority(der).claims for der in shown)}

    # --- what is known of others -------------------------------------------------------------------------------------

    @cached_property
    def chains(self) -> ChainVerifier:
        return ChainVerifier(self.identity.root_certificate)

    @cached_property
    def dealings(self) -> Dealings:
        return Dealings(self.clock)

    @cached_property
    def vouching(self) -> Vouching:
        return Vouching(store=self.store, clock=self.clock, own_name=self.name, root=self.root)

    @cached_property
    def peers(self) -> GrpcPeers:
        peers = GrpcPeers(
            identity=self.identity,
            material=self.identity,
            chains=self.chains,
            clock=self.clock,
            randomness=self.randomness,
            links=self.links,
            software_version=SOFTWARE_VERSION,
            dial=self.dial,
        )
        parent = parent_of(self.name, self.root)
        if parent is not None and self.settings.parent.endpoint:
            peers.know(parent, self.settings.parent.endpoint)
        return peers

    @cached_property
    def links(self) -> Links:
        return Links(self.clock, attached=self.dealings.succeeded)

    @cached_property
    def acquainting(self) -> Acquainting:
        return Acquainting(vouching=self.vouching, peers=self.peers, identity=self.identity, clock=self.clock)

    @cached_property
    def attaching(self) -> Attaching:
        return Attaching(
            peers=self.peers, clock=self.clock, randomness=self.randomness, own_name=self.name, root=self.root
        )

    @cached_property
    def meeting(self) -> Meeting:
        return Meeting(
            store=self.store,
            peers=self.peers,
            vouching=self.vouching,
            identity=self.identity,
            clock=self.clock,
            randomness=self.randomness,
            dealings=self.dealings,
            description=self.settings.node,
            software_version=SOFTWARE_VERSION,
            renew_expired=self._renew_expired,
            statistics_note=STATISTICS_NOTE,
            statistics_every_s=self.settings.search.statistics_every_s,
        )

    async def _renew_expired(self) -> None:
        await renew_expired(
            self.identity,
            authority=parent_of(self.name, self.root),
            enrolment_endpoint=self.settings.parent.enrolment_endpoint,
            doors=GrpcDoors(),
            clock=self.clock,
            timeout_s=JOIN_TIMEOUT_S,
        )

    # --- logs --------------------------------------------------------------------------------------------------------

    @cached_property
    def accepting(self) -> Accepting:
        return Accepting(store=self.store, clock=self.clock, identity=self.identity, lineage_keys=self.lineage_keys)

    @cached_property
    def answering(self) -> Answering:
        return Answering(
            store=self.store, clock=self.clock, own_name=self.name, root=self.root, indexed=self.index.positions
        )

    @cached_property
    def forwarding(self) -> Forwarding:
        sync = self.settings.sync
        return Forwarding(
            store=self.store,
            peers=self.peers,
            clock=self.clock,
            randomness=self.randomness,
            dealings=self.dealings,
            own_name=self.name,
            root=self.root,
            pace=Pace(
                confirm_own_s=sync.confirm_own_every_s,
                confirm_copies_s=sync.confirm_copies_every_s,
                retry_first_s=sync.retry_first_s,
                retry_longest_s=sync.retry_longest_s,
                call_timeout_s=sync.call_timeout_s,
            ),
        )

    @cached_property
    def following(self) -> Following:
        sync = self.settings.sync
        return Following(
            store=self.store,
            peers=self.peers,
            accepting=self.accepting,
            clock=self.clock,
            randomness=self.randomness,
            dealings=self.dealings,
            own_name=self.name,
            root=self.root,
            confirm_every_s=sync.directory_every_s,
            retry_first_s=sync.retry_first_s,
            retry_longest_s=sync.retry_longest_s,
            call_timeout_s=sync.call_timeout_s,
        )

    @cached_property
    def proving(self) -> Proving:
        return Proving(store=self.store, own_name=self.name, key_of=self.key_of, indexed=self.index.positions)

    # --- catalogue ---------------------------------------------------------------------------------------------------

    @cached_property
    def index(self) -> TantivyIndex:
        return TantivyIndex(
            self.home.index,
            analysis=standard_analysis(),
            own_name=self.name,
            root=self.root,
            writer_bytes=self.settings.search.index_writer_megabytes * 1_000_000,
            on_damage=lambda: self.indexing.wake(),  # noqa: PLW0108  # indexing is put together after the index
        )

    @cached_property
    def indexing(self) -> Indexing:
        return Indexing(store=self.store, index=self.index, clock=self.clock, is_current=self.vouching.is_current)

    @cached_property
    def searching(self) -> Searching:
        search = self.settings.search
        return Searching(
            index=self.index,
            store=self.store,
            peers=self.peers,
            vouching=self.vouching,
            clock=self.clock,
            dealings=self.dealings,
            own_name=self.name,
            root=self.root,
            timeout_s=search.timeout_s,
            hop_margin_s=search.hop_margin_s,
            siblings_asked_max=search.siblings_asked_max,
        )

    # --- admission ---------------------------------------------------------------------------------------------------

    @cached_property
    def admitting(self) -> Admitting:
        return Admitting(store=self.store, identity=self.identity, clock=self.clock, randomness=self.randomness)

    @cached_property
    def enrolling(self) -> Enrolling:
        return Enrolling(
            store=self.store,
            identity=self.identity,
            clock=self.clock,
            randomness=self.randomness,
            endpoint=lambda: self.addresses.endpoint,
            enrolment_endpoint=lambda: self.addresses.enrolment_endpoint,
        )

    @cached_property
    def resolving(self) -> Resolving:
        return Resolving(
            vouching=self.vouching,
            peers=self.peers,
            identity=self.identity,
            clock=self.clock,
            unknown_per_minute=self.settings.limits.unknown_names_per_minute,
        )

    @cached_property
    def titling(self) -> Titling:
        return Titling(vouching=self.vouching, resolve=self.resolving.resolve, identity=self.identity, clock=self.clock)

    @cached_property
    def moving(self) -> Moving:
        return Moving(
            store=self.store,
            identity=self.identity,
            clock=self.clock,
            randomness=self.randomness,
            resolve=self.resolving.resolve,
        )


async def _nobody_serves() -> None:
    """The home is open in a command line's process only: the next start of the node opens its door."""
