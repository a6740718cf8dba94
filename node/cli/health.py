"""`lln status|check|tree|peers|ping`: how the node is, and whom it knows."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import click

from node import desk
from node.cli.asking import Asking
from node.cli.words import ago, clean, padded, width

MARKS = {"good": "✓", "notice": "·", "warning": "!", "fault": "✗"}
NAME_COLUMNS = 46


@click.command()
@click.pass_obj
def status(asking: Asking) -> None:
    """One sentence on how this node is, what is not as it should be, and the facts."""
    state = asking.ask("node.status", desk.Nothing(), desk.NodeState)
    if asking.as_json:
        asking.json(state)
        return
    _print_finding(asking, state.verdict)
    for finding in state.findings:
        _print_finding(asking, finding)
    if not asking.was_running:
        click.echo(f"! {asking.word('not running')}")
        click.echo(f'    {asking.word("what to do")}: lln --home "{asking.home}" serve')
    _print_facts(asking, state)
    _print_own_logs(asking, state)


@click.command()
@click.pass_obj
def check(asking: Asking) -> None:
    """Walk from the configuration to the parent's logs; each line says what, why, and what mends it."""
    worst = asking.run(_walk(asking))
    if worst == "fault":
        raise SystemExit(1)


@click.command()
@click.pass_obj
def tree(asking: Asking) -> None:
    """The tree from this node down."""
    told = asking.ask("node.tree", desk.Nothing(), desk.Tree)
    if asking.as_json:
        asking.json(told)
        return
    below: dict[str, list[desk.TreeNode]] = {}
    for node in told.nodes[1:]:
        below.setdefault(node.parent or "", []).append(node)
    now_ms = int(datetime.now(tz=UTC).timestamp() * 1_000)
    _print_branch(asking, told.nodes[0], below, "", "", now_ms)


@click.command()
@click.pass_obj
def peers(asking: Asking) -> None:
    """How this node gets on with each peer since it started."""
    told = asking.ask("node.peers", desk.Nothing(), desk.Peers)
    if asking.as_json:
        asking.json(told)
        return
    now_ms = int(datetime.now(tz=UTC).timestamp() * 1_000)
    for peer in told.peers:
        click.echo(
            f"{peer.name}  {asking.word(f'to {peer.relation}')}  {asking.word(peer.status)}  {peer.endpoint or '—'}"
        )
        last = ago(now_ms - peer.last_success_ms, asking.ui) if peer.last_success_ms else asking.word("never")
        click.echo(f"    {asking.word('last success')}: {last}")
        if peer.last_failure_ms:
            failed = ago(now_ms - peer.last_failure_ms, asking.ui)
            click.echo(f"    {asking.word('last failure')}: {failed}  {clean(peer.last_error)}")
        if peer.refused:
            click.echo(f"    {asking.word('refused calls')}: {_by_code(peer.refused)}")


@click.command()
@click.argument("name")
@click.pass_obj
def ping(asking: Asking, name: str) -> None:
    """Who is in the way to another node: every road tried, step by step."""
    told = asking.ask("node.ping", desk.PingAsked(name=name), desk.PingTold)
    if asking.as_json:
        asking.json(told)
    elif told.told:
        click.echo(f"✗ {clean(told.told)}")
        click.echo(f"    {asking.sentence(told.told.partition(']')[0].strip('['))}")
    for road in () if asking.as_json else told.roads:
        mark = "✓" if road.failed is None else "✗"
        place = "" if road.road == "link" else f"  {clean(road.place)}"
        click.echo(f"{mark} {asking.word(road.road)}{place}  {road.ms} ms")
        click.echo(f"    {' → '.join([*map(asking.word, road.passed), *([] if road.failed else ['✓'])])}")
        for relay in road.relays:
            way = asking.word("link" if relay.over_link else "direct")
            click.echo(f"    {relay.name}  {way}  {relay.ms} ms")
        if road.failed is not None:
            click.echo(f"    {asking.word('stopped at')}: {asking.word(road.failed)}  [{road.code}] {clean(road.told)}")
            click.echo(f"    {asking.sentence(road.code)}")
    if not any(road.failed is None for road in told.roads):
        raise SystemExit(1)


async def _walk(asking: Asking) -> str:
    from node.checking import check_home

    worst = "good"
    findings: AsyncIterator[desk.Finding] = check_home(asking.home)
    async for finding in findings:
        if asking.as_json:
            asking.json(finding)
        else:
            _print_finding(asking, finding)
        worst = max(worst, finding.severity, key=list(MARKS).index)
    return worst


def _print_finding(asking: Asking, finding: desk.Finding) -> None:
    click.echo(f"{MARKS[finding.severity]} {clean(finding.zh if asking.ui == 'zh' else finding.en)}")
    if finding.remedy:
        click.echo(f"    {asking.word('what to do')}: {finding.remedy}")


def _by_code(refused: dict[str, int]) -> str:
    """Every code with how often, the most frequent first."""
    return " · ".join(f"{code} × {count}" for code, count in sorted(refused.items(), key=lambda one: -one[1]))


def _print_branch(
    asking: Asking,
    node: desk.TreeNode,
    below: dict[str, list[desk.TreeNode]],
    lead: str,
    stem: str,
    now_ms: int,
) -> None:
    title = f"{lead}{clean(str(node.description.title))}"
    size = "" if node.catalogue_size is None else f"{node.catalogue_size} {asking.word('entries')}"
    age = ago(now_ms - node.confirmed_at_ms, asking.ui) if node.confirmed_at_ms else ""
    gap = max(NAME_COLUMNS, width(title) + 2)
    click.echo(
        f"{padded(title, gap)}{asking.word(node.description.level)}  {node.name}  "
        f"{asking.word(node.status)}  {size}  {age}".rstrip()
    )
    children = below.get(node.name, [])
    for at, child in enumerate(children):
        last = at == len(children) - 1
        _print_branch(
            asking, child, below, f"{stem}{'└─ ' if last else '├─ '}", f"{stem}{'   ' if last else '│  '}", now_ms
        )


def _print_facts(asking: Asking, state: desk.NodeState) -> None:
    click.echo(f"\n{state.description.title}  {state.name}")
    if state.parent:
        click.echo(f"  ↑ {state.parent}")
    click.echo(f"  {state.key}")
    if state.certificate_ends_ms:
        ends = datetime.fromtimestamp(state.certificate_ends_ms / 1_000, tz=UTC).astimezone()
        click.echo(f"  {asking.word('certificate until')} {ends:%Y-%m-%d}")
    counts = " · ".join(f"{asking.word(key)} {count}" for key, count in sorted(state.resources.items()))
    click.echo(f"  {asking.word('resources')}: {counts or 0} · {asking.word('searchable')} {state.searchable}")
    if state.children:
        told = " · ".join(f"{asking.word(key)} {count}" for key, count in sorted(state.children.items()))
        click.echo(f"  {asking.word('children')}: {told}")
    if state.backed_up_at_ms:
        click.echo(f"  {asking.word('last backup')}: {ago(state.now_ms - state.backed_up_at_ms, asking.ui)}")
    click.echo(f"  {asking.word('connections begun')} {state.connections}")
    if state.refused:
        click.echo(f"  {asking.word('refused calls')}: {_by_code(state.refused)}")


def _print_own_logs(asking: Asking, state: desk.NodeState) -> None:
    own = [one for one in state.logs if one.origin == state.name]
    for one in own:
        click.echo(f"  {one.topic}: {one.size} {asking.word('entries')}")
        for holder in one.holdings:
            age = ago(state.now_ms - holder.at_ms, asking.ui)
            click.echo(
                f"      {holder.holder}: {asking.word('holds')} {holder.size},"
                f" {asking.word('indexed')} {holder.indexed} ({age})"
            )
