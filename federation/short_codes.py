"""Short codes: sixteen characters that can be read out over the telephone, for what a printed certificate points at.

What lives here: making and reading them. What must not: what a code stands for (`node/usecases`), its picture
(`node/formats`), or randomness, which is handed in.

Fourteen characters are 70 random bits in Crockford's base 32; two more are a check. The check is the number modulo a
prime, so that every single wrong character and every swap of two neighbours is found.
"""

from typing import Final

from federation.errors import InvalidInput, NotFound

RANDOM_BYTES: Final = 9
CODE_CHARS: Final = 16

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_CHARS: Final = 14
_CHECK_PRIME: Final = 1021  # the largest that two characters can hold
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None})


class MistypedCode(InvalidInput):
    code = "LLN-1194"
    zh = "短码有误：应为 16 个字符。请核对后重新输入，注意相邻字符不要颠倒。"
    en = "The short code is not right: it has 16 characters. Compare it and type it again; mind swapped neighbours."


class ProofUnknown(NotFound):
    """One answer for all of it: who tries codes learns nothing."""

    code = "LLN-1212"
    zh = "没有可以查看的证明：短码有误、已到期或已撤回。请向学习者核对。"
    en = "There is nothing to be seen under this code: it is wrong, over or withdrawn. Ask the learner."


def new(random: bytes) -> str:
    """The code of 9 random bytes, without hyphens."""
    assert len(random) == RANDOM_BYTES, len(random)  # noqa: S101  # our own randomness
    number = int.from_bytes(random, "big") >> (8 * RANDOM_BYTES - 5 * _RANDOM_CHARS)
    return _digits(number, _RANDOM_CHARS) + _digits(number % _CHECK_PRIME, CODE_CHARS - _RANDOM_CHARS)


def read(typed: str) -> str:
    """The code that somebody typed; case, hyphens, blanks and letters like digits do not matter. Else MistypedCode."""
    code = "".join(typed[: 4 * CODE_CHARS].upper().split()).translate(_READ_AS)
    if len(code) != CODE_CHARS or not set(code) <= set(_DIGITS):
        raise MistypedCode(typed[:40])
    number = _number(code[:_RANDOM_CHARS])
    if _number(code[_RANDOM_CHARS:]) != number % _CHECK_PRIME:
        raise MistypedCode(typed[:40])
    return code


def grouped(code: str) -> str:
    """`ABCD-EFGH-JKMN-PQRS`, as it is printed."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def _digits(number: int, count: int) -> str:
    digits = [_DIGITS[number >> 5 * place & 31] for place in reversed(range(count))]
    return "".join(digits)


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number << 5 | _DIGITS.index(digit)
    return number
