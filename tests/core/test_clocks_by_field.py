"""Clocks that go by what a field of the case holds: a day of a month, a day of a week, a moment."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.case import Case
from cases.mechanisms.clocks import bound_due
from cases.policy.tables import ClockRule
from cases.vocabulary.events import Event
from tests.core.support import at, complaint, default_policy

CALENDAR = default_policy().working


def due(value: str, **limit: Any) -> str:
    """When a clock is due, in Shanghai."""
    rule = ClockRule.model_validate({**limit, "clause": "x"})
    return f"{bound_due(rule, value, CALENDAR):%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize(
    ("value", "day", "expected"),
    [
        ("2026-01", 10, "2026-02-10"),
        ("2026-12", 10, "2027-01-10"),
        ("2026-01", 31, "2026-02-28"),
        ("2028-01", 31, "2028-02-29"),
        ("2028-01", 29, "2028-02-29"),
        ("2026-03", 31, "2026-04-30"),
        ("2026-11", 31, "2026-12-31"),
        # The month of a date, and of an instant by the local day.
        ("2026-01-31", 10, "2026-02-10"),
        ("2026-01-31T23:59:59+08:00", 10, "2026-02-10"),
        ("2026-01-31T16:00:00Z", 10, "2026-03-10"),
    ],
)
def test_a_day_of_the_month_after(value: str, day: int, expected: str) -> None:
    assert due(value, month_day=day, field="month") == f"{expected} 23:59:59"


@pytest.mark.parametrize(
    ("value", "day", "expected"),
    [
        # Monday 6 April 2026 is off, and moves nothing.
        ("2026-W14", 1, "2026-04-06"),
        ("2026-W14", 7, "2026-04-12"),
        ("2026-W53", 1, "2027-01-04"),
        ("2026-W01", 1, "2026-01-05"),
        ("2026-04-05", 1, "2026-04-06"),
        ("2026-04-06", 1, "2026-04-13"),
        ("2026-04-05T16:00:00Z", 1, "2026-04-13"),
    ],
)
def test_a_day_of_the_week_after(value: str, day: int, expected: str) -> None:
    assert due(value, week_day=day, field="week") == f"{expected} 23:59:59"


def test_until_a_date_or_an_instant() -> None:
    assert due("2026-03-31", until="day") == "2026-03-31 23:59:59"
    assert due("2026-03-31T10:00:00Z", until="day") == "2026-03-31 18:00:00"


def test_a_clock_that_goes_by_no_field_is_not_reckoned_so() -> None:
    with pytest.raises(ValueError, match="no field"):
        due("2026-03-31", calendar_days=3)
    with pytest.raises(ValueError, match="Invalid isoformat"):
        due("soon", until="day")


@given(st.dates(date(2000, 1, 1), date(2099, 11, 30)), st.integers(1, 31), st.integers(1, 7))
def test_any_day_lies_in_the_month_and_the_week_after(day: date, month_day: int, week_day: int) -> None:
    by_month = datetime.fromisoformat(due(f"{day:%Y-%m}", month_day=month_day, field="m"))
    following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    assert (by_month.year, by_month.month) == (following.year, following.month)
    assert by_month.day == min(month_day, monthrange(following.year, following.month)[1])
    by_week = datetime.fromisoformat(due(f"{day:%G-W%V}", week_day=week_day, field="w")).date()
    assert (by_week - day).days == week_day - day.isoweekday() + 7
    assert by_week.isoweekday() == week_day
    assert due(day.isoformat(), week_day=week_day, field="w")[:10] == by_week.isoformat()


def started(name: str, moment: str, fields: dict[str, Any]) -> tuple[Case, list[Event]]:
    """A case with the clocks of a statement, after it has started one of them."""
    case: Case = complaint(moment)
    case.rule = default_policy().form["statement"]
    case.fact = lambda name: fields.get(name)  # type: ignore[method-assign]
    seen = len(case.events)
    case.clocks.start(name, at(moment))
    return case, case.events[seen:]


def test_a_case_starts_a_clock_by_its_field() -> None:
    case, [event] = started("whole", "03-02 00:00:00", {"payment_until": "2026-03-31"})
    assert (event.type, event.data["due"]) == ("clock_started", "2026-03-31T23:59:59+08:00")
    [(percent, moment)] = case.clocks["whole"].warnings
    assert (percent, moment) == (75, at("03-24 11:59:59") + timedelta(milliseconds=250))
    explained = case.clocks["whole"].explain(at("03-03 00:00:00"))
    assert explained["limit"] == {"until": "payment_until"}
    case, [event] = started("step:send", "03-02 00:00:00", {"month": "2026-02"})
    assert event.data["due"] == "2026-03-05T23:59:59+08:00"
    assert case.clocks["step:send"].explain(at("03-03 00:00:00"))["limit"] == {"month_day": 5, "field": "month"}


def test_a_clock_that_starts_after_it_is_due_warns_of_nothing() -> None:
    for until in ("2026-03-01", "2026-03-02T00:00:00+08:00"):
        case, _ = started("whole", "03-02 00:00:00", {"payment_until": until})
        assert case.clocks["whole"].warnings == []
        [breach] = [one for one in case.elapse(at("03-02 00:00:00")) if one.type == "clock_breached"]
        # What was due before it started is late from its start.
        assert (breach.data["clock"], breach.at) == ("whole", at("03-02 00:00:00"))


def test_a_clock_without_its_field_does_not_start() -> None:
    assert started("whole", "03-02 00:00:00", {})[1] == []
