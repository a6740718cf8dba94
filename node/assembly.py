"""The composition root: the one module that knows every adapter and every use case.

What lives here: wiring. What must not: a decision, files of a home (`opening.py`), or anything that runs for ever
(`runtime.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property

import msgspec

from config.settings import public_address
from node.bank import Bank
from node.bank_parts import Knowing
from node.desk import CreditSheet
from node.formats.qr_codes import qr_code
from node.host.homes import last_backup_ms
from node.host.kept_files import KeptFiles
from node.host.passwords import ArgonPasswords
from node.host.pictures import Pictures
from node.inbound import InboundCatalogue, InboundCredits, InboundDirectory, InboundLogs, InboundPost
from node.intake.uploads import read_upload
from node.parts import SOFTWARE_VERSION, Parts
from node.ports import Receives, Settles
from node.ports.people import Provider
from node.reception import Reception
from node.rpc.credit_calls import CreditCalls
from node.rpc.relay_service import Relays
from node.usecases.accepting import FORK_KIND
from node.usecases.clearing import Clearing
from node.usecases.continuing import ContinuingHome, continue_logs, recall_logs
from node.usecases.filing import MEGABYTE, FileLimits, Filing
from node.usecases.founding import open_own_logs
from node.usecases.handing_over import HandingOver
from node.usecases.identifying import Identifying
from node.usecases.importing import Importing
from node.usecases.inspecting import Inspecting
from node.usecases.linking import Linking
from node.usecases.meeting import LINEAGE_NOTE
from node.usecases.moving import take_up_name
from node.usecases.noting import Noting
from node.usecases.posting import Posting
from node.usecases.publishing import Publishing
from node.usecases.receiving import Receiving
from node.usecases.searching import STATISTICS_NOTE
from node.usecases.second_factor import SecondFactor
from node.usecases.signing_in import SigningIn
from node.usecases.staffing import Staffing
from node.usecases.tallying import Tallying
from node.usecases.telling import Telling
from node.usecases.uploading import Uploading


class Node(Parts):
    """One node, wired but still: nothing runs, nobody is listened to."""

    async def recall(self, home: ContinuingHome) -> None:
        """What comes before a node serves or says anything, whatever its last stop left undone; raises as its steps."""
        store, clock = self.store, self.clock
        await continue_logs(store, home=home, peers=self.peers, identity=self.identity, clock=clock)
        if home.is_restored():
            await self._recall_restored(home)
        await open_own_logs(store, self.name)
        await self.vouching.load()
        forgotten = (LINEAGE_NOTE, STATISTICS_NOTE)
        await take_up_name(store, name=self.name, forgotten=forgotten, clock=clock, randomness=self.randomness)
        await self.meeting.recall()

    async def _recall_restored(self, home: ContinuingHome) -> None:
        """Children are asked at the addresses that the backup knows."""
        await self.vouching.load()
        self.meeting.know_siblings()
        children = [one.name for one in self.vouching.children() if one.status == "active"]
        await recall_logs(
            self.store,
            home=home,
            peers=self.peers,
            identity=self.identity,
            clock=self.clock,
            children=[name for name in children if self.peers.can_dial(name)],
        )

    @cached_property
    def relays(self) -> Relays:
        return Relays(
            identity=self.identity,
            chains=self.chains,
            clock=self.clock,
            links=self.links,
            pass_on=self.peers.pass_on,
            limit=self.settings.limits.calls,
            meet=self.acquainting.meet,
            missed=self.telling.missed,
            is_child=lambda name: self.vouching.standing_of(name) is not None,
        )

    @cached_property
    def receives(self) -> dict[str, Receives]:
        """What is done with the items of other nodes, by kind."""
        return {FORK_KIND: self.accepting.receive_fork, **self.bank.receives()}

    @cached_property
    def settles(self) -> dict[str, Settles]:
        """What follows on what became of an own item, by kind."""
        return {FORK_KIND: self.accepting.settle_fork, **self.bank.settles()}

    @cached_property
    def posting(self) -> Posting:
        return Posting(
            store=self.store,
            peers=self.peers,
            vouching=self.vouching,
            clock=self.clock,
            randomness=self.randomness,
            dealings=self.dealings,
            identity=self.identity,
            settles=self.settles,
            to_self=self.receiving.deliver,
        )

    @cached_property
    def telling(self) -> Telling:
        return Telling(peers=self.peers)

    @cached_property
    def receiving(self) -> Receiving:
        return Receiving(store=self.store, clock=self.clock, receives=self.receives)

    @cached_property
    def inbound_post(self) -> InboundPost:
        return InboundPost(receiving=self.receiving, heard_from=self.posting.heard_from)

    # --- credits -----------------------------------------------------------------------------------------------------

    @cached_property
    def bank(self) -> Bank:
        return Bank(
            store=self.store,
            identity=self.identity,
            clock=self.clock,
            randomness=self.randomness,
            settings=self.settings,
            peers=self.credit_calls,
            keys_of=self.identifying.keys_of,
            knowing=Knowing(resolve=self.resolving.resolve, signatory=self.identifying.signatory),
            waits=lambda: self.posting,
        )

    @cached_property
    def credit_calls(self) -> CreditCalls:
        return CreditCalls(self.peers)

    @cached_property
    def identifying(self) -> Identifying:
        return Identifying(
            vouching=self.vouching,
            peers=self.peers,
            identity=self.identity,
            chains=self.chains,
            clock=self.clock,
            lineage_keys=self.lineage_keys,
        )

    @cached_property
    def inbound_credits(self) -> InboundCredits:
        bank = self.bank
        return InboundCredits(
            converting=bank.converting,
            listing=bank.listing,
            ruling=bank.ruling,
            presenting=bank.presenting,
            bundling=bank.bundling,
            reconciling=bank.reconciling,
        )

    # --- people at the pages -----------------------------------------------------------------------------------------

    @cached_property
    def noting(self) -> Noting:
        return Noting(store=self.store, clock=self.clock, randomness=self.randomness)

    @cached_property
    def _passwords(self) -> ArgonPasswords:
        return ArgonPasswords()

    @cached_property
    def signing_in(self) -> SigningIn:
        return SigningIn(
            store=self.store,
            clock=self.clock,
            randomness=self.randomness,
            passwords=self._passwords,
            noting=self.noting,
            session_hours=self.settings.portal.session_hours,
        )

    @cached_property
    def staffing(self) -> Staffing:
        return Staffing(
            store=self.store,
            clock=self.clock,
            randomness=self.randomness,
            passwords=self._passwords,
            noting=self.noting,
        )

    @cached_property
    def second(self) -> SecondFactor:
        return SecondFactor(
            store=self.store,
            clock=self.clock,
            randomness=self.randomness,
            passwords=self._passwords,
            noting=self.noting,
            spend=self.signing_in.spend,
            is_required=self.settings.portal.staff_totp,
        )

    @cached_property
    def linking(self) -> Linking:
        return Linking(store=self.store, noting=self.noting)

    @cached_property
    def provider(self) -> Provider | None:
        told = self.settings.portal
        if told.oidc_issuer is None:
            return None
        from node.host.providers import OidcProvider  # noqa: PLC0415  # an HTTP client, for a node that has one

        return OidcProvider(
            issuer=told.oidc_issuer,
            title=told.oidc_title,
            client=told.oidc_client,
            secret=told.oidc_secret,
            clock=self.clock,
        )

    @cached_property
    def filing(self) -> Filing:
        told = self.settings.portal
        return Filing(
            store=self.store,
            clock=self.clock,
            noting=self.noting,
            folder=KeptFiles(self.home.files),
            limits=FileLimits(
                file_bytes=told.file_mb * MEGABYTE,
                total_bytes=told.files_total_mb * MEGABYTE,
                per_day=told.files_per_day,
            ),
        )

    @cached_property
    def draw_qr(self) -> Callable[[str], str]:
        return lambda content: qr_code(content, "svg").decode()

    @cached_property
    def codes_in(self) -> Callable[[Callable[[int], Awaitable[bytes]]], Awaitable[tuple[str, ...]]]:
        return Pictures().codes_in

    @cached_property
    def uploading(self) -> Uploading:
        return Uploading(
            store=self.store,
            clock=self.clock,
            randomness=self.randomness,
            noting=self.noting,
            alone_max=self.settings.portal.second_person_rows,
        )

    @cached_property
    def handing_over(self) -> HandingOver:
        return HandingOver(store=self.store, clock=self.clock, randomness=self.randomness, noting=self.noting)

    @cached_property
    def read_sheet(self) -> Callable[[bytes, str], Awaitable[CreditSheet]]:
        """Sheets are read one at a time, off the event loop: two that unfold far would take the memory of two."""
        one = asyncio.Lock()

        async def read(content: bytes, name: str) -> CreditSheet:
            async with one:
                return await asyncio.to_thread(read_upload, content, name)

        return read

    # --- who is answered ---------------------------------------------------------------------------------------------

    @cached_property
    def inspecting(self) -> Inspecting:
        return Inspecting(
            store=self.store,
            vouching=self.vouching,
            dealings=self.dealings,
            logs=self.proving.logs,
            identity=self.identity,
            clock=self.clock,
            description=self.settings.node,
            searchable=self.index.count,
            endpoint_of=self.peers.endpoint_of,
            waiting=self.forwarding.waiting,
            refused=lambda: self.refusals,
            trouble=lambda: self.indexing.trouble,
            backed_up_at_ms=lambda: last_backup_ms(self.home),
            files=lambda: self.filing.findings(has_address=bool(public_address(self.settings.portal))),
            software_version=SOFTWARE_VERSION,
            limits=msgspec.to_builtins(self.settings.limits),
        )

    @cached_property
    def tallying(self) -> Tallying:
        return Tallying(store=self.store, clock=self.clock, own_name=self.name, root=self.root)

    @cached_property
    def desk(self) -> Reception:
        return Reception(
            own_name=self.name,
            inspecting=self.inspecting,
            enrolling=self.enrolling,
            admitting=self.admitting,
            moving=self.moving,
            importing=Importing(store=self.store, clock=self.clock, own_name=self.name, root=self.root),
            publishing=Publishing(
                store=self.store, clock=self.clock, randomness=self.randomness, own_name=self.name, root=self.root
            ),
            searching=self.searching,
            proving=self.proving,
            peers=self.peers,
            meeting=self.meeting,
            following=self.following,
            forwarding=self.forwarding,
            clearing=Clearing(store=self.store, clock=self.clock, settles=self.settles, hurry=self.posting.hurry),
            open_door=lambda: self.open_door(),  # noqa: PLW0108  # the door is set when the node is served
            searched=self.tallying.searched,
            additional={
                **self.bank.doing(),
                "node.days": self.tallying.days,
                "person.invite": self.staffing.add,
                "person.link": self.staffing.link,
                "person.list": self.staffing.list_persons,
            },
        )

    @cached_property
    def inbound_directory(self) -> InboundDirectory:
        return InboundDirectory(resolving=self.resolving, admitting=self.admitting, moving=self.moving)

    @cached_property
    def inbound_logs(self) -> InboundLogs:
        return InboundLogs(accepting=self.accepting, answering=self.answering, dealings=self.dealings)

    @cached_property
    def inbound_catalogue(self) -> InboundCatalogue:
        return InboundCatalogue(
            searching=self.searching,
            index=self.index,
            clock=self.clock,
            statistics_every_s=self.settings.search.statistics_every_s,
            worth=self.index.count,
        )
