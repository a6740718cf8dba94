"""Status lists on their way up: every list of a node has an item of its own."""

import asyncio
import contextlib

from tests.support.machine import HandClock
from tests.support.post_office import post_office


async def test_the_lists_of_a_node_that_has_raised_no_bit_all_go_to_its_parent(tmp_path, monkeypatch):
    """A node that starts finds several lists at once, alike but for their names."""
    async with post_office(tmp_path, "a") as office:
        await office["a"].learner_with(250)

        async def stop(_, seconds):
            raise asyncio.CancelledError

        monkeypatch.setattr(HandClock, "sleep", stop)
        with contextlib.suppress(asyncio.CancelledError):
            await office["a"].bank.listing.run()
        waiting = await office["a"].store.read(lambda tx: tx.outbox.waiting("lln.internal", 10))
        assert [item.kind for item in waiting] == ["credit.status", "credit.status"]
