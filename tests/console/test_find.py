"""Find takes what people type: displayed words in their language, names, parts of numbers, and what was said."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.page import open_page
from tests.console.samples import shipment
from tests.console.server import ConsoleServer
from tests.temporal import eventually


async def _searched(page: Page, text: str, *, holder: str = "") -> list[str]:
    await page.locator("#text").fill(text)
    await page.locator("#holder").fill(holder)
    await page.locator("form[action='/console/find'] button[type=submit]").click()
    await expect(page.locator("#text")).to_have_value(text)
    return await page.locator("table.list tbody td:first-child a").all_inner_texts()


@pytest.mark.long
async def test_an_agent_finds_a_case_by_whatever_they_remember(console: ConsoleServer, browser: Browser) -> None:
    customer = {"name": "歐陽鋒", "phone": "13955557431"}
    facts = {
        "category": "loss", "unit": "north", "shipment": shipment("YD-55918200"), "customer": customer,
        "description": "礼盒不见了",
    }  # fmt: skip
    case_id = await console.file("complaint", facts)
    await console.do(case_id, "acknowledge", "ann-7")
    await console.do(case_id, "note", "ann-7", text="仓库监控已调取")

    async def noted() -> bool:
        return "noted" in [event["type"] for event in await console.backend.book.events(case_id)]

    assert await eventually(noted, bool)
    before = len(await console.services.access_log.looks("search"))
    async with open_page(browser, console, "ann-7") as page:
        await page.goto(f"{console.url}/console/find")
        for text in ("丢失 9182", "安然 1820", "監控 YD-5591", "YD-55918200"):
            assert len(await _searched(page, text)) == 1, text
        assert len(await console.services.access_log.looks("search")) == before
        # What the customer said, each time one look.
        for text in ("欧阳锋", "礼盒", "7431"):
            assert len(await _searched(page, text)) == 1, text
        looks = await console.services.access_log.looks("search")
        assert [look["caller"] for look in looks[: len(looks) - before]] == ["ann-7"] * 3
        # By the name that is suggested for the holder.
        await expect(page.locator("#holder-known option[value='安然']")).to_have_text(re.compile("ann-7"))
        await expect(page.locator("#holder-known option[value='Ben Ito']")).to_have_count(0)
        await expect(page.locator("#unit-known option")).to_have_text(["北区分公司 (north)"])
        await expect(page.locator("#policy-known option[value='default']")).to_have_count(1)
        assert len(await _searched(page, "9182", holder="安然")) == 1
        assert await _searched(page, "9182", holder="蔡文") == []
    async with open_page(browser, console, "sue-1") as page:
        await page.goto(f"{console.url}/console/find")
        assert len(await _searched(page, "loss 5918 监控")) == 1
        assert await _searched(page, "欧阳锋 5918") == []
        await expect(page.locator("#holder-known option[value='安然']")).to_have_count(1)
