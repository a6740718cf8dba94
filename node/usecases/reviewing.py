"""Reviewing: people of the receiver look at conversions, agree or return them, and public notice runs its days.

What lives here: who has agreed, when notice ends, and what a learner's cancelling or appeal comes to. What must not:
what follows once everybody agrees (`converting.py`, handed in as `Deciding`).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Protocol

import msgspec

from federation import canonical, credentials
from federation.catalogue import BilingualLine
from federation.conversion_cases import CaseAct, ConversionCase, ReviewNote, appeal, escalate, step
from federation.credit_records import CreditRecord
from federation.errors import Conflict, InvalidInput, RefusedCall
from federation.naming import NodeName
from federation.second_looks import check_may_decide
from federation.spellings import is_spelled_alike
from federation.timestamps import day_in_china
from node.desk.conversions import CaseNamed, CasePassOnAsked, CaseReviewAsked, Cases, CasesAsked, CaseShown
from node.ports import Clock, Store, Transaction
from node.usecases.weighing import Weighing, case_of, rule_of, target_of, weigh, weigh_again

DAY_MS: Final = 86_400_000
NOTICE_EVERY_S: Final = 60.0
ACT_BYTES_MAX: Final = 16_384
Unit = Callable[[Transaction], bytes]


class ReviewedAlready(Conflict):
    code = "LLN-1349"
    zh = "这位审核人已经审核过这个申请，请由另一位审核。"
    en = "This person has reviewed the conversion already; somebody else has to."


class RemarkMissing(InvalidInput):
    code = "LLN-1188"
    zh = "不同意时请写明理由，学习者会看到它。"
    en = "Say in a remark why it is returned; the learner will read it."


class NotTheirCase(RefusedCall):
    code = "LLN-2294"
    zh = "这个转换申请不是由该节点提出的。"
    en = "That node did not ask for this conversion."


class Deciding(Protocol):
    """What carries out what people have agreed on."""

    def decide(
        self, tx: Transaction, case: ConversionCase, weighing: Weighing, *, is_agreed: bool
    ) -> ConversionCase: ...

    def keep(self, tx: Transaction, case: ConversionCase, *, due_at_ms: int = 0) -> ConversionCase: ...

    def let_go(self, tx: Transaction, case: ConversionCase) -> ConversionCase: ...

    def held(self, tx: Transaction, case_id: str) -> ConversionCase: ...


class Reviewing:
    def __init__(self, *, store: Store, clock: Clock, own_name: NodeName, deciding: Deciding) -> None:
        self._store = store
        self._clock = clock
        self._own_name = own_name
        self._deciding = deciding

    # --- what our people ask -----------------------------------------------------------------------------------------

    async def list_cases(self, asked: CasesAsked) -> Cases:
        def unit(tx: Transaction) -> Cases:
            shelf, limit = tx.credits.cases, asked.limit + 1
            rows = shelf.in_state(asked.state, asked.after, limit) if asked.state else shelf.all(asked.after, limit)
            return Cases(
                cases=tuple(_shown(tx, case_of(row)) for row in rows[: asked.limit]), more=len(rows) > asked.limit
            )

        return await self._store.read(unit)

    async def show(self, asked: CaseNamed) -> CaseShown:
        """A case, its evaluation made again as of the day it was decided, and whether that gives the same bytes."""

        def unit(tx: Transaction) -> CaseShown:
            case = self._deciding.held(tx, asked.id)
            if case.basis is None or case.decided_on is None:
                return _shown(tx, case)
            again = weigh_again(tx, _records(case), case.basis, case.decided_on)
            digest = canonical.digest(again.trace_bytes()).hex()
            return msgspec.structs.replace(_shown(tx, case), trace_holds=digest == case.trace_sha256)

        return await self._store.read(unit)

    async def review(self, asked: CaseReviewAsked) -> CaseShown:
        """Agree, or return with a reason; raises CaseUnknown, IllegalCaseStep, ReviewedAlready, RemarkMissing."""
        return await self._store.write(lambda tx: _shown(tx, self._review(tx, asked)))

    async def pass_on(self, asked: CasePassOnAsked) -> CaseShown:
        """Have somebody else decide; raises CaseUnknown, IllegalCaseStep, ReviewedAlready, and as `escalate`."""

        def unit(tx: Transaction) -> CaseShown:
            case = self._deciding.held(tx, asked.id)
            if any(is_spelled_alike(note.by, asked.by) for note in case.reviews):
                raise ReviewedAlready(asked.id)
            passed = escalate(case, by=asked.by, reason=asked.reason, at_ms=self._clock.now_ms())
            return _shown(tx, self._deciding.keep(tx, passed))

        return await self._store.write(unit)

    # --- what homes say ----------------------------------------------------------------------------------------------

    async def act(self, sender: NodeName, document: bytes) -> Unit:
        """A learner cancels or appeals; raises CaseUnknown, NotTheirCase, or as `step` and `appeal`."""
        asked = canonical.decode(document, CaseAct, bytes_max=ACT_BYTES_MAX)

        def unit(tx: Transaction) -> bytes:
            case = self._deciding.held(tx, asked.case_id)
            if case.request.home != sender:
                raise NotTheirCase(asked.case_id, f"told by {sender}")
            if asked.act == "cancel":
                self._cancel(tx, case)
            else:
                now_ms = self._clock.now_ms()
                self._deciding.keep(tx, appeal(case, asked.remark, number=asked.number, at_ms=now_ms))
            return b"{}"

        return unit

    # --- by itself ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """What has been in public notice for its days goes on."""
        while True:
            await self.end_notices()
            await self._clock.sleep(NOTICE_EVERY_S)

    async def end_notices(self) -> int:
        now_ms = self._clock.now_ms()
        due = await self._store.read(
            lambda tx: [row.id for row in tx.credits.cases.in_state("notice") if row.due_at_ms <= now_ms]
        )
        for case_id in due:
            await self._store.write(partial(self._end_notice, case_id))
        return len(due)

    def _end_notice(self, case_id: str, tx: Transaction) -> None:
        case = self._deciding.held(tx, case_id)
        if case.state == "notice":
            self._decide(tx, case)

    # --- units -------------------------------------------------------------------------------------------------------

    def _review(self, tx: Transaction, asked: CaseReviewAsked) -> ConversionCase:
        now_ms = self._clock.now_ms()
        case = self._deciding.held(tx, asked.id)
        if any(is_spelled_alike(note.by, asked.by) for note in case.reviews):
            raise ReviewedAlready(asked.id)
        check_may_decide(case.passed_on, asked.by)
        if not asked.approve and not asked.remark.strip():
            raise RemarkMissing(asked.id)
        note = ReviewNote(by=asked.by, approves=asked.approve, remark=asked.remark, at_ms=now_ms)
        case = msgspec.structs.replace(case, reviews=(*case.reviews, note))
        if not asked.approve:
            zh, en = f"审核退回：{asked.remark}", f"Returned on review: {asked.remark}"
            return self._deciding.keep(tx, step(case, "refuse", at_ms=now_ms, zh=zh, en=en))
        if case.state != "reviewing":
            step(case, "announce", at_ms=now_ms, zh="", en="")  # raises: nobody is asked to review it now
        agreed = sum(1 for one in case.reviews if one.approves)
        if agreed < max(1, case.reviewers):
            return self._deciding.keep(tx, case)
        if not case.notice_days:
            return self._decide(tx, case)
        due_at_ms = now_ms + case.notice_days * DAY_MS
        case = msgspec.structs.replace(case, notice_until_ms=due_at_ms)
        zh, en = f"审核通过，公示 {case.notice_days} 天。", f"Approved; in public notice for {case.notice_days} day(s)."
        return self._deciding.keep(tx, step(case, "announce", at_ms=now_ms, zh=zh, en=en), due_at_ms=due_at_ms)

    def _decide(self, tx: Transaction, case: ConversionCase) -> ConversionCase:
        """Rules, caps and what was granted meanwhile are looked at again on the day of the decision."""
        weighing = weigh(
            tx,
            _records(case),
            subject=case.request.subject,
            receiver=self._own_name,
            programme=case.request.programme,
            as_of=day_in_china(self._clock.now_ms()),
            leave_out=case.id,
        )
        return self._deciding.decide(tx, case, weighing, is_agreed=True)

    def _cancel(self, tx: Transaction, case: ConversionCase) -> None:
        now_ms = self._clock.now_ms()
        if case.state == "reserving":
            zh, en = "学习者取消了申请，正在释放预占。", "The learner has cancelled; what is reserved is being let go."
            case = msgspec.structs.replace(case, wanted_end="cancel")
            self._deciding.let_go(tx, step(case, "release", at_ms=now_ms, zh=zh, en=en))
            return
        zh, en = "学习者取消了申请。", "The learner has cancelled the conversion."
        self._deciding.keep(tx, step(case, "cancel", at_ms=now_ms, zh=zh, en=en))


def _records(case: ConversionCase) -> Sequence[CreditRecord]:
    """What was verified when the request came in, read again."""
    return [credentials.read(one.encode()) for one in case.request.credentials]


def _shown(tx: Transaction, case: ConversionCase) -> CaseShown:
    return CaseShown(
        id=case.id,
        state=case.state,
        home=case.request.home,
        subject=case.request.subject,
        programme=case.request.programme,
        decided_on=case.decided_on,
        grants=case.grants,
        refusals=case.refusals,
        reviewers=case.reviewers,
        notice_until_ms=case.notice_until_ms,
        reviews=case.reviews,
        passed_on=case.passed_on,
        holds=case.holds,
        results=case.results,
        history=case.history,
        trace_sha256=case.trace_sha256,
        names={record.id: record.achievement.name for record in _records(case)} | dict(_targets(tx, case)),
    )


def _targets(tx: Transaction, case: ConversionCase) -> Iterator[tuple[str, BilingualLine]]:
    """What the rules call the achievements that would be given."""
    for grant in case.grants:
        rule = rule_of(tx, grant.rule.id, grant.rule.version, grant.rule.digest)
        for credit in grant.credits:
            target = target_of(rule, credit.achievement, credit.version) if rule else None
            if target is not None:
                yield credit.achievement, target.title
