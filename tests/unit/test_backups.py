"""One file with everything of a node: what is in it, who can read it, and what is refused of it."""

import io
import json
import os
import sqlite3
import tarfile

import msgspec
import pytest
from click.testing import CliRunner

from config.settings import Listen
from federation.catalogue import BilingualLine
from federation.directory import NodeDescription
from federation.logs import LogId
from federation.naming import NodeName
from node.backups import (
    BackupByServer,
    BackupUnwritable,
    DatabaseInPlace,
    back_up_home,
    restore_home,
)
from node.beginnings import found_home
from node.checking import check_home
from node.cli.main import main
from node.desk import NodeState
from node.host.archives import (
    BackupDamaged,
    BackupTooNew,
    NoSuchBackup,
    NotABackup,
    PassphraseMissing,
    PassphraseWrong,
    open_archive,
)
from node.host.homes import BackupNote, Home, write_whole
from node.host.key_files import HomeOccupied
from node.opening import open_node
from node.storage import migrations
from node.storage.errors import BackupExists, DatabaseBroken, SchemaTooNew
from node.usecases.inspecting import BACKUP_OLD_MS, backup_finding

ROOT = NodeName("lln.internal")
WORDS = "一句 很长的 口令 to seal with"
MEMBERS = ["keys/ca.key", "keys/node.key", "keys/sealing.key", "config.toml", "trust/chain.pem", "trust/root.pem"]


@pytest.fixture
def home(tmp_path):
    return found(tmp_path / "一个 home")


def found(path, root=ROOT):
    described = NodeDescription(title=BilingualLine(zh="国家"), level="national", kind="authority")
    found_home(path, root, described, Listen(grpc="127.0.0.1:0", enrolment="127.0.0.1:0"))
    return path


async def filled(home, entries=3):
    async with open_node(home) as node:
        log = LogId(origin=node.name, topic="directory")
        await node.store.write(lambda tx: tx.logs.append(log, [b'{"n":%d}' % n for n in range(entries)]))
    return home


async def size_of(home):
    async with open_node(home) as node:
        stored = await node.store.read(lambda tx: tx.logs.get(LogId(origin=node.name, topic="directory")))
        return stored.head.size


def refused(kind, home, backup, words=None):
    with pytest.raises(kind) as told:
        restore_home(home, backup, (lambda: words) if words else None)
    left = [path.name for path in home.iterdir()] if home.exists() else []
    assert "config.toml" not in left
    assert "restoring" not in left
    return told.value


async def test_an_unsealed_backup_is_a_tar_that_any_tool_can_open(home, tmp_path):
    target = tmp_path / "a.backup"
    made = await back_up_home(await filled(home), target, None)
    assert made.counts["entries"] == 3
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.backup", "一个 home"]
    with tarfile.open(target) as tar:
        assert tar.getnames() == ["manifest.json", "manifest.sig", *MEMBERS, "data/node.db"]
        manifest = json.loads(tar.extractfile("manifest.json").read())
        (tmp_path / "copy.db").write_bytes(tar.extractfile("data/node.db").read())
    assert (manifest["name"], manifest["schema"]) == (ROOT, len(migrations.for_sqlite()))
    assert [log["size"] for log in manifest["logs"] if log["topic"] == "directory"] == [3]
    connection = sqlite3.connect(tmp_path / "copy.db")
    assert connection.execute("SELECT count(*) FROM log_entry").fetchall() == [(3,)]
    connection.close()


async def test_a_backup_of_a_running_node_holds_what_was_committed_before_it(home, tmp_path):
    async with open_node(await filled(home)) as node:
        log = LogId(origin=node.name, topic="directory")
        await node.store.write(lambda tx: tx.logs.append(log, [b"{}"]))
        made = await back_up_home(home, tmp_path / "a.backup", None)
        await node.store.write(lambda tx: tx.logs.append(log, [b"[]"]))
    assert made.counts["entries"] == 4
    restore_home(tmp_path / "other", tmp_path / "a.backup", None)
    assert await size_of(tmp_path / "other") == 4


async def test_a_sealed_backup_opens_with_its_passphrase_alone(home, tmp_path):
    target = tmp_path / "a.backup"
    made = await back_up_home(await filled(home), target, WORDS)
    assert made.is_sealed
    content = target.read_bytes()
    assert b"PRIVATE KEY" not in content
    assert ROOT.encode() not in content
    refused(PassphraseMissing, tmp_path / "x", target)
    refused(PassphraseWrong, tmp_path / "x", target, WORDS + "!")
    restore_home(tmp_path / "other", target, lambda: WORDS)
    assert await size_of(tmp_path / "other") == 3
    for name in ("ca.key", "node.key", "sealing.key"):
        assert (tmp_path / "other" / "keys" / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("words", [None, WORDS])
async def test_whatever_byte_is_altered_or_cut_off_nothing_is_restored(home, tmp_path, words):
    target = tmp_path / "a.backup"
    await back_up_home(await filled(home), target, words)
    content = target.read_bytes()
    spoilt = tmp_path / "spoilt"
    for at in (700, len(content) // 3, len(content) // 2, len(content) - 13_000 if words is None else len(content) - 1):
        spoilt.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        refused((BackupDamaged, PassphraseWrong, NotABackup), tmp_path / "x", spoilt, words)
    for size in (len(content) - 70_000, len(content) // 2, 1_000):
        spoilt.write_bytes(content[:size])
        refused((BackupDamaged, PassphraseWrong), tmp_path / "x", spoilt, words)
    restore_home(tmp_path / "x", target, (lambda: words) if words else None)
    assert await size_of(tmp_path / "x") == 3


def rewritten(source, target, change, *, drop=(), add=()):
    """The same archive with another manifest, as somebody without the node key would write it."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            content = old.extractfile(member).read()
            if member.name == "manifest.json":
                content = json.dumps(json.loads(content) | change).encode()
                member.size = len(content)
            if member.name not in drop:
                new.addfile(member, io.BytesIO(content))
        for name in add:
            new.addfile(tarfile.TarInfo(name))
    return target


async def test_a_manifest_that_the_node_did_not_sign_is_not_believed(home, tmp_path):
    good = tmp_path / "a.backup"
    await back_up_home(await filled(home), good, None)
    evil = tmp_path / "evil"
    for change, drop, add in (
        ({"at_ms": 5}, (), ()),
        ({"name": "other.internal"}, (), ()),
        ({"members": []}, (), ()),
        ({}, ("keys/node.key",), ()),
        ({}, ("manifest.sig",), ()),
        ({}, ("manifest.json",), ()),
        ({}, (), ("../../etc/passwd",)),
    ):
        refused(BackupDamaged, tmp_path / "x", rewritten(good, evil, change, drop=drop, add=add))
    refused(BackupTooNew, tmp_path / "x", rewritten(good, evil, {"format": 3}))


async def test_what_is_no_backup_is_told_so(home, tmp_path):
    refused(NoSuchBackup, tmp_path / "x", tmp_path / "absent")
    for content in (b"", b"not a backup", os.urandom(5_000)):
        (tmp_path / "file").write_bytes(content)
        refused(NotABackup, tmp_path / "x", tmp_path / "file")
    for line in (b'{"lln_sealed_backup":1', b'{"lln_sealed_backup":1,"n":3,"salt":""}\n'):
        (tmp_path / "file").write_bytes(line)
        refused(BackupDamaged, tmp_path / "x", tmp_path / "file", WORDS)
    (tmp_path / "file").write_bytes(b'{"lln_sealed_backup":2,"n":2,"salt":""}\n')
    refused(BackupTooNew, tmp_path / "x", tmp_path / "file", WORDS)


async def test_a_backup_of_a_newer_schema_is_refused(home, tmp_path, monkeypatch):
    known = migrations.for_sqlite()
    monkeypatch.setattr(migrations, "for_sqlite", lambda: [*known, "CREATE TABLE later (x INTEGER) STRICT;"])
    await back_up_home(await filled(home), tmp_path / "a.backup", None)
    monkeypatch.undo()
    told = refused(SchemaTooNew, tmp_path / "x", tmp_path / "a.backup")
    assert str(len(known) + 1) in str(told)


async def test_a_backup_overwrites_neither_a_file_nor_another_home(home, tmp_path):
    target = tmp_path / "a.backup"
    await back_up_home(await filled(home), target, None)
    with pytest.raises(BackupExists):
        await back_up_home(home, target, None)
    with pytest.raises(BackupUnwritable):
        await back_up_home(home, tmp_path / "absent" / "a.backup", None)
    with pytest.raises(DatabaseInPlace):
        restore_home(home, target, None)
    other = found(tmp_path / "other", NodeName("other.internal"))
    before = sorted((path, path.read_bytes()) for path in other.rglob("*") if path.is_file())
    with pytest.raises(HomeOccupied, match=r"other\.internal"):
        restore_home(other, target, None)
    assert sorted((path, path.read_bytes()) for path in other.rglob("*") if path.is_file()) == before
    keys_alone = Home(tmp_path / "keys alone")
    keys_alone.make_folders()
    keys_alone.node_key.write_bytes(b"somebody's")
    with pytest.raises(HomeOccupied, match="another than"):
        restore_home(keys_alone.path, target, None)
    assert keys_alone.node_key.read_bytes() == b"somebody's"


async def test_a_damaged_database_is_not_backed_up_as_if_it_were_sound(home, tmp_path):
    database = (await filled(home, 2_000)) / "data" / "node.db"
    content = bytearray(database.read_bytes())
    content[16_384:-8_192] = os.urandom(len(content) - 24_576)
    database.write_bytes(content)
    with pytest.raises(DatabaseBroken):
        await back_up_home(home, tmp_path / "a.backup", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["一个 home"]


async def test_a_hub_on_postgresql_is_told_to_use_its_servers_tool(home, tmp_path):
    config = home / "config.toml"
    text = config.read_text(encoding="utf-8").replace("[storage]", '[storage]\npostgres = "dbname=lln"')
    config.write_text(text, encoding="utf-8")
    with pytest.raises(BackupByServer) as told:
        await back_up_home(home, tmp_path / "a.backup", None)
    assert "pg_dump" in told.value.en


# --- what people see -------------------------------------------------------------------------------------------------


def lln(home, *words, told=None):
    return CliRunner().invoke(main, ["--home", str(home), "--ui", "en", *map(str, words)], input=told)


def test_backup_and_restore_from_the_command_line(home, tmp_path):
    assert "No backup has been made yet." in lln(home, "status").output
    made = lln(home, "backup", tmp_path / "a.backup")
    assert made.exit_code == 0, made.output
    assert "holds the private keys" in made.output
    assert "last backup: just now" in lln(home, "status").output
    sealed = lln(home, "backup", tmp_path / "b.backup", "--passphrase", told=f"{WORDS}\n{WORDS}\n")
    assert "It is sealed" in sealed.output
    words = tmp_path / "words"
    words.write_text(f"{WORDS}\n", encoding="utf-8")
    other = lln(tmp_path / "x", "restore", tmp_path / "b.backup", "--passphrase-file", words)
    assert other.exit_code == 0, other.output
    assert f"restored: {ROOT}" in other.output
    assert "has been taken back" in other.output
    again = lln(tmp_path / "x", "restore", tmp_path / "b.backup", "--passphrase", told=f"{WORDS}\n")
    assert (again.exit_code, f"[{DatabaseInPlace.code}]" in again.output) == (1, True)
    words.write_text("\n")
    assert "[LLN-1176]" in lln(home, "backup", tmp_path / "c.backup", "--passphrase-file", words).output
    assert "[LLN-1176]" in lln(home, "backup", tmp_path / "c.backup", "--passphrase-file", tmp_path / "no").output
    told = json.loads(CliRunner().invoke(main, ["--home", str(home), "--json", "status"]).output)
    assert told["backed_up_at_ms"]
    assert "backed_up_at_ms" in NodeState.__struct_fields__


async def test_the_age_of_the_last_backup_is_told(home):
    found = {one.step: one async for one in check_home(home)}
    assert (found["backup"].severity, found["backup"].remedy) == ("notice", "lln backup FILE")
    now_ms = 10 * BACKUP_OLD_MS
    assert backup_finding(now_ms - 1, now_ms).severity == "good"
    assert backup_finding(now_ms - BACKUP_OLD_MS - 1, now_ms).severity == "warning"
    write_whole(Home(home).last_backup, b"{", mode=0o644)
    assert {one.step: one async for one in check_home(home)}["backup"].severity == "notice"
    note = BackupNote(at_ms=1, path="a", bytes=1)
    write_whole(Home(home).last_backup, msgspec.json.encode(note), mode=0o644)
    assert {one.step: one async for one in check_home(home)}["backup"].severity == "warning"


def test_an_archive_that_is_sealed_asks_only_then(home, tmp_path):
    assert lln(home, "status").exit_code == 0
    assert lln(home, "backup", tmp_path / "a.backup").exit_code == 0

    def nobody():
        raise AssertionError

    with open_archive(tmp_path / "a.backup", nobody) as archive:
        assert archive.unverified_manifest.startswith(b"{")
