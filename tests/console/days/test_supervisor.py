"""A supervisor's working day by the keyboard alone: many cases at once, decisions, what climbs, what comes back."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.console.days.desk import DAYS, Desk, done
from tests.console.page import open_page
from tests.console.samples import above_the_formula, leave, shipment
from tests.console.server import ConsoleServer
from tests.console.test_approvals import SAID as WHY
from tests.console.test_filing import SIZES
from tests.console.test_now import line
from tests.temporal import eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
# Seconds after which nobody of the lowest rung has taken a case up, with time left until it climbs on.
CLIMBED = 310
SAID = {
    "en": {
        "taken": "Done for 3 of 4", "refused": "refused: Somebody has taken it up already", "two": "Done for 2 of 2",
        "needed": "Reason (needed to reject)", "missing": "This is needed.", "nothing": "No approval waits for you.",
        "approved": "Done: Approved offer ¥ 1,950.00", "rejected": "Done: Rejected offer ¥ 1,950.00",
        "decided": "Decided for you", "yes": "form complete", "no": "not granted", "step": "Superior", "paper": "Leave",
        "granted": "Approved",
    },
    "zh": {
        "taken": "4 件中已完成 3 件", "refused": "已有人受理", "two": "2 件中已完成 2 件",
        "needed": "理由 (驳回时必填)", "missing": "此项必填。", "nothing": "没有待您审批的事项。",
        "approved": "已完成：批准赔偿方案 ¥ 1,950.00", "rejected": "已完成：驳回赔偿方案 ¥ 1,950.00",
        "decided": "您的申请已有结果", "yes": "签署完毕", "no": "不予批准", "step": "上级审批", "paper": "请假单",
        "granted": "批准",
    },
}  # fmt: skip


async def late(console: ConsoleServer, waybill: str, ago: float = CLIMBED) -> str:
    """File a complaint of the north about a late parcel, received so many seconds ago."""
    facts = {"category": "delay", "unit": "north", "shipment": shipment(waybill)}
    return await console.file("complaint", facts, ago=ago)


@DAYS
async def test_a_supervisors_day(console: ConsoleServer, browser: Browser, language: str, size: str) -> None:
    claim, waybill = await above_the_formula(console)
    await console.do(claim, "acknowledge", "ann-7")
    cases = {f"YD-DAY-{number}": await late(console, f"YD-DAY-{number}") for number in range(3)}
    async with open_page(browser, console, "sue-1", language=language, viewport=SIZES[size]) as page:
        desk = Desk(page)
        await desk.well("now")
        await take_up_all(desk, console, language, [*cases.values()], claim)
        await give_two_away(desk, console, language, cases, waybill)
        await write_one_note(desk, console, language, [cases["YD-DAY-2"], claim], waybill)
        await hand_over(desk, console)
        await decide(desk, console, language, claim, waybill)
        await pass_on(desk, console, cases["YD-DAY-2"])
        await share_a_view(desk, console, browser, language)
        await hear_of_decisions(desk, console, language, cases["YD-DAY-2"])
        # The whole day, of which the parts above say what it consists of.
        assert desk.count == 44


async def take_up_all(desk: Desk, console: ConsoleServer, language: str, ids: list[str], claim: str) -> None:
    """Take up all that is shown: what waits for the rung, and one case that an agent has taken up already."""
    page, said = desk.page, SAID[language]
    await expect(page.locator("li[data-line]")).to_have_count(4)
    await desk.tick(page.locator("[data-all] input"))
    await desk.click(page.locator("button[name=do][value=acknowledge]"))
    outcomes = page.locator("section.outcomes")
    await expect(outcomes).to_be_focused()
    await expect(outcomes.get_by_role("heading")).to_have_text(said["taken"])
    await expect(outcomes.get_by_role("listitem")).to_have_count(4)
    await expect(outcomes.locator(".bad")).to_have_count(1)
    await expect(outcomes.locator(".bad")).to_contain_text(said["refused"])
    await desk.well("what came of each")
    # All of them, and the button.
    assert desk.took() == 2
    for case_id in ids:
        assert [who for who, _ in await done(console, case_id, "acknowledged")] == ["sue-1"]
        view = await console.backend.book.case(case_id)
        assert view is not None
        assert (view["rung"], view["holder"]) == ("supervisor", "sue-1")
    assert "sue-1" not in [who for who, _ in await done(console, claim, "acknowledged")]


async def give_two_away(desk: Desk, console: ConsoleServer, language: str, cases: dict[str, str], refused: str) -> None:
    """Give two of the cases to an agent."""
    page, given = desk.page, ("YD-DAY-0", "YD-DAY-1")
    # What was refused stays chosen, and is not meant now.
    await expect(line(page, refused).get_by_role("checkbox")).to_be_checked()
    for waybill in (refused, *given):
        await desk.choose_line(line(page, waybill))
    await desk.act(page.locator("button[name=do][value=assign]"))
    whom = page.locator("[data-bulk-form] select")
    await expect(whom).to_be_focused()
    await desk.well("whom to give them to")
    await desk.pick("to", "cai-4|agent")
    await desk.click(page.locator("[data-bulk-form] button[name=send]"))
    await expect(page.locator("section.outcomes").get_by_role("heading")).to_have_text(SAID[language]["two"])
    # One that is not meant, two that are, the button, whom, and the button that sends.
    assert desk.took() == 6
    for waybill in given:
        [(who, said)] = await done(console, cases[waybill], "assigned")
        assert (who, said["to"]) == ("sue-1", {"id": "cai-4", "role": "agent"})
        await expect(line(page, waybill)).to_have_count(0)
    assert await done(console, cases["YD-DAY-2"], "assigned") == []


async def write_one_note(desk: Desk, console: ConsoleServer, language: str, ids: list[str], waybill: str) -> None:
    """Write one note into the case that is left and the agent's."""
    page = desk.page
    for one in ("YD-DAY-2", waybill):
        await desk.choose_line(line(page, one))
    await desk.act(page.locator("button[name=do][value=note]"))
    text = page.locator("[data-bulk-form] textarea")
    await expect(text).to_be_focused()
    await desk.well("what to note")
    await desk.type("已致电分拨中心 depot called")
    await desk.click(page.locator("[data-bulk-form] button[name=send]"))
    await expect(page.locator("section.outcomes").get_by_role("heading")).to_have_text(SAID[language]["two"])
    # Two lines, the button, the text, and the button that sends.
    assert desk.took() == 5
    for case_id in ids:
        [(who, said)] = await done(console, case_id, "noted")
        assert (who, said["text"]) == ("sue-1", "已致电分拨中心 depot called")


async def hand_over(desk: Desk, console: ConsoleServer) -> None:
    """Give a case that an agent holds to another, who is there today."""
    page = desk.page
    case_id = await late(console, "YD-AWAY-1", ago=60)
    await console.do(case_id, "acknowledge", "ann-7")
    await desk.find("YD-AWAY-1")
    await desk.open_line(page.locator("table.list tbody tr").filter(has_text="YD-AWAY-1"))
    await expect(page.locator("#holder")).to_contain_text("ann-7")
    await desk.do("assign", in_menu=True)
    await expect(page.locator("#f-to")).to_be_focused()
    await desk.pick("to", "cai-4|agent")
    await desk.enter("reason", "安然今天休假")
    await desk.send("assign")
    await expect(page.locator("#holder")).to_contain_text("cai-4")
    # Three to find it, one to open it, the menu and the form, whom and why, and the button that sends.
    assert desk.took() == 9
    [(who, said)] = await done(console, case_id, "assigned")
    assert (who, said["from"]["id"], said["to"]["id"], said["reason"]) == ("sue-1", "ann-7", "cai-4", "安然今天休假")


async def decide(desk: Desk, console: ConsoleServer, language: str, first: str, waybill: str) -> None:
    """Decide three offers above the formula one after the other: yes with a reason, no, and yes."""
    page, said = desk.page, SAID[language]
    (second, second_waybill), (third, third_waybill) = [await above_the_formula(console) for _ in range(2)]
    await desk.go("/console/approvals")
    await desk.well("approvals")
    await page.evaluate("window.seenBefore = true")
    panel, told = page.locator("section[aria-labelledby=one]"), page.locator("#told")
    # Who asks and why, what the case is, what the customer wants, what the formula gives, what was decided before.
    shown = ("ann-7", "it came late and then was lost", "2,345.60", "1,878.00", "1,950.00", "900.00", "money is enough")
    for text in (*WHY[language], *shown, waybill):
        await expect(panel).to_contain_text(text)
    mark, formula = panel.locator(".too-much"), panel.locator("table")
    marked, below = await mark.bounding_box(), await formula.bounding_box()
    assert marked is not None
    assert below is not None
    assert marked["y"] < below["y"]
    await expect(panel.locator("label[for=f-reason]")).to_have_text(said["needed"])
    await page.keyboard.press("m")
    await expect(page.locator("#f-reason")).to_be_focused()
    await desk.type("老客户 a customer of long")
    await desk.click(panel.locator("button[value=approve]"))
    await expect(told).to_contain_text(said["approved"])
    # Approvals, the reason, and the button.
    assert desk.took() == 3
    [(who, data)] = await done(console, first, "approved")
    assert (who, data["amount"], data["reason"]) == ("sue-1", "1950.00", "老客户 a customer of long")

    await expect(panel).to_contain_text(second_waybill)
    await expect(page.locator("#one")).to_be_focused()
    await desk.well("the next approval")
    await desk.click(panel.locator("button[value=reject]"))
    await expect(page.locator("#f-reason-fault")).to_have_text(said["missing"])
    await expect(page.locator("#f-reason")).to_be_focused()
    await expect(page.locator("#f-reason")).to_have_attribute("aria-invalid", "true")
    await desk.well("a rejection without its reason")
    assert await done(console, second, "rejected") == [("zhou-3", (await done(console, second, "rejected"))[0][1])]
    await desk.type("照片不全 the photographs are missing")
    await desk.click(panel.locator("button[value=reject]"))
    await expect(told).to_contain_text(said["rejected"])
    # The button, what it asks for, and the button.
    assert desk.took() == 3
    _, (who, data) = await done(console, second, "rejected")
    assert (who, data["subject"], data["reason"]) == ("sue-1", "offer", "照片不全 the photographs are missing")

    await expect(panel).to_contain_text(third_waybill)
    await desk.click(panel.locator("button[value=approve]"))
    await expect(told).to_contain_text(said["approved"])
    await expect(page.locator("#desk")).to_contain_text(said["nothing"])
    await desk.well("nothing more to decide")
    # The button, which is all that it takes.
    assert desk.took() == 1
    [(who, data)] = await done(console, third, "approved")
    assert (who, data.get("reason")) == ("sue-1", None)
    # The offer that was approved is made; the one that was not is not.
    for case_id, offers in ((first, 1), (second, 0), (third, 1)):
        assert len(await done(console, case_id, "offered")) == offers
    assert await page.evaluate("window.seenBefore")


async def pass_on(desk: Desk, console: ConsoleServer, case_id: str) -> None:
    """Escalate the case that is left, with a reason."""
    page = desk.page
    await desk.go("/console/")
    await desk.well("now")
    await desk.open_line(line(page, "YD-DAY-2"))
    await desk.do("escalate", in_menu=True)
    await expect(page.locator("#f-reason")).to_be_focused()
    await desk.type("客户要求经理回复")
    await desk.send("escalate")
    await expect(page.locator("#holder")).not_to_contain_text("sue-1")
    # Now, the line, the menu and the form, the reason, and the button that sends.
    assert desk.took() == 6
    _, (who, said) = await done(console, case_id, "escalated")
    assert (who, said["to"], said["cause"], said["reason"]) == ("sue-1", "qa_manager", "manual", "客户要求经理回复")


async def share_a_view(desk: Desk, console: ConsoleServer, browser: Browser, language: str) -> None:
    """Save what Now shows of the north as a view, and share it with the unit."""
    page = desk.page
    await desk.go("/console/")
    await desk.well("now")
    await desk.click(page.locator("#narrow summary"))
    await desk.pick("unit", "north")
    await desk.click(page.locator("#narrow button[type=submit]"))
    await page.wait_for_url("**unit=north*")
    await desk.click(page.locator("#save-view summary"))
    await desk.well("saving a view")
    await desk.type_into(page.locator("#view-name"), "北区 north")
    await desk.tick(page.locator("#save-view [name=shared]"))
    await desk.click(page.locator("#save-view button[type=submit]"))
    view = page.get_by_role("link", name="北区 north", exact=True)
    await expect(view).to_have_attribute("aria-current", "true")
    # Now, the list of filters, one of them, applied; the form, its name, its box, saved.
    assert desk.took() == 8
    [kept] = await console.services.desk.views("zhou-3")
    assert (kept.name, kept.person, kept.shared, kept.page) == ("北区 north", "sue-1", True, "now")
    assert "unit=north" in kept.query
    async with open_page(browser, console, "zhou-3", language=language) as other:
        await expect(other.get_by_role("link", name="北区 north", exact=True)).to_be_visible()
    assert await console.services.desk.views("ben-2") == []


async def hear_of_decisions(desk: Desk, console: ConsoleServer, language: str, case_id: str) -> None:
    """Be told of what QA decided: an amount that was asked for, a leave that was granted, and one that was not."""
    page, said = desk.page, SAID[language]
    leaves = [await console.file("leave", leave("sue-1", "supervisor", "north")) for _ in range(2)]
    await console.do(case_id, "request_approval", "sue-1", subject="refund", amount="5000.00", reason="as he asked")
    await console.do(leaves[0], "sign", "qin-1")
    await console.do(leaves[1], "refuse", "qin-1", reason="人手不足")
    await console.do(case_id, "approve", "qin-1", subject="refund")
    told = page.locator(".decided")
    lines = told.get_by_role("listitem")
    # They come by themselves, the latest first.
    await expect(lines).to_have_count(3)
    await expect(told.get_by_role("heading")).to_have_text(said["decided"])
    for place, texts in enumerate(
        (("5,000.00", said["granted"]), (said["no"], said["step"], said["paper"]), (said["yes"], said["paper"]))
    ):
        for text in (*texts, "qin-1"):
            await expect(lines.nth(place)).to_contain_text(text, ignore_case=True)
    await desk.well("what was decided")
    await desk.click(told.locator("button[name=seen]"))
    await expect(told).to_have_count(0)
    # The button.
    assert desk.took() == 1
    kept = await eventually(lambda: console.services.desk.preferences("sue-1"), lambda found: found.seen_at is not None)
    assert kept.seen_at is not None
