"""Turns: each peer's calls wait in a lane of their own, and get no more than a share of the node's time."""

import asyncio

import pytest

from node.rpc.refusals import PAUSE_S, SPACING_S, Refusals
from node.rpc.turns import CREDIT_S, DEBT_MAX_S, Busyness, TooBusy, Turns

BAD, GOOD = "bad.lln.internal", "good.lln.internal"


class Watch:
    """Seconds that pass only when a test says so."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def watch():
    return Watch()


def turns_of(watch, **changes):
    given = {"calls": 100, "calls_per_peer": 6, "going_per_peer": 2, "share_per_peer": 0.25}
    return Turns(Busyness(**(given | changes)), watch)


async def working(watch, seconds):
    watch.now_s += seconds
    await asyncio.sleep(0)
    return "done"


async def test_beyond_those_that_are_worked_on_a_peers_calls_wait_for_each_other(watch):
    turns = turns_of(watch)
    first, second, third = (turns.take(BAD, 0) for _ in range(3))
    assert (first.must_wait, second.must_wait, third.must_wait) == (False, False, True)
    assert not turns.take(GOOD, 0).must_wait  # for nobody else's
    first.end()
    await asyncio.wait_for(third.wait(), 5)


async def test_a_call_that_waits_for_others_makes_room(watch):
    turns = turns_of(watch, going_per_peer=1)
    relayed, next_one = turns.take(BAD, 0), turns.take(BAD, 0)
    assert next_one.must_wait
    relayed.stand_back()
    await asyncio.wait_for(next_one.wait(), 5)
    relayed.end()
    next_one.end()
    assert not turns.take(BAD, 0).must_wait


async def test_only_so_many_calls_and_bytes_of_one_peer_may_be_under_way(watch):
    turns = turns_of(watch, payload_bytes_per_peer=10)
    big = turns.take(BAD, 1_000)  # alone, a call may have whatever its method allows
    with pytest.raises(TooBusy, match="bytes"):
        turns.take(BAD, 1)
    big.end()
    held = [turns.take(BAD, 1) for _ in range(6)]
    with pytest.raises(TooBusy, match="6 of its calls"):
        turns.take(BAD, 0)
    assert not turns.take(GOOD, 1).must_wait
    for turn in held:
        turn.end()
    assert not turns.take(BAD, 0).must_wait


async def test_all_together_are_bounded_too(watch):
    turns = turns_of(watch, calls=3)
    for peer in (BAD, BAD, GOOD):
        turns.take(peer, 0)
    with pytest.raises(TooBusy, match="3 calls"):
        turns.take(GOOD, 0)


async def test_who_hangs_up_while_waiting_leaves_no_gap(watch):
    turns = turns_of(watch, going_per_peer=1)
    going, waiting, after = (turns.take(BAD, 0) for _ in range(3))
    given_up = asyncio.ensure_future(waiting.wait())
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    waiting.end()
    going.end()
    await asyncio.wait_for(after.wait(), 5)
    after.end()
    assert not turns.take(BAD, 0).must_wait


async def test_who_hangs_up_in_the_moment_of_being_let_in_leaves_no_gap(watch):
    turns = turns_of(watch, going_per_peer=1)
    going, waiting, after = (turns.take(BAD, 0) for _ in range(3))
    let_in = asyncio.ensure_future(waiting.wait())
    await asyncio.sleep(0)
    going.end()  # lets it in; before it notices, its caller is gone
    let_in.cancel()
    await asyncio.gather(let_in, return_exceptions=True)
    waiting.end()
    await asyncio.wait_for(after.wait(), 5)
    assert not after.must_wait


async def test_time_beyond_the_share_is_made_good_before_the_next_call(watch):
    turns = turns_of(watch)
    turn = turns.take(BAD, 0)
    assert await turn.metered(working(watch, 0.5)) == "done"
    turn.end()
    in_debt = turns.take(BAD, 0)
    assert in_debt.must_wait
    in_debt.end()
    assert not turns.take(GOOD, 0).must_wait
    watch.now_s += 4 * DEBT_MAX_S
    assert not turns.take(BAD, 0).must_wait


async def test_a_lane_that_has_used_much_of_its_credit_goes_on_with_one_call_at_a_time(watch):
    turns = turns_of(watch)
    turn = turns.take(BAD, 0)
    turn._spend(0.75 * CREDIT_S)
    second = turns.take(BAD, 0)
    assert second.must_wait  # though there is room for two, and credit left
    turn.end()
    assert not second.must_wait


async def test_who_waits_for_time_is_let_in_by_itself():
    turns = Turns(Busyness(share_per_peer=0.5), asyncio.get_running_loop().time)
    turn = turns.take(BAD, 0)
    turn._spend(CREDIT_S + 0.05)
    turn.end()
    waiting = turns.take(BAD, 0)
    assert waiting.must_wait
    await asyncio.wait_for(waiting.wait(), 5)


async def test_what_a_call_waits_for_is_not_its_time(watch):
    turns = turns_of(watch)
    turn = turns.take(BAD, 0)
    opened = asyncio.Event()

    async def waits():
        await opened.wait()

    going = asyncio.ensure_future(turn.metered(waits()))
    await asyncio.sleep(0)
    watch.now_s += 50
    opened.set()
    await going
    turn.end()
    assert not turns.take(BAD, 0).must_wait


async def test_errors_and_cancelling_pass_through_the_meter(watch):
    turns = turns_of(watch)
    seen = []

    async def fails():
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def is_cancelled():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(ZeroDivisionError):
        await turns.take(BAD, 0).metered(fails())
    going = asyncio.ensure_future(turns.take(BAD, 0).metered(is_cancelled()))
    await asyncio.sleep(0)
    going.cancel()
    assert isinstance((await asyncio.gather(going, return_exceptions=True))[0], asyncio.CancelledError)
    assert seen == ["cancelled"]


async def test_with_the_whole_node_to_itself_nobody_pays_for_time(watch):
    turns = turns_of(watch, share_per_peer=1)
    turn = turns.take(BAD, 0)
    await turn.metered(working(watch, 50))
    turn.end()
    assert not turns.take(BAD, 0).must_wait


async def test_not_now_is_said_to_one_peer_one_by_one():
    refusals, loop = Refusals(), asyncio.get_running_loop()
    began_s = loop.time()
    told_s = []

    async def refused():
        await refusals.pause(BAD, 60.0)
        told_s.append(loop.time() - began_s)

    await asyncio.gather(*(refused() for _ in range(10)))
    assert told_s[0] >= PAUSE_S * 0.9
    assert told_s[-1] >= PAUSE_S + 9 * SPACING_S * 0.9


async def test_nobody_is_kept_waiting_until_the_call_has_run_out():
    less_than_two_pauses = Refusals().pause(BAD, PAUSE_S)
    with pytest.raises(StopIteration):  # told at once, without waiting for anything
        less_than_two_pauses.send(None)


def test_refusals_are_counted_by_code_and_by_peer_and_nobody_is_blamed_for_others():
    refusals = Refusals()
    refusals.count("LLN-234", BAD)
    refusals.count("LLN-234", BAD)
    refusals.count("LLN-225", None)
    assert refusals.by_code == {"LLN-234": 2, "LLN-225": 1}
    assert refusals.of(BAD) == {"LLN-234": 2}
    assert refusals.of(GOOD) == {}
    assert refusals.peers() == (BAD,)
