"""A disk that is full, read-only or spoilt: the node goes on correctly, or stops with a sentence a person understands.

Small disks are mounted (tmpfs), which takes a machine where that is allowed; elsewhere those tests are skipped, aloud.
"""

import asyncio
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from federation.errors import LlnError
from federation.naming import NodeName
from node.backups import back_up_home
from node.cli.main import main
from node.opening import open_node
from node.storage.errors import DatabaseClosed, DiskFull
from tests.support.live_nodes import ROOT, network, until

SCHOOL = NodeName(f"school-a.{ROOT}")


def _mount(*words):
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


@contextmanager
def small_disk(place: Path, megabytes: int):
    place.mkdir(parents=True)
    if os.geteuid() != 0 or not _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)):
        pytest.skip("mounting a disk is absent here: a full and a read-only disk were NOT tested (it takes root)")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 512, 1):
            try:
                while True:
                    file.write(os.urandom(size))
            except OSError:
                continue
    return ballast


async def sentence(home, *words, ui="en"):
    """What a person reads who starts the node or asks it something."""
    asked = ["--home", str(home), "--ui", ui, *map(str, words)]
    told = await asyncio.to_thread(lambda: CliRunner().invoke(main, asked))
    return told.exit_code, told.output


async def _copied(live, size):
    log = await live.log(SCHOOL)
    return log is not None and log.size == size


async def _publish_until_refused(live):
    for number in range(2_000):  # a few still fit into what the database holds already
        await live.publish(f"full-{number}", "石雕 " + "长" * 290)


async def _searchable(live, count):
    return (await live.ask("node.status")).searchable == count


# --- full ------------------------------------------------------------------------------------------------------------


async def test_on_a_full_disk_nothing_is_half_done_and_all_goes_on_when_there_is_room(tmp_path):
    async with network(tmp_path) as nodes:
        with small_disk(tmp_path / SCHOOL, 24):
            school = await nodes.add(SCHOOL, "school", "school")
            await school.publish("r1", "木雕")
            await until(lambda: _copied(nodes[ROOT], 1))
            await until(lambda: _searchable(school, 1))
            ballast = await asyncio.to_thread(fill, tmp_path / SCHOOL)
            with pytest.raises(DiskFull):
                await _publish_until_refused(school)
            status = await school.ask("node.status")  # it answers, and says how it is
            assert status.name == SCHOOL
            assert [hit.id for hit in (await school.search("木雕", scope="node")).hits] == ["r1"]
            size = (await school.log(SCHOOL)).size
            verdict = await school.ask("log.verify", topic="catalogue")
            assert (verdict.size, verdict.faults) == (size, ())
            with pytest.raises(DiskFull):
                await back_up_home(tmp_path / SCHOOL, tmp_path / SCHOOL / "full.backup", None)
            assert not list((tmp_path / SCHOOL).glob("full.backup*"))
            assert not school._task.done()
            ballast.unlink()
            await school.publish("r2", "玉雕")
            size = (await school.log(SCHOOL)).size
            await until(lambda: _copied(nodes[ROOT], size))
            await until(lambda: _searchable(school, size))
            verdict = await nodes[ROOT].ask("log.verify", topic="catalogue", origin=SCHOOL)
            assert (verdict.size, verdict.faults) == (size, ())
            await nodes.stop(SCHOOL)


async def test_a_node_that_is_started_or_stopped_on_a_full_disk_says_so_and_loses_nothing(tmp_path):
    async with network(tmp_path) as nodes:
        with small_disk(tmp_path / SCHOOL, 24):
            school = await nodes.add(SCHOOL, "school", "school")
            await school.publish("r1", "木雕")
            ballast = await asyncio.to_thread(fill, tmp_path / SCHOOL)
            await nodes.stop(SCHOOL)
            code, told = await sentence(tmp_path / SCHOOL, "status")
            assert (code, "Traceback" in told) == (code, False)
            assert code == 0 or "LLN-1602" in told or "LLN-1502" in told or "LLN-1672" in told, told
            ballast.unlink()
            school = await nodes.start(SCHOOL)
            await school.publish("r2", "玉雕")
            await until(lambda: _copied(nodes[ROOT], 2))
            await nodes.stop(SCHOOL)


# --- read-only -------------------------------------------------------------------------------------------------------


async def test_on_a_disk_that_turns_read_only_the_node_stops_with_a_sentence_and_goes_on_later(tmp_path):
    async with network(tmp_path) as nodes:
        with small_disk(tmp_path / SCHOOL, 24) as place:
            school = await nodes.add(SCHOOL, "school", "school")
            await school.publish("r1", "木雕")
            await until(lambda: _copied(nodes[ROOT], 1))
            await nodes.stop(SCHOOL)
            assert _mount("-o", "remount,ro", str(place))
            code, told = await sentence(place, "status")
            assert (code, "[LLN-1502]" in told) == (1, True), told
            assert "Check permissions, and whether the disk is read-only or failing." in told
            code, told = await sentence(place, "check")
            assert "The database is sound" in told, told  # looking needs no writing
            assert _mount("-o", "remount,rw", str(place))
            school = await nodes.start(SCHOOL)
            await school.publish("r2", "玉雕")
            await until(lambda: _copied(nodes[ROOT], 2))
            await nodes.stop(SCHOOL)


# --- spoilt and missing files ----------------------------------------------------------------------------------------


async def _rested(tmp_path, published=3):
    """The home of a node that has published and was stopped."""
    async with network(tmp_path) as nodes:
        for number in range(published):
            await nodes[ROOT].publish(f"r{number}", f"木雕 {number} " + "长" * 290)
    return tmp_path / ROOT


async def _said(home, en, code):
    for ui in ("en", "zh"):
        status, told = await sentence(home, "status", ui=ui)
        assert (status, f"[{code}]" in told, "Traceback" in told) == (1, True, False), told
    assert en in (await sentence(home, "status"))[1]
    status, told = await sentence(home, "check")
    assert status == 1
    return told


async def test_a_database_that_is_spoilt_is_refused_or_told_of_page_by_page(tmp_path):
    home = await _rested(tmp_path, 40)
    database = home / "data" / "node.db"
    good = database.read_bytes()
    restore_it = "Restore a backup, and keep the file for analysis."
    database.write_bytes(b"\0" * 100 + good[100:])
    await _said(home, restore_it, "LLN-1501")
    database.write_bytes(good[: len(good) // 2])
    told = await _said(home, restore_it, "LLN-1501")
    assert "lln" not in told or "✗" in told
    refused = 0
    for page in range(1, len(good) // 8_192):
        at = page * 8_192
        database.write_bytes(good[:at] + os.urandom(8_192) + good[at + 8_192 :])
        status, told = await sentence(home, "status")
        assert "Traceback" not in told, told
        assert status == 0 or "LLN-1501" in told, told
        found = await sentence(home, "check")
        refused += found[0]
        assert found[0] == 1, f"page {page} is spoilt, and nobody says so"
    assert refused == len(good) // 8_192 - 1
    database.write_bytes(good)
    assert (await sentence(home, "check"))[0] == 0


async def test_a_database_that_is_gone_is_not_begun_anew(tmp_path):
    home = await _rested(tmp_path)
    shutil.rmtree(home / "data")
    told = await _said(home, "An empty one would begin the logs anew", "LLN-1575")
    assert "lln restore FILE" in told
    assert not (home / "data" / "node.db").exists()


async def test_an_index_that_is_spoilt_or_gone_is_made_anew(tmp_path):
    home = await _rested(tmp_path)
    index = home / "data" / "index"
    for spoil in (_spoil_all, _cut_all, shutil.rmtree, _lose_one):
        spoil(index)
        async with open_node(home) as node:
            await node.indexing.catch_up()
            await node.index.commit()
            assert node.index.count() == 3, spoil.__name__


def _spoil_all(index):
    for path in index.rglob("*"):
        if path.is_file():
            path.write_bytes(os.urandom(path.stat().st_size))


def _cut_all(index):
    for path in index.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _lose_one(index):
    next(path for path in index.rglob("*.store")).unlink()


@pytest.mark.parametrize("name", ["ca.key", "node.key", "sealing.key"])
async def test_a_key_that_is_spoilt_missing_or_shown_to_others_is_told_of(tmp_path, name):
    home = await _rested(tmp_path, 0)
    key = home / "keys" / name
    good = key.read_bytes()
    key.write_bytes(good[: len(good) // 2])
    await _said(home, "A key file is damaged", "LLN-1553")
    key.write_bytes(b"")
    await _said(home, "A key file is damaged", "LLN-1553")
    key.unlink()
    await _said(home, "A key file is missing. Restore keys/ from a backup", "LLN-1551")
    key.write_bytes(good)
    key.chmod(0o644)
    await _said(home, "Run the chmod that is named here.", "LLN-1552")
    key.chmod(0o600)
    assert (await sentence(home, "status"))[0] == 0


@pytest.mark.parametrize("name", ["root.pem", "chain.pem"])
async def test_certificates_that_are_spoilt_or_gone_are_told_of(tmp_path, name):
    async with network(tmp_path, "county"):
        pass
    home = tmp_path / f"county.{ROOT}"
    path = home / "trust" / name
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    await _said(home, "The certificates in trust/ are damaged", "LLN-1555")
    path.unlink()
    await _said(home, "This home has not joined a network yet.", "LLN-1554")
    path.write_bytes(good)
    assert (await sentence(home, "status"))[0] == 0


async def test_a_configuration_that_is_spoilt_or_gone_is_told_of(tmp_path):
    home = await _rested(tmp_path, 0)
    config = home / "config.toml"
    good = config.read_bytes()
    for content in (b"\xff\xfe", b"[[[" + good, None):
        config.unlink() if content is None else config.write_bytes(content)
        status, told = await sentence(home, "status")
        assert (status, "[LLN-151]" in told) == (1, True), told
    config.write_bytes(good)
    assert (await sentence(home, "status"))[0] == 0


async def test_a_database_that_fails_under_a_running_node_stops_it_with_a_sentence(tmp_path):
    async with network(tmp_path) as nodes:
        hub = nodes[ROOT]
        await hub.publish("r1", "木雕")
        store = hub.node.store
        await store._writer.run(lambda connection: connection.execute("DROP TABLE holding"))
        with pytest.raises(LlnError, match="LLN-15") as told:
            await store.write(lambda tx: tx.logs.holdings(next(iter(tx.logs.all())).log))
        assert "damaged" in told.value.en
        assert issubclass(DatabaseClosed, LlnError)
