"""A day's work on the Now page: taking up, many at once, orders and views, keys, and what is said of what came."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect

from activities.people.desk import Preferences
from starter.console import now
from starter.console.session import Session
from starter.console.web import COOKIE, Site
from tests.console.conftest import console_alone
from tests.console.page import open_page, overflow, variants
from tests.console.samples import leave, shipment
from tests.console.server import PEOPLE, ConsoleServer

CLAIM = {"factor": "loss", "claimant": {"relation": "sender"}, "unit": "north"}
SERIOUS = ("serious", "critical")
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
async def console(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConsoleServer]:
    """A console of its own: a list shows so many lines, and beside the cases of all other tests none would be these."""
    async with console_alone(tmp_path_factory) as made:
        yield made


def line(page: Page, waybill: str) -> Locator:
    """The line of the case on a parcel."""
    return page.locator("li[data-line]").filter(has_text=waybill)


async def complaint(console: ConsoleServer, waybill: str, **facts: Any) -> str:
    """A complaint that waits for an agent of the north."""
    return await console.file(
        "complaint", {"category": "delay", "unit": "north", "shipment": shipment(waybill), **facts}
    )


async def events(console: ConsoleServer, case_id: str, type_: str) -> list[dict[str, Any]]:
    """The events of a type that a case has."""
    return [event for event in await console.backend.book.events(case_id) if event["type"] == type_]


# --- taking up --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "word"), variants(("en", "Take it up"), ("zh", "受理")))
async def test_one_click_takes_a_case_up(console: ConsoleServer, browser: Browser, language: str, word: str) -> None:
    waybill = f"YD-TAKE-{language}"
    case_id = await complaint(console, waybill)
    async with open_page(browser, console, "ann-7", language=language) as page:
        await page.evaluate("window.seenBefore = true")
        await line(page, waybill).get_by_role("button", name=word).click()
        await expect(line(page, waybill).get_by_role("button")).to_have_count(0)
        await expect(line(page, waybill)).to_contain_text("ann-7")
        assert await page.evaluate("window.seenBefore")
    [taken] = await events(console, case_id, "acknowledged")
    assert taken["actor"]["id"] == "ann-7"


async def test_a_case_that_somebody_else_took_says_so_in_its_line(console: ConsoleServer, browser: Browser) -> None:
    case_id = await complaint(console, "YD-TAKEN")
    async with open_page(browser, console, "ann-7", errors=None) as page:
        await expect(page.get_by_text("Live")).to_be_visible()
        # The list stands still, as it would for the moment that it takes.
        await page.route("**/console/now/todo*", lambda route: route.abort())
        await console.do(case_id, "acknowledge", "cai-4")
        await line(page, "YD-TAKEN").get_by_role("button", name="Take it up").click()
        said = page.locator(f"li[data-id='{case_id}']")
        await expect(said).to_contain_text("Somebody has taken it up already")
        await page.unroute("**/console/now/todo*")
    assert len(await events(console, case_id, "acknowledged")) == 1


async def test_a_press_meets_its_line_while_the_list_is_renewed(console: ConsoleServer, browser: Browser) -> None:
    case_id = await complaint(console, "YD-PRESSED")
    async with open_page(browser, console, "ann-7") as page:
        await expect(page.get_by_text("Live")).to_be_visible()
        await line(page, "YD-PRESSED").get_by_role("button", name="Take it up").hover()
        await page.mouse.down()
        async with page.expect_response("**/console/now/todo*"):
            await complaint(console, "YD-MEANWHILE")
        await asyncio.sleep(0.1)
        await page.mouse.up()
        await expect(line(page, "YD-PRESSED").get_by_role("button")).to_have_count(0)
        # What came meanwhile is there a moment later.
        await expect(line(page, "YD-MEANWHILE")).to_be_visible()
    assert len(await events(console, case_id, "acknowledged")) == 1


async def test_without_a_script_it_is_taken_up_too(console: ConsoleServer, browser: Browser) -> None:
    case_id = await complaint(console, "YD-PLAIN")
    async with open_page(browser, console, "ann-7", java_script_enabled=False) as page:
        await page.goto(f"{console.url}/console/?sort=oldest")
        await line(page, "YD-PLAIN").get_by_role("button", name="Take it up").click()
        await expect(page.get_by_role("status").filter(has_text="Done")).to_contain_text("Take it up")
        await expect(line(page, "YD-PLAIN").get_by_role("button")).to_have_count(0)
        await expect(page.get_by_role("link", name="oldest")).to_have_attribute("aria-current", "true")
    assert len(await events(console, case_id, "acknowledged")) == 1


# --- many at once -----------------------------------------------------------------------------------


async def choose(page: Page, *waybills: str) -> None:
    """Mark the lines of these parcels."""
    for waybill in waybills:
        await line(page, waybill).get_by_role("checkbox").check()


@pytest.mark.long
async def test_what_one_case_refuses_the_others_do(console: ConsoleServer, browser: Browser) -> None:
    ids = [await complaint(console, f"YD-MANY-{number}") for number in range(3)]
    # The list stands still, for which its requests are turned away.
    async with open_page(browser, console, "ann-7", errors=None) as page:
        await expect(page.get_by_text("Live")).to_be_visible()
        await choose(page, "YD-MANY-0", "YD-MANY-1", "YD-MANY-2")
        await expect(page.get_by_text("3 chosen")).to_be_visible()
        await page.route("**/console/now/todo*", lambda route: route.abort())
        await console.do(ids[1], "acknowledge", "cai-4")
        await page.get_by_role("group", name="For all chosen").get_by_role("button", name="Take it up").click()
        outcomes = page.get_by_role("region", name="Done for 2 of 3")
        await expect(outcomes).to_be_focused()
        await expect(outcomes.get_by_role("listitem")).to_have_count(3)
        await expect(outcomes.locator(".bad")).to_contain_text("refused: Somebody has taken it up already")
        await page.unroute("**/console/now/todo*")
    for case_id, who in zip(ids, ("ann-7", "cai-4", "ann-7"), strict=True):
        assert [one["actor"]["id"] for one in await events(console, case_id, "acknowledged")] == [who]


@pytest.mark.long
async def test_many_are_given_to_one_who_may_hold_them(console: ConsoleServer, browser: Browser) -> None:
    ids = [await complaint(console, f"YD-GIVE-{number}") for number in range(2)]
    for case_id in ids:
        await console.do(case_id, "acknowledge", "sue-1")
    async with open_page(browser, console, "sue-1") as page:
        await choose(page, "YD-GIVE-0", "YD-GIVE-1")
        await page.get_by_role("button", name="Assign…").click()
        form = page.get_by_role("group", name="chosen cases: 2")
        whom = form.get_by_role("combobox")
        await expect(whom).to_be_focused()
        offered = await whom.locator("option").all_inner_texts()
        assert any("cai-4" in one for one in offered)
        # Neither who does not see them nor who stands higher.
        assert not [one for one in offered if "ben-2" in one or "gus-1" in one]
        await whom.select_option(label=next(one for one in offered if "cai-4" in one))
        # Meanwhile the list moves, and the form stays as it is.
        other = await complaint(console, "YD-GIVE-LATER")
        await expect(page.locator(f"[data-case='{other}']")).to_be_visible()
        await expect(line(page, "YD-GIVE-0").get_by_role("checkbox")).to_be_checked()
        await form.get_by_role("button", name="Assign").click()
        await expect(page.get_by_role("region", name="Done for 2 of 2")).to_be_visible()
    for case_id in ids:
        [given] = await events(console, case_id, "assigned")
        assert given["data"]["to"]["id"] == "cai-4"


@pytest.mark.long
async def test_a_note_for_many_and_a_form_that_was_left_empty(console: ConsoleServer, browser: Browser) -> None:
    ids = [await complaint(console, f"YD-NOTE-{number}") for number in range(2)]
    async with open_page(browser, console, "cai-4", language="zh") as page:
        await page.get_by_role("group", name="批量").get_by_role("button").nth(2).click()
        await expect(page.get_by_role("status").filter(has_text="尚未选择")).to_be_visible()
        await choose(page, "YD-NOTE-0", "YD-NOTE-1")
        await page.get_by_role("group", name="批量").get_by_role("button").nth(2).click()
        text = page.get_by_role("group", name="2 件").get_by_role("textbox")
        # What the browser would not send is asked for again.
        await text.evaluate("(one) => { one.required = false; }")
        await page.locator("[data-bulk-form] button.main").click()
        await expect(page.get_by_role("alert").filter(has_text="还需填写")).to_be_visible()
        await text.fill("已致电仓库")
        await page.locator("[data-bulk-form] button.main").click()
        await expect(page.get_by_role("region", name="2 件中已完成 2 件")).to_be_visible()
    for case_id in ids:
        assert [
            one["data"]["text"] for one in await console.services.casebook.events(case_id) if one["type"] == "noted"
        ]


def session(console: ConsoleServer, person: str) -> tuple[httpx.AsyncClient, str]:
    """Somebody who is logged in, without a browser, and the token of their forms."""
    one = next(one for one in PEOPLE if one.id == person)
    claims = {"sub": one.id, "role": [one.role], "unit": one.unit}
    made = Session().logged_in(claims, timedelta(hours=1), None)
    cookies = {COOKIE: made.sealed(Site(console.services).sealer), "caseladder_language": "en"}
    return httpx.AsyncClient(base_url=console.url, cookies=cookies, follow_redirects=False, timeout=60), made.csrf


async def test_the_same_form_sent_twice_does_nothing_twice(console: ConsoleServer) -> None:
    ids = [await complaint(console, f"YD-TWICE-{number}") for number in range(2)]
    client, csrf = session(console, "ann-7")
    form = {"csrf": csrf, "request_id": "r-1", "send": "note", "text": "called", "case": [*ids, ids[0]]}
    async with client:
        first, second = await asyncio.gather(*(client.post("/console/now/bulk", data=form) for _ in range(2)))
        assert "Done for 2 of 2" in first.text
        assert "Done for 2 of 2" in second.text
        for case_id in ids:
            assert len(await events(console, case_id, "noted")) == 1
        # The same form with other words is another request, which it must not be taken for.
        other = await client.post("/console/now/bulk", data={**form, "text": "called again"})
        assert "Done for 0 of 2" in other.text
        # A case out of reach is said as one that is not there; another command is not offered.
        strange = await console.file("complaint", {"category": "other", "unit": "east"})
        answer = await client.post("/console/now/bulk", data={**form, "request_id": "r-2", "case": [strange, ids[0]]})
        assert "Done for 1 of 2" in answer.text
        assert (await client.post("/console/now/bulk", data={**form, "send": "close"})).status_code == 404
        assert (await client.post("/console/now/bulk", data={**form, "csrf": "x"})).status_code == 403
        gone = await client.get("/console/now/bulk?sort=unit")
        assert (gone.status_code, gone.headers["location"]) == (303, "/console/?sort=unit")
    assert await events(console, strange, "noted") == []


@pytest.mark.parametrize("who", [one.id for one in PEOPLE])
async def test_every_role_has_a_now_page_and_an_auditor_changes_nothing(console: ConsoleServer, who: str) -> None:
    case_id = await complaint(console, f"YD-ROLE-{who}")
    client, csrf = session(console, who)
    async with client:
        page = await client.get("/console/")
        assert page.status_code == 200
        assert ('class="bulk"' in page.text) is (who != "ada-1")
        form = {"csrf": csrf, "request_id": "r", "do": "acknowledge", "case": case_id}
        answer = await client.post("/console/now/bulk", data=form)
        taken = await client.post("/console/now/take", data={"csrf": csrf, "take": f"1 {case_id}"})
        assert answer.status_code == (404 if who == "ada-1" else 200)
        assert taken.status_code == 200
    # Whom the case lets, and nobody else.
    may = {"ann-7", "cai-4", "sue-1", "zhou-3", "qin-1", "gus-1"}
    assert [one["actor"]["id"] for one in await events(console, case_id, "acknowledged")] == [who] * (who in may)


# --- orders and views -------------------------------------------------------------------------------


@pytest.mark.long
async def test_an_order_stands_in_the_address_and_is_remembered(console: ConsoleServer, browser: Browser) -> None:
    async with open_page(browser, console, "zhou-3") as page:
        await page.get_by_role("link", name="severity").click()
        await page.wait_for_url("**sort=severity*")
        await page.goto(f"{console.url}/console/")
        await expect(page.get_by_role("link", name="severity")).to_have_attribute("aria-current", "true")
        await page.get_by_text("Narrow down").click()
        await page.get_by_label("Unit", exact=True).select_option("north")
        await page.get_by_role("button", name="Apply").click()
        await page.wait_for_url("**unit=north*")
        await expect(page.get_by_text("Narrow down (1)")).to_be_visible()
        # Wrong ones are said or left out, and nothing breaks.
        await page.goto(f"{console.url}/console/?sort=x&why=y&show=z&severity=normal")
        await expect(page.get_by_role("link", name="due first")).to_have_attribute("aria-current", "true")
    async with open_page(browser, console, "zhou-3", errors=0) as page:
        await page.goto(f"{console.url}/console/?severity=huge")
        await expect(page.get_by_role("alert").filter(has_text="severity")).to_be_visible()


@pytest.mark.long
async def test_a_view_is_saved_shared_renamed_and_deleted(console: ConsoleServer, browser: Browser) -> None:
    name = "<b>Late & mine</b>"
    async with open_page(browser, console, "sue-1") as page:
        await page.goto(f"{console.url}/console/find?status=open&is_breached=yes&text=zhang")
        await page.get_by_text("Save this view").click()
        await expect(page.get_by_text("they may name a customer")).to_be_visible()
        await page.get_by_label("Name", exact=True).fill(name)
        await page.get_by_label("Show it to my unit").check()
        await page.locator("#save-view").get_by_role("button", name="Save").click()
        await page.wait_for_url("**/console/find?is_breached=yes&status=open")
        await page.goto(f"{console.url}/console/?sort=oldest&unit=north")
        await page.get_by_text("Save this view").click()
        await page.get_by_label("Name", exact=True).fill("north")
        await page.locator("#save-view").get_by_role("button", name="Save").click()
        await expect(page.get_by_role("link", name="north", exact=True)).to_have_attribute("aria-current", "true")
        await expect(page.get_by_role("link", name=name)).to_be_visible()
    async with open_page(browser, console, "zhou-3", errors=1) as page:
        # Of the same unit: what is shared, and that alone.
        await expect(page.get_by_role("link", name="north", exact=True)).to_have_count(0)
        await page.get_by_role("link", name=name).click()
        await page.wait_for_url("**/console/find?is_breached=yes&status=open")
        await page.goto(f"{console.url}/console/views")
        await expect(page.get_by_role("listitem").filter(has_text=name)).to_contain_text("shared by")
        await expect(page.get_by_role("button", name="Delete")).to_have_count(0)
        # Nor does another's number help.
        [shared] = [one for one in await console.services.desk.views("zhou-3") if one.name == name]
        answer = await page.request.get(f"{console.url}/console/views")
        csrf = re.findall(r'name="csrf" value="([^"]+)"', await answer.text())[0]
        await page.evaluate(
            """([id, csrf]) => fetch('/console/views', {method: 'POST', body:
            new URLSearchParams({id, csrf, drop: 'yes'})})""", [str(shared.id), csrf],
        )  # fmt: skip
    async with open_page(browser, console, "ben-2") as page:
        await expect(page.get_by_role("link", name=name)).to_have_count(0)
    async with open_page(browser, console, "sue-1", language="zh") as page:
        await page.goto(f"{console.url}/console/views")
        own = page.locator("form.view").filter(has=page.locator(f"input[value='{name}']"))
        await own.get_by_label("名称").fill("超时")
        await own.get_by_label("与本单位共享").uncheck()
        await own.get_by_role("button", name="保存").click()
        await expect(page.get_by_role("status").filter(has_text="已更改")).to_be_visible()
        for view in await console.services.desk.views("sue-1"):
            assert not view.shared
            await page.locator("form.view").first.get_by_role("button", name="删除").click()
            await expect(page.locator(f"#name-{view.id}")).to_have_count(0)
    assert await console.services.desk.views("sue-1") == []


@pytest.mark.long
@pytest.mark.parametrize(("language", "scheme", "size"), [("en", "light", DESK), ("zh", "dark", PHONE)])
async def test_forms_and_views_have_no_serious_fault(
    console: ConsoleServer, browser: Browser, language: str, scheme: Any, size: Any
) -> None:
    await console.services.desk.save("cai-4", "own", "now", "sort=unit", shared=True)
    await complaint(console, f"YD-FAULT-{language}")
    found = []
    async with open_page(browser, console, "cai-4", language=language, color_scheme=scheme, viewport=size) as page:
        await page.locator("#narrow summary").click()
        await page.locator("#save-view summary").click()
        await choose(page, f"YD-FAULT-{language}")
        for name in ("assign", "note"):
            await page.locator(f"button[name=do][value={name}]").click()
            # The form of this one: that of the one before is there until the page has come.
            await expect(page.locator(f"[data-bulk-form] button[name=send][value={name}]")).to_be_visible()
            found += (await Axe().run(page)).response["violations"]
            assert await overflow(page) <= 0
        await page.keyboard.press("Escape")
        await page.keyboard.press("Escape")
        await expect(page.locator("[data-bulk-form]")).to_have_count(0)
        await page.goto(f"{console.url}/console/views")
        found += (await Axe().run(page)).response["violations"]
        assert await overflow(page) <= 0
    for view in await console.services.desk.views("cai-4"):
        await console.services.desk.drop("cai-4", view.id)
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in SERIOUS] == []


# --- the list beside the ladder -----------------------------------------------------------------------


@asynccontextmanager
async def crowd(console: ConsoleServer, many: int) -> AsyncIterator[None]:
    """As many cases more that wait for a supervisor, copied in the casebook from one that does, and then gone."""
    case_id = await console.file(
        "complaint", {"category": "delay", "unit": "north", "shipment": shipment("YD-CROWD")}, ago=400
    )
    owner = await asyncpg.connect(console.backend.database)
    columns = [
        row[0]
        for row in await owner.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'case_file'::regclass AND attnum > 0"
            " AND NOT attisdropped AND attgenerated = ''"
        )
    ]
    made = {
        "case_id": "'complaint:crowd-' || n",
        "number": "'9999-01-' || n",
        "view": "view || jsonb_build_object('id', 'complaint:crowd-' || n, 'key', 'crowd-' || n)",
    }
    values = ", ".join(made.get(column, column) for column in columns)
    await owner.execute(
        f"INSERT INTO case_file ({', '.join(columns)}) SELECT {values} FROM case_file, generate_series(1, {many}) AS n"
        f" WHERE case_id = '{case_id}'"
    )
    try:
        yield
    finally:
        for table in ("case_search", "case_file"):
            await owner.execute(f"DELETE FROM {table} WHERE case_id LIKE 'complaint:crowd-%'")
        await owner.close()


@pytest.mark.long
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_list_and_ladder_are_both_seen_with_500_waiting(
    console: ConsoleServer, browser: Browser, language: str
) -> None:
    async with crowd(console, 500):
        async with open_page(browser, console, "sue-1", language=language, viewport=DESK) as page:
            panels = page.locator(".desk > .panel")
            await expect(panels).to_have_count(2)
            boxes = [await panels.nth(place).bounding_box() for place in range(2)]
            assert all(box and box["y"] >= 0 and box["y"] + box["height"] <= DESK["height"] for box in boxes), boxes
            [first, second] = [box for box in boxes if box]
            assert first["x"] + first["width"] <= second["x"]
            assert await overflow(page) <= 0
            await expect(page.locator("li[data-line]")).to_have_count(now.STEP)
            assert re.match(r"\(5\d\d\) ", await page.title())
            more = page.get_by_role("link", name={"en": "Show more", "zh": "显示更多"}[language])
            await more.click()
            await expect(page.locator("li[data-line]")).to_have_count(2 * now.STEP)
            faults = (await Axe().run(page)).response["violations"]
            assert [one["id"] for one in faults if one["impact"] in SERIOUS] == []
        async with open_page(browser, console, "sue-1", language=language, viewport=PHONE, has_touch=True) as page:
            assert await overflow(page) <= 0
            await page.locator(".jump").click()
            await expect(page.locator("#ladder")).to_be_in_viewport()


# --- what was decided ---------------------------------------------------------------------------------


@pytest.mark.long
async def test_whoever_asked_is_told_what_was_decided(console: ConsoleServer, browser: Browser) -> None:
    case_id = await complaint(console, "YD-ASKED")
    await console.do(case_id, "request_approval", "cai-4", subject="voucher", amount="150.00")
    async with open_page(browser, console, "cai-4") as page:
        told = page.locator(".decided")
        await expect(page.get_by_text("Live")).to_be_visible()
        before = await told.get_by_role("listitem").count()
        await console.do(case_id, "reject", "sue-1", subject="voucher", reason="not this time")
        await expect(told.get_by_role("listitem")).to_have_count(before + 1)
        await expect(told.get_by_role("listitem").first).to_contain_text("¥ 150.00")
        await expect(told.get_by_role("listitem").first).to_contain_text("sue-1")
        await told.get_by_role("button", name="Seen").click()
        await expect(told).to_have_count(0)
    assert (await console.services.desk.preferences("cai-4")).seen_at is not None
    async with open_page(browser, console, "sue-1") as page:
        await expect(page.locator(".decided").filter(has_text="YD-ASKED")).to_have_count(0)


@pytest.mark.parametrize(
    ("language", "granted", "refused"),
    variants(
        ("en", "form complete: leave", "not granted: superior · leave"),
        ("zh", "签署完毕: 请假单", "不予批准: 上级审批 · 请假单"),
    ),
)
async def test_whoever_filed_a_form_is_told_how_it_stands(
    console: ConsoleServer, browser: Browser, language: str, granted: str, refused: str
) -> None:
    leaves = [await console.file("leave", leave("ben-2", "agent", "east")) for _ in range(2)]
    async with open_page(browser, console, "ben-2", language=language) as page:
        told = page.locator(".decided").get_by_role("listitem")
        await expect(page.locator("#live")).to_have_attribute("data-state", "open")
        await console.do(leaves[0], "sign", "qin-1")
        await expect(told.first).to_contain_text(granted, ignore_case=True)
        await console.do(leaves[1], "refuse", "qin-1", reason="nobody else is there")
        await expect(told.first).to_contain_text(refused, ignore_case=True)
        # Said once, and not by what led to it.
        await expect(told).to_have_count(2)
        await page.locator("button[name=seen]").click()
        await expect(told).to_have_count(0)


# --- being told ---------------------------------------------------------------------------------------

WATCHED = """
window.told = []; window.tones = 0;
window.Notification = class {
  constructor(title, options) { window.told.push([title, options.body]); }
  static permission = 'default';
  static requestPermission() { this.permission = window.answers; return Promise.resolve(window.answers); }
};
document.hasFocus = () => false;
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...at) { window.tones += 1; return start.apply(this, at); };
"""


@pytest.mark.long
async def test_new_work_is_counted_announced_and_told_of(console: ConsoleServer, browser: Browser) -> None:
    await console.services.desk.prefer("ben-2", notify=False, sound=False)
    async with open_page(browser, console, "ben-2", viewport=DESK) as page:
        await page.add_init_script(WATCHED + "window.answers = 'denied';")
        await page.reload()
        await page.get_by_role("button", name="Notify me: off").click()
        await expect(page.locator("#moved")).to_contain_text("does not allow")
        await page.add_init_script("window.answers = 'granted';")
        await page.reload()
        await page.get_by_role("button", name="Sound: off").click()
        await page.get_by_role("button", name="Notify me: off").click()
        await expect(page.get_by_role("button", name="Notify me: on")).to_be_visible()
        await page.evaluate("window.Notification.permission = 'granted'")
        await expect(page.get_by_text("Live")).to_be_visible()
        count = int((re.match(r"\((\d+)\)", await page.title()) or ["", "0"])[1])
        facts = {"category": "delay", "unit": "east", "shipment": shipment("YD-NEW"), "customer": {"name": "何雨"}}
        case_id = await console.file("complaint", facts)
        await expect(page.locator("#moved")).to_have_text("1 new item needs you.")
        await expect(page).to_have_title(re.compile(rf"^\({count + 1}\) Now"))
        [[title, body]] = await page.evaluate("window.told")
        assert title == "1 new item needs you."
        assert re.fullmatch(r"Due first: [a-z ]+, [\d: -]+", body), body
        assert await page.evaluate("window.tones") == 2
        # A step that changes nothing of what needs them, and time that passes, are no news.
        await console.do(case_id, "note", "gus-1", text="seen")
        await page.evaluate("document.getElementById('moved').textContent = ''")
        await console.do(case_id, "assign", "gus-1", to={"id": "gus-1", "role": "agent"})
        await expect(page.locator("#moved")).to_have_text("1 item no longer needs you.")
        await expect(page).to_have_title(re.compile(rf"^\({count}\) Now" if count else "^Now"))
        assert len(await page.evaluate("window.told")) == 1
        await page.get_by_role("button", name="Notify me: on").click()
        await page.get_by_role("button", name="Sound: on").click()
        await expect(page.get_by_role("button", name="Sound: off")).to_be_visible()
    kept = await console.services.desk.preferences("ben-2")
    assert (kept.notify, kept.sound) == (Preferences().notify, Preferences().sound)


# The focus is in the dialog, or at the browser's own controls, which come after it.
INSIDE = "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"

# --- keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "title", "word"), variants(("en", "Keys", "take the case"), ("zh", "快捷键", "受理该行"))
)
async def test_the_list_is_worked_by_keys_alone(
    console: ConsoleServer, browser: Browser, language: str, title: str, word: str
) -> None:
    ids = [await complaint(console, f"YD-KEY-{language}-{number}") for number in range(2)]
    async with open_page(browser, console, "ann-7", language=language) as page:
        await expect(page.locator("#live")).to_have_attribute("data-state", "open")
        await page.keyboard.press("?")
        dialog = page.get_by_role("dialog", name=title)
        await expect(dialog).to_contain_text(word)
        faults = (await Axe().run(page)).response["violations"]
        assert [one["id"] for one in faults if one["impact"] in SERIOUS] == []
        for _ in range(4):
            await page.keyboard.press("Tab")
            assert await page.evaluate(INSIDE)
        await page.keyboard.press("j")
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        # With another key held, none is taken.
        await page.keyboard.press("Control+j")
        assert await page.evaluate("document.activeElement.closest('[data-line]') === null")
        lines = page.locator("li[data-line]")
        await page.keyboard.press("j")
        await expect(lines.first.get_by_role("link").first).to_be_focused()
        await page.keyboard.press("j")
        await expect(lines.nth(1).get_by_role("link").first).to_be_focused()
        await page.keyboard.press("k")
        await expect(lines.first.get_by_role("link").first).to_be_focused()
        # Chosen, and on to what can be done with what was chosen.
        box = lines.first.get_by_role("checkbox")
        for checked in (True, False):
            await page.keyboard.press("x")
            await expect(box).to_be_checked(checked=checked)
        await page.keyboard.press("m")
        await expect(page.locator("button[name=do][value=acknowledge]")).to_be_focused()
        await line(page, f"YD-KEY-{language}-0").get_by_role("link").focus()
        await page.keyboard.press("a")
        await expect(line(page, f"YD-KEY-{language}-0")).to_contain_text("ann-7")
        await expect(line(page, f"YD-KEY-{language}-0").get_by_role("link")).to_be_focused()
        await page.keyboard.press("Escape")
        assert await page.evaluate("document.activeElement === document.body")
        await line(page, f"YD-KEY-{language}-1").get_by_role("link").focus()
        await page.keyboard.press("o")
        await page.wait_for_url("**/console/case?id=*")
        assert ids[1].replace(":", "%3A") in page.url or ids[1] in page.url
        await page.keyboard.press("/")
        await page.wait_for_url("**/console/find#text")
        field = page.locator("#text")
        await expect(field).to_be_focused()
        await page.keyboard.type("a?j/o")
        await expect(field).to_have_value("a?j/o")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await page.keyboard.press("Escape")
        await page.keyboard.press("?")
        await page.get_by_role("dialog").get_by_role("button").nth(1).click()
        await expect(page.locator("body")).to_have_attribute("data-keys", "off")
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await page.locator("[data-keys-help]").click()
        await expect(page.get_by_role("dialog")).to_be_visible()
    assert len(await events(console, ids[0], "acknowledged")) == 1


@pytest.mark.long
async def test_what_has_the_keyboard_stays_in_sight_as_its_line_moves(
    console: ConsoleServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(now, "STEP", 200)
    for number in range(8):
        await complaint(console, f"YD-MOVES-{number}")
    async with open_page(browser, console, "ann-7", viewport=PHONE) as page:
        await page.goto(f"{page.url.partition('?')[0]}?sort=due")
        await expect(page.locator("#live")).to_have_attribute("data-state", "open")
        link = line(page, "YD-MOVES-0").get_by_role("link")
        await link.focus()
        await expect(link).to_be_in_viewport()
        # Taken, it is due later than the others, and goes below them.
        await page.keyboard.press("a")
        below = "[data-line]:has-text('YD-MOVES-7') ~ [data-line]:has-text('YD-MOVES-0')"
        await expect(page.locator(below)).to_have_count(1)
        await expect(link).to_be_focused()
        await expect(link).to_be_in_viewport()


@pytest.mark.long
async def test_what_was_chosen_and_the_focus_outlast_a_list_that_moves(
    console: ConsoleServer, browser: Browser
) -> None:
    for number in range(3):
        await complaint(console, f"YD-STAY-{number}")
    async with open_page(browser, console, "cai-4", viewport=PHONE) as page:
        await expect(page.locator("#live")).to_have_attribute("data-state", "open")
        await choose(page, "YD-STAY-0", "YD-STAY-2")
        box = line(page, "YD-STAY-2").get_by_role("checkbox")
        await box.focus()
        other = await complaint(console, "YD-STAY-NEW")
        await expect(line(page, "YD-STAY-NEW")).to_be_visible()
        await expect(box).to_be_focused()
        await expect(box).to_be_checked()
        await expect(line(page, "YD-STAY-0").get_by_role("checkbox")).to_be_checked()
        await expect(line(page, "YD-STAY-NEW").get_by_role("checkbox")).not_to_be_checked()
        await expect(page.get_by_text("2 chosen")).to_be_visible()
        # A line that goes leaves the focus to the one in its place.
        await line(page, "YD-STAY-NEW").get_by_role("link").focus()
        await console.do(other, "acknowledge", "ann-7")
        await expect(line(page, "YD-STAY-NEW")).to_have_count(0)
        await expect(page.locator("[data-line] :focus")).to_have_count(1)
        assert await overflow(page) <= 0
