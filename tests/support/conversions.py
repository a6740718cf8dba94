"""Rules and lots for tests: a plain one of each, and strategies for any.

What lives here: short ways to write them, and a writer of rule files for round trips. What must not: expectations.
"""

from datetime import date, timedelta
from random import Random

from hypothesis import strategies as st
from msgspec import structs

from federation.amounts import QualificationLevel, Ratio, written
from federation.catalogue import BilingualLine
from federation.conversion import Facts, SourceLot
from federation.conversion_rules import (
    Cap,
    ConversionRule,
    Residency,
    ReviewMode,
    Source,
    TableRow,
    Target,
    check_rule,
)

TITLE = BilingualLine(zh="示例", en="Sample")
ROOT = "lln.internal"
SCHOOL = "school.lln.internal"
ISSUERS = ("a.lln.internal", "b.lln.internal", "c.b.lln.internal")
TODAY = date(2026, 9, 15)
HERE = Facts(receiver=SCHOOL)


def source(**changed) -> Source:
    return Source(**{"name": "source", "achievements": ("x:0",), "unit": "credit", **changed})


def target(**changed) -> Target:
    plain = {"achievement": "y:0", "version": 1, "title": TITLE, "kind": "formal", "unit": "credit"}
    how_much = {} if {"amount", "table"} & changed.keys() else {"ratio": Ratio(1, 1)}
    return Target(**{**plain, **how_much, **changed})


def rule(**changed) -> ConversionRule:
    plain = {"id": "r", "version": 1, "authority": ROOT, "title": TITLE, "valid_from": date(2026, 1, 1)}
    return ConversionRule(**{**plain, "sources": (source(),), "targets": (target(),), **changed})


def lot(name="l1", amount=800, **changed) -> SourceLot:
    plain = {"achievement": "x:0", "issuer": ISSUERS[0], "kind": "vocational_training", "unit": "credit"}
    when = {"achieved_on": date(2026, 6, 1)}
    return SourceLot(**{"id": name, **plain, "granted": amount, "available": amount, **when, **changed})


# --- any -------------------------------------------------------------------------------------------------------------
#
# Drawn from a seed: a strategy of this many parts costs Hypothesis a hundred times what is tested.

SEEDS = st.integers(0, 2**40)
KINDS = ("formal", "vocational_training", "other_non_formal", "unformatted")
ACHIEVEMENTS = ("x:1", "x:2", "y:1", "z:1")
PATTERNS = ("x:1", "x:2", "x:*", "y:*", "z:1")


def rules(name: str = "r"):
    """Sound rules of every sort."""
    return SEEDS.map(lambda seed: any_rule(Random(seed), name))  # noqa: S311  # not a secret


def lots():
    """Lots with ids of their own, in no order."""
    return SEEDS.map(lambda seed: any_lots(Random(seed)))  # noqa: S311  # not a secret


def any_rule(draw: Random, name: str) -> ConversionRule:
    pick = draw.choice
    drawn = ConversionRule(
        id=name,
        version=pick((1, 2, 3)),
        authority=pick((*(ROOT,) * 8, SCHOOL, ISSUERS[0])),
        title=TITLE,
        valid_from=pick((date(2026, 1, 1), date(2026, 9, 15), date(2026, 9, 15), date(2026, 9, 16))),
        valid_until=pick((None, None, date(2026, 11, 1))),
        sources=tuple(_any_source(draw, f"s{at}") for at in range(pick((1, 1, 1, 1, 2, 3)))),
        targets=tuple(_any_target(draw) for _ in range(pick((1, 1, 2, 3)))),
        consumption=pick(("whole", "proportional", "none")),
        once_per=pick(("network", "receiver", "programme", "rule")),
        rounding=pick(("down", "half_up", "half_up", "none")),
        step=pick((1, 50, 100)),
        whole_only=pick((False,) * 4 + (True,)),
        converted_sources=pick((False, True)),
        caps=tuple(_any_cap(draw) for _ in range(pick((0, 0, 1, 3)))),
        residency=pick((None, None, None, _any_residency(draw))),
        exclusion_groups=pick(((), (), ("g",))),
        cascade=pick(("flag", "cascade")),
        review=pick((None, ReviewMode(reviewers=2, notice_days=7))),
    )
    return _mended(drawn)


def _some(draw: Random, of: tuple, most: int, least: int = 0) -> tuple:
    return tuple(draw.sample(of, draw.randint(least, most)))


def _any_level(draw: Random):
    return draw.choice((None, QualificationLevel(scheme=draw.choice("AB"), value=draw.choice("123"))))


def _any_source(draw: Random, name: str) -> Source:
    pick = draw.choice
    return Source(
        name=name,
        achievements=_some(draw, PATTERNS, 3, 1),
        issuers=pick(((), (), (), (), _some(draw, ISSUERS, 2))),
        issuers_within=pick(((), (), (), (), (ISSUERS[1],))),
        from_others=pick((False, False, True)),
        kinds=pick(((), (), (), (), _some(draw, KINDS, 3))),
        unit="credit",
        level_scheme=pick((None,) * 9 + ("A",)),
        count=pick((1, 1, 1, 1, 2)),
        minimum_amount=pick((1, 1, draw.randrange(1, 500))),
        minimum_score=pick((None,) * 5 + (draw.randrange(10_000),)),
        minimum_level=pick((None,) * 5 + (_any_level(draw),)),
        maximum_age_months=pick((None,) * 5 + (draw.randrange(1, 36),)),
    )


def _any_target(draw: Random) -> Target:
    pick = draw.choice
    row = {"score_from": lambda: draw.randrange(10_000), "grade": lambda: pick(("优秀", "B", "C\"'\\"))}
    how_much = pick(
        (
            {"ratio": Ratio(draw.randint(1, 9), draw.randint(1, 9))},
            {"amount": draw.randrange(100, 2_000)},
            {
                "table": tuple(
                    TableRow(**{by: row[by]()}, amount=draw.randrange(2_000)) for by in _some(draw, tuple(row), 2, 1)
                )
            },
        )
    )
    return Target(
        achievement=pick(ACHIEVEMENTS),
        version=pick((1, 2)),
        title=TITLE,
        kind=pick(KINDS),
        unit=pick(("credit", "credit", "hour")),
        level=_any_level(draw),
        **how_much,
    )


def _any_cap(draw: Random) -> Cap:
    per = draw.choice(("source", "institution", "programme", "period"))
    months = draw.randint(1, 24) if per == "period" else None
    over = draw.choice(("rule", "all_rules"))
    return Cap(per=per, amount=draw.randrange(5_000), unit="credit", months=months, over=over)


def _any_residency(draw: Random) -> Residency:
    share = draw.choice((None, Ratio(1, 3)))
    return Residency(unit="credit", minimum_amount=draw.randrange(2_500), minimum_share=share)


def any_lots(draw: Random) -> list[SourceLot]:
    return [_any_lot(draw, f"l{name}") for name in draw.sample(range(100), draw.randrange(9))]


def _any_lot(draw: Random, name: str) -> SourceLot:
    pick, granted = draw.choice, draw.randrange(3_000)
    return SourceLot(
        id=name,
        granted=granted,
        available=granted * pick((0, 1, 2, 4, 4, 4, 4, 4)) // 4,
        record_state=pick(("active",) * 18 + ("suspended", "revoked")),
        achievement=pick(ACHIEVEMENTS),
        issuer=pick((*ISSUERS, SCHOOL)),
        kind=pick(KINDS),
        unit="credit",
        achieved_on=TODAY - timedelta(days=draw.randrange(900)),
        level=_any_level(draw),
        score=pick((None, draw.randrange(10_000), draw.randrange(6_000, 10_000))),
        grade=pick((None, "优秀", "B")),
        is_converted=pick((False,) * 5 + (True,)),
    )


def _mended(drawn: ConversionRule) -> ConversionRule:
    """A drawn rule with what does not go together put right, so that none has to be thrown away."""
    is_one_lot = sum(each.count for each in drawn.sources) == 1
    has_ratios = all(each.ratio for each in drawn.targets)
    targets = tuple(_mended_target(each, drawn.step, is_one_lot=is_one_lot) for each in drawn.targets)
    has_credit = any(each.unit == "credit" for each in targets)
    mended = structs.replace(
        drawn,
        targets=targets,
        consumption="whole"
        if drawn.consumption == "proportional" and not (is_one_lot and has_ratios)
        else drawn.consumption,
        caps=drawn.caps if has_credit else (),
        residency=drawn.residency if has_credit else None,
    )
    assert check_rule(mended) == ()
    return mended


def _mended_target(drawn: Target, step: int, *, is_one_lot: bool) -> Target:
    if drawn.table and not is_one_lot:
        return structs.replace(drawn, table=(), amount=step)
    rows = {row.grade if row.score_from is None else row.score_from: row for row in drawn.table}
    table = tuple(structs.replace(row, amount=row.amount // step * step) for row in rows.values())
    return structs.replace(drawn, table=table, amount=None if drawn.amount is None else drawn.amount // step * step)


# --- a rule file -----------------------------------------------------------------------------------------------------


def rule_file(given: ConversionRule) -> str:
    """A rule as TOML, with every key that it has."""
    head = _keys(given, ("title", "sources", "targets", "caps", "residency", "review"))
    head.append(f"title = {_inline(given.title)}")
    for each in given.sources:
        head += ["[[source]]", *_keys(each, ("minimum_level",))]
        head += [f"minimum_level = {_inline(each.minimum_level)}"] if each.minimum_level else []
    for each in given.targets:
        head += ["[[target]]", *_keys(each, ("title", "level", "table")), f"title = {_inline(each.title)}"]
        head += [f"level = {_inline(each.level)}"] if each.level else []
        for row in each.table:
            head += ["[[target.table]]", *_keys(row, ())]
    for each in given.caps:
        head += ["[[cap]]", *_keys(each, ())]
    for name in ("residency", "review"):
        if (each := getattr(given, name)) is not None:
            head += [f"[{name}]", *_keys(each, ())]
    return "\n".join(head) + "\n"


_HUNDREDTHS = ("amount", "minimum_amount", "minimum_score", "score_from", "step")


def _keys(struct, but: tuple[str, ...]) -> list[str]:
    found = {name: getattr(struct, name) for name in struct.__struct_fields__ if name not in but}
    return [f"{name} = {_value(name, each)}" for name, each in found.items() if each is not None]


def _value(name: str, value) -> str:
    if name in _HUNDREDTHS:
        return written(value)
    if isinstance(value, Ratio):
        return f"[{value.gives}, {value.takes}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_value("", each) for each in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def _inline(struct) -> str:
    return "{ " + ", ".join(_keys(struct, ())) + " }"
