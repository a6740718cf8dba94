"""Counts go up a live tree, level by level, once a day; and only a child may report, of itself."""

import asyncio
from datetime import date

import msgspec
import pytest
from click.testing import CliRunner

from federation import canonical
from federation.canonical import MalformedDocument
from federation.counts import Counts, Table
from federation.naming import NodeName
from node.cli.main import main
from node.usecases.reporting import NotTheirCounts
from tests.support.credit_life import define, issue, register
from tests.support.live_nodes import ROOT, Network, until

COUNTY = NodeName(f"county.{ROOT}")
SCHOOL, SMALL = NodeName(f"school-a.{COUNTY}"), NodeName(f"school-b.{COUNTY}")


@pytest.fixture
async def nodes(tmp_path):
    network = Network(tmp_path)
    await network.found()
    await network.add(COUNTY)
    for name in (SCHOOL, SMALL):
        await network.add(name, "school", "school")
    try:
        yield network
    finally:
        await network.stop_all()


async def issue_records(node, number):
    await define(node)
    learner = await register(node)
    records = await issue(node, *[learner] * number)
    await node.ask("credit.step", id=records[0], step="revoke", reason="误发", by="李")


async def report(nodes, name, above):
    assert await nodes[name].node.bank.reporting.report()

    async def has_it():
        return [one for one in (await nodes[above].ask("ledger.counts")).below if one.node == name]

    [told] = await until(has_it, f"the counts of {name}")
    return told


async def test_counts_are_added_up_to_the_hub(nodes, tmp_path):
    await issue_records(nodes[SCHOOL], 14)
    await issue_records(nodes[SMALL], 6)
    await issue_records(nodes[COUNTY], 12)
    school = await report(nodes, SCHOOL, COUNTY)
    assert (school.total, school.kinds.cells, school.levels.cells) == (13, {"other_non_formal": 13}, {"NQF-demo:2": 13})
    assert not await nodes[SMALL].node.bank.reporting.report(), "fewer than ten, and never more"
    assert not await nodes[SCHOOL].node.bank.reporting.report(), "once a day"
    county = await report(nodes, COUNTY, ROOT)
    assert county.total == 24
    assert county.regions == Table(cells={COUNTY: 11, SCHOOL: 13})
    own = await nodes[COUNTY].ask("ledger.counts")
    assert (own.own, own.told, own.parent) == (11, county, ROOT)
    small = await nodes[SMALL].ask("ledger.counts")
    assert (small.own, small.told.total) == (5, 0)

    async def lln(name, ui):
        words = ["--home", str(tmp_path / name), "--ui", ui, "counts"]
        return (await asyncio.to_thread(CliRunner().invoke, main, words)).output

    hub = await lln(ROOT, "en")
    assert f"{COUNTY}  {county.day}: 24" in hub
    assert "  kinds: other non-formal 24" in hub
    assert f"  regions: {COUNTY} 11 · {SCHOOL} 13" in hub
    assert "类别: 其他非学历教育 5" in await lln(SMALL, "zh")
    assert f"→ {COUNTY}: fewer than ten" in await lln(SMALL, "en")


def counts(node=SCHOOL, day=date(2026, 5, 1)):
    whole = Table(withheld=20)
    return Counts(node=node, day=day, total=20, kinds=whole, levels=whole, rules=whole, regions=whole)


async def bring(nodes, sender, told):
    reporting = nodes[COUNTY].node.bank.reporting
    unit = await reporting.take_in(NodeName(sender), canonical.encode(told))
    await nodes[COUNTY].node.store.write(unit)
    [row] = await nodes[COUNTY].node.store.read(lambda tx: tx.credits.counts.all())
    return canonical.decode(row.document, Counts, bytes_max=100_000)


async def test_only_a_child_reports_and_the_newest_report_counts(nodes):
    newest = counts(day=date(2026, 5, 3))
    assert await bring(nodes, SCHOOL, counts()) == counts()
    assert await bring(nodes, SCHOOL, newest) == newest
    assert await bring(nodes, SCHOOL, counts()) == newest
    for sender, told in ((SMALL, counts()), (ROOT, counts(ROOT)), (f"x.{SCHOOL}", counts(f"x.{SCHOOL}"))):
        with pytest.raises(NotTheirCounts):
            await bring(nodes, sender, told)
    spoilt = msgspec.to_builtins(counts()) | {"total": 9}
    with pytest.raises(MalformedDocument):
        await bring(nodes, SCHOOL, spoilt)
    shown = await nodes[COUNTY].ask("ledger.counts")
    assert shown.below == (), "a report of so long ago counts no more"
