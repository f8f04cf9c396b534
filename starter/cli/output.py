"""Output of the command line: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table
from rich.text import Text

from cases.compensation import above_formula

# Characters; wide enough that a table in a file or a pipe is not folded.
PIPE_WIDTH = 200
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)")
STYLES = {"breached": "red", "paused": "yellow", "running": "green", "met": "dim", "cancelled": "dim"}
# Data of an event that the timeline leaves out: it is in the case view, or means nothing to people.
_HIDDEN = frozenset({"facts", "policy_hash", "key"})


@cache
def console() -> Console:
    """Return the console on stdout."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=PIPE_WIDTH if piped else None, highlight=False)


def progress(*columns: ProgressColumn) -> Progress:
    """Return a line of progress, which is shown only on a terminal, and gone when it is done."""
    return Progress(*columns, console=Console(file=sys.stderr), transient=True, disable=not sys.stderr.isatty())


def print_json(value: Any) -> None:
    """Print one JSON value on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def line(text: str) -> None:
    """Print one line of plain text, never folded."""
    console().print(safe(text), soft_wrap=True)


def safe(value: Any, style: str = "") -> Text:
    """Return a text without control characters, so that customers' words cannot control the terminal."""
    text = "" if value is None else str(value)
    return Text("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text), style)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; cells that are in `STYLES` are coloured."""
    shown = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for column in shown.columns:
        column.overflow = "fold"
    for row in rows:
        shown.add_row(*(safe(cell, STYLES.get(str(cell), "")) for cell in row))
    console().print(shown)


def fields(rows: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one pair a line, leaving out empty values."""
    shown = Table.grid(padding=(0, 2))
    for name, value in rows:
        if value not in (None, "", []):
            shown.add_row(Text(name, "bold"), safe(value))
    console().print(shown)


# --- cases ----------------------------------------------------------------------------------------


def print_view(view: Mapping[str, Any], titles: Mapping[str, str] | None = None) -> None:
    """Print a case view.

    Args:
        titles: of the fields of a form, by name, in order.
    """
    if view["status"] in ("opening", "refused"):
        refusal = view.get("refusal", {})
        fields([("case", view["id"]), ("status", view["status"]), ("because", refusal.get("message"))])
        return
    acknowledged = "acknowledged" if view["acknowledged"] else "not acknowledged"
    fields(
        [
            ("case", view["id"]),
            ("number", view["number"]),
            ("status", view["status"] + (f": {view['outcome']}" if view["outcome"] else "")),
            ("held by", f"{view['rung']} ({view['holder']}), {acknowledged}"),
            ("severity", view["severity"]),
            ("unit", view["unit"]),
            ("parent", view["parent"]),
            ("claim", view.get("claim")),
            ("policy", view["policy"]),
            ("opened", instant(view["opened_at"])),
            ("resolved", instant(view["resolved_at"])),
            ("closed", instant(view["closed_at"])),
            ("kept until", None if view.get("erased_at") else view.get("keep_until")),
            ("erased", instant(view.get("erased_at"))),
            ("next due", due(view["next_due"])),
            ("breached", ", ".join(view["breached"])),
            ("title", view.get("title")),
            ("to sign", ", ".join(view.get("turn", ()))),
            *(_compensation(view) if "assessment" in view else [*_options(view), *_money(view)]),
            ("facts", compact({name: value for name, value in view["facts"].items() if name != "fields"})),
            ("recorded", _recorded(view)),
            ("trouble", view.get("trouble")),
        ]
    )
    if isinstance(view.get("fields"), Mapping):
        _print_form(view, titles or {})
    if view["clocks"]:
        rows = [
            (one["clock"], one["state"], instant(one["due"]) + _provisional(one.get("provisional", ())))
            for one in view["clocks"]
        ]
        table(("clock", "state", "due"), rows)
    if view["approvals"]:
        names = ("subject", "amount", "role", "requested_by", "state")
        asked = [[one[name] for name in names] for one in view["approvals"]]
        above = [_above(one["amount"], view) for one in view["approvals"]]
        more = ("above the formula",) if any(above) else ()
        said = [[*row, *([over] if more else [])] for row, over in zip(asked, above, strict=True)]
        table(("approval", "yuan", "asked of", "asked by", "state", *more), said)


def _above(amount: str | None, view: Mapping[str, Any]) -> str | None:
    """Say by how much what is asked for exceeds what the formula gives, in yuan."""
    above = above_formula(None if amount is None else Decimal(amount), view.get("assessment"))
    return None if above is None else f"{above:.2f}"


def _print_form(view: Mapping[str, Any], titles: Mapping[str, str]) -> None:
    """Print the fields of a form with their titles, and who has signed."""
    known = view["fields"]
    names = [name for name in dict.fromkeys((*titles, *known)) if name in known]
    table(("field", "title", "value"), [(name, titles.get(name, name), _field(known[name])) for name in names])
    if view["signed"]:
        columns = ("step", "role", "id", "text")
        table(("step", "signed as", "by", "text"), [[one[column] for column in columns] for one in view["signed"]])


def _field(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | list | dict) else value


def _recorded(view: Mapping[str, Any]) -> str | None:
    """Say how far the ledger is behind a case, which is what is lost if the workflow is lost now."""
    recorded, events = view.get("recorded"), view["events"]
    return None if recorded is None or recorded >= events else f"{recorded} of {count(events, 'event')}"


def _options(view: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [("on offer", view.get("offered")), ("accepted", view.get("accepted"))]


def _money(view: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the amounts that the kind of a case declares."""
    from cases.registry import KINDS

    kind = KINDS.get(view["kind"])
    return [] if kind is None else [(name, _yuan(amount)) for name, amount in kind.money(view).items()]


def _compensation(view: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the rows about what is assessed, offered and paid."""
    assessment, agreed = view["assessment"], view["agreed"]
    return [
        ("propose by", instant(view["limit_due"])),
        ("assessed", None if assessment is None else _verdict(assessment)),
        # An offer that was accepted is shown as agreed.
        ("offered", None if agreed else _yuan(view["offered"])),
        ("agreed", _yuan(agreed)),
        ("paid", f"{_yuan(agreed)}, reference {view['paid']}" if view["paid"] else agreed and "not yet"),
        ("disputes", ", ".join(view["disputes"])),
    ]


def _verdict(assessment: Mapping[str, Any]) -> str:
    """Format an assessment as one line."""
    refusal = assessment["refusal"]
    if refusal is not None:
        return f"refused, {assessment['refused_because']}: {refusal['text']} [{refusal['clause']}]"
    sums = " + ".join(f"{line['name']} {line['amount']}" for line in assessment["lines"])
    return f"{_yuan(assessment['total'])} as {assessment['factor']} ({sums})"


def _yuan(amount: str | None) -> str | None:
    return f"{amount} yuan" if amount else None


def print_assessment(assessment: Mapping[str, Any]) -> None:
    """Print an assessment: each line with its formula and clause, or the refusal."""
    fields(
        [
            ("policy", assessment["policy"]),
            ("filed", instant(assessment["filed_at"])),
            ("assessed", f"{instant(assessment['at'])} as {assessment['factor']}"),
        ]
    )
    if assessment["lines"]:
        rows = [(one["name"], one["formula"], one["amount"], one["clause"]) for one in assessment["lines"]]
        table(("line", "formula", "yuan", "clause"), rows)
    if assessment["notes"]:
        table(("note", "what", "clause"), [(one["code"], one["text"], one["clause"]) for one in assessment["notes"]])
    refusal = assessment["refusal"]
    if refusal is not None:
        line(f"refused, {assessment['refused_because']}: {refusal['text']} [{refusal['clause']}]")
        if assessment["needs_person"]:
            line("a person must confirm this refusal")
    line(f"total {assessment['total']} yuan")


def print_list(views: Sequence[Mapping[str, Any]]) -> None:
    """Print cases, one a row."""
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
    """Print events, one a row."""
    table(
        ("#", "at", "event", "by", "what", "clauses"),
        [
            (
                event["seq"],
                instant(event["at"]),
                event["type"],
                event["actor"]["id"],
                compact({name: value for name, value in event["data"].items() if name not in _HIDDEN}),
                " ".join(event["clauses"]),
            )
            for event in events
        ],
    )


def print_clocks(clocks: Sequence[Mapping[str, Any]]) -> None:
    """Print why each clock is due when it is."""
    table(
        ("clock", "state", "started", "limit", "paused", "days off", "due", "ended", "breach goes to", "clause"),
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
                " ".join(clock["days_off"]),
                "\n".join(
                    [
                        instant(clock["due"]) + _provisional(clock["provisional_years"]),
                        *(f"was {instant(was['due'])} ({was['why']})" for was in clock["earlier_dues"]),
                    ]
                ),
                instant(clock["ended_at"]),
                clock["escalates_to"],
                clock["clause"],
            )
            for clock in clocks
        ],
    )


def _provisional(years: Iterable[int]) -> str:
    """Return the remark on a due instant that may move when a year is published."""
    named = ", ".join(map(str, years))
    return f" (provisional: {named} is not published)" if named else ""


def _limit(limit: Mapping[str, Any]) -> str:
    if "calendar_days" in limit:
        return count(limit["calendar_days"], "calendar day")
    for name, kind in (("elapsed_minutes", ""), ("working_minutes", " working time")):
        if name in limit:
            return span(timedelta(minutes=float(limit[name]))) + kind
    if "field" in limit:
        day = (
            f"day {limit['month_day']} of the month" if "month_day" in limit else f"day {limit['week_day']} of the week"
        )
        return f"{day} after {limit['field']}"
    if "until" in limit:
        return f"until {limit['until']}"
    return "next opening" if "next_opening" in limit else "as promised"


def compact(value: Any) -> str:
    """Format a JSON value on one line, like ``category: delay, shipment: {waybill: W1}``."""
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
    """Format an instant to the second, in its own offset."""
    if not text:
        return ""
    return datetime.fromisoformat(text).isoformat(" ", "seconds")


def due(text: str | None) -> str:
    """Format an instant and its distance from now."""
    if not text:
        return ""
    left = datetime.fromisoformat(text) - datetime.now(UTC)
    return f"{instant(text)} ({f'in {span(left)}' if left > timedelta() else f'{span(-left)} ago'})"


def count(number: int, thing: str) -> str:
    """Format a number of things, like ``1 day`` or ``7 days``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def span(length: timedelta) -> str:
    """Format a duration by its two largest units, rounded down, like ``4 d 3 h``, ``48 h`` or ``4 min 30 s``."""
    seconds = int(length.total_seconds())
    # Up to three days, limits are given in hours: 48 h, not 2 d.
    units = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)] if seconds > 3 * 86400 else [
        ("h", 3600), ("min", 60), ("s", 1),
    ]  # fmt: skip
    parts = []
    for unit, size in units:
        if seconds >= size:
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
    return " ".join(parts[:2]) or "0 s"
