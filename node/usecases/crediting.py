"""Crediting: credit records for this institution's learners, and for learners of other homes who studied here.

What lives here: what a sheet of records would do, row by row, and doing it; what records there are and what they add up
to. What must not: the record itself (`issuing.py`), its later states (`amending.py`), or reading files (`node/intake`).
"""

from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Final

import msgspec

from federation import canonical
from federation.amounts import Amount
from federation.credit_records import Achievement
from federation.errors import InvalidInput, LlnError
from federation.naming import NodeName
from federation.pseudonyms import Handle
from federation.timestamps import day_in_china, end_of_day_in_china_ms
from node.desk.credits import (
    BalanceAsked,
    BalanceLine,
    Balances,
    CreditRow,
    EventShown,
    IssueAsked,
    IssuePlan,
    PlannedCredit,
    RecordNamed,
    Records,
    RecordsAsked,
    RecordShown,
)
from node.ports import Clock, Identity, Store, Transaction
from node.ports.crediting import IssueRow, RecordRow
from node.usecases.defining import find_achievement
from node.usecases.disclosing import active_learner, held_learner, pseudonym_for
from node.usecases.issuing import Draft, Issuing
from node.usecases.recounting import balances_held, find_record, summary_of

RECORDS_PER_LEARNER_MAX: Final = 10_000


class LearnerUnnamed(InvalidInput):
    code = "LLN-1187"
    zh = "没有写明学习者，或写了两种：请填学习账户编号、代称、学号、身份证号中的一种。"
    en = "The learner is not named, or in two ways: give the account id, the handle, or one of the two numbers."


class LearnerNotFound(InvalidInput):
    code = "LLN-1186"
    zh = "没有找到这个学习者。请先在网页“学习者”开户，或用 lln learner register、import。"
    en = "No learner is known by that. Open the account first: page “Learners”, or lln learner."


class AmountMissing(InvalidInput):
    code = "LLN-1199"
    zh = "没有写学分，这项学习成果也没有规定学分。请填写学分，或在学习成果的定义里写明。"
    en = "No credits are given, and the achievement says none. Give them, or define the achievement with credits."


class IssuedDifferently(InvalidInput):
    code = "LLN-1198"
    zh = "这一行先前已颁发，内容与现在不同。记录不会被改写：请用 lln credit correct 更正。"
    en = "This row was issued before, with other content. A record is never rewritten: use lln credit correct."


class Learner(msgspec.Struct, frozen=True, kw_only=True):
    """Who a record is for: `account` here, or the pseudonym at another `home`."""

    account: str
    subject: str
    home: NodeName


class Crediting:
    """Decides which rows of a sheet become records."""

    def __init__(self, *, store: Store, clock: Clock, identity: Identity, issuing: Issuing) -> None:
        self._store = store
        self._clock = clock
        self._own_name = identity.name
        self._issuing = issuing

    async def issue(self, asked: IssueAsked) -> IssuePlan:
        """Say what the rows would issue; with `apply`, issue them, each row on its own.

        A row that was issued before is `same`: the same sheet again, or one cut off in the middle, doubles nothing.
        """
        if asked.apply:
            return await self._store.write(lambda tx: self._plan(tx, asked))
        return await self._store.read(lambda tx: self._plan(tx, asked))

    async def show(self, asked: RecordNamed) -> RecordShown:
        """One record with what has become of it; raises RecordUnknown."""

        def unit(tx: Transaction) -> RecordShown:
            row = find_record(tx, asked.id)
            events = tx.credits.events.of(row.id)
            return RecordShown(
                record=summary_of(tx, row),
                credential=msgspec.Raw(row.document),
                events=tuple(EventShown(kind=one.state, at_ms=one.at_ms, log_index=one.log_index) for one in events),
            )

        return await self._store.read(unit)

    async def list_records(self, asked: RecordsAsked) -> Records:
        def unit(tx: Transaction) -> Records:
            rows = _listed(tx, asked)
            shown = tuple(summary_of(tx, row) for row in rows[: asked.limit])
            return Records(records=shown, more=len(rows) > asked.limit)

        return await self._store.read(unit)

    async def balance(self, asked: BalanceAsked) -> Balances:
        """What a learner holds by unit, kind and level: whatever was issued to them here or elsewhere."""
        return await self._store.read(lambda tx: _balance(tx, asked.learner, day_in_china(self._clock.now_ms())))

    def _plan(self, tx: Transaction, asked: IssueAsked) -> IssuePlan:
        return IssuePlan(applied=asked.apply, rows=tuple(self._row(tx, row, asked) for row in asked.rows))

    def _row(self, tx: Transaction, row: CreditRow, asked: IssueAsked) -> PlannedCredit:
        try:
            learner = self._learner(tx, row, applies=asked.apply)
            achievement = find_achievement(tx, self._own_name, row.achievement, row.version)
            amount = _amount(row, achievement)
            key, digest = issue_key(learner, achievement, row), content_digest(row, amount)
            held = tx.credits.issues.get(key)
            if held is not None and held.sha256 != digest:
                raise IssuedDifferently(held.owner)
            told = PlannedCredit(
                row=row.row,
                change="same" if held else "issue",
                id=held.owner if held else "",
                learner=learner.account,
                achievement=achievement.id,
                name=achievement.name,
                hundredths=amount.hundredths,
                unit=amount.unit,
            )
            if held is not None or not asked.apply:
                return told
            issued = self._issuing.issue(tx, _draft(row, learner, achievement, amount, asked.by))
            tx.credits.issues.put([IssueRow(id=key, owner=issued.id, sha256=digest)])
            return msgspec.structs.replace(told, id=issued.id)
        except LlnError as error:
            return _refused(row, error)

    def _learner(self, tx: Transaction, row: CreditRow, *, applies: bool) -> Learner:
        given = [text for text in (row.learner, row.student_number, row.identity_number) if text]
        if len(given) != 1:
            raise LearnerUnnamed(f"row {row.row}")
        if "@" in row.learner:
            handle = Handle.parse(row.learner)
            if handle.home != self._own_name:
                return Learner(account="", subject=handle.subject, home=NodeName(handle.home))
            known = tx.credits.pseudonyms.get(handle.subject)
            found = known.owner if known else ""
        else:
            found = row.learner or _by_number(tx, row)
        if not found or tx.credits.learners.get(found) is None:
            raise LearnerNotFound(f"row {row.row}")
        account = active_learner(tx, found).id
        subject = pseudonym_for(tx, account, self._own_name) if applies else ""
        return Learner(account=account, subject=subject, home=self._own_name)


def _listed(tx: Transaction, asked: RecordsAsked) -> Sequence[RecordRow]:
    shelf, limit = tx.credits.records, asked.limit + 1
    if asked.learner:
        rows = shelf.of(asked.learner, asked.after, RECORDS_PER_LEARNER_MAX)
        return [row for row in rows if asked.state in (None, row.state)][:limit]
    if asked.state:
        return shelf.in_state(asked.state, asked.after, limit)
    return shelf.all(asked.after, limit)


def _balance(tx: Transaction, learner: str, as_of: date) -> Balances:
    held_learner(tx, learner)
    return Balances(
        lines=tuple(
            BalanceLine(
                unit=line.unit,
                kind=line.kind,
                level=line.level,
                granted=line.granted,
                available=line.available,
                records=line.lots,
            )
            for line in balances_held(tx, tx.credits.records.of(learner, limit=RECORDS_PER_LEARNER_MAX), as_of)
        )
    )


def _by_number(tx: Transaction, row: CreditRow) -> str:
    shelf = tx.credits.learners
    found = (
        shelf.by_student_number(row.student_number)
        if row.student_number
        else shelf.by_identity_number(row.identity_number)
    )
    return found.id if found else ""


def _amount(row: CreditRow, achievement: Achievement) -> Amount:
    worth = achievement.credits
    if row.amount is None:
        if worth is None:
            raise AmountMissing(achievement.id)
        return worth
    return Amount(unit=worth.unit if worth else "credit", hundredths=row.amount)


def _draft(row: CreditRow, learner: Learner, achievement: Achievement, amount: Amount, by: str) -> Draft:
    return Draft(
        subject=learner.subject,
        owner=learner.account or learner.subject,
        home=learner.home,
        achievement=achievement,
        amount=amount,
        achieved_on=row.achieved_on,
        valid_until_ms=end_of_day_in_china_ms(row.valid_until) if row.valid_until else None,
        result=row.result,
        hours=row.hours,
        number=row.number,
        evidence_sha256=row.evidence_sha256,
        by=by,
    )


def issue_key(learner: Learner, achievement: Achievement, row: CreditRow) -> str:
    """What makes a row the same row: who, what, and the certificate's number, or where there is none the day.

    No number of a person is part of it: accounts stand for people.
    """
    who = learner.account or learner.subject
    told = f"{who}|{achievement.id}@{achievement.version}|{row.number or row.achieved_on.isoformat()}"
    return sha256(told.encode()).hexdigest()


def content_digest(row: CreditRow, amount: Amount) -> str:
    """What must be as it was for a row to be the same; nothing that names the learner, whom the key stands for."""
    kept = msgspec.structs.replace(
        row, row=0, learner="", student_number="", identity_number="", amount=amount.hundredths, version=None
    )
    return canonical.digest(canonical.encode(kept)).hex()


def _refused(row: CreditRow, error: LlnError) -> PlannedCredit:
    told = "" if not error.detail else f" ({error.detail})"
    return PlannedCredit(row=row.row, change="refused", reason_zh=error.zh + told, reason_en=error.en + told)
