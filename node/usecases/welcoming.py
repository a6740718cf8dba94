"""Welcoming: this node as the new home of a learner who comes from another.

What lives here: the code that the learner takes along, taking in what the old home hands over under it, and the answer.
What must not: the old home's side (`relocating.py`).

Records wait beside the account until all of it is there; then they become the account's, in one transaction with the
answer, or all of them go again. An answer is given once for each code: a repeat of the item gets the same one.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import msgspec

from federation import canonical, credentials
from federation.errors import LlnError, PeerUnreachable, Unavailable
from federation.keys import NodeKey
from federation.naming import NodeName
from federation.relocation import (
    ACCOUNT_PURPOSE,
    CODE_LIFE_MS,
    HANDED_BYTES_MAX,
    RECORDS_MAX,
    HandedAccount,
    HandedRecord,
    MoveAnswer,
    declined,
    judge_contents,
    missing_records,
)
from federation.short_ids import ID_BYTES, write_id
from federation.signed_papers import open_paper
from federation.timestamps import day_in_china
from node.desk.learners import WelcomeAsked, Welcomed
from node.ports import Clock, Identity, Randomness, Store, Transaction
from node.ports.crediting import ConsentRow, CreditEventRow, LearnerRow, MoveRow, PseudonymRow, RecordRow
from node.usecases.disclosing import LearnerGone, held_learner, rows_of
from node.usecases.homing import Homing
from node.usecases.ledgering import event_key
from node.usecases.recounting import balances_held, held_row

KeysOf = Callable[[NodeName], Awaitable[Sequence[NodeKey]]]
Unit = Callable[[Transaction], bytes]


class RecordsOnTheirWay(Unavailable):
    code = "LLN-1656"
    zh = "账户里的学分记录还没有到齐，稍后再接收账户。"
    en = "Not all records of the account have arrived yet; it is taken in once they have."


class Welcoming:
    """The one writer of moves to here, and of what comes with them."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        randomness: Randomness,
        identity: Identity,
        homing: Homing,
        keys_of: KeysOf,
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._own_name = identity.name
        self._homing = homing
        self._keys_of = keys_of

    async def welcome(self, asked: WelcomeAsked) -> Welcomed:
        """A code under which `asked.node` can hand an account over, once; raises LearnerUnknown, LearnerGone.

        An account that once moved away from here may come back to itself.
        """
        now_ms = self._clock.now_ms()
        code = write_id("M", self._randomness.token(ID_BYTES))

        def unit(tx: Transaction) -> Welcomed:
            held = held_learner(tx, asked.learner)
            if held.state == "moving":
                raise LearnerGone(held.id, held.state)
            row = MoveRow(
                id=_key(code),
                owner=held.id,
                state="open",
                node=asked.node,
                until_ms=now_ms + CODE_LIFE_MS,
                at_ms=now_ms,
            )
            tx.credits.moves.put([row])
            return Welcomed(code=code, learner=held.id, node=asked.node, until_ms=row.until_ms)

        return await self._store.write(unit)

    # --- what the old home sends -------------------------------------------------------------------------------------

    async def receive_record(self, sender: NodeName, document: bytes) -> Unit:
        """One record of an account that comes; kept aside. What cannot be believed is kept as such, and declined with
        the account. Without an open code for the sender nothing is kept.
        """
        handed = canonical.decode(document, HandedRecord, bytes_max=HANDED_BYTES_MAX)
        fault = await self._fault_of(handed)

        def unit(tx: Transaction) -> bytes:
            arrival = tx.credits.moves.get(_key(handed.code))
            if arrival is None or arrival.state != "open" or arrival.node != sender or arrival.parts >= RECORDS_MAX:
                return b"{}"
            record = credentials.read(handed.credential.encode())
            part = MoveRow(
                id=f"part/{handed.code}/{record.id}",
                owner=handed.code,
                state=fault,
                node=sender,
                document=document,
                at_ms=self._clock.now_ms(),
            )
            tx.credits.moves.put([part, msgspec.structs.replace(arrival, parts=arrival.parts + 1)])
            return b"{}"

        return unit

    async def _fault_of(self, handed: HandedRecord) -> str:
        """Why a record cannot be believed; empty where its issuer's key has signed it."""
        try:
            verified = credentials.verify(handed.credential.encode())
            keys = await self._keys_of(NodeName(verified.record.issuer.node))
        except (Unavailable, PeerUnreachable):
            raise
        except LlnError as unbelieved:
            return unbelieved.code
        return "" if verified.issuer in keys else "key"

    async def receive_account(self, sender: NodeName, document: bytes) -> Unit:
        """The account itself: taken in whole, or declined with a reason; the reply is a MoveAnswer.

        Raises PaperNotSigned, RecordsOnTheirWay.
        """
        signed = open_paper(document, purpose=ACCOUNT_PURPOSE, keys=await self._keys_of(sender))
        account = canonical.decode(signed, HandedAccount, bytes_max=HANDED_BYTES_MAX)
        return lambda tx: canonical.encode(self._decide(tx, sender, account, document))

    def _decide(self, tx: Transaction, sender: NodeName, account: HandedAccount, paper: bytes) -> MoveAnswer:
        now_ms = self._clock.now_ms()
        arrival = tx.credits.moves.get(_key(account.code))
        if arrival is None or arrival.state != "open" or arrival.node != sender:
            return declined(
                "没有这个迁移码，或它已经用过，或不是给原节点的。请在新节点重新取得（lln learner welcome）。",
                "There is no such code, or it was used, or is for another node. Make one with lln learner welcome.",
            )
        answer = self._take_in(tx, sender, account, arrival)
        for part in list(rows_of(tx.credits.moves, account.code)):
            tx.credits.moves.drop(part.id)
        tx.credits.moves.put(
            [
                msgspec.structs.replace(
                    arrival,
                    state="taken" if answer.is_accepted else "declined",
                    document=paper,
                    at_ms=now_ms,
                    zh=answer.zh,
                    en=answer.en,
                )
            ]
        )
        return answer

    def _take_in(self, tx: Transaction, sender: NodeName, account: HandedAccount, arrival: MoveRow) -> MoveAnswer:
        now_ms = self._clock.now_ms()
        learner = tx.credits.learners.get(arrival.owner)
        if (account.old_home, account.new_home) != (sender, self._own_name) or now_ms >= arrival.until_ms:
            return declined(
                "迁移码已到期，或账户不是给本节点的。", "The code is over, or the account is not for this node."
            )
        if learner is None or learner.state not in ("active", "moved"):
            return declined("新节点的账户已不能使用。", "The account at the new home can no longer be used.")
        parts = {part.id.rpartition("/")[2]: part for part in rows_of(tx.credits.moves, account.code)}
        missing = missing_records(account, parts)
        if missing:
            raise RecordsOnTheirWay(account.code, f"{len(missing)} of {len(account.records)}")
        unbelieved = [record for record, part in parts.items() if part.state]
        if unbelieved:
            return declined(
                f"有 {len(unbelieved)} 条记录的签名不能采信：{'、'.join(unbelieved[:5])}",
                f"{len(unbelieved)} record(s) carry no signature to be believed: {', '.join(unbelieved[:5])}",
            )
        rows = [self._row(learner, parts[one.id]) for one in account.records]
        answer = judge_contents(
            account,
            {row.id: row.sha256 for row in rows},
            balances_held(tx, rows, day_in_china(account.at_ms)),
        ) or _clash(tx, learner, account, rows)
        if answer is not None:
            return answer
        self._keep(tx, learner, account, rows, parts)
        return MoveAnswer(is_accepted=True)

    def _row(self, learner: LearnerRow, part: MoveRow) -> RecordRow:
        """A record as it was handed over."""
        handed = msgspec.json.decode(part.document, type=HandedRecord)
        verified = credentials.verify(handed.credential.encode())
        fresh = held_row(verified, owner=learner.id, home=self._own_name, now_ms=self._clock.now_ms())
        return msgspec.structs.replace(
            fresh,
            state=handed.state,
            note=handed.note,
            superseded_by=handed.superseded_by,
            flagged=handed.flagged,
            told_at_ms=handed.told_at_ms,
            used=handed.used,
        )

    def _keep(
        self,
        tx: Transaction,
        learner: LearnerRow,
        account: HandedAccount,
        rows: Sequence[RecordRow],
        parts: Mapping[str, MoveRow],
    ) -> None:
        now_ms = self._clock.now_ms()
        held = tx.credits.records.many([row.id for row in rows])
        rows = [row for row in rows if row.id not in held or not held[row.id].is_own]
        tx.credits.records.put([*rows, *self._come_home(learner, held.values())])
        tx.credits.events.put([_opening(row, parts[row.id], now_ms) for row in rows])
        for known in account.subjects:
            tx.credits.pseudonyms.put([PseudonymRow(id=known.subject, owner=learner.id, state=known.node)])
            if known.node == self._own_name:
                self._adopt(tx, learner, known.subject)
        for consent in account.consents:
            ours = msgspec.structs.replace(consent, learner=learner.id)
            row = ConsentRow(
                id=ours.id, owner=learner.id, document=canonical.encode(ours), given_at_ms=ours.given_at_ms
            )
            tx.credits.consents.put([row])
        if learner.state == "moved":
            back = msgspec.structs.replace(learner, state="active", moved_to="", changed_at_ms=now_ms)
            tx.credits.learners.put([back])

    def _come_home(self, learner: LearnerRow, held: Iterable[RecordRow]) -> Iterable[RecordRow]:
        """What this node issued itself, it knows best; only whose it is changes."""
        for row in held:
            if row.is_own:
                yield msgspec.structs.replace(
                    row, owner=learner.id, home=self._own_name, changed_at_ms=self._clock.now_ms()
                )

    def _adopt(self, tx: Transaction, learner: LearnerRow, subject: str) -> None:
        """What this node issued to the learner as a visitor is its own learner's now, also what was on its way."""
        for row in list(rows_of(tx.credits.records, subject)):
            if row.is_own:
                tx.credits.records.put([msgspec.structs.replace(row, owner=learner.id, home=self._own_name)])


def _clash(
    tx: Transaction, learner: LearnerRow, account: HandedAccount, rows: Sequence[RecordRow]
) -> MoveAnswer | None:
    """Why what comes is somebody else's here already; None where nothing is."""
    subjects = {one.subject for one in account.subjects}
    for row in rows:
        held = tx.credits.records.get(row.id)
        if held is not None and held.owner not in {learner.id, *subjects}:
            return declined(f"记录 {row.id} 在新节点属于别人。", f"The record {row.id} is somebody else's here.")
    for known in account.subjects:
        of = tx.credits.pseudonyms.get(known.subject)
        if of is not None and (of.owner, of.state) != (learner.id, known.node):
            return declined("代称在新节点属于别人。", "One of the pseudonyms is somebody else's here.")
    for consent in account.consents:
        given = tx.credits.consents.get(consent.id)
        if given is not None and given.owner != learner.id:
            return declined("授权编号在新节点属于别人。", "One of the consents is somebody else's here.")
    return None


def _opening(row: RecordRow, part: MoveRow, now_ms: int) -> CreditEventRow:
    """What opens the commitment to a record in its issuer's log."""
    handed = msgspec.json.decode(part.document, type=HandedRecord)
    return CreditEventRow(
        id=event_key(row.id, 1),
        owner=row.id,
        state="issue",
        document=handed.event.encode(),
        salt=handed.salt,
        log_index=handed.log_index,
        at_ms=now_ms,
    )


def _key(code: str) -> str:
    return f"in/{code}"
