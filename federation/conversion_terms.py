"""The terms of a rule, one question each: may this lot be taken, what does it come to, is there room for it.

What lives here: state, age, score, level; ratio, table, rounding; caps, residency, exclusion. What must not: the order
in which lots and rules are tried (`conversion.py`). All arithmetic is on whole numbers.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from federation.amounts import HUNDREDTHS_MAX, QualificationLevel, compare_levels, written
from federation.conversion_facts import Facts, PriorGrant, SourceLot
from federation.conversion_refusals import Reason, RefusalCode
from federation.conversion_rules import Cap, CapPer, ConversionRule, Residency, Source, TableRow, Target
from federation.credits import RecordState, ScopeKey

_BY_STATE: Final[dict[RecordState, RefusalCode]] = {
    "suspended": "record_suspended",
    "revoked": "record_revoked",
    "superseded": "record_superseded",
    "expired": "record_expired",
}
_CAP_WORDS: Final[dict[CapPer, tuple[str, str]]] = {
    "source": ("每项来源成果", "for each source achievement"),
    "institution": ("每个来源机构", "for each source institution"),
    "programme": ("本课程群", "for the programme"),
    "period": ("最近 {months} 个月", "in the last {months} months"),
}


# --- may this lot be taken -------------------------------------------------------------------------------------------


def lot_reason(rule: ConversionRule, source: Source, lot: SourceLot, facts: Facts, as_of: date) -> Reason | None:
    """Why the rule may not take this lot, going by its record; None if it may."""
    if lot.record_state != "active":
        return Reason(_BY_STATE[lot.record_state])
    if lot.expires_on is not None and lot.expires_on < as_of:
        return Reason("record_expired")
    if (reason := _origin_reason(rule, source, lot, facts)) is not None:
        return reason
    if (reason := _age_reason(source, lot, as_of)) is not None:
        return reason
    if source.minimum_score is not None and (reason := _score_reason(source.minimum_score, source, lot)) is not None:
        return reason
    return None if source.minimum_level is None else _level_reason(source.minimum_level, lot, facts)


def _origin_reason(rule: ConversionRule, source: Source, lot: SourceLot, facts: Facts) -> Reason | None:
    if lot.is_converted and not rule.converted_sources:
        return Reason("converted_source")
    return Reason("own_credit") if source.from_others and lot.issuer == facts.receiver else None


def _age_reason(source: Source, lot: SourceLot, as_of: date) -> Reason | None:
    if lot.achieved_on > as_of:
        return Reason("achieved_later", achieved_on=str(lot.achieved_on), as_of=str(as_of))
    months = source.maximum_age_months
    if months is not None and is_older(lot.achieved_on, months, as_of):
        return Reason("too_old", achieved_on=str(lot.achieved_on), months=months)
    return None


def is_older(day: date, months: int, as_of: date) -> bool:
    """Whether more than `months` have passed from `day`; the day on which they have just passed still counts."""
    passed = (as_of.year - day.year) * 12 + as_of.month - day.month
    return passed > months or (passed == months and as_of.day > day.day)


def _score_reason(needed: int, source: Source, lot: SourceLot) -> Reason | None:
    if lot.score is None:
        return Reason("score_missing")
    if lot.score_scale != source.score_scale:
        return Reason("score_not_comparable", found=lot.score_scale, needed=source.score_scale)
    if lot.score < needed:
        return Reason("score_too_low", found=written(lot.score), needed=written(needed))
    return None


def _level_reason(needed: QualificationLevel, lot: SourceLot, facts: Facts) -> Reason | None:
    if lot.level is None:
        return Reason("level_missing", needed=str(needed))
    compared = compare_levels(lot.level, needed, facts.scales)
    if compared is None:
        return Reason("level_not_comparable", found=str(lot.level), needed=str(needed))
    return Reason("level_too_low", found=str(lot.level), needed=str(needed)) if compared < 0 else None


def balance_reason(rule: ConversionRule, source: Source, lot: SourceLot, left: int) -> Reason | None:
    """Why what is left of a lot does not do; None if it does."""
    if left == 0 and rule.consumption != "none":
        return Reason("nothing_available")
    if rule.whole_only and left < lot.granted:
        return Reason("whole_only", granted=written(lot.granted), found=written(left))
    if left < source.minimum_amount:
        return Reason("too_small", found=written(left), needed=written(source.minimum_amount), unit=lot.unit)
    return None


def scope_key_of(rule: ConversionRule, facts: Facts) -> ScopeKey:
    """Where a lot counts once. A rule's version is no part of it: a new version does not count it again.

    Its parts are joined by `|`, which no name, programme or rule id contains.
    """
    match rule.once_per:
        case "network":
            return "network"
        case "receiver":
            return f"receiver|{facts.receiver}"
        case "programme":
            return f"programme|{facts.receiver}|{facts.programme}"
        case "rule":
            return f"rule|{facts.receiver}|{facts.programme}|{rule.id}"


# --- what it comes to ------------------------------------------------------------------------------------------------


def exact_of(rule: ConversionRule, target: Target, lots: Sequence[SourceLot], total: int) -> tuple[int, int] | Reason:
    """The hundredths that a target gets for `total` hundredths of the lots, as a fraction."""
    if target.ratio is not None:
        return total * target.ratio.gives, target.ratio.takes
    if target.amount is not None:
        return target.amount, 1
    return _from_table(target.table, rule.sources[0], lots[0])


def _from_table(rows: Iterable[TableRow], source: Source, lot: SourceLot) -> tuple[int, int] | Reason:
    """The row of the lot's grade; without one, the row with the highest score that the lot reaches."""
    grades = {row.grade: row.amount for row in rows if row.grade is not None}
    if lot.grade is not None and lot.grade in grades:
        return grades[lot.grade], 1
    steps = sorted((row.score_from, row.amount) for row in rows if row.score_from is not None)
    if not steps:
        return Reason("score_missing") if lot.grade is None else Reason("grade_not_in_table", found=lot.grade)
    if (reason := _score_reason(steps[0][0], source, lot)) is not None:
        return reason
    return next(amount for score, amount in reversed(steps) if (lot.score or 0) >= score), 1


def rounded(exact: tuple[int, int], rule: ConversionRule) -> int | Reason:
    """A multiple of the rule's step: the one below, the nearest (half goes up), or the amount itself."""
    numerator, denominator = exact[0], exact[1] * rule.step
    if rule.rounding == "half_up":
        steps = (2 * numerator + denominator) // (2 * denominator)
    else:
        steps, rest = divmod(numerator, denominator)
        if rest and rule.rounding == "none":
            return Reason("not_exact", numerator=exact[0], denominator=exact[1], step=written(rule.step))
    if steps * rule.step > HUNDREDTHS_MAX:
        return Reason("too_large", limit=written(HUNDREDTHS_MAX))
    return steps * rule.step if steps else Reason("below_step", step=written(rule.step))


# --- is there room for it --------------------------------------------------------------------------------------------


def group_reason(rule: ConversionRule, facts: Facts, granted: Iterable[PriorGrant]) -> Reason | None:
    taken = {group for prior in granted if prior.programme == facts.programme for group in prior.exclusion_groups}
    used = next((group for group in rule.exclusion_groups if group in taken), None)
    return None if used is None else Reason("excluded_by_group", group=used)


def room_under(
    cap: Cap,
    rule: ConversionRule,
    *,
    lots: Sequence[SourceLot],
    granted: Iterable[PriorGrant],
    programme: str,
    as_of: date,
) -> tuple[int, int]:
    """What was granted under a cap before, and how much there is still room for.

    A grant from several sources counts in full for each of them; of several lots, the fullest source decides.
    """
    counted = [
        each for each in granted if each.unit == cap.unit and (cap.over == "all_rules" or each.rule_id == rule.id)
    ]
    match cap.per:
        case "programme":
            before = sum(each.amount for each in counted if each.programme == programme)
        case "period":
            before = sum(each.amount for each in counted if not is_older(each.granted_on, cap.months or 0, as_of))
        case "institution":
            before = max(_granted_from(counted, "", lot.issuer) for lot in lots)
        case "source":
            before = max(_granted_from(counted, lot.achievement, lot.issuer) for lot in lots)
    return before, max(0, cap.amount - before)


def _granted_from(granted: Iterable[PriorGrant], achievement: str, issuer: str) -> int:
    """What came from an issuer, and from one of its achievements unless that is ""."""
    return sum(
        prior.amount
        for prior in granted
        if any(each.issuer == issuer and achievement in ("", each.achievement) for each in prior.sources)
    )


def cap_reason(cap: Cap, *, before: int, wanted: int, room: int) -> Reason:
    zh, en = _CAP_WORDS[cap.per]
    return Reason(
        "cap_reached",
        limit=written(cap.amount),
        unit=cap.unit,
        per_zh=zh.format(months=cap.months),
        per_en=en.format(months=cap.months),
        before=written(before),
        wanted=written(wanted),
        room=written(room),
    )


def residency_reason(residency: Residency, amount: int, granted: Iterable[PriorGrant], facts: Facts) -> Reason | None:
    """Why so much may not be granted next to what was earned at the receiver itself; None if it may."""
    unit = residency.unit
    own = sum(earned.amount for earned in facts.earned_here if earned.unit == unit)
    if residency.minimum_amount is not None and own < residency.minimum_amount:
        return Reason("residency_amount", needed=written(residency.minimum_amount), found=written(own), unit=unit)
    if (share := residency.minimum_share) is None:
        return None
    converted = sum(prior.amount for prior in granted if prior.unit == unit and prior.programme == facts.programme)
    total = own + converted + amount
    if own * share.takes >= share.gives * total:
        return None
    return Reason(
        "residency_share",
        share=f"{share.gives}/{share.takes}",
        found=written(own),
        unit=unit,
        total=written(total),
    )
