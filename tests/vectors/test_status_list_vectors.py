"""The encoded lists of the W3C's Bitstring Status List repository."""

import json
from pathlib import Path

import pytest

from federation import status_lists

PUBLISHED = Path(__file__).parents[3] / "shared" / "vectors" / "w3c-bitstring-status-list" / "bitstring-vectors.json"
NAMES = ("empty", "first", "bit7", "bit8", "last", "mixed", "every1000")


@pytest.fixture(scope="module")
def vectors():
    if not PUBLISHED.is_file():
        pytest.skip(f"PUBLIC TEST VECTORS ARE ABSENT: {PUBLISHED}")
    return {vector["name"]: vector for vector in json.loads(PUBLISHED.read_bytes())}


def test_all_published_lists_are_run(vectors):
    assert vectors.keys() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_published_list_has_exactly_the_published_bits(vectors, name):
    vector = vectors[name]
    bits = status_lists.decode(vector["encodedList"])
    assert len(bits) * 8 == vector["length"]
    raised = {index for index in range(vector["length"]) if bits[index // 8] & (0x80 >> index % 8)}
    assert raised == set(vector["set"])
    assert status_lists.decode(status_lists.encode(vector["set"], vector["length"])) == bits
