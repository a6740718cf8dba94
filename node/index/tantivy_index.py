"""The search index: Tantivy over the tokens of `federation/analysis.py`.

What lives here: `node.ports.Index`. What must not: who may see what (marks come from `federation/catalogue.py`), or the
formula of scores. Derived data: it remembers how far into each log it has come, after each commit; a crash in between
makes it take in a few entries again, which changes nothing; damage makes it begin anew.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from federation import canonical, catalogue
from federation.analysis import Analysis
from federation.catalogue import CatalogueEntry
from federation.errors import LlnError
from federation.naming import NodeName
from federation.search import SearchAnswer, SearchRequest
from node.index.asking import answer
from node.index.cards import IndexedDocument, RemovedDocument, document_of
from node.index.counting import Averages, published_statistics
from node.index.opening import (
    INDEX_FAULTS,
    IndexDamaged,
    IndexUnwritable,
    begin_anew,
    open_folder,
    write_reached,
)
from node.index.schema import as_tantivy

T = TypeVar("T")
COMMIT_AFTER_S: Final = 0.3
COMMIT_RECORDS: Final = 1_000
COMMIT_EVERY_S: Final = 1.0
WRITER_IDLE_S: Final = 20.0
INLINE_DOCUMENTS_MAX: Final = 50_000
"""A search among so few costs less than handing it to a thread."""


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
        on_damage: Callable[[], None] | None = None,
    ) -> None:
        """Open the index in `folder`, or begin an empty one where it is absent, damaged or of another version.

        `on_damage` is called when it turns out to be damaged later: it is empty then and wants every entry again.
        """
        self._folder = folder
        self._analysis = analysis
        self._own_name = own_name
        self._root = root
        self._writer_bytes = writer_bytes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="index")
        self._writer: Any = None
        self._uncommitted = 0
        self._committed_s = 0.0
        self._beginnings = 0
        self._commit_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._commits: set[asyncio.Task[None]] = set()
        self._on_commit = on_commit
        self._on_damage = on_damage
        self._averages = Averages()
        opened = open_folder(folder)
        self._index, self._positions = opened.index, opened.positions
        self._taken = dict(opened.positions)
        self.begun_anew = opened.begun_anew
        """Why the index that stood there could not be used, or nothing."""

    def positions(self) -> Mapping[NodeName, int]:
        return {NodeName(name): size for name, size in self._positions.items()}

    def count(self) -> int:
        """How many resources are searchable."""
        found: int = self._index.searcher().num_docs
        return found

    async def apply(
        self, publisher: NodeName, entries: Sequence[tuple[int, bytes]], upto: int, after: int | None = None
    ) -> int:
        """Take in what has not been taken in yet, and say up to where that is now. Raises IndexUnwritable.

        It takes in nothing where `after` is further than it has come: it has begun anew since.
        """
        taken, beginnings = self._taken.get(publisher, 0), self._beginnings
        if after is not None and after > taken:
            return taken
        fresh = [entry for entry in entries if entry[0] >= taken]
        try:
            if fresh:
                await self._in_thread(lambda: self._add(fresh))
        except IndexDamaged:
            return 0
        if beginnings != self._beginnings:
            return self._taken.get(publisher, 0)
        self._taken[publisher] = max(upto, self._taken.get(publisher, 0))
        await self._commit_in_a_moment(len(fresh))
        return self._taken.get(publisher, 0)

    async def _commit_in_a_moment(self, added: int) -> None:
        """A commit costs tens of milliseconds, so a flood of records is committed once a second."""
        self._uncommitted += added
        is_flood = self._uncommitted >= COMMIT_RECORDS
        wait_s = self._committed_s + COMMIT_EVERY_S - asyncio.get_running_loop().time() if is_flood else COMMIT_AFTER_S
        if wait_s <= 0:
            with contextlib.suppress(IndexDamaged):
                await self.commit()
        elif self._commit_timer is None:
            self._commit_timer = asyncio.get_running_loop().call_later(wait_s, self._commit_soon)

    async def commit(self) -> None:
        """Make everything applied so far searchable. Raises IndexDamaged, IndexUnwritable."""
        if self._commit_timer is not None:
            self._commit_timer.cancel()
            self._commit_timer = None
        if self._taken == self._positions:
            return
        reached, self._uncommitted, beginnings = dict(self._taken), 0, self._beginnings
        self._committed_s = asyncio.get_running_loop().time()
        await self._in_thread(lambda: self._commit(reached))
        if beginnings != self._beginnings:
            return
        self._positions = reached
        self._let_go_when_idle()
        if self._on_commit is not None:
            self._on_commit()

    async def forget(self, publisher: NodeName) -> None:
        """Committed at once; a crash before it leaves what was there, to be forgotten again. Raises IndexUnwritable."""
        with contextlib.suppress(IndexDamaged):
            await self._in_thread(lambda: self._remove(publisher))
            self._taken.pop(publisher, None)
            await self.commit()

    async def search(self, request: SearchRequest, *, viewer: NodeName, candidates: int) -> SearchAnswer:
        """Raises IndexDamaged: it has begun anew, and what is asked for comes back as the logs are read again."""
        try:
            if self.count() <= INLINE_DOCUMENTS_MAX:
                return self._answer(request, viewer, candidates)
            return await asyncio.to_thread(self._answer, request, viewer, candidates)
        except INDEX_FAULTS as error:
            raise await self._damaged(error) from error

    async def statistics(self) -> bytes:
        return await asyncio.to_thread(published_statistics, self._index)

    async def close(self) -> None:
        """What cannot be written any more is taken in again after the next start."""
        with contextlib.suppress(IndexDamaged, IndexUnwritable):
            await self.commit()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        with contextlib.suppress(IndexDamaged, IndexUnwritable):
            await self._in_thread(self._let_go)
        self._thread.shutdown()

    def _answer(self, request: SearchRequest, viewer: NodeName, candidates: int) -> SearchAnswer:
        return answer(
            self._index,
            request,
            viewer=viewer,
            root=self._root,
            analysis=self._analysis,
            averages=self._averages,
            candidates=candidates,
        )

    # --- in the writer's thread --------------------------------------------------------------------------------------

    def _add(self, entries: Sequence[tuple[int, bytes]]) -> None:
        if self._writer is None:
            self._writer = self._index.writer(self._writer_bytes, 1)
        newest: dict[str, IndexedDocument | RemovedDocument] = {}
        for _, document in entries:
            indexed = self._read(document)
            if indexed is not None:
                newest[indexed.key] = indexed
        schema = self._index.schema
        for key, indexed in newest.items():
            self._writer.delete_documents_by_term("key", key)
            if isinstance(indexed, IndexedDocument):
                self._writer.add_document(as_tantivy(indexed, schema))

    def _remove(self, publisher: str) -> None:
        if self._writer is None:
            self._writer = self._index.writer(self._writer_bytes, 1)
        self._writer.delete_documents_by_term("publisher", publisher)

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
        write_reached(self._folder, reached, self.count())

    def _let_go(self) -> None:
        """Give the writer's memory and lock back."""
        if self._writer is not None:
            self._writer.commit()
            self._writer.wait_merging_threads()
            self._writer = None

    def _begin_anew(self, why: str) -> None:
        self._writer = None
        opened = begin_anew(self._folder, why=why)
        self._index, self._positions, self._taken = opened.index, {}, {}
        self._averages = Averages()
        self._beginnings += 1
        self.begun_anew = why

    # -----------------------------------------------------------------------------------------------------------------

    def _commit_soon(self) -> None:
        self._commit_timer = None
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._commit_quietly(), name="index commit")  # ended by its commit
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)

    async def _commit_quietly(self) -> None:
        """Damage has been seen to already; that it cannot be written is met again, and told, when more is applied."""
        with contextlib.suppress(IndexDamaged, IndexUnwritable):
            await self.commit()

    def _let_go_when_idle(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        loop = asyncio.get_running_loop()
        self._idle_timer = loop.call_later(WRITER_IDLE_S, lambda: self._thread.submit(self._let_go_if_idle))

    def _let_go_if_idle(self) -> None:
        if self._taken == self._positions:
            self._let_go()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work)
        except INDEX_FAULTS as error:
            if "corrupt" in str(error).lower():
                raise await self._damaged(error) from error
            self._writer, self._taken = None, dict(self._positions)
            raise IndexUnwritable(str(self._folder), str(error)[:300]) from error

    async def _damaged(self, error: Exception) -> IndexDamaged:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._begin_anew, str(error)[:300])
        if self._on_damage is not None:
            self._on_damage()
        return IndexDamaged(str(self._folder), str(error)[:300])


def _entry(document: bytes) -> CatalogueEntry:
    read: CatalogueEntry = canonical.decode(document, CatalogueEntry, bytes_max=catalogue.DOCUMENT_BYTES_MAX)
    return read
