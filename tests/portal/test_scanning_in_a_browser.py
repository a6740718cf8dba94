"""Checking a proof with a telephone: a photograph without a script, and the camera in the page with one.

Needs the system's Chromium; where there is none, these tests say so and are skipped.
"""

from contextlib import asynccontextmanager
from itertools import count

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect

from tests.portal.browsing import CHROMIUM, browser
from tests.support.pictures import photograph, screenshot

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent from this machine: apt install chromium"),
]
PHONE, DESK = (390, 844), (1280, 900)
VISITORS = count(1)
WAYS = [
    pytest.param(size, scripts, id=f"{name}, {'with' if scripts else 'without'} JavaScript")
    for name, size in (("phone", PHONE), ("desk", DESK))
    for scripts in (True, False)
]
DETECTOR = """
window.BarcodeDetector = class {
  static async getSupportedFormats() { return %s; }
  async detect(video) {
    window.looked = (window.looked ?? 0) + 1;
    window.live = video.srcObject;
    return window.looked < 3 ? [] : window.shown ? [{ rawValue: window.shown }] : [];
  }
};
"""
TRACKS = "() => (window.live?.getTracks() ?? []).map((track) => track.readyState)"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium():
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    async with async_playwright() as playwright, browser(playwright, *camera) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def code(made):
    asked = {"learner": made.learner, "records": [made.record], "days": 30, "confirmed": True}
    return (await made.home.ask("credit.prove", **asked)).where


@asynccontextmanager
async def checking(chromium, made, size=PHONE, *, scripts=True, detector="", ui="zh"):
    context = await chromium.new_context(
        viewport={"width": size[0], "height": size[1]},
        java_script_enabled=scripts,
        locale="zh-CN",
        extra_http_headers={"X-Forwarded-For": f"10.0.0.{next(VISITORS)}"},  # each with a budget of their own
    )
    page = await context.new_page()
    trouble = []
    page.on("console", lambda told: trouble.append(told.text) if told.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    try:
        if detector:
            await page.add_init_script(detector)
        await page.goto(f"{made.address}/verify?ui={ui}")
        yield page
        assert [one for one in trouble if "status of 4" not in one] == []
    finally:
        await context.close()


def picture(content, name="IMG_2041.jpg", kind="image/jpeg"):
    return {"name": name, "mimeType": kind, "buffer": content}


@pytest.mark.parametrize("ui", ["zh", "en"])
@pytest.mark.parametrize("way", [one.values for one in WAYS], ids=[one.id for one in WAYS])
async def test_an_employer_photographs_the_code_on_the_paper(chromium, made, code, way, ui):
    label, button, told = {
        "zh": ("给证明上的二维码拍张照片", "核验这张照片", "面塑入门"),
        "en": ("Take a picture of the QR code on the proof", "Check this picture", "Dough figurines"),
    }[ui]
    async with checking(chromium, made, way[0], scripts=way[1], ui=ui) as page:
        asks = page.get_by_label(label)
        assert await asks.get_attribute("capture") == "environment"
        await asks.set_input_files(picture(photograph("https://example.org/menu")))
        await page.get_by_role("button", name=button).click()
        await expect(page.locator(".note.bad, .note.warning, [role=alert]").first).to_be_visible()
        assert await page.get_by_role("link", name="example.org").count() == 0
        await page.get_by_label(label).set_input_files(picture(photograph(code)))
        await page.get_by_role("button", name=button).click()
        await expect(page.locator(".note.good")).to_have_count(1)
        assert told in await page.locator("main").inner_text()
        assert code in await page.locator("main").inner_text()


@pytest.mark.parametrize(("size", "scripts"), WAYS)
async def test_a_code_that_leads_elsewhere_is_checked_here_by_a_press_of_a_button(chromium, made, code, size, scripts):
    async with checking(chromium, made, size, scripts=scripts) as page:
        shown = screenshot(f"https://xuexi.example.org/verify?code={code}")
        await page.get_by_label("证书文件，或二维码的截图").set_input_files(picture(shown, "截图.png", "image/png"))
        await page.get_by_role("button", name="核验这个文件").click()
        assert "xuexi.example.org" in await page.locator("main").inner_text()
        await page.get_by_role("button", name="在本站核验这个码").click()
        await expect(page.locator(".note.good")).to_have_count(1)


@pytest.mark.parametrize("size", [PHONE, DESK])
async def test_the_camera_in_the_page_finds_the_code_and_is_let_go(chromium, made, code, size):
    detector = DETECTOR % '["qr_code"]' + f"window.shown = {code!r};"
    async with checking(chromium, made, size, detector=detector) as page:
        said = page.locator("[data-scan-said]")
        assert await said.get_attribute("role") == "status"
        await page.get_by_role("button", name="打开摄像头扫一扫").click()
        await expect(page.locator(".note.good")).to_have_count(1)
        assert "面塑入门" in await page.locator("main").inner_text()


async def test_the_keyboard_opens_and_closes_the_camera_and_it_is_let_go(chromium, made):
    async with checking(chromium, made, detector=DETECTOR % '["qr_code"]') as page:
        said, video = page.locator("[data-scan-said]"), page.locator("video")
        start, stop = (page.get_by_role("button", name=name) for name in ("打开摄像头扫一扫", "关闭摄像头"))
        await start.focus()
        for close in ("Enter", "Escape"):
            await page.keyboard.press("Enter")
            await expect(said).to_contain_text("对准画面中间")
            await expect(video).to_be_visible()
            await expect(stop).to_be_focused()
            await page.wait_for_function("window.looked >= 1")
            assert await page.evaluate(TRACKS) == ["live"]
            await page.keyboard.press(close)
            await expect(said).to_contain_text("摄像头已关闭")
            await expect(video).to_be_hidden()
            await expect(start).to_be_focused()
            assert await page.evaluate(TRACKS) == ["ended"]


@pytest.mark.parametrize("detector", ["", DETECTOR % '["ean_13"]'], ids=["none", "none for QR codes"])
async def test_where_the_browser_reads_no_codes_there_is_no_button(chromium, made, detector):
    async with checking(chromium, made, detector=detector or "delete window.BarcodeDetector;") as page:
        await page.wait_for_load_state("networkidle")
        await expect(page.get_by_role("button", name="打开摄像头扫一扫")).to_have_count(0)
        await expect(page.get_by_label("给证明上的二维码拍张照片")).to_be_visible()


async def test_a_camera_that_is_refused_is_told_with_what_to_do(chromium, made):
    refusing = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };"
    async with checking(chromium, made, detector=DETECTOR % '["qr_code"]' + refusing) as page:
        await page.get_by_role("button", name="打开摄像头扫一扫").click()
        await expect(page.locator("[data-scan-said]")).to_contain_text("请用下面的拍照上传")
        await expect(page.get_by_role("button", name="打开摄像头扫一扫")).to_be_focused()
