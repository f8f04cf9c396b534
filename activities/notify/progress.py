"""What was achieved for a batch of notices so far, kept in the activity's heartbeat."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from temporalio import activity

from activities.notify.recipients import Delivery, Way

# So many different attempts of a notice go on record one by one.
MOST_ATTEMPTS = 40


@dataclass
class Progress:
    """What every attempt of the activity so far has achieved. Plain JSON, because it travels in the heartbeat.

    Args:
        outcomes: of each delivery ``{"at", "reason" ("" if it arrived), "final", "channel"}``.
        notified: by message id, when a person was told.
        refused: by way, why it is no use.
        closed: by address, until when its receiver wants no message.
        attempts, meant, remarks: by notice, as in `NoticeResult`.
    """

    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    notified: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    meant: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def recall(cls) -> Self:
        """Read from the last heartbeat what earlier attempts achieved."""
        details = activity.info().heartbeat_details
        return cls(**details[0]) if details and isinstance(details[0], dict) and "outcomes" in details[0] else cls()

    def heartbeat(self) -> None:
        """Let the server keep it."""
        activity.heartbeat(vars(self))

    def is_final(self, delivery: Delivery) -> bool:
        """Return whether nothing more is to be tried for a delivery."""
        return bool(self.outcomes.get(delivery.key, {}).get("final", False))

    def closed_until(self, way: Way) -> datetime | None:
        """Return until when the receiver at an address wants no message, as far as it has said so."""
        until = self.closed.get(way.place)
        return None if until is None else datetime.fromisoformat(until)

    def add_attempt(self, way: Way, notice: str, outcome: str, reason: str, at: str) -> int:
        """Add an attempt to the record of a notice; return how many of its kind there are now."""
        entries = self.attempts.setdefault(notice, [])
        marks = {"recipient": way.recipient, "channel": way.channel, "outcome": outcome, "reason": reason}
        for entry in entries:
            if marks.items() <= entry.items():
                entry.update(last=at, count=entry["count"] + 1)
                return int(entry["count"])
        if len(entries) < MOST_ATTEMPTS:
            entries.append({**marks, "first": at, "last": at, "count": 1})
        return 1

    def add_remarks(self, notice: str, remarks: list[str]) -> None:
        """Add remarks to the record of a notice, each once."""
        if remarks:
            known = self.remarks.setdefault(notice, [])
            known += [remark for remark in dict.fromkeys(remarks) if remark not in known]
