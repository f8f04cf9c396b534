"""The escalation ladder: who holds the case, whether they took it up, when the top is reminded.

Customer-facing clocks never reset when a case climbs; only the rung clock is new on each rung.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cases.policy.model import LadderRule, Reminders


@dataclass(slots=True)
class Reminding:
    """Reminders at growing intervals until somebody reacts; ``next_at`` is None when quiet."""

    rule: Reminders
    count: int = 0
    next_at: datetime | None = None

    def reminded(self, at: datetime) -> None:
        """One more reminder went out; the next is further away."""
        self.count += 1
        self.next_at = at + self.rule.interval(self.count + 1)

    def quiet(self) -> None:
        """Somebody reacted."""
        self.count, self.next_at = 0, None


class Ladder:
    """Where a case stands on its ladder. Changed only by events."""

    __slots__ = ("acknowledged", "holder_id", "reminding", "rung", "rungs")

    def __init__(self, rule: LadderRule) -> None:
        self.rungs = rule.rungs
        self.rung = rule.rungs[0]
        self.holder_id: str | None = None
        self.acknowledged = False
        self.reminding = Reminding(rule.reminders)

    def height(self, role: str) -> int:
        """The place of a role on the ladder from 0, or -1 for a role that is no rung."""
        return self.rungs.index(role) if role in self.rungs else -1

    def above(self) -> str | None:
        """The next rung, or None at the top."""
        height = self.height(self.rung) + 1
        return self.rungs[height] if height < len(self.rungs) else None

    def moved(self, rung: str) -> None:
        """A rung holds the case now, nobody in person yet."""
        self.held(rung, None)
        self.acknowledged = False

    def held(self, rung: str, person: str | None) -> None:
        """A person of a rung holds the case."""
        self.rung, self.holder_id = rung, person
        self.reminding.quiet()

    def taken_up(self, person: str) -> None:
        """The holder has acknowledged."""
        self.holder_id, self.acknowledged = person, True
        self.reminding.quiet()
