"""Records exported for wallets: RDF proof first, nothing of the record left out of the graph, the schema satisfied."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from federation import canonical, credentials, document_proofs, recognitions
from federation.credit_records import Grade
from federation.document_proofs import RDFC, MalformedCredential, TamperedCredential
from federation.keys import SIGNATURE_BYTES
from node.formats import wallets
from tests.support.credit_records import NOW_MS, SIGNER, STRANGER, bare_record, full_record
from tests.unit.test_recognitions import recognition

SCHEMA = Path(__file__).parents[3] / "shared" / "vectors" / "schemas" / "ob_v3p0_achievementcredential_schema.json"
RECORDS = [full_record(), bare_record(), bare_record(result=Grade(text="优秀"))]
IDS = ["full", "bare", "graded"]


@pytest.fixture(scope="module")
def schema():
    if not SCHEMA.is_file():
        pytest.skip(f"THE OPEN BADGES SCHEMA IS ABSENT: {SCHEMA}")
    return json.loads(SCHEMA.read_bytes())


def exported(record) -> bytes:
    return wallets.export(credentials.issue(record, SIGNER, NOW_MS), SIGNER, NOW_MS)


@pytest.mark.parametrize("record", RECORDS, ids=IDS)
def test_an_export_carries_both_proofs_the_graphs_first(record):
    document = exported(record)
    assert [proof["cryptosuite"] for proof in json.loads(document)["proof"]] == ["eddsa-rdfc-2022", "eddsa-jcs-2022"]
    verified = credentials.verify(document, rdf=wallets.graph_canonicaliser())
    assert verified.record == record
    assert verified.suites == ("eddsa-rdfc-2022", "eddsa-jcs-2022")


def test_one_bad_proof_of_the_two_is_enough():
    members = json.loads(exported(full_record()))
    front, back = members["proof"]
    rdf = wallets.graph_canonicaliser()
    for proofs in (
        [{**front, "proofValue": back["proofValue"]}, back],
        [front, {**back, "proofValue": front["proofValue"]}],
    ):
        with pytest.raises(TamperedCredential):
            credentials.verify(canonical.encode(members | {"proof": proofs}), rdf=rdf)


@pytest.mark.parametrize("record", RECORDS, ids=IDS)
def test_issued_and_exported_records_satisfy_the_published_schema(schema, record):
    validator = jsonschema.Draft201909Validator(schema)
    for document in (credentials.issue(record, SIGNER, NOW_MS), exported(record)):
        assert [error.message for error in validator.iter_errors(json.loads(document))] == []


def test_the_schema_would_have_objected(schema):
    members = json.loads(exported(full_record()))
    members["proof"] = members["proof"][0]
    assert not jsonschema.Draft201909Validator(schema).is_valid(members)


def test_a_recognition_satisfies_what_the_schema_says_of_endorsements(schema):
    document = json.loads(recognitions.issue(recognition(), SIGNER, NOW_MS))
    validator = jsonschema.Draft201909Validator({**schema["$defs"]["EndorsementCredential"], "$defs": schema["$defs"]})
    assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize("record", RECORDS, ids=IDS)
def test_a_strict_reader_of_open_badges_accepts_an_export(record):
    """It insists that every member is in the graph that was signed, and spelled as the contexts spell it."""
    from openbadgeslib.ob3.ldp import OB3LdpVerifier  # noqa: PLC0415  # heavy, and for this test alone

    current = msgspec.structs.replace(record, valid_from_ms=1_600_000_000_000, valid_until_ms=4_000_000_000_000)
    read = OB3LdpVerifier.for_issuer_did(SIGNER.did).verify(exported(current))
    assert read.id == record.id


def test_another_node_does_not_export():
    document = credentials.issue(full_record(), SIGNER, NOW_MS)
    with pytest.raises(credentials.WrongIssuer):
        wallets.export(document, STRANGER, NOW_MS)


@pytest.mark.parametrize(
    "members",
    [
        {"@context": "https://example.org/unknown", "a": 1},
        {"@context": ["https://www.w3.org/ns/credentials/v2"], "id": 7},
        {"@context": 5},
        {"@context": ["https://www.w3.org/ns/credentials/v2"], "@type": {"a": 1}},
    ],
)
def test_what_is_no_graph_is_malformed(members):
    with pytest.raises(MalformedCredential):
        wallets.graph_canonicaliser()(members)


def test_a_graph_made_to_be_costly_is_refused():
    """Blank nodes that look all alike, each pointing at all: canonicalisation without a bound would never end."""
    nodes = [f"_:n{number}" for number in range(12)]
    members = {
        "@context": {"p": "https://example.org/p", "q": {"@id": "https://example.org/q", "@type": "@id"}},
        "@graph": [{"@id": one, "q": [other for other in nodes if other != one]} for one in nodes],
    }
    with pytest.raises(MalformedCredential):
        wallets.graph_canonicaliser()(members)


def test_a_proof_in_front_leaves_the_signed_bytes_alone():
    issued = credentials.issue(full_record(), SIGNER, NOW_MS)
    members = json.loads(exported(full_record()))
    assert canonical.encode(members | {"proof": members["proof"][1:]}) == issued
    added = document_proofs.base58_decode(members["proof"][0]["proofValue"][1:])
    assert len(added) == SIGNATURE_BYTES
    assert members["proof"][0]["cryptosuite"] == RDFC
