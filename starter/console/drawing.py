"""The drawings of a case as plain numbers: its way up the ladder, and each clock as a bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# The ladder is drawn in pixels and never stretched, so that its texts are as large as the page's.
LEFT, RIGHT, TOP, RUNG, STEP = 160, 70, 38, 54, 130
# A bar is so many units long, whatever its time.
BAR = 1000
# Of more events than these only the last are drawn; the history has all of them.
MOST = 10


@dataclass(frozen=True)
class Stop:
    """A point on the way: the event (``what``), its instant (``at``), and where it is drawn (``x``, ``y``)."""

    what: str
    at: str
    rung: str
    x: int
    y: int
    id: str = ""
    cause: str = ""
    count: int = 0


@dataclass(frozen=True)
class Ladder:
    """The drawing: the rungs, top first, the stops, and the lines between them.

    Args:
        flat: nobody has climbed, so that there is nothing to draw.
    """

    width: int
    height: int
    rungs: tuple[tuple[str, int], ...]
    stops: tuple[Stop, ...]
    left: int = LEFT
    left_out: int = 0
    flat: bool = False


def ladder(events: Sequence[Mapping[str, Any]], rungs: Sequence[str]) -> Ladder:
    """Draw a case's way over the rungs.

    Args:
        events: public event JSON, in order.
        rungs: of the case's policy, lowest first.
    """
    turns = _turns(events)
    shown = turns[-MOST:]
    top = {rung: TOP + (len(rungs) - 1 - place) * RUNG for place, rung in enumerate(rungs)}
    stops = tuple(
        Stop(**turn, x=LEFT + 50 + STEP * place, y=top.get(turn["rung"], TOP)) for place, turn in enumerate(shown)
    )
    named = tuple((rung, top[rung]) for rung in reversed(rungs))
    flat = all(turn["rung"] == rungs[0] for turn in turns)
    width = LEFT + 50 + STEP * max(len(shown) - 1, 0) + RIGHT
    return Ladder(width, TOP + len(rungs) * RUNG + 4, named, stops, left_out=len(turns) - len(shown), flat=flat)


def _turns(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    rung = ""
    for event in events:
        what, data, at = event["type"], event["data"], event["at"]
        if what == "case_opened":
            rung = data["holder_role"]
            turns.append({"what": what, "at": at, "rung": rung})
        elif what == "escalated":
            rung = data["to"]
            turns.append({"what": what, "at": at, "rung": rung, "cause": data["cause"]})
        elif what == "assigned":
            rung = data["to"]["role"]
            turns.append({"what": what, "at": at, "rung": rung, "id": data["to"]["id"]})
        elif what == "acknowledged":
            turns.append({"what": what, "at": at, "rung": rung, "id": data["id"]})
        elif what == "reminded" and turns and turns[-1]["what"] == "reminded":
            # A row of reminders is one stop.
            turns[-1] |= {"at": at, "count": data["count"]}
        elif what == "reminded":
            turns.append({"what": what, "at": at, "rung": rung, "count": data["count"]})
        elif what in ("resolved", "reopened", "closed", "withdrawn"):
            turns.append({"what": what, "at": at, "rung": rung})
    return turns


@dataclass(frozen=True)
class Bar:
    """A clock as a bar of `BAR` units: spans as (start, length), moments as a place.

    Args:
        run: the time that ran, until the end or now.
        over: the time past the due instant.
        warnings: where the policy warns.
    """

    run: tuple[int, int]
    over: tuple[int, int] | None
    pauses: tuple[tuple[int, int], ...]
    warnings: tuple[int, ...]
    due: int


@dataclass(frozen=True)
class Clock:
    """A clock's explanation and its bar."""

    said: Mapping[str, Any]
    bar: Bar

    @property
    def live(self) -> bool:
        """Return whether it has not ended."""
        return self.said["state"] in ("running", "paused")


def clocks(explained: Sequence[Mapping[str, Any]], warned: Mapping[str, Sequence[int]], now: datetime) -> list[Clock]:
    """Draw the clocks of a case: those that have not ended first, then by their due instants.

    Args:
        explained: what the case says of each clock (`cases.case.Case.explain`).
        warned: percents of the limit at which clocks warn, by their base names.
        now: an aware instant.
    """
    order = {"running": 0, "paused": 0, "breached": 1, "met": 2, "cancelled": 3}
    drawn = [Clock(said, _bar(said, warned.get(said["clock"].partition(":")[0], ()), now)) for said in explained]
    return sorted(drawn, key=lambda clock: (order[clock.said["state"]], datetime.fromisoformat(clock.said["due"])))


def _bar(said: Mapping[str, Any], warned: Sequence[int], now: datetime) -> Bar:
    start, due = datetime.fromisoformat(said["started_at"]), datetime.fromisoformat(said["due"])
    ended = datetime.fromisoformat(said["ended_at"]) if said["ended_at"] else None
    until = max(ended or now, start)
    last = max(due, until)
    whole = (last - start).total_seconds() or 1

    def place(at: datetime) -> int:
        return round(min(max((at - start).total_seconds() / whole, 0), 1) * BAR)

    pauses = tuple(
        (place(begin), max(place(end) - place(begin), 3))
        for begin, end in (
            (datetime.fromisoformat(pause["from"]), datetime.fromisoformat(pause["to"]) if pause["to"] else until)
            for pause in said["pauses"]
        )
    )
    at_due = place(due)
    over = (at_due, place(until) - at_due) if until > due and said["state"] in ("running", "paused") else None
    return Bar((0, min(place(until), at_due)), over, pauses, tuple(round(at_due * p / 100) for p in warned), at_due)
