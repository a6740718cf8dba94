"""What is written is synced before it is believed: the file, then its name; and a database loses nothing answered for.

Kills that lose what was not synced are among those of `test_kills.py`; here it is looked at how files are written.
"""

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.crash.points import cut_power
from tests.crash.world import COUNTY, ROOT, SCHOOL, Arm, World
from tests.support.stores import OWN, check_log_holds_together, opened

DERIVED = "/data/index/"
"""Made anew from the logs whatever becomes of it."""


def unsynced_names(report: Path) -> list[str]:
    """Renames whose file was not synced before, or whose folder was not synced after."""
    events = report.read_text(encoding="utf-8").splitlines()
    found = []
    for at, event in enumerate(events):
        if not event.startswith("os.rename ") or DERIVED in event:
            continue
        source = event.removeprefix("os.rename ")
        after = [one for one in events[at:] if one.startswith("fsync ")]
        folder = str(Path(source).parent)
        is_moved = "/restoring/" in source  # from one folder of a home to another
        if f"fsync {source}" not in events[:at]:
            found.append(f"{source} is renamed before it is synced")
        if not any(one == f"fsync {folder}" or is_moved for one in after):
            found.append(f"the folder of {source} is not synced after it")
    return found


async def test_every_file_that_counts_is_synced_before_and_after_it_gets_its_name(tmp_path):
    async with World(tmp_path, 1) as world:
        looked_at = []

        async def look(name, *words):
            assert await world.run(name, *words, arm=Arm(0)) == 0, world.said(name)
            assert unsynced_names(world.report) == []
            looked_at.append(world.report.read_text(encoding="utf-8"))

        await look("other.internal", "init", "--root", "other.internal", "--title", "国家")
        school = f"newcomer.{COUNTY}"
        await look(school, "join", await world.invite(school, "school", "school"), *world.addresses(school))
        await look(school, "status")
        backup = tmp_path / "backup"
        await look(school, "backup", str(backup))
        shutil.rmtree(world.home(school))
        await look(school, "restore", str(backup))
        await look(school, "parent", f"127.0.0.1:{world.addresses(COUNTY)[1].rpartition(':')[2]}")
        await world.settle(SCHOOL, Arm(0))
        assert unsynced_names(world.report) == []
        looked_at.append(world.report.read_text(encoding="utf-8"))
    seen = "".join(looked_at)
    for name in ("ca.key", "node.key", "sealing.key", "root.pem", "chain.pem", "config.toml", "serving.json",
                 "restored.json", "begun", "last-backup.json"):  # fmt: skip
        assert f".{name}.new\n" in seen or f"{name}\n" in seen, name
    assert ROOT in COUNTY


@pytest.mark.parametrize("seed", range(12))
async def test_a_database_that_lost_what_was_not_synced_has_what_was_answered_for(tmp_path, seed):
    chance = random.Random(seed)  # noqa: S311  # to be the same again
    running, durable, left = (tmp_path / name for name in ("running", "durable", "left"))
    for folder in (running, durable):
        folder.mkdir()
    path = running / "node.db"
    async with opened(path) as store:
        for number in range(6):
            await store.write(lambda tx, n=number: tx.logs.append(OWN, [b"%d" % n * 400]))
        for name in ("node.db", "node.db-wal"):
            shutil.copyfile(running / name, durable / name)
        await store.write(lambda tx: tx.logs.append(OWN, [b"under way when the power fails" * 300]))
        shutil.copytree(running, left)
    (durable / "losses.json").write_text('{"unsynced": [], "renamed": []}')
    assert cut_power(durable, left, chance) == ["unsynced sectors of the write-ahead log lost"]
    async with opened(left / "node.db") as store:
        documents = await check_log_holds_together(store)
        assert documents[:6] == [b"%d" % n * 400 for n in range(6)]
        assert len(documents) in (6, 7)
        assert await store.faults() == ()
    assert sqlite3.sqlite_version_info > (3, 37)
