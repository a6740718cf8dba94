"""The folder of files that people offered, on this machine's disk.

What lives here: writing a file as it comes in, putting it in its place, and looking at what is there. What must not:
names that people gave, or a decision about what is taken.

A crash leaves at most a file whose name begins with `.incoming-`, which the next start removes, or one that no row
refers to, which the next sweep does. Between the rename and the row nothing is lost but what its sender has not been
told is there.
"""

import asyncio
import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Final

from node.host.homes import PRIVATE_FOLDER, HomeUnwritable, sync_folder
from node.ports.files import Staged
from node.usecases.filing import FilesFull

WRITE_BYTES: Final = 262_144
INCOMING: Final = ".incoming-"
DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StagedFile:
    """Pieces are gathered and written off the event loop, so that memory holds one of them at a time."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self.size = 0
        self._file = file
        self._digest = hashlib.sha256()
        self._waiting = bytearray()

    async def write(self, piece: bytes) -> None:
        self.size += len(piece)
        self._waiting += piece
        if len(self._waiting) >= WRITE_BYTES:
            await asyncio.to_thread(self._put)

    async def finish(self) -> str:
        await asyncio.to_thread(self._put)
        return self._digest.hexdigest()

    async def discard(self) -> None:
        await asyncio.to_thread(self._discard)

    def _put(self) -> None:
        content, self._waiting = bytes(self._waiting), bytearray()
        self._digest.update(content)
        try:
            self._file.write(content)
            self._file.flush()
        except OSError as error:
            raise _in_words(self.path, error) from error

    def settle(self, place: Path) -> None:
        """Durable, then in its place; content that is there already stays, being the same. Raises OSError."""
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        if place.exists():
            self.path.unlink(missing_ok=True)
            return
        self.path.replace(place)
        sync_folder(place.parent)

    def _discard(self) -> None:
        try:
            self._file.close()
        except OSError:  # what could not be written is not wanted any more
            pass
        finally:
            self.path.unlink(missing_ok=True)


class KeptFiles:
    """`node.ports.files.FileFolder` in a folder of the home, which is made when the first file comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def stage(self) -> StagedFile:
        def open_new() -> StagedFile:
            try:
                self._folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
                descriptor, path = tempfile.mkstemp(prefix=INCOMING, dir=self._folder)
            except OSError as error:
                raise _in_words(self._folder, error) from error
            return StagedFile(Path(path), os.fdopen(descriptor, "wb", buffering=0))

        return await asyncio.to_thread(open_new)

    async def keep(self, staged: Staged, digest: str) -> None:
        assert isinstance(staged, StagedFile)  # noqa: S101  # this folder's own

        def settle() -> None:
            try:
                staged.settle(self.place(digest))
            except OSError as error:
                raise _in_words(self._folder, error) from error

        await asyncio.to_thread(settle)

    async def sizes(self) -> Mapping[str, int]:
        return await asyncio.to_thread(sizes_in, self._folder)

    async def drop(self, digests: Iterable[str]) -> None:
        places = [self.place(one) for one in digests]

        def remove() -> None:
            for place in places:
                place.unlink(missing_ok=True)

        await asyncio.to_thread(remove)

    async def clear(self) -> None:
        def remove() -> None:
            for left in self._folder.glob(f"{INCOMING}*"):
                left.unlink(missing_ok=True)

        await asyncio.to_thread(remove)

    async def free_bytes(self) -> int:
        return (await asyncio.to_thread(shutil.disk_usage, self._folder.parent)).free

    def place(self, digest: str) -> Path:
        if not DIGEST.match(digest):
            raise HomeUnwritable(str(self._folder), "not the name of a kept file")
        return self._folder / digest


def sizes_in(folder: Path) -> dict[str, int]:
    """Digest and bytes of every file in a folder of kept files; nothing where there is no folder."""
    try:
        with os.scandir(folder) as found:
            return {one.name: one.stat().st_size for one in found if DIGEST.match(one.name) and one.is_file()}
    except FileNotFoundError:
        return {}


def _in_words(place: Path, error: OSError) -> FilesFull | HomeUnwritable:
    if error.errno in _FULL:
        return FilesFull(str(place), error.strerror or "")
    return HomeUnwritable(str(place), error.strerror or str(error))
