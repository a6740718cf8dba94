"""Recognitions as endorsements: there and back, and nothing between."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import canonical, credentials, recognitions
from federation.credentials import UnwritableRecord, WrongIssuer
from federation.credit_records import StatusSlot
from federation.document_proofs import MalformedCredential, TamperedCredential
from federation.errors import BadCredential
from federation.recognitions import RecognisedAchievement, RecognisedCredential, Recognition
from tests.support.credit_records import (
    LIST,
    NODE,
    NOW_MS,
    SIGNER,
    STRANGER,
    digests,
    full_record,
    issuer_of,
    moments,
    texts,
    uuid,
    uuids,
)

ACHIEVEMENTS = st.builds(
    RecognisedAchievement,
    id=st.from_regex(r"urn:lln:[A-Za-z0-9._:/@-]{1,60}", fullmatch=True),
    version=st.integers(1, 1_000_000),
)
CREDENTIALS = st.builds(RecognisedCredential, id=uuids, sha256=digests)


def recognition(**changes: object) -> Recognition:
    given = {
        "id": uuid(21),
        "issuer": issuer_of(),
        "of": RecognisedAchievement(id=f"urn:lln:{NODE}:logistics-101", version=3),
        "comment": "认定为本院“快递实务”课程 😀",
        "valid_from_ms": NOW_MS,
        "status": StatusSlot(list=LIST, index=3),
    }
    return Recognition(**(given | changes))


ISSUED = recognitions.issue(recognition(), SIGNER, NOW_MS)


@given(ACHIEVEMENTS | CREDENTIALS, texts(80), moments, st.none() | st.integers(0, 10**9))
def test_every_recognition_is_read_back_as_it_was_issued(of, comment, start, length):
    end = None if length is None else start + length
    issued = recognition(of=of, comment=comment, valid_from_ms=start, valid_until_ms=end)
    assert recognitions.verify(recognitions.issue(issued, SIGNER, NOW_MS)).recognition == issued


def test_a_changed_recognition_is_refused():
    with pytest.raises(TamperedCredential):
        recognitions.verify(ISSUED.replace(b"version 3", b"version 4"))


def test_a_recognition_is_no_record_and_a_record_no_recognition():
    with pytest.raises(MalformedCredential):
        credentials.verify(ISSUED)
    with pytest.raises(MalformedCredential):
        recognitions.verify(credentials.issue(full_record(), SIGNER, NOW_MS))


def test_a_node_recognises_in_its_own_name_alone():
    with pytest.raises(WrongIssuer):
        recognitions.issue(recognition(), STRANGER, NOW_MS)
    with pytest.raises(UnwritableRecord):
        recognitions.issue(recognition(comment="x" * 2_001), SIGNER, NOW_MS)


@pytest.mark.parametrize(
    "evidence",
    [
        [],
        [{"id": "urn:x", "genre": "recognised_achievement", "description": "version 3"}],
        [{"id": f"urn:lln:{NODE}:logistics-101", "genre": "recognised_achievement", "description": "version x"}],
        [{"id": f"urn:lln:{NODE}:logistics-101", "genre": "recognised_credential", "description": "sha-256:00"}],
    ],
)
def test_what_is_recognised_is_named_the_same_twice(evidence):
    with pytest.raises(MalformedCredential):
        recognitions.read(canonical.encode(json.loads(ISSUED) | {"evidence": evidence}))


@given(st.integers(0, len(ISSUED) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_changes_nothing(place, bits):
    flipped = bytearray(ISSUED)
    flipped[place] ^= bits
    try:
        found = recognitions.verify(bytes(flipped))
    except BadCredential:
        return
    assert found.recognition == recognition()
