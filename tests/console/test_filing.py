"""Filing a case on the phone: by the keyboard alone, once, with what there is already beside it; and its draft."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.hands import Hands
from tests.console.page import open_page, overflow, variants
from tests.console.samples import shipment
from tests.console.server import ConsoleServer
from tests.temporal import eventually

SIZES = {"wide": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
LABELS = {
    "en": {
        "name": "Name", "phone": "Phone", "waybill": "Waybill", "posted": "Posted on", "category": "Category",
        "told": "Description",
    },
    "zh": {
        "name": "姓名", "phone": "电话", "waybill": "运单", "posted": "寄件日期", "category": "类别", "told": "描述",
    },
}  # fmt: skip
POSTED = (datetime.now(UTC) - timedelta(days=3)).date()


def case_of(page: Page) -> str:
    """Return the id of the case that a page is about."""
    return parse_qs(urlsplit(page.url).query)["id"][0]


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", variants("en", "zh"))
async def test_an_ordinary_complaint_by_the_keyboard_alone(
    console: ConsoleServer, browser: Browser, language: str, size: str
) -> None:
    # Of nobody who has called before.
    number = 13800130000 + 10 * list(SIZES).index(size) + len(LABELS[language]["told"])
    waybill, phone = f"SF-KEYS-{language}-{size}", f"{number}"
    async with open_page(browser, console, "ann-7", language=language, viewport=SIZES[size]) as page:
        hands = Hands(page)
        await page.get_by_role("link", name={"en": "New case", "zh": "建单"}[language], exact=True).focus()
        await hands.press("Enter")
        # Whoever has the customer on the phone types at once.
        await expect(page.get_by_label(LABELS[language]["name"], exact=False).first).to_be_focused()
        assert await overflow(page) <= 0
        await hands.enter("customer.name", "林小满")
        await hands.enter("customer.phone", phone)
        await hands.enter("shipment.waybill", waybill)
        # As the browser's own field for days takes it.
        await hands.enter("shipment.posted_on", f"{POSTED:%m%d%Y}")
        await hands.at("category")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowDown")
        hands.count += 1
        await hands.enter("description", "三天没有动静")
        await hands.press("Control+Enter")
        await page.wait_for_url("**/console/case?id=*filed=complaint*")
        # Measured before there was this page: 35, and nobody could file at all.
        assert hands.count == 8
    case_id = case_of(page)
    view = await eventually(lambda: console.backend.book.case(case_id), lambda found: found is not None)
    assert view is not None
    assert view["unit"] == "north"
    assert view["facts"]["category"] == "delay"
    assert view["facts"]["shipment"] == {"waybill": waybill, "posted_on": POSTED.isoformat()}
    personal = await console.backend.book.personal(case_id)
    assert personal is not None
    assert personal["customer"] == {"name": "林小满", "phone": phone}
    opened = (await console.backend.book.events(case_id))[0]
    assert opened["actor"]["id"] == "ann-7"
    # The clock runs since the form was opened.
    assert datetime.fromisoformat(opened["at"]) <= datetime.now(UTC)
    assert await console.services.drafts.of("ann-7") == []


async def _type(page: Page, **values: str) -> None:
    for name, value in values.items():
        await page.locator(f"[name='{name.replace('__', '.')}']").fill(value)


async def test_what_there_is_already_is_found_while_somebody_types(console: ConsoleServer, browser: Browser) -> None:
    waybill, phone = "SF-TWICE-1", "13900001111"
    same = await console.file(
        "complaint", {"category": "delay", "unit": "north", "shipment": shipment(waybill), "customer": {"name": "王一"}}
    )
    by_phone = await console.file(
        "inquiry", {"unit": "north", "shipment": shipment("SF-OTHER-1"), "customer": {"phone": "+86 139-0000-1111"}}
    )
    hidden = await console.file(
        "complaint", {"category": "delay", "unit": "east", "shipment": shipment(waybill), "customer": {"phone": phone}}
    )
    asked: list[str] = []
    async with open_page(browser, console, "ann-7") as page:
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"{console.url}/console/new/complaint")
        # As it was typed on a Chinese keyboard, with blanks.
        await _type(page, customer__phone="１３９ ００００ １１１１", shipment__waybill=f" {waybill.lower()} ")
        near = page.get_by_role("region", name="Earlier cases")
        await expect(near.locator(".near li")).to_have_count(2)
        await expect(near.locator("li.duplicate")).to_have_count(1)
        await expect(near.locator(f"li.duplicate button[name=add][value='{same}']")).to_have_text("Add to it")
        await expect(near).to_contain_text("The same: Phone")
        await expect(page.get_by_role("status")).to_contain_text("Open cases of the same matter: 1")
        assert hidden not in await near.inner_html()
        await expect(page.locator("[name='customer.phone']")).to_have_value("１３９ ００００ １１１１")
        # Once for the number, though what else is typed is looked for too; of nobody who may not be seen.
        await _type(page, description="再次来电，还没有收到")
        await page.wait_for_url(re.compile("draft="))
        await eventually(lambda: console.services.drafts.of("ann-7"), lambda found: "description" in found[0].typed)
        looks = await console.services.access_log.looks(by_phone)
        assert [(one["caller"], one["masked"], one["by_phone"]) for one in looks] == [("ann-7", True, True)]
        assert await console.services.access_log.looks(hidden) == []
        await near.locator(f"button[value='{same}'][name=add]").click()
        await page.wait_for_url("**/console/case?id=*done=note*")
        await expect(page.locator(".history li.noted")).to_contain_text("再次来电，还没有收到")
    # The number stands in no address.
    assert [url for url in asked if "139" in url or "%EF%BC%91" in url] == []
    assert case_of(page) == same
    assert await console.services.drafts.of("ann-7") == []


async def test_what_is_open_already_is_seen_before_another_is_filed(console: ConsoleServer, browser: Browser) -> None:
    waybill = "SF-ANYWAY-1"
    same = await console.file("complaint", {"category": "delay", "unit": "north", "shipment": shipment(waybill)})
    async with open_page(browser, console, "ann-7", language="zh", java_script_enabled=False) as page:
        await page.goto(f"{console.url}/console/new/complaint")
        await _type(page, shipment__waybill=waybill, shipment__posted_on=POSTED.isoformat(), description="没收到")
        await page.locator("[name=category]").select_option("delay")
        await page.get_by_role("button", name="建单", exact=True).click()
        await expect(page.get_by_text("同一件事有 1 个未结案件")).to_be_visible()
        await expect(page.locator(f".near [value='{same}']").first).to_be_attached()
        await page.get_by_role("button", name="建单", exact=True).click()
        await page.wait_for_url("**/console/case?id=*filed=complaint*")
        await expect(page.get_by_role("status").filter(has_text="已建单")).to_be_visible()
        assert case_of(page) != same


@pytest.mark.long
async def test_a_draft_survives_a_reload_and_another_process(console: ConsoleServer, browser: Browser) -> None:
    async with open_page(browser, console, "cai-4") as page:
        await page.goto(f"{console.url}/console/new/inquiry")
        await _type(page, customer__name="孙七", customer__phone="13700002222", question="包裹在哪里？")
        await page.wait_for_url(re.compile("draft="))
        kept = await eventually(
            lambda: console.services.drafts.of("cai-4"), lambda found: bool(found) and "question" in found[0].typed
        )
        address = page.url
        await page.reload()
        await expect(page.locator("[name=question]")).to_have_value("包裹在哪里？")
        # What the server holds in memory is not needed for it.
        assert kept[0].key in address
        await page.goto(f"{console.url}/console/new/complaint")
        drafts = page.get_by_role("region", name="Your drafts")
        await expect(drafts).to_contain_text("孙七 · 13700002222")
        await drafts.get_by_role("link").click()
        await expect(page.locator("[name='customer.name']")).to_have_value("孙七")
        # Another keeps off.
        async with open_page(browser, console, "ann-7") as other:
            await other.goto(address)
            await expect(other.get_by_text("That draft was filed or discarded")).to_be_visible()
            await expect(other.locator("[name='customer.name']")).to_have_value("")
        await page.goto(f"{console.url}/console/new/complaint")
        await drafts.get_by_role("button").click()
        await expect(drafts).to_have_count(0)
    assert await console.services.drafts.of("cai-4") == []
    async with console.services.database.connection() as connection:
        row = await connection.fetchrow("SELECT typed, phone_hash FROM draft WHERE key = $1", kept[0].key)
    assert (row["typed"], row["phone_hash"]) == (None, None)


async def test_a_double_click_files_one_case(console: ConsoleServer, browser: Browser) -> None:
    async with open_page(browser, console, "ann-7", errors=None) as page:
        await page.goto(f"{console.url}/console/new/complaint")
        opening = await page.locator("[name=opening]").first.input_value()
        csrf = await page.locator("[name=csrf]").first.input_value()
        form: dict[str, str | float | bool] = {
            "opening": opening,
            "csrf": csrf,
            "category": "other",
            "unit": "north",
            "description": "twice at once",
        }
        address = f"{console.url}/console/new/complaint"
        answers = await asyncio.gather(
            *(page.request.post(address, form=form, max_redirects=0) for _ in range(2)),
            page.request.post(f"{address}/check", form=form),
        )
        assert [answer.status for answer in answers] == [303, 303, 200]
        [where] = {answer.headers["location"] for answer in answers[:2]}
        # What is sent late brings no draft back.
        await page.request.post(f"{address}/check", form=form)
        assert await console.services.drafts.of("ann-7") == []
        # Nor does what no database takes do any harm.
        refused = await page.request.post(address, form={**form, "description": "a\0b"})
        assert refused.status == 422
        # Nobody chooses the key of a case or the instant of its opening.
        other = await page.request.post(address, form={**form, "opening": f"{opening[:-4]}AAAA"}, max_redirects=0)
        assert other.headers["location"] != where
    case_id = parse_qs(urlsplit(where).query)["id"][0]
    assert re.fullmatch(r"complaint:C-\d{8}-[0-9a-f]{8}", case_id)


async def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(
    console: ConsoleServer, browser: Browser
) -> None:
    async with open_page(browser, console, "ann-7", language="zh", errors=3) as page:
        await page.goto(f"{console.url}/console/new/claim")
        await _type(page, customer__name="李四", shipment__waybill="SF#12", description="破损")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("#f-factor-fault")).to_have_text("此项必填。")
        await expect(page.locator("#f-claimant-relation-fault")).to_have_text("此项必填。")
        await expect(page.locator("#f-shipment-posted_on-fault")).to_have_text("此项必填。")
        await expect(page.locator("#f-shipment-waybill-fault")).to_contain_text("不含空格")
        await expect(page.locator("[name='shipment.waybill']")).to_be_focused()
        for name, value in (("customer.name", "李四"), ("shipment.waybill", "SF#12"), ("description", "破损")):
            await expect(page.locator(f"[name='{name}']")).to_have_value(value)
        # What only the rules know stands at its field too, and what is folded away is opened.
        await _type(page, shipment__waybill="SF-FAULTS-1", shipment__posted_on=POSTED.isoformat())
        await page.locator("[name=factor]").select_option("damage")
        await page.locator("[name='claimant.relation']").select_option("sender")
        await page.locator("#more summary").press("Enter")
        await _type(page, demand="１２.３４５")
        await page.locator("#received summary").press("Enter")
        tomorrow = datetime.now(UTC) + timedelta(days=2)
        await _type(page, received_at=f"{tomorrow:%Y-%m-%dT%H:%M:%S}")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("#f-demand-fault")).to_contain_text("最多两位小数")
        await expect(page.locator("#received_at-fault")).to_have_text("时间在将来。")
        earlier = datetime.now(UTC) - timedelta(hours=5)
        await _type(page, received_at=f"{earlier:%Y-%m-%dT%H:%M:%S}", demand="１２.３４")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("#received_reason-fault")).to_contain_text("为什么")
        await _type(page, received_reason="系统当时不可用")
        await page.keyboard.press("Control+Enter")
        await page.wait_for_url("**/console/case?id=*filed=claim*")
        await expect(page.locator(".history li.noted")).to_contain_text("系统当时不可用")
        case_id = case_of(page)
    view = await console.backend.book.case(case_id)
    assert view is not None
    assert view["facts"]["demand"] == "12.34"
    # As it was typed, in the zone of the policy.
    assert view["opened_at"][:16] == f"{earlier:%Y-%m-%dT%H:%M}"


# Who files what from the console, of the kinds with code; nobody else has the page.
MAY_FILE = {
    "ann-7": "complaint claim exception inquiry return quality",
    "sue-1": "complaint claim exception inquiry return quality",
    "gus-1": "complaint claim exception inquiry return quality",
    "pam-1": "exception return quality",
    "fay-1": "",
    "mia-1": "exception return quality",
    "wen-1": "exception return quality",
    "bea-1": "return quality",
    "ada-1": "",
}


@pytest.mark.parametrize("person", MAY_FILE)
async def test_who_files_what(console: ConsoleServer, browser: Browser, person: str) -> None:
    kinds = MAY_FILE[person].split()
    async with open_page(browser, console, person, errors=None) as page:
        await expect(page.get_by_role("link", name="New case", exact=True)).to_have_count(1 if kinds else 0)
        for kind in MAY_FILE["ann-7"].split():
            answer = await page.request.get(f"{console.url}/console/new/{kind}")
            assert answer.status == (200 if kind in kinds else 403), kind
        # What only the system makes, and what there is not, has no such page.
        for kind in ("handover", "summary", "none"):
            assert (await page.request.get(f"{console.url}/console/new/{kind}")).status == 404
        # A unit that is not theirs is refused where it counts, as at the API.
        if person == "ann-7":
            csrf = await page.locator("[name=csrf]").first.input_value()
            form: dict[str, str | float | bool] = {"csrf": csrf, "category": "other", "unit": "east"}
            answer = await page.request.post(f"{console.url}/console/new/complaint", form=form)
            assert answer.status == 422
            assert "this caller files for" in await answer.text()
