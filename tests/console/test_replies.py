"""Replies from the console: which way they go out is said before, a text is begun with, and what came of it is told."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.console.conftest import console_with_mail
from tests.console.page import open_page, overflow, variants
from tests.console.samples import shipment
from tests.console.server import ConsoleServer
from tests.notifications import MailServer
from tests.temporal import eventually

CUSTOMER = {"name": "王小明", "phone": "13800000000", "email": "wang@example.org"}


@pytest.fixture(scope="module")
def server() -> MailServer:
    """A mail server of this machine."""
    return MailServer()


@pytest.fixture(scope="module")
async def console(server: MailServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConsoleServer]:
    """A console whose mails go to the server."""
    async with console_with_mail(tmp_path_factory, server) as made:
        yield made


async def late_parcel(console: ConsoleServer, **customer: str) -> str:
    """File a complaint about a late parcel in the north, which ann-7 has taken up."""
    facts = {"category": "delay", "unit": "north", "shipment": shipment("YD-LATE"), "customer": customer}
    case_id = await console.file("complaint", facts)
    await console.do(case_id, "acknowledge", "ann-7")
    return case_id


async def open_reply(page: Page, console: ConsoleServer, case_id: str) -> None:
    await page.goto(f"{console.url}/console/case?id={case_id}&do=reply")
    await expect(page.locator("#f-text")).to_be_visible()


async def test_a_reply_goes_out_by_mail_with_a_promise(
    console: ConsoleServer, browser: Browser, server: MailServer
) -> None:
    case_id = await late_parcel(console, **CUSTOMER)
    due = datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(hours=3)
    async with open_page(browser, console, "ann-7") as page:
        await open_reply(page, console, case_id)
        # The best way is chosen, and says where it goes to without saying all of it.
        await expect(page.get_by_role("radio", name="By e-mail to w•••@example.org")).to_be_checked()
        await expect(page.get_by_role("radio", name="nothing is sent")).not_to_be_checked()
        # A text to begin with is filled in at once, with what is known and what is promised.
        await expect(page.get_by_role("button", name="Fill it in")).to_be_hidden()
        await page.locator("#f-begin").select_option("zh/delay.interim.looking")
        text = page.locator("#f-text")
        await expect(text).to_have_value(re.compile("YD-LATE.*____"))
        await page.locator("#f-reply_by").fill(f"{due:%Y-%m-%dT%H:%M:%S}")
        await page.locator("#f-reply_by").dispatch_event("change")
        await expect(text).to_have_value(re.compile(f"{due:%Y-%m-%d %H:%M}"))
        await expect(page.locator("#f-stage")).to_have_value("interim")
        # What somebody changed stays.
        said = await text.input_value() + "\n安然"
        await text.fill(said)
        await page.locator("#f-reply_by").dispatch_event("change")
        await expect(text).to_have_value(said)
        await page.get_by_role("button", name="Reply to the customer").click()
        await expect(page.locator(".history li.replied")).to_contain_text("e-mail")
        await expect(page.locator(".history li.reply_sending")).to_contain_text("安然")
        await expect(page.locator(".history li.promised")).to_be_visible()
    [(address, mail)] = await eventually(lambda: to_customers(server), bool)
    assert (address, mail["Reply-To"]) == ("wang@example.org", "answers@example.com")
    assert "安然" in mail.get_content()
    events = await console.backend.book.events(case_id)
    assert [one["data"]["stage"] for one in events if one["type"] == "replied"] == ["interim"]
    assert not any(part in str(events) for part in ("wang@", "1380", "王小明"))


async def to_customers(server: MailServer) -> list[tuple[str, EmailMessage]]:
    return [(address, mail) for address, mail in server.mails if address.endswith("@example.org")]


async def test_one_that_failed_is_told_to_the_holder_on_the_page(
    console: ConsoleServer, browser: Browser, server: MailServer
) -> None:
    case_id = await late_parcel(console, **{**CUSTOMER, "email": "gone@example.org"})
    server.answers["gone@example.org"] = "550 5.1.1 no such user"
    async with open_page(browser, console, "ann-7", language="zh") as page:
        await open_reply(page, console, case_id)
        await page.locator("#f-stage").select_option("interim")
        await page.locator("#f-text").fill("正在查找。")
        await page.get_by_role("button", name="回复客户").click()
        failed = page.locator(".history li.reply_failed")
        await expect(failed).to_contain_text("被拒收")
        await expect(page.locator(".history li.replied")).to_have_count(0)
    told = await eventually(
        lambda: console.backend.book.events(case_id),
        lambda events: any(one["data"].get("notice") == "reply_failed" for one in events),
    )
    [notice] = [one["data"] for one in told if one["data"].get("notice") == "reply_failed"]
    assert notice["roles"] == ["agent"]


async def test_who_may_not_see_the_address_reads_that_there_is_one(console: ConsoleServer, browser: Browser) -> None:
    case_id = await late_parcel(console, **CUSTOMER)
    # A supervisor who does not hold the case.
    async with open_page(browser, console, "sue-1") as page:
        await open_reply(page, console, case_id)
        await expect(page.get_by_role("radio", name="By e-mail to the address on file")).to_be_checked()
        assert "example.org" not in await page.content()


async def test_without_an_address_it_can_only_be_said(console: ConsoleServer, browser: Browser) -> None:
    case_id = await late_parcel(console, name="王小明")
    async with open_page(browser, console, "ann-7") as page:
        await open_reply(page, console, case_id)
        await expect(page.get_by_role("radio")).to_have_count(1)
        await expect(page.get_by_role("radio", name="Said by phone")).to_be_checked()
        await expect(page.get_by_text("Nothing can be sent")).to_be_visible()
        await page.locator("#f-stage").select_option("answer")
        await page.get_by_role("button", name="Reply to the customer").click()
        await expect(page.locator(".history li.replied")).to_contain_text("phone")


async def test_without_javascript_a_text_is_filled_in_by_the_server(console: ConsoleServer, browser: Browser) -> None:
    case_id = await late_parcel(console, **CUSTOMER)
    async with open_page(browser, console, "ann-7", language="zh", errors=1, java_script_enabled=False) as page:
        await open_reply(page, console, case_id)
        await page.locator("#f-reply_by").fill("2099-01-01T15:00:00")
        await page.locator("#f-begin").select_option("en/delay.interim.looking")
        await page.get_by_role("radio", name="已电话告知").check()
        await page.get_by_role("button", name="填入").click()
        await expect(page.locator("#f-text")).to_have_value(re.compile("YD-LATE.*Thu 1 Jan 2099, 15:00"))
        await expect(page.locator("#f-stage")).to_have_value("interim")
        await expect(page.get_by_role("radio", name="已电话告知")).to_be_checked()
        await expect(page.locator("#f-reply_by")).to_have_value(re.compile("2099-01-01T15:00"))
        # A promise past the legal limit: nothing is recorded, and nothing that was typed is lost.
        await page.get_by_role("button", name="回复客户").click()
        await expect(page.locator("#f-text")).to_have_value(re.compile("YD-LATE"))
    assert not [one for one in await console.backend.book.events(case_id) if one["type"] == "replied"]


@pytest.mark.long
@pytest.mark.parametrize(("language", "scheme"), variants(("en", "light"), ("zh", "dark")))
async def test_the_form_is_for_everybody_and_fits_a_phone(
    console: ConsoleServer, browser: Browser, language: str, scheme: Literal["light", "dark"]
) -> None:
    case_id = await late_parcel(console, **CUSTOMER)
    options: Any = {"color_scheme": scheme, "viewport": {"width": 390, "height": 844}}
    async with open_page(browser, console, "ann-7", language=language, **options) as page:
        await open_reply(page, console, case_id)
        found = await Axe().run(page)
        assert [one["id"] for one in found.response["violations"] if one["impact"] in ("serious", "critical")] == []
        assert await overflow(page) <= 0
