"""Invite, join, suspend, resume, revoke, renew, describe: what is recorded, and that it is recorded whole."""

import base64

import msgspec
import pytest

from federation import admission
from federation.canonical import decode
from federation.catalogue import BilingualLine
from federation.certificate_profile import read_authority
from federation.certificates import CertificateExpired, verify_node_chain
from federation.checkpoints import open_checkpoint
from federation.directory import DirectoryEntry, IllegalTransition, NodeDescription, replay
from federation.errors import PeerUnreachable, UntrustedPeer
from federation.invites import read_invite
from federation.issuance import DAY_MS, IssuerExpired, make_signing_request
from federation.keys import NodeKey
from federation.logs import LogId
from federation.naming import MalformedName, NodeName
from node.host.homes import Home
from node.host.key_files import FileHome, HomeOccupied, open_identity
from node.usecases import enrolling
from node.usecases.admitting import Admitting, NoSuchChild, NotTheirs, ReasonMissing
from node.usecases.enrolling import Enrolling
from node.usecases.founding import open_own_logs
from node.usecases.joining import Joined, join, renew_expired
from tests.support.identities import MemoryHome, identity_of, new_keys
from tests.support.machine import CountedRandomness, HandClock
from tests.support.memory_store import MemoryStore, directory_of
from tests.support.small_network import Member, found, new_ca_key

NOW = 1_800_000_000_000
COUNTY = NodeDescription(title=BilingualLine(zh="嘉善县"), level="county", kind="authority", division_code="330421")
SCHOOL = NodeDescription(title=BilingualLine(zh="西塘学校"), level="school", kind="school")


class Authority:
    """One authority with everything it needs, and doors that lead straight into it."""

    def __init__(self, member=None, clock=None, **changes):
        self.clock = clock or HandClock(NOW)
        self.member = member or found(now_ms=NOW)
        self.identity = identity_of(self.member, self.clock, **changes)
        self.store = MemoryStore(self.identity, self.clock.now_ms)
        parts = {"store": self.store, "identity": self.identity, "clock": self.clock}
        self.randomness = CountedRandomness(b"authority")
        self.enrolling = Enrolling(
            **parts,
            randomness=self.randomness,
            endpoint=lambda: "hub.example:7443",
            enrolment_endpoint=lambda: "hub.example:7444",
        )
        self.admitting = Admitting(**parts, randomness=self.randomness)
        self.lost_answers = 0

    @property
    def name(self):
        return self.identity.name

    async def join(self, door, request, *, timeout_s):
        assert timeout_s > 0
        assert (door.endpoint, door.authority) == ("hub.example:7444", self.name)
        answer = await self.enrolling.accept_join(request)
        if self.lost_answers:
            self.lost_answers -= 1
            raise PeerUnreachable("hub", "the answer was lost")
        return answer

    async def renew_expired(self, door, request, *, timeout_s):
        assert timeout_s > 0
        assert door.authority == self.name
        return await self.enrolling.renew_expired(request)

    async def entries(self):
        documents = await self.store.read(lambda tx: directory_of(tx, self.name))
        return [decode(document, DirectoryEntry, bytes_max=65_536) for document in documents]

    async def standing(self, name):
        return await self.store.read(lambda tx: tx.standings.get(self.name, name))

    async def invite_state(self, invite_id):
        return await self.store.read(lambda tx: tx.invites.get(invite_id))

    async def check_all_agree(self):
        """Replaying the log gives the standings, and the log's checkpoint is signed."""
        entries = await self.entries()
        standings = {one.name: one for one in await self.admitting.children()}
        assert replay(entries) == standings
        log = LogId(origin=self.name, topic="directory")
        stored = await self.store.read(lambda tx: tx.logs.get(log))
        size = 0
        if stored:
            size = open_checkpoint(stored.note, origin=log.origin_line, key=NodeKey.parse(self.identity.did)).size
        assert size == len(entries)
        assert len({entry.salt for entry in entries}) == len(entries)


@pytest.fixture
async def hub():
    made = Authority()
    yield made
    await made.check_all_agree()


async def joined(hub, label="jiashan", description=COUNTY, home=None, **changes) -> tuple[MemoryHome, Joined]:
    home = home or MemoryHome()
    invited = await hub.enrolling.invite(label, description)
    code = read_invite(invited.code)
    return home, await join(code, home=home, doors=hub, clock=hub.clock, timeout_s=1, **changes)


# --- invites ---------------------------------------------------------------------------------------------------------


async def test_an_invite_carries_what_was_asked_and_where_to_go(hub):
    invited = await hub.enrolling.invite(" Jiashan ", COUNTY, 3 * DAY_MS)
    code = read_invite(invited.code)
    assert (code.name, code.endpoint, code.description) == ("jiashan.lln.internal", "hub.example:7444", COUNTY)
    assert code.root_certificate == hub.identity.root_certificate
    assert code.expires_at_ms == NOW + 3 * DAY_MS
    assert [one.id for one in await hub.enrolling.invites()] == [code.id]


async def test_a_second_invite_for_a_name_cancels_the_first(hub):
    first, second = [await hub.enrolling.invite("jiashan", COUNTY) for _ in range(2)]
    assert (await hub.invite_state(first.invite.id)).state == "cancelled"
    assert (await hub.invite_state(first.invite.id)).secret == b""
    assert (await hub.invite_state(second.invite.id)).state == "open"


async def test_a_name_in_use_is_not_invited_until_it_is_revoked(hub):
    await joined(hub)
    name = NodeName("jiashan.lln.internal")
    with pytest.raises(enrolling.NameAlreadyAdmitted):
        await hub.enrolling.invite("jiashan", COUNTY)
    await hub.admitting.suspend(name, "inspection")
    with pytest.raises(enrolling.NameAlreadyAdmitted):
        await hub.enrolling.invite("jiashan", COUNTY)
    await hub.admitting.revoke(name, "merged")
    await hub.enrolling.invite("jiashan", COUNTY)


@pytest.mark.parametrize("label", ["", "a.b", "-a", "a" * 64, "中文", "a b"])
async def test_a_label_that_is_no_label_is_refused(hub, label):
    with pytest.raises(MalformedName):
        await hub.enrolling.invite(label, COUNTY)


async def test_an_invite_without_a_title_or_with_an_odd_life_is_refused(hub):
    nameless = msgspec.structs.replace(COUNTY, title=BilingualLine())
    for description, ttl_ms in ((nameless, DAY_MS), (COUNTY, 0), (COUNTY, 91 * DAY_MS)):
        with pytest.raises(enrolling.UnfitInvite):
            await hub.enrolling.invite("jiashan", description, ttl_ms)


async def test_leaf_institutions_and_the_seventh_level_invite_nobody():
    root = found(now_ms=NOW)
    with pytest.raises(enrolling.LeafMayNotInvite):
        await Authority(root.admit("nju", "university")).enrolling.invite("a", SCHOOL)
    deepest = root
    for level in range(1, 8):
        deepest = deepest.admit(f"level{level}")
        if level == 6:
            await Authority(deepest).enrolling.invite("a", COUNTY)
    with pytest.raises(enrolling.TooDeep):
        await Authority(deepest).enrolling.invite("a", SCHOOL)


async def test_a_cancelled_invite_admits_nobody(hub):
    invited = await hub.enrolling.invite("jiashan", COUNTY)
    await hub.enrolling.cancel_invite(invited.invite.id)
    with pytest.raises(admission.InviteCancelled):
        await join(read_invite(invited.code), home=MemoryHome(), doors=hub, clock=hub.clock, timeout_s=1)
    with pytest.raises(enrolling.InviteClosed):
        await hub.enrolling.cancel_invite(invited.invite.id)
    with pytest.raises(enrolling.NoSuchInvite):
        await hub.enrolling.cancel_invite("unknown")


# --- joining ---------------------------------------------------------------------------------------------------------


async def test_a_join_gives_a_chain_and_one_entry_and_a_standing(hub):
    home, told = await joined(hub)
    assert told.name == "jiashan.lln.internal"
    assert (told.parent, told.parent_endpoint, told.description) == ("lln.internal", "hub.example:7443", COUNTY)
    verified = verify_node_chain(home.trust[1], home.trust[0], NOW)
    assert (verified.name, verified.key.did) == (told.name, home.keys.did)
    [entry] = await hub.entries()
    assert (entry.key, base64.b64decode(entry.certificate)) == (home.keys.did, home.trust[1][0])
    standing = await hub.standing(told.name)
    assert (standing.status, standing.key) == ("active", home.keys.did)
    assert base64.urlsafe_b64decode(standing.sealing_key + "=") == home.keys.sealing_key
    [invite] = await hub.enrolling.invites()
    assert (invite.state, invite.secret) == ("used", b"")


def member_of(home: MemoryHome, name: str) -> Member:
    root_certificate, chain = home.trust
    keys = home.keys
    return Member(
        name=NodeName(name),
        root_certificate=root_certificate,
        chain=chain,
        now_ms=NOW,
        ca_key=keys.ca_key,
        node_key=keys.node_key,
    )


async def test_an_authority_that_has_joined_admits_its_own_children(hub):
    home, told = await joined(hub)
    county = Authority(member_of(home, told.name), hub.clock)
    school_home, told = await joined(county, "xitang", SCHOOL)
    assert told.name == "xitang.jiashan.lln.internal"
    assert verify_node_chain(school_home.trust[1], hub.identity.root_certificate, NOW).names[-1] == "lln.internal"
    with pytest.raises(enrolling.LeafMayNotInvite):
        await Authority(member_of(school_home, told.name)).enrolling.invite("a", SCHOOL)


async def test_the_newcomer_adds_to_the_description_but_does_not_rewrite_it(hub):
    own = msgspec.structs.replace(COUNTY, endpoint="jiashan.example:7443", level="national", contact="office@x")
    _, told = await joined(hub, description=COUNTY)
    assert told.description.endpoint is None
    invited = await hub.enrolling.invite("haining", COUNTY)
    told = await join(
        read_invite(invited.code), home=MemoryHome(), doors=hub, clock=hub.clock, timeout_s=1, description=own
    )
    assert (told.description.endpoint, told.description.level) == ("jiashan.example:7443", "county")


async def test_a_lost_answer_is_given_again_and_nothing_is_recorded_twice(hub):
    home = MemoryHome()
    invited = await hub.enrolling.invite("jiashan", COUNTY)
    code = read_invite(invited.code)
    hub.lost_answers = 2
    for _ in range(2):
        with pytest.raises(PeerUnreachable):
            await join(code, home=home, doors=hub, clock=hub.clock, timeout_s=1)
        assert home.trust is None
    hub.clock.move(days=8)  # the invite has expired meanwhile
    await join(code, home=home, doors=hub, clock=hub.clock, timeout_s=1)
    chain = home.trust[1]
    await join(code, home=home, doors=hub, clock=hub.clock, timeout_s=1)
    assert home.trust[1] == chain
    assert len(await hub.entries()) == 1


async def test_another_machine_with_a_used_invite_is_refused(hub):
    invited = await hub.enrolling.invite("jiashan", COUNTY)
    code = read_invite(invited.code)
    await join(code, home=MemoryHome(), doors=hub, clock=hub.clock, timeout_s=1)
    thief = MemoryHome()
    with pytest.raises(admission.InviteUsed):
        await join(code, home=thief, doors=hub, clock=hub.clock, timeout_s=1)
    assert thief.trust is None
    assert len(await hub.entries()) == 1


async def test_five_wrong_secrets_burn_the_invite_and_each_try_is_kept(hub):
    invited = await hub.enrolling.invite("jiashan", COUNTY)
    wrong = msgspec.structs.replace(read_invite(invited.code), secret=b"guess" + b"\x00" * 11)
    for left in (4, 3, 2, 1, 0):
        with pytest.raises(admission.WrongSecret):
            await join(wrong, home=MemoryHome(), doors=hub, clock=hub.clock, timeout_s=1)
        assert (await hub.invite_state(invited.invite.id)).tries_left == left
    for code in (wrong, read_invite(invited.code)):
        with pytest.raises(admission.InviteBurnt):
            await join(code, home=MemoryHome(), doors=hub, clock=hub.clock, timeout_s=1)
    assert (await hub.invite_state(invited.invite.id)).secret == b""
    assert await hub.entries() == []


async def test_a_replaced_machine_joins_under_the_old_name_with_new_keys(hub):
    old_home, told = await joined(hub)
    await hub.admitting.revoke(told.name, "the disk died")
    new_home, again = await joined(hub)
    assert again.name == told.name
    entry = (await hub.entries())[-1]
    assert (entry.key, entry.replaces_key) == (new_home.keys.did, old_home.keys.did)
    assert (await hub.standing(told.name)).certificates == (entry.certificate,)


async def test_a_used_invite_stops_answering_once_its_node_is_revoked(hub):
    invited = await hub.enrolling.invite("jiashan", COUNTY)
    home, code = MemoryHome(), read_invite(invited.code)
    told = await join(code, home=home, doors=hub, clock=hub.clock, timeout_s=1)
    await hub.admitting.revoke(told.name, "merged")
    with pytest.raises(admission.InviteUsed):
        await join(code, home=home, doors=hub, clock=hub.clock, timeout_s=1)


async def test_a_home_that_is_another_node_does_not_join(hub):
    home, _ = await joined(hub)
    invited = await hub.enrolling.invite("haining", COUNTY)
    with pytest.raises(HomeOccupied):
        await join(read_invite(invited.code), home=home, doors=hub, clock=hub.clock, timeout_s=1)


async def test_a_home_on_disk_joins_and_then_is_that_node_only(hub, tmp_path):
    files = Home(tmp_path / "node")
    home = FileHome(files)
    _, told = await joined(hub, home=home)
    identity = open_identity(files, clock=hub.clock, randomness=CountedRandomness())
    assert identity.name == told.name
    assert (await hub.standing(told.name)).key == identity.did
    invited = await hub.enrolling.invite("haining", COUNTY)
    with pytest.raises(HomeOccupied, match="jiashan"):
        await join(read_invite(invited.code), home=home, doors=hub, clock=hub.clock, timeout_s=1)
    await hub.admitting.revoke(told.name, "to be admitted anew")
    await joined(hub, home=home)  # the same machine under the same name, by a new invite
    renewed = open_identity(files, clock=hub.clock, randomness=CountedRandomness())
    assert (renewed.did, renewed.chain == identity.chain) == (identity.did, False)


class Swapping:
    """Doors behind which somebody answers with another chain."""

    def __init__(self, hub, swap):
        self._hub = hub
        self._swap = swap

    async def join(self, door, request, *, timeout_s):
        answer = await self._hub.join(door, request, timeout_s=timeout_s)
        return msgspec.structs.replace(answer, chain=self._swap(answer.chain))


@pytest.mark.parametrize(
    "swap",
    [
        lambda _hub, _chain: (),
        lambda hub, _chain: hub.member.admit("jiashan").chain,
        lambda hub, _chain: hub.member.admit("other").chain,
        lambda _hub, _chain: found(now_ms=NOW).admit("jiashan").chain,
        lambda _hub, chain: (*chain, *chain),
        lambda _hub, _chain: (b"nonsense",),
    ],
)
async def test_an_answer_that_is_not_for_us_is_not_kept(hub, swap):
    invited = await hub.enrolling.invite("jiashan", COUNTY)
    home = MemoryHome()
    doors = Swapping(hub, lambda chain: swap(hub, chain))
    with pytest.raises(UntrustedPeer):
        await join(read_invite(invited.code), home=home, doors=doors, clock=hub.clock, timeout_s=1)
    assert home.trust is None


async def test_a_unit_that_fails_in_the_middle_leaves_nothing(hub):
    invited = await hub.enrolling.invite("jiashan", COUNTY)
    hub.clock.move(days=30 * 365)  # the root itself has expired, so that issuing fails after every proof held
    far = msgspec.structs.replace(await hub.invite_state(invited.invite.id), expires_at_ms=hub.clock.at_ms + DAY_MS)
    await hub.store.write(lambda tx: tx.invites.put(far))
    with pytest.raises(IssuerExpired):
        await join(read_invite(invited.code), home=MemoryHome(), doors=hub, clock=hub.clock, timeout_s=1)
    assert (await hub.invite_state(invited.invite.id)) == far
    assert await hub.entries() == []


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_newcomer_whose_clock_is_an_hour_off_can_join(hub, hours):
    clock = HandClock(NOW)
    clock.move(hours=hours)
    invited = await hub.enrolling.invite("jiashan", COUNTY)
    told = await join(read_invite(invited.code), home=MemoryHome(), doors=hub, clock=clock, timeout_s=1)
    assert told.name == "jiashan.lln.internal"


# --- the enrolment port ----------------------------------------------------------------------------------------------


async def needed(hub):
    return await hub.enrolling.is_enrolment_port_needed(hub.clock.at_ms)


async def test_the_port_is_needed_while_an_invite_is_open(hub):
    assert not await needed(hub)
    invited = await hub.enrolling.invite("jiashan", COUNTY)
    assert await needed(hub)
    await hub.enrolling.cancel_invite(invited.invite.id)
    assert not await needed(hub)
    await hub.enrolling.invite("jiashan", COUNTY)
    hub.clock.move(days=7, ms=1)
    assert not await needed(hub)


async def test_the_port_stays_open_a_day_for_an_answer_that_was_lost(hub):
    await joined(hub)
    assert await needed(hub)
    hub.clock.move(days=1, ms=1)
    assert not await needed(hub)


async def test_the_port_opens_again_for_whoever_may_renew_late(hub):
    _, told = await joined(hub)
    hub.clock.move(days=365)
    assert not await needed(hub)
    hub.clock.move(ms=1_000)
    assert await needed(hub)
    hub.clock.move(days=180)
    assert not await needed(hub)
    hub.clock.move(days=-1)
    await hub.admitting.revoke(told.name, "gone")
    assert not await needed(hub)


# --- renewal ---------------------------------------------------------------------------------------------------------


async def test_a_child_renews_in_time_and_both_certificates_stand(hub):
    home, told = await joined(hub)
    identity = home.identity(hub.clock)
    hub.clock.move(days=244)
    chain = await hub.admitting.renew(told.name, identity.make_signing_request(), hub.store.write)
    await identity.adopt_chain(chain)
    assert read_authority(chain[0]).claims.not_after_ms == hub.clock.at_ms + 365 * DAY_MS
    standing = await hub.standing(told.name)
    assert [base64.b64decode(one) for one in standing.certificates] == [home.trust[1][0], chain[0]]


async def test_a_child_that_asks_again_and_again_does_not_fill_the_log(hub):
    home, told = await joined(hub)
    for _ in range(3):
        chain = await hub.admitting.renew(told.name, home.keys.make_signing_request(told.name), hub.store.write)
        assert chain == home.trust[1]
    assert len(await hub.entries()) == 1


async def test_short_lives_renew_too():
    hub = Authority(certificate_life_ms=60_000)
    home, told = await joined(hub)
    hub.clock.move(s=40)
    chain = await hub.admitting.renew(told.name, home.keys.make_signing_request(told.name), hub.store.write)
    assert chain != home.trust[1]


async def test_a_renewal_keeps_name_and_keys(hub):
    home, told = await joined(hub)
    hub.clock.move(days=300)
    with pytest.raises(admission.NotAsInvited):
        await hub.admitting.renew(told.name, make_signing_request(told.name, new_ca_key()), hub.store.write)
    with pytest.raises(admission.NotAsInvited):
        await hub.admitting.renew(
            told.name, home.keys.make_signing_request(NodeName("other.lln.internal")), hub.store.write
        )
    with pytest.raises(admission.WrongKeyProof):
        await hub.admitting.renew(told.name, b"nonsense", hub.store.write)
    await hub.admitting.suspend(told.name, "inspection")
    for days in (0, -300):  # where a new certificate would be issued, and where the old one would do
        hub.clock.move(days=days)
        with pytest.raises(IllegalTransition):
            await hub.admitting.renew(told.name, home.keys.make_signing_request(told.name), hub.store.write)


async def renew(hub, identity, clock=None):
    await renew_expired(
        identity,
        authority=hub.name,
        enrolment_endpoint="hub.example:7444",
        doors=hub,
        clock=clock or hub.clock,
        timeout_s=1,
    )


async def test_an_expired_child_renews_through_the_enrolment_port(hub):
    home, told = await joined(hub)
    identity = home.identity(hub.clock)
    hub.clock.move(days=400)
    with pytest.raises(CertificateExpired):
        verify_node_chain(identity.chain, identity.root_certificate, hub.clock.at_ms)
    await renew(hub, identity)
    assert verify_node_chain(identity.chain, identity.root_certificate, hub.clock.at_ms).name == told.name
    await renew(hub, identity)  # again, as after a lost answer: the same chain, no further entry
    assert len(await hub.entries()) == 2


async def test_a_revoked_child_and_one_with_a_wrong_clock_do_not(hub):
    home, told = await joined(hub)
    identity = home.identity(hub.clock)
    hub.clock.move(days=400)
    wrong = HandClock(hub.clock.at_ms)
    wrong.move(hours=1)
    with pytest.raises(admission.ClockTooFar):
        await renew(hub, identity, wrong)
    await hub.admitting.revoke(told.name, "gone")
    with pytest.raises(admission.NotRenewable):
        await renew(hub, identity)
    assert identity.chain == home.trust[1]


# --- standing orders -------------------------------------------------------------------------------------------------


async def test_suspend_resume_revoke_each_write_one_entry_with_its_reason(hub):
    _, told = await joined(hub)
    for order, status in (
        (hub.admitting.suspend, "suspended"),
        (hub.admitting.resume, "active"),
        (hub.admitting.revoke, "revoked"),
    ):
        standing = await order(told.name, f"  because {status} ")
        assert (standing.status, standing.reason) == (status, f"because {status}")
    assert len(await hub.entries()) == 4


async def test_orders_that_do_not_follow_are_refused_and_write_nothing(hub):
    _, told = await joined(hub)
    with pytest.raises(IllegalTransition):
        await hub.admitting.resume(told.name, "x")
    await hub.admitting.revoke(told.name, "x")
    for order in (hub.admitting.suspend, hub.admitting.resume, hub.admitting.revoke):
        with pytest.raises(IllegalTransition):
            await order(told.name, "x")
    assert len(await hub.entries()) == 2


async def test_orders_need_a_child_and_a_reason(hub):
    _, told = await joined(hub)
    with pytest.raises(NoSuchChild):
        await hub.admitting.suspend(NodeName("stranger.lln.internal"), "x")
    for reason in ("", "   ", "x" * 501):
        with pytest.raises(ReasonMissing):
            await hub.admitting.suspend(told.name, reason)


async def test_a_child_describes_itself_within_its_level_and_kind(hub):
    _, told = await joined(hub)
    moved = msgspec.structs.replace(COUNTY, endpoint="new.example:7443", title=BilingualLine(zh="嘉善县教育局"))
    assert (await hub.admitting.describe(told.name, moved, hub.store.write)).description == moved
    await hub.admitting.describe(told.name, moved, hub.store.write)
    assert len(await hub.entries()) == 2
    for changes in ({"level": "national"}, {"kind": "school"}):
        with pytest.raises(NotTheirs):
            await hub.admitting.describe(told.name, msgspec.structs.replace(moved, **changes), hub.store.write)


async def test_every_node_begins_with_empty_signed_logs(hub):
    await open_own_logs(hub.store, hub.name)
    await joined(hub)
    await open_own_logs(hub.store, hub.name)
    sizes = {str(log.log): log.head.size for log in await hub.store.read(lambda tx: tx.logs.all())}
    assert sizes == {"lln.internal/directory": 1, "lln.internal/catalogue": 0, "lln.internal/credits": 0}


def test_keys_made_for_tests_differ():
    assert new_keys().did != new_keys().did
