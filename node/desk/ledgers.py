"""The ledger: what can be asked of it, and what is answered.

Nothing here names a person: records by their random ids, and counts that are too large to be anybody's.
"""

from typing import Final

from node.desk.plain import Document, Nothing, Operation

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


OPERATIONS: Final = (Operation(name="ledger.audit", asked=Nothing, answered=AuditTold),)
