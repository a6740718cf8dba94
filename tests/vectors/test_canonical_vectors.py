"""RFC 8785 test data of cyberphone/json-canonicalization."""

import json
from pathlib import Path

import pytest

from federation import canonical

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "jcs-rfc8785" / "testdata"
NAMES = ("arrays", "french", "structures", "unicode", "values", "weird")


@pytest.fixture(params=NAMES)
def vector(request):
    if not FOLDER.is_dir():
        pytest.skip(f"PUBLIC TEST VECTORS ARE ABSENT: {FOLDER}")
    return request.param


def test_published_inputs_give_the_published_outputs(vector):
    value = json.loads((FOLDER / "input" / f"{vector}.json").read_bytes())
    assert canonical.encode(value) == (FOLDER / "output" / f"{vector}.json").read_bytes()


def test_published_inputs_give_the_published_bytes(vector):
    value = json.loads((FOLDER / "input" / f"{vector}.json").read_bytes())
    assert canonical.encode(value) == bytes.fromhex((FOLDER / "outhex" / f"{vector}.txt").read_text())


def test_published_inputs_are_decoded_and_encoded_alike(vector):
    document = (FOLDER / "input" / f"{vector}.json").read_bytes()
    value = canonical.decode(document, object, bytes_max=len(document))
    assert canonical.encode(value) == (FOLDER / "output" / f"{vector}.json").read_bytes()
