"""A second look 提请复核: whoever will not decide alone passes a matter on, and somebody else decides it.

What lives here: who has passed a matter on, and what they may no longer do. What must not: the matter itself, or who
works at an institution.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from federation.catalogue import EpochMs
from federation.errors import Conflict, InvalidInput
from federation.spellings import is_spelled_alike

PASSED_ON_MAX: Final = 16


class PassedOnAlready(Conflict):
    code = "LLN-1385"
    zh = "您已经把它提请别人复核，须由另一位登记员决定。本单位没有另一位时，请系统管理员在“人员与角色”里添加。"
    en = "You have passed this on, so somebody else has to decide. If there is nobody, an operator adds a registrar."


class PassedOnTooOften(Conflict):
    code = "LLN-1386"
    zh = "提请复核的次数已到上限，请直接通过或退回。"
    en = "It was passed on as often as it can be. Approve or return it."


class ReasonMissing(InvalidInput):
    code = "LLN-1163"
    zh = "请写明为什么提请复核；只有本单位的同事会看到。"
    en = "Say why somebody else should look at it; only the people of this institution read that."


class PassedOn(msgspec.Struct, frozen=True, kw_only=True):
    """Who passed a matter on, and why; for the institution's own people, never for the learner or another node."""

    by: Annotated[str, Meta(min_length=1, max_length=200)]
    reason: Annotated[str, Meta(max_length=1_000)]
    at_ms: EpochMs


def pass_on(before: tuple[PassedOn, ...], *, by: str, reason: str, at_ms: int) -> tuple[PassedOn, ...]:
    """With one more name; raises PassedOnAlready, PassedOnTooOften, ReasonMissing."""
    check_may_decide(before, by)
    if not reason.strip():
        raise ReasonMissing("reason")
    if len(before) >= PASSED_ON_MAX:
        raise PassedOnTooOften(f"{len(before)} have passed it on")
    return (*before, PassedOn(by=by, reason=reason.strip(), at_ms=at_ms))


def check_may_decide(before: tuple[PassedOn, ...], by: str) -> None:
    """Raises PassedOnAlready where this person has passed the matter on."""
    if any(is_spelled_alike(one.by, by) for one in before):
        raise PassedOnAlready("passed on before by the same person")
