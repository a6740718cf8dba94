"""Letters: items of a kind that only the simulation has, so that what must arrive can be followed from end to end.

What lives here: writing and receiving them in units of the real store, and what must hold of each: it arrives once, in
the order in which it was written, and is settled as it arrived. What must not: who writes to whom (`workload.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

import msgspec

from federation.naming import NodeName
from node.ports import Delivered, OutboxItem, Outcome, Receives, Transaction
from node.simulation.disk import Disk
from node.simulation.trace import Counts

KIND: Final = "simulation.letter"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """`number`: no two have the same, and a later one has a higher."""

    sender: NodeName
    to: NodeName
    number: int

    @property
    def id(self) -> str:
        return f"letter-{self.number}"

    @property
    def reply(self) -> bytes:
        return f"{self.to} has {self.number}".encode()


class Letters:
    """Told inside each unit; a simulated disk commits every unit that does not raise."""

    def __init__(self, fail: Callable[[str, str], None], counts: Counts) -> None:
        self._fail = fail
        self._counts = counts
        self._written: dict[str, Letter] = {}
        self._arrived: dict[str, None] = {}
        self._settled: dict[str, None] = {}
        self._last: dict[tuple[NodeName, NodeName], int] = {}
        self._numbers = 0

    def writing(self, sender: NodeName, to: NodeName, count: int, at_ms: int) -> Callable[[Transaction], None]:
        """The unit in which somebody writes `count` letters."""

        def unit(tx: Transaction) -> None:
            for _ in range(count):
                self._numbers += 1
                letter = Letter(sender=sender, to=to, number=self._numbers)
                tx.outbox.add(to, KIND, msgspec.json.encode(letter), letter.id, at_ms)
                self._written[letter.id] = letter

        return unit

    def receives(self, at: NodeName) -> Receives:
        return partial(self._receive, at)

    async def _receive(self, at: NodeName, sender: NodeName, document: bytes) -> Callable[[Transaction], bytes]:
        letter = msgspec.json.decode(document, type=Letter)
        if (letter.sender, letter.to) != (sender, at) or self._written.get(letter.id) != letter:
            self._fail("nothing arrives that was never written", f"{letter.id} at {at}, from {sender}")

        def unit(_: Transaction) -> bytes:
            if letter.id in self._arrived:
                self._fail("what must arrive arrives once", f"{letter.id} of {sender}, at {at}")
            before = self._last.get((sender, at), 0)
            if letter.number < before:
                self._fail("what must arrive arrives in order", f"{letter.id} of {sender} after {before}, at {at}")
            self._arrived[letter.id] = None
            self._counts.letters += 1
            self._last[sender, at] = letter.number
            return letter.reply

        return unit

    def settle(self, _: Transaction, item: OutboxItem, outcome: Outcome) -> None:
        letter = self._written[item.id]
        if item.id in self._settled:
            self._fail("an outcome is settled once", f"{item.id} at {letter.sender}")
        if isinstance(outcome, Delivered) and (item.id not in self._arrived or outcome.reply != letter.reply):
            self._fail("what is settled has arrived", f"{item.id} at {letter.sender}: {outcome.reply!r}")
        self._settled[item.id] = None

    # --- in the end --------------------------------------------------------------------------------------------------

    def missing(self, disks: Mapping[NodeName, Disk], is_in_good_standing: Callable[[NodeName], bool]) -> Iterator[str]:
        """Letters between nodes in good standing that have not arrived, or still wait; and lost ones between any."""
        for letter in self._written.values():
            held = disks[letter.sender].read(lambda tx, letter=letter: tx.outbox.get(letter.to, letter.id))  # type: ignore[misc]
            if held is None and letter.id not in self._settled:
                yield f"{letter.sender} has lost {letter.id} for {letter.to}"
            if is_in_good_standing(letter.sender) and is_in_good_standing(letter.to):
                if letter.id not in self._arrived:
                    yield f"{letter.id} of {letter.sender} has not arrived at {letter.to}"
                elif held is not None:
                    yield f"{letter.sender} still has {letter.id} for {letter.to}"
