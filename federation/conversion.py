"""Conversion 转换: which lots a set of rules turns into which credits, and why not.

What lives here: `evaluate`, a pure function that explains every step; a preview is the same call without a write. What
must not: rules themselves (`conversion_rules.py`), their terms one by one (`conversion_terms.py`), reserving
(`credits.py`).
"""

from collections.abc import Iterable, Sequence
from datetime import date
from math import gcd

import msgspec

from federation import canonical
from federation.amounts import Hundredths, QualificationLevel, Unit
from federation.conversion_facts import ConsumedScope, EarnedHere, Facts, PriorGrant, SourceLot, SourceMark
from federation.conversion_refusals import Reason, Refusal, RefusalCode, refusal_of
from federation.conversion_rules import Cap, Cascade, ConversionRule, Residency, ReviewMode, Source, Version
from federation.conversion_terms import (
    balance_reason,
    cap_reason,
    exact_of,
    group_reason,
    lot_reason,
    residency_reason,
    room_under,
    rounded,
    scope_key_of,
)
from federation.credits import AchievementId, LotId, OutcomeKind, RuleReference, ScopeKey
from federation.matching import fill_places
from federation.naming import is_within
from federation.rule_book import ReadyRule, RuleBook

__all__ = [
    "ConsumedAmount",
    "ConsumedScope",
    "EarnedHere",
    "Evaluation",
    "Facts",
    "Grant",
    "GrantedCredit",
    "PriorGrant",
    "Refusal",
    "RefusalCode",
    "RuleBook",
    "SourceLot",
    "SourceMark",
    "TraceStep",
    "evaluate",
]


class ConsumedAmount(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much of a lot a grant uses up; 0 where the rule consumes nothing."""

    lot_id: LotId
    amount: Hundredths


class GrantedCredit(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One target of a grant. `exact`: the hundredths before rounding and caps, as [numerator, denominator]."""

    achievement: AchievementId
    version: Version
    kind: OutcomeKind
    unit: Unit
    level: QualificationLevel | None = None
    exact: tuple[int, int]
    amount: Hundredths


class Grant(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One conversion: what it consumes, what it gives, and by which rule.

    Reserve every `consumed` at its lot's issuer under `scope_key`. `review` None: it may be carried out at once.
    `prior` is what to remember of it for the next evaluation, one for each unit.
    """

    rule: RuleReference
    scope_key: ScopeKey
    consumed: tuple[ConsumedAmount, ...]
    credits: tuple[GrantedCredit, ...]
    prior: tuple[PriorGrant, ...]
    cascade: Cascade = "flag"
    review: ReviewMode | None = None


class TraceStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step of the evaluation: what was looked at, and what came out, in whole numbers and names."""

    step: str
    rule: str = ""
    lot_ids: tuple[LotId, ...] = ()
    found: tuple[str | int, ...] = ()


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer: the same for the same input in any order."""

    grants: tuple[Grant, ...]
    refusals: tuple[Refusal, ...]
    trace: tuple[TraceStep, ...]

    def trace_bytes(self) -> bytes:
        """The trace as canonical JSON: kept with a decision, and recomputed to the same bytes by whoever checks it."""
        return canonical.encode(self.trace)


def evaluate(
    rules: RuleBook | Iterable[ConversionRule], lots: Iterable[SourceLot], facts: Facts, as_of: date
) -> Evaluation:
    """Every grant that `rules` make of one learner's `lots` on the day `as_of`, and every refusal with its reason.

    Pure and deterministic: rules are tried in the order of their id, lots oldest first, then by id. What a grant
    consumes is gone for the next, and what it gives counts for the next cap.
    """
    book = rules if isinstance(rules, RuleBook) else RuleBook(rules)
    run = _Run(sorted(lots, key=_oldest_first), facts, as_of)
    touched: set[LotId] = set()
    for ready, not_in_force, near in book.on(as_of).near(run.lots):
        taken = [lot for lot in near if ready.takes(lot)]
        if not taken:
            continue
        touched.update([lot.id for lot in taken])
        if (reason := not_in_force or _authority_reason(ready.rule, facts)) is not None:
            run.refuse(reason, ready, taken)
        elif ready.is_single:
            run.convert_each(ready, taken)
        else:
            run.convert_together(ready, taken)
    for lot in run.lots:
        if lot.id not in touched:
            run.refuse(Reason("no_rule"), None, (lot,))
    return Evaluation(grants=tuple(run.grants), refusals=tuple(run.refusals), trace=tuple(run.trace))


def _authority_reason(rule: ConversionRule, facts: Facts) -> Reason | None:
    if is_within(facts.receiver, rule.authority):
        return None
    return Reason("rule_of_another_authority", authority=rule.authority, receiver=facts.receiver)


def _oldest_first(lot: SourceLot) -> tuple[date, LotId]:
    return lot.achieved_on, lot.id


class _Run:
    """One evaluation under way: what is left of each lot, and what has been granted so far."""

    def __init__(self, lots: list[SourceLot], facts: Facts, as_of: date) -> None:
        self.lots = lots
        self.facts = facts
        self.as_of = as_of
        self.left = {lot.id: lot.available for lot in lots}
        assert len(self.left) == len(lots), "a lot is given twice"  # noqa: S101  # our own mistake, never an input
        self.used = {(each.lot_id, each.scope_key) for each in facts.consumed}
        self.granted = list(facts.granted)
        self.grants: list[Grant] = []
        self.refusals: list[Refusal] = []
        self.trace = [TraceStep(step="begin", found=(as_of.isoformat(), facts.receiver, facts.programme))]

    def refuse(self, reason: Reason, ready: ReadyRule | None, lots: Sequence[SourceLot]) -> None:
        refusal = refusal_of(reason, rule=ready.text if ready else "", lot_ids=tuple([lot.id for lot in lots]))
        self.refusals.append(refusal)
        numbers = [part for name in sorted(reason.numbers) for part in (name, reason.numbers[name])]
        self.trace.append(
            TraceStep(step="refuse", rule=refusal.rule, lot_ids=refusal.lot_ids, found=(reason.code, *numbers))
        )

    # --- which lots go together ---------------------------------------------------------------------------------

    def convert_each(self, ready: ReadyRule, lots: Iterable[SourceLot]) -> None:
        scope_key = scope_key_of(ready.rule, self.facts)
        source = ready.rule.sources[0]
        for lot in lots:
            reason = self._reason(ready.rule, source, lot, scope_key)
            if reason is None:
                reason = self._grant(ready, (lot,), scope_key)
            if reason is not None:
                self.refuse(reason, ready, (lot,))

    def convert_together(self, ready: ReadyRule, lots: Sequence[SourceLot]) -> None:
        """As many grants as full sets of lots can be put together, each from the oldest that still qualify."""
        scope_key = scope_key_of(ready.rule, self.facts)
        places = [at for at, source in enumerate(ready.rule.sources) for _ in range(source.count)]
        waiting, fits = self._qualifying(ready, lots, scope_key)
        while waiting:
            chosen = fill_places([[place for place, at in enumerate(places) if at in fit] for fit in fits])
            if len(places) > sum(place is not None for place in chosen):
                self.refuse(_lacking(ready.rule, places, chosen), ready, waiting)
                return
            together = tuple([lot for lot, place in zip(waiting, chosen, strict=True) if place is not None])
            if (reason := self._grant(ready, together, scope_key)) is not None:
                self.refuse(reason, ready, together)
            left_over = [at for at, place in enumerate(chosen) if place is None]
            waiting, fits = [waiting[at] for at in left_over], [fits[at] for at in left_over]

    def _qualifying(
        self, ready: ReadyRule, lots: Iterable[SourceLot], scope_key: ScopeKey
    ) -> tuple[list[SourceLot], list[set[int]]]:
        """The lots that qualify, with the numbers of the sources they do for; the rest are refused by the first."""
        qualifying: list[SourceLot] = []
        fits: list[set[int]] = []
        for lot in lots:
            reasons = {
                at: self._reason(ready.rule, each.source, lot, scope_key)
                for at, each in enumerate(ready.sources)
                if each.takes(lot)
            }
            if fit := {at for at, reason in reasons.items() if reason is None}:
                qualifying.append(lot)
                fits.append(fit)
            elif reason := next(iter(reasons.values())):
                self.refuse(reason, ready, (lot,))
        return qualifying, fits

    def _reason(self, rule: ConversionRule, source: Source, lot: SourceLot, scope_key: ScopeKey) -> Reason | None:
        if (reason := lot_reason(rule, source, lot, self.facts, self.as_of)) is not None:
            return reason
        if (lot.id, scope_key) in self.used:
            return Reason("already_consumed")
        return balance_reason(rule, source, lot, self.left[lot.id])

    # --- what they come to --------------------------------------------------------------------------------------

    def _grant(self, ready: ReadyRule, lots: tuple[SourceLot, ...], scope_key: ScopeKey) -> Reason | None:
        """Grant what the rule gives for these lots, or say why not; nothing has changed then."""
        rule = ready.rule
        if rule.exclusion_groups and (reason := group_reason(rule, self.facts, self.granted)) is not None:
            return reason
        lot_ids = tuple([lot.id for lot in lots])
        total = sum([self.left[each] for each in lot_ids])
        exacts: list[tuple[int, int]] = []
        amounts: list[int] = []
        for target in rule.targets:
            exact = exact_of(rule, target, lots, total)
            amount = exact if isinstance(exact, Reason) else rounded(exact, rule)
            if isinstance(exact, Reason) or isinstance(amount, Reason):
                return exact if isinstance(exact, Reason) else amount  # type: ignore[return-value]  # one of the two is
            exacts.append(_lowest_terms(exact))
            amounts.append(amount)
            self._step("compute", ready, lot_ids, target.achievement, total, *exacts[-1], amount)
        for cap in rule.caps:
            if (reason := self._keep_under(cap, ready, lots, amounts)) is not None:
                return reason
        residency = rule.residency
        if residency is not None and (reason := self._unresident(residency, ready, lot_ids, amounts)) is not None:
            return reason
        self._record(ready, lots, scope_key, exacts, amounts)
        return None

    def _keep_under(self, cap: Cap, ready: ReadyRule, lots: tuple[SourceLot, ...], amounts: list[int]) -> Reason | None:
        """Cut the one amount of a rule to what a cap has room for; refuse where the rule gives several, or all."""
        rule = ready.rule
        before, room = room_under(
            cap, rule, lots=lots, granted=self.granted, programme=self.facts.programme, as_of=self.as_of
        )
        wanted = _sum_in(cap.unit, rule, amounts)
        lot_ids = tuple([lot.id for lot in lots])
        self._step("cap", ready, lot_ids, cap.per, cap.unit, cap.amount, before, wanted)
        if wanted <= room:
            return None
        fitting = room - room % rule.step
        if fitting == 0 or rule.whole_only or len(amounts) > 1:
            return cap_reason(cap, before=before, wanted=wanted, room=room)
        amounts[0] = fitting
        self._step("cut", ready, lot_ids, fitting)
        return None

    def _unresident(
        self, residency: Residency, ready: ReadyRule, lot_ids: tuple[LotId, ...], amounts: Sequence[int]
    ) -> Reason | None:
        wanted = _sum_in(residency.unit, ready.rule, amounts)
        self._step("residency", ready, lot_ids, residency.unit, wanted)
        return residency_reason(residency, wanted, self.granted, self.facts)

    def _record(
        self,
        ready: ReadyRule,
        lots: tuple[SourceLot, ...],
        scope_key: ScopeKey,
        exacts: Sequence[tuple[int, int]],
        amounts: Sequence[int],
    ) -> None:
        rule = ready.rule
        consumed = tuple([self._consume(rule, lot.id, scope_key, amounts) for lot in lots])
        prior = tuple([self._prior(rule, lots, unit, amounts) for unit in ready.target_units])
        self.granted += prior
        self.grants.append(
            Grant(
                rule=ready.reference,
                scope_key=scope_key,
                consumed=consumed,
                credits=tuple(
                    [
                        GrantedCredit(
                            achievement=target.achievement,
                            version=target.version,
                            kind=target.kind,
                            unit=target.unit,
                            level=target.level,
                            exact=exact,
                            amount=amount,
                        )
                        for target, exact, amount in zip(rule.targets, exacts, amounts, strict=True)
                    ]
                ),
                prior=prior,
                cascade=rule.cascade,
                review=rule.review,
            )
        )
        spent = [each.amount for each in consumed]
        self._step("grant", ready, tuple([lot.id for lot in lots]), scope_key, *spent, *amounts)

    def _consume(
        self, rule: ConversionRule, lot_id: LotId, scope_key: ScopeKey, amounts: Sequence[int]
    ) -> ConsumedAmount:
        left = self.left[lot_id]
        if rule.consumption == "none":
            spent = 0
        elif rule.consumption == "whole":
            spent = left
        else:
            ratios = [target.ratio for target in rule.targets if target.ratio is not None]
            needed = [-(-amount * ratio.takes // ratio.gives) for amount, ratio in zip(amounts, ratios, strict=True)]
            spent = min(left, max(needed))
        self.left[lot_id] = left - spent
        self.used.add((lot_id, scope_key))
        return ConsumedAmount(lot_id=lot_id, amount=spent)

    def _prior(
        self, rule: ConversionRule, lots: tuple[SourceLot, ...], unit: Unit, amounts: Sequence[int]
    ) -> PriorGrant:
        return PriorGrant(
            rule_id=rule.id,
            sources=tuple([SourceMark(achievement=lot.achievement, issuer=lot.issuer) for lot in lots]),
            programme=self.facts.programme,
            unit=unit,
            amount=_sum_in(unit, rule, amounts),
            granted_on=self.as_of,
            exclusion_groups=rule.exclusion_groups,
        )

    def _step(self, step: str, ready: ReadyRule, lot_ids: tuple[LotId, ...], *found: str | int) -> None:
        self.trace.append(TraceStep(step=step, rule=ready.text, lot_ids=lot_ids, found=found))


def _sum_in(unit: Unit, rule: ConversionRule, amounts: Sequence[int]) -> int:
    return sum([amount for target, amount in zip(rule.targets, amounts, strict=True) if target.unit == unit])


def _lowest_terms(exact: tuple[int, int]) -> tuple[int, int]:
    shared = gcd(*exact)
    return exact[0] // shared, exact[1] // shared


def _lacking(rule: ConversionRule, places: Sequence[int], chosen: Sequence[int | None]) -> Reason:
    """The first source that too few lots fill."""
    filled = [0] * len(rule.sources)
    for place in chosen:
        if place is not None:
            filled[places[place]] += 1
    at = next(at for at, source in enumerate(rule.sources) if filled[at] < source.count)
    return Reason("sources_incomplete", name=rule.sources[at].name, needed=rule.sources[at].count, found=filled[at])
