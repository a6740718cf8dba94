"""Sheets that wait for a second registrar, in a store that is closed and opened again."""

from datetime import date

import msgspec
import pytest

from node.desk.credits import CreditRow, CreditSheet
from node.ports.people import PersonRow
from node.usecases.handing_over import WAIT_MS, HandingOver, SheetDecided
from node.usecases.noting import Noting
from tests.support.machine import CountedRandomness, HandClock
from tests.support.stores import opened

RANDOMNESS = CountedRandomness()
NUMBER = "S-4711-of-somebody"
ROW = CreditRow(row=2, student_number=NUMBER, achievement="dough", achieved_on=date(2026, 5, 1))
SHEET = CreditSheet(rows=(ROW,), refused=(), columns=("学号",), cells={2: (NUMBER,)})


def person(login, *roles, state="active"):
    return PersonRow(id=f"P{login}", owner=login, name=login, roles=roles, state=state, made_at_ms=1)


ONE, TWO = person("one", "registrar"), person("two", "registrar")


@pytest.fixture
def clock():
    return HandClock()


def handing_in(store, clock):
    noting = Noting(store=store, clock=clock, randomness=RANDOMNESS)
    return HandingOver(store=store, clock=clock, randomness=RANDOMNESS, noting=noting)


async def test_what_waits_outlives_a_restart_and_what_is_decided_is_nowhere(tmp_path, clock):
    async with opened(tmp_path / "node.db") as store:
        row = await handing_in(store, clock).hand_over(ONE, "C:\\x\\表.csv", SHEET, planned=1, remark="请看")
    async with opened(tmp_path / "node.db") as store:
        handing = handing_in(store, clock)
        assert await handing.opened(row.id) == (row, SHEET)
        assert [one.file for one in await handing.waiting()] == ["表.csv"]
        begun = await handing.approve(TWO, row.id)
        assert (begun.state, begun.approver) == ("issuing", TWO.id)
    async with opened(tmp_path / "node.db") as store:
        handing = handing_in(store, clock)
        assert [one.state for one in await handing.waiting()] == ["issuing"], "a stop loses nothing"
        assert (await handing.opened(row.id))[1] == SHEET
        other = await handing.hand_over(ONE, "另.csv", SHEET, planned=1, remark="")
        await handing.send_back(TWO, other.id, "重复")
        clock.move(ms=WAIT_MS + 1)
        assert await handing.expire() == 1
        for one in (row, other):
            with pytest.raises(SheetDecided):
                await handing.opened(one.id)
        left = await store.read(lambda tx: (tx.people.sheets.all(), tx.people.uploads.all(), tx.people.doings.all()))
        assert NUMBER not in repr(msgspec.to_builtins(left))
        assert {one.state for one in left[1]} == {"issued", "returned"}


async def test_another_registrar_is_somebody_active_with_that_role(tmp_path, clock):
    async with opened(tmp_path / "node.db") as store:
        handing = handing_in(store, clock)
        others = [person("three", "registrar", state="closed"), person("four", "operator", "reviewer")]
        await store.write(lambda tx: tx.people.persons.put([ONE, *others]))
        assert not await handing.has_other(ONE)
        await store.write(lambda tx: tx.people.persons.put([TWO]))
        assert await handing.has_other(ONE)
