"""Chains of certificates: what is believed, and each way of being refused."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import issuance
from federation.certificate_profile import (
    BACKDATED_MS,
    MalformedChain,
    MayNotIssue,
    OutsideLineage,
    WrongSubject,
    from_pem,
    read_authority,
    renewal_due_ms,
    to_pem,
)
from federation.certificates import (
    BrokenChain,
    CertificateExpired,
    CertificateNotYetValid,
    ChainVerifier,
    LeafNotCertified,
    check_root,
    verify_node_chain,
    verify_tls_chain,
)
from federation.errors import LlnError
from federation.issuance import (
    DAY_MS,
    IssuerExpired,
    MalformedSigningRequest,
    path_length,
)
from federation.keys import MalformedKey
from tests.support.forged_certificates import forged
from tests.support.small_network import Member, found, new_ca_key, serial

NOW = 1_800_000_000_000
ROOT = found(now_ms=NOW)
PROVINCE = ROOT.admit("chongqing")
COUNTY = PROVINCE.admit("jiulongpo")
SCHOOL = COUNTY.admit("shequ", "school")
OTHER_NETWORK = found(now_ms=NOW)


def node_of(member: Member, now_ms: int = NOW):
    return verify_node_chain(member.chain, ROOT.root_certificate, now_ms)


def tls_of(chain, now_ms: int = NOW):
    return verify_tls_chain(chain, ROOT.root_certificate, now_ms)


def forged_root() -> bytes:
    """A root by the same name and node key as ours, with another P-256 key."""
    return issuance.issue_root(ROOT.name, ROOT.key, OTHER_NETWORK.ca_key, serial=serial(), now_ms=NOW)


def newcomer(name: str) -> Member:
    return replace(OTHER_NETWORK, name=name, ca_key=new_ca_key(), root_certificate=ROOT.root_certificate)


# --- believed --------------------------------------------------------------------------------------------------------


def test_a_node_chain_tells_who_it_speaks_for():
    verified = node_of(SCHOOL)
    assert verified.name == "shequ.jiulongpo.chongqing.lln.internal"
    assert verified.key == SCHOOL.key
    assert verified.certificate == SCHOOL.chain[0]
    assert verified.chain == SCHOOL.chain
    assert verified.names == (SCHOOL.name, COUNTY.name, PROVINCE.name, ROOT.name)


def test_a_tls_chain_tells_the_same_node():
    verified = tls_of(SCHOOL.tls().chain)
    assert (verified.name, verified.key, verified.chain) == (SCHOOL.name, SCHOOL.key, SCHOOL.chain)
    assert verified.not_after_ms == NOW + issuance.LEAF_LIFE_MS


def test_the_root_speaks_with_an_empty_chain():
    assert node_of(ROOT).name == "lln.internal"
    assert node_of(ROOT).chain == ()
    assert tls_of(ROOT.tls().chain).certificate == ROOT.root_certificate


def test_seven_levels_below_the_root_are_believed_and_the_seventh_cannot_issue():
    deepest = ROOT
    for level in range(1, 8):
        deepest = deepest.admit(f"level{level}")
    assert len(node_of(deepest).names) == 8
    assert tls_of(deepest.tls().chain).name == deepest.name
    with pytest.raises(MayNotIssue):
        deepest.admit("level8")


def test_a_node_certificate_never_outlives_its_issuer():
    short = ROOT.admit("hubei", life_ms=30 * DAY_MS)
    assert read_authority(short.admit("wuhan").certificate).claims.not_after_ms == NOW + 30 * DAY_MS
    with pytest.raises(IssuerExpired):
        replace(short, now_ms=NOW + 31 * DAY_MS).admit("wuhan")


def test_renewal_is_due_at_two_thirds_of_the_life():
    assert renewal_due_ms(PROVINCE.certificate) == NOW + issuance.NODE_LIFE_MS * 2 // 3
    assert renewal_due_ms(ROOT.admit("short", life_ms=60_000).certificate) == NOW + 40_000


def test_the_same_input_gives_the_same_certificate():
    request, number = SCHOOL.request(), serial()
    one, other = (
        issuance.issue_node(
            request,
            SCHOOL.key,
            kind="school",
            issuer=COUNTY.certificate,
            ca_key=COUNTY.ca_key,
            serial=number,
            now_ms=NOW,
        )
        for _ in range(2)
    )
    assert one == other


def test_only_authorities_get_a_path_length():
    assert path_length("authority", 2) == 5
    assert path_length("school", 2) == 0
    assert path_length("school", 0) == 7  # whoever founds a network admits others
    assert read_authority(SCHOOL.certificate).claims.path_length == 0


def test_pem_and_back():
    chain = SCHOOL.tls().chain
    assert from_pem(to_pem(chain)) == chain


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_name_outside_the_authority_is_refused():
    stolen = newcomer("shequ.jinshan.chongqing.lln.internal")
    certificate = forged(COUNTY, stolen)
    with pytest.raises(OutsideLineage):
        node_of(replace(stolen, chain=(certificate, *COUNTY.chain)))
    with pytest.raises(OutsideLineage):
        COUNTY.certify(stolen)


def test_a_level_that_is_skipped_is_refused():
    grandchild = newcomer("shequ.jiulongpo.chongqing.lln.internal")
    chain = (forged(PROVINCE, grandchild), *PROVINCE.chain)
    with pytest.raises(OutsideLineage):
        node_of(replace(grandchild, chain=chain))


def test_an_authority_cannot_pass_for_its_child():
    child_leaf = issuance.issue_tls_leaf(
        forged(PROVINCE, SCHOOL), COUNTY.ca_key, new_ca_key().public_key(), serial=serial(), now_ms=NOW
    )
    with pytest.raises(LeafNotCertified):
        tls_of((child_leaf, *COUNTY.chain))


def test_an_authority_cannot_take_its_childs_name_with_its_own_key():
    child_name = replace(newcomer(SCHOOL.name), node_key=COUNTY.node_key)
    leaf = issuance.issue_tls_leaf(
        forged(PROVINCE, child_name), COUNTY.ca_key, new_ca_key().public_key(), serial=serial(), now_ms=NOW
    )
    with pytest.raises(LeafNotCertified):
        tls_of((leaf, *COUNTY.chain))


def test_a_leaf_for_another_node_key_is_refused():
    impostor = replace(COUNTY, chain=(COUNTY.chain[0], *PROVINCE.chain))
    other_key = forged(PROVINCE, replace(newcomer(COUNTY.name), ca_key=COUNTY.ca_key))
    leaf = issuance.issue_tls_leaf(other_key, COUNTY.ca_key, new_ca_key().public_key(), serial=serial(), now_ms=NOW)
    with pytest.raises(LeafNotCertified):
        tls_of((leaf, *impostor.chain))


def test_a_school_that_issues_children_is_refused():
    pupil = newcomer("class1." + SCHOOL.name)
    with pytest.raises(MayNotIssue):
        SCHOOL.certify(pupil)
    chain = (forged(SCHOOL, pupil), *SCHOOL.chain)
    with pytest.raises(MayNotIssue):
        node_of(replace(pupil, chain=chain))
    with pytest.raises(MayNotIssue):
        tls_of(replace(pupil, chain=chain).tls().chain)


def test_a_chain_deeper_than_seven_is_refused():
    deepest = ROOT
    for level in range(1, 8):
        deepest = deepest.admit(f"level{level}")
    too_deep = newcomer("level8." + deepest.name)
    with pytest.raises(MayNotIssue):
        node_of(replace(too_deep, chain=(forged(deepest, too_deep), *deepest.chain)))


@pytest.mark.parametrize(
    "names",
    [
        lambda m: [x509.DNSName(m.name), x509.DNSName("b.lln.internal"), x509.UniformResourceIdentifier(m.key.did)],
        lambda m: [x509.DNSName(m.name)],
        lambda m: [x509.UniformResourceIdentifier(m.key.did)],
        lambda m: [x509.DNSName(m.name), x509.UniformResourceIdentifier("https://example.com")],
        lambda m: [x509.DNSName(m.name), *[x509.UniformResourceIdentifier(m.key.did)] * 2],
        lambda m: [x509.DNSName(m.name), x509.RFC822Name("a@b"), x509.UniformResourceIdentifier(m.key.did)],
        lambda m: [x509.DNSName(m.name.upper()), x509.UniformResourceIdentifier(m.key.did)],
        lambda m: [x509.DNSName("*." + m.name), x509.UniformResourceIdentifier(m.key.did)],
    ],
)
def test_a_certificate_with_other_than_one_name_and_one_key_is_refused(names):
    child = newcomer("hubei.lln.internal")
    with pytest.raises(WrongSubject):
        node_of(replace(child, chain=(forged(ROOT, child, names=names(child)),)))


def test_a_did_that_is_no_key_is_refused():
    child = newcomer("hubei.lln.internal")
    names = [x509.DNSName(child.name), x509.UniformResourceIdentifier("did:key:z6Mk")]
    with pytest.raises(MalformedKey):
        node_of(replace(child, chain=(forged(ROOT, child, names=names),)))


@pytest.mark.parametrize(
    "changes",
    [
        {"names": None},
        {"basic": None},
        {"basic": x509.BasicConstraints(ca=False, path_length=None)},
        {"basic_critical": False},
        {"usage": issuance._usage(signs_certificates=False)},
        {"bound": None},
        {"bound_critical": False},
        {"bound": x509.NameConstraints([x509.DNSName("lln.internal")], None)},
        {"bound": x509.NameConstraints([x509.DNSName("hubei.lln.internal"), x509.DNSName("b.internal")], None)},
        {"bound": x509.NameConstraints([x509.DNSName("hubei.lln.internal")], [x509.DNSName("a.b")])},
        {"public_key": ec.generate_private_key(ec.SECP384R1()).public_key()},
        {"public_key": ed25519.Ed25519PrivateKey.generate().public_key()},
        {"hash": SHA512()},
        {"more": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]},
    ],
)
def test_a_certificate_outside_the_profile_is_refused(changes):
    child = newcomer("hubei.lln.internal")
    with pytest.raises(MalformedChain):
        node_of(replace(child, chain=(forged(ROOT, child, **changes),)))


def test_the_forger_of_these_tests_makes_good_certificates_when_nothing_is_changed():
    child = newcomer("hubei.lln.internal")
    assert node_of(replace(child, chain=(forged(ROOT, child),))).name == child.name


def test_a_signature_by_another_key_is_refused():
    child = newcomer("hubei.lln.internal")
    with pytest.raises(BrokenChain):
        node_of(replace(child, chain=(forged(ROOT, child, ca_key=new_ca_key()),)))


def test_a_chain_of_another_network_with_the_same_names_is_refused():
    with pytest.raises(BrokenChain):
        node_of(OTHER_NETWORK.admit("chongqing"))
    with pytest.raises(BrokenChain):
        tls_of(OTHER_NETWORK.admit("chongqing").tls().chain)
    same_key = replace(OTHER_NETWORK, node_key=ROOT.node_key, root_certificate=forged_root())
    with pytest.raises(BrokenChain):
        tls_of(same_key.tls().chain)


def test_an_issuer_replaced_by_a_namesake_is_refused():
    twin = ROOT.admit("chongqing")  # the same name, other keys
    with pytest.raises(BrokenChain):
        node_of(replace(COUNTY, chain=(COUNTY.chain[0], *twin.chain)))


def test_another_root_name_is_outside_the_lineage():
    foreign = found("other.internal", now_ms=NOW).admit("chongqing")
    with pytest.raises(OutsideLineage):
        node_of(foreign)


def test_expired_and_not_yet_valid_are_refused_and_say_which():
    short = COUNTY.admit("night", "school", life_ms=DAY_MS)
    with pytest.raises(CertificateExpired, match="night"):
        node_of(short, NOW + DAY_MS + 1)
    with pytest.raises(CertificateNotYetValid):
        node_of(short, NOW - BACKDATED_MS - 1)
    with pytest.raises(CertificateExpired):
        tls_of(SCHOOL.tls().chain, NOW + issuance.LEAF_LIFE_MS + 1)
    assert node_of(short, NOW + DAY_MS).name == short.name
    assert node_of(short, NOW - BACKDATED_MS).name == short.name


def test_an_expired_root_is_refused():
    with pytest.raises(CertificateExpired, match="lln"):
        node_of(ROOT, NOW + issuance.ROOT_LIFE_MS + 1)


def test_a_clock_an_hour_slow_or_fast_still_gets_through_tls():
    chain = SCHOOL.tls().chain
    for skew_ms in (-3_600_000, 3_600_000):
        assert tls_of(chain, NOW + skew_ms).name == SCHOOL.name


def test_surplus_missing_and_reordered_certificates_are_refused():
    province, county = COUNTY.chain[1], COUNTY.chain[0]
    for chain in ((province, county), (county,), (county, province, province), (county, county, province)):
        with pytest.raises((OutsideLineage, MayNotIssue)):
            verify_node_chain(chain, ROOT.root_certificate, NOW)
    with pytest.raises(OutsideLineage):
        verify_node_chain((county, province, ROOT.root_certificate), ROOT.root_certificate, NOW)


def test_a_node_certificate_is_no_tls_leaf_and_a_leaf_is_no_node():
    with pytest.raises(MalformedChain):
        tls_of(SCHOOL.chain)
    with pytest.raises(MalformedChain):
        verify_node_chain(SCHOOL.tls().chain, ROOT.root_certificate, NOW)
    with pytest.raises(MalformedChain):
        tls_of(())


def test_a_leaf_cannot_sign():
    leaf = SCHOOL.tls().certificate
    with pytest.raises(MalformedChain):
        tls_of((leaf, leaf, *SCHOOL.chain))


def test_too_many_and_too_large_are_refused_before_parsing():
    with pytest.raises(MayNotIssue):
        verify_node_chain((b"x",) * 8, ROOT.root_certificate, NOW)
    with pytest.raises(MalformedChain):
        verify_node_chain((b"\x30" * 5_000,), ROOT.root_certificate, NOW)
    with pytest.raises(MalformedChain):
        from_pem(b"-----BEGIN CERTIFICATE-----\n" * 4_000)


def test_a_pinned_root_must_be_signed_by_itself():
    assert check_root(ROOT.root_certificate).name == "lln.internal"
    with pytest.raises(BrokenChain):
        check_root(PROVINCE.certificate)


def flip(der: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(der)
    changed[at % len(der)] ^= 1 << bit
    return bytes(changed)


@given(st.integers(min_value=0, max_value=5_000), st.integers(min_value=0, max_value=7), st.integers(0, 3))
@settings(deadline=None, max_examples=200)
def test_a_flipped_bit_anywhere_is_a_typed_refusal(at, bit, which):
    chain = list(SCHOOL_TLS)
    chain[which] = flip(chain[which], at, bit)
    with pytest.raises(LlnError):
        tls_of(chain)
    if which:
        with pytest.raises(LlnError):
            verify_node_chain(chain[1:], ROOT.root_certificate, NOW)


SCHOOL_TLS = SCHOOL.tls().chain


def test_bits_that_no_signature_covers_are_refused():
    """The count of unused bits in front of the signature may only be 0, though the parser takes 1 as well."""
    even = next(one for one in (COUNTY.admit("even", "school") for _ in range(64)) if one.certificate[-1] & 1 == 0)
    signature = x509.load_der_x509_certificate(even.certificate).signature
    at = len(even.certificate) - len(signature) - 1
    changed = even.certificate[:at] + b"\x01" + even.certificate[at + 1 :]
    assert node_of(even).name == even.name
    with pytest.raises(MalformedChain):
        node_of(replace(even, chain=(changed, *COUNTY.chain)))


@given(st.lists(st.binary(max_size=64), max_size=4))
def test_garbage_is_a_typed_refusal(chain):
    for verify in (lambda: tls_of(chain), lambda: verify_node_chain([*chain, b""], ROOT.root_certificate, NOW)):
        with pytest.raises(LlnError):
            verify()


@given(st.binary(max_size=200))
def test_garbage_as_pem_is_a_typed_refusal(text):
    with pytest.raises(MalformedChain):
        from_pem(text)


# --- signing requests ------------------------------------------------------------------------------------------------


def test_a_signing_request_carries_name_and_key():
    request = issuance.read_signing_request(issuance.make_signing_request(SCHOOL.name, SCHOOL.ca_key))
    assert request.name == SCHOOL.name
    assert request.public_key == read_authority(SCHOOL.certificate).claims.public_key


def signing_request(*, names, key=None, algorithm=None) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key or new_ca_key(), algorithm or SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "request_der",
    [
        b"",
        b"\x30" * 5_000,
        signing_request(names=None),
        signing_request(names=[x509.DNSName("a.internal"), x509.DNSName("b.internal")]),
        signing_request(names=[x509.UniformResourceIdentifier("did:key:z6Mk")]),
        signing_request(names=[x509.DNSName("A.internal")]),
        signing_request(names=[x509.DNSName("a.internal")], key=ec.generate_private_key(ec.SECP384R1())),
        signing_request(names=[x509.DNSName("a.internal")], algorithm=SHA512()),
    ],
)
def test_an_unusable_signing_request_is_refused(request_der):
    with pytest.raises(MalformedSigningRequest):
        issuance.read_signing_request(request_der)


@given(st.integers(min_value=0, max_value=1_000), st.integers(min_value=0, max_value=7))
@settings(deadline=None)
def test_a_signing_request_with_a_flipped_bit_is_refused(at, bit):
    with pytest.raises(MalformedSigningRequest):
        issuance.read_signing_request(flip(GOOD_REQUEST, at, bit))


GOOD_REQUEST = issuance.make_signing_request(SCHOOL.name, SCHOOL.ca_key)

# --- memory ----------------------------------------------------------------------------------------------------------


def test_verified_chains_are_remembered_only_while_they_hold():
    verifier = ChainVerifier(ROOT.root_certificate)
    pem = to_pem(SCHOOL_TLS)
    first = verifier.tls_pem(pem, NOW)
    assert verifier.tls_pem(pem, NOW) is first
    assert verifier.node(SCHOOL.chain, NOW) is verifier.node(SCHOOL.chain, NOW)
    with pytest.raises(CertificateExpired):
        verifier.tls_pem(pem, first.not_after_ms + 1)
    with pytest.raises(CertificateNotYetValid):
        verifier.tls_pem(pem, first.not_before_ms - 1)


def test_the_memory_is_bounded_and_forgets_the_oldest():
    verifier = ChainVerifier(ROOT.root_certificate, remembered_max=2)
    first = verifier.node(SCHOOL.chain, NOW)
    verifier.node(COUNTY.chain, NOW)
    assert verifier.node(SCHOOL.chain, NOW) is first  # used again, so the county is now the oldest
    verifier.node(PROVINCE.chain, NOW)
    assert verifier.node(SCHOOL.chain, NOW) is first
    assert len(verifier._remembered) == 2


def test_refusals_are_not_remembered_and_the_two_forms_are_kept_apart():
    verifier = ChainVerifier(ROOT.root_certificate)
    for _ in range(2):
        with pytest.raises(LlnError):
            verifier.tls_pem(to_pem(SCHOOL.chain), NOW)
    verifier.node(SCHOOL.chain, NOW)
    with pytest.raises(LlnError):
        verifier.tls_pem(to_pem(SCHOOL.chain), NOW)


def test_serials_differ_so_that_two_certificates_for_one_key_do_too():
    assert COUNTY.certify(SCHOOL, "school") != COUNTY.certify(SCHOOL, "school")
