"""The picture of a part of the network: what it counts, what it says that it does not cover, and what it leaves out."""

import io
import json
from datetime import date

import pytest
import python_calamine

from federation.catalogue import BilingualLine
from federation.counts import Tally, report
from federation.directory import NodeDescription
from node.portal.branches import Branch
from node.portal.picture import _credits, _heat, _regions
from tests.support.portal_world import HOME, SCHOOL

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_picture_counts_nodes_resources_and_links_below(made, visitor_of):
    told = json.loads((await visitor_of("auditor").get("/picture.json")).body)
    assert (told["top"], told["is_root"]) == (HOME, False)
    assert dict(told["levels"])["county"] == 1
    found = await made.home.search("", scope="subtree")
    assert (told["resources"], told["is_exact"]) == (found.total, True)
    sections = {one.value: one.count for one in found.facets if one.facet == "section"}
    assert {one["key"]: one["count"] for one in told["facets"]["section"]} == sections
    assert sections["silver_age"] >= 2
    link = next(one for one in told["links"] if one["name"] == SCHOOL)
    assert link["entries"] >= 3
    assert link["age_ms"] >= 0
    assert sum(count for _, count in told["ages"]) >= 3


async def test_the_page_says_what_it_covers_and_tells_no_small_count(made, visitor_of):
    page = (await visitor_of("operator").get("/picture")).text
    assert "不包括上级和其他分支" in page
    assert "不足 10 条" in page or "≤" in page
    assert 'style="' not in page


async def test_the_downloads_hold_the_same_tables(made, visitor_of):
    visitor = visitor_of("auditor")
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO((await visitor.get("/picture.xlsx")).body))
    assert book.get_sheet_by_name("coverage").to_python()[1] == ["node", HOME]
    facets = json.loads((await visitor.get("/picture.json")).body)["facets"]["section"]
    old = {one["key"]: one["count"] for one in facets}["silver_age"]
    assert ["silver_age", old] in book.get_sheet_by_name("section").to_python()
    table = (await visitor.get("/picture.csv")).text
    assert f"\r\nsection,silver_age,count,{old}\r\n" in table
    assert f"\r\ncoverage,node,value,{HOME}\r\n" in table


async def test_small_cells_of_credits_are_bounded_by_what_is_left_out():
    own = Tally()
    own.total = 40
    for name, cells in (
        ("kinds", {"formal": 25, "vocational_training": 12, "unformatted": 3}),
        ("levels", {"none": 40}),
        ("rules", {"none": 40}),
        ("regions", {HOME: 40}),
    ):
        own.tables[name].update(cells)
    drawn = _credits(report(HOME, date(2026, 11, 1), own, ()), ())
    told = {one.key: one.told for one in drawn.kinds}
    assert told["formal"] == "25"
    assert (told["unformatted"], told["vocational_training"], told["other_non_formal"]) == ("≤15", "≤15", "≤15")
    assert drawn.kinds_withheld == 15
    assert {one.count for one in drawn.kinds if one.told == "≤15"} == {None}


async def test_a_node_without_a_code_stands_in_the_province_of_the_one_above():
    top = branch("lln.internal", None, None)
    provinces = _regions(
        [top, branch("z.lln.internal", top.name, "330000"), branch("s.z.lln.internal", "z.lln.internal", None)]
    )
    held = {one.code: one.nodes for one in provinces if one.nodes}
    assert held == {"33": 2, "": 1}
    assert len(provinces) == 35
    assert [_heat(count, 8) for count in (0, 1, 2, 3, 4, 5, 6, 7, 8)] == [0, 1, 1, 2, 2, 3, 3, 4, 4]


def branch(name, parent, division_code):
    about = NodeDescription(title=BilingualLine(zh=name), level="county", kind="authority", division_code=division_code)
    return Branch(
        name=name, parent=parent, depth=name.count("."), description=about, status="active", version="",
        entries=1, confirmed_at_ms=1, unindexed=0, waiting=0,
    )  # fmt: skip
