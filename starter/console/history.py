"""The history of a case as steps: what people and time did, each with what the machinery did about it folded in.

An event that its type calls technical (`EventData.TECHNICAL`) and that went well belongs to the event that it names as
its cause (``of``); else to the step before it, if that happened at the same instant and by the same actor or with the
system about it. Everything else is a step of its own: so is a breach, a refusal, and whatever failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cases.vocabulary.events import EVENTS, SYSTEM

Json = Mapping[str, Any]
# What came of a notice where all is well.
_SENT = "sent"


@dataclass
class Step:
    """An event of the history, and the technical events that belong to it, all as public JSON, in order."""

    event: Json
    folded: list[Json] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many are folded in."""
        return len(self.folded)


def steps(events: Iterable[Json]) -> list[Step]:
    """Return the steps of a history.

    Args:
        events: public event JSON, in order.
    """
    found: list[Step] = []
    by_seq: dict[int, Step] = {}
    before: Json | None = None
    for event in events:
        step = _cause(event, before, by_seq) if _folds(event) else None
        if step is None:
            step = Step(event)
            found.append(step)
        else:
            step.folded.append(event)
        by_seq[event["seq"]], before = step, event
    return found


def _folds(event: Json) -> bool:
    model, data = EVENTS.get(event["type"]), event["data"]
    if model is None or not model.TECHNICAL or data.get("failed"):
        return False
    return event["type"] != "notified" or bool(data["outcome"] == _SENT)


def _cause(event: Json, before: Json | None, by_seq: Mapping[int, Step]) -> Step | None:
    named = by_seq.get(event["data"].get("of", 0))
    if named is not None or before is None or event["at"] != before["at"]:
        return named
    step = by_seq[before["seq"]]
    return step if event["actor"]["id"] in (SYSTEM.id, step.event["actor"]["id"]) else None
