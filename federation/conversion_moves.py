"""What a conversion does next: which sources to ask for, use up or let go, given what their issuers have answered.

What lives here: the receiver's side of reserve and commit as pure functions; effects are messages to be put into the
outbox in the same transaction as the case. What must not: the table of steps (`conversion_cases.py`), or issuing.

Invariant: a case ends as converted only when every hold is committed, and as refused or cancelled only when every hold
is let go or was never had; so no credit is lost or counted twice, whatever arrives late, twice, or not for days.
"""

from typing import Final, Literal

import msgspec

from federation.conversion_cases import ConversionCase, Hold, HoldState, step, tried_again, with_hold
from federation.credits import ReservationPastDeadline

MessageKind = Literal["credit.reserve", "credit.commit", "credit.void", "credit.return"]
TRIED_AGAIN: Final = frozenset((ReservationPastDeadline.code,))
"""Refusals of a commit after which the same lot is asked for once more: it was free in between, and may still be."""

ANSWERED: Final[dict[tuple[MessageKind, HoldState, bool], HoldState]] = {
    ("credit.reserve", "asked", True): "reserved",
    ("credit.reserve", "asked", False): "refused",
    ("credit.commit", "committing", True): "committed",
    ("credit.commit", "committing", False): "unusable",
    ("credit.void", "letting_go", True): "let_go",
    ("credit.void", "letting_go", False): "let_go",  # it had lapsed by itself
    ("credit.return", "letting_go", True): "let_go",
    ("credit.return", "letting_go", False): "let_go",  # nothing more can be done here; the history says so
}
"""Anything else is an answer to what is no longer asked, and changes nothing."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell the issuer of a hold."""

    kind: MessageKind
    hold: Hold

    @property
    def item_id(self) -> str:
        """The same for the same message, so that it is sent and applied once."""
        return f"{self.kind.removeprefix('credit.')}.{self.hold.reservation.id}"


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """The case after a step, and what to send. `is_ready`: everything is used up, and the records are to be issued."""

    case: ConversionCase
    messages: tuple[Message, ...] = ()
    is_ready: bool = False


def answered(
    case: ConversionCase,
    hold: Hold,
    kind: MessageKind,
    *,
    is_accepted: bool,
    receipt: str = "",
    code: str = "",
    told: str = "",
) -> ConversionCase:
    """The case with one issuer's answer written down; unchanged where nothing of the kind was asked.

    The first refusal of a hold stays the reason, whatever is said when it is let go.
    """
    state = ANSWERED.get((kind, hold.state, is_accepted))
    if state is None:
        return case
    changed = msgspec.structs.replace(
        hold,
        state=state,
        receipt=receipt or hold.receipt,
        code=hold.code or code,
        told=hold.told if hold.code else told[:300],
    )
    return with_hold(case, changed)


def advance(case: ConversionCase, *, at_ms: int, deadline_ms: int) -> Move:
    """What follows from how the holds stand now. Asked again without news, it says nothing new.

    `deadline_ms`: for lots that are asked for once more.
    """
    if case.state == "reserving":
        return _reserving(case, at_ms, deadline_ms)
    if case.state == "committing":
        return _committing(case, at_ms, deadline_ms)
    if case.state in ("releasing", "returning"):
        return _letting_go(case, at_ms)
    return Move(case=case)


def give_back(case: ConversionCase, *, at_ms: int, trouble: str = "") -> Move:
    """End a case whose holds are committed and whose records cannot be issued: everything used goes back.

    `trouble`: why, where no issuer of a source is to blame.
    """
    case = msgspec.structs.replace(case, trouble=trouble[:300])
    zh = "核销回执或转换结果有问题，已核销的正在退回。"
    en = "A receipt, or what was to be issued, is not in order; what was used is being given back."
    return _letting_go(step(case, "give_back", at_ms=at_ms, zh=zh, en=en), at_ms)


def begin_reserving(case: ConversionCase) -> Move:
    """The first messages of a case whose holds have just been written down."""
    messages = tuple(Message(kind="credit.reserve", hold=hold) for hold in case.holds)
    return Move(case=case, messages=messages)


def _reserving(case: ConversionCase, at_ms: int, deadline_ms: int) -> Move:
    if any(hold.state == "refused" for hold in case.holds):
        zh = "有一项来源学分未能预占，已预占的正在释放。"
        en = "One source could not be reserved; those that were are being let go."
        return _letting_go(step(case, "release", at_ms=at_ms, zh=zh, en=en), at_ms)
    if any(hold.state != "reserved" for hold in case.holds):
        return Move(case=case)
    zh = "来源学分均已预占，正在核销。"
    en = "All sources are reserved and are being used up."
    return _committing(step(case, "commit", at_ms=at_ms, zh=zh, en=en), at_ms, deadline_ms)


def _committing(case: ConversionCase, at_ms: int, deadline_ms: int) -> Move:
    messages: list[Message] = []
    for hold in case.holds:
        if hold.state == "reserved":
            case = _say(case, "credit.commit", hold, "committing", messages)
        elif hold.state in ("refused", "unusable"):
            again = tried_again(hold, deadline_ms=deadline_ms) if hold.code in TRIED_AGAIN else None
            if again is None:
                zh = "有一项来源学分未能核销，已核销的正在退回。"
                en = "One source could not be used up; those that were are being given back."
                given_up = _letting_go(step(case, "give_back", at_ms=at_ms, zh=zh, en=en), at_ms)
                return msgspec.structs.replace(given_up, messages=(*messages, *given_up.messages))
            case = with_hold(case, again)
            messages.append(Message(kind="credit.reserve", hold=again))
    is_ready = all(hold.state == "committed" for hold in case.holds)
    return Move(case=case, messages=tuple(messages), is_ready=is_ready)


def _letting_go(case: ConversionCase, at_ms: int) -> Move:
    messages: list[Message] = []
    for hold in case.holds:
        if hold.state in ("reserved", "unusable"):
            case = _say(case, "credit.void", hold, "letting_go", messages)
        elif hold.state == "committed":
            case = _say(case, "credit.return", hold, "letting_go", messages)
    if all(hold.state in ("let_go", "refused") for hold in case.holds):
        zh, en = _why_ended(case)
        case = step(case, case.wanted_end, at_ms=at_ms, zh=zh, en=en)
    return Move(case=case, messages=tuple(messages))


def _say(
    case: ConversionCase, kind: MessageKind, hold: Hold, state: HoldState, messages: list[Message]
) -> ConversionCase:
    told = msgspec.structs.replace(hold, state=state)
    messages.append(Message(kind=kind, hold=told))
    return with_hold(case, told)


def _why_ended(case: ConversionCase) -> tuple[str, str]:
    if case.wanted_end == "cancel":
        return "申请已取消，预占的学分均已释放。", "Cancelled; everything that was reserved is free again."
    if case.trouble:
        zh = f"来源学分已核销，但记录未能颁发：{case.trouble}。已动用的均已退回。"
        en = f"The records could not be issued: {case.trouble}. Whatever was used has been given back."
        return zh, en
    told = "; ".join(f"{hold.issuer}: {hold.told or hold.code}" for hold in case.holds if hold.code)
    zh = f"来源机构没有同意动用学分：{told}。已动用的均已退回。"
    en = f"An issuer of a source did not agree: {told}. Whatever was used has been given back."
    return zh, en
