"""Inclusion and consistency vectors of transparency-dev/merkle, good and bad."""

import base64
import json
from pathlib import Path

import pytest

from federation import merkle
from federation.errors import BadLog

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "transparency-dev-merkle" / "testdata"


def vectors(kind: str) -> list[object]:
    found = sorted((FOLDER / kind).rglob("*.json"))
    names = [pytest.param(path, id=path.relative_to(FOLDER).as_posix()) for path in found]
    absent = pytest.mark.skip(reason=f"PUBLIC TEST VECTORS ARE ABSENT: {FOLDER}")
    return names or [pytest.param(FOLDER, marks=absent)]


def read(path: Path) -> dict:
    vector = json.loads(path.read_bytes())
    hashes = {
        key: base64.b64decode(vector[key] or "") for key in ("root", "root1", "root2", "leafHash") if key in vector
    }
    return vector | hashes | {"proof": [base64.b64decode(hash_) for hash_ in vector["proof"] or ()]}


@pytest.mark.parametrize("path", vectors("inclusion"))
def test_inclusion(path):
    vector = read(path)
    given = (vector["leafHash"], vector["leafIdx"], vector["treeSize"], vector["proof"], vector["root"])
    if not vector["wantErr"]:
        merkle.verify_inclusion(*given)
        return
    with pytest.raises(BadLog):
        merkle.verify_inclusion(*given)


@pytest.mark.parametrize("path", vectors("consistency"))
def test_consistency(path):
    vector = read(path)
    given = (vector["size1"], vector["root1"], vector["size2"], vector["root2"], vector["proof"])
    if not vector["wantErr"]:
        merkle.verify_consistency(*given)
        return
    with pytest.raises(BadLog):
        merkle.verify_consistency(*given)


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_all_published_vectors_were_run(kind):
    if not FOLDER.is_dir():
        pytest.skip(f"PUBLIC TEST VECTORS ARE ABSENT: {FOLDER}")
    assert len(vectors(kind)) == 98
