"""`lln convert …`: a learner's credits converted elsewhere, and the conversions that others ask of this node."""

from collections.abc import Iterable, Sequence
from typing import Any

import click

from federation.conversion import Grant, Refusal
from node import desk
from node.cli.asking import Asking
from node.cli.credits import worth_of
from node.cli.words import china_time, clean, credit_amount, padded

BATCH = 1_000
STATE_COLUMNS = 12
ASK = [
    click.option("--learner", help="The account whose credits are to be converted."),
    click.option("--to", "receiver", help="The node that is to convert them."),
    click.option("--record", "records", multiple=True, help="A record's id; repeat for more."),
    click.option("--consent", help="Under which consent the records are shown; lln consent give."),
    click.option("--programme", default="", help="What they are to count in 课程群."),
]


@click.group()
def convert() -> None:
    """Preview, apply for, follow and decide conversions 转换."""


def _asking(command: Any) -> Any:
    for option in reversed(ASK):
        command = option(command)
    return command


@convert.command()
@_asking
@click.pass_obj
def preview(asking: Asking, /, **said: Any) -> None:
    """What the receiver would grant now, and why not more; nothing is written there."""
    told = asking.ask("convert.preview", _asked(**said), desk.Previewed)
    if asking.as_json:
        asking.json(told)
        return
    _print_evaluation(asking, told.evaluation.grants, told.evaluation.refusals)
    granted = bool(told.evaluation.grants)
    click.echo(asking.word("convert.apply for it" if granted else "convert.nothing granted").format(told.id))


@convert.command()
@click.argument("id_", metavar="[REQUEST]", required=False)
@_asking
@click.pass_obj
def apply(asking: Asking, /, id_: str | None, **said: Any) -> None:
    """Apply for what was previewed under REQUEST, or preview and apply at once. It arrives once, sooner or later."""
    if id_ is None:
        id_ = asking.ask("convert.preview", _asked(**said), desk.Previewed).id
    _print_state(asking, asking.ask("convert.apply", desk.RequestNamed(id=id_), desk.RequestState))


@convert.command()
@click.argument("id_", metavar="REQUEST")
@click.pass_obj
def status(asking: Asking, /, id_: str) -> None:
    """Where a request of a learner of this node stands."""
    _print_state(asking, asking.ask("convert.status", desk.RequestNamed(id=id_), desk.RequestState))


@convert.command("list")
@click.option("--learner", default="", help="Of one account.")
@click.pass_obj
def list_requests(asking: Asking, /, learner: str) -> None:
    """The requests of this node's learners."""
    found: list[desk.RequestState] = []
    more = True
    while more:
        asked = desk.RequestsAsked(learner=learner, after=found[-1].id if found else "", limit=BATCH)
        page = asking.ask("convert.list", asked, desk.Requests)
        found += page.requests
        more = page.more
    if asking.as_json:
        asking.json(found)
        return
    for one in found:
        _print_state(asking, one)
    click.echo(f"{asking.word('in all')} {len(found)}")


@convert.command()
@click.argument("id_", metavar="REQUEST")
@click.option("--remark", default="")
@click.pass_obj
def cancel(asking: Asking, /, id_: str, remark: str) -> None:
    """Cancel a request; whatever was reserved is let go."""
    asked = desk.RequestActAsked(id=id_, act="cancel", remark=remark)
    _print_state(asking, asking.ask("convert.act", asked, desk.RequestState))


@convert.command()
@click.argument("id_", metavar="REQUEST")
@click.option("--remark", required=True, help="Why it should be looked at again.")
@click.pass_obj
def appeal(asking: Asking, /, id_: str, remark: str) -> None:
    """Have people of the receiver look at a refused request again."""
    asked = desk.RequestActAsked(id=id_, act="appeal", remark=remark)
    _print_state(asking, asking.ask("convert.act", asked, desk.RequestState))


@convert.command()
@click.argument("id_", metavar="[CASE]", required=False)
@click.option("--as", "by", help="Who reviews; each person once.")
@click.option("--approve/--return", "approve", default=None, help="Agree, or send it back with a remark.")
@click.option("--remark", default="", help="The learner reads it; with --pass-on, colleagues alone.")
@click.option("--pass-on", "passes_on", is_flag=True, help="Have somebody else decide 提请复核; --remark says why.")
@click.pass_obj
def review(
    asking: Asking, /, id_: str | None, by: str | None, remark: str, *, approve: bool | None, passes_on: bool
) -> None:
    """What others ask this node to convert: without CASE those that wait; with one, decide, or only look at it."""
    if id_ is None:
        _print_cases(asking, _waiting(asking))
        return
    if passes_on and approve is not None:
        raise click.UsageError("--pass-on stands alone: somebody else approves or returns")
    if approve is None and not passes_on:
        told = asking.ask("case.show", desk.CaseNamed(id=id_), desk.CaseShown)
    elif by is None:
        raise click.UsageError("say who reviews with --as")
    elif approve is None:
        told = asking.ask("case.pass_on", desk.CasePassOnAsked(id=id_, by=by, reason=remark), desk.CaseShown)
    else:
        asked = desk.CaseReviewAsked(id=id_, by=by, approve=approve, remark=remark)
        told = asking.ask("case.review", asked, desk.CaseShown)
    if asking.as_json:
        asking.json(told)
        return
    _print_case(asking, told)


def _asked(**said: Any) -> desk.ConvertAsked:
    missing = [name for name in ("learner", "receiver", "records", "consent") if not said[name]]
    if missing:
        raise click.UsageError("give --learner, --to, --record and --consent")
    return desk.ConvertAsked(
        learner=said["learner"],
        to=said["receiver"],
        records=tuple(said["records"]),
        consent=said["consent"],
        programme=said["programme"],
    )


def _waiting(asking: Asking) -> Sequence[desk.CaseShown]:
    return asking.ask("case.list", desk.CasesAsked(state="reviewing", limit=BATCH), desk.Cases).cases


# --- printing --------------------------------------------------------------------------------------------------------


def _print_state(asking: Asking, state: desk.RequestState) -> None:
    if asking.as_json:
        asking.json(state)
        return
    said = state.zh if asking.ui == "zh" else state.en
    click.echo(f"{state.id}  {padded(asking.word('convert.' + state.state), STATE_COLUMNS)}→ {state.receiver}")
    if said:
        click.echo(f"    {china_time(state.changed_at_ms)}  {clean(said)}")
    _print_refusals(asking, state.refusals)
    for result in state.results:
        click.echo(f"    {asking.word('convert.new record')} {result}")


def _print_cases(asking: Asking, cases: Sequence[desk.CaseShown]) -> None:
    if asking.as_json:
        asking.json(cases)
        return
    for case in cases:
        _print_case(asking, case)
    click.echo(f"{asking.word('in all')} {len(cases)}")


def _print_case(asking: Asking, case: desk.CaseShown) -> None:
    click.echo(f"{case.id}  {padded(asking.word('convert.' + case.state), STATE_COLUMNS)}{case.home}  {case.subject}")
    _print_evaluation(asking, case.grants, case.refusals)
    for note in case.reviews:
        verdict = asking.word("approved" if note.approves else "returned")
        click.echo(f"    {china_time(note.at_ms)}  {clean(note.by)}  {verdict}  {clean(note.remark)}".rstrip())
    for passed in case.passed_on:
        word = asking.word("passed on")
        click.echo(f"    {china_time(passed.at_ms)}  {clean(passed.by)}  {word}  {clean(passed.reason)}")
    for line in case.history:
        click.echo(f"    {china_time(line.at_ms)}  {clean(line.zh if asking.ui == 'zh' else line.en)}")
    if case.trace_holds is not None:
        click.echo(f"    {asking.word('convert.trace holds' if case.trace_holds else 'convert.trace differs')}")


def _print_evaluation(asking: Asking, grants: Iterable[Grant], refusals: Iterable[Refusal]) -> None:
    for grant in grants:
        click.echo(f"    {asking.word('convert.by rule').format(grant.rule)}")
        for one in grant.consumed:
            taken = f"{credit_amount(one.amount)}  {one.lot_id}" if one.amount else one.lot_id
            click.echo(f"      − {asking.word('convert.takes' if one.amount else 'convert.rests on')} {taken}")
        for given in grant.credits:
            worth = worth_of(asking, given.amount, given.unit)
            click.echo(f"      + {asking.word('convert.gives')} {worth}  {given.achievement}")
    _print_refusals(asking, refusals)


def _print_refusals(asking: Asking, refusals: Iterable[Refusal]) -> None:
    for one in refusals:
        about = f"{one.rule}: " if one.rule else ""
        click.echo(f"    ✗ {about}{clean(one.zh if asking.ui == 'zh' else one.en)}")
