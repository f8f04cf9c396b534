"""Fields that a form could be filed with at an instant, so that its route can be walked before anybody fills it in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from cases.policy.forms import FieldRule, FormTable
from cases.policy.model import Policy

# Dates are rather those by which something is over than those on which it begins.
_MEANWHILE = timedelta(days=30)
# Days that are looked at for one on which nothing forbids what a form is about.
_MOST_DAYS = 60
_VALUES: Mapping[str, Any] = {
    "text": "…",
    "token": "A-1",
    "staff": "staff-1",
    "case": "complaint:K-1",
    "attachment": {"name": "paper.pdf", "sha256": "0" * 64, "where": "paper.pdf"},
}


def sample_of(table: FormTable, policy: Policy, filed: datetime, role: str) -> dict[str, Any]:
    """Return every field of a form as plain JSON, those that steps fill too; its checks are met where that is possible.

    Conditions are met as far as one value can meet them, so that as many steps as possible are asked.

    Args:
        filed: the instant at which it is filed.
        role: who files it; a field that names who acts names another one.
    """
    local = policy.local(filed).date()
    day = _day(table, policy, local)
    wanted = _wanted(table)
    others = [one for one in policy.ladder.rungs if one != role]
    fields: dict[str, Any] = {}
    for name, rule in table.fields.items():
        if rule.sum is None:
            fields[name] = wanted.get(name) or _value(rule, policy, local, day, others)
            if rule.type == "bool":
                fields[name] = wanted.get(name) == "true"
    for check in table.checks:
        start, to = fields.get(check.start or ""), check.to or ""
        if check.rule == "ended" and check.field in fields:
            # The last one that is over.
            monthly = table.fields[check.field].type == "month"
            over = local.replace(day=1) - timedelta(days=1) if monthly else local - timedelta(days=7)
            fields[check.field] = f"{over:%Y-%m}" if monthly else f"{over:%G-W%V}"
        if check.rule == "order" and start is not None and to in fields:
            fields[to] = _after(start)
    return fields


def _day(table: FormTable, policy: Policy, filed: date) -> date:
    """Return a day that lies as far ahead as the checks ask, after which come no holidays for a while."""
    ahead = max((check.days or 0 for check in table.checks if check.rule == "ahead"), default=0)
    first = filed + timedelta(days=ahead + 1)
    if any(check.rule == "not_holiday" for check in table.checks):
        for later in range(_MOST_DAYS):
            day = first + timedelta(days=later)
            if not policy.working.holidays_between(day, day + timedelta(days=2)):
                return day
    return first


def _wanted(table: FormTable) -> dict[str, str]:
    """Return for each field that conditions ask about the value that most of them take."""
    votes: dict[str, Counter[str]] = {}
    for when in _conditions(table):
        for name, values in when.items():
            votes.setdefault(name, Counter()).update(values)
    return {name: count.most_common(1)[0][0] for name, count in votes.items()}


def _conditions(table: FormTable) -> Iterator[Mapping[str, tuple[str, ...]]]:
    for step in table.steps:
        yield step.when
        yield from (one.when for one in step.roles)


def _value(rule: FieldRule, policy: Policy, filed: date, day: date, others: list[str]) -> Any:
    match rule.type:
        case "choice":
            return rule.of[0]
        case "role":
            return (others or policy.all_roles)[0]
        case "rows":
            return [{name: _value(its, policy, filed, day, others) for name, its in rule.columns.items()}]
        case "date":
            return (day + _MEANWHILE).isoformat()
        case "instant":
            return policy.local(datetime.combine(day, time(9), UTC)).replace(hour=9).isoformat()
        case "month":
            return f"{filed:%Y-%m}"
        case "week":
            return f"{filed:%G-W%V}"
        case "integer":
            return int(_least(rule))
        case "yuan":
            return f"{_least(rule):.2f}"
        case "number":
            return f"{_least(rule):f}"
    return _VALUES.get(rule.type, False)


def _least(rule: FieldRule) -> Decimal:
    if rule.min is not None:
        return rule.min
    return Decimal(1) if rule.max is None else min(Decimal(1), rule.max)


def _after(value: Any) -> Any:
    """Return a value that comes after one: a day later, or one more."""
    if isinstance(value, str) and "T" in value:
        return (datetime.fromisoformat(value) + timedelta(hours=8)).isoformat()
    if isinstance(value, str) and "-" in value:
        try:
            return (date.fromisoformat(value) + timedelta(days=1)).isoformat()
        except ValueError:
            return value
    return value + 1 if isinstance(value, int) else str(Decimal(value) + 1)
