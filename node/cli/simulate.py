"""`lln simulate`: a whole federation in this process, under a clock of its own, with everything going wrong.

What lives here: reading what is wanted, and telling what came of it. What must not: the simulation (`node/simulation`).
"""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from node.cli.asking import Asking

if TYPE_CHECKING:
    from node.simulation.trees import Tree
    from node.simulation.world import Outcome

PRESETS: Final = ("seed", "county-75", "county-1000", "province", "nation")
SMALL_NODES: Final = 40
"""Up to here everybody confirms as often as the settings' defaults say; beyond, just often enough to stay fresh."""


@click.command()
@click.option("--preset", type=click.Choice(PRESETS), help="A tree of a known shape.")
@click.option("--nodes", type=click.IntRange(2, 20_000), help="A made-up tree of this many nodes.")
@click.option("--tree", type=click.Path(path_type=Path), help="A table of divisions: code, parent and perhaps level.")
@click.option("--hours", type=click.FloatRange(0.01, 8_760), default=1.0, show_default=True, help="Simulated hours.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed does the same things.")
@click.option(
    "--faults",
    default="all",
    show_default=True,
    help="all, none, or some of: delay, loss, duplicates, reorder, spoilt, partitions, crashes, clocks, disks, malice;"
    " 'crashes*10' for ten times as many.",
)
@click.option("--links/--no-links", default=True, show_default=True, help="Schools keep links to their parents.")
@click.pass_obj
def simulate(
    asking: Asking,
    /,
    preset: str | None,
    nodes: int | None,
    tree: Path | None,
    hours: float,
    seed: int,
    faults: str,
    *,
    links: bool,
) -> None:
    """Simulate a federation and check that what must hold does; exits with 1, and says how to see it again, if not."""
    from federation.errors import LlnError
    from node.simulation.faults import read_faults
    from node.simulation.world import BRISK, CALM, Plan
    from node.simulation.world import simulate as run

    try:
        chosen, words = _tree(preset, nodes, tree, seed)
        plan = Plan(
            tree=chosen,
            hours=hours,
            seed=seed,
            faults=read_faults(faults),
            sync=BRISK if len(chosen) <= SMALL_NODES else CALM,
            links=links,
        )
    except LlnError as error:
        asking.fail(error)
    again = f"lln simulate {words} --hours {hours:g} --seed {seed} --faults '{faults}'{'' if links else ' --no-links'}"
    started_s = time.perf_counter()
    outcome = run(plan)
    wall_s = time.perf_counter() - started_s
    if asking.as_json:
        asking.json({"outcome": outcome, "wall_s": round(wall_s, 3), "again": again})
    else:
        _tell(outcome, wall_s, again)
    if outcome.broken:
        raise SystemExit(1)


def _tree(preset: str | None, nodes: int | None, path: Path | None, seed: int) -> "tuple[Tree, str]":
    from node.simulation import trees

    if path is not None:
        return trees.read_divisions(path), f"--tree {shlex.quote(str(path))}"
    if nodes is not None:
        return trees.random_tree(nodes, seed), f"--nodes {nodes}"
    return trees.preset(preset or "seed"), f"--preset {preset or 'seed'}"


def _tell(outcome: "Outcome", wall_s: float, again: str) -> None:
    counts = outcome.counts
    click.echo(f"seed 种子        {outcome.seed}")
    click.echo(f"nodes 节点       {outcome.nodes}")
    click.echo(f"simulated 模拟   {outcome.hours:g} h in {wall_s:.1f} s")
    click.echo(f"calls 调用       {counts.calls:,} calls, {counts.streams:,} streams with {counts.messages:,} messages")
    click.echo(
        f"network 网络     {counts.lost:,} lost, {counts.duplicated:,} duplicated, {counts.late:,} late,"
        f" {counts.spoilt:,} spoilt, {counts.parted:,} met a partition"
    )
    click.echo(
        f"faults 故障      {counts.crashes:,} crashes, {counts.partitions:,} partitions, {counts.clock_steps:,} clock"
        f" steps, {counts.disk_troubles:,} disk troubles, {counts.attacks:,} attacks, {counts.stops:,} stops"
    )
    click.echo(f"refused 拒绝     {_listed(counts.refused)}")
    click.echo(f"deeds 操作       {_listed(counts.deeds)}")
    click.echo(f"logs 日志        {counts.entries:,} entries said, {counts.copied_entries:,} copied")
    click.echo(f"letters 信件     {counts.letters:,} items arrived that had to")
    click.echo(f"checks 检查      {counts.checks:,}")
    click.echo(f"trace 轨迹       {outcome.digest}")
    if not outcome.broken:
        click.echo(f"✓ everything held 全部成立; whole again {outcome.settled_after_s or 0:.0f} s after the last fault")
        return
    click.echo(f"✗ {outcome.broken} 不变量被破坏 (at {outcome.at_s:.3f} s)")
    click.echo(f"  {outcome.found}")
    click.echo(f"  again 重现: {again}")


def _listed(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counted.items())) or "none"
