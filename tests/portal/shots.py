"""`python3 run.py shots [DIR]`: a picture of every page, on a phone and on a desk, in both languages and in large type.

What lives here: which pages, how wide. What must not: expectations (`test_journeys.py`).
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count as numbers
from pathlib import Path

from playwright.async_api import FilePayload, Page, async_playwright

from node.portal.site import PAGES
from tests.portal.browsing import CHROMIUM, browser, sign_in_as
from tests.support.portal_world import RECEIVER, SHEET, STAFF_PASSWORD, World, world

NUMBERS = numbers(1)
OFFERS = FilePayload(
    name="sheet.csv",
    mimeType="text/csv",
    buffer="编号,名称,类型,板块\nnew,剪纸,课程,兴趣爱好\ntea,茶艺入门,课程,兴趣爱好\nbad,,课程,兴趣爱好\n".encode(),
)
SIZES = {"phone": (390, 844), "narrow": (320, 640), "desk": (1280, 900)}
QUERIES = {"/search": "?q=入门", "/people": "", "/my/convert/choose": "?to=haining.lln.internal"}


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "shots").resolve()
    if CHROMIUM is None:
        sys.stderr.write("没有找到 Chromium（Debian: apt install chromium fonts-noto-cjk）。No Chromium was found.\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="lln-shots-"))
    try:
        count = asyncio.run(shoot(folder, place))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    sys.stdout.write(f"{count} → {folder}\n")
    return 0


async def shoot(folder: Path, place: Path) -> int:
    count = 0
    async with world(place) as made, async_playwright() as playwright, browser(playwright) as chromium:
        for size, (width, height) in SIZES.items():
            for ui, display in (("zh", "standard"), ("en", "standard"), ("zh", "large")):
                if size == "narrow" and ui == "en":
                    continue
                context = await chromium.new_context(viewport={"width": width, "height": height}, locale="zh-CN")
                page = await context.new_page()
                await page.goto(f"{made.address}/?ui={ui}&display={display}")
                before = f"{size}-{ui}-{display}"
                for name, path, role in addresses(made):
                    await sign_in_as(context, made, role)
                    await page.goto(made.address + path)
                    await page.screenshot(path=folder / f"{before}-{name}.png", full_page=True)
                    count += 1
                async for name in steps(page, made, lambda role, here=context: sign_in_as(here, made, role)):
                    await page.screenshot(path=folder / f"{before}-step-{name}.png", full_page=True)
                    count += 1
                await context.close()
    return count


async def steps(page: Page, made: World, sign_in: Callable[[str], Awaitable[None]]) -> AsyncIterator[str]:
    """Pages that come of sending a form: a preview, a proof and its check, a set-up, a plan, a mistake."""
    await sign_in("learner")
    await page.goto(f"{made.address}/my/convert/choose?to={RECEIVER}")
    await page.locator("[name=record]").last.check()
    await send(page)
    yield "convert-agree"
    await page.locator("[name=agree]").check()
    await send(page)
    yield "convert-preview"
    await page.goto(f"{made.address}/my/proof")
    await page.locator("[name=record]").first.check()
    await page.locator("[name=record]").last.check()
    await send(page)
    yield "proof-agree"
    await page.locator("[name=agree]").check()
    await send(page)
    yield "proof"
    code = await page.locator(".proof-code").inner_text()
    await sign_in("")
    await page.goto(f"{made.address}/verify")
    await page.locator("[name=text]").fill(code)
    await page.locator("#by-text button").click()
    yield "verdict"
    await page.goto(f"{made.address}/verify")
    await page.locator("[name=text]").fill("AAAA-BBBB-CCCC-DDDD")
    await page.locator("#by-text button").click()
    yield "verdict-unknown"
    await page.goto(f"{made.address}/verify")
    await page.locator("[name=text]").fill(f"https://elsewhere.example/verify?code={code}")
    await page.locator("#by-text button").click()
    yield "verdict-elsewhere"
    await page.goto(f"{made.address}/sign-in")
    await page.locator("[name=login]").fill("nobody")
    await page.locator("[name=password]").fill("nothing")
    await send(page)
    yield "sign-in-refused"
    _, token = await made.home.node.staffing.invite(f"new{next(NUMBERS)}", "王新来", ("registrar", "reviewer"))
    await page.goto(f"{made.address}/setup/{token}")
    yield "set-up"
    for name in ("password", "repeated"):
        await page.locator(f"[name={name}]").fill(STAFF_PASSWORD)
    await send(page)
    yield "codes"
    await sign_in("operator")
    await page.goto(f"{made.address}/account/code")
    await page.locator("[name=password]").fill(STAFF_PASSWORD)
    await send(page)
    yield "second-factor"
    await sign_in("registrar")
    await page.goto(f"{made.address}/desk/issue")
    await page.locator("[name=learner]").fill("2026001")
    await send(page)
    yield "issue-plan"
    await page.goto(f"{made.address}/desk/issue/sheet")
    await page.locator("[name=file]").set_input_files({"name": "五月.csv", "mimeType": "", "buffer": SHEET.encode()})
    await send(page)
    yield "credit-sheet-plan"
    await sign_in("contributor")
    await page.goto(f"{made.address}/contribute/sheet")
    await page.locator("[name=file]").set_input_files(OFFERS)
    await send(page)
    yield "sheet-plan"
    await sign_in("learner")
    await page.goto(f"{made.address}/my/data")
    await page.locator("form[action='/my/data/erase'] button").click()
    yield "erase"


async def send(page: Page) -> None:
    await page.locator("main form[method=post] button").last.click()


def addresses(made: World) -> list[tuple[str, str, str]]:
    """(name, path, role) of every page that can be looked at."""
    found = [("not-found", "/nowhere", ""), ("error", "/desk?x=1", "learner")]
    skipped = (
        "/static/",
        "/metrics",
        "/healthz",
        "/readyz",
        "/setup/",
        "/.well-known",
        "/sign-in/institution",
        "/file/",
    )
    for page in PAGES:
        if page.methods != ("GET",) or page.path.startswith(skipped) or page.path.endswith((".json", ".csv", ".xlsx")):
            continue
        role = page.roles[0] if page.roles else ("learner" if page.roles == () else "")
        name = page.path.strip("/").replace("/", "-").replace("{", "").replace("}", "").replace(":", "") or "home"
        found.append((name, made.path_of(page.path) + QUERIES.get(page.path, ""), role))
    return found


if __name__ == "__main__":
    sys.exit(main())
