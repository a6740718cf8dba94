"""Short codes: sixteen characters that can be read out over the telephone, for what a printed certificate points at.

What lives here: making and reading them, and their picture as a QR code. What must not: what a code stands for
(`usecases`), or randomness, which is handed in.

Fourteen characters are 70 random bits in Crockford's base 32; two more are a check. The check is the number modulo a
prime, so that every single wrong character and every swap of two neighbours is found.
"""

import io
from typing import Final, Literal

import segno

from federation.errors import InvalidInput

RANDOM_BYTES: Final = 9
CODE_CHARS: Final = 16
CONTENT_CHARS_MAX: Final = 500

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_CHARS: Final = 14
_CHECK_PRIME: Final = 1021  # the largest that two characters can hold
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


class MistypedCode(InvalidInput):
    code = "LLN-1194"
    zh = "短码有误：应为 16 个字符。请核对后重新输入，注意相邻字符不要颠倒。"
    en = "The short code is not right: it has 16 characters. Compare it and type it again; mind swapped neighbours."


class UndrawableCode(InvalidInput):
    code = "LLN-1195"
    zh = "内容过长，不能画成二维码。"
    en = "The content is too long for a QR code."


def new(random: bytes) -> str:
    """The code of 9 random bytes, without hyphens."""
    assert len(random) == RANDOM_BYTES, len(random)  # noqa: S101  # our own randomness
    number = int.from_bytes(random, "big") >> (8 * RANDOM_BYTES - 5 * _RANDOM_CHARS)
    return _digits(number, _RANDOM_CHARS) + _digits(number % _CHECK_PRIME, CODE_CHARS - _RANDOM_CHARS)


def read(typed: str) -> str:
    """The code that somebody typed, forgiving case, hyphens, and letters that look like digits; raises MistypedCode."""
    code = typed[: 4 * CODE_CHARS].upper().translate(_READ_AS)
    if len(code) != CODE_CHARS or not set(code) <= set(_DIGITS):
        raise MistypedCode(typed[:40])
    number = _number(code[:_RANDOM_CHARS])
    if _number(code[_RANDOM_CHARS:]) != number % _CHECK_PRIME:
        raise MistypedCode(typed[:40])
    return code


def grouped(code: str) -> str:
    """`ABCD-EFGH-JKMN-PQRS`, as it is printed."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def qr_code(content: str, form: Literal["svg", "png"], *, scale: int = 4) -> bytes:
    """A QR code that survives a crumpled corner (error correction M), as a picture; raises UndrawableCode."""
    if not 0 < len(content) <= CONTENT_CHARS_MAX:
        raise UndrawableCode("QR code", f"{len(content)} characters, at most {CONTENT_CHARS_MAX}")
    drawn = io.BytesIO()
    segno.make_qr(content, error="m").save(drawn, kind=form, scale=scale)
    return drawn.getvalue()


def _digits(number: int, count: int) -> str:
    digits = [_DIGITS[number >> 5 * place & 31] for place in reversed(range(count))]
    return "".join(digits)


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number << 5 | _DIGITS.index(digit)
    return number
