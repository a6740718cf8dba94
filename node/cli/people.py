"""`lln person add|link|list`: who may use the pages; everything else about people is done at the pages."""

from typing import get_args

import click

from node import desk
from node.cli.asking import Asking
from node.ports.people import Role


@click.group()
def person() -> None:
    """Accounts at the node's web pages 网页账号."""


@person.command()
@click.argument("login")
@click.option("--name", default="", help="As decisions name them.")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(list(get_args(Role))))
@click.option("--learner", default="", help="The learning account of a learner.")
@click.pass_obj
def add(asking: Asking, /, login: str, name: str, roles: tuple[Role, ...], learner: str) -> None:
    """Add somebody; prints the link by which they set up their account, once."""
    asked = desk.PersonAsked(login=login, name=name, roles=roles, learner=learner)
    _print(asking, asking.ask("person.invite", asked, desk.PersonLink))


@person.command()
@click.argument("login")
@click.pass_obj
def link(asking: Asking, /, login: str) -> None:
    """Another set-up link for somebody who lost theirs, or password and recovery codes; their sessions end."""
    _print(asking, asking.ask("person.link", desk.PersonNamed(login=login), desk.PersonLink))


@person.command("list")
@click.pass_obj
def list_(asking: Asking) -> None:
    """Everybody who has an account, with their roles."""
    told = asking.ask("person.list", desk.PersonsAsked(limit=1_000), desk.Persons)
    if asking.as_json:
        asking.json(told)
        return
    for one in told.persons:
        click.echo(f"{one.login}  {one.name}  {one.state}  {' '.join(one.roles)}  {one.learner}")


def _print(asking: Asking, made: desk.PersonLink) -> None:
    from node.runtime import read_serving

    if asking.as_json:
        asking.json(made)
        return
    serving = read_serving(asking.home)
    click.echo(f"{made.login}: {serving.portal if serving else ''}{made.path}")
