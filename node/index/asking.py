"""One question to the index: what matches, what of it a viewer may see, and how well it fits.

What lives here: a query as Tantivy's, facets, and rescoring. Restricted documents are reached only through clauses that
carry the viewer's marks, in every question, counts and facets included; open ones are for everybody in the network.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import tantivy

from federation.analysis import Analysis, is_lone_character
from federation.catalogue import marks_of
from federation.merging import add_facets
from federation.naming import NodeName, parent_of
from federation.query import Query, parse_query
from federation.scoring import CANDIDATE_BOOSTS, Scorer
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
from node.index.cards import snippet_of
from node.index.counting import Averages, local_statistics
from node.index.schema import (
    FACETS,
    OPEN,
    OPEN_MARK,
    RESTRICTED,
    SAMPLE,
    SAMPLED,
    SAMPLED_ONE_IN,
    TEXT_FIELDS,
    field_of,
)

FACET_VALUES_MAX: Final = 50
FACETS_COUNTED_MAX: Final = 20_000
"""Facets of more matches than this are counted on one document in sixteen, and told as estimates."""
_FACETS: Final = {facet: {"terms": {"field": facet, "size": FACET_VALUES_MAX}} for facet in FACETS}
_MUST: Final = tantivy.Occur.Must
_MUST_NOT: Final = tantivy.Occur.MustNot
_SHOULD: Final = tantivy.Occur.Should

Clause = tuple[Any, Any]


def answer(
    index: Any,
    request: SearchRequest,
    *,
    viewer: NodeName,
    root: NodeName,
    analysis: Analysis,
    averages: Averages,
    candidates: int,
) -> SearchAnswer:
    """Up to `candidates` hits, best first by the shared score; facets and total over all that match."""
    searcher = index.searcher()
    asked = Asked(index.schema, parse_query(request.text, analysis), request, viewer=viewer, root=root)
    wanted = min(max(candidates, 1), HITS_MAX + OFFSET_MAX)
    statistics = request.statistics or local_statistics(searcher, asked.query.terms, averages)
    candidates_found: list[_Candidate] = []
    totals: dict[str, int] = {}
    for part, question in asked.parts():
        found = searcher.search(question, wanted, count=True)
        totals[part] = found.count
        candidates_found += [_texts.decode(searcher.doc(address)["stored"][0]) for _, address in found.hits]
    hits = _best(candidates_found, asked.query.terms, statistics, wanted)
    is_estimate = totals.get(OPEN, 0) > FACETS_COUNTED_MAX
    return SearchAnswer(
        hits=tuple(hits),
        total=sum(totals.values()),
        total_is_exact=True,
        facets=_facets(searcher, asked, is_estimate=is_estimate) if request.facets and hits else (),
        facets_are_exact=not is_estimate,
        sources=(),
        coverage=Coverage(records=searcher.num_docs, nodes_answered=0, nodes_in_scope=0),
        statistics=statistics,
        text_was_cut=asked.query.was_cut,
    )


class Asked:
    """What is asked, as clauses over the open part and over the restricted part of the index."""

    def __init__(self, schema: Any, query: Query, request: SearchRequest, *, viewer: NodeName, root: NodeName) -> None:
        self.query = query
        self._schema = schema
        self._request = request
        self._marks = sorted(marks_of(viewer, root=root))
        self._root = root

    def parts(self) -> Iterator[tuple[str, Any]]:
        """Questions that together find all that matches and may be seen, each document once."""
        if self.query.finds_nothing or not self._marks:
            return
        yield OPEN, self._over(OPEN)
        if self._request.scope != "public":
            yield RESTRICTED, self._over(RESTRICTED)

    def sampled(self) -> Any:
        """The question over the open part, put to one document in sixteen."""
        terms = [(_SHOULD, self._raw(SAMPLE, term)) for term in self.query.terms or (SAMPLED,)]
        return tantivy.Query.boolean_query([(_MUST, tantivy.Query.boolean_query(terms)), *self._required(OPEN)])

    def _over(self, part: str) -> Any:
        terms = [clause for term in self.query.terms for clause in self._term(part, term)]
        required = self._required(part)
        if part == RESTRICTED:
            own_marks = [mark for mark in self._marks if mark != OPEN_MARK]
            required.append((_MUST, _unscored(tantivy.Query.term_set_query(self._schema, "marks", own_marks))))
        if not terms:
            required.append((_MUST if part == OPEN else _MUST_NOT, _unscored(self._raw("marks", OPEN_MARK))))
            return tantivy.Query.boolean_query(required)
        if all(occur == _MUST_NOT for occur, _ in required):
            return tantivy.Query.boolean_query([*terms, *required])  # flat, which Tantivy answers quickest
        return tantivy.Query.boolean_query([(_MUST, tantivy.Query.boolean_query(terms)), *required])

    def _required(self, part: str) -> list[Clause]:
        return [
            *((_MUST, _unscored(self._run(part, phrase))) for phrase in self.query.phrases),
            *((_MUST_NOT, self._run(part, exclusion)) for exclusion in self.query.exclusions),
            *self._scope(),
            *self._filters(),
        ]

    def _term(self, part: str, term: str) -> list[Clause]:
        """Where a term may stand, each with its weight."""
        if is_lone_character(term):
            heading = tantivy.Query.boost_query(
                self._raw(field_of(part, "title_characters"), term), CANDIDATE_BOOSTS[0]
            )
            return [(_SHOULD, heading), (_SHOULD, self._raw(field_of(part, "characters"), term))]
        return [
            (_SHOULD, _weighed(tantivy.Query.term_query(self._schema, field_of(part, field), term), boost))
            for field, boost in zip(TEXT_FIELDS, CANDIDATE_BOOSTS, strict=True)
        ]

    def _run(self, part: str, tokens: Sequence[str]) -> Any:
        """A run of tokens in order within one field; one token, or one character, simply stands."""
        if len(tokens) == 1:
            return tantivy.Query.boolean_query(self._term(part, tokens[0]))
        return tantivy.Query.boolean_query(
            [
                (_SHOULD, tantivy.Query.phrase_query(self._schema, field_of(part, field), list(tokens)))
                for field in TEXT_FIELDS
            ]
        )

    def _scope(self) -> list[Clause]:
        asker = NodeName(self._request.asker)
        parent = parent_of(asker, self._root)
        if self._request.scope in ("network", "public"):
            return []
        if self._request.scope == "siblings" and parent is not None:
            family = [(_SHOULD, self._raw("parent", parent)), (_SHOULD, self._raw("publisher", parent))]
            return [(_MUST, _unscored(tantivy.Query.boolean_query(family)))]
        if self._request.scope == "subtree":
            return [(_MUST, _unscored(self._raw("under", self._request.under or asker)))]
        return [(_MUST, _unscored(self._raw("publisher", asker)))]

    def _filters(self) -> list[Clause]:
        chosen = msgspec.structs.asdict(self._request.filters)
        return [
            (_MUST, _unscored(tantivy.Query.term_set_query(self._schema, field, list(values))))
            for field, values in chosen.items()
            if values
        ]

    def _raw(self, field: str, value: str) -> Any:
        return tantivy.Query.term_query(self._schema, field, value, index_option="basic")


def _weighed(query: Any, boost: float) -> Any:
    return query if boost == 1 else tantivy.Query.boost_query(query, boost)


def _unscored(query: Any) -> Any:
    return tantivy.Query.const_score_query(query, 0.0)


class _Candidate(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """An `IndexedCard` of which only the tokens are read yet: of two parts' candidates, half are not among the best."""

    card: msgspec.Raw
    title: str
    keywords: str
    body: str
    descriptions: msgspec.Raw


_texts = msgspec.msgpack.Decoder(_Candidate)
_card = msgspec.msgpack.Decoder(Hit)
_descriptions = msgspec.msgpack.Decoder(tuple[str, ...])


def _best(candidates: Sequence[_Candidate], terms: Sequence[str], statistics: TermStatistics, wanted: int) -> list[Hit]:
    scorer = Scorer(terms, statistics)
    scores = [scorer.score((one.title, one.keywords, one.body)) for one in candidates]
    least = sorted(scores, reverse=True)[wanted - 1] if len(scores) > wanted else 0.0
    hits = [_hit(one, score, terms) for one, score in zip(candidates, scores, strict=True) if score >= least]
    hits.sort(key=lambda hit: (-hit.score, hit.key))
    return hits[:wanted]


def _hit(candidate: _Candidate, score: float, terms: Sequence[str]) -> Hit:
    snippet = snippet_of(_descriptions.decode(candidate.descriptions), terms)
    return msgspec.structs.replace(_card.decode(candidate.card), score=score, snippet=snippet)


def _facets(searcher: Any, asked: Asked, *, is_estimate: bool) -> tuple[FacetCount, ...]:
    counts: list[list[FacetCount]] = []
    for part, question in asked.parts():
        if part == OPEN and is_estimate:
            counts.append(_counted(searcher.aggregate(asked.sampled(), _FACETS), times=SAMPLED_ONE_IN))
        else:
            counts.append(_counted(searcher.aggregate(question, _FACETS), times=1))
    return add_facets(counts)


def _counted(buckets: Any, *, times: int) -> list[FacetCount]:
    return [
        FacetCount(facet=facet, value=bucket["key"], count=bucket["doc_count"] * times)
        for facet in FACETS
        for bucket in buckets[facet]["buckets"]
    ]
