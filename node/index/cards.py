"""From a catalogue entry to what the index keeps of it.

What lives here: the fields that are searched, filtered and shown. What must not: Tantivy (`tantivy_index.py`).
"""

from hashlib import sha256
from typing import Final

import msgspec

from federation.analysis import Analysis, characters_of, tokens_of
from federation.catalogue import CatalogueEntry, Resource, ResourcePublished, audience_marks
from federation.naming import NodeName, lineage, parent_of
from federation.search import Hit

SNIPPET_CHARS: Final = 300


class IndexedCard(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is kept beside the postings: the card as it is shown, and its tokens for rescoring."""

    card: Hit
    title: str
    keywords: str
    body: str


class IndexedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One resource, ready to be indexed; token fields are joined by spaces."""

    key: str
    publisher: str
    parent: str
    under: tuple[str, ...]
    marks: tuple[str, ...]
    characters: str
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
    title, keywords, body = (analysis.fold(text) for text in _texts(resource))
    return IndexedDocument(
        key=f"{publisher}#{resource.id}",
        publisher=publisher,
        parent=parent_of(publisher, root) or "",
        under=lineage(publisher, root),
        marks=tuple(audience_marks(resource.share_scope, publisher=publisher, root=root)),
        characters=" ".join(characters_of(f"{title}\n{keywords}\n{body}")),
        stored=IndexedCard(
            card=_card(resource, publisher, held_by, fingerprint=_fingerprint(title, body)),
            title=" ".join(tokens_of(title)),
            keywords=" ".join(tokens_of(keywords)),
            body=" ".join(tokens_of(body)),
        ),
    )


def _texts(resource: Resource) -> tuple[str, str, str]:
    """Title, keywords and body; a mark between parts keeps a phrase from reaching over their border."""
    title = f"{resource.title.zh} {BORDER} {resource.title.en}"
    keywords = f" {BORDER} ".join(resource.keywords)
    body = f" {BORDER} ".join(
        (resource.description.zh, resource.description.en, resource.provider, resource.contributor)
    )
    return title, keywords, body


BORDER: Final = "\ua78f\ua78f"
"""A word that nobody types: it takes a place between two texts, so that their ends are not neighbours."""


def _fingerprint(title: str, body: str) -> str:
    """Of the folded title and description, whatever the spacing; provider and contributor are left out."""
    described = BORDER.join(body.split(BORDER)[:2])
    return sha256(" ".join(f"{title} {described}".split()).encode()).hexdigest()[:32]


def _card(resource: Resource, publisher: NodeName, held_by: NodeName, *, fingerprint: str) -> Hit:
    described = resource.description.zh or resource.description.en
    return Hit(
        publisher=publisher,
        id=resource.id,
        version=resource.version,
        title=resource.title,
        snippet=described[:SNIPPET_CHARS],
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
