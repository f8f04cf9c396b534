"""The page of approvals: why something is asked for, and deciding one after the other without leaving it."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.page import faults_on, open_page, overflow, variants
from tests.console.samples import above_the_formula
from tests.console.server import ConsoleServer

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


def address(console: ConsoleServer, case_id: str) -> str:
    return f"{console.url}/console/approvals?id={case_id}&subject=offer"


SAID = {
    "en": (
        "¥ 72.00 above the formula", "Why it is asked for", "What the customer wants", "What the formula gives",
        "Decided before in this case", "rejected", "Severity", "Insured for",
        "Reason (needed to reject)",
    ),
    "zh": (
        "高出公式核定金额 ¥ 72.00", "申请理由", "客户要求", "公式核定金额", "本案此前的审批", "驳回", "严重程度",
        "理由 (驳回时必填)",
    ),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("language", "size"), variants(("en", WIDE), ("zh", NARROW)))
async def test_an_approval_says_why_it_is_asked_for_and_what_was_decided_before(
    console: ConsoleServer, browser: Browser, language: str, size: dict[str, int]
) -> None:
    case_id, waybill = await above_the_formula(console)
    async with open_page(browser, console, "zhou-3", language=language, viewport=size) as page:
        await page.goto(address(console, case_id))
        panel = page.locator("section[aria-labelledby=one]")
        texts = ("it came late and then was lost", "2,345.60", "money is enough", "1,950.00", "900.00")
        for said in (*SAID[language], *texts, waybill, "ann-7", "S0-A.3.2 b", "1,878.00"):
            await expect(panel).to_contain_text(said)
        # The mark is words, and red.
        colour = await panel.locator(".too-much").evaluate("(one) => getComputedStyle(one).color")
        red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
        assert red > 2 * max(green, blue)
        assert await overflow(page) <= 0
        assert await faults_on(page, "approvals") == []


async def test_deciding_goes_on_to_the_next_and_the_page_stays(console: ConsoleServer, browser: Browser) -> None:
    (first, _), (second, _), (third, waybill) = [await above_the_formula(console) for _ in range(3)]
    async with open_page(browser, console, "zhou-3", viewport=WIDE) as page:
        await page.goto(address(console, first))
        await page.evaluate("window.seenBefore = true")
        told, panel = page.locator("#told"), page.locator("section[aria-labelledby=one]")
        # By keyboard alone, from the field of the reason.
        await page.get_by_role("textbox", name="Reason").focus()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(told).to_contain_text(re.compile(r"Done: Approved offer ¥ 1,950\.00, claim \d{4}-\d\d-\d{4}\."))
        await expect(told).to_have_attribute("role", "status")
        await expect(panel).not_to_contain_text(first.partition(":")[2])
        # The next one is open, and its heading has the focus, so that nothing is decided unread.
        await expect(page.locator("#one")).to_be_focused()
        opened = await page.evaluate("new URLSearchParams(location.search).get('id')")
        assert opened != first
        # Another from the list, in the page as well.
        await page.locator(f"#waiting a[href*='{third.replace(':', '%3A')}']").click()
        await expect(panel).to_contain_text(waybill)
        await page.get_by_role("button", name="Reject").click()
        await expect(page.get_by_role("alert").filter(has_text="Nothing was changed")).to_contain_text("Reason: ")
        await expect(page.get_by_role("textbox", name="Reason")).to_be_focused()
        await page.get_by_role("textbox", name="Reason").fill("it was found")
        await page.get_by_role("button", name="Reject").click()
        await expect(told).to_contain_text("Done: Rejected offer ¥ 1,950.00")
        await expect(page.locator("#refused")).to_be_empty()
        assert await page.evaluate("window.seenBefore")
        assert await faults_on(page, "after a decision") == []
        # What was decided is not to be decided once more from an old link, and nothing else opens in its place.
        await page.goto(address(console, first))
        await expect(page.get_by_role("status").filter(has_text="does not wait for you")).to_be_visible()
        await expect(page.get_by_role("button", name="Approve")).to_have_count(0)
        await page.go_back()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Approvals")
    for case_id, state in ((first, "approved"), (second, "open"), (third, "rejected")):
        view = await console.backend.book.case(case_id)
        assert view is not None
        assert view["approvals"][-1]["state"] == state


@pytest.mark.long
async def test_without_javascript_the_next_one_is_a_page_of_its_own(console: ConsoleServer, browser: Browser) -> None:
    case_id, _ = await above_the_formula(console)
    async with open_page(browser, console, "zhou-3", language="zh", java_script_enabled=False) as page:
        await page.goto(address(console, case_id))
        await _decide(page, "批准")
        await expect(page.locator("#told")).to_contain_text("已完成：批准赔偿方案 ¥ 1,950.00（理赔 ")
    view = await console.backend.book.case(case_id)
    assert view is not None
    assert view["approvals"][-1]["state"] == "approved"


async def _decide(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()
    await page.wait_for_url("**/console/approvals/next?*")
