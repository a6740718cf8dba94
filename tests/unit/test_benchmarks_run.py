"""Every benchmark still runs and tells its rows, each in its smallest form; what a figure says is not looked at.

The rivals are installed only to measure, and the real texts lie beside the repository; a benchmark that lacks one is
skipped, and says which.
"""

import pytest

from tests.benchmarks.__main__ import aligned, cells
from tests.benchmarks.catalogues import DataAbsent
from tests.benchmarks.discovery import discovered, in_own_process
from tests.benchmarks.measuring import Flags

RIVALS = ("jieba", "oaipmh", "oaipmh_scythe", "openbadgeslib", "pymerkle")
ROWS = {
    "append": 6,
    "audit": 1,
    "calls": 7,
    "copy": 3,
    "crashes": 1,
    "credentials": 5,
    "fanout": 1,
    "floods": 5,
    "issue": 4,
    "links": 4,
    "merging": 3,
    "merkle": 6,
    "outbox": 3,
    "portal": 7,
    "propagation": 2,
    "quality": 9,
    "rules": 8,
    "search": 7,
    "simulation": 2,
    "start": 2,
}


def test_every_benchmark_is_among_those_that_are_tried():
    assert set(discovered()) == set(ROWS)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_benchmark_runs_and_tells_its_rows(name):
    try:
        figures = in_own_process(discovered()[name], Flags(smallest=True, rounds=1, kills=1))
    except ModuleNotFoundError as absent:
        if absent.name is None or absent.name.partition(".")[0] not in RIVALS:
            raise
        pytest.skip(f"THE RIVAL {absent.name} OF {name} IS ABSENT: install requirements/bench.txt")
    except DataAbsent as absent:
        pytest.skip(f"THE TEXTS OF {name} ARE ABSENT: {absent}")
    told = aligned([cells(figure) for figure in figures])
    assert len(told) == ROWS[name], told
    assert all(figure.name and figure.name in line for figure, line in zip(figures, told, strict=True))
