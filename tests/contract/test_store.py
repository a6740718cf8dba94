"""The contract of `node.ports.Store`, kept by every engine."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from federation import logs
from federation.canonical import MalformedDocument
from federation.catalogue import CRITERIA, BilingualLine, Resource, Review
from federation.checkpoints import sign_checkpoint
from federation.directory import NodeDescription, Standing
from federation.errors import Conflict, InvalidInput, NotAllowed
from federation.logs import Entry, LogHead
from federation.merkle import leaf_hash, leaf_hashes
from federation.naming import NodeName
from node.ports import ForkEvidence, Holding, Invite, KeptAnswer, ResourceRow
from node.storage.errors import (
    AnswerKeptAlready,
    HomeInUse,
    LogMovedOn,
    NotOwnLog,
    OpenedForReading,
    RowsClash,
    StoreClosed,
)
from tests.support.stores import (
    KEY,
    NOW_MS,
    OTHER,
    OWN,
    OWN_DIRECTORY,
    check_log_holds_together,
    opened,
    seal,
)

HUB, COUNTY = NodeName("lln.internal"), NodeName("county.lln.internal")


@pytest.fixture
async def store(place):
    async with opened(place) as made:
        yield made


def append(*documents, log=OWN):
    return lambda tx: tx.logs.append(log, list(documents))


# --- groups ----------------------------------------------------------------------------------------------------------


async def test_many_writers_append_to_one_log_and_one_checkpoint_covers_them(store):
    indexes = await asyncio.gather(*(store.write(append(b"%d" % n)) for n in range(300)))
    assert sorted(indexes) == list(range(300))
    documents = await check_log_holds_together(store, 300)
    assert [documents[index] for index in indexes] == [b"%d" % n for n in range(300)]


async def test_a_group_is_sealed_once_per_log(place):
    sealed = []

    def counting(head):
        sealed.append((head.log, head.size))
        return seal(head)

    async with opened(place, sealing=counting) as store:
        await asyncio.gather(
            *(store.write(append(b"%d" % n)) for n in range(50)),
            store.write(append(b"d", log=OWN_DIRECTORY)),
            store.write(lambda tx: tx.notes.put("no log", b"")),
        )
    assert sealed == [(OWN, 50), (OWN_DIRECTORY, 1)]


async def test_a_unit_that_raises_is_undone_alone(store):
    def fails(tx):
        tx.logs.append(OWN, [b"never", b"never either"])
        tx.logs.append(OWN_DIRECTORY, [b"never"])
        tx.notes.put("never", b"1")
        tx.resources.put([resource("never")])
        assert tx.resources.get("never") is not None
        assert tx.logs.get(OWN).head.size == 3
        raise InvalidInput("unit", "of no use")

    results = await asyncio.gather(
        store.write(append(b"a")),
        store.write(fails),
        store.write(append(b"b")),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [int, InvalidInput, int]
    assert results[2] == 1
    assert await check_log_holds_together(store, 2) == [b"a", b"b"]
    left = await store.read(
        lambda tx: (tx.notes.get("never"), tx.resources.get("never"), tx.logs.get(OWN_DIRECTORY), len(tx.logs.all()))
    )
    assert left == (None, None, None, 1)


async def test_rows_put_before_a_failing_unit_stand_and_those_after_it_too(store):
    def put(name):
        return lambda tx: tx.resources.put([resource(name)])

    def reads_then_fails(tx):
        assert tx.resources.get("a") is not None  # written now, and not part of what is undone
        tx.resources.put([resource("b")])
        assert [row.id for row in tx.resources.list((), "", 10)] == ["a", "b"]
        tx.resources.put([resource("c")])
        raise KeyError("a mistake of the unit's own")

    outcomes = await asyncio.gather(
        store.write(put("a")), store.write(reads_then_fails), store.write(put("d")), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), KeyError, type(None)]
    assert [row.id for row in await store.read(lambda tx: tx.resources.list((), "", 10))] == ["a", "d"]


async def test_what_a_unit_wrote_it_reads_again_at_once(store):
    def unit(tx):
        first = tx.logs.append(OWN, [b"a", b"b"])
        entries = tx.logs.entries(OWN, 0, 10)
        rows = tx.logs.hash_rows(OWN, [0, 1, 7])
        tx.logs.append(OWN, [b"c"])
        return first, [e.document for e in entries], sorted(rows), tx.logs.get(OWN).head, tx.logs.entries(OWN, 1, 2)

    await store.write(append(b"before"))
    first, documents, rows, head, last = await store.write(unit)
    assert (first, documents, rows) == (1, [b"before", b"a", b"b"], [0, 1])
    assert [entry.document for entry in last] == [b"a", b"b"]
    assert head == (await store.read(lambda tx: tx.logs.get(OWN))).head
    await check_log_holds_together(store, 4)


async def test_a_group_whose_seal_fails_leaves_nothing_and_the_next_one_stands(place):
    broken = True

    def sealing(head):
        if broken:
            raise InvalidInput("key", "the device is gone")
        return seal(head)

    async with opened(place, sealing=sealing) as store:
        outcomes = await asyncio.gather(
            store.write(append(b"a")),
            store.write(lambda tx: tx.notes.put("name", b"1")),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [InvalidInput, InvalidInput]
        assert await store.read(lambda tx: (tx.logs.get(OWN), tx.notes.get("name"))) == (None, None)
        broken = False
        assert await store.write(append(b"b")) == 0
        assert await check_log_holds_together(store) == [b"b"]


@pytest.mark.parametrize("raised", [StopIteration("odd"), ValueError("own")])
async def test_whatever_a_unit_raises_reaches_its_caller(store, raised):
    def fails(_):
        raise raised

    with pytest.raises((RuntimeError, ValueError)):
        await store.write(fails)
    assert await store.write(append(b"a")) == 0


async def test_a_value_the_database_cannot_hold_is_refused_in_words_and_alone(store):
    too_large = Holding(log=OWN, holder=HUB, size=2**70, indexed=0, at_ms=0)
    outcomes = await asyncio.gather(
        store.write(append(b"a")),
        store.write(lambda tx: tx.logs.put_holding(too_large)),
        return_exceptions=True,
    )
    assert outcomes[0] == 0
    assert isinstance(outcomes[1], RowsClash)


async def test_a_caller_cancelled_while_waiting_leaves_nothing_and_the_others_their_answers(store):
    cancelled = asyncio.ensure_future(store.write(append(b"x")))
    other = asyncio.ensure_future(store.write(append(b"y")))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await other == 0
    assert await check_log_holds_together(store) == [b"y"]


async def test_a_caller_cancelled_while_its_group_commits_leaves_the_group_whole(store):
    began, may_end = threading.Event(), threading.Event()

    def slow(tx):
        began.set()
        may_end.wait(10)
        return tx.logs.append(OWN, [b"slow"])

    cancelled = asyncio.ensure_future(store.write(slow))
    other = asyncio.ensure_future(store.write(append(b"other")))
    await asyncio.to_thread(began.wait, 10)
    cancelled.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await cancelled
    may_end.set()
    assert await other == 1
    assert await check_log_holds_together(store) == [b"slow", b"other"]


async def test_listeners_hear_which_logs_grew_and_a_broken_one_breaks_nothing(store):
    heard, reported = [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    store.on_commit(lambda _: 1 / 0)
    store.on_commit(heard.append)
    await store.write(append(b"a"))
    await store.write(lambda tx: tx.notes.put("quiet", b""))
    await store.write(lambda tx: tx.logs.confirm(OWN, b"note", 5))
    await asyncio.sleep(0)
    assert heard == [frozenset((OWN,))] * 2
    assert [type(error) for error in reported] == [ZeroDivisionError] * 2


async def test_a_closed_store_refuses(place):
    async with opened(place) as store:
        waiting = [asyncio.ensure_future(store.write(append(b"%d" % n))) for n in range(5)]
        await asyncio.sleep(0)
    assert sorted(await asyncio.gather(*waiting)) == [0, 1, 2, 3, 4]
    with pytest.raises(StoreClosed):
        await store.write(append(b"late"))
    with pytest.raises(StoreClosed):
        await store.read(lambda tx: tx.logs.all())


# --- reading ---------------------------------------------------------------------------------------------------------


async def test_a_read_sees_one_snapshot_whatever_is_committed_meanwhile(store):
    began, may_end = threading.Event(), threading.Event()
    await store.write(append(b"a"))

    def slow(tx):
        before = tx.logs.get(OWN).head.size
        began.set()
        may_end.wait(10)
        return before, tx.logs.get(OWN).head.size, len(tx.logs.entries(OWN, 0, 10))

    reading = asyncio.ensure_future(store.read(slow))
    await asyncio.to_thread(began.wait, 10)
    await store.write(append(b"b"))
    may_end.set()
    assert await reading == (1, 1, 1)
    assert await store.read(lambda tx: tx.logs.get(OWN).head.size) == 2


async def test_a_resource_that_is_dropped_is_gone_also_in_the_unit_that_drops_it(store):
    await store.write(lambda tx: tx.resources.put([resource("a"), resource("b")]))

    def unit(tx):
        tx.resources.put([resource("c")])
        for one in ("a", "c", "nobody"):
            tx.resources.drop(one)
        return [row.id for row in tx.resources.list((), "", 10)]

    assert await store.write(unit) == ["b"]
    assert await store.read(lambda tx: [row.id for row in tx.resources.list((), "", 10)]) == ["b"]


async def test_a_read_may_not_write(store):
    for unit in (
        lambda tx: tx.notes.put("a", b""),
        lambda tx: tx.resources.put([resource("a")]),
        lambda tx: tx.logs.extend(LogHead(log=OTHER), (), (), b"", 0),
    ):
        with pytest.raises(OpenedForReading):
            await store.read(unit)
    assert await store.read(lambda tx: tx.notes.get("a")) is None


async def test_more_readers_than_connections_take_turns(store):
    await store.write(append(b"a"))
    sizes = await asyncio.gather(*(store.read(lambda tx: tx.logs.get(OWN).head.size) for _ in range(50)))
    assert sizes == [1] * 50


# --- logs ------------------------------------------------------------------------------------------------------------


async def test_an_empty_append_seals_an_empty_log(store):
    assert await store.write(append()) == 0
    await check_log_holds_together(store, 0)


async def test_somebody_elses_log_cannot_be_appended_to(store):
    with pytest.raises(NotOwnLog):
        await store.write(append(b"a", log=OTHER))
    assert issubclass(NotOwnLog, NotAllowed)
    assert await store.read(lambda tx: tx.logs.all()) == []


async def test_a_document_beyond_the_limit_is_refused_by_the_unit_that_brings_it(store):
    outcomes = await asyncio.gather(
        store.write(append(b"a")),
        store.write(append(b"x" * (logs.DOCUMENT_BYTES_MAX + 1))),
        return_exceptions=True,
    )
    assert outcomes[0] == 0
    assert isinstance(outcomes[1], MalformedDocument)
    await check_log_holds_together(store, 1)


async def test_a_copy_grows_by_pages_with_withheld_entries(store):
    entries = [Entry.full(b"a"), Entry.withheld(leaf_hash(b"secret")), Entry.full(b"c")]
    await store.write(lambda tx: extend(tx, LogHead(log=OTHER), entries, b"note 3", 7))
    held = await store.read(lambda tx: tx.logs.get(OTHER))
    await store.write(lambda tx: extend(tx, held.head, [Entry.full(b"d")], b"note 4", 8))
    stored, got = await store.read(lambda tx: (tx.logs.get(OTHER), tx.logs.entries(OTHER, 1, 2)))
    assert got == entries[1:]
    assert (stored.head.size, stored.note, stored.confirmed_at_ms) == (4, b"note 4", 8)
    assert stored.head.root() == grown(LogHead(log=OTHER), [b"a", b"secret", b"c", b"d"]).frontier.root()
    assert await store.read(lambda tx: tx.logs.entries(OTHER, 9, 5)) == []
    assert await store.read(lambda tx: tx.logs.hash_rows(OTHER, [])) == {}


async def test_a_page_that_does_not_follow_on_is_refused_and_stores_nothing(store):
    await store.write(lambda tx: extend(tx, LogHead(log=OTHER), [Entry.full(b"a")], b"1", 1))
    for head in (LogHead(log=OTHER), LogHead(log=OTHER, frontier=grown(LogHead(log=OTHER), [b"a", b"b"]).frontier)):
        with pytest.raises(LogMovedOn):
            await store.write(lambda tx, head=head: extend(tx, head, [Entry.full(b"c")], b"2", 2))
    stored = await store.read(lambda tx: tx.logs.get(OTHER))
    assert (stored.head.size, stored.note) == (1, b"1")


async def test_own_entries_brought_back_from_a_copy_are_followed_by_new_ones(store):
    entries = [Entry.full(b"a"), Entry.full(b"b")]
    head = grown(LogHead(log=OWN), [b"a", b"b"])
    restored = logs.LogHead(log=OWN, frontier=head.frontier)
    note = sign_checkpoint(restored.checkpoint(), KEY)
    outcomes = await asyncio.gather(
        store.write(lambda tx: extend(tx, LogHead(log=OWN), entries, note, 1)),
        store.write(append(b"c")),
    )
    assert outcomes[1] == 2
    assert await check_log_holds_together(store) == [b"a", b"b", b"c"]


async def test_a_unit_that_brings_entries_back_appends_and_fails_leaves_the_log_as_it_was(store):
    def fails(tx):
        extend(tx, LogHead(log=OWN), [Entry.full(b"a")], b"note", 1)
        tx.logs.append(OWN, [b"b"])
        raise InvalidInput("unit", "after all")

    outcomes = await asyncio.gather(store.write(fails), store.write(append(b"c")), return_exceptions=True)
    assert outcomes[1] == 0
    assert await check_log_holds_together(store) == [b"c"]


async def test_a_newer_note_is_kept_and_the_next_append_signs_its_own(store):
    await store.write(append(b"a"))
    note = (await store.read(lambda tx: tx.logs.get(OWN))).note
    await store.write(lambda tx: tx.logs.confirm(OWN, note + b"cosigned", 77))
    stored = await store.read(lambda tx: tx.logs.get(OWN))
    assert (stored.note, stored.confirmed_at_ms) == (note + b"cosigned", 77)
    await asyncio.gather(store.write(append(b"b")), store.write(lambda tx: tx.logs.confirm(OWN, b"an older note", 78)))
    await check_log_holds_together(store, 2)
    assert (await store.read(lambda tx: tx.logs.get(OWN))).confirmed_at_ms == NOW_MS


async def test_all_logs_come_in_order_with_those_of_the_group(store):
    await store.write(lambda tx: extend(tx, LogHead(log=OTHER), [Entry.full(b"a")], b"1", 1))

    def unit(tx):
        tx.logs.append(OWN_DIRECTORY, [b"d"])
        return [(found.log, found.head.size) for found in tx.logs.all()]

    assert await store.write(unit) == [(OTHER, 1), (OWN_DIRECTORY, 1)]
    assert [found.log for found in await store.read(lambda tx: tx.logs.all())] == [OTHER, OWN_DIRECTORY]


async def test_many_rows_are_found_by_index_whatever_their_number(store):
    documents = [b"%d" % n for n in range(400)]
    await store.write(append(*documents))
    rows = grown_rows(LogHead(log=OWN), documents)
    for wanted in ([3], list(range(9)), list(range(0, 400, 2)), [399, 400, 5_000]):
        found = await store.read(lambda tx, wanted=wanted: tx.logs.hash_rows(OWN, wanted))
        assert found == {index: rows[index] for index in wanted if index < 400}


async def test_a_fork_is_kept_once_whichever_note_came_first(store):
    fork = ForkEvidence(log=OWN, one=b"1", other=b"2", found_by=HUB, found_at_ms=5)
    turned = ForkEvidence(log=OWN, one=b"2", other=b"1", found_by=COUNTY, found_at_ms=6, reported=True)
    another = ForkEvidence(log=OTHER, one=b"1", other=b"2", found_by=HUB, found_at_ms=4)
    for evidence in (fork, turned, another):
        await store.write(lambda tx, evidence=evidence: tx.logs.add_fork(evidence))
    reported = ForkEvidence(log=OWN, one=b"1", other=b"2", found_by=HUB, found_at_ms=5, reported=True)
    assert await store.read(lambda tx: tx.logs.forks()) == [another, reported]


async def test_holdings_are_the_last_that_were_told_nearest_first(store):
    def held(holder, size):
        return Holding(log=OWN, holder=holder, size=size, indexed=size - 1, at_ms=9)

    for holding in (held(HUB, 4), held(COUNTY, 5), held(HUB, 6)):
        await store.write(lambda tx, holding=holding: tx.logs.put_holding(holding))
    assert await store.read(lambda tx: tx.logs.holdings(OWN)) == [held(COUNTY, 5), held(HUB, 6)]
    assert await store.read(lambda tx: tx.logs.holdings(OTHER)) == []


# --- the other rows --------------------------------------------------------------------------------------------------


async def test_standings_are_found_by_authority(store):
    school, college = standing(COUNTY, "school"), standing(COUNTY, "college")
    county = standing(HUB, "county")

    def put(tx):
        for each in (school, county, college):
            tx.standings.put(each)

    await store.write(put)
    await store.write(lambda tx: tx.standings.put(standing(COUNTY, "school", status="revoked", reason="closed")))
    revoked = standing(COUNTY, "school", status="revoked", reason="closed")
    got = await store.read(
        lambda tx: (
            tx.standings.get(COUNTY, school.name),
            tx.standings.get(HUB, school.name),
            tx.standings.of(COUNTY),
            tx.standings.all(),
        )
    )
    assert got == (revoked, None, [college, revoked], [college, revoked, county])


async def test_invites_round_trip(store):
    invite = Invite(
        id="i1",
        name=COUNTY,
        description=description(),
        secret=b"\0\xff" * 8,
        expires_at_ms=9,
        tries_left=5,
        state="open",
    )
    used = Invite(
        id="i1",
        name=COUNTY,
        description=description(),
        secret=b"",
        expires_at_ms=9,
        tries_left=5,
        state="used",
        joined_key="did:key:z6Mk",
        transcript_sha256=b"\1" * 32,
        chain=(b"der", b"der2"),
    )
    await store.write(lambda tx: tx.invites.put(invite))
    assert await store.read(lambda tx: (tx.invites.get("i1"), tx.invites.get("i2"))) == (invite, None)
    await store.write(lambda tx: tx.invites.put(used))
    assert await store.read(lambda tx: tx.invites.all()) == [used]


async def test_resources_are_listed_by_state_in_pages(store):
    states = ["pending", "returned", "reviewed", "published", "withdrawn"]
    rows = [resource(f"r{number:03}", states[number % 5]) for number in range(300)]
    await store.write(lambda tx: tx.resources.put(rows))
    first, second, two_states, every, counts, some = await store.read(
        lambda tx: (
            tx.resources.list(["pending"], "", 40),
            tx.resources.list(["pending"], "r195", 40),
            tx.resources.list(["published", "pending", "pending"], "r010", 3),
            tx.resources.list([], "r297", 40),
            tx.resources.counts(),
            tx.resources.many([*(row.id for row in rows[:150]), "absent"]),
        )
    )
    pending = [row for row in rows if row.state == "pending"]
    assert (first, second) == (pending[:40], pending[40:])
    assert [row.id for row in two_states] == ["r013", "r015", "r018"]
    assert every == rows[298:]
    assert counts == dict.fromkeys(states, 60)
    assert some == {row.id: row for row in rows[:150]}
    assert await store.read(lambda tx: (tx.resources.many([]), tx.resources.get("absent"))) == ({}, None)


async def test_resources_are_listed_by_who_submitted_them_last(store):
    theirs = [msgspec.structs.replace(resource(f"r{number}"), author="lin") for number in range(3)]
    others = msgspec.structs.replace(resource("r9"), author="he")
    await store.write(lambda tx: tx.resources.put([*theirs, others]))
    await store.write(lambda tx: tx.resources.put([msgspec.structs.replace(theirs[0], author="he")]))
    listed = await store.read(lambda tx: [tx.resources.of(*asked) for asked in (("lin", "", 9), ("he", "r0", 1))])
    assert listed == [theirs[1:], [others]]


async def test_a_resource_changes_state_and_leaves_its_old_list(store):
    await store.write(lambda tx: tx.resources.put([resource("r", "pending")]))
    changed = resource("r", "published", index=4)
    await store.write(lambda tx: tx.resources.put([changed]))
    got = await store.read(lambda tx: (tx.resources.get("r"), tx.resources.list(["pending"], "", 9)))
    assert got == (changed, [])
    assert await store.read(lambda tx: tx.resources.counts()) == {"published": 1}


async def test_which_entries_are_in_force_follows_the_rows(store):
    first = [resource("a", "published", 3), resource("b", "published", 4), resource("c", "published", 7), resource("d")]
    await store.write(lambda tx: tx.resources.put(first))
    await store.write(lambda tx: tx.resources.put([resource("a", "published", 8), resource("b", "pending")]))
    found = await store.read(lambda tx: (tx.resources.in_force(0, 7), tx.resources.in_force(7, 9)))
    assert found == (set(), {7, 8})


async def test_ids_are_ordered_as_bytes_are(store):
    ids = ["B", "a", "a-1", "a.1", "a:1", "b", "Z"]
    await store.write(lambda tx: tx.resources.put([resource(name) for name in ids]))
    assert [row.id for row in await store.read(lambda tx: tx.resources.list((), "", 99))] == sorted(ids)


async def test_a_kept_answer_is_never_replaced(store):
    first, second = answer(b"first"), answer(b"second")
    await store.write(lambda tx: tx.answers.put(first))
    with pytest.raises(AnswerKeptAlready):
        await store.write(lambda tx: tx.answers.put(second))
    assert issubclass(AnswerKeptAlready, Conflict)
    assert await store.read(lambda tx: tx.answers.get(first.caller, "1")) == first
    assert await store.read(lambda tx: tx.answers.get(first.caller, "2")) is None


async def test_operations_that_have_an_answer_are_listed_in_order(store):
    kept = [("z.lln.internal", "1"), ("a.lln.internal", "9"), ("a.lln.internal", "10"), ("a.b.lln.internal", "9")]
    for caller, operation_id in kept:
        one = msgspec.structs.replace(answer(b""), caller=caller, operation_id=operation_id)
        await store.write(lambda tx, one=one: tx.answers.put(one))
    first = await store.read(lambda tx: tx.answers.keys(("", ""), 3))
    assert first + await store.read(lambda tx: tx.answers.keys(first[-1], 3)) == sorted(kept)


async def test_of_two_answers_in_one_group_the_first_stands_with_what_its_unit_did(store):
    def unit(body):
        def write(tx):
            tx.logs.append(OWN, [body])
            tx.answers.put(answer(body))

        return write

    outcomes = await asyncio.gather(store.write(unit(b"1")), store.write(unit(b"2")), return_exceptions=True)
    assert outcomes[0] is None
    assert isinstance(outcomes[1], AnswerKeptAlready)
    assert await check_log_holds_together(store) == [b"1"]


async def test_notes_are_the_last_that_was_put(store):
    await store.write(lambda tx: tx.notes.put("chain", b"\0\1"))
    await store.write(lambda tx: tx.notes.put("chain", b"\2"))
    assert await store.read(lambda tx: (tx.notes.get("chain"), tx.notes.get("other"))) == (b"\2", None)


# --- across processes ------------------------------------------------------------------------------------------------


async def test_everything_is_there_after_reopening(place):
    async with opened(place) as store:
        await store.write(append(b"a", b"b", b"c"))
        await store.write(lambda tx: tx.answers.put(answer(b"kept")))
    async with opened(place) as store:
        assert await store.write(append(b"d")) == 3
        assert await check_log_holds_together(store) == [b"a", b"b", b"c", b"d"]
        assert (await store.read(lambda tx: tx.answers.get(HUB, "1"))).body == b"kept"


async def test_a_store_in_use_is_not_opened_twice(place):
    async with opened(place) as store:
        with pytest.raises(HomeInUse):
            async with opened(place):
                pass
        assert await store.write(append(b"a")) == 0
    async with opened(place) as store:
        await check_log_holds_together(store, 1)


_WRITES_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from tests.contract.test_store import answer
from tests.support.stores import OWN, opened

place = sys.argv[1] if "=" in sys.argv[1] else Path(sys.argv[1])

async def one(store, n):
    def unit(tx):
        tx.notes.put(str(n), b"")
        return tx.logs.append(OWN, [b"%d" % n])
    await store.write(unit)
    print(n, flush=True)

async def main():
    async with opened(place) as store:
        for start in range(0, 1_000_000, 20):
            await asyncio.gather(*(one(store, n) for n in range(start, start + 20)))

asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_it_answered_for_and_doubles_nothing(place):
    told = await asyncio.to_thread(killed_in_mid_stream, str(place), after=400)
    async with opened(place) as store:
        documents = await check_log_holds_together(store)
        noted = await store.read(lambda tx: [tx.notes.get(document.decode()) for document in documents])
    assert {b"%d" % n for n in told} <= set(documents)
    assert len(set(documents)) == len(documents)
    assert None not in noted


def killed_in_mid_stream(place, *, after):
    """What a process had printed as durable by the time it was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", _WRITES_UNTIL_KILLED, place],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as writing:
        told = [int(writing.stdout.readline()) for _ in range(after)]
        writing.kill()
        return told + [int(line) for line in writing.stdout.read().splitlines(keepends=True) if line.endswith("\n")]


# --- what is stored --------------------------------------------------------------------------------------------------


def extend(tx, head, entries, note, at_ms):
    extended = head.frontier.extend([entry.leaf_hash for entry in entries])
    tx.logs.extend(LogHead(log=head.log, frontier=extended.frontier), extended.rows, entries, note, at_ms)


def grown(head, documents):
    return head.frontier.extend(leaf_hashes(documents))


def grown_rows(head, documents):
    return grown(head, documents).rows


def description():
    return NodeDescription(title=BilingualLine(zh="示范学校"), level="school", kind="school")


def standing(authority, label, *, status="active", reason=""):
    return Standing(
        authority=authority,
        name=NodeName(f"{label}.{authority}"),
        status=status,
        description=description(),
        key="did:key:z6Mk",
        certificates=("Zm9v",),
        since_ms=5,
        reason=reason,
    )


def resource(name, state="pending", index=None):
    described = Resource(
        id=name,
        title=BilingualLine(zh="书法入门", en="Calligraphy"),
        type="online_course",
        section="hobbies_interests",
    )
    return ResourceRow(
        id=name,
        resource=described,
        state=state,
        author="li",
        review=Review(reviewer="wang", criteria=CRITERIA, at_ms=3) if index is not None else None,
        published=described if index is not None else None,
        log_index=index,
        updated_at_ms=4,
    )


def answer(body):
    return KeptAnswer(
        caller=HUB,
        operation_id="1",
        call_sha256=b"\0" * 32,
        method="/lln.v1.Logs/Push",
        payload_sha256=b"\xff" * 32,
        call_header=b"header",
        call_signature=b"signature",
        status=0,
        body=body,
        at_ms=1,
    )
