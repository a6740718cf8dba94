"""A conversion that a registrar would not decide alone: passed on, read by a colleague, and decided by them."""

import pytest

from tests.portal.browsing import CHROMIUM
from tests.portal.test_finished import colleague
from tests.portal.test_journeys import WAYS, chromium, window  # noqa: F401  # a fixture
from tests.support.portal_world import RECEIVER, ask_for_review

pytestmark = pytest.mark.asyncio(loop_scope="session")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent from this machine: apt install chromium")


@in_browser
@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_a_conversion_is_passed_on_and_a_colleague_decides_it(chromium, made, size, scripts):  # noqa: F811  # the fixture
    at = 60 + 2 * (size[0] > 500) + scripts
    case, why = await ask_for_review(made, at), f"证书编号对不上 {at}"
    entry = f".hit:has(a[href='/desk/cases/{case}'])"
    async with window(chromium, made, size, scripts=scripts, role="registrar") as page:
        await page.goto(f"{made.address}/desk")
        await page.locator(entry).get_by_role("link").click()
        await page.get_by_text("自己拿不准？提请复核").click()
        await page.get_by_label("为什么提请复核").fill(why)
        await page.get_by_role("button", name="提请复核").click()
        assert "请另一位登记员来决定" in await page.locator(".note.good").inner_text()
        assert f"已提请复核：{why}" in await page.locator(entry).inner_text()
        await page.locator(entry).get_by_role("link").click()
        assert "须由另一位登记员决定" in await page.locator("main").inner_text()
        assert await page.get_by_role("button", name="同意").count() == 0
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    async with window(chromium, made, size, scripts=scripts) as page:
        session = await colleague(made, f"zhou{at}")
        await page.context.add_cookies([{"name": "lln-session", "value": session, "url": made.address}])
        await page.goto(f"{made.address}/desk")
        await page.locator(entry).get_by_role("link").click()
        assert why in await page.locator(".note.warning").first.inner_text()
        await page.locator("[name=remark]").fill("请补证书原件")
        await page.locator("[name=decision][value=return]").click()
        await page.goto(f"{made.address}/desk/cases/{case}")
        settled = await page.locator("main").inner_text()
        assert why in settled  # who passed it on stays to be read when it is decided
        assert "请补证书原件" in settled
    theirs = await made.network[RECEIVER].ask("convert.status", id=case)
    assert why not in repr(theirs)
