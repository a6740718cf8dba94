"""A reviewer finds a resource by part of its title: in the address, on the page, and in the twins for programs."""

import csv
import io
import json
from urllib.parse import quote

import pytest

from tests.portal.browsing import CHROMIUM
from tests.portal.test_contributing import offer
from tests.portal.test_journeys import WAYS, chromium, window  # noqa: F401  # a fixture

pytestmark = pytest.mark.asyncio(loop_scope="session")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent from this machine: apt install chromium")
SOUGHT = quote("皮影戏入")


async def test_the_page_and_its_twins_hold_what_the_address_asks_for(visitor_of):
    contributor, reviewer = visitor_of("contributor"), visitor_of("reviewer")
    wanted = await offer(contributor, "皮影戏 入门")
    other = await offer(contributor, "景泰蓝入门")
    found = await reviewer.get(f"/review?q={SOUGHT}")
    assert wanted in found.text
    assert other not in found.text
    assert "/review.csv?state=pending&amp;q=%E7%9A%AE" in found.text
    assert [row["id"] for row in json.loads((await reviewer.get(f"/review.json?q={SOUGHT}")).body)] == [wanted]
    table = (await reviewer.get(f"/review.csv?q={SOUGHT}")).body.decode("utf-8-sig")
    assert [row["id"] for row in csv.DictReader(io.StringIO(table))] == [wanted]
    assert {wanted, other} <= {row["id"] for row in json.loads((await reviewer.get("/review.json")).body)}


async def test_what_is_sought_is_shown_as_text_and_nothing_found_says_what_to_do(visitor_of):
    page = (await visitor_of("reviewer").get("/review?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")).text
    assert "<script>alert" not in page
    assert "可以换一个状态看看" in page
    assert (await visitor_of("reviewer").get("/review?q=" + quote("长" * 400))).status == 200


@in_browser
@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_a_reviewer_searches_and_goes_on_through_the_states(chromium, made, visitor_of, size, scripts):  # noqa: F811  # the fixture
    title = f"苏绣双面 {size[0]} {'有' if scripts else '无'}"
    await offer(visitor_of("contributor"), title)
    async with window(chromium, made, size, scripts=scripts, role="reviewer") as page:
        await page.goto(f"{made.address}/review")
        await page.get_by_label("按名称查找").fill(title)
        await page.get_by_role("button", name="查找").click()
        assert await page.locator("main .hit h3").all_inner_texts() == [title]
        assert await page.get_by_label("按名称查找").input_value() == title
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await page.get_by_role("link", name="已入库", exact=True).click()
        assert "可以换一个状态看看" in await page.get_by_role("status").inner_text()
        await page.get_by_role("link", name="显示全部").click()
        assert await page.get_by_label("按名称查找").input_value() == ""
