"""The credits log: what stands in the open, and commitments that tell nothing and can be opened."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import canonical, credit_log, recognitions
from federation.credit_log import (
    DAY_MS,
    AchievementDefined,
    CreditEvent,
    EventCommitted,
    EventKind,
    MalformedCreditEntry,
    RecognitionMade,
    RulePublished,
)
from federation.logs import TOPICS
from tests.support.credit_records import NODE, NOW_MS, SIGNER, digests, full_record, texts, uuid, uuids
from tests.unit.test_recognitions import recognition

SALT = b"\x07" * 32
LOG_SALT = "A" * 22
EVENT = CreditEvent(kind="issue", credential=uuid(1), sha256="ab" * 32, at_ms=NOW_MS, about="lot 4")
events = st.builds(
    CreditEvent,
    kind=st.sampled_from(get_args(EventKind)),
    credential=uuids,
    sha256=digests,
    at_ms=st.integers(0, 2**52),
    about=texts(40),
)
salts = st.binary(min_size=16, max_size=64)


@given(events, salts)
def test_a_commitment_is_opened_by_its_event_and_salt(event, salt):
    document, entry = credit_log.commit(event, issuer=NODE, salt=salt)
    assert credit_log.read_event(document) == event
    assert credit_log.opens(entry, document, salt)
    assert credit_log.read_entry(canonical.encode(entry)) == entry
    assert credit_log.salt_from_text(credit_log.salt_to_text(salt)) == salt


@given(events, events, salts, salts)
def test_nothing_else_opens_it(event, other, salt, other_salt):
    document, entry = credit_log.commit(event, issuer=NODE, salt=salt)
    other_document = canonical.encode(other)
    assert credit_log.opens(entry, other_document, salt) == (other == event)
    assert credit_log.opens(entry, document, other_salt) == (other_salt == salt)


def test_salt_and_event_cannot_run_into_each_other():
    document, entry = credit_log.commit(EVENT, issuer=NODE, salt=SALT)
    assert not credit_log.opens(entry, document[1:], SALT + document[:1])


def test_an_entry_that_states_another_kind_or_day_is_not_opened():
    document, entry = credit_log.commit(EVENT, issuer=NODE, salt=SALT)
    for change in ({"kind": "revoke"}, {"day_ms": entry.day_ms + DAY_MS}):
        stated = canonical.encode(json.loads(canonical.encode(entry)) | change)
        assert not credit_log.opens(credit_log.read_entry(stated), document, SALT)


def test_a_short_salt_opens_nothing():
    document, entry = credit_log.commit(EVENT, issuer=NODE, salt=SALT)
    assert not credit_log.opens(entry, document, b"")
    with pytest.raises(AssertionError):
        credit_log.commit(EVENT, issuer=NODE, salt=b"short")


def test_what_is_logged_of_an_event_is_its_kind_its_day_and_a_hash():
    _, entry = credit_log.commit(EVENT, issuer=NODE, salt=SALT)
    logged = json.loads(canonical.encode(entry))
    assert logged == {
        "entry": "event_committed",
        "issuer": NODE,
        "kind": "issue",
        "commitment": entry.commitment,
        "day_ms": NOW_MS // DAY_MS * DAY_MS,
    }
    written = canonical.encode(entry).decode()
    assert uuid(1) not in written
    assert "ab" * 32 not in written


RULE = {"id": "zhejiang/couriers", "version": 2, "ratio": [1, 2]}
PUBLIC = [
    AchievementDefined(
        issuer=NODE,
        achievement=full_record().achievement,
        grades=("及格", "优秀"),
        valid_for_days=1_095,
        number_pattern="JS-YYYY-NNNN",
        at_ms=NOW_MS,
        salt=LOG_SALT,
    ),
    RulePublished(issuer=NODE, rule=RULE, at_ms=NOW_MS, salt=LOG_SALT),
    RecognitionMade(
        issuer=NODE,
        recognition=json.loads(recognitions.issue(recognition(), SIGNER, NOW_MS)),
        at_ms=NOW_MS,
        salt=LOG_SALT,
    ),
]


@pytest.mark.parametrize("entry", PUBLIC, ids=lambda entry: type(entry).__name__)
def test_what_is_public_is_read_back(entry):
    assert credit_log.read_entry(canonical.encode(entry)) == entry


def test_a_rule_and_a_recognition_come_out_as_the_bytes_they_were():
    assert PUBLIC[1].document == canonical.encode(RULE)
    read = credit_log.read_entry(canonical.encode(PUBLIC[2]))
    assert isinstance(read, RecognitionMade)
    assert recognitions.verify(read.document).recognition == recognition()


def test_the_topic_is_one_of_the_logs():
    assert credit_log.TOPIC in TOPICS


WRONG = [
    b"",
    b"[]",
    b"{}",
    b'{"entry":"unheard_of"}',
    canonical.encode(EventCommitted(issuer="Not A Name", kind="issue", commitment="ab" * 32, day_ms=0)),
    canonical.encode(EventCommitted(issuer=NODE, kind="issue", commitment="ab", day_ms=0)),
    canonical.encode(RulePublished(issuer=NODE, rule={"a": "x" * 70_000}, at_ms=0, salt=LOG_SALT)),
]


@pytest.mark.parametrize("document", WRONG, ids=range(len(WRONG)))
def test_another_document_is_refused(document):
    with pytest.raises(MalformedCreditEntry):
        credit_log.read_entry(document)


@given(st.binary(max_size=60))
def test_no_bytes_raise_a_foreign_exception(document):
    for reading in (credit_log.read_entry, credit_log.read_event):
        with pytest.raises(MalformedCreditEntry):
            reading(document)
