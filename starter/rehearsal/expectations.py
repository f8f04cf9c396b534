"""Comparison of a rehearsed case with what its scenario expects and forbids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from cases.vocabulary.events import Event
from starter.rehearsal.files import plain
from starter.rehearsal.scenario import Pattern, Scenario

NEAREST = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one expectation holds; ``details`` are the events that explain a failure."""

    holds: bool
    text: str
    details: tuple[Event, ...] = ()


def judge(scenario: Scenario, events: Sequence[Event]) -> list[Verdict]:
    """Judge each expectation of the scenario, in the order of the file."""
    verdicts = []
    for number, pattern in enumerate(scenario.expect, 1):
        held = any(matches(pattern, event) for event in events)
        nearest = () if held else _nearest(pattern, events)
        verdicts.append(Verdict(held, f"expect {number}: {describe(pattern)}", nearest))
    for number, pattern in enumerate(scenario.forbid, 1):
        matching = tuple(event for event in events if matches(pattern, event))
        verdicts.append(Verdict(not matching, f"forbid {number}: {describe(pattern)}", matching[:NEAREST]))
    return verdicts


def matches(pattern: Pattern, event: Event) -> bool:
    """Return whether the event has the type, the instant and at least the data of the pattern."""
    return (
        event.type == pattern.type
        and (pattern.at is None or event.at == pattern.at)
        and same(plain(pattern.data), event.data)
    )


def same(wanted: Any, actual: Any) -> bool:
    """Return whether a value is the expected one.

    An expected table may be a subset of the actual one. Instants and numbers are compared by value: 18 equals "18.00".
    """
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(
            name in actual and same(inner, actual[name]) for name, inner in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(actual, (list, tuple))
            and len(wanted) == len(actual)
            and all(same(*pair) for pair in zip(wanted, actual, strict=True))
        )
    if isinstance(wanted, bool) or isinstance(actual, bool):
        return wanted is actual
    if wanted == actual:
        return True
    for reading in (_number, _instant):
        value = reading(wanted)
        if value is not None and value == reading(actual):
            return True
    return False


def describe(pattern: Pattern) -> str:
    """Describe the pattern in one line."""
    words = [pattern.type]
    if pattern.at is not None:
        words.append(f"at {pattern.at.isoformat()}")
    if pattern.data:
        words.append(f"with {data_text(plain(pattern.data))}")
    return " ".join(words)


def data_text(data: Mapping[str, Any]) -> str:
    """Format an event's data on one line."""
    return ", ".join(f"{name} = {_value_text(value)}" for name, value in data.items())


def _value_text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value_text, value))}]"
    return f"({data_text(value)})" if isinstance(value, Mapping) else str(value)


def _nearest(pattern: Pattern, events: Sequence[Event]) -> tuple[Event, ...]:
    """Choose the events of the pattern's type that differ least in data, then in time; in their order."""
    same_type = [event for event in events if event.type == pattern.type]

    def distance(event: Event) -> tuple[int, float]:
        data = plain(pattern.data)
        differing = sum(not same({name: value}, event.data) for name, value in data.items())
        if pattern.at is None:
            return differing, 0.0
        return differing, abs((event.at - pattern.at).total_seconds())

    chosen = sorted(same_type, key=distance)[:NEAREST]
    return tuple(event for event in same_type if event in chosen)


def _number(value: Any) -> Decimal | None:
    try:
        return Decimal(str(value)) if isinstance(value, (int, float, str)) else None
    except InvalidOperation:
        return None


def _instant(value: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return instant if instant.tzinfo is not None else None
