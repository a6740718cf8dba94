"""Shelves of documents, the same on every engine."""

from datetime import date

import pytest

from node.ports.crediting import DisclosureRow, LearnerRow, PseudonymRow
from node.storage.errors import OpenedForReading
from tests.support.stores import opened


@pytest.fixture
async def store(place):
    async with opened(place) as made:
        yield made


def pseudonym(key, owner="L1", state="a.lln.internal"):
    return PseudonymRow(id=key, owner=owner, state=state)


def learner(key, **known):
    return LearnerRow(id=key, name="某某", registered_at_ms=1, changed_at_ms=1, **known)


async def test_a_document_is_read_back_as_it_was_kept(store):
    kept = learner("L1", birth_date=date(1955, 2, 28), guardian="", identity_number="999999195502280016")
    await store.write(lambda tx: tx.credits.learners.put([kept]))
    assert await store.read(lambda tx: tx.credits.learners.get("L1")) == kept
    assert await store.read(lambda tx: tx.credits.learners.get("L2")) is None


async def test_lists_are_in_order_and_go_on_after_a_key(store):
    rows = [pseudonym("s3"), pseudonym("s1"), pseudonym("s2", owner="L2"), pseudonym("s4", state="b.lln.internal")]
    await store.write(lambda tx: tx.credits.pseudonyms.put(rows))

    def keys(listed):
        return [row.id for row in listed]

    shelf = await store.read(
        lambda tx: {
            "all": keys(tx.credits.pseudonyms.all()),
            "after": keys(tx.credits.pseudonyms.all("s1", 2)),
            "of": keys(tx.credits.pseudonyms.of("L1")),
            "state": keys(tx.credits.pseudonyms.in_state("a.lln.internal", "s1")),
            "counts": dict(tx.credits.pseudonyms.counts()),
            "many": sorted(tx.credits.pseudonyms.many(["s4", "s9", "s1"])),
        }
    )
    assert shelf == {
        "all": ["s1", "s2", "s3", "s4"],
        "after": ["s2", "s3"],
        "of": ["s1", "s3", "s4"],
        "state": ["s2", "s3"],
        "counts": {"a.lln.internal": 3, "b.lln.internal": 1},
        "many": ["s1", "s4"],
    }


@pytest.mark.parametrize("asked", [1, 8, 9, 32, 33, 128, 129])
async def test_any_number_of_keys_is_asked_for_at_once(store, asked):
    rows = [pseudonym(f"s{number:03}") for number in range(150)]
    await store.write(lambda tx: tx.credits.pseudonyms.put(rows))
    keys = [row.id for row in rows[:asked]]
    found = await store.read(lambda tx: tx.credits.pseudonyms.many(keys))
    assert sorted(found) == keys


async def test_kinds_keep_apart_under_the_same_key(store):
    shown = DisclosureRow(id="s1", owner="L1", recipient="b", purpose="convert", consent="c", fields=(), at_ms=1)

    def unit(tx):
        tx.credits.pseudonyms.put([pseudonym("s1")])
        tx.credits.disclosures.put([shown])
        tx.credits.pseudonyms.drop("s1")

    await store.write(unit)
    assert await store.read(lambda tx: tx.credits.pseudonyms.get("s1")) is None
    assert await store.read(lambda tx: tx.credits.disclosures.get("s1")) == shown


async def test_adding_keeps_what_is_there(store):
    first = await store.write(lambda tx: tx.credits.pseudonyms.add(pseudonym("s1")))
    second = await store.write(lambda tx: tx.credits.pseudonyms.add(pseudonym("s1", owner="L9")))
    assert (first, second) == (True, False)
    assert (await store.read(lambda tx: tx.credits.pseudonyms.get("s1"))).owner == "L1"


async def test_learners_are_found_by_their_numbers_until_they_are_dropped(store):
    rows = [learner("L1", identity_number="999999195502280016"), learner("L2", student_number="2026001")]
    await store.write(lambda tx: tx.credits.learners.put(rows))

    def found(tx):
        shelf = tx.credits.learners
        by_identity, by_student = shelf.by_identity_number("999999195502280016"), shelf.by_student_number("2026001")
        return by_identity and by_identity.id, by_student and by_student.id, shelf.by_student_number("")

    assert await store.read(found) == ("L1", "L2", None)
    await store.write(lambda tx: tx.credits.learners.put([learner("L2")]))
    await store.write(lambda tx: tx.credits.learners.drop("L1"))
    assert await store.read(found) == (None, None, None)


async def test_a_unit_that_raises_leaves_no_document(store):
    def unit(tx):
        tx.credits.pseudonyms.put([pseudonym("s1")])
        tx.credits.pseudonyms.add(pseudonym("s2"))
        raise ValueError("on second thoughts")

    with pytest.raises(ValueError, match="second thoughts"):
        await store.write(unit)
    assert await store.read(lambda tx: list(tx.credits.pseudonyms.all())) == []


async def test_a_read_may_not_put(store):
    with pytest.raises(OpenedForReading):
        await store.read(lambda tx: tx.credits.pseudonyms.put([pseudonym("s1")]))
