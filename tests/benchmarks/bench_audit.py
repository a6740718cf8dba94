"""How long an audit takes: every record, event, lot and entry of a ledger, from the database to the answer.

The ledger is written by the program itself, records signed and committed to the log; two of five events settle a
reservation. CPU time of the whole audit, its database thread included, for a million events; `--large`: with a million
in truth. What must not live here: the checks.
"""

import itertools
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from functools import partial
from hashlib import sha256
from pathlib import Path

import uvloop

from federation import credits as credit_bank
from federation.amounts import Amount
from federation.catalogue import BilingualLine
from federation.checkpoints import sign_checkpoint
from federation.credit_records import Achievement
from federation.credits import Reservation, RuleReference
from federation.keys import KeyInMemory
from federation.naming import NodeName
from node.desk import Nothing
from node.ports import Transaction
from node.storage.sqlite_store import open_sqlite
from node.usecases.auditing import Auditing
from node.usecases.issuing import Draft, Issuing
from node.usecases.ledgering import Ledgering, ledger_of
from tests.benchmarks.load import Load
from tests.benchmarks.measuring import OTHERS_SHARE_MAX, Figure, Flags, duration

NAME = "audit"
SMALLEST = {"EVENTS": 50}
OWN = NodeName("school.county.lln.internal")
RECEIVER = NodeName("other.county.lln.internal")
EVENTS, EVENTS_LARGE = 100_000, 1_000_000
EVENTS_OF_EACH = 5
RECORDS_AT_ONCE = 500
NOW_MS = 1_780_000_000_000
RULE = RuleReference(id="r", version=1, digest="0" * 64)


class Machine(KeyInMemory):
    """Identity, clock and chance of the node whose ledger it is."""

    name = OWN
    root = NodeName("lln.internal")

    def __init__(self) -> None:
        super().__init__(b"\7" * 32)
        self._drawn = itertools.count()

    def now_ms(self) -> int:
        return NOW_MS

    def token(self, size: int) -> bytes:
        return sha256(b"%d" % next(self._drawn)).digest()[:size]


def run(flags: Flags) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        return uvloop.run(figures(Path(folder), EVENTS_LARGE if flags.large else EVENTS))


async def figures(folder: Path, events: int) -> list[Figure]:
    machine = Machine()
    async with open_sqlite(
        folder / "node.db",
        own_node=OWN,
        seal=lambda head: sign_checkpoint(head.checkpoint(), machine),
        now_ms=machine.now_ms,
    ) as store:
        ledgering = Ledgering(own_name=OWN, randomness=machine)
        issuing = Issuing(
            identity=machine,
            clock=machine,
            randomness=machine,
            ledgering=ledgering,
            title=BilingualLine(zh="测速"),
        )
        for numbers in batched(events // EVENTS_OF_EACH):
            await store.write(partial(write, issuing, ledgering, numbers))
        auditing = Auditing(store=store, clock=machine, own_name=OWN, keys_of=keys_of)
        before, started, cpu = Load.now(), time.perf_counter(), time.process_time()
        told = await auditing.audit(Nothing())
        took_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    assert (told.events, told.faults) == (events, ()), told
    share = Load.now().others_share_since(before)
    return [
        Figure(
            name=f"audit of {events:,} events, for a million",
            ours=duration(cpu_s),
            rival_or_ceiling="",
            ratio=round(cpu_s * 1_000_000 / events, 1),
            gate="≤ 60",
            unit="s",
            disturbed=share is not None and share > OTHERS_SHARE_MAX,
            note=f"{told.records:,} records, {told.entries:,} entries; wall {duration(took_s)}",
        )
    ]


async def keys_of(_: NodeName) -> tuple[()]:
    return ()


def batched(records: int) -> Iterator[range]:
    for start in range(0, records, RECORDS_AT_ONCE):
        yield range(start, min(start + RECORDS_AT_ONCE, records))


def write(issuing: Issuing, ledgering: Ledgering, numbers: range, tx: Transaction) -> None:
    for number in numbers:
        row = issuing.issue(
            tx,
            Draft(
                subject=f"urn:lln:learner:{number:026}",
                owner=f"L{number}",
                home=OWN,
                achievement=Achievement(
                    id="urn:lln:school:course", name=BilingualLine(zh="书法"), kind="other_non_formal"
                ),
                amount=Amount(unit="credit", hundredths=800),
                achieved_on=date(2026, 5, 1),
            ),
        )
        for ends in (credit_bank.void, partial(credit_bank.commit, record_state="active")):
            ledger = ledger_of(tx, row.id)
            assert ledger is not None
            asked = Reservation(
                id=f"r{number}.{len(ledger.reservations)}",
                lot_id=row.id,
                scope_key="network",
                amount=500,
                unit="credit",
                receiver=RECEIVER,
                rule=RULE,
                case_id=f"c{number}",
                deadline_ms=NOW_MS + 1,
            )
            made = credit_bank.reserve(ledger, asked, record_state="active", at_ms=NOW_MS)
            row = ledgering.lot(tx, row, made)
            row = ledgering.lot(tx, row, ends(made.ledger, asked.id, at_ms=NOW_MS))
