"""The W3C's vectors for eddsa-jcs-2022 and eddsa-rdfc-2022, and its proof sets."""

import json
from pathlib import Path

import pytest

from federation import canonical, document_proofs
from federation.document_proofs import JCS, RDFC, TamperedCredential, UnverifiedCredential
from federation.keys import KeyInMemory, base58_decode
from federation.timestamps import to_ms
from node.formats.wallets import graph_canonicaliser

SHARED = Path(__file__).parents[3] / "shared" / "vectors"
FOLDER = SHARED / "w3c-vc-di-eddsa" / "TestVectors"
EXAMPLES = "https://www.w3.org/ns/credentials/examples/v2"
CREATED_MS = to_ms("2023-02-24T23:36:38Z")


@pytest.fixture(scope="module")
def folder():
    if not FOLDER.is_dir():
        pytest.skip(f"PUBLIC TEST VECTORS ARE ABSENT: {FOLDER}")
    return FOLDER


@pytest.fixture(scope="module")
def rdf(folder):
    context = json.loads((SHARED / "contexts" / "credentials-examples-v2.json").read_bytes())
    return graph_canonicaliser({EXAMPLES: context})


@pytest.fixture(scope="module")
def signer(folder):
    return key_of(json.loads((folder / "keyPair.json").read_bytes()))


def key_of(pair: dict[str, str]) -> KeyInMemory:
    seed = base58_decode(pair["privateKeyMultibase"].removeprefix("z"))[2:]  # multicodec ed25519-priv
    key = KeyInMemory(seed)
    assert key.did == "did:key:" + pair["publicKeyMultibase"]
    return key


def test_a_jcs_proof_is_made_byte_for_byte(folder, signer):
    secured = document_proofs.secure((folder / "unsigned.json").read_bytes(), signer, CREATED_MS)
    published = json.loads((folder / "eddsa-jcs-2022" / "signedJCS.json").read_bytes())
    assert secured == canonical.encode(published | {"proof": [published["proof"]]})


@pytest.mark.parametrize(("suite", "tag"), [(JCS, "JCS"), (RDFC, "DataInt")])
def test_what_is_hashed_is_as_published(folder, rdf, suite, tag):
    canonicalise = canonical.encode if suite == JCS else rdf
    unsigned = json.loads((folder / "unsigned.json").read_bytes())
    options = json.loads((folder / suite / f"proofConfig{tag}.json").read_bytes())
    assert canonicalise(unsigned) == (folder / suite / f"canonDoc{tag}.txt").read_bytes()
    combined = document_proofs._to_sign(unsigned, options, canonicalise)
    assert combined.hex() == (folder / suite / f"combinedHash{tag}.txt").read_text()


def test_an_rdfc_proof_is_made_byte_for_byte(folder, rdf, signer):
    unsigned = (folder / "unsigned.json").read_bytes()
    secured = document_proofs.add_proof(unsigned, signer, CREATED_MS, suite=RDFC, canonicalise=rdf)
    published = json.loads((folder / RDFC / "signedDataInt.json").read_bytes())
    assert json.loads(secured)["proof"] == [published["proof"]]


@pytest.mark.parametrize("name", ["eddsa-jcs-2022/signedJCS.json", "eddsa-rdfc-2022/signedDataInt.json"])
def test_published_proofs_verify_and_changed_documents_do_not(folder, rdf, signer, name):
    document = (folder / name).read_bytes()
    verified = document_proofs.verify(document, bytes_max=len(document), rdf=rdf)
    assert verified.signers == (signer.public,)
    changed = document.replace(b"School of Examples", b"School of Counterexamples")
    assert changed != document
    with pytest.raises(TamperedCredential):
        document_proofs.verify(changed, bytes_max=len(changed), rdf=rdf)


@pytest.mark.parametrize(("name", "count"), [("signedProofSet1", 1), ("signedProofSet2", 2)])
def test_published_proof_sets_verify_whole(folder, rdf, name, count):
    document = (folder / "proof-set-chain" / f"{name}.json").read_bytes()
    pairs = json.loads((folder / "proof-set-chain" / "multiKeyPairs.json").read_bytes())
    keys = tuple(key_of(pairs[f"keyPair{number}"]).public for number in range(1, count + 1))
    assert document_proofs.verify(document, bytes_max=len(document), rdf=rdf).signers == keys


def test_proof_chains_are_not_taken_for_sets(folder, rdf):
    document = (folder / "proof-set-chain" / "signedProofChain2.json").read_bytes()
    with pytest.raises(UnverifiedCredential, match="follow another"):
        document_proofs.verify(document, bytes_max=len(document), rdf=rdf)
