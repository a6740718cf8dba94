"""`lln achievement …`, `lln credit …`: what can be achieved here, and the credit records of learners."""

import csv
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click
import msgspec

from node import desk
from node.cli.asking import Asking
from node.cli.credit_proofs import COMMANDS
from node.cli.plans import end_of_plan, print_plan
from node.cli.words import china_time, clean, credit_amount, padded, width

BATCH = 1_000
STATE_COLUMNS = 12
KIND_COLUMNS = 22
KINDS = ["formal", "vocational_training", "other_non_formal", "unformatted"]
STATES = ["active", "suspended", "revoked", "superseded", "expired"]
AS = click.option("--as", "by", required=True, help="Who does it.")


@click.group()
def achievement() -> None:
    """Define, list and recognise learning outcomes 学习成果."""


@achievement.command()
@click.argument("code")
@click.option("--name", required=True, help="名称")
@click.option("--name-en", default="", help="The name in English.")
@click.option("--kind", required=True, type=click.Choice(KINDS), help="学历教育 职业培训 其他非学历教育 无定式")
@click.option("--credits", "credits_", help="What it is worth, such as 2.5.")
@click.option("--unit", default="credit", show_default=True)
@click.option("--level", help="scheme:value 资历等级")
@click.option("--criteria", default="", help="What a learner has to do for it.")
@click.pass_obj
def define(asking: Asking, /, code: str, **said: Any) -> None:
    """Define an achievement under CODE; another definition under the same code is its next version."""
    told = asking.ask("achievement.define", _definition(asking, code, **said), desk.AchievementDefined)
    if asking.as_json:
        asking.json(told)
        return
    change = asking.word(f"credit.{told.change}")
    click.echo(f"{told.achievement.id}@{told.achievement.version}  {change}")


@achievement.command("list")
@click.pass_obj
def list_achievements(asking: Asking) -> None:
    """Every version of every achievement of this node."""
    found: list[Any] = []
    after, more = "", True
    while more:
        page = asking.ask("achievement.list", desk.AchievementsAsked(after=after, limit=BATCH), desk.Achievements)
        found += page.achievements
        more = page.more
        after = f"{found[-1].id}@{found[-1].version:07}" if found else ""
    if asking.as_json:
        asking.json(found)
        return
    for one in found:
        worth = worth_of(asking, one.credits.hundredths, one.credits.unit) if one.credits else ""
        click.echo(
            f"{one.id}@{one.version}  {clean(str(one.name))}  {asking.word('credit.' + one.kind)}  {worth}".rstrip()
        )
    click.echo(f"{asking.word('in all')} {len(found)}")


@achievement.command()
@click.argument("issuer")
@click.argument("achievement_id")
@click.option("--version", type=click.IntRange(1), default=1, show_default=True)
@click.option("--remark", default="", help="What it is recognised as.")
@AS
@click.pass_obj
def recognise(asking: Asking, /, issuer: str, achievement_id: str, version: int, remark: str, by: str) -> None:
    """Recognise 认定 an achievement of another node, in public; prints the signed endorsement."""
    asked = desk.RecogniseAsked(issuer=issuer, of=achievement_id, version=version, remark=remark, by=by)
    told = asking.ask("achievement.recognise", asked, desk.Recognised)
    click.echo(told.document)


@click.group()
def credit() -> None:
    """Issue, show, change, export and verify credit records 学分记录."""


@credit.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--to", "learner", help="One learner's account or handle, without a FILE.")
@click.option("--achievement", "achievement_id", help="Its code or id.")
@click.option("--on", "achieved_on", type=click.DateTime(["%Y-%m-%d"]), help="When it was achieved.")
@click.option("--credits", "credits_", help="Where the achievement does not say, or for less.")
@click.option("--number", default="", help="Of the certificate on paper.")
@click.option("--apply", is_flag=True, help="Issue; without it only the plan is shown.")
@click.option("--rejected", type=click.Path(path_type=Path, dir_okay=False), help="Write refused rows to a CSV file.")
@AS
@click.pass_obj
def issue(asking: Asking, /, file: Path | None, by: str, rejected: Path | None, *, apply: bool, **one: Any) -> None:
    """Issue records from FILE (CSV or XLSX), or one of them. The same sheet twice issues nothing twice."""
    rows, refused = _sheet(asking, file) if file else ([_one_row(asking, **one)], [])
    batches = [
        desk.IssueAsked(rows=tuple(rows[at : at + BATCH]), by=by, apply=apply) for at in range(0, len(rows), BATCH)
    ]
    planned = [*refused]
    for plan in asking.many("credit.issue", batches, desk.IssuePlan) if batches else ():
        planned += plan.rows
    planned.sort(key=lambda row: row.row)
    if rejected is not None:
        _write_rejected(rejected, planned)
    if asking.as_json:
        asking.json(desk.IssuePlan(applied=apply, rows=tuple(planned)))
        end_of_plan(planned)
        return
    words = {"issue": f"credit.row.{'issued' if apply else 'issue'}", "same": "credit.row.same"}
    words["refused"] = "credit.row.refused"
    print_plan(asking, planned, _print_planned, words=words, end="credit.written" if apply else "plan only")
    end_of_plan(planned)


@credit.command()
@click.argument("id_", metavar="RECORD")
@click.pass_obj
def show(asking: Asking, /, id_: str) -> None:
    """One record, what is left of its credits, and what has become of it."""
    told = asking.ask("credit.show", desk.RecordNamed(id=id_), desk.RecordShown)
    if asking.as_json:
        asking.json(told)
        return
    _print_record(asking, told.record)
    for event in told.events:
        click.echo(f"    {china_time(event.at_ms)}  {asking.word('credit.' + event.kind)}  log {event.log_index}")


@credit.command("list")
@click.option("--learner", default="", help="Of one account.")
@click.option("--state", type=click.Choice(STATES))
@click.pass_obj
def list_records(asking: Asking, /, learner: str, state: Any) -> None:
    """Records issued or held here."""
    found: list[desk.RecordSummary] = []
    more = True
    while more:
        asked = desk.RecordsAsked(learner=learner, state=state, after=found[-1].id if found else "", limit=BATCH)
        page = asking.ask("credit.list", asked, desk.Records)
        found += page.records
        more = page.more
    if asking.as_json:
        asking.json(found)
        return
    for record in found:
        _print_record(asking, record)
    click.echo(f"{asking.word('in all')} {len(found)}")


@credit.command()
@click.argument("learner")
@click.pass_obj
def balance(asking: Asking, /, learner: str) -> None:
    """What a learner holds, by unit, kind and level; nothing is added across kinds."""
    told = asking.ask("credit.balance", desk.BalanceAsked(learner=learner), desk.Balances)
    if asking.as_json:
        asking.json(told)
        return
    if not told.lines:
        click.echo(asking.word("credit.nothing yet"))
    for line in told.lines:
        level = f"  {line.level.scheme}:{line.level.value}" if line.level else ""
        left = asking.word("credit.of granted").format(
            worth_of(asking, line.available, line.unit), credit_amount(line.granted)
        )
        records = asking.word("credit.records").format(line.records)
        click.echo(f"{padded(asking.word('credit.' + line.kind), KIND_COLUMNS)}{left}{level}  {records}")


def _step(name: str, told: str) -> click.Command:
    @click.command(name, help=told)
    @click.argument("id_", metavar="RECORD")
    @click.option("--reason", required=True)
    @AS
    @click.pass_obj
    def step(asking: Asking, /, id_: str, reason: str, by: str) -> None:
        asked = msgspec.convert({"id": id_, "step": name, "reason": reason, "by": by}, desk.RecordStepAsked)
        _print_told(asking, asking.ask("credit.step", asked, desk.RecordSummary))

    return step


for one in COMMANDS:
    credit.add_command(one)
credit.add_command(_step("suspend", "Suspend a record; its credits cannot be used meanwhile."))
credit.add_command(_step("resume", "Resume a suspended record."))
credit.add_command(_step("revoke", "Revoke a record for good; everybody concerned is told."))


@credit.command()
@click.argument("id_", metavar="RECORD")
@click.option("--reason", required=True)
@click.option("--credits", "credits_", help="The right amount.")
@click.option("--on", "achieved_on", type=click.DateTime(["%Y-%m-%d"]), help="The right day.")
@click.option("--number", help="The right number of the certificate.")
@AS
@click.pass_obj
def correct(asking: Asking, /, id_: str, reason: str, by: str, **right: Any) -> None:
    """Issue a record in place of one that was wrong; the old one is superseded, never rewritten."""
    asked = desk.CorrectAsked(
        id=id_,
        reason=reason,
        by=by,
        amount=amount_typed(asking, right["credits_"]) if right["credits_"] else None,
        achieved_on=right["achieved_on"].date() if right["achieved_on"] else None,
        number=right["number"],
    )
    _print_told(asking, asking.ask("credit.correct", asked, desk.RecordSummary))


@credit.command()
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Today where none is given.")
@click.pass_obj
def expire(asking: Asking, /, as_of: Any) -> None:
    """Mark records whose validity has ended; the node does so by itself every hour."""
    told = asking.ask("credit.expire", desk.ExpireAsked(as_of=as_of.date() if as_of else None), desk.Expired)
    if asking.as_json:
        asking.json(told)
        return
    click.echo(f"{asking.word('credit.expire')}: {len(told.ids)}")
    for one in told.ids:
        click.echo(f"    {one}")


# --- reading what was typed ------------------------------------------------------------------------------------------


def _definition(asking: Asking, code: str, **said: Any) -> desk.AchievementAsked:
    from federation.amounts import Amount, QualificationLevel
    from federation.catalogue import BilingualLine

    scheme, colon, value = (said["level"] or "").partition(":")
    if said["level"] and not (colon and scheme and value):
        raise click.UsageError("a level is scheme:value")
    worth = Amount(hundredths=amount_typed(asking, said["credits_"]), unit=said["unit"]) if said["credits_"] else None
    return desk.AchievementAsked(
        code=code,
        name=BilingualLine(zh=said["name"], en=said["name_en"]),
        kind=said["kind"],
        credits=worth,
        level=QualificationLevel(scheme=scheme, value=value) if colon else None,
        criteria=said["criteria"],
    )


def amount_typed(asking: Asking, text: str) -> int:
    from federation.amounts import read_hundredths
    from federation.errors import LlnError

    try:
        return read_hundredths(text)
    except LlnError as error:
        asking.fail(error)


def _one_row(asking: Asking, **one: Any) -> desk.CreditRow:
    if not (one["learner"] and one["achievement_id"] and one["achieved_on"]):
        raise click.UsageError("give a FILE, or --to, --achievement and --on")
    on: date = one["achieved_on"].date()
    return desk.CreditRow(
        row=1,
        learner=one["learner"],
        achievement=one["achievement_id"],
        achieved_on=on,
        amount=amount_typed(asking, one["credits_"]) if one["credits_"] else None,
        number=one["number"],
    )


def _sheet(asking: Asking, file: Path) -> tuple[list[desk.CreditRow], list[desk.PlannedCredit]]:
    from federation.errors import LlnError
    from node.intake.credits import read_credits

    rows: list[desk.CreditRow] = []
    refused: list[desk.PlannedCredit] = []
    try:
        for row in read_credits(file):
            if row.credit is not None:
                rows.append(row.credit)
            refused += [
                desk.PlannedCredit(
                    row=row.row,
                    change="refused",
                    reason_zh=f"{fault.field}: {fault.reason_zh}{fault.remedy_zh}",
                    reason_en=f"{fault.field}: {fault.reason_en} {fault.remedy_en}",
                )
                for fault in row.faults
            ]
    except LlnError as error:
        asking.fail(error)
    return rows, refused


# --- printing --------------------------------------------------------------------------------------------------------


def _print_told(asking: Asking, record: desk.RecordSummary) -> None:
    if asking.as_json:
        asking.json(record)
        return
    _print_record(asking, record)


def _print_record(asking: Asking, record: desk.RecordSummary) -> None:
    state, name = asking.word(f"credit.{record.state}"), clean(str(record.name))
    amount = worth_of(asking, record.hundredths, record.unit)
    click.echo(f"{record.id}  {padded(state, STATE_COLUMNS)}{name}  {amount}  {record.achieved_on}")
    for line in _more_of(asking, record):
        click.echo(f"    {line}")


def _more_of(asking: Asking, record: desk.RecordSummary) -> Iterator[str]:
    who = f"  {asking.word('credit.learner')} {record.learner}" if record.learner else ""
    yield f"{asking.word('credit.issuer')} {record.issuer}  {asking.word('credit.' + record.kind)}{who}"
    if record.available is not None:
        parts = [(word, getattr(record, word) or 0) for word in ("available", "reserved", "consumed", "cancelled")]
        yield "  ".join(
            f"{asking.word('credit.' + word)} {credit_amount(amount)}"
            for word, amount in parts
            if amount or word == "available"
        )
    if record.converted_from:
        yield f"{asking.word('credit.from')} {', '.join(record.converted_from)}"
    if record.superseded_by:
        yield f"{asking.word('credit.superseded_by')} {record.superseded_by}"
    if record.flagged:
        yield f"! {asking.word('credit.flagged')} {_source_told(asking, record.flagged)}"
    if record.note:
        yield f"{asking.word('credit.reason')} {clean(record.note)}"


def worth_of(asking: Asking, hundredths: int, unit: str) -> str:
    """An amount with its unit in words; a unit that has none here stays as it is."""
    known = asking.word(f"unit.{unit}")
    return f"{credit_amount(hundredths)} {known if known != f'unit.{unit}' else unit}"


def _source_told(asking: Asking, flagged: str) -> str:
    """`flagged` is a record and its state, as its issuer told them."""
    record, _, state = flagged.partition(" ")
    return f"{clean(record)} {asking.word('credit.' + clean(state))}"


def _print_planned(asking: Asking, row: desk.PlannedCredit) -> None:
    place = asking.word("row").format(row.row)
    if row.change == "refused":
        click.echo(f"    {place}  {clean(row.reason_zh if asking.ui == 'zh' else row.reason_en)}")
        return
    who = row.learner or row.id
    columns = max(0, 18 - width(who))
    worth = worth_of(asking, row.hundredths, row.unit)
    click.echo(f"    {place}  {who}{' ' * columns}  {worth}  {row.achievement}")
    if row.id and row.id != who:
        click.echo(f"        {asking.word('credit.record')} {row.id}")


def _write_rejected(path: Path, rows: Sequence[desk.PlannedCredit]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("行 row", "原因 reason"))
        writer.writerows((row.row, f"{row.reason_zh} {row.reason_en}") for row in rows if row.change == "refused")
