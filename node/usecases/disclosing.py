"""Disclosing: what other nodes get to know of a learner, written down in the unit that tells them.

What lives here: pseudonyms, and using a consent; plain functions that run inside a unit of work another use case has
open. What must not: giving and withdrawing consents (`consenting.py`), signing, or a call to another use case.

Nothing about a learner leaves the node but through `disclose`, so that the learner sees every disclosure. The grant it
returns is signed by the caller (`SignedGrant.sign`) and sent after the unit is committed, never before.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from federation import canonical
from federation.consents import Consent, ConsentGrant, Field, Purpose, Shortfall, Use, covers, state_at, words_of
from federation.credit_records import CredentialId, Subject
from federation.errors import Conflict, NotAllowed, NotFound
from federation.naming import NodeName
from federation.pseudonyms import SECRET_BYTES, subject_for
from node.desk.learners import ConsentShown
from node.ports import Randomness, Transaction
from node.ports.crediting import ConsentRow, DisclosureRow, Kept, LearnerRow, PseudonymRow, Shelf
from node.usecases.recording import china_date

SECRET_NOTE: Final = "learner_pseudonym_secret"  # noqa: S105  # the name of a note
CONSENT_BYTES_MAX: Final = 65_536

D = TypeVar("D", bound=Kept)


class LearnerUnknown(NotFound):
    code = "LLN-1280"
    zh = "本节点没有这个学习账户。请用 lln learner list 核对编号。"
    en = "There is no such account at this node. lln learner list prints the ids."


class LearnerGone(Conflict):
    code = "LLN-1380"
    zh = "这个学习账户正在迁移、已迁走或已注销，不能再改动或使用。"
    en = "The account is moving, has moved away or was erased; nothing more can be done with it here."


class ConsentUnknown(NotFound):
    code = "LLN-1281"
    zh = "没有这份授权。请用 lln consent list 核对编号。"
    en = "There is no such consent. lln consent list prints the ids."


class ConsentLacking(NotAllowed):
    """`shortfalls` say it in words for people."""

    code = "LLN-1480"
    zh = "学习者的授权不涵盖这次提供，什么也没有提供。请先取得相应授权（lln consent give）。"
    en = "The learner's consent does not cover this, so nothing was shown. Ask for it first with lln consent give."

    def __init__(self, subject: str, shortfalls: Sequence[Shortfall]) -> None:
        super().__init__(subject, " ".join(one.en for one in shortfalls))
        self.shortfalls = tuple(shortfalls)


class RecordElsewhere(NotFound):
    code = "LLN-1282"
    zh = "这个学习账户里没有这条学分记录。请核对编号。"
    en = "The account holds no such credit record. Check its id."


# --- pseudonyms ------------------------------------------------------------------------------------------------------


def keep_secret(tx: Transaction, randomness: Randomness) -> None:
    """Have the secret of all pseudonyms before the first account is written; it never changes and never leaves."""
    if tx.notes.get(SECRET_NOTE) is None:
        tx.notes.put(SECRET_NOTE, randomness.token(SECRET_BYTES))


def pseudonym_for(tx: Transaction, learner: str, node: NodeName) -> Subject:
    """By whom `node` knows a learner of ours, written down the first time; the same ever after.

    A learner who came from another home is known by the pseudonym they brought along.
    """
    brought = next((one.id for one in rows_of(tx.credits.pseudonyms, learner) if one.state == node), None)
    if brought is not None:
        return brought
    secret = tx.notes.get(SECRET_NOTE)
    assert secret is not None, "accounts are written after the secret"  # noqa: S101  # registering keeps that order
    subject = subject_for(secret, learner, node)
    tx.credits.pseudonyms.add(PseudonymRow(id=subject, owner=learner, state=node))
    return subject


def learner_behind(tx: Transaction, subject: Subject) -> LearnerRow | None:
    """The account of ours that another node means by `subject`."""
    row = tx.credits.pseudonyms.get(subject)
    return tx.credits.learners.get(row.owner) if row is not None else None


def active_learner(tx: Transaction, learner: str) -> LearnerRow:
    """The account, where it can be used; raises LearnerUnknown, LearnerGone."""
    row = tx.credits.learners.get(learner)
    if row is None:
        raise LearnerUnknown(learner)
    if row.state != "active":
        raise LearnerGone(learner, row.state)
    return row


def held_learner(tx: Transaction, learner: str) -> LearnerRow:
    """The account, also one that moves or has moved, to be read; raises LearnerUnknown, LearnerGone."""
    row = tx.credits.learners.get(learner)
    if row is None:
        raise LearnerUnknown(learner)
    if row.state == "erased":
        raise LearnerGone(learner, row.state)
    return row


# --- consents in use -------------------------------------------------------------------------------------------------


def consent_in(row: ConsentRow) -> Consent:
    """What a row of ours says was agreed to."""
    consent: Consent = canonical.decode(row.document, Consent, bytes_max=CONSENT_BYTES_MAX)
    return consent


def check_records(tx: Transaction, learner: str, records: Sequence[CredentialId]) -> None:
    """That every one of `records` is in the account; raises RecordElsewhere."""
    held = tx.credits.records.many(records)
    for record in records:
        if record not in held or held[record].owner != learner:
            raise RecordElsewhere(record)


def rows_of(shelf: Shelf[D], owner: str) -> Iterator[D]:
    """Everything on a shelf that is of one owner, page by page."""
    page = shelf.of(owner)
    while page:
        yield from page
        page = shelf.of(owner, page[-1].id)


def shown(row: ConsentRow, now_ms: int) -> ConsentShown:
    """A consent as people see it, with the words that were agreed to."""
    consent = consent_in(row)
    words = words_of(consent, china_date(consent.expires_at_ms))
    return ConsentShown(
        id=consent.id,
        learner=consent.learner,
        state=state_at(row.state, consent, now_ms),
        purpose=consent.purpose,
        fields=consent.fields,
        recipient=consent.recipient,
        records=consent.records,
        every_record=consent.every_record,
        uses=consent.uses,
        by=consent.by,
        given_at_ms=row.given_at_ms,
        expires_at_ms=consent.expires_at_ms,
        ended_at_ms=row.ended_at_ms,
        text_version=consent.text_version,
        disclosed=row.disclosed,
        zh=words.zh,
        en=words.en,
    )


def disclose(
    tx: Transaction,
    learner: str,
    consent_id: str,
    *,
    recipient: str,
    purpose: Purpose,
    fields: Sequence[Field],
    records: Sequence[CredentialId],
    now_ms: int,
    home: NodeName,
    shown_to: str = "",
) -> ConsentGrant:
    """Use a consent for one disclosure, and write down that it was made; a consent for one use is used up by it.

    `recipient`: a node's name, or `bearer` for whoever is shown a proof; `shown_to`: the node that such a one looked
    from. `home`: this node. Raises LearnerUnknown, LearnerGone, ConsentUnknown, ConsentLacking, RecordElsewhere, and
    then nothing is written.
    """
    active_learner(tx, learner)
    row = tx.credits.consents.get(consent_id)
    if row is None or row.owner != learner:
        raise ConsentUnknown(consent_id)
    consent = consent_in(row)
    use = Use(recipient=recipient, purpose=purpose, fields=tuple(fields), records=tuple(records))
    lacking = covers(consent, use, state=row.state, now_ms=now_ms)
    if lacking:
        raise ConsentLacking(consent_id, lacking)
    check_records(tx, learner, use.records)
    disclosed = row.disclosed + 1
    is_used = consent.uses == "one"
    tx.credits.consents.put(
        [
            msgspec.structs.replace(
                row,
                state="used" if is_used else row.state,
                ended_at_ms=now_ms if is_used else row.ended_at_ms,
                disclosed=disclosed,
            )
        ]
    )
    shown = DisclosureRow(
        id=f"{consent_id}/{disclosed:06d}",
        owner=learner,
        recipient=shown_to or recipient,
        purpose=purpose,
        consent=consent_id,
        fields=use.fields,
        records=use.records,
        at_ms=now_ms,
    )
    tx.credits.disclosures.put([shown])
    return ConsentGrant(
        id=shown.id,
        home=home,
        subject=None if recipient == "bearer" else pseudonym_for(tx, learner, NodeName(recipient)),
        recipient=recipient,
        purpose=purpose,
        fields=use.fields,
        records=use.records,
        granted_at_ms=now_ms,
        expires_at_ms=consent.expires_at_ms,
        uses=consent.uses,
        text_version=consent.text_version,
    )
