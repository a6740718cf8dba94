"""The ledger: what can be asked of it, and what is answered.

Nothing here names a person: records by their random ids, and counts that are too large to be anybody's.
"""

from typing import Final, Literal

from federation.counts import Counts, TableName
from node.desk.plain import Document, NodeNamed, Nothing, Operation

# --- audit -----------------------------------------------------------------------------------------------------------


class AuditFault(Document, frozen=True, kw_only=True):
    """Something that does not hold: `check` is a stable word; what it is about, what was found, and what mends it."""

    check: str
    subject: str
    found: str
    zh: str
    en: str
    mend_zh: str
    mend_en: str


class CheckTold(Document, frozen=True, kw_only=True):
    """One check, and how often it failed: more often than `faults` shows, where there are very many."""

    check: str
    zh: str
    en: str
    faults: int


class AuditTold(Document, frozen=True, kw_only=True):
    """What was looked through, and what does not hold. `unchecked`: issuers whose receipts nobody could vouch for now.

    `root` of the `credits` log in hex, made again from its entries.
    """

    node: str
    records: int
    held: int
    events: int
    lots: int
    cases: int
    receipts: int
    entries: int
    root: str
    checks: tuple[CheckTold, ...]
    faults: tuple[AuditFault, ...]
    unchecked: tuple[str, ...]
    took_ms: int


# --- reconciliation --------------------------------------------------------------------------------------------------


class ReconcileAsked(Document, frozen=True, kw_only=True):
    """`restore`: fetch the receipts of commits that this node has lost, and make the commits again."""

    peer: NodeNamed
    restore: bool = False


class DiscrepancyShown(Document, frozen=True, kw_only=True):
    """Two sides do not agree on a reservation: of which record, in which case, and what each says."""

    case: str
    reservation: str
    record: str
    issuer: str
    receiver: str
    difference: Literal["state", "terms", "receipt", "unknown_to_issuer", "unknown_to_receiver"]
    issuer_says: str
    receiver_says: str
    zh: str
    en: str


class Reconciled(Document, frozen=True, kw_only=True):
    """`lent`: reservations of this node's records by the peer; `converted`: of the peer's records by this node.

    `regained`: commits made again; `missing`: how many more the log knows of since a backup, with whichever peer.
    """

    peer: str
    lent: int
    converted: int
    discrepancies: tuple[DiscrepancyShown, ...]
    regained: int = 0
    missing: int = 0


class LedgerReopened(Document, frozen=True, kw_only=True):
    """`given_up`: commits whose receipts nobody has brought."""

    given_up: int


# --- counts ----------------------------------------------------------------------------------------------------------


class CountTable(Document, frozen=True, kw_only=True):
    """How this node's own records divide, exactly; for its own people."""

    table: TableName
    cells: dict[str, int]


class CountsShown(Document, frozen=True, kw_only=True):
    """`own`: records issued here; `below`: what children report, small cells left out; `told`: what `parent` hears.

    `parent` is empty at the root, which tells nobody.
    """

    own: int
    tables: tuple[CountTable, ...]
    below: tuple[Counts, ...]
    told: Counts
    parent: str


OPERATIONS: Final = (
    Operation(name="ledger.audit", asked=Nothing, answered=AuditTold),
    Operation(name="ledger.reconcile", asked=ReconcileAsked, answered=Reconciled),
    Operation(name="ledger.reopen", asked=Nothing, answered=LedgerReopened),
    Operation(name="ledger.counts", asked=Nothing, answered=CountsShown),
)
