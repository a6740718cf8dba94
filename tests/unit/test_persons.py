"""What is written of a person: numbers, dates and names as they come, and nothing of them in what is told."""

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.persons import (
    Person,
    Written,
    check_character,
    masked_identity_number,
    masked_student_number,
    needs_guardian,
    read_person,
)
from node.ports.crediting import LearnerRow
from tests.support.people import identity_number

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "codes" / "test_vectors.json"
TODAY = date(2026, 11, 25)
NUMBER = identity_number()
DAYS = st.dates(date(1900, 1, 1), TODAY)
SEQUENCES = st.integers(1, 999).map(lambda one: f"{one:03}")


def read(**said):
    return read_person(Written(**({"name": "某某"} | said)), as_of=TODAY)


def fault_of(**said):
    found = read(**said)
    assert not isinstance(found, Person), "it was let pass"
    return found[0]


def vectors():
    if not VECTORS.exists():
        pytest.skip("the shared vectors are absent: identity numbers were NOT compared with them")
    return json.loads(VECTORS.read_text("utf-8"))["gb11643"]


def test_numbers_of_the_standard_and_of_the_shared_vectors():
    told = vectors()
    for number in (*told["valid"], *told["canary_synthetic"]):
        assert read(identity_number=number).identity_number == number
    for number in told["invalid"]:
        assert fault_of(identity_number=number).field == "identity_number"


@given(DAYS, SEQUENCES)
def test_a_good_number_is_kept_and_tells_the_birth_date(born, sequence):
    number = identity_number(f"{born:%Y%m%d}", sequence)
    person = read(identity_number=number)
    assert (person.identity_number, person.birth_date) == (number, born)
    assert read(identity_number=number, birth_date=born.isoformat()) == person


@given(DAYS, SEQUENCES, st.integers(0, 17), st.sampled_from("0123456789X"))
def test_no_number_with_one_character_changed_is_let_pass(born, sequence, place, other):
    number = identity_number(f"{born:%Y%m%d}", sequence)
    changed = number[:place] + other + number[place + 1 :]
    if changed != number:
        assert fault_of(identity_number=changed).field == "identity_number"


@given(DAYS, SEQUENCES, st.integers(0, 16))
def test_no_number_with_two_neighbours_exchanged_is_let_pass(born, sequence, place):
    number = identity_number(f"{born:%Y%m%d}", sequence)
    changed = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    if changed != number:
        assert fault_of(identity_number=changed)


@pytest.mark.parametrize(
    "typed", [f" {NUMBER} ", f"'{NUMBER}", NUMBER[:6] + " " + NUMBER[6:], "９９９９９９" + NUMBER[6:]]
)
def test_spaces_width_and_the_mark_of_text_are_forgiven(typed):
    assert read(identity_number=typed).identity_number == NUMBER


def test_a_final_x_may_be_small():
    number = next(n for n in (identity_number(sequence=f"{at:03}") for at in range(1, 99)) if n.endswith("X"))
    assert read(identity_number=number.lower()).identity_number == number


@pytest.mark.parametrize(
    "typed",
    ["1.10101E+17", "1.10101199001011E+17", "110101199001011000.0", "1e17", "9,99999E+17", "999999201001010016."],
)
def test_what_a_spreadsheet_made_of_a_number_is_refused_with_the_remedy(typed):
    fault = fault_of(identity_number=typed)
    assert "文本格式" in fault.remedy_zh
    assert "as text" in fault.remedy_en


@pytest.mark.parametrize("typed", ["2.02601E+11", "2026001.0", "2.02601e+9"])
def test_so_is_a_student_number_or_a_telephone(typed):
    assert "as text" in fault_of(student_number=typed).remedy_en
    assert "as text" in fault_of(contact=typed).remedy_en


@pytest.mark.parametrize("typed", ["2023E0105", "0012345", "G999999201001010016", "计科-2023 级/7"])
def test_student_numbers_are_free_text(typed):
    assert read(student_number=typed).student_number == typed


@pytest.mark.parametrize(
    ("typed", "told"),
    [("999999100101001", "fifteen"), ("12345", "17 digits"), ("E12345678", "17 digits"), ("99999920101301001X", "")],
)
def test_other_numbers_are_told_apart(typed, told):
    assert told in fault_of(identity_number=typed).en


def test_a_number_whose_birth_date_does_not_exist_is_refused():
    digits = "99999920100230001"
    assert "calendar" in fault_of(identity_number=digits + check_character(digits)).en


@pytest.mark.parametrize(
    "typed",
    ["2010-01-31", "2010/1/31", "2010.1.31", "20100131", "2010年1月31日", "2010-01-31 00:00:00", "２０１０-０１-３１"],
)
def test_dates_as_people_write_them(typed):
    assert read(birth_date=typed).birth_date == date(2010, 1, 31)


@pytest.mark.parametrize("typed", ["2010-02-30", "31/1/2010", "40209", "2010-1/31", "1899-12-31", "2026-11-26", "明天"])
def test_what_is_no_birth_date_is_refused(typed):
    assert fault_of(birth_date=typed).field == "birth_date"


def test_a_birth_date_that_disagrees_with_the_number_is_refused():
    assert fault_of(identity_number=NUMBER, birth_date="2010-01-02").field == "birth_date"


def test_names_are_put_in_one_form_of_writing():
    assert read(name="  Ame\u0301lie   Wang\u3000 ").name == "Amélie Wang"
    assert read(name="阿依古丽·买买提").name == "阿依古丽·买买提"


@pytest.mark.parametrize(
    "name", ["", "  ", "张\n三", "张\x00三", "张\u202e三", "张\ud800", "张\u200b三", "张" * 101, NUMBER]
)
def test_what_is_no_name_is_refused(name):
    assert fault_of(name=name).field == "name"


def test_everything_that_is_wrong_is_told_at_once():
    faults = read(name="", identity_number="1", birth_date="x", student_number="1.0")
    assert [fault.field for fault in faults] == ["name", "identity_number", "student_number", "birth_date"]


@given(
    st.dictionaries(
        st.sampled_from(Written.__struct_fields__),
        st.text(min_size=4) | st.from_regex(r"[0-9]{4,20}[xXeE.]?[0-9]{0,3}", fullmatch=True),
    )
)
def test_whatever_is_written_is_read_or_refused_and_never_repeated(said):
    found = read_person(Written(**said), as_of=TODAY)
    if isinstance(found, Person):
        again = {name: str(value or "") for name, value in zip(Person.__struct_fields__, _values(found), strict=True)}
        assert read_person(Written(**again), as_of=TODAY) == found
    else:
        told = " ".join(part for fault in found for part in (fault.zh, fault.en, fault.remedy_zh, fault.remedy_en))
        assert not [text for text in said.values() if text.strip() and len(text) > 5 and text in told]


def _values(person):
    return [getattr(person, name) for name in Person.__struct_fields__]


def test_masks_keep_enough_to_tell_people_apart_and_no_more():
    assert masked_identity_number("999999201001010016") == "999999********0016"
    assert masked_identity_number("") == ""
    assert masked_student_number("2026001") == "2026001"
    assert masked_student_number("G999999201001010016") == "G**************0016"


@pytest.mark.parametrize(
    ("born", "as_of", "needed"),
    [
        (date(2012, 11, 26), TODAY, True),
        (date(2012, 11, 25), TODAY, False),
        (date(2012, 2, 29), date(2026, 2, 28), True),
        (date(2012, 2, 29), date(2026, 3, 1), False),
        (date(1955, 2, 28), TODAY, False),
    ],
)
def test_a_guardian_is_needed_up_to_the_fourteenth_birthday(born, as_of, needed):
    assert needs_guardian(born, as_of) is needed


def test_nothing_of_a_person_is_printed():
    said = {"name": "欧阳测试", "identity_number": NUMBER, "guardian": "监护某", "contact": "13800000000"}
    row = LearnerRow(id="L1", registered_at_ms=1, changed_at_ms=1, **said)
    for value in (Written(**said), read(**said), row):
        for printed in (repr(value), str(value), f"{[value]}", f"{value!r:.200}", str(value.__rich_repr__())):
            assert not [text for text in said.values() if text in printed]
