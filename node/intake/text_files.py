"""Text files: which encoding, which delimiter, and the lines or records inside.

What lives here: CSV and JSON Lines as text. What must not: what columns and values mean.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from federation import canonical
from federation.canonical import MalformedDocument
from federation.catalogue import Resource
from node.intake.columns import Headers, is_like_scope
from node.intake.describing import describe
from node.intake.rows import COLUMNS_MAX, ROW_CHARS_MAX, IntakeRow, UnfitCell, UnreadableText
from node.intake.tables import HEADER_ROWS, ROW_TOO_LONG, TableRow

CHUNK_BYTES: Final = 1024 * 1024
SNIFFED_CHARS: Final = 65_536
DELIMITERS: Final = (",", "\t", ";")
DOCUMENT_DEPTH_MAX: Final = 8


def open_text(file: BinaryIO, name: str) -> io.TextIOWrapper:
    """`file` as text: UTF-16 or UTF-8 where a mark says so, else UTF-8 if it is, else GB18030 (GB 18030-2022).

    Reads the whole file once to be certain; raises UnreadableText.
    """
    head = file.read(3)
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            candidates: tuple[str, ...] = (encoding,)
            break
    else:
        candidates = ("utf-8", "gb18030")
    for encoding in candidates:
        if _is_in(file, encoding):
            file.seek(0)
            return io.TextIOWrapper(file, encoding=encoding, errors="strict", newline="")
    raise UnreadableText(name, f"not {' or '.join(candidates)}")


def read_records(text: io.TextIOWrapper, headers: Headers) -> Iterator[TableRow]:
    """The records of a CSV file (RFC 4180), numbered as a spreadsheet shows them."""
    delimiter = _sniff_delimiter(text.read(SNIFFED_CHARS), headers)
    text.seek(0)
    lines = _BoundedLines(text)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    number = 0
    while True:
        number += 1
        lines.was_cut = False
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield TableRow(row=number, fault=ROW_TOO_LONG if lines.was_cut else _QUOTES)
            continue
        if lines.was_cut or len(cells) > COLUMNS_MAX:
            yield TableRow(row=number, fault=ROW_TOO_LONG)
        else:
            yield TableRow(row=number, cells=cells)


def read_lines(text: io.TextIOWrapper) -> Iterator[IntakeRow]:
    """The resources of a JSON Lines file, one object a line, numbered by line; blank lines are passed over."""
    lines = _BoundedLines(text)
    for number, line in enumerate(lines, 1):
        if lines.was_cut:
            lines.was_cut = False
            yield IntakeRow(row=number, faults=(ROW_TOO_LONG.in_field(""),))
        elif line.strip():
            yield _read_object(number, line)


def _read_object(number: int, line: str) -> IntakeRow:
    try:
        fields = canonical.decode(
            line.encode(), dict[str, Any], bytes_max=4 * ROW_CHARS_MAX, depth_max=DOCUMENT_DEPTH_MAX
        )
    except (MalformedDocument, UnicodeEncodeError):
        return IntakeRow(row=number, faults=(_NOT_AN_OBJECT.in_field(""),))
    if "share_scope" not in fields and any(is_like_scope(name[:80]) for name in fields):
        return IntakeRow(row=number, faults=(_UNKNOWN_SCOPE.in_field("share_scope"),))
    found = describe({name: value for name, value in fields.items() if value is not None})
    if isinstance(found, Resource):
        return IntakeRow(row=number, resource=found)
    return IntakeRow(row=number, faults=found)


class _BoundedLines:
    """Lines of at most ROW_CHARS_MAX characters; of a longer one the beginning, and `was_cut` says so."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.was_cut = False

    def __iter__(self) -> "_BoundedLines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(ROW_CHARS_MAX)
        if not line:
            raise StopIteration
        if len(line) < ROW_CHARS_MAX or line[-1] in "\r\n":
            return line
        self.was_cut = True
        rest = line
        while rest and rest[-1] not in "\r\n":
            rest = self._text.readline(ROW_CHARS_MAX)
        return line[:80].replace('"', "") + "\n"


def _is_in(file: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    file.seek(0)
    try:
        while chunk := file.read(CHUNK_BYTES):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _sniff_delimiter(beginning: str, headers: Headers) -> str:
    """The delimiter under which some row near the top shows the most known headers."""
    return max(DELIMITERS, key=lambda delimiter: _headers_under(delimiter, beginning, headers))


def _headers_under(delimiter: str, beginning: str, headers: Headers) -> int:
    most = 0
    reader = csv.reader(io.StringIO(beginning, newline=""), delimiter=delimiter)
    for _ in range(HEADER_ROWS):
        try:
            most = max(most, headers.count(next(reader)[:COLUMNS_MAX]))
        except (StopIteration, csv.Error):
            break
    return most


_QUOTES: Final = UnfitCell(
    "引号没有成对，或引号之后紧跟着别的字。",
    "A quotation mark lacks its pair, or text follows one directly.",
    "含有逗号、引号或换行的内容用一对英文引号括起，其中的引号写两遍；也可以改用 XLSX。",
    "Put text that holds commas, quotes or line breaks in one pair of quotes, and double those inside; or use XLSX.",
)
_UNKNOWN_SCOPE: Final = UnfitCell(
    "有一个键像是共享范围，但写法不认识；忽略它会共享到全网。",
    "A key looks like a share scope but is not known as one; to ignore it would share with the whole network.",
    '请写成 "share_scope": {"reach": "siblings"}。',
    'Write "share_scope": {"reach": "siblings"}.',
)
_NOT_AN_OBJECT: Final = UnfitCell(
    "这一行不是完整的 JSON 对象，或其中有重复的键。",
    "The line is not one whole JSON object, or a key stands in it twice.",
    '每行写一个对象，例如 {"title": {"zh": "木雕入门"}, "type": "online_course", "section": "hobbies_interests"}。',
    'Write one object a line: {"title": {"en": "Carving"}, "type": "online_course", "section": "hobbies_interests"}.',
)
