"""What customers wrote and no case takes: put on a case, filed as a new one, or dismissed; once, by one person."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from activities.access.access_log import MESSAGE
from activities.replies.inbox import Inbox
from tests.console.page import open_page, overflow, variants
from tests.console.samples import written
from tests.console.server import ConsoleServer
from tests.temporal import eventually

WORDS = {
    "en": {
        "list": "Messages", "wait": "Messages that wait", "look": "Show (the look is recorded)", "add": "Add to it",
        "added": "The message goes to the case.", "file": "File a complaint from it",
        "faster": "Somebody else was faster",
        "dismiss": "Dismiss", "reason": "Why", "spam": "advertising or abuse", "dismissed": "The message is dismissed.",
        "say": "Say why it is dismissed.", "kept": "What you typed is kept", "new": "File the case",
    },
    "zh": {
        "list": "待处理来信", "wait": "待处理来信", "look": "显示（查看会留下记录）", "add": "转入此案",
        "added": "来信已转入该案件。", "file": "据此建投诉单", "faster": "该来信已由他人处理",
        "dismiss": "不予处理", "reason": "原因", "spam": "广告或骚扰", "dismissed": "已标记为不予处理。",
        "say": "请选择不予处理的原因。", "kept": "您填写的内容已保留", "new": "建单",
    },
}  # fmt: skip


def button(page: Page, name: str) -> Any:
    return page.get_by_role("main").get_by_role("button", name=name, exact=True)


async def state(console: ConsoleServer, number: int) -> tuple[str, str | None, str | None, str | None]:
    """What has come of a message, its case, and why it was dismissed."""
    async with console.services.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT state, outcome, case_id, reason FROM incoming_message WHERE id = $1", number
        )
    assert row is not None
    return row["state"], row["outcome"], row["case_id"], row["reason"]


@pytest.mark.parametrize("language", variants("en", "zh"))
async def test_a_message_is_looked_at_and_put_on_a_case_of_its_sender(
    console: ConsoleServer, browser: Browser, language: str
) -> None:
    words, address = WORDS[language], f"lin-{language}@example.org"
    case_id = await console.file(
        "complaint", {"category": "delay", "unit": "north", "customer": {"name": "林", "email": address.title()}}
    )
    hidden = await console.file("complaint", {"category": "delay", "unit": "east", "customer": {"email": address}})
    number = await written(console, "It is broken. " + "x" * 400 + " The end.", {"email": address})
    async with open_page(browser, console, "ann-7", language=language) as page:
        await page.get_by_role("link", name=words["wait"]).click()
        row = page.get_by_role("row").filter(has_text="It is broken.").filter(has_text="l•••@example.org")
        await row.get_by_role("link").click()
        await page.wait_for_url(f"**/console/messages/{number}")
        assert await overflow(page) <= 0
        await expect(page.locator("#sender")).to_contain_text("l•••@example.org")
        await expect(page.locator("#text")).not_to_contain_text("The end.")
        assert address not in await page.content()
        await button(page, words["look"]).click()
        await expect(page.locator("#sender")).to_contain_text(address)
        await expect(page.locator("#text")).to_contain_text("The end.")
        await page.reload()
        await expect(page.locator("#sender")).to_contain_text(address)
        looks = await console.services.access_log.looks(MESSAGE.format(number))
        assert [(one["caller"], one["masked"]) for one in looks] == [("ann-7", False)]
        assert hidden not in await page.content()
        await page.get_by_role("main").get_by_role("button", name=words["add"]).click()
        await expect(page.get_by_role("status")).to_contain_text(words["added"])
    assert await state(console, number) == ("new", "unmatched", case_id, None)
    # No worker of the tests deals with it; others would wait behind it.
    letter = await Inbox(console.services.database).take()
    assert letter is not None
    await Inbox(console.services.database).done(letter, "taken", case_id)


@pytest.mark.parametrize("language", variants("en", "zh"))
async def test_a_complaint_is_filed_from_a_message(console: ConsoleServer, browser: Browser, language: str) -> None:
    words, address = WORDS[language], f"wu-{language}@example.org"
    number = await written(console, "寄丢了", {"email": address})
    async with open_page(browser, console, "ann-7", language=language) as page:
        await page.goto(f"{console.url}/console/messages/{number}")
        await button(page, words["file"]).click()
        await page.wait_for_url("**/console/new/complaint?draft=*")
        assert [await page.locator(f"[name='{name}']").input_value() for name in ("description", "customer.email")] == [
            "寄丢了",
            address,
        ]
        # A draft that is come back to is still of the message.
        await page.reload()
        await page.locator("[name='category']").select_option("loss")
        await button(page, words["new"]).click()
        await page.wait_for_url("**/console/case?id=*filed=complaint*")
        case_id = parse_qs(urlsplit(page.url).query)["id"][0]
    assert await state(console, number) == ("handled", "filed", case_id, None)
    await eventually(lambda: console.backend.book.case(case_id), lambda found: found is not None)
    personal = await console.backend.book.personal(case_id)
    assert personal is not None
    assert personal["customer"] == {"email": address}
    opened, *rest = await console.backend.book.events(case_id)
    assert "noted" not in [one["type"] for one in rest]
    async with console.services.database.connection() as connection:
        came_at = await connection.fetchval("SELECT came_at FROM incoming_message WHERE id = $1", number)
        assert await connection.fetchval("SELECT direction FROM customer_message WHERE case_id = $1", case_id) == "in"
    assert datetime.fromisoformat(opened["at"]) == came_at.replace(microsecond=0)
    assert [one.typed for one in await console.services.drafts.of("ann-7") if "message" in one.typed] == []


@pytest.mark.long
async def test_of_two_people_the_second_is_told(console: ConsoleServer, browser: Browser) -> None:
    words = WORDS["en"]
    number = await written(console, "Buy cheap parcels!", {"phone": "13800005555"})
    async with (
        open_page(browser, console, "ann-7") as first,
        open_page(browser, console, "cai-4") as second,
        open_page(browser, console, "ben-2", errors=1) as third,
    ):
        await third.goto(f"{console.url}/console/messages/{number}")
        await button(third, words["file"]).click()
        await third.locator("[name='category']").select_option("other")
        for page in (first, second):
            await page.goto(f"{console.url}/console/messages/{number}")
        await button(first, words["dismiss"]).click()
        await expect(first.get_by_role("alert")).to_contain_text(words["say"])
        await first.get_by_label(words["reason"], exact=True).select_option(label=words["spam"])
        await button(first, words["dismiss"]).click()
        await expect(first.get_by_role("status")).to_contain_text(words["dismissed"])
        await second.get_by_label("Case (id or number)").fill("2026-01-0001")
        await second.get_by_role("main").get_by_role("button", name="Add to a case").click()
        await expect(second.get_by_role("alert")).to_contain_text(words["faster"])
        await expect(second.get_by_role("heading", level=1)).to_have_text(words["list"])
        # Whoever was filing is told before there is a second case, and may file one all the same.
        await button(third, words["new"]).click()
        await expect(third.get_by_role("alert")).to_contain_text(words["kept"])
        assert "filed=" not in third.url
        await button(third, words["new"]).click()
        await third.wait_for_url("**/console/case?id=*filed=complaint*")
    assert await state(console, number) == ("handled", "dismissed", None, "spam")


@pytest.mark.long
async def test_what_was_refused_leaves_the_message(console: ConsoleServer, browser: Browser) -> None:
    closed = await console.file("complaint", {"category": "other", "unit": "north"})
    await console.do(closed, "withdraw", "gus-1", reason="by mistake")
    number = await written(console, "Hello?", {"ref": "C-777"}, closed=closed, why="closed")
    async with open_page(browser, console, "ann-7", errors=None) as page:
        await page.goto(f"{console.url}/console/messages/{number}")
        await expect(page.get_by_role("main")).to_contain_text("It answers a closed case")
        for case, said in ((closed, "closed"), ("complaint:none", "no such case"), ("%", "no such case")):
            await page.get_by_label("Case (id or number)").fill(case)
            await page.get_by_role("button", name="Add to a case").click()
            await expect(page.get_by_role("alert")).to_contain_text(said)
        # What is filed from it springs from the closed case, and does not settle it until it is filed.
        await button(page, "File a complaint from it").click()
        assert await page.locator("[name='intake.parent']").input_value() == closed
        await page.locator("[name='description']").fill("")
        await page.locator("[name='category']").select_option("other")
        await page.locator("[name='intake.parent']").fill("complaint:nowhere at all")
        await button(page, "File the case").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        assert (await state(console, number))[0] == "open"
        await button(page, "Discard").click()
        assert (await state(console, number))[0] == "open"


@pytest.mark.long
async def test_what_is_filed_from_nothing_settles_no_message(console: ConsoleServer, browser: Browser) -> None:
    number = await written(console, "Wait for me.", {"ref": "C-778"})
    async with open_page(browser, console, "ann-7") as page:
        await page.goto(f"{console.url}/console/new/complaint")
        # Whence a form comes stands under the seal of its opening.
        await page.locator("form:has([name='description'])").evaluate(
            "(form, number) => form.insertAdjacentHTML('beforeend', `<input name='message' value='${number}'>`)", number
        )
        await page.locator("[name='category']").select_option("other")
        await button(page, "Save and look for earlier cases").click()
        await expect(page.get_by_role("main")).not_to_contain_text("Filing settles it")
        await button(page, WORDS["en"]["new"]).click()
        await page.wait_for_url("**/console/case?id=*filed=complaint*")
    assert (await state(console, number))[0] == "open"


@pytest.mark.long
async def test_a_closed_case_that_one_does_not_see_is_named_nowhere(console: ConsoleServer, browser: Browser) -> None:
    closed = await console.file("complaint", {"category": "other", "unit": "east"})
    await console.do(closed, "withdraw", "gus-1", reason="by mistake")
    number = await written(console, "Hello, east?", {"ref": "C-779"}, closed=closed, why="closed")
    async with open_page(browser, console, "ann-7") as page:
        await page.goto(f"{console.url}/console/messages/{number}")
        await button(page, WORDS["en"]["file"]).click()
        await page.wait_for_url("**/console/new/complaint?draft=*")
        assert await page.locator("[name='description']").input_value() == "Hello, east?"
        assert await page.locator("[name='intake.parent']").input_value() == ""
        assert closed not in await page.content()
    for kept in await console.services.drafts.of("ann-7"):
        await console.services.drafts.end("ann-7", kept.key, kept.kind, kept.began_at)


async def test_the_list_has_pages(console: ConsoleServer, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        await written(console, f"Page of {number}", {"ref": f"C-{number}"})
    count = await Inbox(console.services.database).count()
    monkeypatch.setattr("starter.console.messages.PAGE", count - 1)
    async with open_page(browser, console, "ann-7", errors=1) as page:
        await page.goto(f"{console.url}/console/messages")
        await expect(page.get_by_role("heading", name=f"Messages that wait: {count}")).to_be_visible()
        await expect(page.get_by_role("main")).not_to_contain_text("Page of 2")
        await page.get_by_role("link", name="Next page").click()
        await expect(page.get_by_role("main")).to_contain_text("Page of 2")
        await expect(page.get_by_role("heading", name=f"Messages that wait: {count}")).to_be_visible()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.get_by_role("link", name="First page").click()
        await expect(page.locator("tbody tr")).to_have_count(count - 1)
        await page.goto(f"{console.url}/console/messages?after=x")
        await expect(page.get_by_role("alert")).to_contain_text("after")


async def test_whoever_comes_while_somebody_settles_it_keeps_the_page(console: ConsoleServer, browser: Browser) -> None:
    number = await written(console, "In hand.", {"ref": "C-780"})
    inbox = Inbox(console.services.database)
    claimed = await inbox.claim(number)
    assert claimed is not None
    async with open_page(browser, console, "ann-7") as page:
        await page.goto(f"{console.url}/console/messages/{number}")
        for _ in range(2):
            await page.get_by_label("Why", exact=True).select_option(label=WORDS["en"]["spam"])
            await button(page, WORDS["en"]["dismiss"]).click()
            if claimed is not None:
                await expect(page.get_by_role("alert")).to_contain_text("try again soon")
                await inbox.release(claimed)
                claimed = None
        await expect(page.get_by_role("status")).to_contain_text(WORDS["en"]["dismissed"])


@pytest.mark.long
async def test_others_do_not_get_there(console: ConsoleServer, browser: Browser) -> None:
    number = await written(console, "Nobody else reads this.", {"phone": "13800006666"})
    for person in ("ada-1", "fay-1", "pam-1"):
        async with open_page(browser, console, person, errors=None) as page:
            await expect(page.get_by_role("link", name="Messages")).to_have_count(0)
            for path in ("/console/messages", f"/console/messages/{number}"):
                answer = await page.goto(f"{console.url}{path}")
                assert answer is not None
                assert answer.status == 403
    async with open_page(browser, console, "qin-1", errors=None) as page:
        for wrong in ("999999", "9" * 30, "x"):
            answer = await page.goto(f"{console.url}/console/messages/{wrong}")
            assert answer is not None
            assert answer.status in (200, 404)
            assert "13800006666" not in await page.content()
