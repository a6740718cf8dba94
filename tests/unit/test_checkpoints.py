"""Notes, checkpoints and cosignatures: what is written, who is believed, what is refused."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import checkpoints, notes
from federation.checkpoints import BadCosignature, Checkpoint, VerifiedCheckpoint, WrongOrigin
from federation.errors import BadLog
from federation.keys import KeyInMemory
from federation.notes import BadCheckpointSignature, MalformedNote, Note, SignatureLine

ORIGIN = "jiashan.zhejiang.lln.internal/catalogue"
PARENT = "zhejiang.lln.internal"
SIGNER = KeyInMemory(b"\x01" * 32)
OTHER = KeyInMemory(b"\x02" * 32)
WITNESS = KeyInMemory(b"\x03" * 32)
CHECKPOINT = Checkpoint(origin=ORIGIN, size=40, root=b"\xab" * 32)
NOTE = checkpoints.sign_checkpoint(CHECKPOINT, SIGNER)
AT_S = 1_700_000_000


def opened(note: bytes = NOTE) -> VerifiedCheckpoint:
    return checkpoints.open_checkpoint(note, origin=ORIGIN, key=SIGNER.public)


def signed(text: bytes) -> bytes:
    return notes.sign_note(text, ORIGIN, SIGNER)


def test_a_checkpoint_is_written_as_the_specification_draws_it():
    lines = NOTE.decode().split("\n")
    assert lines[:4] == [ORIGIN, "40", base64.b64encode(b"\xab" * 32).decode(), ""]
    assert lines[4].startswith(f"\u2014 {ORIGIN} ")
    assert lines[5:] == [""]


def test_a_signed_checkpoint_is_opened():
    checkpoint = opened()
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (ORIGIN, 40, b"\xab" * 32)
    assert checkpoint.note == NOTE
    assert checkpoints.unverified_checkpoint(NOTE) == CHECKPOINT


checkpoint_values = st.builds(
    Checkpoint,
    origin=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="+"), min_size=1),
    size=st.integers(0, 2**63 - 1),
    root=st.binary(min_size=32, max_size=32),
    extensions=st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=9), max_size=3
    ).map(tuple),
)


@given(checkpoint_values)
def test_every_checkpoint_survives_signing_and_opening(checkpoint):
    note = checkpoints.sign_checkpoint(checkpoint, SIGNER)
    read = checkpoints.open_checkpoint(note, origin=checkpoint.origin, key=SIGNER.public)
    assert read.checkpoint == checkpoint
    assert bytes(Note.parse(note)) == note


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": ""},
        {"origin": "a b"},
        {"origin": "a+b"},
        {"origin": "a\u3000b"},
        {"origin": "a\nb"},
        {"origin": "cosignature/v1"},
        {"size": -1},
        {"size": 2**63},
        {"root": b"short"},
        {"extensions": ("",)},
        {"extensions": ("one\ntwo",)},
    ],
)
def test_a_checkpoint_that_nobody_could_read_is_not_signed(changes):
    fields = {"origin": ORIGIN, "size": 1, "root": b"r" * 32} | changes
    with pytest.raises(MalformedNote):
        checkpoints.sign_checkpoint(Checkpoint(**fields), SIGNER)


def test_another_key_is_refused():
    with pytest.raises(BadCheckpointSignature, match="not signed by"):
        checkpoints.open_checkpoint(NOTE, origin=ORIGIN, key=OTHER.public)


def test_another_log_is_refused_though_its_key_is_the_same():
    directory = ORIGIN.replace("catalogue", "directory")
    with pytest.raises(WrongOrigin):
        checkpoints.open_checkpoint(NOTE, origin=directory, key=SIGNER.public)


def test_a_line_under_another_name_does_not_count():
    note = notes.sign_note(CHECKPOINT.text(), "elsewhere.lln.internal/catalogue", SIGNER)
    with pytest.raises(BadCheckpointSignature):
        opened(note)


def test_signatures_of_unknown_keys_are_ignored():
    stranger = SignatureLine(name=ORIGIN, key_id=b"\0\0\0\0", signature=b"x" * 2424)  # as long as ML-DSA-44
    line = str(stranger).encode()
    assert opened(NOTE + line).size == 40
    assert opened(NOTE.replace("\u2014".encode(), line + "\u2014".encode(), 1)).size == 40


def test_one_failing_signature_of_the_known_key_spoils_the_note():
    (good,) = Note.parse(NOTE).lines
    false = SignatureLine(name=ORIGIN, key_id=good.key_id, signature=bytes(64))
    for lines in ((good, false), (false, good)):
        with pytest.raises(BadCheckpointSignature, match="not that of"):
            opened(bytes(Note(text=CHECKPOINT.text(), lines=lines)))


def test_no_flipped_bit_survives():
    for position in range(len(NOTE)):
        for bit in range(8):
            damaged = bytearray(NOTE)
            damaged[position] ^= 1 << bit
            with pytest.raises(BadLog):
                opened(bytes(damaged))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"o\n1\n",
        f"{ORIGIN}\n\n{'A' * 43}=\n".encode(),
        f"{ORIGIN}\n01\n{'A' * 43}=\n".encode(),
        f"{ORIGIN}\n+1\n{'A' * 43}=\n".encode(),
        f"{ORIGIN}\n-1\n{'A' * 43}=\n".encode(),
        f"{ORIGIN}\n\uff11\n{'A' * 43}=\n".encode(),
        f"{ORIGIN}\n9223372036854775808\n{'A' * 43}=\n".encode(),
        f"{ORIGIN}\n{'9' * 4000}\n{'A' * 43}=\n".encode(),
        f"{ORIGIN}\n1\n{'A' * 42}B=\n".encode(),  # not the canonical base64 of anything
        f"{ORIGIN}\n1\n{'A' * 40}\n".encode(),
        f"{ORIGIN}\n1\n{'A' * 43}\n".encode(),
        f"{ORIGIN}\n1\n{'A' * 43}=\n\nextension\n".encode(),
        f"{ORIGIN}\n1\n{'A' * 43}=\nexten\tsion\n".encode(),
        f"{ORIGIN}\r\n1\r\n{'A' * 43}=\r\n".encode(),
        f"cosignature/v1\ntime 1\n{ORIGIN}\n1\n{'A' * 43}=\n".encode(),
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused_though_it_is_signed(text):
    with pytest.raises(MalformedNote):
        opened(signed(text))


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n\n",
        NOTE[:-1],
        NOTE + b"\n",
        NOTE.replace(b"\n\n", b"\n"),
        NOTE + b"\xff\n",
        NOTE + b"no signature\n",
        NOTE + "\u2014 name\n".encode(),
        NOTE + "\u2014  AAAAAAAA\n".encode(),
        NOTE + "\u2014 a+b AAAAAAAA\n".encode(),
        NOTE + "\u2014 name AAAAAA==\n".encode(),
        NOTE + "\u2014 name AAAAAAAA AAAA\n".encode(),
        NOTE + "\u2014 name AAAA*AAA\n".encode(),
        NOTE + b"- name AAAAAAAA\n",
        NOTE.replace(b"40", b"40\t"),
        NOTE.replace(b"40", b"40\0"),
    ],
)
def test_what_is_no_note_is_refused(note):
    with pytest.raises(MalformedNote):
        opened(note)


def test_notes_are_bounded_in_lines_and_bytes():
    line = "\u2014 name AAAAAAAA\n".encode()
    assert opened(NOTE + line * 15).size == 40
    with pytest.raises(MalformedNote, match="17 signatures"):
        opened(NOTE + line * 16)
    with pytest.raises(MalformedNote, match="bytes"):
        opened(NOTE + b"x" * 8192)


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_no_bytes_raise_a_foreign_exception(note):
    for candidate in (note, NOTE + note, note + NOTE, signed(note + b"\n")):
        try:
            opened(candidate)
        except BadLog:
            continue


# --- cosignatures ----------------------------------------------------------------------------------------------------


def cosigned(at_s: int = AT_S, note: bytes = NOTE) -> bytes:
    return checkpoints.add_cosignature(note, checkpoints.cosign(NOTE, opened(), PARENT, WITNESS, at_s))


def test_a_cosignature_is_added_and_verified():
    note = cosigned()
    assert note.startswith(NOTE)
    cosignature = checkpoints.verify_cosignature(note, PARENT, WITNESS.public)
    assert (cosignature.cosigner_name, cosignature.timestamp) == (PARENT, AT_S)
    assert opened(note).checkpoint == CHECKPOINT


def test_a_later_cosignature_replaces_the_earlier_one_of_the_same_key():
    note = cosigned(AT_S + 60, cosigned())
    assert len(Note.parse(note).lines) == 2
    assert checkpoints.verify_cosignature(note, PARENT, WITNESS.public).timestamp == AT_S + 60


def test_cosignatures_of_several_witnesses_stand_side_by_side():
    line = checkpoints.cosign(NOTE, opened(), "lln.internal", OTHER, AT_S)
    note = checkpoints.add_cosignature(cosigned(), line)
    assert len(Note.parse(note).lines) == 3
    assert checkpoints.verify_cosignature(note, "lln.internal", OTHER.public).timestamp == AT_S
    assert checkpoints.verify_cosignature(note, PARENT, WITNESS.public).timestamp == AT_S


def test_a_note_that_was_cosigned_before_is_cosigned_again():
    verified = opened(cosigned())
    line = checkpoints.cosign(NOTE, verified, PARENT, WITNESS, AT_S)
    assert checkpoints.verify_cosignature(NOTE + line, PARENT, WITNESS.public).timestamp == AT_S


def test_only_the_note_that_was_verified_is_cosigned():
    other = checkpoints.sign_checkpoint(Checkpoint(origin=ORIGIN, size=41, root=bytes(32)), SIGNER)
    with pytest.raises(WrongOrigin):
        checkpoints.cosign(other, opened(), PARENT, WITNESS, AT_S)


def test_missing_and_foreign_cosignatures_are_refused():
    for note, name, key in (
        (NOTE, PARENT, WITNESS.public),
        (cosigned(), PARENT, OTHER.public),
        (cosigned(), "lln.internal", WITNESS.public),
    ):
        with pytest.raises(BadCosignature, match="not cosigned by"):
            checkpoints.verify_cosignature(note, name, key)


def test_a_cosignature_of_another_checkpoint_or_time_is_refused():
    own, line = Note.parse(cosigned()).lines
    other_text = Checkpoint(origin=ORIGIN, size=41, root=bytes(32)).text()
    later = SignatureLine(name=PARENT, key_id=line.key_id, signature=(AT_S + 1).to_bytes(8, "big") + line.signature[8:])
    for note in (Note(text=other_text, lines=(own, line)), Note(text=CHECKPOINT.text(), lines=(own, later))):
        with pytest.raises(BadCosignature, match="not that of"):
            checkpoints.verify_cosignature(bytes(note), PARENT, WITNESS.public)


def test_a_cosignature_of_another_length_or_beyond_time_is_refused():
    own, line = Note.parse(cosigned()).lines
    for signature in (line.signature[:-1], line.signature + b"\0", b"\xff" * 8 + line.signature[8:]):
        false = SignatureLine(name=PARENT, key_id=line.key_id, signature=signature)
        with pytest.raises(BadCosignature):
            checkpoints.verify_cosignature(
                bytes(Note(text=CHECKPOINT.text(), lines=(own, false))), PARENT, WITNESS.public
            )


def test_a_time_beyond_63_bits_is_refused_though_it_is_signed():
    own, line = Note.parse(cosigned()).lines
    for timestamp, is_allowed in ((2**63 - 1, True), (2**63, False)):
        signature = WITNESS.sign(checkpoints._cosigned_message(timestamp, CHECKPOINT.text()))
        signed_line = msgspec.structs.replace(line, signature=timestamp.to_bytes(8, "big") + signature)
        note = bytes(Note(text=CHECKPOINT.text(), lines=(own, signed_line)))
        if is_allowed:
            assert checkpoints.verify_cosignature(note, PARENT, WITNESS.public).timestamp == timestamp
            continue
        with pytest.raises(BadCosignature, match="beyond"):
            checkpoints.verify_cosignature(note, PARENT, WITNESS.public)


def test_a_logs_own_signature_is_no_cosignature_nor_the_reverse():
    by_witness = notes.key_id(PARENT, notes.TYPE_ED25519, WITNESS.public)
    as_cosigner = notes.key_id(PARENT, notes.TYPE_COSIGNATURE, WITNESS.public)
    assert by_witness != as_cosigner
    plain = notes.sign_note(CHECKPOINT.text(), PARENT, WITNESS)
    with pytest.raises(BadCosignature):
        checkpoints.verify_cosignature(plain, PARENT, WITNESS.public)
    with pytest.raises(BadCheckpointSignature):
        Note.parse(cosigned()).check_signed(PARENT, WITNESS.public)


@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda text: f"\u2014 {text}\n".encode()))
def test_no_line_raises_a_foreign_exception(line):
    try:
        checkpoints.add_cosignature(NOTE, line)
    except BadLog:
        return


def test_a_note_has_room_for_fifteen_cosigners():
    note = NOTE
    for number in range(15):
        note = checkpoints.add_cosignature(note, checkpoints.cosign(NOTE, opened(), f"w{number}.lln", WITNESS, AT_S))
    with pytest.raises(MalformedNote):
        checkpoints.add_cosignature(note, checkpoints.cosign(NOTE, opened(), "one-more.lln", WITNESS, AT_S))
