"""Whole journeys in a real browser: on a phone and at a desk, with and without JavaScript.

Needs the system's Chromium; where there is none, these tests say so and are skipped.
"""

import time
from contextlib import asynccontextmanager
from importlib import resources

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from node.portal.site import PAGES
from node.portal.visits import SESSION
from node.ports.people import ROLES
from node.usecases.second_factor import code_at
from tests.portal.browsing import CHROMIUM, browser, sign_in_as
from tests.portal.shots import addresses
from tests.support.portal_world import HOME, PASSWORD, RECEIVER, STAFF_PASSWORD, register

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent from this machine: apt install chromium"),
]

PHONE, NARROW, DESK = (390, 844), (320, 640), (1280, 900)
WAYS = [
    pytest.param(size, scripts, id=f"{name}, {'with' if scripts else 'without'} JavaScript")
    for name, size in (("phone", PHONE), ("desk", DESK))
    for scripts in (True, False)
]
AXE_RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
SMALL_TARGETS = """(least) => [
  ...document.querySelectorAll("button, .button, input:not([type=hidden], [type=checkbox], [type=radio])"),
  ...document.querySelectorAll("select, textarea"),
  ...document.querySelectorAll("nav a, summary, .filter, .check, .door")]
  .filter((one) => one.offsetParent !== null)
  .filter((one) => one.getBoundingClientRect().height < least - 0.5).map((one) => one.outerHTML.slice(0, 120))"""
SMALL_TEXT = """() => [...document.querySelectorAll("body *")].filter((one) => one.offsetParent !== null
  && [...one.childNodes].some((part) => part.nodeType === 3 && part.textContent.trim()))
  .filter((one) => { const style = getComputedStyle(one); return parseFloat(style.fontSize) < 23.9
    || parseFloat(style.lineHeight) / parseFloat(style.fontSize) < 1.299; })
  .map((one) => one.outerHTML.slice(0, 120))"""
WIDE = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium():
    async with async_playwright() as playwright, browser(playwright) as one:
        yield one


@asynccontextmanager
async def window(chromium, made, size=PHONE, *, scripts=True, role="", large=False, ui="zh"):
    """A page in a browser of its own; it complains of nothing and asks nobody else for anything."""
    context = await chromium.new_context(
        viewport={"width": size[0], "height": size[1]}, java_script_enabled=scripts, locale="zh-CN"
    )
    page = await context.new_page()
    trouble = []
    page.on("console", lambda told: trouble.append(told.text) if told.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on(
        "request", lambda asked: None if asked.url.startswith((made.address, "data:")) else trouble.append(asked.url)
    )
    try:
        await page.goto(f"{made.address}/?ui={ui}&display={'large' if large else 'standard'}")
        await sign_in_as(context, made, role)
        yield page
        ours = [one for one in trouble if "status of 4" not in one]  # a page that says no is reported, too
        assert ours == []
    finally:
        await context.close()


@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_a_learner_finds_a_course_and_prints_a_proof_that_an_employer_checks(chromium, made, size, scripts):
    node, login = made.home.node, f"learner-{size[0]}-{scripts}".lower()
    _, token = await node.staffing.invite(login, "沈小满", ("learner",), learner=made.learner)
    async with window(chromium, made, size, scripts=scripts) as page:
        await page.get_by_label("输入课程名称或想学的内容").fill("木雕")
        await page.get_by_role("button", name="搜索").click()
        await page.get_by_role("link", name="水乡木雕入门").click()
        assert (
            await page.get_by_role("link", name="打开学习").get_attribute("href") == "https://course.example.org/wood"
        )

        await page.goto(f"{made.address}/setup/{token}")
        await page.get_by_label("新密码").fill(PASSWORD)
        await page.get_by_label("再输入一次密码").fill(PASSWORD)
        await page.get_by_role("button", name="完成设置").click()
        assert await page.locator(".codes li").count() == 8
        await page.get_by_role("link", name="我已记下").click()

        await page.get_by_role("link", name="打印学习成果证明").click()
        await page.get_by_label("智能手机入门").check()
        await page.get_by_role("button", name="下一步").click()
        await page.get_by_label("我已看过，同意").check()
        await page.get_by_role("button", name="生成证明").click()
        code = await page.locator(".proof-code").inner_text()
        assert code.endswith(f"@{HOME}")
        assert await page.get_by_role("button", name="打印本页").count() == (1 if scripts else 0)

    async with window(chromium, made, size, scripts=scripts) as page:
        await page.get_by_role("navigation", name="主菜单").get_by_role("link", name="核验证明").click()
        await page.get_by_label("纸上或对方告诉您的核验码").fill(code)
        await page.get_by_role("button", name="核验", exact=True).click()
        assert "智能手机入门" in await page.locator("main").inner_text()
        assert await page.locator(".note.good").count() == 1
        assert await page.locator("tbody tr").count() == 5


@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_a_learner_sees_what_credits_become_before_applying(chromium, made, size, scripts):
    async with window(chromium, made, size, scripts=scripts, role="learner") as page:
        await page.goto(f"{made.address}/my")
        await page.get_by_role("link", name="转换学分").click()
        await page.get_by_text("知道对方的节点名称？").click()
        await page.get_by_label("向哪个机构申请").fill(RECEIVER)
        await page.get_by_role("button", name="下一步").click()
        await page.get_by_label("智能手机入门").check()
        await page.get_by_role("button", name="下一步").click()
        await page.get_by_label("我已看过，同意").check()
        await page.get_by_role("button", name="看看能转换多少").click()
        told = await page.locator("main").inner_text()
        assert "没有转换的部分，原因是" in told
        assert "智能手机入门" in told


@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_a_registrar_opens_an_account_and_issues_credits(chromium, made, size, scripts):
    number = f"N{size[0]}{int(scripts)}"
    async with window(chromium, made, size, scripts=scripts, role="registrar") as page:
        await page.goto(f"{made.address}/desk")
        await page.get_by_role("link", name="学习者 开户").click()
        await page.get_by_label("姓名", exact=True).fill("钱多多")
        await page.get_by_label("学号", exact=True).fill(number)
        await page.get_by_label("出生日期").fill("1960-01-02")
        await page.get_by_label("登录账号").fill(f"qian{number}")
        await page.get_by_role("button", name="开户").click()
        assert "/setup/" in await page.locator(".note.good").inner_text()
        await page.goto(f"{made.address}/desk/issue")
        await page.get_by_label("学习者").fill(number)
        await page.get_by_label("学习成果").select_option(label="养老护理员（初级） · 4 学分")
        await page.get_by_role("button", name="看看会登记什么").click()
        await page.get_by_role("button", name="确认登记").click()
        assert "已登记" in await page.locator(".note.good").inner_text()


@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_a_registrar_issues_a_sheet_and_takes_it_back(chromium, made, size, scripts):
    number = f"T{size[0]}{int(scripts)}"
    await register(made.home, "表格生", number)
    sheet = f"学号,学习成果,取得日期\n{number},dough,2026-05-01\nnobody,dough,2026-05-01\n"
    async with window(chromium, made, size, scripts=scripts, role="registrar") as page:
        await page.goto(f"{made.address}/desk")
        await page.get_by_role("link", name="用表格登记学分").click()
        file = {"name": "五月.csv", "mimeType": "text/csv", "buffer": sheet.encode()}
        await page.get_by_label("表格文件").set_input_files(file)
        await page.get_by_role("button", name="看看会登记什么").click()
        await page.get_by_role("button", name="确认登记 1 条").wait_for()
        assert not await page.evaluate(WIDE)
        await page.get_by_role("button", name="确认登记 1 条").click()
        assert "已登记 1 条" in await page.locator(".note.good").inner_text()
        await page.get_by_label("撤销理由").fill("传错了文件")
        await page.get_by_role("button", name="撤销 1 条").click()
        assert "已撤销 1 条" in await page.locator(".note.good").inner_text()


@pytest.mark.parametrize("approves", [True, False], ids=["approves", "returns"])
async def test_a_registrar_decides_on_a_conversion_with_its_evidence_in_view(chromium, made, approves):
    case = made.cases[1 if approves else 2]
    async with window(chromium, made, PHONE, role="registrar") as page:
        await page.goto(f"{made.address}/desk")
        await page.get_by_role("listitem").filter(has_text=case).get_by_role("link", name="转换申请：").click()
        told = await page.locator("main").inner_text()
        assert "海宁" in told, "who asks, by the name that people use"
        assert "2 学分" in told
        assert "结果一致" in told
        if not approves:
            await page.get_by_role("button", name="退回").click()
            assert "请写明理由" in await page.get_by_role("alert").inner_text()
            await page.get_by_label("理由").fill("请补交演出证明")
        await page.get_by_role("button", name="通过" if approves else "退回").click()
        assert "已记录您的决定" in await page.locator(".note.good").first.inner_text()
        await page.goto(f"{made.address}/desk/cases/{case}")
        assert "registrar先生 (registrar1)" in await page.locator("main").inner_text()
        assert await page.get_by_role("button", name="通过").count() == 0


@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_what_a_registrar_typed_is_there_after_signing_in_again(chromium, made, size, scripts):
    node, login, name = made.home.node, f"late-{size[0]}-{scripts}".lower(), f"晚归{size[0]}{int(scripts)}"
    _, token = await node.staffing.invite(login, "登记员", ("registrar",))
    await node.staffing.set_up(token, login=login, name="登记员", password=STAFF_PASSWORD)
    async with window(chromium, made, size, scripts=scripts) as page:
        await page.goto(f"{made.address}/desk/learners")
        await page.get_by_label("账号").fill(login)
        await page.get_by_label("密码").fill(STAFF_PASSWORD)
        await page.get_by_role("button", name="登录").click()
        await page.get_by_label("姓名", exact=True).fill(name)
        await page.get_by_label("出生日期").fill("1960-01-02")
        for cookie in await page.context.cookies():
            if cookie["name"] == SESSION:
                await node.signing_in.sign_out(cookie["value"])
        await page.get_by_role("button", name="开户").click()
        assert "已为您保留" in await page.get_by_role("alert").inner_text()
        await page.get_by_label("账号").fill(login)
        await page.get_by_label("密码").fill(STAFF_PASSWORD)
        await page.get_by_role("button", name="登录").click()
        assert name in await page.locator("dl.pairs").inner_text()
        assert not await page.evaluate(WIDE)
        await page.get_by_role("button", name="核对无误，提交").click()
        assert f"已为 {name} 开户" in await page.locator(".note.good").inner_text()


@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_a_teacher_sets_up_codes_and_signs_in_with_one(chromium, made, size, scripts):
    node, login = made.home.node, f"phone-{size[0]}-{scripts}".lower()
    _, token = await node.staffing.invite(login, "陈老师", ("registrar",))
    await node.staffing.set_up(token, login=login, name="陈老师", password=STAFF_PASSWORD)
    async with window(chromium, made, size, scripts=scripts) as page:
        await page.goto(f"{made.address}/account/code")
        await page.get_by_label("账号").fill(login)
        await page.get_by_label("密码").fill(STAFF_PASSWORD)
        await page.get_by_role("button", name="登录").click()
        await page.get_by_label("现在的密码").fill(STAFF_PASSWORD)
        await page.get_by_role("button", name="开始设置").click()
        assert await page.locator(".qr").bounding_box()
        assert not await page.evaluate(WIDE)
        secret = (await page.locator("main .code").inner_text()).replace(" ", "")
        step = int(time.time()) // 30
        await page.get_by_label("动态码").fill(code_at(secret, step))
        await page.get_by_role("button", name="启用").click()
        assert "动态码已启用" in await page.locator(".note.good").inner_text()
        await page.goto(f"{made.address}/account")
        await page.get_by_role("button", name="退出登录").click()
        await page.goto(f"{made.address}/desk")
        await page.get_by_label("账号").fill(login)
        await page.get_by_label("密码").fill(STAFF_PASSWORD)
        await page.get_by_role("button", name="登录").click()
        await page.get_by_label("动态码").fill(code_at(secret, step + 1))
        await page.get_by_role("button", name="登录").click()
        assert page.url == f"{made.address}/desk"


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without JavaScript"])
async def test_an_operator_adds_somebody_who_signs_in(chromium, made, scripts):
    login = f"li-{scripts}".lower()
    async with window(chromium, made, DESK, scripts=scripts, role="operator") as page:
        await page.goto(f"{made.address}/people")
        await page.get_by_label("账号名").fill(login)
        await page.get_by_label("姓名").last.fill("李审核")
        await page.locator("form").last.get_by_label("审核员").check()
        await page.get_by_role("button", name="添加并生成设置链接").click()
        link = await page.locator(".note.good .code").inner_text()
    async with window(chromium, made, DESK, scripts=scripts) as page:
        await page.goto(link)
        await page.get_by_label("新密码").fill(STAFF_PASSWORD)
        await page.get_by_label("再输入一次密码").fill(STAFF_PASSWORD)
        await page.get_by_role("button", name="完成设置").click()
        await page.goto(f"{made.address}/account")
        assert "李审核" in await page.locator("main").inner_text()
        await page.get_by_role("button", name="退出登录").click()
        await page.goto(f"{made.address}/account")
        await page.get_by_label("账号").fill(login)
        await page.get_by_label("密码").fill(STAFF_PASSWORD)
        await page.get_by_role("button", name="登录").click()
        assert page.url == f"{made.address}/account"


# --- every page ------------------------------------------------------------------------------------------------------


def looked_at():
    return sorted({page.path for page in PAGES if page.shows})


@pytest.mark.parametrize("large", [False, True], ids=["standard", "large"])
async def test_no_page_scrolls_sideways_on_the_narrowest_phone(chromium, made, large):
    assert len(looked_at()) > 15
    for role in ("", *ROLES):
        async with window(chromium, made, NARROW, role=role, large=large) as page:
            for name, path, whose in addresses(made):
                if whose != role:
                    continue
                await page.goto(made.address + path)
                assert not await page.evaluate(WIDE), name


async def test_large_type_is_large_and_easy_to_hit_on_every_page(chromium, made):
    for role in ("", *ROLES):
        async with window(chromium, made, PHONE, role=role, large=True) as page:
            for name, path, whose in addresses(made):
                if whose != role:
                    continue
                await page.goto(made.address + path)
                assert await page.evaluate(SMALL_TEXT) == [], name
                assert await page.evaluate(SMALL_TARGETS, 60) == [], name


@pytest.mark.parametrize("ui", ["zh", "en"])
@pytest.mark.parametrize("large", [False, True], ids=["standard", "large"])
async def test_axe_finds_nothing_against_any_page(chromium, made, ui, large):
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    for role in ("", *ROLES):
        async with window(chromium, made, DESK, role=role, large=large, ui=ui) as page:
            for name, path, whose in addresses(made):
                if whose != role:
                    continue
                await page.goto(made.address + path)
                await page.evaluate(axe)
                found = await page.evaluate("(rules) => axe.run(document, rules)", AXE_RULES)
                told = [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found["violations"]]
                assert told == [], name


async def test_the_keyboard_alone_reaches_everything_and_shows_where_it_is(chromium, made):
    async with window(chromium, made, DESK) as page:
        await page.goto(made.address)
        await page.keyboard.press("Tab")
        assert await page.evaluate("() => document.activeElement.className") == "skip"
        await page.keyboard.press("Enter")
        assert await page.evaluate("() => document.activeElement.id") == "content"
        seen = set()
        for _ in range(40):
            await page.keyboard.press("Tab")
            held = await page.evaluate(
                "() => { const one = document.activeElement; const box = one.getBoundingClientRect();"
                " return [one.tagName, one.textContent.trim(), getComputedStyle(one).outlineStyle, box.width > 0]; }"
            )
            if held[0] == "BODY":
                break
            assert held[2] != "none", held
            assert held[3], held
            seen.add(held[1])
        assert {"搜索", "智能手机"} <= seen
