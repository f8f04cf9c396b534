"""A day of finance: payments that failed are confirmed by hand or tried again, and the books are compared."""

from __future__ import annotations

import re
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Browser, expect
from pydantic import SecretStr

from activities.payouts import Which
from tests.console.conftest import console_alone
from tests.console.days.desk import DAYS, types_of
from tests.console.days.taking import read_csv, read_xlsx, taken
from tests.console.hands import Hands
from tests.console.page import open_page
from tests.console.samples import claim_for_approval
from tests.console.server import ConsoleServer
from tests.console.test_filing import SIZES
from tests.gateway import SECRET, TOKEN, Fault, MisbehavingGateway, misbehaving_gateway
from tests.temporal import eventually

pytestmark = pytest.mark.long

# As the bank prints it.
REFERENCE = "工行 回单 2026-11 第0012号"
AMOUNT = "168.00"
# What the day's pages say.
SAID = {
    "zh": {
        "why": "待确认付款",
        "failed": "赔付失败",
        "done": "已完成：确认付款",
        "state": "已交付款通道，尚无结果",
        "requested": "申请赔付",
        "differ": "账簿有 1 处不一致",
        "difference": "已付款，付款账簿未记为已付",
        "agree": "账簿一致",
        "title": "付款",
        "paid": "已付",
    },
    "en": {
        "why": "Payment to confirm",
        "failed": "payout failed",
        "done": "Done: ",
        "state": "with the gateway, no answer yet",
        "requested": "payout asked for",
        "differ": "Differences between the books: 1.",
        "difference": "paid, and not in the payout book as paid",
        "agree": "The books agree",
        "title": "Payouts",
        "paid": "paid",
    },
}
# The heads of files.
HEADS = {
    "zh": ["案件", "编号", "付款状态", "金额（元）", "下达时间（Asia/Shanghai）", "结果时间（Asia/Shanghai）",
           "付款通道", "付款凭证号", "失败原因", "不一致"],
    "en": ["Case", "Number", "State", "Amount, yuan", "Ordered (Asia/Shanghai)", "Settled (Asia/Shanghai)",
           "Gateway", "Payment reference", "Why it failed", "Difference"],
}  # fmt: skip


@pytest.fixture(scope="module")
def gateway() -> Iterator[MisbehavingGateway]:
    """The gateway that pays."""
    with misbehaving_gateway() as made:
        yield made


@pytest.fixture(scope="module")
async def console(
    gateway: MisbehavingGateway, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ConsoleServer]:
    """A console that pays through the gateway."""
    settings = {
        "payout_url": gateway.url,
        "payout_token": SecretStr(TOKEN),
        "payout_callback_secret": SecretStr(SECRET),
    }
    async with console_alone(tmp_path_factory, **settings) as made:
        yield made


async def state_of(console: ConsoleServer, case_id: str) -> str | None:
    """Return how the payment of a case stands in the payout book."""
    listed = await console.services.payouts.listed(Which())
    return next((one.payout.state for one in listed if one.payout.case_id == case_id), None)


async def owed(console: ConsoleServer, gateway: MisbehavingGateway, waybill: str, fault: Fault, state: str) -> str:
    """A claim whose offer was accepted, and whose payment met a fault at the gateway."""
    case_id = await claim_for_approval(console, waybill, "150.00")
    gateway.posts = [fault]
    asked = len(gateway.requests)
    await console.do(case_id, "accept_offer", "gus-1", channel="phone")
    await eventually(lambda: state_of(console, case_id), lambda found: found == state)
    await gateway.asked("POST", [method for method, _ in gateway.requests[:asked]].count("POST") + 1)
    return case_id


@DAYS
async def test_a_day_of_finance(
    console: ConsoleServer,
    gateway: MisbehavingGateway,
    browser: Browser,
    tmp_path: Path,
    language: str,
    size: str,
) -> None:
    said, name = SAID[language], f"YD-PAY-{language}"
    gateway.gets.clear()
    by_hand, again = [await owed(console, gateway, f"{name}-{number}", "refuse", "failed") for number in (1, 2)]
    for case_id in (by_hand, again):
        await eventually(partial(types_of, console, case_id), lambda found: "payout_failed" in found)
    async with open_page(browser, console, "fay-1", language=language, viewport=SIZES[size]) as page:
        hands = Hands(page)
        # --- one is confirmed by hand: open it (1), the form (1), the reference (1), send (1).
        lines = page.locator("[data-line]").filter(has_text=name)
        await expect(lines).to_have_count(2)
        await expect(lines.first).to_contain_text(said["why"])
        assert await lines.first.get_attribute("data-id") == by_hand
        await hands.well("now")
        await hands.at_line(page.locator(f"[data-line][data-id='{by_hand}']"))
        await hands.press("o")
        money = page.get_by_role("region", name={"zh": "金额", "en": "Money"}[language])
        await expect(money).to_contain_text(said["failed"])
        await expect(money).to_contain_text("HTTP 422 account_closed")
        await hands.well("case")
        await hands.click(page.locator(".actions a[href*='do=confirm_payment']"))
        await expect(page.locator("[name=reference]")).to_be_focused()
        await hands.well("confirm")
        await hands.type(REFERENCE)
        await hands.press("Enter")
        await expect(page.get_by_role("status").filter(has_text=said["done"])).to_be_visible()
        await expect(money).to_contain_text(REFERENCE)
        await expect(money).not_to_contain_text("account_closed")
        assert hands.count == 4
        paid = [one for one in await console.backend.book.events(by_hand) if one["type"] == "paid"]
        assert [(one["actor"]["id"], one["data"]) for one in paid] == [
            ("fay-1", {"amount": AMOUNT, "reference": REFERENCE})
        ]

        # --- the other is tried again by itself: back to Now (1), where it goes while she looks.
        await hands.click(page.locator("nav a[href='/console/']"))
        await expect(lines).to_have_count(1)
        await expect(page.locator("#live[data-state=open]")).to_be_visible()
        await console.backend.wait(console.backend.handle(again), timedelta(hours=1))
        await expect(lines).to_have_count(0)
        assert hands.count == 5
        assert await state_of(console, again) == "paid"
        assert "paid" in await eventually(lambda: types_of(console, again), lambda found: "paid" in found)

        # --- the gateway pays a third and its answer is lost: to the payouts (1), today's (2), compared (1).
        gateway.gets = ["500"] * 10_000
        lost = await owed(console, gateway, f"{name}-3", "lose_after", "requested")
        key = f"{lost}/payout"
        booked = gateway.find(key)
        assert booked is not None
        reference = booked.reference
        await hands.click(page.locator("nav a[href='/console/payouts']"))
        await expect(page.get_by_role("heading", level=1, name=said["title"])).to_be_visible()
        today = datetime.now(ZoneInfo("Asia/Shanghai"))
        await hands.enter("from", f"{today:%m%d%Y}")
        await hands.press("Enter")
        await expect(page).to_have_url(re.compile(f"from={today:%Y-%m-%d}"))
        await hands.click(page.locator("button[name=compare]"))
        await expect(page.get_by_role("alert").filter(has_text=said["differ"])).to_be_visible()
        assert f"from={today:%Y-%m-%d}" in page.url
        differs = page.locator("section[aria-labelledby=differences] tbody tr")
        await expect(differs).to_have_count(1)
        await expect(differs).to_contain_text(said["difference"])
        await expect(differs).to_contain_text(reference)
        book = page.locator("section[aria-labelledby=book] tbody tr")
        await expect(book.filter(has_text=REFERENCE).first).to_contain_text(AMOUNT)
        number = str((await console.backend.book.case(lost) or {})["number"])
        await expect(book.filter(has_text=number)).to_contain_text(said["state"])
        await hands.well("payouts")
        assert hands.count == 9

        # --- nobody pays again what the gateway may have paid: she opens it (1), and is not offered to confirm it.
        await hands.click(differs.get_by_role("link"))
        await expect(money).to_contain_text(said["requested"])
        await expect(page.locator("a[href*='do=confirm_payment']")).to_have_count(0)
        # The gateway calls back, and answers again.
        assert await to_thread(gateway.call_back, f"{console.url}/api/v1/payouts/callback", key) == 200
        gateway.gets.clear()
        await console.backend.wait(console.backend.handle(lost), timedelta(minutes=1))
        await expect(money).to_contain_text(reference)
        assert hands.count == 10
        assert gateway.paid()[key] == [AMOUNT]
        assert (await types_of(console, lost)).count("paid") == 1

        # --- the books agree, and go into files: payouts (1), compare (1), both files (2).
        await hands.click(page.locator("nav a[href='/console/payouts']"))
        await expect(page.get_by_role("heading", level=1, name=said["title"])).to_be_visible()
        await hands.click(page.locator("button[name=compare]"))
        await expect(page.get_by_role("status").filter(has_text=said["agree"])).to_be_visible()
        await expect(differs).to_have_count(0)
        every = await console.services.payouts.listed(Which())
        heads, rows = read_csv(await taken(hands, page.locator("button[formaction*='as=csv']"), tmp_path))
        assert heads == HEADS[language]
        assert len(rows) == len(every)
        row = next(row for row in rows if row[heads[0]] == by_hand)
        assert (row[heads[2]], row[heads[3]], row[heads[7]]) == (said["paid"], AMOUNT, REFERENCE)
        heads, cells = read_xlsx(await taken(hands, page.locator("button[formaction*='as=xlsx']"), tmp_path))
        assert heads == HEADS[language]
        line = next(line for line in cells if line[heads[0]].value == lost)
        assert line[heads[7]].value == reference
        assert line[heads[4]].is_date
        assert line[heads[5]].is_date
        assert line[heads[3]].data_type == "n"
        assert hands.count == 14


async def test_a_book_that_cannot_be_read_compares_nothing(
    console: ConsoleServer, gateway: MisbehavingGateway, browser: Browser
) -> None:
    line = gateway.enter("unreadable", "one yuan")
    async with open_page(browser, console, "fay-1", language="zh", errors=1) as page:
        address = f"{console.url}/console/payouts"
        await page.goto(address)
        await page.locator("button[name=compare]").click()
        await expect(page.get_by_role("alert").filter(has_text="未作核对")).to_be_visible()
        # Nor is there a file that says by silence that nothing differs.
        guard = await page.locator("input[name=csrf]").first.input_value()
        answer = await page.request.post(f"{address}/export?as=csv", form={"csrf": guard})
        assert answer.status == 503
        assert "未作核对" in await answer.text()
    gateway.book.remove(line)
