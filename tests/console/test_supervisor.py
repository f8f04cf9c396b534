"""A supervisor at work: cases come and climb before her eyes, she decides, and sees what comes of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from starter.console import now
from tests.console.page import open_menu, open_page, variants
from tests.console.samples import shipment
from tests.console.server import ConsoleServer
from tests.temporal import eventually
from tests.workflows.backend import FIRST_NOTICES

FOCUSED = """(() => {
    const one = document.activeElement;
    return [getComputedStyle(one).outlineStyle, one.innerText.trim(), one.tagName];
})()"""
CLAIM = {"factor": "loss", "claimant": {"relation": "sender"}, "unit": "north"}


async def test_a_case_arrives_climbs_and_is_decided_without_reloading(
    console: ConsoleServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A rung shows those first that are due first; here all of them, however many other tests left behind.
    monkeypatch.setattr(now, "EACH", 1000)
    monkeypatch.setattr(now, "STEP", 1000)
    async with open_page(browser, console, "sue-1") as page:
        await page.evaluate("window.seenBefore = true")
        agents = page.get_by_role("region", name="agent", exact=False).filter(has_text="agent")
        await expect(page.get_by_text("Live")).to_be_visible()
        facts = {**CLAIM, "shipment": shipment("YD-WATCH", insured_amount="1860.00")}
        case_id = await console.file("claim", facts)
        card = page.locator(f"[data-case='{case_id}']")
        await expect(agents.first.locator(card)).to_be_visible()
        # Five minutes in which nobody takes it up.
        await console.backend.wait(console.backend.handle(case_id), timedelta(minutes=5))
        await expect(page.get_by_role("region", name="supervisor").locator(card)).to_be_visible()
        needed = page.get_by_role("listitem").filter(has_text="YD-WATCH")
        await expect(needed).to_contain_text("Your rung must take it up")
        await expect(card).to_contain_text("Escalated")
        # The agent asks for more than an agent may give.
        for name, fields in (("answer_claim", {}), ("assess", {"cause": "company"}), ("offer", {})):
            await console.do(case_id, name, "ann-7", **fields)
        await expect(needed.filter(has_text="Waits for your decision")).to_be_visible()
        assert await page.evaluate("window.seenBefore")

        await needed.filter(has_text="Waits for your decision").get_by_role("link").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("claim 2026")
        await page.get_by_role("link", name="Approve", exact=True).click()
        await expect(page.locator(".consequence")).to_contain_text("final")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.get_by_role("status").filter(has_text="Done")).to_contain_text("Approve")
        await expect(page.get_by_role("region", name="Money")).to_contain_text("Offered¥ 1,878.00")
        await expect(page.locator(".history li.approved")).to_contain_text("sue-1")
    events = await console.backend.book.events(case_id)
    assert [event["actor"]["id"] for event in events if event["type"] == "approved"] == ["sue-1"]


@pytest.mark.long
async def test_approvals_one_after_the_other(console: ConsoleServer, browser: Browser) -> None:
    cases = [await offered(console, f"YD-NEXT-{number}", "900.00") for number in (1, 2)]
    async with open_page(browser, console, "zhou-3") as page:
        await page.goto(f"{console.url}/console/approvals?id={cases[0]}&subject=offer")
        panel = page.locator("section[aria-labelledby=one]")
        await expect(panel).to_contain_text("¥ 918.00")
        await expect(panel).to_contain_text("Your limit¥ 2,000.00")
        await expect(panel).to_contain_text("S0-A.3.2 b")
        # A rejection needs its reason: the case says so, and nothing typed is lost.
        await page.get_by_role("button", name="Reject").click()
        await expect(page.get_by_role("alert").filter(has_text="Nothing was changed")).to_contain_text("Reason: ")
        await expect(page.get_by_label("Reason")).to_be_focused()
        await expect(page.locator("#f-reason-fault")).to_have_text("This is needed.")
        await page.get_by_label("Reason").fill("the parcel was found")
        await page.get_by_role("button", name="Reject").click()
        await expect(page.get_by_role("status").filter(has_text="Done")).to_contain_text("Reject")
        await expect(panel).not_to_contain_text("YD-NEXT-1")
    view = await console.backend.book.case(cases[0])
    assert view is not None
    assert view["approvals"][0]["state"] == "rejected"


async def test_an_agent_does_not_see_what_an_agent_may_not_do(console: ConsoleServer, browser: Browser) -> None:
    case_id = await offered(console, "YD-AGENT", "900.00")
    address = f"{console.url}/console/case?id={case_id}"
    async with open_page(browser, console, "ann-7", errors=1) as page:
        await page.goto(address)
        await open_menu(page)
        await expect(page.get_by_role("link", name="Write a note")).to_be_visible()
        await expect(page.get_by_role("link", name="Approve", exact=True)).to_have_count(0)
        # Nor does the address of the form make one.
        await page.goto(f"{address}&do=approve")
        await expect(page.get_by_role("button", name="Approve")).to_have_count(0)
        # A case of another unit is no case at all.
        other = await console.file("complaint", {"category": "other", "unit": "east"})
        await page.goto(f"{console.url}/console/case?id={other}")
        await expect(page.get_by_role("main")).to_contain_text("no such case")


@pytest.mark.long
async def test_a_lost_connection_says_so_and_catches_up(console: ConsoleServer, browser: Browser) -> None:
    async with open_page(browser, console, "sue-1", errors=None) as page:
        await expect(page.get_by_text("Live")).to_be_visible()
        await page.context.set_offline(True)
        for stream in list(console.services.live._streams):
            stream._end()
        await expect(page.get_by_role("alert")).to_contain_text("Connection lost")
        case_id = await console.file("complaint", {"category": "other", "unit": "north"})
        await page.context.set_offline(False)
        await expect(page.locator(f"[data-case='{case_id}']")).to_be_visible(timeout=20_000)
        await expect(page.locator("#lost")).to_be_hidden()


@pytest.mark.long
async def test_by_keyboard_alone(console: ConsoleServer, browser: Browser) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})

    async def told() -> int:
        return [event["type"] for event in await console.services.casebook.events(case_id)].count("notified")

    # The page takes them in as they come: Enter must not be pressed just where a part goes and another comes.
    await eventually(told, lambda seen: seen >= FIRST_NOTICES["complaint"])
    async with open_page(browser, console, "ann-7") as page:
        await page.goto(f"{console.url}/console/case?id={case_id}")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("main")).to_be_focused()
        await _tab_to(page, "Take it up")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**do=acknowledge")
        # There is nothing to fill in, so the keyboard is at the button.
        await expect(page.get_by_role("button", name="Take it up")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**done=acknowledge*")
        await expect(page.locator("#holder")).to_contain_text("ann-7")


async def _tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this text has the focus, which must be seen on the way.

    Where a part of the page is taken in anew meanwhile, the way begins again.
    """
    for _ in range(120):
        await page.keyboard.press("Tab")
        outline, text, tag = await page.evaluate(FOCUSED)
        # Between a part that goes and the one that comes in its place nothing has the focus.
        assert outline == "solid" or tag == "BODY"
        if text == name:
            return
    raise AssertionError(f"no way to {name!r}")


async def offered(console: ConsoleServer, waybill: str, insured: str) -> str:
    """A claim whose offer waits for the supervisor."""
    facts = {**CLAIM, "shipment": shipment(waybill, insured_amount=insured)}
    case_id = await console.file("claim", facts)
    for name, fields in (("answer_claim", {}), ("assess", {"cause": "company"}), ("offer", {})):
        await console.do(case_id, name, "ann-7", **fields)
    return case_id


async def test_a_refusal_is_said_in_the_language_of_the_page(console: ConsoleServer, browser: Browser) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    async with open_page(browser, console, "zhou-3", language="zh", errors=1) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}&do=promise")
        await page.get_by_label("回复时间", exact=True).fill("2020-01-01T10:00:30")
        await page.get_by_role("button", name="承诺回复时间").click()
        said = page.get_by_role("alert").filter(has_text="没有任何更改")
        await expect(said).to_contain_text("时间已过")
        await expect(said).to_contain_text("S1-4.1")
        await expect(page.get_by_label("回复时间", exact=True)).to_have_value("2020-01-01T10:00:30")


@pytest.mark.long
@pytest.mark.parametrize(
    ("language", "channel", "refund", "other"),
    variants(("zh", "方式", "退款", "其他（请填写）"), ("en", "Channel", "refund", "Other: say which")),
)
async def test_what_is_no_rule_is_chosen_or_said_in_words_of_ones_own(
    console: ConsoleServer, browser: Browser, language: str, channel: str, refund: str, other: str
) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    subject = {"zh": "事项", "en": "Subject"}[language]
    async with open_page(browser, console, "ann-7", language=language) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}&do=log_contact")
        own = page.get_by_label(f"{channel}: {other}")
        await expect(own).to_be_hidden()
        await page.locator("[name=reached][value=true]").check()
        await page.get_by_label(channel, exact=False).first.select_option(label=other)
        await own.fill("对讲机 2")
        await page.get_by_role("main").locator("form button.main").click()
        await expect(page.get_by_role("status").first).to_be_visible()
        await page.goto(f"{console.url}/console/case?id={case_id}&do=request_approval")
        await page.get_by_label(subject).first.select_option(label=refund)
        await page.locator("[name=amount]").fill("５００．００")
        await page.get_by_role("main").locator("form button.main").click()
        await expect(page.get_by_role("status").first).to_be_visible()
        await page.goto(f"{console.url}/console/case?id={case_id}&do=request_approval")
        await page.get_by_label(subject).first.select_option(label=other)
        await page.get_by_label(f"{subject}: {other}").fill("上门 道歉")
        await page.locator("[name=amount]").fill("300")
        await page.get_by_role("main").locator("form button.main").click()
        await expect(page.get_by_role("status").first).to_be_visible()
    async with open_page(browser, console, "sue-1", language=language) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}&do=approve")
        await page.locator("[name=subject]").select_option("上门 道歉")
        await page.get_by_role("main").locator("form button.main").click()
        await expect(page.get_by_role("status").first).to_be_visible()
    events = {event["type"]: event["data"] for event in await console.backend.book.events(case_id)}
    assert events["contact_attempted"]["channel"] == "对讲机 2"
    asked = [one["data"] for one in await console.backend.book.events(case_id) if one["type"] == "approval_requested"]
    assert [(one["subject"], one["amount"]) for one in asked] == [("refund", "500.00"), ("上门 道歉", "300.00")]
    assert events["approved"]["subject"] == "上门 道歉"


@pytest.mark.long
async def test_what_stands_against_a_payment_is_shown_and_the_account_is_kept_apart(
    console: ConsoleServer, browser: Browser
) -> None:
    earlier = await console.file("claim", {**CLAIM, "shipment": shipment("YD-TWICE")})
    case_id = await console.file("claim", {**CLAIM, "shipment": shipment("yd-twice")})
    async with open_page(browser, console, "ann-7", language="en") as page:
        await page.goto(f"{console.url}/console/case?id={case_id}&do=name_payee")
        await expect(page.get_by_text("Other claims on the parcel,")).to_be_visible()
        await expect(page.get_by_role("link", name=earlier).first).to_be_visible()
        await page.get_by_label("Who is paid", exact=True).select_option("sender")
        for label, value in (("Name of the payee", "林小满"), ("Account", "6222000011112222"), ("How", "bank")):
            await page.get_by_label(label).last.fill(value)
        await page.get_by_role("button", name="Name the payee").click()
        await expect(page.get_by_role("status").filter(has_text="Done")).to_be_visible()
        await expect(page.get_by_text("payee-").first).to_be_visible()
        await expect(page.get_by_text("6222000011112222")).to_have_count(0)
    [named] = [one for one in await console.services.cases.timeline(case_id) if one["type"] == "payee_named"]
    async with console.services.database.connection() as connection:
        kept = await connection.fetchval("SELECT details FROM payee WHERE token = $1", named["data"]["payee"])
    assert kept == {"name": "林小满", "account": "6222000011112222", "method": "bank"}
