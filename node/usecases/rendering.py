"""Rendering: a record, or all that a learner has, gathered to be written in somebody else's form.

What lives here: what goes into it. What must not: any form; each is a `Writer` that the bank is put together with.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from federation import short_codes
from federation.credit_records import Subject
from federation.errors import InvalidInput, NotFound
from federation.short_codes import MistypedCode
from node.desk.credits import ExportAsked, Exported, Form
from node.ports import Clock, Identity, Store, Transaction
from node.ports.crediting import LearnerRow, RecordRow
from node.usecases.disclosing import active_learner, pseudonym_for, rows_of
from node.usecases.recounting import find_record

LEARNER_LETTER: Final = "L"
OF_ACCOUNT: Final[frozenset[Form]] = frozenset({"transcript", "elmo"})
OUT_OF_FORCE: Final = frozenset({"revoked", "superseded"})
OF_RECORD: Final[frozenset[Form]] = frozenset({"credential", "wallet", "bundle"})


class NotInThatForm(InvalidInput):
    code = "LLN-1112"
    zh = "这种格式不适用：钱包、离线证明用于一条记录；清单、ELMO 用于一个学习账户。请换编号或换格式。"
    en = "Not in that form: wallet and offline proof are of one record, transcript and ELMO of an account."


class NothingToExport(NotFound):
    code = "LLN-1213"
    zh = "这个学习账户里还没有学分记录，没有可导出的内容。"
    en = "The account holds no credit record yet, so there is nothing to export."


class Portrait(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written. `account` and `subject` None for a record alone; `code` of a proof, if there is one."""

    records: tuple[RecordRow, ...]
    account: LearnerRow | None = None
    subject: Subject | None = None
    is_partial: bool = False
    code: str = ""
    at_ms: int


Writer = Callable[[Portrait], Exported]
ProofOf = Callable[[str], Awaitable[tuple[str, Sequence[str]] | None]]


class Rendering:
    """`writers` by form; `bundle` makes an offline proof, which has to be asked for; `proof_of` knows codes."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        identity: Identity,
        writers: Mapping[Form, Writer],
        bundle: Callable[[str], Awaitable[bytes]],
        proof_of: ProofOf,
    ) -> None:
        self._store = store
        self._clock = clock
        self._own_name = identity.name
        self._writers = writers
        self._bundle = bundle
        self._proof_of = proof_of

    async def export(self, asked: ExportAsked) -> Exported:
        """A file in the form asked for. Raises RecordUnknown, LearnerUnknown, LearnerGone, NotInThatForm,
        NothingToExport, ProofUnknown, WalletSupportMissing, WrongIssuer, and what `bundling` raises.
        """
        if asked.form == "bundle":
            document = await self._bundle(asked.id)
            return Exported(name="proof.lln.json", media_type="application/json", content=document)
        portrait = await self._portrait(asked.id)
        is_account = portrait.account is not None
        if asked.form in (OF_RECORD if is_account else OF_ACCOUNT):
            raise NotInThatForm(asked.id, asked.form)
        if not portrait.records:
            raise NothingToExport(asked.id)
        return self._writers[asked.form](portrait)

    async def _portrait(self, wanted: str) -> Portrait:
        now_ms = self._clock.now_ms()
        code = _as_code(wanted)
        if code:
            proof = await self._proof_of(code)
            if proof is None:
                raise short_codes.ProofUnknown("code")
            learner, records = proof
            return await self._store.write(lambda tx: self._of_account(tx, learner, now_ms, records, code))
        if wanted.startswith(LEARNER_LETTER):
            return await self._store.write(lambda tx: self._of_account(tx, wanted, now_ms))
        row = await self._store.read(lambda tx: find_record(tx, wanted))
        return Portrait(records=(row,), at_ms=now_ms)

    def _of_account(
        self, tx: Transaction, learner: str, now_ms: int, chosen: Sequence[str] | None = None, code: str = ""
    ) -> Portrait:
        account = active_learner(tx, learner)
        held = list(rows_of(tx.credits.records, learner))
        taken = [row for row in held if row.id in chosen] if chosen is not None else _in_force(held)
        return Portrait(
            records=tuple(taken),
            account=account,
            subject=pseudonym_for(tx, learner, self._own_name),
            is_partial=len(taken) < len(held),
            code=code,
            at_ms=now_ms,
        )


def _in_force(rows: Sequence[RecordRow]) -> list[RecordRow]:
    """What was revoked or put right since is no outcome of the learner's any more."""
    return [row for row in rows if row.state not in OUT_OF_FORCE]


def _as_code(wanted: str) -> str:
    """The short code that was given in place of an id; empty for an id."""
    if wanted.startswith("urn:"):
        return ""
    try:
        return short_codes.read(wanted)
    except MistypedCode:
        return ""
