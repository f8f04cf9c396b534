"""What comes of messages of customers, in a real casebook: on the case, a new case, left to people, or noted alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from activities.attachments.book import Attachments
from activities.attachments.stores import FolderStore, Store, StoreAway
from activities.replies.handle import Letters, Waits
from activities.replies.inbox import Inbox, digest_of
from activities.replies.incoming import Incoming
from cases.policy.model import Policy
from cases.policy.tables import IncomingRule
from cases.vocabulary.refusals import Refused
from starter.incoming import take_mail
from starter.settings import Settings
from tests.activities import letters
from tests.activities.ledger import CASE, batch
from tests.activities.letters import OURS, SENT
from tests.casebook import Book
from tests.core.support import default_policy

CUSTOMER = {"name": "Wang Xiaoming", "phone": "13800000000", "email": "Wang@example.org"}
FILES = IncomingRule(files="complaint", facts={"category": "other", "source": "customer"})


class Desk:
    """Deals with messages, and stands for the cases: notes what they are sent, and refuses what it is told to."""

    def __init__(
        self,
        book: Book,
        connection: asyncpg.Connection,
        *,
        files: IncomingRule | None = None,
        store: Store | None = None,
    ) -> None:
        self.book, self.connection, self.inbox = book, connection, Inbox(book.database)
        self.sent: list[tuple[str, str, Mapping[str, Any]]] = []
        self.filed: list[tuple[str, Mapping[str, Any]]] = []
        self.refuses: Callable[[str], str | None] = lambda case_id: None
        policy = default_policy().model_copy(update={"incoming": files})

        async def in_force() -> Policy:
            return policy

        self.letters = Letters(book.database, self.command, self.file, in_force, Attachments(book.database, store))

    async def command(self, case_id: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if (code := self.refuses(case_id)) is not None:
            raise Refused(code, "no")
        self.sent.append((case_id, name, body))
        if name in ("customer_wrote", "attach"):
            row = (case_id, body["request_id"])
            await self.connection.execute(
                "INSERT INTO case_request (case_id, request_id, seq, salt, digest) VALUES ($1, $2, 9, '', '')"
                " ON CONFLICT DO NOTHING",
                *row,
            )
        return {"id": case_id}

    async def file(self, kind: str, intake: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        self.filed.append((kind, intake))
        return {"id": f"{kind}:{intake['key']}"}, True

    async def gets(self, raw: bytes) -> str | None:
        """Take a mail in, and return what came of it."""
        settings = Settings(attachments="folder:of-workers", attachment_limit=2000, reply_address=OURS)
        put = await take_mail(raw, self.inbox, settings)
        return await self.letters.next() if put == "waits" else put

    async def rows(self) -> list[tuple[Any, ...]]:
        rows = await self.connection.fetch("SELECT state, outcome, case_id, content FROM incoming_message ORDER BY id")
        return [(row["state"], row["outcome"], row["case_id"], row["content"] is not None) for row in rows]


@pytest.fixture
async def desk(book: Book, superuser: asyncpg.Connection) -> Desk:
    """A case whose customer was replied to by mail."""
    await book.record(dataclasses.replace(batch(1, 1), personal={"customer": CUSTOMER}))
    await superuser.execute(
        "INSERT INTO customer_message (message_id, case_id, direction, seq) VALUES ($1, $2, 'out', 2)", SENT, CASE
    )
    return Desk(book, superuser)


async def test_an_answer_goes_to_its_case_once(desk: Desk) -> None:
    assert [await desk.gets(letters.PLAIN), await desk.gets(letters.PLAIN)] == ["taken", "known"]
    [(case_id, name, body)] = desk.sent
    assert (case_id, name, body["by"]) == (CASE, "customer_wrote", {"id": "caseladder", "role": "system"})
    assert body["text"] == "It is still not here.\nWhen does it come?"
    assert (body["via"], body["known"]) == ("mail", True)
    assert await desk.rows() == [("handled", "taken", CASE, False)]
    row = await desk.connection.fetchrow("SELECT case_id, direction FROM customer_message WHERE direction = 'in'")
    assert dict(row) == {"case_id": CASE, "direction": "in"}
    # A second letter of the customer that answers only their own first one finds the case too.
    second = b"From: wang@example.org\nMessage-ID: <2@x>\nIn-Reply-To: <CAFx-1@mail.gmail.com>\n\nStill nothing."
    assert await desk.gets(second) == "taken"


async def test_an_answer_from_elsewhere_says_so(desk: Desk) -> None:
    assert await desk.gets(letters.OUTLOOK) == "taken"
    assert desk.sent[0][2]["known"] is False


async def test_a_number_in_the_subject_counts_with_the_address_of_the_customer_alone(desk: Desk) -> None:
    number = await desk.connection.fetchval("SELECT number FROM case_file WHERE case_id = $1", CASE)
    forged = letters.FORGED.replace(b"2026-03-0001", number.encode())
    assert await desk.gets(forged) == "unmatched"
    theirs = forged.replace(b"eve@evil.test", b"WANG@example.org").replace(b"eve-1", b"wang-9")
    assert await desk.gets(theirs) == "taken"
    assert [(case_id, body["known"]) for case_id, _, body in desk.sent] == [(CASE, True)]


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (letters.OUTLOOK_AWAY, "auto"),
        (letters.GMAIL_AWAY, "auto"),
        (letters.QQ_AWAY, "auto"),
        (letters.DELAYED, "auto"),
        (letters.LIST, "auto"),
        (letters.OTHER_CASELADDER, "loop"),
        (letters.NOTICE, "loop"),
        (letters.OWN_ADDRESS, "loop"),
    ],
)
async def test_what_a_machine_sent_ends_here(desk: Desk, raw: bytes, outcome: str) -> None:
    assert [await desk.gets(raw), await desk.gets(raw)] == [outcome, "known"]
    assert await desk.letters.next() is None
    assert (desk.sent, desk.filed, await desk.rows()) == ([], [], [("handled", outcome, None, False)])


@pytest.mark.parametrize("raw", [letters.POSTFIX, letters.EXCHANGE, letters.QMAIL])
async def test_a_reply_that_comes_back_is_told_to_its_case(desk: Desk, raw: bytes) -> None:
    assert [await desk.gets(raw), await desk.gets(raw)] == ["bounced", "known"]
    [(case_id, name, body)] = desk.sent
    assert (case_id, name, body["of"]) == (CASE, "reply_bounced", 2)
    assert await desk.rows() == [("handled", "bounced", CASE, False)]


async def test_a_letter_of_nobodys_that_comes_back_is_noted_alone(desk: Desk) -> None:
    assert await desk.gets(letters.POSTFIX.replace(SENT.encode(), b"other@caseladder")) == "bounce"
    desk.refuses = lambda case_id: "closed"
    assert await desk.gets(letters.QMAIL) == "bounce"
    assert (desk.sent, desk.filed) == ([], [])


async def test_what_answers_nothing_waits_for_a_person_who_puts_it_on_a_case_or_dismisses_it(desk: Desk) -> None:
    assert await desk.gets(letters.FORGED) == "unmatched"
    assert await desk.gets(letters.GB2312) == "unmatched"
    first, second = await desk.inbox.open()
    assert (first.text, first.sender, first.why) == (
        "Close the complaint, please.",
        {"email": "eve@evil.test"},
        "unmatched",
    )
    assert "eve@" not in repr(first)
    assert await desk.inbox.count() == 2
    assert await desk.inbox.dismiss(first.id, "super-1", "spam")
    assert not await desk.inbox.dismiss(first.id, "super-1", "spam")
    assert await desk.inbox.one(first.id) == "super-1"
    assert await desk.inbox.give(second.id, CASE, "super-1")
    assert await desk.letters.next() == "taken"
    assert (desk.sent[0][2]["text"], desk.sent[0][2]["known"]) == ("喆先生的包裹丢了。", False)
    assert await desk.inbox.open() == []
    assert [state for state, *_ in await desk.rows()] == ["handled", "handled"]


async def test_a_message_that_somebody_has_in_hand_is_settled_by_nobody_else(desk: Desk) -> None:
    await desk.gets(letters.FORGED)
    [letter] = await desk.inbox.open()
    held = await desk.inbox.claim(letter.id)
    assert held == letter
    # It still waits, and nobody else gets it, nor does the same person from a second window.
    assert await desk.inbox.open() == [letter]
    assert await desk.inbox.claim(letter.id) is None
    assert not await desk.inbox.give(letter.id, CASE, "super-1")
    assert not await desk.inbox.dismiss(letter.id, "super-1", "spam")
    await desk.inbox.release(held)
    first = await desk.inbox.claim(letter.id)
    assert first == letter
    # Whoever died with it in hand has it open again a minute later.
    await desk.connection.execute("UPDATE incoming_message SET try_at = try_at - interval '1 minute'")
    again = await desk.inbox.claim(letter.id)
    assert again is not None
    # Whoever was only slow takes it from nobody.
    await desk.inbox.release(first)
    assert await desk.inbox.claim(letter.id) is None
    assert not await desk.inbox.hand_on(first, "filed", "complaint:slow", "agent-2")
    await desk.inbox.done(first, "filed", "complaint:slow", "agent-2")
    assert await desk.inbox.open() == [letter]
    await desk.inbox.done(again, "filed", CASE, "agent-1")
    assert await desk.inbox.one(letter.id) == "agent-1"
    assert await desk.rows() == [("handled", "filed", CASE, False)]
    # What answers that letter goes to the case.
    assert (
        await desk.gets(b"From: eve@evil.test\nMessage-ID: <2@x>\nIn-Reply-To: <eve-1@evil.test>\n\nHello?") == "taken"
    )


async def test_where_the_policy_says_so_it_files_a_case_once(book: Book, superuser: asyncpg.Connection) -> None:
    desk = Desk(book, superuser, files=FILES)
    assert [await desk.gets(letters.FORGED), await desk.gets(letters.FORGED)] == ["filed", "known"]
    [(kind, intake)] = desk.filed
    assert intake["key"] == f"mail-{digest_of('eve-1@evil.test').hex()[:32]}"
    assert (kind, intake["facts"]) == (
        "complaint",
        {
            "category": "other",
            "source": "customer",
            "customer": {"email": "eve@evil.test"},
            "description": "Close the complaint, please.",
        },
    )


async def test_a_closed_case_takes_nothing_and_nothing_is_lost(desk: Desk) -> None:
    desk.refuses = lambda case_id: "closed"
    assert await desk.gets(letters.PLAIN) == "closed"
    [letter] = await desk.inbox.open()
    assert (letter.case_id, letter.why) == (CASE, "closed")
    filing = Desk(desk.book, desk.connection, files=FILES)
    filing.refuses = desk.refuses
    assert await filing.gets(letters.HTML) == "filed"
    assert filing.filed[0][1]["parent"] == CASE


async def test_a_case_that_was_merged_has_the_other_one_told(desk: Desk) -> None:
    await desk.connection.execute(
        'UPDATE case_file SET view = view || \'{"merged_into": "complaint:first"}\' WHERE case_id = $1', CASE
    )
    desk.refuses = lambda case_id: "closed" if case_id == CASE else None
    assert await desk.gets(letters.PLAIN) == "taken"
    assert [case_id for case_id, *_ in desk.sent] == ["complaint:first"]


@pytest.mark.parametrize("code", ["busy", "workflow_missing", "merging"])
async def test_what_cannot_be_told_now_is_told_later(desk: Desk, code: str) -> None:
    desk.refuses = lambda case_id: code
    with pytest.raises(Waits):
        await desk.gets(letters.PLAIN)
    assert await desk.letters.next() is None
    desk.refuses = lambda case_id: None
    await desk.connection.execute("UPDATE incoming_message SET try_at = now()")
    assert await desk.letters.next() == "taken"


async def test_nothing_is_dealt_with_while_the_casebook_is_recovered(desk: Desk) -> None:
    await desk.connection.execute("INSERT INTO casebook_recovery (one) VALUES (true)")
    assert await desk.gets(letters.PLAIN) is None


async def test_what_nobody_deals_with_goes_after_ninety_days(desk: Desk) -> None:
    await desk.gets(letters.FORGED)
    assert await desk.inbox.expire() == 0
    await desk.connection.execute("UPDATE incoming_message SET came_at = now() - interval '91 days'")
    assert await desk.inbox.expire() == 1
    assert await desk.rows() == [("handled", "expired", None, False)]
    await desk.connection.execute("UPDATE incoming_message SET came_at = now() - interval '2 years'")
    await desk.inbox.expire()
    assert await desk.rows() == []


async def test_what_no_worker_could_finish_goes_after_ninety_days_too(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(Waits):
        await Desk(desk.book, desk.connection, store=Away(tmp_path)).gets(letters.with_files(("a.jpg", letters.JPEG)))
    await desk.connection.execute("UPDATE incoming_message SET came_at = now() - interval '91 days'")
    assert await desk.inbox.expire() == 1
    assert await desk.rows() == [("handled", "expired", "complaint:C-1", False)]


async def test_a_message_that_says_nothing_is_a_message(desk: Desk) -> None:
    silent = Incoming("message", "silent@x", (SENT,))
    assert await desk.inbox.put(silent, "message", {"phone": "+86 138-0000-0000"}) == "waits"
    assert await desk.letters.next() == "taken"
    assert (desk.sent[0][2]["text"], desk.sent[0][2]["known"]) == ("—", True)


class Away(FolderStore):
    """A store that can be away."""

    away = True

    async def put(self, name: str, content: bytes) -> None:
        """See `Store`."""
        if self.away:
            raise StoreAway("no route")
        await super().put(name, content)


async def test_what_was_attached_is_kept_with_the_case(desk: Desk, tmp_path: Path) -> None:
    store = Away(tmp_path)
    desk = Desk(desk.book, desk.connection, store=store)
    # While the store is away the message waits for it, and nothing of it is lost.
    with pytest.raises(Waits, match="no route"):
        await desk.gets(letters.with_files(("door.jpg", letters.JPEG), ("door.exe", b"MZ"), ("door.pdf", letters.JPEG)))
    assert await desk.connection.fetchval("SELECT count(files) FROM incoming_message") == 1
    store.away = False
    await desk.connection.execute("UPDATE incoming_message SET try_at = now()")
    assert await desk.letters.next() == "taken"
    names = [name for _, name, _ in desk.sent]
    assert names == ["customer_wrote", "attach"]
    attached = desk.sent[1][2]
    assert (attached["name"], attached["size"], attached["by"]["role"]) == ("door.jpg", len(letters.JPEG), "system")
    file = attached["where"].removeprefix("attachment:")
    assert await Attachments(desk.book.database, store).content(CASE, file) == letters.JPEG
    assert desk.sent[0][2]["text"].splitlines()[-3:] == [
        "📎 door.jpg",
        "📎 door.exe (不接受这种文件 / Files of this type are not taken)",
        "📎 door.pdf (不接受这种文件 / Files of this type are not taken)",
    ]
    assert await desk.connection.fetchval("SELECT count(files) FROM incoming_message") == 0
    assert await desk.rows() == [("handled", "taken", CASE, False)]


async def test_files_that_wait_have_a_budget(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = letters.with_files(("door.jpg", letters.JPEG)).replace(SENT.encode(), b"nobodys@x")
    monkeypatch.setattr("activities.replies.inbox.MOST_WAITING", 100)
    assert await desk.gets(raw) == "unmatched"
    assert await desk.gets(raw.replace(b"<files-1@x>", b"<files-2@x>")) == "unmatched"
    first, second = await desk.inbox.open()
    assert [file.name for file in await desk.inbox.files(first)] == ["door.jpg"]
    assert await desk.inbox.files(second) == []
    assert second.text.splitlines()[-1] == (
        "📎 door.jpg (等待处理的来信附件过多，未能保留 / Too many files of messages are waiting to be kept)"
    )
    # What is settled makes room again.
    assert await desk.inbox.dismiss(first.id, "agent-1", "spam")
    assert await desk.inbox.takes_files()


async def test_a_message_with_files_is_done_where_no_store_is_set_any_more(desk: Desk) -> None:
    assert await desk.gets(letters.with_files(("door.jpg", letters.JPEG))) == "taken"
    assert [name for _, name, _ in desk.sent] == ["customer_wrote"]
    assert await desk.rows() == [("handled", "taken", CASE, False)]


async def test_files_follow_where_a_person_puts_the_message(desk: Desk, tmp_path: Path) -> None:
    desk = Desk(desk.book, desk.connection, store=FolderStore(tmp_path))
    raw = letters.with_files(("door.jpg", letters.JPEG))
    assert await desk.gets(raw.replace(SENT.encode(), b"nobodys@x")) == "unmatched"
    [letter] = await desk.inbox.open()
    # Filed by a person, so that it is told already.
    claimed = await desk.inbox.claim(letter.id)
    assert claimed == letter
    assert await desk.inbox.hand_on(claimed, "filed", CASE, "agent-1")
    assert await desk.letters.next() == "filed"
    assert [name for _, name, _ in desk.sent] == ["attach"]
    assert await desk.rows() == [("handled", "filed", CASE, False)]
    # Of one without files nothing is left to be done.
    await desk.gets(letters.FORGED)
    [waits] = await desk.inbox.open()
    plain = await desk.inbox.claim(waits.id)
    assert plain is not None
    assert not await desk.inbox.hand_on(plain, "filed", CASE, "agent-1")
    # What is dismissed leaves nothing behind.
    other = raw.replace(SENT.encode(), b"nobodys@x").replace(b"<files-1@x>", b"<files-2@x>")
    assert await desk.gets(other) == "unmatched"
    assert await desk.inbox.dismiss((await desk.inbox.open())[-1].id, "agent-1", "spam")
    assert await desk.connection.fetchval("SELECT count(files) FROM incoming_message") == 0


async def test_a_case_that_takes_no_file_any_more_leaves_the_message_to_a_person(desk: Desk, tmp_path: Path) -> None:
    desk = Desk(desk.book, desk.connection, store=FolderStore(tmp_path))
    desk.refuses = lambda case_id: "closed" if desk.sent else None
    assert await desk.gets(letters.with_files(("door.jpg", letters.JPEG))) == "closed"
    [letter] = await desk.inbox.open()
    assert (letter.case_id, letter.why) == (CASE, "closed")
    assert [file.name for file in await desk.inbox.files(letter)] == ["door.jpg"]
    assert await desk.connection.fetchval("SELECT count(*) FROM attachment WHERE case_id = $1", CASE) == 0


async def test_what_a_case_was_told_is_told_no_other_when_it_closes_before_the_files_are_kept(
    desk: Desk, tmp_path: Path
) -> None:
    store = Away(tmp_path)
    desk = Desk(desk.book, desk.connection, files=FILES, store=store)
    with pytest.raises(Waits, match="no route"):
        await desk.gets(letters.with_files(("door.jpg", letters.JPEG)))
    # By that the erasure of the case finds it.
    assert await desk.rows() == [("new", None, CASE, True)]
    store.away = False
    desk.refuses = lambda case_id: "closed"
    await desk.connection.execute("UPDATE incoming_message SET try_at = now()")
    assert await desk.letters.next() == "closed"
    assert desk.filed == []
    assert await desk.rows() == [("open", "closed", CASE, True)]


async def test_the_case_that_a_message_is_put_on_afterwards_gets_its_text_too(desk: Desk, tmp_path: Path) -> None:
    desk = Desk(desk.book, desk.connection, store=FolderStore(tmp_path))
    raw = letters.with_files(("door.jpg", letters.JPEG))
    assert await desk.gets(raw.replace(SENT.encode(), b"nobodys@x")) == "unmatched"
    [letter] = await desk.inbox.open()
    claimed = await desk.inbox.claim(letter.id)
    assert claimed is not None
    assert await desk.inbox.hand_on(claimed, "noted", "complaint:first", "agent-1")
    # That one closes before its files are there.
    desk.refuses = lambda case_id: "closed" if case_id == "complaint:first" else None
    assert await desk.letters.next() == "closed"
    assert await desk.inbox.give(letter.id, CASE, "agent-1")
    assert await desk.letters.next() == "taken"
    assert [(case_id, name) for case_id, name, _ in desk.sent] == [(CASE, "customer_wrote"), (CASE, "attach")]


async def test_the_list_of_what_waits_has_pages(desk: Desk) -> None:
    for number in range(5):
        await desk.gets(letters.FORGED.replace(b"eve-1", f"eve-{number}".encode()))
    # Some came at the same instant.
    await desk.connection.execute("UPDATE incoming_message SET came_at = '2026-03-01T00:00:00.5Z' WHERE id % 2 = 0")
    seen, after = await desk.inbox.page(2)
    while after is not None:
        more, after = await desk.inbox.page(2, after)
        seen += more
    assert [one.id for one in seen] == [one.id for one in await desk.inbox.open()]
    assert len(seen) == 5
    for wrong in ("x", "", "WyJkdWUiLCAiaW5maW5pdHkiLCAiYSIsIDFd"):
        with pytest.raises(Refused, match="what the page before gave"):
            await desk.inbox.page(2, wrong)
