"""Numbering: a case number that is not given at opening but later, when the rules say so (S1-5.8, S1-5.9.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from cases.mechanisms.part import Part
from cases.vocabulary.effects import GIVE_NUMBER, ActivityCall
from cases.vocabulary.events import Event, EventData

# As many as a counter has.
MOST_SERIAL = 999_999_999
CLAUSES = ("S1-5.8", "S1-5.9.3")


class Numbered(EventData):
    """The case was given its number, like ``2026-03-0007``: never given to another case, never again."""

    TYPE: ClassVar[str] = "numbered"
    TECHNICAL: ClassVar[bool] = True
    number: str


class NumberTaken(EventData):
    """Another case has this number, which it got when an older casebook was restored; the case is given another one."""

    TYPE: ClassVar[str] = "number_taken"
    number: str


class Numbering(Part):
    """The number of a case of a kind with ``NUMBERED_AT_OPENING = False``, which is None until it is given."""

    ACTIVITIES = frozenset({GIVE_NUMBER})

    def ask(self, event: Event) -> None:
        """Have the number of the local month of an event given; for a handler of that event."""
        month = self.case.policy.local(event.at)
        self._ask(event, month.year, month.month)

    def _ask(self, event: Event, year: int, month: int) -> None:
        order = {"year": year, "month": month}
        self.case.ask(ActivityCall(seq=event.seq, activity=GIVE_NUMBER, order=order, recorded_first=True))

    def activity_done(self, call: ActivityCall, result: Mapping[str, Any], at: datetime) -> None:
        """Take in the number."""
        at = self.case.arrive(at)
        self.case.emit(Numbered(number=result["number"]), at, clauses=CLAUSES)

    def rehearsed(self, call: ActivityCall, serial: int) -> Mapping[str, Any]:
        """Return the number of the month with this serial."""
        return {"number": f"{call.order['year']:04}-{call.order['month']:02}-{serial:04}"}

    def _on_numbered(self, data: Numbered, event: Event) -> None:
        self.case.number = data.number
        self.case.came_out(ActivityCall, name=GIVE_NUMBER)

    def _on_number_taken(self, data: NumberTaken, event: Event) -> None:
        self.case.number = None
        year, month, _ = data.number.split("-")
        self._ask(event, int(year), int(month))
