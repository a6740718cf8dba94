"""What is kept of each day: searches, what came, how far copies lagged; bounded, and nothing of anybody."""

import asyncio
from datetime import date

import msgspec

from federation.errors import LlnError
from federation.naming import NodeName
from node.desk import Nothing
from node.portal.charts import DAYS_SHOWN, HEIGHT, draw_days
from node.usecases.tallying import DAYS_KEPT, NOTE, Tallying
from tests.support.machine import HandClock
from tests.support.stores import OWN, opened

DAY_MS = 24 * 3_600_000
NOON_MS = 1_767_240_000_000  # 2026-01-01 in China


def tallying(store, clock):
    return Tallying(store=store, clock=clock, own_name=OWN.origin, root=NodeName("lln.internal"))


async def append(store, count):
    await store.write(lambda tx: tx.logs.append(OWN, [b'{"n":%d}' % at for at in range(count)]))


def test_searches_and_entries_are_counted_by_day_across_a_restart(tmp_path):
    async def walk():
        clock = HandClock(NOON_MS)
        async with opened(tmp_path / "a.db") as store:
            await append(store, 3)
            first = tallying(store, clock)
            await first.look()
            for _ in range(2):
                first.searched()
            await append(store, 4)
            told = await first.days(Nothing())
            assert [(one.searches, one.published) for one in told.days] == [(2, 4)]
            assert told.today == told.days[0].day == date(2026, 1, 1)
            await append(store, 1)
            clock.at_ms = NOON_MS + 2 * DAY_MS
            second = tallying(store, clock)
            second.searched()
            told = await second.days(Nothing())
            assert [(one.day.day, one.searches, one.published) for one in told.days] == [(1, 2, 4), (3, 1, 1)]

    asyncio.run(walk())


def test_no_more_days_are_kept_than_the_bound(tmp_path):
    async def walk():
        clock = HandClock(NOON_MS)
        async with opened(tmp_path / "a.db") as store:
            subject = tallying(store, clock)
            for _ in range(DAYS_KEPT + 5):
                clock.at_ms += DAY_MS
                await subject.look()
            told = await subject.days(Nothing())
            assert (len(told.days), told.days[-1].day) == (DAYS_KEPT, told.today)
            note = await store.read(lambda tx: tx.notes.get(NOTE))
            assert len(note) < 16_384

    asyncio.run(walk())


def test_searches_are_not_lost_where_the_store_refuses(tmp_path):
    class Refusing:
        async def write(self, _):
            raise LlnError("store", "full")

    async def walk():
        clock = HandClock(NOON_MS)
        async with opened(tmp_path / "a.db") as store:
            subject = tallying(Refusing(), clock)
            subject.searched()
            try:
                await subject.look()
            except LlnError:
                subject._store = store
            told = await subject.days(Nothing())
            assert [one.searches for one in told.days] == [1]

    asyncio.run(walk())


def test_a_chart_has_one_bar_a_day_and_the_highest_fills_it():
    today = date(2026, 3, 1)
    chart = draw_days({today: 4, date(2026, 2, 27): 1, date(2020, 1, 1): 99}, today)
    assert (len(chart.bars), chart.most, chart.total) == (DAYS_SHOWN, 4, 5)
    assert [(one.day.day, one.count, one.height) for one in chart.bars[-3:]] == [
        (27, 1, HEIGHT / 4),
        (28, None, 0),
        (1, 4, HEIGHT),
    ]
    assert all(one.y + one.height == HEIGHT for one in chart.bars)
    assert {one.x for one in chart.bars} == {1 + 10 * at for at in range(DAYS_SHOWN)}
    assert draw_days({}, today).is_empty
    assert msgspec.json.encode(chart)
