"""The commands ``mail`` and ``messages``: mails that a mail server hands over, and messages that wait for a person."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from cyclopts import App

from cases.vocabulary.refusals import Refused
from starter.cli import output
from starter.cli.errors import OK, BadInput, Failed, say
from starter.cli.options import STACK, StackOptions

if TYPE_CHECKING:
    from activities.database.database import Database
    from activities.replies.inbox import Inbox, Letter
    from starter.access import Caller
    from starter.messages import Messages

# EX_TEMPFAIL of sysexits.h: the mail server keeps the mail and tries again.
LATER = 75
app = App(name="messages", help="Messages of customers that answer no case, or a closed one.")


def register(parent: App) -> None:
    """Add the commands."""
    parent.command(mail)
    parent.command(app)


async def mail(*, options: StackOptions = STACK) -> int:
    """Take in a mail from stdin as it came (RFC 5322): for a mail server, which tries again after exit code 75.

    It is kept once, by its Message-ID, and a worker puts it on the case that it answers.
    """
    from activities.database.errors import DatabaseAway, StatementFailed
    from starter.incoming import most_of_mail, take_mail

    settings = options.settings()
    raw = sys.stdin.buffer.read(most_of_mail(settings) + 1)
    # What is beyond is not needed, and must not break the pipe.
    while sys.stdin.buffer.read(1 << 20):
        pass
    if not raw.strip():
        raise BadInput("stdin: no mail")
    try:
        async with _inbox(options) as inbox:
            state = await take_mail(raw, inbox, settings)
    except (DatabaseAway, StatementFailed, Failed) as error:
        say(str(error))
        return LATER
    if options.json:
        output.print_json({"state": state})
    else:
        output.line(state)
    return OK


@app.command(name="list")
async def list_messages(*, options: StackOptions = STACK) -> int:
    """List the messages that wait for a person, the oldest first, with what they say."""
    async with _inbox(options) as inbox:
        waiting = await inbox.open()
    if options.json:
        output.print_json([_plain(one) for one in waiting])
    elif waiting:
        rows = [
            (str(one.id), one.came_at.isoformat(timespec="minutes"), one.via, _from(one), one.case_id or one.why or "",
             one.text or one.subject)
            for one in waiting
        ]  # fmt: skip
        output.table(("id", "came at", "via", "from", "why it waits", "text"), rows)
    else:
        output.line("no messages wait")
    return OK


@app.command
async def add(id: int, case: str, /, *, by: str, options: StackOptions = STACK) -> int:
    """Put a message on a case, whose holder is told; a worker does it in a moment.

    Args:
        id: of the message.
        case: id or number.
        by: id of who says so: somebody of the directory who handles and files cases, and sees this one.
    """
    from activities.casebook.read import Casebook

    case_id = await options.case_id(case)
    async with options.database() as database:
        messages, caller = await _settling(database, by)
        view = await Casebook(database).case(case_id)
        if view is None:
            raise Refused("not_found", "there is no such case")
        await messages.add(caller, id, view)
    output.line(f"{id} goes to {case_id}")
    return OK


@app.command
async def dismiss(id: int, /, *, reason: str, by: str, options: StackOptions = STACK) -> int:
    """Say that nothing follows from a message; what it says is deleted.

    Args:
        id: of the message.
        reason: answered, duplicate, misdirected, no_action or spam.
        by: id of who says so: somebody of the directory who handles and files cases.
    """
    async with options.database() as database:
        messages, caller = await _settling(database, by)
        await messages.dismiss(caller, id, reason)
    output.line(f"{id} is dismissed")
    return OK


async def _settling(database: Database, by: str) -> tuple[Messages, Caller]:
    """Return the operation, and whoever is named as a caller; whether they may, it says itself.

    Raises:
        Refused: ``not_staff``.
    """
    from activities.people.directory import DirectoryBook
    from starter.access import staff_caller
    from starter.messages import Messages

    return Messages(database), staff_caller(by, await DirectoryBook(database).current())


@asynccontextmanager
async def _inbox(options: StackOptions) -> AsyncIterator[Inbox]:
    from activities.replies.inbox import Inbox

    async with options.database() as database:
        yield Inbox(database)


def _from(letter: Letter) -> str:
    return next(iter(letter.sender.values()), "")


def _plain(letter: Letter) -> dict[str, object]:
    return {
        "id": letter.id,
        "came_at": letter.came_at.isoformat(),
        "via": letter.via,
        "from": dict(letter.sender),
        "subject": letter.subject,
        "text": letter.text,
        "why": letter.why,
        "case": letter.case_id,
    }
