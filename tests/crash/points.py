"""Inside the process under test: every write-like event gets a number, and at one of them the process is killed.

What is numbered: files opened to be written, synced, renamed, removed and made (audit hooks and three wrapped calls),
SQLite's statements that write, one by one, and what follows a commit before anybody is told of it, and the commits of
the search index. Nobody lists these points by hand: whatever a journey writes is a point. What must not live here:
journeys, or what must hold after them.

For a power cut, what had not been synced at the kill is noted as well: the killer of processes leaves the kernel's
memory alone, and a power cut does not.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path

WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
WRITING_SQL = (
    "BEGIN IMMEDIATE",
    "COMMIT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "VACUUM",
    "SAVEPOINT",
    "ROLLBACK TO",
)
FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "shutil.rmtree")


class Points:
    """`report`: one line for each event. `kill_at`: at which of them (from 1) to end; `later_s`: how long after it.

    `durable`: a folder for what would be left by a power cut; None where only the process is to die.
    """

    def __init__(self, folder: Path, report: Path, kill_at: int, later_s: float, durable: Path | None) -> None:
        self._folder = str(folder)
        self._descriptor = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._kill_at = kill_at
        self._later_s = later_s
        self._durable = durable
        self._count = 0
        self._lock = threading.RLock()
        self._write = os.write
        self._busy = threading.local()
        self._unsynced: dict[str, None] = {}
        self._renamed: list[tuple[str, str]] = []

    def reached(self, what: str) -> None:
        if getattr(self._busy, "here", False):  # what this class itself does is no event
            return
        with self._lock:
            self._busy.here = True
            try:
                self._count += 1
                self._write(self._descriptor, f"{what}\n".encode())
                if self._count == self._kill_at:
                    self._end()
            finally:
                self._busy.here = False

    def _end(self) -> None:
        if self._later_s:
            threading.Thread(target=self._strike, daemon=True).start()
        else:
            self._strike()

    def _strike(self) -> None:
        if self._later_s:
            time.sleep(self._later_s)
        if self._durable is not None:
            left = {"unsynced": list(self._unsynced), "renamed": self._renamed}
            (self._durable / "losses.json").write_text(json.dumps(left), encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)

    # --- what is watched ---------------------------------------------------------------------------------------------

    def install(self) -> None:
        sys.addaudithook(self._audited)
        self._wrap_os()
        self._wrap_sqlite()
        self._wrap_index()

    def _is_ours(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and os.path.abspath(path).startswith(self._folder)  # noqa: PTH100

    def _audited(self, event: str, arguments: tuple) -> None:
        if getattr(self._busy, "here", False):
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITING_FLAGS and self._is_ours(path):
                self.reached(f"open {path}")
                self._unsynced[os.path.abspath(path)] = None  # noqa: PTH100
        elif event in FILE_EVENTS and self._is_ours(arguments[0]):
            self.reached(f"{event} {arguments[0]}")
            if event == "os.rename":
                self._before_rename(*(os.path.abspath(path) for path in arguments[:2]))  # noqa: PTH100

    def _before_rename(self, source: str, target: str) -> None:
        if source in self._unsynced:
            del self._unsynced[source]
            self._unsynced[target] = None
        if self._durable is None:
            return
        shadow = ""
        self._busy.here = True
        try:
            if Path(target).is_file():
                shadow = str(self._durable / f"shadow-{len(self._renamed)}")
                shutil.copyfile(target, shadow)
        finally:
            self._busy.here = False
        self._renamed.append((target, shadow))

    def _wrap_os(self) -> None:
        fsync, write = os.fsync, os.write

        def numbered_fsync(descriptor: int) -> None:
            path = _path_of(descriptor)
            self.reached(f"fsync {path}")
            fsync(descriptor)
            self._unsynced.pop(path, None)
            self._renamed = [one for one in self._renamed if os.path.dirname(one[0]) != path]  # noqa: PTH120

        def numbered_write(descriptor: int, content: bytes) -> int:
            if self._is_ours(_path_of(descriptor)):
                self.reached(f"write {descriptor}")
            return write(descriptor, content)

        os.fsync, os.write = numbered_fsync, numbered_write

    def _wrap_sqlite(self) -> None:
        points, connect = self, sqlite3.connect

        class Numbered(sqlite3.Connection):
            def execute(self, sql, *parameters):
                result = super().execute(sql, *parameters)
                if sql == "COMMIT":
                    points._after_commit()
                return result

            def close(self):
                points.reached("close a database")
                super().close()

        def traced(statement: str) -> None:
            if statement.startswith(WRITING_SQL):
                points.reached(f"sql {statement.split('(', maxsplit=1)[0][:60]}")

        def numbered_connect(*arguments, **options):
            connection = connect(*arguments, **options, factory=Numbered)
            connection.set_trace_callback(traced)
            return connection

        sqlite3.connect = numbered_connect

    def _after_commit(self) -> None:
        """Durable, and nobody has been told. For a power cut this is the least that must be there afterwards."""
        if self._durable is not None:
            with self._lock:
                self._busy.here = True
                for name in ("node.db", "node.db-wal"):
                    for found in Path(self._folder).glob(f"**/data/{name}"):
                        shutil.copyfile(found, self._durable / name)
                self._busy.here = False
        self.reached("after COMMIT")

    def _wrap_index(self) -> None:
        from node.index.tantivy_index import TantivyIndex  # noqa: PLC0415  # not before the hooks are wanted

        commit = TantivyIndex._commit

        def numbered_commit(index, reached):
            self.reached("index commit")
            commit(index, reached)
            self.reached("after index commit")

        TantivyIndex._commit = numbered_commit


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115  # a text, as audit hooks have it


# --- what a power cut leaves -----------------------------------------------------------------------------------------


def cut_power(durable: Path, data: Path, chance: random.Random) -> list[str]:
    """Take from the disk, at random, what was not synced when its process was killed; what was done, for a report."""
    done = []
    left = json.loads((durable / "losses.json").read_text(encoding="utf-8"))
    for target, shadow in reversed(left["renamed"]):
        if chance.random() < 0.5:
            done.append(f"rename to {target} undone")
            shutil.copyfile(shadow, target) if shadow else Path(target).unlink(missing_ok=True)
    for path in map(Path, left["unsynced"]):
        if path.is_file():
            content = path.read_bytes()
            path.write_bytes(content[: chance.randrange(len(content) + 1)])
            done.append(f"{path} cut short")
    wal, kept = data / "node.db-wal", durable / "node.db-wal"
    database, kept_database = data / "node.db", durable / "node.db"
    if wal.exists() and kept.exists() and database.read_bytes() == kept_database.read_bytes():
        _lose_sectors(wal, kept.read_bytes(), chance)
        done.append("unsynced sectors of the write-ahead log lost")
    return done


def _lose_sectors(wal: Path, kept: bytes, chance: random.Random, sector: int = 4_096) -> None:
    """Of what was written since the last commit that was answered for, each sector is on the disk or is not."""
    now = bytearray(wal.read_bytes())
    for at in range(0, len(now), sector):
        if now[at : at + sector] != kept[at : at + sector] and chance.random() < 0.5:
            now[at : at + sector] = kept[at : at + sector].ljust(min(sector, len(now) - at), b"\0")
    wal.write_bytes(now)
