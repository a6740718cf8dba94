"""`lln resource …`: a resource's way from a file into the catalogue, and out of it."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from federation.catalogue import CRITERIA
from node import desk
from node.cli.asking import Asking
from node.cli.plans import end_of_plan, print_plan
from node.cli.words import clean
from node.ports import ResourceRow, ResourceState

BATCH = 1_000


@click.group()
def resource() -> None:
    """Import, review, publish, withdraw, show and list this node's resources."""


@resource.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--as", "author", required=True, help="Who brings these resources; never their reviewer.")
@click.option("--apply", is_flag=True, help="Write; without it only the plan is shown.")
@click.option("--rejected", type=click.Path(path_type=Path, dir_okay=False), help="Write refused rows to a CSV file.")
@click.pass_obj
def import_(asking: Asking, file: Path, author: str, rejected: Path | None, *, apply: bool) -> None:
    """Import FILE: JSON Lines, CSV (UTF-8 or GB18030) or XLSX. Importing twice changes nothing."""
    from federation.errors import LlnError
    from node.intake import read_catalogue

    good: list[desk.ImportRow] = []
    planned: list[desk.PlannedRow] = []
    try:
        for row in read_catalogue(file):
            if row.resource is not None:
                good.append(desk.ImportRow(row=row.row, resource=row.resource))
                continue
            planned.extend(
                desk.PlannedRow(
                    row=row.row,
                    id="",
                    change="refused",
                    reason_zh=f"{fault.field}: {fault.reason_zh}",
                    reason_en=f"{fault.field}: {fault.reason_en}",
                    remedy_zh=fault.remedy_zh,
                    remedy_en=fault.remedy_en,
                )
                for fault in row.faults
            )
    except LlnError as error:
        asking.fail(error)
    batches = [
        desk.ImportAsked(rows=tuple(good[at : at + BATCH]), author=author, apply=apply)
        for at in range(0, len(good), BATCH)
    ]
    for plan in asking.many("resource.import", batches, desk.ImportPlan) if batches else ():
        planned.extend(plan.rows)
    planned.sort(key=lambda row: row.row)
    if rejected is not None:
        _write_rejected(rejected, planned)
    if asking.as_json:
        asking.json(desk.ImportPlan(applied=apply, rows=tuple(planned)))
        end_of_plan(planned)
        return
    words = {change: change for change in ("add", "update", "same", "refused")}
    print_plan(asking, planned, _print_planned, words=words, end="written" if apply else "plan only")
    end_of_plan(planned)


@resource.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Everything that waits for review.")
@click.option("--as", "reviewer", help="Who reviews; never the author.")
@click.option("--approve/--return", "approve", default=None, help="All seven criteria are met, or: back to the author.")
@click.option("--remark", default="", help="What the author should change.")
@click.pass_obj
def review(
    asking: Asking, ids: tuple[str, ...], reviewer: str | None, remark: str, *, every: bool, approve: bool | None
) -> None:
    """Review resources; without ids it lists what waits. 政治性 导向性 科学性 适用性 规范性 时效性 公益性"""
    if not ids and not every:
        _print_rows(asking, _listed(asking, ("pending",)))
        return
    if reviewer is None or approve is None:
        raise click.UsageError("say who reviews with --as, and --approve or --return")
    chosen = ids or tuple(row.id for row in _listed(asking, ("pending",)))
    questions = [
        desk.ReviewAsked(
            ids=part, reviewer=reviewer, approve=approve, criteria=CRITERIA if approve else (), remark=remark
        )
        for part in _parts(chosen)
    ]
    _print_outcomes(asking, asking.many("resource.review", questions, desk.ResourceOutcomes) if questions else [])


@resource.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Everything that is reviewed.")
@click.pass_obj
def publish(asking: Asking, ids: tuple[str, ...], *, every: bool) -> None:
    """Publish reviewed resources into the catalogue log."""
    if not ids and not every:
        raise click.UsageError("name ids, or --all")
    chosen = ids or tuple(row.id for row in _listed(asking, ("reviewed",)))
    questions = [desk.ResourcesNamed(ids=part) for part in _parts(chosen)]
    _print_outcomes(asking, asking.many("resource.publish", questions, desk.ResourceOutcomes) if questions else [])


@resource.command()
@click.argument("id_", metavar="ID")
@click.option("--reason", required=True)
@click.option("--case", "case_id", required=True, help="Case id the withdrawal is recorded under.")
@click.pass_obj
def withdraw(asking: Asking, id_: str, reason: str, case_id: str) -> None:
    """Withdraw a published resource from every copy of the catalogue."""
    asked = desk.WithdrawAsked(id=id_, reason=reason, case_id=case_id)
    _print_outcomes(asking, [asking.ask("resource.withdraw", asked, desk.ResourceOutcomes)])


@resource.command()
@click.argument("id_", metavar="ID")
@click.pass_obj
def show(asking: Asking, id_: str) -> None:
    """Everything about one resource of this node, as JSON."""
    asking.json(asking.ask("resource.show", desk.ResourceNamed(id=id_), ResourceRow))


@resource.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["pending", "returned", "reviewed", "published", "withdrawn"]),
)
@click.pass_obj
def list_(asking: Asking, states: tuple[ResourceState, ...]) -> None:
    """The node's own resources, in the order of their ids."""
    rows = _listed(asking, states)
    if asking.as_json:
        asking.json(rows)
        return
    _print_rows(asking, rows)


def _listed(asking: Asking, states: Sequence[ResourceState]) -> list[ResourceRow]:
    found: list[ResourceRow] = []
    while True:
        asked = desk.ResourcesAsked(states=tuple(states), after=found[-1].id if found else "", limit=1_000)
        told = asking.ask("resource.list", asked, desk.Resources)
        found.extend(told.rows)
        if not told.more:
            return found


def _parts(ids: Sequence[str]) -> Iterable[tuple[str, ...]]:
    return (tuple(ids[at : at + BATCH]) for at in range(0, len(ids), BATCH))


def _print_rows(asking: Asking, rows: Sequence[ResourceRow]) -> None:
    for row in rows:
        click.echo(f"{row.id}  {asking.word(row.state)}  {clean(str(row.resource.title))}  ({clean(row.author)})")
    click.echo(f"{asking.word('in all')} {len(rows)}")


def _print_planned(asking: Asking, row: desk.PlannedRow) -> None:
    zh = asking.ui == "zh"
    place = asking.word("row").format(row.row)
    fields = f"  ({', '.join(row.changed)})" if row.changed else ""
    click.echo(f"    {place}  {clean(row.id)}  {clean(row.title)}{fields}".rstrip())
    if row.change == "refused":
        click.echo(f"        {clean(row.reason_zh if zh else row.reason_en)}")
        click.echo(f"        → {clean(row.remedy_zh if zh else row.remedy_en)}")


def _print_outcomes(asking: Asking, told: Sequence[desk.ResourceOutcomes]) -> None:
    if asking.as_json:
        asking.json(told)
        return
    counts: dict[str, int] = {}
    for outcome in (one for part in told for one in part.outcomes):
        counts[outcome.state] = counts.get(outcome.state, 0) + 1
        reason = outcome.reason_zh if asking.ui == "zh" else outcome.reason_en
        if reason:
            click.echo(f"    {clean(outcome.id)}: {clean(reason)}")
    click.echo(" · ".join(f"{asking.word(state)} {count}" for state, count in counts.items()) or "0")
    if counts.keys() & {"refused", "missing"}:
        raise SystemExit(1)


def _write_rejected(path: Path, rows: Sequence[desk.PlannedRow]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("行 row", "编号 id", "原因 reason", "怎么办 remedy"))
        writer.writerows(
            (row.row, row.id, f"{row.reason_zh} {row.reason_en}", f"{row.remedy_zh} {row.remedy_en}")
            for row in rows
            if row.change == "refused"
        )
