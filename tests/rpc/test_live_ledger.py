"""The ledger of live nodes: an audit finds nothing, or names what was done to the database, where, and what to do."""

import asyncio
import json
import shutil
import sqlite3

import msgspec
import pytest
from click.testing import CliRunner

from federation.audit_checks import MEANINGS
from node.cli.main import main
from tests.support.credit_life import COUNTY, SIBLING, convert, define, issue, publish_rule, register
from tests.support.live_nodes import Network


async def live(folder):
    """At the county: records plain, converted, suspended, revoked, corrected; what was converted is the sibling's."""
    network = Network(folder)
    await network.found()
    for name in (COUNTY, SIBLING):
        await network.add(name)
    try:
        home, receiver = network[COUNTY], network[SIBLING]
        await define(home)
        await publish_rule(receiver)
        learner = await register(home)
        records = await issue(home, *[learner] * 5)
        await convert(home, learner, records[:2], SIBLING)
        await home.ask("credit.step", id=records[2], step="suspend", reason="查证", by="李")
        await home.ask("credit.step", id=records[3], step="revoke", reason="误发", by="李")
        await home.ask("credit.correct", id=records[4], reason="更正", by="李", amount=200)
        for node in (home, receiver):
            told = await node.ask("ledger.audit")
            assert told.faults == (), told.faults
        return records
    finally:
        await network.stop_all()


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lived")
    return folder, asyncio.run(live(folder))


class Copy:
    """A copy of a stopped node's home, to be spoilt and audited."""

    def __init__(self, lived, folder, name):
        self.home = folder / name
        shutil.copytree(lived[0] / name, self.home)
        self.records = lived[1]
        self.database = sqlite3.connect(self.home / "data" / "node.db")

    def row(self, kind, where="1 = 1", *values):
        found = self.database.execute(
            f"SELECT id, document FROM shelf WHERE kind = ? AND {where} ORDER BY id",  # noqa: S608  # our own words
            (kind, *values),
        ).fetchone()
        return found[0], json.loads(found[1])

    def put(self, kind, key, document):
        self.database.execute(
            "UPDATE shelf SET document = ? WHERE kind = ? AND id = ?", (msgspec.json.encode(document), kind, key)
        )

    def do(self, statement, *values):
        assert self.database.execute(statement, values).rowcount > 0

    def audit(self, *words):
        self.database.commit()
        self.database.close()
        return CliRunner().invoke(main, ["--home", str(self.home), *words, "audit"])


@pytest.fixture
def county(lived, tmp_path):
    return Copy(lived, tmp_path, COUNTY)


@pytest.fixture
def sibling(lived, tmp_path):
    return Copy(lived, tmp_path, SIBLING)


@pytest.mark.parametrize("name", [COUNTY, SIBLING])
def test_a_sound_ledger_passes_every_check(lived, tmp_path, name):
    done = Copy(lived, tmp_path, name).audit("--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert {check["check"] for check in told["checks"]} == set(MEANINGS)
    assert (told["faults"], told["unchecked"]) == ([], [])
    if name == COUNTY:
        assert (told["records"], told["held"], told["lots"]) == (6, 2, 6)
        assert told["events"] == told["held"] + 6 + 2 * 2 + 1 + 1 + 1
    else:
        assert (told["records"], told["cases"], told["receipts"]) == (2, 1, 2)


# --- what is done to the county, which issues ------------------------------------------------------------------------


def change_lot(copy, record, change):
    key, row = copy.row("lot", "id = ?", record)
    ledger = msgspec.json.decode(_bytes(row["ledger"]))
    change(ledger)
    copy.put("lot", key, row | {"ledger": _text(msgspec.json.encode(ledger))})


def _bytes(text):
    return msgspec.convert(text, bytes)


def _text(data):
    return msgspec.to_builtins(data)


def more_is_granted(copy):
    change_lot(copy, copy.records[0], lambda ledger: ledger["lot"].update(granted=900))


def less_than_nothing_is_consumed(copy):
    change_lot(copy, copy.records[0], lambda ledger: ledger["lot"].update(consumed=-1))


def more_is_used_than_granted(copy):
    change_lot(copy, copy.records[0], lambda ledger: ledger["lot"].update(reserved=1))


def a_lot_is_gone(copy):
    copy.do("DELETE FROM shelf WHERE kind = 'lot' AND id = ?", copy.records[0])


def a_lot_has_no_record(copy):
    copy.do("UPDATE shelf SET id = 'urn:uuid:stray' WHERE kind = 'lot' AND id = ?", copy.records[0])


def a_scope_is_used_twice(copy):
    def twice(ledger):
        [held] = ledger["reservations"]
        again = held | {"reservation": held["reservation"] | {"id": "again", "amount": 0}}
        ledger["reservations"] = [held, again]

    change_lot(copy, copy.records[0], twice)


def a_reservation_is_forgotten(copy):
    def forgotten(ledger):
        ledger["reservations"] = []
        ledger["lot"].update(consumed=0)

    change_lot(copy, copy.records[0], forgotten)


def an_event_is_gone(copy):
    copy.do("DELETE FROM shelf WHERE kind = 'event' AND id = ?", f"{copy.records[0]}/000003")


def an_event_has_no_record(copy):
    copy.do(
        "INSERT INTO shelf SELECT kind, 'urn:uuid:stray/000001', 'urn:uuid:stray', state,"
        " CAST(replace(document, ?, 'urn:uuid:stray') AS BLOB) FROM shelf WHERE kind = 'event' AND id = ?",
        copy.records[0],
        f"{copy.records[0]}/000001",
    )


def an_event_points_behind_the_log(copy):
    key, row = copy.row("event", "owner = ?", copy.records[0])
    copy.put("event", key, row | {"log_index": 999})


def an_event_points_at_another_entry(copy):
    key, row = copy.row("event", "owner = ?", copy.records[0])
    copy.put("event", key, row | {"log_index": row["log_index"] + 1})


def a_salt_is_another(copy):
    key, row = copy.row("event", "owner = ?", copy.records[0])
    copy.put("event", key, row | {"salt": "A" * 43})


def details_are_rewritten(copy):
    key, row = copy.row("event", "owner = ?", copy.records[0])
    details = _bytes(row["details"]).replace(b"25000", b"250").replace("王老师".encode(), "李老师".encode())
    copy.put("event", key, row | {"details": _text(details)})


def a_credential_is_rewritten(copy):
    key, row = copy.row("record", "id = ?", copy.records[0])
    copy.put("record", key, row | {"document": _text(_bytes(row["document"]).replace(b"2026", b"2025"))})


def an_entry_of_the_log_is_rewritten(copy):
    copy.do(
        "UPDATE log_entry SET document = CAST(replace(document, 'issue', 'xssue') AS BLOB) WHERE idx = 2"
        " AND log_id = (SELECT id FROM log WHERE origin = ? AND topic = 'credits')",
        COUNTY,
    )


def the_end_of_the_log_is_cut_off(copy):
    copy.do(
        "DELETE FROM log_entry WHERE log_id = (SELECT id FROM log WHERE origin = ? AND topic = 'credits')"
        " AND idx = (SELECT size - 1 FROM log WHERE origin = ? AND topic = 'credits')",
        COUNTY,
        COUNTY,
    )


def another_root_is_kept(copy):
    copy.do("UPDATE log SET frontier = zeroblob(length(frontier)) WHERE origin = ? AND topic = 'credits'", COUNTY)


def a_place_is_used_twice(copy):
    _, first = copy.row("record", "id = ?", copy.records[0])
    key, second = copy.row("record", "id = ?", copy.records[1])
    copy.put("record", key, second | {"slot": first["slot"]})


def a_place_is_nobodys(copy):
    copy.do(
        "INSERT INTO shelf SELECT kind, id || '9', 'urn:uuid:stray', state,"
        " CAST(replace(document, owner, 'urn:uuid:stray') AS BLOB) FROM shelf WHERE kind = 'slot' AND owner = ?",
        copy.records[0],
    )


def a_bit_is_lowered(copy):
    key, row = copy.row("slot", "owner = ?", copy.records[3])
    copy.put("slot", key, row | {"state": ""})


def a_revoked_record_is_active_again(copy):
    key, row = copy.row("record", "id = ?", copy.records[3])
    copy.put("record", key, row | {"state": "active"})


COUNTY_FAULTS = {
    more_is_granted: ("balance", "replay"),
    less_than_nothing_is_consumed: ("lot",),
    more_is_used_than_granted: ("lot",),
    a_lot_is_gone: ("lot", "balance"),
    a_lot_has_no_record: ("lot",),
    a_scope_is_used_twice: ("scope",),
    a_reservation_is_forgotten: ("replay",),
    an_event_is_gone: ("entry", "replay"),
    an_event_has_no_record: ("entry",),
    an_event_points_behind_the_log: ("entry",),
    an_event_points_at_another_entry: ("opening",),
    a_salt_is_another: ("opening",),
    details_are_rewritten: ("opening",),
    a_credential_is_rewritten: ("opening",),
    an_entry_of_the_log_is_rewritten: ("root",),
    the_end_of_the_log_is_cut_off: ("root", "entry"),
    another_root_is_kept: ("root",),
    a_place_is_used_twice: ("slot",),
    a_place_is_nobodys: ("slot",),
    a_bit_is_lowered: ("slot",),
    a_revoked_record_is_active_again: ("final",),
}


@pytest.mark.parametrize("fault", COUNTY_FAULTS, ids=lambda fault: fault.__name__)
def test_what_is_done_to_an_issuers_ledger_is_named(county, fault):
    fault(county)
    check_named(county, COUNTY_FAULTS[fault])


# --- what is done to the sibling, which converts ---------------------------------------------------------------------


def change_case(copy, change):
    key, row = copy.row("case")
    case = msgspec.json.decode(_bytes(row["document"]))
    change(case)
    copy.put("case", key, row | {"document": _text(msgspec.json.encode(case))})


def a_receipt_is_gone(copy):
    change_case(copy, lambda case: case["holds"][0].update(receipt=""))


def a_receipt_is_for_another_amount(copy):
    change_case(copy, lambda case: case["holds"][0]["reservation"].update(amount=100))


def a_receipt_is_altered(copy):
    def altered(case):
        hold = case["holds"][0]
        hold["receipt"] = hold["receipt"].replace(":250,", ":251,")
        hold["reservation"]["amount"] = 251

    change_case(copy, altered)


def a_case_is_gone(copy):
    copy.do("DELETE FROM shelf WHERE kind = 'case'")


def a_hold_was_never_used(copy):
    change_case(copy, lambda case: case["holds"][0].update(state="reserved"))


def a_case_has_gone_back(copy):
    change_case(copy, lambda case: case["history"].append(case["history"][0]))


def a_case_is_filed_elsewhere(copy):
    key, row = copy.row("case")
    copy.put("case", key, row | {"state": "refused"})


def a_source_was_converted_before(copy):
    """The case says that it was shown what this node itself had converted."""
    _, derived = copy.row("record", "owner <> ''")

    def shown(case):
        credential = _bytes(derived["document"]).decode()
        case["request"]["credentials"][0] = credential
        case["grants"][0]["consumed"][0]["lot_id"] = derived["id"]

    change_case(copy, shown)


SIBLING_FAULTS = {
    a_receipt_is_gone: ("receipt",),
    a_receipt_is_for_another_amount: ("receipt",),
    a_receipt_is_altered: ("receipt",),
    a_case_is_gone: ("receipt",),
    a_hold_was_never_used: ("case", "receipt"),
    a_case_has_gone_back: ("final",),
    a_case_is_filed_elsewhere: ("case",),
    a_source_was_converted_before: ("reconverted",),
}


@pytest.mark.parametrize("fault", SIBLING_FAULTS, ids=lambda fault: fault.__name__)
def test_what_is_done_to_a_receivers_ledger_is_named(sibling, fault):
    fault(sibling)
    check_named(sibling, SIBLING_FAULTS[fault])


def check_named(copy, checks):
    done = copy.audit("--ui", "en")
    assert done.exit_code == 1, done.output
    for check in checks:
        assert f"✗ {check}  " in done.output, done.output
        assert f"→ {MEANINGS[check].mend_en}" in done.output


def test_every_check_is_proven_by_a_fault():
    assert {check for checks in (COUNTY_FAULTS | SIBLING_FAULTS).values() for check in checks} == set(MEANINGS)
