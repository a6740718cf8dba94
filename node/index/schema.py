"""The fields of the index, and a card as a document of it.

Texts that everybody in the network may see and texts that only some may see stand in different fields. A question over
the open fields therefore cannot match a restricted document, and needs no clause per document to make sure of it.
"""

from typing import Any, Final
from zlib import crc32

import msgspec
import tantivy

from node.index.cards import IndexedDocument

INDEX_VERSION: Final = 3
TEXT_FIELDS: Final = ("title", "keywords", "body")
FACETS: Final = ("section", "audience", "industry", "language", "type")
OPEN: Final = "open"
RESTRICTED: Final = "restricted"
OPEN_MARK: Final = "network"
SAMPLE: Final = "sample"
SAMPLED_ONE_IN: Final = 16
SAMPLED: Final = "\ua78f"
"""The token that every sampled document carries."""
_LENGTHS: Final = tuple(f"{field}_length" for field in TEXT_FIELDS)
_KEYWORD_FIELDS: Final = ("key", "publisher", "parent", "under", "marks", "stage")

_TEXTS_OF: Final = {
    part: [f"{part}_{name}" for name in (*TEXT_FIELDS, "characters", "title_characters")] for part in (OPEN, RESTRICTED)
}

_encode = msgspec.msgpack.encode


def field_of(part: str, name: str) -> str:
    """The field of one part, open or restricted: its text fields, `characters` and `title_characters`."""
    return f"{part}_{name}"


def build_schema() -> Any:
    builder = tantivy.SchemaBuilder()
    for part in (OPEN, RESTRICTED):
        for name in TEXT_FIELDS:
            builder.add_text_field(field_of(part, name), tokenizer_name="whitespace", index_option="position")
        for name in ("characters", "title_characters"):
            builder.add_text_field(field_of(part, name), tokenizer_name="whitespace", index_option="basic")
    builder.add_text_field(SAMPLE, tokenizer_name="whitespace", index_option="basic")
    for name in _LENGTHS:
        builder.add_unsigned_field(name, fast=True)
    for name in _KEYWORD_FIELDS:
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in FACETS:
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic", fast=True)
    builder.add_bytes_field("stored", stored=True)
    return builder.build()


def as_tantivy(document: IndexedDocument, schema: Any) -> Any:
    """A document of Tantivy's, handed over in one call: the binding takes longer to be called than to copy a text."""
    stored, card = document.stored, document.stored.card
    texts = (stored.title, stored.keywords, stored.body)
    part = OPEN if OPEN_MARK in document.marks else RESTRICTED
    fields = {
        **dict(zip(_TEXTS_OF[part], (*texts, document.characters, document.title_characters), strict=True)),
        **dict(zip(_LENGTHS, [text.count("  ") + 1 if text else 0 for text in texts], strict=True)),
        "key": document.key,
        "publisher": document.publisher,
        "parent": document.parent,
        "under": list(document.under),
        "marks": list(document.marks),
        "section": card.section,
        "type": card.type,
        "stored": _encode(stored),
    }
    if part == OPEN and crc32(document.key.encode()) % SAMPLED_ONE_IN == 0:
        fields[SAMPLE] = " ".join((SAMPLED, *texts, document.characters))
    optional = {
        "stage": card.stage,
        "industry": card.industry,
        "language": card.language,
        "audience": list(card.audience),
    }
    fields |= {field: value for field, value in optional.items() if value}
    return tantivy.Document.from_dict(fields, schema)
