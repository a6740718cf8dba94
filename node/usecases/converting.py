"""Converting: this node as the receiver of a conversion, from the request to the record it issues.

What lives here: taking a request in, deciding, asking the issuers of the sources step by step, issuing, and telling
the home. What must not: what follows from an answer (`federation/conversion_moves.py`), the lots of others
(`lending.py`), or people's reviews (`reviewing.py`).

Each step of a case, the messages it sends and the records it issues are one transaction. A crash anywhere leaves the
case where its last message was put into the outbox; the answer, when it comes, takes it on.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, cast

import msgspec

from federation import canonical, credentials
from federation.amounts import Amount
from federation.canonical import MalformedDocument
from federation.consents import ConsentGrant, GrantTooNarrow, Use, check_grant, open_grant
from federation.conversion import Grant, GrantedCredit
from federation.conversion_cases import (
    RESERVED_FOR_MS,
    CaseNews,
    ConversionCase,
    ConversionRequest,
    Hold,
    ReserveRequest,
    SettleRequest,
    hold_of,
    holds_wanted,
    news_of,
    step,
    with_hold,
)
from federation.conversion_moves import Message, MessageKind, Move, advance, answered, begin_reserving, give_back
from federation.credentials import VerifiedCredential
from federation.credit_records import Achievement, Conversion, SourceCredential
from federation.credits import IdReused
from federation.errors import LlnError, NotFound, RefusedCall
from federation.keys import NodeKey
from federation.naming import NodeName
from federation.receipts import ReceiptMismatch, check_receipt, read_receipt
from federation.signed_papers import PaperNotSigned, open_paper
from federation.timestamps import day_in_china
from node.ports import Clock, Delivered, OutboxItem, Outcome, Store, Transaction
from node.ports.crediting import CaseRow, DerivedRow
from node.usecases.issuing import Draft, Issuing
from node.usecases.ledgering import RECEIPT_PURPOSE, bind_grant
from node.usecases.weighing import Weighing, case_of, rule_of, source_of, target_of, weigh

REQUEST_BYTES_MAX: Final = 262_144
NEWS_KIND: Final = "credit.case"
FINISH_KIND: Final = "credit.finish"
KeysOf = Callable[[NodeName], Awaitable[Sequence[NodeKey]]]
Unit = Callable[[Transaction], bytes]


class CaseUnknown(NotFound):
    code = "LLN-1296"
    zh = "没有这个编号的转换申请。请用 lln convert list 查看。"
    en = "There is no conversion of that id here. Look it up with lln convert list."


class RequestNotTheirs(RefusedCall):
    code = "LLN-2298"
    zh = "转换申请只能由学习者所属节点提出，并且是向本节点提出。"
    en = "A conversion is asked for by the learner's home node, and of this node."


class SourceIssuerUnknown(RefusedCall):
    code = "LLN-2297"
    zh = "来源凭证不是由它所写的机构的密钥签发的，不能采信。"
    en = "A source credential was not signed by a key of the institution it names, so it is not believed."


class FinishCase(msgspec.Struct, frozen=True, kw_only=True):
    """To this node itself: everything that a case needs is used up."""

    case_id: str


class Converting:
    """The one writer of cases here, together with `reviewing.py`, which goes through `decided`."""

    def __init__(self, *, store: Store, clock: Clock, own_name: NodeName, issuing: Issuing, keys_of: KeysOf) -> None:
        self._store = store
        self._clock = clock
        self._own_name = own_name
        self._issuing = issuing
        self._keys_of = keys_of

    # --- what homes ask ----------------------------------------------------------------------------------------------

    async def receive(self, sender: NodeName, document: bytes) -> Unit:
        """Take a request in and decide as far as no person is needed; the reply is `CaseNews`.

        Raises RequestNotTheirs, UnsignedGrant, GrantTooNarrow, SourceIssuerUnknown, BadCredential, IdReused.
        """
        asked = canonical.decode(document, ConversionRequest, bytes_max=REQUEST_BYTES_MAX)
        verified, grant = await self._verified(sender, asked)
        return lambda tx: canonical.encode(self._begin(tx, asked, verified, grant))

    async def preview(self, sender: NodeName, document: bytes) -> bytes:
        """What `receive` would decide now, as an Evaluation; nothing is written. Raises as `receive`."""
        asked = canonical.decode(document, ConversionRequest, bytes_max=REQUEST_BYTES_MAX)
        verified, _ = await self._verified(sender, asked)
        weighing = await self._store.read(lambda tx: self._weigh(tx, asked, verified))
        return canonical.encode(weighing.evaluation)

    async def _verified(
        self, sender: NodeName, asked: ConversionRequest
    ) -> tuple[tuple[VerifiedCredential, ...], ConsentGrant]:
        if asked.home != sender or asked.receiver != self._own_name:
            raise RequestNotTheirs(asked.case_id, f"{asked.home} to {asked.receiver}, brought by {sender}")
        grant = open_grant(asked.grant, sender, await self._keys_of(sender))
        verified = tuple([await self._verified_credential(one.encode()) for one in asked.credentials])
        records = tuple(one.record.id for one in verified)
        use = Use(recipient=self._own_name, purpose="convert", fields=("records",), records=records)
        check_grant(grant, use, now_ms=self._clock.now_ms())
        if grant.subject != asked.subject or len(set(records)) != len(records):
            raise GrantTooNarrow(asked.case_id, "another learner, or a record named twice")
        return verified, grant

    async def _verified_credential(self, document: bytes) -> VerifiedCredential:
        verified = credentials.verify(document)
        issuer = NodeName(verified.record.issuer.node)
        if verified.issuer not in await self._keys_of(issuer):
            raise SourceIssuerUnknown(verified.record.id, f"names {issuer}")
        return verified

    def _begin(
        self,
        tx: Transaction,
        asked: ConversionRequest,
        verified: Sequence[VerifiedCredential],
        grant: ConsentGrant,
    ) -> CaseNews:
        held = tx.credits.cases.get(asked.case_id)
        if held is not None:
            case = case_of(held)
            if case.request != asked:
                raise IdReused(asked.case_id, "asked before with other content")
            return news_of(case)
        bind_grant(tx, grant, asked.case_id)
        case = ConversionCase(request=asked, sources=tuple(source_of(one) for one in verified))
        return news_of(self.decide(tx, case, self._weigh(tx, asked, verified), is_agreed=False))

    def _weigh(self, tx: Transaction, asked: ConversionRequest, verified: Sequence[VerifiedCredential]) -> Weighing:
        return weigh(
            tx,
            [one.record for one in verified],
            subject=asked.subject,
            receiver=self._own_name,
            programme=asked.programme,
            as_of=day_in_china(self._clock.now_ms()),
            leave_out=asked.case_id,
        )

    # --- deciding ----------------------------------------------------------------------------------------------------

    def decide(self, tx: Transaction, case: ConversionCase, weighing: Weighing, *, is_agreed: bool) -> ConversionCase:
        """Refuse, hand to people, or begin to reserve; `is_agreed`: people have agreed and notice is over."""
        now_ms = self._clock.now_ms()
        evaluation = weighing.evaluation
        case = msgspec.structs.replace(
            case,
            decided_on=weighing.as_of,
            basis=weighing.basis,
            grants=evaluation.grants,
            refusals=evaluation.refusals,
            trace_sha256=canonical.digest(evaluation.trace_bytes()).hex(),
            reviewers=max((grant.review.reviewers for grant in evaluation.grants if grant.review), default=0),
            notice_days=max((grant.review.notice_days for grant in evaluation.grants if grant.review), default=0),
        )
        if not evaluation.grants:
            zh = "、".join(dict.fromkeys(one.zh for one in evaluation.refusals)) or "没有适用的规则。"
            en = " ".join(dict.fromkeys(one.en for one in evaluation.refusals)) or "No rule applies."
            return self.keep(tx, step(case, "refuse", at_ms=now_ms, zh=zh, en=en))
        if case.reviewers and not is_agreed and case.state == "received":
            zh = f"规则要求 {case.reviewers} 人审核，正在等待。"
            en = f"The rule asks for {case.reviewers} reviewer(s); it is waiting for them."
            return self.keep(tx, step(case, "review", at_ms=now_ms, zh=zh, en=en))
        return self.begin_reserving(tx, case)

    def begin_reserving(self, tx: Transaction, case: ConversionCase) -> ConversionCase:
        now_ms = self._clock.now_ms()
        case = step(
            case,
            "reserve",
            at_ms=now_ms,
            zh="正在向颁发机构预占来源学分。",
            en="The sources are being reserved at their issuers.",
        )
        holds = holds_wanted(case, deadline_ms=now_ms + RESERVED_FOR_MS)
        return self._make(tx, begin_reserving(msgspec.structs.replace(case, holds=holds)))

    def keep(self, tx: Transaction, case: ConversionCase, *, due_at_ms: int = 0) -> ConversionCase:
        """Store a case and tell its home where it stands."""
        now_ms = self._clock.now_ms()
        tx.credits.cases.put(
            [
                CaseRow(
                    id=case.id,
                    owner=case.request.subject,
                    state=case.state,
                    document=msgspec.json.encode(case),
                    home=case.request.home,
                    due_at_ms=due_at_ms,
                    changed_at_ms=now_ms,
                )
            ]
        )
        item_id = f"case.{case.id}.{case.steps}.{case.state}"
        tx.outbox.add(NodeName(case.request.home), NEWS_KIND, canonical.encode(news_of(case)), item_id, now_ms)
        return case

    def let_go(self, tx: Transaction, case: ConversionCase) -> ConversionCase:
        """Let go whatever a case that has just begun to end still holds."""
        now_ms = self._clock.now_ms()
        return self._make(tx, advance(case, at_ms=now_ms, deadline_ms=now_ms + RESERVED_FOR_MS))

    def held(self, tx: Transaction, case_id: str) -> ConversionCase:
        """A case of this node; raises CaseUnknown."""
        return _held_case(tx, case_id)

    # --- what issuers answer -----------------------------------------------------------------------------------------

    def settle(self, tx: Transaction, item: OutboxItem, outcome: Outcome) -> None:
        """An issuer has answered a reserve, commit, void or return: write it down, and take the case on."""
        asked = _settled(item)
        row = tx.credits.cases.get(asked.case_id)
        case = case_of(row) if row else None
        hold = hold_of(case, asked.reservation_id) if case else None
        if case is None or hold is None:
            return  # the case went on with another try
        kind = _kind_of(item)
        if isinstance(outcome, Delivered):
            receipt = outcome.reply.decode() if kind == "credit.commit" else ""
            case = answered(case, hold, kind, is_accepted=True, receipt=receipt)
        else:
            case = answered(case, hold, kind, is_accepted=False, code=outcome.code, told=outcome.told)
        now_ms = self._clock.now_ms()
        move = advance(case, at_ms=now_ms, deadline_ms=now_ms + RESERVED_FOR_MS)
        self._make(tx, move)

    def _make(self, tx: Transaction, move: Move) -> ConversionCase:
        for message in move.messages:
            self._send(tx, move.case, message)
        if move.is_ready:
            finish = canonical.encode(FinishCase(case_id=move.case.id))
            tx.outbox.add(self._own_name, FINISH_KIND, finish, _finish_id(move.case), self._clock.now_ms())
        return self.keep(tx, move.case)

    def _send(self, tx: Transaction, case: ConversionCase, message: Message) -> None:
        wanted = message.hold.reservation
        if message.kind == "credit.reserve":
            [source] = [one for one in case.sources if one.id == wanted.lot_id]
            asked: msgspec.Struct = ReserveRequest(
                reservation=wanted, credential_sha256=source.sha256, grant=case.request.grant
            )
        else:
            asked = SettleRequest(reservation_id=wanted.id, lot_id=wanted.lot_id, case_id=case.id)
        to = NodeName(message.hold.issuer)
        tx.outbox.add(to, message.kind, canonical.encode(asked), message.item_id, self._clock.now_ms())

    # --- issuing -----------------------------------------------------------------------------------------------------

    async def finish(self, sender: NodeName, document: bytes) -> Unit:
        """Verify the receipts of a case that has them all, and issue; a bad receipt counts as a refusal.

        This node posts that to itself when the last receipt comes in: verifying may have to ask for a key, and whatever
        crashes meanwhile, it is done once.
        """
        asked = canonical.decode(document, FinishCase, bytes_max=REQUEST_BYTES_MAX)
        if sender != self._own_name:
            raise RequestNotTheirs(asked.case_id, f"told by {sender}")
        case = await self._store.read(lambda tx: _held_case(tx, asked.case_id))
        bad: dict[str, LlnError] = {}
        for hold in case.holds:
            try:
                await self._check_receipt(hold)
            except (ReceiptMismatch, PaperNotSigned, MalformedDocument) as error:
                bad[hold.reservation.id] = error
        return lambda tx: self._finish(tx, asked.case_id, bad)

    def unfinished(self, tx: Transaction, item: OutboxItem, outcome: Outcome) -> None:
        """Issuing was not possible (a rule is gone, nobody vouches for a key): what was used goes back."""
        if isinstance(outcome, Delivered):
            return
        case = _held_case(tx, msgspec.json.decode(item.document, type=FinishCase).case_id)
        if _is_ready(case) and item.id == _finish_id(case):
            trouble = f"{outcome.told} [{outcome.code}]"
            self._make(tx, give_back(case, at_ms=self._clock.now_ms(), trouble=trouble))

    async def _check_receipt(self, hold: Hold) -> None:
        issuer = NodeName(hold.issuer)
        keys = await self._keys_of(issuer)
        receipt = read_receipt(open_paper(hold.receipt.encode(), purpose=RECEIPT_PURPOSE, keys=keys))
        check_receipt(receipt, [hold.reservation], issuer=issuer)

    def _finish(self, tx: Transaction, case_id: str, bad: Mapping[str, LlnError]) -> bytes:
        case = _held_case(tx, case_id)
        if not _is_ready(case):
            return b"{}"  # a person has retried what was given up, and the case has ended since
        if not bad:
            self._complete(tx, case)
            return b"{}"
        for hold in case.holds:
            if hold.reservation.id in bad:
                error = bad[hold.reservation.id]
                case = with_hold(case, msgspec.structs.replace(hold, code=error.code, told=error.zh))
        self._make(tx, give_back(case, at_ms=self._clock.now_ms()))
        return b"{}"

    def _complete(self, tx: Transaction, case: ConversionCase) -> ConversionCase:
        """Everything is used up: issue what was granted, in the same transaction as the case's end."""
        results = [self._issue(tx, case, grant, credit) for grant in case.grants for credit in grant.credits]
        case = msgspec.structs.replace(case, results=tuple(results))
        zh, en = f"转换完成，颁发了 {len(results)} 条记录。", f"Converted; {len(results)} record(s) issued."
        return self.keep(tx, step(case, "complete", at_ms=self._clock.now_ms(), zh=zh, en=en))

    def _issue(self, tx: Transaction, case: ConversionCase, grant: Grant, credit: GrantedCredit) -> str:
        rule = rule_of(tx, grant.rule.id, grant.rule.version, grant.rule.digest)
        target = target_of(rule, credit.achievement, credit.version) if rule else None
        if target is None:
            raise CaseUnknown(case.id, f"its rule {grant.rule} is no longer kept here")
        sources = {one.id: one for one in case.sources}
        used = [sources[one.lot_id] for one in grant.consumed]
        account = tx.credits.pseudonyms.get(case.request.subject)
        draft = Draft(
            subject=case.request.subject,
            owner=account.owner if account else case.request.subject,
            home=NodeName(case.request.home),
            achievement=Achievement(
                id=credit.achievement,
                version=credit.version,
                name=target.title,
                kind=credit.kind,
                level=credit.level,
            ),
            amount=Amount(unit=credit.unit, hundredths=credit.amount),
            achieved_on=day_in_china(self._clock.now_ms()),
            conversion=Conversion(
                sources=tuple(SourceCredential(id=one.id, sha256=one.sha256) for one in used),
                rule=grant.rule,
            ),
        )
        row = self._issuing.issue(tx, draft)
        tx.credits.derived.put(
            [
                DerivedRow(id=f"{one.id}/{row.id}", owner=one.id, state=grant.cascade, record=row.id, issuer=one.issuer)
                for one in used
            ]
        )
        return row.id


class _Settled(msgspec.Struct, frozen=True, kw_only=True):
    case_id: str
    reservation_id: str


def _settled(item: OutboxItem) -> _Settled:
    """Which case and reservation an item of ours was about."""
    if item.kind == "credit.reserve":
        asked = msgspec.json.decode(item.document, type=ReserveRequest).reservation
        return _Settled(case_id=asked.case_id, reservation_id=asked.id)
    told = msgspec.json.decode(item.document, type=SettleRequest)
    return _Settled(case_id=told.case_id, reservation_id=told.reservation_id)


def _kind_of(item: OutboxItem) -> MessageKind:
    return cast("MessageKind", item.kind)


def _held_case(tx: Transaction, case_id: str) -> ConversionCase:
    row = tx.credits.cases.get(case_id)
    if row is None:
        raise CaseUnknown(case_id)
    return case_of(row)


def _finish_id(case: ConversionCase) -> str:
    """Another one after an appeal, or once a hold was tried again."""
    return f"finish.{case.id}.{case.appeals}.{sum(hold.tries for hold in case.holds)}"


def _is_ready(case: ConversionCase) -> bool:
    return case.state == "committing" and all(hold.state == "committed" for hold in case.holds)
