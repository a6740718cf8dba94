"""`lln audit|reconcile`: whether the ledger of credits holds together, and goes with that of others."""

from collections.abc import Mapping
from typing import Any

import click

from federation.counts import Counts
from node import desk
from node.cli.asking import Asking
from node.cli.words import clean

AUDIT_TIMEOUT_S = 600.0


@click.command()
@click.pass_obj
def audit(asking: Asking) -> None:
    """Check every invariant of the ledger on what is stored; ends with 1 where one does not hold."""
    told = asking.ask("ledger.audit", desk.Nothing(), desk.AuditTold, timeout_s=AUDIT_TIMEOUT_S)
    if asking.as_json:
        asking.json(told)
    else:
        _print_audit(asking, told)
    if told.faults:
        raise SystemExit(1)


@click.command()
@click.argument("peer", required=False)
@click.option("--restore", is_flag=True, help="fetch receipts that this node lost with its machine 找回核销回执")
@click.option("--reopen", is_flag=True, help="lend again although receipts are missing 不再等待缺失的回执")
@click.pass_obj
def reconcile(asking: Asking, peer: str | None, *, restore: bool, reopen: bool) -> None:
    """Compare the conversions between this node and PEER; ends with 1 where the two do not agree."""
    if reopen == (peer is not None):
        raise click.UsageError("PEER | --reopen")
    if peer is None:
        _reopen(asking)
        return
    asked = desk.ReconcileAsked(peer=peer, restore=restore)
    told = asking.ask("ledger.reconcile", asked, desk.Reconciled, timeout_s=AUDIT_TIMEOUT_S)
    if asking.as_json:
        asking.json(told)
    else:
        _print_reconciled(asking, told)
    if told.discrepancies:
        raise SystemExit(1)


@click.command()
@click.pass_obj
def counts(asking: Asking) -> None:
    """Count credit records by kind, level, rule and region; cells below ten are told to nobody else."""
    told = asking.ask("ledger.counts", desk.Nothing(), desk.CountsShown, timeout_s=AUDIT_TIMEOUT_S)
    if asking.as_json:
        asking.json(told)
        return
    click.echo(f"{asking.word('own records')}: {told.own}")
    for table in told.tables:
        _print_cells(asking, table.table, table.cells, 0)
    for below in told.below:
        click.echo(f"\n{clean(below.node)}  {below.day}: {below.total or asking.word('fewer than ten')}")
        _print_report(asking, below)
    if told.below or told.parent:
        heard = f" → {told.parent}" if told.parent else ""
        click.echo(f"\n{asking.word('here and below')}{heard}: {told.told.total or asking.word('fewer than ten')}")
        _print_report(asking, told.told)


def _reopen(asking: Asking) -> None:
    told = asking.ask("ledger.reopen", desk.Nothing(), desk.LedgerReopened)
    if asking.as_json:
        asking.json(told)
    else:
        click.echo(asking.word("lent again").format(told.given_up))


def _print_report(asking: Asking, told: Counts) -> None:
    _print_cells(asking, "kinds", told.kinds.cells, told.kinds.withheld)
    _print_cells(asking, "levels", told.levels.cells, told.levels.withheld)
    _print_cells(asking, "rules", told.rules.cells, told.rules.withheld)
    _print_cells(asking, "regions", told.regions.cells, told.regions.withheld)


def _print_cells(asking: Asking, table: str, cells: Mapping[Any, int], withheld: int) -> None:
    if not cells and not withheld:
        return
    shown = [
        f"{clean(asking.word(name)) if table == 'kinds' else clean(name)} {amount}" for name, amount in cells.items()
    ]
    if withheld:
        shown.append(f"({asking.word('left out')} {withheld})")
    click.echo(f"  {asking.word(table)}: {' · '.join(shown)}")


def _print_reconciled(asking: Asking, told: desk.Reconciled) -> None:
    good = asking.word("bad" if told.discrepancies else "good")
    lent = f"{asking.word('lent')} {told.lent}"
    converted = f"{asking.word('converted here')} {told.converted}"
    click.echo(f"{clean(told.peer)}: {lent} · {converted} — {good}")
    if told.regained or told.missing:
        click.echo(asking.word("regained").format(told.regained, told.missing))
    for one in told.discrepancies:
        click.echo(f"\n✗ {clean(one.case)}  {one.zh if asking.ui == 'zh' else one.en}")
        click.echo(f"    {clean(one.reservation)}  {clean(one.record)}")
        click.echo(f"    {clean(one.issuer)}: {clean(one.issuer_says)}")
        click.echo(f"    {clean(one.receiver)}: {clean(one.receiver_says)}")


def _print_audit(asking: Asking, told: desk.AuditTold) -> None:
    zh = asking.ui == "zh"
    click.echo(
        f"{asking.word('records')} {told.records} · {asking.word('held')} {told.held}"
        f" · {asking.word('events')} {told.events} · {asking.word('entries')} {told.entries}"
        f" · {asking.word('conversions')} {told.cases} · {asking.word('receipts')} {told.receipts}"
        f" · {told.took_ms / 1_000:.1f} s"
    )
    for check in told.checks:
        mark = f"✗ {check.faults}" if check.faults else "✓"
        click.echo(f"  {mark}  {check.check}: {check.zh if zh else check.en}")
    for name in told.unchecked:
        click.echo(f"  ?  {asking.word('key not to be had')}: {clean(name)}")
    for fault in told.faults:
        click.echo(f"\n✗ {fault.check}  {clean(fault.subject)}\n    {clean(fault.found)}")
        click.echo(f"    → {fault.mend_zh if zh else fault.mend_en}")
    if told.root:
        click.echo(f"\n{asking.word('root')} {told.root}")
