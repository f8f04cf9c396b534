"""What every case is: the fold of its events, with what time does to it and what it has asked for outside.

elapse(now)           -> events                      what has fallen due by `now`
evolve(event)         -> None                        the only way state changes
due()                 -> datetime | None             when the case must next be woken
owed()                -> effects                     what was asked for outside and has not come out yet

State, `due` and `owed` follow from the events alone, without the texts that people wrote freely: a case can be
started again from its ledger at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, ClassVar, Self

from cases.mechanisms.approvals import Approvals
from cases.mechanisms.clocks import Clocks
from cases.mechanisms.ladder import Ladder
from cases.mechanisms.links import Links
from cases.mechanisms.merging import Merging
from cases.mechanisms.notices import Notices
from cases.mechanisms.part import Handlers, Part, Turn
from cases.mechanisms.replies import Replies
from cases.policy.model import Policy
from cases.policy.tables import KindTable
from cases.vocabulary.effects import Effect, Notice
from cases.vocabulary.events import EVENTS, SYSTEM, Actor, Event, EventData


def nothing(_: datetime) -> None:
    """Do nothing, after each instant of `Fold.elapse`."""


class Fold(Handlers):
    """The state of a case, made by its events alone.

    Args:
        policy: the numbers this case is pinned to.
    """

    KIND: ClassVar[str]
    clocks: Clocks
    ladder: Ladder
    approvals: Approvals
    notices: Notices
    links: Links
    merging: Merging
    replies: Replies

    parts: tuple[Part, ...]
    _owners: tuple[Handlers, ...]

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.rule: KindTable = policy.rule(self.KIND)
        self.events: list[Event] = []
        # As they were recorded, with a reference in place of each text.
        self.facts: dict[str, Any] = {}
        # What was asked for outside and has not come out, in order; what the present event asks for.
        self.outbox: list[Effect] = []
        self._asked: list[Effect] = []
        # After how many events each step so far was complete: the ledger never ends inside one.
        self.steps: list[int] = []
        self.key = ""
        # Where the events say it; else the casebook alone knows it.
        self.number: str | None = None
        self.status = "open"
        self.parent: str | None = None
        # The cases that it filed, by id, but those that were refused.
        self.filed: list[str] = []
        self.outcome: str | None = None
        self.opened_at: datetime | None = None
        # When it came in: later than it began where the matter itself is older.
        self.received_at: datetime | None = None
        self.resolved_at: datetime | None = None
        self.closed_at: datetime | None = None
        self.erased_at: datetime | None = None
        self.followed_up = 0
        self.dissatisfied = False
        self._texts = 0
        self._recorded_at: datetime | None = None

    @classmethod
    def replay(cls, policy: Policy, events: Iterable[Event]) -> Self:
        """Return the case that these events made."""
        case = cls(policy)
        case.follow(events)
        case.end_step()
        return case

    def follow(self, events: Iterable[Event]) -> None:
        """Apply recorded events; those of one instant that were recorded at one instant are one step."""
        for event in events:
            last = self.events[-1] if self.events else None
            if last is not None and (last.at, last.recorded_at) != (event.at, event.recorded_at):
                self.end_step()
            self.evolve(event)

    def fact(self, name: str) -> Any:
        """Return what the case knows under a name, as JSON: what a clock falls due by; None where it does not."""
        return self.facts.get(name)

    def due(self) -> datetime | None:
        """Return the next instant at which time alone changes the case; None when nothing is due."""
        turn = self._next_turn()
        return turn[0] if turn else None

    def elapse(
        self, now: datetime, *, inclusive: bool = True, after_each: Callable[[datetime], None] = nothing
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
        self.end_step()
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
            self.end_step()
        return self.events[seen:]

    def end_step(self) -> None:
        """Note that what happened so far is complete. All that happens begins with `elapse`, which does so."""
        if self.events and self.steps[-1:] != [len(self.events)]:
            self.steps.append(len(self.events))

    def _next_turn(self) -> Turn | None:
        """Return the earliest thing that time will do; of several at one instant the first in order."""
        first: Turn | None = None
        for owner in self._owners:
            for turn in owner.turns():
                if first is None or turn[0] < first[0]:
                    first = turn
        return first

    def evolve(self, event: Event) -> None:
        """Apply one event: the only way state changes."""
        self._evolve(event, EVENTS[event.type].read(event.data))

    def _evolve(self, event: Event, data: EventData) -> None:
        self.events.append(event)
        self._texts += bool(data.texts(event.data))
        for owner in self._owners:
            handler = owner.EVOLVE.get(event.type)
            if handler is not None:
                handler(owner, data, event)
        # Whoever must be told hears of it before anything else is done.
        self.outbox += [*self.notices.of(event), *self._asked]
        self._asked = []

    def emit(self, data: EventData, at: datetime, *, by: Actor = SYSTEM, clauses: tuple[str, ...] = ()) -> Event:
        """Let something happen."""
        seq, recorded_at = len(self.events) + 1, self._recorded_at or at
        event = Event(seq, data.TYPE, at, recorded_at, by, clauses, data.as_data())
        self._evolve(event, data)
        return event

    def owed(self) -> tuple[Effect, ...]:
        """Return what was asked for outside and has not come out yet, in order."""
        return tuple(self.outbox)

    def ask(self, effect: Effect) -> None:
        """Have something done outside; for handlers of events, since what is owed follows from them."""
        self._asked.append(effect)

    def came_out(
        self, kind: type[Effect], seq: int | None = None, name: str | None = None, no: int | None = None
    ) -> None:
        """Take off what is owed: the first effect of a kind, of the event ``seq`` and the ``name`` if they are given.

        Args:
            name: of the notice or the activity.
            no: which of the copies that go out one by one.
        """
        for place, effect in enumerate(self.outbox):
            named = effect.name if isinstance(effect, Notice) else getattr(effect, "activity", None)
            which = effect.no if isinstance(effect, Notice) else None
            if isinstance(effect, kind) and seq in (None, effect.seq) and name in (None, named) and no == which:
                del self.outbox[place]
                return

    def event(self, seq: int) -> Event:
        """Return the event of this number."""
        return self.events[seq - 1]

    def arrive(self, now: datetime) -> datetime:
        """Let word from outside arrive: after all that fell due before, like a command. Returns when."""
        self.elapse(now, inclusive=False)
        self._recorded_at = now = self.policy.local(now)
        return max(now, self.events[-1].at)
