"""QR codes: a line of text as a picture, for what is printed.

What lives here: drawing. What must not: what the line says, or short codes themselves (`federation/short_codes.py`).
"""

import io
from typing import Final, Literal

from federation.errors import InvalidInput

CONTENT_CHARS_MAX: Final = 500


class UndrawableCode(InvalidInput):
    code = "LLN-1195"
    zh = "内容过长，不能画成二维码。"
    en = "The content is too long for a QR code."


def qr_code(content: str, form: Literal["svg", "png"], *, scale: int = 4) -> bytes:
    """A QR code that survives a crumpled corner (error correction M), as a picture; raises UndrawableCode."""
    if not 0 < len(content) <= CONTENT_CHARS_MAX:
        raise UndrawableCode("QR code", f"{len(content)} characters, at most {CONTENT_CHARS_MAX}")
    import segno  # noqa: PLC0415  # it brings half of urllib along, and few draw codes

    drawn = io.BytesIO()
    segno.make_qr(content, error="m").save(drawn, kind=form, scale=scale)
    return drawn.getvalue()


def in_terminal(content: str) -> str:
    """The same as text, two rows of modules a line."""
    import segno  # noqa: PLC0415  # as above

    drawn = io.StringIO()
    segno.make_qr(content, error="m").terminal(drawn, compact=True)
    return drawn.getvalue()
