"""The fields of the index, and a card as a document of it."""

from typing import Any, Final

import msgspec
import tantivy

from node.index.cards import IndexedDocument

INDEX_VERSION: Final = 1
TEXT_FIELDS: Final = ("title", "keywords", "body")
FACETS: Final = ("section", "audience", "industry", "language", "type")
_KEYWORD_FIELDS: Final = ("key", "publisher", "parent", "under", "marks", "stage")

_encode = msgspec.msgpack.encode


def build_schema() -> Any:
    builder = tantivy.SchemaBuilder()
    for field in TEXT_FIELDS:
        builder.add_text_field(field, tokenizer_name="whitespace", index_option="position")
        builder.add_unsigned_field(f"{field}_length", fast=True)
    builder.add_text_field("characters", tokenizer_name="whitespace", index_option="basic")
    for field in _KEYWORD_FIELDS:
        builder.add_text_field(field, tokenizer_name="raw", index_option="basic")
    for field in FACETS:
        builder.add_text_field(field, tokenizer_name="raw", index_option="basic", fast=True)
    builder.add_bytes_field("stored", stored=True)
    return builder.build()


def as_tantivy(document: IndexedDocument) -> Any:
    made = tantivy.Document()
    stored, card = document.stored, document.stored.card
    for field, text in zip(TEXT_FIELDS, (stored.title, stored.keywords, stored.body), strict=True):
        made.add_text(field, text)
        made.add_unsigned(f"{field}_length", text.count(" ") + 1 if text else 0)
    made.add_text("characters", document.characters)
    made.add_text("key", document.key)
    made.add_text("publisher", document.publisher)
    made.add_text("parent", document.parent)
    for name in document.under:
        made.add_text("under", name)
    for mark in document.marks:
        made.add_text("marks", mark)
    for audience in card.audience:
        made.add_text("audience", audience)
    for field, value in (
        ("section", card.section),
        ("type", card.type),
        ("stage", card.stage),
        ("industry", card.industry),
        ("language", card.language),
    ):
        if value:
            made.add_text(field, value)
    made.add_bytes("stored", _encode(stored))
    return made
