"""When a report must be out, over random instants of the published years (S3-3.1.2, S3-3.1.7)."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import chinese_calendar
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cases.kinds.exception_report import ExceptionReport
from cases.policy.model import Policy
from cases.vocabulary.commands import read_command
from cases.vocabulary.events import Event
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.core.support import default_policy, policy_with

ZONE = timezone(timedelta(hours=8))
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
FIRST, END = datetime(2024, 1, 1, tzinfo=ZONE), datetime(2027, 1, 1, tzinfo=ZONE)
LIVE = {"running", "paused"}
LEADERS = ["supervisor", "qa_manager", "general_manager"]
BREAK = policy_with(*[('["09:00-18:00"]', '["09:00-12:00", "13:30-18:00"]')] * 5)

# Often on the hour, where windows open and close, and a moment beside it.
EDGES = st.builds(
    lambda day, hour, off: FIRST + day * DAY + hour * timedelta(hours=1) + off,
    st.integers(0, (END - FIRST).days - 1),
    st.sampled_from([0, 9, 12, 18, 23]),
    st.sampled_from([timedelta(0), SECOND, timedelta(microseconds=1), 59 * MINUTE]),
)
TICK = timedelta(milliseconds=1)
ANYTIME = st.integers(0, (END - FIRST) // TICK - 1).map(lambda n: FIRST + n * TICK)
INSTANTS = st.one_of(ANYTIME, EDGES)
DELAYS = st.one_of(
    st.sampled_from([timedelta(0), 5 * MINUTE, 5 * MINUTE + SECOND]), st.integers(0, 600).map(lambda n: n * MINUTE)
)
checked = settings(max_examples=400, deadline=None)


def works(day: date) -> bool:
    """Whether a day is worked, by the other library; beyond its years a weekday is."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return day.weekday() < 5


def in_hours(at: datetime) -> bool:
    """Whether 09:00-18:00 of a working day holds an instant."""
    return works(at.date()) and time(9) <= at.time() < time(18)


def filed(
    known: datetime, after: timedelta = timedelta(0), policy: Policy | None = None, **facts: Any
) -> ExceptionReport:
    """A report of what was known at an instant, filed some time after."""
    received = known + after
    raw = {
        "key": "E",
        "received_at": received.isoformat(),
        "facts": {"source": "customer_complaint", "known_at": known.isoformat(), **facts},
    }
    return ExceptionReport.open(read_intake(ExceptionReport.INTAKE, raw), policy or default_policy(), received)


def due_of(case: ExceptionReport, clock: str) -> datetime:
    """When a clock was due at its first start."""
    starts = (event for event in case.events if event.type == "clock_started")
    return next(datetime.fromisoformat(e.data["due"]) for e in starts if e.data["clock"] == clock)


@checked
@given(INSTANTS)
@example(datetime(2026, 1, 3, 2, tzinfo=ZONE))
@example(datetime(2026, 2, 14, 2, tzinfo=ZONE))
@example(datetime(2026, 2, 14, 18, 30, tzinfo=ZONE))
@example(datetime(2026, 9, 19, 2, tzinfo=ZONE))
@example(datetime(2026, 12, 31, 18, tzinfo=ZONE))
@example(datetime(2024, 2, 29, 8, 59, 59, 999999, tzinfo=ZONE))
def test_the_mail_is_due_in_five_minutes_or_at_nine_of_the_next_working_day(known: datetime) -> None:
    case = filed(known)
    if in_hours(known):
        assert due_of(case, "report") == known + 5 * MINUTE
        assert not {"report_mail", "phone_notice"} & case.clocks.keys()
        return
    assert "report" not in case.clocks
    assert due_of(case, "phone_notice") == known + 5 * MINUTE
    due = due_of(case, "report_mail")
    # Never before the occurrence, at 09:00 of a working day, and of the first one there is.
    assert due > known
    assert due.time() == time(9)
    assert works(due.date())
    assert due.utcoffset() == timedelta(hours=8)
    between = [known.date() + n * DAY for n in range((due.date() - known.date()).days)]
    assert not [day for day in between if works(day) and (day > known.date() or known.time() < time(9))]
    # A year that nobody has published is said to be one.
    [shown] = [clock for clock in case.view()["clocks"] if clock["clock"] == "report_mail"]
    assert shown["provisional"] == ([2027] if due.year == 2027 else [])


@checked
@given(INSTANTS)
def test_with_a_break_at_noon_the_next_window_counts(known: datetime) -> None:
    case = filed(known, policy=BREAK)
    noon = works(known.date()) and time(12) <= known.time() < time(13, 30)
    if in_hours(known) and not noon:
        assert due_of(case, "report") == known + 5 * MINUTE
    else:
        due = due_of(case, "report_mail")
        assert due > known
        assert (due.date(), due.time()) == (known.date(), time(13, 30)) if noon else due.time() == time(9)


@checked
@given(INSTANTS, DELAYS)
def test_a_report_is_late_exactly_when_it_is_filed_past_the_limit(known: datetime, after: timedelta) -> None:
    case = filed(known, after)
    late = [event for event in case.events if event.type == "report_late"]
    flagged = [event for event in case.events if event.type == "liability_flagged"]
    over = after - 5 * MINUTE
    if over <= timedelta(0):
        assert late == flagged == []
    else:
        assert [event.data["minutes"] for event in late] == [-(-over // MINUTE)]
        assert len(flagged) == 1
    assert [event.at for event in case.events] == sorted(event.at for event in case.events)


# What people may do with it, in any order.
ACTS = st.sampled_from(
    [
        ("confirm_phone_notice", "agent", {"roles": ["supervisor"]}),
        ("confirm_phone_notice", "agent", {"roles": LEADERS}),
        ("acknowledge", "supervisor", {}),
        ("inform_customer", "agent", {}),
        ("settle", "agent", {"amount": "150.00"}),
        ("settle", "agent", {"amount": "3000.00"}),
        ("approve", "general_manager", {}),
        ("reject", "general_manager", {"reason": "r"}),
        ("find", "qa_manager", {"cause": "c", "report": "genuine"}),
        ("find", "qa_manager", {"cause": "c", "report": "concealed"}),
        ("correct", "agent", {"action": "a"}),
        ("correct", "agent", {"action": "a", "carried_out": False}),
        ("load_calendar", "system", {"year": 2027, "published": {"source": "x", "holidays": ["2027-01-01"]}}),
        ("resolve", "supervisor", {}),
        ("reopen", "supervisor", {"reason": "r"}),
        ("close", "supervisor", {}),
    ]
)
WAITS = st.one_of(
    st.sampled_from([timedelta(0), 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, DAY]),
    st.integers(0, 3 * 86400).map(lambda seconds: seconds * SECOND),
)
SOURCES = st.sampled_from(["customer_complaint", "self_found", "procedure_breach"])


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(INSTANTS, EDGES.map(lambda at: at.replace(year=2026, month=12, day=31))),
    SOURCES,
    st.integers(0, 20),
    st.lists(st.tuples(WAITS, ACTS), max_size=14),
    st.sampled_from(["ok", "fail"]),
)
def test_no_clock_is_lost_and_the_events_give_the_case_again(
    known: datetime, source: str, late: int, story: list[tuple[timedelta, tuple[str, str, Any]]], fate: str
) -> None:
    case = filed(known, late * MINUTE, source=source)
    now = known + late * MINUTE

    def settle(at: datetime) -> None:
        case.rehearse_effects(at, fate)

    settle(case.events[-1].at)
    for wait, (name, role, fields) in story:
        now += wait
        # Time runs on first, so that whatever a refused command leaves is its own doing.
        case.elapse(now, inclusive=False, after_each=settle)
        before = list(case.events)
        try:
            raw = {"by": {"id": f"{role}-1", "role": role}, **fields}
            case.decide(read_command(case.COMMANDS, name, raw), now, settle)
        except Refused:
            assert case.events == before
        settle(now)
        due = case.due()
        assert due is None or due >= now
        recorded = [Event.from_json(json.loads(json.dumps(event.as_json()))) for event in case.events]
        again = ExceptionReport.replay(case.policy, recorded)
        assert (again.view(), again.due(), again.explain(now)) == (case.view(), due, case.explain(now))
    case.elapse(now + 30 * DAY, after_each=settle)
    # Each clock that was started has ended, goes on, or was cancelled with its case or its rung.
    started: dict[str, int] = {}
    for event in case.events:
        if event.type == "clock_started":
            started[event.data["clock"]] = started.get(event.data["clock"], 0) + 1
    held = [clock.name for clock in (*case.clocks.past, *case.clocks.values())]
    assert {name: held.count(name) for name in started} == started
    assert set(held) == started.keys()
    for clock in case.clocks.values():
        if clock.live:
            assert case.status != "closed"
            assert clock.due > now + 30 * DAY
    assert [event.seq for event in case.events] == list(range(1, len(case.events) + 1))
    assert [event.at for event in case.events] == sorted(event.at for event in case.events)
    # The report went out once at most, and to everybody it is for.
    due_events = [event for event in case.events if event.type == "report_due"]
    assert len(due_events) == 1 or case.status == "closed"
