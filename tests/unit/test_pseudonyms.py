"""Ids that people type, and pseudonyms that tell two nodes nothing in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import LlnError
from federation.naming import NodeName
from federation.pseudonyms import Handle, MalformedHandle, subject_for
from federation.short_ids import ID_BYTES, MalformedShortId, encode, read_id, write_id

RAW = st.binary(min_size=ID_BYTES, max_size=ID_BYTES)
A, B = NodeName("a.lln.internal"), NodeName("b.lln.internal")
SECRET = b"\1" * 32


@given(RAW)
def test_an_id_is_read_back_however_it_is_typed(raw):
    written = write_id("L", raw)
    assert len(written) == 17
    assert read_id("L", written) == written
    typed = f" {written[0]}-{written[1:9]} {written[9:]}\n".lower().replace("0", "o").replace("1", "l")
    assert read_id("L", typed) == written


@given(st.lists(RAW, unique=True, max_size=20))
def test_ids_differ_where_their_bytes_do(raws):
    assert len({write_id("C", raw) for raw in raws}) == len(raws)


@given(st.text(max_size=200))
def test_anything_else_is_refused_without_being_repeated(text):
    told = ""
    try:
        read = read_id("L", text)
        assert read_id("L", read) == read
    except MalformedShortId as refused:
        told = str(refused)
    assert len(text) < 4 or text not in told


def test_an_id_of_another_kind_or_a_persons_number_is_refused():
    for text in (write_id("C", b"\0" * ID_BYTES), "999999201001010016", "L", ""):
        with pytest.raises(MalformedShortId):
            read_id("L", text)


def test_the_alphabet_is_crockfords():
    assert encode(bytes.fromhex("00443214c74254b635cf84653a56d7c675be77df")) == "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    assert encode(b"\xff") == "ZW"


def test_a_pseudonym_is_the_same_for_one_node_and_another_for_the_next():
    first = subject_for(SECRET, "L1", A)
    assert first == subject_for(SECRET, "L1", A)
    others = {subject_for(SECRET, "L1", B), subject_for(SECRET, "L2", A), subject_for(b"\2" * 32, "L1", A)}
    assert len({first, *others}) == 4
    assert len(first.removeprefix("urn:lln:learner:")) == 26


def test_a_handle_is_read_back():
    handle = Handle(subject=subject_for(SECRET, "L1", A), home=B)
    assert Handle.parse(f" {handle}\n") == handle


@given(st.text(max_size=120))
def test_what_is_no_handle_raises_ours_alone(text):
    for typed in (text, f"{subject_for(SECRET, 'L1', A)}@{text}"):
        try:
            handle = Handle.parse(typed)
        except LlnError:
            continue
        assert Handle.parse(str(handle)) == handle


def test_a_handle_needs_its_home():
    with pytest.raises(MalformedHandle):
        Handle.parse(subject_for(SECRET, "L1", A))
