"""Consenting: a learner, or the guardian of one below fourteen, agrees to a disclosure, and may take it back.

What lives here: giving and withdrawing consents. What must not: using them (`disclosing.py`), or deciding whether one
covers a use (`federation/consents.py`).
"""

from typing import Final

import msgspec

from federation import canonical
from federation.consents import Consent, ConsentState, may_agree, state_at
from federation.errors import Conflict, InvalidInput, NotAllowed
from federation.short_ids import ID_BYTES, write_id
from node.desk.learners import ConsentAsked, ConsentNamed, ConsentShown
from node.ports import Clock, Randomness, Store, Transaction
from node.ports.crediting import ConsentRow, LearnerRow
from node.usecases.disclosing import ConsentUnknown, active_learner, check_records, consent_in, shown
from node.usecases.recording import china_date

_DAY_MS: Final = 24 * 3_600_000

WITHDRAWN: Final[dict[ConsentState, ConsentState]] = {"active": "withdrawn", "withdrawn": "withdrawn"}
"""What a withdrawal makes of each state; what is used or over cannot be withdrawn any more."""


class GuardianNeeded(NotAllowed):
    code = "LLN-1481"
    zh = "学习者未满十四周岁，须由账户里登记的监护人同意（--by-guardian；先用 lln learner change 登记监护人）。"
    en = (
        "Below the age of fourteen the guardian on record consents: --by-guardian, after lln learner change --guardian."
    )


class AgeUnknown(NotAllowed):
    code = "LLN-1482"
    zh = "账户里没有出生日期，无法判断是否须由监护人同意。请先用 lln learner change 补上出生日期或身份证号。"
    en = "Without a birth date nobody can tell whether a guardian has to consent. Add it first with lln learner change."


class GuardianNotNeeded(NotAllowed):
    code = "LLN-1483"
    zh = "学习者已满十四周岁，须由本人同意，监护人不能代为同意。"
    en = "The learner is fourteen or older and consents in person; a guardian cannot do so for them."


class UnfitConsent(InvalidInput):
    code = "LLN-1183"
    zh = "授权的内容不完整：提供学分记录时要写明哪些记录或全部，字段不重复。"
    en = "The consent is not whole: to show credit records, name them or say all of them; name each field once."


class ConsentOver(Conflict):
    code = "LLN-1382"
    zh = "这份授权已经用完或到期，无需撤回；已经提供过的见 lln consent list。"
    en = "The consent is used up or over, so there is nothing to withdraw; lln consent list shows what was disclosed."


class Consenting:
    """The one writer of what is agreed to; `disclosing` alone writes that it was used."""

    def __init__(self, *, store: Store, clock: Clock, randomness: Randomness) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness

    async def give(self, asked: ConsentAsked) -> ConsentShown:
        """Say in words what would be agreed to; with `confirmed`, keep it.

        Raises LearnerUnknown, LearnerGone, RecordElsewhere, UnfitConsent, AgeUnknown, GuardianNeeded,
        GuardianNotNeeded.
        """
        now_ms = self._clock.now_ms()
        consent_id = write_id("C", self._randomness.token(ID_BYTES))

        def unit(tx: Transaction) -> ConsentShown:
            _check_who_agrees(active_learner(tx, asked.learner), by_guardian=asked.by_guardian, now_ms=now_ms)
            check_records(tx, asked.learner, asked.records)
            row = _row(asked, consent_id, now_ms)
            if asked.confirmed:
                tx.credits.consents.add(row)
            return shown(row, now_ms)

        return await (self._store.write(unit) if asked.confirmed else self._store.read(unit))

    async def withdraw(self, asked: ConsentNamed) -> ConsentShown:
        """Take a consent back for every later use; twice is harmless. Raises ConsentUnknown, ConsentOver."""
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> ConsentShown:
            row = tx.credits.consents.get(asked.consent)
            if row is None:
                raise ConsentUnknown(asked.consent)
            state = state_at(row.state, consent_in(row), now_ms)
            after = WITHDRAWN.get(state)
            if after is None:
                raise ConsentOver(row.id, state)
            if state != after:
                row = msgspec.structs.replace(row, state=after, ended_at_ms=now_ms)
                tx.credits.consents.put([row])
            return shown(row, now_ms)

        return await self._store.write(unit)


def _check_who_agrees(learner: LearnerRow, *, by_guardian: bool, now_ms: int) -> None:
    match may_agree(learner.birth_date, as_of=china_date(now_ms)):
        case "unknown":
            raise AgeUnknown(learner.id)
        case "guardian" if not (by_guardian and learner.guardian):
            raise GuardianNeeded(learner.id, "no guardian on record" if by_guardian else "not by the guardian")
        case "learner" if by_guardian:
            raise GuardianNotNeeded(learner.id)


def _row(asked: ConsentAsked, consent_id: str, now_ms: int) -> ConsentRow:
    try:
        consent = Consent(
            id=consent_id,
            learner=asked.learner,
            purpose=asked.purpose,
            fields=asked.fields,
            recipient=asked.recipient,
            records=asked.records,
            every_record=asked.every_record,
            given_at_ms=now_ms,
            expires_at_ms=now_ms + asked.days * _DAY_MS,
            uses=asked.uses,
            by="guardian" if asked.by_guardian else "learner",
        )
    except ValueError as unfit:
        raise UnfitConsent("consent", str(unfit)) from unfit
    return ConsentRow(id=consent_id, owner=asked.learner, document=canonical.encode(consent), given_at_ms=now_ms)
