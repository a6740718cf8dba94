"""Weighing: what a receiver knows of one learner, put before its rules; shared by a preview and a decision.

What lives here: from verified credentials and stored cases to lots, facts and an evaluation, inside an open
transaction. What must not: the evaluation itself (`federation/conversion.py`), or anything that changes.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from typing import Final

import msgspec

from federation.conversion import ConsumedScope, EarnedHere, Evaluation, Facts, Grant, RuleBook, SourceLot, evaluate
from federation.conversion_cases import Basis, ConversionCase, SourceRecord
from federation.conversion_rules import ConversionRule, Target, read_rule
from federation.credentials import VerifiedCredential
from federation.credit_records import CreditRecord, Grade, Score
from federation.naming import NodeName, is_within
from federation.timestamps import day_in_china
from node.ports import Transaction
from node.ports.crediting import CaseRow, RuleRow

PERCENT_HUNDREDTHS: Final = 10_000
CASES_MAX: Final = 1_000
BOOKS_KEPT_MAX: Final = 8


class Weighing(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation, and what it was made upon."""

    as_of: date
    basis: Basis
    evaluation: Evaluation


def weigh(
    tx: Transaction,
    records: Sequence[CreditRecord],
    *,
    subject: str,
    receiver: NodeName,
    programme: str,
    as_of: date,
    leave_out: str = "",
) -> Weighing:
    """What this node's rules make of a learner's records today. `leave_out`: a case that is decided anew."""
    before = tuple(_granted_before(tx, subject, leave_out))
    facts = Facts(
        receiver=receiver,
        programme=programme,
        granted=tuple(prior for grant in before for prior in grant.prior),
        consumed=tuple(
            ConsumedScope(lot_id=used.lot_id, scope_key=grant.scope_key) for grant in before for used in grant.consumed
        ),
        earned_here=_earned_here(tx, subject, receiver),
    )
    evaluation = evaluate(rule_book(tx, receiver), [lot_of(record) for record in records], facts, as_of)
    named = {step.rule.rpartition("@")[0] for step in evaluation.trace if step.rule}
    rules = tuple(
        row.sha256
        for row in _rules_here(tx, receiver)
        if row.id.rpartition("@")[0].removeprefix(f"{row.owner}/") in named
    )
    return Weighing(as_of=as_of, basis=Basis(facts=facts, rules=rules), evaluation=evaluation)


def weigh_again(tx: Transaction, records: Sequence[CreditRecord], basis: Basis, as_of: date) -> Evaluation:
    """The evaluation that a decision was made by, from what it was made upon."""
    kept = set(basis.rules)
    rules = [read_rule(row.document) for row in _all_rules(tx) if row.sha256 in kept]
    return evaluate(rules, [lot_of(record) for record in records], basis.facts, as_of)


def rule_book(tx: Transaction, receiver: NodeName) -> RuleBook:
    """Every rule that holds here: this node's own and adopted ones, and those of the authorities above it."""
    return _made_ready(tuple(row.document for row in _rules_here(tx, receiver)))


@lru_cache(maxsize=BOOKS_KEPT_MAX)
def _made_ready(documents: tuple[bytes, ...]) -> RuleBook:
    """A published version never changes, so the same documents make the same book; a new one makes another."""
    return RuleBook(map(read_rule, documents))


def rule_of(tx: Transaction, rule_id: str, version: int, digest: str) -> ConversionRule | None:
    """One version of a rule by its digest, whoever published it."""
    for row in _all_rules(tx):
        if row.sha256 == digest:
            rule = read_rule(row.document)
            if (rule.id, rule.version) == (rule_id, version):
                return rule
    return None


def target_of(rule: ConversionRule, achievement: str, version: int) -> Target | None:
    wanted = (achievement, version)
    return next((target for target in rule.targets if (target.achievement, target.version) == wanted), None)


def lot_of(record: CreditRecord) -> SourceLot:
    """A record's lot as far as the record itself tells; what is left of it, its issuer says when it is reserved."""
    score = record.result if isinstance(record.result, Score) else None
    return SourceLot(
        id=record.id,
        achievement=record.achievement.id,
        achievement_version=record.achievement.version,
        issuer=record.issuer.node,
        kind=record.achievement.kind,
        unit=record.amount.unit,
        granted=record.amount.hundredths,
        available=record.amount.hundredths,
        achieved_on=record.achieved_on,
        expires_on=day_in_china(record.valid_until_ms) if record.valid_until_ms is not None else None,
        level=record.achievement.level,
        score=score.hundredths if score else None,
        score_scale=scale_of(score) if score else "percent",
        grade=record.result.text if isinstance(record.result, Grade) else None,
        is_converted=record.conversion is not None,
    )


def scale_of(score: Score) -> str:
    """The scale's name in rules: `percent` up to 100, else `up_to_` and its end in hundredths."""
    return "percent" if score.scale_hundredths == PERCENT_HUNDREDTHS else f"up_to_{score.scale_hundredths}"


def source_of(verified: VerifiedCredential) -> SourceRecord:
    record = verified.record
    return SourceRecord(id=record.id, sha256=verified.sha256, issuer=record.issuer.node, unit=record.amount.unit)


def case_of(row: CaseRow) -> ConversionCase:
    return msgspec.json.decode(row.document, type=ConversionCase)


def _granted_before(tx: Transaction, subject: str, leave_out: str) -> Iterable[Grant]:
    """Grants of this learner that stand, or are on their way."""
    for row in tx.credits.cases.of(subject, limit=CASES_MAX):
        if row.id != leave_out and row.state in ("reserving", "committing", "converted"):
            yield from case_of(row).grants


def _earned_here(tx: Transaction, subject: str, receiver: NodeName) -> tuple[EarnedHere, ...]:
    """What this node itself has issued to the learner under the same pseudonym, conversions left out."""
    sums: dict[str, int] = {}
    account = tx.credits.pseudonyms.get(subject)
    for row in tx.credits.records.of(account.owner if account else subject, limit=CASES_MAX):
        if row.is_own and row.state == "active" and row.issuer == receiver and not row.converted_from:
            sums[row.unit] = sums.get(row.unit, 0) + row.hundredths
    return tuple(EarnedHere(unit=unit, amount=amount) for unit, amount in sorted(sums.items()))


def _rules_here(tx: Transaction, receiver: NodeName) -> Iterable[RuleRow]:
    return (row for row in _all_rules(tx) if is_within(receiver, row.owner))


def _all_rules(tx: Transaction) -> Iterable[RuleRow]:
    after = ""
    while rows := tx.credits.rules.all(after):
        yield from rows
        after = rows[-1].id
