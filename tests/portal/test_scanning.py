"""Checking a proof by a picture of its code: what is found, what is refused, and what it must never cost the node."""

import asyncio
import json
import re
import subprocess
import sys
from itertools import count

import pytest
import pytest_asyncio
from PIL import Image

from federation import short_codes
from tests.style.tree import ROOT as REPOSITORY
from tests.support.pictures import bomb, code_of, photograph, saved, screenshot
from tests.support.portal_world import HOME
from tests.support.web_client import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
_addresses = count(1)
NOBODYS = f"{short_codes.grouped(short_codes.new(b'nobodys!!'))}@{HOME}"
OTHERS = f"{short_codes.grouped(short_codes.new(b'otherone!'))}@{HOME}"


@pytest_asyncio.fixture(loop_scope="session")
async def code(made):
    asked = {"learner": made.learner, "records": [made.record], "days": 30, "confirmed": True}
    return (await made.home.ask("credit.prove", **asked)).where


@pytest.fixture
def stranger(made):
    """Somebody at an address of their own, so that one test does not spend another's budget."""
    return Visitor(made.address, headers={"x_forwarded_for": f"203.0.113.{next(_addresses)}"})


async def sent(visitor, content, name="photo.jpg", field="photo"):
    return await visitor.upload("/verify", content, name, field=field)


@pytest.mark.parametrize("field", ["photo", "file"])
async def test_a_photograph_of_a_proofs_code_is_checked_like_the_code(code, stranger, field):
    answer = await sent(stranger, photograph(code), field=field)
    assert (answer.status, "面塑入门" in answer.text, code in answer.text) == (200, True, True)
    typed = await stranger.post("/verify", {"text": code})
    assert "面塑入门" in typed.text


async def test_the_code_that_a_learner_prints_is_the_one_that_is_read(made, visitor_of, stranger):
    fields = {"record": made.record, "agree": "yes", "days": "30"}
    page = (await visitor_of("learner").post("/my/proof", fields)).text
    where = re.search(r'<img class="qr"[^>]* alt="([^"]+)"', page)[1]
    assert "面塑入门" in (await sent(stranger, screenshot(where))).text


async def test_our_own_address_in_a_code_is_checked_here(made, code, stranger):
    answer = await sent(stranger, screenshot(f"{made.address}/verify?code={code}"), field="file")
    assert (answer.status, "面塑入门" in answer.text) == (200, True)


async def test_an_address_elsewhere_is_shown_and_neither_opened_nor_linked(code, stranger):
    elsewhere = f"https://evil.example/verify?code={code}"
    for answer in (await sent(stranger, screenshot(elsewhere)), await stranger.post("/verify", {"text": elsewhere})):
        assert (answer.status, "evil.example" in answer.text, code in answer.text) == (200, True, True)
        assert 'href="https://evil' not in answer.text
        assert "面塑入门" not in answer.text
    checked = await stranger.post("/verify", {"text": code})
    assert "面塑入门" in checked.text


async def test_a_document_in_a_code_is_checked_as_a_pasted_one_is(stranger):
    """A whole credential of ours is larger than a code holds; others make smaller ones."""
    document = json.dumps({"@context": ["https://www.w3.org/ns/credentials/v2"], "type": ["VerifiableCredential"]})
    scanned = await sent(stranger, saved(code_of(document, 900), "PNG"))
    pasted = await stranger.post("/verify", {"text": document})
    outcome = re.findall(r"<strong>(.+?)</strong>", scanned.text)
    assert (scanned.status, outcome) == (200, re.findall(r"<strong>(.+?)</strong>", pasted.text))
    assert outcome != []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (saved(Image.effect_noise((800, 600), 50)), "没有找到二维码"),
        (screenshot("https://evil.example/<script>alert(1)</script>"), "不是学习成果证明"),
        (screenshot("javascript:alert(1)"), "javascript:alert(1)"),
        (screenshot(NOBODYS), "LLN-1212"),
        (screenshot(NOBODYS, OTHERS), "分不清要核验哪一个"),
        (photograph(NOBODYS)[:50_000], "LLN-1148"),
        (bomb(60_000, 60_000), "LLN-1149"),
        (SVG, "LLN-1148"),
        (b"<html><script>alert(1)</script></html>", "LLN-1148"),
    ],
    ids=range(9),
)
async def test_what_is_no_proof_is_told_in_words(stranger, content, told):
    answer = await sent(stranger, content)
    assert (answer.status, told in answer.text) == (422, True)
    assert "<script>alert" not in answer.text
    assert not re.search(r'(href|src)="(https://evil|javascript:)', answer.text)


async def test_nothing_chosen_and_a_file_of_neither_kind(stranger):
    assert "还没有可以核验的内容" in (await sent(stranger, b"", name="")).text
    assert "也不是 JPEG" in (await sent(stranger, b"\x00\x01\xff" * 90, "x.heic", field="file")).text
    assert "超过 2 MB" in (await sent(stranger, b"x" * 3_000_000, "x.json", field="file")).text


async def test_pictures_may_be_larger_than_other_forms_and_not_without_end(made, code, stranger):
    large = photograph(code)
    answer = await sent(stranger, large + b"\0" * (7_900_000 - len(large)))
    assert (answer.status, "面塑入门" in answer.text) == (200, True)
    assert (await sent(stranger, large + b"\0" * (8_000_001 - len(large)))).status == 422
    assert (await sent(stranger, large + b"\0" * 9_000_000)).status == 413
    typed = await stranger.post("/verify", {"text": "x" * 3_000_000})
    assert typed.status == 413
    elsewhere = await stranger.upload("/help", b"x" * 3_000_000, "x", page="/verify")
    assert elsewhere.status == 413


async def test_the_budget_of_an_address_is_spent_before_any_picture_is_read(stranger):
    for _ in range(20):
        assert (await stranger.post("/verify", {"text": "AAAA-BBBB-CCCC-DDDD"})).status == 422
    answer = await sent(stranger, photograph(NOBODYS))
    assert (answer.status, "LLN-1663" in answer.text) == (503, True)


async def test_many_at_once_are_all_answered_and_the_node_goes_on(made):
    visitors = [Visitor(made.address, headers={"x_forwarded_for": f"198.51.100.{at}"}) for at in range(16)]
    content = photograph(NOBODYS)
    async with asyncio.TaskGroup() as together:
        tasks = [together.create_task(sent(one, content)) for one in visitors]
        assert (await Visitor(made.address).get("/healthz")).text == "ok\n"
    answers = [task.result() for task in tasks]
    told = [next(code for code in ("LLN-1212", "LLN-1670", "LLN-2210") if code in one.text) for one in answers]
    assert "LLN-1212" in told
    assert {one.status for one in answers} <= {422, 503}


async def test_the_camera_is_for_this_page_alone(stranger):
    for path, may in (("/verify", "camera=(self)"), ("/", "camera=()"), ("/help", "camera=()")):
        policy = (await stranger.get(path)).headers["permissions-policy"]
        assert policy.startswith(f"{may},"), path
    answer = await stranger.post("/verify", {"text": ""})
    assert answer.headers["permissions-policy"].startswith("camera=(self),")


ALONE = """
import asyncio, json, sys
from pathlib import Path
from config.settings import Portal
from tests.support.live_nodes import ROOT, Network
from tests.support.web_client import Visitor

async def main(folder, picture):
    network = Network(folder, Portal(listen="127.0.0.1:0"))
    await network.found()
    visitor = Visitor(network[ROOT].told.portal)
    answer = await visitor.upload("/verify", picture.read_bytes(), "x.jpg", field="photo")
    loaded = [name for name in sys.modules if name.partition(".")[0] in ("PIL", "zxingcpp")]
    print(json.dumps([answer.status, "LLN-1212" in answer.text, loaded]))
    await network.stop_all()

asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


async def test_a_node_that_has_read_a_picture_has_not_imported_what_reads_pictures(tmp_path):
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(photograph(f"{short_codes.grouped(short_codes.new(b'nobodys!!'))}"))
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", ALONE, str(tmp_path / "homes"), str(picture)],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [422, True, []]
