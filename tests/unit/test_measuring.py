"""The harness of the benchmarks judges, compares and admits disturbance as it says; no timing is asserted here."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks import load
from tests.benchmarks.discovery import declared_name
from tests.benchmarks.measuring import (
    Contest,
    Figure,
    Paired,
    Slice,
    duration,
    is_within,
    paired,
    paired_async,
    percentile,
)


def figure(ratio: float, gate: str = "", aim: str = "") -> Figure:
    return Figure(name="x", ours="1 s", rival_or_ceiling="2 s", ratio=ratio, gate=gate, aim=aim)


@pytest.mark.parametrize(
    ("ratio", "gate", "aim", "held"),
    [
        (0.80, "≥ 0.65", "≥ 0.75", "aim held"),
        (0.65, "≥ 0.65", "≥ 0.75", "gate held"),
        (0.64, "≥ 0.65", "≥ 0.75", "missed"),
        (1.25, "≤ 1.5", "≤ 1.3", "aim held"),
        (1.45, "≤ 1.5 ×", "≤ 1.3 ×", "gate held"),
        (1.51, "≤ 1.5", "≤ 1.3", "missed"),
        (9.0, "≤ 10 ms", "", "gate held"),
        (5.0, "", "≥ 6", "missed"),
        (5.0, "", "", "told"),
    ],
)
def test_a_figure_is_judged_by_gate_and_aim(ratio, gate, aim, held):
    assert figure(ratio, gate, aim).held == held


def test_a_bound_without_a_direction_is_refused():
    with pytest.raises(ValueError, match="≥ or ≤"):
        is_within(1.0, "= 6")


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_one_of_the_values_and_covers_its_part(values, part):
    found = percentile(values, part)
    assert found in values
    assert sum(value <= found for value in values) >= part * len(values) - 1e-9


@pytest.mark.parametrize(
    ("seconds", "told"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.5e-5, "45 µs"), (6e-8, "60 ns"), (0, "0 ns")]
)
def test_durations_are_told_in_their_unit(seconds, told):
    assert duration(seconds) == told


def contest(rounds: int) -> Contest:
    return Contest("x", rounds, 0.1, (1, 1), (), 7)


def test_the_ratio_is_the_median_of_the_rounds_not_of_the_times():
    # The second round is ten times slower for both sides; paired, it says the same as the others.
    ours = [Slice(wall_s=w, cpu_s=c) for w, c in ((1, 1), (10, 10), (1, 1.1))]
    rival = [Slice(wall_s=w, cpu_s=c) for w, c in ((2, 3), (20, 30), (2, 3.3))]
    told = contest(3).compare(ours, rival, 0.2)
    assert (told.speed, told.wall_speed) == (pytest.approx(3), pytest.approx(2))
    assert told.cost == pytest.approx(1 / 3)
    assert told.disturbed


def test_every_round_runs_both_sides_once_after_the_warm_up():
    plan = contest(9).plan()
    side, calls = next(plan)
    sides = []
    try:
        while True:
            sides.append((side, calls))
            side, calls = plan.send(Slice(wall_s=0.3, cpu_s=0.2))
    except StopIteration as done:
        told = done.value
    assert [side for side, _ in sides[:2]] == [0, 1]
    rounds = [side for side, _ in sides[2:]]
    assert [sorted(rounds[at : at + 2]) for at in range(0, 18, 2)] == [[0, 1]] * 9
    assert len({tuple(rounds[at : at + 2]) for at in range(0, 18, 2)}) == 2
    assert (told.speed, len(told.rounds)) == (1, 9)


def last_answer(warm_up, calls: int, took: float) -> int:
    try:
        while True:
            _, calls = warm_up.send(Slice(wall_s=took * calls, cpu_s=took * calls))
    except StopIteration as done:
        return done.value


def test_a_slow_step_is_called_once_a_slice_and_a_fast_one_often():
    for took, expected in ((5.0, 1), (0.001, 100)):
        warm_up = contest(9).warm_up(0)
        _, calls = next(warm_up)
        assert last_answer(warm_up, calls, took) == expected


def test_both_kinds_of_step_are_measured():
    ran = {"ours": 0, "rival": 0, "before": 0}

    def step(name):
        ran[name] += 1

    async def awaited(name):
        step(name)

    quick = {"rounds": 2, "slice_s": 0.001}
    told = paired("sync", lambda: step("ours"), lambda: step("rival"), before_slice=lambda: step("before"), **quick)
    again = asyncio.run(paired_async("async", lambda: awaited("ours"), lambda: awaited("rival"), **quick))
    assert isinstance(told, Paired)
    assert min(ran.values()) > 2
    assert (len(told.rounds), len(again.rounds)) == (2, 2)


def test_a_cost_gate_turns_the_ratio_round():
    told = contest(1).compare([Slice(wall_s=2, cpu_s=1)], [Slice(wall_s=1, cpu_s=4)], None)
    assert told.figure(gate="≥ 2").ratio == pytest.approx(4)
    assert told.figure(gate="≤ 2").ratio == pytest.approx(0.25)
    assert told.figure(gate="≤ 2", by="wall").ratio == pytest.approx(2)
    assert not told.disturbed


def test_our_own_work_does_not_count_as_somebody_elses():
    before = load.Load(at_s=0, busy_s=100, own_s=10, cores=2)
    alone = load.Load(at_s=10, busy_s=112, own_s=22, cores=2)
    crowded = load.Load(at_s=10, busy_s=118, own_s=22, cores=2)
    assert alone.others_share_since(before) == 0
    assert crowded.others_share_since(before) == pytest.approx(0.3)


def test_without_proc_the_disturbance_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(load, "PROC", tmp_path)
    assert load.Load.now().others_share_since(load.Load.now()) is None


def test_a_process_can_be_asked_for_its_cpu_time_and_a_missing_one_costs_nothing():
    assert load.process_cpu_s(os.getpid()) > 0
    assert load.process_cpu_s(2**22 + 1) == 0


@pytest.mark.parametrize(
    ("source", "name"),
    [('NAME = "merkle"', "merkle"), ('NAME: str = "x"', "x"), ("NAME = f()", ""), ("a.b = 1\nOTHER = 2", "")],
)
def test_a_benchmarks_name_is_read_without_loading_it(source, name):
    assert declared_name(source) == name
