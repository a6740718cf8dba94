"""The example of C2SP tlog-proof: its signatures are abridged, so all but those is read."""

import base64
import re
from pathlib import Path

import pytest

from federation.log_proofs import LogProof

SPECIFICATION = Path(__file__).parents[3] / "shared" / "vectors" / "c2sp-specs" / "tlog-proof.md"


@pytest.fixture
def example() -> bytes:
    if not SPECIFICATION.is_file():
        pytest.skip(f"PUBLIC TEST VECTORS ARE ABSENT: {SPECIFICATION}")
    fenced = re.findall(r"^```\n(c2sp.*?)^```$", SPECIFICATION.read_text(), re.DOTALL | re.MULTILINE)
    return fenced[0].encode()


def test_the_example_proof_is_read_and_written_back(example):
    proof = LogProof.parse(example)
    assert proof.index == 73894
    assert proof.document is not None
    assert proof.document.startswith(b"age-v1.2.1-darwin-arm64.tar.gz")
    assert [len(hash_) for hash_ in proof.path] == [32] * 5
    assert base64.b64encode(proof.path[0]) == b"gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ="
    assert proof.note.startswith(b"example.com/fancylog\n109482\n")
    assert bytes(proof) == example
