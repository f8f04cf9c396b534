"""A working day of a customer-service agent: complaints and a claim by phone and by mail, by the keyboard alone.

What it takes is counted, in clicks and field entries, for each part of the day.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import make_msgid
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.console.conftest import console_with_mail
from tests.console.days.desk import DAYS, types_of
from tests.console.hands import Hands
from tests.console.page import open_page
from tests.console.samples import shipment
from tests.console.server import ConsoleServer
from tests.console.test_filing import POSTED, SIZES, case_of
from tests.console.test_now import line
from tests.notifications import MailServer
from tests.temporal import eventually
from tests.workflows.test_incoming import answering

pytestmark = [pytest.mark.long, DAYS]

Json = dict[str, Any]
ZONE = ZoneInfo("Asia/Shanghai")
# What the pages say, of which the tests look for the same in both languages.
SAYS = {
    "en": {
        "filed": "The case is filed", "duplicates": "Open cases of the same matter: 1", "nothing_near": "None found",
        "interim": "interim", "sent": "The reply is being sent", "wrote": "The customer wrote back",
        "came": "Customers wrote back: 1", "paused": "Deadlines stand still", "on_offer": "on offer now",
        "accepted": "accepted", "assessed": "¥ 108.00", "linked": "linked", "closed": "The case is closed",
        "taken": "taken up", "asked": "Where is it now?", "answered": "It comes tomorrow, before noon.",
        "tomorrow": "tomorrow",
    },
    "zh": {
        "filed": "已建单", "duplicates": "同一件事的未结案件：1", "nothing_near": "没有找到",
        "interim": "初步", "sent": "回复正在发送", "wrote": "客户来信了", "came": "1 件案件收到客户来信",
        "paused": "计时暂停", "on_offer": "当前方案", "accepted": "已接受", "assessed": "108.00", "linked": "关联",
        "closed": "案件已结案", "taken": "已受理", "asked": "现在到哪里了？", "answered": "明天中午前送达。",
        "tomorrow": "明天",
    },
}  # fmt: skip
# How many places further down something stands in a list than what has the keyboard; where the list has just moved
# and it is not there, one further.
_numbers = count(1)


@pytest.fixture(scope="module")
def server() -> MailServer:
    """A mail server of this machine."""
    return MailServer()


@pytest.fixture(scope="module")
async def console(server: MailServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConsoleServer]:
    """A console whose mails go to the server."""
    async with console_with_mail(tmp_path_factory, server) as made:
        yield made


class Agent(Hands):
    """The agent of the north: what she does on the pages of the console.

    Args:
        language: of the pages.
    """

    def __init__(self, page: Page, language: str) -> None:
        super().__init__(page)
        self.language, self.says = language, SAYS[language]

    async def tick(self, name: str, value: str) -> None:
        """Choose among the few of a name; counts as one."""
        one = self.page.locator(f"input[name='{name}'][value='{value}']")
        await self.at(name)
        # None is chosen yet: the space bar takes the one that the keyboard is at, the arrows go on.
        await self.page.keyboard.press("Space")
        for _ in range(await self.page.locator(f"input[name='{name}']").count()):
            if await one.is_checked():
                break
            await self.page.keyboard.press("ArrowDown")
        await expect(one).to_be_checked()
        self.count += 1

    async def instant(self, name: str, at: datetime) -> None:
        """Type an instant into the browser's own field for one; counts as one."""
        await self.at(name)
        await self.page.keyboard.type(f"{at:%m%d%Y}")
        await self.page.keyboard.press("ArrowRight")
        await self.page.keyboard.type(f"{at:%I%M%S%p}")
        await expect(self.page.locator(f"[name='{name}']")).to_have_value(re.compile(f"{at:%Y-%m-%dT%H:%M}"))
        self.count += 1

    async def into(self, command: str) -> None:
        """Open the form of a command: by its button, or out of the menu, which is one more."""
        link = self.page.locator(f"#doing a[href$='do={command}']")
        await expect(link).to_be_attached()
        if not await link.is_visible():
            await self.click(self.page.locator("#more-actions summary"))
            await expect(link).to_be_visible()
            await self.well()
        # What may be done is reached by `j` and `k`, wherever on the page the keyboard was.
        await self.at_line(link, among="#doing a[href]:visible")
        await self.in_sight()
        await self.press("Enter")
        await self.page.wait_for_url(f"**do={command}*")
        # Whoever opened it types at once.
        await expect(self.page.locator("main form[data-send] :focus")).to_have_count(1)
        await self.well()

    async def send(self, command: str) -> None:
        """Send the form of a command, and see that it is done; counts as one."""
        await self.press("Control+Enter")
        await self.page.wait_for_url(f"**done={command}*")
        await expect(self.page.locator("#message.good")).to_be_visible()

    async def take_up(self) -> None:
        """Take up the case of the page: `a` and Enter."""
        await self.press("a")
        await self.page.wait_for_url("**do=acknowledge*")
        await expect(self.page.locator("main form[data-send] button:focus")).to_have_count(1)
        await self.well()
        await self.press("Enter")
        await self.page.wait_for_url("**done=acknowledge*")
        await expect(self.page.locator("#holder")).to_contain_text("ann-7")

    async def open_line(self, waybill: str) -> None:
        """On Now, go to the line of a parcel and open it by `o`; counts as one."""
        await self.at_line(line(self.page, waybill))
        await self.press("o")
        await self.page.wait_for_url("**/console/case?id=*")


@asynccontextmanager
async def at_work(console: ConsoleServer, browser: Browser, language: str, size: str) -> AsyncIterator[Agent]:
    """Log the agent in; she is on the page Now then, which moves before her eyes."""
    async with open_page(browser, console, "ann-7", language=language, viewport=SIZES[size]) as page:
        await expect(page.locator("#live")).to_have_attribute("data-state", "open")
        yield Agent(page, language)


def parcel() -> str:
    """Make a waybill of its own."""
    return f"SF-DAY-{next(_numbers):04}"


def caller() -> Json:
    """Make a customer who has never called."""
    number = next(_numbers)
    return {"name": "林小满", "phone": f"1390000{number:04}", "email": f"lin{number}@example.org"}


async def last(console: ConsoleServer, case_id: str, type_: str) -> Json:
    """Wait until a case has an event of a type, and return the data of the last one."""
    found = await eventually(
        lambda: console.backend.book.events(case_id), lambda events: any(one["type"] == type_ for one in events)
    )
    data: Json = [one for one in found if one["type"] == type_][-1]["data"]
    return data


async def clocks(console: ConsoleServer, case_id: str) -> dict[str, str]:
    """How each deadline of a case stands, by its name."""
    view = await console.backend.book.case(case_id)
    assert view is not None
    return {clock["clock"]: clock["state"] for clock in view["clocks"]}


async def late_parcel(console: ConsoleServer, customer: Json, waybill: str, taken: bool = True) -> str:
    """File a complaint about a late parcel, which the agent has taken up."""
    facts = {"category": "delay", "unit": "north", "shipment": shipment(waybill), "customer": customer}
    case_id = await console.file("complaint", facts)
    if taken:
        await console.do(case_id, "acknowledge", "ann-7")
    return case_id


# --- on the phone -----------------------------------------------------------------------------------


async def test_an_ordinary_complaint_from_the_call_to_its_end(
    console: ConsoleServer, browser: Browser, language: str, size: str
) -> None:
    customer, waybill = caller(), parcel()
    async with at_work(console, browser, language, size) as hands:
        page = hands.page
        await hands.well()
        await hands.go("/console/new")
        await expect(page.locator("[name='customer.name']")).to_be_focused()
        await hands.enter("customer.name", customer["name"])
        await hands.enter("customer.phone", customer["phone"])
        await hands.enter("shipment.waybill", waybill)
        await hands.enter("shipment.posted_on", f"{POSTED:%m%d%Y}")
        await hands.pick("category", "delay")
        await hands.enter("description", "三天没有动静")
        # What there is already has been looked for.
        await page.wait_for_url(re.compile("draft="))
        await expect(page.locator("#found")).to_contain_text(hands.says["nothing_near"])
        await hands.well()
        await hands.press("Control+Enter")
        await page.wait_for_url("**/console/case?id=*filed=complaint*")
        await expect(page.locator("#message.good")).to_contain_text(hands.says["filed"])
        # The link to the page, six fields, Ctrl+Enter.
        filed = hands.count
        assert filed == 8
        case_id = case_of(page)
        await hands.well()

        # What is likely next has the keyboard.
        await expect(page.locator("#doing a.main")).to_be_focused()
        await hands.take_up()
        # The key and the button.
        assert hands.count - filed == 2
        taken = hands.count
        assert (await last(console, case_id, "acknowledged")) is not None

        # The depot says where it is, and the customer, who waits on the phone, hears of it.
        await expect(page.locator("#doing a.main[href$='do=reply']")).to_be_focused()
        await hands.into("reply")
        await hands.pick("stage", "answer")
        await hands.enter("text", hands.says["answered"])
        await hands.send("reply")
        # Open, stage, text, send.
        assert hands.count - taken == 4
        replied = hands.count
        assert (await last(console, case_id, "replied"))["via"] == "phone"
        await expect(page.locator(".history li.replied")).to_contain_text(hands.says["answered"])
        states = await clocks(console, case_id)
        assert (states["interim_reply"], states["answer"]) == ("met", "met")

        await hands.into("resolve")
        await hands.enter("summary", "找到并送达")
        await hands.send("resolve")
        # Open, what was done, send.
        assert hands.count - replied == 3
        resolved = hands.count
        await expect(page.locator(".history li.resolved")).to_contain_text("找到并送达")

        await hands.into("follow_up")
        await hands.tick("satisfied", "true")
        await hands.send("follow_up")
        # Open, yes, send.
        assert hands.count - resolved == 3
        followed_up = hands.count

        await hands.into("close")
        await hands.send("close")
        # The menu, open, send: nobody ends a case by the way.
        assert hands.count - followed_up == 3
        await expect(page.locator("#next")).to_contain_text(hands.says["closed"])
        await hands.well()
        # Before there was this console: 35.
        assert hands.count == 8 + 2 + 4 + 3 + 3 + 3 == 23
    view = await eventually(lambda: console.backend.book.case(case_id), lambda seen: (seen or {})["status"] == "closed")
    assert view is not None
    assert (view["outcome"], view["breached"]) == ("resolved", [])
    done = await types_of(console, case_id)
    order = ["case_opened", "acknowledged", "replied", "resolved", "followed_up", "closed"]
    assert [one for one in done if one in order] == order
    assert {one["actor"]["id"] for one in await console.backend.book.events(case_id) if one["type"] in order} == {
        "ann-7"
    }


async def test_who_calls_again_is_found_and_what_they_say_is_added(
    console: ConsoleServer, browser: Browser, language: str, size: str
) -> None:
    customer, waybill = caller(), parcel()
    case_id = await late_parcel(console, customer, waybill)
    async with at_work(console, browser, language, size) as hands:
        page = hands.page
        await hands.go("/console/new")
        await expect(page.locator("[name='customer.name']")).to_be_focused()
        await hands.enter("shipment.waybill", waybill.lower())
        await expect(page.locator("#near-line")).to_contain_text(hands.says["duplicates"])
        looked = asyncio.Event()

        async def late(route: Route) -> None:
            await looked.wait()
            await route.continue_()

        await page.route("**/console/new/complaint/check", late)
        await hands.enter("description", "第二次来电，要求主管回电")
        add = page.locator(f"li.duplicate button[name=add][value='{case_id}']")
        await hands.to(add)
        # What was typed last is looked for meanwhile, and takes the button from nobody.
        before = await add.element_handle()
        looked.set()
        await page.wait_for_function("one => !one.isConnected", arg=before)
        await expect(add).to_be_focused()
        await hands.well()
        await expect(add).to_be_focused()
        await hands.press("Enter")
        await page.wait_for_url("**/console/case?id=*done=note*")
        # The link to the page, the waybill, what they say, the button.
        assert hands.count == 4
        assert case_of(page) == case_id
        await expect(page.locator(".history li.noted")).to_contain_text("第二次来电，要求主管回电")
        await hands.well()
    [noted] = [one for one in await console.services.casebook.events(case_id) if one["type"] == "noted"]
    assert noted["actor"]["id"] == "ann-7"
    assert "第二次来电，要求主管回电" in noted["data"]["text"]
    assert await console.services.drafts.of("ann-7") == []


async def test_another_customer_of_the_same_parcel_has_a_case_that_is_linked(
    console: ConsoleServer, browser: Browser, language: str, size: str
) -> None:
    waybill, other = parcel(), caller()
    first = await late_parcel(console, caller(), waybill)
    async with at_work(console, browser, language, size) as hands:
        page = hands.page
        await hands.go("/console/new")
        await expect(page.locator("[name='customer.name']")).to_be_focused()
        await hands.enter("customer.name", "收件人")
        await hands.enter("customer.phone", other["phone"])
        await hands.enter("shipment.waybill", waybill)
        await hands.enter("shipment.posted_on", f"{POSTED:%m%d%Y}")
        await hands.pick("category", "delay")
        await hands.enter("description", "我是收件人，也没有收到")
        link = page.locator(f"li.duplicate button[name=link][value='{first}']")
        await expect(link).to_be_visible()
        await hands.click(link)
        await page.wait_for_url("**/console/case?id=*filed=complaint*")
        # The link to the page, six fields, the button: no more than a case that is linked to nothing.
        assert hands.count == 8
        second = case_of(page)
        assert second != first
        await expect(page.locator("#message")).to_contain_text(hands.says["filed"])
        await expect(page.locator("#message.good")).to_be_visible()
        number = (await console.backend.book.case(first) or {})["number"]
        linked = page.locator("section[aria-labelledby=h-linked] li").filter(has_text=number)
        await expect(linked).to_contain_text(hands.says["linked"])
        await hands.well()
        # There it is seen too.
        await hands.click(linked.get_by_role("link"))
        await page.wait_for_url(lambda url: first in url.replace("%3A", ":"))
        own = (await console.backend.book.case(second) or {})["number"]
        await expect(page.locator("section[aria-labelledby=h-linked] li").filter(has_text=own)).to_contain_text(
            hands.says["linked"]
        )
        assert hands.count == 9
    # One of the two records the tie, and both show it.
    assert (await last(console, second, "linked"))["case"] == first
    personal = await console.backend.book.personal(second)
    assert personal is not None
    assert personal["customer"] == {"name": "收件人", "phone": other["phone"]}
    assert await console.services.drafts.of("ann-7") == []


# --- in writing -------------------------------------------------------------------------------------


def answer_to(mail: EmailMessage, text: str) -> bytes:
    """Write a mail as of somebody who begins a new one and leaves nothing of ours but the reference in its subject."""
    answer = EmailMessage(policy=SMTP)
    answer["From"], answer["To"] = mail["To"], mail["Reply-To"]
    answer["Subject"] = f"Re: {mail['Subject']}"
    answer["Message-ID"] = make_msgid(domain="example.org")
    quoted = "\n".join(f"> {one}" for one in mail.get_content().splitlines())
    answer.set_content(f"{text}\n\nOn Tue, Mar 10, 2026 at 9:10 AM caseladder <{mail['Reply-To']}> wrote:\n{quoted}\n")
    return answer.as_bytes()


async def bring(console: ConsoleServer, raw: bytes) -> None:
    """Hand in a mail at the door for messages, as a mail server does."""
    _, key = await console.services.keys.create(f"mail-server-{next(_numbers)}", "system", ["file"])
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "message/rfc822"}
    async with httpx.AsyncClient(base_url=console.url, trust_env=False, timeout=30) as http:
        answer = await http.post("/api/v1/messages", headers=headers, content=raw)
    assert (answer.status_code, answer.json()) == (200, {"state": "waits"})


async def received(server: MailServer, address: str, many: int = 1) -> EmailMessage:
    """Wait until the mail server has taken so many mails for an address, and return the last."""

    async def mails() -> list[EmailMessage]:
        return [mail for to, mail in server.mails if to == address]

    return (await eventually(mails, lambda found: len(found) == many))[-1]


async def test_a_reply_and_a_promise_go_out_by_mail_and_the_customer_writes_back(
    console: ConsoleServer, browser: Browser, server: MailServer, language: str, size: str
) -> None:
    customer, waybill = {**caller(), "language": language}, parcel()
    case_id = await late_parcel(console, customer, waybill, taken=False)
    number = (await console.backend.book.case(case_id) or {})["number"]
    due = (datetime.now(ZONE) + timedelta(hours=3)).replace(second=0, microsecond=0)
    async with answering(console.backend), at_work(console, browser, language, size) as hands:
        page = hands.page
        # Taken up where it stands, by a key; then to its page.
        await hands.at_line(line(page, waybill))
        await hands.press("a")
        await expect(line(page, waybill)).to_contain_text("ann-7")
        await hands.open_line(waybill)
        assert hands.count == 2

        # An interim word, with the promise of the next one, from a text that there is.
        await hands.into("reply")
        await hands.instant("reply_by", due)
        await hands.pick("begin", f"{language}/delay.interim.looking")
        await expect(page.locator("[name=stage]")).to_have_value("interim")
        await hands.well()
        await hands.send("reply")
        # Open, when, which text, send.
        assert hands.count == 2 + 4
        await expect(page.locator(".history li.replied")).to_be_visible()
        await expect(page.locator(".history li.promised")).to_be_visible()
        mail = await received(server, customer["email"])
        assert mail["Reply-To"] == "answers@example.com"
        assert number in mail["Subject"]
        text = mail.get_content()
        assert waybill in text
        assert f"{due:%H:%M}" in text
        assert "____" not in text
        assert (await last(console, case_id, "promised"))["reply_by"] == due.isoformat()
        states = await clocks(console, case_id)
        assert (states["interim_reply"], states["promise:1"]) == ("met", "running")
        sending = await last(console, case_id, "reply_sending")
        assert (sending["via"], sending["stage"]) == ("mail", "interim")

        # Back on Now she sees that the customer has written, without looking for it.
        await hands.go("/console/")
        assert hands.count == 7
        await expect(page.locator("#live")).to_have_attribute("data-state", "open")
        await expect(line(page, waybill)).to_be_visible()
        await expect(line(page, waybill).locator(".chip.ask")).to_have_count(0)
        await bring(console, answer_to(mail, hands.says["asked"]))
        await expect(line(page, waybill).locator(".chip.ask")).to_be_visible()
        await expect(page.locator("#moved")).to_contain_text(hands.says["came"])
        await hands.well()
        await hands.open_line(waybill)
        assert hands.count == 8
        wrote = page.locator(".history li.customer_wrote")
        await expect(wrote).to_contain_text(hands.says["wrote"])
        await expect(wrote.locator(".quote")).to_have_text(hands.says["asked"])
        data = await last(console, case_id, "customer_wrote")
        assert (data["via"], data["known"]) == ("mail", True)
        # The holder is told by mail too.
        told = await eventually(
            lambda: console.backend.book.events(case_id),
            lambda events: any(one["data"].get("notice") == "customer_wrote" for one in events),
        )
        [notice] = [one["data"] for one in told if one["data"].get("notice") == "customer_wrote"]
        assert (notice["roles"], notice["outcome"]) == (["agent"], "sent")

        # The answer: a text with one blank, which the keyboard is at.
        await hands.into("reply")
        await hands.pick("begin", f"{language}/delay.answer.underway")
        await hands.enter("text", hands.says["tomorrow"])
        await expect(page.locator("[name=text]")).to_have_value(re.compile(hands.says["tomorrow"]))
        await hands.send("reply")
        # Open, which text, the blank, send.
        assert hands.count == 8 + 4
        answer = await received(server, customer["email"], 2)
        assert hands.says["tomorrow"] in answer.get_content()
        assert "____" not in answer.get_content()
        assert mail["Message-ID"] in answer["References"]
        await expect(page.locator(".history li.replied")).to_have_count(2)
        states = await clocks(console, case_id)
        assert (states["answer"], states["promise:1"]) == ("met", "met")
        await hands.go("/console/")
        await expect(line(page, waybill)).to_be_visible()
        await expect(line(page, waybill).locator(".chip.ask")).to_have_count(0)
    # Nothing of the customer stands in the record.
    recorded = str(await console.backend.book.events(case_id))
    assert not any(part in recorded for part in (customer["email"], customer["phone"], customer["name"]))


# --- what holds a case up ---------------------------------------------------------------------------


async def test_deadlines_stand_still_while_the_customer_cannot_be_reached(
    console: ConsoleServer, browser: Browser, language: str, size: str
) -> None:
    waybill = parcel()
    case_id = await late_parcel(console, caller(), waybill)
    async with at_work(console, browser, language, size) as hands:
        page = hands.page
        await hands.open_line(waybill)
        await hands.into("log_contact")
        await hands.tick("reached", "false")
        await hands.pick("channel", "phone")
        await hands.enter("reason", "无人接听")
        await hands.send("log_contact")
        # Open the case, the menu, the form; not reached, how, why; send.
        assert hands.count == 7
        await expect(page.locator(".history li.contact_attempted")).to_contain_text("无人接听")
        await expect(page.locator("#h-clocks ~ .clock .state.paused")).to_have_count(2)
        await hands.well()
        paused = await clocks(console, case_id)
        assert (paused["answer"], paused["resolution"], paused["legal_limit"]) == ("paused", "paused", "running")
        # The customer calls back.
        await hands.into("log_contact")
        await hands.tick("reached", "true")
        await hands.send("log_contact")
        # The menu, the form, reached, send.
        assert hands.count == 7 + 4
        await expect(page.locator(".state.paused")).to_have_count(0)
        await expect(page.locator(".history li.contact_attempted")).to_have_count(2)
    resumed = await clocks(console, case_id)
    assert (resumed["answer"], resumed["resolution"]) == ("running", "running")
    done = await types_of(console, case_id)
    # Both at once.
    assert (done.count("clock_paused"), done.count("clock_resumed")) == (1, 1)


async def test_solutions_are_offered_one_at_a_time(
    console: ConsoleServer, browser: Browser, language: str, size: str
) -> None:
    waybill = parcel()
    case_id = await late_parcel(console, caller(), waybill)
    async with at_work(console, browser, language, size) as hands:
        page = hands.page
        await hands.open_line(waybill)
        await hands.into("propose")
        await hands.at("options")
        for number, option in enumerate(("退还运费", "赠送优惠券", "书面道歉")):
            await (page.keyboard.press("Enter") if number else page.keyboard.press("Home"))
            await page.keyboard.type(option)
        hands.count += 1
        await hands.send("propose")
        # Open the case, the form; the solutions, send.
        assert hands.count == 4
        offers = page.locator("section[aria-labelledby=h-options] li")
        await expect(offers).to_have_count(3)
        await expect(offers.nth(0)).to_contain_text(hands.says["on_offer"])
        await hands.well()
        # What waits for the customer is not settled.
        await expect(page.locator("#doing a[href$='do=resolve']")).to_have_count(0)

        await hands.into("answer_option")
        await hands.tick("accepted", "false")
        await hands.send("answer_option")
        assert hands.count == 4 + 3
        await expect(offers.nth(1)).to_contain_text(hands.says["on_offer"])
        await hands.into("answer_option")
        await hands.tick("accepted", "true")
        await hands.send("answer_option")
        assert hands.count == 4 + 3 + 3
        await expect(offers.nth(1)).to_contain_text(hands.says["accepted"])
        await hands.well()
        # Who has chosen is asked again before the case is closed.
        await hands.into("resolve")
        await hands.send("resolve")
        await expect(page.locator("#doing a[href$='do=close']")).to_have_count(0)
        await hands.into("follow_up")
        await hands.tick("satisfied", "true")
        await hands.send("follow_up")
        await hands.into("close")
        await hands.send("close")
        # Resolve 2, follow up 3, close 3.
        assert hands.count == 10 + 2 + 3 + 3
    answered = [
        one["data"] for one in await console.services.casebook.events(case_id) if one["type"] == "option_answered"
    ]
    assert [one["accepted"] for one in answered] == [False, True]
    proposed = await last_said(console, case_id, "proposed")
    assert proposed["options"] == ["退还运费", "赠送优惠券", "书面道歉"]
    view = await eventually(lambda: console.backend.book.case(case_id), lambda seen: (seen or {})["status"] == "closed")
    assert view is not None
    assert view["outcome"] == "resolved"


async def last_said(console: ConsoleServer, case_id: str, type_: str) -> Json:
    """Return the data of the last event of a type with its texts."""
    found = [one["data"] for one in await console.services.casebook.events(case_id) if one["type"] == type_]
    data: Json = found[-1]
    return data


# --- money ------------------------------------------------------------------------------------------


async def test_a_claim_is_filed_taken_up_answered_and_assessed(
    console: ConsoleServer, browser: Browser, language: str, size: str
) -> None:
    customer, waybill = caller(), parcel()
    async with at_work(console, browser, language, size) as hands:
        page = hands.page
        await hands.go("/console/new")
        await hands.click(page.locator(".head nav a[href='/console/new/claim']"))
        await page.wait_for_url("**/console/new/claim")
        await expect(page.locator("[name='customer.name']")).to_be_focused()
        await hands.enter("customer.name", customer["name"])
        await hands.enter("customer.phone", customer["phone"])
        # Where the letter goes to.
        await hands.enter("customer.email", customer["email"])
        await hands.enter("shipment.waybill", waybill)
        await hands.enter("shipment.posted_on", f"{POSTED:%m%d%Y}")
        await hands.pick("factor", "loss")
        await hands.pick("claimant.relation", "sender")
        await hands.enter("description", "包裹丢失")
        await hands.click(page.locator("#more > summary"))
        await hands.enter("shipment.base_freight", "18")
        await hands.enter("shipment.weight_kg", "1.2")
        await page.wait_for_url(re.compile("draft="))
        await hands.well()
        await hands.press("Control+Enter")
        await page.wait_for_url("**/console/case?id=*filed=claim*")
        # Two links, eight fields, what is folded away and two fields there, Ctrl+Enter.
        filed = hands.count
        assert filed == 2 + 8 + 3 + 1
        case_id = case_of(page)
        await hands.well()
        await hands.take_up()
        assert hands.count == filed + 2
        await hands.into("answer_claim")
        await hands.send("answer_claim")
        # Open, send: the limit is reckoned.
        assert hands.count == filed + 2 + 2
        limit = (await last(console, case_id, "claim_answered"))["limit_due"]
        await expect(page.locator(".history li.claim_answered")).to_be_visible()
        await hands.into("assess")
        await hands.pick("cause", "company")
        await hands.send("assess")
        # Open, the cause, send.
        assert hands.count == filed + 2 + 2 + 3
        money = page.locator("section[aria-labelledby=h-money]")
        await expect(money).to_contain_text(hands.says["assessed"])
        await expect(money.locator("tbody tr")).to_have_count(3)
        await hands.well()
    assessed = await last(console, case_id, "assessed")
    assert (assessed["total"], assessed["found"]) == ("108.00", {"cause": "company"})
    states = await clocks(console, case_id)
    assert (states["rung"], states["claim_answer"], states["proposal"]) == ("met", "met", "running")
    view = await console.backend.book.case(case_id)
    assert view is not None
    assert (view["holder"], view["limit_due"]) == ("ann-7", limit)
    personal = await console.backend.book.personal(case_id)
    assert personal is not None
    assert personal["customer"] == customer
    assert datetime.fromisoformat(limit) > datetime.now(UTC) + timedelta(days=29)
