"""What a notice says to one recipient: the message of a channel, and its line in a digest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from activities.messages import NoticeBatch
from activities.notify import ack_tokens
from activities.notify.channels import Message
from activities.notify.recipients import Delivery, Way, stable_id
from activities.notify.templates import Templates, Text, named
from cases.audience import is_told_of_parcel, is_told_why
from cases.directory import OUTSIDE, Directory
from cases.mechanisms.approvals import ApprovalRequested, Approved, Rejected
from cases.vocabulary.events import without_texts
from cases.vocabulary.texts import is_reference

# Why something was asked for, approved or rejected goes along to the staff who may read it.
WITH_REASONS = frozenset({ApprovalRequested.TYPE, Approved.TYPE, Rejected.TYPE})
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

    def compose(self, delivery: Delivery, way: Way, batch: NoticeBatch, directory: Directory) -> Composed:
        """Write the message of a delivery for one of its ways.

        Args:
            directory: whose names the staff are told.
        """
        order, view, case_id = delivery.order, batch.view, batch.case_id
        event, roles = order.event, delivery.roles
        kind = str(view.get("kind") or case_id.partition(":")[0])
        # Before a case has its number, people know it by the key that its caller gave it.
        number = str(view.get("number") or case_id.partition(":")[2])
        facts: dict[str, Any] = {
            "case_id": case_id,
            "number": view.get("number") or case_id,
            "kind": kind,
            "roles": order.roles,
            "clause": order.clause,
            "event": event,
            **({} if order.no is None else {"no": order.no}),
        }
        about = self._templates.about(way.language, kind, view)
        outside = not OUTSIDE.isdisjoint(roles)
        parcel = all(is_told_of_parcel(role, {"kind": kind, **view}) for role in roles)
        waybill = _waybill(view) if parcel else ""
        name_of = _names(directory, outside)
        console = "" if outside else self._console()
        ack = self._acknowledging(delivery, way, case_id)
        told = {
            **facts,
            "number": number,
            "view": view,
            "ack": ack,
            "outside": outside,
            "console": console,
            "page": f"{console}/case?id={quote(case_id, safe='')}" if console else "",
            "about": about,
            "waybill": waybill,
            "reason": _reason(event) if all(is_told_why(role, view) for role in roles) else "",
            "name_of": name_of,
            "zone": batch.zone,
        }
        text = self._templates.render(order.name, way.language, told)
        payload = {
            "type": f"notice.{order.name}",
            "id": way.id,
            "timestamp": event.get("at"),
            "notice": order.name,
            **facts,
            # To whomever it goes: what people wrote freely is in what the template says, or nowhere.
            "event": without_texts(event),
            "subject": text.subject,
            "text": text.body,
            **({"acknowledge": ack} if ack else {}),
        }
        personal = way.person is not None
        message = Message(way.id, stable_id(case_id), way.address, text.subject, text.body, payload, personal)
        unit = view.get("unit")
        line = {
            "id": way.id[:10],
            "number": number,
            "case_id": case_id,
            "title": _title(text.subject, number, (about, waybill)),
            "about": about,
            "waybill": waybill,
            "unit": unit and named(unit, name_of(unit)),
            "due": _local(event.get("data", {}).get("due"), batch.zone),
            "ack": ack,
            "page": told["page"],
            "outside": outside,
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
        """Write the text of a digest: a line for each case, whatever number of notices it has among these."""
        by_case: dict[str, list[dict[str, Any]]] = {}
        for item in items:
            by_case.setdefault(item.line["case_id"], []).append(item.line)
        return self._templates.digest(target[2], [_line(lines) for lines in by_case.values()], len(items))

    def _console(self) -> str:
        """Return where the console is; empty where nobody says."""
        if self._links is None or self._links.public_url is None:
            return ""
        return f"{self._links.public_url.rstrip('/')}/console"

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


def _line(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the line of a digest for the notices of one case: what is due first, and what takes it up last."""
    due = [line["due"] for line in lines if line["due"]]
    acks = [line["ack"] for line in lines if line["ack"]]
    return {
        **lines[-1],
        "titles": list(dict.fromkeys(line["title"] for line in lines)),
        "due": min(due, key=datetime.fromisoformat, default=None),
        "ack": acks[-1] if acks else None,
        "ids": [line["id"] for line in lines],
    }


def _title(subject: str, number: str, ends: Iterable[str]) -> str:
    """Return the subject of a notice without what the line of a digest says beside it."""
    for end in reversed([end for end in ends if end]):
        subject = subject.removesuffix(f" · {end}")
    return subject.removeprefix(f"[{number}] ")


def _waybill(view: Mapping[str, Any]) -> str:
    return str(((view.get("facts") or {}).get("shipment") or {}).get("waybill") or "")


def _reason(event: Mapping[str, Any]) -> str:
    """Return why something was asked for or decided; empty where nobody said so, or the text is not at hand."""
    reason = event["data"].get("reason") if event["type"] in WITH_REASONS else None
    return "" if reason is None or is_reference(reason) else str(reason)


def _names(directory: Directory, outside: bool) -> Callable[[str], str]:
    """Return what finds the name of one of the staff or of a unit by its id; for outside nobody has one."""

    def name(id: str) -> str:
        found = None if outside else directory.person(id) or directory.unit(id)
        return (found and found.name) or ""

    return name


def _local(instant: str | None, zone: str | None) -> str | None:
    if instant is None or zone is None:
        return instant
    return datetime.fromisoformat(instant).astimezone(ZoneInfo(zone)).isoformat()
