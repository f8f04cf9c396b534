"""A browser window of one of the staff, which must end without an error in its console."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, expect

from tests.console.place import Place

# Milliseconds: longer than a busy machine takes.
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)
# Pages that need a case are formatted with its id.
PAGES = {
    "now": "/console/",
    "approvals": "/console/approvals",
    "find": "/console/find",
    "numbers": "/console/numbers",
    "policy": "/console/policy?with=cross_company",
    "case": "/console/case?id={case}",
    "action": "/console/case?id={case}&do=assess",
}


@asynccontextmanager
async def window(
    browser: Browser, place: Place, person: str | None, *, language: str = "en", faults: int | None = 0, **options: Any
) -> AsyncIterator[Page]:
    """A window in which somebody is logged in.

    Args:
        faults: how many answers of the server are expected to be refusals, which browsers report; None for any.
        options: of the window, as Playwright takes them.
    """
    context = await browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    await context.add_cookies([{"name": "caseladder_language", "value": language, "url": f"{place.url}/console/"}])
    page = await context.new_page()
    said: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            said.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        if person is not None:
            await login(page, place, person)
        yield page
    finally:
        await context.close()
    assert faults is None or len(said) == faults, said


async def login(page: Page, place: Place, person: str) -> None:
    """Log in as one of the sample people."""
    await page.goto(f"{place.url}/console/login")
    await page.locator(f"button[name=person][value='{person}']").click()
    await page.wait_for_url(f"{place.url}/console/")


async def has_grown_wide(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
