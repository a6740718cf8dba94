"""An issuer comes back from a backup older than what was converted since: no credit is given out twice."""

import asyncio

import msgspec
import pytest
from click.testing import CliRunner

from federation.conversion_cases import with_hold
from node.cli.main import main
from node.usecases import reconciling
from tests.rpc.test_live_backups import _back_up, _copied, _lose, _restore
from tests.support.credit_life import COUNTY, SIBLING, consent, convert, define, issue, publish_rule, register
from tests.support.live_nodes import ROOT, network, until

OTHER = "c.lln.internal"


@pytest.fixture
async def nodes(tmp_path, monkeypatch):
    """The county issued three records, was backed up, had the first one converted by its sibling, and is restored."""
    monkeypatch.setattr(reconciling, "SECOND_LOOK_S", 0.1)
    async with network(tmp_path, "a", "b", "c") as made:
        for name in (SIBLING, OTHER):
            await publish_rule(made[name])
        home = made[COUNTY]
        await define(home)
        made.learner = await register(home)
        made.records = await issue(home, *[made.learner] * 3)
        backup = await _back_up(tmp_path, COUNTY)
        await convert(home, made.learner, made.records[:1], SIBLING)
        size = (await home.log(COUNTY, "credits")).size
        await until(lambda: _copied(made[ROOT], COUNTY, size, "credits"))
        await _lose(made, tmp_path, COUNTY)
        await _restore(made, tmp_path, COUNTY, backup)
        await made.start(COUNTY)
        yield made


async def lot(nodes, record):
    shown = (await nodes[COUNTY].ask("credit.show", id=record)).record
    return shown.available, shown.reserved, shown.consumed


async def asked_of_other(nodes, record):
    """The learner asks a third county to convert a record; the case."""
    home = nodes[COUNTY]
    agreed = await consent(home, nodes.learner, [record], OTHER)
    preview = await home.preview(learner=nodes.learner, to=OTHER, records=[record], consent=agreed)
    await home.ask("convert.apply", id=preview.id)
    return preview.id


async def ended(nodes, case):
    """How it ended, and why."""

    async def end():
        shown = await nodes[COUNTY].ask("convert.status", id=case)
        return shown if shown.state in ("converted", "refused") else None

    shown = await until(end, "the end of the case")
    return shown.state, shown.en


async def findings(nodes):
    found = (await nodes[COUNTY].ask("node.status")).findings
    return [(one.severity, one.remedy) for one in found if one.step == "ledger"]


async def test_a_lot_that_was_used_since_the_backup_is_not_lent_before_its_receipt_is_back(nodes, tmp_path):
    assert await lot(nodes, nodes.records[0]) == (250, 0, 0)  # as the backup has it
    assert await findings(nodes) == [("warning", "lln reconcile PEER --restore")]
    state, why = await ended(nodes, await asked_of_other(nodes, nodes.records[0]))
    assert (state, "restored from a backup" in why) == ("refused", True), why
    words = ["--home", str(tmp_path / COUNTY), "--ui", "en", "reconcile", SIBLING, "--restore"]
    done = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert (done.exit_code, "1 commits made again, 0 still missing" in done.output) == (0, True), done.output
    assert await lot(nodes, nodes.records[0]) == (0, 0, 250)
    assert await findings(nodes) == []
    assert (await ended(nodes, await asked_of_other(nodes, nodes.records[0])))[0] == "refused"
    assert await lot(nodes, nodes.records[0]) == (0, 0, 250)
    assert (await ended(nodes, await asked_of_other(nodes, nodes.records[1])))[0] == "converted"
    again = await nodes[COUNTY].ask("ledger.reconcile", peer=SIBLING, restore=True)
    assert (again.regained, again.missing, again.discrepancies) == (0, 0, ())


async def test_what_was_issued_since_is_lent_and_the_rest_when_people_say_so(nodes):
    await define(nodes[COUNTY], code="bread")
    [since] = await issue(nodes[COUNTY], nodes.learner, code="bread")
    assert (await ended(nodes, await asked_of_other(nodes, since)))[0] == "converted"
    assert (await nodes[COUNTY].ask("ledger.reopen")).given_up == 1
    assert (await ended(nodes, await asked_of_other(nodes, nodes.records[1])))[0] == "converted"
    assert (await nodes[COUNTY].ask("ledger.reopen")).given_up == 0


async def test_a_receipt_that_this_node_has_not_signed_uses_nothing_up(nodes):
    def forged(tx):
        [row] = tx.credits.cases.all("", 10)
        case = reconciling.case_of(row)
        receipt = case.holds[0].receipt.replace('\\"amount\\":250', '\\"amount\\":200')
        assert receipt != case.holds[0].receipt
        case = with_hold(case, msgspec.structs.replace(case.holds[0], receipt=receipt))
        tx.credits.cases.put([msgspec.structs.replace(row, document=msgspec.json.encode(case))])

    await nodes[SIBLING].node.store.write(forged)
    told = await nodes[COUNTY].ask("ledger.reconcile", peer=SIBLING, restore=True)
    assert (told.regained, told.missing) == (0, 1)
    assert await lot(nodes, nodes.records[0]) == (250, 0, 0)
