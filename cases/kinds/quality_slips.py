"""Slips of a quality complaint to who is late: reminders (催办单), and queries why (洽办单), S1-5.2, S1-5.7."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cases.kinds.quality_events import SlipAnswered, SlipIssued, SlipShown
from cases.kinds.quality_models import CLOSING, AnswerSlip, QualityTable
from cases.mechanisms.clocks import Clock
from cases.mechanisms.ladder import Reminding
from cases.mechanisms.part import Choices, Part, Turn
from cases.vocabulary.events import Actor, Event
from cases.vocabulary.refusals import Refused

if TYPE_CHECKING:
    from cases.case import Case
    from cases.kinds.quality import QualityComplaint

LATE_CLAUSES = ("S1-5.2", "S1-5.7")


class Slips(Part):
    """Who is late in a step or with the closing is reminded until it is done; after the decision they say why."""

    case: QualityComplaint

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        assert isinstance(case.rule, QualityTable)
        # Who was ever late in which step, and the last slip of each sort to them; who has not said why.
        self.late: list[tuple[str, str]] = []
        self.counts: dict[tuple[str, str, str], int] = {}
        self.unanswered: list[tuple[str, str]] = []
        self._closing = Reminding(case.rule.reminders)

    def shown(self) -> list[SlipShown]:
        """List the slips, the last of each sort to each who was late."""
        return [
            SlipShown(
                slip=slip, step=step, role=role, count=count,
                answered=slip == "query" and (step, role) not in self.unanswered,
            )
            for (slip, step, role), count in self.counts.items()
        ]  # fmt: skip

    def remind(self, step: str, count: int, at: datetime) -> None:
        """Remind those whose turn it is, for the ``count``-th time."""
        for role in self.case.route.turn:
            data = SlipIssued(slip="reminder", step=step, role=role, count=count)
            self.case.emit(data, at, clauses=LATE_CLAUSES)

    def query(self, at: datetime) -> None:
        """Ask everybody who was late in a step why."""
        for step, role in list(self.late):
            data = SlipIssued(slip="query", step=step, role=role, count=1)
            self.case.emit(data, at, clauses=LATE_CLAUSES)

    # --- commands ---------------------------------------------------------------------------------

    def _may_answer_slip(self, by: Actor, at: datetime) -> None:
        if not self.unanswered:
            raise Refused("no_slip", "answer_slip: no query slip waits for an answer", LATE_CLAUSES[0])
        if by.role not in (roles := [role for _, role in self.unanswered]):
            message = f"by.role = {by.role!r} may not answer_slip; allowed: {', '.join(dict.fromkeys(roles))}"
            raise Refused("role", message, LATE_CLAUSES[0])

    def _choices_answer_slip(self, by: Actor, at: datetime) -> Choices:
        return {"step": [step for step, role in self.unanswered if role == by.role]}

    def _do_answer_slip(self, command: AnswerSlip, at: datetime, by: Actor) -> None:
        asked = [role for step, role in self.unanswered if step == command.step]
        if not asked:
            waiting = ", ".join(dict.fromkeys(step for step, _ in self.unanswered))
            message = f"step = {command.step!r}: no query slip waits for an answer; allowed: {waiting}"
            raise Refused("no_slip", message, LATE_CLAUSES[0])
        if by.role not in asked:
            message = f"by.role = {by.role!r} may not answer the slip of {command.step}; allowed: {', '.join(asked)}"
            raise Refused("role", message, LATE_CLAUSES[0])
        data = SlipAnswered(step=command.step, role=by.role, cause=command.cause)
        self.case.emit(data, at, by=by, clauses=LATE_CLAUSES)
        self.case.end_if_done(at)

    # --- time -------------------------------------------------------------------------------------

    def turns(self) -> Iterable[Turn]:
        """Yield the next reminder of the closing; of the steps it is the route's."""
        if self._closing.next_at is not None:
            yield self._closing.next_at, self._remind_of_closing

    def breached(self, clock: Clock, at: datetime) -> bool:
        """Climb when the closing is late, and remind whose turn it is."""
        if clock.name != CLOSING:
            return False
        self.case.climb_for(clock, at)
        self._remind_of_closing(at)
        return True

    def _remind_of_closing(self, at: datetime) -> None:
        self.remind(CLOSING, self._closing.count + 1, at)

    # --- how events change the state --------------------------------------------------------------

    def _on_slip_issued(self, data: SlipIssued, event: Event) -> None:
        self.counts[data.slip, data.step, data.role] = data.count
        who = (data.step, data.role)
        if data.slip == "query":
            self.unanswered.append(who)
        elif data.step != CLOSING:
            self.late.extend([who] if who not in self.late else [])
        elif data.count > self._closing.count:
            # One reminder may go to two people.
            self._closing.reminded(event.at)

    def _on_slip_answered(self, data: SlipAnswered, event: Event) -> None:
        self.unanswered.remove((data.step, data.role))

    def _on_resolved(self, _: Any, event: Event) -> None:
        self._closing.quiet()

    def _on_closed(self, _: Any, event: Event) -> None:
        self._closing.quiet()
