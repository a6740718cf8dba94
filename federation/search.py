"""A search, as it is asked and as it is answered.

What lives here: the documents that travel between nodes and that `lln search --json` prints. What must not: analysis
(`analysis.py`), the query language (`query.py`), scores (`scoring.py`) or merging (`merging.py`).
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from federation.catalogue import (
    Accessibility,
    Audience,
    BilingualLine,
    ResourceId,
    ResourceLevel,
    ResourceType,
    Section,
    Stage,
)
from federation.naming import NameField, NodeName, is_within, parent_of

TEXT_CHARS_MAX: Final = 1_000
TERMS_MAX: Final = 64
HITS_MAX: Final = 100
OFFSET_MAX: Final = 1_000
HOPS_MAX: Final = 8
SILENT_NAMED_MAX: Final = 50
PER_PROVIDER_FIRST_PAGE: Final = 3
REQUEST_BYTES_MAX: Final = 65_536
ANSWER_BYTES_MAX: Final = 1_048_576

SearchScope = Literal["node", "siblings", "subtree", "network", "public"]
"""`public`: the whole network, and of it only what is shared with everybody; for visitors whom nobody vouches for."""
Outcome = Literal["ok", "empty", "partial", "timeout", "breaker_open", "denied", "stale", "unreachable"]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Frequency = Annotated[float, Meta(ge=0, le=1e12)]
Label = Annotated[str, Meta(max_length=64)]
Several = Meta(max_length=16)


class Filters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Several values of one filter mean any of them; several filters must all hold. `key`: these resources alone."""

    section: Annotated[tuple[Section, ...], Several] = ()
    audience: Annotated[tuple[Audience, ...], Several] = ()
    industry: Annotated[tuple[Label, ...], Several] = ()
    language: Annotated[tuple[Label, ...], Several] = ()
    type: Annotated[tuple[ResourceType, ...], Several] = ()
    stage: Annotated[tuple[Stage, ...], Several] = ()
    key: Annotated[tuple[Annotated[str, Meta(max_length=400)], ...], Several] = ()


class TermStatistics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What scores depend on beyond a document itself: so that the same document scores alike wherever it is found.

    `documents`: how many there are; `average_lengths`: tokens per field, in the order of `scoring.FIELDS`;
    `frequencies`: for each term of a query, in how many documents it stands.
    """

    documents: Count
    average_lengths: Annotated[tuple[Frequency, ...], Meta(max_length=8)]
    frequencies: Annotated[dict[Annotated[str, Meta(max_length=128)], Count], Meta(max_length=4 * TERMS_MAX)] = {}


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`asker` is the node whose people ask: what it may see is all that is answered. `offset` and `limit` page.

    `under`: the head of the subtree for scope `subtree`, the asker itself where absent.
    """

    text: Annotated[str, Meta(max_length=TEXT_CHARS_MAX)]
    scope: SearchScope
    asker: NameField
    under: NameField | None = None
    filters: Filters = Filters()
    limit: Annotated[int, Meta(ge=1, le=HITS_MAX)] = 10
    offset: Annotated[int, Meta(ge=0, le=OFFSET_MAX)] = 0
    facets: bool = True
    hops_left: Annotated[int, Meta(ge=0, le=HOPS_MAX)] = HOPS_MAX
    statistics: TermStatistics | None = None


def is_in_scope(publisher: NodeName, request: SearchRequest, *, root: NodeName) -> bool:
    """Whether the asker meant this publisher's resources, too; what may be seen of them is another question."""
    asker = NodeName(request.asker)
    if request.scope in ("network", "public"):
        return True
    if request.scope == "node":
        return publisher == asker
    if request.scope == "subtree":
        return is_within(publisher, request.under or asker)
    family = parent_of(asker, root)
    return publisher == family or parent_of(publisher, root) == family


class AlsoAt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Another institution that offers what a card shows; `likeness` says how sure that is."""

    publisher: NameField
    id: ResourceId
    provider: Annotated[str, Meta(max_length=200)] = ""
    likeness: Literal["identical", "same", "possibly_the_same"]


class Hit(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One card: a resource as its publisher describes it, how well it fits, and how old this copy of it is.

    `age_s`: seconds since its publisher last confirmed the log it stands in, None for the answering node's own.
    """

    publisher: NameField
    id: ResourceId
    version: Count = 1
    title: BilingualLine
    snippet: Annotated[str, Meta(max_length=400)] = ""
    type: ResourceType
    section: Section
    stage: Stage | None = None
    audience: Annotated[tuple[Audience, ...], Several] = ()
    industry: Label | None = None
    language: Label = ""
    hours: Count | None = None
    credits: Count | None = None
    level: ResourceLevel | None = None
    accessibility: Accessibility = Accessibility()
    ai_generated: bool = False
    licence: Label = ""
    provider: Annotated[str, Meta(max_length=200)] = ""
    location: Annotated[str, Meta(max_length=2_000)] = ""
    identifiers: Annotated[tuple[Annotated[str, Meta(max_length=300)], ...], Several] = ()
    sha256: Annotated[str, Meta(max_length=64)] | None = None
    fingerprint: Annotated[str, Meta(max_length=64)] = ""
    score: Annotated[float, Meta(ge=0, le=1e9)]
    age_s: Count | None = None
    held_by: NameField
    also_at: Annotated[tuple[AlsoAt, ...], Meta(max_length=1_000)] = ()

    @property
    def key(self) -> str:
        return f"{self.publisher}#{self.id}"


class FacetCount(msgspec.Struct, frozen=True, kw_only=True):
    facet: Label
    value: Label
    count: Count


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one node that was asked: `index_position` entries searchable there, the oldest `age_s` ago."""

    node: NameField
    outcome: Outcome
    hits: Count = 0
    ms: Count = 0
    index_position: Count | None = None
    age_s: Count | None = None
    detail: Annotated[str, Meta(max_length=300)] = ""


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """Of the nodes in the asked scope, whose catalogues the answer had; `silent` names the first of those it lacks."""

    records: Count
    nodes_answered: Count
    nodes_in_scope: Count
    silent: Annotated[tuple[NameField, ...], Meta(max_length=SILENT_NAMED_MAX)] = ()

    @property
    def is_whole(self) -> bool:
        return self.nodes_answered >= self.nodes_in_scope


class SearchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`total` counts what matches before pages and folding: "at least" unless `total_is_exact`.

    Facets of very many matches are estimates, made on a part of them: `facets_are_exact` is false then.
    """

    hits: Annotated[tuple[Hit, ...], Meta(max_length=HITS_MAX + OFFSET_MAX)]
    total: Count
    total_is_exact: bool
    facets: Annotated[tuple[FacetCount, ...], Meta(max_length=1_000)]
    sources: Annotated[tuple[SourceStatus, ...], Meta(max_length=256)]
    coverage: Coverage
    statistics: TermStatistics
    text_was_cut: bool = False
    facets_are_exact: bool = True
