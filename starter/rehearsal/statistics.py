"""Statistics over many cases: escalations, clocks, refusals, and the load of each rung."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cases.policy.model import Policy
from cases.vocabulary.events import Event
from starter.rehearsal.engine import UNRECORDED

HOURS_A_WEEK = 168


class Statistics:
    """Counts over cases that are added one at a time and not kept.

    ``load`` holds, for each rung, how many cases came to it in each hour of the week in the policy's zone,
    beginning with Monday 00:00 to 01:00.

    Args:
        policy: the policy that the cases ran under.
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
        """Count one case."""
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
                    # A severe case goes to this rung at intake, so it never came to the lowest one.
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
        """Count the escalations to a rung, whatever their cause."""
        return sum(count for (_, to), count in self.escalated.items() if to == rung)

    def clocks(self) -> list[str]:
        """List the names of the clocks that were met or breached at least once."""
        return sorted(self.met.keys() | self.breached.keys())

    def breach_share(self, clock: str) -> float:
        """Return the share of breaches among the ends of a clock, in percent."""
        met, breached = self.met[clock], self.breached[clock]
        return 100 * breached / (met + breached) if met + breached else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the summary object (design contract "Event log and mapping"), the same for equal runs.

        Numbered clocks (``promise:1``, ``promise:2``) are counted together under the name without the number.
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
