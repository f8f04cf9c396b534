"""SLA clocks: each deadline of a case with its own state, pauses and warnings (T1, S4-3.3.3).

A clock is changed only by events. Instants carry a fixed offset, so adding durations is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from cases.policy.model import ClockRule
from cases.working_calendar import Reckoned, WorkingCalendar


class ClockState(StrEnum):
    """A clock runs or is paused until it ends: met, breached, or cancelled with the case."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"
    CANCELLED = "cancelled"


@dataclass(slots=True)
class Pause:
    """A time during which the company waited for the customer."""

    since: datetime
    until: datetime | None
    reason: str


@dataclass(slots=True)
class Clock:
    """One deadline, from its start to its end.

    ``warnings`` are the warnings still to come as (percent of the limit, instant), earliest first.
    """

    name: str
    rule: ClockRule
    started_at: datetime
    due: datetime
    calendar: WorkingCalendar
    warnings: list[tuple[int, datetime]]
    state: ClockState = ClockState.RUNNING
    pauses: list[Pause] = field(default_factory=list)
    ended_at: datetime | None = None
    # Days off that were passed over, and years that nobody had published, in reckoning the due instant.
    days_off: tuple[str, ...] = ()
    provisional: tuple[int, ...] = ()
    # Due instants that were given up: by an extension, or when a year was published.
    earlier_dues: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def start(cls, name: str, rule: ClockRule, at: datetime, due: datetime, calendar: WorkingCalendar) -> Clock:
        """A clock that runs from ``at`` to ``due``."""
        clock = cls(name, rule, at, due, calendar, [])
        clock.warnings = clock._warnings(at)
        return clock

    @property
    def live(self) -> bool:
        """Whether the clock has not ended."""
        return self.state is ClockState.RUNNING or self.state is ClockState.PAUSED

    def next_moment(self) -> datetime | None:
        """When time alone next changes this clock: a warning or the breach; None unless running."""
        if self.state is not ClockState.RUNNING:
            return None
        return self.warnings[0][1] if self.warnings else self.due

    def due_at(self, now: datetime) -> datetime:
        """The due instant as of ``now``: while paused it moves with the pause."""
        return self._shift(self.due, now) if self.state is ClockState.PAUSED else self.due

    def pause(self, at: datetime, reason: str) -> None:
        """Stop the clock."""
        self.pauses.append(Pause(at, None, reason))
        self.state = ClockState.PAUSED

    def resume(self, at: datetime, due: datetime) -> None:
        """Let the clock run on; the warnings to come move with the due instant."""
        self.warnings = [(percent, self._shift(moment, at)) for percent, moment in self.warnings]
        self.pauses[-1].until = at
        self.due = due
        self.state = ClockState.RUNNING

    def extend(self, at: datetime, due: datetime) -> None:
        """Give the clock a new due instant, with its warnings over the time that is left."""
        since = at
        self.earlier_dues.append({"due": self.due.isoformat(), "until": at.isoformat(), "why": "extended"})
        if self.state is ClockState.PAUSED:
            # Kept as of the pause's start, so that the clock is due at `due` as of `at`.
            since = self.pauses[-1].since
            due = self._moved(due, at, since)
        self.due = due
        self.warnings = self._warnings(since)

    def move(self, at: datetime, due: datetime, days_off: tuple[str, ...], provisional: tuple[int, ...]) -> None:
        """Reckon the clock again with a calendar that knows more."""
        self.earlier_dues.append({"due": self.due.isoformat(), "until": at.isoformat(), "why": "provisional"})
        self.due, self.days_off, self.provisional = due, days_off, provisional
        self.warnings = [(percent, moment) for percent, moment in self._warnings(self.started_at) if moment > at]

    def reckoned(self) -> Reckoned:
        """The due instant by the rule and the calendar as it is now, pauses included."""
        result = first_due(self.rule, self.started_at, self.calendar)
        due = result.at
        for pause in self.pauses:
            if pause.until is not None:
                due = self._moved(due, pause.since, pause.until)
        return replace(result, at=due)

    def end(self, state: ClockState, at: datetime) -> None:
        """End the clock; it never runs again."""
        if self.state is ClockState.PAUSED:
            self.due = self.due_at(at)
            self.pauses[-1].until = at
        self.state, self.ended_at, self.warnings = state, at, []

    def explain(self, now: datetime) -> dict[str, Any]:
        """Why the clock is due when it is: start, limit, each pause, days off, clause."""
        rule = self.rule
        limit: dict[str, Any] = {}
        if rule.elapsed is not None:
            limit = {"elapsed_minutes": str(Decimal(rule.elapsed.total_seconds()) / 60)}
        elif rule.calendar_days is not None:
            limit = {"calendar_days": rule.calendar_days}
        elif rule.next_opening:
            limit = {"next_opening": True}
        elif rule.working_time is not None:
            limit = {"working_minutes": str(Decimal(rule.working_time.total_seconds()) / 60)}
        return {
            "clock": self.name,
            "state": self.state.value,
            "started_at": self.started_at.isoformat(),
            "due": self.due_at(now).isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "limit": limit,
            "days_off": list(self.days_off),
            "provisional_years": list(self.provisional),
            "earlier_dues": list(self.earlier_dues),
            "pauses": [
                {"from": p.since.isoformat(), "to": p.until.isoformat() if p.until else None, "reason": p.reason}
                for p in self.pauses
            ],
            "escalates_to": rule.escalates_to,
            "clause": rule.clause,
        }

    def _warnings(self, since: datetime) -> list[tuple[int, datetime]]:
        if self.rule.working_time is not None:
            span = self.calendar.working_time_between(since, self.due)
            return [
                (percent, self.calendar.add_working_time(since, span * percent / 100).at)
                for percent in self.rule.warn_percent
            ]
        span = self.due - since
        return [(percent, since + span * percent / 100) for percent in self.rule.warn_percent]

    def _shift(self, moment: datetime, now: datetime) -> datetime:
        return self._moved(moment, self.pauses[-1].since, now)

    def _moved(self, moment: datetime, start: datetime, to: datetime) -> datetime:
        """A moment that lay so far after ``start``, as far after ``to``."""
        if self.rule.working_time is not None:
            # Working time that was left is what moves, not wall-clock time: a pause over a
            # weekend must not push the due instant out of the working windows.
            left = self.calendar.working_time_between(start, moment)
            return self.calendar.add_working_time(to, left).at
        return moment + (to - start)


def first_due(rule: ClockRule, at: datetime, calendar: WorkingCalendar) -> Reckoned:
    """When a clock that starts at ``at`` falls due by its limit, and what the reckoning used.

    Raises:
        ValueError: the rule has no limit of its own (the command names the moment).
    """
    if rule.elapsed is not None:
        return Reckoned(at + rule.elapsed)
    if rule.calendar_days is not None:
        return Reckoned(calendar.end_of_day(at, rule.calendar_days))
    if rule.working_time is not None:
        return calendar.add_working_time(at, rule.working_time)
    if rule.next_opening:
        return calendar.next_opening(at)
    raise ValueError("the clock has no limit of its own")
