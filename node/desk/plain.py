"""What documents of the desk have in common."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

NodeNamed = Annotated[str, Meta(min_length=1, max_length=253)]
Limit = Annotated[int, Meta(ge=1, le=1_000)]
Person = Annotated[str, Meta(min_length=1, max_length=64)]
Severity = Literal["good", "notice", "warning", "fault"]


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A question or an answer."""


class Nothing(Document, frozen=True, kw_only=True):
    """No question, or no answer beyond that it was done."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be asked: its name on the wire and the types of its two documents."""

    name: str
    asked: type[msgspec.Struct]
    answered: type[msgspec.Struct]
