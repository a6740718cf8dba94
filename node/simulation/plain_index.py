"""A search index of plain dictionaries: `node.ports.Index` without threads, for simulated nodes.

What lives here: as much of search as shows who finds what, and whether anybody finds what is not shared with them.
What must not: ranking worth the name (`node/index` has it).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from federation import canonical
from federation.catalogue import (
    DOCUMENT_BYTES_MAX,
    CatalogueEntry,
    Resource,
    ResourcePublished,
    audience_marks,
    marks_of,
)
from federation.errors import LlnError
from federation.naming import NodeName
from federation.scoring import encode_statistics
from federation.search import Coverage, Hit, SearchAnswer, SearchRequest, TermStatistics, is_in_scope

_Key = tuple[NodeName, str]


class PlainIndex:
    def __init__(self, *, own_name: NodeName, root: NodeName) -> None:
        self._own_name = own_name
        self._root = root
        self._positions: dict[NodeName, int] = {}
        self._shown: dict[_Key, tuple[Resource, frozenset[str]]] = {}
        self._keys_by_word: dict[str, dict[_Key, None]] = defaultdict(dict)

    def positions(self) -> Mapping[NodeName, int]:
        return self._positions

    def count(self) -> int:
        return len(self._shown)

    async def apply(
        self, publisher: NodeName, entries: Sequence[tuple[int, bytes]], upto: int, after: int | None = None
    ) -> int:
        held = self._positions.get(publisher, 0)
        if after is not None and after > held:
            return held
        for _, document in entries:
            entry = _read(document)
            if entry is not None and entry.publisher == publisher:  # nobody speaks for anybody else
                self._take(publisher, entry)
        self._positions[publisher] = max(held, upto)
        return self._positions[publisher]

    async def forget(self, publisher: NodeName) -> None:
        """Let go of everything a publisher said under a name that is no longer its own."""
        for key in [key for key in self._shown if key[0] == publisher]:
            self._remove(key)
        self._positions.pop(publisher, None)

    async def search(self, request: SearchRequest, *, viewer: NodeName, candidates: int) -> SearchAnswer:
        marks = marks_of(viewer, root=self._root)
        if request.scope == "public":
            marks = marks & {"network"}
        words = request.text.split()
        counts = {word: len(self._keys_by_word.get(word, ())) for word in words}
        keys = [dict.fromkeys(self._keys_by_word.get(word, ())) for word in words]
        found = [
            self._hit(key)
            for key in (keys[0] if keys else ())
            if all(key in others for others in keys[1:])
            and not marks.isdisjoint(self._shown[key][1])
            and is_in_scope(key[0], request, root=self._root)
        ]
        found.sort(key=lambda hit: hit.key)
        return SearchAnswer(
            hits=tuple(found[:candidates]),
            total=len(found),
            total_is_exact=True,
            facets=(),
            sources=(),
            coverage=Coverage(records=len(self._shown), nodes_answered=1, nodes_in_scope=1),
            statistics=TermStatistics(documents=len(self._shown), average_lengths=(2.0,), frequencies=counts),
        )

    async def statistics(self) -> bytes:
        return encode_statistics(TermStatistics(documents=len(self._shown), average_lengths=(2.0, 0.0, 0.0)))

    async def close(self) -> None:
        """Nothing was opened."""

    def _take(self, publisher: NodeName, entry: CatalogueEntry) -> None:
        key = (publisher, entry.resource.id if isinstance(entry, ResourcePublished) else entry.id)
        self._remove(key)
        if isinstance(entry, ResourcePublished):
            marks = audience_marks(entry.resource.share_scope, publisher=publisher, root=self._root)
            self._shown[key] = entry.resource, marks
            for word in _words(entry.resource):
                self._keys_by_word[word][key] = None

    def _remove(self, key: _Key) -> None:
        before = self._shown.pop(key, None)
        for word in _words(before[0]) if before else ():
            self._keys_by_word[word].pop(key, None)

    def _hit(self, key: _Key) -> Hit:
        resource = self._shown[key][0]
        return Hit(
            publisher=key[0],
            id=resource.id,
            version=resource.version,
            title=resource.title,
            type=resource.type,
            section=resource.section,
            score=1.0,
            held_by=self._own_name,
        )


def _read(document: bytes) -> CatalogueEntry | None:
    """None for what cannot be read: it is skipped, and the log goes on."""
    try:
        read: CatalogueEntry = canonical.decode(document, CatalogueEntry, bytes_max=DOCUMENT_BYTES_MAX)
    except LlnError:
        return None
    return read


def _words(resource: Resource) -> list[str]:
    return sorted({*resource.title.zh.split(), *resource.title.en.split()})
