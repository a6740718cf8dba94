"""From an offer to the catalogue and out of it again: contributor and reviewer, in a browser and without one."""

import io
import zipfile

import pytest

from federation.catalogue import CRITERIA
from node.portal.offer_sheet_pages import ROWS_MAX
from tests.portal.browsing import CHROMIUM
from tests.portal.test_journeys import WAYS, chromium, window  # noqa: F401  # a fixture
from tests.support.portal_world import HOSTILE, OFFERED, STAFF_PASSWORD

pytestmark = pytest.mark.asyncio(loop_scope="session")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent from this machine: apt install chromium")
NEW = {"section": "silver_age", "type": "courseware", "description": "八段锦八个动作。", "audience": ["elder"]}
MET = {f"criterion.{one}": "yes" for one in CRITERIA}


@in_browser
@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_an_offer_is_returned_put_right_and_published(chromium, made, size, scripts):  # noqa: F811  # the fixture
    title = f"太极拳二十四式 {size[0]} {'有' if scripts else '无'}"
    async with window(chromium, made, size, scripts=scripts, role="contributor") as page:
        await page.goto(made.address)
        await page.get_by_role("link", name="贡献资源").click()
        await page.get_by_role("link", name="提供一个资源").click()
        await page.get_by_label("名称").fill(title)
        await page.get_by_label("老年人").check()
        await page.get_by_label("简介").fill("跟着口令练，膝盖不好也能学。")
        await page.get_by_label("链接", exact=False).fill(f"kecheng.example.org/taiji{size[0]}{scripts}")
        await page.get_by_role("button", name="提交审核").click()
        assert "已提交，等待审核" in await page.locator(".note.good").inner_text()
        assert "由另一位审核员审核（现在在这一步）" in (await page.locator("[aria-current=step]").inner_text()).replace(
            " ", ""
        )
    async with window(chromium, made, size, scripts=scripts, role="reviewer") as page:
        await page.goto(f"{made.address}/review")
        await page.get_by_role("link", name=title).click()
        await page.locator("[name='criterion.scientific'][value=no]").check()
        await page.get_by_role("button", name="退回").click()
        assert "请写明意见" in await page.get_by_role("alert").inner_text()
        assert await page.locator("[name='criterion.scientific'][value=no]").is_checked()
        await page.get_by_label("意见").fill("请注明编者")
        await page.get_by_role("button", name="退回").click()
        assert "已退回" in await page.locator(".note.good").first.inner_text()
    async with window(chromium, made, size, scripts=scripts, role="contributor") as page:
        await page.goto(f"{made.address}/contribute")
        await page.get_by_role("link", name=title).click()
        told = await page.locator(".note.warning").inner_text()
        assert "科学性" in told
        assert "请注明编者" in told
        await page.get_by_role("link", name="修改后重新提交").click()
        await page.get_by_label("简介").fill("跟着口令练，膝盖不好也能学。编者：市太极拳协会。")
        await page.get_by_role("button", name="重新提交审核").click()
    async with window(chromium, made, size, scripts=scripts, role="reviewer") as page:
        await page.goto(f"{made.address}/review")
        await page.get_by_role("link", name=title).click()
        await page.get_by_role("button", name="通过并入库").click()
        assert "还有没回答的" in await page.get_by_role("alert").inner_text()
        for one in CRITERIA:
            await page.locator(f"[name='criterion.{one}'][value=yes]").check()
        await page.get_by_role("button", name="通过并入库").click()
        assert "已通过并入库" in await page.locator(".note.good").first.inner_text()
    async with window(chromium, made, size, scripts=scripts, role="contributor") as page:
        await page.goto(f"{made.address}/contribute")
        await page.get_by_role("link", name=title).click()
        await page.get_by_role("link", name="看看大家看到的页面").click()
        assert title in await page.locator("h1").inner_text()


async def test_two_versions_stand_side_by_side_with_their_differences_marked(visitor_of):
    page = (await visitor_of("reviewer").get(f"/review/of/{OFFERED}")).text
    assert "改动（3 项）" in page
    assert "<del>十次课，</del>" in page
    assert "<ins>十二次课，</ins>" in page
    assert "学会泡绿茶、" in page
    assert "<ins>24</ins>" in page


async def offer(visitor, title, **fields):
    answer = await visitor.post("/contribute/new", {**NEW, "title": title, **fields}, page="/contribute/new")
    assert answer.status == 303, answer.text
    return answer.location.partition("/contribute/of/")[2].partition("?")[0]


async def both_roles(made, login):
    """Somebody who is contributor and reviewer."""
    person, token = await made.home.node.staffing.invite(login, "双肩挑", ["contributor", "reviewer"])
    done = await made.home.node.staffing.set_up(token, login=person.owner, name=person.name, password=STAFF_PASSWORD)
    return (await made.home.node.signing_in.begin(done.person, "sign_in")).token


async def test_nobody_reviews_what_they_wrote(made, visitor_of):
    visitor = visitor_of("reviewer")
    visitor.cookies = {"lln-session": await both_roles(made, "both1")}
    wanted = await offer(visitor, "双肩挑的八段锦")
    page = await visitor.get(f"/review/of/{wanted}")
    assert "作者不能审核自己的资源" in page.text
    assert "criterion.political" not in page.text
    forced = await visitor.post(
        f"/review/of/{wanted}", {**MET, "decision": "approve", "version": "1"}, page="/contribute/new"
    )
    assert forced.status == 422
    assert "审核人不能是作者本人" in forced.text
    assert (await made.home.ask("resource.show", id=wanted)).state == "pending"


async def test_what_changed_while_it_was_being_looked_at_is_not_approved(made, visitor_of):
    contributor, reviewer = visitor_of("contributor"), visitor_of("reviewer")
    wanted = await offer(contributor, "边看边改的课")
    seen = {**MET, "decision": "approve", "version": "1"}
    changed = await contributor.post(f"/contribute/correct/{wanted}", {**NEW, "title": "边看边改的课", "hours": "9"})
    assert changed.status == 303
    answer = await reviewer.post(f"/review/of/{wanted}", seen)
    assert (answer.status, "作者又改过" in answer.text) == (422, True)
    assert (await reviewer.post(f"/review/of/{wanted}", {**seen, "version": "2"})).status == 303


async def test_a_withdrawal_has_a_case_and_shows_how_far_it_has_come(made, visitor_of):
    contributor, reviewer = visitor_of("contributor"), visitor_of("reviewer")
    wanted = await offer(contributor, "要撤下的课")
    await reviewer.post(f"/review/of/{wanted}", {**MET, "decision": "approve", "version": "1"})
    bare = await reviewer.post(
        f"/review/withdraw/{wanted}", {"reason": "版权", "case_id": ""}, page=f"/review/of/{wanted}"
    )
    assert (bare.status, "案件编号" in bare.text) == (422, True)
    done = await reviewer.post(
        f"/review/withdraw/{wanted}", {"reason": "权利人要求", "case_id": "A-17"}, page=f"/review/of/{wanted}"
    )
    page = (await reviewer.get(done.location)).text
    assert "A-17" in page
    assert "权利人要求" in page
    assert "lln.internal" in page.partition("传到了哪里")[2]
    assert "权利人要求" in (await contributor.get(f"/contribute/of/{wanted}")).text
    audit = (await visitor_of("auditor").get("/audit")).text
    assert "资源出库" in audit
    assert f"{wanted} A-17" in audit


async def test_somebody_elses_resource_is_neither_shown_nor_changed(made, visitor_of):
    learner = visitor_of("learner")
    theirs = await learner.get(f"/contribute/of/{OFFERED}")
    none = await learner.get("/contribute/of/nothing-of-the-kind")
    assert (theirs.status, none.status) == (404, 404)
    assert (await learner.post(f"/contribute/correct/{OFFERED}", {"title": "x"}, page="/contribute/new")).status == 404
    link = "https://course.example.org/only-once"
    await offer(visitor_of("contributor"), "先提交的", location=link)
    again = await learner.post("/contribute/new", {**NEW, "title": "后提交的", "location": link})
    assert (again.status, "已由别人提交过" in again.text) == (422, True)
    assert "后提交的" in again.text, "what was typed is still there"


async def test_a_form_that_is_not_acceptable_says_what_to_do_and_keeps_what_was_typed(visitor_of):
    visitor = visitor_of("contributor")
    for fields, told in (
        ({"title": ""}, "请填写名称"),
        ({"title": "甲", "location": "javascript:alert(1)"}, "链接须以"),
        ({"title": "甲", "section": "astrology"}, "板块"),
        ({"title": "甲", "hours": "很长"}, "学时"),
    ):
        answer = await visitor.post("/contribute/new", {**NEW, **fields}, page="/contribute/new")
        assert (answer.status, told in answer.text) == (422, True), fields
        assert "八段锦八个动作" in answer.text


async def test_what_somebody_offers_is_text_everywhere_and_no_formula_in_a_table(visitor_of):
    contributor, reviewer = visitor_of("contributor"), visitor_of("reviewer")
    wanted = await offer(contributor, f"=1+1 {HOSTILE}", description=HOSTILE, licence=HOSTILE[:60])
    pages = [
        await contributor.get("/contribute"),
        await contributor.get(f"/contribute/of/{wanted}"),
        await contributor.get(f"/contribute/correct/{wanted}"),
        await reviewer.get("/review"),
        await reviewer.get(f"/review/of/{wanted}"),
        await reviewer.get(f"/review/together?id={wanted}"),
        await reviewer.post(
            f"/review/of/{wanted}",
            {"decision": "return", "remark": HOSTILE, "version": "1"},
            page=f"/review/of/{wanted}",
        ),
        await contributor.get(f"/contribute/of/{wanted}"),
    ]
    for page in pages:
        assert "<script>" not in page.text
        assert "<img src=x" not in page.text
    assert "&lt;script&gt;" in pages[-1].text
    table = (await contributor.get("/contribute.csv")).text
    assert "'=1+1" in table
    assert "\n=1+1" not in table.replace('"', "")


# --- sheets ----------------------------------------------------------------------------------------------------------


async def send_file(visitor, content, name="sheet.csv"):
    return await visitor.upload("/contribute/sheet", content, name)


async def test_a_sheet_is_planned_submitted_once_and_planned_again_without_change(visitor_of):
    visitor = visitor_of("contributor")
    table = "编号,名称,类型,板块\nsheet-1,剪纸,课程,兴趣爱好\nsheet-2,,课程,兴趣爱好\n".encode()
    planned = await send_file(visitor, table)
    assert planned.status == 200
    assert "新增 1" in planned.text
    assert "不能接受 1" in planned.text
    assert "剪纸" not in (await visitor.get("/contribute")).text, "a plan writes nothing"
    sheet = planned.text.partition('name="sheet" value="')[2].partition('"')[0]
    sent = await visitor.post("/contribute/sheet/confirm", {"sheet": sheet}, page="/contribute/sheet")
    assert sent.location == "/contribute?done=sheet"
    assert "剪纸" in (await visitor.get("/contribute")).text
    again = await visitor.post("/contribute/sheet/confirm", {"sheet": sheet}, page="/contribute/sheet")
    assert (again.status, "重新上传" in again.text) == (422, True)
    assert "没有可以提交的新内容" in (await send_file(visitor, table)).text


async def test_a_sheet_is_reviewed_by_somebody_else_in_one_go_each_by_itself(made, visitor_of):
    contributor, reviewer = visitor_of("contributor"), visitor_of("reviewer")
    ids = [await offer(contributor, f"一起审的课 {at}") for at in range(3)]
    page = await reviewer.get("/review/together?" + "&".join(f"id={one}" for one in [*ids, "not-there"]))
    assert page.text.count('name="version"') == 3
    changed = await contributor.post(f"/contribute/correct/{ids[1]}", {**NEW, "title": "一起审的课 1", "hours": "8"})
    assert changed.status == 303
    answers = {**MET, "decision": "approve", "id": ids, "version": ["1", "1", "1"]}
    lacking = await reviewer.post("/review/together", {**answers, "criterion.timely": ""}, page="/account")
    assert (lacking.status, "还有没回答的" in lacking.text) == (422, True)
    done = await reviewer.post("/review/together", answers, page="/account")
    assert done.status == 200
    assert "作者又改过" in done.text
    states = [(await made.home.ask("resource.show", id=one)).state for one in ids]
    assert states == ["published", "pending", "published"]
    again = await reviewer.post("/review/together", answers, page="/account")
    assert again.text.count("没有改动") == 3


async def test_sheets_that_are_too_long_packed_too_tightly_or_no_sheets_are_refused(visitor_of):
    visitor = visitor_of("contributor")
    lines = "".join(f"row-{at},课 {at},课程,银龄课堂\n" for at in range(ROWS_MAX + 1))
    answer = await send_file(visitor, f"编号,名称,类型,板块\n{lines}".encode())
    assert (answer.status, f"超过 {ROWS_MAX} 行" in answer.text) == (422, True)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 600_000_000)
    assert len(packed.getvalue()) < 2_000_000
    for content, name in ((packed.getvalue(), "bomb.xlsx"), (b"%PDF-1.7", "x.csv"), (b"", "empty.csv")):
        answer = await send_file(visitor, content, name)
        assert answer.status == 422, name
        assert 'role="alert"' in answer.text
