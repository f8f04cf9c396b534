"""A QA manager's working day by the keyboard alone: what has climbed, what is disputed, large amounts, and numbers."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.console.days.desk import DAYS, Desk, done
from tests.console.page import open_page
from tests.console.samples import claim_for_approval, shipment
from tests.console.server import ConsoleServer
from tests.console.test_filing import SIZES
from tests.console.test_now import line

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
# Seconds after which neither of the two lower rungs has taken a case up, with time left until it climbs on.
CLIMBED = 610
SAID = {
    "en": {
        "rung": "Your rung must take it up", "climbed": "Escalated", "of": "1 of 1", "limit": "Your limit¥ 10,000.00",
        "approved": "Done: Approved offer ¥ 5,018.00", "nothing": "No approval waits for you.", "closed": "closed",
        "appeal": "appeal to the authority", "found": "Cases: 3",
    },
    "zh": {
        "rung": "待本级受理", "climbed": "已升级", "of": "第 1 项，共 1 项", "limit": "您的权限¥ 10,000.00",
        "approved": "已完成：批准赔偿方案 ¥ 5,018.00", "nothing": "没有待您审批的事项。", "closed": "已结案",
        "appeal": "申诉", "found": "3 件",
    },
}  # fmt: skip


@DAYS
async def test_a_qa_managers_day(console: ConsoleServer, browser: Browser, language: str, size: str) -> None:
    # An agent's offer above what a supervisor may give, one above what QA may, and one that the claimant turned down.
    large = await claim_for_approval(console, "YD-QA-LARGE", "5000.00", "east")
    huge = await claim_for_approval(console, "YD-QA-HUGE", "15000.00", "east")
    disputed = await claim_for_approval(console, "YD-QA-SMALL", "150.00")
    await console.do(disputed, "decline_offer", "gus-1", counter="900.00")
    facts = {"category": "delay", "unit": "east", "shipment": shipment("YD-QA-CLIMBED")}
    climbed = await console.file("complaint", facts, ago=CLIMBED)
    async with open_page(browser, console, "qin-1", language=language, viewport=SIZES[size]) as page:
        desk = Desk(page)
        await desk.well("now")
        await take_up(desk, console, language, climbed)
        await settle_and_close(desk, console, language, climbed)
        await record_an_appeal(desk, console, language, disputed)
        await approve_within_authority(desk, console, language, large, huge)
        await look_behind_a_number(desk, console, language, [climbed, large, huge])
        # The whole day, of which the parts above say what it consists of.
        assert desk.count == 29


async def take_up(desk: Desk, console: ConsoleServer, language: str, case_id: str) -> None:
    """Take up what nobody of the two rungs below has taken up, and open it."""
    page, said, shown = desk.page, SAID[language], line(desk.page, "YD-QA-CLIMBED")
    for text in (said["rung"], said["climbed"]):
        await expect(shown).to_contain_text(text)
    await desk.at_line(shown)
    await desk.press("a")
    await expect(shown).to_contain_text("qin-1")
    await expect(shown.get_by_role("link")).to_be_focused()
    await desk.press("o")
    await page.wait_for_url("**/console/case?id=*")
    await desk.well("a case that climbed")
    await expect(page.locator("#holder")).to_contain_text("qin-1")
    # Taken up, and opened.
    assert desk.took() == 2
    [(who, _)] = await done(console, case_id, "acknowledged")
    assert who == "qin-1"
    rungs = [data["to"] for _, data in await done(console, case_id, "escalated")]
    assert rungs == ["supervisor", "qa_manager"]


async def settle_and_close(desk: Desk, console: ConsoleServer, language: str, case_id: str) -> None:
    """Resolve the case, record that the customer is not satisfied, and close it, which a higher rung alone may."""
    page = desk.page
    await desk.do("resolve", in_menu=False)
    await desk.type("包裹已找到并送达 found and delivered")
    await desk.send("resolve")
    # The form, what was done, and the button that sends.
    assert desk.took() == 3
    await desk.do("follow_up", in_menu=False)
    await page.keyboard.press("ArrowDown")
    desk.count += 1
    await expect(page.locator("[name=satisfied][value=false]")).to_be_checked()
    await desk.send("follow_up")
    # The form, the answer, and the button that sends.
    assert desk.took() == 3
    await desk.do("close", in_menu=True)
    await expect(page.locator(".consequence.grave")).to_be_visible()
    await desk.send("close")
    await expect(page.locator("#head")).to_contain_text(SAID[language]["closed"], ignore_case=True)
    # The menu and the form, and the button that sends.
    assert desk.took() == 3
    [(who, resolved)] = await done(console, case_id, "resolved")
    assert (who, resolved["summary"]) == ("qin-1", "包裹已找到并送达 found and delivered")
    [(who, followed)] = await done(console, case_id, "followed_up")
    assert (who, followed["satisfied"]) == ("qin-1", False)
    assert [who for who, _ in await done(console, case_id, "closed")] == ["qin-1"]
    view = await console.backend.book.case(case_id)
    assert view is not None
    assert view["status"] == "closed"


async def record_an_appeal(desk: Desk, console: ConsoleServer, language: str, case_id: str) -> None:
    """Record that the claimant, who turned the offer down, appeals to the authority."""
    page = desk.page
    await desk.find("YD-QA-SMALL")
    await desk.open_line(page.locator("table.list tbody tr").filter(has_text="YD-QA-SMALL"))
    await desk.do("dispute", in_menu=True)
    await desk.pick("path", "appeal")
    await desk.send("dispute")
    await expect(page.locator(".history")).to_contain_text(SAID[language]["appeal"])
    # Three to find it, one to open it, the menu and the form, the way, and the button that sends.
    assert desk.took() == 8
    assert await done(console, case_id, "disputed") == [("qin-1", {"path": "appeal"})]


async def approve_within_authority(desk: Desk, console: ConsoleServer, language: str, large: str, huge: str) -> None:
    """Approve what a supervisor may not; what QA may not is neither shown nor offered by its address."""
    page, said = desk.page, SAID[language]
    await desk.go("/console/approvals")
    await desk.well("approvals")
    panel = page.locator("section[aria-labelledby=one]")
    for text in ("YD-QA-LARGE", said["limit"], "5,018.00"):
        await expect(panel).to_contain_text(text)
    await expect(page.locator("#desk .head")).to_contain_text(said["of"])
    await expect(page.locator("#waiting li")).to_have_count(1)
    await expect(page.get_by_role("main")).not_to_contain_text("15,018.00")
    await desk.click(panel.locator("button[value=approve]"))
    await expect(page.locator("#told")).to_contain_text(said["approved"])
    await expect(page.locator("#desk")).to_contain_text(said["nothing"])
    await desk.well("nothing more to decide")
    # Approvals, and the button.
    assert desk.took() == 2
    [(who, data)] = await done(console, large, "approved")
    assert (who, data["amount"]) == ("qin-1", "5018.00")
    # The other waits for the general manager, and its page offers QA no decision.
    assert await done(console, huge, "approved") == []
    [asked] = await done(console, huge, "approval_requested")
    assert asked[1]["role"] == "general_manager"
    await desk.find("YD-QA-HUGE")
    await desk.open_line(page.locator("table.list tbody tr").filter(has_text="YD-QA-HUGE"))
    await expect(page.locator("#act a[href*='do=note']")).to_have_count(1)
    await expect(page.locator("#act a[href*='do=approve'], #act a[href*='do=reject']")).to_have_count(0)
    # Three to find it, and one to open it.
    assert desk.took() == 4


async def look_behind_a_number(desk: Desk, console: ConsoleServer, language: str, east: list[str]) -> None:
    """Look at the statistics, and go from a number of missed deadlines to the cases behind it, and to one of them."""
    page = desk.page
    await desk.go("/console/numbers")
    await desk.well("numbers")
    missed = page.locator("section[aria-labelledby=n2]")
    await desk.click(missed.locator("summary"))
    await desk.well("numbers as a table")
    number = missed.locator("td a[href*='breached=rung'][href*='unit=east']")
    # All of the east climbed, one rung after the other.
    breaches = [data["clock"] for case_id in east for _, data in await done(console, case_id, "clock_breached")]
    await expect(number).to_have_text(str(breaches.count("rung")))
    await desk.click(number)
    await page.wait_for_url("**/console/find?*breached=rung*")
    await desk.well("the cases behind a number")
    await expect(page.locator("#found")).to_have_text(SAID[language]["found"])
    rows = page.locator("table.list tbody tr")
    for waybill in ("YD-QA-CLIMBED", "YD-QA-LARGE", "YD-QA-HUGE"):
        await expect(rows.filter(has_text=waybill)).to_have_count(1)
    await desk.open_line(rows.filter(has_text="YD-QA-CLIMBED"))
    # Statistics, the table, the number, and the case.
    assert desk.took() == 4
