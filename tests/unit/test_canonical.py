"""Canonical JSON: what is written, and what is refused on the way in."""

import json
import struct
import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import canonical
from federation.canonical import MalformedDocument, UnencodableValue

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# Larger floats may be written as integers (RFC 8785 appendix B), which are not read back as floats.
numbers = st.floats(-(2.0**53), 2.0**53, exclude_min=True, exclude_max=True)
safe_integers = st.integers(-canonical.INTEGER_MAX, canonical.INTEGER_MAX)
json_values = st.recursive(
    st.none() | st.booleans() | safe_integers | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    title: str
    hours: int = 0
    inside: "Place | None" = None


def written_slowly(value: object) -> bytes:
    parts: list[str] = []
    canonical._write(msgspec.to_builtins(value), parts.append)
    return "".join(parts).encode()


@given(json_values)
def test_encoding_survives_another_parser(value):
    assert json.loads(canonical.encode(value)) == value


@given(json_values)
def test_fast_and_exact_encoders_agree(value):
    assert canonical.encode(value) == written_slowly(value)


@given(json_values)
def test_encoding_is_its_own_fixed_point(value):
    encoded = canonical.encode(value)
    assert canonical.encode(canonical.decode(encoded, object, bytes_max=len(encoded))) == encoded


@given(st.dictionaries(texts, st.just(1), max_size=8))
def test_names_are_ordered_by_utf16_units(members):
    names = list(json.loads(canonical.encode(members)))
    assert names == sorted(members, key=lambda name: name.encode("utf-16-be"))


def test_every_character_is_escaped_as_rfc_8785_asks():
    escapes = {point: f"\\u{point:04x}" for point in range(0x20)}
    escapes |= {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", ord('"'): '\\"', ord("\\"): "\\\\"}
    lowest = [point for point in range(0x10000) if not 0xD800 <= point <= 0xDFFF]
    for points in (lowest, range(0x10000, sys.maxunicode + 1, 251)):
        expected = ",".join('"' + escapes.get(point, chr(point)) + '"' for point in points)
        assert canonical.encode([chr(point) for point in points]) == f"[{expected}]".encode()


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\udc00\ud800"])
def test_lone_surrogates_are_refused(text):
    for value in (text, [text], {text: 1}):
        with pytest.raises(UnencodableValue):
            canonical.encode(value)


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**64, 10**30])
def test_integers_beyond_53_bits_are_refused(number):
    for value in (number, [number], {"n": number}, Place(title="t", hours=number)):
        with pytest.raises(UnencodableValue):
            canonical.encode(value)


def test_integers_of_53_bits_are_written():
    assert canonical.encode([2**53 - 1, -(2**53 - 1)]) == b"[9007199254740991,-9007199254740991]"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused(number):
    for value in (number, [number], {"n": {"m": number}}):
        with pytest.raises(UnencodableValue):
            canonical.encode(value)


@pytest.mark.parametrize("value", [object(), {1: 2}, {"a": object()}, [{None: 1}]])
def test_what_is_no_json_is_refused(value):
    with pytest.raises(UnencodableValue):
        canonical.encode(value)


def test_a_value_inside_itself_is_refused():
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(UnencodableValue):
        canonical.encode(loop)


# RFC 8785 appendix B
@pytest.mark.parametrize(
    ("bits", "written"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_are_written_as_ecmascript_writes_them(bits, written):
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical.encode(number) == written.encode()
    assert canonical.encode({"n": [number]}) == b'{"n":[%b]}' % written.encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_as_themselves(number):
    assert float(canonical.encode(number)) == number


def test_structs_are_written_as_their_documents():
    place = Place(title="嘉善 ☕", inside=Place(title="\u2028", hours=3))
    assert canonical.encode(place) == '{"inside":{"hours":3,"title":"\u2028"},"title":"嘉善 ☕"}'.encode()
    assert canonical.decode(canonical.encode(place), Place, bytes_max=100) == place


def test_tuples_and_sets_are_written_as_arrays_by_either_road():
    assert canonical.encode({"a": (1, 2), "b": {"y", "x"}}) == b'{"a":[1,2],"b":["x","y"]}'
    assert canonical.encode({"a": (1, None), "b": {"y", "x"}}) == b'{"a":[1,null],"b":["x","y"]}'


def test_a_document_in_another_order_and_with_unknown_names_is_read():
    document = b' {"title": "t", "later": [1.0, null], "hours" : 2}'
    assert canonical.decode(document, Place, bytes_max=100) == Place(title="t", hours=2)


@pytest.mark.parametrize(
    "document",
    [
        b'{"title":"a","title":"a"}',
        b'{"title":"a","titl\\u0065":"b"}',
        b'{"title":"a","inside":{"title":"a","hours":1,"hours":1}}',
        b'{"title":"a","later":{"x":1,"x":2}}',
    ],
)
def test_a_name_given_twice_is_refused(document):
    with pytest.raises(MalformedDocument, match="twice"):
        canonical.decode(document, Place, bytes_max=100)
    with pytest.raises(MalformedDocument, match="twice"):
        canonical.decode(document, object, bytes_max=100)


def test_size_is_bounded_before_anything_is_read():
    assert canonical.decode(b'"aa"', str, bytes_max=4) == "aa"
    with pytest.raises(MalformedDocument, match="5 bytes, at most 4"):
        canonical.decode(b'"aaa"', str, bytes_max=4)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_is_bounded(opening):
    closing = b"]" if opening == b"[" else b"}"
    sixteen = opening * 16 + b"1" + closing * 16
    deepest = canonical.decode(sixteen, object, bytes_max=200)
    assert canonical.encode(deepest) == sixteen
    for document in (opening + sixteen + closing, opening * 100_000):
        with pytest.raises(MalformedDocument, match="deep"):
            canonical.decode(document, object, bytes_max=1_000_000)


@given(json_values, st.integers(1, 5))
def test_depth_is_told_alike_with_and_without_escapes(value, depth):
    def measured(inner: object) -> int:
        if isinstance(inner, dict):
            return 1 + max(map(measured, inner.values()), default=0)
        return 1 + max(map(measured, inner), default=0) if isinstance(inner, list) else 0

    plain, escaped = canonical.encode(["", value]), canonical.encode(["\\[{", value])
    expected = 1 + measured(value) > depth
    assert canonical._is_too_deep(plain, depth) == expected
    assert canonical._is_too_deep(escaped, depth) == expected


def test_brackets_inside_strings_and_side_by_side_are_not_nesting():
    document = canonical.encode(["[[[[" * 10, '"{\\' * 10, *([] for _ in range(40))])
    assert len(canonical.decode(document, list, bytes_max=1_000)) == 42


def test_an_unclosed_string_of_quotes_is_refused_in_linear_time():
    document = b"[" * 17 + b'"' + b'\\"' * 500_000 + b"\\"
    with pytest.raises(MalformedDocument):
        canonical.decode(document, object, bytes_max=2_000_000)


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_no_bytes_raise_a_foreign_exception(document):
    for document_type in (Place, object):
        try:
            canonical.decode(document, document_type, bytes_max=150)
        except MalformedDocument:
            continue


@given(json_values, st.data())
def test_no_damaged_document_raises_a_foreign_exception(value, data):
    document = bytearray(canonical.encode(value))
    at = data.draw(st.integers(0, len(document) - 1))
    document[at] = data.draw(st.integers(0, 255))
    try:
        canonical.decode(bytes(document), object, bytes_max=len(document))
    except MalformedDocument:
        return


def test_a_refusal_names_the_field_and_not_its_value():
    for document in (b'{"title":5}', b'{"title":"t","inside":{"title":"t","hours":"secret"}}'):
        with pytest.raises(MalformedDocument, match=r"at `\$") as refused:
            canonical.decode(document, Place, bytes_max=100)
        assert "secret" not in str(refused.value)
    for reason in ("Invalid enum value 'secret ' - at `$.k`' - at `$.colour`", "Invalid value 'secret'"):
        told = canonical.reason(ValueError(reason))
        assert "secret" not in told
        assert told.startswith("Invalid")


def test_digest_is_sha256():
    assert canonical.digest(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
