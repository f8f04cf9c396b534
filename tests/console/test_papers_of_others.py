"""Two papers of other companies, written as forms: filed and finished in the browser, in both languages."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.page import open_page
from tests.console.server import ConsoleServer
from tests.console.test_forms import case_of, in_days

pytestmark = pytest.mark.long

SIGN = {"en": "Sign", "zh": "签署"}
APPROVE = {"en": "Approve", "zh": "批准"}
VEHICLE = {
    "department": "Sales", "phone": "13800000000", "email": "ann@example.org", "departs_at": in_days(2),
    "returns_at": in_days(2, 17), "mileage": "120", "passengers": "2", "purpose": "to the depot",
}  # fmt: skip
PURCHASE = {
    "budget": "B-7", "fiscal_year": "2026", "occasion": "once", "items": "two chairs",
    "rationale": "the old ones broke",    "lines.0.vendor": "Woodworks, chairs",
    "lines.0.organisation": "S-1", "lines.0.account": "6100",
    "lines.0.amount": "1200.50", "basis": "actual", "payment": "card", "above_limit": "false",
}  # fmt: skip


async def fill(page: Page, fields: dict[str, str]) -> None:
    """Fill in inputs of any sort by the names of their fields."""
    for name, value in fields.items():
        inputs = page.locator(f"[name='fields.{name}']")
        if await inputs.first.get_attribute("type") == "radio":
            await page.locator(f"[name='fields.{name}'][value='{value}']").check()
        elif await inputs.first.evaluate("(one) => one.tagName") == "SELECT":
            await inputs.select_option(value)
        else:
            await inputs.fill(value)


async def file(browser: Browser, console: ConsoleServer, language: str, form: str, fields: dict[str, str]) -> str:
    async with open_page(browser, console, "ann-7", language=language) as page:
        await page.goto(f"{console.url}/console/forms/{form}/file")
        await fill(page, fields)
        await page.locator("form.paper button[type=submit]").click()
        await page.wait_for_url("**/console/case?*")
        return case_of(page)


async def sign(
    browser: Browser, console: ConsoleServer, language: str, person: str, case_id: str, **fields: str
) -> None:
    async with open_page(browser, console, person, language=language) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}")
        await fill(page, fields)
        await page.get_by_role("button", name=SIGN[language], exact=True).click()
        await expect(page.get_by_role("status").first).to_be_visible()


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_vehicle_is_asked_for_lent_and_given_back(
    console: ConsoleServer, browser: Browser, language: str
) -> None:
    case_id = await file(browser, console, language, "vehicle_request", VEHICLE)
    await sign(browser, console, language, "ola-1", case_id)
    await sign(browser, console, language, "ann-7", case_id, marks="false", interior="clean")
    await sign(browser, console, language, "ola-1", case_id, departed_at=in_days(0), odometer_out="41200")
    await sign(browser, console, language, "ann-7", case_id)
    end = {"returned_at": in_days(0, 18), "odometer_in": "41320", "acceptable": "true"}
    await sign(browser, console, language, "ola-1", case_id, **end)
    view = await console.backend.book.case(case_id)
    assert view is not None
    assert (view["status"], view["outcome"], view["fields"]["odometer_in"]) == ("closed", "returned", 41320)


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_purchase_is_recommended_and_decided(console: ConsoleServer, browser: Browser, language: str) -> None:
    case_id = await file(browser, console, language, "purchase_approval", PURCHASE)
    await sign(browser, console, language, "dee-1", case_id, recommendation="approve")
    await sign(browser, console, language, "dir-1", case_id)
    async with open_page(browser, console, "dep-1", language=language) as page:
        await page.goto(f"{console.url}/console/approvals?id={case_id}&subject=decision")
        await expect(page.get_by_role("main")).to_contain_text("1,200.50")
        await page.get_by_role("button", name=APPROVE[language], exact=True).click()
        await expect(page.locator("#told .good")).to_be_visible()
    view = await console.backend.book.case(case_id)
    assert view is not None
    assert (view["status"], view["outcome"], view["fields"]["total"]) == ("closed", "approved", "1200.50")
