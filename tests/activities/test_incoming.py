"""Reading mails that come in: what people wrote, without the history, and what machines sent."""

from __future__ import annotations

import time
from email.message import EmailMessage
from zipfile import BadZipFile

import pytest

from activities.notify.channels import Letter, Message
from activities.notify.channels.mail import compose, read_sender
from activities.replies.incoming import LARGEST, LONGEST, Enclosed, Incoming, read_mail
from activities.replies.readable import from_html, without_history
from tests.activities import letters
from tests.activities.letters import OURS, SENT


def read(raw: bytes) -> Incoming:
    return read_mail(raw, [OURS])


@pytest.mark.parametrize(
    ("raw", "sort", "named"),
    [
        (letters.PLAIN, "message", (SENT, "thread@caseladder")),
        (letters.HTML, "message", (SENT,)),
        (letters.QQ, "message", (SENT,)),
        (letters.GB2312, "message", ()),
        (letters.OUTLOOK, "message", (SENT,)),
        (letters.FORGED, "message", ()),
        (letters.OUTLOOK_AWAY, "auto", (SENT,)),
        (letters.GMAIL_AWAY, "auto", (SENT,)),
        (letters.QQ_AWAY, "auto", ()),
        (letters.DELAYED, "auto", ()),
        (letters.READ, "auto", (SENT,)),
        (letters.LIST, "auto", ()),
        (letters.POSTFIX, "bounce", (SENT,)),
        (letters.EXCHANGE, "bounce", (SENT,)),
        (letters.QMAIL, "bounce", (SENT,)),
        (letters.OTHER_CASELADDER, "loop", (SENT,)),
        (letters.NOTICE, "loop", (SENT,)),
        (letters.OWN_ADDRESS, "loop", ()),
    ],
)
def test_what_a_mail_is_and_what_it_answers(raw: bytes, sort: str, named: tuple[str, ...]) -> None:
    for form in (raw.replace(b"\r\n", b"\n"), raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")):
        found = read(form)
        assert (found.sort, found.named) == (sort, named)
        assert bool(found.text) == (sort == "message")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (letters.PLAIN, "It is still not here.\nWhen does it come?"),
        (letters.HTML, "Not here & not there.\n\nSecond\nline"),
        (letters.QQ, "包裹还是没有到。"),
        (letters.GB2312, "喆先生的包裹丢了。"),
        (letters.OUTLOOK, "The café next door has it.\n📎 door.jpg"),
    ],
)
def test_what_was_written_without_the_history(raw: bytes, text: str) -> None:
    assert read(raw).text == text


def test_the_reference_in_the_subject_and_who_sent_it() -> None:
    plain, chinese = read(letters.PLAIN), read(letters.QQ)
    assert (plain.message_id, plain.sender) == ("CAFx-1@mail.gmail.com", "wang@example.org")
    assert plain.references == (("complaint", "2026-03-0001"),)
    assert chinese.references == (("投诉", "2026-03-0001"),)
    assert read(letters.LIST).references == ()
    assert not any(word in repr(plain) for word in ("wang", "still", "About"))


def test_our_own_letter_is_known_wherever_it_comes_back() -> None:
    letter = Message("m1", "t1", "wang@example.org", "Hello", "Text", {}, letter=Letter("t1", "care@x.test", ()))
    assert read_mail(compose(letter, read_sender("noreply@x.test")).as_bytes()).sort == "loop"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff\xfe",
        b"no header at all",
        b"From: \xff\xfe\nSubject: =?x-unknown?B?////?=\nMessage-ID: garbage\n\n\xff",
        b"From: a@b.test, c@d.test\nContent-Type: multipart/mixed\n\nno boundary",
        b"Content-Type: text/plain; charset=does-not-exist\n\n\xd6\xd0",
        b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n!!!!",
        b"Content-Type: multipart/report; report-type=delivery-status\n\n",
        b"Subject: x\nContent-Type: multipart/mixed; boundary*0=a; boundary*1*=utf-8''%ff\n\n--a\n\n--a--",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (one, one) for one in range(1000)),
        b"In-Reply-To: " + b"<x@y> " * 100_000 + b"\n\nx",
        b"Content-Type: text/html\n\n" + b"<div>" * 100_000,
        b"\n" + b"On x wrote:\n" * 50_000 + b"_" * 30 + b"\n" * 50_000,
    ],
)
def test_whatever_is_sent_is_read(raw: bytes) -> None:
    found = read(raw)
    assert found.message_id
    assert found.message_id == read(raw).message_id
    assert len(found.text) <= LONGEST


NESTED = b"".join(b"Content-Type: multipart/mixed; Boundary=b%d\n\n--b%d\n" % (one, one) for one in range(300))


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: x\n\n" + b"ab\n" * 8_000_000,
        b"Subject: x\n\n" + b"a\r" * 12_000_000,
        NESTED + b"\n" + b"ab\n" * 600_000,
        NESTED + b"\n" + (b"A" * 76 + b"\n") * 300_000,
    ],
)
def test_what_was_made_to_keep_readers_busy_is_read_in_part(raw: bytes) -> None:
    began = time.process_time()
    read_mail(raw, take=Enclosed, most=40 * 1024 * 1024)
    assert time.process_time() - began < 15


def test_a_large_file_in_base64_is_read_to_its_end() -> None:
    content = letters.JPEG + b"J" * 5_000_000
    found = read_mail(letters.with_files(("a.jpg", content)), take=Enclosed, most=10_000_000)
    assert found.files == (Enclosed("a.jpg", content),)


def test_a_text_is_as_long_as_the_record_takes_and_holds_nothing_that_it_does_not() -> None:
    found = read(b"Message-ID: <a@b>\n\nA\x00B\x1b[0m" + b"x" * 3 * LARGEST)
    assert (found.text[:6], len(found.text), found.text[-1]) == ("AB[0mx", LONGEST, "…")
    assert read(b"Message-ID: <" + b"a" * 900 + b">\n\n").message_id.endswith("@long")


def test_the_names_of_files_leave_room_for_the_text() -> None:
    many = [(f"{'x' * 190}{one}.jpg", letters.JPEG) for one in range(20)]
    found = read_mail(letters.with_files(*many), take=lambda name, content: "w" * 60)
    assert found.text.startswith("See the pictures.\n📎 x")
    assert (found.text[-1], len(found.text) <= LONGEST) == ("…", True)
    long = letters.with_files(*many).replace(b"See the pictures.", b"See " + b"y " * 4000)
    assert LONGEST - 2 <= len(read(long).text) <= LONGEST
    assert read(long).text.count("y") > 900


def test_no_file_ends_the_reading_of_a_mail() -> None:
    def take(name: str, content: bytes) -> Enclosed | str:
        if name == "a.jpg":
            raise BadZipFile
        return Enclosed(name, content)

    found = read_mail(letters.with_files(("a.jpg", letters.JPEG), ("b.jpg", letters.JPEG)), take=take)
    assert found.text.splitlines() == ["See the pictures.", "📎 a.jpg (?)", "📎 b.jpg"]
    assert found.files == (Enclosed("b.jpg", letters.JPEG),)


def test_what_the_library_fails_at_is_a_message_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    # Which headers it fails at differs by its version.
    def fails(*given: object) -> None:
        raise IndexError

    monkeypatch.setattr(EmailMessage, "get_content_type", fails)
    found = read(letters.PLAIN)
    assert (found.sort, found.message_id[-5:]) == ("message", "@none")
    assert "It is still not here." in found.text


def test_files_are_kept_or_named_with_why_not() -> None:
    raw = letters.with_files(("a.jpg", letters.JPEG), ("b\n张.jpg", b"B" * 3000), ("c.jpg", letters.JPEG))
    asked: list[str] = []

    def take(name: str, content: bytes) -> Enclosed | str:
        asked.append(name)
        return "too large" if len(content) > 1000 else Enclosed(name, content)

    # Where nothing is kept they are named alone.
    assert (read(raw).files, read(raw).text.splitlines()[-3:]) == ((), ["📎 a.jpg", "📎 b 张.jpg", "📎 c.jpg"])
    found = read_mail(raw, [OURS], take=take, cut="cut")
    assert found.files == (Enclosed("a.jpg", letters.JPEG), Enclosed("c.jpg", letters.JPEG))
    assert found.text.splitlines() == ["See the pictures.", "📎 a.jpg", "📎 b 张.jpg (too large)", "📎 c.jpg"]
    # What is not here to its end is no file, and what comes after that is not known.
    short = read_mail(raw, [OURS], take=take, cut="cut", most=raw.index(b"c.jpg") - 400)
    assert short.text.splitlines()[1:] == ["📎 a.jpg", "📎 b 张.jpg (cut)"]
    assert [file.name for file in short.files] == ["a.jpg"]
    assert "JJJ" not in repr(found)
    assert read_mail(letters.OUTLOOK_AWAY, [OURS], take=take).files == ()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("> all of it is quoted", "> all of it is quoted"),
        ("See below.\n> old\nAnd here too.", "See below.\nAnd here too."),
        ("On Monday I wrote:\nnothing came.", "On Monday I wrote:\nnothing came."),
        ("Yes.\n-----Original Message-----\nFrom: x\n\nold", "Yes."),
        ("Paragraph\n____________________\nmore of mine", "Paragraph\n____________________\nmore of mine"),
        ("好的。\n在 2026年3月10日，客服 <care@x.test> 写道：\n> 正在查找", "好的。"),
    ],
)
def test_only_what_programs_mark_is_taken_out(text: str, kept: str) -> None:
    assert without_history(text) == kept


def test_a_page_that_is_all_quotation_or_broken_says_what_there_is() -> None:
    assert from_html("<p>a<blockquote>b<blockquote>c</blockquote></blockquote>d") == "a\nd"
    assert from_html("<b>unclosed <script>never shown") == "unclosed"
    assert from_html("<blockquote>All in one</blockquote>") == "All in one"
