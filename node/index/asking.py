"""One question to the index: what matches, what of it a viewer may see, and how well it fits.

What lives here: a query as Tantivy's, facets, and rescoring. Every clause about who may see and what is in scope is
mandatory in every question, counts and facets included.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import tantivy

from federation.analysis import Analysis, is_lone_character
from federation.catalogue import marks_of
from federation.naming import NodeName, parent_of
from federation.query import Query, parse_query
from federation.scoring import BOOSTS, PUBLISHED_TERMS_MAX, encode_statistics, score
from federation.search import (
    HITS_MAX,
    OFFSET_MAX,
    Coverage,
    FacetCount,
    Hit,
    SearchAnswer,
    SearchRequest,
    TermStatistics,
)
from node.index.cards import IndexedCard
from node.index.schema import FACETS, TEXT_FIELDS

FACET_VALUES_MAX: Final = 50
_stored = msgspec.msgpack.Decoder(IndexedCard)


def answer(
    index: Any,
    request: SearchRequest,
    *,
    viewer: NodeName,
    root: NodeName,
    analysis: Analysis,
    averages: "Averages",
    candidates: int,
) -> SearchAnswer:
    """Up to `candidates` hits, best first by the shared score; facets and total over all that match."""
    searcher, schema = index.searcher(), index.schema
    query = parse_query(request.text, analysis)
    clauses = [
        *_asked(schema, query),
        (
            tantivy.Occur.Must,
            _unscored(tantivy.Query.term_set_query(schema, "marks", sorted(marks_of(viewer, root=root)))),
        ),
        *_scope(schema, request, root),
        *_filters(schema, request),
    ]
    asked = tantivy.Query.boolean_query(clauses)
    found = searcher.search(asked, min(max(candidates, 1), HITS_MAX + OFFSET_MAX), count=True)
    statistics = request.statistics or local_statistics(searcher, query.terms, averages)
    hits = [_hit(searcher, address, query.terms, statistics) for _, address in found.hits]
    hits.sort(key=lambda hit: (-hit.score, hit.key))
    return SearchAnswer(
        hits=tuple(hits),
        total=found.count,
        total_is_exact=True,
        facets=_facets(searcher, asked) if request.facets else (),
        sources=(),
        coverage=Coverage(records=searcher.num_docs, nodes_answered=0, nodes_in_scope=0),
        statistics=statistics,
        text_was_cut=query.was_cut,
    )


def local_statistics(searcher: Any, terms: Sequence[str], averages: "Averages") -> TermStatistics:
    """The index's own statistics for some terms; a term's frequency is that in the field where it is commonest."""
    return TermStatistics(
        documents=searcher.num_docs,
        average_lengths=averages.of(searcher),
        frequencies={term: _frequency(searcher, term) for term in terms},
    )


def published_statistics(index: Any) -> bytes:
    """What an authority publishes of its index (`federation.scoring.encode_statistics`)."""
    searcher = index.searcher()
    frequencies: dict[str, int] = {}
    for field in TEXT_FIELDS:
        for term, count in searcher.terms_with_prefix(field, "", limit=PUBLISHED_TERMS_MAX):
            frequencies[term] = max(count, frequencies.get(term, 0))
    return encode_statistics(
        TermStatistics(documents=searcher.num_docs, average_lengths=Averages().of(searcher), frequencies=frequencies)
    )


def _asked(schema: Any, query: Query) -> list[tuple[Any, Any]]:
    """Any term ranks; every phrase must stand; no exclusion may. Nothing asked for matches everything."""
    clauses: list[tuple[Any, Any]] = []
    if query.is_empty:
        clauses.append((tantivy.Occur.Must, tantivy.Query.all_query()))
    else:
        any_term = [(tantivy.Occur.Should, _term(schema, term)) for term in query.terms]
        clauses.append((tantivy.Occur.Must, tantivy.Query.boolean_query(any_term)))
    clauses.extend((tantivy.Occur.Must, _unscored(_run(schema, phrase))) for phrase in query.phrases)
    clauses.extend((tantivy.Occur.MustNot, _run(schema, exclusion)) for exclusion in query.exclusions)
    return clauses


def _term(schema: Any, term: str) -> Any:
    fields = [
        (tantivy.Occur.Should, tantivy.Query.boost_query(tantivy.Query.term_query(schema, field, term), boost))
        for field, boost in zip(TEXT_FIELDS, BOOSTS, strict=True)
    ]
    if is_lone_character(term):
        fields.append((tantivy.Occur.Should, tantivy.Query.term_query(schema, "characters", term)))
    return tantivy.Query.boolean_query(fields)


def _run(schema: Any, tokens: Sequence[str]) -> Any:
    """A run of tokens in order within one field; one token, or one character, simply stands."""
    if len(tokens) == 1:
        return _term(schema, tokens[0])
    return tantivy.Query.boolean_query(
        [(tantivy.Occur.Should, tantivy.Query.phrase_query(schema, field, list(tokens))) for field in TEXT_FIELDS]
    )


def _unscored(query: Any) -> Any:
    return tantivy.Query.const_score_query(query, 0.0)


def _scope(schema: Any, request: SearchRequest, root: NodeName) -> list[tuple[Any, Any]]:
    asker = NodeName(request.asker)
    parent = parent_of(asker, root)
    if request.scope == "network":
        return []
    if request.scope == "siblings" and parent is not None:
        family = [
            (tantivy.Occur.Should, tantivy.Query.term_query(schema, "parent", parent)),
            (tantivy.Occur.Should, tantivy.Query.term_query(schema, "publisher", parent)),
        ]
        return [(tantivy.Occur.Must, _unscored(tantivy.Query.boolean_query(family)))]
    field = "under" if request.scope == "subtree" else "publisher"
    return [(tantivy.Occur.Must, _unscored(tantivy.Query.term_query(schema, field, request.under or asker)))]


def _filters(schema: Any, request: SearchRequest) -> list[tuple[Any, Any]]:
    chosen = msgspec.structs.asdict(request.filters)
    return [
        (tantivy.Occur.Must, _unscored(tantivy.Query.term_set_query(schema, field, list(values))))
        for field, values in chosen.items()
        if values
    ]


def _hit(searcher: Any, address: Any, terms: Sequence[str], statistics: TermStatistics) -> Hit:
    kept = _stored.decode(bytes(searcher.doc(address)["stored"][0]))
    fields = (kept.title.split(), kept.keywords.split(), kept.body.split())
    return msgspec.structs.replace(kept.card, score=score(terms, fields, statistics))


def _facets(searcher: Any, asked: Any) -> tuple[FacetCount, ...]:
    buckets = searcher.aggregate(
        asked, {facet: {"terms": {"field": facet, "size": FACET_VALUES_MAX}} for facet in FACETS}
    )
    return tuple(
        FacetCount(facet=facet, value=bucket["key"], count=bucket["doc_count"])
        for facet in FACETS
        for bucket in buckets[facet]["buckets"]
    )


def _frequency(searcher: Any, term: str) -> int:
    if is_lone_character(term):
        return int(searcher.doc_freq("characters", term))
    return max(int(searcher.doc_freq(field, term)) for field in TEXT_FIELDS)


class Averages:
    """Average tokens per field, counted anew only when the number of documents has moved by a hundredth."""

    def __init__(self) -> None:
        self._documents = -1
        self._lengths: tuple[float, ...] = ()

    def of(self, searcher: Any) -> tuple[float, ...]:
        documents = searcher.num_docs
        if self._documents < 0 or abs(documents - self._documents) * 100 > self._documents:
            found = searcher.aggregate(
                tantivy.Query.all_query(), {field: {"avg": {"field": f"{field}_length"}} for field in TEXT_FIELDS}
            )
            self._lengths = tuple(round(found[field]["value"] or 0.0, 3) for field in TEXT_FIELDS)
            self._documents = documents
        return self._lengths
