"""Two whole journeys in a real browser: an operator brings schools in, and an analyst at the hub looks at all of it."""

import csv
import io
import re
from types import SimpleNamespace

import pytest
import python_calamine

from node.beginnings import join_home
from tests.portal.browsing import CHROMIUM
from tests.portal.test_journeys import DESK, WAYS, chromium, window
from tests.support.catalogue_files import sheet_of, workbook
from tests.support.live_nodes import ROOT, _listen
from tests.support.portal_world import HOME, STAFF_PASSWORD

__all__ = ["chromium"]
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent from this machine: apt install chromium"),
]


@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_an_operator_invites_a_school_that_joins_and_is_suspended(chromium, made, size, scripts):
    label = f"journey{size[0]}{'js' if scripts else ''}"
    name = f"{label}.{HOME}"
    async with window(chromium, made, size, scripts=scripts, role="operator") as page:
        await page.goto(f"{made.address}/node")
        await page.get_by_role("navigation", name="主菜单").get_by_role("link", name="下级节点").click()
        await page.get_by_role("link", name="邀请下级入网").click()
        await page.get_by_label("单位名称").fill("陶庄老年学校")
        await page.get_by_label("名称标识").fill(label)
        await page.get_by_role("button", name="生成邀请码").click()
        code = await page.locator(".note.good .code").inner_text()
        assert code.startswith("LLN1-")

        network = made.network
        await join_home(network.folder / name, code, _listen(), lambda told: told, network.portal)
        await network.start(name)
        try:
            await page.goto(f"{made.address}/below")
            await page.get_by_role("link", name="陶庄老年学校").and_(page.locator(f"[href$='{name}']")).click()
            await page.get_by_label(re.compile("^暂停")).check()
            await page.get_by_label("理由").fill("材料待补")
            await page.get_by_label("请输入节点名").fill(HOME)
            await page.get_by_role("button", name="确认执行").click()
            assert "没有执行" in await page.get_by_role("alert").inner_text()
            assert await page.get_by_label("理由").input_value() == "材料待补"
            await page.get_by_label("请输入节点名").fill(name)
            await page.get_by_role("button", name="确认执行").click()
            assert "已暂停" in await page.locator(".note.good").inner_text()
        finally:
            await network.stop(name)
    async with window(chromium, made, size, scripts=scripts, role="auditor") as page:
        await page.goto(f"{made.address}/audit")
        rows = await page.locator("tbody tr", has_text=name).all_inner_texts()
        assert any("邀请节点" in row for row in rows)
        assert any("暂停下级节点" in row for row in rows)


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without JavaScript"])
async def test_an_operator_uploads_a_sheet_of_schools_and_gets_a_sheet_of_codes(chromium, made, scripts):
    labels = [f"sheet{'js' if scripts else ''}{at}" for at in range(3)]
    rows = [("单位名称", "名称标识", "级别", "类别"), *((f"第{one}小学", one, "校级", "学校") for one in labels)]
    wrong = [rows[0], ("坏学校", "坏", "校级", "学校")]
    async with window(chromium, made, DESK, scripts=scripts, role="operator") as page:
        for sheet in (wrong, rows):
            await page.goto(f"{made.address}/invites")
            files = {"name": "名单.xlsx", "mimeType": "application/zip", "buffer": workbook(sheet_of(sheet))}
            await page.get_by_label("名单文件").set_input_files(files)
            await page.get_by_role("button", name="上传并核对").click()
            if sheet is wrong:
                assert "1 行里有 1 行要改" in await page.get_by_role("alert").inner_text()
        assert await page.get_by_text("新邀请").count() == 3
        async with page.expect_download() as downloading:
            await page.get_by_role("button", name="确认，下载邀请码表").click()
        sheet = (await (await downloading.value).path()).read_text("utf-8-sig")
        made_rows = list(csv.reader(io.StringIO(sheet)))[1:]
        assert [row[1] for row in made_rows] == [f"{one}.{HOME}" for one in labels]
        assert all(row[3].startswith("LLN1-") for row in made_rows)
        await page.goto(f"{made.address}/invites?state=open")
        await page.locator("tr", has_text=labels[0]).get_by_role("button", name="作废").click()
        assert "邀请已作废" in await page.locator(".note.good").inner_text()


@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_an_analyst_at_the_hub_sees_the_whole_picture_and_takes_it_along(chromium, made, size, scripts):
    hub = made.network[ROOT]
    login = f"analyst{size[0]}{'js' if scripts else ''}"
    _, token = await hub.node.staffing.invite(login, "温分析", ("auditor",))
    there = SimpleNamespace(address=hub.told.portal, people={})
    async with window(chromium, there, size, scripts=scripts) as page:
        await page.goto(f"{there.address}/setup/{token}")
        await page.get_by_label("新密码").fill(STAFF_PASSWORD)
        await page.get_by_label("再输入一次密码").fill(STAFF_PASSWORD)
        await page.get_by_role("button", name="完成设置").click()
        await page.get_by_role("navigation", name="主菜单").get_by_role("link", name="全貌").click()
        told = await page.locator("main").inner_text()
        assert "本页包括全网" in told
        assert "银龄课堂" in told
        assert "jiashan.lln.internal" in told
        await page.get_by_text("有节点的省份，列表显示").click()
        assert "未注明" in await page.locator("details table").first.inner_text()
        async with page.expect_download() as downloading:
            await page.get_by_role("link", name="下载 XLSX 表格").click()
        content = (await (await downloading.value).path()).read_bytes()
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        found = await hub.search("", scope="subtree")
        assert ["resources", found.total] in book.get_sheet_by_name("coverage").to_python()
        await page.get_by_role("link", name="每日情况").click()
        assert await page.get_by_role("img", name="新到的目录条目").count() == 1
        await page.goto(f"{there.address}/node")
        assert "您的角色不能打开" in await page.locator("main").inner_text()
