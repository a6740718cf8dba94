"""Consenting: a learner, or the guardian of one below fourteen, agrees to a disclosure, and may take it back.

What lives here: giving and withdrawing consents. What must not: using them (`disclosing.py`), or deciding whether one
covers a use (`federation/consents.py`). Who may agree, and what is kept of it, is in `agreeing.py`.
"""

from typing import Final

import msgspec

from federation.consents import ConsentState, state_at
from federation.errors import Conflict
from federation.short_ids import ID_BYTES, write_id
from node.desk.learners import ConsentAsked, ConsentNamed, ConsentShown
from node.ports import Clock, Randomness, Store, Transaction
from node.usecases.agreeing import check_who_agrees, consent_row
from node.usecases.disclosing import ConsentUnknown, active_learner, check_records, consent_in, shown

WITHDRAWN: Final[dict[ConsentState, ConsentState]] = {"active": "withdrawn", "withdrawn": "withdrawn"}
"""What a withdrawal makes of each state; what is used or over cannot be withdrawn any more."""


class ConsentOver(Conflict):
    code = "LLN-1382"
    zh = "这份授权已经用完或到期，无需撤回；已经提供过的见 lln consent list。"
    en = "The consent is used up or over, so there is nothing to withdraw; lln consent list shows what was disclosed."


class Consenting:
    """The one writer of what is agreed to; `disclosing` alone writes that it was used."""

    def __init__(self, *, store: Store, clock: Clock, randomness: Randomness) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness

    async def give(self, asked: ConsentAsked) -> ConsentShown:
        """Say in words what would be agreed to; with `confirmed`, keep it.

        Raises LearnerUnknown, LearnerGone, RecordElsewhere, UnfitConsent, AgeUnknown, GuardianNeeded,
        GuardianNotNeeded.
        """
        now_ms = self._clock.now_ms()
        consent_id = write_id("C", self._randomness.token(ID_BYTES))

        def unit(tx: Transaction) -> ConsentShown:
            check_who_agrees(active_learner(tx, asked.learner), by_guardian=asked.by_guardian, now_ms=now_ms)
            check_records(tx, asked.learner, asked.records)
            row = consent_row(asked, consent_id, now_ms)
            if asked.confirmed:
                tx.credits.consents.add(row)
            return shown(row, now_ms)

        return await (self._store.write(unit) if asked.confirmed else self._store.read(unit))

    async def withdraw(self, asked: ConsentNamed) -> ConsentShown:
        """Take a consent back for every later use; twice is harmless. Raises ConsentUnknown, ConsentOver."""
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> ConsentShown:
            row = tx.credits.consents.get(asked.consent)
            if row is None:
                raise ConsentUnknown(asked.consent)
            state = state_at(row.state, consent_in(row), now_ms)
            after = WITHDRAWN.get(state)
            if after is None:
                raise ConsentOver(row.id, state)
            if state != after:
                row = msgspec.structs.replace(row, state=after, ended_at_ms=now_ms)
                tx.credits.consents.put([row])
            return shown(row, now_ms)

        return await self._store.write(unit)
