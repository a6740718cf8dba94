"""The cases that everybody in the field knows, by the sample rules of config/demo/rules."""

from datetime import date

import pytest
from msgspec import structs

from federation import credits as lots
from federation.conversion import ConsumedScope, Facts, RuleBook, SourceLot, evaluate
from federation.credits import Reservation, ScopeUsed
from federation.rule_cycles import find_gain_cycle
from federation.rule_toml import read_rule_toml
from tests.style.tree import ROOT

RULES = {
    path.stem: read_rule_toml(path.read_bytes()) for path in sorted((ROOT / "config" / "demo" / "rules").glob("*.toml"))
}
BOOK = RuleBook(RULES.values())
HUB = "lln.internal"
COUNTIES = RULES["five-counties"].sources[0].issuers_within
AUGUST, SEPTEMBER = date(2026, 8, 31), date(2026, 9, 1)


def certificate(name: str, **changed) -> SourceLot:
    plain = SourceLot(
        id=f"lot:{name}",
        achievement=f"certificate:{name}",
        issuer="post.lln.internal",
        kind="vocational_training",
        unit="certificate",
        granted=100,
        available=100,
        achieved_on=date(2025, 5, 20),
    )
    return structs.replace(plain, **changed)


def community(county: str, amount: int = 150, **changed) -> SourceLot:
    plain = certificate("x", id=f"lot:{county}", achievement="community:tea", issuer=county, kind="other_non_formal")
    return structs.replace(plain, unit="credit", granted=amount, available=amount, **changed)


def test_the_sample_rules_multiply_nothing():
    assert find_gain_cycle(RULES.values()) is None


def test_a_courier_certificate_becomes_three_logistics_courses_of_eight_credits_once():
    owned = certificate("postal-courier")
    found = evaluate(BOOK, [owned], Facts(receiver=HUB), SEPTEMBER)
    (granted,) = found.grants
    assert [each.amount for each in granted.credits] == [300, 300, 200]
    assert {(each.kind, each.unit) for each in granted.credits} == {("formal", "credit")}
    assert [(each.lot_id, each.amount) for each in granted.consumed] == [(owned.id, 100)]
    assert found.refusals == ()

    used = ConsumedScope(lot_id=owned.id, scope_key=granted.scope_key)
    for receiver in (HUB, "nju.lln.internal"):
        again = evaluate(BOOK, [owned], Facts(receiver=receiver, consumed=(used,)), SEPTEMBER)
        assert [each.code for each in again.refusals] == ["already_consumed"]
    spent = structs.replace(owned, available=0)
    assert [each.code for each in evaluate(BOOK, [spent], Facts(receiver=HUB), SEPTEMBER).refusals] == [
        "nothing_available"
    ]


def test_two_institutions_that_convert_one_certificate_at_once_cannot_both_reserve_it():
    """Each decides on what it knows; the issuer of the certificate, the one writer of its lot, lets in the first."""
    owned = certificate("postal-courier")
    ledger = lots.grant(owned.id, amount=100, unit="certificate", at_ms=0).ledger
    asked = []
    for receiver in (HUB, "nju.lln.internal"):
        granted = evaluate(BOOK, [owned], Facts(receiver=receiver), SEPTEMBER).grants[0]
        asked.append(
            Reservation(
                id=f"r-{receiver}",
                lot_id=owned.id,
                scope_key=granted.scope_key,
                amount=granted.consumed[0].amount,
                unit="certificate",
                receiver=receiver,
                rule=granted.rule,
                case_id="case",
                deadline_ms=60_000,
            )
        )
    ledger = lots.reserve(ledger, asked[0], record_state="active", at_ms=1).ledger
    with pytest.raises(ScopeUsed):
        lots.reserve(ledger, asked[1], record_state="active", at_ms=2)


def test_an_accounting_certificate_becomes_one_course_of_four_credits():
    found = evaluate(BOOK, [certificate("accounting")], Facts(receiver="csmzxy.hunan.lln.internal"), SEPTEMBER)
    assert [[(each.achievement, each.amount) for each in grant.credits] for grant in found.grants] == [
        [("course:basic-accounting", 400)]
    ]


def test_a_calligraphers_membership_is_converted_only_where_a_rule_says_so():
    owned = certificate(
        "membership",
        achievement="membership:calligraphers-zhejiang",
        kind="unformatted",
        unit="membership",
        granted=0,
        available=0,
    )
    inside = evaluate(BOOK, [owned], Facts(receiver="jiashan.jiaxing.zhejiang.lln.internal"), SEPTEMBER)
    (granted,) = inside.grants
    assert [each.amount for each in granted.credits] == [200]
    assert granted.review is not None
    assert (granted.review.reviewers, granted.review.notice_days) == (2, 7)
    assert granted.consumed[0].amount == 0

    outside = evaluate(BOOK, [owned], Facts(receiver="jinshan.shanghai.lln.internal"), SEPTEMBER)
    assert [each.code for each in outside.refusals] == ["rule_of_another_authority"]
    others = RuleBook(rule for name, rule in RULES.items() if name != "calligraphers-membership")
    assert [each.code for each in evaluate(others, [owned], Facts(receiver=HUB), SEPTEMBER).refusals] == ["no_rule"]


@pytest.mark.parametrize("receiver", COUNTIES)
def test_five_counties_recognise_each_others_community_courses(receiver):
    found = evaluate(BOOK, [community(county) for county in COUNTIES], Facts(receiver=receiver), SEPTEMBER)
    assert sorted(grant.consumed[0].lot_id for grant in found.grants) == sorted(
        f"lot:{county}" for county in COUNTIES if county != receiver
    )
    assert all(grant.credits[0].amount == 150 and grant.consumed[0].amount == 0 for grant in found.grants)
    assert [(each.code, each.lot_ids) for each in found.refusals] == [("own_credit", (f"lot:{receiver}",))]


def test_what_was_recognised_is_not_recognised_again():
    there, here = COUNTIES[0], COUNTIES[1]
    recognised = community(there, achievement="community:recognised", is_converted=True)
    found = evaluate(BOOK, [recognised], Facts(receiver=here), SEPTEMBER)
    assert [each.code for each in found.refusals] == ["converted_source"]


def test_recognition_stops_at_ten_credits_a_county():
    many = [community(COUNTIES[0], 400, id=f"lot:{n}") if n else community(COUNTIES[0], 400) for n in range(4)]
    found = evaluate(BOOK, many, Facts(receiver=COUNTIES[1]), SEPTEMBER)
    assert [grant.credits[0].amount for grant in found.grants] == [400, 400, 200]
    assert [each.code for each in found.refusals] == ["cap_reached"]


@pytest.mark.parametrize(
    ("as_of", "version", "granted", "spent"), [(AUGUST, 1, 250, 4_000), (SEPTEMBER, 2, 200, 3_600)]
)
def test_august_goes_by_the_first_version_and_september_by_the_second(as_of, version, granted, spent):
    hours = certificate("x", achievement="training:express", unit="hour", granted=4_000, available=4_000, score=8_000)
    (grant,) = evaluate(BOOK, [hours], Facts(receiver=HUB, programme="p"), as_of).grants
    assert grant.rule.version == version
    assert grant.credits[0].amount == granted
    assert grant.consumed[0].amount == spent
