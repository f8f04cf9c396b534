"""What customers write back to a running system, and what must not go on for ever: auto-replies, bounces, loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from pydantic import SecretStr

from activities.policies.store import Policies
from activities.replies.inbox import Inbox
from starter.attachments import attachments_of
from starter.incoming import keep_answering, take_mail
from starter.settings import Settings
from tests.activities import letters
from tests.temporal import eventually
from tests.workflows.backend import Backend, Handle, is_about
from tests.workflows.test_replies import CUSTOMER, LATE, REPLY, came_of_it

CARE = "care@caseladder.test"


@asynccontextmanager
async def answering(backend: Backend) -> AsyncIterator[tuple[Inbox, Settings]]:
    """Deal with messages for the block, as a worker does."""
    settings = Settings(
        data=backend.folder,
        database_url=SecretStr(backend.database),
        reply_address=CARE,
        attachments=f"folder:{backend.folder / 'attachments'}",
    )
    log = structlog.get_logger("test")
    doing = keep_answering(backend.book.database, backend.env.client, settings, Policies(), log)
    task = asyncio.create_task(doing)
    try:
        yield Inbox(backend.book.database), settings
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def outcomes(inbox: Inbox, backend: Backend) -> list[str | None]:
    """Wait until no message waits for a worker, and return what came of those that came, the oldest first."""

    async def rows() -> list[Any]:
        async with backend.book.database.connection() as connection:
            found: list[Any] = await connection.fetch("SELECT state, outcome FROM incoming_message ORDER BY id")
            return found

    found = await eventually(rows, lambda seen: all(row["state"] != "new" for row in seen))
    return [row["outcome"] for row in found]


async def replied(backend: Backend) -> tuple[Handle, str]:
    """Have a case's customer replied to by mail; return the case and the id of the mail."""
    case = await backend.file(facts=LATE)
    await backend.do(case, "acknowledge")
    await backend.do(case, "reply", **REPLY)
    await came_of_it(backend, case)
    async with backend.book.database.connection() as connection:
        [row] = await connection.fetch("SELECT message_id, seq FROM customer_message WHERE case_id = $1", case.id)
    assert row["seq"] == (await backend.timeline(case, "reply_sending"))[0]["seq"]
    return case, row["message_id"]


def outside(backend: Backend) -> int:
    """Count the mails to anybody but those whom notices are for."""
    return sum("@example.com" not in mail["To"] for mail in backend.mails())


def answering_to(raw: bytes, message_id: str, own: str) -> bytes:
    """A mail as of a real program, about the letter with this id, under an id of its own."""
    first = next(line for line in raw.splitlines() if line.lower().startswith(b"message-id:"))
    return raw.replace(letters.SENT.encode(), message_id.encode()).replace(first, f"Message-ID: <{own}>".encode(), 1)


async def test_an_answer_is_told_to_the_holder_and_machines_are_not_answered(backend: Backend) -> None:
    case, message_id = await replied(backend)
    written = outside(backend)
    async with answering(backend) as (inbox, settings):
        for number, raw in enumerate((letters.OUTLOOK_AWAY, letters.GMAIL_AWAY, letters.OTHER_CASELADDER)):
            assert await take_mail(answering_to(raw, message_id, f"m{number}@x"), inbox, settings) in ("auto", "loop")
        for _ in range(2):
            await take_mail(answering_to(letters.PLAIN, message_id, "answer@x"), inbox, settings)
        assert await outcomes(inbox, backend) == ["auto", "auto", "loop", "taken"]
        [wrote] = await backend.timeline(case, "customer_wrote")
        assert wrote["data"]["text"] == "It is still not here.\nWhen does it come?"
        assert (wrote["data"]["known"], wrote["actor"]["id"]) == (True, "caseladder")
        told = await eventually(
            lambda: backend.timeline(case, "notified"),
            lambda seen: any(one["data"]["notice"] == "customer_wrote" for one in seen),
        )
        [notice] = [one["data"] for one in told if one["data"]["notice"] == "customer_wrote"]
        assert (notice["roles"], notice["outcome"]) == (["agent"], "sent")
        async with backend.book.database.connection() as connection:
            bodies = await connection.fetch("SELECT body FROM case_event WHERE case_id = $1", case.id)
            [text] = await connection.fetch("SELECT seq FROM case_text WHERE text LIKE 'It is still not%'")
        assert not any("still not here" in row["body"] for row in bodies)
        assert text["seq"] == wrote["seq"]
    # Nobody outside was written to, whatever came; and what was written is in no mail.
    assert outside(backend) == written
    [mail] = [one for one in backend.mails() if is_about(one, case.id) and "客户来信" in one["Subject"]]
    assert (mail["To"], mail["Auto-Submitted"]) == ("agents@example.com", "auto-generated")
    assert "still not here" not in mail.get_content()


async def test_a_file_of_an_answer_is_attached_to_the_case(backend: Backend) -> None:
    case, message_id = await replied(backend)
    raw = letters.with_files(("door.jpg", letters.JPEG), ("run.exe", b"MZ"))
    async with answering(backend) as (inbox, settings):
        await take_mail(answering_to(raw, message_id, "files@x"), inbox, settings)
        assert (await outcomes(inbox, backend))[-1] == "taken"
        [wrote] = await backend.timeline(case, "customer_wrote")
        assert wrote["data"]["text"].splitlines()[1:] == [
            "📎 door.jpg",
            "📎 run.exe (不接受这种文件 / Files of this type are not taken)",
        ]
        [attached] = await backend.timeline(case, "attached")
        assert (attached["data"]["name"], attached["actor"]["id"]) == ("door.jpg", "caseladder")
        file = attached["data"]["where"].removeprefix("attachment:")
        assert await attachments_of(settings, backend.book.database).content(case.id, file) == letters.JPEG


async def test_a_bounce_is_told_once(backend: Backend) -> None:
    case, message_id = await replied(backend)
    async with answering(backend) as (inbox, settings):
        for number, raw in enumerate((letters.POSTFIX, letters.EXCHANGE)):
            await take_mail(answering_to(raw, message_id, f"b{number}@x"), inbox, settings)
        assert (await outcomes(inbox, backend))[-2:] == ["bounced", "bounced"]
        [bounced] = await backend.timeline(case, "reply_bounced")
        assert bounced["data"]["of"] == (await backend.timeline(case, "reply_sending"))[0]["seq"]
    met = [one["data"]["clock"] for one in await backend.timeline(case, "clock_met")]
    assert "interim_reply" in met


async def test_two_caseladders_that_write_to_each_other_end_after_one_message(backend: Backend) -> None:
    case, _ = await replied(backend)
    # What goes out of one, as it is, comes into the other; which says nothing.
    ours = [mail for mail in backend.mails() if mail["To"] == CUSTOMER["email"]][-1]
    written = outside(backend)
    async with answering(backend) as (inbox, settings):
        other = settings.model_copy(update={"mail_from": "help@other.test", "reply_address": None})
        assert await take_mail(ours.as_bytes(), inbox, other) == "loop"
        # Nor does a notice of ours that comes back say anything.
        for mail in backend.mails():
            assert await take_mail(mail.as_bytes(), inbox, other) in ("loop", "known", "auto")
        await outcomes(inbox, backend)
    assert await backend.timeline(case, "customer_wrote") == []
    assert outside(backend) == written
