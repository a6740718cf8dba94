"""What learners live through: records issued, converted elsewhere, revoked; and what must be true of it in the end.

What lives here: these deeds, and the last look at every ledger. What must not: how often they happen (`workload.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from federation.errors import LlnError
from federation.naming import NodeName
from node import desk
from node.simulation.chance import Chance
from node.simulation.lives import Life, Surroundings

CODE: Final = "course"
DAYS: Final = 28
RULE: Final = """
id = "any-course"
version = 1
authority = "{authority}"
title = {{ zh = "课程互认" }}
valid_from = 2020-01-01
[[source]]
name = "course"
kinds = ["other_non_formal"]
unit = "credit"
from_others = true
[[target]]
achievement = "urn:lln:{authority}:recognised"
version = 1
title = {{ zh = "互认课程" }}
kind = "other_non_formal"
unit = "credit"
ratio = [1, 1]
"""


class Learning:
    """One learner at each institution; `_issued`: what people were told is a record now."""

    def __init__(self, around: Surroundings, chance: Chance, institutions: Sequence[Life]) -> None:
        self._around = around
        self._chance = chance
        self._institutions = institutions
        self._accounts: dict[NodeName, str] = {}
        self._issued: dict[NodeName, dict[str, None]] = {}
        self._dealt: dict[tuple[NodeName, NodeName], None] = {}

    async def issue(self) -> str:
        """A record for this institution's learner, who may have it already."""
        life = self._chance.choice(self._institutions)
        learner = await self._account(life)
        await life.ask(
            "achievement.define",
            desk.AchievementDefined,
            code=CODE,
            name={"zh": "课"},
            kind="other_non_formal",
            credits={"unit": "credit", "hundredths": 250},
        )
        day = f"2026-05-{self._chance.randint(1, DAYS):02}"
        rows = [{"row": 1, "learner": learner, "achievement": CODE, "achieved_on": day}]
        told = await life.ask("credit.issue", desk.IssuePlan, rows=rows, by="teacher", apply=True)
        [row] = told.rows
        if row.change == "refused":
            return row.reason_en
        self._issued.setdefault(life.name, {})[row.id] = None
        return "done"

    async def convert(self) -> str:
        """A learner asks another institution to count a record; perhaps one that was used, or revoked, before."""
        home, record = self._some_record()
        receiver = self._chance.choice(self._institutions)
        if home is None or receiver is home:
            return "nothing to convert"
        learner, to = self._accounts[home.name], receiver.name
        await receiver.ask("rule.publish", desk.RuleTold, toml=RULE.format(authority=to), apply=True)
        given = await home.ask(
            "consent.give",
            desk.ConsentShown,
            learner=learner,
            purpose="convert",
            fields=["records"],
            recipient=to,
            records=[record],
            days=30,
            confirmed=True,
        )
        seen = await home.ask(
            "convert.preview", desk.Previewed, learner=learner, to=to, records=[record], consent=given.id
        )
        self._dealt[home.name, to] = None
        await home.ask("convert.apply", desk.RequestState, id=seen.id)
        return "done"

    async def revoke(self) -> str:
        """A record is taken back, whatever has become of its credits."""
        life, record = self._some_record()
        if life is None:
            return "nothing to revoke"
        await life.ask(
            "credit.step", desk.RecordSummary, id=record, step="revoke", reason="by the simulation", by="teacher"
        )
        return "done"

    async def _account(self, life: Life) -> str:
        if life.name not in self._accounts:
            written = {"name": "某某", "birth_date": "1961-03-05"}
            made = await life.ask("learner.register", desk.LearnerShown, written=written)
            self._accounts.setdefault(life.name, made.id)
        return self._accounts[life.name]

    def _some_record(self) -> tuple[Life | None, str]:
        if not self._issued:
            return None, ""
        name = self._chance.choice(sorted(self._issued))
        return self._around.lives[name], self._chance.choice(list(self._issued[name]))

    # --- in the end --------------------------------------------------------------------------------------------------

    async def broken(self, is_in_good_standing: Callable[[NodeName], bool]) -> AsyncIterator[str]:
        """What does not hold in a ledger, or between two of them, of nodes that everybody still deals with."""
        deceivers = self._around.checker.deceivers
        sound = [
            life
            for life in self._institutions
            if life.node is not None and is_in_good_standing(life.name) and life.name not in deceivers
        ]
        for life in sound:
            told = await life.ask("ledger.audit", desk.AuditTold)
            for fault in told.faults:
                yield f"{life.name}: {fault.check} {fault.subject}: {fault.found}"
            for record in self._issued.get(life.name, ()):
                if (missing := await _missing(life, record)) is not None:
                    yield missing
        names = {life.name for life in sound}
        for home, receiver in self._dealt:
            if {home, receiver} <= names:
                async for found in self._between(home, receiver):
                    yield found

    async def _between(self, home: NodeName, receiver: NodeName) -> AsyncIterator[str]:
        try:
            told = await self._around.lives[home].ask("ledger.reconcile", desk.Reconciled, peer=receiver)
        except LlnError:
            await asyncio.sleep(0)  # nobody can be reached without an address or a link
            return
        for one in told.discrepancies:
            yield f"{home} and {receiver} on {one.reservation}: {one.issuer_says}, {one.receiver_says}"


async def _missing(life: Life, record: str) -> str | None:
    """What is said of a record that somebody was told of, and that is not there."""
    try:
        await life.ask("credit.show", desk.RecordShown, id=record)
    except LlnError as told:
        return f"{life.name} has issued {record}: {told}"
    return None
