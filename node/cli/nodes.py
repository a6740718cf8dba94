"""`lln init|invite|invites|join|serve|suspend|resume|revoke`: how nodes come, run and go."""

from datetime import UTC, datetime
from typing import Any, get_args

import click
import msgspec

from config.settings import Listen, Portal
from federation.catalogue import BilingualLine
from federation.directory import NodeDescription, Standing
from federation.naming import Level, NodeKind
from node import desk
from node.cli.asking import Asking

LEVELS = click.Choice(list(get_args(Level)))
KINDS = click.Choice(list(get_args(NodeKind)))


def _addresses(command: Any) -> Any:
    for option in (
        click.option("--listen", default="0.0.0.0:7443", show_default=True, help="Where other nodes call."),
        click.option("--enrolment-listen", default="0.0.0.0:7444", show_default=True, help="Where nodes join."),
        click.option("--endpoint", help="host:port that others dial; leave out behind NAT."),
        click.option("--enrolment-endpoint", help="host:port written into invites, if it differs."),
        click.option(
            "--portal-listen",
            default="127.0.0.1:7480",
            show_default=True,
            help='Where people open the pages; "" for none.',
        ),
        click.option("--contact", default="", help="A role mailbox."),
    ):
        command = option(command)
    return command


@click.command()
@click.option("--root", required=True, help="Name of the network, such as lln.internal.")
@click.option("--title", required=True, help="Name of the institution in Chinese.")
@click.option("--title-en", default="", help="Name of the institution in English.")
@click.option("--level", type=LEVELS, default="national", show_default=True)
@click.option("--kind", type=KINDS, default="authority", show_default=True)
@_addresses
@click.pass_obj
def init(
    asking: Asking, /, root: str, title: str, title_en: str, level: Level, kind: NodeKind, **addresses: Any
) -> None:
    """Make a network, with this node as its root."""
    from federation.errors import LlnError
    from node.beginnings import found_home

    description = NodeDescription(
        title=BilingualLine(zh=title, en=title_en),
        level=level,
        kind=kind,
        endpoint=addresses["endpoint"],
        contact=addresses["contact"],
    )
    try:
        name, _ = found_home(asking.home, root, description, _listen(addresses), _portal(addresses))
    except LlnError as error:
        asking.fail(error)
    click.echo(f"{asking.word('founded')}: {name}  ({asking.home})")
    click.echo(f'{asking.word("start it")}: lln --home "{asking.home}" serve')


@click.command()
@click.argument("label")
@click.option("--title", required=True, help="Name of the institution in Chinese.")
@click.option("--title-en", default="", help="Name of the institution in English.")
@click.option("--level", type=LEVELS, required=True)
@click.option("--kind", type=KINDS, required=True)
@click.option("--division-code", help="GB/T 2260 code; a label only.")
@click.option("--institution-code", help="10-digit school code or USCC; a label only.")
@click.option("--days", type=click.IntRange(1, 90), default=7, show_default=True, help="How long the invite is valid.")
@click.option("--replace", is_flag=True, help="For another machine of a node that is admitted.")
@click.pass_obj
def invite(
    asking: Asking, /, label: str, title: str, title_en: str, level: Level, kind: NodeKind, days: int, **codes: Any
) -> None:
    """Invite LABEL to join directly below this node; prints one line to hand over."""
    description = NodeDescription(
        title=BilingualLine(zh=title, en=title_en),
        level=level,
        kind=kind,
        division_code=codes["division_code"],
        institution_code=codes["institution_code"],
    )
    asked = desk.InviteAsked(label=label, description=description, days=days, replace=codes["replace"])
    made = asking.ask("invite.make", asked, desk.InviteMade)
    if asking.as_json:
        asking.json(made)
        return
    click.echo(f"{made.name}  {asking.word('expires')} {_moment(made.expires_at_ms)}", err=True)
    click.echo(f"{asking.word('hand over')}\n{asking.word('keep secret')}", err=True)
    click.echo(made.code)


@click.command()
@click.option("--cancel", metavar="ID", help="Cancel an invite that is still open.")
@click.pass_obj
def invites(asking: Asking, cancel: str | None) -> None:
    """The invites given out, and how they stand."""
    if cancel:
        asking.ask("invite.cancel", desk.InviteNamed(id=cancel), desk.Nothing)
    told = asking.ask("invite.list", desk.Nothing(), desk.Invites)
    if asking.as_json:
        asking.json(told)
        return
    for one in told.invites:
        click.echo(f"{one.id}  {one.state:<9}  {one.name}  {asking.word('expires')} {_moment(one.expires_at_ms)}")


@click.command()
@click.argument("code", nargs=-1, required=True)
@_addresses
@click.pass_obj
def join(asking: Asking, /, code: tuple[str, ...], **addresses: Any) -> None:
    """Join a network with the line LLN1-… that its authority handed over."""
    from node.beginnings import join_home

    def refine(told: NodeDescription) -> NodeDescription:
        return msgspec.structs.replace(told, endpoint=addresses["endpoint"], contact=addresses["contact"])

    joined = asking.run(join_home(asking.home, "".join(code), _listen(addresses), refine, _portal(addresses)))
    click.echo(f"{asking.word('joined')}: {joined.name}  ← {joined.parent}  ({asking.home})")
    click.echo(f'{asking.word("start it")}: lln --home "{asking.home}" serve')


@click.command()
@click.pass_obj
def serve(asking: Asking) -> None:
    """Run the node until Ctrl-C."""
    from federation.errors import LlnError
    from node.runtime import Told, run

    def told(serving: Told) -> None:
        click.echo(f"{asking.word('ready')}: {serving.name}  {serving.endpoint}  {asking.word('stop')}")
        if serving.portal:
            click.echo(f"{asking.word('pages')}: {serving.portal}")
        if serving.first_link:
            click.echo(f"{asking.word('first operator')}: {serving.first_link}")
        if serving.portal_trouble is not None:
            trouble = serving.portal_trouble
            click.echo(f"{trouble}\n  {trouble.zh if asking.ui == 'zh' else trouble.en}", err=True)

    try:
        run(asking.home, told)
    except LlnError as error:
        asking.fail(error)


def _standing_command(verb: str, told: str) -> click.Command:
    @click.command(verb, help=told)
    @click.argument("name")
    @click.option("--reason", required=True, help="Recorded in the directory log, for all to see.")
    @click.option("--yes", is_flag=True, help="Do not ask again.")
    @click.pass_obj
    def command(asking: Asking, name: str, reason: str, *, yes: bool) -> None:
        if verb == "revoke" and not yes and click.prompt(asking.word("type the name")) != name:
            raise click.Abort
        standing = asking.ask(f"node.{verb}", desk.StandingAsked(name=name, reason=reason), Standing)
        if asking.as_json:
            asking.json(standing)
        else:
            click.echo(f"{standing.name}: {asking.word(standing.status)}")

    return command


suspend = _standing_command("suspend", "Suspend a direct child; its calls are refused at once.")
resume = _standing_command("resume", "Resume a suspended child.")
revoke = _standing_command("revoke", "Revoke a direct child for good.")


def _portal(addresses: dict[str, Any]) -> Portal:
    return Portal(listen=addresses["portal_listen"])


def _listen(addresses: dict[str, Any]) -> Listen:
    return Listen(
        grpc=addresses["listen"],
        enrolment=addresses["enrolment_listen"],
        enrolment_endpoint=addresses["enrolment_endpoint"],
    )


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")
