"""What a consent covers, in every respect in which it may not; and what its home signs for others."""

import itertools
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.consents import (
    Consent,
    ConsentGrant,
    GrantTooNarrow,
    SignedGrant,
    UnsignedGrant,
    Use,
    check_grant,
    covers,
    may_agree,
    state_at,
    words_of,
)
from federation.keys import KeyInMemory
from federation.naming import NodeName

HOME, RECEIVER = NodeName("home.lln.internal"), NodeName("b.lln.internal")
KEY, OTHER_KEY = KeyInMemory(b"\3" * 32), KeyInMemory(b"\4" * 32)
RECORDS = tuple(f"urn:uuid:00000000-0000-4000-8000-00000000000{at}" for at in range(4))
CONSENT = Consent(
    id="C0000000000000000",
    learner="L0000000000000000",
    purpose="convert",
    fields=("records", "name"),
    recipient=RECEIVER,
    records=RECORDS[:2],
    given_at_ms=1_000,
    expires_at_ms=2_000,
)
USE = Use(recipient=RECEIVER, purpose="convert", fields=("records",), records=RECORDS[:1])
GRANT = ConsentGrant(
    id="C0000000000000000/000001",
    home=HOME,
    subject="urn:lln:learner:00000000000000000000000000",
    recipient=RECEIVER,
    purpose="convert",
    fields=("records",),
    records=RECORDS[:1],
    granted_at_ms=1_000,
    expires_at_ms=2_000,
    uses="one",
    text_version="1",
)


def change(one, **changed):
    return msgspec.structs.replace(one, **changed)


def lacks(consent=CONSENT, use=USE, state="active", now_ms=1_500):
    return [one.lack for one in covers(consent, use, state=state, now_ms=now_ms)]


def test_a_consent_covers_what_it_names_and_less():
    assert lacks() == []
    assert lacks(use=change(USE, fields=("name",), records=())) == []
    assert lacks(use=change(USE, fields=("name", "records"), records=RECORDS[1::-1])) == []


@pytest.mark.parametrize(
    ("changed", "lacking"),
    [
        ({"purpose": "transfer"}, "purpose"),
        ({"recipient": "c.lln.internal"}, "recipient"),
        ({"recipient": "bearer"}, "recipient"),
        ({"fields": ("records", "contact")}, "fields"),
        ({"records": RECORDS[:3]}, "records"),
    ],
)
def test_it_covers_no_other_use(changed, lacking):
    assert lacks(use=change(USE, **changed)) == [lacking]


@pytest.mark.parametrize("state", ["used", "withdrawn", "expired"])
def test_it_covers_nothing_once_it_is_over(state):
    assert lacks(state=state) == [state]
    assert lacks(now_ms=2_000) == ["expired"]
    assert lacks(state="withdrawn", now_ms=9_000) == ["withdrawn"]


def test_all_that_is_lacking_is_told_in_both_languages():
    use = Use(recipient=HOME, purpose="present", fields=("contact",), records=RECORDS[3:])
    told = covers(CONSENT, use, state="used", now_ms=1_500)
    assert [one.lack for one in told] == ["used", "purpose", "recipient", "fields", "records"]
    assert all(one.zh and one.en for one in told)


def test_every_record_means_those_to_come_too():
    consent = change(CONSENT, records=(), every_record=True)
    assert lacks(consent, change(USE, records=RECORDS)) == []
    without = change(CONSENT, fields=("name",), records=())
    assert lacks(without, change(USE, fields=("name",))) == ["records"]


@given(st.sets(st.sampled_from(RECORDS), min_size=1), st.sets(st.sampled_from(RECORDS)), st.integers(0, 3_000))
def test_less_is_covered_wherever_more_is(held, used, now_ms):
    consent = change(CONSENT, records=tuple(held))
    use = change(USE, records=tuple(used))
    if not lacks(consent, use, now_ms=now_ms):
        assert used <= held
        assert now_ms < 2_000
        for part in itertools.chain.from_iterable(itertools.combinations(used, size) for size in range(len(used))):
            assert lacks(consent, change(use, records=part), now_ms=now_ms) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"expires_at_ms": 1_000},
        {"fields": ("name", "name")},
        {"fields": ("name",)},
        {"records": ()},
        {"every_record": True},
    ],
)
def test_a_consent_is_valid_from_birth(changed):
    with pytest.raises(ValueError, match=r"consent|field|record"):
        change(CONSENT, **changed)


def test_numbers_are_no_field_that_can_be_agreed_to():
    for field in ("identity_number", "student_number", "guardian"):
        document = msgspec.json.encode(CONSENT).replace(b'"name"', f'"{field}"'.encode())
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(document, type=Consent)


def test_only_an_active_consent_runs_out():
    assert [state_at(state, CONSENT, 2_000) for state in ("active", "used", "withdrawn")] == [
        "expired",
        "used",
        "withdrawn",
    ]
    assert state_at("active", CONSENT, 1_999) == "active"


def test_who_agrees_is_a_matter_of_age():
    as_of = date(2026, 11, 25)
    assert may_agree(None, as_of=as_of) == "unknown"
    assert may_agree(date(2015, 1, 1), as_of=as_of) == "guardian"
    assert may_agree(date(2000, 1, 1), as_of=as_of) == "learner"


def test_the_words_say_every_bound():
    words = words_of(CONSENT, date(2026, 12, 25))
    for part in (RECEIVER, "学分记录（2 条）", "姓名", "转换", "2026-12-25", "一次", "撤回"):
        assert part in words.zh
    for part in (RECEIVER, "credit records (2)", "name", "converting", "2026-12-25", "one use", "withdraw"):
        assert part in words.en
    bearer = change(CONSENT, recipient="bearer", purpose="present", uses="many", by="guardian")
    assert "监护人" in words_of(bearer, date(2026, 12, 25)).zh
    assert "proof code" in words_of(bearer, date(2026, 12, 25)).en


def test_a_signed_grant_is_opened_by_its_homes_key_alone():
    signed = msgspec.json.decode(msgspec.json.encode(SignedGrant.sign(GRANT, KEY)), type=SignedGrant)
    assert signed.opened(HOME, KEY.public) == GRANT
    forged = change(signed, grant=signed.grant.replace(b'"one"', b'"many"'))
    foreign = SignedGrant.sign(GRANT, OTHER_KEY)
    for wrong, home, key in (
        (forged, HOME, KEY.public),
        (signed, HOME, OTHER_KEY.public),
        (foreign, HOME, KEY.public),
        (change(foreign, key=KEY.did), HOME, KEY.public),
        (signed, RECEIVER, KEY.public),
    ):
        with pytest.raises(UnsignedGrant):
            wrong.opened(home, key)


def test_what_is_signed_but_no_grant_is_refused():
    class Other(msgspec.Struct, tag_field="document", tag="something_else"):
        home: str = HOME

    with pytest.raises(UnsignedGrant):
        SignedGrant.sign(Other(), KEY).opened(HOME, KEY.public)


@pytest.mark.parametrize(
    "changed",
    [{"recipient": HOME}, {"purpose": "present"}, {"fields": ("name",)}, {"records": RECORDS[:2]}],
)
def test_a_grant_covers_no_more_than_it_says(changed):
    check_grant(GRANT, USE, now_ms=1_999)
    with pytest.raises(GrantTooNarrow, match=next(iter(changed))):
        check_grant(GRANT, change(USE, **changed), now_ms=1_500)
    with pytest.raises(GrantTooNarrow, match="expired"):
        check_grant(GRANT, USE, now_ms=2_000)
