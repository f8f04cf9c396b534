"""Helpers for tests of the pure core: open a case, send it a command, read its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from activities.policies.store import Policies, published_years
from cases.case import Case
from cases.kinds.complaint import Complaint
from cases.kinds.inquiry import Inquiry
from cases.policy.model import Policy
from cases.vocabulary.commands import read_command
from cases.vocabulary.effects import Notice
from cases.vocabulary.events import Event, text_at
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from cases.vocabulary.texts import resolved

ROOT = Path(__file__).parents[2]
DEFAULT = (ROOT / "cases" / "policy" / "default.toml").read_text("utf-8")
PERSONAL = {"name": "Zhang San", "phone": "13800000000", "email": "zhang@example.org", "ref": "VIP-1"}
# A person of each rung, and a customer.
AGENT = {"id": "agent-7", "role": "agent"}
SUPERVISOR = {"id": "super-2", "role": "supervisor"}
QA = {"id": "qa-1", "role": "qa_manager"}
GM = {"id": "gm-1", "role": "general_manager"}
CUSTOMER = {"id": "portal", "role": "customer"}


@cache
def default_policy() -> Policy:
    """Load the policy that comes with the program."""
    return Policies().load("default")


def policy_with(*changes: tuple[str, str]) -> Policy:
    """Make the default policy with the first occurrence of some texts replaced; each must occur."""
    text = DEFAULT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return read_default(text)


def read_default(text: str, years: Mapping[str, Any] | None = None) -> Policy:
    """Read a text of the default policy with the forms that belong to it."""
    *between, last = (path.read_text("utf-8") for path in sorted((ROOT / "cases" / "policy" / "forms").glob("*.toml")))
    return Policy.from_toml(last, published_years() if years is None else years, (text, *between))


def shown(case: Case) -> dict[str, Any]:
    """Return the view of a case with the texts that it refers to."""
    view: dict[str, Any] = resolved(case.view(), lambda seq, path: text_at(case.event(seq).as_json(), path))
    return view


def at(text: str) -> datetime:
    """Parse an instant in Shanghai, like ``03-10 09:00:00``; the year is 2026 unless it is given."""
    return datetime.fromisoformat(f"{text if text[4:5] == '-' else f'2026-{text}'}+08:00")


def complaint(received: str, policy: Policy | None = None, *, now: str | None = None, **facts: Any) -> Complaint:
    """Open a complaint that was received at an instant (see `at`), at that instant or at ``now``."""
    raw = {"key": "C-1", "received_at": at(received).isoformat(), "facts": {"category": "delay", **facts}}
    intake = read_intake(Complaint.INTAKE, raw)
    return Complaint.open(intake, policy or default_policy(), at(now or received))


def inquiry(received: str, posted_on: str, policy: Policy | None = None, **facts: Any) -> Inquiry:
    """Open an inquiry that was received at an instant (see `at`) about a parcel that was posted on a day."""
    raw = {
        "key": "Q-1",
        "received_at": at(received).isoformat(),
        "facts": {"shipment": {"waybill": "SF1", "posted_on": posted_on}, **facts},
    }
    return Inquiry.open(read_intake(Inquiry.INTAKE, raw), policy or default_policy(), at(received))


def do(case: Case, moment: str | datetime, name: str, by: dict[str, str] = AGENT, /, **fields: Any) -> list[Event]:
    """Send a command in its JSON form, and return the events that it caused."""
    now = at(moment) if isinstance(moment, str) else moment
    return case.decide(read_command(case.COMMANDS, name, {"by": by, **fields}), now)


def pass_time(case: Case, until: str) -> list[Event]:
    """Let time pass until an instant, including what is due at that instant."""
    return case.elapse(at(until))


def found(case: Case, type_: str, **data: Any) -> list[Event]:
    """Return the events of a type whose data has these values."""
    return [
        event
        for event in case.events
        if event.type == type_ and all(event.data.get(name) == value for name, value in data.items())
    ]


def only(case: Case, type_: str, **data: Any) -> Event:
    """Return the only event of a type whose data has these values."""
    [event] = found(case, type_, **data)
    return event


def when(events: list[Event]) -> list[str]:
    """Format the instants of events, like ``03-10 09:00:00``."""
    return [f"{event.at:%m-%d %H:%M:%S}" for event in events]


def clock(case: Case, name: str) -> tuple[str, str]:
    """Return the state and the due instant of a clock in the case view, the instant as in `when`."""
    [shown] = [entry for entry in case.view()["clocks"] if entry["clock"] == name]
    return shown["state"], f"{datetime.fromisoformat(shown['due']):%m-%d %H:%M:%S}"


def notified_roles(case: Case, name: str) -> list[tuple[str, ...]]:
    """Return the roles of each notice with a name, in order."""
    return [notice.roles for notice in notices(case) if notice.name == name]


def notices(case: Case) -> list[Notice]:
    """Return the notices that are to be sent."""
    return [effect for effect in case.outbox if isinstance(effect, Notice)]


@dataclass
class Snapshot:
    """The whole state of a case."""

    events: list[Event]
    view: dict[str, Any]
    explain: list[dict[str, Any]]
    due: datetime | None
    outbox: list[object]


def snapshot(case: Case, now: datetime) -> Snapshot:
    """Take a snapshot of a case."""
    return Snapshot(list(case.events), case.view(), case.explain(now), case.due(), list(case.outbox))


def refuse(
    case: Case,
    moment: str,
    code: str,
    name: str,
    /,
    *parts: str,
    by: dict[str, str] = AGENT,
    clause: str = "",
    **fields: Any,
) -> None:
    """Check that a command is refused with this code and clause, and that it changes nothing.

    The message must contain each of the parts. What falls due before the command happens first.
    """
    now = at(moment)
    case.elapse(now, inclusive=False)
    before = snapshot(case, now)
    with pytest.raises(Refused) as caught:
        do(case, moment, name, by, **fields)
    assert (caught.value.code, caught.value.clause) == (code, clause)
    for part in parts:
        assert part in caught.value.message
    assert snapshot(case, now) == before
