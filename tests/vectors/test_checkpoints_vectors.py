"""The examples of C2SP signed-note, tlog-checkpoint and tlog-cosignature, cut out of the specifications themselves."""

import base64
import re
from pathlib import Path

import pytest

from federation import checkpoints, notes
from federation.checkpoints import BadCosignature
from federation.keys import KeyInMemory, NodeKey
from federation.notes import BadCheckpointSignature, Note

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "c2sp-specs"


@pytest.fixture
def examples():
    """The fenced examples of one specification that are signed notes."""

    def cut(name: str) -> list[bytes]:
        if not FOLDER.is_dir():
            pytest.skip(f"PUBLIC TEST VECTORS ARE ABSENT: {FOLDER}")
        fenced = re.findall(r"^```\n(.*?)^```$", (FOLDER / name).read_text(), re.DOTALL | re.MULTILINE)
        return [text.encode() for text in fenced if "\u2014 " in text]

    return cut


def test_the_example_note_is_verified_by_the_example_key(examples):
    written = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    assert written in (FOLDER / "signed-note.md").read_text() if FOLDER.is_dir() else True
    _, example = examples("signed-note.md")
    name, key_id, material = written.split("+", 2)
    key = NodeKey(base64.b64decode(material)[1:])
    assert notes.verifier_key(name, key) == written
    assert notes.key_id(name, notes.TYPE_ED25519, key).hex() == key_id
    opened = Note.parse(example)
    opened.check_signed(name, key)
    assert opened.text == b"This is an example message.\n"


def test_the_example_note_with_another_text_is_refused(examples):
    _, example = examples("signed-note.md")
    key = NodeKey(base64.b64decode("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")[1:])
    with pytest.raises(BadCheckpointSignature):
        Note.parse(example.replace(b"an example", b"no example")).check_signed("example.com/foo", key)


def test_the_poem_keeps_its_empty_lines(examples):
    poem, _ = examples("signed-note.md")
    opened = Note.parse(poem)
    assert opened.text.decode().count("\n") == 4
    assert [(line.name, len(line.signature)) for line in opened.lines] == [("quasimodo.example/salvatore", 64)]
    assert bytes(opened) == poem


def test_the_example_checkpoint_is_read(examples):
    (example,) = examples("tlog-checkpoint.md")
    checkpoint = checkpoints.unverified_checkpoint(example)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert base64.b64encode(checkpoint.root) == b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
    assert checkpoint.text() == Note.parse(example).text


def test_the_example_cosignature_says_its_time(examples):
    (example,) = examples("tlog-cosignature.md")
    log, witness = Note.parse(example).lines
    assert (log.name, len(log.signature)) == ("example.com/behind-the-sofa", 64)
    assert (witness.name, len(witness.signature)) == ("witness.example.com/w1", 8 + 64)
    assert int.from_bytes(witness.signature[:8], "big") == 1679315147
    with pytest.raises(BadCosignature):
        checkpoints.verify_cosignature(example, witness.name, KeyInMemory(bytes(32)).public)


def test_the_example_of_what_a_cosignature_signs_is_ours(examples):
    (example,) = examples("tlog-cosignature.md")
    message = checkpoints._cosigned_message(1679315147, Note.parse(example).text)
    shown = re.search(r"^    cosignature/v1\n(?:    .*\n)+", (FOLDER / "tlog-cosignature.md").read_text(), re.MULTILINE)
    assert message.decode() == re.sub("^    ", "", shown[0], flags=re.MULTILINE)
