"""A day of an auditor: finds a case by what was written, proves its record, and sees who looked at whom it is about."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Browser, expect

from tests.api.test_record import stranger
from tests.checkpoints import checkpoint
from tests.console.days.desk import DAYS
from tests.console.days.taking import read_csv, read_xlsx, taken
from tests.console.hands import Hands
from tests.console.page import open_page
from tests.console.samples import shipment
from tests.console.server import ConsoleServer
from tests.console.test_filing import SIZES

pytestmark = pytest.mark.long

CUSTOMER = {"name": "欧阳兰", "phone": "13955557431"}
SAID = {
    "zh": {
        "found": "1 件",
        "none": "没有符合的案件",
        "read_only": "您只能查看，不能更改",
        "masked": "仅处理此案的人员可见",
        "holds": "哈希链完好",
        "looks": "个人信息查看记录",
        "in_full": "查看了个人信息",
        "only_masked": "查看了个人信息（已遮盖）",
        "searched": "按客户的话查找并找到案件",
        "no_case": "用电话号码查找，没有对应案件",
        "kind": "投诉",
        "opened": "建单（Asia/Shanghai）",
    },
    "en": {
        "found": "Cases: 1",
        "none": "No case matches",
        "read_only": "You may look, and change nothing.",
        "masked": "Only those who handle the case may see it.",
        "holds": "The chain holds",
        "looks": "Looks at personal data",
        "in_full": "saw the personal data",
        "only_masked": "saw the personal data, masked",
        "searched": "searched, and found cases by what customers said",
        "no_case": "searched by a phone number that no case has",
        "kind": "complaint",
        "opened": "Opened (Asia/Shanghai)",
    },
}
# The heads of files.
HEADS = {
    "zh": ["案件", "编号", "案件类型", "状态"],
    "en": ["Case", "Number", "Kind", "Status"],
}  # fmt: skip
# What the customer called it, another thing for each variant.
THINGS = {"zh": "青瓷洗", "en": "紫砂壶"}


async def told(console: ConsoleServer, name: str, thing: str) -> str:
    """A complaint of which an agent has noted what the customer said; he has looked whom it is about, and searched."""
    facts = {
        "category": "damage", "unit": "north", "shipment": shipment(name), "customer": CUSTOMER,
        "description": "到货时已碎",
    }  # fmt: skip
    case_id = await console.file("complaint", facts, ago=60)
    await console.do(case_id, "acknowledge", "ann-7")
    await console.do(case_id, "note", "ann-7", text=f"客户来电：{thing}摔碎了，要求赔偿")
    log = console.services.access_log
    await log.look(case_id, "sue-1", "supervisor", masked=True)
    await log.look(case_id, "ann-7", "agent", masked=False)
    await log.searched("ann-7", "agent")
    return case_id


@DAYS
async def test_a_day_of_an_auditor(
    console: ConsoleServer, browser: Browser, tmp_path: Path, language: str, size: str
) -> None:
    said, thing = SAID[language], THINGS[language]
    name = f"YD-AUDIT-{language}"
    case_id = await told(console, name, thing)
    keys = await checkpoint(console.services, case_id)
    recorded = await console.backend.book.events(case_id)
    async with open_page(browser, console, "ada-1", language=language, viewport=SIZES[size]) as page:
        hands = Hands(page)
        rows, cases = page.locator("table.list tbody tr"), page.locator("section[aria-labelledby=found]")
        # --- found by a word that the customer said and an agent wrote: search (1), the word (1), send (1).
        await expect(page.locator("#live[data-state=open]")).to_be_visible()
        await hands.press("/")
        await expect(page.locator("#text")).to_be_focused()
        await hands.type(thing)
        await hands.press("Enter")
        await expect(cases).to_contain_text(said["found"])
        await expect(rows).to_contain_text(name)
        await hands.well("find")
        assert hands.count == 3

        # --- the list goes into files: CSV (1), XLSX (1).
        heads, lines = read_csv(await taken(hands, page.locator("a[href*='as=csv']"), tmp_path))
        assert heads[:4] == HEADS[language]
        [line] = lines
        assert (line[heads[0]], line[heads[2]]) == (case_id, said["kind"])
        assert thing not in "".join(line.values())
        heads, cells = read_xlsx(await taken(hands, page.locator("a[href*='as=xlsx']"), tmp_path))
        assert heads[:4] == HEADS[language]
        [cell] = cells
        assert cell[heads[0]].value == case_id
        assert cell[said["opened"]].is_date
        assert hands.count == 5

        # --- the case: opened (1), its chain checked (1), its events (1) and its proof (1) taken along.
        await page.keyboard.press("j")
        await hands.press("o")
        await expect(page.locator("#act")).to_contain_text(said["read_only"])
        await expect(page.locator("#act a")).to_have_count(0)
        await expect(page.locator("#customer")).to_contain_text(said["masked"])
        await expect(page.locator("#customer")).not_to_contain_text(CUSTOMER["name"])
        await expect(page.locator(".history")).to_contain_text(thing)
        await hands.well("case")
        await hands.click(page.locator("form[action*='/case/verify'] button"))
        holds = page.get_by_role("status").filter(has_text=said["holds"])
        await expect(holds).to_be_visible()
        # Notices may go out while she looks, so that there are more by and by.
        [checked] = re.findall(r"[0-9]+", await holds.inner_text())
        assert len(recorded) <= int(checked) <= len(await console.backend.book.events(case_id))
        events = await taken(hands, page.locator("a[href*='/case/events']"), tmp_path)
        assert thing in events.decode()
        proof = await taken(hands, page.locator("a[href*='/case/proof']"), tmp_path)
        # A stranger checks it without this system, against the checkpoint that it goes back to.
        proved, signed = stranger().verify(proof, keys.public_pem().encode())
        assert proved["case"] == case_id
        assert signed["number"] >= 1
        assert CUSTOMER["name"] not in proof.decode()
        assert hands.count == 9

        # --- who looked: at this case (1); then whatever this agent looked at today: who (1), the day (1), send (1).
        await hands.click(page.locator("a[href*='/console/looks?case=']"))
        await expect(page.get_by_role("heading", level=1, name=said["looks"])).to_be_visible()
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text("ann-7")
        await expect(rows.first).to_contain_text(said["in_full"])
        await expect(rows.nth(1)).to_contain_text("sue-1")
        await expect(rows.nth(1)).to_contain_text(said["only_masked"])
        await hands.well("looks")
        await hands.click(page.locator("a.button[href='/console/looks']"))
        await expect(page.locator("#case")).to_have_value("")
        await hands.enter("person", "安然")
        today = datetime.now(ZoneInfo("Asia/Shanghai"))
        await hands.enter("from", f"{today:%m%d%Y}")
        await hands.press("Enter")
        await page.wait_for_url(f"**from={today:%Y-%m-%d}*")
        await expect(rows.first).to_contain_text(said["searched"])
        await expect(rows.nth(1).get_by_role("link")).to_be_visible()
        assert {"ann-7" in text for text in await rows.all_inner_texts()} == {True}
        await expect(page.get_by_role("main")).not_to_contain_text(thing)
        assert hands.count == 14

        # --- the customer's own words find nothing for an auditor, who handles no case, and a phone is a look of hers:
        # Find (1), the words (1), send (1); customer (1), the phone (1), send (1).
        await hands.click(page.locator("nav a[href='/console/find']"))
        await expect(page.locator("#text")).to_have_value("")
        await hands.enter("text", CUSTOMER["name"])
        await hands.press("Enter")
        await expect(cases).to_contain_text(said["none"])
        await hands.click(page.locator("a[href='/console/customer']"))
        await expect(page.locator("#phone")).to_be_visible()
        await hands.enter("phone", "020 0000 0000")
        await hands.press("Enter")
        await expect(page.get_by_role("main")).to_contain_text(said["none"])
        assert hands.count == 20
        looks = await console.services.access_log.all(callers=["ada-1"], limit=1)
        assert [(one["case_id"], one["by_phone"], one["masked"]) for one in looks] == [("", True, True)]

        # --- so she stands in the log: Find (1), the log (1). And the whole ledger is checked: Find (1), check (1).
        await hands.click(page.locator("nav a[href='/console/find']"))
        await hands.click(page.locator("a[href='/console/looks']"))
        await expect(rows.first).to_contain_text("ada-1")
        await expect(rows.first).to_contain_text(said["no_case"])
        await hands.click(page.locator("nav a[href='/console/find']"))
        await hands.click(page.locator("form[action^='/console/find/verify'] button"))
        await expect(page.get_by_role("status").filter(has_text=said["holds"])).to_be_visible()
        assert hands.count == 24
    after = await console.backend.book.events(case_id)
    assert after[: len(recorded)] == recorded
    assert "ada-1" not in {event["actor"]["id"] for event in after}
