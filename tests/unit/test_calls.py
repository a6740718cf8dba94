import os
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.callers import CALLERS_MAX, NONCES_PER_CALLER_MAX, Callers, RateLimit, ReplayedCall, TooManyCalls
from federation.calls import (
    WINDOW_MS,
    CallHeader,
    ClockApart,
    Gate,
    MalformedEnvelope,
    MethodRules,
    OperationIdMissing,
    OversizeCall,
    PayloadAltered,
    RelationRefused,
    ReplyHeader,
    SignedReply,
    UnprovenReply,
    WrongAudience,
    WrongEpoch,
    WrongSignature,
    call_digest,
    call_text,
    check_reply,
    reply_text,
    sign_call,
    sign_reply,
)
from federation.certificates import verify_node_chain
from federation.directory import CallerNotAdmitted, CallerRevoked, CallerSuspended, DirectoryTooOld
from federation.errors import LlnError
from federation.framing import pae
from federation.naming import NodeName
from node.rpc.envelope import Sealed, read_call, read_reply, write_call, write_reply
from tests.support.small_network import found

NOW_MS = 1_900_000_000_000
ROOT = found(now_ms=NOW_MS)
CHONGQING = ROOT.admit("chongqing")
DISTRICT = CHONGQING.admit("jiulongpo")
SCHOOL = DISTRICT.admit("no1-middle", kind="school")
SISTER = DISTRICT.admit("no2-middle", kind="school")
ELSEWHERE = ROOT.admit("zhejiang")
MEMBERS = (ROOT, CHONGQING, DISTRICT, SCHOOL, SISTER, ELSEWHERE)
EPOCH = b"8 bytes."
PAYLOAD = b"a search"
METHOD = "/lln.v1.Catalogue/Search"
EVERYBODY = frozenset(("network",))
ADMITTED = {"judge": lambda _, __: False}


def verified(member):
    return verify_node_chain(member.chain, member.root_certificate, NOW_MS)


def rules(**changes) -> MethodRules:
    given = {"method": METHOD, "callers": EVERYBODY, "request_bytes_max": 1_000, "deadline_ms_max": 10_000}
    return MethodRules(**(given | changes))


def gate(**changes) -> Gate:
    given = {"own_name": DISTRICT.name, "root": ROOT.name, "epoch": EPOCH} | ADMITTED
    return Gate(**(given | changes))


def sealed(member=SCHOOL, *, payload=PAYLOAD, signer=None, **changes) -> Sealed:
    given = {
        "caller": member.name,
        "audience": DISTRICT.name,
        "audience_epoch": EPOCH,
        "method": METHOD,
        "issued_at_ms": NOW_MS,
        "ttl_ms": 10_000,
        "nonce": os.urandom(16),
        "operation_id": "",
        "payload_sha256": sha256(payload).digest(),
    }
    header_bytes = write_call(CallHeader(**(given | changes)))
    return Sealed(header_bytes=header_bytes, signature=sign_call(header_bytes, signer or member.node_key))


def admit(at: Gate, envelope: Sealed, *, payload=PAYLOAD, peer=SCHOOL, now_ms=NOW_MS, by=None):
    return at.admit(read_call(envelope, payload), by or rules(), peer=verified(peer), now_ms=now_ms)


# --- the order of the checks -----------------------------------------------------------------------------------------


def test_a_sound_call_is_admitted_with_who_called_and_in_which_relation():
    admitted = admit(gate(), sealed(operation_id="renew-7"), by=rules(changes=True))
    assert (admitted.caller.name, admitted.relation, admitted.operation_id) == (SCHOOL.name, "child", "renew-7")
    assert not admitted.provisional


def test_a_call_under_a_stale_directory_is_provisional():
    assert admit(gate(judge=lambda _, __: True), sealed()).provisional


WRONG = {
    "payload too large": ({"payload": b"x" * 1_001}, OversizeCall),
    "another suite": ({"suite": "rsa"}, MalformedEnvelope),
    "short nonce": ({"nonce": b"short"}, MalformedEnvelope),
    "lives too long": ({"ttl_ms": 60_001}, MalformedEnvelope),
    "never lives": ({"ttl_ms": 0}, MalformedEnvelope),
    "long operation id": ({"operation_id": "x" * 65}, MalformedEnvelope),
    "short digest": ({"payload_sha256": b"x"}, MalformedEnvelope),
    "odd epoch": ({"audience_epoch": b"x"}, MalformedEnvelope),
    "before 1970": ({"issued_at_ms": -1}, MalformedEnvelope),
    "another node": ({"audience": CHONGQING.name}, WrongAudience),
    "another method": ({"method": "/lln.v1.Logs/Push"}, WrongAudience),
    "another start": ({"audience_epoch": b"87654321"}, WrongEpoch),
    "no epoch": ({"audience_epoch": b""}, WrongEpoch),
    "an hour ahead": ({"issued_at_ms": NOW_MS + 3_600_000}, ClockApart),
    "an hour behind": ({"issued_at_ms": NOW_MS - 3_600_000}, ClockApart),
    "another caller": ({"caller": SISTER.name}, WrongSignature),
    "another signer": ({"signer": SISTER.node_key}, WrongSignature),
    "another payload": ({"payload_sha256": sha256(b"other").digest()}, PayloadAltered),
}


@pytest.mark.parametrize(("changes", "refusal"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_call_has_its_own_refusal(changes, refusal):
    payload = changes.get("payload", PAYLOAD)
    with pytest.raises(refusal):
        admit(gate(), sealed(**changes), payload=payload)


def test_a_refusal_for_the_clock_names_the_clock_and_by_how_much():
    with pytest.raises(ClockApart) as refused:
        admit(gate(), sealed(issued_at_ms=NOW_MS - 3_600_000))
    assert "clock" in str(refused.value)
    assert "-3600 s" in str(refused.value)
    assert "时钟" in refused.value.zh
    assert "clock" in refused.value.en


@pytest.mark.parametrize("apart_s", [-90, -119, 0, 90, 119])
def test_clocks_may_differ_by_up_to_two_minutes(apart_s):
    assert admit(gate(), sealed(issued_at_ms=NOW_MS + 1_000 * apart_s))


def test_a_call_lives_for_its_own_time_and_the_window():
    late = sealed(ttl_ms=1_000)
    assert admit(gate(), late, now_ms=NOW_MS + 1_000 + WINDOW_MS)
    with pytest.raises(ClockApart):
        admit(gate(), late, now_ms=NOW_MS + 1_001 + WINDOW_MS)


def test_every_earlier_check_comes_before_every_later_one():
    """A call with everything wrong is refused for the first reason; each reason mended brings out the next."""
    at = gate(limit=RateLimit(calls_per_second=0.001, burst=0), judge=refusing(CallerRevoked))
    wrong = {
        "suite": "rsa",
        "audience": CHONGQING.name,
        "audience_epoch": b"another.",
        "issued_at_ms": 0,
        "caller": SISTER.name,
        "payload_sha256": sha256(b"other").digest(),
    }
    by = rules(callers=frozenset(("parent",)), changes=True, request_bytes_max=1)
    reasons = []

    def next_reason(*mended):
        for field in mended:
            del wrong[field]
        with pytest.raises(LlnError) as refused:
            admit(at, sealed(**wrong), by=by)
        reasons.append(type(refused.value))

    next_reason()
    by = rules(callers=frozenset(("parent",)), changes=True)
    next_reason()
    next_reason("suite")
    next_reason("audience")
    next_reason("audience_epoch")
    next_reason("issued_at_ms")
    at = gate(judge=refusing(CallerRevoked))
    next_reason()
    next_reason("caller")
    next_reason("payload_sha256")
    at = gate()
    next_reason()
    by = rules(changes=True)
    next_reason()
    assert reasons == [
        *(OversizeCall, MalformedEnvelope, WrongAudience, WrongEpoch, ClockApart, TooManyCalls),
        *(WrongSignature, PayloadAltered, CallerRevoked, RelationRefused, OperationIdMissing),
    ]


def refusing(kind):
    def judge(peer, _):
        raise kind(peer.name, "as the directory says")

    return judge


@pytest.mark.parametrize("kind", [CallerNotAdmitted, CallerSuspended, CallerRevoked, DirectoryTooOld])
def test_what_the_directory_says_is_believed(kind):
    with pytest.raises(kind):
        admit(gate(judge=refusing(kind)), sealed())


def test_the_directory_is_told_whether_the_call_only_reads_the_catalogue():
    told = []
    at = gate(judge=lambda peer, reads: told.append((peer.name, reads)))
    admit(at, sealed(), by=rules(reads_catalogue=True))
    admit(at, sealed(), by=rules())
    assert told == [(SCHOOL.name, True), (SCHOOL.name, False)]


def test_a_node_is_not_judged_when_its_own_people_call():
    at = gate(judge=refusing(CallerRevoked))
    assert admit(at, sealed(DISTRICT), peer=DISTRICT, by=rules(callers=frozenset(("self",)))).relation == "self"


def test_a_hello_needs_no_epoch_but_never_a_wrong_one():
    hello = rules(introduces=True)
    assert admit(gate(), sealed(audience_epoch=b""), by=hello)
    assert admit(gate(), sealed(audience_epoch=EPOCH), by=hello)
    with pytest.raises(WrongEpoch):
        admit(gate(), sealed(audience_epoch=b"another."), by=hello)


RELATIONS = {
    SCHOOL: {"child", "descendant", "network"},
    DISTRICT: {"self", "network"},
    CHONGQING: {"parent", "ancestor", "network"},
    ROOT: {"ancestor", "network"},
    ELSEWHERE: {"network"},
}


@pytest.mark.parametrize("caller", RELATIONS, ids=lambda member: member.name)
@pytest.mark.parametrize("word", ["self", "parent", "child", "sibling", "ancestor", "descendant", "network"])
def test_who_may_call_is_the_whole_table(caller, word):
    by = rules(callers=frozenset((word,)))
    if word in RELATIONS[caller]:
        assert admit(gate(), sealed(caller), peer=caller, by=by)
    else:
        with pytest.raises(RelationRefused):
            admit(gate(), sealed(caller), peer=caller, by=by)


def test_sisters_and_grandchildren_are_told_apart():
    at_school = gate(own_name=SCHOOL.name)
    call = sealed(SISTER, audience=SCHOOL.name)
    assert admit(at_school, call, peer=SISTER, by=rules(callers=frozenset(("sibling",)))).relation == "sibling"
    at_root = gate(own_name=ROOT.name)
    call = sealed(SCHOOL, audience=ROOT.name)
    assert admit(at_root, call, by=rules(callers=frozenset(("descendant",)))).relation == "descendant"


# --- replays and floods ----------------------------------------------------------------------------------------------


def test_the_same_bytes_are_not_admitted_twice():
    at, call = gate(), sealed()
    admit(at, call)
    for later_ms in (0, 1, 60_000, WINDOW_MS + 9_999):
        with pytest.raises(ReplayedCall):
            admit(at, call, now_ms=NOW_MS + later_ms)


def test_after_a_restart_the_same_bytes_are_of_another_epoch():
    call = sealed()
    admit(gate(), call)
    with pytest.raises(WrongEpoch):
        admit(gate(epoch=b"restart."), call)


def test_a_replay_is_refused_after_the_clock_was_set_back():
    at, call = gate(), sealed()
    admit(at, call)
    later = NOW_MS + 3_600_000
    admit(at, sealed(issued_at_ms=later), now_ms=later)  # expired nonces are forgotten
    with pytest.raises(ReplayedCall):
        admit(at, call)


def test_after_the_clock_was_set_back_a_new_epoch_lets_everybody_go_on_and_no_replay_through():
    at, before = gate(), sealed()
    admit(at, before)
    ahead = NOW_MS + 3_600_000
    admit(at, sealed(issued_at_ms=ahead), now_ms=ahead)
    assert not at.is_set_back(ahead - WINDOW_MS)  # so little that nothing fresh looks old
    admit(at, sealed(issued_at_ms=ahead - WINDOW_MS), now_ms=ahead - WINDOW_MS)
    assert at.is_set_back(NOW_MS)
    with pytest.raises(ReplayedCall):
        admit(at, sealed())
    at.begin_epoch(b"another.")
    for old in (before, sealed()):
        with pytest.raises(WrongEpoch):
            admit(at, old)
    fresh = sealed(audience_epoch=b"another.")
    assert admit(at, fresh)
    with pytest.raises(ReplayedCall):
        admit(at, fresh)
    assert not at.is_set_back(NOW_MS)


def test_only_a_signed_call_uses_up_a_nonce():
    at, nonce = gate(), os.urandom(16)
    with pytest.raises(WrongSignature):
        admit(at, sealed(nonce=nonce, signer=SISTER.node_key))
    assert admit(at, sealed(nonce=nonce))


def test_a_call_that_is_refused_after_its_signature_held_cannot_come_again():
    at, call = gate(), sealed(payload_sha256=sha256(b"other").digest())
    with pytest.raises(PayloadAltered):
        admit(at, call)
    with pytest.raises(ReplayedCall):
        admit(at, call)


def test_a_peer_has_its_own_share_and_gets_it_back_with_time():
    at = gate(limit=RateLimit(calls_per_second=2.0, burst=3))
    for _ in range(3):
        admit(at, sealed())
    with pytest.raises(TooManyCalls):
        admit(at, sealed())
    assert admit(at, sealed(SISTER), peer=SISTER)
    assert admit(at, sealed(), now_ms=NOW_MS + 500)
    with pytest.raises(TooManyCalls):
        admit(at, sealed(), now_ms=NOW_MS + 500)


def test_a_share_is_counted_for_the_tls_peer_whatever_name_the_header_bears():
    at = gate(limit=RateLimit(calls_per_second=0.001, burst=1))
    with pytest.raises(WrongSignature):
        admit(at, sealed(SISTER), peer=SCHOOL)
    assert admit(at, sealed(SISTER), peer=SISTER)
    with pytest.raises(TooManyCalls):
        admit(at, sealed(SCHOOL), peer=SCHOOL)


def test_a_clock_that_is_set_back_costs_nobody_their_share():
    callers = Callers(RateLimit(calls_per_second=1.0, burst=1))
    callers.take_turn(SCHOOL.name, NOW_MS)
    with pytest.raises(TooManyCalls):
        callers.take_turn(SCHOOL.name, NOW_MS - 3_600_000)
    callers.take_turn(SCHOOL.name, NOW_MS - 3_600_000 + 1_000)


def test_nonces_of_one_caller_are_bounded_until_they_expire():
    callers = Callers(RateLimit())
    for number in range(NONCES_PER_CALLER_MAX):
        callers.use_nonce(SCHOOL.name, number.to_bytes(16, "big"), expires_ms=NOW_MS + 60_000, now_ms=NOW_MS)
    with pytest.raises(TooManyCalls):
        callers.use_nonce(SCHOOL.name, b"one too many....", expires_ms=NOW_MS + 60_000, now_ms=NOW_MS)
    later = NOW_MS + 180_000
    callers.use_nonce(SCHOOL.name, b"one too many....", expires_ms=later + 60_000, now_ms=later)


def test_the_table_of_callers_is_bounded_and_the_idlest_goes_first():
    callers = Callers(RateLimit(calls_per_second=1.0, burst=1), callers_max=2)
    callers.take_turn(NodeName("one.lln.internal"), NOW_MS)
    callers.take_turn(NodeName("two.lln.internal"), NOW_MS)
    with pytest.raises(TooManyCalls):
        callers.take_turn(NodeName("three.lln.internal"), NOW_MS)
    later = NOW_MS + 600_000
    callers.take_turn(NodeName("two.lln.internal"), later)
    callers.take_turn(NodeName("three.lln.internal"), later)
    assert list(callers._of) == ["two.lln.internal", "three.lln.internal"]
    assert CALLERS_MAX >= 10_000


@given(st.lists(st.tuples(st.integers(0, 400_000), st.binary(min_size=16, max_size=16)), max_size=40))
@settings(deadline=None)
def test_nothing_that_has_been_used_is_used_again_before_it_expires(steps):
    callers, used = Callers(RateLimit()), {}
    now_ms = NOW_MS
    for step_ms, nonce in steps:
        now_ms += step_ms
        expires_ms = used.get(nonce, now_ms + 250_000)
        if expires_ms < now_ms:
            continue  # the gate's third check has refused it
        if nonce in used:
            with pytest.raises(ReplayedCall):
                callers.use_nonce(SCHOOL.name, nonce, expires_ms=expires_ms, now_ms=now_ms)
        else:
            callers.use_nonce(SCHOOL.name, nonce, expires_ms=expires_ms, now_ms=now_ms)
            used[nonce] = expires_ms


# --- one bit ---------------------------------------------------------------------------------------------------------

CALL = sealed(operation_id="renew-7")


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(st.integers(0, 8 * len(CALL.header_bytes) - 1))
@settings(deadline=None, max_examples=400)
def test_a_call_with_one_bit_of_its_header_flipped_is_refused(bit):
    with pytest.raises(LlnError):
        admit(gate(), Sealed(header_bytes=flipped(CALL.header_bytes, bit), signature=CALL.signature))


@given(st.integers(0, 511))
@settings(deadline=None, max_examples=200)
def test_a_call_with_one_bit_of_its_signature_flipped_is_refused(bit):
    with pytest.raises(WrongSignature):
        admit(gate(), Sealed(header_bytes=CALL.header_bytes, signature=flipped(CALL.signature, bit)))


@given(st.integers(0, 8 * len(PAYLOAD) - 1))
@settings(deadline=None)
def test_a_call_with_one_bit_of_its_payload_flipped_is_refused(bit):
    with pytest.raises(PayloadAltered):
        admit(gate(), CALL, payload=flipped(PAYLOAD, bit))


# --- replies ---------------------------------------------------------------------------------------------------------

BODY = b"an answer"
DIGEST = call_digest(CALL.header_bytes, CALL.signature)


def reply(*, signer=DISTRICT.node_key, **changes) -> SignedReply:
    given = {"responder": DISTRICT.name, "call_sha256": DIGEST, "status": 0, "at_ms": NOW_MS}
    header_bytes = write_reply(ReplyHeader(**(given | {"body_sha256": sha256(BODY).digest()} | changes)))
    told = read_reply(Sealed(header_bytes=header_bytes, signature=sign_reply(header_bytes, signer)))
    assert told is not None
    return told


def check(told: SignedReply, **changes) -> None:
    given = {"call_sha256": DIGEST, "status": 0, "body": BODY, "responder": DISTRICT.name, "key": DISTRICT.key}
    check_reply(told, **(given | {"now_ms": NOW_MS} | changes))


def test_a_sound_reply_is_believed():
    check(reply())
    check(reply(status=5), status=5)


UNPROVEN = {
    "another suite": ({"suite": "rsa"}, {}),
    "another responder": ({"responder": CHONGQING.name}, {}),
    "another key": ({"signer": CHONGQING.node_key}, {}),
    "another call": ({"call_sha256": sha256(b"another").digest()}, {}),
    "another status": ({"status": 5}, {}),
    "a refusal made a success": ({"status": 5}, {"status": 0}),
    "another body": ({}, {"body": b"another"}),
    "another time": ({"at_ms": NOW_MS - 121_000}, {}),
    "a time ahead": ({"at_ms": NOW_MS + 121_000}, {}),
}


@pytest.mark.parametrize(("signed", "arrived"), UNPROVEN.values(), ids=UNPROVEN)
def test_a_reply_that_does_not_hold_is_discarded(signed, arrived):
    with pytest.raises(UnprovenReply):
        check(reply(**signed), **arrived)


def test_the_answers_to_two_calls_cannot_be_swapped():
    one, other = sealed(), sealed()
    digests = [call_digest(call.header_bytes, call.signature) for call in (one, other)]
    for own, foreign in (digests, reversed(digests)):
        with pytest.raises(UnprovenReply):
            check(reply(call_sha256=foreign), call_sha256=own)


def test_a_refusal_is_believed_whatever_the_time_because_it_may_be_about_the_clock():
    check(reply(status=16, at_ms=NOW_MS - 3_600_000), status=16)


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_a_reply_with_one_bit_flipped_is_discarded(data):
    sound = reply()
    parts = [sound.header_bytes, sound.signature, BODY]
    part = data.draw(st.integers(0, 2))
    parts[part] = flipped(parts[part], data.draw(st.integers(0, 8 * len(parts[part]) - 1)))
    told = read_reply(Sealed(header_bytes=parts[0], signature=parts[1]))
    if told is None:
        return  # it can no longer be read, and so proves nothing
    with pytest.raises(UnprovenReply):
        check(told, body=parts[2])


@given(st.binary(max_size=2_000))
def test_what_is_signed_is_framed_like_everything_that_is_signed(header_bytes):
    assert call_text(header_bytes) == pae("lln.call.v1", header_bytes)
    assert reply_text(header_bytes) == pae("lln.reply.v1", header_bytes)


def test_a_signature_for_a_call_never_serves_as_one_for_a_reply():
    header_bytes = write_reply(reply().header)
    crossed = SignedReply(
        header=reply().header, header_bytes=header_bytes, signature=sign_call(header_bytes, DISTRICT.node_key)
    )
    with pytest.raises(UnprovenReply):
        check(crossed)
    assert not DISTRICT.key.verify(pae("lln.reply.v1", header_bytes), sign_call(header_bytes, DISTRICT.node_key))
