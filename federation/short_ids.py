"""Random ids that people read aloud and type: a letter that says of what, and sixteen characters of Crockford's base32.

What lives here: writing and reading them. What must not: drawing the random bytes, or what an id stands for.
"""

import re
import unicodedata
from typing import Annotated, Final

from msgspec import Meta

from federation.errors import InvalidInput

ID_BYTES: Final = 10
"""80 bits: nobody meets another's id by chance."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SHAPE: Final = "[0-9A-HJKMNP-TV-Z]{16}"
_LEFT_OUT: Final = re.compile(r"[\s\-_]+")
_MISREAD: Final = str.maketrans("OIL", "011")

LearnerId = Annotated[str, Meta(pattern=f"^L{_SHAPE}$")]
ConsentId = Annotated[str, Meta(pattern=f"^C{_SHAPE}$")]


class MalformedShortId(InvalidInput):
    code = "LLN-1185"
    zh = "编号写法不对：应为一个字母加 16 位字母数字，例如 lln learner list 所列。"
    en = "Not an id as it is given out: a letter and sixteen characters, as lln learner list prints them."


def encode(raw: bytes) -> str:
    """Crockford's base32 of `raw`, upper case, five bits a character, the last ones filled up with zeros."""
    bits = len(raw) * 8
    count = -(-bits // 5)
    number = int.from_bytes(raw, "big") << (count * 5 - bits)
    return "".join(_ALPHABET[number >> 5 * at & 31] for at in reversed(range(count)))


def write_id(letter: str, raw: bytes) -> str:
    """The id that `raw`, ID_BYTES of them, stand for."""
    assert len(raw) == ID_BYTES, len(raw)  # noqa: S101  # our own mistake, never an input
    return letter + encode(raw)


def read_id(letter: str, text: str) -> str:
    """An id as somebody typed it, spaces, case, O for 0 and I or L for 1 forgiven; raises MalformedShortId.

    What was typed is never repeated: it may be a person's number, typed in the wrong place.
    """
    folded = _LEFT_OUT.sub("", unicodedata.normalize("NFKC", text[:80])).upper()
    found = folded[:1] + folded[1:].translate(_MISREAD)
    if not re.fullmatch(f"{letter}{_SHAPE}", found):
        raise MalformedShortId("id", f"expected {letter} and 16 characters")
    return found
