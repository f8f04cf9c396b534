"""SLA clocks: each deadline of a case with its own state, pauses and warnings (T1, S4-3.3.3).

A clock is changed only by events. Instants carry a fixed offset, so adding durations is exact.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ValidationError

from cases.mechanisms.part import Choices, Part, Turn
from cases.policy.tables import ClockRule
from cases.vocabulary import commands
from cases.vocabulary.events import Actor, Event, EventData
from cases.vocabulary.refusals import Refused, invalid
from cases.vocabulary.values import FreeText, Moment
from cases.working_calendar import Reckoned, WorkingCalendar

if TYPE_CHECKING:
    from cases.case import Case


class ClockStarted(EventData):
    """A clock runs. ``days_off`` were passed over; years in ``provisional`` nobody has published yet."""

    TYPE: ClassVar[str] = "clock_started"
    TECHNICAL: ClassVar[bool] = True
    clock: str
    due: Moment
    days_off: list[str] | None = None
    provisional: list[int] | None = None


class ClockMet(EventData):
    """What the clock is about happened in time."""

    TYPE: ClassVar[str] = "clock_met"
    TECHNICAL: ClassVar[bool] = True
    clock: str
    due: Moment


class ClockWarned(EventData):
    """This fraction of the clock's time is over."""

    TYPE: ClassVar[str] = "clock_warned"
    clock: str
    due: Moment
    fraction: str


class ClockBreached(EventData):
    """The clock fell due and nothing had met it."""

    TYPE: ClassVar[str] = "clock_breached"
    clock: str
    due: Moment


class ClockPaused(EventData):
    """Clocks stand still while the company waits for the customer."""

    TYPE: ClassVar[str] = "clock_paused"
    TECHNICAL: ClassVar[bool] = True
    clocks: list[str]
    reason: FreeText


class ClockResumed(EventData):
    """Clocks run on, each with a new due instant, in the order of ``clocks``."""

    TYPE: ClassVar[str] = "clock_resumed"
    TECHNICAL: ClassVar[bool] = True
    clocks: list[str]
    dues: list[Moment]


class CalendarLoaded(EventData):
    """A year was published: ``published`` as `cases.working_calendar.PublishedYear`."""

    TYPE: ClassVar[str] = "calendar_loaded"
    BY_COMMAND: ClassVar[bool] = True
    year: int
    published: dict[str, Any]


class ClockMoved(EventData):
    """A due instant that was provisional was reckoned again with a published year."""

    TYPE: ClassVar[str] = "clock_moved"
    TECHNICAL: ClassVar[bool] = True
    clock: str
    due: Moment
    was: Moment
    year: int
    days_off: list[str] | None = None
    provisional: list[int] | None = None


class Extended(EventData):
    """Somebody granted a later target."""

    TYPE: ClassVar[str] = "extended"
    BY_COMMAND: ClassVar[bool] = True
    clock: str
    due: Moment
    reason: FreeText


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
        """Return a clock that runs from ``at`` to ``due``."""
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
        """Return the due instant as of ``now``: while paused it moves with the pause."""
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

    @property
    def base(self) -> str:
        """The name in the policy: of ``promise:2`` it is ``promise``."""
        return self.name.partition(":")[0]

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
        """Return the due instant by the rule and the calendar as it is now, pauses included."""
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
        elif rule.until is not None:
            limit = {"until": rule.until}
        elif rule.month_day is not None:
            limit = {"month_day": rule.month_day, "field": rule.field}
        elif rule.week_day is not None:
            limit = {"week_day": rule.week_day, "field": rule.field}
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
        if self.due <= since:
            # It was due before it started: there is no time of which a fraction could be over.
            return []
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
        """Return a moment that lay so far after ``start``, as far after ``to``."""
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


def bound_due(rule: ClockRule, value: str, calendar: WorkingCalendar) -> datetime:
    """When a clock falls due that goes by a field (``month_day``, ``week_day``, ``until``); nothing moves it (T1).

    Args:
        value: of the field, as the facts hold it: ``2026-03``, ``2026-W10``, a date, or an instant of RFC 3339.

    Raises:
        ValueError: the rule goes by no field, or the value is none of these.
    """
    instant = datetime.fromisoformat(value) if "T" in value else None
    if instant is not None and rule.until is not None:
        return calendar.local(instant)
    if instant is not None:
        day = calendar.local(instant).date()
    elif _MONTH.fullmatch(value):
        day = date.fromisoformat(f"{value}-01")
    elif _WEEK.fullmatch(value):
        day = date.fromisoformat(f"{value}-1")
    else:
        day = date.fromisoformat(value)
    if rule.month_day is not None:
        year, month = (day.year, day.month + 1) if day.month < 12 else (day.year + 1, 1)
        # A shorter month ends with its last day.
        day = date(year, month, min(rule.month_day, monthrange(year, month)[1]))
    elif rule.week_day is not None:
        day += timedelta(days=7 - day.weekday() + rule.week_day - 1)
    elif rule.until is None:
        raise ValueError("the clock goes by no field")
    return calendar.last_second(day)


_MONTH, _WEEK = re.compile(r"\d{4}-\d{2}"), re.compile(r"\d{4}-W\d{2}")


class Clocks(Part, Mapping[str, Clock]):
    """The clocks of a case by name: the present one of each name, and those before it."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self._clocks: dict[str, Clock] = {}
        self.past: list[Clock] = []
        # The policy's calendar, with the years that were published since.
        self.working = case.policy.working

    def __getitem__(self, name: str) -> Clock:
        return self._clocks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._clocks)

    def __len__(self) -> int:
        return len(self._clocks)

    # --- what the case does with them -------------------------------------------------------------

    def start(self, name: str, at: datetime, due: datetime | None = None, *, since: datetime | None = None) -> None:
        """Start a clock: to its limit in the policy, from ``since`` if that was earlier, or to the instant given.

        Nothing starts where the policy does not have the clock: it was pinned before there was one; nor where it goes
        by a field of the case that nobody has given.
        """
        rule = self.case.rule.clock(name)
        if rule is None:
            return
        if due is None and rule.bound_to is not None:
            if (value := self.case.fact(rule.bound_to)) is None:
                return
            due = bound_due(rule, value, self.working)
        reckoned = first_due(rule, since or at, self.working) if due is None else Reckoned(due)
        days_off, provisional = _used(reckoned)
        data = ClockStarted(clock=name, due=reckoned.at, days_off=days_off, provisional=provisional)
        self.case.emit(data, at, clauses=(rule.clause,))

    def meet(self, at: datetime, *names: str) -> None:
        """End the named clocks as met, where they have not ended."""
        for name in names:
            clock = self.get(name)
            if clock is not None and clock.live:
                self.case.emit(ClockMet(clock=name, due=clock.due_at(at)), at, clauses=(clock.rule.clause,))

    def live(self, base: str | None = None) -> list[str]:
        """Name the clocks that have not ended; with a base those of one sort (``promise:1``, ...)."""
        return [name for name, clock in self.items() if clock.live and base in (None, clock.base)]

    def runs(self, name: str) -> bool:
        """Whether a clock of this name has not ended."""
        return name in self and self[name].live

    def pause_all(self, at: datetime, reason: str, by: Actor) -> None:
        """Pause every clock that may be paused (S4-3.3.3)."""
        names = [name for name, clock in self.items() if clock.rule.pausable and clock.state is ClockState.RUNNING]
        if names:
            self.case.emit(ClockPaused(clocks=names, reason=reason), at, by=by, clauses=("S4-3.3.3",))

    def resume_all(self, at: datetime, by: Actor) -> None:
        """Let every paused clock run on."""
        paused = [clock for clock in self.values() if clock.state is ClockState.PAUSED]
        if paused:
            data = ClockResumed(clocks=[clock.name for clock in paused], dues=[clock.due_at(at) for clock in paused])
            self.case.emit(data, at, by=by, clauses=("S4-3.3.3",))

    def explain(self, now: datetime) -> list[dict[str, Any]]:
        """Tell why each clock is due when it is, past ones first."""
        return [clock.explain(now) for clock in (*self.past, *self.values())]

    # --- time -------------------------------------------------------------------------------------

    def turns(self) -> Iterable[Turn]:
        """Yield the next warning or breach of each clock that runs."""
        for clock in self._clocks.values():
            if (moment := clock.next_moment()) is not None:
                yield moment, partial(self._warn if clock.warnings else self._breach, clock)

    def _warn(self, clock: Clock, at: datetime) -> None:
        fraction = f"{clock.warnings[0][0] / 100:.2f}"
        data = ClockWarned(clock=clock.name, due=clock.due, fraction=fraction)
        self.case.emit(data, at, clauses=(clock.rule.clause,))

    def _breach(self, clock: Clock, at: datetime) -> None:
        self.case.emit(ClockBreached(clock=clock.name, due=clock.due), at, clauses=(clock.rule.clause,))
        self.case.breached(clock, at)

    # --- commands ---------------------------------------------------------------------------------

    def _extendable(self, at: datetime) -> list[str]:
        limit = self.case.latest_promise()
        return [
            name for name, clock in self.items()
            if clock.rule.extendable and clock.state not in (ClockState.MET, ClockState.CANCELLED)
            and (limit is None or max(at, clock.due_at(at)) < limit)
        ]  # fmt: skip

    def _may_extend(self, by: Actor, at: datetime) -> None:
        if self._extendable(at):
            return
        may = [name for name, clock in self.items() if clock.rule.extendable]
        if not may:
            raise Refused("not_extendable", "extend: no clock of this case can be extended; allowed: none", "S4-2.4")
        ended = [name for name in may if self[name].state in (ClockState.MET, ClockState.CANCELLED)]
        if len(ended) == len(may):
            raise Refused(
                "clock_ended", f"extend: every clock that can be extended has ended: {', '.join(may)}", "S4-2.4"
            )
        raise Refused("past_legal_limit", "extend: no later instant lies within the legal limit", "O-REG-29")

    def _choices_extend(self, by: Actor, at: datetime) -> Choices:
        return {"clock": self._extendable(at)}

    def _check_extend(self, command: commands.Extend, at: datetime, by: Actor) -> None:
        due = self.case.policy.local(command.due)
        clock = self.get(command.clock)
        if clock is None or not clock.rule.extendable:
            allowed = ", ".join(name for name, c in self.items() if c.rule.extendable) or "none"
            message = f"clock = {command.clock!r} cannot be extended; allowed: {allowed}"
            raise Refused("not_extendable", message, "S4-2.4")
        if clock.state in (ClockState.MET, ClockState.CANCELLED):
            raise Refused("clock_ended", f"clock = {command.clock!r} has ended: {clock.state}", "S4-2.4")
        if due <= at or due <= clock.due_at(at):
            later = max(at, clock.due_at(at)).isoformat()
            raise Refused("not_later", f"due = {due.isoformat()} must be after {later}", "S4-2.4")
        self.case.within_law("due", due)

    def _do_extend(self, command: commands.Extend, at: datetime, by: Actor) -> None:
        due = self.case.policy.local(command.due)
        data = Extended(clock=command.clock, due=due, reason=command.reason)
        self.case.emit(data, at, by=by, clauses=("S4-2.4", "S4-3.1.1.5"))
        if not self.runs(command.clock):
            # The breach stays on the record; the new target is a clock of its own.
            self.start(command.clock, at, due)

    def _do_load_calendar(self, command: commands.LoadCalendar, at: datetime, by: Actor) -> None:
        """Take a published year in, and reckon again what was provisional without it (O-HOL)."""
        year, published = command.year, command.published.model_dump(mode="json")
        try:
            self.working.with_year(year, published)
        except ValidationError as error:
            raise invalid(error, "load_calendar") from None
        self.case.emit(CalendarLoaded(year=year, published=published), at, by=by, clauses=("O-HOL",))
        for clock in list(self.values()):
            if not clock.live or year not in clock.provisional:
                continue
            reckoned = clock.reckoned()
            days_off, provisional = _used(reckoned)
            moved = ClockMoved(
                clock=clock.name, due=reckoned.at, was=clock.due, year=year, days_off=days_off, provisional=provisional
            )
            self.case.emit(moved, at, clauses=(clock.rule.clause, "O-HOL"))

    # --- how events change the state --------------------------------------------------------------

    def _on_clock_started(self, data: ClockStarted, event: Event) -> None:
        old = self._clocks.pop(data.clock, None)
        if old is not None:
            self.past.append(old)
        due = self.case.policy.local(data.due)
        rule = self.case.rule.clock(data.clock)
        assert rule is not None, f"{data.clock} is no clock of the policy"
        clock = Clock.start(data.clock, rule, event.at, due, self.working)
        clock.days_off, clock.provisional = tuple(data.days_off or ()), tuple(data.provisional or ())
        self._clocks[data.clock] = clock

    def _on_clock_met(self, data: ClockMet, event: Event) -> None:
        self[data.clock].end(ClockState.MET, event.at)

    def _on_clock_warned(self, data: ClockWarned, event: Event) -> None:
        self[data.clock].warnings.pop(0)

    def _on_clock_breached(self, data: ClockBreached, event: Event) -> None:
        self[data.clock].end(ClockState.BREACHED, event.at)

    def _on_clock_paused(self, data: ClockPaused, event: Event) -> None:
        for name in data.clocks:
            self[name].pause(event.at, data.reason)

    def _on_clock_resumed(self, data: ClockResumed, event: Event) -> None:
        for name, due in zip(data.clocks, data.dues, strict=True):
            self[name].resume(event.at, due)

    def _on_calendar_loaded(self, data: CalendarLoaded, event: Event) -> None:
        self.working = self.working.with_year(data.year, data.published)
        for clock in self.values():
            clock.calendar = self.working

    def _on_clock_moved(self, data: ClockMoved, event: Event) -> None:
        self[data.clock].move(event.at, data.due, tuple(data.days_off or ()), tuple(data.provisional or ()))

    def _on_extended(self, data: Extended, event: Event) -> None:
        if self[data.clock].live:
            self[data.clock].extend(event.at, data.due)

    def cancel(self, name: str, at: datetime) -> None:
        """End a clock that an event leaves nothing to wait for. Called by event handlers only."""
        if self.runs(name):
            self[name].end(ClockState.CANCELLED, at)

    def _on_closed(self, _: Any, event: Event) -> None:
        for name in self:
            self.cancel(name, event.at)


def _used(reckoned: Reckoned) -> tuple[list[str] | None, list[int] | None]:
    """Return the days off and the provisional years that a due instant rests on, None for none."""
    return [day.isoformat() for day in reckoned.days_off] or None, list(reckoned.provisional) or None
