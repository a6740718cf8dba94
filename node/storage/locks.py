"""One process at a time: an exclusive lock on a file, let go of by the operating system when the process dies.

What lives here: taking and holding the lock. What must not: what it protects.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from node.storage.errors import DatabaseClosed, HomeInUse

PID_BYTES_MAX = 32
_LOCKED_BYTE = 1_024  # on Windows a locked range cannot be read by others, so it lies behind the process id


@contextlib.contextmanager
def held_alone(path: Path) -> Iterator[None]:
    """Hold the lock file at `path` for as long as the context lasts; raises HomeInUse naming the holder's process id.

    The file stays behind: removing it would let two processes lock two files of one name.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DatabaseClosed(str(path), error.strerror or str(error)) from error
    try:
        try:
            _lock(descriptor)
        except OSError as held:
            raise HomeInUse(str(path.parent), _holder(descriptor)) from held
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, and names nobody
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, b"%d\n" % os.getpid())
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    told = os.read(descriptor, PID_BYTES_MAX).strip()
    return f"process {int(told)}" if told.isdigit() else "another process"


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
