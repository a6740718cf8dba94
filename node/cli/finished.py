"""`lln finished …`: what learners say they have finished 我学完了, for whoever may issue credits on it.

What must not live here: the learner's own word (they give it at the pages), or what issuing asks of a row.
"""

from typing import Any

import click
import msgspec

from federation.second_looks import check_may_decide
from node import desk
from node.cli.asking import Asking
from node.cli.credits import AS, amount_typed, worth_of
from node.cli.words import china_time, clean, padded

BATCH = 1_000
STATE_COLUMNS = 12
STATES = ["told", "issued", "declined", "withdrawn"]
NAMED = click.argument("id_", metavar="COMPLETION")


@click.group()
def finished() -> None:
    """What learners say they have finished: list, show, accept, decline, pass on 我学完了."""


@finished.command("list")
@click.option("--learner", default="", help="Of one account, in every state.")
@click.option("--state", type=click.Choice(STATES), help="What waits, where none is given.")
@click.pass_obj
def list_completions(asking: Asking, /, learner: str, state: Any) -> None:
    """What waits for somebody to look into it; what a colleague has passed on comes first."""
    if learner and state:
        raise click.UsageError("give --learner or --state: of one account every state is shown")
    found: list[desk.CompletionShown] = []
    more = True
    while more:
        after = found[-1].id if found else ""
        asked = desk.CompletionsAsked(learner=learner, state=state or "told", after=after, limit=BATCH)
        page = asking.ask("completion.list", asked, desk.Completions)
        found += page.completions
        more = page.more
    found.sort(key=lambda one: not (one.state == "told" and one.passed_on))
    if asking.as_json:
        asking.json(found)
        return
    for one in found:
        _print_completion(asking, one)
    click.echo(f"{asking.word('in all')} {len(found)}")


@finished.command()
@NAMED
@click.pass_obj
def show(asking: Asking, /, id_: str) -> None:
    """One of them: who says so, of what, and what has come of it."""
    _tell(asking, _held(asking, id_))


@finished.command()
@NAMED
@click.option("--achievement", "achievement_id", required=True, help="Its code or id.")
@click.option("--on", "achieved_on", type=click.DateTime(["%Y-%m-%d"]), help="The day the learner gave, if not said.")
@click.option("--credits", "credits_", help="Where the achievement does not say, or for less.")
@click.option("--apply", is_flag=True, help="Issue; without it only the plan is shown.")
@AS
@click.pass_obj
def accept(asking: Asking, /, id_: str, by: str, *, apply: bool, **row: Any) -> None:
    """Issue a record on it. Stopped half way and run again, it ends with one record."""
    told = _open(asking, id_, by)
    credit = desk.CreditRow(
        row=1,
        learner=told.learner,
        achievement=row["achievement_id"],
        achieved_on=row["achieved_on"].date() if row["achieved_on"] else told.finished_on,
        amount=amount_typed(asking, row["credits_"]) if row["credits_"] else None,
    )
    asked = desk.IssueAsked(rows=(credit,), by=by, apply=apply)
    plan = asking.ask("credit.issue", asked, desk.IssuePlan)
    [planned] = plan.rows
    if planned.change == "refused":
        click.echo(clean(planned.reason_zh if asking.ui == "zh" else planned.reason_en), err=True)
        raise SystemExit(1)
    if apply:
        _tell(asking, _settle(asking, id=id_, state="issued", by=by, record=planned.id))
        return
    if asking.as_json:
        asking.json(plan)
        return
    what = f"{clean(str(planned.name or planned.achievement))}  {worth_of(asking, planned.hundredths, planned.unit)}"
    word = asking.word("credit.row.same" if planned.change == "same" else "credit.row.issue")
    click.echo(f"{word}  {told.learner}  {what}  {credit.achieved_on}")
    click.echo(asking.word("plan only"))


@finished.command()
@NAMED
@click.option("--reason", required=True, help="Why nothing is issued on it; the learner reads it.")
@AS
@click.pass_obj
def decline(asking: Asking, /, id_: str, reason: str, by: str) -> None:
    """Issue nothing on it; the learner reads why, and may say it again."""
    if not reason.strip():
        raise click.UsageError("say why with --reason: the learner reads it")
    _tell(asking, _settle(asking, id=id_, state="declined", by=by, reason=reason.strip()))


@finished.command("pass-on")
@NAMED
@click.option("--reason", required=True, help="Why somebody else should look into it; colleagues alone read it.")
@AS
@click.pass_obj
def pass_on(asking: Asking, /, id_: str, reason: str, by: str) -> None:
    """Have somebody else decide 提请复核; whoever passes it on no longer can."""
    asked = _read(desk.CompletionPassOnAsked, id=id_, by=by, reason=reason)
    _tell(asking, asking.ask("completion.pass_on", asked, desk.CompletionShown))


# --- asking ----------------------------------------------------------------------------------------------------------


def _held(asking: Asking, id_: str) -> desk.CompletionShown:
    return asking.ask("completion.show", _read(desk.CompletionNamed, id=id_), desk.CompletionShown)


def _open(asking: Asking, id_: str, by: str) -> desk.CompletionShown:
    """Looked at before anything is issued: what somebody else has to decide must not leave a record behind."""
    from federation.errors import LlnError
    from node.usecases.declaring import CompletionSettled

    told = _held(asking, id_)
    if told.state != "told":
        asking.fail(CompletionSettled(told.id, told.state))
    try:
        check_may_decide(told.passed_on, by)
    except LlnError as refused:
        asking.fail(refused)
    return told


def _settle(asking: Asking, **settled: str) -> desk.CompletionShown:
    return asking.ask("completion.settle", _read(desk.CompletionSettleAsked, **settled), desk.CompletionShown)


def _read(kind: Any, **typed: str) -> Any:
    """What was typed, as a document of the desk; an id that can be none is a mistyped command."""
    try:
        return msgspec.convert(typed, kind)
    except msgspec.ValidationError as wrong:
        raise click.UsageError(str(wrong)) from wrong


# --- printing --------------------------------------------------------------------------------------------------------


def _tell(asking: Asking, told: desk.CompletionShown) -> None:
    if asking.as_json:
        asking.json(told)
        return
    _print_completion(asking, told)


def _print_completion(asking: Asking, one: desk.CompletionShown) -> None:
    state = padded(asking.word(f"finished.{one.state}"), STATE_COLUMNS)
    click.echo(f"{one.id}  {state}{one.learner}  {one.finished_on}  {clean(one.title)}")
    click.echo(f"    {one.publisher}  {clean(one.resource)}")
    if one.remark:
        click.echo(f"    {asking.word('finished.remark')}  {clean(one.remark)}")
    for passed in one.passed_on:
        word = asking.word("passed on")
        click.echo(f"    {china_time(passed.at_ms)}  {clean(passed.by)}  {word}  {clean(passed.reason)}")
    if one.state in ("issued", "declined"):
        click.echo(f"    {china_time(one.changed_at_ms)}  {clean(one.by)}  {clean(one.record or one.reason)}".rstrip())
