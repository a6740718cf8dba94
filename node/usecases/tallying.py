"""Tallying: what happened on each of the last days at this node, as few numbers as a chart needs.

What lives here: one number a day of searches asked, catalogue and credit entries that came, and how far copies lagged.
What must not: who searched for what, or anything that names a person.

It is kept in one note of at most DAYS_KEPT days. Searches are counted in memory and written down every LOOK_EVERY_S:
what a crash loses of them is at most that much. Entries are counted by how much the logs have grown since the last
look, so that those which came while the node did not run belong to the day of its first look.
"""

from datetime import date
from typing import Final

import msgspec

from federation.catalogue import TOPIC as CATALOGUE
from federation.credit_log import TOPIC as CREDITS
from federation.naming import NodeName, parent_of
from federation.timestamps import day_in_china
from node.desk.nodes import DayTallies, DayTally
from node.desk.plain import Nothing
from node.ports import Clock, Store, Transaction

NOTE: Final = "days"
DAYS_KEPT: Final = 100
LOOK_EVERY_S: Final = 600.0


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """`catalogue`, `credits`: how many entries of all logs there were at the last look."""

    days: tuple[DayTally, ...] = ()
    catalogue: int
    credits: int


class Tallying:
    """The one writer of the note."""

    def __init__(self, *, store: Store, clock: Clock, own_name: NodeName, root: NodeName) -> None:
        self._store = store
        self._clock = clock
        self._own_name = own_name
        self._parent = parent_of(own_name, root)
        self._searches = 0

    def searched(self) -> None:
        """One more search was asked of this node by its own people."""
        self._searches += 1

    async def run(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    async def days(self, _: Nothing) -> DayTallies:
        """The days kept, oldest first, today as it is so far."""
        kept = await self.look()
        return DayTallies(today=day_in_china(self._clock.now_ms()), days=kept.days)

    async def look(self) -> Kept:
        """Write down what has happened since the last look."""
        searches, self._searches = self._searches, 0
        now_ms = self._clock.now_ms()
        try:
            return await self._store.write(lambda tx: self._note(tx, searches, now_ms))
        except BaseException:
            self._searches += searches
            raise

    def _note(self, tx: Transaction, searches: int, now_ms: int) -> Kept:
        logs = tuple(tx.logs.all())
        catalogue = sum(one.head.size for one in logs if one.log.topic == CATALOGUE)
        credit = sum(one.head.size for one in logs if one.log.topic == CREDITS)
        lags = [now_ms - one.confirmed_at_ms for one in logs if self._is_near(one.log.origin) and one.confirmed_at_ms]
        written = tx.notes.get(NOTE)
        before = msgspec.json.decode(written, type=Kept) if written else Kept(catalogue=catalogue, credits=credit)
        today = day_in_china(now_ms)
        known = {one.day: one for one in before.days}
        held = known.get(today, DayTally(day=today))
        known[today] = DayTally(
            day=today,
            searches=held.searches + searches,
            published=held.published + max(0, catalogue - before.catalogue),
            credits=held.credits + max(0, credit - before.credits),
            lag_s=max(held.lag_s, *(lag // 1_000 for lag in lags), 0),
        )
        days = sorted(known.values(), key=_day)[-DAYS_KEPT:]
        kept = Kept(days=tuple(days), catalogue=catalogue, credits=credit)
        tx.notes.put(NOTE, msgspec.json.encode(kept))
        return kept

    def _is_near(self, origin: str) -> bool:
        """The parent, or a direct child: whoever talks with this node itself."""
        return origin == self._parent or origin.partition(".")[2] == self._own_name


def _day(tally: DayTally) -> date:
    return tally.day
