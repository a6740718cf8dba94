"""Visitors whom nobody vouches for see what is shared with everybody, and nothing else, wherever it is published."""

from config.settings import Portal
from tests.support.live_nodes import ROOT, Network, until
from tests.support.web_client import Visitor

COUNTY, SCHOOL = f"county.{ROOT}", f"school.county.{ROOT}"


async def test_only_what_is_shared_with_everybody_is_shown_to_everybody(tmp_path):
    network = Network(tmp_path, Portal(listen="127.0.0.1:0"))
    try:
        await network.found()
        await network.add(COUNTY)
        await network.add(SCHOOL, "school", "school")
        for name, titles in ((COUNTY, "窗花 团花 灯笼"), (SCHOOL, "书签 屏风 门笺")):
            for reach, title in zip(("node", "siblings", "network"), titles.split(), strict=True):
                await network[name].publish(f"{reach}-1", f"剪纸{title}", reach)

        async def found(count):
            return (await network[ROOT].search("剪纸", scope="public")).total == count

        await until(lambda: found(2))
        await until(lambda: _knows(network[COUNTY], 4))
        visitor = Visitor(network[COUNTY].told.portal)
        for path in (
            "/search?q=剪纸",
            "/search?q=剪纸&scope=node",
            "/search.json?q=剪纸",
            "/search.csv?q=剪纸&scope=node",
        ):
            answer = await visitor.get(path.replace("剪纸", "%E5%89%AA%E7%BA%B8"))
            assert (path, answer.status) == (path, 200)
            assert ("灯笼" in answer.text, "门笺" in answer.text) == (True, True), path
            assert not any(hidden in answer.text for hidden in ("窗花", "团花", "书签", "屏风")), path
        for name in (COUNTY, SCHOOL):
            for reach, status in (("node", 404), ("siblings", 404), ("network", 200)):
                answer = await visitor.get(f"/resource/{name}/{reach}-1")
                assert (name, reach, answer.status) == (name, reach, status)
    finally:
        await network.stop_all()


async def _knows(live, count):
    return (await live.ask("node.status")).searchable >= count
