"""Small federations, a few hours each, with everything going wrong: what must hold does, and the checker can tell."""

import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from federation import credits as credit_bank
from federation.logs import Entry, make_page, rows_for_page
from federation.receipts import receipt_of
from federation.signed_papers import sign_paper
from federation.sync import Progress
from node.cli.main import main
from node.simulation.faults import QUIET, Faults, read_faults
from node.simulation.trees import county, random_tree
from node.simulation.workload import DEEDS
from node.simulation.world import CALM, Plan, simulate
from node.storage.post_rows import StoredInbox, StoredOutbox
from node.usecases.accepting import Accepting
from node.usecases.cutting import Cutting
from node.usecases.forwarding import Forwarding
from node.usecases.ledgering import RECEIPT_PURPOSE, Ledgering, ledger_of, lot_row
from node.usecases.lending import Lending
from node.usecases.receiving import _Batch
from node.usecases.recording import append_documents
from node.usecases.settling import next_batch

EVERYTHING = "delay,loss*2,duplicates*3,reorder,spoilt*2,partitions*4,crashes*6,clocks*5,disks*5,malice*3"


def plan(seed, *, nodes=9, hours=1.5, faults=EVERYTHING, **more):
    return Plan(
        tree=random_tree(nodes, seed), hours=hours, seed=seed, faults=read_faults(faults), sync=CALM, links=True, **more
    )


@pytest.mark.parametrize("seed", range(20))
def test_what_must_hold_does(seed):
    outcome = simulate(plan(seed))
    assert not outcome.broken, f"lln simulate seed {seed}: {outcome.broken}: {outcome.found}"
    assert outcome.counts.checks > 100


def test_what_must_arrive_does_whatever_goes_wrong(monkeypatch):
    """Far more of it than in the other simulations, and with more crashes."""
    monkeypatch.setitem(DEEDS, "post", 12.0)
    for seed in (31, 32, 33):
        outcome = simulate(plan(seed, faults=EVERYTHING.replace("crashes*6", "crashes*20")))
        assert not outcome.broken, f"lln simulate seed {seed}: {outcome.broken}: {outcome.found}"
        assert outcome.counts.letters > 50
        assert outcome.counts.crashes > 5


def test_the_faults_are_there():
    """A simulation in which nothing goes wrong proves nothing."""
    counts = [simulate(plan(seed, hours=3.0)).counts for seed in (101, 102)]
    for kind in ("lost", "duplicated", "late", "spoilt", "crashes", "partitions", "clock_steps", "attacks", "calls"):
        assert sum(getattr(one, kind) for one in counts) > 0, kind
    assert sum(one.refused.get("LLN-235", 0) for one in counts) > 0, "a replayed call was met and refused"
    assert sum(one.deeds.get("publish", 0) for one in counts) > 2


def test_the_same_seed_does_the_same_things():
    one, other = (simulate(plan(7)) for _ in range(2))
    assert one == other
    assert one.digest != simulate(plan(8)).digest


def test_how_strings_are_hashed_does_not_matter():
    """Nor does what the machine's randomness says: schools that nobody can dial reach each other under seal."""
    words = (
        "from tests.simulation.test_simulated_network import plan, county, msgspec;"
        "from node.simulation.world import simulate;"
        "from node.simulation.workload import DEEDS;"
        "DEEDS.update({'reach': 0.5, 'issue': 2.0, 'convert': 3.0});"
        "told = simulate(msgspec.structs.replace(plan(9, hours=2.0), tree=county(9)));"
        "assert told.counts.deeds['reach'];"
        "assert told.counts.deeds['convert'];"
        "print(told.digest)"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", words],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1] != ""


def test_what_is_printed_of_a_failure_shows_it_again(monkeypatch):
    """A node that passes on what is not shared is caught, and the printed command leads to the very same moment."""
    monkeypatch.setattr(Cutting, "_admits", lambda *_: True)
    asked = ["--nodes", "8", "--hours", "3", "--seed", "11", "--faults", "all"]
    first = CliRunner().invoke(main, ["simulate", *asked])
    assert first.exit_code == 1
    assert "✗ nobody holds what is not shared with it" in first.output
    [again] = [line.partition(": ")[2] for line in first.output.splitlines() if line.startswith("  again 重现")]
    assert again.startswith("lln simulate ")
    second = CliRunner().invoke(main, shlex.split(again)[1:])
    assert second.exit_code == 1
    assert _but_for_the_wall(second.output) == _but_for_the_wall(first.output)
    assert "trace 轨迹" in _but_for_the_wall(first.output)


def _but_for_the_wall(told):
    """What was printed, without the line that says how long it took."""
    return "\n".join(line for line in told.splitlines() if not line.startswith("simulated"))


# --- the checker can fail --------------------------------------------------------------------------------------------


def broken_by(meddle, *, faults=QUIET, hours=1.0):
    return simulate(Plan(tree=county(4), hours=hours, seed=3, faults=faults, meddle=meddle))


def test_a_federation_that_nobody_meddles_with_holds():
    outcome = broken_by(None)
    assert (outcome.broken, outcome.found) == ("", "")
    assert outcome.counts.entries > 5


def test_a_node_that_drops_what_it_should_pass_on_is_noticed(monkeypatch):
    goes_up = Forwarding._goes_up

    def only_its_own(self, stored):
        return goes_up(self, stored) and (stored.log.origin == self._own_name or stored.log.topic == "directory")

    monkeypatch.setattr(Forwarding, "_goes_up", only_its_own)
    assert broken_by(None).broken == "once healed, everything arrives"


def test_a_node_that_leaves_out_the_end_of_every_page_is_noticed(monkeypatch):
    page = Cutting.page

    def shorter(self, tx, stored, start, *, viewer):
        whole = page(self, tx, stored, start, viewer=viewer)
        if stored.log.topic != "catalogue" or not whole.entries:
            return whole
        rows = tx.logs.hash_rows(stored.log, rows_for_page(whole.end - 1, stored.note))
        return make_page(stored.log, start=start, entries=whole.entries[:-1], note=stored.note, rows=rows)

    monkeypatch.setattr(Cutting, "page", shorter)
    assert broken_by(None).broken == "once healed, everything arrives"


def test_a_node_that_calls_without_end_is_noticed(monkeypatch):
    monkeypatch.setattr(Progress, "is_due", lambda *_, **__: True)
    outcome = simulate(Plan(tree=county(0), hours=1.0, seed=3))
    assert outcome.broken == "nobody calls without end"


def test_a_broken_accept_is_noticed(monkeypatch):
    """A parent takes in pages without a look at roots and signatures, and a middlebox alters one document."""
    take = Accepting._take

    def careless(self, tx, page, confirmed_at_ms, *, cosigned):
        receipt = take(self, tx, page, confirmed_at_ms, cosigned=cosigned)
        stored = tx.logs.get(page.log)
        if page.log.topic == "catalogue" and page.entries:
            forged = Entry.full(b'{"entry":"resource_withdrawn"}')
            head = msgspec.structs.replace(
                stored.head, frontier=stored.head.frontier.extend([forged.leaf_hash]).frontier
            )
            rows = stored.head.frontier.extend([forged.leaf_hash]).rows
            tx.logs.extend(head, rows, [forged], stored.note, confirmed_at_ms)
        return receipt

    monkeypatch.setattr(Accepting, "_take", careless)
    assert broken_by(None).broken == "nobody holds what was never said"


def test_a_leak_beyond_the_share_scope_is_noticed(monkeypatch):
    monkeypatch.setattr(Cutting, "_admits", lambda *_: True)
    assert broken_by(None, hours=4.0).broken == "nobody holds what is not shared with it"


def test_an_entry_said_twice_is_noticed(monkeypatch):
    def twice(tx, log, entries):
        said = list(entries)
        return append_documents(tx, log, [*said, *said])

    monkeypatch.setattr("node.usecases.publishing.append_documents", twice)
    assert broken_by(None).broken == "no entry is doubled"


def test_standings_that_do_not_follow_from_the_directory_are_noticed(monkeypatch):
    monkeypatch.setattr(Accepting, "_judge_directory", lambda *_: [])
    assert broken_by(None).broken == "standings follow from the directory"


def test_a_disk_that_forgets_what_it_synced_is_noticed():
    def meddle(around):
        for life in around.lives.values():
            life.crash = _before(life.crash, partial(_forget, life))

    outcome = broken_by(meddle, faults=Faults(crashes_per_node_hour=2.0))
    assert outcome.broken == "a crash loses nothing that was synced"


def test_a_gate_that_lets_replays_in_is_noticed(monkeypatch):
    monkeypatch.setattr("federation.callers.Callers.use_nonce", lambda *_, **__: None)
    outcome = broken_by(None, faults=Faults(duplicated_share=0.5))
    assert outcome.broken == "a call is carried out once"


def test_a_foreign_exception_in_a_node_is_noticed(monkeypatch):
    def stumble(*_):
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr("node.usecases.answering.Answering._page", stumble)
    assert broken_by(None).broken == "nothing fails in a way nobody foresaw"


def test_an_inbox_that_forgets_is_noticed(monkeypatch):
    monkeypatch.setattr(StoredInbox, "get", lambda *_: None)
    monkeypatch.setattr(StoredInbox, "put", lambda *_: None)
    monkeypatch.setattr(_Batch, "_follows_on", lambda *_: None)
    monkeypatch.setattr(_Batch, "answer", lambda self, _: self.answers)
    monkeypatch.setitem(DEEDS, "post", 12.0)
    outcome = broken_by(None, faults=read_faults("loss*30,crashes*40"), hours=8.0)
    assert outcome.broken == "what must arrive arrives once"


def test_a_sender_that_forgets_what_it_should_send_is_noticed(monkeypatch):
    monkeypatch.setattr(StoredOutbox, "add", lambda *_: None)
    monkeypatch.setitem(DEEDS, "post", 12.0)
    outcome = broken_by(None)
    assert outcome.broken == "once healed, everything arrives"
    assert "has lost letter-1 " in outcome.found


def test_items_out_of_order_are_noticed(monkeypatch):
    monkeypatch.setattr("node.usecases.posting.next_batch", lambda tx, to: next_batch(tx, to)[::-1])
    monkeypatch.setitem(DEEDS, "post", 12.0)
    assert broken_by(None).broken == "what must arrive arrives in order"


def _forget(life):
    if life.starts > 1:  # it has begun to live
        life.disk._connection.executescript("DELETE FROM log_entry; DELETE FROM log")


def _before(work, first):
    def both():
        first()
        work()

    return both


LEARNING = {"issue": 3.0, "convert": 3.0, "take back": 0.3}


def test_ledgers_hold_together_whatever_goes_wrong(monkeypatch):
    """Far more of it than in the other simulations, and with more crashes."""
    for deed, rate in LEARNING.items():
        monkeypatch.setitem(DEEDS, deed, rate)
    outcomes = [simulate(plan(seed, faults=EVERYTHING.replace("crashes*6", "crashes*20"))) for seed in (41, 42, 43)]
    assert [(one.broken, one.found) for one in outcomes] == [("", "")] * 3
    for deed in LEARNING:
        assert sum(one.counts.deeds.get(deed, 0) for one in outcomes) > 0, deed


def change_a_lot_and_write_nothing_down(ledgering, tx, row, made):
    tx.credits.lots.put([lot_row(row, made.ledger)])
    return row


def give_a_receipt_and_use_nothing(lending, tx, sender, asked):
    ledger = ledger_of(tx, asked.lot_id)
    made = credit_bank.commit(ledger, asked.reservation_id, record_state="active", at_ms=1)
    used = next(held for held in made.ledger.reservations if held.reservation.id == asked.reservation_id)
    receipt = receipt_of([used], issuer=lending._identity.name, at_ms=1)
    return sign_paper(receipt, purpose=RECEIPT_PURPOSE, signer=lending._identity)


@pytest.mark.parametrize(
    ("kind", "method", "instead", "found"),
    [
        (Ledgering, "lot", change_a_lot_and_write_nothing_down, "replay"),
        (Lending, "_commit", give_a_receipt_and_use_nothing, "reserved 250 credit, committed 250 credit"),
    ],
)
def test_a_ledger_that_is_not_true_is_found_in_the_end(monkeypatch, kind, method, instead, found):
    for deed, rate in LEARNING.items():
        monkeypatch.setitem(DEEDS, deed, rate)
    monkeypatch.setattr(kind, method, instead)
    outcome = simulate(plan(44, faults="none"))
    assert outcome.broken == "every ledger holds together, and goes with those of others"
    assert found in outcome.found
