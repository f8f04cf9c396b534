"""The mechanisms that every case runs on: events, clocks, the ladder, and time.

State changes only in ``evolve`` (through the ``_on_...`` methods), and everything that a case
does is an event put through it by ``_emit``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from cases.mechanisms.clocks import Clock, ClockState, first_due
from cases.mechanisms.ladder import Ladder
from cases.policy.model import CaseRule, ClockRule, Policy, Route
from cases.vocabulary.events import SYSTEM, Actor, Event, EventType
from cases.working_calendar import Reckoned

T = EventType


@dataclass(frozen=True, slots=True)
class Notice:
    """Somebody must be told of an event; what came of it returns as a ``notice_outcome``."""

    name: str
    roles: tuple[str, ...]
    event: Event
    clause: str


@dataclass(frozen=True, slots=True)
class Payment:
    """Money must go out, in yuan; what came of it returns to the case."""

    amount: Decimal
    event: Event


@dataclass(frozen=True, slots=True)
class Opening:
    """Another case must be opened, with this intake as plain JSON."""

    kind: str
    intake: Mapping[str, Any]
    event: Event


@dataclass(frozen=True, slots=True)
class Errand:
    """Something of the case's own kind must be done outside: by the activity of this name, with this as
    plain JSON. What came of it returns to the case."""

    name: str
    what: Mapping[str, Any]
    event: Event


Effect = Notice | Payment | Opening | Errand


def _nothing(_: datetime) -> None:
    return None


class Timeline:
    """A case as the sum of its events, woken by time.

    Args:
        policy: the numbers this case is pinned to.
    """

    # As it stands in case ids, and the type of the workflow that runs it (design contract "Workflow types").
    KIND: ClassVar[str]
    WORKFLOW: ClassVar[str]
    _EVOLVE: ClassVar[dict[EventType, Callable[[Any, Event], None]]] = {}

    def __init_subclass__(cls) -> None:
        cls._EVOLVE = {t: getattr(cls, f"_on_{t.value}") for t in EventType if hasattr(cls, f"_on_{t.value}")}

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.rule: CaseRule = policy.rule(self.KIND)
        self.events: list[Event] = []
        self.clocks: dict[str, Clock] = {}
        self.past_clocks: list[Clock] = []
        self.ladder = Ladder(policy.ladder)
        self.facts: dict[str, Any] = {}
        # The policy's calendar, with the years that were published since.
        self.working = policy.working
        # What must be done outside, in order; the shell takes it out and has it done.
        self.outbox: list[Effect] = []
        self._recorded_at: datetime | None = None

    # --- the four calls, less `decide` ------------------------------------------------------------

    def evolve(self, event: Event) -> None:
        """Apply one event: the only way state changes."""
        self.events.append(event)
        handler = self._EVOLVE.get(event.type)
        if handler is not None:
            handler(self, event)

    def due(self) -> datetime | None:
        """The next instant at which time alone changes the case; None when nothing is due."""
        turn = self._next_turn()
        return turn[0] if turn else None

    def elapse(
        self, now: datetime, *, inclusive: bool = True, after_each: Callable[[datetime], None] = _nothing
    ) -> list[Event]:
        """Let time pass: everything due by ``now`` happens, in order, each at its own instant.

        Args:
            now: an aware instant.
            inclusive: whether what is due at ``now`` itself has fallen due. Before a command it
                has not: an act at the very limit is in time.
            after_each: called with each instant after what fell due then has happened.
        """
        seen = len(self.events)
        recorded_at = self.policy.local(now)
        while (turn := self._next_turn()) is not None:
            # A clock may start past its due instant; what it brings about happens then, not before.
            instant = max(turn[0], self.events[-1].at)
            if instant > now or (instant == now and not inclusive):
                break
            self._recorded_at = recorded_at
            while turn is not None and turn[0] <= instant:
                turn[1](instant)
                turn = self._next_turn()
            after_each(instant)
        return self.events[seen:]

    def _next_turn(self) -> tuple[datetime, Callable[[datetime], None]] | None:
        """The earliest thing that time will do: its instant and the act. Earlier clocks win ties."""
        best: datetime | None = None
        act: Callable[[datetime], None] | None = None
        for clock in self.clocks.values():
            moment = clock.next_moment()
            if moment is not None and (best is None or moment < best):
                best, act = moment, self._clock_act(clock)
        reminder = self.ladder.reminding.next_at
        if reminder is not None and (best is None or reminder < best):
            best, act = reminder, self._remind_top
        return (best, act) if best is not None and act is not None else None

    # --- emitting ---------------------------------------------------------------------------------

    def _emit(
        self,
        type_: EventType,
        at: datetime,
        data: Mapping[str, Any],
        *,
        by: Actor = SYSTEM,
        clauses: tuple[str, ...] = (),
    ) -> None:
        event = Event(len(self.events) + 1, type_, at, self._recorded_at or at, by, clauses, data)
        self.evolve(event)
        for route in self.policy.routes(self.KIND, type_):
            if self._matches(route, event):
                self.outbox.append(Notice(route.name, self._recipients(route, event), event, route.clause))

    def _matches(self, route: Route, event: Event) -> bool:
        # A numbered clock (promise:2) is told by its base name.
        return all(_plain(event.data.get(name)) in allowed for name, allowed in route.when.items()) and all(
            _plain(self.facts.get(name)) in allowed for name, allowed in route.facts.items()
        )

    def _recipients(self, route: Route, event: Event) -> tuple[str, ...]:
        role = event.data.get("role") or event.data.get("rung") or self.ladder.rung
        named = {"holder": self.ladder.rung, "role": role}
        return self.policy.expand(tuple(named.get(name, name) for name in route.to))

    # --- clocks -----------------------------------------------------------------------------------

    def _rule_of(self, clock: str) -> ClockRule:
        return self.rule.clocks[clock.partition(":")[0]]

    def _start_clock(self, name: str, at: datetime, due: datetime | None = None) -> None:
        rule = self._rule_of(name)
        reckoned = first_due(rule, at, self.working) if due is None else Reckoned(due)
        data = {"clock": name, "due": reckoned.at.isoformat(), **_used(reckoned)}
        self._emit(T.CLOCK_STARTED, at, data, clauses=(rule.clause,))

    def _load_year(self, year: int, published: Mapping[str, Any], at: datetime, by: Actor) -> None:
        """Take a published year in, and reckon again what was provisional without it."""
        self._emit(T.CALENDAR_LOADED, at, {"year": year, "published": published}, by=by, clauses=("O-HOL",))
        for clock in list(self.clocks.values()):
            if not clock.live or year not in clock.provisional:
                continue
            reckoned = clock.reckoned()
            moved = {"clock": clock.name, "due": reckoned.at.isoformat(), "was": clock.due.isoformat(), "year": year}
            self._emit(T.CLOCK_MOVED, at, {**moved, **_used(reckoned)}, clauses=(clock.rule.clause, "O-HOL"))

    def _meet(self, at: datetime, *names: str) -> None:
        """End the named clocks as met, where they have not ended."""
        for name in names:
            clock = self.clocks.get(name)
            if clock is not None and clock.live:
                data = {"clock": name, "due": clock.due_at(at).isoformat()}
                self._emit(T.CLOCK_MET, at, data, clauses=(clock.rule.clause,))

    def _live_clocks(self, base: str) -> list[str]:
        """Names of the numbered clocks of one sort (``promise:1``, ...) that have not ended."""
        return [name for name, clock in self.clocks.items() if clock.live and name.partition(":")[0] == base]

    def _pause_clocks(self, at: datetime, reason: str, by: Actor) -> None:
        names = [n for n, c in self.clocks.items() if c.rule.pausable and c.state is ClockState.RUNNING]
        if names:
            self._emit(T.CLOCK_PAUSED, at, {"clocks": names, "reason": reason}, by=by, clauses=("S4-3.3.3",))

    def _resume_clocks(self, at: datetime, by: Actor) -> None:
        paused = [c for c in self.clocks.values() if c.state is ClockState.PAUSED]
        if paused:
            data = {"clocks": [c.name for c in paused], "dues": [c.due_at(at).isoformat() for c in paused]}
            self._emit(T.CLOCK_RESUMED, at, data, by=by, clauses=("S4-3.3.3",))

    def _clock_act(self, clock: Clock) -> Callable[[datetime], None]:
        return lambda at: self._warn(clock, at) if clock.warnings else self._breach(clock, at)

    def _warn(self, clock: Clock, at: datetime) -> None:
        percent = clock.warnings[0][0]
        data = {"clock": clock.name, "due": clock.due.isoformat(), "fraction": f"{percent / 100:.2f}"}
        self._emit(T.CLOCK_WARNED, at, data, clauses=(clock.rule.clause,))

    def _breach(self, clock: Clock, at: datetime) -> None:
        data = {"clock": clock.name, "due": clock.due.isoformat()}
        self._emit(T.CLOCK_BREACHED, at, data, clauses=(clock.rule.clause,))
        self._breached(clock, at)

    def _breached(self, clock: Clock, at: datetime) -> None:
        """What a breach brings about; kinds and mechanisms add theirs."""
        if clock.name == "rung":
            above = self.ladder.above()
            if above is None:
                self._remind_top(at)
            else:
                self._climb(above, "unacknowledged", at, clauses=(clock.rule.clause,))
        elif clock.rule.escalates_to is not None:
            self._climb(clock.rule.escalates_to, "deadline", at, clauses=(clock.rule.clause,))

    # --- the ladder -------------------------------------------------------------------------------

    def _climb(
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
        if self.ladder.height(rung) <= self.ladder.height(self.ladder.rung):
            return
        data = {"from": self.ladder.rung, "to": rung, "cause": cause}
        if reason is not None:
            data["reason"] = reason
        self._emit(T.ESCALATED, at, data, by=by, clauses=clauses)
        self._start_rung_clock(at)

    def _start_rung_clock(self, at: datetime) -> None:
        if "rung" in self.rule.clocks:
            self._start_clock("rung", at)

    def _remind_top(self, at: datetime) -> None:
        data = {"rung": self.ladder.rung, "count": self.ladder.reminding.count + 1}
        self._emit(T.REMINDED, at, data, clauses=(self.policy.ladder.reminders.clause,))

    # --- how events change the state --------------------------------------------------------------

    def _on_clock_started(self, event: Event) -> None:
        name = event.data["clock"]
        old = self.clocks.pop(name, None)
        if old is not None:
            self.past_clocks.append(old)
        due = self.policy.local(datetime.fromisoformat(event.data["due"]))
        clock = Clock.start(name, self._rule_of(name), event.at, due, self.working)
        clock.days_off, clock.provisional = _uses(event)
        self.clocks[name] = clock

    def _on_clock_met(self, event: Event) -> None:
        self.clocks[event.data["clock"]].end(ClockState.MET, event.at)

    def _on_clock_warned(self, event: Event) -> None:
        self.clocks[event.data["clock"]].warnings.pop(0)

    def _on_clock_breached(self, event: Event) -> None:
        self.clocks[event.data["clock"]].end(ClockState.BREACHED, event.at)

    def _on_clock_paused(self, event: Event) -> None:
        for name in event.data["clocks"]:
            self.clocks[name].pause(event.at, event.data["reason"])

    def _on_clock_resumed(self, event: Event) -> None:
        for name, due in zip(event.data["clocks"], event.data["dues"], strict=True):
            self.clocks[name].resume(event.at, datetime.fromisoformat(due))

    def _on_calendar_loaded(self, event: Event) -> None:
        self.working = self.working.with_year(event.data["year"], event.data["published"])
        for clock in self.clocks.values():
            clock.calendar = self.working

    def _on_clock_moved(self, event: Event) -> None:
        self.clocks[event.data["clock"]].move(event.at, datetime.fromisoformat(event.data["due"]), *_uses(event))

    def _on_extended(self, event: Event) -> None:
        clock = self.clocks[event.data["clock"]]
        if clock.live:
            clock.extend(event.at, datetime.fromisoformat(event.data["due"]))

    def _on_escalated(self, event: Event) -> None:
        self._leave_rung(event.at)
        self.ladder.moved(event.data["to"])

    def _on_assigned(self, event: Event) -> None:
        self._leave_rung(event.at)
        to = event.data["to"]
        self.ladder.moved(to["role"])
        self.ladder.held(to["role"], to["id"])

    def _on_acknowledged(self, event: Event) -> None:
        self.ladder.taken_up(event.data["id"])

    def _on_reminded(self, event: Event) -> None:
        self.ladder.reminding.reminded(event.at)

    def _leave_rung(self, at: datetime) -> None:
        # The rung clock belongs to the holder; a new holder has a new one.
        clock = self.clocks.get("rung")
        if clock is not None and clock.live:
            clock.end(ClockState.CANCELLED, at)
        self.ladder.reminding.quiet()

    def _end_all(self, at: datetime) -> None:
        for clock in self.clocks.values():
            if clock.live:
                clock.end(ClockState.CANCELLED, at)
        self.ladder.reminding.quiet()


def _used(reckoned: Reckoned) -> dict[str, Any]:
    """What a due instant rests on, as far as there is anything to say."""
    used: dict[str, Any] = {}
    if reckoned.days_off:
        used["days_off"] = [day.isoformat() for day in reckoned.days_off]
    if reckoned.provisional:
        used["provisional"] = list(reckoned.provisional)
    return used


def _uses(event: Event) -> tuple[tuple[str, ...], tuple[int, ...]]:
    return tuple(event.data.get("days_off", ())), tuple(event.data.get("provisional", ()))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).partition(":")[0]
