"""A form with a file, read as it comes in: texts in memory, within bounds, the file to disk piece by piece.

What lives here: taking a multipart body apart (RFC 7578). What must not: what is done with any of it.

A file that is too large, that nobody may send, or that finds no room is read to its end and forgotten, so that whoever
sent it gets a page with what they typed and the reason, and not a connection that breaks.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from federation.errors import LlnError
from node.ports.files import Staged
from node.usecases.filing import FileTooLarge

FIELDS_MAX: Final = 600
TEXT_BYTES_MAX: Final = 1_000_000
HEAD_BYTES_MAX: Final = 4_096
FIELD: Final = "file"


class Arrived:
    """The file of a form: where it is, or why it is not; `staged` None where it was not kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.staged: Staged | None = None
        self.trouble: LlnError | None = None

    async def discard(self) -> None:
        staged, self.staged = self.staged, None
        if staged is not None:
            await staged.discard()


class FormReading:
    """`stage`: where the file comes in, None where it is not wanted; `bytes_max`: how large it may be."""

    def __init__(self, content_type: str, stage: Callable[[], Awaitable[Staged]] | None, bytes_max: int) -> None:
        self._stage = stage
        self._bytes_max = bytes_max
        self._texts: list[tuple[str, Any]] = []
        self._text_bytes = 0
        self._head: dict[bytes, bytes] = {}
        self._head_name, self._head_value = bytearray(), bytearray()
        self._name, self._text = "", bytearray()
        self._part: Arrived | None = None
        self._pieces: list[tuple[Arrived, bytes]] = []
        self.file: Arrived | None = None
        self._parser = MultipartParser(
            _boundary(content_type),
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._add_head(self._head_name, data[start:end]),
                "on_header_value": lambda data, start, end: self._add_head(self._head_value, data[start:end]),
                "on_header_end": self._end_head,
                "on_headers_finished": self._end_heads,
                "on_part_data": lambda data, start, end: self._add(data[start:end]),
                "on_part_end": self._end,
            },
        )

    async def read(self, body: AsyncIterator[bytes]) -> FormData:
        """Everything; raises HTTPException for what is no form. Whoever calls this discards `file` in the end."""
        try:
            async for piece in body:
                self._parser.write(piece)
                await self._write_pieces()
            self._parser.finalize()
        except FormParserError as broken:
            raise HTTPException(400) from broken
        return FormData(self._texts)

    async def _write_pieces(self) -> None:
        pieces, self._pieces = self._pieces, []
        for file, piece in pieces:
            if file.trouble is not None or self._stage is None:
                continue
            try:
                if file.staged is None:
                    file.staged = await self._stage()
                if file.staged.size + len(piece) > self._bytes_max:
                    raise FileTooLarge(file.name)
                await file.staged.write(piece)
            except LlnError as refused:
                file.trouble = refused
                await file.discard()

    # --- what the parser tells ---------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._head, self._name, self._text, self._part = {}, "", bytearray(), None

    def _add_head(self, kept: bytearray, piece: bytes) -> None:
        kept += piece
        if len(kept) > HEAD_BYTES_MAX:
            raise HTTPException(400)

    def _end_head(self) -> None:
        self._head[bytes(self._head_name).lower()] = bytes(self._head_value)
        self._head_name, self._head_value = bytearray(), bytearray()

    def _end_heads(self) -> None:
        _, told = parse_options_header(self._head.get(b"content-disposition"))
        self._name = told.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in told:
            self._part = Arrived(told[b"filename"].decode("utf-8", "replace"))

    def _add(self, piece: bytes) -> None:
        if self._part is not None:
            self._pieces.append((self._part, piece))
            self._take_up(self._part)
            return
        self._text += piece
        self._text_bytes += len(piece)
        if self._text_bytes > TEXT_BYTES_MAX:
            raise HTTPException(413)

    def _take_up(self, part: Arrived) -> None:
        """The first file of the form that has anything in it; of others nothing is kept."""
        if self.file is None and self._name == FIELD and part.name:
            self.file = part
            self._texts.append((FIELD, part))
        elif self.file is not part:
            self._pieces.pop()

    def _end(self) -> None:
        if self._part is None:
            self._texts.append((self._name, self._text.decode("utf-8", "replace")))
        if len(self._texts) > FIELDS_MAX:
            raise HTTPException(400)


def _boundary(content_type: str) -> bytes:
    _, told = parse_options_header(content_type)
    boundary = told.get(b"boundary", b"")
    if not 0 < len(boundary) <= 200:
        raise HTTPException(400)
    return boundary
