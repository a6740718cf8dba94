"""`lln rule …`: conversion rules, from a TOML file to the whole network."""

from collections.abc import Sequence
from pathlib import Path

import click

from node import desk
from node.cli.asking import Asking
from node.cli.words import clean

BATCH = 1_000


@click.group()
def rule() -> None:
    """Publish, adopt, list, show and find conversion rules 转换规则."""


@rule.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--apply", is_flag=True, help="Publish; without it the rule is only read and checked.")
@click.pass_obj
def publish(asking: Asking, /, file: Path, *, apply: bool) -> None:
    """Publish the rule in FILE (TOML; docs/credits.md has every key). A version never changes once published."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: {error}") from error
    told = asking.ask("rule.publish", desk.RulePublishAsked(toml=text, apply=apply), desk.RuleTold)
    _print_told(asking, told)
    if not asking.as_json:
        click.echo(asking.word("rule.published" if apply else "rule.plan only"))


@rule.command()
@click.argument("authority")
@click.argument("id_", metavar="RULE")
@click.option("--version", type=click.IntRange(1))
@click.pass_obj
def adopt(asking: Asking, /, authority: str, id_: str, version: int | None) -> None:
    """Take over a rule of another authority as this node's own."""
    asked = desk.RuleNamed(authority=authority, id=id_, version=version)
    _print_told(asking, asking.ask("rule.adopt", asked, desk.RuleTold))


@rule.command("list")
@click.option("--of", "authority", help="Of one authority.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="In force on a day.")
@click.pass_obj
def list_rules(asking: Asking, /, authority: str | None, as_of: click.DateTime | None) -> None:
    """The rules kept here: own, adopted, and those of authorities whose logs are held here."""
    day = as_of.date() if as_of else None  # type: ignore[attr-defined]  # what the type converts to
    found: list[desk.RuleTold] = []
    after, more = "", True
    while more:
        asked = desk.RulesAsked(authority=authority, as_of=day, after=after, limit=BATCH)
        page = asking.ask("rule.list", asked, desk.Rules)
        found += page.rules
        more, after = page.more, page.after
    if asking.as_json:
        asking.json(found)
        return
    for told in found:
        _print_rule(asking, told)
    click.echo(f"{asking.word('in all')} {len(found)}")


@rule.command()
@click.argument("authority")
@click.argument("id_", metavar="RULE")
@click.option("--version", type=click.IntRange(1))
@click.pass_obj
def show(asking: Asking, /, authority: str, id_: str, version: int | None) -> None:
    """One version of a rule, as it was signed."""
    asking.json(asking.ask("rule.show", desk.RuleNamed(authority=authority, id=id_, version=version), desk.RuleShown))


@rule.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.pass_obj
def find(asking: Asking, /, words: Sequence[str], limit: int) -> None:
    """Find rules anywhere in the network, by words or by an achievement they take or give."""
    told = asking.ask("rule.find", desk.RulesSought(text=" ".join(words), limit=limit), desk.RulesFound)
    if asking.as_json:
        asking.json(told)
        return
    for one in told.rules:
        _print_rule(asking, one.told)
    click.echo(f"{asking.word('in all')} {len(told.rules)} · {told.answered_by}")
    if told.lacking:
        click.echo(f"{asking.word('lacking')}: {clean(told.lacking)}")


def _print_told(asking: Asking, told: desk.RuleTold) -> None:
    if asking.as_json:
        asking.json(told)
        return
    _print_rule(asking, told)


def _print_rule(asking: Asking, told: desk.RuleTold) -> None:
    until = told.valid_until or "…"
    change = f"  {asking.word('credit.' + told.change)}" if told.change else ""
    state = asking.word(f"rule.{told.state}")
    click.echo(f"{told.authority}/{told.id}@{told.version}  {clean(str(told.title))}  {state}{change}")
    click.echo(f"    {told.valid_from} – {until}  sha256 {told.sha256[:16]}…")
