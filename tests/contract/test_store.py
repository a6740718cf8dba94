"""The contract of `node.ports.Store`, kept by every engine."""

import asyncio
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from federation.checkpoints import open_checkpoint, sign_checkpoint
from federation.errors import InvalidInput
from federation.keys import KeyInMemory
from federation.logs import LogId
from federation.merkle import Frontier, leaf_hashes
from federation.naming import NodeName
from node.ports import ForkEvidence, Holding, KeptAnswer
from node.storage.errors import AnswerKeptAlready, DatabaseBroken, SchemaTooNew
from node.storage.sqlite_store import open_sqlite

KEY = KeyInMemory(b"\7" * 32)
OWN = LogId(origin=NodeName("school.lln.internal"), topic="catalogue")


def _seal(head):
    return sign_checkpoint(head.checkpoint(), KEY)


@asynccontextmanager
async def _opened(path: Path):
    async with open_sqlite(path, own_node=OWN.origin, seal=_seal, now_ms=lambda: 1_000) as store:
        yield store


@pytest.fixture
async def store(tmp_path):
    async with _opened(tmp_path / "node.db") as opened:
        yield opened


async def _check_log_holds_together(store, size):
    stored, entries = await store.read(lambda tx: (tx.logs.get(OWN), tx.logs.entries(OWN, 0, 100_000)))
    assert len(entries) == stored.head.size == size
    recomputed = Frontier().extend(leaf_hashes([entry.document for entry in entries])).frontier
    checkpoint = open_checkpoint(stored.note, origin=OWN.origin_line, key=KEY.public)
    assert (checkpoint.size, checkpoint.root) == (size, recomputed.root())
    assert stored.head.frontier == recomputed
    return [entry.document for entry in entries]


async def test_many_writers_append_to_one_log_and_one_checkpoint_covers_them(store):
    indexes = await asyncio.gather(*(store.write(lambda tx, n=n: tx.logs.append(OWN, [b"%d" % n])) for n in range(300)))
    assert sorted(indexes) == list(range(300))
    documents = await _check_log_holds_together(store, 300)
    assert [documents[index] for index in indexes] == [b"%d" % n for n in range(300)]


async def test_a_unit_that_raises_is_undone_alone(store):
    def fails(tx):
        tx.logs.append(OWN, [b"never"])
        tx.notes.put("never", b"1")
        raise InvalidInput("unit", "of no use")

    results = await asyncio.gather(
        store.write(lambda tx: tx.logs.append(OWN, [b"a"])),
        store.write(fails),
        store.write(lambda tx: tx.logs.append(OWN, [b"b"])),
        return_exceptions=True,
    )
    assert results[0] == 0
    assert isinstance(results[1], InvalidInput)
    assert results[2] == 1
    assert await _check_log_holds_together(store, 2) == [b"a", b"b"]
    assert await store.read(lambda tx: tx.notes.get("never")) is None


async def test_a_cancelled_caller_leaves_the_others_their_answers(store):
    cancelled = asyncio.ensure_future(store.write(lambda tx: tx.logs.append(OWN, [b"x"])))
    other = asyncio.ensure_future(store.write(lambda tx: tx.logs.append(OWN, [b"y"])))
    await asyncio.sleep(0)
    cancelled.cancel()
    await other
    await _check_log_holds_together(store, await store.read(lambda tx: tx.logs.get(OWN).head.size))


async def test_an_empty_append_seals_an_empty_log(store):
    await store.write(lambda tx: tx.logs.append(OWN, []))
    await _check_log_holds_together(store, 0)


async def test_listeners_hear_which_logs_grew(store):
    heard = []
    store.on_commit(heard.append)
    await store.write(lambda tx: tx.logs.append(OWN, [b"a"]))
    await store.write(lambda tx: tx.notes.put("quiet", b""))
    assert heard == [frozenset((OWN,))]


async def test_what_is_put_is_got(store):
    holding = Holding(log=OWN, holder=NodeName("lln.internal"), size=4, indexed=3, at_ms=9)
    fork = ForkEvidence(log=OWN, one=b"1", other=b"2", found_by=NodeName("lln.internal"), found_at_ms=5)

    def put(tx):
        tx.logs.put_holding(holding)
        tx.logs.add_fork(fork)
        tx.notes.put("chain", b"der")

    await store.write(put)
    got = await store.read(lambda tx: (tx.logs.holdings(OWN), tx.logs.forks(), tx.notes.get("chain")))
    assert got == ([holding], [fork], b"der")


async def test_a_kept_answer_is_never_replaced(store):
    answer = KeptAnswer(
        caller=NodeName("a.lln.internal"),
        operation_id="1",
        call_sha256=b"",
        method="/m",
        payload_sha256=b"",
        call_header=b"",
        call_signature=b"",
        status=0,
        body=b"first",
        at_ms=1,
    )
    await store.write(lambda tx: tx.answers.put(answer))
    with pytest.raises(AnswerKeptAlready):
        await store.write(lambda tx: tx.answers.put(answer))
    assert (await store.read(lambda tx: tx.answers.get(answer.caller, "1"))) == answer


async def test_everything_is_there_after_reopening(tmp_path):
    async with _opened(tmp_path / "node.db") as store:
        await store.write(lambda tx: tx.logs.append(OWN, [b"a", b"b", b"c"]))
    async with _opened(tmp_path / "node.db") as store:
        await store.write(lambda tx: tx.logs.append(OWN, [b"d"]))
        assert await _check_log_holds_together(store, 4) == [b"a", b"b", b"c", b"d"]


_WRITES_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
sys.path.insert(0, {here!r})
from test_store import OWN, _opened

async def one(store, n):
    await store.write(lambda tx: tx.logs.append(OWN, [b"%d" % n]))
    print(n, flush=True)

async def main():
    async with _opened(Path(sys.argv[1])) as store:
        for start in range(0, 100_000, 20):
            await asyncio.gather(*(one(store, n) for n in range(start, start + 20)))

asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_it_answered_for(tmp_path):
    root = Path(__file__).parents[2]
    script = _WRITES_UNTIL_KILLED.format(root=str(root), here=str(Path(__file__).parent))
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "node.db")], stdout=subprocess.PIPE, text=True
    ) as writing:
        told = [int(writing.stdout.readline()) for _ in range(400)]
        writing.send_signal(signal.SIGKILL)
        told += [int(line) for line in writing.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    async with _opened(tmp_path / "node.db") as store:
        size = await store.read(lambda tx: tx.logs.get(OWN).head.size)
        documents = await _check_log_holds_together(store, size)
    assert {b"%d" % n for n in told} <= set(documents)
    assert len(set(documents)) == len(documents)


async def test_a_file_that_is_no_database_is_refused_in_words(tmp_path):
    (tmp_path / "node.db").write_bytes(b"not a database at all, but long enough to be read as one" * 100)
    with pytest.raises(DatabaseBroken):
        async with _opened(tmp_path / "node.db"):
            pass


async def test_a_newer_schema_is_refused(tmp_path):
    import sqlite3  # noqa: PLC0415  # this test alone looks under the store

    connection = sqlite3.connect(tmp_path / "node.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(SchemaTooNew):
        async with _opened(tmp_path / "node.db"):
            pass
