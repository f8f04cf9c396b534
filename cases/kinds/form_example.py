"""What a form may look like when it is filed, as documentation shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from cases.policy.forms import FieldRule, FormTable

# Dates and instants follow each other day by day, so that what must lie before something else does.
_FIRST = date(2026, 3, 2)
_BEGINS = time(9, tzinfo=timezone(timedelta(hours=8)))
_VALUES: Mapping[str, Any] = {
    "text": "as agreed",
    "token": "A-1",
    "bool": False,
    "month": "2026-02",
    "week": "2026-W09",
    "staff": "agent-7",
    "role": "agent",
    "case": "complaint:call-2026-0042",
    "attachment": {"name": "paper.pdf", "sha256": "0" * 64, "where": "s3://papers/paper.pdf"},
}


def example_of(table: FormTable, role: str) -> dict[str, Any]:
    """Return the intake of a form with every field that is needed, as plain JSON.

    Args:
        role: of who files it.
    """
    fields = {name: _value(rule, place) for place, (name, rule) in enumerate(table.taken.items()) if rule.required}
    key = fields[table.key_field] if table.key_field is not None else "F-1"
    return {"key": str(key), "facts": {"filed_by": {"id": "staff-7", "role": role}, "fields": fields}}


def _value(rule: FieldRule, place: int) -> Any:
    day = _FIRST + timedelta(days=place)
    match rule.type:
        case "choice":
            return rule.of[0]
        case "rows":
            return [{name: _value(its, place) for place, (name, its) in enumerate(rule.columns.items())}]
        case "date":
            return day.isoformat()
        case "instant":
            return datetime.combine(day, _BEGINS).isoformat()
        case "integer":
            return int(_least(rule))
        case "yuan":
            return f"{_least(rule):.2f}"
        case "number":
            return f"{_least(rule):f}"
    return _VALUES[rule.type]


def _least(rule: FieldRule) -> Decimal:
    if rule.min is not None:
        return rule.min
    return Decimal(1) if rule.max is None else min(Decimal(1), rule.max)
