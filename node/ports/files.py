"""Files that people offer with a resource, as use cases see them: a row of each, and the folder where they are.

What lives here: the row and the Protocols of the folder. What must not: what is taken, how much of it, or who may see
it. A file is known by its SHA-256 alone; the name that somebody gave it stands in its row, to be shown.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from node.ports.crediting import Kept


class FileRow(Kept, frozen=True, kw_only=True):
    """One file of one resource. `owner`: the resource; `state`: the file's SHA-256 in hex; `id`: both (`row_id`).

    A row ties nothing by itself: a file is of a resource whose version names the same digest (`Resource.sha256`), too.
    """

    name: str
    media_type: str
    bytes: int
    person: str
    at_ms: int

    @property
    def word(self) -> str:
        """What kind of file people call it, such as PDF."""
        return self.name.rpartition(".")[2].upper()


def row_id(resource_id: str, digest: str) -> str:
    return f"{resource_id}#{digest}"


class KeptFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is in the folder, before or after it is anybody's."""

    digest: str
    bytes: int
    name: str
    media_type: str

    @property
    def word(self) -> str:
        return self.name.rpartition(".")[2].upper()


class Staged(Protocol):
    """A file that is still coming in, under a name that nobody is told."""

    @property
    def size(self) -> int: ...

    @property
    def path(self) -> Path: ...

    async def write(self, piece: bytes) -> None:
        """Raises FilesFull where the disk has no more room."""
        ...

    async def finish(self) -> str:
        """All of it is written; its SHA-256 in hex."""
        ...

    async def discard(self) -> None:
        """As if it had never come; harmless where it is gone or kept."""
        ...


class FileFolder(Protocol):
    """The files of one node. What is in it and referred to by no row is an orphan, which a crash may leave."""

    async def stage(self) -> Staged: ...

    async def keep(self, staged: Staged, digest: str) -> None:
        """Durably, under its digest, whole or not at all. Raises FilesFull."""
        ...

    async def sizes(self) -> Mapping[str, int]:
        """Digest and bytes of every file that is kept."""
        ...

    async def drop(self, digests: Iterable[str]) -> None: ...

    async def clear(self) -> None:
        """Remove what was coming in when the process before this one ended."""
        ...

    async def free_bytes(self) -> int: ...

    def place(self, digest: str) -> Path: ...
