"""`lln consent …`: what learners have agreed may be shown of them, and what was shown.

What must not live here: any decision; the words that are agreed to come with the answer.
"""

from collections.abc import Sequence
from typing import Any

import click

from node import desk
from node.cli.asking import Asking
from node.cli.words import china_time, clean, padded, width


@click.group()
def consent() -> None:
    """Give, list and withdraw consents of learners."""


@consent.command()
@click.argument("id_", metavar="LEARNER")
@click.option("--purpose", required=True, type=click.Choice(["convert", "present", "transfer"]), help="用途")
@click.option("--to", "recipient", required=True, help="A node, or bearer: whoever is shown a proof's code.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    type=click.Choice(["records", "name", "birth_date", "contact"]),
    help="Repeat for more; records where none is named.",
)
@click.option("--record", "records", multiple=True, help="A record's id; repeat for more.")
@click.option("--all-records", is_flag=True, help="All the learner has, also those to come.")
@click.option("--days", type=click.IntRange(1, 3_660), default=30, show_default=True)
@click.option("--many", is_flag=True, help="For any number of uses; otherwise for one.")
@click.option("--by-guardian", is_flag=True, help="The guardian on record agrees, for a learner below fourteen.")
@click.option("--yes", is_flag=True, help="They have read the words and agree.")
@click.pass_obj
def give(
    asking: Asking,
    /,
    id_: str,
    fields: tuple[Any, ...],
    *,
    all_records: bool,
    many: bool,
    yes: bool,
    **options: Any,
) -> None:
    """Show learner or guardian the words, and keep their consent once they agree."""
    asked = desk.ConsentAsked(
        learner=_id(asking, "L", id_),
        fields=fields or ("records",),
        every_record=all_records,
        uses="many" if many else "one",
        confirmed=yes,
        **options,
    )
    if not yes:
        told = asking.ask("consent.give", asked, desk.ConsentShown)
        click.echo(clean(told.zh))
        click.echo(clean(told.en))
        if not click.confirm(asking.word("consent.agree"), default=False):
            click.echo(asking.word("consent.not given"))
            raise SystemExit(1)
    given = asking.ask("consent.give", _confirmed(asked), desk.ConsentShown)
    _print(asking, given, "consent.given")


@consent.command("list")
@click.argument("id_", metavar="LEARNER")
@click.pass_obj
def list_(asking: Asking, id_: str) -> None:
    """A learner's consents, newest first, and every disclosure made on them."""
    told = asking.ask("consent.list", desk.LearnerNamed(learner=_id(asking, "L", id_)), desk.Consents)
    if asking.as_json:
        asking.json(told)
        return
    print_consents(asking, told.consents)
    click.echo(f"\n{asking.word('learner.disclosures')}")
    print_disclosures(asking, told.disclosures)


@consent.command()
@click.argument("id_", metavar="CONSENT")
@click.pass_obj
def withdraw(asking: Asking, id_: str) -> None:
    """Withdraw a consent for every later use."""
    asked = desk.ConsentNamed(consent=_id(asking, "C", id_))
    _print(asking, asking.ask("consent.withdraw", asked, desk.ConsentShown), "consent.withdrawn now")


# --- printing --------------------------------------------------------------------------------------------------------


def print_consents(asking: Asking, consents: Sequence[desk.ConsentShown]) -> None:
    if not consents:
        click.echo(f"  {asking.word('learner.none yet')}")
    rows = [
        (
            one.id,
            asking.word(f"consent.{one.state}"),
            asking.word(f"consent.{one.purpose}"),
            f"→ {_recipient(asking, one.recipient)}",
            _fields(asking, one.fields),
            f"{asking.word('consent.until')} {china_time(one.expires_at_ms)[:10]}",
            asking.word(f"consent.{one.uses}"),
        )
        for one in consents
    ]
    _print_table(rows)


def print_disclosures(asking: Asking, disclosures: Sequence[desk.DisclosureShown]) -> None:
    if not disclosures:
        click.echo(f"  {asking.word('learner.none yet')}")
    rows = [
        (
            china_time(one.at_ms),
            asking.word(f"consent.{one.purpose}"),
            f"→ {_recipient(asking, one.recipient)}",
            f"{_fields(asking, one.fields)} {f'({len(one.records)})' if one.records else ''}".rstrip(),
            one.consent,
        )
        for one in disclosures
    ]
    _print_table(rows)


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell, Chinese characters counted as two."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(padded(clean(cell), columns) for cell, columns in zip(row, widths, strict=True))
        click.echo(f"  {line.rstrip()}")


def _print(asking: Asking, shown: desk.ConsentShown, told: str) -> None:
    if asking.as_json:
        asking.json(shown)
        return
    click.echo(f"{shown.id}  {asking.word(told)}")
    click.echo(f"  {clean(shown.zh if asking.ui == 'zh' else shown.en)}")


def _recipient(asking: Asking, recipient: str) -> str:
    return asking.word("consent.bearer") if recipient == "bearer" else recipient


def _fields(asking: Asking, fields: Sequence[str]) -> str:
    return ("、" if asking.ui == "zh" else ", ").join(asking.word(f"consent.{field}") for field in fields)


def _confirmed(asked: desk.ConsentAsked) -> desk.ConsentAsked:
    import msgspec

    return msgspec.structs.replace(asked, confirmed=True)


def _id(asking: Asking, letter: str, text: str) -> str:
    from federation.errors import LlnError
    from federation.short_ids import read_id

    try:
        return read_id(letter, text)
    except LlnError as error:
        asking.fail(error)
