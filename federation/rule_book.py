"""Rules made ready for many evaluations.

What lives here: digests, versions in force and patterns, worked out once per rule and day instead of once per lot. What
must not: a decision that depends on more than the rule and the sort of a lot (`conversion_terms.py`).
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Final

from federation.conversion_facts import SourceLot
from federation.conversion_refusals import Reason
from federation.conversion_rules import ConversionRule, RuleChanged, Source, digest_of, is_valid_on
from federation.credits import RuleReference
from federation.naming import is_within

_DAYS_KEPT_MAX: Final = 64
_RULES_FEW: Final = 4  # so few are sooner asked than looked up


class ReadySource:
    """A source whose patterns are sets and prefixes."""

    __slots__ = ("_ids", "_is_any_issuer", "_issuers", "_kinds", "_prefixes", "_scheme", "_unit", "_within", "source")

    def __init__(self, source: Source) -> None:
        self.source: Final = source
        self._unit = source.unit
        self._ids = frozenset(each for each in source.achievements if not each.endswith("*"))
        self._prefixes = tuple(each[:-1] for each in source.achievements if each.endswith("*"))
        self._issuers = frozenset(source.issuers)
        self._within = source.issuers_within
        self._is_any_issuer = not (source.issuers or source.issuers_within)
        self._kinds = frozenset(source.kinds)
        self._scheme = source.level_scheme

    def takes(self, lot: SourceLot) -> bool:
        """Whether a lot is of the sort that this source is about, whatever its score, age or state."""
        return (
            lot.unit == self._unit
            and (
                not (self._ids or self._prefixes)
                or lot.achievement in self._ids
                or lot.achievement.startswith(self._prefixes)
            )
            and (
                self._is_any_issuer
                or lot.issuer in self._issuers
                or any(is_within(lot.issuer, each) for each in self._within)
            )
            and (not self._kinds or lot.kind in self._kinds)
            and (self._scheme is None or (lot.level is not None and lot.level.scheme == self._scheme))
        )


class ReadyRule:
    """One version of a rule with its digest."""

    __slots__ = ("is_single", "reference", "rule", "sources", "target_units", "text")

    def __init__(self, rule: ConversionRule) -> None:
        self.rule: Final = rule
        self.text: Final = rule.reference
        self.reference: Final = RuleReference(id=rule.id, version=rule.version, digest=digest_of(rule))
        self.sources: Final = tuple(map(ReadySource, rule.sources))
        self.target_units: Final = tuple(sorted({target.unit for target in rule.targets}))
        self.is_single: Final = len(rule.sources) == 1 and rule.sources[0].count == 1

    def takes(self, lot: SourceLot) -> bool:
        return any(source.takes(lot) for source in self.sources)


class RuleBook:
    """Rules made ready: keep one for as long as the rules are the same, and hand it to `evaluate` each time.

    Raises RuleChanged for one version with two contents.
    """

    __slots__ = ("_by_day", "_versions")

    def __init__(self, rules: Iterable[ConversionRule]) -> None:
        self._versions: dict[str, list[ReadyRule]] = {}
        for ready in sorted(map(ReadyRule, rules), key=lambda each: (each.rule.id, each.rule.version)):
            versions = self._versions.setdefault(ready.rule.id, [])
            if not versions or versions[-1].rule.version < ready.rule.version:
                versions.append(ready)
            elif versions[-1].reference != ready.reference:
                raise RuleChanged(ready.text, "two different contents")
        self._by_day: dict[date, DayRules] = {}

    def on(self, as_of: date) -> "DayRules":
        if (chosen := self._by_day.get(as_of)) is None:
            if len(self._by_day) >= _DAYS_KEPT_MAX:
                self._by_day.clear()
            chosen = self._by_day[as_of] = DayRules([_chosen(versions, as_of) for versions in self._versions.values()])
        return chosen


class DayRules:
    """One version of each rule on one day, ordered by id: the one in force, or the nearest and why it is not."""

    __slots__ = ("_by_achievement", "_open", "rules")

    def __init__(self, rules: Sequence[tuple[ReadyRule, Reason | None]]) -> None:
        self.rules: Final = tuple(rules)
        self._open: list[int] = []
        self._by_achievement: dict[str, list[int]] = {}
        for at, (ready, _) in enumerate(self.rules):
            named = [each for source in ready.rule.sources for each in source.achievements or ("*",)]
            if any(each.endswith("*") for each in named):
                self._open.append(at)
            else:
                for each in set(named):
                    self._by_achievement.setdefault(each, []).append(at)

    def near(self, lots: Sequence[SourceLot]) -> Iterator[tuple[ReadyRule, Reason | None, Sequence[SourceLot]]]:
        """The rules that may take some of these lots, in order, each with those lots; each has still to be asked."""
        if len(self.rules) <= _RULES_FEW:
            yield from ((ready, reason, lots) for ready, reason in self.rules)
            return
        near: dict[int, list[SourceLot]] = {}
        for lot in lots:
            for at in self._by_achievement.get(lot.achievement, ()):
                near.setdefault(at, []).append(lot)
        for at in sorted({*self._open, *near}):
            ready, reason = self.rules[at]
            yield ready, reason, near.get(at, lots)


def _chosen(versions: list[ReadyRule], as_of: date) -> tuple[ReadyRule, Reason | None]:
    """The highest version in force; else the last to have ended; else the first to begin."""
    if valid := [each for each in versions if is_valid_on(each.rule, as_of)]:
        return valid[-1], None
    if ended := [each for each in versions if each.rule.valid_until is not None and each.rule.valid_until < as_of]:
        last = max(ended, key=lambda each: (str(each.rule.valid_until), each.rule.version))
        return last, Reason("rule_no_longer_valid", valid_until=str(last.rule.valid_until), as_of=str(as_of))
    first = min(versions, key=lambda each: (each.rule.valid_from, -each.rule.version))
    return first, Reason("rule_not_yet_valid", valid_from=str(first.rule.valid_from), as_of=str(as_of))
