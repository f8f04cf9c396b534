"""Whom a case is about: one logged look per person, case and sitting; and all cases of a customer or a parcel."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.async_api import Browser, Route, expect

from starter.console import related
from tests.console.page import login, open_page, overflow, variants
from tests.console.samples import shipment
from tests.console.server import ConsoleServer

CUSTOMER = {"name": "何八", "phone": "13600003333", "email": "he@example.com", "ref": "VIP-8"}


@pytest.mark.long
@pytest.mark.parametrize(("language", "label"), variants(("en", "Customer number"), ("zh", "客户编号")))
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
        await expect(page.locator("#live")).to_have_attribute("data-state", "open")

        async def late(route: Route) -> None:
            # The page would renew itself before this is answered.
            async with page.expect_response("**/console/case/body*"):
                await console.do(case_id, "note", "sue-1", text="meanwhile")
            await route.continue_()

        await page.route("**/console/case/personal*", late)
        await page.locator("#customer button").click()
        seen = page.locator("#seen")
        await expect(seen).to_contain_text("一直没有人联系我")
        await expect(seen).to_contain_text("13600003333")
        # In words, never by the name of a key.
        await expect(seen.locator("dt").filter(has_text=label)).to_have_count(1)
        assert not {"ref", "phone", "email", "name", "description"} & set(await seen.locator("dt").all_inner_texts())
        # What was typed beside it stays.
        await expect(page.locator("[name=text]")).to_have_value("typed before the look")
        await page.locator("main form .main").click()
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


# --- the pages of a customer and of a parcel ------------------------------------------------------------


@pytest.mark.parametrize("language", variants("en", "zh"))
async def test_all_cases_of_a_customer_a_phone_and_a_parcel(
    console: ConsoleServer, browser: Browser, language: str
) -> None:
    phone, ref, waybill = f"13500004{ord(language[0])}", f"VIP-{language}", f"SF-ALL-{language}"
    facts = {"category": "delay", "unit": "north"}
    by_all = await console.file(
        "complaint", {**facts, "shipment": shipment(waybill), "customer": {"phone": phone, "ref": ref}}
    )
    await console.do(by_all, "acknowledge", "ann-7")
    by_ref = await console.file("complaint", {**facts, "customer": {"ref": ref}}, ago=100)
    by_phone = await console.file("complaint", {**facts, "customer": {"phone": f"+86 {phone}"}}, ago=200)
    hidden = await console.file(
        "complaint", {**facts, "unit": "east", "shipment": shipment(waybill), "customer": {"phone": phone, "ref": ref}}
    )
    asked: list[str] = []

    async def shown() -> list[str]:
        await expect(page.locator("table.list")).to_be_visible()
        links = await page.locator("table.list a").evaluate_all("(all) => all.map((one) => one.href)")
        return [parse_qs(urlsplit(link).query)["id"][0] for link in links]

    async with open_page(browser, console, "ann-7", language=language, viewport={"width": 390, "height": 844}) as page:
        page.on("request", lambda request: asked.append(request.url))
        # From the case to its parcel, and to its customer once that was looked at.
        await page.goto(f"{console.url}/console/case?id={by_all}")
        await page.locator("a[href^='/console/shipment']").click()
        assert await shown() == [by_all]
        await page.go_back()
        await page.locator("#customer button").click()
        await page.locator("#seen a").click()
        assert await shown() == [by_all, by_ref]
        assert await overflow(page) <= 0
        await page.locator("#phone").fill(phone)
        await page.locator("#phone").press("Enter")
        await expect(page.locator("#h-cases span")).to_be_visible()
        assert await shown() == [by_all, by_phone]
        assert phone not in page.url
        # What the page itself sends again is the same look.
        looked = await page.locator("[name=looked]").input_value()
        csrf = await page.locator("[name=csrf]").first.input_value()
        answer = await page.request.post(page.url, form={"csrf": csrf, "looked": looked})
        assert quote(by_phone) in await answer.text()
        for case_id, seen in ((by_phone, [True]), (by_all, [True, False]), (hidden, []), (by_ref, [])):
            looks = await console.services.access_log.looks(case_id)
            assert [one["by_phone"] for one in looks] == seen
    assert [url for url in asked if phone in url] == []
    # Of another session it is nobody's look.
    async with open_page(browser, console, "ben-2", language=language, errors=None) as page:
        csrf = await page.locator("[name=csrf]").first.input_value()
        answer = await page.request.post(f"{console.url}/console/customer", form={"csrf": csrf, "looked": looked})
        assert answer.status == 422
        await page.goto(f"{console.url}/console/customer?ref={ref}")
        assert await shown() == [hidden]


@pytest.mark.long
async def test_what_came_of_each_case_that_was_chosen(
    console: ConsoleServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A command with one text stands for those that name another case.
    monkeypatch.setattr(related, "BETWEEN", {"promise": "reply_by", "note": "text"})
    facts = {"category": "delay", "unit": "north", "customer": {"ref": "VIP-MANY"}}
    earliest, later, latest = [await console.file("complaint", facts, ago=ago) for ago in (900, 600, 300)]
    async with open_page(browser, console, "ann-7") as page:
        await page.goto(f"{console.url}/console/customer?ref=VIP-MANY")
        await page.get_by_role("checkbox").nth(0).check()
        await page.get_by_role("button", name="Write a note").click()
        await expect(page.get_by_role("alert")).to_contain_text("Choose two cases")
        for box in await page.get_by_role("checkbox").all():
            await box.check()
        await page.get_by_role("button", name="Write a note").click()
        outcomes = page.get_by_role("status").filter(has_text="What came of it").locator("li")
        await expect(outcomes).to_have_count(2)
        await expect(outcomes.first).to_contain_text("Done: Write a note")
        # Each says why not.
        await page.get_by_role("button", name="Promise").click()
        await expect(page.locator("li.fault")).to_have_count(2)
    for case_id, notes in ((earliest, 0), (later, 1), (latest, 1)):
        events = await console.services.cases.timeline(case_id)
        assert [event["data"]["text"] for event in events if event["type"] == "noted"] == [earliest] * notes


async def test_nobody_who_only_reads_is_offered_to_change_anything(console: ConsoleServer, browser: Browser) -> None:
    await console.file("complaint", {"category": "delay", "unit": "north", "customer": {"ref": "VIP-READ"}})
    async with open_page(browser, console, "ada-1") as page:
        await page.goto(f"{console.url}/console/customer?ref=VIP-READ")
        await expect(page.locator("table.list a")).to_have_count(1)
        await expect(page.get_by_role("checkbox")).to_have_count(0)
