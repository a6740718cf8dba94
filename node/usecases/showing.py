"""Showing: accounts of learners as the people of this institution, and the learner beside them, see them.

What lives here: reading accounts, consents and disclosures, and the handle for another node. What must not: writing
anything but a pseudonym, or a number in full.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from federation.consents import may_agree
from federation.naming import NodeName
from federation.persons import masked_identity_number, masked_student_number
from federation.pseudonyms import Handle
from federation.spellings import plain
from node.desk.learners import (
    Consents,
    ConsentShown,
    DisclosureShown,
    HandleAsked,
    HandleMade,
    LearnerLine,
    LearnerNamed,
    Learners,
    LearnersAsked,
    LearnerShown,
    PseudonymShown,
)
from node.ports import Clock, Store, Transaction
from node.ports.crediting import LearnerRow, LearnerShelf
from node.usecases.disclosing import LearnerUnknown, active_learner, pseudonym_for, rows_of, shown
from node.usecases.recording import china_date

READ_AT_ONCE: Final = 500


class Showing:
    def __init__(self, *, store: Store, clock: Clock, own_name: NodeName) -> None:
        self._store = store
        self._clock = clock
        self._own_name = own_name

    async def show(self, learner: str) -> LearnerShown:
        """Everything about one account but its numbers in full; raises LearnerUnknown."""
        now_ms = self._clock.now_ms()
        return await self._store.read(lambda tx: _shown(tx, _held(tx, learner), now_ms))

    async def list_learners(self, asked: LearnersAsked) -> Learners:
        def unit(tx: Transaction) -> Sequence[LearnerRow]:
            shelf = tx.credits.learners
            if not asked.text.strip():
                return shelf.all(asked.after, asked.limit + 1)
            return tuple(islice(_matching(shelf, asked.after, asked.text), asked.limit + 1))

        rows = await self._store.read(unit)
        return Learners(rows=tuple(map(_line, rows[: asked.limit])), more=len(rows) > asked.limit)

    async def list_consents(self, asked: LearnerNamed) -> Consents:
        """A learner's consents and every disclosure made on them; raises LearnerUnknown."""
        now_ms = self._clock.now_ms()

        def unit(tx: Transaction) -> Consents:
            _held(tx, asked.learner)
            return Consents(consents=_consents(tx, asked.learner, now_ms), disclosures=_disclosures(tx, asked.learner))

        return await self._store.read(unit)

    async def handle(self, asked: HandleAsked) -> HandleMade:
        """What a learner hands to another node so that it can issue to them; raises LearnerUnknown, LearnerGone."""

        def unit(tx: Transaction) -> Handle:
            active_learner(tx, asked.learner)
            return Handle(subject=pseudonym_for(tx, asked.learner, NodeName(asked.node)), home=self._own_name)

        return HandleMade(handle=str(await self._store.write(unit)))


def _matching(shelf: LearnerShelf, after: str, text: str) -> Iterator[LearnerRow]:
    """Accounts by part of a name, the beginning of their id, or a number; the shelf is read part by part."""
    sought = plain(text)
    while rows := shelf.all(after, READ_AT_ONCE):
        for row in rows:
            numbers = (plain(row.student_number), plain(row.identity_number))
            if sought in plain(row.name) or plain(row.id).startswith(sought) or sought in numbers:
                yield row
        after = rows[-1].id


def _held(tx: Transaction, learner: str) -> LearnerRow:
    row = tx.credits.learners.get(learner)
    if row is None:
        raise LearnerUnknown(learner)
    return row


def _shown(tx: Transaction, row: LearnerRow, now_ms: int) -> LearnerShown:
    pseudonyms = sorted(rows_of(tx.credits.pseudonyms, row.id), key=lambda one: one.state)
    return LearnerShown(
        id=row.id,
        state=row.state,
        name=row.name,
        identity_number=masked_identity_number(row.identity_number),
        student_number=masked_student_number(row.student_number),
        birth_date=row.birth_date,
        guardian=row.guardian,
        contact=row.contact,
        moved_to=row.moved_to,
        registered_at_ms=row.registered_at_ms,
        changed_at_ms=row.changed_at_ms,
        consent_by=may_agree(row.birth_date, as_of=china_date(now_ms)),
        records=dict(Counter(record.state for record in rows_of(tx.credits.records, row.id))),
        pseudonyms=tuple(PseudonymShown(node=one.state, subject=one.id) for one in pseudonyms),
        consents=_consents(tx, row.id, now_ms),
        disclosures=_disclosures(tx, row.id),
    )


def _line(row: LearnerRow) -> LearnerLine:
    return LearnerLine(
        id=row.id,
        state=row.state,
        name=row.name,
        identity_number=masked_identity_number(row.identity_number),
        student_number=masked_student_number(row.student_number),
        registered_at_ms=row.registered_at_ms,
    )


def _consents(tx: Transaction, learner: str, now_ms: int) -> tuple[ConsentShown, ...]:
    found = [shown(row, now_ms) for row in rows_of(tx.credits.consents, learner)]
    return tuple(sorted(found, key=lambda one: one.given_at_ms, reverse=True))


def _disclosures(tx: Transaction, learner: str) -> tuple[DisclosureShown, ...]:
    found = sorted(rows_of(tx.credits.disclosures, learner), key=lambda one: one.at_ms, reverse=True)
    return tuple(
        DisclosureShown(
            at_ms=one.at_ms,
            recipient=one.recipient,
            purpose=one.purpose,
            consent=one.consent,
            fields=one.fields,
            records=one.records,
        )
        for one in found
    )
