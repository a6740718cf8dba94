"""Learners from the command line beside a running node; and nothing of who they are anywhere it should not be."""

import asyncio
import io
import json
import logging
import sqlite3
import zipfile

import pytest
from click.testing import CliRunner

from federation.logs import LogId
from federation.naming import NodeName
from node.cli.main import main
from node.usecases.disclosing import disclose
from tests.support.catalogue_files import csv_bytes
from tests.support.live_nodes import ROOT, network
from tests.support.people import NAMES, identity_number

SCHOOL = NodeName(f"school-a.{ROOT}")
COUNTY = NodeName(f"county.{ROOT}")
NUMBERS = [identity_number(born) for born in ("19900228", "20150101", "19550228")]
STUDENT_NUMBERS = ["XH-20260001", "XH-20260002", "XH-20260003"]
GUARDIAN, CONTACT = "监护样本人", "13912345678"
PERSONAL = [*NAMES, *NUMBERS, *STUDENT_NUMBERS, GUARDIAN, CONTACT]
NUMBERED = [*NUMBERS, "1.10101E+17"]


class Office:
    """A person at the school's home; what was printed is kept, to be looked through at the end."""

    def __init__(self, folder):
        self.folder = folder
        self.printed = []

    async def __call__(self, *words, ui="en", told=None, code=0):
        arguments = ["--home", str(self.folder / SCHOOL), "--ui", ui, *words]
        done = await asyncio.to_thread(CliRunner().invoke, main, arguments, told)
        assert done.exit_code == code, done.output
        self.printed.append(done.output)
        return done.output

    async def json(self, *words):
        return json.loads(await self("--json", *words))


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path)


def sheet(folder):
    rows = [
        ("姓名", "身份证号码", "学号", "监护人", "联系方式"),
        (NAMES[0], NUMBERS[0], STUDENT_NUMBERS[0], "", CONTACT),
        (NAMES[1], NUMBERS[1], STUDENT_NUMBERS[1], GUARDIAN, ""),
        (NAMES[2], "1.10101E+17", STUDENT_NUMBERS[2], "", ""),
        (NAMES[2], NUMBERS[0], "", "", ""),
    ]
    file = folder / "people.csv"
    file.write_bytes(csv_bytes(rows, encoding="gb18030"))
    return str(file)


def personal_in(text, marks=PERSONAL):
    return [mark for mark in marks if mark in text]


async def test_a_sheet_becomes_accounts_and_an_account_lives_and_goes(tmp_path, office):
    async with network(tmp_path, "school-a"):
        file, rejected = sheet(tmp_path), tmp_path / "rejected.csv"
        plan = await office("learner", "import", file, "--rejected", str(rejected), code=1)
        assert "add: 2" in plan
        assert f"row 2  {NAMES[0]}  999999********{NUMBERS[0][-4:]}" in plan
        assert "row 4  (identity number)" in plan
        assert "Format the column as text" in plan
        assert "row 5  (identity number)" in plan
        assert "only the plan" in plan
        assert [line[:2] for line in rejected.read_text("utf-8-sig").splitlines()[1:]] == ["4,", "5,"]
        assert "Written." in await office("learner", "import", file, "--apply", code=1)
        again = await office("learner", "import", file, "--apply", code=1)
        assert "same: 2" in again
        assert "There is nothing to write." in again
        assert "不变: 2" in await office("learner", "import", file, ui="zh", code=1)
        listed = {row["name"]: row["id"] for row in await office.json("learner", "list")}
        assert sorted(listed) == sorted(NAMES[:2])
        assert "in all 2" in await office("learner", "list")
        typed = listed[NAMES[0]].lower().replace("0", "o")
        assert NAMES[0] in await office("learner", "show", typed)
        changed = await office("learner", "change", typed, "--guardian", "x", "--empty", "contact")
        assert CONTACT not in changed
        given = await office(
            "consent", "give", typed, "--purpose", "convert", "--to", COUNTY, "--all-records", told="y\n"
        )
        assert "I agree that the home node shows" in given
        await office(
            "consent", "give", typed, "--purpose", "convert", "--to", COUNTY, "--all-records", told="n\n", code=1
        )
        consents = (await office.json("consent", "list", typed))["consents"]
        assert [(one["state"], one["recipient"], one["uses"]) for one in consents] == [("active", COUNTY, "one")]
        shown = await office("learner", "show", typed, ui="zh")
        assert f"{consents[0]['id']}  有效  认定与转换  → {COUNTY}  学分记录" in shown
        assert "withdrawn" in await office("consent", "withdraw", consents[0]["id"])
        child = listed[NAMES[1]]
        wanted = ("consent", "give", child, "--purpose", "transfer", "--to", COUNTY, "--field", "name")
        assert "[LLN-1481]" in await office(*wanted, "--yes", code=1)
        assert "As the guardian" in await office(*wanted, "--yes", "--by-guardian")
        handle = await office("learner", "handle", child, "--for", COUNTY)
        assert handle.splitlines()[-1].endswith(f"@{SCHOOL}")
        out = tmp_path / "mine.zip"
        assert "account.json" in await office("learner", "export", child, "--out", str(out))
        assert out.stat().st_mode & 0o077 == 0
        assert "account.json" in zipfile.ZipFile(io.BytesIO(out.read_bytes())).namelist()
        await office("learner", "export", child, "--out", str(out), code=1)
        told = await office("learner", "erase", child)
        assert "Nothing was erased yet" in told
        assert (await office.json("learner", "show", child))["state"] == "active"
        assert "rewritten" in await office("learner", "erase", child, "--yes")
        gone = await office.json("learner", "show", child)
        assert (gone["state"], gone["name"], gone["pseudonyms"]) == ("erased", "", [])
        held = b"".join(path.read_bytes() for path in (tmp_path / SCHOOL / "data").glob("node.db*"))
        assert not personal_in(held.decode("latin-1"), [NUMBERS[1], STUDENT_NUMBERS[1]])
        assert NAMES[1].encode() not in held
        assert NUMBERS[0].encode() in held


async def test_a_person_is_registered_without_the_number_on_the_command_line(tmp_path, office):
    async with network(tmp_path, "school-a"):
        asked = ("learner", "register", "--name", NAMES[0], "--identity-number")
        told = await office(*asked, told=f"{NUMBERS[0]}\n")
        assert f"999999********{NUMBERS[0][-4:]}" in told
        again = await office("learner", "register", "--name", NAMES[0], "--identity-number", NUMBERS[0], code=1)
        assert "[LLN-1381]" in again
        wrong = NUMBERS[1][:-1] + ("0" if NUMBERS[1][-1] != "0" else "1")
        refused = await office("learner", "register", "--name", NAMES[0], "--identity-number", wrong, code=1)
        assert "校验位" in refused
        assert wrong not in refused
        mistaken = await office("learner", "show", NUMBERS[0], code=1)
        assert "[LLN-1185]" in mistaken
        assert NUMBERS[0] not in mistaken


async def test_who_somebody_is_stands_in_one_place_only(tmp_path, office, caplog):
    caplog.set_level(logging.DEBUG)
    async with network(tmp_path, "county", "school-a") as nodes:
        school = nodes[SCHOOL]
        file = sheet(tmp_path)
        await office("learner", "import", file, "--apply", code=1)
        ids = {row["name"]: row["id"] for row in await office.json("learner", "list")}
        learner = ids[NAMES[0]]
        await office("learner", "register", "--name", NAMES[2], "--identity-number", NUMBERS[0], code=1)
        await office("learner", "change", ids[NAMES[1]], "--student-number", STUDENT_NUMBERS[0], code=1)
        await office("learner", "handle", learner, "--for", COUNTY)
        given = await office.json(
            *("consent", "give", learner, "--purpose", "convert", "--to", COUNTY, "--field", "name", "--many", "--yes")
        )
        grant = await school.node.store.write(
            lambda tx: disclose(
                tx,
                learner,
                given["id"],
                recipient=COUNTY,
                purpose="convert",
                fields=("name",),
                records=(),
                now_ms=school.node.clock.now_ms(),
                home=SCHOOL,
            )
        )
        assert not personal_in(str(grant))
        shown = await office("consent", "list", learner)
        assert f"→ {COUNTY}  name" in shown.split("disclosures")[1]
        for wrong in (b'{"written": {"name": 5, "identity_number": "%s"}}', b'{"written": {"identity_number": %s}}'):
            with pytest.raises(Exception, match="LLN-112") as refused:
                await school.node.desk.ask("learner.register", wrong % NUMBERS[0].encode())
            assert not personal_in(str(refused.value))
        assert not personal_in("\n".join(office.printed), NUMBERED)
        for name in (SCHOOL, COUNTY, ROOT):
            assert not personal_in(await _logs_of(nodes[name]))
        assert not personal_in(caplog.text)
    for name in (COUNTY, ROOT):
        held = b"".join(path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file())
        assert [mark for mark in PERSONAL if mark.encode() in held] == []
    _check_tables(tmp_path / SCHOOL / "data" / "node.db", learner)


async def _logs_of(live):
    """Every document of every log that a node holds, as text."""

    def unit(tx):
        told = []
        for stored in tx.logs.all():
            log: LogId = stored.head.log
            told += [entry.document or b"" for entry in tx.logs.entries(log, 0, stored.head.size)]
        return b"\n".join(told).decode()

    return await live.node.store.read(unit)


def _check_tables(path, learner):
    """Personal text stands in the accounts' own rows, and everything else of the database is without it."""
    found = set()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608  # names from the schema itself
                text = " ".join(
                    cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell) for cell in row
                )
                if personal_in(text):
                    found.add((table, row[0] if table == "shelf" else ""))
                elif table == "shelf" and row[0] == "disclosure":
                    assert learner in text
    assert found == {("shelf", "learner"), ("learner_number", "")}
