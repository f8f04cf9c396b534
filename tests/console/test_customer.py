"""Whom a case is about: one logged look per person, case and sitting; and all cases of a customer or a parcel."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.console.page import login, open_page
from tests.console.server import ConsoleServer

CUSTOMER = {"name": "何八", "phone": "13600003333", "email": "he@example.com", "ref": "VIP-8"}


@pytest.mark.parametrize(("language", "label"), [("en", "Customer number"), ("zh", "客户编号")])
async def test_the_customers_words_stay_beside_every_form_until_the_session_ends(
    console: ConsoleServer, browser: Browser, language: str, label: str
) -> None:
    facts = {"category": "delay", "unit": "north", "customer": CUSTOMER, "description": "一直没有人联系我"}
    case_id = await console.file("complaint", facts)
    await console.do(case_id, "acknowledge", "ann-7")
    address = f"{console.url}/console/case?id={case_id}"
    async with open_page(browser, console, "ann-7", language=language) as page:
        await page.goto(f"{address}&do=note")
        await page.locator("[name=text]").fill("typed before the look")
        await expect(page.locator("#seen")).to_have_count(0)
        await page.locator("#customer button").click()
        seen = page.locator("#seen")
        await expect(seen).to_contain_text("一直没有人联系我")
        await expect(seen).to_contain_text("13600003333")
        # In words, never by the name of a key.
        await expect(seen.locator("dt").filter(has_text=label)).to_have_count(1)
        assert not {"ref", "phone", "email", "name", "description"} & set(await seen.locator("dt").all_inner_texts())
        # What was typed beside it stays.
        await expect(page.locator("[name=text]")).to_have_value("typed before the look")
        await page.locator("form .main").click()
        await page.wait_for_url("**done=note*")
        await expect(seen).to_contain_text("何八")
        # Also where the page renews itself, and with another form.
        await expect(page.locator("#live")).to_have_attribute("data-state", "open")
        await console.do(case_id, "note", "sue-1", text="from beside")
        await expect(page.locator(".history")).to_contain_text("from beside")
        await expect(seen).to_contain_text("何八")
        await page.goto(f"{address}&do=reply")
        await expect(seen).to_contain_text("何八")
        assert [one["caller"] for one in await console.services.access_log.looks(case_id)] == ["ann-7"]
        # Another case is another look.
        other = await console.file("complaint", facts)
        await page.goto(f"{console.url}/console/case?id={other}")
        await expect(page.locator("#seen")).to_have_count(0)
        # Whoever holds it no more sees it no more; nor does another session.
        await page.goto(address)
        await expect(page.locator("#live")).to_have_attribute("data-state", "open")
        await console.do(case_id, "assign", "sue-1", to={"id": "cai-4", "role": "agent"})
        await expect(page.locator("#holder")).to_contain_text("cai-4")
        await expect(page.locator("#seen")).to_have_count(0)
        await console.do(case_id, "assign", "sue-1", to={"id": "ann-7", "role": "agent"})
        await expect(seen).to_contain_text("何八")
        await page.locator("form[action='/console/logout'] button").click()
        await login(page, console, "ann-7")
        await page.goto(address)
        await expect(page.locator("#customer button")).to_be_visible()
        await expect(page.locator("#seen")).to_have_count(0)


async def test_without_a_script_the_form_that_is_open_stays_open(console: ConsoleServer, browser: Browser) -> None:
    case_id = await console.file("complaint", {"category": "delay", "unit": "north", "customer": CUSTOMER})
    async with open_page(browser, console, "ann-7", java_script_enabled=False) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}&do=note")
        await page.locator("#customer button").click()
        await expect(page.locator("#seen")).to_contain_text("何八")
        await expect(page.locator("[name=text]")).to_be_visible()
        await page.reload()
        await expect(page.locator("#seen")).to_contain_text("何八")
    assert len(await console.services.access_log.looks(case_id)) == 1
