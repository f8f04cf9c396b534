"""How a message becomes an e-mail."""

from __future__ import annotations

from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import SMTP
from email.utils import localtime
from typing import BinaryIO

from activities.notify.channels import Message, SettingError

# What Message-IDs of this system end with; and the header by which a letter of it is known, wherever it comes back.
HERE = "@caseladder"
CASE_HEADER = "X-Caseladder-Case"
# A letter names so many of those before it at most.
MOST_EARLIER = 20


def read_sender(mail_from: str) -> Address:
    """Read the sender of all mails, shown as caseladder.

    Raises:
        SettingError: not an address of the form ``name@example.com``.
    """
    try:
        sender = Address("caseladder", addr_spec=mail_from)
        mail_from.encode("ascii")
    except (ValueError, IndexError, MessageError):
        sender = Address()
    if not (sender.username and sender.domain):
        raise SettingError(f"mail_from = {mail_from!r}: not an e-mail address; allowed: name@example.com")
    return sender


def compose(message: Message, sender: Address) -> EmailMessage:
    """Write the e-mail of a message, with a Message-ID that is the same over every retry.

    A line break in a header value raises ValueError (`email.policy`), so nobody can add a header
    of their own; ``subject`` comes as one line from the templates.
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = message.to
    mail["Subject"] = message.subject
    mail["Date"] = localtime()
    mail["Message-ID"] = f"<{message.id}{HERE}>"
    letter = message.letter
    references = (f"{message.thread}{HERE}", *(letter.earlier[-MOST_EARLIER:] if letter else ()))
    mail["References"] = " ".join(f"<{one}>" for one in references)
    if letter is None:
        # RFC 3834: an absent person's autoresponder stays silent.
        mail["Auto-Submitted"] = "auto-generated"
    else:
        mail[CASE_HEADER] = letter.case
        if letter.reply_to is not None:
            mail["Reply-To"] = letter.reply_to
        if letter.earlier:
            mail["In-Reply-To"] = f"<{letter.earlier[-1]}>"
    mail.set_content(message.text)
    return mail


def is_of_thread(file: BinaryIO, thread: str) -> bool:
    """Whether a mail that `compose` wrote is of this thread."""
    # That of the case comes first, before those of earlier letters.
    return str(BytesHeaderParser(policy=SMTP).parse(file)["References"]).split()[:1] == [f"<{thread}{HERE}>"]
