"""Requesting: this node as the home of a learner who wants credits converted elsewhere.

What lives here: asking a receiver under a consent, following its news, taking in the records it sends. What must not:
the receiver's side (`converting.py`), or deciding anything about rules.
"""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from federation import canonical, credentials
from federation.consents import SignedGrant
from federation.conversion import Evaluation
from federation.conversion_cases import CaseAct, CaseNews, ConversionRequest
from federation.credentials import VerifiedCredential
from federation.errors import Conflict, NotFound, RefusedCall, Unavailable
from federation.keys import NodeKey
from federation.naming import NodeName
from federation.short_ids import ID_BYTES, write_id
from node.desk.conversions import ConvertAsked, Previewed, RequestActAsked, Requests, RequestsAsked, RequestState
from node.ports import (
    Clock,
    Delivered,
    Identity,
    OutboxItem,
    Outcome,
    Randomness,
    Refused,
    Store,
    Transaction,
)
from node.ports.crediting import CreditEventRow, RequestRow
from node.usecases.disclosing import disclose
from node.usecases.homing import Homing
from node.usecases.issuing import SentRecord
from node.usecases.recounting import held_row
from node.usecases.renaming import names_of

NEWS_BYTES_MAX: Final = 262_144
APPLY_KIND: Final = "credit.apply"
ACT_KIND: Final = "credit.act"
WAIT_S: Final = 10.0
KeysOf = Callable[[NodeName], Awaitable[Sequence[NodeKey]]]
PreviewAt = Callable[[NodeName, bytes, float], Awaitable[bytes]]
"""What a receiver, which may be this node itself, would decide on a ConversionRequest, as an Evaluation."""
Unit = Callable[[Transaction], bytes]


class RequestUnknown(NotFound):
    code = "LLN-1295"
    zh = "没有这个编号的转换请求。请用 lln convert list 查看。"
    en = "There is no conversion request of that id. Look it up with lln convert list."


class NotOurLearner(RefusedCall):
    code = "LLN-2296"
    zh = "这条记录或消息不属于本节点的学习者。"
    en = "The record or message is not about a learner of this node."


class ActRefused(Conflict):
    code = "LLN-1333"
    zh = "接收方没有接受这次取消或申诉。请用 lln convert status 查看申请走到了哪里。"
    en = "The receiver did not accept the cancellation or appeal. See where it stands with lln convert status."


class NothingToAppeal(Conflict):
    code = "LLN-1334"
    zh = "这个请求只预览过，还没有提出，无从申诉。请先用 lln convert apply 提出。"
    en = "The request was only previewed, so there is no decision to appeal. Make it first with lln convert apply."


class RecordDiffers(Conflict):
    code = "LLN-1375"
    zh = "同一编号的学分记录已有另一份内容，未覆盖。请联系颁发机构。"
    en = "A record of that id is here with other content; it was not replaced. Ask the institution that issued it."


class Waits(Protocol):
    """Until an item that was added has its outcome; raises StillOnItsWay, which is Unavailable."""

    async def settled(self, to: NodeName, item_id: str, timeout_s: float) -> Outcome: ...


class Requesting:
    """The one writer of requests, and of records that others have issued to learners of this node."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        randomness: Randomness,
        identity: Identity,
        keys_of: KeysOf,
        preview_at: PreviewAt,
        waits: Callable[[], Waits],
        homing: Homing,
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._identity = identity
        self._keys_of = keys_of
        self._preview_at = preview_at
        self._waits = waits
        self._homing = homing

    # --- what our people ask -----------------------------------------------------------------------------------------

    async def preview(self, asked: ConvertAsked) -> Previewed:
        """What the receiver would decide now. The learner's credentials are shown to it, so a consent is used.

        The same request can then be applied for under the same consent, and is one use of it. Raises as `disclose`, and
        what the receiver refuses.
        """
        request = await self._store.write(lambda tx: self._draft(tx, asked))
        told = await self._preview_at(NodeName(asked.to), canonical.encode(request), WAIT_S)
        evaluation = canonical.decode(told, Evaluation, bytes_max=NEWS_BYTES_MAX)
        return Previewed(id=request.case_id, evaluation=evaluation)

    async def apply(self, request_id: str) -> RequestState:
        """Send a request that was previewed; it arrives sooner or later, once. Waits a little for the first answer.

        Asked again, it only says where the request stands; so, too, once it was cancelled.
        """
        to = await self._store.write(lambda tx: self._apply(tx, request_id))
        if to is not None:
            with contextlib.suppress(Unavailable):
                await self._waits().settled(to, _item_id(APPLY_KIND, request_id), WAIT_S)
        return await self.status(request_id)

    async def act(self, asked: RequestActAsked) -> RequestState:
        """Tell the receiver that the learner cancels or appeals; raises ActRefused where it says no in time.

        What was only previewed is not known there as a case: cancelling it ends here, and NothingToAppeal is raised.
        """
        sent = await self._store.write(lambda tx: self._act(tx, asked))
        if sent is None:
            return await self.status(asked.id)
        to, item_id = sent
        with contextlib.suppress(Unavailable):
            outcome = await self._waits().settled(to, item_id, WAIT_S)
            if isinstance(outcome, Refused):
                raise ActRefused(asked.id, f"{outcome.told} [{outcome.code}]")
        return await self.status(asked.id)

    async def status(self, request_id: str) -> RequestState:
        return _state_of(await self._store.read(lambda tx: _request(tx, request_id)))

    async def list_requests(self, asked: RequestsAsked) -> Requests:
        def unit(tx: Transaction) -> Sequence[RequestRow]:
            shelf = tx.credits.requests
            if asked.learner:
                return shelf.of(asked.learner, asked.after, asked.limit + 1)
            return shelf.all(asked.after, asked.limit + 1)

        rows = await self._store.read(unit)
        return Requests(requests=tuple(map(_state_of, rows[: asked.limit])), more=len(rows) > asked.limit)

    def _draft(self, tx: Transaction, asked: ConvertAsked) -> ConversionRequest:
        now_ms = self._clock.now_ms()
        grant = disclose(
            tx,
            asked.learner,
            asked.consent,
            recipient=asked.to,
            purpose="convert",
            fields=("records",),
            records=asked.records,
            now_ms=now_ms,
            home=self._identity.name,
        )
        assert grant.subject is not None, "a node is not a bearer"  # noqa: S101  # our own call
        held = tx.credits.records.many(asked.records)
        request = ConversionRequest(
            case_id=write_id("K", self._randomness.token(ID_BYTES)),
            home=self._identity.name,
            receiver=asked.to,
            subject=grant.subject,
            programme=asked.programme,
            credentials=tuple(held[record].document.decode() for record in asked.records),
            grant=SignedGrant.sign(grant, self._identity),
        )
        row = RequestRow(
            id=request.case_id,
            owner=asked.learner,
            state="previewed",
            receiver=asked.to,
            records=asked.records,
            programme=asked.programme,
            consent=asked.consent,
            request=canonical.encode(request),
            asked_at_ms=now_ms,
            changed_at_ms=now_ms,
        )
        tx.credits.requests.put([row])
        return request

    def _apply(self, tx: Transaction, request_id: str) -> NodeName | None:
        row = _request(tx, request_id)
        if row.state != "previewed":
            return None
        to, now_ms = NodeName(row.receiver), self._clock.now_ms()
        tx.outbox.add(to, APPLY_KIND, row.request, _item_id(APPLY_KIND, row.id), now_ms)
        tx.credits.requests.put([msgspec.structs.replace(row, state="asked", changed_at_ms=now_ms)])
        return to

    def _act(self, tx: Transaction, asked: RequestActAsked) -> tuple[NodeName, str] | None:
        row = _request(tx, asked.id)
        to, now_ms = NodeName(row.receiver), self._clock.now_ms()
        if row.state == "previewed":
            if asked.act == "appeal":
                raise NothingToAppeal(row.id)
            tx.credits.requests.put([msgspec.structs.replace(row, state="cancelled", changed_at_ms=now_ms)])
            return None
        held = _news_of(row)
        told = CaseAct(case_id=row.id, act=asked.act, number=held.number if held else 0, remark=asked.remark)
        item_id = _item_id(ACT_KIND, f"{row.id}.{self._randomness.token(4).hex()}")
        tx.outbox.add(to, ACT_KIND, canonical.encode(told), item_id, now_ms)
        return to, item_id

    # --- what others say ---------------------------------------------------------------------------------------------

    def settle(self, tx: Transaction, item: OutboxItem, outcome: Outcome) -> None:
        """The receiver has taken a request in, or will not have it."""
        request_id = item.id.partition(".")[2].partition(".")[0]
        row = tx.credits.requests.get(request_id)
        if row is None:
            return
        if isinstance(outcome, Delivered):
            self._hear(tx, row, canonical.decode(outcome.reply, CaseNews, bytes_max=NEWS_BYTES_MAX))
            return
        refused = CaseNews(
            case_id=row.id,
            receiver=row.receiver,
            state="refused",
            zh=f"对方没有受理：{outcome.told} [{outcome.code}]",
            en=f"It was not taken in: {outcome.told} [{outcome.code}]",
            at_ms=self._clock.now_ms(),
        )
        if item.kind == APPLY_KIND:
            self._hear(tx, row, refused)

    async def hear(self, sender: NodeName, document: bytes) -> Unit:
        """News of a case; raises NotOurLearner where nothing of the kind was asked of the sender."""
        news = canonical.decode(document, CaseNews, bytes_max=NEWS_BYTES_MAX)
        names = await names_of(self._keys_of, news.receiver, sender)

        def unit(tx: Transaction) -> bytes:
            row = tx.credits.requests.get(news.case_id)
            if row is None or row.receiver not in names:
                raise NotOurLearner(news.case_id, f"told by {sender}")
            self._hear(tx, row, news)
            return b"{}"

        return unit

    def _hear(self, tx: Transaction, row: RequestRow, news: CaseNews) -> None:
        """Keep the newest news: they may arrive in another order than they were said, through a move or a retry."""
        held = _news_of(row)
        if held is not None and (held.number, held.at_ms) > (news.number, news.at_ms):
            return
        tx.credits.requests.put(
            [
                msgspec.structs.replace(
                    row, state=news.state, news=canonical.encode(news), changed_at_ms=self._clock.now_ms()
                )
            ]
        )

    async def take_in(self, sender: NodeName, document: bytes) -> Unit:
        """A record that `sender` has issued to a learner of ours; the reply is empty.

        Raises BadCredential, NotOurLearner, RecordDiffers.
        """
        sent = canonical.decode(document, SentRecord, bytes_max=NEWS_BYTES_MAX)
        verified = credentials.verify(sent.credential.encode())
        if verified.record.issuer.node != sender or verified.issuer not in await self._keys_of(sender):
            raise NotOurLearner(verified.record.id, f"names {verified.record.issuer.node}, brought by {sender}")
        account = await self._store.read(lambda tx: tx.credits.pseudonyms.get(verified.record.subject))
        names = await names_of(self._keys_of, account.state if account else sender, sender)
        return lambda tx: self._take_in(tx, sender, names, sent, verified)

    def _take_in(
        self, tx: Transaction, sender: NodeName, names: frozenset[str], sent: SentRecord, verified: VerifiedCredential
    ) -> bytes:
        record, now_ms = verified.record, self._clock.now_ms()
        account = tx.credits.pseudonyms.get(record.subject)
        if account is None or account.state not in names:
            raise NotOurLearner(record.id, "the subject is nobody here, or somebody else's")
        learner = tx.credits.learners.get(account.owner)
        if learner is not None and learner.state == "moved":
            self._homing.tell_moved(tx, sender, record.subject, learner)
            return b"{}"
        held = tx.credits.records.get(record.id)
        if held is not None:
            if held.sha256 != verified.sha256:
                raise RecordDiffers(record.id, f"issued by {record.issuer.node}")
            return b"{}"
        event = CreditEventRow(
            id=f"{record.id}/000001",
            owner=record.id,
            state="issue",
            document=sent.event.encode(),
            salt=sent.salt,
            log_index=sent.log_index,
            at_ms=now_ms,
        )
        tx.credits.events.put([event])
        tx.credits.records.put([held_row(verified, owner=account.owner, home=self._identity.name, now_ms=now_ms)])
        return b"{}"


def _request(tx: Transaction, request_id: str) -> RequestRow:
    row = tx.credits.requests.get(request_id)
    if row is None:
        raise RequestUnknown(request_id)
    return row


def _news_of(row: RequestRow) -> CaseNews | None:
    return msgspec.json.decode(row.news, type=CaseNews) if row.news else None


def _state_of(row: RequestRow) -> RequestState:
    news = _news_of(row)
    return RequestState(
        id=row.id,
        learner=row.owner,
        receiver=row.receiver,
        state=row.state,  # type: ignore[arg-type]  # only this module writes it
        zh=news.zh if news else "",
        en=news.en if news else "",
        programme=row.programme,
        records=row.records,
        refusals=news.refusals if news else (),
        results=news.results if news else (),
        asked_at_ms=row.asked_at_ms,
        changed_at_ms=row.changed_at_ms,
    )


def _item_id(kind: str, rest: str) -> str:
    return f"{kind.removeprefix('credit.')}.{rest}"
