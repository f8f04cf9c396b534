"""Two people erase a case of years ago on the page of erasures, and a legal hold keeps another one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.async_api import Browser, expect

from tests.activities.test_audit_everything import record
from tests.activities.test_erasure import ENDED
from tests.console.page import open_page
from tests.console.server import ConsoleServer

LONG_AGO = datetime(2021, 3, 9, 1, tzinfo=UTC)


@pytest.mark.long
async def test_two_people_erase_a_case(console: ConsoleServer, browser: Browser) -> None:
    for key in ("OLD-1", "OLD-2"):
        await record(console.backend.book, "complaint", key, ENDED, start=LONG_AGO)
    async with open_page(browser, console, "qin-1") as page:
        await page.goto(f"{console.url}/console/erasures")
        holding = page.locator("section", has=page.get_by_role("heading", name="Legal holds"))
        await holding.get_by_label("Case (id or number)").fill("complaint:OLD-2")
        await holding.get_by_label("File number").fill("(2028) Hu 01 Min Chu 17")
        await holding.get_by_role("button", name="Set a hold").click()
        await expect(holding.get_by_role("row").filter(has_text="OLD-2")).to_contain_text("Min Chu 17")
        asking = page.locator("section", has=page.get_by_role("heading", name="Ask for an erasure"))
        await asking.get_by_role("button").click()
        await expect(page.get_by_role("alert")).to_contain_text("Give either a case or a customer reference")
        await asking.get_by_label("Case (id or number)").fill("complaint:OLD-2")
        await asking.get_by_role("button").click()
        await expect(page.get_by_role("alert")).to_contain_text("A legal hold stands")
        await asking.get_by_label("Case (id or number)").fill("complaint:OLD-1")
        await asking.get_by_role("button").click()
        row = page.get_by_role("row").filter(has_text="OLD-1")
        await expect(row).to_contain_text("waits for somebody else's approval")
        await expect(row.get_by_role("button")).to_have_text(["Take back"])
    async with open_page(browser, console, "ada-1") as page:
        await page.goto(f"{console.url}/console/find")
        await page.get_by_role("link", name="Erasure").click()
        await expect(page.get_by_role("row").filter(has_text="OLD-1").get_by_role("button")).to_have_count(0)
        await expect(page.get_by_role("heading", name="Ask for an erasure")).to_have_count(0)
    async with open_page(browser, console, "gus-1") as page:
        await page.goto(f"{console.url}/console/erasures")
        await page.get_by_role("row").filter(has_text="OLD-1").get_by_role("button", name="Approve and erase").click()
        await expect(page.get_by_role("row").filter(has_text="OLD-1")).to_contain_text("erased; the engine")
        await page.get_by_role("link", name="complaint:OLD-1").click()
        await expect(page.locator(".history")).to_contain_text("erased the personal data")
        await expect(page.locator(".history")).not_to_contain_text("looking for the parcel")
    assert await console.backend.book.personal("complaint:OLD-1") is None
    assert await console.backend.book.personal("complaint:OLD-2") is not None


async def test_others_do_not_get_there(console: ConsoleServer, browser: Browser) -> None:
    async with open_page(browser, console, "sue-1", errors=None) as page:
        answer = await page.goto(f"{console.url}/console/erasures")
        assert answer is not None
        assert answer.status == 403
        await page.goto(f"{console.url}/console/find")
        await expect(page.get_by_role("link", name="Erasure")).to_have_count(0)
