"""What is done with the federation while one of its processes is to be killed.

Each journey is written so that its steps may be repeated, as a person repeats what was not answered: it looks at what
is there, and does what is missing. What was answered for must never be missing afterwards. What must not live here:
processes (`world.py`), or numbering what they write (`points.py`).
"""

import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from federation.catalogue import CRITERIA
from federation.errors import LlnError, NotFound
from federation.search import SearchAnswer
from node.backups import DatabaseInPlace
from node.storage import migrations
from tests.crash.world import COUNTY, KILLED, ROOT, SCHOOL, TOWN, Arm, Broken, World

TRIES = 20
PEER_SILENT = 3
"""How `lln` ends where a peer did not answer."""
ORDER = ("absent", "pending", "returned", "reviewed", "published", "withdrawn")


@dataclass(frozen=True, kw_only=True)
class Journey:
    name: str
    go: Callable[[World, str, Arm], Awaitable[None]]


# --- steps -----------------------------------------------------------------------------------------------------------


class Resources:
    """Resources of one node on their way; `told` is how far each was said to have come, and may never fall back."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self.told: dict[str, str] = {}

    async def state(self, resource_id: str) -> str:
        try:
            state = (await self._world.ask(self._name, "resource.show", id=resource_id)).state
        except NotFound:
            state = "absent"
        told = self.told.get(resource_id, "absent")
        if ORDER.index(state) < ORDER.index(told):
            raise Broken(f"{resource_id} was answered for as {told}, and is {state}")
        return state

    async def publish(self, resource_id: str, title: str) -> None:
        ask, name = self._world.ask, self._name
        while (state := await self.state(resource_id)) not in ("published", "withdrawn"):
            if state == "absent":
                resource = {"id": resource_id, "title": {"zh": title}, "type": "online_course",
                            "section": "hobbies_interests"}  # fmt: skip
                rows = [{"row": 1, "resource": resource}]
                await ask(name, "resource.import", rows=rows, author="a", apply=True)
                self.told[resource_id] = "pending"
                continue
            if state == "pending":
                done = await ask(name, "resource.review", ids=[resource_id], reviewer="b", approve=True,
                                 criteria=list(CRITERIA))  # fmt: skip
            else:
                done = await ask(name, "resource.publish", ids=[resource_id])
            if done.outcomes[0].state != "refused":  # refused: it was done, and only the answer was lost
                self.told[resource_id] = done.outcomes[0].state

    async def withdraw(self, resource_id: str) -> None:
        while await self.state(resource_id) != "withdrawn":
            done = await self._world.ask(
                self._name, "resource.withdraw", id=resource_id, reason="过期", case_id=f"c-{resource_id}"
            )
            if done.outcomes[0].state != "refused":
                self.told[resource_id] = "withdrawn"


async def found_at(world: World, holder: str, word: str, ids: list[str]) -> None:
    async def same() -> bool:
        answer: SearchAnswer = await world.ask(holder, "search", text=word, scope="network", facets=False)
        return sorted(hit.id for hit in answer.hits) == ids

    await world.until(same, f"{word} at {holder}")


async def end_trial(world: World, name: str, arm: Arm) -> None:
    """Whoever was to die and has not is killed at rest; then everybody is as before."""
    del arm
    if not await world.revive(name):
        await world.settle(name)
    await world.check_home(name)


# --- the catalogue and its way up ------------------------------------------------------------------------------------


def catalogue_with(victim: str) -> Callable[[World, str, Arm], Awaitable[None]]:
    """Import, review, publish, withdraw at the school; its copy goes up; it is found, once, at the hub."""

    async def go(world: World, tag: str, arm: Arm) -> None:
        resources = Resources(world, SCHOOL)
        await world.settle(victim, arm)
        await resources.publish(f"{tag}a", f"木雕{tag} 第a讲")
        await resources.publish(f"{tag}b", f"木雕{tag} 第b讲")
        await resources.withdraw(f"{tag}a")
        await found_at(world, ROOT, tag, [f"{tag}b"])
        await end_trial(world, victim, arm)
        await resources.state(f"{tag}a")
        await resources.state(f"{tag}b")
        await world.check_logs(SCHOOL)
        await found_at(world, ROOT, tag, [f"{tag}b"])

    return go


# --- who comes and goes ----------------------------------------------------------------------------------------------


async def _standing(world: World, authority: str, name: str) -> str:
    tree = await world.ask(authority, "node.tree")
    found = [one.status for one in tree.nodes if one.name == name]
    if len(found) > 1:
        raise Broken(f"{name} stands {len(found)} times in the tree of {authority}")
    return found[0] if found else "absent"


async def _order(world: World, verb: str, name: str, wanted: str) -> None:
    while await _standing(world, COUNTY, name) != wanted:
        try:
            await world.ask(COUNTY, f"node.{verb}", name=name, reason="核查")
        except LlnError as refusal:
            if refusal.code != "LLN-131":  # it was done, and only the answer was lost
                raise


async def _join(world: World, name: str, arm: Arm | None = None, authority: str = COUNTY) -> None:
    code = await world.invite(name, "school", "school")
    words = ("join", code, *world.addresses(name))
    if arm is not None:
        await world.until_done(name, *words, arm=arm)
    else:
        await _join_until_done(world, name, words, authority)
    await world.until(lambda: _stands(world, authority, name, "active"), f"{name} in the tree of {authority}")


async def _join_until_done(world: World, name: str, words: tuple[str, ...], authority: str) -> None:
    """While the authority may die: the same line is good until it has been answered."""
    for _ in range(TRIES):
        if await world.run(name, *words) == 0:
            return
        await world.revive(authority)
    raise Broken(f"{name} could not join: {world.said(name)}")


async def _stands(world: World, authority: str, name: str, wanted: str) -> bool:
    return await _standing(world, authority, name) == wanted


async def founding(world: World, tag: str, arm: Arm) -> None:
    name = f"{tag}.internal"
    await world.until_done(name, "init", "--root", name, "--title", "国家", *world.addresses(name), arm=arm)
    assert await world.run(name, "status") == 0
    await world.check_home(name)


async def joining(world: World, tag: str, arm: Arm) -> None:
    name = f"{tag}.{COUNTY}"
    await _join(world, name, arm)
    await world.check_home(name)
    await world.settle(name)
    await Resources(world, name).publish(f"{tag}a", f"石雕{tag} 第a讲")
    await world.check_logs(name)
    await world.kill(name)
    await world.check_logs(COUNTY, "directory")


async def admitting(world: World, tag: str, arm: Arm) -> None:
    """Invite, join, suspend, resume, revoke, while the authority dies."""
    name = f"{tag}.{COUNTY}"
    await world.settle(COUNTY, arm)
    await _join(world, name)
    await _order(world, "suspend", name, "suspended")
    await _order(world, "resume", name, "active")
    await _order(world, "revoke", name, "revoked")
    await end_trial(world, COUNTY, arm)
    if await _standing(world, COUNTY, name) != "revoked":
        raise Broken(f"{name} was revoked, and is not")
    await world.check_logs(COUNTY, "directory")


def renewing_with(victim: str) -> Callable[[World, str, Arm], Awaitable[None]]:
    """The school's certificate is renewed when it starts; whoever dies, it gets one, and that one is accepted.

    A certificate that was recorded while its receiver died is asked for again at the next start, being due.
    """

    async def go(world: World, tag: str, arm: Arm) -> None:
        chain = world.home(SCHOOL) / "trust" / "chain.pem"
        before = chain.read_bytes()
        if victim == SCHOOL:
            await world.settle(SCHOOL, arm, ("renew",))
        else:
            await world.settle(victim, arm)
            await world.settle(SCHOOL, None, ("renew",))

        async def renewed() -> bool:
            return chain.read_bytes() != before

        if victim == SCHOOL:
            await world.until_dead_or(SCHOOL, renewed)
            await world.revive(SCHOOL)
            if not await renewed():
                await world.settle(SCHOOL, None, ("renew",))
        await world.until(renewed, "a renewal")
        await end_trial(world, victim, arm)
        await world.settle(SCHOOL)
        await world.check_home(SCHOOL)
        await Resources(world, SCHOOL).publish(f"{tag}a", f"玉雕{tag} 第a讲")
        await world.check_logs(SCHOOL)
        await world.check_logs(COUNTY, "directory")

    return go


async def moving(world: World, tag: str, arm: Arm) -> None:
    old, new = f"{tag}.{COUNTY}", f"{tag}.{TOWN}"
    await _join(world, old)
    await world.settle(old)
    await Resources(world, old).publish(f"{tag}a", f"竹编{tag} 第a讲")
    await world.check_logs(old)
    await world.kill(old)
    code = await world.invite(new, "school", "school")
    await world.until_done(old, "move", code, arm=arm)
    for authority, name, wanted in ((COUNTY, old, "moved"), (TOWN, new, "active")):
        await world.until(lambda a=authority, n=name, w=wanted: _stands(world, a, n, w), f"{name} {wanted}")
    await world.settle(old)  # the home keeps its place on the disk
    await found_at(world, ROOT, tag, [f"{tag}a"])
    await world.kill(old)
    await world.check_home(old)


async def replacing(world: World, tag: str, arm: Arm) -> None:
    name = f"{tag}.{COUNTY}"
    await _join(world, name)
    await world.settle(name)
    await Resources(world, name).publish(f"{tag}a", f"剪纸{tag} 第a讲")
    await world.check_logs(name)
    await world.kill(name)
    shutil.rmtree(world.home(name))
    code = await world.invite(name, "school", "school", replace=True)
    await world.until_done(name, "join", code, *world.addresses(name), arm=arm)
    await world.settle(name)
    await Resources(world, name).publish(f"{tag}b", f"剪纸{tag} 第b讲")
    await world.check_logs(name)
    await found_at(world, ROOT, tag, [f"{tag}a", f"{tag}b"])
    await world.kill(name)


# --- backup, restore, upgrade ----------------------------------------------------------------------------------------


async def backing_up(world: World, tag: str, arm: Arm) -> None:
    """Killed while it writes, a backup is whole or not there, and the next one is made all the same."""
    target = world.home(SCHOOL) / f"{tag}.backup"
    status = await world.run(SCHOOL, "backup", str(target), arm=arm)
    if status == KILLED and not target.exists():
        assert await world.run(SCHOOL, "backup", str(target)) == 0, world.said(SCHOOL)
    other = f"{tag}.elsewhere"
    assert await world.run(other, "restore", str(target)) == 0, world.said(other)
    await world.check_home(other)
    shutil.rmtree(world.home(other))
    for left in world.home(SCHOOL).glob(f"{tag}.*"):
        left.unlink()


async def restoring(world: World, tag: str, arm: Arm) -> None:
    """A stale backup, restored while the process dies: the log goes on from what the parent has seen since."""
    name = f"{tag}.{COUNTY}"
    await _join(world, name)
    await world.settle(name)
    resources = Resources(world, name)
    await resources.publish(f"{tag}a", f"刺绣{tag} 第a讲")
    backup = world.folder / f"{tag}.backup"
    assert await world.run(name, "backup", str(backup)) == 0, world.said(name)
    await resources.publish(f"{tag}b", f"刺绣{tag} 第b讲")
    await world.check_logs(name)
    await world.kill(name)
    shutil.rmtree(world.home(name))
    if await world.run(name, "restore", str(backup), arm=arm) == KILLED:
        status = await world.run(name, "restore", str(backup))
        # Its files were in place already, or its parent was too busy to answer: then the node asks it when it starts.
        if status not in (0, PEER_SILENT) and f"[{DatabaseInPlace.code}]" not in world.said(name):
            raise Broken(f"lln restore ended with {status}: {world.said(name)}")
    await world.settle(name)
    await resources.publish(f"{tag}c", f"刺绣{tag} 第c讲")
    await world.check_logs(name)
    await found_at(world, ROOT, tag, [f"{tag}a", f"{tag}b", f"{tag}c"])
    await world.kill(name)
    backup.unlink()


async def upgrading(world: World, tag: str, arm: Arm) -> None:
    """A newer program finds an older database, and dies while it brings it up."""
    name = f"{tag}.internal"
    assert await world.run(name, "init", "--root", name, "--title", "国家", *world.addresses(name)) == 0
    assert await world.run(name, "status") == 0
    await world.until_done(name, "status", arm=arm, quirks=("later schema",))
    connection = sqlite3.connect(world.home(name) / "data" / "node.db")
    version, later = (connection.execute(sql).fetchone()[0] for sql in ("PRAGMA user_version", "SELECT x FROM later"))
    connection.close()
    if (version, later) != (len(migrations.for_sqlite()) + 1, 1):
        raise Broken(f"schema {version}")


JOURNEYS = (
    Journey(name="catalogue, school dies", go=catalogue_with(SCHOOL)),
    Journey(name="catalogue, county dies", go=catalogue_with(COUNTY)),
    Journey(name="catalogue, hub dies", go=catalogue_with(ROOT)),
    Journey(name="founding", go=founding),
    Journey(name="joining", go=joining),
    Journey(name="invite to revoke, county dies", go=admitting),
    Journey(name="renewal, school dies", go=renewing_with(SCHOOL)),
    Journey(name="renewal, county dies", go=renewing_with(COUNTY)),
    Journey(name="moving", go=moving),
    Journey(name="replacing", go=replacing),
    Journey(name="backup", go=backing_up),
    Journey(name="restore", go=restoring),
    Journey(name="upgrade", go=upgrading),
)
