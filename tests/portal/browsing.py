"""A real browser for the pages: the system's own Chromium, and how somebody is signed in to it.

What must not live here: expectations.
"""

import shutil
from contextlib import asynccontextmanager

from node.portal.visits import SESSION

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@asynccontextmanager
async def browser(playwright, *switches):
    chromium = await playwright.chromium.launch(
        executable_path=CHROMIUM, headless=True, args=["--no-sandbox", "--disable-dev-shm-usage", *switches]
    )
    try:
        yield chromium
    finally:
        await chromium.close()


async def sign_in_as(context, made, role):
    """Whoever has the role at the world's home; nobody for ""."""
    await context.clear_cookies(name=SESSION)
    if role:
        cookie = {"name": SESSION, "value": made.people[role].token, "url": made.address, "httpOnly": True}
        await context.add_cookies([cookie])
