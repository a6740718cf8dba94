"""What a file is, told from its content: the few kinds that people may offer, and nothing that a browser would run.

What lives here: marks of each kind, and the name under which a file is shown. What must not: unfolding anything. Of an
archive the list of its parts is read, within bounds; of a text its characters. A file that is two things at once is
refused where that can be seen (one that also ends as a ZIP archive); for the rest, files are only ever handed out to be
saved (`node/portal/file_pages.py`).
"""

import os
import re
import struct
import unicodedata
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

from federation.errors import InvalidInput

HEAD_BYTES: Final = 4_096
PIECE_BYTES: Final = 65_536
NAME_CHARS_MAX: Final = 80
PARTS_MAX: Final = 20_000
LIST_BYTES_MAX: Final = 4_000_000
ENDINGS_TAKEN: Final = ".pdf,.docx,.xlsx,.pptx,.odt,.odp,.epub,.png,.jpg,.jpeg,.webp,.mp3,.m4a,.mp4,.ogg,.txt,.csv"

_END: Final = struct.Struct("<4s4H2LH")  # PKWARE APPNOTE 4.3.16, end of central directory
_PART: Final = struct.Struct("<4s6H3L5H2L")  # 4.3.12, one entry of it
_MP4_BRANDS: Final = (b"iso", b"mp4", b"avc1", b"M4V ", b"MSNV", b"dash")
_MARKUP: Final = re.compile(
    rb"<\s*(!doctype\b|html\b|head\b|body\b|script\b|svg\b|iframe\b|\?xml\b|\?php\b|!--)", re.IGNORECASE
)
_CONTROL: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_UNFIT_IN_NAMES: Final = re.compile(r'[<>:"|?*/\\]')
_ENDING: Final = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")


class FileKindRefused(InvalidInput):
    code = "LLN-1145"
    zh = (
        "这种文件不收。可以提供：PDF，Word、Excel、PPT（docx、xlsx、pptx），ODT、ODP，EPUB，图片（PNG、JPG、WEBP），"
        "音频和视频（MP3、M4A、OGG、MP4），纯文本（TXT、CSV）。网页、程序和带宏的文档不收。"
    )
    en = (
        "Files of this kind are not taken. These are: PDF, docx, xlsx, pptx, ODT, ODP, EPUB, PNG, JPG, WEBP, MP3, M4A,"
        " OGG, MP4, TXT and CSV. Web pages, programs and documents with macros are not."
    )


class FileKind(msgspec.Struct, frozen=True, kw_only=True):
    """`endings`: how names of such files end, the usual one first."""

    media_type: str
    endings: tuple[str, ...]


def _kind(media_type: str, *endings: str) -> FileKind:
    return FileKind(media_type=media_type, endings=endings)


_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
_OPEN: Final = "application/vnd.oasis.opendocument"
PDF: Final = _kind("application/pdf", "pdf")
BY_FIRST_PART: Final = {
    f"{_OPEN}.text".encode(): _kind(f"{_OPEN}.text", "odt"),
    f"{_OPEN}.presentation".encode(): _kind(f"{_OPEN}.presentation", "odp"),
    b"application/epub+zip": _kind("application/epub+zip", "epub"),
}
BY_MAIN_PART: Final = {
    b"word/document.xml": _kind(f"{_OFFICE}.wordprocessingml.document", "docx"),
    b"xl/workbook.xml": _kind(f"{_OFFICE}.spreadsheetml.sheet", "xlsx"),
    b"ppt/presentation.xml": _kind(f"{_OFFICE}.presentationml.presentation", "pptx"),
}
PNG: Final = _kind("image/png", "png")
JPEG: Final = _kind("image/jpeg", "jpg", "jpeg")
WEBP: Final = _kind("image/webp", "webp")
MP3: Final = _kind("audio/mpeg", "mp3")
MP4: Final = _kind("video/mp4", "mp4")
M4A: Final = _kind("audio/mp4", "m4a")
OGG: Final = _kind("audio/ogg", "ogg", "oga")


def kind_of(file: BinaryIO, name: str) -> FileKind:
    """What the file is; raises FileKindRefused for everything that is not one of the kinds taken, and OSError."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if head.startswith(b"PK\x03\x04"):
        found = _archive(file, size, head)
    else:
        found = _by_head(head)
        if found is not None and _end_of_archive(file, size) is not None:
            raise FileKindRefused(shown_name(name), "it is an archive as well")
        found = found or _text(file, name)
    if found is None:
        raise FileKindRefused(shown_name(name))
    return found


def _by_head(head: bytes) -> FileKind | None:
    starts = (
        (b"%PDF-", PDF),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", PNG),
        (b"\xff\xd8\xff", JPEG),
        (b"ID3", MP3),
        (b"OggS\0", OGG),
    )
    for mark, kind in starts:
        if head.startswith(mark):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return M4A if brand in (b"M4A ", b"M4B ") else MP4 if brand.startswith(_MP4_BRANDS) else None
    return MP3 if _is_sound_frame(head) else None


def _is_sound_frame(head: bytes) -> bool:
    """MPEG audio, layer III, without a tag before it: frame sync, a bit rate and a sample rate that exist."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return False
    return head[1] & 0x18 != 0x08 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3


# --- archives --------------------------------------------------------------------------------------------------------


def _archive(file: BinaryIO, size: int, head: bytes) -> FileKind | None:
    """Whatever is kept in one ZIP: what its first part says, or which main part it has. Macros are not taken."""
    names = set(_parts(file, size))
    if any(one.endswith((b"vbaProject.bin", b".exe", b".dll", b".js", b".vbs", b".class")) for one in names):
        return None
    first = head[30 : 30 + 8]
    if first == b"mimetype":
        told = head[38 : 38 + 80]
        return next(
            (
                kind
                for mark, kind in BY_FIRST_PART.items()
                if told.startswith((mark + b"PK", mark + b"\r", mark + b"\n"))
            ),
            None,
        )
    if b"[Content_Types].xml" not in names:
        return None
    return next((kind for part, kind in BY_MAIN_PART.items() if part in names), None)


def _parts(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The names in an archive's own list of its parts; nothing where the list does not hold together or is too long."""
    end = _end_of_archive(file, size)
    if end is None or end[0] > PARTS_MAX or end[1] > LIST_BYTES_MAX:
        return
    count, length, start = end
    file.seek(start)
    listed, at = file.read(length), 0
    for _ in range(count):
        if at + _PART.size > len(listed):
            return
        fields = _PART.unpack_from(listed, at)
        if fields[0] != b"PK\x01\x02":
            return
        name, extra, remark = fields[10:13]
        yield listed[at + _PART.size : at + _PART.size + name]
        at += _PART.size + name + extra + remark


def _end_of_archive(file: BinaryIO, size: int) -> tuple[int, int, int] | None:
    """(parts, bytes of their list, where it starts) of a file that ends as a ZIP archive does; None for another."""
    length = min(size, _END.size + 65_535)
    file.seek(size - length)
    tail = file.read(length)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + _END.size <= len(tail):
            fields = _END.unpack_from(tail, at)
            count, listed, start, remark = fields[4:8]
            if at + _END.size + remark == len(tail) and start + listed <= size:
                return count, listed, start
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return None


# --- text ------------------------------------------------------------------------------------------------------------


def _text(file: BinaryIO, name: str) -> FileKind | None:
    """Text under a name of text: whole characters, no controls, and nothing that reads as a page or a script."""
    ending = name.rpartition(".")[2].lower()
    if ending not in ("txt", "csv"):
        return None
    media_type = "text/csv" if ending == "csv" else "text/plain"
    for charset in ("utf-8", "gb18030", "utf-16"):
        if _is_text(file, charset):
            return _kind(f"{media_type}; charset={charset}", ending)
    return None


def _is_text(file: BinaryIO, charset: str) -> bool:
    file.seek(0)
    decoder = getincrementaldecoder(charset)()
    is_first = True
    before = b""
    while piece := file.read(PIECE_BYTES):
        if is_first and (charset == "utf-16") != piece.startswith((b"\xff\xfe", b"\xfe\xff")):
            return False
        try:
            text = decoder.decode(piece)
        except UnicodeDecodeError:
            return False
        if _CONTROL.search(text) or (is_first and text.lstrip("\ufeff \r\n\t").startswith(("#!", "@echo"))):
            return False
        plain = before + text.encode("utf-8", "replace")
        if _MARKUP.search(plain):
            return False
        before, is_first = plain[-32:], False
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return not is_first


# --- names -----------------------------------------------------------------------------------------------------------


def shown_name(file: str, kind: FileKind | None = None) -> str:
    """A file's name as it may be shown and saved under: no folder, nothing that cannot be seen, the ending of its kind.

    Marks that turn the direction of writing could make one ending look like another; they go with the controls.
    """
    last = unicodedata.normalize("NFC", file[-1_000:].replace("\\", "/").rpartition("/")[2])
    seen = "".join(one for one in last if one.isprintable())
    stem = _UNFIT_IN_NAMES.sub("_", seen).strip(" .")
    if kind is None:
        return stem[:NAME_CHARS_MAX]
    ending = stem.rpartition(".")[2].lower()
    if ending not in kind.endings:
        ending = kind.endings[0]
    bare = _ENDING.sub("", stem).strip(" .")[: NAME_CHARS_MAX - 8].strip(" .")
    return f"{bare or 'file'}.{ending}"
