"""A notifier from the settings."""

from __future__ import annotations

from pathlib import Path

from activities.events.outbound import Guard
from activities.notify.channels import Channel, SettingError
from activities.notify.channels.apprise import AppriseChannel
from activities.notify.channels.dingtalk import DingtalkChannel
from activities.notify.channels.feishu import FeishuChannel
from activities.notify.channels.mail import read_sender
from activities.notify.channels.maildir import MaildirChannel
from activities.notify.channels.smtp import FORM, SmtpChannel
from activities.notify.channels.webhook import WebhookChannel
from activities.notify.channels.wecom import WecomChannel
from activities.notify.compose import Composer, Links
from activities.notify.contacts import ContactBook
from activities.notify.notifier import Ledger, Notifier, Staff
from activities.notify.sender import Sender
from activities.notify.templates import Templates
from activities.signatures import read_secret

# Seconds that a notice is held at most, whatever the policy says.
HOLD = 60


def build_notifier(
    smtp_url: str | None,
    webhook_secret: str | None,
    contacts_path: Path | None,
    mail_from: str,
    *,
    apprise: bool = False,
    templates: Path | None = None,
    staff: Staff | None = None,
    ledger: Ledger | None = None,
    links: Links | None = None,
    hold: float = HOLD,
    guard: Guard | None = None,
) -> Notifier:
    """Build a notifier from the settings.

    Args:
        smtp_url: see `SmtpChannel`, or ``maildir:PATH``; without it mails are not sent, which is
            recorded with each notice.
        webhook_secret: see `read_secret`; without it nothing goes to webhooks, since a receiver
            could not tell it from a forgery.
        contacts_path: the contacts file; without it no role has a shared address.
        mail_from: the sender, ``name@example.com``.
        apprise: whether apprise's addresses are served.
        templates: a folder of templates that go before the built-in ones.
        staff, ledger: see `Notifier`.
        links: see `Composer`.
        hold: see `Sender`.
        guard: judges where the addresses of people may lead; without one, anywhere.

    Raises:
        SettingError: naming the setting and what is allowed; secrets are not repeated.
    """
    channels: dict[str, Channel] = {
        "wecom": WecomChannel(guard=guard),
        "dingtalk": DingtalkChannel(guard=guard),
        "feishu": FeishuChannel(guard=guard),
    }
    mail = mail_channel(smtp_url, mail_from)
    if mail is not None:
        channels["email"] = mail
    webhook = webhook_channel(webhook_secret, guard)
    if webhook is not None:
        channels["webhook"] = webhook
    if apprise:
        channels["apprise"] = AppriseChannel(guard)
    sender = Sender(channels, Composer(Templates(templates), links), hold)
    return Notifier(ContactBook(contacts_path), sender, staff, ledger)


def webhook_channel(secret: str | None, guard: Guard | None = None) -> Channel | None:
    """Return the channel of webhooks; None without a secret. The guard is that of `build_notifier`.

    Raises:
        SettingError: see `build_notifier`.
    """
    try:
        return None if secret is None else WebhookChannel(read_secret(secret), guard=guard)
    except ValueError as error:
        raise SettingError(f"webhook_secret: {error}") from None


def mail_channel(smtp_url: str | None, mail_from: str) -> Channel | None:
    """Return the channel of mails; None where there is no server.

    Raises:
        SettingError: see `build_notifier`.
    """
    sender = read_sender(mail_from)
    if smtp_url is None:
        return None
    scheme, _, folder = smtp_url.partition(":")
    if scheme != "maildir":
        return SmtpChannel(smtp_url, sender)
    if not folder:
        raise SettingError(f"smtp_url = 'maildir:': no folder is named; {FORM}")
    return MaildirChannel(Path(folder), sender)
