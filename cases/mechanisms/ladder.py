"""The escalation ladder: who holds the case, whether they took it up, when the top is reminded.

Customer-facing clocks never reset when a case climbs; only the rung clock is new on each rung.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from cases.mechanisms.clocks import Clock
from cases.mechanisms.part import Choices, Part, Turn
from cases.policy.tables import Reminders
from cases.vocabulary import commands
from cases.vocabulary.events import SYSTEM, Actor, Event, EventData
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import FreeText, Model

if TYPE_CHECKING:
    from cases.case import Case

# With each of them somebody is waited for to take the case up.
_ARRIVALS = frozenset({"case_opened", "escalated", "assigned", "reopened"})


class Holder(Model):
    """A rung, and the person there who holds the case, if anybody does yet."""

    role: str
    id: str | None


class Acknowledged(EventData):
    """The holder took the case up."""

    TYPE: ClassVar[str] = "acknowledged"
    role: str
    id: str


class Assigned(EventData):
    """The case was given to a person on the same rung or a lower one."""

    TYPE: ClassVar[str] = "assigned"
    from_: Holder = Field(alias="from")
    to: Holder
    reason: FreeText | None = None


class Escalated(EventData):
    """The case climbed. ``cause``: unacknowledged, manual, severity, deadline, payout_failed."""

    TYPE: ClassVar[str] = "escalated"
    from_: str = Field(alias="from")
    to: str
    cause: str
    reason: FreeText | None = None


class Reminded(EventData):
    """Somebody who has not acted is reminded for the ``count``-th time; ``subject`` names what of, if not the rung."""

    TYPE: ClassVar[str] = "reminded"
    rung: str
    count: int
    subject: str | None = None


@dataclass(slots=True)
class Reminding:
    """Reminders at growing intervals until somebody reacts; ``next_at`` is None when quiet."""

    rule: Reminders
    count: int = 0
    next_at: datetime | None = None

    def reminded(self, at: datetime) -> None:
        """Count one more reminder; the next is further away."""
        self.count += 1
        self.next_at = at + self.rule.interval(self.count + 1)

    def quiet(self) -> None:
        """Stop: somebody reacted."""
        self.count, self.next_at = 0, None


class Ladder(Part):
    """Where a case stands on its ladder."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        rule = case.policy.ladder
        self.rungs = rule.rungs
        self.rung = rule.rungs[0]
        self.holder_id: str | None = None
        self.acknowledged = False
        self.reminding = Reminding(rule.reminders)

    @property
    def holder(self) -> str:
        """Who holds the case: the person, else the rung."""
        return self.holder_id or self.rung

    def height(self, role: str) -> int:
        """Return the place of a role on the ladder from 0, or -1 for a role that is no rung."""
        return self.rungs.index(role) if role in self.rungs else -1

    def above(self) -> str | None:
        """Return the next rung, or None at the top."""
        height = self.height(self.rung) + 1
        return self.rungs[height] if height < len(self.rungs) else None

    def higher(self) -> tuple[str, ...]:
        """Return the rungs above the present one."""
        return self.rungs[self.height(self.rung) + 1 :]

    def climb(
        self,
        rung: str,
        cause: str,
        at: datetime,
        *,
        by: Actor = SYSTEM,
        clauses: tuple[str, ...] = (),
        reason: str | None = None,
    ) -> None:
        """Move the case up to a rung, never down; its holder has a rung clock of their own."""
        if self.height(rung) <= self.height(self.rung):
            return
        data = Escalated(from_=self.rung, to=rung, cause=cause, reason=reason)
        self.case.emit(data, at, by=by, clauses=clauses)
        self.start_clock(at)

    def start_clock(self, at: datetime) -> None:
        """Give the holder the time in which to take the case up, where the policy has a rung clock."""
        self.case.clocks.start("rung", at)

    def take_up(self, at: datetime, by: Actor) -> None:
        """Let the actor take the case up."""
        self.case.emit(Acknowledged(role=by.role, id=by.id), at, by=by, clauses=("CARD",))
        self.case.clocks.meet(at, "rung")

    def _refuse_old_notice(self, seq: int) -> None:
        """Refuse an acknowledgement of an arrival at a rung that is answered or over.

        Raises:
            Refused: code ``token_used``; ``invalid`` for an event that is not there.
        """
        events = self.case.events
        if seq > len(events):
            raise Refused("invalid", f"acknowledge: notice = {seq}: the case has {len(events)} events")
        arrived = max(event.seq for event in events if event.type in _ARRIVALS)
        if self.acknowledged or seq < arrived:
            raise Refused("token_used", f"this notice is answered or over: {self.holder} holds the case now")

    # --- time -------------------------------------------------------------------------------------

    def turns(self) -> Iterable[Turn]:
        """Yield the next reminder of the top rung."""
        if self.reminding.next_at is not None:
            yield self.reminding.next_at, self._remind

    def _remind(self, at: datetime) -> None:
        data = Reminded(rung=self.rung, count=self.reminding.count + 1)
        self.case.emit(data, at, clauses=(self.reminding.rule.clause,))

    def breached(self, clock: Clock, at: datetime) -> bool:
        """Climb when nobody has taken the case up; at the top, remind."""
        if clock.name != "rung":
            return False
        above = self.above()
        if above is None:
            self._remind(at)
        else:
            self.climb(above, "unacknowledged", at, clauses=(clock.rule.clause,))
        return True

    # --- commands ---------------------------------------------------------------------------------

    def _check_acknowledge(self, command: commands.Acknowledge, at: datetime, by: Actor) -> None:
        if command.notice is not None:
            self._refuse_old_notice(command.notice)

    def _may_acknowledge(self, by: Actor, at: datetime) -> None:
        if self.acknowledged:
            raise Refused("already_acknowledged", f"{self.holder_id} has acknowledged")
        if self.height(by.role) < self.height(self.rung):
            raise Refused("not_holder", f"by.role = {by.role!r}: {self.rung} holds the case; it or a higher rung may")

    def _do_acknowledge(self, command: commands.Acknowledge, at: datetime, by: Actor) -> None:
        self.take_up(at, by)

    def _may_assign(self, by: Actor, at: datetime) -> None:
        if self.height(by.role) < self.height(self.rung):
            raise Refused("not_holder", f"by.role = {by.role!r} may not take the case from {self.rung}")

    def _choices_assign(self, by: Actor, at: datetime) -> Choices:
        return {"to.role": self.rungs[: self.height(self.rung) + 1]}

    def _check_assign(self, command: commands.Assign, at: datetime, by: Actor) -> None:
        to = command.to
        if self.height(to.role) < 0:
            raise Refused("unknown_role", f"to.role = {to.role!r} is no rung; allowed: {', '.join(self.rungs)}")
        if self.height(to.role) > self.height(self.rung):
            raise Refused("upward", f"to.role = {to.role!r} is above {self.rung}: escalate instead")

    def _do_assign(self, command: commands.Assign, at: datetime, by: Actor) -> None:
        to = command.to
        if command.held_by is not None and command.held_by != self.holder_id:
            raise Refused("not_held", f"held_by = {command.held_by!r}: it is {self.holder} who holds the case")
        data = Assigned(
            from_=Holder(role=self.rung, id=self.holder_id), to=Holder(role=to.role, id=to.id), reason=command.reason
        )
        self.case.emit(data, at, by=by, clauses=("CARD",))
        if to.id == by.id:
            self.case.emit(Acknowledged(role=to.role, id=to.id), at, by=by, clauses=("CARD",))
        else:
            self.start_clock(at)

    def _may_escalate(self, by: Actor, at: datetime) -> None:
        if self.above() is None:
            raise Refused("top_rung", f"{self.rung} is the highest rung; nobody stands above")

    def _choices_escalate(self, by: Actor, at: datetime) -> Choices:
        return {"to": self.higher()}

    def _check_escalate(self, command: commands.Escalate, at: datetime, by: Actor) -> None:
        to = command.to
        if to is None:
            return
        if self.height(to) < 0:
            raise Refused("unknown_role", f"to = {to!r} is no rung; allowed: {', '.join(self.rungs)}")
        if self.height(to) <= self.height(self.rung):
            raise Refused("not_above", f"to = {to!r} is not above {self.rung}, which holds the case")

    def _do_escalate(self, command: commands.Escalate, at: datetime, by: Actor) -> None:
        to = command.to or self.higher()[0]
        self.climb(to, "manual", at, by=by, clauses=("S1-1.8",), reason=command.reason)

    # --- how events change the state --------------------------------------------------------------

    def _arrive(self, rung: str, person: str | None = None) -> None:
        self.rung, self.holder_id, self.acknowledged = rung, person, False
        self.reminding.quiet()

    def _on_case_opened(self, data: Any, event: Event) -> None:
        self._arrive(data.holder_role)

    def _on_escalated(self, data: Escalated, event: Event) -> None:
        # The rung clock belongs to the holder; a new holder has a new one.
        self.case.clocks.cancel("rung", event.at)
        self._arrive(data.to)

    def _on_assigned(self, data: Assigned, event: Event) -> None:
        self.case.clocks.cancel("rung", event.at)
        self._arrive(data.to.role, data.to.id)

    def _on_reopened(self, _: Any, event: Event) -> None:
        self._arrive(self.rung)

    def _on_acknowledged(self, data: Acknowledged, event: Event) -> None:
        self.holder_id, self.acknowledged = data.id, True
        self.reminding.quiet()

    def _on_reminded(self, data: Reminded, event: Event) -> None:
        if data.subject is None:
            self.reminding.reminded(event.at)

    def _on_resolved(self, _: Any, event: Event) -> None:
        self.reminding.quiet()

    def _on_closed(self, _: Any, event: Event) -> None:
        self.reminding.quiet()
