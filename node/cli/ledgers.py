"""`lln audit`: whether the ledger of credits holds together."""

import click

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
