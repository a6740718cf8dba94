"""Homing: what the home of a learner is told of a record, and where that home is now; shared by whoever tells it.

What lives here: the messages, put into the outbox inside an open transaction, and following a home that has moved. What
must not: deciding what has become of a record (`amending.py`), or moving an account (`relocating.py`).
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from federation import canonical
from federation.credit_records import CredentialId
from federation.credits import RecordState
from federation.naming import NodeName
from federation.relocation import MOVED_PURPOSE, LearnerMoved
from federation.signed_papers import sign_paper
from node.ports import Clock, Identity, Transaction
from node.ports.crediting import LearnerRow, RecordRow
from node.usecases.disclosing import rows_of
from node.usecases.issuing import send_home
from node.usecases.ledgering import short

STATE_KIND: Final = "credit.state"
MOVED_KIND: Final = "learner.moved"


class RecordNews(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From a record's issuer to the learner's home: its state now, why, and what it rests on that has fallen."""

    record: CredentialId
    state: RecordState
    at_ms: int
    note: Annotated[str, Meta(max_length=1_000)] = ""
    superseded_by: CredentialId | None = None
    flagged: Annotated[str, Meta(max_length=300)] = ""


class Homing:
    """Holds what every message needs; the transaction is the caller's."""

    def __init__(self, *, identity: Identity, clock: Clock) -> None:
        self._identity = identity
        self._clock = clock

    def tell_home(self, tx: Transaction, row: RecordRow) -> None:
        """How a record that this node issued stands now; nothing where the home is this node."""
        if row.home == self._identity.name:
            return
        news = RecordNews(
            record=row.id,
            state=row.state,
            at_ms=row.told_at_ms,
            note=row.note,
            superseded_by=row.superseded_by or None,
            flagged=row.flagged,
        )
        item_id = f"state.{short(row.id)}.{row.told_at_ms}"
        tx.outbox.add(NodeName(row.home), STATE_KIND, canonical.encode(news), item_id, self._clock.now_ms())

    def tell_moved(self, tx: Transaction, to: NodeName, subject: str, learner: LearnerRow) -> None:
        """Where the account of `subject` is now, signed; again to whoever has not heard it yet."""
        now_ms = self._clock.now_ms()
        moved = LearnerMoved(
            subject=subject,
            recipient=to,
            old_home=self._identity.name,
            new_home=learner.moved_to,
            at_ms=now_ms,
        )
        paper = sign_paper(moved, purpose=MOVED_PURPOSE, signer=self._identity)
        tx.outbox.add(to, MOVED_KIND, paper, f"moved.{subject[-26:]}.{now_ms}", now_ms)

    def follow(self, tx: Transaction, owner: str, old_home: NodeName, new_home: NodeName) -> None:
        """Records of this node's own go on to another home: whatever the old one may not have heard is said again.

        A repeat finds nothing that is still at the old home.
        """
        for row in list(rows_of(tx.credits.records, owner)):
            if not row.is_own or row.home != old_home:
                continue
            now_ms = self._clock.now_ms()
            followed = msgspec.structs.replace(row, home=new_home, changed_at_ms=now_ms)
            tx.credits.records.put([followed])
            if new_home != self._identity.name:
                send_home(tx, followed, now_ms)
                if followed.told_at_ms:
                    self.tell_home(tx, followed)
