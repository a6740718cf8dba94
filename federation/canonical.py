"""A JSON value and its one byte string (RFC 8785, JCS), and the way back.

What lives here: encoding, bounded decoding into a type, and the digest of a document. What must not: what documents
mean (`catalogue.py`, `credentials.py`), or signing (`framing.py`).

Bytes that came from somewhere are kept verbatim and verified as they are; nothing is ever re-encoded to check a
signature.
"""

import functools
import hashlib
import json
import math
import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar, overload

import msgspec

from federation.errors import InvalidInput

INTEGER_MAX: Final = 2**53 - 1  # RFC 7493 §2.2, by way of RFC 8785 §3.2.2.3
DEPTH_MAX: Final = 16
_TOLD_CHARS_MAX: Final = 200

T = TypeVar("T")

_encoder: Final = msgspec.json.Encoder(order="sorted")

# The encoder above differs from RFC 8785 only in how it writes some numbers, NaN and infinity (as null), integers
# beyond 53 bits, and the order of names of which one holds a character above U+FFFF (UTF-8 order is UTF-16 order
# without those). Where its output shows none of these, not even by accident in a string, it is the answer. Of the
# numbers with a point it writes as ECMAScript does what has no exponent, no zero at the end, and no six zeros after
# the point.
_NUMBER_OR_NULL: Final = re.compile(
    rb"[:\[,](?=[n0-9-])(?:null|-?[0-9]{15}|-?[0-9]++(?:[eE]|\.(?:000000|[0-9]*+(?:[eE]|(?<=0)))))"
)
_ABOVE_FFFF: Final = bytes(range(0xF0, 0xF5))  # RFC 3629 §4: how such a character begins
_FROM_ABOVE_FFFF: Final = re.compile(rb'[\xf0-\xf4](?:[^"\\]++|\\.)*+"(:?)')

# Possessive, and closed by the end of the input too, so that no input makes it look twice at a byte.
_NEXT_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.?)*+(?:"|\Z))*+([\[\]{}]|\Z)', re.DOTALL)
_NO_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_VALUE_IN_REASON: Final = re.compile(r"^(Invalid (?:enum )?value) .*?(?= - at `\$[^`]*`$|$)", re.DOTALL)


class MalformedDocument(InvalidInput):
    code = "LLN-117"
    zh = "文档不是可接受的 JSON：过大、嵌套过深、键重复，或内容与要求不符。"
    en = "Not an acceptable JSON document: too large, nested too deeply, a repeated key, or not of the expected shape."


class UnencodableValue(InvalidInput):
    code = "LLN-118"
    zh = "这个值没有规范的 JSON 写法：例如超过 53 位的整数、非数字或残缺的字符。"
    en = "The value has no canonical JSON form: an integer beyond 53 bits, not a number, or half a character."


def encode(value: object) -> bytes:
    """The canonical bytes (RFC 8785) of a JSON value, or of a msgspec.Struct made of such; raises UnencodableValue."""
    try:
        if isinstance(value, (msgspec.Struct, dict, list, tuple)):
            encoded = _encoder.encode(value)
            if _is_surely_canonical(encoded):
                return encoded
        parts: list[str] = []
        _write(msgspec.to_builtins(value, order="sorted"), parts.append)
        return "".join(parts).encode()
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise UnencodableValue(type(value).__name__, str(error)[:_TOLD_CHARS_MAX]) from error


@overload
def decode(data: bytes, type: type[T], *, bytes_max: int, depth_max: int = DEPTH_MAX) -> T: ...
@overload
def decode(data: bytes, type: Any, *, bytes_max: int, depth_max: int = DEPTH_MAX) -> Any: ...
def decode(data: bytes, type: Any, *, bytes_max: int, depth_max: int = DEPTH_MAX) -> Any:  # noqa: A002  # msgspec's word
    """Read `data` as `type`, refusing more than `bytes_max` bytes, `depth_max` levels, or a name given twice.

    White space and the order of names are free, as in any JSON; unknown names are ignored unless the type forbids them.
    Raises MalformedDocument, whose reason names the field and never repeats its value.
    """
    if len(data) > bytes_max:
        raise MalformedDocument("document", f"{len(data)} bytes, at most {bytes_max}")
    if data.count(b"{") + data.count(b"[") > depth_max and _is_too_deep(data, depth_max):
        raise MalformedDocument("document", f"nested more than {depth_max} deep")
    try:
        value = _decoder_of(type).decode(data)
        # A name given twice would be lost on the way back (RFC 8785 §3.1: names are unique). Documents that our own
        # encoder wrote come back equal and need no second look.
        if _encoder.encode(value) != data:
            json.loads(data, object_pairs_hook=_refuse_repeated_names)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise MalformedDocument("document", reason(error)) from error
    return value


def digest(data: bytes) -> bytes:
    """SHA-256 of exactly these bytes; 32 bytes."""
    return hashlib.sha256(data).digest()


def _is_surely_canonical(encoded: bytes) -> bool:
    """Each character above U+FFFF is looked at up to the end of its string: only in a name does it matter."""
    has_any_above = len(encoded.translate(None, _ABOVE_FFFF)) < len(encoded)
    if has_any_above and any(string[1] for string in _FROM_ABOVE_FFFF.finditer(encoded)):
        return False
    return not _NUMBER_OR_NULL.search(_outside_strings(encoded))


def _write(value: Any, put: Any) -> None:
    match value:
        case None:
            put("null")
        case bool():
            put("true" if value else "false")
        case str():
            put(_text(value))
        case int():
            put(_integer(value))
        case float():
            put(_number(value))
        case list() | tuple():
            _write_array(value, put)
        case dict():
            _write_object(value, put)
        case _:
            raise TypeError(f"{type(value).__name__} is not JSON")


def _write_array(values: Sequence[Any], put: Any) -> None:
    separator = "["
    for value in values:
        put(separator)
        _write(value, put)
        separator = ","
    put("]" if values else "[]")


def _write_object(members: dict[str, Any], put: Any) -> None:
    separator = "{"
    for name in sorted(members, key=_utf16):
        put(separator)
        put(_text(name))
        put(":")
        _write(members[name], put)
        separator = ","
    put("}" if members else "{}")


def _utf16(name: str) -> bytes:
    """Names are ordered by UTF-16 code units (RFC 8785 §3.2.3)."""
    return name.encode("utf-16-be")


def _text(text: str) -> str:
    """The parser's own encoder escapes exactly what RFC 8785 §3.2.2.2 escapes, and refuses lone surrogates."""
    return _encoder.encode(text).decode()


def _integer(value: int) -> str:
    if not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise ValueError("an integer beyond 53 bits")
    return str(value)


def _number(value: float) -> str:
    """As ECMAScript's Number::toString writes it (RFC 8785 §3.2.2.3; ECMA-262 §6.1.6.1.20)."""
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(value)).partition("e")  # Python writes the same shortest digits
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction) + int(exponent or 0)
    digits = digits.rstrip("0")
    return ("-" if value < 0 else "") + _place_point(digits, point)


def _place_point(digits: str, point: int) -> str:
    """Write 0.`digits` times ten to the power of `point`."""
    if len(digits) <= point <= 21:
        return digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def _is_too_deep(data: bytes, depth_max: int) -> bool:
    """Whether arrays and objects stand inside each other more than `depth_max` deep.

    Each round takes the innermost pairs away. Which kind of bracket closes which is for the parser to object to.
    """
    outside = b"".join(_NEXT_BRACKET.findall(data)) if b"\\" in data else _outside_strings(data)
    brackets = outside.translate(_ONE_KIND, _NO_BRACKET)
    for _ in range(depth_max):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _outside_strings(data: bytes) -> bytes:
    """What stands outside of strings, if that is easily told: without a backslash each quote begins or ends one."""
    return data if b"\\" in data else b"".join(data.split(b'"')[::2])


@functools.lru_cache(maxsize=256)
def _decoder_of(document_type: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(document_type)


def _refuse_repeated_names(members: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in members}) < len(members):
        raise ValueError("a name is given twice in one object")


def reason(error: Exception) -> str:
    """What the parser found, without the value it found: that may be somebody's."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return _VALUE_IN_REASON.sub(r"\1", str(error))[:_TOLD_CHARS_MAX]
