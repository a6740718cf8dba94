"""`python3 run.py shots [DIR]`: a picture of every page, on a phone and on a desk, in both languages and in large type.

What lives here: which pages, how wide. What must not: expectations (`test_journeys.py`).
"""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Page, async_playwright

from node.portal.site import PAGES
from tests.portal.browsing import CHROMIUM, browser, sign_in_as
from tests.support.portal_world import World, world

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
                for name, path, role in addresses(made):
                    await sign_in_as(context, made, role)
                    await picture(page, made.address + path, folder / f"{size}-{ui}-{display}-{name}.png")
                    count += 1
                await context.close()
    return count


async def picture(page: Page, address: str, file: Path) -> None:
    await page.goto(address)
    await page.screenshot(path=file, full_page=True)


def addresses(made: World) -> list[tuple[str, str, str]]:
    """(name, path, role) of every page that can be looked at."""
    found = [("not-found", "/nowhere", ""), ("error", "/desk?x=1", "learner")]
    skipped = ("/static/", "/metrics", "/healthz", "/readyz", "/setup/", "/desk/cases")
    for page in PAGES:
        if page.methods != ("GET",) or page.path.startswith(skipped) or page.path.endswith((".json", ".csv")):
            continue
        role = page.roles[0] if page.roles else ("learner" if page.roles == () else "")
        name = page.path.strip("/").replace("/", "-").replace("{", "").replace("}", "").replace(":", "") or "home"
        found.append((name, made.path_of(page.path) + QUERIES.get(page.path, ""), role))
    return found


if __name__ == "__main__":
    sys.exit(main())
