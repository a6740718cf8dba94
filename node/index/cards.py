"""From a catalogue entry to what the index keeps of it.

What lives here: the fields that are searched, filtered and shown. What must not: Tantivy (`tantivy_index.py`).
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from federation.analysis import Analysis, characters_of, tokens_of
from federation.catalogue import CatalogueEntry, Resource, ResourcePublished, audience_marks
from federation.naming import NodeName, lineage, parent_of
from federation.scoring import joined
from federation.search import Hit

SNIPPET_CHARS: Final = 300
SNIPPET_LEAD_CHARS: Final = 40
DESCRIPTION_CHARS_MAX: Final = 2_000
BORDER: Final = "\ua78f\ua78f"
"""A word that nobody types: it takes a place between two texts, so that their ends are not neighbours."""
_BETWEEN: Final = f" {BORDER} "


class IndexedCard(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """What is kept beside the postings: the card as it is shown, its tokens for rescoring, its texts for a snippet."""

    card: Hit
    title: str
    keywords: str
    body: str
    descriptions: tuple[str, ...]


class IndexedDocument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One resource, ready to be indexed; token fields as `federation.scoring.joined` has them."""

    key: str
    publisher: str
    parent: str
    under: tuple[str, ...]
    marks: tuple[str, ...]
    characters: str
    title_characters: str
    stored: IndexedCard


class RemovedDocument(msgspec.Struct, frozen=True, kw_only=True):
    key: str


def document_of(
    entry: CatalogueEntry, *, analysis: Analysis, root: NodeName, held_by: NodeName
) -> IndexedDocument | RemovedDocument:
    publisher = NodeName(entry.publisher)
    if not isinstance(entry, ResourcePublished):
        return RemovedDocument(key=f"{publisher}#{entry.id}")
    resource = entry.resource
    described = [text for text in (resource.description.zh, resource.description.en) if text]
    title, keywords, description, named = analysis.fold_each(
        (
            _as_one((resource.title.zh, resource.title.en)),
            _as_one(resource.keywords),
            _as_one(described),
            _as_one((resource.provider, resource.contributor)),
        )
    )
    body = _BETWEEN.join((description, named))
    title_characters = characters_of(title)
    return IndexedDocument(
        key=f"{publisher}#{resource.id}",
        publisher=publisher,
        parent=parent_of(publisher, root) or "",
        under=lineage(publisher, root),
        marks=tuple(audience_marks(resource.share_scope, publisher=publisher, root=root)),
        characters=" ".join(characters_of(keywords + body) | title_characters),
        title_characters=" ".join(title_characters),
        stored=IndexedCard(
            card=_card(resource, publisher, held_by, fingerprint=_fingerprint(title, description)),
            title=joined(tokens_of(title)),
            keywords=joined(tokens_of(keywords)),
            body=joined(tokens_of(body)),
            descriptions=tuple(text[:DESCRIPTION_CHARS_MAX] for text in described),
        ),
    )


def snippet_of(descriptions: Sequence[str], terms: Sequence[str]) -> str:
    """At most 300 characters of a description: from shortly before the first word that was asked for, if it is there
    as it was typed, else from the beginning.
    """
    if len(descriptions) == 1 and len(descriptions[0]) <= SNIPPET_CHARS:
        return descriptions[0]
    for text in descriptions:
        found = [at for term in terms if (at := text.find(term)) >= 0]
        if found and min(found) + SNIPPET_LEAD_CHARS > SNIPPET_CHARS:
            return f"…{text[min(found) - SNIPPET_LEAD_CHARS :][: SNIPPET_CHARS - 1]}"
        if found:
            return text[:SNIPPET_CHARS]
    return descriptions[0][:SNIPPET_CHARS] if descriptions else ""


def _as_one(texts: Sequence[str]) -> str:
    """Several texts as one, with a border that no phrase reaches over."""
    return _BETWEEN.join(filter(None, texts))


def _fingerprint(title: str, description: str) -> str:
    """Of the folded title and description, whatever the spacing."""
    return sha256(" ".join(f"{title} {description}".split()).encode()).hexdigest()[:32]


def _card(resource: Resource, publisher: NodeName, held_by: NodeName, *, fingerprint: str) -> Hit:
    return Hit(
        publisher=publisher,
        id=resource.id,
        version=resource.version,
        title=resource.title,
        type=resource.type,
        section=resource.section,
        stage=resource.stage,
        audience=resource.audience,
        industry=resource.industry,
        language=resource.language,
        hours=resource.hours,
        credits=resource.credits,
        level=resource.level,
        accessibility=resource.accessibility,
        ai_generated=resource.ai_generated,
        licence=resource.licence,
        provider=resource.provider,
        location=resource.location,
        identifiers=resource.identifiers,
        sha256=resource.sha256,
        fingerprint=fingerprint,
        score=0.0,
        held_by=held_by,
    )
