"""Auditing: the ledger as it is kept, looked through from end to end, while the node goes on.

What lives here: walking records, cases and the log page by page, and gathering what does not hold. What must not: the
checks themselves (`federation/audits.py`), or changing anything: an audit never mends.

Each page is one snapshot, in which a record, its events, its lot and its place agree or do not. What is kept between
pages is one bit for each entry of the log, and sums: a ledger of any size is audited in the same memory.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec

from federation import credentials
from federation.audit_checks import MEANINGS, Check, Fault
from federation.audits import Totals, check_case, check_lot, check_record
from federation.checkpoints import unverified_checkpoint
from federation.conversion_cases import ConversionCase, Hold
from federation.conversion_rules import ConversionRule
from federation.credit_log import CreditEntry, EventCommitted
from federation.credit_records import CreditRecord
from federation.errors import LlnError, PeerUnreachable, UntrustedPeer
from federation.keys import NodeKey
from federation.logs import Entry
from federation.merkle import Frontier
from federation.naming import NodeName
from federation.receipts import check_receipt, read_receipt
from federation.signed_papers import open_paper
from node.desk.ledgers import AuditFault, AuditTold, CheckTold
from node.desk.plain import Nothing
from node.ports import Clock, Store, StoredLog, Transaction
from node.ports.crediting import CaseRow, RecordRow, SlotRow
from node.usecases.issuing import RAISED, slot_key
from node.usecases.leafing import (
    ROWS_AT_ONCE,
    Claim,
    Leaf,
    RecordPage,
    Strays,
    counted,
    credit_logs,
    log_page,
    read_lot,
    record_page,
    stray_events,
    stray_lots,
    stray_slots,
    written_events,
    written_record,
)
from node.usecases.ledgering import RECEIPT_PURPOSE
from node.usecases.weighing import case_of, rule_of

FAULTS_SHOWN_MAX: Final = 20
"""Of each check: whoever sees twenty looks for one cause."""
P = TypeVar("P", bound=Leaf)
KeysOf = Callable[[NodeName], Awaitable[Sequence[NodeKey]]]
_entry_decoder: Final[msgspec.json.Decoder[CreditEntry]] = msgspec.json.Decoder(CreditEntry)


class _Findings:
    """What an audit has come across so far: counts of everything, faults up to a bound."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.failed: Counter[Check] = Counter()
        self.faults: list[Fault] = []
        self.totals = Totals()
        self.spoken: dict[NodeName, bytearray] = {}
        self.keys: dict[str, Sequence[NodeKey]] = {}
        self.unchecked: set[str] = set()
        self.root = ""

    def add(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self.failed[fault.check] += 1
            if self.failed[fault.check] <= FAULTS_SHOWN_MAX:
                self.faults.append(fault)

    def mark(self, log: NodeName, index: int) -> None:
        """There is an event for this entry."""
        bits = self.spoken.setdefault(log, bytearray())
        if index // 8 >= len(bits):
            bits.extend(bytes(index // 8 + 1 - len(bits)))
        bits[index // 8] |= 1 << index % 8

    def is_marked(self, log: NodeName, index: int) -> bool:
        bits = self.spoken.get(log, b"")
        return index // 8 < len(bits) and bool(bits[index // 8] & 1 << index % 8)


class Auditing:
    """Reads only; `keys_of` may have to ask another node for the key that a receipt was signed with."""

    def __init__(self, *, store: Store, clock: Clock, own_name: NodeName, keys_of: KeysOf) -> None:
        self._store = store
        self._clock = clock
        self._own_name = own_name
        self._keys_of = keys_of

    async def audit(self, _: Nothing) -> AuditTold:
        """Look through everything; what does not hold is told, none stops the others."""
        started_ms = self._clock.now_ms()
        found = _Findings()
        logs, kept = await self._store.read(lambda tx: (credit_logs(tx), counted(tx)))
        await self._walk_records(found)
        await self._walk_lots(found)
        await self._walk_cases(found)
        for stored in logs:
            if stored.log.origin == self._own_name or stored.log.origin in found.spoken:
                await self._walk_log(found, stored)
        await self._walk_strays(found, kept)
        found.add(found.totals.check())
        return self._told(found, self._clock.now_ms() - started_ms)

    # --- records -----------------------------------------------------------------------------------------------------

    async def _walk_records(self, found: _Findings) -> None:
        async for page in self._pages(found, "entry", partial(record_page, self._own_name)):
            for row in page.rows:
                found.add(self._check(found, page, row))
            for claim in page.claims:
                found.add(await self._check_claim(found, claim))

    def _check(self, found: _Findings, page: RecordPage, row: RecordRow) -> Iterable[Fault]:
        history = written_events(page, row, self._own_name)
        found.seen["records" if row.is_own else "held"] += 1
        found.seen["events"] += len(history)
        ledger, kept = read_lot(page.lots.get(row.id))
        faults: list[Fault] = []
        if row.is_own:
            found.totals.count_events(event.lot for event in history if event.lot is not None)
            if kept is not None:
                found.totals.count_lot(kept)
                faults += check_lot(kept)
            for event in history:
                for log, _ in event.leaves:
                    found.mark(log, event.log_index)
            found.seen["slots"] += row.slot is not None
            faults += _check_slot(row, page.slots)
        return [*faults, *check_record(written_record(row), history, ledger)]

    async def _check_claim(self, found: _Findings, claim: Claim) -> Iterable[Fault]:
        if claim.holds is None:
            return [Fault(check="receipt", subject=claim.record, found="no conversion here has issued it")]
        faults = []
        for source in claim.sources:
            paid = [hold for hold in claim.holds if hold.reservation.lot_id == source and hold.state == "committed"]
            told = "none of its credits were used" if not paid else await self._check_receipts(found, paid)
            if told:
                faults.append(Fault(check="receipt", subject=claim.record, found=f"source {source}: {told}"))
        return faults

    async def _check_receipts(self, found: _Findings, paid: Sequence[Hold]) -> str:
        """What is wrong with the receipts of some holds; empty where nothing is, or nobody can tell now."""
        for hold in paid:
            issuer = NodeName(hold.issuer)
            keys = await self._keys(found, issuer)
            if not keys:
                continue
            found.seen["receipts"] += 1
            try:
                receipt = read_receipt(open_paper(hold.receipt.encode(), purpose=RECEIPT_PURPOSE, keys=keys))
                check_receipt(receipt, [hold.reservation], issuer=issuer)
            except LlnError as error:
                return f"its receipt does not hold: {error}"
        return ""

    async def _keys(self, found: _Findings, issuer: NodeName) -> Sequence[NodeKey]:
        if issuer not in found.keys and issuer not in found.unchecked:
            try:
                found.keys[issuer] = await self._keys_of(issuer)
            except (PeerUnreachable, UntrustedPeer):
                found.unchecked.add(issuer)
        return found.keys.get(issuer, ())

    # --- lots, cases, log --------------------------------------------------------------------------------------------

    async def _walk_lots(self, found: _Findings) -> None:
        """Every lot has its record; what is in it was looked at with that."""
        async for page in self._pages(found, "lot", stray_lots):
            found.seen["lots"] += page.seen
            told = "it belongs to no record that this node has issued"
            found.add(Fault(check="lot", subject=lot, found=told) for lot in page.strays)

    async def _walk_strays(self, found: _Findings, kept: Mapping[str, int]) -> None:
        """Where more events or places were kept at the start than belong to records, find those that do not."""
        kinds: dict[str, tuple[Check, Callable[[str, Transaction], Strays]]] = {
            "events": ("entry", stray_events),
            "slots": ("slot", stray_slots),
        }
        for kind, (check, read) in kinds.items():
            if found.seen[kind] < kept[kind]:
                async for page in self._pages(found, check, read):
                    found.add(
                        Fault(check=check, subject=one, found="it belongs to no record here") for one in page.strays
                    )

    async def _walk_cases(self, found: _Findings) -> None:
        rules = dict[str, ConversionRule | None]()
        async for page in self._pages(found, "case", partial(_cases_page, rules)):
            for row in page.rows:
                found.seen["cases"] += 1
                found.add(_check_case_row(row, rules))

    async def _walk_log(self, found: _Findings, stored: StoredLog) -> None:
        """Make the root again, and look for entries that no event speaks for; up to where the log was at the start."""
        frontier, size = Frontier(), stored.head.size
        while frontier.size < size:
            entries, rows = await self._store.read(partial(log_page, stored.log, frontier.size, size))
            if not entries:
                break
            start = frontier.size
            extended = frontier.extend([entry.leaf_hash for entry in entries])
            for at, entry in enumerate(entries):
                if rows.get(start + at) != extended.rows[at]:
                    where = f"{stored.log}, entry {start + at}"
                    found.add([Fault(check="root", subject=where, found="its hashes are not those of its document")])
                elif _is_commitment(entry) and not found.is_marked(stored.log.origin, start + at):
                    where = f"{stored.log}, entry {start + at}"
                    found.add([Fault(check="entry", subject=where, found="no change that was written down opens it")])
            frontier = extended.frontier
            await asyncio.sleep(0)
        found.seen["entries"] += frontier.size
        found.add(_check_root(stored, frontier))
        if stored.log.origin == self._own_name:
            found.root = frontier.root().hex()

    async def _pages(self, found: _Findings, check: Check, read: Callable[[str, Transaction], P]) -> AsyncIterator[P]:
        """Page after page until one is empty. A row that names another key than it is filed under would lead round."""
        after = ""
        while (page := await self._store.read(partial(read, after))).last:
            yield page
            if page.last <= after:
                told = "it is filed under another key than its own; what follows was not looked at"
                found.add([Fault(check=check, subject=page.last, found=told)])
                return
            after = page.last
            await asyncio.sleep(0)

    def _told(self, found: _Findings, took_ms: int) -> AuditTold:
        return AuditTold(
            node=self._own_name,
            records=found.seen["records"],
            held=found.seen["held"],
            events=found.seen["events"],
            lots=found.seen["lots"],
            cases=found.seen["cases"],
            receipts=found.seen["receipts"],
            entries=found.seen["entries"],
            root=found.root,
            checks=tuple(
                CheckTold(check=check, zh=meaning.zh, en=meaning.en, faults=found.failed[check])
                for check, meaning in MEANINGS.items()
            ),
            faults=tuple(_shown(fault) for fault in found.faults),
            unchecked=tuple(sorted(found.unchecked)),
            took_ms=took_ms,
        )


def _shown(fault: Fault) -> AuditFault:
    meaning = MEANINGS[fault.check]
    return AuditFault(
        check=fault.check,
        subject=fault.subject,
        found=fault.found,
        zh=meaning.zh,
        en=meaning.en,
        mend_zh=meaning.mend_zh,
        mend_en=meaning.mend_en,
    )


# --- what one row says -----------------------------------------------------------------------------------------------


def _check_slot(row: RecordRow, slots: Mapping[str, SlotRow]) -> Iterable[Fault]:
    if row.slot is None:
        return
    slot = slots.get(slot_key(row.slot))
    where = f"{row.id}, {row.slot.list} #{row.slot.index}"
    if slot is None or slot.owner != row.id:
        yield Fault(check="slot", subject=where, found=f"the place is given to {slot.owner if slot else 'nobody'}")
    elif slot.state != RAISED[row.state]:
        found = f"{slot.state or 'nothing'} is raised for a record that is {row.state}"
        yield Fault(check="slot", subject=where, found=found)


class _CasePage(msgspec.Struct, frozen=True, kw_only=True):
    rows: Sequence[CaseRow]

    @property
    def last(self) -> str:
        return self.rows[-1].id if self.rows else ""


def _cases_page(rules: dict[str, ConversionRule | None], after: str, tx: Transaction) -> _CasePage:
    """The cases after one; into `rules`, by digest, those that they were decided by."""
    rows = tx.credits.cases.all(after, ROWS_AT_ONCE)
    for row in rows:
        case = _case_in(row)
        for grant in case.grants if case is not None and case.state == "converted" else ():
            if grant.rule.digest not in rules:
                rules[grant.rule.digest] = rule_of(tx, grant.rule.id, grant.rule.version, grant.rule.digest)
    return _CasePage(rows=rows)


def _check_case_row(row: CaseRow, rules: Mapping[str, ConversionRule | None]) -> Iterable[Fault]:
    case = _case_in(row)
    if case is None:
        return [Fault(check="case", subject=row.id, found="it cannot be read")]
    faults = check_case(case)
    if row.state != case.state:
        faults.append(Fault(check="case", subject=row.id, found=f"filed as {row.state}, it is {case.state}"))
    if case.state == "converted":
        faults += _check_sources(case, rules)
    return faults


def _check_sources(case: ConversionCase, rules: Mapping[str, ConversionRule | None]) -> Iterable[Fault]:
    """Credits that came of a conversion were a source only where the rule takes such."""
    converted = {source.id for document in case.request.credentials if (source := _converted(document)) is not None}
    for grant in case.grants:
        rule = rules.get(grant.rule.digest)
        for used in grant.consumed:
            if used.lot_id in converted and (rule is None or not rule.converted_sources):
                found = f"source {used.lot_id} came of a conversion; rule {grant.rule} takes none of these"
                yield Fault(check="reconverted", subject=case.id, found=found)


def _converted(document: str) -> CreditRecord | None:
    try:
        record = credentials.read(document.encode())
    except LlnError:
        return None
    return record if record.conversion is not None else None


def _case_in(row: CaseRow) -> ConversionCase | None:
    try:
        return case_of(row)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _is_commitment(entry: Entry) -> bool:
    try:
        return entry.document is not None and isinstance(_entry_decoder.decode(entry.document), EventCommitted)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def _check_root(stored: StoredLog, made: Frontier) -> Iterable[Fault]:
    if (made.size, made.root()) != (stored.head.size, stored.head.root()):
        found = f"{made.size} entries make another root than the one kept for {stored.head.size}"
        yield Fault(check="root", subject=str(stored.log), found=found)
    if not stored.note:
        return
    try:
        signed = unverified_checkpoint(stored.note)
    except LlnError as error:
        yield Fault(check="root", subject=str(stored.log), found=f"its checkpoint cannot be read: {error}")
        return
    if (signed.size, signed.root) != (made.size, made.root()):
        found = f"its checkpoint is signed for {signed.size} entries and another root"
        yield Fault(check="root", subject=str(stored.log), found=found)
