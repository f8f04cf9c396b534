"""Messages of customers as the settings have them come in: read, kept, and dealt with by whichever worker is next."""

from __future__ import annotations

import asyncio
from functools import cache, partial
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from activities.attachments.content import check
from activities.casebook.read import Casebook
from activities.database.database import Database
from activities.database.errors import DatabaseAway, StatementFailed
from activities.notify.translations import LANGUAGES, Translations, word_files
from activities.policies.store import Policies
from activities.replies.handle import Letters, Waits
from activities.replies.inbox import Inbox
from activities.replies.incoming import LARGEST, Enclosed, read_mail
from activities.replies.mailbox import Mailbox, MailboxAway
from cases.policy.model import Policy
from cases.vocabulary.refusals import Refused
from starter.attachments import attachments_of
from starter.client import DEFAULT_POLICY, CaseClient
from starter.senders import signer_of
from starter.settings import Settings

if TYPE_CHECKING:  # half a second to import; needed only where the engine is asked
    from temporalio.client import Client

# Seconds between two looks at what waits, at the mailbox, and at what is too old.
LOOK_AGAIN, MAILBOX_AGAIN, EXPIRE_AGAIN = 2.0, 30.0, 3600.0


def our_addresses(settings: Settings) -> list[str]:
    """Return the addresses that this system writes from, or has answers sent to."""
    return [one for one in (settings.mail_from, settings.reply_address) if one is not None]


def most_of_mail(settings: Settings) -> int:
    """Return how many bytes of a mail are read: with a store of attachments so many that the largest one fits in."""
    # Base64 makes four of three, and breaks lines.
    return LARGEST if settings.attachments is None else LARGEST + settings.attachment_limit * 3 // 2


async def take_mail(raw: bytes, inbox: Inbox, settings: Settings) -> str:
    """Take a mail in as it came by RFC 5322; see `Inbox.put` for what is returned.

    Args:
        raw: one byte more than `most_of_mail` of one that is longer.
    """
    room = settings.attachments is not None and await inbox.takes_files()

    def take(name: str, content: bytes) -> Enclosed | str:
        try:
            if not room:
                raise Refused("files_full", "the files of messages that wait take all the room there is for them")
            return Enclosed(check(name, content, settings.attachment_limit, settings.taken_types)[0], content)
        except Refused as refusal:
            return _why_not(refusal.code)

    read = partial(
        read_mail,
        raw,
        our_addresses(settings),
        take=None if settings.attachments is None else take,
        cut=_why_not("file_too_large"),
        most=most_of_mail(settings),
    )
    return await inbox.put(await asyncio.to_thread(read))


@cache
def _why_not(code: str) -> str:
    """Return why a file is not kept, in both languages: who will read it is not known yet."""
    return " / ".join(Translations.read(language, word_files(language)).word("code", code) for language in LANGUAGES)


async def keep_answering(
    database: Database, client: Client, settings: Settings, policies: Policies, log: structlog.stdlib.BoundLogger
) -> None:
    """Deal with the messages that come in until it is cancelled, and delete those that nobody has dealt with."""
    from temporalio.service import RPCError

    async def in_force() -> Policy:
        return await policies.in_force(DEFAULT_POLICY)

    cases = CaseClient(client, Casebook(database), signer_of(settings), policies.in_force)
    attachments = attachments_of(settings, database)
    letters, inbox = Letters(database, cases.command, cases.open, in_force, attachments), Inbox(database)
    expired = float("-inf")
    while True:
        try:
            if monotonic() - expired >= EXPIRE_AGAIN:
                gone, expired = await inbox.expire(), monotonic()
                if gone:
                    log.warning("messages_expired", messages=gone)
                if waiting := await inbox.count():
                    log.warning("messages_wait", messages=waiting)
            while (outcome := await letters.next()) is not None:
                log.info("message_handled", outcome=outcome)
        except Waits as error:
            # To the next one: this one is taken again in a minute.
            log.warning("message_waits", reason=str(error))
            continue
        except (DatabaseAway, StatementFailed, RPCError, OSError) as error:
            log.warning("messages_delayed", reason=type(error).__name__)
        except Exception as error:
            # One message must not keep all others waiting; what it says may stand in the error.
            log.error("message_failed", error=type(error).__name__)
        await asyncio.sleep(LOOK_AGAIN)


async def keep_fetching(database: Database, settings: Settings, log: structlog.stdlib.BoundLogger) -> None:
    """Read the mailbox of the settings until it is cancelled, if there is one; while it is away it is tried again."""
    if settings.imap_url is None:
        return
    mailbox, inbox = Mailbox.at(settings.imap_url.get_secret_value()), Inbox(database)
    while True:
        try:
            found = await mailbox.look(lambda raw: take_mail(raw, inbox, settings), most_of_mail(settings) + 1)
            if found:
                log.info("mails_taken", mails=found)
        except (MailboxAway, DatabaseAway, StatementFailed) as error:
            log.warning("mailbox_waits", reason=type(error).__name__)
        except Exception as error:
            # Whatever it is, mails are read again at the next round; what they say may stand in the error.
            log.error("mailbox_failed", error=type(error).__name__)
        await asyncio.sleep(MAILBOX_AGAIN)
