"""The search index: Tantivy over the tokens of `federation/analysis.py`.

What lives here: `node.ports.Index`. What must not: who may see what (marks come from `federation/catalogue.py`), or the
formula of scores. Derived data: it remembers how far into each log it has come, after each commit; a crash in between
makes it take in a few entries again, which changes nothing.
"""

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import tantivy

from federation import canonical, catalogue
from federation.analysis import ANALYSIS_VERSION, Analysis
from federation.catalogue import CatalogueEntry
from federation.errors import LlnError
from federation.naming import NodeName
from federation.search import SearchAnswer, SearchRequest
from node.index.asking import answer
from node.index.cards import IndexedDocument, RemovedDocument, document_of
from node.index.counting import Averages, published_statistics
from node.index.schema import INDEX_VERSION, as_tantivy, build_schema

T = TypeVar("T")
COMMIT_AFTER_S: Final = 0.3
COMMIT_RECORDS: Final = 1_000
WRITER_IDLE_S: Final = 20.0
_VERSION: Final = f"{INDEX_VERSION}.{ANALYSIS_VERSION}.{metadata.version('tantivy')}"


class _Reached(msgspec.Struct, frozen=True, kw_only=True):
    """The file beside the index: for which version it was written, and how far into each log it has come."""

    version: str
    positions: dict[str, int]


class TantivyIndex:
    def __init__(
        self,
        folder: Path,
        *,
        analysis: Analysis,
        own_name: NodeName,
        root: NodeName,
        writer_bytes: int,
        on_commit: Callable[[], None] | None = None,
    ) -> None:
        """Open the index in `folder`, or begin an empty one where it is absent, damaged or of another version."""
        self._folder = folder
        self._analysis = analysis
        self._own_name = own_name
        self._root = root
        self._writer_bytes = writer_bytes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="index")
        self._writer: Any = None
        self._pending: dict[str, int] = {}
        self._pending_records = 0
        self._commit_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._commits: set[asyncio.Task[None]] = set()
        self._on_commit = on_commit
        self._averages = Averages()
        self._index, self._positions = _open(folder)

    def positions(self) -> Mapping[NodeName, int]:
        return {NodeName(name): size for name, size in self._positions.items()}

    def count(self) -> int:
        """How many resources are searchable."""
        found: int = self._index.searcher().num_docs
        return found

    async def apply(self, publisher: NodeName, entries: Sequence[tuple[int, bytes]], upto: int) -> None:
        await self._in_thread(lambda: self._add(entries))
        self._pending[publisher] = upto
        self._pending_records += len(entries)
        if self._pending_records >= COMMIT_RECORDS:
            await self.commit()
        elif self._commit_timer is None:
            self._commit_timer = asyncio.get_running_loop().call_later(COMMIT_AFTER_S, self._commit_soon)

    async def commit(self) -> None:
        """Make everything applied so far searchable."""
        if self._commit_timer is not None:
            self._commit_timer.cancel()
            self._commit_timer = None
        if not self._pending:
            return
        reached = {**self._positions, **self._pending}
        self._pending, self._pending_records = {}, 0
        await self._in_thread(lambda: self._commit(reached))
        self._positions = reached
        self._let_go_when_idle()
        if self._on_commit is not None:
            self._on_commit()

    async def search(self, request: SearchRequest, *, viewer: NodeName, candidates: int) -> SearchAnswer:
        return answer(
            self._index,
            request,
            viewer=viewer,
            root=self._root,
            analysis=self._analysis,
            averages=self._averages,
            candidates=candidates,
        )

    async def statistics(self) -> bytes:
        return await asyncio.to_thread(published_statistics, self._index)

    async def close(self) -> None:
        await self.commit()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        await self._in_thread(self._let_go)
        self._thread.shutdown()

    # --- in the writer's thread --------------------------------------------------------------------------------------

    def _add(self, entries: Sequence[tuple[int, bytes]]) -> None:
        if self._writer is None:
            self._writer = self._index.writer(self._writer_bytes, 1)
        newest: dict[str, IndexedDocument | RemovedDocument] = {}
        for _, document in entries:
            indexed = self._read(document)
            if indexed is not None:
                newest[indexed.key] = indexed
        for key, indexed in newest.items():
            self._writer.delete_documents_by_term("key", key)
            if isinstance(indexed, IndexedDocument):
                self._writer.add_document(as_tantivy(indexed))

    def _read(self, document: bytes) -> IndexedDocument | RemovedDocument | None:
        """None for an entry this version cannot read: it is skipped, and the log goes on."""
        try:
            entry = _entry(document)
        except LlnError:
            return None
        return document_of(entry, analysis=self._analysis, root=self._root, held_by=self._own_name)

    def _commit(self, reached: dict[str, int]) -> None:
        if self._writer is not None:
            self._writer.commit()
        self._index.reload()
        _write_reached(self._folder, reached)

    def _let_go(self) -> None:
        """Give the writer's memory and lock back."""
        if self._writer is not None:
            self._writer.commit()
            self._writer.wait_merging_threads()
            self._writer = None

    # -----------------------------------------------------------------------------------------------------------------

    def _commit_soon(self) -> None:
        self._commit_timer = None
        task = asyncio.get_running_loop().create_task(self.commit(), name="index commit")  # ended by its commit
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)

    def _let_go_when_idle(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        loop = asyncio.get_running_loop()
        self._idle_timer = loop.call_later(WRITER_IDLE_S, lambda: self._thread.submit(self._let_go_if_idle))

    def _let_go_if_idle(self) -> None:
        if not self._pending:
            self._let_go()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _entry(document: bytes) -> CatalogueEntry:
    read: CatalogueEntry = canonical.decode(document, CatalogueEntry, bytes_max=catalogue.DOCUMENT_BYTES_MAX)
    return read


def _open(folder: Path) -> tuple[Any, dict[str, int]]:
    reached = _read_reached(folder)
    if reached is not None and reached.version == _VERSION:
        try:
            return tantivy.Index(build_schema(), path=str(folder), reuse=True), dict(reached.positions)
        except (ValueError, OSError):
            pass  # damaged: it is only derived, and made anew below
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    index = tantivy.Index(build_schema(), path=str(folder), reuse=False)
    _write_reached(folder, {})
    return index, {}


def _read_reached(folder: Path) -> _Reached | None:
    try:
        return msgspec.json.decode((folder / "reached.json").read_bytes(), type=_Reached)
    except (OSError, msgspec.MsgspecError):
        return None


def _write_reached(folder: Path, positions: dict[str, int]) -> None:
    partial = folder / "reached.json.partial"
    partial.write_bytes(msgspec.json.encode(_Reached(version=_VERSION, positions=positions)))
    partial.replace(folder / "reached.json")
