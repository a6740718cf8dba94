"""Places in status lists: given out once, at random, and the next list begins before the first is full."""

from itertools import chain, cycle

import msgspec
import pytest

from federation.catalogue import BilingualLine
from federation.credit_records import SLOTS
from node.ports.crediting import SlotRow
from node.usecases import issuing
from node.usecases.issuing import FILLED_MAX, LISTS_NOTE, Issuing, StatusLists, lists_begun
from tests.support.machine import HandClock
from tests.support.stores import KEY, NOW_MS, OWN, opened

FIRST, SECOND = (f"https://{OWN.origin}/status/{number}/revocation" for number in (1, 2))


class Drawn:
    """Randomness that says what it is told to, in order."""

    def __init__(self, numbers):
        self._numbers = iter(numbers)

    def token(self, size_bytes):
        return next(self._numbers).to_bytes(size_bytes, "big")


class Named:
    name = OWN.origin
    did = KEY.did


def issuing_with(numbers):
    return Issuing(
        identity=Named(),
        clock=HandClock(NOW_MS),
        randomness=Drawn(numbers),
        ledgering=None,
        title=BilingualLine(zh="学校"),
    )


def given_out(part, tx, count):
    """What issuing does for each record: take a place, and write down whose it is."""
    slots = []
    for _ in range(count):
        slot = part._take_slot(tx)
        row = SlotRow(id=issuing.slot_key(slot), owner=str(len(slots)), list=slot.list, index=slot.index)
        assert tx.credits.slots.add(row), "a place is given out once"
        slots.append(slot)
    return slots


@pytest.fixture
async def store(tmp_path):
    async with opened(tmp_path / "slots.sqlite") as made:
        yield made


async def test_a_place_that_was_given_out_is_drawn_again_never_given_again(store):
    part = issuing_with([7, 7, 7, SLOTS + 7, 9])
    slots = await store.write(lambda tx: given_out(part, tx, 2))
    assert [(one.list, one.index) for one in slots] == [(FIRST, 7), (FIRST, 9)]


async def test_more_records_than_a_list_has_places_begin_more_lists(store, monkeypatch):
    places = 64
    monkeypatch.setattr(issuing, "SLOTS", places)
    monkeypatch.setattr(issuing, "FILLED_MAX", places * 3 // 4)
    part = issuing_with(cycle(range(0, 2**32, 104_729)))
    slots = await store.write(lambda tx: given_out(part, tx, 3 * places + 1))
    assert len({(one.list, one.index) for one in slots}) == 3 * places + 1
    assert await store.read(lists_begun) == 5
    assert max(one.index for one in slots) < places


async def test_the_131_073rd_record_stands_in_the_second_list_whose_places_are_all_free(store):
    """As if so many had been issued: the note counts them, the rows of the last ones are there."""
    taken = [SlotRow(id=f"{FIRST}/{index}", owner="r", list=FIRST, index=index) for index in range(1_000)]

    def before(tx):
        tx.notes.put(LISTS_NOTE, msgspec.json.encode(StatusLists(number=1, taken=FILLED_MAX - 1)))
        tx.credits.slots.put(taken)

    await store.write(before)
    part = issuing_with(chain([5, 5, 200_000], [5]))
    last, first = await store.write(lambda tx: given_out(part, tx, 2))
    assert (last.list, last.index) == (FIRST, 200_000 % SLOTS)
    assert (first.list, first.index) == (SECOND, 5)
    assert await store.read(lists_begun) == 2
    noted = await store.read(lambda tx: msgspec.json.decode(tx.notes.get(LISTS_NOTE), type=StatusLists))
    assert noted == StatusLists(number=2, taken=1)
    assert FILLED_MAX < SLOTS
