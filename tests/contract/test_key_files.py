"""A home on disk: what is kept, what a crash leaves, and what is refused with its remedy."""

import os
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from federation import issuance
from federation.certificate_profile import from_pem, read_authority, to_pem
from federation.certificates import CertificateExpired, OutsideLineage, verify_node_chain, verify_tls_chain
from federation.enrolment import sealing_statement
from federation.errors import BrokenHome, InvalidInput
from federation.issuance import DAY_MS, IssuerExpired, make_signing_request, read_signing_request
from federation.keys import NodeKey
from federation.naming import NodeName
from node.host import homes
from node.host.homes import Home, HomeUnwritable, write_whole
from node.host.identity import NotOurCertificate, OwnIdentity, RefusedCertificate
from node.host.key_files import (
    FileHome,
    HomeOccupied,
    KeyCorrupt,
    KeyExposed,
    KeyMissing,
    Trust,
    TrustCorrupt,
    TrustMissing,
    keep_trust,
    key_faults,
    load_keys,
    load_trust,
    make_missing_keys,
    open_identity,
)
from node.usecases.founding import found_network
from tests.support.machine import CountedRandomness, HandClock
from tests.support.small_network import Member, found, new_ca_key, serial

NOW = 1_800_000_000_000
ROOT = NodeName("lln.internal")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "一个 home")


@pytest.fixture
def clock():
    return HandClock(NOW)


def opened(home, clock) -> OwnIdentity:
    return open_identity(home, clock=clock, randomness=CountedRandomness())


def founded(home, clock):
    found_network(ROOT, home=FileHome(home), clock=clock, randomness=CountedRandomness(os.urandom(8)))
    return opened(home, clock)


def joined(home, clock, parent: Member, label="chongqing", kind="authority", **changes) -> OwnIdentity:
    """What a join leaves: keys of this home, certified by `parent`."""
    keys = make_missing_keys(home)
    name = NodeName(f"{label}.{parent.name}")
    keep_trust(
        home,
        Trust(
            root_certificate=parent.root_certificate,
            chain=(certified(keys, name, parent, kind, **changes), *parent.chain),
        ),
    )
    return opened(home, clock)


def certified(keys, name, parent: Member, kind="authority", **changes) -> bytes:
    given = {"issuer": parent.certificate, "ca_key": parent.ca_key, "serial": serial(), "now_ms": NOW} | changes
    return issuance.issue_node(
        read_signing_request(keys.make_signing_request(name)), keys.node_key.public, kind=kind, **given
    )


# --- founding and opening --------------------------------------------------------------------------------------------


def test_a_founded_home_opens_as_the_root(home, clock):
    identity = founded(home, clock)
    assert (identity.name, identity.root, identity.chain) == (ROOT, ROOT, ())
    assert verify_node_chain((), identity.root_certificate, NOW).key.did == identity.did
    assert home.is_enrolled


def test_founding_twice_finds_the_network_that_is_there(home, clock):
    first = found_network(ROOT, home=FileHome(home), clock=clock, randomness=CountedRandomness())
    again = found_network(ROOT, home=FileHome(home), clock=clock, randomness=CountedRandomness(b"other"))
    assert first.is_new
    assert not again.is_new
    assert first.root_certificate == again.root_certificate


def test_a_home_founds_one_network_only(home, clock, tmp_path):
    founded(home, clock)
    with pytest.raises(HomeOccupied, match="lln"):
        found_network(NodeName("other.internal"), home=FileHome(home), clock=clock, randomness=CountedRandomness())
    other = Home(tmp_path / "other")
    joined(other, clock, found(now_ms=NOW))
    with pytest.raises(HomeOccupied):
        found_network(ROOT, home=FileHome(other), clock=clock, randomness=CountedRandomness())


@pytest.mark.parametrize("survivors", range(1, 5))
def test_founding_goes_on_after_a_crash_at_any_point(home, clock, survivors):
    identity = founded(home, clock)
    steps = (home.ca_key, home.node_key, home.sealing_key, home.chain, home.root)
    for lost in steps[survivors:]:
        lost.unlink()
    again = founded(home, clock)
    assert home.is_enrolled
    assert (again.did == identity.did) == (survivors >= 2)
    assert key_faults(home) == []


def test_keys_are_private_and_so_is_their_folder(home, clock):
    founded(home, clock)
    for key in (home.ca_key, home.node_key, home.sealing_key):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert b"BEGIN PRIVATE KEY" in key.read_bytes()
    assert stat.S_IMODE(home.keys.stat().st_mode) == 0o700
    assert b"PRIVATE" not in home.root.read_bytes() + home.chain.read_bytes()


def test_modes_do_not_depend_on_the_umask(home, clock):
    before = os.umask(0)
    try:
        founded(home, clock)
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.ca_key.stat().st_mode) == 0o600
    assert opened(home, clock).name == ROOT


def test_what_is_signed_is_signed_by_the_node_key(home, clock):
    identity = founded(home, clock)
    assert NodeKey.parse(identity.did).verify(b"message", identity.sign(b"message"))
    keys = identity.keys
    assert keys.node_key.public.verify(
        sealing_statement(keys.sealing_key), keys.sign(sealing_statement(keys.sealing_key))
    )


# --- issuing ---------------------------------------------------------------------------------------------------------


def test_an_authority_certifies_its_direct_children_and_nobody_else(home, clock):
    identity = founded(home, clock)
    child = NodeName("nju.lln.internal")
    request = make_signing_request(child, new_ca_key())
    certificate = identity.issue_certificate(child, identity.did, "university", request, NOW)
    assert read_authority(certificate).claims.path_length == 0
    with pytest.raises(RefusedCertificate):
        identity.issue_certificate(NodeName("other.lln.internal"), identity.did, "university", request, NOW)
    grandchild = NodeName("a.nju.lln.internal")
    with pytest.raises(RefusedCertificate):
        identity.issue_certificate(
            grandchild, identity.did, "school", make_signing_request(grandchild, new_ca_key()), NOW
        )
    with pytest.raises(InvalidInput):
        identity.issue_certificate(child, identity.did, "school", b"nonsense", NOW)
    with pytest.raises(RefusedCertificate):
        identity.issue_certificate(child, "did:key:zNonsense", "school", request, NOW)


def test_a_leaf_institution_and_an_expired_authority_certify_nobody(home, clock, tmp_path):
    school = joined(home, clock, found(now_ms=NOW), "nju", "university")
    below = NodeName("a.nju.lln.internal")
    with pytest.raises(RefusedCertificate):
        school.issue_certificate(below, school.did, "school", make_signing_request(below, new_ca_key()), NOW)
    province = joined(Home(tmp_path / "p"), clock, found(now_ms=NOW), life_ms=DAY_MS)
    below = NodeName("a.chongqing.lln.internal")
    with pytest.raises(IssuerExpired):
        province.issue_certificate(
            below, province.did, "school", make_signing_request(below, new_ca_key()), NOW + 2 * DAY_MS
        )


# --- TLS -------------------------------------------------------------------------------------------------------------


def test_the_tls_leaf_is_renewed_at_half_its_life_and_held_in_memory_only(home, clock):
    identity = joined(home, clock, found(now_ms=NOW))
    key_pem, chain_pem = identity.current_tls()
    assert verify_tls_chain(from_pem(chain_pem), identity.root_certificate, NOW).name == identity.name
    assert b"PRIVATE KEY" in key_pem
    clock.move(days=3.4)
    assert not identity.refresh_tls()
    assert identity.current_tls() == (key_pem, chain_pem)
    clock.move(days=0.2)
    assert identity.refresh_tls()
    assert not identity.refresh_tls()
    renewed = identity.current_tls()
    assert renewed[0] != key_pem
    assert verify_tls_chain(from_pem(renewed[1]), identity.root_certificate, clock.at_ms + 7 * DAY_MS).name


def test_a_clock_set_far_back_gives_a_leaf_that_is_valid_now(home, clock):
    identity = founded(home, clock)
    clock.move(hours=-3)
    assert identity.refresh_tls()
    assert verify_tls_chain(from_pem(identity.current_tls()[1]), identity.root_certificate, NOW).name == ROOT


# --- renewal ---------------------------------------------------------------------------------------------------------


async def test_a_renewed_chain_is_adopted_kept_and_shown_at_once(home, clock):
    parent = found(now_ms=NOW)
    identity = joined(home, clock, parent, life_ms=30 * DAY_MS)
    before = identity.chain
    clock.move(days=20)
    renewed = (certified(identity.keys, identity.name, parent, now_ms=clock.at_ms),)
    shown = identity.current_tls()[1]
    await identity.adopt_chain(renewed)
    assert identity.chain == renewed
    assert from_pem(identity.current_tls()[1])[1:] == renewed
    assert identity.current_tls()[1] != shown
    assert opened(home, clock).chain == renewed
    assert from_pem(home.chain_before.read_bytes()) == before


async def test_a_chain_that_is_not_ours_is_not_adopted(home, clock, tmp_path):
    parent = found(now_ms=NOW)
    identity = joined(home, clock, parent)
    held, kept = identity.chain, home.chain.read_bytes()
    other_keys = make_missing_keys(Home(tmp_path / "other"))
    wrong = {
        NotOurCertificate: (certified(other_keys, identity.name, parent),),
        OutsideLineage: (certified(identity.keys, identity.name, parent), parent.root_certificate),
        CertificateExpired: (certified(identity.keys, identity.name, parent, now_ms=NOW - 400 * DAY_MS),),
    }
    for expected, chain in wrong.items():
        with pytest.raises(expected):
            await identity.adopt_chain(chain)
    with pytest.raises(NotOurCertificate):
        await identity.adopt_chain((certified(identity.keys, NodeName("twin.lln.internal"), parent),))
    assert identity.chain == held
    assert home.chain.read_bytes() == kept


async def test_a_chain_that_cannot_be_kept_is_not_used(home, clock):
    parent = found(now_ms=NOW)
    identity = joined(home, clock, parent)
    held = identity.chain
    home.chain.unlink()
    home.chain.mkdir()
    with pytest.raises(HomeUnwritable):
        await identity.adopt_chain((certified(identity.keys, identity.name, parent),))
    assert identity.chain == held


def test_a_home_with_an_expired_certificate_still_opens(home, clock):
    joined(home, clock, found(now_ms=NOW), life_ms=DAY_MS)
    clock.move(days=100)
    assert opened(home, clock).name == "chongqing.lln.internal"


# --- refusals with their remedy --------------------------------------------------------------------------------------


def test_a_home_that_has_not_joined_says_so(home, clock):
    with pytest.raises(TrustMissing):
        opened(home, clock)
    make_missing_keys(home)
    assert [type(fault) for fault in key_faults(home)] == [TrustMissing]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_exposed_keys_are_refused_with_the_chmod_that_mends_it(home, clock, mode):
    founded(home, clock)
    home.node_key.chmod(mode)
    with pytest.raises(KeyExposed, match="chmod 600"):
        opened(home, clock)
    assert [type(fault) for fault in key_faults(home)] == [KeyExposed]


def test_a_missing_key_is_never_made_anew_beside_a_certificate(home, clock):
    founded(home, clock)
    home.ca_key.unlink()
    with pytest.raises(KeyMissing):
        make_missing_keys(home)
    with pytest.raises(KeyMissing):
        opened(home, clock)
    assert not home.ca_key.exists()


def pem_of(key, encryption=None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize("name", ["ca_key", "node_key", "sealing_key"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem_of(ec.generate_private_key(ec.SECP384R1())),
        pem_of(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"password")),
    ],
)
def test_a_damaged_key_is_refused(home, clock, name, content):
    founded(home, clock)
    getattr(home, name).write_bytes(content)
    with pytest.raises(KeyCorrupt):
        opened(home, clock)
    assert [type(fault) for fault in key_faults(home)] == [KeyCorrupt]


def test_keys_in_each_others_place_are_refused(home, clock):
    founded(home, clock)
    home.node_key.write_bytes(pem_of(x25519.X25519PrivateKey.generate()))
    with pytest.raises(KeyCorrupt, match="Ed25519"):
        opened(home, clock)
    home.node_key.write_bytes(pem_of(ed25519.Ed25519PrivateKey.generate()))
    with pytest.raises(TrustCorrupt):
        opened(home, clock)
    assert [type(fault) for fault in key_faults(home)] == [TrustCorrupt]


@pytest.mark.parametrize("name", ["root", "chain"])
@pytest.mark.parametrize("content", [b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_damaged_certificates_are_refused(home, clock, name, content):
    founded(home, clock)
    getattr(home, name).write_bytes(content)
    with pytest.raises(TrustCorrupt):
        opened(home, clock)


def test_a_chain_of_another_network_is_refused(home, clock):
    joined(home, clock, found(now_ms=NOW))
    home.root.write_bytes(to_pem((found(now_ms=NOW).root_certificate,)))
    with pytest.raises(TrustCorrupt):
        load_trust(home)


def test_two_pinned_roots_are_refused(home, clock):
    identity = founded(home, clock)
    home.root.write_bytes(to_pem((identity.root_certificate, identity.root_certificate)))
    with pytest.raises(TrustCorrupt):
        load_trust(home)


def test_a_pinned_root_is_never_replaced_by_another(home, clock):
    joined(home, clock, found(now_ms=NOW))
    with pytest.raises(HomeOccupied):
        keep_trust(home, Trust(root_certificate=found(now_ms=NOW).root_certificate, chain=()))


def test_a_home_that_is_no_folder_is_told(tmp_path, clock):
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeUnwritable):
        make_missing_keys(Home(tmp_path / "file"))
    with pytest.raises(BrokenHome):
        opened(Home(tmp_path / "file"), clock)


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "kept"
    write_whole(file, b"old", mode=0o600)

    def fails(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(homes.os, "fsync", fails)
    with pytest.raises(HomeUnwritable, match="No space"):
        write_whole(file, b"new", mode=0o600)
    assert file.read_bytes() == b"old"
    monkeypatch.undo()
    write_whole(file, b"new", mode=0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert file.read_bytes() == b"new"


def test_a_file_far_too_large_is_not_read(home, clock):
    founded(home, clock)
    with home.node_key.open("ab") as file:
        file.truncate(2_000_000)
    with pytest.raises(HomeUnwritable):
        load_keys(home)


def test_a_first_configuration_is_written_once(home):
    home.make_folders()
    assert home.write_config("a = 1\n")
    assert not home.write_config("a = 2\n")
    assert home.config.read_text() == "a = 1\n"
