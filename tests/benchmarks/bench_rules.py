"""How many conversions one core decides, and how long a set of rules takes to be judged.

Every decision is made whole: grants, refusals and the trace, from values in memory. CPU time of this process. What must
not live here: storing or signing what was decided.
"""

import random
import statistics
import time
from collections.abc import Callable
from datetime import date

from federation.amounts import Ratio
from federation.catalogue import BilingualLine
from federation.conversion import EarnedHere, Facts, PriorGrant, RuleBook, SourceLot, SourceMark, evaluate
from federation.conversion_rules import (
    Cap,
    ConversionRule,
    Residency,
    Source,
    Target,
    read_rule,
    write_rule,
)
from federation.rule_cycles import find_gain_cycle
from tests.benchmarks.load import Load
from tests.benchmarks.measuring import OTHERS_SHARE_MAX, SLICE_S, Figure, Flags, duration

NAME = "rules"
SMALLEST = {"RULES": 60, "LEARNER_LOTS": 2, "LEARNER_RULES": 3, "SLICE_S": 0.001}
AS_OF = date(2026, 9, 15)
TITLE = BilingualLine(zh="示例", en="Sample")
ROOT = "lln.internal"
RULES = 3_000
HALF = Ratio(1, 2)
LEARNER_RULES, LEARNER_LOTS = 200, 40


def run(flags: Flags) -> list[Figure]:
    one = RuleBook([rule_of("r", ["x"], "y")])
    several = RuleBook([demanding_rule()])
    hundreds = RuleBook([rule_of(f"r{n:03}", [f"x{n % 60}"], f"y{n}") for n in range(LEARNER_RULES)])
    sets = [lot_of("c1", "c", score=8_000), lot_of("c2", "c", score=9_000), lot_of("t", "t")]
    many = [lot_of(f"l{n}", f"x{n}") for n in range(LEARNER_LOTS)]
    facts = Facts(receiver="school.lln.internal")
    busy = Facts(receiver="school.lln.internal", granted=tuple(map(prior, range(20))), earned_here=(EARNED,))
    lot = lot_of("l1", "x")
    refused = lot_of("l1", "x", record_state="revoked")
    return [
        rate("one rule, one lot", lambda: evaluate(one, [lot], facts, AS_OF), flags, gate="≥ 50000", aim="≥ 100000"),
        rate("one rule, one lot refused", lambda: evaluate(one, [refused], facts, AS_OF), flags, gate="≥ 50000"),
        rate("three lots, two targets, caps, residency", lambda: evaluate(several, sets, busy, AS_OF), flags),
        rate(
            f"a learner's {LEARNER_LOTS} lots under {LEARNER_RULES} rules",
            lambda: evaluate(hundreds, many, facts, AS_OF),
            flags,
        ),
        rate("a trace as canonical JSON", evaluate(one, [lot], facts, AS_OF).trace_bytes, flags),
        reading(flags),
        *cycles(flags),
    ]


EARNED = EarnedHere(unit="credit", amount=5_000)


def rule_of(name: str, takes: list[str], gives: str, ratio: Ratio = HALF, **more) -> ConversionRule:
    return ConversionRule(
        id=name,
        version=1,
        authority=ROOT,
        title=TITLE,
        valid_from=date(2026, 1, 1),
        sources=tuple(Source(name=each, achievements=(f"urn:{each}",), unit="credit") for each in takes),
        targets=(
            Target(achievement=f"urn:{gives}", version=1, title=TITLE, kind="formal", unit="credit", ratio=ratio),
        ),
        rounding="down",
        **more,
    )


def demanding_rule() -> ConversionRule:
    sources = (
        Source(
            name="courses", achievements=("urn:c*",), unit="credit", count=2, minimum_score=6_000, maximum_age_months=60
        ),
        Source(name="thesis", achievements=("urn:t",), unit="credit", kinds=("vocational_training",)),
    )
    targets = [
        Target(achievement=f"urn:{name}", version=1, title=TITLE, kind="formal", unit="credit", ratio=Ratio(1, 4))
        for name in ("y1", "y2")
    ]
    return ConversionRule(
        id="r",
        version=1,
        authority=ROOT,
        title=TITLE,
        valid_from=date(2026, 1, 1),
        sources=sources,
        targets=tuple(targets),
        rounding="half_up",
        step=50,
        caps=(
            Cap(per="programme", amount=100_000, unit="credit", over="all_rules"),
            Cap(per="institution", amount=100_000, unit="credit"),
            Cap(per="period", months=12, amount=100_000, unit="credit"),
        ),
        residency=Residency(unit="credit", minimum_share=Ratio(1, 10)),
        exclusion_groups=("g",),
    )


def lot_of(name: str, achievement: str, **more) -> SourceLot:
    return SourceLot(
        id=name,
        achievement=f"urn:{achievement}",
        issuer="a.lln.internal",
        kind="vocational_training",
        unit="credit",
        granted=800,
        available=800,
        achieved_on=date(2026, 6, 1),
        **more,
    )


def prior(number: int) -> PriorGrant:
    mark = SourceMark(achievement=f"urn:c{number}", issuer="a.lln.internal")
    return PriorGrant(rule_id=f"r{number % 3}", sources=(mark,), unit="credit", amount=50, granted_on=date(2026, 3, 1))


# --- measuring -------------------------------------------------------------------------------------------------------


def rate(name: str, step: Callable[[], object], flags: Flags, *, gate: str = "", aim: str = "") -> Figure:
    """How often a step is done in a second of CPU: the median of the rounds."""
    before = Load.now()
    took_s = cpu_s(step, flags)
    share = Load.now().others_share_since(before)
    return Figure(
        name=name,
        ours=duration(took_s),
        rival_or_ceiling="",
        ratio=round(1 / took_s),
        gate=gate,
        aim=aim,
        unit="/s",
        disturbed=share is not None and share > OTHERS_SHARE_MAX,
        note="one core, CPU",
    )


def cpu_s(step: Callable[[], object], flags: Flags) -> float:
    calls, took_s = 1, 0.0
    while took_s < SLICE_S:
        calls *= 2
        took_s = repeated(step, calls)
    return statistics.median(repeated(step, calls) / calls for _ in range(flags.rounds))


def repeated(step: Callable[[], object], calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        step()
    return time.process_time() - started


def reading(flags: Flags) -> Figure:
    data = write_rule(demanding_rule())
    return rate("a rule read and checked", lambda: read_rule(data), flags)


def cycles(flags: Flags) -> list[Figure]:
    """Sets without a gain are the long way: every one of their cycles has to be cleared."""
    del flags
    draw = random.Random(7)  # noqa: S311  # the same rules each time
    worths = [draw.randint(1, 60) for _ in range(RULES // 2)]
    pairs = [draw.sample(range(len(worths)), 2) for _ in range(RULES)]
    tight = [
        rule_of(f"r{n}", [f"x{one}"], f"x{other}", Ratio(worths[one], worths[other]))
        for n, (one, other) in enumerate(pairs)
    ]
    length = RULES * 2 // 3
    chain = [rule_of(f"r{n}", [f"x{n}"], f"x{n + 1}", Ratio(99_991, 99_989)) for n in range(length)]
    chain.append(rule_of("back", [f"x{length}"], "x0", Ratio(1, 3)))
    return [cleared("at equal worth", tight), cleared("in one chain, each a little up", chain)]


def cleared(how: str, rules: list[ConversionRule]) -> Figure:
    started = time.process_time()
    found = find_gain_cycle(rules)
    took_s = time.process_time() - started
    return Figure(
        name=f"{len(rules):,} rules {how}, cleared of gain",
        ours=duration(took_s),
        rival_or_ceiling="",
        ratio=round(took_s * 1_000, 1),
        gate="≤ 1000",
        unit="ms",
        note="no gain" if found is None else f"a gain over {len(found)} rules",
    )
