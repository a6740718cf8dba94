"""Counts that go up hold no small cell, nobody can work one out, and no type of theirs can hold a person."""

from collections import defaultdict
from datetime import date
from itertools import combinations_with_replacement
from typing import get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import canonical
from federation.canonical import MalformedDocument
from federation.counts import COUNTS_BYTES_MAX, SMALLEST, Counts, Table, Tally, report, suppress
from federation.credit_records import Achievement, Conversion, QualificationLevel, RuleReference, SourceCredential
from tests.support.credit_records import bare_record, full_record, uuid
from tests.support.people import NAMES, identity_number

DAY = date(2026, 5, 1)
NODE, CHILD, SCHOOL = "county.lln.internal", "a.county.lln.internal", "b.county.lln.internal"
KINDS = ("formal", "vocational_training", "other_non_formal", "unformatted")
AMOUNTS = st.dictionaries(st.sampled_from(KINDS), st.integers(0, 60))


def of_kind(kind, **changed):
    achievement = Achievement(id="urn:lln:x:y", name=bare_record().achievement.name, kind=kind)
    return bare_record(achievement=achievement, **changed)


def tally_of(region=NODE, **kinds):
    tally = Tally()
    for kind, amount in kinds.items():
        for _ in range(amount):
            tally.count(of_kind(kind), region=region)
    return tally


@given(AMOUNTS.filter(lambda exact: sum(exact.values()) >= SMALLEST))
def test_no_cell_is_small_and_the_sum_stays(exact):
    table = suppress(exact)
    assert table.total == sum(exact.values())
    assert all(amount >= SMALLEST and exact[name] == amount for name, amount in table.cells.items())


def test_nobody_can_work_out_what_is_left_out():
    """Of every table of four cells: whoever sees one, and knows how it is made, is left with a choice for each cell.

    Names do not matter, so cells that are left out are told apart unless all ways to come to their sum have them equal.
    """
    most = 40
    ways = defaultdict(set)
    for amounts in combinations_with_replacement(range(most + 1), 4):
        if sum(amounts) >= SMALLEST:
            table = suppress(dict(zip(KINDS, amounts, strict=True)))
            hidden = tuple(amount for kind, amount in zip(KINDS, amounts, strict=True) if kind not in table.cells)
            ways[tuple(sorted(table.cells.values())), table.withheld].add(hidden)
    told = {
        seen: possible
        for seen, possible in ways.items()
        if 0 < seen[1] <= most and len(possible) == 1 and len(set(*possible)) == 1  # all ways are among those above
    }
    assert told == {}


def test_one_small_cell_takes_the_next_one_with_it():
    table = suppress({"a": 3, "b": 12, "c": 40})
    assert (table.cells, table.withheld) == ({"c": 40}, 15)
    assert suppress({"a": 3, "b": 8, "c": 40}) == Table(cells={"c": 40}, withheld=11)
    assert suppress({"a": 10, "b": 12}) == Table(cells={"a": 10, "b": 12})
    assert suppress({"a": 9, "b": 9, "c": 12, "d": 90}).cells == {"d": 90}, "eighteen of two small cells is nine each"


def test_fewer_than_ten_are_not_told_at_all():
    told = report(NODE, DAY, tally_of(formal=9), [])
    assert told == Counts(node=NODE, day=DAY, total=0)


def test_reports_are_added_up_level_by_level():
    school = report(SCHOOL, DAY, tally_of(SCHOOL, formal=20, unformatted=4, vocational_training=7), [])
    assert school.kinds == Table(cells={"formal": 20}, withheld=11)
    few = report(CHILD, DAY, tally_of(CHILD, formal=9), [])
    county = report(NODE, DAY, tally_of(NODE, formal=5, unformatted=12), [school, few])
    assert county.total == 31 + 17
    assert county.kinds == Table(cells={"formal": 25, "unformatted": 12}, withheld=11)
    assert county.regions == Table(cells={NODE: 17, SCHOOL: 31})
    hub = report("lln.internal", DAY, Tally(), [county])
    assert (hub.total, hub.kinds, hub.regions) == (48, county.kinds, Table(cells={NODE: 48}))


def test_records_are_counted_by_rule_and_level():
    rule = RuleReference(id="couriers", version=2, digest="ef" * 32)
    conversion = Conversion(sources=(SourceCredential(id=uuid(7), sha256="cd" * 32),), rule=rule)
    level = QualificationLevel(scheme="NQF-demo", value="4")
    tally = Tally()
    for _ in range(11):
        plain = of_kind("formal")
        achievement = msgspec.structs.replace(plain.achievement, level=level)
        tally.count(bare_record(achievement=achievement, conversion=conversion), region=NODE)
    for _ in range(10):
        tally.count(of_kind("formal"), region=NODE)
    told = report(NODE, DAY, tally, [])
    assert told.rules == Table(cells={"couriers@2": 11, "none": 10})
    assert told.levels == Table(cells={"NQF-demo:4": 11, "none": 10})


def test_a_level_in_free_words_is_another_one():
    tally = Tally()
    for _ in range(10):
        tally.count(full_record(), region=NODE)
    assert report(NODE, DAY, tally, []).levels == Table(cells={"other": 10})


@pytest.mark.parametrize(
    "changed",
    [
        {"kinds": {"cells": {"formal": 9}, "withheld": 11}},
        {"kinds": {"cells": {"formal": 15}, "withheld": 5}},
        {"kinds": {"cells": {"formal": 19}}},
        {"kinds": {"cells": {NAMES[0]: 20}}},
        {"levels": {"cells": {NAMES[0]: 20}}},
        {"levels": {"cells": {identity_number("19900228"): 20}}},
        {"rules": {"cells": {NAMES[0]: 20}}},
        {"rules": {"cells": {f"r{identity_number('19900228')}@1": 20}}},
        {"regions": {"cells": {NAMES[0]: 20}}},
        {"total": 9},
        {"node": NAMES[0]},
    ],
)
def test_what_could_be_somebody_is_no_report(changed):
    whole = {"cells": {}, "withheld": 20}
    sound = {"node": NODE, "day": "2026-05-01", "total": 20, "kinds": whole, "levels": whole, "rules": whole}
    sound["regions"] = {"cells": {NODE: 20}, "withheld": 0}
    assert canonical.decode(canonical.encode(sound), Counts, bytes_max=COUNTS_BYTES_MAX).total == 20
    with pytest.raises(MalformedDocument):
        canonical.decode(canonical.encode(sound | changed), Counts, bytes_max=COUNTS_BYTES_MAX)


def test_every_text_in_a_report_is_one_of_a_few_words_or_has_a_pattern():
    free = [path for path, kind in texts_in(msgspec.inspect.type_info(Counts), "counts")]
    assert free == []


def texts_in(kind, path):
    """Where a type can hold any text at all."""
    match kind:
        case msgspec.inspect.StrType(pattern=None):
            yield path, kind
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                yield from texts_in(field.type, f"{path}.{field.name}")
        case msgspec.inspect.DictType(key_type=key, value_type=value):
            yield from texts_in(key, f"{path} name")
            yield from texts_in(value, f"{path} value")
        case msgspec.inspect.UnionType(types=types):
            for one in types:
                yield from texts_in(one, path)
        case _:
            assert get_origin(kind) is None
            assert not get_args(kind)
            assert not isinstance(kind, msgspec.inspect.AnyType | msgspec.inspect.BytesType), path
