"""What people do meanwhile: publish, change, withdraw, search, suspend, resume, revoke, edit their configuration.

What lives here: each deed, how often it happens, and what people were told of it. What must not: faults. A new part of
the node is exercised by a new deed: an entry in DEEDS, and a method here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from federation.catalogue import CRITERIA, BilingualLine, Resource, ShareScope
from federation.errors import LlnError
from federation.naming import NodeName, lineage
from federation.search import SearchAnswer, SearchScope
from node import desk
from node.ports import ResourceRow
from node.simulation.chance import Chance, pause_s
from node.simulation.invariants import Acknowledged
from node.simulation.learning import Learning
from node.simulation.lives import Life, Surroundings

PATIENCE_S: Final = 120.0
WORDS: Final = tuple(f"课{number}" for number in range(60))
SUSPENDED_S: Final = (600.0, 3_600.0)
EDIT_S: Final = 5.0
REACH_S: Final = 10.0
LETTERS_MAX: Final = 5
REVOKED_PART_MAX: Final = 20
_SCOPES: Final[tuple[SearchScope, ...]] = ("network", "siblings", "subtree", "node")


class Workload:
    """Everybody's people; `run` lasts until it is cancelled."""

    def __init__(self, around: Surroundings, chance: Chance) -> None:
        self._around = around
        self._chance = chance
        self._lives = list(around.lives.values())
        self._institutions = [life for life in self._lives if not life.place.is_authority] or self._lives
        self._children = [life for life in self._institutions if life.place.parent is not None]
        self._root = self._lives[0].name
        self._made = 0
        self._revoked = 0
        self._to_resume: list[tuple[float, Life]] = []
        self._loop = asyncio.get_running_loop()
        self.learning = Learning(around, chance, self._institutions)

    async def run(self) -> None:
        own = {"issue": self.learning.issue, "convert": self.learning.convert, "take back": self.learning.revoke}
        deeds: list[Callable[[], Awaitable[str]]] = [own.get(name) or getattr(self, f"_{name}") for name in DEEDS]
        rates = [rate * len(self._institutions) for rate in DEEDS.values()]
        async with asyncio.TaskGroup() as people:
            while True:
                await asyncio.sleep(pause_s(self._chance, sum(rates)))
                [at] = self._chance.choices(range(len(deeds)), weights=rates)
                people.create_task(self._do(tuple(DEEDS)[at], deeds[at]))

    async def _do(self, name: str, deed: Callable[[], Awaitable[str]]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                outcome = await deed()
        except TimeoutError:
            outcome = "unanswered"
        except LlnError as told:
            outcome = told.code
        deeds = self._around.counts.deeds
        told_as = name if outcome == "done" else f"{name}: {outcome}"
        deeds[told_as] = deeds.get(told_as, 0) + 1
        self._around.trace.note(self._loop.time(), "deed", name, outcome)

    # --- the catalogue -----------------------------------------------------------------------------------------------

    async def _publish(self) -> str:
        self._made += 1
        return await self._enter(self._chance.choice(self._institutions), f"r{self._made:06}")

    async def _update(self) -> str:
        """A new version, often with another share scope: wider, narrower, or elsewhere."""
        life, row = await self._some_row()
        return await self._enter(life, row.id) if row is not None else "nothing to change"

    async def _withdraw(self) -> str:
        life, row = await self._some_row()
        if row is None:
            return "nothing to withdraw"
        told = await life.ask(
            "resource.withdraw", desk.ResourceOutcomes, id=row.id, reason="outdated", case_id=f"case-{row.id}"
        )
        return _outcome(told, "withdrawn")

    async def _enter(self, life: Life, resource_id: str) -> str:
        row = {"row": 1, "resource": msgspec.to_builtins(self._resource(life.name, resource_id))}
        await life.ask("resource.import", desk.ImportPlan, rows=[row], author="author", apply=True)
        ids = [resource_id]
        await life.ask(
            "resource.review", desk.ResourceOutcomes, ids=ids, reviewer="reviewer", approve=True, criteria=CRITERIA
        )
        told = await life.ask("resource.publish", desk.ResourceOutcomes, ids=ids)
        shown = await life.ask("resource.show", ResourceRow, id=resource_id)
        if shown.published is not None and shown.log_index is not None:
            self._around.checker.acknowledge(
                Acknowledged(node=life.name, id=resource_id, version=shown.published.version, log_index=shown.log_index)
            )
        return _outcome(told, "published")

    def _resource(self, name: NodeName, resource_id: str) -> Resource:
        reach = self._chance.choice(("network", "network", "siblings", "subtree", "node"))
        ancestor = self._chance.choice(lineage(name, self._root)) if reach == "subtree" else None
        return Resource(
            id=resource_id,
            title=BilingualLine(zh=" ".join(self._chance.sample(WORDS, 2))),
            type="online_course",
            section="silver_age",
            share_scope=ShareScope(reach=reach, ancestor=ancestor),  # type: ignore[arg-type]  # one of the five words
        )

    async def _some_row(self) -> tuple[Life, ResourceRow | None]:
        life = self._chance.choice(self._institutions)
        listed = await life.ask("resource.list", desk.Resources, states=["published"], limit=50)
        return life, self._chance.choice(listed.rows) if listed.rows else None

    async def _search(self) -> str:
        life = self._chance.choice(self._lives)
        scope = self._chance.choice(_SCOPES)
        answer = await life.ask("search", SearchAnswer, text=self._chance.choice(WORDS), scope=scope)
        self._around.checker.answered(life.name, answer)
        return "done"

    async def _reach(self) -> str:
        """Two nodes anywhere get to know each other, by whatever road there is: direct, over links, through relays."""
        one, other = self._chance.sample(self._lives, 2)
        if one.node is None:
            return "it is down"
        met = await one.node.peers.hello(other.name, timeout_s=REACH_S)
        if met.name != other.name:
            self._around.checker.fail("whoever answers is who was asked", f"{one.name} asked {other.name}: {met.name}")
        return "done"

    async def _post(self) -> str:
        """A few items that must arrive, from anybody to anybody who can be called at all."""
        one, other = self._chance.sample(self._lives, 2)
        if one.node is None or not (self._around.links or other.place.is_dialable):
            return "not now"
        letters, count = self._around.checker.letters, self._chance.randint(1, LETTERS_MAX)
        await one.node.store.write(letters.writing(one.name, other.name, count, one.clock.now_ms()))
        return "done"

    # --- admission ---------------------------------------------------------------------------------------------------

    async def _suspend(self) -> str:
        child = self._chance.choice(self._children)
        await self._order("node.suspend", child)
        self._to_resume.append((self._loop.time() + self._chance.uniform(*SUSPENDED_S), child))
        return "done"

    async def _resume(self) -> str:
        """Whoever has been suspended long enough comes back."""
        due = [one for one in self._to_resume if one[0] <= self._loop.time()]
        if not due:
            return "nobody to resume"
        self._to_resume.remove(due[0])
        await self._order("node.resume", due[0][1])
        return "done"

    async def _revoke(self) -> str:
        if self._revoked >= len(self._children) // REVOKED_PART_MAX:
            return "enough are revoked"
        self._revoked += 1
        await self._order("node.revoke", self._chance.choice(self._children))
        return "done"

    async def _edit(self) -> str:
        """The operator changes the title in config.toml and starts the node again."""
        life = self._chance.choice(self._institutions)
        if life.node is None:
            return "it is down"
        self._made += 1
        life.title = f"title {self._made}"
        life.crash()
        await asyncio.sleep(EDIT_S)
        life.start()
        return "done"

    async def _order(self, operation: str, child: Life) -> None:
        authority = self._around.lives[NodeName(child.place.parent or "")]
        kind = desk.OPERATIONS[operation].answered
        await authority.ask(operation, kind, name=child.name, reason="by the simulation")


DEEDS: Final[dict[str, float]] = {
    "publish": 0.3,
    "update": 0.15,
    "withdraw": 0.05,
    "search": 1.0,
    "reach": 0.2,
    "post": 0.3,
    "suspend": 0.01,
    "resume": 0.05,
    "revoke": 0.001,
    "edit": 0.01,
    "issue": 0.2,
    "convert": 0.1,
    "take back": 0.02,
}
"""Each deed's name, and how often an hour it happens for every institution there is."""


def _outcome(told: desk.ResourceOutcomes, meant: str) -> str:
    states: Sequence[str] = [one.state for one in told.outcomes]
    return "done" if states == [meant] else states[0] if states else "nothing"
