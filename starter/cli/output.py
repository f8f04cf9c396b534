"""What people see: tables for a terminal, JSON for programs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Wide enough that a table that goes into a file or a pipe is not folded.
PIPE_WIDTH = 200
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)")
STYLES = {"breached": "red", "paused": "yellow", "running": "green", "met": "dim", "cancelled": "dim"}
# Of these an event's line repeats nothing: they stand in the case view, or say nothing to people.
_QUIET = frozenset({"facts", "policy_hash", "key"})


@cache
def console() -> Console:
    """The console on stdout."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=PIPE_WIDTH if piped else None, highlight=False)


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def line(text: str) -> None:
    """One line of plain text, never folded."""
    console().print(safe(text), soft_wrap=True)


def safe(value: Any, style: str = "") -> Text:
    """A text as it can be shown: customers' words must not steer the terminal."""
    text = "" if value is None else str(value)
    return Text("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text), style)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table with a line under its head; cells in ``STYLES`` have their colour."""
    shown = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for column in shown.columns:
        column.overflow = "fold"
    for row in rows:
        shown.add_row(*(safe(cell, STYLES.get(str(cell), "")) for cell in row))
    console().print(shown)


def fields(rows: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line; what has no value is left out."""
    shown = Table.grid(padding=(0, 2))
    for name, value in rows:
        if value not in (None, "", []):
            shown.add_row(Text(name, "bold"), safe(value))
    console().print(shown)


# --- cases ----------------------------------------------------------------------------------------


def print_view(view: Mapping[str, Any]) -> None:
    """A case as it stands."""
    if view["status"] in ("opening", "refused"):
        refusal = view.get("refusal", {})
        fields([("case", view["id"]), ("status", view["status"]), ("because", refusal.get("message"))])
        return
    taken = "acknowledged" if view["acknowledged"] else "not acknowledged"
    fields(
        [
            ("case", view["id"]),
            ("number", view["number"]),
            ("status", view["status"] + (f": {view['outcome']}" if view["outcome"] else "")),
            ("held by", f"{view['rung']} ({view['holder']}), {taken}"),
            ("severity", view["severity"]),
            ("unit", view["unit"]),
            ("parent", view["parent"]),
            ("policy", view["policy"]),
            ("opened", instant(view["opened_at"])),
            ("resolved", instant(view["resolved_at"])),
            ("closed", instant(view["closed_at"])),
            ("next due", due(view["next_due"])),
            ("breached", ", ".join(view["breached"])),
            ("on offer", view.get("offered")),
            ("accepted", view.get("accepted")),
            ("facts", compact(view["facts"])),
            ("trouble", view.get("trouble")),
        ]
    )
    if view["clocks"]:
        table(("clock", "state", "due"), [(one["clock"], one["state"], instant(one["due"])) for one in view["clocks"]])
    if view["approvals"]:
        names = ("subject", "amount", "role", "requested_by", "state")
        table(("approval", "yuan", "asked of", "asked by", "state"), [[a[n] for n in names] for a in view["approvals"]])


def print_list(views: Sequence[Mapping[str, Any]]) -> None:
    """Cases, one a line."""
    table(
        ("number", "case", "status", "rung", "holder", "severity", "next due", "breached"),
        [
            (
                *(view[name] for name in ("number", "id", "status", "rung", "holder", "severity")),
                due(view["next_due"]),
                ", ".join(view["breached"]),
            )
            for view in views
        ],
    )


def print_timeline(events: Sequence[Mapping[str, Any]]) -> None:
    """Events, one a line."""
    table(
        ("#", "at", "event", "by", "what", "clauses"),
        [
            (
                event["seq"],
                instant(event["at"]),
                event["type"],
                event["actor"]["id"],
                compact({name: value for name, value in event["data"].items() if name not in _QUIET}),
                " ".join(event["clauses"]),
            )
            for event in events
        ],
    )


def print_clocks(clocks: Sequence[Mapping[str, Any]]) -> None:
    """Why each clock is due when it is."""
    table(
        ("clock", "state", "started", "limit", "paused", "due", "ended", "breach goes to", "clause"),
        [
            (
                clock["clock"],
                clock["state"],
                instant(clock["started_at"]),
                _limit(clock["limit"]),
                "\n".join(
                    f"{instant(pause['from'])} to {instant(pause['to']) or 'now'}: {pause['reason']}"
                    for pause in clock["pauses"]
                ),
                instant(clock["due"]),
                instant(clock["ended_at"]),
                clock["escalates_to"],
                clock["clause"],
            )
            for clock in clocks
        ],
    )


def _limit(limit: Mapping[str, Any]) -> str:
    if "calendar_days" in limit:
        return count(limit["calendar_days"], "calendar day")
    for name, kind in (("elapsed_minutes", ""), ("working_minutes", " working time")):
        if name in limit:
            return span(timedelta(minutes=float(limit[name]))) + kind
    return "as promised"


def compact(value: Any) -> str:
    """A JSON value on one line, short for people: ``category: delay, shipment: {waybill: W1}``."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_inner(inner)}" for name, inner in value.items() if inner is not None)
    return _inner(value)


def _inner(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{compact(value)}}}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_inner, value)) + "]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return instant(value) if isinstance(value, str) and _INSTANT.fullmatch(value) else str(value)


def instant(text: str | None) -> str:
    """An instant as people read it, in its own offset."""
    if not text:
        return ""
    return datetime.fromisoformat(text).isoformat(" ", "seconds")


def due(text: str | None) -> str:
    """An instant and how far it is from now."""
    if not text:
        return ""
    left = datetime.fromisoformat(text) - datetime.now(UTC)
    return f"{instant(text)} ({f'in {span(left)}' if left > timedelta() else f'{span(-left)} ago'})"


def count(number: int, thing: str) -> str:
    """``1 day``, ``7 days``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def span(length: timedelta) -> str:
    """A duration by its two largest units, rounded down: ``2 d 3 h``, ``48 h``, ``4 min 30 s``."""
    seconds = int(length.total_seconds())
    # Limits are spoken of in hours up to three days: 48 h, not 2 d.
    units = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)] if seconds > 3 * 86400 else [
        ("h", 3600), ("min", 60), ("s", 1),
    ]  # fmt: skip
    parts = []
    for unit, size in units:
        if seconds >= size:
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
    return " ".join(parts[:2]) or "0 s"
