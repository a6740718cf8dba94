"""`lln search`: a question in words, an answer with whom it comes from and what it lacks."""

from typing import Any, get_args

import click

from federation.catalogue import Audience, ResourceType, Section, Stage
from federation.search import Hit, SearchAnswer, SearchScope
from node import desk
from node.cli.asking import Asking
from node.cli.words import ago, clean, credit_amount

FACETS_SHOWN = 5


@click.command()
@click.argument("query", nargs=-1, required=True)
@click.option("--scope", type=click.Choice(list(get_args(SearchScope))), default="network", show_default=True)
@click.option("--under", help="Head of the subtree for --scope subtree; this node otherwise.")
@click.option("--section", multiple=True, type=click.Choice(list(get_args(Section))))
@click.option("--audience", multiple=True, type=click.Choice(list(get_args(Audience))))
@click.option("--industry", multiple=True, help="GB/T 4754 code.")
@click.option("--lang", "language", multiple=True, help="Language of the resource, such as zh-Hans or en.")
@click.option("--type", "type_", multiple=True, type=click.Choice(list(get_args(ResourceType))))
@click.option("--stage", multiple=True, type=click.Choice(list(get_args(Stage))))
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True)
@click.option("--page", type=click.IntRange(1, 100), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_obj
def search(asking: Asking, /, query: tuple[str, ...], limit: int, page: int, *, as_json: bool, **options: Any) -> None:
    """Search: words, "phrases" and -exclusions; anything else is text.

    Put -- before a query that begins with an exclusion.
    """
    asked = desk.SearchAsked(
        text=" ".join(query),
        scope=options["scope"],
        under=options["under"],
        section=options["section"],
        audience=options["audience"],
        industry=options["industry"],
        language=options["language"],
        type=options["type_"],
        stage=options["stage"],
        limit=limit,
        offset=min(1_000, (page - 1) * limit),
    )
    answer = asking.ask("search", asked, SearchAnswer)
    if as_json or asking.as_json:
        asking.json(answer)
        return
    _print(asking, answer, first=asked.offset + 1)


def _print(asking: Asking, answer: SearchAnswer, *, first: int) -> None:
    if not answer.hits:
        click.echo(asking.word("no results"))
    for at, hit in enumerate(answer.hits, start=first):
        click.echo(f"{at:>3}. {click.style(clean(_title(asking, hit)), bold=True)}")
        click.echo(f"     {clean(_about(asking, hit))}")
        if hit.snippet:
            click.echo(f"     {clean(hit.snippet[:90])}")
        if hit.also_at:
            places = ", ".join(clean(also.provider or also.publisher) for also in hit.also_at[:5])
            click.echo(f"     {asking.word('also at')} {len(hit.also_at)}: {places}")
        if hit.location:
            click.echo(f"     {clean(hit.location)}")
    _print_facets(asking, answer)
    if answer.text_was_cut:
        click.echo(asking.word("query was cut"))
    count = answer.total if answer.total_is_exact else f"{asking.word('at least')} {answer.total}"
    slowest_ms = max((source.ms for source in answer.sources), default=0)
    click.echo(f"\n{asking.word('in all')} {count} · {slowest_ms} ms")
    if answer.coverage.silent:
        click.echo(f"{asking.word('lacking')}: {', '.join(answer.coverage.silent)}")
    for source in answer.sources:
        if source.outcome not in ("ok", "empty"):
            click.echo(
                f"{asking.word('not answering')}: {source.node} ({asking.word(source.outcome)}) {clean(source.detail)}"
            )


def _title(asking: Asking, hit: Hit) -> str:
    own, other = (hit.title.zh, hit.title.en) if asking.ui == "zh" else (hit.title.en, hit.title.zh)
    return own or other


def _about(asking: Asking, hit: Hit) -> str:
    parts = [hit.provider or hit.publisher, asking.word(hit.type), asking.word(hit.section)]
    if hit.audience:
        parts.append("/".join(asking.word(one) for one in hit.audience))
    if hit.hours:
        parts.append(f"{hit.hours} {asking.word('hours')}")
    if hit.credits:
        parts.append(f"{credit_amount(hit.credits)} {asking.word('credits')}")
    if hit.age_s is None:
        parts.append(asking.word("own"))
    else:
        parts.append(f"{asking.word('copy')} {ago(hit.age_s * 1_000, asking.ui)}")
    return " · ".join(parts)


def _print_facets(asking: Asking, answer: SearchAnswer) -> None:
    by_facet: dict[str, list[str]] = {}
    for one in answer.facets:
        by_facet.setdefault(one.facet, []).append(f"{asking.word(one.value)} {one.count}")
    for facet, values in by_facet.items():
        click.echo(f"     {asking.word(facet)}: {' · '.join(values[:FACETS_SHOWN])}")
