"""Forms in the browser: filed, signed, sent back and finished, looked at while they are written, and rehearsed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Browser, FilePayload, Page, expect

from starter.console import now
from tests.console.page import open_menu, open_page
from tests.console.server import ConsoleServer
from tests.temporal import eventually
from tests.workflows.backend import is_about

ZONE = ZoneInfo("Asia/Shanghai")
REASON = "探望父母"


def in_days(days: int, hour: int = 9) -> str:
    """Return a local day and time so many days from now, as an input takes it."""
    at = datetime.now(UTC).astimezone(ZONE) + timedelta(days=days)
    return f"{at:%Y-%m-%d}T{hour:02}:00"


async def file_leave(page: Page, console: ConsoleServer, reason: str, *, days: int = 3, emergency: str = "true") -> str:
    """File a leave, and return the case's id."""
    await page.goto(f"{console.url}/console/forms/leave/file")
    await page.locator("[name='fields.from']").fill(in_days(days))
    await page.locator("[name='fields.to']").fill(in_days(days, 17))
    await page.locator("[name='fields.emergency']").select_option(emergency)
    await page.locator("[name='fields.reason']").fill(reason)
    await page.locator("form.paper button[type=submit]").click()
    await page.wait_for_url("**/console/case?*")
    return case_of(page)


def case_of(page: Page) -> str:
    found = re.search(r"[?&]id=([^&]*)", page.url)
    assert found is not None
    return found[1].replace("%3A", ":").replace("%3a", ":")


@pytest.mark.long
async def test_a_leave_is_filed_signed_and_over(
    console: ConsoleServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A rung shows those first that are due first; here all of them, however many other tests left behind.
    monkeypatch.setattr(now, "EACH", 1000)
    async with open_page(browser, console, "ann-7", language="zh") as page:
        await page.get_by_role("link", name="表单").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("表单")
        await page.get_by_role("link", name="填报: 请假单").click()
        case_id = await file_leave(page, console, REASON)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("请假单")
        await expect(page.get_by_role("region", name="流程")).to_contain_text("上级审批")
        await expect(page.get_by_role("region", name="流程")).to_contain_text("进行中")
        await expect(page.get_by_role("region", name="内容")).to_contain_text("突发情况是")
        await open_menu(page)
        await expect(page.locator("#doing").get_by_role("link", name="签署")).to_have_count(0)
        await expect(page.locator("#doing").get_by_role("link", name="撤回")).to_be_visible()
    async with open_page(browser, console, "ben-2", errors=1) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}")
        await expect(page.get_by_role("main")).to_contain_text("no such case")
    async with open_page(browser, console, "sue-1") as page:
        needed = page.get_by_role("region", name="What needs you")
        line = needed.get_by_role("listitem").filter(has_text="Waits for your signature").filter(has_text="Leave").last
        await expect(line).to_be_visible()
        await expect(page.locator(f"article[data-case='{case_id}']")).to_contain_text("Waits for supervisor")
        await page.goto(f"{console.url}/console/case?id={case_id}")
        await page.get_by_role("button", name="Sign").click()
        await expect(page.get_by_role("status").filter(has_text="Done")).to_contain_text("Sign")
        await expect(page.get_by_role("region", name="Steps")).to_contain_text("Sue Lind")
        await expect(page.locator(".history li.absence_recorded")).to_be_visible()
        await expect(page.locator(".history li.took_effect")).to_be_visible()
        await expect(page.locator("#head")).to_contain_text("approved")
    view = await console.backend.book.case(case_id)
    assert view is not None
    assert (view["status"], view["outcome"], view["effective"]) == ("closed", "approved", True)


async def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(
    console: ConsoleServer, browser: Browser
) -> None:
    async with open_page(browser, console, "ann-7", language="zh", errors=2) as page:
        await page.goto(f"{console.url}/console/forms/leave/file")
        form = page.locator("form.paper")
        await form.evaluate("(one) => { one.noValidate = true; }")
        await page.locator("[name='fields.from']").fill(in_days(9))
        await page.locator("[name='fields.reason']").fill(REASON)
        await form.get_by_role("button", name="填报").click()
        to = page.locator("[name='fields.to']")
        await expect(page.get_by_role("alert").first).to_contain_text("没有任何更改")
        await expect(to).to_have_attribute("aria-invalid", "true")
        await expect(page.locator("#f-fields-to-fault")).to_contain_text("此项必填")
        await expect(page.locator("[name='fields.reason']")).to_have_value(REASON)
        # The other way round the policy's own check speaks.
        await page.locator("[name='fields.emergency']").select_option("true")
        await to.fill(in_days(8))
        await page.locator("form.paper button[type=submit]").click()
        await expect(page.locator("#f-fields-from-fault")).to_have_text("起必须早于止。")


@pytest.mark.long
async def test_new_business_goes_round_comes_back_and_the_filer_sees_why(
    console: ConsoleServer, browser: Browser
) -> None:
    async with open_page(browser, console, "mia-1", language="zh") as page:
        await page.goto(f"{console.url}/console/forms/new_business/file")
        await page.get_by_label("客户").fill("C-17")
        await page.get_by_label("业务类型").select_option(label="仓储和配送")
        await page.get_by_role("group", name="已签合同").get_by_label("是").check()
        paper = page.get_by_role("group", name="价格表")
        await paper.get_by_label("从文件取名称和指纹").set_input_files(
            files=FilePayload(name="prices.pdf", mimeType="application/pdf", buffer=b"prices")
        )
        await expect(page.locator("[name='fields.price_list.name']")).to_have_value("prices.pdf")
        await expect(page.locator("[name='fields.price_list.sha256']")).to_have_value(re.compile("^[0-9a-f]{64}$"))
        await page.locator("[name='fields.price_list.where']").fill("s3://prices/17.pdf")
        await page.locator("form.paper button[type=submit]").dblclick()
        await page.wait_for_url("**/console/case?*")
        case_id = case_of(page)
        await expect(page.get_by_role("region", name="内容")).to_contain_text("prices.pdf")
    await sign(browser, console, "max-1", case_id)
    async with open_page(browser, console, "wen-1", language="zh") as page:
        await page.goto(f"{console.url}/console/case?id={case_id}")
        await page.get_by_role("link", name="退回").click()
        await page.get_by_label("理由").fill("价格表缺少第二页")
        await page.get_by_role("button", name="退回").click()
        await expect(page.locator("#hindrance")).to_contain_text("退回到")
    async with open_page(browser, console, "mia-1", language="zh") as page:
        await page.goto(f"{console.url}/console/case?id={case_id}")
        await expect(page.locator("#hindrance")).to_contain_text("价格表缺少第二页")
        await expect(page.locator("#hindrance")).to_contain_text("文清")
    for person in ("max-1", "wen-1", "dan-1", "gus-1"):
        await sign(browser, console, person, case_id)
    view = await console.backend.book.case(case_id)
    assert view is not None
    assert (view["status"], view["outcome"]) == ("closed", "approved")
    assert len([one for one in await console.backend.book.events(case_id) if one["type"] == "case_opened"]) == 1


async def sign(browser: Browser, console: ConsoleServer, person: str, case_id: str) -> None:
    """Open a case and sign it."""
    async with open_page(browser, console, person) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}")
        await page.get_by_role("button", name="Sign").click()
        await expect(page.get_by_role("status").filter(has_text="Done")).to_contain_text("Sign")


@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.long)])
async def test_a_form_of_a_company_needs_no_code(console: ConsoleServer, browser: Browser, language: str) -> None:
    title = {"en": "Car hire", "zh": "租车单"}[language]
    async with open_page(browser, console, "ann-7", language=language) as page:
        await page.goto(f"{console.url}/console/forms")
        await page.get_by_role("link", name=title, exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(title)
        await page.goto(f"{console.url}/console/forms/car_hire/file")
        await page.locator("[name='fields.day']").fill(in_days(5)[:10])
        await page.locator("[name='fields.seats']").fill("4")
        for place, (name, toll) in enumerate((("Harbour", "12.50"), ("Airport", "30.00"))):
            await page.locator(f"[name='fields.stops.{place}.place']").fill(name)
            await page.locator(f"[name='fields.stops.{place}.toll']").fill(toll)
        await page.locator("form.paper button[type=submit]").click()
        await page.wait_for_url("**/console/case?*")
        case_id = case_of(page)
        await expect(page.get_by_role("heading", level=1)).to_contain_text(title)
        await expect(page.get_by_role("main")).to_contain_text("42.50")
        await expect(page.get_by_role("main")).to_contain_text("Harbour")
    await sign(browser, console, "sue-1", case_id)
    async with open_page(browser, console, "fay-1", language=language) as page:
        needed = page.get_by_role("listitem").filter(has_text=title)
        await expect(needed.first).to_be_visible()
        await page.goto(f"{console.url}/console/case?id={case_id}")
        await page.locator("[name='fields.mileage']").fill("180")
        await page.get_by_role("button", name={"en": "Sign", "zh": "签署"}[language]).click()
        await expect(page.get_by_role("status").first).to_be_visible()
        await expect(page.locator("#body")).to_contain_text("180")
        await page.goto(f"{console.url}/console/find?kind=car_hire&status=closed")
        await expect(page.get_by_role("link", name=title).first).to_be_visible()
    view = await console.backend.book.case(case_id)
    assert view is not None
    assert (view["status"], view["fields"]["tolls"], view["fields"]["mileage"]) == ("closed", "42.50", 180)


async def test_rows_can_be_added_without_a_script(console: ConsoleServer, browser: Browser) -> None:
    async with open_page(browser, console, "ann-7", java_script_enabled=False) as page:
        await page.goto(f"{console.url}/console/forms/car_hire/file")
        await page.locator("[name='fields.stops.0.place']").fill("Harbour")
        await expect(page.locator("fieldset.rows tbody tr")).to_have_count(3)
        await page.get_by_role("button", name="More rows").click()
        await expect(page.locator("fieldset.rows tbody tr")).to_have_count(6)
        await expect(page.locator("[name='fields.stops.0.place']")).to_have_value("Harbour")


@pytest.mark.long
async def test_a_table_is_checked_and_drawn_as_it_is_typed(console: ConsoleServer, browser: Browser) -> None:
    async with open_page(browser, console, "qin-1") as page:
        await page.goto(f"{console.url}/console/forms/leave")
        await expect(page.get_by_role("region", name="Route")).to_contain_text("Superior")
        await expect(page.get_by_role("region", name="Deadlines")).to_contain_text("Superior")
        await page.get_by_text("Try out a change of its table").click()
        editor = page.get_by_role("textbox", name="Table (TOML)")
        text = await editor.input_value()
        assert "[form.leave]" in text
        await expect(page.locator("#toml-hint")).to_contain_text("This form is inherited")
        await expect(page.locator("#toml-hint code")).to_have_text('without = ["form.leave"]')
        await editor.fill(text.replace('any_of = ["supervisor+", "department_manager"]', 'any_of = ["supervizor"]'))
        faults = page.get_by_role("region", name="Faults")
        await expect(faults).to_contain_text("form.leave.step.superior.any_of = 'supervizor' is not a role")
        more = '\n[[form.leave.step]]\nname = "hr"\ntitle = "<b>Personnel</b> 人事"\nroles = ["hr"]\n'
        await editor.fill(text + more)
        await expect(page.get_by_role("region", name="Route")).to_contain_text("<b>Personnel</b>")
        await expect(page.get_by_role("region", name="Deadlines")).to_contain_text("<b>Personnel</b>")
        # An example of it runs, and nothing of it is kept.
        await page.get_by_text("Rehearse an example").first.click()
        await page.get_by_role("button", name="Rehearse").click()
        result = page.locator("#result")
        await expect(result).to_contain_text("closed · approved")
        await expect(result.locator("li.signed")).to_have_count(2)
    assert "hr" not in [step.name for step in (await console.services.policies.in_force("default")).form["leave"].steps]


async def link_in_mail(console: ConsoleServer, case_id: str) -> str:
    """Wait for the mail that asks supervisors for the signature of a form, and return the link in it."""

    async def links() -> list[str]:
        mails = [mail for mail in console.backend.mails() if is_about(mail, case_id)]
        texts = [mail.get_content() for mail in mails if mail["To"] == "supervisor@example.com"]
        return [link for text in texts for link in re.findall(r"https?://\S+", text)]

    [link] = await eventually(links, bool)
    return link


@pytest.mark.long
async def test_the_link_in_a_mail_leads_to_the_signature_in_two_clicks(
    console: ConsoleServer, browser: Browser
) -> None:
    async with open_page(browser, console, "ann-7") as page:
        case_id = await file_leave(page, console, "moving house", days=4)
    async with open_page(browser, console, "zhou-3", language="zh") as page:
        # The first click is on the link of the mail.
        await page.goto(await link_in_mail(console, case_id))
        await page.get_by_role("button", name="签署").click()
        await expect(page.get_by_role("region", name="流程")).to_contain_text("周远")


@pytest.mark.long
async def test_an_amount_is_decided_on_the_page_of_approvals(console: ConsoleServer, browser: Browser) -> None:
    async with open_page(browser, console, "bea-1", language="en") as page:
        await page.goto(f"{console.url}/console/forms/allowance/file")
        await page.get_by_label("Case").fill("complaint:K-1")
        await page.get_by_label("Amount").fill("1250")
        await page.get_by_label("Reason").fill("ten boxes were wet")
        await page.locator("form.paper button[type=submit]").click()
        await page.wait_for_url("**/console/case?*")
        case_id = case_of(page)
    await sign(browser, console, "boss-1", case_id)
    async with open_page(browser, console, "gus-1") as page:
        await page.goto(f"{console.url}/console/approvals?id={case_id}&subject=general")
        panel = page.locator("section[aria-labelledby=one]")
        await expect(panel).to_contain_text("Sales allowance certificate")
        await expect(panel).to_contain_text("1,250.00")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.get_by_role("status").filter(has_text="Done")).to_contain_text("Approve")
    view = await console.backend.book.case(case_id)
    assert view is not None
    assert view["step"] == "customer"


@pytest.mark.long
async def test_only_who_may_file_a_form_gets_to_its_page(console: ConsoleServer, browser: Browser) -> None:
    async with open_page(browser, console, "fay-1", errors=1) as page:
        await page.goto(f"{console.url}/console/forms/leave/file")
        await expect(page.get_by_role("main")).to_contain_text("You may not do this")
        await page.goto(f"{console.url}/console/forms")
        await expect(page.get_by_role("link", name="Statement of account", exact=True)).to_be_visible()
        await expect(page.get_by_role("link", name="File it: Leave")).to_have_count(0)
    async with open_page(browser, console, "ada-1", errors=1) as page:
        await expect(page.get_by_role("navigation").get_by_role("link", name="Forms")).to_have_count(0)
        await page.goto(f"{console.url}/console/forms/no_such_form")
        await expect(page.get_by_role("main")).to_contain_text("no such page")


BAD_TABLES = {
    "not TOML": ("[form.leave", "not TOML"),
    "another section": ('name = "mine"\n[form.x]\n', "a file of forms holds only"),
    "no form": ("", "a file of forms holds tables"),
    "too deep": ("x = " + "[" * 20_000, "tables within tables"),
    "too large": ("#" + "x" * 70_000, "larger than 64 KB"),
    "a table for a form": ("form = 3", "a file of forms holds tables"),
    "no table of a form": ("form = {}", "a file of forms holds tables"),
    "a number beyond all": ("x = 1" + "0" * 5_000, "not TOML"),
}


@pytest.mark.long
@pytest.mark.parametrize("what", BAD_TABLES)
async def test_a_table_that_is_none_is_answered_with_what_is_wrong(
    console: ConsoleServer, browser: Browser, what: str
) -> None:
    text, said = BAD_TABLES[what]
    async with open_page(browser, console, "sue-1", language="en", java_script_enabled=False, errors=None) as page:
        await page.goto(f"{console.url}/console/forms/leave")
        await page.get_by_text("Try out a change of its table").click()
        editor = page.get_by_role("textbox", name="Table (TOML)")
        await editor.fill(text)
        await page.get_by_role("button", name="Check").click()
        await expect(page.get_by_role("region", name="Faults")).to_contain_text(said)
        await expect(editor).to_have_value(text)


@pytest.mark.long
async def test_a_limit_that_never_comes_is_said(console: ConsoleServer, browser: Browser) -> None:
    async with open_page(browser, console, "sue-1", language="en") as page:
        await page.goto(f"{console.url}/console/forms/leave")
        await page.get_by_text("Try out a change of its table").click()
        editor = page.get_by_role("textbox", name="Table (TOML)")
        never = 'clocks = { step = { working_time = "PT876000H", clause = "INVENTED" } }\n'
        text = (await editor.input_value()).replace("[form.leave]\n", f"[form.leave]\n{never}", 1)
        async with page.expect_response("**/preview") as answered:
            await editor.fill(text)
        assert (await answered.value).status == 200
        await expect(page.get_by_role("main")).to_contain_text("not enough working time")
        await page.get_by_text("Rehearse an example").first.click()
        await page.locator("[name='trial.filed']").fill("0001-01-01T00:00")
        async with page.expect_response("**/preview") as answered:
            await page.get_by_role("button", name="Rehearse").click()
        assert (await answered.value).status == 200


@pytest.mark.long
async def test_an_example_is_bounded(console: ConsoleServer, browser: Browser) -> None:
    async with open_page(browser, console, "sue-1") as page:
        await page.goto(f"{console.url}/console/forms/leave")
        await page.get_by_text("Try out a change of its table").click()
        editor = page.get_by_role("textbox", name="Table (TOML)")
        often = 'reminders = { first = "PT1S", factor = 1, longest = "PT1S", clause = "INVENTED" }\n'
        text = (await editor.input_value()).replace("[form.leave]\n", f"[form.leave]\n{often}", 1)
        async with page.expect_response("**/preview"):
            await editor.fill(text)
        await page.get_by_text("Rehearse an example").first.click()
        first = page.locator("[name='act.0.at']")
        await first.fill(in_days(700))
        await page.get_by_role("button", name="Rehearse").click()
        await expect(page.locator("#result")).to_be_visible()
        assert 500 < await page.locator("#result .history > li").count() < 1500
        await page.locator("[name='act.0.at']").fill("2090-01-01T00:00")
        await page.get_by_role("button", name="Rehearse").click()
        await expect(page.get_by_role("alert")).to_contain_text("each needs a day and a time")


@pytest.mark.long
async def test_an_agent_finds_their_own_leave_and_not_that_of_a_colleague(
    console: ConsoleServer, browser: Browser
) -> None:
    async with open_page(browser, console, "ann-7") as page:
        case_id = await file_leave(page, console, "a wedding", days=6)
        await page.goto(f"{console.url}/console/find?kind=leave")
        await expect(page.locator(f"a[href$='{case_id.replace(':', '%3A')}']")).to_be_visible()
    async with open_page(browser, console, "cai-4", errors=1) as page:
        await page.goto(f"{console.url}/console/find?kind=leave")
        await expect(page.get_by_role("main")).to_contain_text("No case matches")
        await page.goto(f"{console.url}/console/case?id={case_id}")
        await expect(page.get_by_role("main")).to_contain_text("no such case")


async def test_what_is_typed_into_a_form_is_text_and_nothing_else(console: ConsoleServer, browser: Browser) -> None:
    evil = "<img src=x onerror=\"document.title='got'\">"
    async with open_page(browser, console, "ann-7") as page:
        await page.goto(f"{console.url}/console/forms/car_hire/file")
        await page.locator("[name='fields.day']").fill(in_days(5)[:10])
        await page.locator("[name='fields.seats']").fill("2")
        await page.locator("[name='fields.stops.0.place']").fill(evil)
        await page.locator("[name='fields.stops.0.toll']").fill("1")
        await page.locator("form.paper button[type=submit]").click()
        await page.wait_for_url("**/console/case?*")
        await expect(page.get_by_role("region", name="Fields")).to_contain_text(evil)
        assert await page.title() != "got"
    # Nobody files or tries out anything by a page of another origin.
    async with open_page(browser, console, "ann-7") as page:
        for path in ("leave/file", "leave/preview"):
            answer = await page.request.post(
                f"{console.url}/console/forms/{path}", form={"csrf": "guessed", "table": "x"}
            )
            assert answer.status == 403, path
