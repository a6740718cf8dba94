"""What a conversion grants and refuses, with which reason, and that nothing is granted twice or beyond a cap."""

import random
import re
from collections import Counter
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from federation import canonical
from federation.amounts import LevelCrosswalk, LevelScheme, QualificationLevel, Ratio, Scales
from federation.conversion import (
    ConsumedScope,
    EarnedHere,
    Facts,
    PriorGrant,
    RuleBook,
    SourceMark,
    evaluate,
)
from federation.conversion_refusals import SENTENCES
from federation.conversion_rules import Cap, Residency, ReviewMode, RuleChanged, TableRow, digest_of
from federation.conversion_terms import is_older
from tests.support.conversions import HERE, ISSUERS, SCHOOL, TITLE, TODAY, lot, lots, rule, rules, source, target


def amounts_of(evaluation):
    return [[each.amount for each in grant.credits] for grant in evaluation.grants]


def codes_of(evaluation):
    return [each.code for each in evaluation.refusals]


def spent_by(evaluation):
    return [[(each.lot_id, each.amount) for each in grant.consumed] for grant in evaluation.grants]


def level(text):
    return QualificationLevel(scheme=text[0], value=text[1:])


SCALES = Scales(
    schemes=tuple(LevelScheme(scheme=each, title=TITLE, values=("1", "2", "3")) for each in "ABC"),
    level_crosswalks=(LevelCrosswalk(from_scheme="A", to_scheme="B", pairs=(("1", "1"), ("3", "2"))),),
)
PRIOR = PriorGrant(
    rule_id="r",
    sources=(SourceMark(achievement="x:0", issuer=ISSUERS[0]),),
    unit="credit",
    amount=700,
    granted_on=date(2026, 3, 15),
    exclusion_groups=("g",),
)
USED = ConsumedScope(lot_id="l1", scope_key=f"programme|{SCHOOL}|")
BEFORE = Facts(receiver=SCHOOL, granted=(PRIOR,))


# --- what is granted -------------------------------------------------------------------------------------------------


def test_a_grant_names_what_it_takes_what_it_gives_and_by_which_rule():
    halving = rule(targets=(target(ratio=Ratio(1, 3)),), rounding="down", step=50, review=ReviewMode(reviewers=2))
    grant = evaluate([halving], [lot()], HERE, TODAY).grants[0]
    assert [(each.lot_id, each.amount) for each in grant.consumed] == [("l1", 800)]
    assert (grant.credits[0].exact, grant.credits[0].amount) == ((800, 3), 250)
    assert grant.rule.digest == digest_of(halving)
    assert grant.scope_key == f"programme|{SCHOOL}|"
    assert (grant.review, grant.cascade) == (ReviewMode(reviewers=2), "flag")


@pytest.mark.parametrize(
    ("rounding", "step", "amount", "granted"),
    [
        ("down", 50, 799, 750),
        ("half_up", 50, 775, 800),
        ("half_up", 50, 774, 750),
        ("half_up", 1, 799, 799),
        ("none", 50, 750, 750),
    ],
)
def test_amounts_are_rounded_as_the_rule_says(rounding, step, amount, granted):
    found = evaluate([rule(rounding=rounding, step=step)], [lot(amount=amount)], HERE, TODAY)
    assert amounts_of(found) == [[granted]]


def test_one_lot_may_become_several_courses():
    several = rule(targets=tuple(target(achievement=f"y{n}", ratio=Ratio(n, 8)) for n in (3, 3, 2)))
    found = evaluate([several], [lot()], HERE, TODAY)
    assert amounts_of(found) == [[300, 300, 200]]
    assert spent_by(found) == [[("l1", 800)]]


def test_several_lots_together_become_one_oldest_first():
    joining = rule(sources=(source(count=2), source(name="thesis", achievements=("t",))))
    given_lots = [
        lot("new", 100, achieved_on=date(2026, 7, 1)),
        lot("old", 200, achieved_on=date(2026, 2, 1)),
        lot("mid", 300, achieved_on=date(2026, 3, 1)),
        lot("thesis", 400, achievement="t"),
    ]
    found = evaluate([joining], given_lots, HERE, TODAY)
    assert spent_by(found) == [[("old", 200), ("mid", 300), ("thesis", 400)]]
    assert amounts_of(found) == [[900]]
    assert [(each.code, each.lot_ids) for each in found.refusals] == [("sources_incomplete", ("new",))]


def test_a_lot_that_fits_two_sources_is_put_where_it_is_needed():
    either = rule(sources=(source(achievements=("x*",)), source(name="b", achievements=("x1",))))
    found = evaluate([either], [lot("a", achievement="x1"), lot("b", achievement="x2")], HERE, TODAY)
    assert spent_by(found) == [[("a", 800), ("b", 800)]]


def test_full_sets_are_granted_as_often_as_there_are_lots():
    pairs = rule(sources=(source(count=2),))
    found = evaluate([pairs], [lot(f"l{n}", 100) for n in range(5)], HERE, TODAY)
    assert spent_by(found) == [[("l0", 100), ("l1", 100)], [("l2", 100), ("l3", 100)]]
    assert codes_of(found) == ["sources_incomplete"]


TABLE = (
    TableRow(grade="优秀", amount=400),
    TableRow(score_from=6_000, amount=200),
    TableRow(score_from=8_500, amount=300),
)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"grade": "优秀", "score": 0}, [[400]]),
        ({"score": 6_000}, [[200]]),
        ({"score": 8_499, "grade": "良好"}, [[200]]),
        ({"score": 10_000}, [[300]]),
        ({"score": 5_999}, ["score_too_low"]),
        ({"score": 380, "score_scale": "four_point"}, ["score_not_comparable"]),
        ({}, ["score_missing"]),
    ],
)
def test_a_table_gives_by_grade_or_by_score(result, told):
    by_table = rule(sources=(source(minimum_amount=1),), targets=(target(table=TABLE),))
    found = evaluate([by_table], [lot(**result)], HERE, TODAY)
    assert amounts_of(found) + codes_of(found) == told


def test_a_grade_that_a_table_of_grades_does_not_have_is_refused():
    by_grade = rule(sources=(source(minimum_amount=1),), targets=(target(table=TABLE[:1]),))
    assert codes_of(evaluate([by_grade], [lot(grade="良好")], HERE, TODAY)) == ["grade_not_in_table"]
    assert codes_of(evaluate([by_grade], [lot()], HERE, TODAY)) == ["score_missing"]


# --- how much is consumed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("consumption", "spent"), [("whole", 790), ("proportional", 750), ("none", 0)])
def test_a_lot_is_consumed_as_the_rule_says(consumption, spent):
    found = evaluate([rule(consumption=consumption, rounding="down", step=50)], [lot(amount=790)], HERE, TODAY)
    assert amounts_of(found) == [[750]]
    assert spent_by(found) == [[("l1", spent)]]


def test_what_one_rule_consumes_the_next_does_not_find():
    two = [rule(id="a", once_per="rule"), rule(id="b", once_per="rule")]
    found = evaluate(two, [lot()], HERE, TODAY)
    assert [grant.rule.id for grant in found.grants] == ["a"]
    assert [(each.code, each.rule) for each in found.refusals] == [("nothing_available", "b@1")]


@pytest.mark.parametrize(
    ("once_per", "again"),
    [("network", []), ("receiver", []), ("programme", ["other"]), ("rule", ["other", "same"])],
)
def test_a_lot_counts_once_in_its_scope(once_per, again):
    def granted(rule_id, programme, consumed):
        facts = Facts(receiver=SCHOOL, programme=programme, consumed=consumed)
        one = rule(id=rule_id, once_per=once_per, consumption="none")
        return evaluate([one], [lot()], facts, TODAY).grants

    first = granted("r", "p", ())[0]
    consumed = (ConsumedScope(lot_id="l1", scope_key=first.scope_key),)
    assert not granted("r", "p", consumed)
    assert bool(granted("r", "q", consumed)) == ("other" in again)
    assert bool(granted("r2", "p", consumed)) == ("same" in again)


# --- why not ---------------------------------------------------------------------------------------------------------

REFUSED = [
    ("no_rule", rule(), lot(achievement="w"), HERE),
    ("no_rule", rule(sources=(source(issuers=(ISSUERS[1],)),)), lot(), HERE),
    ("no_rule", rule(sources=(source(issuers_within=(ISSUERS[1],)),)), lot(), HERE),
    ("no_rule", rule(sources=(source(kinds=("formal",)),)), lot(), HERE),
    ("no_rule", rule(sources=(source(unit="hour"),)), lot(), HERE),
    ("no_rule", rule(sources=(source(level_scheme="A"),)), lot(level=level("B1")), HERE),
    ("rule_not_yet_valid", rule(valid_from=date(2026, 9, 16)), lot(), HERE),
    ("rule_no_longer_valid", rule(valid_until=date(2026, 9, 14)), lot(), HERE),
    ("rule_of_another_authority", rule(authority="other.lln.internal"), lot(), HERE),
    ("record_suspended", rule(), lot(record_state="suspended"), HERE),
    ("record_revoked", rule(), lot(record_state="revoked"), HERE),
    ("record_superseded", rule(), lot(record_state="superseded"), HERE),
    ("record_expired", rule(), lot(record_state="expired"), HERE),
    ("record_expired", rule(), lot(expires_on=date(2026, 9, 14)), HERE),
    ("converted_source", rule(), lot(is_converted=True), HERE),
    ("own_credit", rule(sources=(source(from_others=True),)), lot(issuer=SCHOOL), HERE),
    ("achieved_later", rule(), lot(achieved_on=date(2026, 9, 16)), HERE),
    ("too_old", rule(sources=(source(maximum_age_months=3),)), lot(), HERE),
    ("score_missing", rule(sources=(source(minimum_score=6_000),)), lot(), HERE),
    ("score_not_comparable", rule(sources=(source(minimum_score=6_000),)), lot(score=400, score_scale="gpa"), HERE),
    ("score_too_low", rule(sources=(source(minimum_score=6_000),)), lot(score=5_999), HERE),
    ("level_missing", rule(sources=(source(minimum_level=level("A2")),)), lot(), HERE),
    ("level_not_comparable", rule(sources=(source(minimum_level=level("A2")),)), lot(level=level("C3")), HERE),
    ("level_too_low", rule(sources=(source(minimum_level=level("A2")),)), lot(level=level("A1")), HERE),
    ("level_too_low", rule(sources=(source(minimum_level=level("A3")),)), lot(level=level("B1")), HERE),
    ("nothing_available", rule(), lot(available=0), HERE),
    ("too_small", rule(sources=(source(minimum_amount=801),)), lot(), HERE),
    ("whole_only", rule(whole_only=True), lot(available=799), HERE),
    ("already_consumed", rule(), lot(), structs.replace(HERE, consumed=(USED,))),
    ("sources_incomplete", rule(sources=(source(count=2),)), lot(), HERE),
    ("not_exact", rule(targets=(target(ratio=Ratio(1, 3)),)), lot(), HERE),
    ("below_step", rule(rounding="down", step=900), lot(), HERE),
    ("too_large", rule(targets=(target(ratio=Ratio(2, 1)),)), lot(amount=10**9), HERE),
    ("excluded_by_group", rule(exclusion_groups=("g",)), lot(), BEFORE),
    ("cap_reached", rule(caps=(Cap(per="source", amount=700, unit="credit"),)), lot(), BEFORE),
    ("cap_reached", rule(caps=(Cap(per="source", amount=1_400, unit="credit"),), whole_only=True), lot(), BEFORE),
    ("cap_reached", rule(caps=(Cap(per="institution", amount=700, unit="credit"),)), lot(achievement="x:0"), BEFORE),
    ("cap_reached", rule(caps=(Cap(per="programme", amount=700, unit="credit"),)), lot(issuer=ISSUERS[1]), BEFORE),
    ("cap_reached", rule(caps=(Cap(per="period", months=6, amount=700, unit="credit"),)), lot(), BEFORE),
    ("residency_amount", rule(residency=Residency(unit="credit", minimum_amount=1)), lot(), HERE),
    ("residency_share", rule(residency=Residency(unit="credit", minimum_share=Ratio(1, 3))), lot(), HERE),
]


@pytest.mark.parametrize(("code", "by", "of", "facts"), REFUSED)
def test_a_refusal_says_why_in_two_languages(code, by, of, facts):
    facts = structs.replace(facts, scales=SCALES)
    found = evaluate([by], [of], facts, TODAY)
    assert codes_of(found) == [code]
    assert found.grants == ()
    refusal = found.refusals[0]
    assert refusal.lot_ids == ("l1",)
    assert refusal.rule == ("" if code == "no_rule" else "r@1")
    assert refusal.zh.endswith("。")
    assert refusal.en.endswith(".")
    assert not re.search(r"[{}]", refusal.zh + refusal.en)


def test_every_refusal_is_met():
    assert {code for code, *_ in REFUSED} | {"grade_not_in_table"} == set(SENTENCES)


@pytest.mark.parametrize(
    ("by", "of", "facts"),
    [
        (rule(sources=(source(minimum_level=level("A3")),)), lot(level=level("B2")), HERE),
        (rule(sources=(source(minimum_score=6_000),)), lot(score=6_000), HERE),
        (rule(sources=(source(maximum_age_months=3),)), lot(achieved_on=date(2026, 6, 15)), HERE),
        (rule(converted_sources=True), lot(is_converted=True), HERE),
        (rule(sources=(source(from_others=True),)), lot(), HERE),
        (rule(authority=SCHOOL), lot(expires_on=TODAY), HERE),
        (rule(exclusion_groups=("h",)), lot(), BEFORE),
        (rule(exclusion_groups=("g",)), lot(), structs.replace(BEFORE, programme="p")),
        (rule(caps=(Cap(per="programme", amount=800, unit="credit"),)), lot(), structs.replace(BEFORE, programme="p")),
        (rule(caps=(Cap(per="period", months=5, amount=800, unit="credit"),)), lot(), BEFORE),
        (rule(caps=(Cap(per="institution", amount=800, unit="credit"),)), lot(issuer=ISSUERS[1]), BEFORE),
        (rule(id="q", caps=(Cap(per="source", amount=800, unit="credit"),)), lot(), BEFORE),
        (
            rule(residency=Residency(unit="credit", minimum_amount=400, minimum_share=Ratio(1, 3))),
            lot(),
            Facts(receiver=SCHOOL, earned_here=(EarnedHere(unit="credit", amount=400),)),
        ),
    ],
)
def test_what_just_meets_the_terms_is_granted(by, of, facts):
    assert amounts_of(evaluate([by], [of], structs.replace(facts, scales=SCALES), TODAY)) == [[800]]


# --- caps ------------------------------------------------------------------------------------------------------------


def test_a_cap_cuts_one_amount_to_what_there_is_room_for():
    capped = rule(caps=(Cap(per="source", amount=1_275, unit="credit"),), rounding="down", step=50)
    found = evaluate([structs.replace(capped, consumption="proportional")], [lot()], BEFORE, TODAY)
    assert amounts_of(found) == [[550]]
    assert spent_by(found) == [[("l1", 550)]]
    assert found.grants[0].credits[0].exact == (800, 1)
    assert "cut" in [step.step for step in found.trace]


def test_a_cap_counts_what_was_granted_in_the_same_evaluation_and_by_other_rules():
    caps = (Cap(per="programme", amount=1_000, unit="credit", over="all_rules"),)
    found = evaluate([rule(id=each, caps=caps) for each in "ab"], [lot("l1"), lot("l2")], HERE, TODAY)
    assert amounts_of(found) == [[800], [200]]
    two = [rule(id="a", caps=caps), rule(id="b", caps=caps, sources=(source(achievements=("z",)),))]
    found = evaluate(two, [lot("l1"), lot("l2", achievement="z")], HERE, TODAY)
    assert amounts_of(found) == [[800], [200]]


def test_a_cap_does_not_cut_where_several_courses_are_given():
    both = rule(targets=(target(), target(achievement="y2")), caps=(Cap(per="programme", amount=1_000, unit="credit"),))
    found = evaluate([both], [lot()], HERE, TODAY)
    assert codes_of(found) == ["cap_reached"]
    assert "10" in found.refusals[0].en
    assert "16" in found.refusals[0].en


@pytest.mark.parametrize(
    ("day", "months", "as_of", "told"),
    [
        ("2026-01-31", 1, "2026-02-28", False),
        ("2026-01-31", 1, "2026-03-01", True),
        ("2026-06-15", 3, "2026-09-15", False),
        ("2026-06-14", 3, "2026-09-15", True),
        ("2025-12-31", 12, "2026-12-31", False),
        ("2025-12-31", 12, "2027-01-01", True),
    ],
)
def test_months_are_counted_by_the_calendar(day, months, as_of, told):
    assert is_older(date.fromisoformat(day), months, date.fromisoformat(as_of)) == told


# --- versions --------------------------------------------------------------------------------------------------------


def test_of_several_versions_the_one_in_force_decides_and_the_nearest_explains():
    first = rule(valid_until=date(2026, 8, 31))
    second = rule(version=2, valid_from=date(2026, 10, 1), valid_until=date(2026, 10, 31))
    for day, told in (
        (date(2026, 8, 31), ["r@1"]),
        (date(2026, 10, 1), ["r@2"]),
        (date(2026, 9, 1), ["rule_no_longer_valid r@1"]),
        (date(2026, 11, 1), ["rule_no_longer_valid r@2"]),
        (date(2025, 12, 31), ["rule_not_yet_valid r@1"]),
    ):
        found = evaluate([second, first], [lot(achieved_on=date(2025, 1, 1))], HERE, day)
        granted = [str(grant.rule) for grant in found.grants]
        assert granted + [f"{each.code} {each.rule}" for each in found.refusals] == told


def test_a_version_with_two_contents_is_refused():
    with pytest.raises(RuleChanged):
        RuleBook([rule(), rule(step=2)])
    assert len(RuleBook([rule(), rule()]).on(TODAY).rules) == 1


def test_of_many_rules_exactly_those_that_take_a_lot_are_asked():
    named = [rule(id=f"n{n}", sources=(source(achievements=(f"x{n}", "both")),)) for n in range(20)]
    wide = [
        rule(id="begins", sources=(source(achievements=("x1*",)),)),
        rule(id="kind", sources=(source(achievements=(), kinds=("formal",)),)),
    ]
    given_lots = [lot("a", achievement="x13"), lot("b", achievement="both", kind="formal")]
    together = evaluate([*named, *wide], given_lots, HERE, TODAY)
    asked = [each for one in (*named, *wide) for each in evaluate([one], given_lots, HERE, TODAY).trace if each.rule]
    assert {each.rule for each in together.trace} - {""} == {each.rule for each in asked}
    assert [grant.rule.id for grant in together.grants] == ["begins", "kind"]


# --- anything --------------------------------------------------------------------------------------------------------

RULES = st.tuples(rules("a"), rules("b"), rules("c"))
FACTS = st.builds(
    Facts,
    receiver=st.just(SCHOOL),
    programme=st.sampled_from(("", "p")),
    granted=st.sampled_from(((), (structs.replace(PRIOR, rule_id="a"),))),
    earned_here=st.sampled_from(((), (EarnedHere(unit="credit", amount=2_000),))),
    scales=st.just(SCALES),
)


@given(RULES, lots(), FACTS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(given_rules, given_lots, facts, shuffling: random.Random):
    first = evaluate(given_rules, given_lots, facts, TODAY)
    again = evaluate(
        shuffling.sample(given_rules, len(given_rules)), shuffling.sample(given_lots, len(given_lots)), facts, TODAY
    )
    assert again == first
    assert again.trace_bytes() == first.trace_bytes()
    assert canonical.encode(first) == canonical.encode(again)


@given(RULES, lots(), FACTS)
def test_nothing_is_granted_beyond_caps_balances_and_scopes(given_rules, given_lots, facts):
    found = evaluate(given_rules, given_lots, facts, TODAY)
    spent, scopes = Counter(), Counter()
    for grant in found.grants:
        for each in grant.consumed:
            assert each.amount >= 0
            spent[each.lot_id] += each.amount
            scopes[each.lot_id, grant.scope_key] += 1
    assert all(spent[each.id] <= each.available for each in given_lots)
    assert not scopes or max(scopes.values()) == 1
    by_id = {each.id: each for each in given_rules}
    for grant in found.grants:
        by = by_id[grant.rule.id]
        assert all(each.amount % by.step == 0 and each.amount > 0 for each in grant.credits)
        for cap in by.caps:
            check_cap(cap, by, grant, found, facts)


def check_cap(cap, by, grant, found, facts):
    """Count again, in another way, what stands under a cap after a grant; earlier ones by other rules may exceed it."""
    until = found.grants.index(grant) + 1
    prior = [*facts.granted, *(each for one in found.grants[:until] for each in one.prior)]
    counted = [p for p in prior if p.unit == cap.unit and (cap.over == "all_rules" or p.rule_id == by.id)]
    if cap.per == "programme":
        counted = [p for p in counted if p.programme == facts.programme]
    elif cap.per == "period":
        counted = [p for p in counted if not is_older(p.granted_on, cap.months, TODAY)]
    else:
        mine = [(m.issuer, m.achievement) for p in grant.prior for m in p.sources]
        if cap.per == "institution":
            counted = [p for p in counted if {m.issuer for m in p.sources} & {mine[0][0]}]
        else:
            counted = [p for p in counted if mine[0] in [(m.issuer, m.achievement) for m in p.sources]]
    if any(p.unit == cap.unit for p in grant.prior):
        assert sum(p.amount for p in counted) <= cap.amount


@given(RULES, lots(), FACTS)
def test_every_lot_is_spent_or_explained_and_the_trace_tells_both(given_rules, given_lots, facts):
    found = evaluate(given_rules, given_lots, facts, TODAY)
    told = {each for refusal in found.refusals for each in refusal.lot_ids}
    told |= {each.lot_id for grant in found.grants for each in grant.consumed}
    assert told == {each.id for each in given_lots}
    steps = Counter(step.step for step in found.trace)
    assert steps["grant"] == len(found.grants)
    assert steps["refuse"] == len(found.refusals)
    assert evaluate(RuleBook(given_rules), given_lots, facts, TODAY).trace_bytes() == found.trace_bytes()


@given(RULES, lots(), FACTS)
def test_a_second_evaluation_with_what_the_first_did_grants_nothing_again(given_rules, given_lots, facts):
    first = evaluate(given_rules, given_lots, facts, TODAY)
    spent = Counter()
    for grant in first.grants:
        spent.update({each.lot_id: each.amount for each in grant.consumed})
    after = structs.replace(
        facts,
        granted=(*facts.granted, *(each for grant in first.grants for each in grant.prior)),
        consumed=tuple(
            ConsumedScope(lot_id=each.lot_id, scope_key=grant.scope_key)
            for grant in first.grants
            for each in grant.consumed
        ),
    )
    left = [structs.replace(each, available=each.available - spent[each.id]) for each in given_lots]
    taken = {(each.lot_id, grant.scope_key) for grant in first.grants for each in grant.consumed}
    for grant in evaluate(given_rules, left, after, TODAY).grants:
        assert not taken & {(each.lot_id, grant.scope_key) for each in grant.consumed}
