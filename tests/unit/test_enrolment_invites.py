"""The invite code: what survives being pasted, and what is refused by name."""

import base64

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.catalogue import BilingualLine
from federation.directory import NodeDescription
from federation.errors import InvalidInput
from federation.invites import (
    CutInvite,
    InviteCode,
    MistypedInvite,
    NewerInvite,
    NotAnInvite,
    _checksum,
    read_invite,
    write_invite,
)
from tests.support.small_network import found

NOW = 1_800_000_000_000
ROOT = found(now_ms=NOW)
CODE = InviteCode(
    id="00112233aabbccdd",
    name="jiashan.jiaxing.lln.internal",
    endpoint="jiaxing.example:7444",
    description=NodeDescription(
        title=BilingualLine(zh="嘉善县", en="Jiashan"), level="county", kind="authority", division_code="330421"
    ),
    expires_at_ms=NOW + 1_000,
    secret=bytes(range(16)),
    root_certificate=ROOT.root_certificate,
)
LINE = write_invite(CODE)


def test_an_invite_is_one_line_that_says_everything():
    assert LINE.startswith("LLN1-")
    assert len(LINE.split()) == 1
    assert len(LINE) < 1_200
    read = read_invite(LINE)
    assert read == CODE
    assert read.root == "lln.internal"
    assert read.authority == "jiaxing.lln.internal"


@pytest.mark.parametrize(
    "pasted",
    [
        f"  {LINE}\n",
        "\n".join(LINE[at : at + 60] for at in range(0, len(LINE), 60)),
        " ".join((LINE[:3], LINE[3:7], LINE[7:])),
        LINE.translate({ord(c): ord(c) + 0xFEE0 for c in map(chr, range(0x21, 0x7F))}),  # full-width forms
        LINE.replace("LLN1", "lln1"),
        LINE.replace("-", "\u2013"),
        f"“{LINE}”",
        f"lln join {LINE}",
        f"请在新机器上运行：lln join {LINE}。有效期7天",
        "\ufeff" + "\u200b".join((LINE[:100], LINE[100:])),
        LINE + "\x00",
    ],
)
def test_what_a_chat_or_a_letter_does_to_it_is_forgiven(pasted):
    assert read_invite(pasted) == CODE


@pytest.mark.parametrize("kept", [6, 8, 20, 500, -1])
def test_a_code_cut_short_is_told_to_be(kept):
    with pytest.raises(CutInvite):
        read_invite(LINE[:kept])
    with pytest.raises(CutInvite):
        read_invite(LINE[:kept] + "。")


@pytest.mark.parametrize("text", ["", "   ", "hello", "LLN", "LLN-AAAA", "1-AAAA", "\ud800", "LLN1_AAAA"])
def test_something_else_is_told_not_to_be_an_invite(text):
    with pytest.raises(NotAnInvite):
        read_invite(text)


def test_another_version_is_told_to_be():
    with pytest.raises(NewerInvite, match="2"):
        read_invite(LINE.replace("LLN1-", "LLN2-"))


def test_a_million_characters_are_refused():
    with pytest.raises(NotAnInvite):
        read_invite("LLN1-" + "A" * 1_000_000)


@given(st.integers(min_value=5, max_value=len(LINE) - 1), st.sampled_from("ABCxyz019-_!。é"))
def test_any_single_mistyped_character_is_refused(at, typed):
    changed = LINE[:at] + typed + LINE[at + 1 :]
    if changed != LINE:
        with pytest.raises((MistypedInvite, CutInvite)):
            read_invite(changed)


@given(st.integers(min_value=8, max_value=len(LINE) - 1))
def test_a_character_too_many_or_too_few_is_refused(at):
    for changed in (LINE[:at] + "Q" + LINE[at:], LINE[:at] + LINE[at + 1 :]):
        if changed.startswith(LINE):  # a Q after a last Q only follows the code
            continue
        with pytest.raises((MistypedInvite, CutInvite)):
            read_invite(changed)


@given(st.text(max_size=200))
@settings(deadline=None)
def test_any_text_is_an_invite_or_a_typed_refusal(text):
    for candidate in (text, "LLN1-" + text, LINE[:50] + text):
        with pytest.raises(InvalidInput):
            read_invite(candidate)


def sealed(payload: bytes) -> str:
    framed = len(payload).to_bytes(3, "big") + payload
    return "LLN1-" + base64.urlsafe_b64encode(framed + _checksum(framed)).decode().rstrip("=")


@given(st.binary(max_size=300))
def test_any_payload_under_a_good_checksum_is_a_typed_refusal(payload):
    with pytest.raises(NotAnInvite):
        read_invite(sealed(payload))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "lln.internal"},
        {"name": "jiashan.other.internal"},
        {"name": "a.b.c.d.e.f.g.h.lln.internal"},
        {"name": "UPPER.lln.internal"},
        {"root_certificate": b"no certificate"},
        {"root_certificate": ROOT.admit("jiaxing").certificate},
        {"secret": b"short"},
        {"id": "not-hex"},
        {"endpoint": "no port"},
    ],
)
def test_an_invite_that_makes_no_sense_is_refused_though_its_checksum_holds(changes):
    with pytest.raises(NotAnInvite):
        read_invite(write_invite(msgspec.structs.replace(CODE, **changes)))


def test_the_secret_is_not_shown_by_repr():
    assert repr(CODE) == "InviteCode(00112233aabbccdd, jiashan.jiaxing.lln.internal)"
