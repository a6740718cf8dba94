"""Offline proofs: one document and a pinned root, no network, years later."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import bundles, canonical, checkpoints, credentials, credit_log, log_proofs, logs, status_lists
from federation.bundles import MalformedBundle, root_fingerprint, verify_bundle
from federation.credit_log import CreditEvent
from federation.credit_records import StatusSlot
from federation.logs import LogHead, LogId
from tests.support.credit_records import NOW_MS, full_record, issuer_of
from tests.support.small_network import found

DAY_MS = 86_400_000
SALT = b"\x05" * 32
ROOT = found("lln.internal", now_ms=NOW_MS)
PROVINCE = ROOT.admit("zhejiang")
SCHOOL = PROVINCE.admit("school", kind="school")
COSIGNED_MS = NOW_MS + 60_000
LIST = status_lists.list_id(SCHOOL.name, 1)
PIN = root_fingerprint(ROOT.root_certificate)
OTHERS = [b'{"number":%d}' % number for number in range(20)]


def record(member=SCHOOL, **changes):
    given = {
        "issuer": issuer_of(member.node_key, member.name),
        "status": StatusSlot(list=status_lists.list_id(member.name, 1), index=9),
    }
    return full_record(**(given | changes))


def proof_in_log(
    entry: bytes, member=SCHOOL, *, cosigner=PROVINCE, is_cosigned: bool = True, cosigned_s: int = COSIGNED_MS // 1000
) -> bytes:
    """The entry among others in the member's log, under a checkpoint that its authority has cosigned."""
    log = LogId(origin=member.name, topic="credits")
    appended = logs.append(LogHead(log=log), [*OTHERS, entry])
    note = checkpoints.sign_checkpoint(appended.head.checkpoint(), member.node_key)
    if is_cosigned:
        opened = checkpoints.open_checkpoint(note, origin=log.origin_line, key=member.key)
        note += checkpoints.cosign(note, opened, cosigner.name, cosigner.node_key, cosigned_s)
    rows = dict(enumerate(appended.rows))
    needed = {row: rows[row] for row in log_proofs.rows_for_proof(len(OTHERS), note)}
    return log_proofs.write_proof(len(OTHERS), entry, note, needed)


def bundle(
    issued=None, *, member=SCHOOL, cosigner=PROVINCE, raised=((), ()), event=(), is_cosigned=True, **parts
) -> bytes:
    document = credentials.issue(issued or record(member), member.node_key, NOW_MS)
    read = credentials.read(document)
    stated = {
        "kind": "issue",
        "credential": read.id,
        "sha256": canonical.digest(document).hex(),
        "at_ms": NOW_MS,
    } | dict(event)
    event_document, entry = credit_log.commit(CreditEvent(**stated), issuer=member.name, salt=SALT)
    list_ids = [status_lists.list_id(member.name, 1, purpose) for purpose in ("revocation", "suspension")]
    lists = [
        status_lists.publish(
            bits, list_id=list_id, signer=member.node_key, now_ms=NOW_MS, valid_for_ms=DAY_MS, ttl_ms=DAY_MS
        )
        for bits, list_id in zip(raised, list_ids, strict=True)
    ]
    given = {
        "credential": document,
        "lists": lists,
        "event": event_document,
        "salt": SALT,
        "log_proof": proof_in_log(canonical.encode(entry), member, cosigner=cosigner, is_cosigned=is_cosigned),
        "chain": member.chain,
        "root": member.root_certificate,
    }
    return bundles.make_bundle(**(given | parts))


def outcome(document: bytes, *, pin: str = PIN, as_of_ms: int = NOW_MS + 3_600_000) -> str:
    return verify_bundle(document, root_sha256=pin, as_of_ms=as_of_ms).verdict.outcome


GOOD = bundle()


def test_a_bundle_proves_a_credential_from_the_pinned_root_alone():
    found_out = verify_bundle(GOOD, root_sha256=PIN, as_of_ms=NOW_MS + 3_600_000)
    assert found_out.verdict.is_valid
    assert found_out.credential.record == record()
    assert found_out.issuer.name == SCHOOL.name
    assert found_out.logged_at_ms == COSIGNED_MS
    assert found_out.verdict.answers.inclusion == "proven"
    assert found_out.verdict.answers.list_age_ms == 3_600_000


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(((9,), ()), "revoked"), (((), (9,)), "suspended"), (((8,), (10,)), "valid"), (((9,), (9,)), "revoked")],
)
def test_its_lists_are_looked_at(raised, expected):
    assert outcome(bundle(raised=raised)) == expected


def test_in_time_it_says_less():
    assert outcome(GOOD, as_of_ms=NOW_MS + 2 * DAY_MS) == "status_unknown"
    assert outcome(GOOD, as_of_ms=record().valid_until_ms + 1) == "expired"
    assert outcome(GOOD, as_of_ms=NOW_MS - 1) == "not_yet_valid"
    assert outcome(bundle(raised=((9,), ())), as_of_ms=NOW_MS + 50 * DAY_MS) == "revoked"


def test_a_certificate_that_has_expired_since_was_good_when_the_log_was_cosigned():
    lasting = bundle(record(valid_until_ms=None, status=None), lists=())
    assert outcome(lasting, as_of_ms=NOW_MS + 40 * 365 * DAY_MS) == "valid"


def test_another_networks_root_is_not_believed():
    assert outcome(GOOD, pin="00" * 32) == "unknown_issuer"
    other = found("lln.internal", now_ms=NOW_MS)
    swapped = bundle(root=other.root_certificate)
    assert outcome(swapped) == "unknown_issuer"
    assert outcome(swapped, pin=root_fingerprint(other.root_certificate)) == "unknown_issuer"


def test_a_chain_of_somebody_else_does_not_help():
    neighbour = PROVINCE.admit("neighbour")
    assert outcome(bundle(chain=neighbour.chain)) == "unknown_issuer"
    assert outcome(bundle(chain=())) == "unknown_issuer"


def test_a_record_that_names_another_node_is_not_of_that_node():
    assert outcome(bundle(record(issuer=issuer_of(SCHOOL.node_key, PROVINCE.name)))) == "unknown_issuer"


@pytest.mark.parametrize(
    "event",
    [{"kind": "revoke"}, {"credential": "urn:uuid:00000000-0000-4000-8000-0000000000ff"}, {"sha256": "00" * 32}],
)
def test_a_log_that_says_something_else_contradicts(event):
    assert outcome(bundle(event=event)) == "tampered"


def test_a_converted_record_may_be_logged_as_such():
    assert outcome(bundle(event={"kind": "convert"})) == "valid"


def test_an_issue_that_was_never_logged_or_cosigned_is_no_proof():
    assert outcome(bundle(salt=b"\x06" * 32)) == "tampered"
    assert outcome(bundle(is_cosigned=False)) == "tampered"
    assert outcome(bundle(cosigner=ROOT)) == "tampered"
    assert outcome(bundle(log_proof=proof_in_log(b"{}"))) == "tampered"
    assert outcome(bundle(log_proof=b"nonsense")) == "tampered"


@pytest.mark.parametrize("cosigned_s", [1, 10**10, 2**40, 2**63 - 1])
def test_a_cosignature_from_another_age_is_no_proof(cosigned_s):
    assert outcome(bundle(log_proof=proof_in_log(b"{}", cosigned_s=cosigned_s))) in ("tampered", "unknown_issuer")


def test_the_root_vouches_for_itself():
    own = bundle(record(ROOT), member=ROOT, is_cosigned=False)
    found_out = verify_bundle(own, root_sha256=PIN, as_of_ms=NOW_MS + 1)
    assert found_out.verdict.is_valid
    assert found_out.logged_at_ms is None


def test_a_node_right_below_the_root_is_cosigned_by_the_root():
    assert outcome(bundle(record(PROVINCE), member=PROVINCE, cosigner=ROOT)) == "valid"


def test_a_changed_credential_is_tampered_whatever_else_holds():
    changed = GOOD.replace(rb"\"creditsEarned\":2.5", rb"\"creditsEarned\":9.5")
    assert changed != GOOD
    assert outcome(changed) == "tampered"
    without = json.loads(json.loads(GOOD)["credential"])
    del without["proof"]
    assert outcome(canonical.encode(json.loads(GOOD) | {"credential": json.dumps(without)})) == "not_verified"


def test_lists_that_do_not_verify_say_nothing():
    other = status_lists.publish([], list_id=LIST, signer=PROVINCE.node_key, now_ms=NOW_MS, valid_for_ms=DAY_MS)
    assert outcome(bundle(lists=(other, other))) == "status_unknown"
    assert outcome(bundle(lists=(b"x", b"y"))) == "status_unknown"
    assert outcome(bundle(lists=())) == "status_unknown"


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 127))
@settings(max_examples=150)
def test_a_flipped_byte_never_makes_another_credential_valid(place, bits):
    flipped = bytearray(GOOD)
    flipped[place] ^= bits
    try:
        found_out = verify_bundle(bytes(flipped), root_sha256=PIN, as_of_ms=NOW_MS + 3_600_000)
    except MalformedBundle:
        return
    assert not found_out.verdict.is_valid or found_out.credential.record == record()


@given(st.binary(max_size=80))
def test_no_bytes_raise_a_foreign_exception(document):
    with pytest.raises(MalformedBundle):
        verify_bundle(document, root_sha256=PIN, as_of_ms=NOW_MS)


@pytest.mark.parametrize("name", ["credential", "event", "salt", "log_proof", "root", "chain", "revocation_list"])
def test_odd_parts_raise_nothing_foreign(name):
    for value in ("", "AAAA", "{}", [], ["AAAA"], "x" * 1000, "A" * 22, None):
        document = canonical.encode(json.loads(GOOD) | {name: value})
        try:
            assert outcome(document) != "valid" or name == "revocation_list"
        except MalformedBundle:
            continue


def test_binary_parts_are_refused():
    with pytest.raises(MalformedBundle):
        bundle(log_proof=b"\xff")
