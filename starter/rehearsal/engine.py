"""What an engine is given and what it gives back: the same for every engine.

Scenarios and the cases of an event log both become `Prepared` cases. An engine runs one of them
and returns its events, refused commands included at their place. They stay events until somebody
wants text: turning the 300,000 of a month of cases into JSON would take as long as counting them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from cases.policy.model import Policy
from cases.vocabulary.events import SYSTEM, Actor, Event
from cases.vocabulary.refusals import Refused
from starter.rehearsal.files import FileModel

# The seq of what a rehearsal shows though it is no part of the ledger; null in JSON.
UNRECORDED = 0


class Effects(FileModel):
    """How effects come out in a rehearsal: at once, at the time at which they were asked for.

    With ``payout`` = manual a payout waits for the command ``confirm_payment``.
    """

    notices: Literal["ok", "fail"] = "ok"
    payout: Literal["ok", "fail", "manual"] = "ok"


@dataclass(frozen=True, slots=True)
class Step:
    """One command at an aware instant; ``fields`` are the command's own, in plain JSON.

    ``role`` None means the rung that holds the case just before: a log says who acted, but not
    where the case would have stood by then.
    """

    at: datetime
    command: str
    by: str
    role: str | None
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One case, ready to be run: steps in time order, none before ``received_at``.

    ``intake`` is the workflow's input in plain JSON. After the last step time runs on to ``until``
    (inclusive), or stops there when it is None.
    """

    kind: str
    intake: Mapping[str, Any]
    received_at: datetime
    policy: Policy
    steps: tuple[Step, ...]
    until: datetime | None = None
    effects: Effects = field(default_factory=Effects)

    @property
    def key(self) -> str:
        """The caller's own key of the case."""
        return str(self.intake["key"])


class Engine(AbstractAsyncContextManager["Engine"], Protocol):
    """Runs cases in virtual time. Entering it starts what it needs, leaving it stops that.

    ``parallel`` says how many cases it runs best at the same time; no two of them have one key.
    """

    parallel: int

    async def run_case(self, case: Prepared) -> list[Event]:
        """All events of the case in order. A refused intake is the one entry there is."""
        ...


def refused_entry(command: str, by: Actor, refusal: Refused, at: datetime) -> Event:
    """A refused command as a rehearsal shows it: at its place, but no part of the ledger.

    Args:
        command: its name; ``file`` for an intake.
        at: the instant of the command, in the policy's zone.
    """
    clauses = (refusal.clause,) if refusal.clause else ()
    data = {"command": command, "code": refusal.code, "message": refusal.message}
    return Event(UNRECORDED, "command_refused", at, at, by, clauses, data)


def refused_intake(case: Prepared, refusal: Refused) -> Event:
    """The one entry of a case that was never opened."""
    return refused_entry("file", SYSTEM, refusal, case.policy.local(case.received_at))


def entry_json(event: Event) -> dict[str, Any]:
    """An entry in its public JSON form, ``seq`` null for what is no part of the ledger."""
    return {**event.as_json(), "seq": event.seq or None}
