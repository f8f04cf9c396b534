"""The ways by which a reply goes out: which are set up, and which a customer can be reached by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activities.notify.build import mail_channel, webhook_channel
from activities.notify.channels import Channel, SettingError
from cases.vocabulary.addresses import email_address

MAIL, MESSAGE = "mail", "message"


@dataclass(frozen=True)
class Ways:
    """What is set up.

    Args:
        channels: by the way, ``mail`` or ``message``.
        reply_to: the address that customers' answers go to; None for the sender of the mails.
        message_url: where messages are posted to.
    """

    channels: Mapping[str, Channel]
    reply_to: str | None = None
    message_url: str = ""

    def possible(self, customer: Mapping[str, Any] | None) -> dict[str, str]:
        """Return the ways by which this customer can be reached, the best first, each with the address."""
        found = {way: address_of(way, customer) for way in self.channels}
        return {way: address for way, address in found.items() if address is not None}


def build_ways(
    smtp_url: str | None,
    mail_from: str,
    reply_to: str | None = None,
    message_url: str | None = None,
    message_secret: str | None = None,
) -> Ways:
    """Build what the settings describe.

    Args:
        smtp_url, mail_from: as for notices.
        message_url: where messages are posted to, signed with ``message_secret`` (``whsec_`` and base64).

    Raises:
        SettingError: a setting is missing or wrong.
    """
    channels: dict[str, Channel] = {}
    mail = mail_channel(smtp_url, mail_from)
    if mail is not None:
        channels[MAIL] = mail
    if message_url is not None:
        message = webhook_channel(message_secret)
        if message is None:
            raise SettingError("message_secret is missing: messages to customers are signed")
        channels[MESSAGE] = message
    return Ways(channels, reply_to, message_url or "")


def masked(address: str) -> str:
    """Return an address as a page shows it: enough to tell it from another one, and not enough to write to."""
    name, at, host = address.partition("@")
    return f"{name[:1]}•••{at}{host}" if at else f"•••{address[-3:]}"


def address_of(way: str, customer: Mapping[str, Any] | None) -> str | None:
    """Return where a customer is reached by a way: the mail address; for a message the phone, else the reference."""
    known = customer or {}
    if way == MESSAGE:
        return known.get("phone") or known.get("ref")
    try:
        return email_address(known.get("email") or "")
    except ValueError:
        return None
