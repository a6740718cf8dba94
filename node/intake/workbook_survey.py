"""Surveying: what an XLSX file would unfold to, looked at before anything unfolds it.

What lives here: bounds on the archive and on each sheet, where the formulas are, and a clean archive of the few parts
that reading needs. What must not: reading values (`workbooks.py`).

The reader of values keeps a sheet as one rectangle, so that a single cell in the last corner would ask for 17 billion;
and it shows a formula's stored result, not that it is one. Both are seen here. What is handed on is packed anew, so
that nobody else has to agree with this module on what a damaged archive contains.
"""

import io
import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from typing import BinaryIO, Final
from xml.parsers import expat

import msgspec

from federation.errors import LlnError
from node.intake.rows import MalformedWorkbook, OversizeWorkbook, UnknownFileKind

PARTS_MAX: Final = 4_096
UNPACKED_BYTES_MAX: Final = 256 * 1024 * 1024
CELLS_MAX: Final = 10_000_000
SHARED_CHARS_MAX: Final = 256 * 1024 * 1024
FORMULAS_MAX: Final = 1_000_000
SHEETS_MAX: Final = 256
ROWS_IN_SHEET: Final = 1_048_576  # ECMA-376 Part 1 §18.3.1.73, as every program bounds it
COLUMNS_IN_SHEET: Final = 16_384

_WORKBOOK: Final = "xl/workbook.xml"
_RELATIONS: Final = "xl/_rels/workbook.xml.rels"
_SHARED: Final = "xl/sharedStrings.xml"
_OTHERS: Final = ("[Content_Types].xml", "_rels/.rels", "xl/styles.xml")
_REFERENCE: Final = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})\Z")
_ROW: Final = re.compile(r"[1-9][0-9]{0,6}\Z")
_INDEX: Final = re.compile(r"\s*([0-9]{1,9})\s*\Z")


class SurveyedSheet(msgspec.Struct, frozen=True, kw_only=True):
    """One visible sheet: its place among all sheets, and where its formulas are as row * COLUMNS_IN_SHEET + column."""

    position: int
    formulas: frozenset[int]


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """`archive` holds only surveyed parts; `sheets` in the order of the workbook."""

    archive: bytes
    sheets: tuple[SurveyedSheet, ...]


def survey_workbook(file: BinaryIO, name: str) -> Survey:
    """Look through an XLSX file; raises MalformedWorkbook, OversizeWorkbook, UnknownFileKind and nothing else."""
    try:
        return _survey(file, name)
    except LlnError:
        raise
    except Exception as error:  # damaged archives show themselves in a dozen exceptions of zipfile, zlib and expat
        raise MalformedWorkbook(name, f"{type(error).__name__}: {error}"[:200]) from error


def _survey(file: BinaryIO, name: str) -> Survey:
    with zipfile.ZipFile(file) as archive:
        parts = _Parts(archive, name)
        workbook = _BookReader(name)
        workbook.read(parts.take(_WORKBOOK), "sheet")
        relations = _BookReader(name)
        relations.read(parts.take(_RELATIONS), "Relationship")
        for other in _OTHERS:
            parts.take_if_there(other)
        lengths = _shared_lengths(parts.take_if_there(_SHARED), name)
        targets = {attributes.get("Id", ""): attributes for attributes in relations.found}
        sheets = []
        for position, attributes in enumerate(workbook.found[:SHEETS_MAX]):
            relation = targets.get(attributes.get("id", ""), {})
            if relation.get("Type", "").endswith("/worksheet"):
                reader = _SheetReader(name, lengths)
                reader.read(parts.take(_path_of(relation.get("Target", ""))))
                if attributes.get("state", "visible") == "visible":
                    sheets.append(SurveyedSheet(position=position, formulas=frozenset(reader.formulas)))
        return Survey(archive=parts.packed(), sheets=tuple(sheets))


def _path_of(target: str) -> str:
    return target.removeprefix("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")


class _Parts:
    """The parts of an archive, found whatever the case of their names, unpacked one by one within bounds."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        entries = archive.infolist()
        if len(entries) > PARTS_MAX:
            raise OversizeWorkbook(name, f"{len(entries)} parts, at most {PARTS_MAX}")
        self._archive = archive
        self._name = name
        self._entries = {entry.filename.replace("\\", "/").casefold(): entry for entry in entries}
        if _WORKBOOK not in self._entries:
            raise UnknownFileKind(name, f"an archive without {_WORKBOOK}")
        self._left_bytes = UNPACKED_BYTES_MAX
        self._taken: dict[str, bytes] = {}

    def take(self, path: str) -> bytes:
        part = self.take_if_there(path)
        if part is None:
            raise MalformedWorkbook(self._name, f"lacks {path[:80]}")
        return part

    def take_if_there(self, path: str) -> bytes | None:
        if path in self._taken:
            return self._taken[path]
        entry = self._entries.get(path.casefold())
        if entry is None:
            return None
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise MalformedWorkbook(self._name, f"packed by method {entry.compress_type}")
        with self._archive.open(entry) as packed:
            part = packed.read(self._left_bytes + 1)
        self._left_bytes -= len(part)
        if self._left_bytes < 0:
            raise OversizeWorkbook(self._name, f"more than {UNPACKED_BYTES_MAX} bytes unpacked")
        self._taken[path] = part
        return part

    def packed(self) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as clean:
            for path, part in self._taken.items():
                clean.writestr(zipfile.ZipInfo(path), part)
        return buffer.getvalue()


class _XmlReader:
    """One pass over one part, as UTF-8 and without a document type: what is seen here is what any reader sees."""

    def __init__(self, name: str) -> None:
        self._name = name

    def parse(self, part: bytes, parser: expat.XMLParserType) -> None:
        if b"\0" in part:  # UTF-16, which one reader would follow and another not
            raise MalformedWorkbook(self._name, "a part is not UTF-8")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse_document_type
        parser.Parse(part, True)

    def _refuse_document_type(self, *_: object) -> None:
        raise MalformedWorkbook(self._name, "declares a document type")


class _BookReader(_XmlReader):
    """The attributes of every element of one name, namespace prefixes left out."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.found: list[Mapping[str, str]] = []

    def read(self, part: bytes, element: str) -> None:
        def start(tag: str, attributes: dict[str, str]) -> None:
            if tag.rpartition(":")[2] == element:
                self.found.append({key.rpartition(":")[2]: value for key, value in attributes.items()})

        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = start
        self.parse(part, parser)


def _shared_lengths(part: bytes | None, name: str) -> list[int]:
    """How many characters each shared string has, an upper bound."""
    lengths: list[int] = []
    if part is None:
        return lengths

    def start(tag: str, _: dict[str, str]) -> None:
        if tag.rpartition(":")[2] == "si":
            lengths.append(0)

    def text(characters: str) -> None:
        if lengths:
            lengths[-1] += len(characters)

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = start
    parser.CharacterDataHandler = text
    _XmlReader(name).parse(part, parser)
    return lengths


class _SheetReader(_XmlReader):
    """Where the cells of one sheet are: its rectangle, its formulas, and how much shared text it repeats."""

    def __init__(self, name: str, shared_lengths: list[int]) -> None:
        super().__init__(name)
        self._shared_lengths = shared_lengths
        self._row = self._column = 0
        self._rows = self._columns = 1
        self._is_shared = self._is_value = False
        self._shared: Counter[str] = Counter()
        self.formulas: set[int] = set()

    def read(self, part: bytes) -> None:
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self.parse(part, parser)
        repeated = sum(count * self._length(index) for index, count in self._shared.items())
        if repeated > SHARED_CHARS_MAX:
            raise OversizeWorkbook(self._name, f"{repeated} characters in a sheet, at most {SHARED_CHARS_MAX}")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        match tag.rpartition(":")[2]:
            case "c":
                self._enter_cell(attributes)
            case "v" | "is" | "t":
                self._is_value = True
                self._reach()
            case "f":
                self.formulas.add((self._row - 1) * COLUMNS_IN_SHEET + self._column - 1)
                self._reach()
                if len(self.formulas) > FORMULAS_MAX:
                    raise OversizeWorkbook(self._name, f"more than {FORMULAS_MAX} formulas")
            case "row":
                self._enter_row(attributes)

    def _end(self, _: str) -> None:
        self._is_value = False

    def _text(self, characters: str) -> None:
        if self._is_shared and self._is_value:
            self._shared[characters] += 1

    def _enter_row(self, attributes: Mapping[str, str]) -> None:
        said = attributes.get("r")
        if said is not None and not _ROW.match(said):
            raise MalformedWorkbook(self._name, f"row {said[:20]!r}")
        self._row = int(said) if said else self._row + 1
        self._column = 0

    def _enter_cell(self, attributes: Mapping[str, str]) -> None:
        said = attributes.get("r")
        if said is None:
            self._column += 1
        else:
            found = _REFERENCE.match(said)
            if found is None:
                raise MalformedWorkbook(self._name, f"cell {said[:20]!r}")
            self._column = _column_number(found[1])
            self._row = int(found[2])
        self._row = max(self._row, 1)
        if self._row > ROWS_IN_SHEET or self._column > COLUMNS_IN_SHEET:
            raise MalformedWorkbook(self._name, f"cell in row {self._row}, column {self._column}")
        self._is_shared = attributes.get("t") == "s"

    def _reach(self) -> None:
        """Only cells that hold something are kept in the rectangle."""
        self._rows = max(self._rows, self._row)
        self._columns = max(self._columns, self._column)
        if self._rows * self._columns > CELLS_MAX:
            raise OversizeWorkbook(
                self._name, f"a sheet of {self._rows} rows and {self._columns} columns, {CELLS_MAX} cells at most"
            )

    def _length(self, index: str) -> int:
        found = _INDEX.match(index)
        at = int(found[1]) if found else len(self._shared_lengths)
        return self._shared_lengths[at] if at < len(self._shared_lengths) else 0


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
