"""Relocating: this node as the old home of a learner, and as a node that knew them there.

What lives here: handing an account over, what follows from the new home's answer, and telling those who know the
learner. What must not: taking an account in (`welcoming.py`).

Handing over, with everything it sends, is one transaction, after which the account changes no more; so is what follows
from the answer. A crash between them leaves an account that moves, and the answer comes again. The new home's answer to
one code never changes, so asking again is harmless.
"""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from federation import canonical
from federation.consents import RECORDS_MAX as DISCLOSED_MAX
from federation.errors import Conflict, InvalidInput, Unavailable, UntrustedPeer
from federation.keys import NodeKey
from federation.naming import NodeName
from federation.relocation import (
    ACCOUNT_PURPOSE,
    CONSENTS_MAX,
    MOVED_PURPOSE,
    RECORDS_MAX,
    SUBJECTS_MAX,
    HandedAccount,
    HandedRecord,
    KnownAs,
    LearnerMoved,
    MoveAnswer,
    RecordDigest,
)
from federation.signed_papers import open_paper, sign_paper
from federation.timestamps import day_in_china
from node.desk.learners import LearnerMoveAsked, LearnerMoveTold
from node.ports import Clock, Delivered, Identity, OutboxItem, Outcome, Store, Transaction
from node.ports.crediting import LearnerRow, MoveRow, RecordRow
from node.usecases.disclosing import LearnerGone, consent_in, disclose, held_learner, rows_of
from node.usecases.homing import Homing
from node.usecases.ledgering import short
from node.usecases.recounting import balances_held, used_of
from node.usecases.settling import ItemDropped

RECORD_KIND: Final = "learner.record"
ACCOUNT_KIND: Final = "learner.account"
PAPER_BYTES_MAX: Final = 196_608
WAIT_S: Final = 10.0
SETTLED: Final = frozenset(("previewed", "converted", "refused", "cancelled"))
KeysOf = Callable[[NodeName], Awaitable[Sequence[NodeKey]]]
Unit = Callable[[Transaction], bytes]


class ConversionHoldsUp(Conflict):
    code = "LLN-1355"
    zh = "这个账户还有正在办理的学分转换，暂时不能迁移。请等它办完，或先用 lln convert cancel 取消。"
    en = "A conversion of this account is under way, so it cannot move yet. Let it end, or cancel it first."


class TooMuchToMove(Conflict):
    code = "LLN-1356"
    zh = "这个账户的记录、代称或授权太多，无法一次迁移。"
    en = "The account has more records, pseudonyms or consents than can be handed over at once."


class CodeTaken(Conflict):
    code = "LLN-1357"
    zh = "这个迁移码已用于另一个账户或另一个节点。请在新节点重新取得（lln learner welcome）。"
    en = "The code was used for another account, or to another node. Make a new one there with lln learner welcome."


class NowhereToMove(InvalidInput):
    code = "LLN-1150"
    zh = "学习账户已经在这个节点，不必迁移。"
    en = "The account is at this node already; there is nowhere to move it."


class NotTheOldHome(UntrustedPeer):
    code = "LLN-2155"
    zh = "只有学习者原来所属的节点，才能告知账户已迁走，并且只告知认识该学习者的节点。"
    en = "Only the home that a learner has left can say so, and to a node that knows the learner."


class Waits(Protocol):
    """Until an item that was added has its outcome; raises StillOnItsWay, which is Unavailable."""

    async def settled(self, to: NodeName, item_id: str, timeout_s: float) -> Outcome: ...


class Relocating:
    """The one writer of moves away from here, and of the homes of records that this node issued."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        identity: Identity,
        homing: Homing,
        keys_of: KeysOf,
        waits: Callable[[], Waits],
    ) -> None:
        self._store = store
        self._clock = clock
        self._identity = identity
        self._homing = homing
        self._keys_of = keys_of
        self._waits = waits

    # --- the old home ------------------------------------------------------------------------------------------------

    async def move(self, asked: LearnerMoveAsked) -> LearnerMoveTold:
        """Hand an account over, once; the same again sends again what was stopped. Waits a little for the answer.

        Raises LearnerUnknown, LearnerGone, ConsentUnknown, ConsentLacking, ConversionHoldsUp, TooMuchToMove,
        NowhereToMove, CodeTaken.
        """
        await self._store.write(lambda tx: self._move(tx, asked))
        with contextlib.suppress(Unavailable):
            await self._waits().settled(NodeName(asked.to), _item_id(asked.code), WAIT_S)
        return await self._store.read(lambda tx: _told(tx, asked))

    def _move(self, tx: Transaction, asked: LearnerMoveAsked) -> None:
        held = tx.credits.moves.get(_key(asked.code))
        if held is not None:
            if (held.owner, held.node) != (asked.learner, asked.to):
                raise CodeTaken(asked.learner)
            self._again(tx, held)
            return
        if asked.to == self._identity.name:
            raise NowhereToMove(asked.learner)
        now_ms = self._clock.now_ms()
        records = list(rows_of(tx.credits.records, asked.learner))
        _check_still(tx, asked.learner)
        grant = disclose(
            tx,
            asked.learner,
            asked.consent,
            recipient=asked.to,
            purpose="transfer",
            fields=("records",),
            records=tuple(row.id for row in records)[:DISCLOSED_MAX],
            now_ms=now_ms,
            home=self._identity.name,
        )
        assert grant.purpose == "transfer"  # noqa: S101  # our own call
        account = self._account(tx, asked, records, now_ms)
        paper = sign_paper(account, purpose=ACCOUNT_PURPOSE, signer=self._identity)
        if len(paper) > PAPER_BYTES_MAX:
            raise TooMuchToMove(asked.learner, f"{len(paper)} bytes")
        learner = held_learner(tx, asked.learner)
        tx.credits.learners.put(
            [msgspec.structs.replace(learner, state="moving", moved_to=asked.to, changed_at_ms=now_ms)]
        )
        row = MoveRow(
            id=_key(asked.code), owner=asked.learner, state="sent", node=asked.to, document=paper, at_ms=now_ms
        )
        tx.credits.moves.put([row])
        self._send(tx, row)

    def _send(self, tx: Transaction, row: MoveRow) -> None:
        """The records first, then the account that names them all; each waits in this order."""
        to, code, now_ms = NodeName(row.node), _code(row), self._clock.now_ms()
        for record in rows_of(tx.credits.records, row.owner):
            document = canonical.encode(_handed(tx, record, code))
            tx.outbox.add(to, RECORD_KIND, document, f"{code}.{short(record.id)}", now_ms)
        tx.outbox.add(to, ACCOUNT_KIND, row.document, _item_id(code), now_ms)

    def _again(self, tx: Transaction, row: MoveRow) -> None:
        """After a person has dropped what waited: the same items under the same ids, answered as before."""
        if row.state == "stopped":
            tx.credits.moves.put([msgspec.structs.replace(row, state="sent", zh="", en="")])
            self._send(tx, row)

    def _account(
        self, tx: Transaction, asked: LearnerMoveAsked, records: Sequence[RecordRow], now_ms: int
    ) -> HandedAccount:
        subjects = list(rows_of(tx.credits.pseudonyms, asked.learner))
        consents = [
            consent
            for row in rows_of(tx.credits.consents, asked.learner)
            if row.state == "active"
            and (consent := consent_in(row)).purpose != "transfer"
            and consent.expires_at_ms > now_ms
        ]
        for count, most in ((records, RECORDS_MAX), (subjects, SUBJECTS_MAX), (consents, CONSENTS_MAX)):
            if len(count) > most:
                raise TooMuchToMove(asked.learner, f"{len(count)}, at most {most}")
        return HandedAccount(
            code=asked.code,
            old_home=self._identity.name,
            new_home=asked.to,
            at_ms=now_ms,
            records=tuple(RecordDigest(id=row.id, sha256=row.sha256) for row in records),
            subjects=tuple(KnownAs(node=one.state, subject=one.id) for one in subjects),
            consents=tuple(consents),
            balances=balances_held(tx, records, day_in_china(now_ms)),
        )

    def settle(self, tx: Transaction, item: OutboxItem, outcome: Outcome) -> None:
        """The new home has answered for good; or it could not, and the account is active here again."""
        code = item.id.partition(".")[0]
        row = tx.credits.moves.get(_key(code))
        learner = tx.credits.learners.get(row.owner) if row else None
        if row is None or learner is None or learner.state == "erased":
            return
        if isinstance(outcome, Delivered):
            answer = canonical.decode(outcome.reply, MoveAnswer, bytes_max=PAPER_BYTES_MAX)
            if answer.is_accepted:
                self._leave(tx, row, learner)
            else:
                self._stay(tx, row, learner, answer.zh, answer.en)
        elif outcome.code == ItemDropped.code:  # it may have arrived: only the new home knows
            told = (
                "消息被删除，不知是否已送达；再运行一次同一命令即可继续。",
                "It was dropped; run the command again.",
            )
            tx.credits.moves.put([msgspec.structs.replace(row, state="stopped", zh=told[0], en=told[1])])
        else:
            told_zh, told_en = f"对方没有接收：{outcome.told}", f"It was not taken in: {outcome.told}"
            self._stay(tx, row, learner, f"{told_zh} [{outcome.code}]", f"{told_en} [{outcome.code}]")

    def _leave(self, tx: Transaction, row: MoveRow, learner: LearnerRow) -> None:
        """The account lives at the new home: what is here is read-only, and whoever knows the learner is told."""
        new_home, now_ms = NodeName(row.node), self._clock.now_ms()
        gone = msgspec.structs.replace(learner, state="moved", moved_to=new_home, changed_at_ms=now_ms)
        tx.credits.learners.put([gone])
        tx.credits.moves.put([msgspec.structs.replace(row, state="moved", at_ms=now_ms)])
        self._homing.follow(tx, learner.id, self._identity.name, new_home)
        for record in list(rows_of(tx.credits.records, learner.id)):
            if not record.is_own:
                tx.credits.records.put([msgspec.structs.replace(record, home=new_home, changed_at_ms=now_ms)])
        for known in rows_of(tx.credits.pseudonyms, learner.id):
            if known.state not in (self._identity.name, new_home):
                self._homing.tell_moved(tx, NodeName(known.state), known.id, gone)

    def _stay(self, tx: Transaction, row: MoveRow, learner: LearnerRow, zh: str, en: str) -> None:
        now_ms = self._clock.now_ms()
        tx.credits.moves.put([msgspec.structs.replace(row, state="declined", zh=zh, en=en, at_ms=now_ms)])
        if learner.state == "moving":
            back = msgspec.structs.replace(learner, state="active", moved_to="", changed_at_ms=now_ms)
            tx.credits.learners.put([back])

    # --- whoever knew the learner there ------------------------------------------------------------------------------

    async def hear_moved(self, sender: NodeName, document: bytes) -> Unit:
        """A learner whom this node knows has another home; raises PaperNotSigned, NotTheOldHome."""
        signed = open_paper(document, purpose=MOVED_PURPOSE, keys=await self._keys_of(sender))
        moved = canonical.decode(signed, LearnerMoved, bytes_max=PAPER_BYTES_MAX)
        if moved.old_home != sender or moved.recipient != self._identity.name:
            raise NotTheOldHome(moved.subject, f"told by {sender}")

        def unit(tx: Transaction) -> bytes:
            self._homing.follow(tx, moved.subject, sender, NodeName(moved.new_home))
            return b"{}"

        return unit


def _check_still(tx: Transaction, learner: str) -> None:
    """That nobody waits for anything of the account; raises LearnerUnknown, LearnerGone, ConversionHoldsUp."""
    held = held_learner(tx, learner)
    if held.state != "active":
        raise LearnerGone(learner, held.state)
    waiting = [row.id for row in rows_of(tx.credits.requests, learner) if row.state not in SETTLED]
    if waiting:
        raise ConversionHoldsUp(learner, ", ".join(waiting[:5]))


def _handed(tx: Transaction, row: RecordRow, code: str) -> HandedRecord:
    [opening] = tx.credits.events.of(row.id, limit=1)
    return HandedRecord(
        code=code,
        credential=row.document.decode(),
        event=opening.document.decode(),
        salt=opening.salt,
        log_index=opening.log_index,
        state=row.state,
        note=row.note,
        superseded_by=row.superseded_by,
        flagged=row.flagged,
        told_at_ms=row.told_at_ms,
        used=used_of(tx, row),
    )


def _told(tx: Transaction, asked: LearnerMoveAsked) -> LearnerMoveTold:
    learner = held_learner(tx, asked.learner)
    row = tx.credits.moves.get(_key(asked.code))
    return LearnerMoveTold(
        learner=learner.id,
        to=asked.to,
        state=learner.state,
        records=sum(1 for _ in rows_of(tx.credits.records, learner.id)),
        zh=row.zh if row else "",
        en=row.en if row else "",
    )


def _key(code: str) -> str:
    return f"out/{code}"


def _code(row: MoveRow) -> str:
    return row.id.partition("/")[2]


def _item_id(code: str) -> str:
    return f"{code}.account"
