"""The interface of engines: the cases that they run and the events that they return.

Scenarios and the cases of an event log both become `Prepared` cases. An engine runs one of them and
returns its events, including its refused commands. They are converted to JSON only when they are
printed: for the 300,000 events of a large log this would take as long as counting them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from cases.mechanisms.numbering import MOST_SERIAL
from cases.policy.model import Policy
from cases.vocabulary.events import SYSTEM, Actor, Event
from cases.vocabulary.parcels import EarlierClaims
from cases.vocabulary.refusals import Refused
from starter.rehearsal.files import FileModel

# The seq of an entry that is shown in a rehearsal but is not part of the ledger; null in JSON.
UNRECORDED = 0


class Effects(FileModel):
    """The outcome of effects in a rehearsal, which takes place at the instant at which they are requested.

    With ``payout`` = "manual", a payout waits for the command ``confirm_payment``. ``earlier_claims`` are those that
    the casebook has on the parcel of a claim: ids, or tables with ``case`` and ``state`` (open, agreed, paid).
    ``serial`` is the one that the counter of case numbers gives out. ``merge`` says whether the other case takes this
    one over; with "fail" it is closed. ``reply`` is what becomes of what is sent to the customer.
    """

    notices: Literal["ok", "fail"] = "ok"
    payout: Literal["ok", "fail", "manual"] = "ok"
    reply: Literal["ok", "fail"] = "ok"
    earlier_claims: EarlierClaims = ()
    serial: Annotated[int, Field(ge=1, le=MOST_SERIAL)] = 1
    merge: Literal["ok", "fail"] = "ok"


@dataclass(frozen=True, slots=True)
class Step:
    """One command at an aware instant; ``fields`` are the command's own, in plain JSON.

    ``role`` None means the rung that holds the case just before the command, since a log says who acted, but
    not in which role under this policy.
    """

    at: datetime
    command: str
    by: str
    role: str | None
    fields: Mapping[str, Any]
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """One case that an engine can run, with its steps in order of time, none before ``received_at``.

    ``intake`` is the workflow's input in plain JSON. After the last step time passes until ``until``
    (inclusive); if it is None, time stops at the last step.
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
    """Runs cases in virtual time; entering it starts the servers that it needs, leaving it stops them.

    ``parallel`` is how many cases, each with a key of its own, should be run at the same time.
    """

    parallel: int

    async def run_case(self, case: Prepared) -> list[Event]:
        """Run a case and return its events in order, including refused commands.

        If the intake is refused, the refusal is the only entry.
        """
        ...


def refused_entry(command: str, by: Actor, refusal: Refused, at: datetime) -> Event:
    """Make the entry for a refused command, which is not part of the ledger.

    Args:
        command: the name of the command; ``file`` for an intake.
        by: who sent it.
        refusal: why it was refused.
        at: the instant of the command, in the policy's zone.
    """
    clauses = (refusal.clause,) if refusal.clause else ()
    data = {"command": command, "code": refusal.code, "message": refusal.message}
    return Event(UNRECORDED, "command_refused", at, at, by, clauses, data)


def refused_intake(case: Prepared, refusal: Refused) -> Event:
    """Make the only entry of a case whose intake was refused."""
    return refused_entry("file", SYSTEM, refusal, case.policy.local(case.received_at))


def entry_json(event: Event) -> dict[str, Any]:
    """Convert an entry to its public JSON form; ``seq`` is null if it is not part of the ledger."""
    return {**event.as_json(), "seq": event.seq or None}
