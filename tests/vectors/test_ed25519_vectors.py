"""Ed25519: RFC 8032 §7.1, and the 151 cases of Wycheproof."""

import json
from pathlib import Path

import pytest

from federation.keys import KeyInMemory, MalformedKey, NodeKey

FOLDER = Path(__file__).parents[3] / "shared" / "vectors"


def read(path: str) -> object:
    if not (FOLDER / path).is_file():
        pytest.skip(f"PUBLIC TEST VECTORS ARE ABSENT: {FOLDER / path}")
    return json.loads((FOLDER / path).read_bytes())


def test_rfc_8032_signatures_are_made_and_verified():
    vectors = read("ed25519/rfc8032.json")
    assert len(vectors) >= 4
    for vector in vectors:
        signer, message = KeyInMemory(bytes.fromhex(vector["secret"])), bytes.fromhex(vector["message"])
        signature = bytes.fromhex(vector["signature"])
        assert signer.public.raw == bytes.fromhex(vector["public"])
        assert signer.sign(message) == signature
        assert signer.public.verify(message, signature)
        assert not signer.public.verify(message + b"x", signature)
        assert NodeKey.parse(signer.did) == signer.public


def accepted(public: str, message: str, signature: str) -> bool:
    try:
        key = NodeKey(bytes.fromhex(public))
    except MalformedKey:
        return False
    return key.verify(bytes.fromhex(message), bytes.fromhex(signature))


def test_wycheproof_cases_are_judged_as_published():
    vectors = read("wycheproof/testvectors_v1/ed25519_test.json")
    judged = wrong = 0
    for group in vectors["testGroups"]:
        for case in group["tests"]:
            judged += 1
            verdict = accepted(group["publicKey"]["pk"], case["msg"], case["sig"])
            if verdict != (case["result"] == "valid"):
                wrong += 1
                print(case["tcId"], case["result"], case["comment"])  # noqa: T201  # says which one when it fails
    assert (judged, wrong) == (151, 0)
