"""Who is to hear a notice, over which ways and in which order.

A role means somebody of the directory of staff: who holds it for the case's unit now, and whoever is
next in line if that person cannot be reached. Where the directory has nobody with an address, the
shared addresses of the contacts file serve, each by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from activities.messages import NoticeOrder
from activities.notify.contacts import Contacts
from cases.directory import Directory, Person

# So many people are tried for one role; who is further down the line hears when it comes to them.
MOST_PEOPLE = 5
# So many steps of an explanation go on record.
MOST_STEPS = 6


@dataclass(frozen=True)
class Way:
    """An address of a recipient, who is a staff id or, for a shared address, a role.

    Args:
        id: of the message: the same for all addresses of a person, over every retry.
        person: None for a shared address.
    """

    id: str
    recipient: str
    channel: str
    address: str
    language: str
    person: Person | None

    @property
    def place(self) -> str:
        """What tells this address from all others, without showing it."""
        return stable_id(self.channel, self.address)

    @property
    def key(self) -> str:
        """What tells this way from all others, without showing the address."""
        return stable_id(self.id, self.channel, self.address)

    @property
    def name(self) -> str:
        """The way as reasons name it: without the address."""
        return f"{self.recipient} {self.channel}" if self.person else self.channel


@dataclass(frozen=True)
class Delivery:
    """A notice to one recipient: a person and whoever is next in line, or a shared address.

    The first way that works is enough.

    Args:
        roles: all those that it serves.
    """

    key: str
    order: NoticeOrder
    roles: tuple[str, ...]
    ways: tuple[Way, ...]


def deliveries(
    order: NoticeOrder, view: Mapping[str, Any], contacts: Contacts, directory: Directory, at: datetime
) -> tuple[list[Delivery], list[dict[str, Any]]]:
    """Find the deliveries of a notice; and of each role who is meant and why, as it goes on record.

    Args:
        view: the case view.
        at: when it is told.
    """
    found: list[Delivery] = []
    meant: list[dict[str, Any]] = []
    shared: dict[tuple[str, str], list[str]] = {}
    for role in dict.fromkeys(order.roles):
        lines = _lines(order, role, view, directory, at)
        to_people = [
            Delivery(stable_id(order.id, key, role), order, (role,), _ways(order, people))
            for key, people, _ in lines
            if people
        ]
        if any(delivery.ways for delivery in to_people):
            found += [delivery for delivery in to_people if delivery.ways]
            meant += [said for _, _, said in lines]
        elif role in contacts.roles and any(contacts.roles[role].addresses()):
            for target in contacts.roles[role].addresses():
                shared.setdefault(target, []).append(role)
            meant.append({"role": role, "recipient": role, "why": "contacts"})
        else:
            meant += [{**said, "why": "nobody"} if not people else said for _, people, said in lines]
    for (channel, address), roles in shared.items():
        # By the address, so that it stays the same when the file is edited between two attempts.
        id_ = stable_id(order.id, channel, address)
        way = Way(id_, roles[0], channel, address, contacts.roles[roles[0]].language, None)
        found.append(Delivery(id_, order, tuple(roles), (way,)))
    return found, meant


Line = tuple[str, list[Person], dict[str, Any]]


def _lines(order: NoticeOrder, role: str, view: Mapping[str, Any], directory: Directory, at: datetime) -> list[Line]:
    """Return for each who is meant a key, that person and the next in line, and what goes on record of it."""
    data = order.event.get("data", {})
    unit = view.get("unit")
    # The notice names them, or the event does in a role.
    named = order.people or (data.get("people") if data.get("role") == role else None)
    if isinstance(named, list) and named:
        known = [person for person in map(directory.person, map(str, named)) if person is not None]
        if known:
            # The event names them, so they hear it also when they are away; then who stands in for them.
            return [
                (person.id, _behind(person, person.role, person.unit, directory, at), _said(role, person, "named"))
                for person in known
            ]
    holder = directory.person(str(view.get("holder"))) if role == view.get("rung") else None
    if holder is not None and not directory.absent(holder.id, at):
        return [("role", _behind(holder, role, unit, directory, at), _said(role, holder, "holder"))]
    answers = directory.line(role, unit, at)[:MOST_PEOPLE]
    people = [answer.person for answer in answers if answer.person is not None]
    first = answers[0]
    return [("role", people, _said(role, first.person, first.why, first.because))]


def _behind(first: Person, role: str, unit: str | None, directory: Directory, at: datetime) -> list[Person]:
    rest = [answer.person for answer in directory.line(role, unit, at) if answer.person is not None]
    return [first, *(person for person in rest if person.id != first.id)][:MOST_PEOPLE]


def _said(role: str, person: Person | None, why: str, because: Sequence[str] = ()) -> dict[str, Any]:
    said: dict[str, Any] = {"role": role, "recipient": person.id if person else "", "why": why}
    if because:
        said["because"] = list(because[:MOST_STEPS])
    return said


def _ways(order: NoticeOrder, people: Sequence[Person]) -> tuple[Way, ...]:
    return tuple(
        Way(stable_id(order.id, person.id), person.id, channel, address, person.language, person)
        for person in people
        for channel, address in person.contacts.items()
    )


def stable_id(*parts: str) -> str:
    """Return an id of these parts. 160 bits: unique, and a Message-ID of it fits on one line."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]
