"""Take a picture of each page in both languages, light and dark: ``python -m tests.console.screenshots``.

The pictures are written to docs/screenshots/. The console has its own backend with sample cases.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize

from activities.database.migrate import migrate
from tests.console.browser import NoBrowser
from tests.console.browser import browser as chromium
from tests.console.samples import fill
from tests.console.server import ConsoleServer, open_console
from tests.postgres import cluster
from tests.temporal import time_skipping

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
SIZE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
# Pages that are short enough for a picture of their full length.
WHOLE = ("now", "approvals", "forms", "form", "find", "numbers")


async def take(folder: Path) -> int:
    """Take all pictures, and return how many there are."""
    with cluster() as postgres, tempfile.TemporaryDirectory() as work:
        database = await postgres.fresh_database()
        await migrate(database)
        async with (
            time_skipping() as env,
            open_console(env, database, Path(work)) as console,
            chromium() as browser,
        ):
            ids = await fill(console)
            return await _all(console, browser, ids, folder)


async def _all(console: ConsoleServer, browser: Browser, ids: dict[str, str], folder: Path) -> int:
    pages = {
        "now": "/console/",
        "case": f"/console/case?id={ids['claim']}",
        "case-complaint": f"/console/case?id={ids['complaint']}",
        "action": f"/console/case?id={ids['claim']}&do=assess",
        "approvals": "/console/approvals",
        "forms": "/console/forms",
        "form": "/console/forms/new_business",
        "filing": "/console/forms/penalty_notice/file",
        "case-form": f"/console/case?id={ids['form']}",
        "find": "/console/find",
        "numbers": "/console/numbers",
        "policy": "/console/policy?with=cross_company",
    }
    count = 0
    for language in ("en", "zh"):
        for light in ("light", "dark"):
            context = await browser.new_context(
                viewport=SIZE, color_scheme="light" if light == "light" else "dark", locale=language
            )
            page = await context.new_page()
            await page.goto(f"{console.url}/console/login")
            await page.screenshot(path=folder / f"login-{language}-{light}.png")
            await login(page, console, "sue-1", language)
            for name, path in pages.items():
                await page.goto(console.url + path)
                await page.screenshot(path=folder / f"{name}-{language}-{light}.png", full_page=name in WHOLE)
                count += 1
            await page.set_viewport_size(PHONE)
            for name in ("now", "case"):
                await page.goto(console.url + pages[name])
                await page.screenshot(path=folder / f"{name}-phone-{language}-{light}.png")
                count += 1
            await context.close()
    return count


async def login(page: Page, console: ConsoleServer, person: str, language: str | None = None) -> None:
    """Log in as one of the staff, in a language."""
    if language is not None:
        await page.context.add_cookies(
            [{"name": "caseladder_language", "value": language, "url": f"{console.url}/console/"}]
        )
    await page.goto(f"{console.url}/console/login")
    await page.locator(f"button[name=person][value='{person}']").click()
    await page.wait_for_url(f"{console.url}/console/")


def main() -> int:
    """Take the pictures, and print where they are."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        count = asyncio.run(take(FOLDER))
    except NoBrowser as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{count} pictures in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
