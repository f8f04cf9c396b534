"""Replies go out to customers by real mail and HTTP servers: at least once, under one id, and known afterwards."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.casebook.errors import Recovering, Superseded
from activities.messages import CallOrder
from activities.notify.channels import SettingError
from activities.notify.channels.maildir import remove
from activities.notify.recipients import stable_id
from activities.replies.send import ReplySender
from activities.replies.templates import ReplyTemplates
from activities.replies.ways import Ways, build_ways
from activities.signatures import BadSignature, read_secret, verify
from cases.mechanisms.replies import TRIED_FOR
from tests.activities.ledger import CASE, RUN, batch, event
from tests.casebook import Book
from tests.notifications import NOW, HookServer, MailServer

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
TEXT = "Your parcel was found.\nIt comes today.\n\n王小明您好"
CUSTOMER = {"name": "Wang Xiaoming", "phone": "13800000000", "email": "wang@example.org", "ref": "VIP-1"}


class Sender:
    """Runs the activity as a worker would: each attempt reads the heartbeat of the one before."""

    def __init__(self, book: Book, ways: Ways) -> None:
        self.sender = ReplySender(book.database, ways, ReplyTemplates())
        self.heartbeats: list[Any] = []

    async def send(self, via: str = "mail", seq: int = 2, run: str = RUN, late: float = 0) -> dict[str, str]:
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(
            environment.info,
            heartbeat_details=self.heartbeats[-1:],
            scheduled_time=NOW,
            schedule_to_close_timeout=TRIED_FOR,
            started_time=NOW + timedelta(seconds=late),
        )
        environment.on_heartbeat = lambda *details: self.heartbeats.extend(details)
        return await environment.run(self.sender.send_reply, CallOrder(CASE, {"via": via}, seq, "", "", run))

    async def delayed(self, via: str = "mail", late: float = 0) -> ApplicationError:
        with pytest.raises(ApplicationError) as caught:
            await self.send(via, late=late)
        assert (caught.value.type, caught.value.non_retryable) == ("ReplyDelayed", False)
        return caught.value


async def ask(book: Book, customer: Mapping[str, Any] = CUSTOMER, *texts: str) -> None:
    """Record a case of which somebody has had replies sent, event 2 and those that follow."""
    first = dataclasses.replace(batch(1, 1), personal={"customer": dict(customer)})
    await book.record(first)
    for seq, text in enumerate(texts or (TEXT,), 2):
        asked = event(seq, "reply_sending", stage="interim", via="mail", text=text)
        await book.record(dataclasses.replace(batch(seq, seq), events=[asked]))


async def known(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch("SELECT message_id, case_id, direction FROM customer_message ORDER BY at")
    assert all((row["case_id"], row["direction"]) == (CASE, "out") for row in rows)
    return [row["message_id"] for row in rows]


def by_mail(server: MailServer, **more: Any) -> Ways:
    return build_ways(f"smtp://127.0.0.1:{server.port}", "service@example.com", **more)


def text_of(mail: EmailMessage) -> str:
    return str(mail.get_content()).replace("\r\n", "\n")


async def test_a_mail_is_a_letter_of_a_person_that_can_be_answered(book: Book, superuser: asyncpg.Connection) -> None:
    await ask(book)
    server = MailServer()
    async with server.up():
        assert await Sender(book, by_mail(server, reply_to="answers@example.com")).send() == {}
    [(address, mail)] = server.mails
    assert (address, mail["To"], mail["Reply-To"]) == ("wang@example.org", "wang@example.org", "answers@example.com")
    number = (await book.case(CASE) or {})["number"]
    assert mail["Subject"] == f"[投诉 {number}] 关于您反映的事项"
    assert text_of(mail).startswith(TEXT)
    assert "保留主题中的编号" in text_of(mail)
    assert mail["Auto-Submitted"] is None
    assert mail["X-Caseladder-Case"] == stable_id(CASE)
    assert await known(superuser) == [str(mail["Message-ID"]).strip("<>")]
    # What knows the case by its headers knows nobody.
    assert not any(part in str(mail.items()) for part in ("Wang", "1380", "VIP", "C-1", "agent-7"))


async def test_the_letters_of_a_case_are_one_thread(book: Book, superuser: asyncpg.Connection) -> None:
    await ask(book, CUSTOMER, "First.", "Second.")
    server = MailServer()
    async with server.up():
        sender = Sender(book, by_mail(server))
        await sender.send(seq=2)
        sender.heartbeats.clear()
        await superuser.execute(
            "INSERT INTO customer_message (message_id, case_id, direction) VALUES ('x1@their.example', $1, 'in')", CASE
        )
        await sender.send(seq=3)
    first, second = (mail for _, mail in server.mails)
    assert str(first["References"]) == f"<{stable_id(CASE)}@caseladder>"
    assert first["In-Reply-To"] is None
    assert str(second["In-Reply-To"]) == "<x1@their.example>"
    assert str(second["References"]).split() == [first["References"], first["Message-ID"], "<x1@their.example>"]
    assert first["Reply-To"] is None
    assert "保留主题" not in text_of(first)


async def test_it_is_written_in_the_language_of_the_customer(book: Book) -> None:
    await ask(book, {**CUSTOMER, "language": "en"})
    server = MailServer()
    async with server.up():
        await Sender(book, by_mail(server)).send()
    [(_, mail)] = server.mails
    assert str(mail["Subject"]).startswith("[complaint ")


@pytest.mark.parametrize("customer", [{"name": "Wang"}, {"email": "a@b.c, d@e.f"}, {"email": "a@b.c\r\nBcc: d@e.f"}])
async def test_without_an_address_nothing_goes_out(book: Book, customer: dict[str, str]) -> None:
    await ask(book, customer)
    server = MailServer()
    async with server.up():
        assert await Sender(book, by_mail(server)).send() == {"failed": "no_address"}
    assert server.connections == 0


async def test_a_way_that_is_not_set_up_fails(book: Book) -> None:
    await ask(book)
    sender = Sender(book, build_ways(None, "service@example.com"))
    assert [await sender.send(via) for via in ("mail", "message")] == [{"failed": "not_set_up"}] * 2


async def test_what_a_server_refuses_for_good_is_not_tried_again(book: Book, superuser: asyncpg.Connection) -> None:
    await ask(book)
    server = MailServer()
    server.answers["wang@example.org"] = "550 5.1.1 no such user wang@example.org"
    async with server.up():
        assert await Sender(book, by_mail(server)).send() == {"failed": "refused"}
    assert await known(superuser) == []


async def test_what_a_server_does_not_take_now_is_tried_for_a_limited_time(
    book: Book, superuser: asyncpg.Connection
) -> None:
    await ask(book)
    server = MailServer()
    sender = Sender(book, by_mail(server))
    first = await sender.delayed()
    assert first.next_retry_delay is not None
    assert first.next_retry_delay >= timedelta(seconds=2)
    server.answers["wang@example.org"] = "451 4.7.1 wang@example.org is greylisted"
    async with server.up():
        assert str(await sender.delayed(late=300)) == "ReplyDelayed: SMTP 451 4.7.1"
        late = (TRIED_FOR - timedelta(minutes=2)).total_seconds()
        assert await sender.send(late=late) == {"failed": "unavailable"}
        server.answers.clear()
        assert await sender.send(late=late) == {}
    assert len(await known(superuser)) == len(server.mails) == 1


async def test_a_repeat_has_the_same_id(book: Book, superuser: asyncpg.Connection) -> None:
    await ask(book)
    server = MailServer()
    async with server.up():
        # Two workers that know nothing of each other: the first one died before it could say so.
        await Sender(book, by_mail(server)).send()
        await superuser.execute("DELETE FROM customer_message")
        await Sender(book, by_mail(server)).send()
    first, second = (mail["Message-ID"] for _, mail in server.mails)
    assert first == second
    assert len(await known(superuser)) == 1


async def test_what_was_recorded_is_not_sent_again(book: Book, superuser: asyncpg.Connection) -> None:
    await ask(book)
    server = MailServer()
    async with server.up():
        sender = Sender(book, by_mail(server))
        await sender.send()
        # By the table, and by the heartbeat where the casebook was away just then.
        assert await Sender(book, by_mail(server)).send() == {}
        await superuser.execute("DELETE FROM customer_message")
        assert await sender.send() == {}
    assert len(server.mails) == len(await known(superuser)) == 1


async def test_only_what_the_record_asks_for_is_sent(book: Book, superuser: asyncpg.Connection) -> None:
    await ask(book)
    server = MailServer()
    async with server.up():
        sender = Sender(book, by_mail(server))
        with pytest.raises(ApplicationError, match="seq 9 is not recorded yet"):
            await sender.send(seq=9)
        with pytest.raises(Superseded):
            await sender.send(run="another")
        await superuser.execute("INSERT INTO casebook_recovery DEFAULT VALUES")
        with pytest.raises(Recovering):
            await sender.send()
    assert server.mails == []


async def test_a_mail_in_a_folder_goes_when_the_case_is_erased(book: Book, tmp_path: Path) -> None:
    await ask(book, CUSTOMER, "First.", "Second.")
    sender = Sender(book, build_ways(f"maildir:{tmp_path}", "service@example.com"))
    await sender.send(seq=2)
    sender.heartbeats.clear()
    await sender.send(seq=3)
    assert (remove(tmp_path, stable_id("other")), remove(tmp_path, stable_id(CASE))) == (0, 2)


# --- messages -------------------------------------------------------------------------------------


def by_message(server: HookServer) -> Ways:
    return build_ways(None, "service@example.com", message_url=f"{server.url}/sms?token=x", message_secret=SECRET)


async def test_a_message_is_posted_and_signed(book: Book, superuser: asyncpg.Connection) -> None:
    await ask(book)
    async with HookServer().up() as server:
        assert await Sender(book, by_message(server)).send("message") == {}
    [(path, headers, body)] = server.requests
    verify(read_secret(SECRET), headers, body)
    with pytest.raises(BadSignature):
        verify(read_secret(SECRET), headers, body.replace(b"today", b"never"))
    told = json.loads(body)
    number = (await book.case(CASE) or {})["number"]
    assert told == {
        "type": "customer.reply",
        "id": headers["webhook-id"],
        "case": CASE,
        "number": number,
        "to": {"phone": "13800000000", "ref": "VIP-1"},
        "text": TEXT,
        "language": "zh",
    }
    assert (path, await known(superuser)) == ("/sms?token=x", [told["id"]])


@pytest.mark.parametrize(("status", "outcome"), [(404, "refused"), (302, "refused"), (429, None), (503, None)])
async def test_an_answer_says_whether_it_is_tried_again(book: Book, status: int, outcome: str | None) -> None:
    await ask(book)
    async with HookServer().up() as server:
        server.statuses = [status]
        sender = Sender(book, by_message(server))
        if outcome is not None:
            assert await sender.send("message") == {"failed": outcome}
            return
        await sender.delayed("message")
        assert await sender.send("message") == {}
    first, second = (headers["webhook-id"] for _, headers, _ in server.requests)
    assert first == second


async def test_nobody_is_named_in_logs_and_failures(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    await ask(book)
    server = MailServer()
    server.answers["wang@example.org"] = "451 4.3.0 wang@example.org try later"
    with caplog.at_level(logging.DEBUG), capture_logs() as logs:
        async with server.up(), HookServer().up() as hook:
            failure = await Sender(book, by_mail(server)).delayed()
            hook.statuses = [500]
            other = await Sender(book, by_message(hook)).delayed("message")
    # What the servers of the tests say themselves is not of the product.
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("mail.")]
    said = json.dumps([str(failure), str(other), logs, ours], default=str)
    assert not any(part in said for part in ("wang", "1380", "VIP", "found", "token"))


# --- settings and texts ---------------------------------------------------------------------------


def test_messages_are_never_unsigned() -> None:
    with pytest.raises(SettingError, match="message_secret is missing"):
        build_ways(None, "a@example.com", message_url="https://sms.example.com")


def test_the_best_way_comes_first(tmp_path: Path) -> None:
    ways = build_ways(f"maildir:{tmp_path}", "a@b.example", message_url="https://x.example", message_secret=SECRET)
    assert ways.possible(CUSTOMER) == {"mail": "wang@example.org", "message": "13800000000"}
    assert ways.possible({"email": "nonsense", "ref": "VIP-1"}) == {"message": "VIP-1"}
    assert ways.possible({}) == ways.possible(None) == {}


def test_a_reply_is_begun_with_what_is_known(tmp_path: Path) -> None:
    facts = {"number": "2026-03-0007", "kind": "complaint", "waybill": "SF1", "promised": "2026-03-10T15:00:00+08:00"}
    offered = ReplyTemplates().offered("zh", "delay", facts)
    assert [one.name.split(".")[0] for one in offered] == ["delay", "delay", "any", "any"]
    [looking] = [one for one in offered if one.name == "delay.interim.looking"]
    assert looking.title == "延误：正在查找"
    assert all(part in looking.text for part in ("SF1", "2026年3月10日（周二）15:00", "2026-03-0007"))
    # What is not known is filled in by who writes.
    [unknown] = ReplyTemplates().offered("en", "nothing_of_the_sort", {"number": "N"}, "interim")
    assert "____" in unknown.text
    # A company's own files add to them and go before them; one that does not work is passed over.
    own = tmp_path / "replies" / "zh"
    own.mkdir(parents=True)
    (own / "delay.interim.looking.txt").write_text("我们的\n{{ number }} 某快递", "utf-8")
    (own / "delay.interim.own.txt").write_text("另一条\n正文", "utf-8")
    (own / "delay.answer.broken.txt").write_text("坏\n{{ nobody.knows }}", "utf-8")
    (own / "_mail.txt").write_text("{{ broken", "utf-8")
    templates = ReplyTemplates(tmp_path)
    with capture_logs() as logs:
        offered = templates.offered("zh", "delay", facts, "interim")
        assert [one.title for one in offered] == ["我们的", "另一条", "已收到，正在处理"]
        assert offered[0].text == "2026-03-0007 某快递"
        assert len(templates.offered("zh", "delay", facts)) == 5
        mail = templates.mail("zh", "x", {"kind": "complaint", "number": "N-1", "answerable": False})
    assert mail.subject == "[投诉 N-1] 关于您反映的事项"
    assert {one["template"] for one in logs} == {"replies/zh/delay.answer.broken", "replies/zh/_mail"}
