"""Canaries: numbers and names of learners, looked for in everything that leaves their home node, in every form.

Five nodes on two branches, the far one behind NAT, so that its calls pass relays. What a learner's life of credits
makes nodes say is tapped before TLS and before it is sealed; then every file and row of every other node, and every
line of telemetry, is looked through.
"""

import asyncio
import json
import logging

import pytest
from click.testing import CliRunner

from federation import credit_log
from federation.counts import Counts
from federation.naming import NodeName
from node.cli.main import main
from tests.support.canaries import Search, Tap, files_of, rows_of
from tests.support.catalogue_files import csv_bytes
from tests.support.credit_life import convert, define, issue, publish_rule
from tests.support.live_nodes import ROOT, Network, until
from tests.support.people import NAMES, identity_number

NEAR, FAR = NodeName(f"near.{ROOT}"), NodeName(f"far.{ROOT}")
HOME, RECEIVER = NodeName(f"home.{NEAR}"), NodeName(f"receiver.{FAR}")
NUMBERS = [identity_number(born) for born in ("19900228", "20150101", "19550228")]
STUDENT_NUMBERS = ["XH-20260001", "XH-20260002", "XH-20260003"]
GUARDIAN, CONTACT = "监护样本人", "13912345678"
CANARIES = [*NAMES, *NUMBERS, *STUDENT_NUMBERS, GUARDIAN, CONTACT]
UPWARD = {"credit.status", "credit.counts"}
"""Kinds of items that an authority may be sent about the credits of those below it."""


@pytest.fixture
async def nodes(tmp_path):
    network = Network(tmp_path)
    await network.found()
    for name, level, dialable in (
        (NEAR, "provincial", True),
        (FAR, "provincial", True),
        (HOME, "county", True),
        (RECEIVER, "county", False),
    ):
        await network.add(name, level=level, dialable=dialable)
    try:
        yield network
    finally:
        await network.stop_all()


def people(folder):
    rows = [("姓名", "身份证号码", "学号", "监护人", "联系方式")]
    for place, name in enumerate(NAMES):
        child = place == 1
        rows.append((name, NUMBERS[place], STUDENT_NUMBERS[place], GUARDIAN if child else "", "" if child else CONTACT))
    file = folder / "people.csv"
    file.write_bytes(csv_bytes(rows))
    return str(file)


def certificates(folder):
    """Twelve rows: by student number, by identity number, and one that is refused."""
    rows = [("学号", "身份证号", "学习成果", "取得日期")]
    for place in range(3):
        rows += [(STUDENT_NUMBERS[place], "", "dough", f"2026-05-{day:02}") for day in range(1, 5)]
        rows += [("", NUMBERS[place], "dough", "2026-04-01")]
    rows += [("", NUMBERS[0], "no such", "2026-04-01"), ("XH-20269999", "", "dough", "2026-04-01")]
    file = folder / "certificates.csv"
    file.write_bytes(csv_bytes(rows))
    return str(file)


async def lln(folder, name, *words):
    done = await asyncio.to_thread(CliRunner().invoke, main, ["--home", str(folder / name), "--ui", "en", *words])
    assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit), done.exception
    return done.output


async def live(nodes, folder):
    """A life of credits: sheets, consents, conversions there and back, changes, a proof, counts, an audit."""
    home, receiver = nodes[HOME], nodes[RECEIVER]
    await define(home)
    await define(receiver)
    await publish_rule(home)
    await publish_rule(receiver)
    await lln(folder, HOME, "learner", "import", people(folder), "--apply")
    told = await lln(folder, HOME, "credit", "issue", certificates(folder), "--as", "王老师", "--apply")
    assert "issued: 15" in told, told
    accounts = {row["name"]: row["id"] for row in json.loads(await lln(folder, HOME, "--json", "learner", "list"))}
    learner = accounts[NAMES[0]]
    records = [row.id for row in (await home.ask("credit.list", learner=learner)).records]
    await convert(home, learner, records[:2], RECEIVER)
    handle = await home.ask("learner.handle", learner=accounts[NAMES[2]], node=RECEIVER)
    [abroad] = await issue(receiver, handle.handle)

    async def arrived():
        return any(row.id == abroad for row in (await home.ask("credit.list", learner=accounts[NAMES[2]])).records)

    await until(arrived, "the record from abroad")
    await home.ask("credit.step", id=records[0], step="revoke", reason="误发", by="李")
    await home.ask("credit.step", id=records[2], step="suspend", reason="查证", by="李")
    await home.ask("credit.correct", id=records[3], reason="更正", by="李", amount=200)
    index = (await home.ask("credit.show", id=records[0])).events[0].log_index
    await home.ask("log.prove", topic="credits", index=index)
    proof = await home.ask("credit.prove", learner=learner, records=[records[4]], confirmed=True)
    verified = await receiver.ask("credit.verify", text=f"{proof.code}@{HOME}")
    assert [one.outcome for one in verified.verdicts] == ["valid"], verified
    await count_upwards(nodes)
    await home.node.bank.listing._bring(NEAR, {})
    await until(lambda: nodes[NEAR].node.store.read(_mirrored), "the status list to be mirrored")
    for node in (home, receiver):
        assert (await node.ask("ledger.audit")).faults == ()
    assert (await home.ask("ledger.reconcile", peer=RECEIVER)).discrepancies == ()
    await until(lambda: has_whole_log(nodes), "the hub to have the home's log")


async def count_upwards(nodes):
    """Each level reports once the one below has."""
    for name, above in ((HOME, NEAR), (NEAR, ROOT)):
        assert await nodes[name].node.bank.reporting.report()

        async def has_it(name=name, above=above):
            return any(one.node == name for one in (await nodes[above].ask("ledger.counts")).below)

        await until(has_it, f"the counts of {name}")


async def has_whole_log(nodes):
    own = await nodes[HOME].log(HOME, "credits")
    held = await nodes[ROOT].log(HOME, "credits")
    return held is not None and held.size == own.size


async def test_nobody_else_ever_sees_who_a_learner_is(nodes, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    search, tap = Search(CANARIES), Tap(monkeypatch)
    brought: set[str] = set()
    for name in (ROOT, NEAR, FAR):
        note_kinds(nodes[name].node, brought)
    await live(nodes, tmp_path)
    check_that_the_search_finds(search, tap, tmp_path / HOME)
    assert {"/lln.v1.Post/Deliver", "/lln.v1.Relay/Forward", "/lln.v1.Logs/Push", "under seal"} <= set(tap.wire)
    assert search.found_in(tap.heard()) == []
    assert search.found_in(caplog.text.encode()) == []
    for name in (ROOT, NEAR, FAR, RECEIVER):
        for place, data in (*files_of(tmp_path / name), *rows_of(tmp_path / name)):
            assert search.found_in(data) == [], (name, place)
    at_home = {place for place, data in rows_of(tmp_path / HOME) if search.found_in(data)}
    assert at_home == {"shelf learner", "learner_number"}
    await check_what_is_above(nodes)
    assert brought == UPWARD, brought


def note_kinds(node, brought):
    """Have every kind of item that this node is sent written down."""
    for kind, receives in list(node.receives.items()):

        async def noting(sender, document, kind=kind, receives=receives):
            brought.add(kind)
            return await receives(sender, document)

        node.receives[kind] = noting


def check_that_the_search_finds(search, tap, home):
    """What the home's own people asked it on its own machine was heard, and is in its files."""
    heard = {value for value, _ in search.found_in(b"\n".join(tap.desk))}
    assert heard == set(CANARIES)
    kept = {value for _, data in files_of(home) for value, _ in search.found_in(data)}
    assert kept == set(CANARIES)


async def check_what_is_above(nodes):
    """Authorities hold counts, mirrored status lists, rules and logs; of all items none but two kinds go up."""
    for name in (ROOT, NEAR, FAR):
        shelves = {kind for kind, _ in await nodes[name].node.store.read(_shelves)}
        assert shelves <= {"counts", "mirrors", "rules"}, (name, shelves)
        for entry in await nodes[name].node.store.read(_credit_entries):
            kind = type(credit_log.read_entry(entry))
            assert kind in {credit_log.EventCommitted, credit_log.AchievementDefined, credit_log.RulePublished}
    told = await nodes[ROOT].ask("ledger.counts")
    [near] = [one for one in told.below if one.node == NEAR]
    assert isinstance(near, Counts)
    assert near.total == 14  # fifteen of the sheet and a correction, less what was revoked or corrected
    assert near.kinds.cells == {"other_non_formal": 14}
    assert near.regions.cells == {HOME: 14}
    assert told.told.total == 14


def _mirrored(tx):
    return len(tx.credits.mirrors.all()) == 2


def _shelves(tx):
    names = [name for name in dir(tx.credits) if not name.startswith("_")]
    return [(name, row.id) for name in names for row in getattr(tx.credits, name).all()]


def _credit_entries(tx):
    found = []
    for stored in tx.logs.all():
        if stored.log.topic == credit_log.TOPIC:
            found += [entry.document for entry in tx.logs.entries(stored.log, 0, stored.head.size)]
    return found
