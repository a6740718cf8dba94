"""Registering: accounts of learners are opened and kept right, one by one or from a sheet as a plan and then for good.

What lives here: whose account a row of a sheet means, and writing it. What must not: judging what was written of a
person (`federation/persons.py`), reading sheets (`node/intake`), or consents.

No refusal repeats a number: it names the account that has it, or the row of the sheet.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import msgspec

from federation.errors import Conflict, InvalidInput
from federation.persons import Person, PersonFault, Written, masked_identity_number, masked_student_number, read_person
from federation.short_ids import ID_BYTES, write_id
from node.desk.learners import (
    ChangeAsked,
    LearnerPlan,
    LearnersImportAsked,
    LearnerWritten,
    PlannedLearner,
    RegisterAsked,
)
from node.ports import Clock, Randomness, Store, Transaction
from node.ports.crediting import LearnerRow
from node.usecases.disclosing import active_learner, keep_secret
from node.usecases.recording import Refusal, china_date


class UnfitPerson(InvalidInput):
    """`faults` say it in words for people; none of them repeats what was written."""

    code = "LLN-1182"
    zh = "所填的个人信息不符合要求。请按提示修改。"
    en = "What was written of the person is not acceptable. Correct it as described."

    def __init__(self, faults: tuple[PersonFault, ...]) -> None:
        super().__init__(
            "", " ".join(f"{one.field}: {one.zh} {one.en} → {one.remedy_zh} {one.remedy_en}" for one in faults)
        )
        self.faults = faults


class NumberTaken(Conflict):
    code = "LLN-1381"
    zh = "这个身份证号或学号已属于另一个学习账户。请用 lln learner show 查看该账户。"
    en = "Another account has this identity or student number. Look at it with lln learner show."


class Registering:
    """The one writer of who a learner is."""

    def __init__(self, *, store: Store, clock: Clock, randomness: Randomness) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness

    async def register(self, asked: RegisterAsked) -> str:
        """Open one account; its id. Raises UnfitPerson, NumberTaken."""
        now_ms = self._clock.now_ms()
        person = _fit(asked.written, china_date(now_ms))

        def unit(tx: Transaction) -> str:
            _check_free(tx, person, own="")
            return self._open(tx, person, now_ms).id

        return await self._store.write(unit)

    async def change(self, asked: ChangeAsked) -> str:
        """Put right what is held of a learner; raises UnfitPerson, NumberTaken, LearnerUnknown, LearnerGone."""
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> str:
            held = active_learner(tx, asked.learner)
            person = _fit(_over(asked.written, held, asked.emptied), china_date(now_ms))
            _check_free(tx, person, own=held.id)
            if _changed(held, person):
                tx.credits.learners.put([_brought_up(held, person, now_ms)])
            return held.id

        return await self._store.write(unit)

    async def import_learners(self, asked: LearnersImportAsked) -> LearnerPlan:
        """Say what a sheet would change; with `apply`, also write it, whole or not at all.

        A row means the account that has its numbers. It changes what it says and leaves what it does not say, so the
        same sheet changes nothing the second time.
        """
        if asked.apply:
            return await self._store.write(lambda tx: self._take_in(tx, asked))
        return await self._store.read(lambda tx: self._take_in(tx, asked))

    def _take_in(self, tx: Transaction, asked: LearnersImportAsked) -> LearnerPlan:
        now_ms = self._clock.now_ms()
        sheet = _Sheet()
        planned: list[PlannedLearner] = []
        for row in asked.rows:
            decided = _decide(tx, row, sheet, china_date(now_ms))
            plan = decided.plan
            if asked.apply and decided.person is not None:
                if decided.account is None:
                    plan = msgspec.structs.replace(plan, id=self._open(tx, decided.person, now_ms).id)
                else:
                    tx.credits.learners.put([_brought_up(decided.account, decided.person, now_ms)])
            planned.append(plan)
        return LearnerPlan(applied=asked.apply, rows=tuple(planned))

    def _open(self, tx: Transaction, person: Person, now_ms: int) -> LearnerRow:
        keep_secret(tx, self._randomness)
        row = LearnerRow(
            id=write_id("L", self._randomness.token(ID_BYTES)),
            registered_at_ms=now_ms,
            changed_at_ms=now_ms,
            **msgspec.structs.asdict(person),
        )
        is_new = tx.credits.learners.add(row)
        assert is_new, "eighty random bits came twice"  # noqa: S101  # nothing anybody typed can bring this about
        return row


class _Refused(Exception):
    """Raised and caught in this module: why a row is left as it is."""

    def __init__(self, refusal: Refusal, *fields: str) -> None:
        super().__init__()
        self.refusal = refusal
        self.fields = fields


class _Sheet:
    """The numbers met so far, each with the row it stood in first."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], int] = {}

    def enter(self, person: Person, row: int) -> None:
        """Raises _Refused for a person who could not be told apart, from others or from who was met already."""
        numbers = (("identity", person.identity_number), ("student", person.student_number))
        firsts = [self._rows.setdefault(number, row) for number in numbers if number[1]]
        if not firsts:
            raise _Refused(_NO_NUMBER, "identity_number", "student_number")
        for first in firsts:
            if first != row:
                raise _Refused(_repeated(first))


class _Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What one row would do; `person` where something is to be written, `account` where there is one already."""

    plan: PlannedLearner
    account: LearnerRow | None = None
    person: Person | None = None


def _decide(tx: Transaction, row: LearnerWritten, sheet: _Sheet, as_of: date) -> _Decided:
    try:
        person = _judged(row.written, as_of)
        sheet.enter(person, row.row)
        account = _account_of(tx, person)
        if account is None:
            return _Decided(plan=_planned(row.row, "add", person), person=person)
        merged = _judged(_over(row.written, account), as_of)  # fit by itself, but perhaps not with what is held
    except _Refused as refused:
        return _Decided(plan=_refused(row.row, refused.refusal, refused.fields))
    changed = _changed(account, merged)
    plan = _planned(row.row, "update" if changed else "same", merged, account.id, changed)
    return _Decided(plan=plan, account=account, person=merged if changed else None)


def _judged(written: Written, as_of: date) -> Person:
    person = read_person(written, as_of=as_of)
    if isinstance(person, Person):
        return person
    raise _Refused(_told(person), *(one.field for one in person))


def _account_of(tx: Transaction, person: Person) -> LearnerRow | None:
    """The account that a person's numbers mean, or none yet; raises _Refused where it cannot be said."""
    learners = tx.credits.learners
    by_identity = learners.by_identity_number(person.identity_number) if person.identity_number else None
    by_student = learners.by_student_number(person.student_number) if person.student_number else None
    if by_identity is not None and by_student is not None and by_identity.id != by_student.id:
        raise _Refused(_two_accounts(by_identity.id, by_student.id), "identity_number", "student_number")
    account = by_identity or by_student
    if account is not None and account.state != "active":
        raise _Refused(_gone(account))
    if account is not None and by_identity is None and person.identity_number and account.identity_number:
        raise _Refused(_other_identity(account.id), "identity_number")
    return account


def _check_free(tx: Transaction, person: Person, *, own: str) -> None:
    learners = tx.credits.learners
    for holder in (
        learners.by_identity_number(person.identity_number) if person.identity_number else None,
        learners.by_student_number(person.student_number) if person.student_number else None,
    ):
        if holder is not None and holder.id != own:
            raise NumberTaken(holder.id)


def _fit(written: Written, as_of: date) -> Person:
    person = read_person(written, as_of=as_of)
    if isinstance(person, Person):
        return person
    raise UnfitPerson(person)


def _over(written: Written, held: LearnerRow, emptied: Sequence[str] = ()) -> Written:
    """What is held, with what was written in its place.

    Where another number takes the place of one that is held, the birth date inside the former goes with it.
    """
    fields = {
        "name": held.name,
        "identity_number": held.identity_number,
        "student_number": held.student_number,
        "birth_date": held.birth_date.isoformat() if held.birth_date else "",
        "guardian": held.guardian,
        "contact": held.contact,
    }
    said = {name: text for name, text in msgspec.structs.asdict(written).items() if text.strip()}
    if "identity_number" in said and held.identity_number:
        fields["birth_date"] = ""
    return Written(**(fields | said | dict.fromkeys(emptied, "")))


def _changed(held: LearnerRow, person: Person) -> tuple[str, ...]:
    return tuple(name for name in Person.__struct_fields__ if getattr(held, name) != getattr(person, name))


def _brought_up(held: LearnerRow, person: Person, now_ms: int) -> LearnerRow:
    return msgspec.structs.replace(held, changed_at_ms=now_ms, **msgspec.structs.asdict(person))


# --- what is told ----------------------------------------------------------------------------------------------------


def _planned(row: int, change: Any, person: Person, learner: str = "", changed: tuple[str, ...] = ()) -> PlannedLearner:
    number = masked_identity_number(person.identity_number) or masked_student_number(person.student_number)
    return PlannedLearner(row=row, change=change, id=learner, name=person.name, number=number, changed=changed)


def _refused(row: int, refusal: Refusal, fields: tuple[str, ...]) -> PlannedLearner:
    return PlannedLearner(
        row=row,
        change="refused",
        changed=fields,
        reason_zh=refusal.zh,
        reason_en=refusal.en,
        remedy_zh=refusal.remedy_zh,
        remedy_en=refusal.remedy_en,
    )


def _told(faults: tuple[PersonFault, ...]) -> Refusal:
    return Refusal(
        zh=" ".join(one.zh for one in faults),
        en=" ".join(one.en for one in faults),
        remedy_zh=" ".join(one.remedy_zh for one in faults),
        remedy_en=" ".join(one.remedy_en for one in faults),
    )


def _repeated(first: int) -> Refusal:
    return Refusal(
        zh=f"身份证号或学号与第 {first} 行相同。",
        en=f"The same identity or student number as in row {first}.",
        remedy_zh="每人只保留一行。",
        remedy_en="Keep one row for each person.",
    )


def _two_accounts(first: str, second: str) -> Refusal:
    return Refusal(
        zh=f"身份证号属于账户 {first}，学号却属于账户 {second}。",
        en=f"The identity number is that of {first}, the student number that of {second}.",
        remedy_zh="请核对这一行；确属同一人时，先用 lln learner change 改正其中一个账户。",
        remedy_en="Look at the row again; if it is one person, put one of the accounts right with lln learner change.",
    )


def _other_identity(account: str) -> Refusal:
    return Refusal(
        zh=f"这个学号属于账户 {account}，该账户的身份证号与此不同。",
        en=f"The student number is that of {account}, which has another identity number.",
        remedy_zh="请核对这一行；账户有误时用 lln learner change 改正。",
        remedy_en="Look at the row again; if the account is wrong, put it right with lln learner change.",
    )


def _gone(account: LearnerRow) -> Refusal:
    return Refusal(
        zh=f"账户 {account.id} 已迁往 {account.moved_to or '别处'}。",
        en=f"The account {account.id} has moved to {account.moved_to or 'elsewhere'}.",
        remedy_zh="请从名单中删去这一行。",
        remedy_en="Leave the row out.",
    )


_NO_NUMBER: Final = Refusal(
    zh="没有身份证号，也没有学号，再次导入时无法认出是同一人。",
    en="There is neither an identity nor a student number, so a second import could not tell who it is.",
    remedy_zh="请至少填写一个号码；确实没有的，用 lln learner register 逐个登记。",
    remedy_en="Give at least one of them; people without any are registered one by one with lln learner register.",
)
