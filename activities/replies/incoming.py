"""What a mail that comes in is: the customer's words, or what a machine sent, and to which of our letters it belongs.

Nothing here knows the casebook. Whatever is sent is read: a header that is not as it should be counts as absent, and
bytes that are no text in their charset are replaced. No address and no text shows in a representation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email import policy
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser, BytesParser
from email.utils import getaddresses
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeVar

from activities.notify.channels.mail import CASE_HEADER, HERE
from activities.replies.readable import from_html, without_history

# A message of a person; the answer of a machine that nobody wrote; our own letter that came back because it could not
# be delivered; or a letter of a caseladder, this one or another, that must not be answered.
Sort = Literal["message", "auto", "bounce", "loop"]

# So much of a mail is read where nothing of its attachments is kept: its texts come before them.
LARGEST = 2 * 1024 * 1024
# What the library takes to read a mail goes by its lines times the parts within parts that each may end. Base64, which
# is what large mails consist of, has 76 characters in a line, and programs put three parts within each other: a mail
# with far more of either was made to keep readers busy, and no more than its beginning is read.
SHORTEST_LINE, MOST_BOUNDARIES, NESTED = 40, 30, 128 * 1024
# Characters of a header, and of a text or page, that are looked at.
LONGEST_HEADER, LONGEST_PAGE = 20_000, 400_000
# Characters that are kept: those that a text of the record may have; of a subject, one line.
LONGEST, LONGEST_SUBJECT, LONGEST_ID = 4000, 200, 200
# So many letters are looked for that it may answer, and so many names of attachments told.
MOST_NAMED, MOST_FILES = 30, 20

_ID = re.compile(r"<([^<>\s]{1,998})>")
_REPORTED_ID = re.compile(r"^[ \t]*(?:Original-)?Message-ID:[ \t]*<([^<>\s]{1,998})>", re.IGNORECASE | re.MULTILINE)
_BOUNDARY = re.compile(rb"boundary", re.IGNORECASE)
# What a subject of ours begins with: kind and number, ``[投诉 2026-03-0001]``.
_REFERENCE = re.compile(r"\[([^\[\]]{0,60}?)\s*([0-9A-Za-z][0-9A-Za-z-]{3,31})\]")
_BULK = frozenset({"bulk", "junk", "list", "auto_reply", "auto-reply"})
_SILENT = ("X-Auto-Response-Suppress", "X-Autoreply", "X-Autorespond", "X-Autoresponder", "List-Id")
_DAEMONS = frozenset({"mailer-daemon", "postmaster", "mail-daemon", "mailerdaemon"})
# What some providers mark their automatic answers by alone; an answer of a person begins with Re: or 回复.
_AUTOMATIC = re.compile(
    r"\s*(自动回复|自動回覆|自动答复|(automatic reply|auto[- ]?reply|out of office)\b)\s*[:\uff1a]?", re.IGNORECASE
)
Found = TypeVar("Found")
_FAULTS = (ValueError, LookupError, AttributeError, TypeError, AssertionError, MessageError)


class Enclosed(NamedTuple):
    """A file that came with a mail."""

    name: str
    content: bytes


# Looks at a file, and returns it as it is kept, or why it is not.
Take = Callable[[str, bytes], Enclosed | str]


@dataclass(frozen=True)
class Incoming:
    """A mail as it was read.

    Args:
        message_id: without its brackets; made of the content where it has none.
        named: the ids of letters that it answers, or says were not delivered, the nearest first.
        references: kind, in whatever language, and number of each reference in the subject.
        sender: the address, in small letters; None where there is none.
        text: what its sender wrote, without the history below; empty where that is nothing. Its files are named in it.
        files: those that are kept.
    """

    sort: Sort
    message_id: str
    named: tuple[str, ...] = ()
    references: tuple[tuple[str, str], ...] = ()
    sender: str | None = field(default=None, repr=False)
    subject: str = field(default="", repr=False)
    text: str = field(default="", repr=False)
    files: tuple[Enclosed, ...] = field(default=(), repr=False)


def read_mail(
    raw: bytes, ours: Collection[str] = (), *, take: Take | None = None, cut: str = "", most: int = LARGEST
) -> Incoming:
    """Read a mail as it came by RFC 5322; what is longer than ``most`` is read as far as that, or less far.

    Args:
        ours: our own addresses: a mail from one of them is a loop.
        take: looks at each file; None for none: they are only named.
        cut: why a file is not kept that is not here to its end.
    """
    most = _as_far(raw, most)
    whole, headers = BytesParser(policy=policy.default), BytesHeaderParser(policy=policy.default)
    # Of parts within parts without end, and of what else the library fails at, what it is stands in the headers.
    for parser, looks in ((whole, take), (headers, None)):
        with suppress(Exception):
            return _read(parser.parsebytes(raw[:most]), raw, ours, looks, cut, most)
    # One mail that cannot be read must not keep those behind it waiting: a person sees it as it came.
    return Incoming("message", _made_id(raw), text=shortened(raw[:LONGEST_PAGE].decode("utf-8", "replace")))


def _as_far(raw: bytes, most: int) -> int:
    """Return how many bytes of a mail are read, so that none takes long."""
    if next(islice(_BOUNDARY.finditer(raw), MOST_BOUNDARIES, None), None) is not None:
        return min(most, NESTED)
    # The library takes each of the three for the end of a line.
    lines = raw.count(b"\n") + raw.count(b"\r") - raw.count(b"\r\n")
    return min(most, LARGEST) if lines > len(raw) // SHORTEST_LINE else most


def _read(mail: EmailMessage, raw: bytes, ours: Collection[str], take: Take | None, cut: str, most: int) -> Incoming:
    sender = _sender(mail)
    message_id = next(_ids(mail, "Message-ID"), "")
    subject = _subject(mail)
    sort = _sort(mail, sender, message_id, subject, {one.casefold() for one in ours})
    named = _undelivered(mail) if sort == "bounce" else _answered(mail)
    text, files = "", tuple[Enclosed, ...]()
    if sort == "message":
        lines, files = _files(mail, take, cut if len(raw) > most else None)
        text = _text(mail, lines)
    return Incoming(
        sort,
        storable_id(message_id) or _made_id(raw),
        tuple(dict.fromkeys(map(storable_id, named)))[:MOST_NAMED],
        tuple(_REFERENCE.findall(subject)),
        sender,
        subject[:LONGEST_SUBJECT],
        text,
        files,
    )


def _made_id(raw: bytes) -> str:
    return f"{hashlib.sha256(raw).hexdigest()}@none"


def storable_id(message_id: str) -> str:
    """Return an id as it is kept: a very long one by its digest."""
    clean = storable(message_id)
    return clean if len(clean) <= LONGEST_ID else f"{hashlib.sha256(clean.encode()).hexdigest()}@long"


def storable(text: str) -> str:
    """Return a text without what no record takes: control characters, and halves of surrogate pairs."""
    told = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    return "".join(one for one in told if one in "\n\t" or ord(one) >= 0xA0 or 0x20 <= ord(one) < 0x7F)


def shortened(text: str, most: int = LONGEST) -> str:
    """Return as much of a text as the record takes, or ``most`` characters."""
    whole = storable(text).strip()
    return whole if len(whole) <= most else f"{whole[: most - 1].rstrip()}…"


# --- what it is -----------------------------------------------------------------------------------


def _sort(mail: EmailMessage, sender: str | None, message_id: str, subject: str, ours: Collection[str]) -> Sort:
    daemon = sender is not None and sender.partition("@")[0] in _DAEMONS
    if not daemon and (_has(mail, CASE_HEADER) or message_id.endswith(HERE) or sender in ours):
        return "loop"
    if _is_report(mail, "delivery-status"):
        # Other reports say that it is late, or that it has arrived.
        return "bounce" if "failed" in _actions(mail) else "auto"
    automatic = _is_automatic(mail, subject)
    if daemon:
        return "bounce"
    returned = _value(mail, "Return-Path")
    if returned is not None and returned.strip() in ("<>", ""):
        # An autoresponder has no return path either, by RFC 3834.
        return "bounce" if not automatic and _enclosed(mail) else "auto"
    return "auto" if automatic else "message"


def _is_automatic(mail: EmailMessage, subject: str) -> bool:
    submitted = (_value(mail, "Auto-Submitted") or "no").partition(";")[0].strip().lower()
    precedence = (_value(mail, "Precedence") or "").strip().lower()
    return (
        submitted not in ("no", "")
        or precedence in _BULK
        or any(_has(mail, name) for name in _SILENT)
        or mail.get_content_type() == "multipart/report"
        or _AUTOMATIC.match(subject) is not None
    )


def _is_report(mail: EmailMessage, sort: str) -> bool:
    if mail.get_content_type() != "multipart/report":
        return False
    told: Any = _guarded(lambda: str(mail.get_param("report-type") or "").lower())
    return told == sort or any(part.get_content_type() == f"message/{sort}" for part in mail.walk())


def _actions(mail: EmailMessage) -> set[str]:
    """Return what a report says was done with each recipient."""
    groups = [part for part in mail.walk() if part.get_content_type() == "message/delivery-status"]
    found = set()
    for group in groups:
        for one in (group, *(_parts(group))):
            found.add((_value(one, "Action") or "").partition("(")[0].strip().lower())
    # Some leave it out, and report nothing but failures.
    return found - {""} or {"failed"}


# --- what it belongs to ---------------------------------------------------------------------------


def _answered(mail: Message) -> list[str]:
    return [*_ids(mail, "In-Reply-To"), *reversed(list(_ids(mail, "References")))]


def _undelivered(mail: EmailMessage) -> list[str]:
    """Return the ids of the letters that a mail says were not delivered."""
    found: list[str] = []
    for part in _enclosed(mail):
        if part.get_content_type() == "text/rfc822-headers":
            found += _REPORTED_ID.findall(_decoded(part))
        for inner in _parts(part):
            found += _ids(inner, "Message-ID")
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            found += _REPORTED_ID.findall(_decoded(part))
    return [*found, *_answered(mail)]


def _enclosed(mail: Message) -> list[Message]:
    return [part for part in mail.walk() if part.get_content_type() in ("message/rfc822", "text/rfc822-headers")]


def _parts(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []


# --- headers --------------------------------------------------------------------------------------


def _value(mail: Message, name: str) -> str | None:
    """Return a header as it was sent; reading it as what it stands for fails where it is malformed."""
    wanted = name.lower()
    return next((str(value)[:LONGEST_HEADER] for key, value in mail.raw_items() if key.lower() == wanted), None)


def _has(mail: Message, name: str) -> bool:
    return bool((_value(mail, name) or "").strip())


def _ids(mail: Message, name: str) -> Iterator[str]:
    yield from _ID.findall(_value(mail, name) or "")


def _sender(mail: Message) -> str | None:
    """Return whom it is from, if that is one address."""
    found = _guarded(lambda: [address for _, address in getaddresses([_value(mail, "From") or ""]) if "@" in address])
    return storable(found[0]).casefold() if found is not None and len(found) == 1 else None


def _subject(mail: Message) -> str:
    value = _value(mail, "Subject") or ""
    told = _guarded(lambda: str(make_header(decode_header(value))))
    return " ".join(storable(value if told is None else told).split())


def _guarded(read: Callable[[], Found]) -> Found | None:
    try:
        return read()
    except _FAULTS:
        return None


# --- what was written -----------------------------------------------------------------------------


def _text(mail: EmailMessage, files: str) -> str:
    body = _guarded(lambda: mail.get_body(("plain", "html")))
    text = ""
    if body is not None:
        told = _decoded(body)[:LONGEST_PAGE]
        text = without_history(from_html(told) if body.get_content_subtype() == "html" else told)
    # The names of files, which may be long, leave half to what was written.
    files = shortened(files, LONGEST // 2)
    return "\n".join(filter(None, (shortened(text, LONGEST - len(files) - 1 if files else LONGEST), files)))


def _files(mail: EmailMessage, take: Take | None, cut: str | None) -> tuple[str, tuple[Enclosed, ...]]:
    """Return the lines that name the files of a mail, and those of them that are kept.

    Args:
        cut: why the last part of the mail is not kept, where the mail goes on behind it.
    """
    lines, kept = "", []
    *_, last = mail.walk()
    for part in list(_enclosures(mail))[:MOST_FILES]:
        name = " ".join(storable(_file_name(part) or part.get_content_type())[:LONGEST_SUBJECT].split())
        why: str | None = None
        if take is not None and part is last and cut is not None:
            why = cut
        elif take is not None:
            content = _guarded(lambda part=part: part.get_payload(decode=True))  # type: ignore[misc]  # of this turn
            try:
                taken = take(name, content if isinstance(content, bytes) else b"")
            except Exception:
                # No file ends the reading of a mail. Whoever looks at them says why one is not kept.
                taken = "?"
            if isinstance(taken, Enclosed):
                kept.append(taken)
            else:
                why = taken
        lines += f"\n📎 {name}" if why is None else f"\n📎 {name} ({why})"
    return lines, tuple(kept)


def _enclosures(mail: EmailMessage) -> Iterator[Message]:
    for part in mail.walk():
        if part.get_content_disposition() == "attachment" or part.get_content_maintype() in ("image", "application"):
            yield part


def _file_name(part: Message) -> str:
    return _guarded(lambda: str(part.get_filename() or "")) or ""


def _decoded(part: Message) -> str:
    content = _guarded(lambda: part.get_payload(decode=True))
    if not isinstance(content, bytes):
        told = part.get_payload()
        return told if isinstance(told, str) else ""
    charset = (_guarded(lambda: str(part.get_content_charset() or "")) or "utf-8").lower()
    # Who says GB 2312 or GBK often means more than that.
    charsets = ("gb18030",) if charset in ("gb2312", "gbk", "x-gbk", "hz-gb-2312") else (charset, "utf-8", "gb18030")
    for name in charsets:
        try:
            return content.decode(name)
        except (LookupError, ValueError):
            continue
    return content.decode("gb18030" if charsets == ("gb18030",) else "utf-8", "replace")
