"""Rules that give back more than they took are found, by the same measure as trying every cycle."""

from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.amounts import Ratio
from federation.conversion_rules import TableRow, check_rule
from federation.conversion_terms import rounded
from federation.rule_cycles import best_ratio, find_gain_cycle
from tests.support.conversions import rule, rules, source, target


def turning(name, takes, gives, ratio=(1, 1), **changed):
    """A rule from some achievements to some others."""
    return rule(
        id=name,
        sources=tuple(source(name=each, achievements=(each,)) for each in takes),
        targets=tuple(target(achievement=each, ratio=Ratio(*ratio)) for each in gives),
        rounding="down",
        **changed,
    )


def test_mutual_recognition_is_no_gain():
    counties = [turning(f"r{n}", "abcde", ["x"], (1, 1)) for n in range(5)] + [turning("back", "x", "abcde", (1, 5))]
    assert find_gain_cycle(counties) is None


def test_a_way_round_that_gains_is_named():
    assert find_gain_cycle([turning("one", "a", "b", (3, 2)), turning("two", "b", "a", (2, 3))]) is None
    found = find_gain_cycle([turning("two", "b", "a", (3, 4)), turning("one", "a", "b", (3, 2))])
    assert found == ("one@1", "two@1")
    assert find_gain_cycle([turning("self", "a", "a", (2, 1))]) == ("self@1",)


def test_turning_three_into_one_and_back_is_no_gain():
    joined = turning("join", "abc", ["d"])
    assert find_gain_cycle([joined, turning("split", "d", "abc", (1, 3))]) is None
    assert find_gain_cycle([joined, turning("split", "d", "abc", (1, 2))]) == ("join@1", "split@1")


def test_several_targets_are_counted_together():
    split = turning("split", "a", "xy", (1, 2))
    assert find_gain_cycle([split, turning("x", "x", "a"), turning("y", "y", "a")]) is None
    assert find_gain_cycle([split, turning("x", "x", "a", (2, 1))]) == ("split@1", "x@1")


def test_fixed_amounts_and_tables_count_at_their_best():
    def fixed(**how_much):
        return rule(
            id="fixed", sources=(source(achievements=("a",), minimum_amount=400),), targets=(target(**how_much),)
        )

    back = turning("back", ["y:0"], "a")
    assert find_gain_cycle([fixed(amount=400), back]) is None
    assert find_gain_cycle([fixed(amount=401), back]) == ("back@1", "fixed@1")
    table = (TableRow(grade="A", amount=500), TableRow(score_from=6_000, amount=100))
    assert find_gain_cycle([fixed(table=table), back]) == ("back@1", "fixed@1")


def test_something_for_nothing_is_found_wherever_it_is_in_a_cycle():
    free = rule(id="free", consumption="none", targets=(target(amount=1),), sources=(source(achievements=("a",)),))
    assert find_gain_cycle([free]) is None
    assert find_gain_cycle([free, turning("back", ["y:0"], "a", (1, 9))]) == ("back@1", "free@1")
    again = turning("again", "a", ["y:0"], (1, 9), consumption="none", converted_sources=True)
    assert find_gain_cycle([again, turning("back", ["y:0"], "a", (1, 9))]) == ("again@1", "back@1")


@pytest.mark.parametrize(
    ("changed", "can_take"),
    [
        ({"unit": "hour"}, False),
        ({"kinds": ("unformatted",)}, False),
        ({"kinds": ("formal", "unformatted")}, True),
        ({"level_scheme": "A"}, False),
        ({"issuers": ("b.other.internal",)}, False),
        ({"issuers": ("b.lln.internal",)}, True),
        ({"issuers_within": ("other.internal",)}, False),
        ({"issuers_within": ("internal.example", "b.lln.internal")}, True),
        ({"achievements": ("y*",)}, True),
        ({"achievements": ("*",)}, True),
        ({"achievements": ("yy*",)}, False),
        ({"achievements": (), "kinds": ("formal",)}, True),
    ],
)
def test_only_what_a_source_may_take_closes_a_cycle(changed, can_take):
    one = turning("one", "a", ["y:0"], (2, 1))
    given_source = source(**{"achievements": ("y:0",), **changed})
    two = rule(id="two", sources=(given_source,), targets=(target(achievement="a"),))
    assert (find_gain_cycle([one, two]) is not None) == can_take


def test_a_long_chain_that_gains_a_little_and_loses_it_again_is_judged_exactly():
    chain = [turning(f"r{n}", [f"a{n}"], [f"a{n + 1}"], (99_991, 99_989)) for n in range(300)]
    gained = Fraction(99_991, 99_989) ** 300
    low, high = Ratio(99_401, 100_000), Ratio(99_402, 100_000)
    assert low.fraction * gained < 1 < high.fraction * gained
    assert find_gain_cycle([*chain, turning("z", ["a300"], ["a0"], (low.gives, low.takes))]) is None
    found = find_gain_cycle([*chain, turning("z", ["a300"], ["a0"], (high.gives, high.takes))])
    assert found is not None
    assert len(found) == 301


# --- against trying everything ---------------------------------------------------------------------------------------

SMALL = st.lists(
    st.tuples(
        st.lists(st.sampled_from("abcd"), min_size=1, max_size=2, unique=True),
        st.lists(st.sampled_from("abcd"), min_size=1, max_size=2, unique=True),
        st.tuples(st.integers(1, 4), st.integers(1, 4)),
    ),
    max_size=5,
)


@given(SMALL)
def test_the_search_agrees_with_trying_every_cycle(drawn):
    small = [turning(f"r{at}", *each) for at, each in enumerate(drawn)]
    found = find_gain_cycle(small)
    assert (found is not None) == any(gain_of(ring) > 1 for ring in rings(small))
    assert found == find_gain_cycle(small[::-1])
    if found is not None:
        ring = [next(each for each in small if each.reference == name) for name in found]
        assert feeds_round(ring)
        assert gain_of(ring) > 1


def rings(given_rules):
    for length in range(1, len(given_rules) + 1):
        yield from (ring for ring in permutations(given_rules, length) if feeds_round(ring))


def feeds_round(ring) -> bool:
    pairs = zip(ring, [*ring[1:], ring[0]], strict=True)
    return all(
        {t.achievement for t in one.targets} & {s.achievements[0] for s in other.sources} for one, other in pairs
    )


def gain_of(ring) -> Fraction:
    gain = Fraction(1)
    for each in ring:
        gain *= sum(each_target.ratio.fraction for each_target in each.targets)
    return gain


@given(
    st.integers(1, 200), st.integers(1, 200), st.sampled_from((1, 50, 100)), st.integers(0, 500), st.integers(0, 3_000)
)
def test_no_amount_is_rounded_up_beyond_the_best_ratio(gives, takes, step, least, more):
    given_rule = rule(
        sources=(source(minimum_amount=least),),
        targets=(target(ratio=Ratio(gives, takes)),),
        rounding="half_up",
        step=step,
    )
    amount = max(least + more, 1)
    came = rounded((amount * gives, takes), given_rule)
    best = best_ratio(given_rule)
    assert best is not None
    if isinstance(came, int):
        assert Fraction(came, amount) <= best


def test_rounding_up_is_a_gain_only_where_it_can_be_used():
    def halves(least, step=100):
        sources = (source(achievements=("a",), minimum_amount=least),)
        there = rule(id="there", sources=sources, rounding="half_up", step=step)
        return find_gain_cycle([there, turning("back", ["y:0"], "a")])

    assert halves(0) == ("back@1", "there@1")  # 0.5 becomes 1
    assert halves(0, step=1) is None  # whole hundredths have nothing to round
    assert best_ratio(rule(rounding="half_up", step=100, sources=(source(minimum_amount=100),))) == Fraction(200, 150)


@given(st.lists(rules(), max_size=4))
def test_any_sound_rules_are_judged(given_rules):
    assert all(check_rule(each) == () for each in given_rules)
    found = find_gain_cycle(given_rules)
    assert found is None or set(found) <= {each.reference for each in given_rules}
