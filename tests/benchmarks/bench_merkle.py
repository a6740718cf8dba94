"""Merkle append and stored inclusion proofs against pymerkle, and a page against the hashing it cannot do without.

Both sides keep the same documents in SQLite files with the same settings and end with the same root, which is checked.
"""

import dataclasses
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pymerkle import SqliteTree

from federation import checkpoints, logs, merkle
from federation.keys import KeyInMemory
from tests.benchmarks.measuring import Figure, Flags

NAME = "merkle"
SMALLEST = {"LEAVES": 20_000, "ROUNDS": 1}
SEED = 20_260_101
ROUNDS = 11
LEAVES = 100_000
DOCUMENT_BYTES = 512
GROUP = 64

# As the node opens its database; a cache that holds the upper levels of the tree is given to both.
SETTINGS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;"
TABLE = """
    CREATE TABLE entry (log_id INTEGER, idx INTEGER, hashes BLOB, document BLOB, PRIMARY KEY (log_id, idx))
    STRICT, WITHOUT ROWID
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One figure; `ours` and `rival` in `unit` of CPU time, ratios are rival / ours, the median of paired rounds."""

    name: str
    ours: float
    rival: float
    ratio: float
    wall_ratio: float
    gate: float | None
    aim: float | None
    unit: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contest:
    """Two ways to do the same work; each slice does `operations` of them and is timed as a whole."""

    name: str
    ours: Callable[[], object]
    rival: Callable[[], object]
    operations: int
    unit: str
    gate: float | None = None
    aim: float | None = None


class OurTree:
    """The rows of federation/merkle.py in one table."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript(SETTINGS + TABLE)
        self.frontier = merkle.Frontier()

    def append(self, documents: list[bytes]) -> bytes:
        """Append as one transaction, and return the root."""
        extended = self.frontier.extend(merkle.leaf_hashes(documents))
        indexes = range(self.frontier.size, extended.frontier.size)
        self.connection.execute("BEGIN")
        self.connection.executemany(
            "INSERT INTO entry VALUES (1, ?, ?, ?)", zip(indexes, extended.rows, documents, strict=True)
        )
        self.connection.execute("COMMIT")
        self.frontier = extended.frontier
        return self.frontier.root()

    def prove(self, index: int) -> merkle.Hashes:
        wanted = merkle.rows_for_inclusion(index, self.frontier.size)
        marks = ",".join("?" * len(wanted))
        query = f"SELECT idx, hashes FROM entry WHERE log_id = 1 AND idx IN ({marks})"  # noqa: S608  # marks only
        return merkle.inclusion_proof(index, self.frontier.size, dict(self.connection.execute(query, wanted)))


class Rivals:
    """Our tree and pymerkle's over the same documents; whatever one appends in a round, the other does too."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.pending: list[bytes] = []
        self.ours = OurTree(folder / "ours.db")
        self.theirs = SqliteTree(str(folder / "pymerkle.db"))
        self.uncached = SqliteTree(str(folder / "pymerkle.db"), disable_cache=True)
        for tree in (self.theirs, self.uncached):
            tree.con.executescript(SETTINGS)
        documents = self.shared(LEAVES)
        self.ours.append(documents)
        self.theirs.append_entries(self.shared(LEAVES))

    def shared(self, count: int) -> list[bytes]:
        """New documents for the side that comes first, the same for the other."""
        if self.pending:
            taken, self.pending = self.pending, []
        else:
            taken = self.pending = [self.chance.randbytes(DOCUMENT_BYTES) for _ in range(count)]
        return taken

    def indexes(self, count: int) -> list[int]:
        return [self.chance.randrange(LEAVES) for _ in range(count)]

    def append_ours(self, count: int, group: int) -> None:
        for part in groups(self.shared(count), group):
            self.ours.append(part)

    def append_theirs_one_by_one(self, count: int, *, root_after: int) -> None:
        for number, document in enumerate(self.shared(count), 1):
            self.theirs.append_entry(document)
            if number % root_after == 0:
                self.theirs.get_root()

    def append_theirs(self, count: int, group: int) -> None:
        for part in groups(self.shared(count), group):
            self.theirs.append_entries(part)
            self.theirs.get_root()

    def prove_ours(self, count: int) -> None:
        for index in self.indexes(count):
            self.ours.prove(index)

    def prove_theirs(self, tree: SqliteTree, count: int) -> None:
        for index in self.indexes(count):
            tree.prove_inclusion(index + 1)

    def check_equal(self) -> None:
        """A rival that did other work is no rival."""
        assert self.theirs.get_root() == self.ours.frontier.root()
        assert tuple(self.theirs.prove_inclusion(12_346).path[1:]) == self.ours.prove(12_345)


def rows() -> list[Row]:
    """Every figure, in about ten seconds."""
    chance = random.Random(SEED)  # noqa: S311  # a benchmark
    with tempfile.TemporaryDirectory() as folder:
        rivals = Rivals(Path(folder), chance)
        contests = [*storage_contests(rivals), page_contest(chance)]
        rounds: dict[str, list[tuple[Timing, Timing]]] = {contest.name: [] for contest in contests}
        for number in range(ROUNDS + 1):
            for contest in chance.sample(contests, len(contests)):
                pair = paired(contest, chance)
                if number:  # the first round warms up
                    rounds[contest.name].append(pair)
        rivals.check_equal()
        return [summed_up(contest, rounds[contest.name]) for contest in contests]


def storage_contests(rivals: Rivals) -> tuple[Contest, ...]:
    return (
        Contest(  # records that arrive from many callers: we commit 64 together, pymerkle each by itself; a root per 64
            name=f"Merkle append: groups of {GROUP} against one by one",
            ours=lambda: rivals.append_ours(8 * GROUP, GROUP),
            rival=lambda: rivals.append_theirs_one_by_one(8 * GROUP, root_after=GROUP),
            operations=8 * GROUP,
            unit="µs/entry",
            gate=8,
            aim=12,
        ),
        Contest(
            name=f"Merkle append and root: both in groups of {GROUP}",
            ours=lambda: rivals.append_ours(8 * GROUP, GROUP),
            rival=lambda: rivals.append_theirs(8 * GROUP, GROUP),
            operations=8 * GROUP,
            unit="µs/entry",
        ),
        Contest(
            name="Merkle append and root: both one by one",
            ours=lambda: rivals.append_ours(2 * GROUP, 1),
            rival=lambda: rivals.append_theirs_one_by_one(2 * GROUP, root_after=1),
            operations=2 * GROUP,
            unit="µs/entry",
        ),
        Contest(
            name="stored inclusion proof: nothing kept in memory",
            ours=lambda: rivals.prove_ours(3),
            rival=lambda: rivals.prove_theirs(rivals.uncached, 3),
            operations=3,
            unit="µs/proof",
            gate=20,
            aim=100,
        ),
        Contest(
            name="stored inclusion proof: pymerkle's cache warm",
            ours=lambda: rivals.prove_ours(100),
            rival=lambda: rivals.prove_theirs(rivals.theirs, 100),
            operations=100,
            unit="µs/proof",
        ),
    )


def page_contest(chance: random.Random) -> Contest:
    """How much a page of 500 entries costs beyond the SHA-256 of its documents; the ceiling is 1."""
    signer = KeyInMemory(chance.randbytes(32))
    head = logs.LogHead(log=logs.LogId(origin="school.county.lln.internal", topic="catalogue"))  # type: ignore[arg-type]
    documents = [chance.randbytes(1024) for _ in range(logs.ENTRIES_MAX)]
    note = checkpoints.sign_checkpoint(logs.append(head, documents).head.checkpoint(), signer)
    entries = [logs.Entry.full(document) for document in documents]
    page = logs.make_page(head.log, start=0, entries=entries, note=note, rows={})
    return Contest(
        name="page of 500 × 1 KB accepted, against hashing its documents",
        ours=lambda: logs.accept_page(head, page, key=signer.public, held_checkpoint=None),
        rival=lambda: merkle.leaf_hashes(documents),
        operations=1,
        unit="µs/page",
    )


# --- measuring -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    cpu_s: float
    wall_s: float


def timed(work: Callable[[], object]) -> Timing:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Timing(cpu_s=time.process_time() - cpu, wall_s=time.perf_counter() - wall)


def paired(contest: Contest, chance: random.Random) -> tuple[Timing, Timing]:
    """One slice of each side, in either order."""
    if chance.random() < 0.5:
        ours = timed(contest.ours)
        return ours, timed(contest.rival)
    rival = timed(contest.rival)
    return timed(contest.ours), rival


def summed_up(contest: Contest, pairs: list[tuple[Timing, Timing]]) -> Row:
    scale = 1e6 / contest.operations
    return Row(
        name=contest.name,
        ours=statistics.median(ours.cpu_s for ours, _ in pairs) * scale,
        rival=statistics.median(rival.cpu_s for _, rival in pairs) * scale,
        ratio=statistics.median(rival.cpu_s / ours.cpu_s for ours, rival in pairs),
        wall_ratio=statistics.median(rival.wall_s / ours.wall_s for ours, rival in pairs),
        gate=contest.gate,
        aim=contest.aim,
        unit=contest.unit,
    )


def groups(documents: list[bytes], size: int) -> Iterator[list[bytes]]:
    return (documents[start : start + size] for start in range(0, len(documents), size))


def run(flags: Flags) -> list[Figure]:
    del flags  # the tree is always of 100,000 leaves
    return [
        Figure(
            name=row.name,
            ours=f"{row.ours:.1f} {row.unit}",
            rival_or_ceiling=f"{row.rival:.1f} {row.unit}",
            ratio=round(row.ratio, 2),
            gate="" if row.gate is None else f"≥ {row.gate:g}",
            aim="" if row.aim is None else f"≥ {row.aim:g}",
            note=f"wall {row.wall_ratio:.2f} ×, {ROUNDS} paired rounds",
        )
        for row in rows()
    ]
