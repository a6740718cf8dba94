"""A file with an offer: from the form through review to whoever may have it, and what must not get through."""

import asyncio
import hashlib
import http.client
import io
import re
import zipfile
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from federation.catalogue import CRITERIA
from node.backups import back_up_home, restore_home
from node.checking import check_home
from node.host.kept_files import KeptFiles
from node.portal.visits import SESSION
from node.usecases.filing import FileLimits, FilesOfTheDay, Filing
from tests.portal.browsing import CHROMIUM
from tests.portal.test_journeys import WAYS, WIDE, chromium, window  # noqa: F401  # a fixture
from tests.support.live_nodes import until
from tests.support.portal_world import A_PDF, FILE_FORM, HOME, PASSWORD, approve
from tests.support.web_client import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent from this machine: apt install chromium")


def a_pdf(text):
    return A_PDF + b"% " + text.encode() + b"\n"


async def offer(visitor, title, content, name="讲义.pdf", **fields):
    return await visitor.upload("/contribute/new", content, name, {**FILE_FORM, "title": title, **fields})


async def offered(visitor, title, content, name="讲义.pdf", **fields):
    """(id of the resource, path of its file)."""
    answer = await offer(visitor, title, content, name, **fields)
    assert answer.status == 303, answer.text
    resource_id = answer.location.partition("/contribute/of/")[2].partition("?")[0]
    return resource_id, f"/file/{hashlib.sha256(content).hexdigest()}/{resource_id}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def other_learner(made):
    node = made.home.node
    there = await made.home.ask(
        "learner.register", written={"name": "旁人", "student_number": "F-7", "birth_date": "1960-01-01"}
    )
    _, token = await node.staffing.invite("bystander", "旁人", ("learner",), learner=there.id)
    set_up = await node.staffing.set_up(token, login="bystander", name="旁人", password=PASSWORD)
    began = await node.signing_in.begin(set_up.person, "sign_in")
    return Visitor(made.address, {SESSION: began.token})


# --- the way of a file -----------------------------------------------------------------------------------------------


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


async def test_a_digest_that_somebody_knows_opens_nothing(made, visitor_of, other_learner):
    content = a_pdf("known to two")
    theirs, path = await offered(visitor_of("learner"), "两人都有的文件", content)
    digest = path.split("/")[2]
    row = {"title": {"zh": "借用"}, "type": "courseware", "section": "silver_age", "id": "borrowed", "sha256": digest}
    planned = await made.home.ask("resource.import", rows=[{"row": 1, "resource": row}], author="旁人 (x)", apply=True)
    assert planned.rows[0].change == "add"
    await approve(made, "borrowed")
    for one in (path, f"/file/{digest}/borrowed", f"/file/{digest}/phone", f"/file/{'0' * 64}/{theirs}"):
        answer = await other_learner.get(one)
        assert (answer.status, "LLN-1245" in answer.text) == (404, True), one


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


# --- what must not get through ---------------------------------------------------------------------------------------


def packed(*parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts:
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"<!DOCTYPE html><script>alert(1)</script>", "讲义.pdf"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "图.png"),
        (b"<html><body>hello</body></html>", "文本.txt"),
        (b"notes\n" * 20_000 + b"<script>alert(1)</script>", "笔记.txt"),
        (b"#!/bin/sh\nrm -rf /\n", "笔记.txt"),
        (b"import os\n", "课件.py"),
        (b"MZ\x90\0" + b"\0" * 200, "课件.pdf"),
        (b"\x7fELF" + b"\0" * 200, "视频.mp4"),
        (A_PDF + packed(("a.class", b"x")), "两用.pdf"),
        (packed(("a.txt", b"x")), "课件.docx"),
        (
            packed(("[Content_Types].xml", b"x"), ("word/document.xml", b"x"), ("word/vbaProject.bin", b"x")),
            "带宏.docx",
        ),
        (b"a\0b", "文本.txt"),
    ],
)
async def test_what_is_not_one_of_the_kinds_is_refused_whatever_its_name(visitor_of, made, content, name):
    before = set(made.home.node.home.files.iterdir())
    answer = await offer(visitor_of("learner"), "不该收的", content, name)
    assert answer.status == 422
    assert "这种文件不收" in answer.text
    assert 'value="不该收的"' in answer.text
    assert set(made.home.node.home.files.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../../etc/passwd", "passwd.pdf"),
        ("..\\..\\windows\\win.ini", "win.pdf"),
        ("/abs/课.pdf", "课.pdf"),
        ("..", "file.pdf"),
        ("a\u202efdp.exe", "afdp.pdf"),
        ("一\u200b二\x07.PDF", "一二.pdf"),
        ("x" * 300 + ".pdf", "x" * 72 + ".pdf"),
        ("照片.jpg", "照片.pdf"),
        ("<b>粗</b>.pdf", "b_.pdf"),
    ],
)
async def test_a_name_touches_no_path_and_hides_nothing(made, visitor_of, name, shown):
    content = a_pdf(f"name {name!r}")
    resource_id, path = await offered(visitor_of("learner"), f"名字 {len(name)} {shown}", content, name)
    page = (await visitor_of("learner").get(f"/contribute/of/{resource_id}")).text
    assert f"{shown} · PDF" in page
    names = {one.name for one in made.home.node.home.files.iterdir()}
    assert path.split("/")[2] in names
    assert all(re.fullmatch(r"[0-9a-f]{64}", one) for one in names)


@pytest.mark.parametrize("path", ["/file/..%2f..%2fconfig.toml/x", "/file/../config.toml", "/file/%00/x", "/file/x/"])
async def test_no_address_leads_out_of_the_folder(visitor_of, path):
    assert (await visitor_of("reviewer").get(path)).status == 404


async def test_a_file_that_is_too_large_is_refused_in_words_and_nothing_typed_is_lost(made, visitor_of, monkeypatch):
    filing = made.home.node.filing
    monkeypatch.setattr(filing, "limits", type(filing.limits)(file_bytes=300_000, total_bytes=10**9, per_day=10))
    answer = await offer(visitor_of("learner"), "太大的", A_PDF + b"x" * 400_000)
    assert (answer.status, "文件太大" in answer.text, 'value="太大的"' in answer.text) == (422, True, True)
    chunked = await asyncio.to_thread(send_chunked, made, visitor_of("learner"), 400_000)
    assert chunked == 422
    assert not [one for one in made.home.node.home.files.iterdir() if one.name.startswith(".incoming")]


async def test_what_is_larger_than_anybody_could_mean_is_not_read(made, visitor_of):
    declared = await visitor_of("learner").post("/contribute/new", page="/contribute", content_length="999999999")
    assert declared.status == 413
    elsewhere = await visitor_of("learner").post("/verify", page="/verify", content_length="9999999")
    assert elsewhere.status == 413


def send_chunked(made, visitor, count):
    """A form without a declared length; the status."""
    token = re.search(r'name="form_token" value="([0-9a-f]+)"', visitor._ask("GET", "/contribute/new", None, {}).text)[
        1
    ]
    mark = "the-mark"
    head = f'--{mark}\r\nContent-Disposition: form-data; name="form_token"\r\n\r\n{token}\r\n--{mark}\r\n'
    head += 'Content-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-1.4'
    pieces = [head.encode(), *[b"x" * 10_000] * (count // 10_000), f"\r\n--{mark}--\r\n".encode()]
    place = urlsplit(made.address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    headers = {"content-type": f"multipart/form-data; boundary={mark}", "origin": made.address, "cookie": cookie}
    connection.request("POST", "/contribute/new", body=iter(pieces), headers=headers, encode_chunked=True)
    status = connection.getresponse().status
    connection.close()
    return status


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


async def test_whoever_is_not_signed_in_leaves_nothing_on_the_disk(made, visitor_of):
    before = set(made.home.node.home.files.iterdir())
    visitor = visitor_of()
    answer = await visitor.upload("/contribute/new", a_pdf("nobody"), "a.pdf", FILE_FORM, page="/sign-in")
    assert answer.status == 401
    refused = await visitor_of("auditor").upload("/contribute/new", a_pdf("no"), "a.pdf", FILE_FORM, page="/account")
    assert refused.status == 403
    assert set(made.home.node.home.files.iterdir()) == before


async def test_who_has_offered_a_file_stands_in_the_audit_trail(visitor_of):
    resource_id, _ = await offered(visitor_of("learner"), "留痕", a_pdf("trail"))
    trail = (await visitor_of("auditor").get("/audit.json")).text
    assert re.search(rf'"state":"offer_file","name":"[^"]*","about":"{resource_id} [0-9a-f]{{16}}"', trail), trail[
        :2_000
    ]


async def test_a_person_offers_so_many_files_a_day_and_no_more(made):
    node, person = made.home.node, made.people["contributor"].person
    few = filing_of(node, FileLimits(file_bytes=1_000_000, total_bytes=10**9, per_day=2))
    for at in range(2):
        await keep(few, person, a_pdf(f"day {at}"))
    with pytest.raises(FilesOfTheDay):
        await few.stage(person)
    other = await few.stage(made.people["learner"].person)
    await other.discard()
    await node.filing.sweep()


def filing_of(node, limits):
    return Filing(
        store=node.store, clock=node.clock, noting=node.noting, folder=KeptFiles(node.home.files), limits=limits
    )


async def keep(filing, person, content):
    staged = await filing.stage(person)
    await staged.write(content)
    return await filing.keep(person, staged, name="a.pdf", media_type="application/pdf")


class NearlyFull(KeptFiles):
    async def free_bytes(self):
        return 1_000


@pytest.mark.parametrize("why", ["no room on the disk", "no room within the limit"])
async def test_where_there_is_no_room_it_says_so_and_loses_nothing(made, visitor_of, monkeypatch, why):
    filing = made.home.node.filing
    if why == "no room on the disk":
        monkeypatch.setattr(filing, "_folder", NearlyFull(made.home.node.home.files))
    else:
        monkeypatch.setattr(filing, "limits", FileLimits(file_bytes=10**6, total_bytes=len(A_PDF), per_day=10))
    answer = await offer(visitor_of("learner"), "没有空间", a_pdf("no room"))
    assert (answer.status, "空间已满" in answer.text, 'value="没有空间"' in answer.text) == (422, True, True)
    assert (await visitor_of().get(made.file)).status == 200


async def test_a_stop_at_any_step_leaves_orphans_that_the_next_start_removes(made, visitor_of):
    """Between file and row, and between row and resource: nobody can open either, and the sweep takes both."""
    node, person = made.home.node, made.people["contributor"].person
    half = await node.filing.stage(person)
    await half.write(b"%PDF-half")
    without_row = await keep(node.filing, person, a_pdf("no row"))
    without_version = await keep(node.filing, person, a_pdf("no version"))
    await node.filing.tie(person, "nowhere", without_version)
    assert (await visitor_of("reviewer").get(f"/file/{without_version.digest}/nowhere")).status == 404

    after = filing_of(node, node.filing.limits)
    left = {half.path.name, without_row.digest, without_version.digest}
    assert left <= {one.name for one in node.home.files.iterdir()}
    running = asyncio.create_task(after.run())

    async def gone():
        return not left & {one.name for one in node.home.files.iterdir()}

    await until(gone, "the sweep")
    running.cancel()
    assert await after.of("nowhere", without_version.digest) is None
    assert (await visitor_of().get(made.file)).status == 200


async def test_whoever_leaves_takes_along_what_was_not_published(made, visitor_of):
    node = made.home.node
    there = await made.home.ask(
        "learner.register", written={"name": "走了", "student_number": "F-9", "birth_date": "1960-01-01"}
    )
    _, token = await node.staffing.invite("leaving", "走了", ("learner",), learner=there.id)
    set_up = await node.staffing.set_up(token, login="leaving", name="走了", password=PASSWORD)
    visitor = Visitor(made.address, {SESSION: (await node.signing_in.begin(set_up.person, "sign_in")).token})
    shown, shown_path = await offered(visitor, "留下的", a_pdf("stays"))
    await approve(made, shown)
    changed = await visitor.upload(
        f"/contribute/correct/{shown}", a_pdf("draft"), "b.pdf", {**FILE_FORM, "title": "改"}
    )
    assert changed.status == 303
    waiting, path = await offered(visitor, "带走的", a_pdf("goes"))
    exported = await made.home.ask("learner.export", learner=there.id)
    with zipfile.ZipFile(io.BytesIO(exported.archive)) as archive:
        assert path.split("/")[2].encode() in archive.read("offers.json")
    told = await visitor.post("/my/data/erase", page="/my/data")
    assert "未入库的资源和文件：2" in told.text
    gone = await visitor.post("/my/data/erase", {"word": "注销"}, page="/my/data")
    assert gone.location == "/goodbye", gone.text
    names = {one.name for one in node.home.files.iterdir()}
    drafts = {path.split("/")[2], hashlib.sha256(a_pdf("draft")).hexdigest()}
    assert not names & drafts
    listed = {row.id: row.state for row in (await made.home.ask("resource.list", limit=1_000)).rows}
    assert (waiting in listed, listed[shown]) == (False, "published")
    assert (await visitor_of().get(shown_path)).status == 200


async def test_a_backup_brings_files_back_and_a_check_names_those_that_are_missing(made, tmp_path):
    home, digest = made.home.node.home, made.file.split("/")[2]
    await made.home.node.filing.sweep()
    told = await back_up_home(home.path, tmp_path / "home.backup", "a phrase of many words")
    assert told.counts["files"] >= 1
    assert told.counts["files_missing"] == 0
    restored = tmp_path / "restored"
    await asyncio.to_thread(restore_home, restored, tmp_path / "home.backup", lambda: "a phrase of many words")
    assert (restored / "files" / digest).read_bytes() == A_PDF
    assert (restored / "files" / digest).stat().st_mode & 0o777 == 0o600
    assert await severities(restored) == ["good", "notice"]
    (restored / "files" / digest).unlink()
    assert await severities(restored) == ["fault", "notice"]


async def severities(home):
    found = []
    async for one in check_home(home):
        if one.step == "files":
            found.append(one.severity)
        if one.step == "certificate":
            break
    return found


async def test_a_damaged_or_missing_file_is_left_out_of_a_backup_and_counted(made, visitor_of, tmp_path):
    _, path = await offered(visitor_of("contributor"), "坏了的", a_pdf("damaged"))
    place = made.home.node.home.files / path.split("/")[2]
    place.write_bytes(b"something else")
    told = await back_up_home(made.home.node.home.path, tmp_path / "home.backup", None)
    assert told.counts["files_missing"] == 1
    place.unlink()
    lost = await visitor_of("reviewer").get(path)
    assert (lost.status, "LLN-1674" in lost.text) == (503, True)
    place.write_bytes(a_pdf("damaged"))
