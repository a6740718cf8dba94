"""A conversion on its way: the case at the receiver, its legal steps, and what the three sides send each other.

The receiver keeps the case and decides. The home asks for a learner and is told. The issuer of a source is the one
writer of its lot: it sets aside, uses up, lets go (DESIGN.md §7). One node may be two of them, or all three.

What lives here: types and the table of steps. What must not: what follows from an issuer's answer
(`conversion_moves.py`), evaluating rules (`conversion.py`), lots (`credits.py`), or sending anything.

    received -+-> reviewing -> notice -> reserving -+-> committing -+-> converted
              |      |                     ^        |               |
              +------|---------------------+        +-> releasing   +-> returning
              v      v                                   |  |            |
           refused  cancelled <--------------------------|--+            |
              ^------------------------------------------+---------------+
"""

from datetime import date
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from federation.amounts import Unit
from federation.catalogue import EpochMs
from federation.consents import SignedGrant
from federation.conversion import Facts, Grant, Refusal
from federation.credit_records import CredentialId, Subject
from federation.credits import LotId, OperationId, Reservation, Sha256Hex
from federation.errors import Conflict
from federation.naming import NameField
from federation.second_looks import PassedOn, pass_on

SOURCES_MAX: Final = 32
HOLDS_MAX: Final = 64
HISTORY_MAX: Final = 200
RESERVED_FOR_MS: Final = 72 * 3_600_000
"""How long a lot is set aside: the receiver commits within seconds, or, after an outage, within days."""
RESERVE_TRIES_MAX: Final = 3
APPEALS_MAX: Final = 3
"""One for each refusal, and no more than so many in a case: people look at each of them."""

CaseState = Literal[
    "received",
    "reviewing",
    "notice",
    "reserving",
    "committing",
    "releasing",
    "returning",
    "converted",
    "refused",
    "cancelled",
]
CaseStep = Literal[
    "review",  # the rules ask for people
    "pass_on",  # somebody else of the receiver shall look at it
    "announce",  # enough people agree, and there is public notice
    "reserve",
    "commit",
    "complete",
    "release",  # some source could not be had: let the others go
    "give_back",  # some source could not be used up though others were
    "refuse",
    "cancel",
    "appeal",
]
HoldState = Literal["asked", "reserved", "committing", "committed", "letting_go", "let_go", "refused", "unusable"]
"""`unusable`: set aside at its issuer, which would not use it up; it is still to be let go there."""

CASE_STEPS: Final[dict[tuple[CaseState, CaseStep], CaseState]] = {
    ("received", "review"): "reviewing",
    ("received", "reserve"): "reserving",
    ("received", "refuse"): "refused",
    ("received", "cancel"): "cancelled",
    ("reviewing", "pass_on"): "reviewing",
    ("reviewing", "announce"): "notice",
    ("reviewing", "reserve"): "reserving",
    ("reviewing", "refuse"): "refused",
    ("reviewing", "cancel"): "cancelled",
    ("notice", "reserve"): "reserving",
    ("notice", "refuse"): "refused",
    ("notice", "cancel"): "cancelled",
    ("reserving", "commit"): "committing",
    ("reserving", "release"): "releasing",
    ("releasing", "refuse"): "refused",
    ("releasing", "cancel"): "cancelled",
    ("committing", "complete"): "converted",
    ("committing", "give_back"): "returning",
    ("returning", "refuse"): "refused",
    ("refused", "appeal"): "reviewing",
}
FINAL_STATES: Final[frozenset[CaseState]] = frozenset(("converted", "cancelled"))
OPEN_STATES: Final[tuple[CaseState, ...]] = (
    "received",
    "reviewing",
    "notice",
    "reserving",
    "committing",
    "releasing",
    "returning",
)

Sentence = Annotated[str, Meta(max_length=1_000)]


class IllegalCaseStep(Conflict):
    code = "LLN-1370"
    zh = "这个转换申请当前的状态不允许这一步。请用 lln convert status 查看它走到了哪里。"
    en = "The conversion's state does not allow this step. See where it stands with lln convert status."


class AppealsUsedUp(Conflict):
    code = "LLN-1331"
    zh = "这个申请已申诉到次数上限，不能再申诉。可以另行提出新的申请。"
    en = "The conversion has been appealed as often as it can be. Ask for a new one instead."


class AppealOutdated(Conflict):
    code = "LLN-1332"
    zh = "这次申诉针对的是更早的决定，此后已另有决定，未受理。请先用 lln convert status 查看。"
    en = "The appeal is against an earlier decision than the one that stands. Look with lln convert status first."


class ConversionRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the home sends to a receiver: the learner's credentials, verbatim, and the grant that lets it look at them.

    `case_id` is the home's choice and names the case for ever. `subject`: the learner as the receiver knows them.
    """

    case_id: OperationId
    home: NameField
    receiver: NameField
    subject: Subject
    programme: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:/-]*$", max_length=128)] = ""
    credentials: Annotated[tuple[str, ...], Meta(min_length=1, max_length=SOURCES_MAX)]
    grant: SignedGrant


class Hold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reservation of a case, as the receiver knows it; `receipt`: what the issuer has signed on using it up."""

    reservation: Reservation
    issuer: NameField
    state: HoldState = "asked"
    tries: int = 1
    receipt: str = ""
    code: str = ""
    told: str = ""


class ReviewNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    by: str
    approves: bool
    remark: Sentence = ""
    at_ms: EpochMs


class CaseNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a case's history, for everybody concerned."""

    state: CaseState
    at_ms: EpochMs
    zh: Sentence
    en: Sentence


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A source of a case: which credential, by whom, with the digest of its bytes."""

    id: CredentialId
    sha256: str
    issuer: NameField
    unit: Unit


class Basis(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a decision was made upon besides the sources: enough to make its trace again, whatever is granted or
    published since.

    `rules`: digests of the versions, known then, of every rule that the trace names.
    """

    facts: Facts
    rules: tuple[Sha256Hex, ...] = ()


class ConversionCase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A case as the receiver keeps it: a value, replaced at every step.

    `decided_on`: the day the evaluation was made for. `trace_sha256`: of the canonical bytes of its trace, which the
    same evaluation gives again. `results`: the records issued. `wanted_end`: what becomes of it once all is let go.
    `trouble`: why records could not be issued though everything was used up. `steps`: how many were ever made, also
    those that the history has no room for. `passed_on`: who would not decide alone, and why; no news tells it.
    """

    request: ConversionRequest
    sources: tuple[SourceRecord, ...]
    state: CaseState = "received"
    decided_on: date | None = None
    basis: Basis | None = None
    grants: tuple[Grant, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    trace_sha256: str = ""
    reviewers: int = 0
    notice_days: int = 0
    notice_until_ms: int = 0
    reviews: tuple[ReviewNote, ...] = ()
    passed_on: tuple[PassedOn, ...] = ()
    appeals: int = 0
    holds: Annotated[tuple[Hold, ...], Meta(max_length=HOLDS_MAX)] = ()
    results: tuple[CredentialId, ...] = ()
    wanted_end: Literal["refuse", "cancel"] = "refuse"
    trouble: str = ""
    steps: int = 0
    history: tuple[CaseNote, ...] = ()

    @property
    def id(self) -> str:
        return self.request.case_id


class CaseNews(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the receiver tells the home of a case: where it stands, why, and which records came of it.

    `number` counts the steps of the case, so that of two news the later one is known, however they arrive and whatever
    the receiver's clock did in between.
    """

    case_id: OperationId
    receiver: NameField
    state: CaseState
    zh: Sentence
    en: Sentence
    at_ms: EpochMs
    number: Annotated[int, Meta(ge=0)] = 0
    refusals: Annotated[tuple[Refusal, ...], Meta(max_length=256)] = ()
    results: tuple[CredentialId, ...] = ()


class ReserveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """To the issuer of a source: set this aside. The grant shows that the learner's home agrees."""

    reservation: Reservation
    credential_sha256: str
    grant: SignedGrant


class SettleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """To the issuer of a source: use up, let go, or take back what was used for a conversion that came to nothing."""

    reservation_id: OperationId
    lot_id: LotId
    case_id: OperationId


class CaseAct(msgspec.Struct, frozen=True, kw_only=True):
    """From the home: the learner cancels, or asks for the decision to be looked at again.

    `number`: of the news that an appeal answers, so that one which was long on its way is not taken for one against
    a later refusal; 0 where the home has none.
    """

    case_id: OperationId
    act: Literal["cancel", "appeal"]
    number: Annotated[int, Meta(ge=0)] = 0
    remark: Sentence = ""


class SourceNews(msgspec.Struct, frozen=True, kw_only=True):
    """From the issuer of a source to whoever reserved or used it: its record is not what it was."""

    record: CredentialId
    state: Literal["active", "suspended", "revoked", "superseded", "expired"]
    at_ms: EpochMs


# --- steps -----------------------------------------------------------------------------------------------------------


def step(case: ConversionCase, name: CaseStep, *, at_ms: int, zh: str, en: str) -> ConversionCase:
    """The case one step further, with a line of history; raises IllegalCaseStep."""
    state = CASE_STEPS.get((case.state, name))
    if state is None:
        raise IllegalCaseStep(case.id, f"{case.state}, asked to {name}")
    note = CaseNote(state=state, at_ms=at_ms, zh=zh[:1_000], en=en[:1_000])
    history = (*case.history, note)[-HISTORY_MAX:]
    return msgspec.structs.replace(case, state=state, history=history, steps=case.steps + 1)


def appeal(case: ConversionCase, remark: str, *, number: int, at_ms: int) -> ConversionCase:
    """A refused case before people once more; those who looked at it before do not count.

    Raises IllegalCaseStep (also where this refusal was appealed against before), AppealOutdated, AppealsUsedUp.
    """
    again = step(case, "appeal", at_ms=at_ms, zh=f"学习者申诉：{remark}", en=f"The learner appeals: {remark}")
    if number not in (0, case.steps):
        raise AppealOutdated(case.id, f"answers step {number}, the refusal is step {case.steps}")
    if case.appeals >= APPEALS_MAX:
        raise AppealsUsedUp(case.id, f"{case.appeals} appeals")
    anew = msgspec.structs.replace(again, reviews=(), passed_on=(), holds=(), trouble="")
    return msgspec.structs.replace(anew, appeals=case.appeals + 1, reviewers=max(1, case.reviewers))


def escalate(case: ConversionCase, *, by: str, reason: str, at_ms: int) -> ConversionCase:
    """A case that waits for people, passed on to others of them; the learner reads that, and not the reason.

    Raises IllegalCaseStep, and as `second_looks.pass_on`.
    """
    zh, en = "审核人提请另一位同事复核。", "A reviewer has asked a colleague to look at it as well."
    again = step(case, "pass_on", at_ms=at_ms, zh=zh, en=en)
    return msgspec.structs.replace(again, passed_on=pass_on(case.passed_on, by=by, reason=reason, at_ms=at_ms))


def news_of(case: ConversionCase) -> CaseNews:
    """What the home is told of a case as it stands."""
    last = case.history[-1] if case.history else None
    return CaseNews(
        case_id=case.id,
        receiver=case.request.receiver,
        state=case.state,
        zh=last.zh if last else "",
        en=last.en if last else "",
        at_ms=last.at_ms if last else 0,
        number=case.steps,
        refusals=case.refusals,
        results=case.results,
    )


def with_hold(case: ConversionCase, changed: Hold) -> ConversionCase:
    """The case with one hold replaced, found by its lot and scope: a hold that is tried again has another id."""
    wanted = changed.reservation
    holds = tuple(
        changed if (hold.reservation.lot_id, hold.reservation.scope_key) == (wanted.lot_id, wanted.scope_key) else hold
        for hold in case.holds
    )
    return msgspec.structs.replace(case, holds=holds)


def hold_of(case: ConversionCase, reservation_id: str) -> Hold | None:
    """The hold with this reservation; None where it has been given up for another try."""
    return next((hold for hold in case.holds if hold.reservation.id == reservation_id), None)


def holds_wanted(case: ConversionCase, *, deadline_ms: int) -> tuple[Hold, ...]:
    """A reservation for everything that the grants of a case consume; ids follow from case, appeal, place and try.

    A grant that consumes nothing names its lots with amount 0: they are reserved all the same, to take the scope.
    """
    sources = {source.id: source for source in case.sources}
    wanted = [(grant, used) for grant in case.grants for used in grant.consumed]
    return tuple(
        Hold(
            issuer=sources[used.lot_id].issuer,
            reservation=Reservation(
                id=f"{case.id}.{case.appeals}.{place}.1",
                lot_id=used.lot_id,
                scope_key=grant.scope_key,
                amount=used.amount,
                unit=sources[used.lot_id].unit,
                receiver=case.request.receiver,
                rule=grant.rule,
                case_id=case.id,
                deadline_ms=deadline_ms,
            ),
        )
        for place, (grant, used) in enumerate(wanted, 1)
    )


def tried_again(hold: Hold, *, deadline_ms: int) -> Hold | None:
    """The same hold under a new id and deadline, or None where it has been tried often enough."""
    if hold.tries >= RESERVE_TRIES_MAX:
        return None
    beginning = hold.reservation.id.rpartition(".")[0]
    again = msgspec.structs.replace(hold.reservation, id=f"{beginning}.{hold.tries + 1}", deadline_ms=deadline_ms)
    return msgspec.structs.replace(hold, reservation=again, state="asked", tries=hold.tries + 1, code="", told="")
