"""The window of the desk, seen from the pages: an operation by name, its documents as types.

What lives here: writing the question and reading the answer. What must not: what any operation does.
"""

from typing import Any, Protocol, TypeVar

import msgspec

from node.desk import OPERATIONS

T = TypeVar("T")


class Desk(Protocol):
    async def ask(self, operation: str, request: bytes) -> bytes:
        """The JSON answer to a JSON question; raises what the operation raises, all of it LlnError."""
        ...


class Window:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def ask(self, operation: str, asked: msgspec.Struct, answered: type[T]) -> T:
        """One operation; `answered` is the type that `node/desk` says it answers with."""
        known = OPERATIONS[operation]
        assert isinstance(asked, known.asked), operation  # noqa: S101  # our own table
        return msgspec.json.decode(await self._desk.ask(operation, msgspec.json.encode(asked)), type=answered)


def read_form(kind: type[T], **fields: Any) -> T:
    """A document of the desk from what somebody typed; raises msgspec.ValidationError where it is not acceptable."""
    return msgspec.convert(fields, kind)
