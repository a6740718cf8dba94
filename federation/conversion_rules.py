"""Conversion rules 转换规则: what is taken, what is given, up to which cap; immutable versions.

What lives here: the document of a rule, reading and digesting its canonical bytes, and which version holds on a day.
What must not: how a person writes one (`rule_toml.py`), whether a set of rules multiplies credits (`rule_cycles.py`),
or applying one (`conversion.py`).

Every amount and score is in integer hundredths, every date a day in China (what the calendar on the wall says).
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, structs

from federation import canonical
from federation.amounts import HUNDREDTHS_MAX, Hundredths, QualificationLevel, Ratio, SchemeId, Unit
from federation.catalogue import BilingualLine
from federation.credits import AchievementId, OutcomeKind
from federation.errors import Conflict, InvalidInput
from federation.naming import NameField

RULE_BYTES_MAX: Final = 65_536
LOTS_PER_SOURCE_MAX: Final = 16
LOTS_PER_GRANT_MAX: Final = 32  # as many as one receipt holds

Rounding = Literal["down", "half_up", "none"]
Consumption = Literal["whole", "proportional", "none"]
OncePer = Literal["network", "receiver", "programme", "rule"]
Cascade = Literal["flag", "cascade"]
CapPer = Literal["source", "institution", "programme", "period"]
CapOver = Literal["rule", "all_rules"]

RuleId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$", max_length=128)]
AchievementPattern = Annotated[
    str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9+.-]{0,31}:[A-Za-z0-9._:/@-]*\*?$", max_length=200)
]
"""An achievement's id, or its beginning followed by `*`."""
Grade = Annotated[str, Meta(min_length=1, max_length=32)]
ScoreScale = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Months = Annotated[int, Meta(ge=1, le=1_200)]
Version = Annotated[int, Meta(ge=1, le=1_000_000)]
GroupName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong in a rule: where ("source[2].unit", counted from 1), what to write, what was found."""

    place: str
    zh: str
    en: str
    found: str = ""
    line: int = 0

    def __str__(self) -> str:
        at = f"{self.place} (line {self.line})" if self.line else self.place
        return f"{at}: {self.zh} {self.en}" + (f" [{self.found}]" if self.found else "")


class UnreadableRule(InvalidInput):
    code = "LLN-1162"
    zh = "转换规则有写错的地方，没有采用。请按列出的位置逐条改正；每个键的写法见 docs/credits.md。"
    en = "The conversion rule has mistakes and was not taken. Correct each place listed; docs/credits.md has every key."

    def __init__(self, subject: str, mistakes: Sequence[Mistake]) -> None:
        super().__init__(subject, "; ".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)


class RuleChanged(Conflict):
    code = "LLN-1369"
    zh = "同一规则的同一版本有两种内容。已公布的版本不可改动；请把改动作为新的版本发布。"
    en = "One version of a rule has two contents. A version never changes; publish the change as a new version."


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which lots a rule takes: all that is said must hold; what is not said is free.

    The issuer is one of `issuers`, or stands at or below one of `issuers_within`; with `from_others` it is not the
    receiver. `count` lots of this sort are needed (n:1), with `minimum_amount` available in each. Scores compare on one
    `score_scale` only.
    """

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    achievements: Annotated[tuple[AchievementPattern, ...], Meta(max_length=64)] = ()
    issuers: Annotated[tuple[NameField, ...], Meta(max_length=64)] = ()
    issuers_within: Annotated[tuple[NameField, ...], Meta(max_length=64)] = ()
    from_others: bool = False
    kinds: Annotated[tuple[OutcomeKind, ...], Meta(max_length=4)] = ()
    unit: Unit
    level_scheme: SchemeId | None = None
    count: Annotated[int, Meta(ge=1, le=LOTS_PER_SOURCE_MAX)] = 1
    minimum_amount: Hundredths = 0
    minimum_score: Hundredths | None = None
    score_scale: ScoreScale = "percent"
    minimum_level: QualificationLevel | None = None
    maximum_age_months: Months | None = None


class TableRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`amount` for a grade, or for a score of at least `score_from`; exactly one of the two stands in a row."""

    grade: Grade | None = None
    score_from: Hundredths | None = None
    amount: Hundredths


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is given, and how much: exactly one of `ratio` (of all that is consumed), `amount` and `table`."""

    achievement: AchievementId
    version: Version
    title: BilingualLine
    kind: OutcomeKind
    unit: Unit
    level: QualificationLevel | None = None
    ratio: Ratio | None = None
    amount: Hundredths | None = None
    table: Annotated[tuple[TableRow, ...], Meta(max_length=64)] = ()


class Cap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The most that may be granted in `unit`, counting what was granted before.

    per `source`: from one achievement of one issuer; `institution`: from one issuer; `programme`: into the programme at
    hand; `period`: in the last `months` before the day of the decision. `over` this rule alone (every version of it) or
    all rules.
    """

    per: CapPer
    amount: Hundredths
    unit: Unit
    months: Months | None = None
    over: CapOver = "rule"


class Residency(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What must be earned at the receiver itself, in `unit`: an amount beforehand, or a share [n, d] of the sum of what
    is earned there and what is converted, this grant included.
    """

    unit: Unit
    minimum_amount: Hundredths | None = None
    minimum_share: Ratio | None = None


class ReviewMode(msgspec.Struct, frozen=True, kw_only=True):
    """A grant waits for so many different reviewers and so many days of public notice 公示."""

    reviewers: Annotated[int, Meta(ge=1, le=9)]
    notice_days: Annotated[int, Meta(ge=0, le=90)] = 0


class ConversionRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="document", tag="rule"):
    """One immutable version of a rule; it holds at its authority and at every node below.

    `valid_until` is the last day. `step`: what a granted amount is a multiple of. `consumption`: of each lot taken,
    the whole, as much as the grant needs, or nothing. `once_per`: where a lot counts once. `whole_only`: only lots of
    which nothing was used, and only grants that no cap cuts. `review` None: granted automatically.
    """

    id: RuleId
    version: Version
    authority: NameField
    title: BilingualLine
    valid_from: date
    valid_until: date | None = None
    sources: Annotated[tuple[Source, ...], Meta(min_length=1, max_length=16)]
    targets: Annotated[tuple[Target, ...], Meta(min_length=1, max_length=16)]
    consumption: Consumption = "whole"
    once_per: OncePer = "programme"
    rounding: Rounding = "none"
    step: Annotated[int, Meta(ge=1, le=HUNDREDTHS_MAX)] = 1
    whole_only: bool = False
    converted_sources: bool = False
    caps: Annotated[tuple[Cap, ...], Meta(max_length=16)] = ()
    residency: Residency | None = None
    exclusion_groups: Annotated[tuple[GroupName, ...], Meta(max_length=16)] = ()
    cascade: Cascade = "flag"
    review: ReviewMode | None = None

    @property
    def reference(self) -> str:
        return f"{self.id}@{self.version}"


def read_rule(data: bytes) -> ConversionRule:
    """Read a rule's canonical bytes, so that `digest_of` what comes out is the digest of what went in.

    Raises MalformedDocument, also for names that this version does not know, for they may change what the rule means;
    and UnreadableRule for parts that do not go together.
    """
    rule = canonical.decode(data, ConversionRule, bytes_max=RULE_BYTES_MAX)
    if write_rule(rule) != data:
        raise canonical.MalformedDocument(rule.reference, "not in canonical form, or with names unknown here")
    if mistakes := check_rule(rule):
        raise UnreadableRule(rule.reference, mistakes)
    return rule


def write_rule(rule: ConversionRule) -> bytes:
    """The canonical bytes of a rule: what is signed, logged and digested.

    What equals its default is left out, so that a key that is added one day changes no rule of before. (The encoder
    itself leaves out only what is the very object of the default.)
    """
    return canonical.encode({"document": "rule", **_told_fields(rule)})


def _told_fields(struct: msgspec.Struct) -> dict[str, object]:
    fields = _fields_of(type(struct))
    return {name: _told(value) for name, default in fields if (value := getattr(struct, name)) != default}


@lru_cache(maxsize=64)
def _fields_of(struct: type[msgspec.Struct]) -> tuple[tuple[str, object], ...]:
    return tuple((field.name, field.default) for field in structs.fields(struct))


def _told(value: object) -> object:
    if isinstance(value, tuple):
        return [_told(each) for each in value]
    if isinstance(value, msgspec.Struct) and not isinstance(value, Ratio):
        return _told_fields(value)
    return value


def digest_of(rule: ConversionRule) -> str:
    """SHA-256 of the canonical bytes, in hex."""
    return canonical.digest(write_rule(rule)).hex()


def in_force(rules: Iterable[ConversionRule], as_of: date) -> tuple[ConversionRule, ...]:
    """The highest version of each rule that is valid on that day, ordered by id."""
    chosen: dict[str, ConversionRule] = {}
    for rule in rules:
        if is_valid_on(rule, as_of) and (rule.id not in chosen or chosen[rule.id].version < rule.version):
            chosen[rule.id] = rule
    return tuple(chosen[each] for each in sorted(chosen))


def is_valid_on(rule: ConversionRule, as_of: date) -> bool:
    return rule.valid_from <= as_of and (rule.valid_until is None or as_of <= rule.valid_until)


def matches(achievement: str, pattern: str) -> bool:
    """Whether a pattern is an achievement's id, or its beginning and a `*`."""
    return achievement.startswith(pattern[:-1]) if pattern.endswith("*") else achievement == pattern


# --- what goes together ----------------------------------------------------------------------------------------------


def check_rule(rule: ConversionRule) -> tuple[Mistake, ...]:
    """What in a rule does not go together; nothing for a sound one."""
    return (*_head_mistakes(rule), *_source_mistakes(rule), *_target_mistakes(rule), *_limit_mistakes(rule))


def _head_mistakes(rule: ConversionRule) -> Iterator[Mistake]:
    if not str(rule.title):
        yield _mistake("title", "中文和英文名称至少写一个。", "Give a title in zh or en.")
    if rule.valid_until is not None and rule.valid_until < rule.valid_from:
        yield _mistake(
            "valid_until",
            f"早于 valid_from（{rule.valid_from}）；请写当天或以后的日期。",
            f"It is before valid_from ({rule.valid_from}); give that day or a later one.",
        )
    if rule.consumption == "proportional" and (len(rule.sources) > 1 or rule.sources[0].count > 1):
        yield _mistake(
            "consumption",
            "按比例消耗只用于一批学分；多批请用 whole。",
            "Proportional consumption is for one lot; with several, use whole.",
        )
    if sum(source.count for source in rule.sources) > LOTS_PER_GRANT_MAX:
        yield _mistake(
            "source",
            f"一次转换最多用 {LOTS_PER_GRANT_MAX} 批学分；请减少 count。",
            f"One grant takes at most {LOTS_PER_GRANT_MAX} lots; lower the counts.",
        )


def _source_mistakes(rule: ConversionRule) -> Iterator[Mistake]:
    names = [source.name for source in rule.sources]
    fixed = any(target.ratio is None for target in rule.targets)
    for place, source in enumerate(rule.sources, 1):
        if source.name in names[: place - 1]:
            yield _mistake(f"source[{place}].name", "名称重复，请另取一个。", "The name is taken; choose another.")
        if not (source.achievements or source.issuers or source.issuers_within or source.kinds or source.level_scheme):
            yield _mistake(
                f"source[{place}]",
                "没有说明接受什么：至少写 achievements、issuers、issuers_within、kinds、level_scheme 之一。",
                "It does not say what is taken: give achievements, issuers, issuers_within, kinds or level_scheme.",
            )
        if fixed and rule.consumption == "whole" and source.minimum_amount == 0:
            yield _mistake(
                f"source[{place}].minimum_amount",
                "按固定数量或对照表授予时，须写明至少要有多少来源学分，否则剩下一点也能换全额。",
                "Where a fixed amount or a table is given, say how much the source must bring: or the last scrap of a "
                "lot would earn it all.",
            )


def _target_mistakes(rule: ConversionRule) -> Iterator[Mistake]:
    is_one_lot = len(rule.sources) == 1 and rule.sources[0].count == 1
    for place, target in enumerate(rule.targets, 1):
        at = f"target[{place}]"
        if not str(target.title):
            yield _mistake(f"{at}.title", "中文和英文名称至少写一个。", "Give a title in zh or en.")
        if [target.ratio is not None, target.amount is not None, bool(target.table)].count(True) != 1:
            yield _mistake(at, "ratio、amount、table 恰好写一个。", "Give exactly one of ratio, amount and table.")
        if target.ratio is not None and len({source.unit for source in rule.sources}) > 1:
            yield _mistake(
                f"{at}.ratio",
                "来源的单位不同，不能按比例；请改用 amount。",
                "The sources have different units, so no ratio applies; use amount.",
            )
        if target.table and not is_one_lot:
            yield _mistake(
                f"{at}.table",
                "对照表只用于一批来源学分；请改用 ratio 或 amount。",
                "A table is for one source lot; use ratio or amount.",
            )
        if target.ratio is None and rule.consumption == "proportional":
            yield _mistake(at, "按比例消耗时只能用 ratio。", "With proportional consumption only a ratio can be given.")
        yield from _table_mistakes(target, at)
        if any(amount % rule.step for amount in (target.amount or 0, *(row.amount for row in target.table))):
            yield _mistake(
                at,
                "固定数量不是 step 的整数倍；请改数量或 step。",
                "A fixed amount is not a multiple of step; change one of them.",
            )


def _table_mistakes(target: Target, at: str) -> Iterator[Mistake]:
    seen: set[str | int | None] = set()
    for place, row in enumerate(target.table, 1):
        if (row.grade is None) == (row.score_from is None):
            yield _mistake(
                f"{at}.table[{place}]", "grade、score_from 恰好写一个。", "Give exactly one of grade and score_from."
            )
        key = row.grade if row.score_from is None else row.score_from
        if key in seen:
            yield _mistake(f"{at}.table[{place}]", "与前面一行重复，请删去。", "It repeats an earlier row; drop one.")
        seen.add(key)


def _limit_mistakes(rule: ConversionRule) -> Iterator[Mistake]:
    units = {target.unit for target in rule.targets}
    for place, cap in enumerate(rule.caps, 1):
        if (cap.per == "period") != (cap.months is not None):
            yield _mistake(
                f"cap[{place}].months",
                'per = "period" 时须写，其他时候不写。',
                'It goes with per = "period" and with nothing else.',
            )
        if cap.unit not in units:
            yield _mistake(
                f"cap[{place}].unit", "不是任何目标的单位。", "No target has this unit; use that of a target."
            )
    if (residency := rule.residency) is None:
        return
    if residency.minimum_amount is None and residency.minimum_share is None:
        yield _mistake(
            "residency", "minimum_amount、minimum_share 至少写一个。", "Give minimum_amount, minimum_share or both."
        )
    if residency.minimum_share is not None and residency.minimum_share.fraction > 1:
        yield _mistake(
            "residency.minimum_share", "不能大于 1；例如 [1, 2]。", "It cannot exceed 1; for example [1, 2]."
        )
    if residency.unit not in units:
        yield _mistake("residency.unit", "不是任何目标的单位。", "No target has this unit; use that of a target.")


def _mistake(place: str, zh: str, en: str) -> Mistake:
    return Mistake(place=place, zh=zh, en=en)
