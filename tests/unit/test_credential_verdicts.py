"""One outcome from separate answers: the whole table, and where the answers come from."""

import itertools
import re
from typing import get_args

import pytest

from federation import credential_verdicts, status_lists, verdict_words
from federation.credential_verdicts import (
    Answers,
    Bit,
    Dates,
    Inclusion,
    IssuerStanding,
    Outcome,
    Signature,
    bit_of,
    dates_of,
    judge,
)
from tests.support.credit_records import LIST, NOW_MS, SIGNER, STRANGER, bare_record, full_record

GOOD = {
    "signature": "good",
    "issuer": "admitted",
    "revocation": "clear",
    "suspension": "clear",
    "dates": "within",
    "inclusion": "proven",
}
HOUR_MS = 3_600_000
SUSPENSIONS = status_lists.sister_of(LIST)


def outcome(**changes: str) -> str:
    return judge(Answers(**(GOOD | changes))).outcome


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "valid"),
        ({"inclusion": "unproven"}, "valid"),
        ({"signature": "bad"}, "tampered"),
        ({"inclusion": "disproven"}, "tampered"),
        ({"signature": "unverified"}, "not_verified"),
        ({"issuer": "unknown"}, "unknown_issuer"),
        ({"revocation": "raised"}, "revoked"),
        ({"dates": "late"}, "expired"),
        ({"dates": "early"}, "not_yet_valid"),
        ({"suspension": "raised"}, "suspended"),
        ({"revocation": "unknown"}, "status_unknown"),
        ({"suspension": "unknown"}, "status_unknown"),
        ({"issuer": "unreachable"}, "issuer_offline"),
        ({"revocation": "unreachable"}, "issuer_offline"),
        ({"suspension": "unreachable"}, "issuer_offline"),
        ({"issuer": "unreachable", "revocation": "raised"}, "revoked"),
        ({"issuer": "unreachable", "dates": "late"}, "expired"),
        # what will never pass is told before what may
        ({"signature": "bad", "revocation": "raised"}, "tampered"),
        ({"issuer": "unknown", "revocation": "raised"}, "unknown_issuer"),
        ({"revocation": "raised", "dates": "late", "suspension": "raised"}, "revoked"),
        ({"suspension": "raised", "revocation": "unknown"}, "suspended"),
        ({"dates": "late", "revocation": "unknown"}, "expired"),
    ],
)
def test_each_answer_has_its_outcome(changes, expected):
    assert outcome(**changes) == expected


def test_only_good_answers_to_everything_are_valid():
    questions = {
        "signature": get_args(Signature),
        "issuer": get_args(IssuerStanding),
        "revocation": get_args(Bit),
        "suspension": get_args(Bit),
        "dates": get_args(Dates),
        "inclusion": get_args(Inclusion),
    }
    valid = [
        answers
        for answers in (dict(zip(questions, each, strict=True)) for each in itertools.product(*questions.values()))
        if outcome(**answers) == "valid"
    ]
    assert valid == [GOOD, GOOD | {"inclusion": "unproven"}]


def test_every_outcome_is_reached_and_told_apart():
    verdicts = {name: credential_verdicts._WORDING[name] for name in get_args(Outcome)}
    reached = {row[2] for row in credential_verdicts._TABLE} | {"valid"}
    assert reached == verdicts.keys()
    assert len({verdict.exit_code for verdict in verdicts.values()}) == len(verdicts)
    assert [name for name, verdict in verdicts.items() if verdict.exit_code == 0] == ["valid"]
    for verdict in verdicts.values():
        assert re.search(r"[\u4e00-\u9fff].*。$", verdict.zh)
        assert re.fullmatch(r"[ -~]+\.", verdict.en)


def test_validity_includes_both_its_ends():
    record = full_record()
    assert record.valid_until_ms is not None
    found = [dates_of(record, at) for at in (NOW_MS - 1, NOW_MS, record.valid_until_ms, record.valid_until_ms + 1)]
    assert found == ["early", "within", "within", "late"]
    assert dates_of(bare_record(), 10**13) == "within"


def held(raised, *, list_id: str = LIST, signer=SIGNER):
    document = status_lists.publish(
        raised, list_id=list_id, signer=signer, now_ms=NOW_MS, valid_for_ms=24 * HOUR_MS, ttl_ms=HOUR_MS
    )
    return status_lists.verify(document)


SLOT = full_record().status.index


@pytest.mark.parametrize(
    ("purpose", "raised", "age_ms", "expected"),
    [
        ("revocation", [], 0, "clear"),
        ("revocation", [SLOT], 0, "raised"),
        ("revocation", [SLOT + 1], 0, "clear"),
        ("revocation", [], HOUR_MS + 1, "unknown"),
        ("revocation", [SLOT], 1000 * HOUR_MS, "raised"),
        ("revocation", [SLOT], -1, "unknown"),
        ("suspension", [SLOT], 0, "raised"),
        ("suspension", [SLOT], HOUR_MS + 1, "unknown"),
        ("suspension", [], HOUR_MS + 1, "unknown"),
    ],
)
def test_what_a_list_of_some_age_says(purpose, raised, age_ms, expected):
    statuses = held(raised, list_id=LIST if purpose == "revocation" else SUSPENSIONS)
    assert bit_of(full_record(), purpose, statuses, NOW_MS + age_ms) == expected


def test_another_list_says_nothing():
    for other in (
        None,
        held([], list_id=SUSPENSIONS),
        held([], signer=STRANGER),
        held([], list_id=LIST.replace("/1/", "/2/")),
    ):
        assert bit_of(full_record(), "revocation", other, NOW_MS) == "unknown"


def test_a_record_without_a_slot_is_not_looked_for():
    assert bit_of(bare_record(), "revocation", None, NOW_MS) == "clear"


def test_every_answer_has_its_own_sentence_in_both_languages():
    questions = (get_args(kind) for kind in (Signature, IssuerStanding, Bit, Bit, Dates, Inclusion))
    names = ("signature", "issuer", "revocation", "suspension", "dates", "inclusion")
    told = set()
    for each in itertools.product(*questions):
        found = verdict_words.told(Answers(**dict(zip(names, each, strict=True))))
        assert [one.question for one in found] == ["signature", "issuer", "status", "dates", "log"]
        told.update(found)
    assert all(re.search("[\u4e00-\u9fff]", one.zh) and one.en.endswith(".") for one in told)
    assert len(told) == len({(one.question, one.answer) for one in told}) == len({one.zh for one in told})
    assert len({one.en for one in told}) == len(told)


def test_a_list_under_the_key_that_took_the_issuers_place_counts_where_that_key_is_known():
    record = full_record()
    held = status_lists.verify(
        status_lists.publish([], list_id=LIST, signer=STRANGER, now_ms=NOW_MS, valid_for_ms=HOUR_MS)
    )
    assert bit_of(record, "revocation", held, NOW_MS) == "unknown"
    assert bit_of(record, "revocation", held, NOW_MS, successors=(STRANGER.did,)) == "clear"
