"""The pages of payouts and of looks: who gets there, and what they say to days that are none."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.console.page import open_page
from tests.console.server import ConsoleServer

MAY_READ: dict[str, set[str]] = {
    "fay-1": {"payouts"},
    "ada-1": {"payouts", "looks"},
    "qin-1": {"payouts", "looks"},
    "gus-1": {"payouts", "looks"},
    "sue-1": set(),
    "ann-7": set(),
    "pam-1": set(),
}


@pytest.mark.long
@pytest.mark.parametrize("person", MAY_READ)
async def test_who_reads_which_book(console: ConsoleServer, browser: Browser, person: str) -> None:
    async with open_page(browser, console, person) as page:
        await expect(page.locator("nav a[href='/console/payouts']")).to_have_count(int("payouts" in MAY_READ[person]))
        for path in ("payouts", "payouts/export?as=csv", "looks", "looks?case=complaint:none"):
            answer = await page.request.get(f"{console.url}/console/{path}")
            book = path.partition("?")[0].partition("/")[0]
            assert answer.status == (200 if book in MAY_READ[person] else 403), path
        for path in ("payouts", "payouts/export?as=csv"):
            answer = await page.request.post(f"{console.url}/console/{path}", form={"csrf": ""})
            assert answer.status == 403, "compares for a form of somebody else's"
        await page.goto(f"{console.url}/console/find")
        await expect(page.locator("a[href='/console/looks']")).to_have_count(int("looks" in MAY_READ[person]))


@pytest.mark.parametrize("book", ["payouts", "looks"])
async def test_days_that_are_none_are_refused_by_name(console: ConsoleServer, browser: Browser, book: str) -> None:
    async with open_page(browser, console, "gus-1", language="zh", errors=2) as page:
        await page.goto(f"{console.url}/console/{book}?from=2026-13-01")
        await expect(page.get_by_role("alert").filter(has_text="起始日期 = '2026-13-01'")).to_be_visible()
        await page.goto(f"{console.url}/console/{book}?from=2026-03-05&to=2026-03-04")
        await expect(page.get_by_role("alert").filter(has_text="不得早于 2026-03-05")).to_be_visible()
