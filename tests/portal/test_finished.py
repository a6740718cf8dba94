"""“I have finished this”: a learner's word, which becomes a credit only when a registrar has looked into it."""

import json

import pytest

from tests.portal.browsing import CHROMIUM
from tests.portal.test_journeys import WAYS, chromium, window  # noqa: F401  # a fixture
from tests.support.portal_world import HOME, STAFF_PASSWORD, ask_for_review

pytestmark = pytest.mark.asyncio(loop_scope="session")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent from this machine: apt install chromium")


async def newcomer(made, number, roles=("learner",)):
    """A learner of their own for each test, since the world's has records that others count."""
    written = {"name": "何学完", "student_number": number, "birth_date": "1960-01-01"}
    learner = (await made.home.ask("learner.register", written=written)).id
    node = made.home.node
    invited, token = await node.staffing.invite(f"he{number}", "何学完", list(roles), learner=learner)
    done = await node.staffing.set_up(token, login=invited.owner, name=invited.name, password=STAFF_PASSWORD)
    return learner, (await node.signing_in.begin(done.person, "sign_in")).token


@in_browser
@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_a_learner_says_so_and_the_registrar_issues_without_typing(chromium, made, size, scripts):  # noqa: F811  # the fixture
    learner, token = await newcomer(made, f"fin{size[0]}{scripts}")
    async with window(chromium, made, size, scripts=scripts) as page:
        await page.context.add_cookies([{"name": "lln-session", "value": token, "url": made.address}])
        await page.goto(f"{made.address}/resource/{HOME}/care")
        await page.get_by_role("link", name="我学完了").click()
        assert "不算学分" in await page.locator(".note").inner_text()
        await page.get_by_label("哪天学完的").fill("2026-06-30")
        await page.get_by_role("button", name="告诉登记员").click()
        assert "等待登记员核实" in await page.locator(".hit").inner_text()
        await page.goto(f"{made.address}/my")
        assert "还没有学分记录" in await page.locator("main").inner_text()
    async with window(chromium, made, size, scripts=scripts, role="registrar") as page:
        await page.goto(f"{made.address}/desk")
        await page.locator(".hit", has_text=learner).get_by_role("link").click()
        assert "何学完" in await page.locator("main").inner_text()
        assert await page.get_by_label("取得日期").input_value() == "2026-06-30"
        await page.get_by_label("学习成果").select_option(label="养老护理员（初级） · 4 学分")
        await page.get_by_role("button", name="看看会登记什么").click()
        await page.get_by_role("button", name="确认登记").click()
        assert "已登记学分" in await page.locator(".note.good").first.inner_text()
    async with window(chromium, made, size, scripts=scripts) as page:
        await page.context.add_cookies([{"name": "lln-session", "value": token, "url": made.address}])
        await page.goto(f"{made.address}/my/finished")
        await page.get_by_role("link", name="看这条学分记录").click()
        assert "养老护理员（初级）" in await page.locator("main").inner_text()


async def said(visitor, resource="care", on="2026-06-30"):
    return await visitor.post(f"/finish/{HOME}/{resource}", {"finished_on": on})


async def test_it_is_said_once_declined_with_a_reason_and_said_again(made, visitor_of):
    learner, token = await newcomer(made, "fin-declined")
    theirs, registrar = visitor_of(), visitor_of("registrar")
    theirs.cookies = {"lln-session": token}
    assert (await said(theirs)).location == "/my/finished?done=told"
    assert (await said(theirs)).status == 303
    [told] = json.loads((await theirs.get("/my/finished.json")).body)
    assert (told["state"], told["learner"]) == ("told", learner)
    path = f"/desk/finished/{told['id']}"
    bare = await registrar.post(path, {"decision": "decline", "reason": ""})
    assert (bare.status, "请写明不登记的原因" in bare.text) == (422, True)
    done = await registrar.post(path, {"decision": "decline", "reason": "名单里没有您"})
    assert done.location == "/desk/finished?done=declined"
    assert "名单里没有您" in (await theirs.get("/my/finished")).text
    assert told["id"] not in (await registrar.get("/desk/finished.csv")).text
    late = await registrar.post(path, {"decision": "issue", "achievement": "care"}, page="/desk/issue")
    assert (late.status, "已经处理过" in late.text) == (422, True)
    assert (await made.home.ask("credit.list", learner=learner)).records == ()
    await said(theirs)
    assert [one["state"] for one in json.loads((await theirs.get("/my/finished.json")).body)] == ["told", "declined"]


async def test_tomorrow_is_refused_and_another_learners_word_is_not_taken_back(made, visitor_of):
    _, token = await newcomer(made, "fin-other")
    theirs = visitor_of()
    theirs.cookies = {"lln-session": token}
    for on, told in (("2999-01-01", "不能晚于今天"), ("soon", "请填写学完的日期")):
        answer = await said(theirs, on=on)
        assert (answer.status, told in answer.text) == (422, True)
    taken = await theirs.post(f"/my/finished/{made.completion}/withdraw", page="/account")
    assert taken.status == 404
    none = await theirs.post(f"/finish/{HOME}/nothing-of-the-kind", {"finished_on": "2026-06-30"}, page="/account")
    assert none.status == 404
    await said(theirs)
    [own] = json.loads((await theirs.get("/my/finished.json")).body)
    assert (await theirs.post(f"/my/finished/{own['id']}/withdraw", page="/my/finished")).status == 303
    assert json.loads((await theirs.get("/my/finished.json")).body)[0]["state"] == "withdrawn"


async def test_nobody_issues_on_their_own_word(made, visitor_of):
    learner, token = await newcomer(made, "fin-both", ("learner", "registrar"))
    both = visitor_of()
    both.cookies = {"lln-session": token}
    await said(both)
    [told] = json.loads((await both.get("/my/finished.json")).body)
    asked = {"decision": "issue", "achievement": "care", "achieved_on": "2026-06-30"}
    answer = await both.post(f"/desk/finished/{told['id']}", asked)
    assert (answer.status, "请另一位登记员核实" in answer.text) == (422, True)
    assert (await made.home.ask("credit.list", learner=learner)).records == ()


async def test_the_word_goes_along_with_an_export_and_away_with_the_account(made):
    learner, _ = await newcomer(made, "fin-gone")
    asked = {"learner": learner, "publisher": HOME, "resource": "care", "title": "护理"}
    told = await made.home.ask("completion.tell", **asked, finished_on="2026-06-30")
    made_zip = await made.home.ask("learner.export", learner=learner)
    assert "completions.json" in made_zip.files
    gone = await made.home.ask("learner.erase", learner=learner, confirmed=True)
    assert gone.gone["completion"] == 1
    listed = await made.home.ask("completion.list", learner=learner)
    assert listed.completions == ()
    assert told.state == "told"


async def colleague(made, login):
    """Another registrar, and the token of their session."""
    node = made.home.node
    _, token = await node.staffing.invite(login, "周复核", ["registrar"])
    done = await node.staffing.set_up(token, login=login, name="周复核", password=STAFF_PASSWORD)
    return (await node.signing_in.begin(done.person, "sign_in")).token


@in_browser
@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_a_registrar_who_is_not_sure_has_a_colleague_decide(chromium, made, visitor_of, size, scripts):  # noqa: F811  # the fixture
    learner, token = await newcomer(made, f"sec{size[0]}{scripts}")
    theirs = visitor_of()
    theirs.cookies = {"lln-session": token}
    await said(theirs)
    why = f"名单上没有，请核实 {size[0]}{scripts}"
    async with window(chromium, made, size, scripts=scripts, role="registrar") as page:
        await page.goto(f"{made.address}/desk/finished")
        await page.locator(".hit", has_text=learner).get_by_role("link").click()
        await page.get_by_text("自己拿不准？提请复核").click()
        await page.get_by_label("为什么提请复核").fill(why)
        await page.get_by_role("button", name="提请复核").click()
        assert "请另一位登记员来决定" in await page.locator(".note.good").inner_text()
        await page.locator(".hit", has_text=learner).get_by_role("link").click()
        assert "须由另一位登记员决定" in await page.locator("main").inner_text()
        assert await page.get_by_role("button", name="看看会登记什么").count() == 0
    async with window(chromium, made, size, scripts=scripts) as page:
        session = await colleague(made, f"zhou{size[0]}{scripts}".lower())
        await page.context.add_cookies([{"name": "lln-session", "value": session, "url": made.address}])
        await page.goto(f"{made.address}/desk")
        assert why in await page.locator(".hit", has_text=learner).inner_text()
        await page.locator(".hit", has_text=learner).get_by_role("link").click()
        assert why in await page.locator(".note.warning").first.inner_text()
        await page.get_by_label("原因（学习者会看到）").fill("名单核实过，没有您")
        await page.get_by_role("button", name="不登记，告诉学习者原因").click()
        assert "已告诉学习者" in await page.locator(".note.good").first.inner_text()
    for page in ("/my/finished", "/my/finished.json", "/my/finished.csv"):
        assert why not in (await theirs.get(page)).text


async def test_what_was_passed_on_is_not_decided_by_the_same_person_however_they_ask(made, visitor_of):
    learner, token = await newcomer(made, "sec-direct")
    theirs, registrar = visitor_of(), visitor_of("registrar")
    theirs.cookies = {"lln-session": token}
    await said(theirs)
    [told] = json.loads((await theirs.get("/my/finished.json")).body)
    path = f"/desk/finished/{told['id']}"
    bare = await registrar.post(path, {"decision": "pass_on", "why": " "})
    assert (bare.status, "为什么提请复核" in bare.text) == (422, True)
    assert (await registrar.post(path, {"decision": "pass_on", "why": "请老周看看"})).status == 303
    issue = {"decision": "issue", "achievement": "care", "achieved_on": "2026-06-30"}
    for form in (issue, {"decision": "decline", "reason": "不"}, {"decision": "pass_on", "why": "再看"}):
        again = await registrar.post(path, form, page="/desk/issue")
        assert (again.status, "须由另一位登记员决定" in again.text) == (422, True), form
    assert (await made.home.ask("credit.list", learner=learner)).records == ()
    assert "请老周看看" not in str((await made.home.ask("learner.export", learner=learner)).archive)


async def test_a_case_passed_on_is_marked_first_in_the_list_and_in_the_trail(made, visitor_of):
    registrar, auditor = visitor_of("registrar"), visitor_of("auditor")
    case = await ask_for_review(made, 40)
    path = f"/desk/cases/{case}"
    done = await registrar.post(path, {"decision": "pass_on", "why": "证书编号对不上"})
    assert done.location == "/desk?done=passed_on"
    listed = [one for one in (await registrar.get("/desk")).text.split('<li class="hit">') if "/desk/cases/" in one]
    assert case in listed[0]
    assert "证书编号对不上" in listed[0]
    page = (await registrar.get(path)).text
    assert "须由另一位登记员决定" in page
    assert 'value="approve"' not in page
    refused = await registrar.post(path, {"decision": "approve"}, page="/desk/issue")
    assert (refused.status, "须由另一位登记员决定" in refused.text) == (422, True)
    assert "提请复核" in (await auditor.get("/audit")).text
