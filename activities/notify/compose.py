"""What a notice says to one recipient: the message of a channel, and its line in a digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from activities.messages import NoticeBatch
from activities.notify import ack_tokens
from activities.notify.channels import Message
from activities.notify.recipients import Delivery, Way, stable_id
from activities.notify.templates import Templates, Text
from cases.vocabulary.events import without_texts

# Channel, address and language: what goes there together.
Target = tuple[str, str, str]


@dataclass(frozen=True)
class Links:
    """Where links in notices lead, and what notices are acknowledged with: the secrets, newest first, or none."""

    secrets: tuple[str, ...] = ()
    public_url: str | None = None


@dataclass
class Composed:
    """A message, its line for the case that it goes out in a digest, and what is to be remarked on it afterwards."""

    message: Message
    line: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


class Composer:
    """Writes messages.

    Args:
        templates: what the notices say.
        links: how notices are acknowledged, and where the console is; without it they say nothing of either.
    """

    def __init__(self, templates: Templates, links: Links | None) -> None:
        self._templates = templates
        self._links = links

    def compose(self, delivery: Delivery, way: Way, batch: NoticeBatch) -> Composed:
        """Write the message of a delivery for one of its ways."""
        order, view, case_id = delivery.order, batch.view, batch.case_id
        facts = {
            "case_id": case_id,
            "number": view.get("number") or case_id,
            "kind": view.get("kind") or case_id.partition(":")[0],
            "roles": order.roles,
            "clause": order.clause,
            "event": order.event,
            **({} if order.no is None else {"no": order.no}),
        }
        ack = self._acknowledging(delivery, way, case_id)
        page = self._page(case_id)
        text = self._templates.render(order.name, way.language, {**facts, "view": view, "ack": ack, "page": page})
        payload = {
            "type": f"notice.{order.name}",
            "id": way.id,
            "timestamp": order.event.get("at"),
            "notice": order.name,
            **facts,
            # To whomever it goes: what people wrote freely is in what the template says, or nowhere.
            "event": without_texts(order.event),
            "subject": text.subject,
            "text": text.body,
            **({"acknowledge": ack} if ack else {}),
        }
        personal = way.person is not None
        message = Message(way.id, stable_id(case_id), way.address, text.subject, text.body, payload, personal)
        line = {
            "id": way.id[:10],
            "number": facts["number"],
            "case_id": case_id,
            "title": text.subject.removeprefix(f"[{facts['number']}] "),
            "due": order.event.get("data", {}).get("due"),
            "ack": ack,
        }
        return Composed(message, line, [text.remark] if text.remark else [])

    def combine(self, target: Target, items: Sequence[Composed]) -> Message:
        """Write the one message of several; one by itself stays what it is."""
        if len(items) == 1:
            return items[0].message
        channel, address, _ = target
        text = self.digest(target, items)
        ids = sorted(item.message.id for item in items)
        for item in items if text.remark else ():
            item.remarks.append(text.remark)
        payload = {"type": "notice.digest", "ids": ids}
        personal = any(item.message.personal for item in items)
        return Message(
            stable_id(*ids), stable_id(channel, address), address, text.subject, text.body, payload, personal
        )

    def digest(self, target: Target, items: Sequence[Composed]) -> Text:
        """Write the text of a digest."""
        return self._templates.digest(target[2], [item.line for item in items])

    def _page(self, case_id: str) -> str:
        """Return where the console shows a case; empty where nobody says where the console is."""
        if self._links is None or self._links.public_url is None:
            return ""
        return f"{self._links.public_url.rstrip('/')}/console/case?id={quote(case_id, safe='')}"

    def _acknowledging(self, delivery: Delivery, way: Way, case_id: str) -> dict[str, str] | None:
        """Return what a person takes the case up with; shared addresses are nobody's, so they get nothing."""
        if self._links is None or not self._links.secrets or way.person is None or not delivery.order.acknowledge:
            return None
        event = delivery.order.event
        expires = ack_tokens.expiry(event["at"])
        secrets, who = self._links.secrets, (case_id, event["seq"], way.person.id)
        ack = {"code": ack_tokens.short_code(secrets[0], *who, expires), "link": ""}
        if self._links.public_url is not None:
            token = ack_tokens.issue(secrets, *who, delivery.roles[0], expires)
            ack["link"] = f"{self._links.public_url.rstrip('/')}/a/{token}"
        return ack
