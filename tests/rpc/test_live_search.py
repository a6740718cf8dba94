"""Searches through a running network: scopes, whom an answer lacks, and what nobody may ask."""

import pytest

from federation.errors import LlnError
from federation.naming import NodeName
from federation.search import SearchRequest
from tests.support.live_nodes import ROOT, network, until

COUNTY = NodeName(f"county.{ROOT}")
FAR = NodeName(f"far.{ROOT}")
SCHOOL = NodeName(f"school-a.county.{ROOT}")
SIBLING = NodeName(f"school-b.county.{ROOT}")
STRANGER = NodeName(f"school-c.far.{ROOT}")


async def _indexed(nodes, holder, *origins):
    logs = [await nodes[holder].log(origin) for origin in origins]
    return all(log is not None and log.size and log.indexed == log.size for log in logs)


async def test_each_scope_finds_what_it_should_and_no_more(tmp_path):
    async with network(tmp_path, "county", "far", "school-a.county", "school-b.county", "school-c.far") as nodes:
        await nodes[SCHOOL].publish("own", "本校的 书法 课")
        await nodes[SIBLING].publish("near", "同县的 书法 课", "siblings")
        await nodes[STRANGER].publish("far", "外省的 书法 课")
        await nodes[STRANGER].publish("hidden", "外省内部的 书法 课", "siblings")
        await until(lambda: _indexed(nodes, ROOT, SCHOOL, SIBLING, STRANGER))
        await until(lambda: _indexed(nodes, COUNTY, SCHOOL, SIBLING))
        found = {
            scope: {hit.id for hit in (await nodes[SCHOOL].search("書法", scope=scope)).hits}
            for scope in ("node", "siblings", "subtree", "network")
        }
        assert found == {
            "node": {"own"},
            "siblings": {"own", "near"},
            "subtree": {"own"},
            "network": {"own", "near", "far"},
        }
        answer = await nodes[SCHOOL].search("书法", scope="network")
        assert (answer.total, answer.total_is_exact) == (3, True)
        assert {(one.facet, one.count) for one in answer.facets if one.facet == "audience"} == {("audience", 2)}
        assert all(hit.age_s is not None for hit in answer.hits if hit.publisher != SCHOOL)
        assert {source.node for source in answer.sources} >= {SCHOOL, ROOT}
        below = await nodes[SCHOOL].search("书法", scope="subtree", under=FAR)
        assert {hit.id for hit in below.hits} == {"far"}


async def test_the_whole_network_is_also_what_authorities_share_with_those_below_them_alone(tmp_path):
    async with network(tmp_path, "county", "far", "school-a.county", "school-c.far") as nodes:
        await nodes[COUNTY].publish("below", "全县的 书法 课", "subtree", COUNTY)
        await nodes[COUNTY].publish("all", "县里的 书法 课")
        await until(lambda: _indexed(nodes, ROOT, COUNTY))
        await until(lambda: _indexed(nodes, COUNTY, COUNTY))
        answer = await nodes[SCHOOL].search("书法", scope="network")
        assert {hit.id for hit in answer.hits} == {"below", "all"}
        assert (answer.total, answer.total_is_exact) == (2, True)
        assert sorted(source.node for source in answer.sources) == sorted((SCHOOL, COUNTY, ROOT))
        elsewhere = await nodes[STRANGER].search("书法", scope="network")
        assert {hit.id for hit in elsewhere.hits} == {"all"}
        visitors = await nodes[SCHOOL].search("书法", scope="public")
        assert {hit.id for hit in visitors.hits} == {"all"}


async def test_the_public_finds_what_is_shared_with_everybody_wherever_it_asks(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        for name, titles in ((SCHOOL, "窗花 团花 灯笼 贺卡"), (COUNTY, "书签 屏风 门笺 喜字")):
            for title, reach in zip(titles.split(), ("node", "siblings", "network", "subtree"), strict=True):
                ancestor = COUNTY if reach == "subtree" else None
                await nodes[name].publish(f"{reach}-1", f"剪纸{title}", reach, ancestor)
        for name in (SCHOOL, COUNTY):
            await until(lambda name=name: _indexed(nodes, name, name))
            await until(lambda name=name: _indexed(nodes, ROOT, name))
        await until(lambda: _indexed(nodes, COUNTY, SCHOOL))
        own = await nodes[SCHOOL].search("剪纸", limit=50)
        assert {f"{SCHOOL}#{reach}-1" for reach in ("node", "siblings", "network", "subtree")} <= {
            h.key for h in own.hits
        }
        everybody = {f"{name}#network-1" for name in (SCHOOL, COUNTY)}
        for name in (SCHOOL, COUNTY, ROOT):
            for text in ("剪纸", "", '"剪纸"', "-书法"):
                answer = await nodes[name].search(text, scope="public")
                assert {hit.key for hit in answer.hits} == everybody, (name, text)
                assert (answer.total, {one.count for one in answer.facets}) == (2, {2})
            hidden = await nodes[name].search("", scope="public", key=[f"{SCHOOL}#node-1", f"{COUNTY}#subtree-1"])
            assert (hidden.hits, hidden.total, hidden.facets) == ((), 0, ())
            (one,) = (await nodes[name].search("", scope="public", key=[f"{SCHOOL}#network-1"])).hits
            assert (one.key, one.title.zh) == (f"{SCHOOL}#network-1", "剪纸灯笼")


async def test_nobody_asks_in_the_name_of_another(tmp_path):
    async with network(tmp_path, "county", "school-a.county", "school-b.county") as nodes:
        forged = SearchRequest(text="x", scope="node", asker=SIBLING)
        with pytest.raises(LlnError, match="LLN-2203"):
            await nodes[SCHOOL].node.peers.search(COUNTY, forged, timeout_s=3)


async def test_with_the_parent_away_siblings_are_asked_and_the_answer_says_so(tmp_path):
    async with network(tmp_path, "county", "school-a.county", "school-b.county") as nodes:
        await nodes[SIBLING].publish("near", "太极拳入门")

        async def admitted():
            return nodes[SIBLING].node.vouching.standing_of(SIBLING)

        await until(admitted)
        await nodes[SIBLING].node.meeting.meet(COUNTY)  # tells its address, which the directory carries to its siblings

        async def known():
            return nodes[SCHOOL].node.peers.can_dial(SIBLING)

        await until(known)
        await until(lambda: _indexed(nodes, SIBLING, SIBLING))
        await nodes.stop(COUNTY)
        await nodes.stop(ROOT)
        answer = await nodes[SCHOOL].search("太极")
        assert [hit.id for hit in answer.hits] == ["near"]
        outcomes = {source.node: source.outcome for source in answer.sources}
        assert outcomes[SIBLING] == "ok"
        assert outcomes[ROOT] != "ok"


@pytest.mark.parametrize("text", ["x" * 1_000_000, "\x00\x1b[31m", '((( AND title:"', "-", '"" -""', "　"])
async def test_whatever_is_typed_gets_an_answer(tmp_path, text):
    async with network(tmp_path) as nodes:
        await nodes[ROOT].publish("r", "木雕")
        answer = await nodes[ROOT].search(text)
        assert answer.total in (0, 1)


async def test_pages_lose_nothing(tmp_path):
    async with network(tmp_path) as nodes:
        for number in range(12):
            await nodes[ROOT].publish(f"r{number}", f"摄影第{number}讲")

        async def all_there():
            return (await nodes[ROOT].search("摄影")).total == 12

        await until(all_there)
        pages = [await nodes[ROOT].search("摄影", limit=5, offset=offset) for offset in (0, 5, 10)]
        ids = [hit.id for page in pages for hit in page.hits]
        assert sorted(ids) == sorted(f"r{number}" for number in range(12))


async def test_through_a_parent_that_asks_onward_the_whole_network_answers_and_each_source_is_named_once(tmp_path):
    async with network(tmp_path, "county", "far", "school-a.county", "school-c.far") as nodes:
        await nodes[STRANGER].publish("far", "外省的 书法 课")
        await until(lambda: _indexed(nodes, ROOT, STRANGER))
        nodes[SCHOOL].node.peers._routes._endpoints.pop(
            ROOT, None
        )  # a hub whose address has not come down to the school
        answer = await nodes[SCHOOL].search("书法")
        assert [hit.id for hit in answer.hits] == ["far"]
        named = [source.node for source in answer.sources]
        assert sorted(named) == sorted({SCHOOL, COUNTY, ROOT})
        by_node = {source.node: source for source in answer.sources}
        assert by_node[ROOT].index_position == 1
        assert answer.coverage.is_whole


async def test_an_answer_without_the_hub_says_what_it_lacks(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("own", "本校的 书法 课")
        await until(lambda: _indexed(nodes, COUNTY, SCHOOL))
        await nodes.stop(ROOT)
        through_county = await nodes[SCHOOL].search("书法")
        outcomes = {source.node: source.outcome for source in through_county.sources}
        assert [hit.id for hit in through_county.hits] == ["own"]
        assert outcomes[ROOT] not in ("ok", "empty")
        assert not through_county.coverage.is_whole or ROOT in outcomes
        await nodes.stop(COUNTY)
        alone = await nodes[SCHOOL].search("书法")
        assert [hit.id for hit in alone.hits] == ["own"]
        assert not alone.coverage.is_whole
        assert set(alone.coverage.silent) >= {COUNTY, ROOT}
        assert not alone.total_is_exact


async def test_after_a_day_of_silence_siblings_score_by_the_parents_last_statistics(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        await nodes[SCHOOL].publish("own", "书法")
        await until(lambda: _indexed(nodes, COUNTY, SCHOOL))
        await until(lambda: _indexed(nodes, ROOT, SCHOOL))  # which answers a search of the network
        school = nodes[SCHOOL].node
        school.meeting._statistics_at_ms = 0
        await school.meeting.meet(COUNTY)
        with_parent = await nodes[SCHOOL].search("书法")
        await nodes.stop(ROOT)
        await nodes.stop(COUNTY)
        alone = await nodes[SCHOOL].search("书法")
        assert alone.hits[0].score == pytest.approx(with_parent.hits[0].score)
