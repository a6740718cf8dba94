"""Agreeing: who may consent to a disclosure, and what is kept of it; shared by whoever asks a learner.

What lives here: the check and the row, inside an open transaction. What must not: the operations that need them
(`consenting.py`, `presenting.py`), or using a consent (`disclosing.py`).
"""

from typing import Final

from federation import canonical
from federation.consents import Consent, may_agree
from federation.errors import InvalidInput, NotAllowed
from node.desk.learners import ConsentAsked
from node.ports.crediting import ConsentRow, LearnerRow
from node.usecases.recording import china_date

_DAY_MS: Final = 24 * 3_600_000


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


def check_who_agrees(learner: LearnerRow, *, by_guardian: bool, now_ms: int) -> None:
    """Raises AgeUnknown, GuardianNeeded, GuardianNotNeeded."""
    match may_agree(learner.birth_date, as_of=china_date(now_ms)):
        case "unknown":
            raise AgeUnknown(learner.id)
        case "guardian" if not (by_guardian and learner.guardian):
            raise GuardianNeeded(learner.id, "no guardian on record" if by_guardian else "not by the guardian")
        case "learner" if by_guardian:
            raise GuardianNotNeeded(learner.id)


def consent_row(asked: ConsentAsked, consent_id: str, now_ms: int) -> ConsentRow:
    """The consent as it is kept, from now on; raises UnfitConsent."""
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
