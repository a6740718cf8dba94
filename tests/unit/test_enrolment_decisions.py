"""What an authority decides about requests to join and to renew late: each check, and its order."""

import base64
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import admission
from federation.admission import (
    INVITE_TRANSITIONS,
    LATE_RENEWAL_MS,
    AdmitNode,
    RefuseJoin,
    RepeatAnswer,
    admitted_description,
    decide_join,
    decide_late_renewal,
)
from federation.canonical import encode
from federation.catalogue import BilingualLine
from federation.directory import NodeDescription, Standing
from federation.enrolment import (
    JoinRequest,
    join_transcript,
    make_join_request,
    make_late_renewal,
    sealing_statement,
    secret_proof,
)
from federation.errors import RefusedCall
from federation.invites import InviteCode
from federation.issuance import DAY_MS, make_signing_request
from federation.naming import NodeName
from node.ports import Invite
from tests.support.small_network import found, new_ca_key, new_node_key

NOW = 1_800_000_000_000
ROOT = found(now_ms=NOW)
PIN = ROOT.root_certificate
SCHOOL = ROOT.admit("nju", "university")
DESCRIPTION = NodeDescription(title=BilingualLine(zh="南京大学"), level="school", kind="university")
SECRET = b"s" * 16
SEALING = b"\x01" * 32
CODE = InviteCode(
    id="00" * 8,
    name=SCHOOL.name,
    endpoint="hub.example:7444",
    description=DESCRIPTION,
    expires_at_ms=NOW + DAY_MS,
    secret=SECRET,
    root_certificate=PIN,
)
OPEN = Invite(
    id=CODE.id,
    name=SCHOOL.name,
    description=DESCRIPTION,
    secret=SECRET,
    expires_at_ms=NOW + DAY_MS,
    tries_left=5,
    state="open",
)


def request_by(member=SCHOOL, **changes) -> JoinRequest:
    made = make_join_request(
        CODE,
        signer=member.node_key,
        sealing_key=SEALING,
        signing_request=make_signing_request(member.name, member.ca_key),
        description=DESCRIPTION,
    )
    return msgspec.structs.replace(made, **changes)


def reproven(request: JoinRequest, member=SCHOOL) -> JoinRequest:
    """The request with both proofs made again over what it says now: by somebody who holds key and secret."""
    transcript = join_transcript(request, PIN)
    return msgspec.structs.replace(
        request, key_proof=member.node_key.sign(transcript), secret_proof=secret_proof(SECRET, transcript)
    )


def decided(request, invite=OPEN, standing=None, now_ms=NOW):
    return decide_join(invite, request, standing=standing, root_certificate=PIN, now_ms=now_ms)


def standing(status="active", member=SCHOOL) -> Standing:
    return Standing(
        authority=ROOT.name,
        name=member.name,
        status=status,
        description=DESCRIPTION,
        key=member.key.did,
        certificates=(encode_certificate(member.certificate),),
        since_ms=NOW,
    )


def encode_certificate(der: bytes) -> str:
    return base64.b64encode(der).decode()


def refusal(decision) -> type[RefusedCall]:
    assert isinstance(decision, RefuseJoin), decision
    return type(decision.error)


def used(request) -> Invite:
    admitted = decided(request)
    assert isinstance(admitted, AdmitNode)
    return msgspec.structs.replace(
        OPEN, state="used", secret=b"", joined_key=SCHOOL.key.did, transcript_sha256=admitted.essentials
    )


# --- admitted --------------------------------------------------------------------------------------------------------


def test_who_holds_the_secret_and_both_keys_is_admitted():
    admitted = decided(request_by())
    assert isinstance(admitted, AdmitNode)
    assert admitted.key == SCHOOL.key
    assert admitted.request == SCHOOL.request()
    assert admitted.description == DESCRIPTION


@pytest.mark.parametrize("status", ["revoked", "moved"])
def test_a_name_that_has_become_free_can_be_admitted_again(status):
    assert isinstance(decided(request_by(), standing=standing(status)), AdmitNode)


def test_title_level_and_kind_are_the_authoritys_words_and_the_rest_the_newcomers():
    asked = msgspec.structs.replace(
        DESCRIPTION, title=BilingualLine(zh="教育部"), kind="authority", level="national", endpoint="nju.example:7443"
    )
    told = admitted_description(DESCRIPTION, encode(asked))
    assert (told.title, told.level, told.kind) == (DESCRIPTION.title, "school", "university")
    assert told.endpoint == "nju.example:7443"


# --- repeated --------------------------------------------------------------------------------------------------------


def test_the_same_keys_get_the_same_answer_after_use_and_after_expiry():
    invite = used(request_by())
    later = request_by(description=encode(DESCRIPTION) + b" ")  # made anew: other bytes for the same node
    assert decided(request_by(), invite, standing()) == RepeatAnswer()
    assert decided(reproven(later), invite, standing(), NOW + 400 * DAY_MS) == RepeatAnswer()
    assert decided(request_by(), invite, standing("suspended")) == RepeatAnswer()


def test_a_used_invite_answers_no_other_keys():
    invite = used(request_by())
    other_node_key = request_by(member=replace(SCHOOL, node_key=new_node_key()))
    other_ca_key = request_by(member=replace(SCHOOL, ca_key=new_ca_key()))
    other_sealing = reproven(request_by(sealing_key=b"\x02" * 32))
    for request in (other_node_key, other_ca_key, other_sealing):
        assert refusal(decided(request, invite, standing())) is admission.InviteUsed


def test_a_repeat_without_the_node_key_is_refused():
    invite = used(request_by())
    assert refusal(decided(request_by(key_proof=b"\x00" * 64), invite, standing())) is admission.WrongKeyProof


@pytest.mark.parametrize(
    "now_standing",
    [None, standing("revoked"), standing("moved"), standing(member=replace(SCHOOL, node_key=new_node_key()))],
)
def test_a_repeat_by_a_node_no_longer_admitted_is_refused(now_standing):
    assert refusal(decided(request_by(), used(request_by()), now_standing)) is admission.InviteUsed


# --- refused ---------------------------------------------------------------------------------------------------------


def test_an_unknown_invite_is_refused():
    assert refusal(decided(request_by(), None)) is admission.InviteUnknown


@pytest.mark.parametrize(
    ("state", "expected"), [("burnt", admission.InviteBurnt), ("cancelled", admission.InviteCancelled)]
)
def test_a_closed_invite_is_refused(state, expected):
    assert refusal(decided(request_by(), msgspec.structs.replace(OPEN, state=state, secret=b""))) is expected


def test_an_expired_invite_is_refused_and_to_the_millisecond():
    assert isinstance(decided(request_by(), now_ms=OPEN.expires_at_ms), AdmitNode)
    assert refusal(decided(request_by(), now_ms=OPEN.expires_at_ms + 1)) is admission.InviteExpired


@pytest.mark.parametrize("status", ["active", "suspended"])
def test_a_name_in_use_is_refused(status):
    assert refusal(decided(request_by(), standing=standing(status))) is admission.NameTaken


def test_a_wrong_secret_spends_a_try_and_the_fifth_burns_the_invite():
    invite = OPEN
    wrong = request_by(secret_proof=b"\x00" * 32)
    for left in (4, 3, 2, 1):
        decision = decided(wrong, invite)
        assert (refusal(decision), decision.tries_left, decision.state) == (admission.WrongSecret, left, "open")
        invite = msgspec.structs.replace(invite, tries_left=decision.tries_left, state=decision.state)
    assert isinstance(decided(request_by(), invite), AdmitNode)
    last = decided(wrong, invite)
    assert (last.tries_left, last.state) == (0, "burnt")


@pytest.mark.parametrize("secret", [b"", b"\x00" * 32, b"x" * 64])
def test_no_proof_is_a_wrong_proof(secret):
    assert refusal(decided(request_by(secret_proof=secret))) is admission.WrongSecret


ALTERED = {
    "name": "other.lln.internal",
    "signing_request": make_signing_request(SCHOOL.name, new_ca_key()),
    "key": new_node_key().did,
    "sealing_key": b"\x02" * 32,
    "sealing_signature": b"\x00" * 64,
    "description": encode(msgspec.structs.replace(DESCRIPTION, contact="x@y")),
}


@pytest.mark.parametrize("field", ALTERED)
def test_a_join_altered_in_flight_is_refused_whatever_was_altered(field):
    assert refusal(decided(request_by(**{field: ALTERED[field]}))) in (admission.WrongSecret, admission.NotAsInvited)


def test_a_join_for_another_network_is_refused():
    elsewhere = found(now_ms=NOW).root_certificate
    decision = decide_join(OPEN, request_by(), standing=None, root_certificate=elsewhere, now_ms=NOW)
    assert refusal(decision) is admission.WrongSecret


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("key", new_node_key().did, admission.WrongKeyProof),
        ("key", "did:key:zNonsense", admission.WrongKeyProof),
        ("key", "", admission.WrongKeyProof),
        ("signing_request", b"", admission.WrongKeyProof),
        ("signing_request", make_signing_request(NodeName("other.lln.internal"), new_ca_key()), admission.NotAsInvited),
        ("sealing_signature", b"", admission.WrongKeyProof),
        ("sealing_key", b"\x02" * 32, admission.WrongKeyProof),
        ("sealing_key", b"short", admission.MalformedJoin),
        ("description", b"{}", admission.MalformedJoin),
        ("description", b"[" * 9_000, admission.MalformedJoin),
        ("signing_request", b"\x30" * 9_000, admission.MalformedJoin),
        ("name", "x" * 300, admission.MalformedJoin),
    ],
)
def test_who_knows_the_secret_must_still_prove_everything_else(field, value, expected):
    request = reproven(request_by(**{field: value}))
    decision = decided(request)
    assert refusal(decision) is expected
    assert (decision.tries_left, decision.state) == (OPEN.tries_left, OPEN.state)


def test_a_proof_of_the_secret_does_not_stand_in_for_the_key():
    assert refusal(decided(request_by(key_proof=b"\x00" * 64))) is admission.WrongKeyProof


@given(
    st.builds(
        JoinRequest,
        invite_id=st.just(OPEN.id),
        name=st.one_of(st.just(SCHOOL.name), st.text(max_size=20)),
        signing_request=st.binary(max_size=64),
        key=st.text(max_size=64),
        sealing_key=st.binary(min_size=31, max_size=33),
        sealing_signature=st.binary(max_size=64),
        description=st.binary(max_size=64),
        key_proof=st.binary(max_size=64),
        secret_proof=st.binary(max_size=64),
    ),
    st.booleans(),
    st.sampled_from(["open", "used", "burnt", "cancelled"]),
)
@settings(deadline=None)
def test_any_request_is_decided_and_never_a_foreign_exception(request_made, knows_secret, state):
    if knows_secret:
        request_made = reproven(request_made)
    decision = decided(request_made, msgspec.structs.replace(OPEN, state=state), standing())
    assert isinstance(decision, RefuseJoin)


def test_the_states_of_an_invite_are_a_table_in_which_only_open_ones_move():
    assert {state for state, _ in INVITE_TRANSITIONS} == {"open"}
    assert set(INVITE_TRANSITIONS.values()) == {"used", "burnt", "cancelled"}


# --- late renewal ----------------------------------------------------------------------------------------------------

EXPIRED = ROOT.admit("csmzxy", "vocational_college", life_ms=DAY_MS)
AFTER = NOW + 2 * DAY_MS


def late(member=EXPIRED, *, now_ms=AFTER, key=None, ca_key=None):
    return make_late_renewal(
        member.name,
        signer=key or member.node_key,
        signing_request=make_signing_request(member.name, ca_key or member.ca_key),
        root_certificate=PIN,
        now_ms=now_ms,
    )


def decided_late(request, held="as it is", now_ms=AFTER):
    held = standing(member=EXPIRED) if held == "as it is" else held
    return decide_late_renewal(request, standing=held, root_certificate=PIN, now_ms=now_ms)


def test_an_expired_node_may_renew_for_180_days_with_the_same_keys():
    assert decided_late(late()) == EXPIRED.request()
    last = NOW + DAY_MS + LATE_RENEWAL_MS
    assert decided_late(late(now_ms=last), now_ms=last) == EXPIRED.request()
    with pytest.raises(admission.NotRenewable):
        decided_late(late(now_ms=last + 1), now_ms=last + 1)


def test_before_it_has_expired_the_certificate_in_force_is_the_answer():
    assert decided_late(late(now_ms=NOW), now_ms=NOW) is None


@pytest.mark.parametrize("held", [None, *(standing(status, EXPIRED) for status in ("suspended", "revoked", "moved"))])
def test_only_active_nodes_renew(held):
    with pytest.raises(admission.NotRenewable):
        decided_late(late(), held)


@pytest.mark.parametrize("skew_ms", [-3_600_000, -120_001, 120_001, 3_600_000])
def test_a_recorded_request_or_a_wrong_clock_is_refused(skew_ms):
    with pytest.raises(admission.ClockTooFar):
        decided_late(late(now_ms=AFTER + skew_ms))


@pytest.mark.parametrize("skew_ms", [-90_000, 90_000])
def test_a_clock_ninety_seconds_off_will_do(skew_ms):
    assert decided_late(late(now_ms=AFTER + skew_ms)) == EXPIRED.request()


def test_other_keys_do_not_renew():
    with pytest.raises(admission.WrongKeyProof):
        decided_late(late(key=new_node_key()))
    with pytest.raises(admission.NotAsInvited):
        decided_late(late(ca_key=new_ca_key()))


def test_an_altered_renewal_is_refused():
    for field, value in (("issued_at_ms", AFTER + 1), ("signing_request", b""), ("key_proof", b"")):
        with pytest.raises(admission.WrongKeyProof):
            decided_late(msgspec.structs.replace(late(), **{field: value}))
    with pytest.raises(admission.MalformedJoin):
        decided_late(msgspec.structs.replace(late(), signing_request=b"x" * 9_000))


def test_a_signature_for_one_purpose_serves_no_other():
    request = request_by()
    assert not SCHOOL.key.verify(join_transcript(request, PIN), request.sealing_signature)
    assert not SCHOOL.key.verify(sealing_statement(SEALING), request.key_proof)
