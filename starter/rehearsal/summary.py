"""What a month of cases comes to: climbs, clocks, refusals, and the load of each rung."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cases.policy.model import Policy
from cases.vocabulary.events import Event
from starter.rehearsal.engine import UNRECORDED

HOURS_A_WEEK = 168


class Summary:
    """Counts over many cases. Cases are added one at a time, and none of them is kept.

    Args:
        policy: the policy they ran under; its rungs give the order of the roles.

    ``load`` holds for each rung how many cases came to it in each hour of the week, Monday 00:00
    to 01:00 first, by the clock of the policy's zone.
    """

    def __init__(self, policy: Policy) -> None:
        self.rungs = policy.ladder.rungs
        self.cases = self.events = self.closed = 0
        self.escalated: Counter[tuple[str, str]] = Counter()
        self.breached: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.highest: Counter[str] = Counter()
        self.load: dict[str, list[int]] = {rung: [0] * HOURS_A_WEEK for rung in self.rungs}

    def add(self, events: Sequence[Event]) -> None:
        """Count one more case."""
        self.cases += 1
        rung: str | None = None
        highest = -1
        for event in events:
            type_, data = event.type, event.data
            if event.seq != UNRECORDED:
                self.events += 1
            if type_ == "clock_met":
                self.met[_base(data["clock"])] += 1
            elif type_ == "clock_breached":
                self.breached[_base(data["clock"])] += 1
            elif type_ == "command_refused":
                self.refused[data["code"]] += 1
            elif type_ == "closed":
                self.closed += 1
            elif type_ == "case_opened":
                rung = data["holder_role"]
                highest = self.rungs.index(rung)
                self._arrived(rung, event.at)
            elif type_ == "escalated":
                self.escalated[data["cause"], data["to"]] += 1
                if data["cause"] == "severity":
                    # It was given to this rung at intake; the lowest never saw it.
                    self._arrived(data["from"], event.at, -1)
                rung = data["to"]
                highest = max(highest, self.rungs.index(rung))
                self._arrived(rung, event.at)
            elif type_ == "assigned" and data["to"]["role"] != rung:
                rung = data["to"]["role"]
                self._arrived(rung, event.at)
        if highest >= 0:
            self.highest[self.rungs[highest]] += 1

    def _arrived(self, rung: str, at: datetime, times: int = 1) -> None:
        self.load[rung][at.weekday() * 24 + at.hour] += times

    def climbs(self, rung: str) -> int:
        """How many climbs led to this rung, whatever the cause."""
        return sum(count for (_, to), count in self.escalated.items() if to == rung)

    def clocks(self) -> list[str]:
        """The clocks that were met or breached at least once, by name."""
        return sorted(self.met.keys() | self.breached.keys())

    def breach_share(self, clock: str) -> float:
        """How many of a clock's ends were breaches, in percent."""
        met, breached = self.met[clock], self.breached[clock]
        return 100 * breached / (met + breached) if met + breached else 0.0

    def as_json(self) -> dict[str, Any]:
        """The summary object (design contract "Event log and mapping"). Equal runs give equal text.

        Numbered clocks (``promise:1``, ``promise:2``) count together under their plain name.
        """
        causes = sorted({cause for cause, _ in self.escalated})
        return {
            "cases": self.cases,
            "events": self.events,
            "escalated": {
                cause: {r: self.escalated[cause, r] for r in self.rungs if self.escalated[cause, r]} for cause in causes
            },
            "breached": dict(sorted(self.breached.items())),
            "met": dict(sorted(self.met.items())),
            "refused": dict(sorted(self.refused.items())),
            "closed": self.closed,
        }


def _base(clock: str) -> str:
    return clock.partition(":")[0]
