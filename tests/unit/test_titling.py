"""Titling: what nodes are called, from directories held here and from whoever is asked."""

import asyncio
from dataclasses import dataclass

import pytest

from federation.catalogue import BilingualLine
from federation.directory import NodeDescription
from federation.errors import NotFound
from node.ports import Resolved
from node.usecases.titling import IN_VAIN_FOR_MS, KNOWN_FOR_MS, Titling
from tests.support.machine import HandClock

ROOT, OWN, OTHER = "lln.internal", "a.lln.internal", "b.lln.internal"


@dataclass
class OneNode:
    name: str = OWN
    root: str = ROOT


class NoDirectories:
    def standing_of(self, name):
        return None


class World:
    def __init__(self):
        self.clock = HandClock(1_000_000)
        self.titling = Titling(vouching=NoDirectories(), resolve=self.resolve, identity=OneNode(), clock=self.clock)
        self.asked = []
        self.titles = {OTHER: "乙县"}
        self.answers = asyncio.Event()
        self.answers.set()

    async def resolve(self, caller, name, hops_left):
        self.asked.append(name)
        await self.answers.wait()
        if name not in self.titles:
            raise NotFound(name)
        title = BilingualLine(zh=self.titles[name])
        return Resolved(
            name=name,
            status="active",
            chain=(),
            description=NodeDescription(title=title, level="county", kind="authority"),
            moved_to=None,
            confirmed_at_ms=0,
            answered_by=ROOT,
        )


@pytest.fixture
def world():
    return World()


async def test_a_node_of_another_branch_is_asked_for_once_and_remembered(world):
    await world.titling.learn([OTHER, OTHER])
    await world.titling.learn([OTHER])
    assert world.asked == [OTHER]
    assert world.titling.title_of(OTHER) == BilingualLine(zh="乙县")


async def test_a_title_is_asked_for_again_after_some_hours_and_stays_known_meanwhile(world):
    await world.titling.learn([OTHER])
    world.clock.move(ms=KNOWN_FOR_MS)
    world.titles[OTHER] = "乙市"
    await world.titling.learn([OTHER])
    assert world.titling.title_of(OTHER) == BilingualLine(zh="乙市")


async def test_a_node_that_nobody_knows_is_not_asked_for_with_every_page(world):
    await world.titling.learn(["c.lln.internal"])
    await world.titling.learn(["c.lln.internal"])
    assert world.asked == ["c.lln.internal"]
    world.clock.move(ms=IN_VAIN_FOR_MS)
    await world.titling.learn(["c.lln.internal"])
    assert len(world.asked) == 2
    assert world.titling.title_of("c.lln.internal") is None


async def test_a_network_that_does_not_answer_holds_a_page_up_for_a_moment_only(world):
    world.answers.clear()
    async with asyncio.timeout(10):
        await world.titling.learn([OTHER])
    assert world.titling.title_of(OTHER) is None


@pytest.mark.parametrize("text", ["", "holder", "某人", "elsewhere.example.org", "../etc", "a..lln.internal"])
async def test_what_is_no_name_of_this_network_is_never_asked_for(world, text):
    await world.titling.learn([text])
    assert world.asked == []
    assert world.titling.title_of(text) is None
