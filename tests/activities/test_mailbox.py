"""Reading a mailbox by IMAP: what was taken in is marked as seen, and nothing else."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from activities.replies.inbox import Inbox
from activities.replies.mailbox import Mailbox, MailboxAway, Put
from starter.incoming import keep_fetching
from starter.settings import SettingsError, load_settings
from tests.activities import letters
from tests.activities.imap import ImapServer
from tests.activities.test_attachments import MISLEADING
from tests.casebook import Book
from tests.notifications import free_port
from tests.temporal import eventually


def mailbox(port: int, password: str = "p%40ss%20word", folder: str = "") -> Mailbox:
    return Mailbox.at(f"imap://care%40x.test:{password}@127.0.0.1:{port}{folder}")


async def test_what_nobody_has_seen_is_taken_once_and_marked_then() -> None:
    taken: list[bytes] = []
    async with ImapServer(letters.PLAIN, letters.GB2312) as server:

        async def put(raw: bytes) -> None:
            assert server.seen == [len(taken) > 0, False]
            taken.append(raw)

        assert await mailbox(server.port).look(put) == 2
        assert (taken, server.seen) == ([letters.PLAIN, letters.GB2312], [True, True])
        assert await mailbox(server.port).look(put) == 0


async def test_what_could_not_be_kept_stays_unseen() -> None:
    async def put(raw: bytes) -> None:
        if raw == letters.HTML:
            raise LookupError("away")

    async with ImapServer(letters.PLAIN, letters.HTML, letters.GB2312) as server:
        with pytest.raises(LookupError):
            await mailbox(server.port).look(put)
        assert server.seen == [True, False, False]
        assert server.asked[-1] == "LOGOUT"


async def test_no_mail_and_no_fault_ends_the_reading(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    look, rounds = Mailbox.look, list[int]()

    async def fails_first(self: Mailbox, put: Put, most: int) -> int:
        rounds.append(most)
        if len(rounds) == 1:
            raise LookupError("13800000000")
        return await look(self, put, most)

    monkeypatch.setattr(Mailbox, "look", fails_first)
    monkeypatch.setattr("starter.incoming.MAILBOX_AGAIN", 0.01)
    misleading = letters.with_files(("a.pdf", b"%PDF-1.4" + MISLEADING), ("b.pdf", b"%PDF-1.4"))
    async with ImapServer(misleading, letters.GB2312) as server:
        url = f"imap://care%40x.test:p%40ss%20word@127.0.0.1:{server.port}"
        settings = load_settings(imap_url=url, attachments="folder:of-workers")

        async def over() -> bool:
            return reading.done() or all(server.seen)

        with capture_logs() as logs:
            reading = asyncio.create_task(keep_fetching(book.database, settings, structlog.get_logger()))
            await eventually(over, bool)
            reading.cancel()
            await asyncio.wait([reading])
    assert server.seen == [True, True]
    assert logs[0] == {"event": "mailbox_failed", "error": "LookupError", "log_level": "error"}
    letter = await Inbox(book.database).take()
    assert letter is not None
    assert letter.text.splitlines()[1:] == ["📎 a.pdf (文件不安全 / The file is not safe to keep)", "📎 b.pdf"]


@pytest.mark.parametrize("wrong", [{"password": "secret-word"}, {"folder": "/Other"}])
async def test_a_server_that_refuses_is_away_and_no_error_says_more(wrong: dict[str, str]) -> None:
    async def put(raw: bytes) -> None:
        raise AssertionError

    async with ImapServer(letters.PLAIN) as server:
        with pytest.raises(MailboxAway) as caught:
            await mailbox(server.port, **wrong).look(put)
    assert not any(word in str(caught.value) for word in ("secret", "care", "1380"))
    with pytest.raises(MailboxAway):
        await mailbox(free_port()).look(put)
    assert "secret" not in repr(mailbox(1, "secret"))


@pytest.mark.parametrize(
    "wrong",
    ["https://u:p@mail.test", "imap://u:secret@mail.test", "imaps://mail.test", "imaps://u:secret@mail.test/%22"],
)
def test_a_wrong_address_is_refused_without_repeating_it(wrong: str) -> None:
    with pytest.raises(SettingsError, match="CASELADDER_IMAP_URL") as caught:
        load_settings(imap_url=wrong)
    assert "secret" not in str(caught.value)
    assert load_settings(imap_url="imaps://care%40x.test:p@mail.test/INBOX").imap_url is not None


async def test_another_folder_of_the_address_is_read() -> None:
    async def put(raw: bytes) -> None:
        pass

    async with ImapServer(letters.PLAIN) as server:
        server.folder = "Care desk"
        assert await mailbox(server.port, folder="/Care%20desk").look(put) == 1
    assert Mailbox.at("imaps://u:p@mail.test").port == 993
