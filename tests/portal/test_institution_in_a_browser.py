"""A member of staff signs in at their institution, on another site, and comes back: refused, linked, and let in.

Needs the system's Chromium; where there is none, these tests say so and are skipped.
"""

import time
from contextlib import asynccontextmanager
from itertools import count

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect

from node.host.clock import SystemClock
from node.host.providers import OidcProvider
from node.portal.visits import SESSION
from node.ports.people import Foreign
from node.usecases.second_factor import code_at
from tests.portal.browsing import CHROMIUM, browser, sign_in_as
from tests.support.portal_world import STAFF_PASSWORD
from tests.support.provider import CLIENT, PASSWORD, SECRET, provider

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent from this machine: apt install chromium"),
]
PHONE, DESK = (390, 844), (1280, 900)
WIDE = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
WORDS = {
    "zh": ("用“嘉善教育云”统一登录", "还没有账号与它关联", "关联统一登录", "的关联已保存", "动态码", "登录"),
    "en": (
        "Sign in with 嘉善教育云",
        "no account here is linked",
        "Link the institution's sign-in",
        "The link is saved",
        "One-time code",
        "Sign in",
    ),
}
_numbers = count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium():
    async with async_playwright() as playwright, browser(playwright) as one:
        yield one


@pytest.fixture
def there(made):
    """A provider that a browser knows as another site, for one test."""
    node = made.home.node
    with provider("localhost") as one:
        node.provider = OidcProvider(
            issuer=one.issuer, title="嘉善教育云", client=CLIENT, secret=SECRET, clock=SystemClock()
        )
        yield one
        node.provider = None


@asynccontextmanager
async def window(chromium, made, size, ui, *, scripts=True, role=""):
    context = await chromium.new_context(
        viewport={"width": size[0], "height": size[1]}, java_script_enabled=scripts, locale="zh-CN"
    )
    try:
        page = await context.new_page()
        await page.goto(f"{made.address}/?ui={ui}")
        await sign_in_as(context, made, role)
        yield page
    finally:
        await context.close()


async def staff(made):
    login = f"cloud{next(_numbers)}"
    _, token = await made.home.node.staffing.invite(login, "统一登录的老师", ("registrar",))
    return (await made.home.node.staffing.set_up(token, login=login, name="周老师", password=STAFF_PASSWORD)).person


async def enter(page, made, subject, ui, *, leads="/desk", password=PASSWORD):
    """From a page that asks for signing in to the provider, and through it."""
    await page.goto(f"{made.address}{leads}")
    await page.get_by_role("link", name=WORDS[ui][0]).click()
    await type_in(page, subject, password)


async def type_in(page, subject, password=PASSWORD):
    await page.get_by_label("工号").fill(subject)
    await page.get_by_label("口令").fill(password)
    await page.get_by_role("button", name="进入").click()


async def session_of(page):
    return [one for one in await page.context.cookies() if one["name"] == SESSION]


@pytest.mark.parametrize("ui", ["zh", "en"])
@pytest.mark.parametrize(
    ("size", "scripts"),
    [
        pytest.param(PHONE, True, id="phone, with JavaScript"),
        pytest.param(PHONE, False, id="phone, without JavaScript"),
        pytest.param(DESK, True, id="desk, with JavaScript"),
    ],
)
async def test_a_teacher_comes_back_unlinked_is_linked_and_is_in(chromium, made, there, ui, *, size, scripts):
    person, subject = await staff(made), f"2026-嘉善-{next(_numbers)}"
    _, refusal, link, linked, *_ = WORDS[ui]
    async with window(chromium, made, size, ui, scripts=scripts) as page:
        await enter(page, made, subject, ui, password="wrong")  # noqa: S106  # that is the point
        assert page.url == f"{there.issuer}/authorize"
        await type_in(page, subject)
        told = page.locator("main")
        await expect(told).to_contain_text(refusal)
        await expect(told).to_contain_text(subject)
        await expect(told).to_contain_text("LLN-1445")
        assert page.url.startswith(made.address)
        assert not await page.evaluate(WIDE)
        assert await session_of(page) == []

        async with window(chromium, made, DESK, ui, role="operator") as people:
            await people.goto(f"{made.address}/people")
            await people.locator("#find").fill(person.owner)
            await people.locator("#find").press("Enter")
            card = people.locator("li.hit").filter(has_text=person.owner)
            await card.locator("summary").click()
            await card.locator("[name=subject]").fill(subject)
            await card.get_by_role("button", name=link).click()
            await expect(people.locator(".note.good")).to_contain_text(linked)

        await enter(page, made, subject, ui, leads="/desk/learners")
        assert page.url == f"{made.address}/desk/learners"
        [session] = await session_of(page)
        assert session["httpOnly"]
        await page.goto(f"{made.address}/account")
        await expect(told).to_contain_text("周老师")
        refused = await page.goto(f"{made.address}/people")
        assert refused.status == 403, "their role, and no more"


@pytest.mark.parametrize(("size", "ui"), [(PHONE, "zh"), (DESK, "en")])
async def test_a_teacher_with_one_time_codes_is_asked_for_one_all_the_same(chromium, made, there, size, ui):
    person, subject = await staff(made), f"codes-{next(_numbers)}"
    node = made.home.node
    secret = await node.second.begin(person, STAFF_PASSWORD)
    step = int(time.time()) // 30
    await node.second.confirm(person, code_at(secret, step))
    operator = made.people["operator"].person
    await node.linking.link(person.id, Foreign(issuer=there.issuer, subject=subject), operator)
    async with window(chromium, made, size, ui) as page:
        await enter(page, made, subject, ui)
        assert page.url.startswith(f"{made.address}/sign-in/code")
        assert await session_of(page) == []
        await page.get_by_label(WORDS[ui][4]).fill(code_at(secret, step + 1))
        await page.get_by_role("button", name=WORDS[ui][5], exact=True).click()
        assert page.url == f"{made.address}/desk"
        assert len(await session_of(page)) == 1


async def test_a_teacher_whose_provider_is_away_is_told_so_and_may_use_a_password(chromium, made, there):
    there.known = {"issuer": "https://somebody.else.example"}
    async with window(chromium, made, PHONE, "zh") as page:
        await page.goto(f"{made.address}/desk")
        await page.get_by_role("link", name=WORDS["zh"][0]).click()
        await expect(page.locator("main")).to_contain_text("LLN-1444")
        await page.goto(f"{made.address}/sign-in")
        await expect(page.get_by_label("密码")).to_be_visible()
