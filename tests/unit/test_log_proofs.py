"""Proofs that an entry stands in a log, for whoever has only a file and a key."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import checkpoints, log_proofs, logs, merkle
from federation.checkpoints import BadCosignature, WrongOrigin
from federation.errors import BadLog
from federation.keys import KeyInMemory
from federation.log_proofs import LogProof, MalformedLogProof
from federation.logs import LogHead, LogId
from federation.merkle import MalformedProof, WrongRoot
from federation.notes import BadCheckpointSignature

LOG = LogId(origin="jiashan.zhejiang.lln.internal", topic="credits")
PARENT = "zhejiang.lln.internal"
SIGNER = KeyInMemory(b"\x01" * 32)
WITNESS = KeyInMemory(b"\x03" * 32)
DOCUMENTS = [b'{"number":%d}' % number for number in range(50)]
APPENDED = logs.append(LogHead(log=LOG), DOCUMENTS)
ROWS = dict(enumerate(APPENDED.rows))
NOTE = checkpoints.sign_checkpoint(APPENDED.head.checkpoint(), SIGNER)
VERIFIED = checkpoints.open_checkpoint(NOTE, origin=LOG.origin_line, key=SIGNER.public)
COSIGNED = NOTE + checkpoints.cosign(NOTE, VERIFIED, PARENT, WITNESS, 1_700_000_000)


def written(index: int, *, note: bytes = NOTE, is_withheld: bool = False) -> bytes:
    rows = {row: ROWS[row] for row in log_proofs.rows_for_proof(index, note)}
    return log_proofs.write_proof(index, None if is_withheld else DOCUMENTS[index], note, rows)


def verified(text: bytes, **changes: object) -> log_proofs.VerifiedProof:
    return log_proofs.verify_proof(text, **({"log": LOG, "key": SIGNER.public} | changes))


@pytest.mark.parametrize("index", [0, 1, 31, 32, 48, 49])
def test_a_proof_carries_its_document_and_verifies(index):
    proof = verified(written(index))
    assert (proof.index, proof.document) == (index, DOCUMENTS[index])
    assert proof.leaf_hash == merkle.leaf_hash(DOCUMENTS[index])
    assert proof.checkpoint == VERIFIED
    assert proof.cosignatures == ()


def test_a_proof_is_written_as_the_specification_draws_it():
    lines = written(7).decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 7"
    assert [len(line) for line in lines[3:9]] == [44] * 6
    assert lines[9] == ""
    assert "\n".join(lines[10:]).encode() == NOTE


def test_a_log_of_one_entry_has_an_empty_path():
    one = logs.append(LogHead(log=LOG), DOCUMENTS[:1])
    note = checkpoints.sign_checkpoint(one.head.checkpoint(), SIGNER)
    assert verified(log_proofs.write_proof(0, DOCUMENTS[0], note, {})).index == 0


def test_a_withheld_entry_is_proven_to_whoever_knows_its_hash():
    text = written(7, is_withheld=True)
    assert b"extra" not in text
    proof = verified(text, leaf_hash=merkle.leaf_hash(DOCUMENTS[7]))
    assert proof.document is None
    with pytest.raises(MalformedLogProof, match="bring its leaf hash"):
        verified(text)
    with pytest.raises(WrongRoot):
        verified(text, leaf_hash=merkle.leaf_hash(DOCUMENTS[8]))


def test_the_document_inside_must_be_the_one_at_hand():
    assert verified(written(7), leaf_hash=merkle.leaf_hash(DOCUMENTS[7])).index == 7
    with pytest.raises(MalformedLogProof, match="shown with"):
        verified(written(7), leaf_hash=merkle.leaf_hash(DOCUMENTS[8]))


def test_witnesses_that_are_named_must_have_cosigned():
    (cosignature,) = verified(written(7, note=COSIGNED), witnesses={PARENT: WITNESS.public}).cosignatures
    assert (cosignature.cosigner_name, cosignature.timestamp) == (PARENT, 1_700_000_000)
    for note, witnesses in ((NOTE, {PARENT: WITNESS.public}), (COSIGNED, {PARENT: SIGNER.public})):
        with pytest.raises(BadCosignature):
            verified(written(7, note=note), witnesses=witnesses)


def test_another_log_or_key_is_refused():
    with pytest.raises(WrongOrigin):
        verified(written(7), log=LogId(origin=LOG.origin, topic="catalogue"))
    with pytest.raises(BadCheckpointSignature):
        verified(written(7), key=WITNESS.public)


def test_an_entry_beyond_the_checkpoint_has_no_proof():
    with pytest.raises(MalformedProof):
        log_proofs.rows_for_proof(50, NOTE)


def test_no_flipped_bit_survives():
    text = written(7)
    for position in range(len(text)):
        damaged = bytearray(text)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(BadLog):
            verified(bytes(damaged))


@given(st.integers(0, 49), st.data())
def test_no_proof_serves_another_index(index, data):
    other = data.draw(st.integers(0, 49).filter(lambda number: number != index))
    text = written(index).replace(b"index %d\n" % index, b"index %d\n" % other)
    with pytest.raises(BadLog):
        verified(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n\n" + NOTE,
        written(7).replace(b"@v1", b"@v2"),
        written(7).replace(b"index 7", b"index 07"),
        written(7).replace(b"index 7", b"index -7"),
        written(7).replace(b"index 7", b"index 99999999999999999999"),
        written(7).replace(b"index 7\n", b""),
        written(7).replace(b"extra ", b"extra *"),
        written(7).replace(b"index 7", b"index 7\nextra AAAA"),
        written(7).replace(b"index 7\n", b"index 7\n" + (b"A" * 43 + b"=\n") * 65),
        written(7).replace(b"\n\n", b"\n", 1),
        written(7) + b"x" * 200_000,
        "c2sp.org/tlog-proof@v1\u00a0\n\n".encode(),
    ],
)
def test_what_is_no_proof_is_refused(text):
    with pytest.raises(MalformedLogProof):
        verified(text)


@settings(max_examples=200)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_no_bytes_raise_a_foreign_exception(noise, at):
    text = written(7)
    for candidate in (noise, text[:at] + noise + text[at:], text[:at] + noise):
        try:
            LogProof.parse(candidate)
            verified(candidate)
        except BadLog:
            continue


def test_a_proof_of_the_largest_document_fits():
    document = b"x" * logs.DOCUMENT_BYTES_MAX
    appended = logs.append(LogHead(log=LOG), [document])
    note = checkpoints.sign_checkpoint(appended.head.checkpoint(), SIGNER)
    assert verified(log_proofs.write_proof(0, document, note, {})).document == document
