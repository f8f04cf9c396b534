"""The messages that came in: each is kept once, until it is on a case or a person has dealt with it."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from activities.casebook.paging import read_cursor, write_cursor
from activities.database.database import Database, statement
from activities.replies.incoming import Enclosed, Incoming

Json = dict[str, Any]
# Bytes that the files of the messages that wait may take in all: anybody may send some, and they lie in the database.
MOST_WAITING = 500_000_000
# The order of the list of those that wait, in the cursors of its pages.
ORDER = "messages"
# Why a message may be dismissed. It is a term and no text of one's own, since it stays when the message is gone.
DismissedFor = Literal["answered", "duplicate", "misdirected", "no_action", "spam"]
DISMISSED_FOR: tuple[DismissedFor, ...] = get_args(DismissedFor)
# What stands for a message that says nothing.
SILENCE = "—"


@dataclass(frozen=True)
class Letter:
    """A message as it waits.

    Args:
        via: ``mail``, ``message`` or ``web``.
        sender: where it came from: ``email``, ``phone`` or ``ref``; empty where that is unknown.
        case_id: where a person has put it; of an open one the closed case that it answers.
        why: of an open one, why nobody has dealt with it.
        told: what has come of it, where only its files are not on the case yet.
        until: of one that somebody has claimed, until when: that is whose claim it is.
    """

    id: int
    came_at: datetime
    message_id: str
    sort: str
    via: Literal["mail", "message", "web"]
    named: tuple[str, ...]
    references: tuple[tuple[str, str], ...]
    sender: Mapping[str, str] = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    case_id: str | None = None
    why: str | None = None
    told: str | None = None
    until: datetime | None = field(default=None, compare=False)

    @property
    def digest(self) -> str:
        """What stands for its id."""
        return digest_of(self.message_id).hex()

    @property
    def said(self) -> str:
        """What it says: of one without a text its subject."""
        return self.text or self.subject or SILENCE


class Inbox:
    """Keeps the messages. Safe to share between tasks; every method raises what `Database.connection` does."""

    _PUT = statement(__package__, "incoming_put")
    _NEXT = statement(__package__, "incoming_next")
    _TOLD = statement(__package__, "incoming_told")
    _DONE = statement(__package__, "incoming_done")
    _LEAVE = statement(__package__, "incoming_leave")
    _OPEN = statement(__package__, "incoming_open")
    _COUNT = statement(__package__, "incoming_count")
    _ONE = statement(__package__, "incoming_one")
    _CLAIM = statement(__package__, "incoming_claim")
    _RELEASE = statement(__package__, "incoming_release")
    _GIVE = statement(__package__, "incoming_give")
    _DISMISS = statement(__package__, "incoming_dismiss")
    _WAITING_FILES = statement(__package__, "incoming_waiting_files")
    _FILES = statement(__package__, "incoming_files")
    _HAND_ON = statement(__package__, "incoming_hand_on")
    _EXPIRE = statement(__package__, "incoming_expire")
    _FORGET = statement(__package__, "incoming_forget")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, found: Incoming, via: str = "mail", sender: Mapping[str, str] | None = None) -> str:
        """Take a message in; a worker deals with it. Of what a machine sent only that it came is kept.

        Args:
            sender: where it came from, if not by mail.

        Returns:
            ``waits``, ``known`` (it came before), or what it is if nothing follows from it: ``auto`` or ``loop``.
        """
        machine = found.sort in ("auto", "loop")
        by_mail = {} if found.sender is None else {"email": found.sender}
        content = {
            "message_id": found.message_id,
            "sort": found.sort,
            "via": via,
            "named": list(found.named),
            "references": [list(one) for one in found.references],
            "sender": dict(by_mail if sender is None else sender),
            "subject": found.subject,
            "text": found.text,
        }
        state, kept, outcome = ("handled", None, found.sort) if machine else ("new", content, None)
        files = [{"name": one.name, "content": b64encode(one.content).decode()} for one in found.files]
        async with self._database.connection() as connection:
            put = await connection.fetchval(
                self._PUT, digest_of(found.message_id), state, kept, outcome, files if files and not machine else None
            )
        if put is None:
            return "known"
        return found.sort if machine else "waits"

    async def takes_files(self) -> bool:
        """Whether there is room for more files of messages. It is looked at before a mail is read, and not held."""
        async with self._database.connection() as connection:
            return int(await connection.fetchval(self._WAITING_FILES)) < MOST_WAITING

    async def take(self) -> Letter | None:
        """Take the message that has waited longest; nobody else gets it within a minute. None if none waits."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._NEXT)
        return None if row is None else _letter(row)

    async def done(self, letter: Letter, outcome: str, case_id: str | None = None, by: str | None = None) -> None:
        """Note what came of a message, with the case that it is on now, and delete what it says.

        Of one that was claimed, unless somebody else has claimed it since.

        Args:
            by: who has settled it, if a person has.
        """
        named = letter.message_id if case_id is not None and letter.sort == "message" else None
        async with self._database.connection() as connection:
            await connection.execute(self._DONE, letter.id, outcome, case_id, named, by, letter.until)

    async def told(self, letter: Letter, outcome: str, case_id: str) -> None:
        """Note what came of a message whose files are not on the case yet, so that no other case is told."""
        async with self._database.connection() as connection:
            await connection.execute(self._TOLD, letter.id, case_id, outcome)

    async def hand_on(self, letter: Letter, outcome: str, case_id: str, by: str) -> bool:
        """Have a worker put the files of a claimed message on the case that a person has put the rest on.

        Returns:
            False where it has none, or somebody else has claimed it since.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchval(self._HAND_ON, letter.id, case_id, outcome, by, letter.until)
        return row is not None

    async def files(self, letter: Letter) -> list[Enclosed]:
        """Return the files of a message that are to be kept."""
        async with self._database.connection() as connection:
            files = await connection.fetchval(self._FILES, letter.id)
        return [Enclosed(one["name"], b64decode(one["content"])) for one in files or ()]

    async def leave(self, letter: Letter, why: str, closed: str | None = None) -> None:
        """Leave a message to people: ``why``, and the closed case that it answers."""
        async with self._database.connection() as connection:
            await connection.execute(self._LEAVE, letter.id, why, closed)

    async def open(self) -> list[Letter]:
        """Return all messages that wait for a person, the oldest first."""
        async with self._database.connection() as connection:
            return [_letter(row) for row in await connection.fetch(self._OPEN, None, None, None)]

    async def page(self, limit: int, after: str | None = None) -> tuple[list[Letter], str | None]:
        """Return some of the messages that wait for a person, the oldest first, and what asks for the next page.

        Args:
            after: what the page before gave.

        Raises:
            Refused: ``invalid``: no page gave this.
        """
        came_at, _, id = read_cursor(after, ORDER, numbers=1)
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._OPEN, limit + 1, came_at, id)
        found = [_letter(row) for row in rows[:limit]]
        if len(rows) <= limit:
            return found, None
        return found, write_cursor(ORDER, found[-1].came_at.isoformat(), ORDER, found[-1].id)

    async def count(self) -> int:
        """Return how many messages wait for a person."""
        async with self._database.connection() as connection:
            return int(await connection.fetchval(self._COUNT))

    async def one(self, id: int) -> Letter | str | None:
        """Return a message that waits for a person; of one that a person has settled who that was; else None."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._ONE, id)
        if row is None:
            return None
        return _letter(row) if row["state"] == "open" else row["handled_by"]

    async def claim(self, id: int) -> Letter | None:
        """Take a message that waits for a person, to settle it: nobody else does for a minute. None where somebody has.

        What is done with it then ends by `done` or `release`.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._CLAIM, id)
        return None if row is None else _letter(row)

    async def release(self, letter: Letter) -> None:
        """Leave a message that was claimed to people again, unless somebody else has claimed it since."""
        async with self._database.connection() as connection:
            await connection.execute(self._RELEASE, letter.id, letter.until)

    async def give(self, id: int, case_id: str, by: str) -> bool:
        """Put a message on a case, which a worker does; False where none of this id waits for a person."""
        async with self._database.connection() as connection:
            return await connection.fetchval(self._GIVE, id, case_id, by) is not None

    async def dismiss(self, id: int, by: str, reason: str) -> bool:
        """Say that nothing follows from a message; False where none of this id waits for a person.

        Args:
            reason: one of `DISMISSED_FOR`.
        """
        async with self._database.connection() as connection:
            return await connection.fetchval(self._DISMISS, id, by, reason) is not None

    async def expire(self) -> int:
        """Delete what nobody has dealt with for 90 days, and return how many these were; forget what is long done."""
        async with self._database.connection() as connection:
            expired = await connection.fetch(self._EXPIRE)
            await connection.execute(self._FORGET)
        return len(expired)


def digest_of(message_id: str) -> bytes:
    """Return what stands for the id of a message once its content is gone."""
    return hashlib.sha256(message_id.encode()).digest()


def _letter(row: Any) -> Letter:
    told: Json = row["content"]
    return Letter(
        id=row["id"],
        came_at=row["came_at"],
        message_id=told["message_id"],
        sort=told["sort"],
        via=told["via"],
        named=tuple(told["named"]),
        references=tuple((kind, number) for kind, number in told["references"]),
        sender=told["sender"],
        subject=told["subject"],
        text=told["text"],
        case_id=row["case_id"],
        why=row.get("outcome"),
        told=told.get("told"),
        until=row.get("try_at"),
    )
