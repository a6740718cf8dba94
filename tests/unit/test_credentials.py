"""Credit records as Open Badges credentials: what is written, what is believed, and what is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import canonical, credentials, document_proofs
from federation.credentials import CREDENTIAL_BYTES_MAX, UnwritableRecord, WrongIssuer
from federation.credit_records import Amount, Grade, QualificationLevel, Score
from federation.document_proofs import MalformedCredential, TamperedCredential, UnverifiedCredential
from federation.errors import BadCredential
from federation.keys import base58_decode, base58_encode
from federation.open_badges import CONTEXTS
from tests.support.credit_records import NOW_MS, SIGNER, STRANGER, bare_record, full_record, records, uuid

ISSUED = credentials.issue(full_record(), SIGNER, NOW_MS)
OTHER = credentials.issue(bare_record(), SIGNER, NOW_MS)
LOW_ORDER = "did:key:z" + base58_encode(b"\xed\x01" + bytes(32))
NOT_CANONICAL = "did:key:z" + base58_encode(b"\xed\x01" + b"\xf0" + b"\xff" * 30 + b"\x7f")


def changed(document: bytes = ISSUED, **members: object) -> bytes:
    return canonical.encode(json.loads(document) | members)


def proof_of(document: bytes) -> dict[str, object]:
    return json.loads(document)["proof"][0]


# --- there and back --------------------------------------------------------------------------------------------------


@given(records())
@settings(max_examples=150)
def test_every_record_is_read_back_as_it_was_issued(record):
    verified = credentials.verify(credentials.issue(record, SIGNER, NOW_MS))
    assert verified.record == record
    assert credentials.read(credentials.build(record)) == record
    assert verified.issuer == SIGNER.public


def test_a_credential_stays_inside_the_terms_of_open_badges():
    members = json.loads(ISSUED)
    assert members["@context"] == list(CONTEXTS)
    assert members["type"] == ["VerifiableCredential", "AchievementCredential"]
    assert members["issuer"]["id"] == SIGNER.did
    assert isinstance(members["proof"], list)
    assert members["credentialStatus"]["type"] == "BitstringStatusListEntry"


def test_what_is_issued_is_canonical_and_the_same_each_time():
    assert canonical.encode(json.loads(ISSUED)) == ISSUED
    assert credentials.issue(full_record(), SIGNER, NOW_MS) == ISSUED


@pytest.mark.parametrize(("hundredths", "written"), [(250, "2.5"), (200, "2"), (0, "0"), (1, "0.01"), (405, "4.05")])
def test_hundredths_are_written_as_a_json_number(hundredths, written):
    document = credentials.build(bare_record(amount=Amount(unit="credit", hundredths=hundredths)))
    assert f'"creditsEarned":{written},'.encode() in document
    assert credentials.read(document).amount.hundredths == hundredths


@pytest.mark.parametrize("number", [2.505, -1, 1e300, 10_000_001])
def test_an_amount_that_is_no_number_of_hundredths_is_refused(number):
    members = json.loads(credentials.build(bare_record()))
    members["credentialSubject"]["creditsEarned"] = number
    with pytest.raises(MalformedCredential):
        credentials.read(canonical.encode(members))


# --- what is not issued ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        bare_record(amount=Amount(unit="", hundredths=1)),
        bare_record(amount=Amount(unit="credit", hundredths=-1)),
        bare_record(number="9" * 65),
        bare_record(subject="330421199901010000"),
        bare_record(hours=100_001),
        bare_record(result=Grade(text="")),
        bare_record(valid_from_ms=300_000_000_000_000),
        bare_record(result=Score(hundredths=1, scale_hundredths=2_000_000_000)),
        full_record(evidence_sha256="00"),
        bare_record(number="\ud800"),
    ],
)
def test_a_record_out_of_bounds_is_not_issued(record):
    with pytest.raises(UnwritableRecord):
        credentials.issue(record, SIGNER, NOW_MS)


def test_a_node_does_not_sign_for_another():
    with pytest.raises(WrongIssuer):
        credentials.issue(full_record(), STRANGER, NOW_MS)


# --- what is believed ------------------------------------------------------------------------------------------------


def shuffled(value: object) -> object:
    if isinstance(value, dict):
        return {name: shuffled(member) for name, member in reversed(value.items())}
    return [shuffled(one) for one in value] if isinstance(value, list) else value


def test_the_order_of_names_and_white_space_do_not_matter():
    for document in (ISSUED, OTHER):
        elsewhere = json.dumps(shuffled(json.loads(document)), indent=3).encode()
        assert credentials.verify(elsewhere).record == credentials.verify(document).record


def test_a_number_may_be_written_otherwise():
    elsewhere = ISSUED.replace(b'"creditsEarned":2.5,', b'"creditsEarned":25.00e-1,')
    assert elsewhere != ISSUED
    assert credentials.verify(elsewhere).record == full_record()


def test_a_single_proof_may_stand_outside_an_array():
    assert credentials.verify(changed(proof=proof_of(ISSUED))).record == full_record()


def test_every_proof_of_a_set_is_checked():
    twice = document_proofs.secure(ISSUED, SIGNER, NOW_MS + 1000)
    assert credentials.verify(twice).suites == ("eddsa-jcs-2022", "eddsa-jcs-2022")
    good, other = json.loads(twice)["proof"]
    bad = {**other, "proofValue": good["proofValue"]}
    for proofs in ([good, bad], [bad, good]):
        with pytest.raises(TamperedCredential):
            credentials.verify(changed(twice, proof=proofs))


def test_a_good_proof_by_somebody_else_is_not_the_issuers():
    with pytest.raises(TamperedCredential):
        credentials.verify(document_proofs.secure(ISSUED, STRANGER, NOW_MS))
    with pytest.raises(TamperedCredential):
        credentials.verify(document_proofs.secure(credentials.build(full_record()), STRANGER, NOW_MS))


def test_proofs_do_not_move_to_another_credential():
    with pytest.raises(TamperedCredential):
        credentials.verify(changed(OTHER, proof=[proof_of(ISSUED)]))


UNKNOWN_PROOFS = [
    {"type": "Ed25519Signature2020"},
    {"type": "DataIntegrityProof", "cryptosuite": "bbs-2023"},
    {"type": "DataIntegrityProof"},
    {},
]


@pytest.mark.parametrize("unknown", UNKNOWN_PROOFS)
def test_proofs_of_unknown_kinds_prove_nothing_and_spoil_nothing(unknown):
    with pytest.raises(UnverifiedCredential):
        credentials.verify(changed(proof=[{**proof_of(ISSUED), "cryptosuite": None} | unknown]))
    assert credentials.verify(changed(proof=[unknown, proof_of(ISSUED)])).record == full_record()


@pytest.mark.parametrize("proofs", [[], None, [1], "z", [proof_of(ISSUED)] * 9])
def test_a_credential_without_proofs_to_look_at_is_not_believed(proofs):
    with pytest.raises((UnverifiedCredential, MalformedCredential)):
        credentials.verify(changed(proof=proofs))


def test_an_rdf_proof_is_refused_where_nobody_can_check_it():
    beside = {**proof_of(ISSUED), "cryptosuite": "eddsa-rdfc-2022"}
    with pytest.raises(UnverifiedCredential, match="eddsa-rdfc-2022"):
        credentials.verify(changed(proof=[proof_of(ISSUED), beside]))


def test_an_rdf_proof_alone_does_not_carry_a_record():
    unsecured = credentials.build(full_record())
    graph = document_proofs.add_proof(unsecured, SIGNER, NOW_MS, suite="eddsa-rdfc-2022", canonicalise=canonical.encode)
    with pytest.raises(UnverifiedCredential, match="eddsa-jcs-2022"):
        credentials.verify(graph, rdf=canonical.encode)


@pytest.mark.parametrize("did", [LOW_ORDER, NOT_CANONICAL, "did:web:example.org", "did:key:z6Mk", ""])
def test_an_unsound_key_is_refused(did):
    method = f"{did}#{did.removeprefix('did:key:')}"
    with pytest.raises(MalformedCredential):
        credentials.verify(changed(proof=[{**proof_of(ISSUED), "verificationMethod": method}]))


@pytest.mark.parametrize("value", ["", "z", "u" + "A" * 86, "z" + "1" * 200, "z0OIl", "z" + base58_encode(bytes(63))])
def test_a_malformed_signature_is_refused(value):
    with pytest.raises(BadCredential):
        credentials.verify(changed(proof=[{**proof_of(ISSUED), "proofValue": value}]))


@pytest.mark.parametrize(
    "change",
    [
        {"proofPurpose": "authentication"},
        {"created": "2020-01-01T00:00:00Z"},
        {"@context": []},
        {"previousProof": "x"},
        {"expires": "2020-01-01T00:00:00Z"},
    ],
)
def test_what_a_proof_says_is_signed_too(change):
    with pytest.raises(BadCredential):
        credentials.verify(changed(proof=[{**proof_of(ISSUED), **change}]))


def test_no_context_may_be_added():
    with pytest.raises(BadCredential):
        credentials.verify(changed(**{"@context": [*CONTEXTS, "https://example.org/other-meanings"]}))


# --- parsers ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, len(ISSUED) - 1), st.integers(1, 255))
@settings(max_examples=400)
def test_a_flipped_byte_is_refused_or_changes_nothing(place, bits):
    flipped = bytearray(ISSUED)
    flipped[place] ^= bits
    try:
        found = credentials.verify(bytes(flipped))
    except BadCredential:
        return
    assert found.record == full_record()


@given(st.binary(max_size=200) | st.builds(lambda cut: ISSUED[:cut], st.integers(0, len(ISSUED))))
def test_no_bytes_raise_a_foreign_exception(document):
    for reading in (credentials.read, credentials.verify):
        try:
            reading(document)
        except BadCredential:
            continue


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    ("credentialSubject",),
    ("credentialSubject", "result"),
    ("credentialSubject", "achievement"),
    ("credentialSubject", "achievement", "version"),
    ("credentialSubject", "achievement", "alignment"),
    ("credentialSubject", "achievement", "otherIdentifier"),
    ("credentialSubject", "creditsEarned"),
    ("credentialSubject", "activityEndDate"),
    ("issuer",),
    ("issuer", "id"),
    ("evidence",),
    ("credentialStatus",),
    ("credentialStatus", "statusListIndex"),
    ("validFrom",),
    ("validUntil",),
    ("proof",),
]


@given(st.sampled_from(PLACES), json_values)
@settings(max_examples=300)
def test_no_value_in_the_wrong_place_raises_a_foreign_exception(place, value):
    members = json.loads(ISSUED)
    inside = members
    for name in place[:-1]:
        inside = inside[name]
    inside[place[-1]] = value
    document = json.dumps(members).encode()
    for reading in (credentials.read, credentials.verify):
        try:
            reading(document)
        except BadCredential:
            continue


def test_an_oversize_or_deep_document_is_refused():
    for document in (b" " * (CREDENTIAL_BYTES_MAX + 1), b'{"a":' * 100 + b"1" + b"}" * 100, b"[" * 60_000):
        with pytest.raises(MalformedCredential):
            credentials.verify(document)


def test_a_name_given_twice_is_refused():
    twice = ISSUED.replace(b'"creditsEarned":2.5,', b'"creditsEarned":9,"creditsEarned":2.5,')
    with pytest.raises(MalformedCredential):
        credentials.verify(twice)


def test_levels_and_other_odd_text_survive():
    level = QualificationLevel(scheme="a:b%3A/", value=":#?%")
    achievement = full_record().achievement
    record = full_record(
        achievement=type(achievement)(id=achievement.id, name=achievement.name, kind="formal", level=level)
    )
    assert credentials.read(credentials.build(record)) == record


@given(st.binary(max_size=80))
def test_base58_comes_back(raw):
    assert base58_decode(base58_encode(raw)) == raw


def test_another_record_is_another_document():
    assert credentials.verify(ISSUED).sha256 != credentials.verify(OTHER).sha256
    assert credentials.read(OTHER).id == uuid(1)
