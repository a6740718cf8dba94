"""The folder of the index: opened as it is, or begun anew where it cannot be used; and how far it has come.

What lives here: what is on the disk beside Tantivy's own files, and what may be wrong with them. What must not: writing
or asking (`tantivy_index.py`).
"""

import os
import shutil
from pathlib import Path
from typing import Any, Final

import msgspec
import tantivy

from federation.analysis import ANALYSIS_VERSION
from federation.errors import Unavailable
from node.index.schema import INDEX_VERSION, build_schema

INDEX_FAULTS: Final = (ValueError, OSError)
"""What Tantivy's binding raises, whatever went wrong."""
_REACHED: Final = "reached.json"
_ENGINE: Final = str(vars(tantivy)["__version__"]).partition(",")[0].removeprefix("tantivy v")
_VERSION: Final = f"{INDEX_VERSION}.{ANALYSIS_VERSION}.{_ENGINE}"


class IndexDamaged(Unavailable):
    code = "LLN-1610"
    zh = "检索索引的文件已损坏，正在从资源目录日志重建，稍后再试即可，不会丢失资源。"
    en = "Files of the search index are damaged; it is being made anew from the catalogue logs. Try again soon."


class IndexUnwritable(Unavailable):
    code = "LLN-1672"
    zh = "检索索引无法写入。请检查磁盘空间和目录权限，并确认没有另一个程序在使用这个目录；程序会自动再试。"
    en = "The search index cannot be written. Check free space, permissions, and who else uses it; it is tried again."


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """The file beside the index: for which version it was written, and how far into each log it has come."""

    version: str = _VERSION
    positions: dict[str, int] = {}
    documents: int = 0


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """`begun_anew`: why an index that stood there could not be used, or nothing."""

    index: Any
    positions: dict[str, int]
    begun_anew: str = ""


def open_folder(folder: Path) -> Opened:
    """The index in `folder`, or an empty one in its place where it is absent, damaged or of another version.

    Raises IndexUnwritable.
    """
    if not folder.exists():
        return begin_anew(folder, why="")
    try:
        reached = msgspec.json.decode((folder / _REACHED).read_bytes(), type=Reached)
    except (OSError, msgspec.MsgspecError) as error:
        return begin_anew(folder, why=f"how far it had come cannot be read: {error}" if any(folder.iterdir()) else "")
    if reached.version != _VERSION:
        return begin_anew(folder, why=f"it is of version {reached.version}, and this program makes {_VERSION}")
    try:
        index = tantivy.Index(build_schema(), path=str(folder), reuse=True)
        held = int(index.searcher().num_docs)
    except INDEX_FAULTS as error:
        return begin_anew(folder, why=f"damaged: {error}")
    if held == 0 and reached.documents:
        return begin_anew(folder, why=f"damaged: none of {reached.documents:,} resources is left in it")
    return Opened(index=index, positions=dict(reached.positions))


def begin_anew(folder: Path, *, why: str) -> Opened:
    """An empty index: what was there is derived data. A crash here leaves a folder that is begun anew again."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        index = tantivy.Index(build_schema(), path=str(folder), reuse=False)
        write_reached(folder, {}, 0)
    except INDEX_FAULTS as error:
        raise IndexUnwritable(str(folder), str(error)[:300]) from error
    return Opened(index=index, positions={}, begun_anew=why[:300])


def write_reached(folder: Path, positions: dict[str, int], documents: int) -> None:
    """After each commit. A crash before it makes the index take in a few entries again, which changes nothing."""
    partial = folder / f"{_REACHED}.partial"
    with partial.open("wb") as file:
        file.write(msgspec.json.encode(Reached(positions=positions, documents=documents)))
        file.flush()
        os.fsync(file.fileno())  # else a power cut could leave it empty, and a hub would read every log again
    partial.replace(folder / _REACHED)
