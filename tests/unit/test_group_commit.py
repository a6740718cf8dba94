"""Who waits for the one writer, for how long, and in what company."""

import asyncio

import pytest

from node.storage.engine import Committed
from node.storage.errors import StoreBusy, StoreClosed
from node.storage.group_commit import GroupCommit
from node.storage.reader_pool import ReaderPool


class Commits:
    """Stands for the writer: notes each group, and lets it end when told."""

    def __init__(self):
        self.groups = []
        self.may_end = asyncio.Event()

    async def __call__(self, units):
        self.groups.append(len(units))
        await self.may_end.wait()
        return Committed(values=[unit(None) for unit in units], raised={}, touched=frozenset())


@pytest.fixture
def commits():
    return Commits()


async def begun(commits, count=1):
    async with asyncio.timeout(5):
        while len(commits.groups) < count:  # noqa: ASYNC110  # a turn of the loop is what is waited for
            await asyncio.sleep(0)


async def test_units_gather_while_a_group_commits(commits):
    group_commit = GroupCommit(commits)
    first = asyncio.ensure_future(group_commit.write(lambda _: 0))
    await begun(commits)
    others = [asyncio.ensure_future(group_commit.write(lambda _, n=n: n)) for n in range(1, 40)]
    await asyncio.sleep(0)
    commits.may_end.set()
    assert [await first, *await asyncio.gather(*others)] == list(range(40))
    assert commits.groups == [1, 39]
    await group_commit.close()


async def test_callers_that_come_in_one_turn_of_the_loop_share_a_group(commits):
    commits.may_end.set()
    group_commit = GroupCommit(commits)

    async def caller():
        for _ in range(5):
            await group_commit.write(lambda _: None)

    await asyncio.gather(*(caller() for _ in range(64)))
    assert commits.groups == [64] * 5
    await group_commit.close()


async def test_a_group_is_bounded(commits):
    commits.may_end.set()
    group_commit = GroupCommit(commits, group_units_max=10)
    await asyncio.gather(*(group_commit.write(lambda _: None) for _ in range(25)))
    assert commits.groups == [10, 10, 5]
    await group_commit.close()


async def test_a_full_queue_holds_callers_back_until_there_is_room(commits):
    group_commit = GroupCommit(commits, group_units_max=2, waiting_units_max=2)
    writes = [asyncio.ensure_future(group_commit.write(lambda _, n=n: n)) for n in range(20)]
    await begun(commits)
    assert len(group_commit._waiting) <= 2
    commits.may_end.set()
    assert await asyncio.gather(*writes) == list(range(20))
    await group_commit.close()


async def test_who_waits_for_room_too_long_is_refused_and_what_waited_before_stands(commits):
    group_commit = GroupCommit(commits, group_units_max=1, waiting_units_max=1, room_wait_s=0.05)
    writes = [asyncio.ensure_future(group_commit.write(lambda _: "done"))]
    await begun(commits)
    writes.append(asyncio.ensure_future(group_commit.write(lambda _: "done")))
    await asyncio.sleep(0)
    with pytest.raises(StoreBusy):
        await group_commit.write(lambda _: None)
    commits.may_end.set()
    assert await asyncio.gather(*writes) == ["done", "done"]
    await group_commit.close()


async def test_closing_lets_what_waits_be_written_and_refuses_who_had_no_room(commits):
    group_commit = GroupCommit(commits, group_units_max=1, waiting_units_max=1)
    writes = [asyncio.ensure_future(group_commit.write(lambda _: "done"))]
    await begun(commits)
    writes += [asyncio.ensure_future(group_commit.write(lambda _: "done")) for _ in range(2)]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(group_commit.close())
    await asyncio.sleep(0)
    commits.may_end.set()
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    await closing
    assert outcomes[:2] == ["done", "done"]
    assert isinstance(outcomes[2], StoreClosed)
    await group_commit.close()


async def test_when_the_loop_is_torn_down_nobody_is_left_waiting(commits):
    group_commit = GroupCommit(commits)
    writing = asyncio.ensure_future(group_commit.write(lambda _: None))
    await begun(commits)
    late = asyncio.ensure_future(group_commit.write(lambda _: None))
    await asyncio.sleep(0)
    group_commit._task.cancel()
    await asyncio.wait([writing, late], timeout=5)
    assert writing.cancelled()
    assert late.cancelled()
    await group_commit.close()


async def test_a_reader_is_waited_for_but_not_for_ever():
    pool = ReaderPool(["one"], turn_wait_s=0.05)
    async with pool.reader():
        with pytest.raises(StoreBusy):
            async with pool.reader():
                pass
    async with pool.reader() as again:
        assert again == "one"
    assert await pool.close() == ["one"]
