"""A page in the browser on which a person is logged in, and which must cause no error in the browser's console."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from tests.console.server import ConsoleServer

SERIOUS = ("serious", "critical")
# Milliseconds; longer than a busy machine takes.
TIMEOUT = 20_000
expect.set_options(timeout=TIMEOUT)
# Paths; those that need a case, or a message, are formatted with its id.
PAGES = {
    "now": "/console/",
    "new": "/console/new/complaint",
    "approvals": "/console/approvals",
    "passkeys": "/console/passkeys",
    "views": "/console/views",
    "find": "/console/find",
    "customer": "/console/customer?ref=C-12345",
    "shipment": "/console/shipment?waybill=YD-204417",
    "numbers": "/console/numbers",
    "policy": "/console/policy?with=cross_company",
    "rules": "/console/rules",
    "case": "/console/case?id={case}",
    "action": "/console/case?id={case}&do=assess",
    "reply": "/console/case?id={case}&do=reply",
    "contact": "/console/case?id={case}&do=log_contact",
    "forms": "/console/forms",
    "form": "/console/forms/new_business",
    "filing": "/console/forms/leave/file",
}
# With what not everybody gets to: the general manager does, and finance to its own.
ALL_PAGES = {
    **PAGES,
    "erasures": "/console/erasures",
    "messages": "/console/messages",
    "message": "/console/messages/{message}",
    "looks": "/console/looks",
    "payouts": "/console/payouts",
}


def variants(first: Any, *others: Any) -> list[Any]:
    """Return the parameters of a test, of which all but the first are for the long run: they repeat what it shows."""
    rows = [one if isinstance(one, tuple) else (one,) for one in (first, *others)]
    return [pytest.param(*row, marks=[pytest.mark.long] if place else []) for place, row in enumerate(rows)]


@asynccontextmanager
async def open_page(
    browser: Browser,
    console: ConsoleServer,
    person: str | None,
    *,
    language: str = "en",
    errors: int | None = 0,
    **options: Any,
) -> AsyncIterator[Page]:
    """Open a page on which a person is logged in, or nobody if ``person`` is None.

    Args:
        browser: the browser.
        console: the console.
        person: the id of the person.
        language: the language of the page.
        errors: how many errors the browser is expected to report, such as refused requests; None for any number.
        options: options of Playwright's browser context.
    """
    context = await browser.new_context(**options)
    context.set_default_timeout(TIMEOUT)
    await context.add_cookies([{"name": "caseladder_language", "value": language, "url": f"{console.url}/console/"}])
    page = await context.new_page()
    reported: list[str] = []

    def report(message: ConsoleMessage) -> None:
        if message.type == "error":
            reported.append(message.text)

    page.on("console", report)
    page.on("pageerror", lambda error: reported.append(str(error)))
    try:
        if person is not None:
            await login(page, console, person)
        yield page
    finally:
        await context.close()
    assert errors is None or len(reported) == errors, reported


async def login(page: Page, console: ConsoleServer, person: str) -> None:
    """Log in as one of the staff."""
    await page.goto(f"{console.url}/console/login")
    await page.locator(f"button[name=person][value='{person}']").click()
    await page.wait_for_url(f"{console.url}/console/")


async def faults_on(page: Page, where: str) -> list[str]:
    """Return what axe finds serious on a page, each with where it was found."""
    found = await Axe().run(page)
    return [
        f"{where}: {fault['id']}: {fault['nodes'][0]['html'][:160]} ({fault['nodes'][0]['failureSummary'][:300]})"
        for fault in found.response["violations"]
        if fault["impact"] in SERIOUS
    ]


async def open_menu(page: Page) -> None:
    """Open the menu of what else may be done with a case."""
    await page.locator("#more-actions > summary").click()


async def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than its viewport, once it has its style."""
    await page.wait_for_load_state()
    return int(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
