"""What must arrive, between real nodes: once, in order, and what does not is shown and can be mended."""

import asyncio
from functools import cached_property

import pytest

from federation.errors import InvalidInput, Unavailable
from federation.naming import NodeName
from node.assembly import Node
from node.ports import Delivered, Refused
from node.storage.errors import StoreClosed
from node.usecases import receiving
from node.usecases.clearing import NothingByThatName, SeveralByThatId
from node.usecases.posting import NoSuchItem, StillOnItsWay
from node.usecases.receiving import KindUnknown, OtherContent
from node.usecases.settling import ItemDropped
from tests.support.live_nodes import ROOT, network, until

COUNTY, SCHOOL = NodeName(f"county.{ROOT}"), NodeName(f"school1.{ROOT}")


class Taking:
    """A kind that appends what it is sent to a note, and may be told to refuse, to put off or to fail."""

    def __init__(self) -> None:
        self.prepared = []
        self.raises = {}
        self.slow_s = 0

    async def __call__(self, sender, document):
        self.prepared.append(document)
        await asyncio.sleep(self.slow_s)
        error = self.raises.get(document)
        if isinstance(error, Exception):
            raise error

        def unit(tx):
            held = tx.notes.get("taken") or b""
            tx.notes.put("taken", held + document + b",")
            if error is not None:
                raise error()
            return b"took " + document + b" from " + sender.encode()

        return unit


class Settling:
    def __init__(self) -> None:
        self.raises = None

    def __call__(self, tx, item, outcome):
        told = outcome.reply if isinstance(outcome, Delivered) else outcome.code.encode()
        tx.notes.put("settled", (tx.notes.get("settled") or b"") + item.id.encode() + b"=" + told + b";")
        if self.raises is not None:
            raise self.raises


@pytest.fixture
async def nodes(tmp_path, monkeypatch):
    for name, kind in (("receives", Taking), ("settles", Settling)):
        known = cached_property(lambda _, kind=kind: {"test": kind()})
        known.__set_name__(Node, name)
        monkeypatch.setattr(Node, name, known)
    async with network(tmp_path, "county", "school1") as nodes:
        for live in nodes.live.values():
            registered(live)
        for name in (COUNTY, SCHOOL):
            await until(lambda name=name: knows(nodes[name], name))  # before, it has nothing to compare with
            await nodes[name].node.meeting.meet(ROOT)  # tells its address, which the directory carries to the other
        for one, other in ((COUNTY, SCHOOL), (SCHOOL, COUNTY)):
            await until(lambda one=one, other=other: can_dial(nodes[one], other))
        yield nodes


async def knows(live, name):
    return live.node.vouching.standing_of(name) is not None


async def can_dial(live, name):
    return live.node.peers.can_dial(name)


def registered(live):
    live.taking, live.settling = live.node.receives["test"], live.node.settles["test"]
    live.node.posting._retry_first_s = 0.1


async def add(live, to, *item_ids, kind="test"):
    def unit(tx):
        for item_id in item_ids:
            tx.outbox.add(to, kind, item_id.encode(), item_id, live.node.clock.now_ms())

    await live.node.store.write(unit)


async def note(live, name):
    return await live.node.store.read(lambda tx: tx.notes.get(name))


async def waits(live):
    return await live.node.store.read(lambda tx: [(b.to, b.waiting, b.dead) for b in tx.outbox.backlogs()])


async def test_items_arrive_once_in_order_and_are_settled_with_their_replies(nodes):
    school, hub = nodes[SCHOOL], nodes[ROOT]
    names = [f"i{number}" for number in range(100)]
    await add(school, ROOT, *names)
    last = await school.node.posting.settled(ROOT, "i99", 20)
    assert last == Delivered(reply=f"took i99 from {SCHOOL}".encode())
    assert await note(hub, "taken") == "".join(f"{name}," for name in names).encode()
    told = "".join(f"{name}=took {name} from {SCHOOL};" for name in names)
    assert await note(school, "settled") == told.encode()
    assert await waits(school) == []


async def test_every_direction_of_the_tree_is_served(nodes):
    for one, other in ((ROOT, SCHOOL), (SCHOOL, COUNTY), (COUNTY, SCHOOL)):
        await add(nodes[one], other, f"to-{other[:6]}-{one[:3]}")
        outcome = await nodes[one].node.posting.settled(other, f"to-{other[:6]}-{one[:3]}", 20)
        assert isinstance(outcome, Delivered)


async def test_a_refused_item_goes_to_the_dead_letters_and_holds_nobody_up(nodes):
    school, hub = nodes[SCHOOL], nodes[ROOT]
    hub.taking.raises = {
        b"bad": InvalidInput("document", "no such learner"),
        b"worse": lambda: ZeroDivisionError("bug"),
    }
    await add(school, ROOT, "a", "bad", "b", "worse", "c")
    await add(school, ROOT, "unknown", kind="no such kind")
    assert isinstance(await school.node.posting.settled(ROOT, "c", 20), Delivered)
    assert await school.node.posting.settled(ROOT, "unknown", 20) == Refused(
        code=KindUnknown.code, told="no such kind: unknown"
    )
    assert await note(hub, "taken") == b"a,b,c,"
    dead = await school.node.store.read(lambda tx: tx.outbox.dead(9))
    assert [(item.id, item.code) for item in dead] == [
        ("bad", InvalidInput.code),
        ("worse", "LLN-000"),
        ("unknown", KindUnknown.code),
    ]
    assert dead[0].told == "document: no such learner"
    assert "bug" not in dead[1].told
    assert await note(school, "settled") == (
        f"a=took a from {SCHOOL};bad=LLN-110;b=took b from {SCHOOL};worse=LLN-000;c=took c from {SCHOOL};".encode()
    )


async def test_an_item_that_is_put_off_keeps_its_place_and_arrives_later(nodes):
    school, hub = nodes[SCHOOL], nodes[ROOT]
    hub.taking.raises = {b"b": Unavailable("disk", "full")}
    await add(school, ROOT, "a", "b", "c")
    assert isinstance(await school.node.posting.settled(ROOT, "a", 20), Delivered)
    with pytest.raises(StillOnItsWay):
        await school.node.posting.settled(ROOT, "c", 0.3)
    assert (await school.node.store.read(lambda tx: tx.outbox.sending(ROOT))).last_error.startswith("[LLN-160] disk")
    hub.taking.raises = {}
    assert isinstance(await school.node.posting.settled(ROOT, "c", 20), Delivered)
    assert await note(hub, "taken") == b"a,b,c,"


async def test_what_is_put_off_for_long_lets_the_others_pass(nodes):
    school, hub = nodes[SCHOOL], nodes[ROOT]
    hub.taking.raises = {b"a": Unavailable("a", "not yet")}
    monkey = school.node.posting
    monkey._longest_s = lambda _: 0.2
    await add(school, ROOT, "a", "b")
    assert isinstance(await school.node.posting.settled(ROOT, "b", 30), Delivered)
    hub.taking.raises = {}
    assert isinstance(await school.node.posting.settled(ROOT, "a", 30), Delivered)
    assert await note(hub, "taken") == b"b,a,"


async def test_items_that_take_long_to_check_arrive_in_several_batches(nodes, monkeypatch):
    monkeypatch.setattr(receiving, "PREPARING_S", 0.05)
    school, hub = nodes[SCHOOL], nodes[ROOT]
    hub.taking.slow_s = 0.06
    await add(school, ROOT, "a", "b", "c")
    assert isinstance(await school.node.posting.settled(ROOT, "c", 30), Delivered)
    assert await note(hub, "taken") == b"a,b,c,"


async def test_an_id_stands_for_one_content_at_the_receiver(nodes):
    school, hub = nodes[SCHOOL], nodes[ROOT]
    await add(school, ROOT, "a")
    await school.node.posting.settled(ROOT, "a", 20)
    await add(school, ROOT, "a")  # again, as after a mistake of ours: it is answered as before
    await until(lambda: asyncio.sleep(0.05, not school.node.posting._senders))
    await school.node.store.write(lambda tx: tx.outbox.add(ROOT, "test", b"other", "a", 1))
    await until(lambda: asyncio.sleep(0.05, not school.node.posting._senders))
    [dead] = await school.node.store.read(lambda tx: tx.outbox.dead(9))
    assert dead.code == OtherContent.code
    assert await note(hub, "taken") == b"a,"
    assert hub.taking.prepared == [b"a"]


async def test_a_settling_that_fails_is_shown_and_does_not_hold_up_the_others(nodes):
    school, hub = nodes[SCHOOL], nodes[ROOT]
    school.settling.raises = InvalidInput("settling", "a mistake of ours")
    await add(school, ROOT, "a", "b")
    assert await school.node.posting.settled(ROOT, "b", 20) == Refused(
        code=InvalidInput.code, told="[LLN-110] settling: a mistake of ours"
    )
    assert await note(hub, "taken") == b"a,b,"
    assert await note(school, "settled") is None
    assert [item.id for item in await school.node.store.read(lambda tx: tx.outbox.dead(9))] == ["a", "b"]


async def test_what_waits_for_a_node_that_is_down_goes_as_soon_as_it_is_heard_from(nodes):
    school = nodes[SCHOOL]
    await nodes.stop(COUNTY)
    school.node.posting._retry_first_s = 600.0  # only a sign of life can bring it there in time
    await add(school, COUNTY, "a")

    async def failed():
        return (await school.node.store.read(lambda tx: tx.outbox.sending(COUNTY))).failures

    await until(failed)
    with pytest.raises(StillOnItsWay):
        await school.node.posting.settled(COUNTY, "a", 0.1)
    school.node.posting._retry_first_s = 0.0
    registered(await nodes.start(COUNTY))
    county = nodes[COUNTY]

    async def says_hello():
        county.node.peers.know(SCHOOL, school.node.addresses.endpoint)
        school.node.peers.know(COUNTY, county.node.addresses.endpoint)
        await county.node.peers.resolve(SCHOOL, COUNTY, 1, timeout_s=5)
        return not await waits(school)

    await until(says_hello)
    assert await note(county, "taken") == b"a,"


async def test_what_waits_for_a_node_behind_nat_goes_as_soon_as_its_parent_says_that_it_is_up(nodes):
    inner, sender = NodeName(f"inner.{COUNTY}"), nodes[SCHOOL]
    await nodes.add(inner, "school", "school", dialable=False)
    await until(lambda: attached(nodes[COUNTY], inner))
    await nodes.stop(inner)
    sender.node.posting._retry_first_s = 600.0
    await add(sender, inner, "a")

    async def failed():
        return (await sender.node.store.read(lambda tx: tx.outbox.sending(inner))).failures

    await until(failed)
    sender.node.posting._retry_first_s = 0.0  # or the news would come too soon after the try
    registered(await nodes.start(inner, dialable=False))
    await until(lambda: empty(sender))
    assert await note(nodes[inner], "taken") == b"a,"


async def attached(live, child):
    return live.node.links.get(child) is not None


async def test_word_of_a_node_is_believed_of_those_above_it(nodes):
    told = []
    inbound = nodes[SCHOOL].node.inbound_post
    inbound._heard_from = told.append
    for name in (ROOT, SCHOOL, COUNTY, NodeName(f"inner.{COUNTY}")):
        await nodes[COUNTY].node.peers.tell_up(SCHOOL, name, timeout_s=5)
    assert told == [COUNTY, f"inner.{COUNTY}"]


async def test_what_waits_survives_a_restart_of_both_sides(nodes):
    await nodes.stop(ROOT)
    await add(nodes[SCHOOL], ROOT, "a", "b")
    await nodes.stop(SCHOOL)
    registered(await nodes.start(ROOT))
    registered(await nodes.start(SCHOOL))
    await until(lambda: taken(nodes[ROOT], b"a,b,"))
    await until(lambda: empty(nodes[SCHOOL]))
    assert await note(nodes[ROOT], "taken") == b"a,b,"


async def taken(live, expected):
    return await note(live, "taken") == expected


async def test_what_is_for_a_revoked_node_is_given_up_at_once_and_for_a_suspended_one_it_waits(nodes):
    hub = nodes[ROOT]
    await hub.ask("node.suspend", name=SCHOOL, reason="an inspection")
    await add(hub, SCHOOL, "a")
    with pytest.raises(StillOnItsWay):
        await hub.node.posting.settled(SCHOOL, "a", 0.5)
    assert "an inspection" in (await hub.node.store.read(lambda tx: tx.outbox.sending(SCHOOL))).last_error
    hub.node.posting._retry_first_s = 600.0
    await hub.ask("node.resume", name=SCHOOL, reason="it is over")
    assert isinstance(await hub.node.posting.settled(SCHOOL, "a", 20), Delivered)
    await hub.ask("node.revoke", name=SCHOOL, reason="it has closed")
    await until(lambda: asyncio.sleep(0, hub.node.vouching.standing_of(SCHOOL).status == "revoked"))
    await add(hub, SCHOOL, "b")
    outcome = await hub.node.posting.settled(SCHOOL, "b", 20)
    assert (outcome.code, outcome.told) == ("LLN-2671", f"{SCHOOL} is revoked: it has closed")


async def test_nothing_is_awaited_that_was_never_added(nodes):
    with pytest.raises(NoSuchItem):
        await nodes[SCHOOL].node.posting.settled(ROOT, "never", 1)


# --- what people see and do ------------------------------------------------------------------------------------------


async def test_people_see_what_was_given_up_and_have_it_sent_again_or_drop_it(nodes):
    school, hub = nodes[SCHOOL], nodes[ROOT]
    refused = InvalidInput("document", "no such learner")
    hub.taking.raises = {b"a": refused, b"b": refused, b"c": refused}
    await add(school, ROOT, "a", "b", "c")
    await school.node.posting.settled(ROOT, "c", 20)
    shown = await school.ask("outbox.show")
    assert [(one.to, one.waiting, one.given_up) for one in shown.nodes] == [(ROOT, 0, 3)]
    assert [(one.id, one.code, one.told) for one in shown.given_up] == [
        (name, "LLN-110", "document: no such learner") for name in ("a", "b", "c")
    ]
    status = await school.ask("node.status")
    assert [one.remedy for one in status.findings if one.step == "dead letters"] == ["lln outbox"]
    hub.taking.raises = {}
    assert (await school.ask("outbox.retry", what="a")).items == 1
    await until(lambda: taken(hub, b"a,"))
    assert (await school.ask("outbox.drop", id="b")).items == 1
    assert (await school.ask("outbox.retry", what=ROOT)).items == 1
    await until(lambda: taken(hub, b"a,c,"))
    await until(lambda: empty(school))
    for operation, asked in (("outbox.retry", {"what": "b"}), ("outbox.drop", {"id": "b"})):
        with pytest.raises(NothingByThatName):
            await school.ask(operation, **asked)


async def empty(live):
    return await waits(live) == []


async def test_an_item_that_is_dropped_while_it_waits_is_settled_as_refused(nodes):
    school = nodes[SCHOOL]
    await nodes.stop(COUNTY)
    await nodes.stop(ROOT)
    await add(school, COUNTY, "a")
    await add(school, ROOT, "a")
    with pytest.raises(SeveralByThatId):
        await school.ask("outbox.drop", id="a")
    await school.ask("outbox.drop", id="a", to=COUNTY)
    assert await note(school, "settled") == f"a={ItemDropped.code};".encode()
    assert [one[:2] for one in await waits(school) if one[1]] == [(ROOT, 1)]


# --- crashes ---------------------------------------------------------------------------------------------------------


class DyingStore:
    """A store whose process dies at some of its writes, before or after the commit; the next ones are the restart's."""

    def __init__(self, store, deaths):
        self._store = store
        self.deaths = list(deaths)
        self.read = store.read

    async def write(self, unit):
        death = self.deaths.pop(0) if self.deaths else None
        if death == "before":
            raise StoreClosed("this process", "died before the commit")
        done = await self._store.write(unit)
        if death == "after":
            raise StoreClosed("this process", "died after the commit")
        return done


DEATHS = [("before",), ("after",), (None, "before"), (None, "after"), ("after", None, "before"), ("after",) * 5]


@pytest.mark.parametrize("deaths", DEATHS, ids=lambda deaths: "-".join(map(str, deaths)))
async def test_a_receiver_that_dies_at_any_write_takes_each_item_in_once(nodes, deaths):
    school, hub = nodes[SCHOOL], nodes[ROOT]
    store = hub.node.inbound_post._receiving._store = DyingStore(hub.node.store, deaths)
    await add(school, ROOT, "a", "b", "c")
    assert isinstance(await school.node.posting.settled(ROOT, "c", 30), Delivered)
    assert await note(hub, "taken") == b"a,b,c,"
    assert len(store.deaths) < len(deaths)


@pytest.mark.parametrize("deaths", DEATHS, ids=lambda deaths: "-".join(map(str, deaths)))
async def test_a_receiver_that_dies_while_it_keeps_the_answer_takes_each_item_in_once(nodes, deaths):
    school, hub = nodes[SCHOOL], nodes[ROOT]
    hub._running._server._answers._store = DyingStore(hub.node.store, deaths)
    await add(school, ROOT, "a", "b", "c")
    assert isinstance(await school.node.posting.settled(ROOT, "c", 30), Delivered)
    assert await note(hub, "taken") == b"a,b,c,"


@pytest.mark.parametrize("deaths", DEATHS, ids=lambda deaths: "-".join(map(str, deaths)))
async def test_a_sender_that_dies_at_any_write_settles_each_item_once(nodes, deaths):
    school, hub = nodes[SCHOOL], nodes[ROOT]
    school.node.posting._store = DyingStore(school.node.store, deaths)
    await add(school, ROOT, "a", "b", "c")
    await until(lambda: empty(school))
    assert await note(hub, "taken") == b"a,b,c,"
    assert await note(school, "settled") == "".join(f"{name}=took {name} from {SCHOOL};" for name in "abc").encode()
