"""What must not get through with a file: other kinds, names that are paths, sizes, strangers."""

import asyncio
import http.client
import io
import re
from urllib.parse import urlsplit

import pytest

from node.intake.file_kinds import kind_of
from node.portal.visits import DEVICE, SESSION
from tests.support.offering import a_pdf, offer, offered, packed
from tests.support.portal_world import A_PDF, DEVICE_MARK, FILE_FORM, KEPT, approve
from tests.support.web_client import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")


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


async def test_documents_of_each_kind_are_taken_for_what_they_are():
    office = [("docx", "word/document.xml"), ("xlsx", "xl/workbook.xml"), ("pptx", "ppt/presentation.xml")]
    opened = [
        ("odt", b"application/vnd.oasis.opendocument.text"),
        ("odp", b"application/vnd.oasis.opendocument.presentation"),
        ("epub", b"application/epub+zip"),
    ]
    kinds = [(ending, packed(("[Content_Types].xml", b"x"), (part, b"y"))) for ending, part in office]
    kinds += [(ending, packed(("mimetype", told), ("content.xml", b"y"))) for ending, told in opened]
    kinds += [
        ("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 40),
        ("jpg", b"\xff\xd8\xff\xe0\0\x10JFIF" + b"\0" * 40),
        ("webp", b"RIFF\x24\0\0\0WEBPVP8 " + b"\0" * 40),
        ("mp3", b"\xff\xfb\x90\x64" + b"\0" * 400),
        ("mp4", b"\0\0\0\x18ftypisom" + b"\0" * 40),
        ("m4a", b"\0\0\0\x18ftypM4A " + b"\0" * 40),
        ("ogg", b"OggS\0\x02" + b"\0" * 40),
        ("txt", "第一讲 握笔".encode("gb18030")),
        ("csv", "名称,课时\n书法,8\n".encode()),
    ]
    for ending, content in kinds:
        assert kind_of(io.BytesIO(content), f"x.{ending}").endings[0] == ending


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


async def test_whoever_is_not_signed_in_leaves_nothing_on_the_disk(made, visitor_of):
    before = set(made.home.node.home.files.iterdir())
    visitor = visitor_of()
    answer = await visitor.upload("/contribute/new", a_pdf("nobody"), "a.pdf", FILE_FORM, page="/sign-in")
    assert answer.status == 401
    refused = await visitor_of("auditor").upload("/contribute/new", a_pdf("no"), "a.pdf", FILE_FORM, page="/account")
    assert refused.status == 403
    assert set(made.home.node.home.files.iterdir()) == before


async def test_the_texts_of_a_form_with_a_file_outlive_a_session(made, visitor_of):
    """The file has to be chosen anew; nothing else has to be typed again."""
    learner = made.people["learner"]
    page = (await Visitor(made.address, {SESSION: learner.token, DEVICE: learner.device}).get("/contribute/new")).text
    form = {**FILE_FORM, "title": "会话结束了", "form_device": DEVICE_MARK.search(page)[1]}
    late = Visitor(made.address, {DEVICE: learner.device})
    before = set(made.home.node.home.files.iterdir())
    answer = await late.upload("/contribute/new", a_pdf("late"), "a.pdf", form, page="/sign-in")
    kept = KEPT.search(answer.text)[1]
    assert set(made.home.node.home.files.iterdir()) == before
    again = await visitor_of("learner").get(f"/again/{kept}")
    assert "会话结束了" in again.text
