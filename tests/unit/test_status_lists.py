"""Status lists: bits, encoding with bounds, and the signed list."""

import base64
import gzip
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import canonical, document_proofs, status_lists
from federation.credit_records import SLOTS
from federation.document_proofs import TamperedCredential
from federation.errors import BadCredential
from federation.status_lists import TTL_MS, MalformedStatusList, SlotOutOfRange
from tests.support.credit_records import LIST, NODE, NOW_MS, SIGNER, STRANGER

DAY_MS = 86_400_000
slots = st.sets(st.integers(0, SLOTS - 1), max_size=40)


def published(raised=(), *, list_id: str = LIST, signer=SIGNER, now_ms: int = NOW_MS) -> bytes:
    return status_lists.publish(raised, list_id=list_id, signer=signer, now_ms=now_ms, valid_for_ms=30 * DAY_MS)


def encoded(packed: bytes) -> str:
    return "u" + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


@given(slots)
def test_exactly_the_raised_bits_are_raised(raised):
    statuses = status_lists.verify(published(raised)).statuses
    assert {index for index in range(SLOTS) if statuses.is_raised(index)} == raised


def test_slot_zero_is_the_leftmost_bit():
    bits = status_lists.decode(status_lists.encode({0, 15}))
    assert bits[:2] == b"\x80\x01"
    assert len(bits) == SLOTS // 8


def test_the_same_bits_are_the_same_bytes():
    assert published([5, 3, 5]) == published({3, 5})
    assert status_lists.encode({7}).startswith("uH4sIAAAAAAAA")  # no time, no name


def test_a_list_says_when_it_was_signed_and_how_long_it_carries():
    statuses = status_lists.verify(published()).statuses
    assert (statuses.valid_from_ms, statuses.valid_until_ms) == (NOW_MS, NOW_MS + 30 * DAY_MS)
    assert (statuses.purpose, statuses.ttl_ms, statuses.id) == ("revocation", TTL_MS, LIST)
    assert not statuses.is_fresh(NOW_MS - 1)
    assert statuses.is_fresh(NOW_MS + TTL_MS)
    assert not statuses.is_fresh(NOW_MS + TTL_MS + 1)


def test_the_sister_list_differs_in_its_last_word():
    sister = status_lists.sister_of(status_lists.list_id(NODE, 1))
    assert sister == status_lists.list_id(NODE, 1, "suspension")
    assert status_lists.verify(published(list_id=sister)).statuses.purpose == "suspension"


@pytest.mark.parametrize("index", [-1, SLOTS])
def test_a_slot_beyond_the_list_is_refused(index):
    with pytest.raises(SlotOutOfRange):
        published([index])
    with pytest.raises(SlotOutOfRange):
        status_lists.verify(published()).statuses.is_raised(index)


BOMB = gzip.compress(bytes(200_000_000), 9)
WRONG = {
    "bomb": encoded(BOMB),
    "short": encoded(gzip.compress(bytes(SLOTS // 8 - 1))),
    "two members": encoded(gzip.compress(bytes(SLOTS // 8)) * 2),
    "cut off": encoded(gzip.compress(bytes(SLOTS // 8))[:-4]),
    "zlib": encoded(zlib.compress(bytes(SLOTS // 8))),
    "no multibase": encoded(gzip.compress(bytes(SLOTS // 8)))[1:],
    "base64": "uH4s+/",
    "one digit": "uA",
    "nothing": "u",
    "empty": "",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_or_hostile_encoding_is_refused(wrong):
    with pytest.raises(MalformedStatusList):
        status_lists.decode(wrong)


@given(st.text(max_size=40) | st.binary(max_size=60).map(encoded))
def test_no_text_raises_a_foreign_exception(text):
    with pytest.raises(MalformedStatusList):
        status_lists.decode(text)


def resigned(change: dict[str, object], subject: dict[str, object] | None = None) -> bytes:
    members = json.loads(published([9])) | change
    del members["proof"]
    members["credentialSubject"] |= subject or {}
    return document_proofs.secure(canonical.encode(members), SIGNER, NOW_MS)


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"id": "https://example.org/list"}, {}),
        ({}, {"statusPurpose": "suspension"}),
        ({}, {"statusPurpose": "message"}),
        ({}, {"ttl": -1}),
        ({}, {"encodedList": "u"}),
        ({"type": ["VerifiableCredential"]}, {}),
        ({"@context": ["https://example.org/"]}, {}),
        ({"validUntil": None}, {}),
        ({"validUntil": "tomorrow"}, {}),
        ({"issuer": {"id": SIGNER.did}}, {}),
    ],
)
def test_a_signed_list_of_another_kind_is_refused(change, subject):
    with pytest.raises(MalformedStatusList):
        status_lists.verify(resigned(change, subject))


def test_a_list_signed_by_another_than_its_issuer_is_refused():
    members = json.loads(published([9]))
    del members["proof"]
    with pytest.raises(TamperedCredential):
        status_lists.verify(document_proofs.secure(canonical.encode(members), STRANGER, NOW_MS))


PUBLISHED = published([9, 94567])


@given(st.integers(0, len(PUBLISHED) - 1), st.integers(1, 255))
@settings(max_examples=200)
def test_a_flipped_byte_is_refused_or_changes_nothing(place, bits):
    flipped = bytearray(PUBLISHED)
    flipped[place] ^= bits
    try:
        found = status_lists.verify(bytes(flipped))
    except BadCredential:
        return
    assert found.statuses == status_lists.verify(PUBLISHED).statuses
