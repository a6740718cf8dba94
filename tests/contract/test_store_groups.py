"""Any group of units leaves what the same units leave one by one, those that raise left out."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import InvalidInput
from tests.contract.test_store import resource
from tests.support.stores import OWN, OWN_DIRECTORY, check_log_holds_together, opened

NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.one_of(
    st.tuples(st.just("append"), st.sampled_from([OWN, OWN_DIRECTORY]), st.lists(st.binary(max_size=9), max_size=3)),
    st.tuples(st.just("put resource"), NAMES, st.sampled_from(["pending", "published"])),
    st.tuples(st.just("put note"), NAMES, st.binary(max_size=3)),
    st.tuples(st.just("read"), NAMES, st.sampled_from(["resource", "note", "list", "log", "entries", "all"])),
    st.tuples(st.just("raise"), st.none(), st.none()),
)
UNITS = st.lists(st.lists(STEPS, max_size=5), min_size=1, max_size=12)


class Model:
    """What is stored, as plain dictionaries."""

    def __init__(self):
        self.logs, self.resources, self.notes = {}, {}, {}

    def run(self, steps):
        """What the steps leave: nothing, if one of them raises."""
        before = {log: list(documents) for log, documents in self.logs.items()}, dict(self.resources), dict(self.notes)
        for what, name, value in steps:
            if what == "append":
                self.logs.setdefault(name, []).extend(value)
            elif what == "put resource":
                self.resources[name] = value
            elif what == "put note":
                self.notes[name] = value
            elif what == "raise":
                self.logs, self.resources, self.notes = before
                return

    def check_seen(self, tx, steps_done):
        seen = Model()
        seen.logs = {log: list(documents) for log, documents in self.logs.items()}
        seen.resources, seen.notes = dict(self.resources), dict(self.notes)
        seen.run(steps_done)
        for log, documents in seen.logs.items():
            assert [entry.document for entry in tx.logs.entries(log, 0, 1_000)] == documents
            assert tx.logs.get(log).head.size == len(documents)
        assert {row.id: row.state for row in tx.resources.list((), "", 100)} == seen.resources


def unit_of(steps, model):
    """The unit, which looks at what it should see wherever a step says read, and keeps the model when it ends."""

    def unit(tx):
        for number, (what, name, value) in enumerate(steps):
            if what == "append":
                tx.logs.append(name, value)
            elif what == "put resource":
                tx.resources.put([resource(name, value)])
            elif what == "put note":
                tx.notes.put(name, value)
            elif what == "read" and value in ("list", "entries", "log", "all"):
                model.check_seen(tx, steps[:number])
            elif what == "read":
                tx.resources.get(name) if value == "resource" else tx.notes.get(name)
            else:
                raise InvalidInput("unit", "one of many")
        model.run(steps)

    return unit


@settings(deadline=None, max_examples=60)
@given(groups=st.lists(UNITS, min_size=1, max_size=3))
def test_a_group_is_its_units_one_after_another(groups):
    async def check(path):
        model = Model()
        async with opened(path) as store:
            for units in groups:
                written = (store.write(unit_of(steps, model)) for steps in units)
                outcomes = await asyncio.gather(*written, return_exceptions=True)
                assert all(outcome is None or isinstance(outcome, InvalidInput) for outcome in outcomes), outcomes
            for log, documents in model.logs.items():
                assert await check_log_holds_together(store, log=log) == documents
            rows, notes, logs = await store.read(
                lambda tx: (
                    tx.resources.list((), "", 100),
                    {name: tx.notes.get(name) for name in model.notes},
                    [found.log for found in tx.logs.all()],
                )
            )
        assert {row.id: row.state for row in rows} == model.resources
        assert notes == model.notes
        assert logs == sorted(model.logs)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(Path(folder) / "node.db"))
