"""Presenting: a learner shows records to whoever has a short code 学习成果证明, for as long as the learner likes.

What lives here: making a code on the learner's consent, and what is shown to whoever brings one, written down as a
disclosure each time. What must not: verifying what is shown (`verifying.py`).

A proof ends with its days or with its consent, which the learner may withdraw. Who tries codes learns nothing: what is
wrong, over and withdrawn is answered alike, and a caller has a small number of tries a minute.
"""

from typing import Final

import msgspec

from federation import short_codes
from federation.budgets import Budgets, per_minute
from federation.errors import InvalidInput, LlnError, RefusedCall
from federation.naming import NodeName
from federation.short_codes import ProofUnknown
from federation.short_ids import ID_BYTES, write_id
from node.desk.credits import ProofAsked
from node.desk.learners import ConsentAsked, ConsentShown
from node.ports import Clock, Randomness, ShownProof, ShownRecord, Store, Transaction
from node.ports.crediting import ProofRow
from node.usecases.agreeing import check_who_agrees, consent_row
from node.usecases.disclosing import active_learner, check_records, disclose, shown
from node.usecases.recounting import find_record

LOOKS_PER_MINUTE: Final = 30
SHOWN_BYTES_MAX: Final = 1_048_576


class TooManyLooks(RefusedCall):
    code = "LLN-2210"
    zh = "查询短码过于频繁，请一分钟后再试。"
    en = "Too many codes were tried; wait a minute and try again."


class ProofTooLarge(InvalidInput):
    code = "LLN-1111"
    zh = "这些记录合起来太大，不能放在一份证明里。请分成几份。"
    en = "These records are too large for one proof together. Make several."


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A code that was, or would be, given out, and the consent behind it; `code` is empty until it is confirmed."""

    code: str = ""
    consent: ConsentShown


class Presenting:
    """The one writer of proofs."""

    def __init__(self, *, store: Store, clock: Clock, randomness: Randomness, own_name: NodeName) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._own_name = own_name
        self._looks = Budgets(per_minute(LOOKS_PER_MINUTE))

    async def prove(self, asked: ProofAsked) -> Proof:
        """Tell what would be agreed to; with `confirmed`, keep consent and code together.

        Raises LearnerUnknown, LearnerGone, RecordUnknown, RecordElsewhere, ProofTooLarge, AgeUnknown, GuardianNeeded,
        GuardianNotNeeded.
        """
        if not asked.confirmed:
            return await self._store.read(lambda tx: self._prove(tx, asked))
        return await self._store.write(lambda tx: self._prove(tx, asked))

    async def look(self, caller: NodeName, code: str) -> ShownProof:
        """What a code stands for, to another node or to this one's own people; written down as a disclosure.

        Raises ProofUnknown, TooManyLooks.
        """
        if not self._looks.spend(caller, self._clock.now_ms()):
            raise TooManyLooks(caller, f"more than {LOOKS_PER_MINUTE} a minute")
        return await self._store.write(lambda tx: self._look(tx, caller, code))

    async def records_of(self, code: str) -> tuple[str, tuple[str, ...]] | None:
        """Learner and records behind a code of this node, for the learner's own print; None where it is over."""
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> tuple[str, tuple[str, ...]] | None:
            row = tx.credits.proofs.get(code)
            consent = tx.credits.consents.get(row.consent) if row else None
            is_over = row is None or now_ms >= row.until_ms or consent is None or consent.state != "active"
            return None if is_over or row is None else (row.owner, row.records)

        return await self._store.read(unit)

    def _prove(self, tx: Transaction, asked: ProofAsked) -> Proof:
        now_ms = self._clock.now_ms()
        records = tuple(dict.fromkeys(find_record(tx, record).id for record in asked.records))
        check_who_agrees(active_learner(tx, asked.learner), by_guardian=asked.by_guardian, now_ms=now_ms)
        check_records(tx, asked.learner, records)
        held = tx.credits.records.many(records)
        size = sum(len(row.document) for row in held.values())
        if size > SHOWN_BYTES_MAX:
            raise ProofTooLarge(asked.learner, f"{size} bytes, at most {SHOWN_BYTES_MAX}")
        consent_id = write_id("C", self._randomness.token(ID_BYTES))
        agreed = ConsentAsked(
            learner=asked.learner,
            purpose="present",
            fields=("records",),
            recipient="bearer",
            records=records,
            days=asked.days,
            uses="many",
            by_guardian=asked.by_guardian,
        )
        row = consent_row(agreed, consent_id, now_ms)
        consent = shown(row, now_ms)
        if not asked.confirmed:
            return Proof(consent=consent)
        code = short_codes.new(self._randomness.token(short_codes.RANDOM_BYTES))
        proof = ProofRow(
            id=code,
            owner=asked.learner,
            state="valid",
            records=records,
            consent=consent_id,
            until_ms=consent.expires_at_ms,
            made_at_ms=now_ms,
        )
        tx.credits.consents.add(row)
        tx.credits.proofs.put([proof])
        return Proof(code=code, consent=consent)

    def _look(self, tx: Transaction, caller: NodeName, code: str) -> ShownProof:
        row, now_ms = tx.credits.proofs.get(code), self._clock.now_ms()
        if row is None or now_ms >= row.until_ms:
            raise ProofUnknown("code")
        try:
            disclose(
                tx,
                row.owner,
                row.consent,
                recipient="bearer",
                purpose="present",
                fields=("records",),
                records=row.records,
                now_ms=now_ms,
                home=self._own_name,
                shown_to=caller,
            )
        except LlnError as lacking:  # withdrawn, the account gone, a record gone: one answer for whoever asks
            raise ProofUnknown("code") from lacking
        return ShownProof(records=tuple(_shown(tx, record) for record in row.records), until_ms=row.until_ms)


def _shown(tx: Transaction, record: str) -> ShownRecord:
    row = find_record(tx, record)
    events = tx.credits.events.of(row.id, limit=1)
    return ShownRecord(
        credential=row.document,
        event=events[0].document if events else b"",
        salt=events[0].salt if events else "",
        log_index=events[0].log_index if events else 0,
    )
