"""A file with an offer: from the form through review to whoever may have it."""

import asyncio
import hashlib
import re
import socket

import msgspec
import pytest

from config.settings import Portal, public_address
from federation.catalogue import CRITERIA, ShareScope
from node.portal.visits import SESSION
from tests.portal.browsing import CHROMIUM
from tests.portal.test_journeys import WAYS, WIDE, chromium, window  # noqa: F401  # a fixture
from tests.support.live_nodes import ROOT, Network
from tests.support.offering import a_pdf, offer, offered
from tests.support.portal_world import A_PDF, FILE_FORM, HOME, approve, person
from tests.support.web_client import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent from this machine: apt install chromium")


@in_browser
@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_a_learner_offers_a_pdf_that_a_visitor_finds_and_saves(chromium, made, size, scripts):  # noqa: F811
    title = f"剪纸图谱 {size[0]} {'有' if scripts else '无'}"
    content = a_pdf(title)
    async with window(chromium, made, size, scripts=scripts, role="learner") as page:
        await page.goto(f"{made.address}/contribute/new")
        await page.get_by_label("名称").fill(title)
        await page.get_by_label("简介").fill("五十种窗花的样子。")
        file = {"name": "窗花 样子.pdf", "mimeType": "application/pdf", "buffer": content}
        await page.get_by_label("或者选择一个文件").set_input_files(file)
        assert not await page.evaluate(WIDE)
        assert "其他单位的人暂时打不开" in await page.locator("main").inner_text()
        await page.get_by_role("button", name="提交审核").click()
        assert "已提交，等待审核" in await page.locator(".note.good").inner_text()
        assert "窗花 样子.pdf · PDF · " in await page.locator("main").inner_text()
    async with window(chromium, made, size, scripts=scripts, role="reviewer") as page:
        await page.goto(f"{made.address}/review")
        await page.get_by_role("link", name=title).click()
        async with page.expect_download() as coming:
            await page.get_by_role("link", name="窗花 样子.pdf").click()
        saved = await coming.value
        assert saved.suggested_filename == "窗花 样子.pdf"
        for one in CRITERIA:
            await page.locator(f"[name='criterion.{one}'][value=yes]").check()
        await page.get_by_role("button", name="通过并入库").click()
        assert "已通过并入库" in await page.locator(".note.good").first.inner_text()
    async with window(chromium, made, size, scripts=scripts) as page:
        link = page.get_by_role("link", name=title)
        for _ in range(100):
            await page.goto(f"{made.address}/search?q={title}")
            if await link.count():
                break
            await asyncio.sleep(0.1)
        await link.first.click()
        assert "文件 · PDF · " in await page.locator("main").inner_text()
        async with page.expect_download() as coming:
            await page.get_by_role("link", name="下载文件").click()
        saved = await coming.value
        with open(await saved.path(), "rb") as file:  # noqa: ASYNC230, PTH123  # what the browser saved
            assert file.read() == content


async def test_a_published_file_goes_out_to_be_saved_and_runs_nowhere(made, visitor_of):
    answer = await visitor_of().get(made.file)
    assert (answer.status, answer.body) == (200, A_PDF)
    said = answer.headers
    assert said["content-type"] == "application/pdf"
    assert said["content-length"] == str(len(A_PDF))
    assert said["content-disposition"] == "attachment; filename=\"__.pdf\"; filename*=UTF-8''%E8%B0%B1%E4%BE%8B.pdf"
    assert said["content-security-policy"] == "sandbox; default-src 'none'"
    assert said["x-content-type-options"] == "nosniff"
    part = await visitor_of().get(made.file, range="bytes=5-7")
    assert (part.status, part.body) == (206, A_PDF[5:8])
    assert (await visitor_of().get(made.file, range=f"bytes={len(A_PDF)}-")).status == 416


async def test_the_resources_page_tells_of_its_file_to_people_and_to_programs(made, visitor_of):
    page = (await visitor_of().get(f"/resource/{HOME}/{made.file.rpartition('/')[2]}")).text
    assert f'href="{made.file}"' in page
    assert '"encodingFormat":"application/pdf"' in page
    assert f'"contentSize":"{len(A_PDF)} B"' in page


async def test_before_it_is_published_its_author_and_reviewers_alone_open_it(made, visitor_of, other_learner):
    resource_id, path = await offered(visitor_of("learner"), "只给审核看", a_pdf("secret"))
    for role, status in (
        ("learner", 200),
        ("reviewer", 200),
        ("", 404),
        ("contributor", 404),
        ("registrar", 404),
        ("operator", 404),
    ):
        answer = await visitor_of(role).get(path)
        assert answer.status == status, role
        if status == 200:
            assert answer.headers["cache-control"] == "no-store"
    assert (await other_learner.get(path)).status == 404
    await approve(made, resource_id)
    assert (await other_learner.get(path)).status == 200
    assert (await visitor_of().get(path)).status == 200


async def test_after_withdrawal_it_is_gone_and_the_sweep_takes_it_off_the_disk(made, visitor_of):
    resource_id, path = await offered(visitor_of("learner"), "要撤下的", a_pdf("withdrawn"))
    await approve(made, resource_id)
    assert (await visitor_of().get(path)).status == 200
    await made.home.ask("resource.withdraw", id=resource_id, reason="版权", case_id="C-9")
    for role in ("", "learner", "reviewer"):
        assert (await visitor_of(role).get(path)).status == 404
    place, filing = made.home.node.home.files / path.split("/")[2], made.home.node.filing
    await filing.sweep()
    assert place.exists(), "it is in somebody's hand still"
    await filing.let_go(made.people["learner"].person)
    assert not place.exists()
    kept = made.home.node.home.files / made.file.split("/")[2]
    assert kept.exists()
    again = await visitor_of("learner").post(f"/contribute/correct/{resource_id}", {**FILE_FORM, "title": "重新提供"})
    assert again.status == 303, again.text
    assert (await made.home.ask("resource.show", id=resource_id)).resource.sha256 is None


async def test_a_replaced_file_is_there_until_the_new_one_is_approved(made, visitor_of):
    learner, reviewer = visitor_of("learner"), visitor_of("reviewer")
    resource_id, old = await offered(learner, "要换的讲义", a_pdf("old"), "旧.pdf")
    await approve(made, resource_id)
    form = {**FILE_FORM, "title": "要换的讲义"}
    answer = await learner.upload(f"/contribute/correct/{resource_id}", a_pdf("new"), "新.pdf", form)
    assert answer.status == 303, answer.text
    new = f"/file/{hashlib.sha256(a_pdf('new')).hexdigest()}/{resource_id}"
    page = (await reviewer.get(f"/review/of/{resource_id}")).text
    assert re.search(r"旧\.pdf</a><br>PDF", page)
    assert re.search(r"新\.pdf</a><br>PDF", page)
    assert [(await visitor_of().get(one)).status for one in (old, new)] == [200, 404]
    assert [(await reviewer.get(one)).status for one in (old, new)] == [200, 200]
    await approve(made, resource_id)
    assert [(await visitor_of().get(one)).status for one in (old, new)] == [404, 200]
    kept = await learner.post(f"/contribute/correct/{resource_id}", {**form, "hours": "3"})
    assert kept.status == 303
    assert (await made.home.ask("resource.show", id=resource_id)).resource.sha256 == new.split("/")[2]
    linked = await learner.post(f"/contribute/correct/{resource_id}", {**form, "location": "https://x.example.org/"})
    assert linked.status == 303
    assert (await made.home.ask("resource.show", id=resource_id)).resource.sha256 is None


async def test_the_same_content_twice_is_one_file_and_two_resources(made, visitor_of):
    content = a_pdf("twice")
    mine, path = await offered(visitor_of("learner"), "同一份", content)
    theirs, _ = await offered(visitor_of("contributor"), "同一份", content)
    assert mine != theirs
    again = await offer(visitor_of("learner"), "同一份", content)
    assert (again.status, "没有需要重新审核的改动" in again.text) == (422, True)
    assert (made.home.node.home.files / path.split("/")[2]).read_bytes() == content
    await made.home.ask("resource.review", ids=[theirs], reviewer="李老师", approve=False, remark="不要")


async def test_what_has_arrived_need_not_be_chosen_again(visitor_of, other_learner):
    learner = visitor_of("learner")
    content = a_pdf("in hand")
    answer = await offer(learner, "", content, "已收到.pdf")
    assert (answer.status, "“已收到.pdf”已收到" in answer.text) == (422, True)
    held = re.search(r'name="held" value="([^"]+)"', answer.text)[1]
    stolen = await other_learner.post("/contribute/new", {**FILE_FORM, "title": "偷来的", "held": held})
    assert (stolen.status, "已经不在了" in stolen.text) == (422, True)
    done = await learner.post("/contribute/new", {**FILE_FORM, "title": "补上名称", "held": held})
    assert done.status == 303, done.text
    both = await offer(learner, "又有链接", a_pdf("both"), location="https://x.example.org/")
    assert "只能提供一种" in both.text
    held = re.search(r'name="held" value="([^"]+)"', both.text)[1]
    form = {**FILE_FORM, "title": "又有链接", "location": "https://x.example.org/", "held": held}
    linked = await learner.post("/contribute/new", {**form, "without_file": "yes"})
    assert linked.status == 303, linked.text


async def test_the_catalogue_links_to_the_file_where_the_pages_have_a_public_address(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    network = Network(tmp_path, Portal(listen=f"127.0.0.1:{port}", address="http://kecheng.example.org"))
    try:
        await network.found()
        root = network[ROOT]
        began = await person(root, "contributor")
        visitor = Visitor(f"http://127.0.0.1:{port}", {SESSION: began.token})
        assert "没有设置公开地址" not in (await visitor.get("/contribute/new")).text
        resource_id, path = await offered(visitor, "有地址的", a_pdf("address"))
        assert (
            await root.ask("resource.show", id=resource_id)
        ).resource.location == f"http://kecheng.example.org{path}"
    finally:
        await network.stop_all()


@pytest.mark.parametrize("address", [None, "http://localhost:7480", "http://127.0.0.1:7480", "http://[::1]:7480"])
async def test_an_address_of_this_machine_alone_is_no_address_for_others(address):
    assert public_address(Portal(address=address)) == ""


async def test_a_file_of_what_is_shared_with_this_node_alone_is_for_its_own_people(made, visitor_of):
    resource_id, path = await offered(visitor_of("learner"), "本单位用", a_pdf("own people"))
    row = (await made.home.ask("resource.show", id=resource_id)).resource
    near = msgspec.structs.replace(row, share_scope=ShareScope(reach="node"))
    author = made.people["learner"].person.known_as
    await made.home.ask(
        "resource.import", rows=[{"row": 1, "resource": msgspec.to_builtins(near)}], author=author, apply=True
    )
    await approve(made, resource_id)
    assert [(await visitor_of(role).get(path)).status for role in ("", "registrar")] == [404, 200]
