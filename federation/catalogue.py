"""Resources, and who may see them.

What lives here: the documents of a node's `catalogue` log (a reviewed version, a withdrawal), share scope and the one
decision about visibility. What must not: search (`search.py`), storage, or the worklist of a reviewer.
"""

from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from federation.naming import NameField, NodeName, is_name, is_within, lineage, parent_of

TOPIC: Final = "catalogue"
DOCUMENT_BYTES_MAX = 65_536
_PUBLISHERS_REMEMBERED_MAX: Final = 4_096

ResourceType = Literal[
    "online_course",
    "digital_textbook",
    "digital_book",
    "courseware",
    "teaching_case",
    "virtual_lab",
    "online_research_video",
    "app_tool",
]
Section = Literal[
    "scientific_literacy",
    "workplace_skills",
    "cultural_literacy",
    "hobbies_interests",
    "continuing_education",
    "silver_age",
]
Stage = Literal["basic", "vocational", "higher", "lifelong"]
Virtue = Literal["moral", "intellectual", "physical", "aesthetic", "work"]
Audience = Literal["child", "student", "jobseeker", "worker", "parent", "elder", "teacher"]
Criterion = Literal["political", "orientation", "scientific", "applicable", "normative", "timely", "public_good"]
CRITERIA: tuple[Criterion, ...] = Criterion.__args__  # type: ignore[attr-defined]  # typing offers no other way

ResourceId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$", max_length=128)]
Line = Annotated[str, Meta(max_length=300)]
Prose = Annotated[str, Meta(max_length=8_000)]
Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
Salt = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22}$")]
"""16 random bytes in base64url, so that nobody can guess a withheld document from its hash."""
EpochMs = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class BilingualLine(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A short text in Chinese, English or both; at least one is not empty (checked where it is read)."""

    zh: Line = ""
    en: Line = ""

    def __str__(self) -> str:
        return self.zh or self.en


class BilingualProse(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    zh: Prose = ""
    en: Prose = ""


class ResourceLevel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A level within a named scheme; schemes are data and never compared without a crosswalk."""

    scheme: Annotated[str, Meta(min_length=1, max_length=64)]
    value: Annotated[str, Meta(min_length=1, max_length=64)]


class Accessibility(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    captions: bool = False
    transcript: bool = False
    large_type: bool = False


class ShareScope(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """How far a resource may travel; `ancestor` is set for, and only for, `subtree`."""

    reach: Literal["node", "siblings", "subtree", "network"]
    ancestor: NameField | None = None

    def __post_init__(self) -> None:
        if (self.reach == "subtree") != (self.ancestor is not None):
            raise ValueError("share scope: 'subtree' names an ancestor, and nothing else does")

    def __str__(self) -> str:
        return f"subtree {self.ancestor}" if self.ancestor else self.reach


class Review(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """That somebody other than the author found all seven criteria met."""

    reviewer: Annotated[str, Meta(min_length=1, max_length=64)]
    criteria: Annotated[tuple[Criterion, ...], Meta(max_length=7)]
    at_ms: EpochMs


class Resource(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What can be learnt from, described in the terms of GLOSSARY.md §Resource.

    `hours` in whole hours; `credits` in hundredths; `identifiers` are strong ones ("isbn:…", "doi:…", "course:…",
    "url:…") by which two descriptions are known to be of one thing.
    """

    id: ResourceId
    version: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    title: BilingualLine
    description: BilingualProse = BilingualProse()
    keywords: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=32)] = ()
    type: ResourceType
    section: Section
    stage: Stage | None = None
    virtue: Virtue | None = None
    subject: Code | None = None
    industry: Code | None = None
    occupation: Code | None = None
    audience: Annotated[tuple[Audience, ...], Meta(max_length=7)] = ()
    language: Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)] = "zh-Hans"
    hours: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    credits: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    level: ResourceLevel | None = None
    accessibility: Accessibility = Accessibility()
    ai_generated: bool = False
    licence: Annotated[str, Meta(max_length=64)] = ""
    share_scope: ShareScope = ShareScope(reach="network")
    contributor: Annotated[str, Meta(max_length=120)] = ""
    provider: Annotated[str, Meta(max_length=200)] = ""
    identifiers: Annotated[tuple[Annotated[str, Meta(max_length=300)], ...], Meta(max_length=16)] = ()
    location: Annotated[str, Meta(max_length=2_000)] = ""
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None


class ResourcePublished(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="entry", tag="resource_published"
):
    """A reviewed version enters the catalogue, in place of every earlier version of the same id."""

    publisher: NameField
    resource: Resource
    review: Review
    published_at_ms: EpochMs
    salt: Salt


class ResourceWithdrawn(msgspec.Struct, frozen=True, kw_only=True, tag_field="entry", tag="resource_withdrawn"):
    """A resource leaves the catalogue; it travels exactly as far as what it withdraws did (`share_scope`)."""

    publisher: NameField
    id: ResourceId
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    share_scope: ShareScope
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    case_id: Annotated[str, Meta(min_length=1, max_length=64)]
    withdrawn_at_ms: EpochMs
    salt: Salt


CatalogueEntry = ResourcePublished | ResourceWithdrawn


def scope_of(entry: CatalogueEntry) -> ShareScope:
    return entry.resource.share_scope if isinstance(entry, ResourcePublished) else entry.share_scope


class _ResourceReach(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    id: str
    share_scope: ShareScope = ShareScope(reach="network")


class _PublishedReach(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="entry", tag="resource_published"):
    publisher: str
    resource: _ResourceReach


class _WithdrawnReach(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="entry", tag="resource_withdrawn"):
    publisher: str
    id: str
    share_scope: ShareScope


_reach = msgspec.json.Decoder(_PublishedReach | _WithdrawnReach)


class Reach(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a copy has to know of an entry: whose it is, of which resource, how far it goes, and what it does."""

    publisher: NodeName
    id: str
    scope: ShareScope
    is_publication: bool


def reach_of(document: bytes) -> Reach | None:
    """How far an entry may travel, read from no more of it than that takes; None for what is no catalogue entry."""
    try:
        read = _reach.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    publisher = _publisher(read.publisher)
    if publisher is None:
        return None
    if isinstance(read, _PublishedReach):
        told = read.resource
        return Reach(publisher=publisher, id=told.id, scope=told.share_scope, is_publication=True)
    return Reach(publisher=publisher, id=read.id, scope=read.share_scope, is_publication=False)


@lru_cache(maxsize=_PUBLISHERS_REMEMBERED_MAX)
def _publisher(found: str) -> NodeName | None:
    """The one field whose form decides what may be seen; all entries of a log bear the same few names."""
    return NodeName(found) if is_name(found) else None


@lru_cache(maxsize=4_096)
def is_visible(scope: ShareScope, *, publisher: NodeName, viewer: NodeName, root: NodeName) -> bool:
    """Whether `viewer` may see what `publisher` shares so: the one decision, asked by copies, index and answers.

    `siblings` means the publisher, its parent and that parent's children (DESIGN.md §5). A `subtree` counts only when
    its ancestor is the publisher or stands above it; otherwise the resource is seen by its publisher alone.
    """
    return not audience_marks(scope, publisher=publisher, root=root).isdisjoint(marks_of(viewer, root=root))


def audience_marks(scope: ShareScope, *, publisher: NodeName, root: NodeName) -> frozenset[str]:
    """The marks that admit a viewer to a resource; a viewer with any one of them may see it. Index-friendly."""
    own = f"node:{publisher}"
    parent = parent_of(publisher, root)
    if scope.reach == "network":
        return frozenset((own, "network"))
    if scope.reach == "siblings" and parent is not None:
        return frozenset((own, f"node:{parent}", f"family:{parent}"))
    if scope.reach == "subtree" and scope.ancestor is not None and is_within(publisher, scope.ancestor):
        return frozenset((own, f"subtree:{scope.ancestor}"))
    return frozenset((own,))


def marks_of(viewer: NodeName, *, root: NodeName) -> frozenset[str]:
    """The marks that `viewer` carries; a viewer outside the network carries none."""
    line = lineage(viewer, root)
    if not line:
        return frozenset()
    marks = {f"node:{viewer}", "network", *(f"subtree:{name}" for name in line)}
    if len(line) > 1:
        marks.add(f"family:{line[1]}")
    return frozenset(marks)


def widest_holder(scope: ShareScope, *, publisher: NodeName, root: NodeName) -> NodeName:
    """The highest node on the way from `publisher` to the root that may hold the resource in full."""
    line = lineage(publisher, root)
    return next(
        (name for name in reversed(line) if is_visible(scope, publisher=publisher, viewer=name, root=root)),
        publisher,
    )


def narrows(before: ShareScope, after: ShareScope, *, publisher: NodeName, root: NodeName) -> bool:
    """Whether somebody who could see a resource under `before` no longer can under `after`.

    A publisher then withdraws under the old scope before it publishes under the new one, or old copies would live on.
    """
    if after.reach == "network":
        return False
    if before.reach == "network":
        return True
    before_marks = audience_marks(before, publisher=publisher, root=root)
    after_marks = audience_marks(after, publisher=publisher, root=root)
    if before_marks <= after_marks:
        return False
    if before.reach == "subtree" and after.reach == "subtree" and before.ancestor and after.ancestor:
        return not is_within(before.ancestor, after.ancestor)
    if before.reach == "siblings" and after.reach == "subtree" and after.ancestor:
        parent = parent_of(publisher, root)
        return parent is None or not is_within(parent, after.ancestor)
    return True
