"""Linking, merging and withdrawing in the browser: numbers are typed, and the customer's word is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.page import open_page, variants
from tests.console.server import ConsoleServer
from tests.temporal import eventually

FACTS = {"category": "other", "unit": "north"}


async def numbered(console: ConsoleServer, case_id: str) -> str:
    """The number of a case, once the casebook has it."""
    view = await eventually(lambda: console.backend.book.case(case_id), lambda found: found is not None)
    assert view is not None
    return str(view["number"])


async def send(page: Page, console: ConsoleServer, case_id: str, name: str, button: str, **fields: str) -> None:
    """Fill the form of a command and send it."""
    await page.goto(f"{console.url}/console/case?id={case_id}&do={name}")
    for field, value in fields.items():
        await page.locator(f"[name='{field}']").fill(value)
    await page.get_by_role("button", name=button).click()


async def test_a_case_is_linked_by_number_and_unlinked_by_choice(console: ConsoleServer, browser: Browser) -> None:
    one, other = [await console.file("complaint", FACTS) for _ in range(2)]
    number = await numbered(console, other)
    async with open_page(browser, console, "ann-7", errors=1) as page:
        await send(page, console, one, "link", "Link to another case", case=f"complaint {number[:-4]}9999")
        await expect(page.get_by_role("alert").filter(has_text="Nothing was changed")).to_be_visible()
        await expect(page.locator("[name='case']")).to_have_value(f"complaint {number[:-4]}9999")
        await send(page, console, one, "link", "Link to another case", case=f"complaint {number}")
        await expect(page.get_by_role("status").filter(has_text="Done")).to_be_visible()
        await expect(page.locator(".history li.linked")).to_contain_text(other)
        for case in (one, other):
            await page.goto(f"{console.url}/console/case?id={case}")
            await expect(page.get_by_role("region", name="Linked cases")).to_contain_text("linked: complaint")
        await page.goto(f"{console.url}/console/case?id={one}&do=unlink")
        await page.locator("select[name='case']").select_option(label=f"complaint {number}")
        await page.get_by_role("button", name="Take a link back").click()
        await expect(page.locator(".history li.unlinked")).to_be_visible()
        await expect(page.get_by_role("region", name="Linked cases")).not_to_contain_text(number)


@pytest.mark.long
async def test_a_duplicate_is_merged_by_its_number(console: ConsoleServer, browser: Browser) -> None:
    earlier, later = [await console.file("complaint", FACTS) for _ in range(2)]
    numbers = [await numbered(console, case) for case in (earlier, later)]
    async with open_page(browser, console, "ann-7", language="zh", errors=1) as page:
        await send(page, console, earlier, "merge", "并入先前的案件", into=numbers[1])
        await expect(page.get_by_role("alert").filter(has_text="只能将较晚的案件并入较早的案件")).to_be_visible()
        await send(page, console, later, "merge", "并入先前的案件", into=numbers[0])
        await expect(page.locator(".history li.merged")).to_contain_text(earlier, timeout=20_000)
        await expect(page.locator("#head")).to_contain_text("已并入先前的案件")
        await page.goto(f"{console.url}/console/case?id={earlier}")
        await expect(page.locator(".history li.duplicate_taken")).to_contain_text(later)


@pytest.mark.parametrize(
    ("language", "button", "missing"), variants(("en", "Withdraw", "customer's word"), ("zh", "撤诉", "客户的表示"))
)
async def test_an_agent_withdraws_on_the_word_of_the_customer(
    console: ConsoleServer, browser: Browser, language: str, button: str, missing: str
) -> None:
    case_id = await console.file("complaint", FACTS)
    now = datetime.now(UTC).astimezone(ZoneInfo("Asia/Shanghai"))
    async with open_page(browser, console, "ann-7", language=language, errors=1) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}&do=withdraw")
        await expect(page.locator("[name='said.by'] option")).to_have_count(6)
        # What is needed the case says, whatever the browser lets through.
        await page.evaluate("document.querySelectorAll('[required]').forEach(one => one.required = false)")
        await page.locator("[name='reason']").fill("found")
        await page.get_by_role("button", name=button, exact=True).click()
        await expect(page.get_by_role("alert").filter(has_text=missing)).to_be_visible()
        await page.locator("[name='said.by']").select_option("recipient")
        await page.locator("[name='said.at']").fill(f"{now + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}")
        await page.locator("[name='said.channel']").select_option("phone")
        await page.get_by_role("button", name=button, exact=True).click()
        await expect(page.locator(".history li.withdrawn")).to_contain_text("phone" if language == "en" else "电话")
    [told] = [one for one in await console.backend.book.events(case_id) if one["type"] == "withdrawn"]
    assert (told["data"]["said"]["by"], told["data"]["said"]["channel"]) == ("recipient", "phone")


async def test_whoever_stands_above_is_not_asked_for_it(console: ConsoleServer, browser: Browser) -> None:
    case_id = await console.file("complaint", FACTS)
    async with open_page(browser, console, "sue-1") as page:
        await send(page, console, case_id, "withdraw", "Withdraw", reason="filed twice")
        await expect(page.locator(".history li.withdrawn")).to_be_visible()
