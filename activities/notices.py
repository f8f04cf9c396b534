"""Telling people: the activity ``notify``.

At least once to every address, each message with one id over all retries. What has become of each
delivery is kept in the heartbeat, so that a retry sends only the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.channels import Channel, Delayed, Message, SettingError, Undeliverable
from activities.channels.mail import read_sender
from activities.channels.maildir import MaildirChannel
from activities.channels.smtp import FORM, SmtpChannel
from activities.channels.webhook import WebhookChannel, read_secret
from activities.contacts import ContactBook, Contacts
from activities.messages import NOTIFY, NoticeBatch, NoticeOrder, NoticeResult
from activities.templates import Templates

# The type of the retryable failure. Its first detail is a list of `NoticeResult` as JSON objects:
# what came of each notice so far, for whoever gives up.
DELAYED = "NoticeDelayed"
# Seconds; several of them fit into the time after which an attempt counts as dead.
HEARTBEAT = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Delivery:
    """One notice to one address; ``roles`` are all those that the address serves."""

    id: str
    order: NoticeOrder
    roles: tuple[str, ...]
    channel: str
    address: str
    language: str


def deliveries(order: NoticeOrder, contacts: Contacts) -> list[Delivery]:
    """Who gets a notice: every address of its roles, each once.

    The id of a delivery comes from the notice and the address, so it stays the same when the
    contacts file is edited between two attempts.
    """
    roles: dict[tuple[str, str], list[str]] = {}
    for role in dict.fromkeys(order.roles):
        for target in contacts.roles[role].addresses() if role in contacts.roles else ():
            roles.setdefault(target, []).append(role)
    return [
        Delivery(
            id=_digest(order.id, channel, address),
            order=order,
            roles=tuple(served),
            channel=channel,
            address=address,
            language=contacts.roles[served[0]].language,
        )
        for (channel, address), served in roles.items()
    ]


# What has become of a delivery: {"at": instant, "reason": "" if it arrived, "final": bool}.
# Plain JSON, because it travels in the heartbeat.
Fate = dict[str, Any]


class Notifier:
    """Sends notices.

    Args:
        contacts: the addresses of each role.
        channels: by the names that `Contact.addresses` gives: ``email``, ``webhook``. An address
            whose channel is not among them is recorded as failed.
        templates: what the notices say.
    """

    def __init__(self, contacts: ContactBook, channels: Mapping[str, Channel], templates: Templates) -> None:
        self._contacts = contacts
        self._channels = dict(channels)
        self._templates = templates

    @activity.defn(name=NOTIFY)
    async def notify(self, batch: NoticeBatch) -> list[NoticeResult]:
        """Tell everybody whom the notices of one step of a case concern.

        Returns:
            One result per notice, in order; refusals for good are in the results.

        Raises:
            ApplicationError: type ``NoticeDelayed``, retryable: something could not be delivered
                now; everything else was.
        """
        contacts = self._contacts.current()
        plan = [delivery for order in batch.notices for delivery in deliveries(order, contacts)]
        fates = _recall()
        waiting: dict[str, list[Delivery]] = {}
        for delivery in plan:
            if not fates.get(delivery.id, {}).get("final", False):
                waiting.setdefault(delivery.channel, []).append(delivery)
        alive = asyncio.create_task(_beat(fates))
        try:
            # Beside each other: a mail server that hangs must not hold up the webhooks.
            async with asyncio.TaskGroup() as group:
                for channel, some in waiting.items():
                    group.create_task(self._serve(channel, some, batch, fates))
        finally:
            alive.cancel()
        results = [_result(order, [d for d in plan if d.order is order], fates) for order in batch.notices]
        late = [delivery for delivery in plan if not fates[delivery.id]["final"]]
        if late:
            why = sorted({f"{role} ({fates[d.id]['reason']})" for d in late for role in d.roles})
            message = f"{len(late)} of {len(plan)} deliveries delayed: {', '.join(why)}"
            raise ApplicationError(message, [asdict(result) for result in results], type=DELAYED)
        return results

    async def _serve(self, name: str, waiting: Sequence[Delivery], batch: NoticeBatch, fates: dict[str, Fate]) -> None:
        """Deliver through one channel, one after the other, noting the fate of each."""
        channel = self._channels.get(name)
        if channel is None:
            for delivery in waiting:
                self._settle(delivery, f"{name}: not configured", True, fates)
            return
        async with channel.session() as deliver:
            for delivery in waiting:
                reason, final = "", True
                try:
                    await deliver(self._message(delivery, batch))
                except Undeliverable as error:
                    reason = f"{name}: {error}"
                except Delayed as error:
                    reason, final = f"{name}: {error}", False
                self._settle(delivery, reason, final, fates)

    def _message(self, delivery: Delivery, batch: NoticeBatch) -> Message:
        order, view = delivery.order, batch.view
        facts = {
            "case_id": batch.case_id,
            "number": view.get("number") or batch.case_id,
            "kind": view.get("kind") or batch.case_id.partition(":")[0],
            "roles": order.roles,
            "clause": order.clause,
            "event": order.event,
        }
        text = self._templates.render(order.name, delivery.language, {**facts, "view": view})
        payload = {
            "type": f"notice.{order.name}",
            "id": delivery.id,
            "timestamp": order.event.get("at"),
            "notice": order.name,
            **facts,
            "subject": text.subject,
            "text": text.body,
        }
        thread = _digest(batch.case_id)
        return Message(delivery.id, thread, delivery.address, text.subject, text.body, payload)

    def _settle(self, delivery: Delivery, reason: str, final: bool, fates: dict[str, Fate]) -> None:
        fates[delivery.id] = {"at": _now(), "reason": reason, "final": final}
        activity.heartbeat(fates)
        if reason:
            log.warning(
                "notice_failed" if final else "notice_delayed",
                notice=delivery.order.name,
                roles=delivery.roles,
                reason=reason,
            )


def _result(order: NoticeOrder, plan: Sequence[Delivery], fates: Mapping[str, Fate]) -> NoticeResult:
    arrived = [delivery for delivery in plan if fates[delivery.id]["reason"] == ""]
    reached = {role for delivery in arrived for role in delivery.roles}
    addressed = {role for delivery in plan for role in delivery.roles}
    reasons: dict[str, str] = {}
    for role in order.roles:
        failed = [fates[d.id]["reason"] for d in plan if role in d.roles and fates[d.id]["reason"]]
        if role not in addressed:
            reasons[role] = "no address"
        elif failed:
            reasons[role] = "; ".join(dict.fromkeys(failed))
    if not addressed:
        outcome = "no_address"
    elif not reached:
        outcome = "failed"
    else:
        outcome = "sent" if reached.issuperset(order.roles) else "partly"
    return NoticeResult(
        id=order.id,
        name=order.name,
        roles=order.roles,
        outcome=outcome,
        channel=", ".join(dict.fromkeys(delivery.channel for delivery in arrived)),
        at=max((fates[delivery.id]["at"] for delivery in arrived or plan), default=_now()),
        reasons=reasons,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _digest(*parts: str) -> str:
    # 160 bits: unique, and a Message-ID of it fits on one line.
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def _recall() -> dict[str, Fate]:
    """What earlier attempts achieved, by their last heartbeat."""
    details = activity.info().heartbeat_details
    return dict(details[0]) if details else {}


async def _beat(fates: Mapping[str, Fate]) -> None:
    """Say every few seconds that this attempt lives, so that a dead worker is soon replaced."""
    while True:
        await asyncio.sleep(HEARTBEAT)
        activity.heartbeat(dict(fates))


def build_notifier(
    smtp_url: str | None, webhook_secret: str | None, contacts_path: Path | None, mail_from: str
) -> Notifier:
    """A notifier from the settings.

    Args:
        smtp_url: see `SmtpChannel`, or ``maildir:PATH``; without it mails are not sent, which is
            recorded with each notice.
        webhook_secret: see `read_secret`; without it nothing goes to webhooks, since a receiver
            could not tell it from a forgery.
        contacts_path: the contacts file; without it no role has an address.
        mail_from: the sender, ``name@example.com``.

    Raises:
        SettingError: naming the setting and what is allowed; secrets are not repeated.
    """
    sender = read_sender(mail_from)
    channels: dict[str, Channel] = {}
    if smtp_url is not None:
        scheme, _, folder = smtp_url.partition(":")
        if scheme != "maildir":
            channels["email"] = SmtpChannel(smtp_url, sender)
        elif folder:
            channels["email"] = MaildirChannel(Path(folder), sender)
        else:
            raise SettingError(f"smtp_url = 'maildir:': no folder is named; {FORM}")
    if webhook_secret is not None:
        channels["webhook"] = WebhookChannel(read_secret(webhook_secret))
    return Notifier(ContactBook(contacts_path), channels, Templates())
