"""The working calendar: published years, openings, working time, local days, bad input."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import chinese_calendar
import holidays
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import cases
from cases.vocabulary.refusals import Refused
from cases.working_calendar import CalendarYears, Reckoned, WorkingCalendar, anniversary

POLICIES = Path(cases.__file__).parent / "policy"
PUBLISHED = tomllib.loads((POLICIES / "calendar_cn.toml").read_text(encoding="utf-8"))
SHANGHAI = ZoneInfo("Asia/Shanghai")
CST = timezone(timedelta(hours=8))
Windows = list[list[tuple[time, time]]]


def weekdays(*windows: str) -> Windows:
    """Monday to Friday with these windows, the weekend free."""
    day = [(time.fromisoformat(w[:5]), time.fromisoformat(w[6:])) for w in windows]
    return [day] * 5 + [[]] * 2


def calendar(windows: Windows, years: dict[str, Any] = PUBLISHED, zone: ZoneInfo = SHANGHAI) -> WorkingCalendar:
    return WorkingCalendar(zone, windows, CalendarYears.model_validate(years))


OFFICE = calendar(weekdays("09:00-18:00"))
LUNCH = calendar(weekdays("08:30-12:00", "13:30-17:30"))
# Never closed but at weekends and holidays; a window up to midnight.
ROUND = calendar(weekdays("00:00-12:00", "12:00-00:00"))
# A zone where clocks change inside the windows of a Sunday.
BERLIN = calendar([[(time(1), time(4)), (time(9), time(17))]] * 7, {}, ZoneInfo("Europe/Berlin"))
CALENDARS = st.sampled_from([OFFICE, LUNCH, ROUND, BERLIN])


def between(first: int, last: int) -> st.SearchStrategy[datetime]:
    """Instants of these years."""
    start = datetime(first, 1, 1, tzinfo=UTC)
    span = (datetime(last + 1, 1, 1, tzinfo=UTC) - start) // timedelta(microseconds=1)
    return st.integers(0, span - 1).map(lambda n: start + timedelta(microseconds=n))


INSTANTS = st.one_of(
    between(2024, 2027), between(2024, 2027).map(lambda t: t.replace(minute=0, second=0, microsecond=0))
)
SPANS = st.timedeltas(timedelta(0), timedelta(days=20))


def at(text: str) -> datetime:
    """An instant of Shanghai."""
    return datetime.fromisoformat(text).replace(tzinfo=CST)


def days_of(year: int) -> Iterator[date]:
    day = date(year, 1, 1)
    while day.year == year:
        yield day
        day += timedelta(days=1)


# Published years


@pytest.mark.parametrize("year", [2024, 2025, 2026])
def test_every_day_agrees_with_two_other_sources(year: int) -> None:
    other = holidays.country_holidays("CN", years=year)
    for day in days_of(year):
        works = bool(OFFICE.windows_of(day))
        assert works == chinese_calendar.is_workday(day), day
        assert works == other.is_working_day(day), day


def test_2026_is_as_the_rulebook_has_it() -> None:
    # O-HOL, written out here by hand.
    off = [((1, 1), (1, 3)), ((2, 15), (2, 23)), ((4, 4), (4, 6)), ((5, 1), (5, 5)), ((6, 19), (6, 21))]
    off += [((9, 25), (9, 27)), ((10, 1), (10, 7))]
    work = [(1, 4), (2, 14), (2, 28), (5, 9), (9, 20), (10, 10)]
    year = CalendarYears.model_validate(PUBLISHED).root[2026]
    expected = [d for d in days_of(2026) if any(a <= (d.month, d.day) <= b for a, b in off)]
    assert list(year.holidays) == expected
    assert list(year.make_up_days) == [date(2026, month, day) for month, day in work]
    assert "2025-11-04" in year.source


def test_days_may_come_in_any_order_and_twice() -> None:
    years = CalendarYears.model_validate(
        {"2026": {"holidays": ["2026-05-01", "2026-01-01", "2026-05-01"], "source": "test"}}
    )
    assert years.root[2026].holidays == (date(2026, 1, 1), date(2026, 5, 1))


@pytest.mark.parametrize(
    ("years", "said"),
    [
        (
            {"2026": {"holidays": ["2026-02-14"], "make_up_days": ["2026-02-14"], "source": "test"}},
            "2026-02-14 is both a holiday and a make-up day",
        ),
        ({"2026": {"holidays": ["2027-01-01"], "source": "test"}}, "2027-01-01 stands under 2026"),
        ({"2026": {"make_up_days": ["2025-12-28"], "source": "test"}}, "2025-12-28 stands under 2026"),
        ({"2026": {"holidays": ["2026-02-30"], "source": "test"}}, "day value is outside expected range"),
        ({"2026": {"holiday": ["2026-02-14"], "source": "test"}}, "Extra inputs are not permitted"),
        ({"2026": {"holidays": ["2026-01-01"]}}, "Field required"),
        ({"next": {"source": "test"}}, "should be a valid integer"),
        ({"0": {"source": "test"}}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_year_is_refused(years: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CalendarYears.model_validate(years)


# Openings


@pytest.mark.parametrize(
    ("occurred", "opening"),
    [
        ("2026-01-03 02:00:00", "2026-01-04 09:00:00"),  # case 19: a Sunday that works
        ("2026-09-19 02:00:00", "2026-09-20 09:00:00"),  # case 19, the twin
        ("2026-02-14 02:00:00", "2026-02-14 09:00:00"),  # case 20: on the make-up Saturday itself
        ("2026-02-14 18:30:00", "2026-02-24 09:00:00"),  # case 21: over the Spring Festival
        ("2026-03-04 18:00:00", "2026-03-05 09:00:00"),  # the end of a window is off hours
        ("2026-03-04 08:59:59", "2026-03-04 09:00:00"),
        ("2026-03-06 19:00:00", "2026-03-09 09:00:00"),  # a plain weekend
    ],
)
def test_off_hours_wait_for_the_next_opening(occurred: str, opening: str) -> None:
    reckoned = OFFICE.next_opening(at(occurred))
    assert reckoned.at.isoformat(" ") == opening + "+08:00"
    assert reckoned.provisional == ()
    assert not OFFICE.is_open(at(occurred))
    assert OFFICE.is_open(reckoned.at)


@pytest.mark.parametrize("inside", ["2026-03-04 09:00:00", "2026-03-04 17:59:59", "2026-02-14 12:00:00"])
def test_inside_a_window_the_opening_is_now(inside: str) -> None:
    assert OFFICE.is_open(at(inside))
    assert OFFICE.next_opening(at(inside)) == Reckoned(at(inside))


def test_the_days_off_passed_over_are_named_but_not_weekends() -> None:
    # 15, 21 and 22 February 2026 are a weekend anyway.
    expected = [date(2026, 2, day) for day in (16, 17, 18, 19, 20, 23)]
    assert list(OFFICE.next_opening(at("2026-02-14 18:30")).days_off) == expected
    assert OFFICE.next_opening(at("2026-03-06 19:00")).days_off == ()


def test_a_lunch_break_opens_again_on_the_same_day() -> None:
    assert not LUNCH.is_open(at("2026-03-04 12:00"))
    assert LUNCH.next_opening(at("2026-03-04 12:00")).at == at("2026-03-04 13:30")
    assert LUNCH.next_opening(at("2026-03-04 17:30")).at == at("2026-03-05 08:30")


def test_a_make_up_day_works_like_the_first_weekday_with_windows() -> None:
    nine, ten, noon, six = time(9), time(10), time(12), time(18)
    mixed = calendar([[], [(nine, six)], [(ten, noon)], [(ten, noon)], [(ten, noon)], [(ten, noon)], []])
    # 14 February 2026 is a Saturday.
    assert mixed.windows_of(date(2026, 2, 14)) == [(at("2026-02-14 09:00"), at("2026-02-14 18:00"))]
    assert mixed.windows_of(date(2026, 3, 7)) == [(at("2026-03-07 10:00"), at("2026-03-07 12:00"))]
    assert mixed.windows_of(date(2026, 3, 9)) == []
    assert OFFICE.windows_of(date(2026, 2, 16)) == []


def test_a_window_may_end_with_the_day() -> None:
    assert ROUND.windows_of(date(2026, 3, 4))[-1] == (at("2026-03-04 12:00"), at("2026-03-05 00:00"))
    assert ROUND.is_open(at("2026-03-04 23:59:59"))
    assert ROUND.add_working_time(at("2026-03-04 23:00"), timedelta(hours=2)).at == at("2026-03-05 01:00")


# Working time


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-03-04 09:00", 9, "2026-03-04 18:00"),  # a filled window ends when it closes
        ("2026-03-04 17:00", 2, "2026-03-05 10:00"),
        ("2026-03-04 20:00", 1, "2026-03-05 10:00"),
        ("2026-03-06 17:00", 10, "2026-03-09 18:00"),
        ("2026-02-13 17:00", 12, "2026-02-24 11:00"),  # make-up Saturday, then the Spring Festival
        ("2026-03-07 12:00", 0, "2026-03-07 12:00"),  # no span, no move
    ],
)
def test_working_time_counts_only_inside_windows(start: str, hours: int, end: str) -> None:
    span = timedelta(hours=hours)
    assert OFFICE.add_working_time(at(start), span).at == at(end)
    assert OFFICE.working_time_between(at(start), at(end)) == span


def test_working_time_back_in_time_is_none() -> None:
    assert OFFICE.working_time_between(at("2026-03-04 15:00"), at("2026-03-04 10:00")) == timedelta(0)
    assert OFFICE.working_time_between(at("2026-03-05 15:00"), at("2026-03-04 10:00")) == timedelta(0)


def test_an_unpublished_year_is_reckoned_by_weekdays_and_said_so() -> None:
    evening = at("2026-12-31 18:30")
    guessed = OFFICE.next_opening(evening)
    assert guessed == Reckoned(at("2027-01-01 09:00"), (), (2027,))
    assert OFFICE.add_working_time(evening, timedelta(hours=1)).provisional == (2027,)
    # Made-up year: the same question again, once it is known.
    new = {"2027": {"holidays": ["2027-01-01"], "make_up_days": ["2027-01-02"], "source": "made up"}}
    known = calendar(weekdays("09:00-18:00"), PUBLISHED | new)
    assert known.next_opening(evening) == Reckoned(at("2027-01-02 09:00"), (date(2027, 1, 1),), ())
    assert OFFICE.next_opening(at("2026-12-30 18:30")).provisional == ()
    assert calendar(weekdays("09:00-18:00"), {}).next_opening(evening).provisional == (2026, 2027)


@given(CALENDARS, INSTANTS)
def test_the_next_opening_is_open_and_nothing_before_it_is(working: WorkingCalendar, instant: datetime) -> None:
    opening = working.next_opening(instant).at
    assert opening >= instant
    assert working.is_open(opening)
    assert working.working_time_between(instant, opening) == timedelta(0)
    starts = [start for start, _ in working.windows_of(opening.date())]
    assert opening == instant if working.is_open(instant) else opening in starts


@given(CALENDARS, INSTANTS, SPANS)
def test_adding_and_measuring_working_time_are_inverse(
    working: WorkingCalendar, instant: datetime, span: timedelta
) -> None:
    end = working.add_working_time(instant, span).at
    assert end >= instant + span
    assert working.working_time_between(instant, end) == span
    assert end == working.local(end)
    assert end.utcoffset() == working.local(end).utcoffset()
    # And it is the first such instant.
    if span:
        assert working.working_time_between(instant, end - timedelta(microseconds=1)) < span


@given(CALENDARS, st.tuples(INSTANTS, INSTANTS, INSTANTS).map(sorted))
def test_working_time_adds_up(working: WorkingCalendar, instants: list[datetime]) -> None:
    a, b, c = instants
    worked = working.working_time_between
    assert worked(a, b) + worked(b, c) == worked(a, c)


@given(CALENDARS, st.dates(date(2024, 1, 1), date(2027, 12, 31)))
def test_windows_are_in_order_and_apart(working: WorkingCalendar, day: date) -> None:
    windows = working.windows_of(day)
    edges = [edge for window in windows for edge in window]
    assert edges == sorted(edges)
    assert all(start < end for start, end in windows)


def test_clock_changes_inside_a_window_count_as_the_time_that_passed() -> None:
    # Berlin 2026: forward on 29 March (02:00 -> 03:00), back on 25 October (03:00 -> 02:00).
    def worked(day: date) -> timedelta:
        return sum((end - start for start, end in BERLIN.windows_of(day)), timedelta(0))

    assert worked(date(2026, 3, 28)) == timedelta(hours=11)
    assert worked(date(2026, 3, 29)) == timedelta(hours=10)
    assert worked(date(2026, 10, 25)) == timedelta(hours=12)
    end = BERLIN.add_working_time(datetime(2026, 3, 29, 0, tzinfo=UTC), timedelta(minutes=90)).at
    assert end.isoformat() == "2026-03-29T03:30:00+02:00"


def test_windows_at_a_lost_hour_neither_overlap_nor_run_backwards() -> None:
    zone = ZoneInfo("Europe/Berlin")
    inside = calendar([[(time(2, 15), time(2, 45)), (time(3), time(4))]] * 7, {}, zone)
    (_, first_end), (second_start, _) = inside.windows_of(date(2026, 3, 29))
    assert first_end <= second_start
    into = calendar([[(time(2, 15), time(3)), (time(9), time(10))]] * 7, {}, zone)
    ((start, _),) = into.windows_of(date(2026, 3, 29))
    assert start.isoformat() == "2026-03-29T09:00:00+02:00"


# Local time


@given(
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    between(1901, 2100),
    st.sampled_from([UTC, CST, timezone(-timedelta(hours=5))]),
)
def test_local_keeps_the_instant_and_fixes_the_offset(name: str, instant: datetime, given_in: timezone) -> None:
    zone = ZoneInfo(name)
    instant = instant.astimezone(given_in)
    working = calendar(weekdays("09:00-18:00"), {}, zone)
    local = working.local(instant)
    assert local == instant
    assert type(local.tzinfo) is timezone
    assert local.replace(tzinfo=None) == instant.astimezone(zone).replace(tzinfo=None)
    assert working.local(local) == instant
    assert working.local(local).isoformat() == local.isoformat()
    # A result moved across a clock change is in the zone again after `local`.
    later = local + timedelta(days=180)
    assert working.local(later).utcoffset() == later.astimezone(zone).utcoffset()


@given(st.integers(0, 6 * 3600))
def test_both_passes_through_a_repeated_hour_stay_apart(seconds: int) -> None:
    instant = datetime(2026, 10, 24, 22, tzinfo=UTC) + timedelta(seconds=seconds)
    for seen in (instant, BERLIN.local(instant), instant.astimezone(ZoneInfo("Europe/Berlin"))):
        local = BERLIN.local(seen)
        assert local == instant
        assert local.utcoffset() == timedelta(hours=2 if seconds < 3 * 3600 else 1)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Europe/Berlin", "2026-03-29T01:00Z"),
        ("Europe/Berlin", "2026-10-25T01:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30Z"),
        # At midnight: the day before has its last hour twice, or the day after lacks its first.
        ("America/Asuncion", "2024-03-24T03:00Z"),
        ("America/Asuncion", "2024-10-06T04:00Z"),
        ("Asia/Shanghai", "1991-04-13T18:00Z"),
        ("Asia/Shanghai", "1991-09-14T17:00Z"),
    ],
)
def test_an_instant_moved_across_a_clock_change_is_local_again(name: str, change: str) -> None:
    zone, middle = ZoneInfo(name), datetime.fromisoformat(change)
    working = calendar(weekdays("09:00-18:00"), {}, zone)
    before, after = working.local(middle - timedelta(hours=4)), working.local(middle + timedelta(hours=4))
    assert before.utcoffset() != after.utcoffset()
    for minutes in range(0, 8 * 60 + 1, 5):
        for moved in (before + timedelta(minutes=minutes), after - timedelta(minutes=minutes)):
            expected = moved.astimezone(UTC).astimezone(zone)
            for folded in (moved, moved.replace(fold=1)):
                assert working.local(folded) == moved
                assert working.local(folded).isoformat() == expected.isoformat()


def test_an_instant_that_is_local_already_comes_back_as_it_is() -> None:
    # `local` is called for every event: the second time it must not compute anything.
    later = OFFICE.local(at("2026-03-03 14:00")) + timedelta(days=3)
    assert OFFICE.local(OFFICE.local(later)) == later
    assert OFFICE.local(later) is later


def test_local_shows_the_offset() -> None:
    assert OFFICE.local(datetime(2026, 3, 3, 6, tzinfo=UTC)).isoformat() == "2026-03-03T14:00:00+08:00"


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        ("2026-01-31 15:00:00", 30, "2026-03-02 23:59:59"),  # case 37: proposal
        ("2026-02-12 11:00:00", 7, "2026-02-19 23:59:59"),  # case 37: payout, not moved by the festival
        ("2026-03-03 14:00:00", 7, "2026-03-10 23:59:59"),  # case 3: the legal limit
        ("2026-05-08 10:00:00", 60, "2026-07-07 23:59:59"),  # case 38
        ("2026-03-03 00:00:00", 0, "2026-03-03 23:59:59"),
    ],
)
def test_calendar_days_end_with_the_day(start: str, days: int, end: str) -> None:
    assert OFFICE.end_of_day(at(start), days).isoformat(" ") == end + "+08:00"


def test_the_day_is_the_local_day() -> None:
    # 17:00 UTC is already the next day in Shanghai.
    assert OFFICE.end_of_day(datetime(2026, 3, 2, 17, tzinfo=UTC), 1) == at("2026-03-04 23:59:59")


def test_the_end_of_a_day_has_the_offset_of_that_day() -> None:
    before = datetime(2026, 3, 27, 12, tzinfo=UTC)
    assert BERLIN.end_of_day(before, 1).isoformat() == "2026-03-28T23:59:59+01:00"
    assert BERLIN.end_of_day(before, 2).isoformat() == "2026-03-29T23:59:59+02:00"
    # Asuncion went back from midnight to 23:00: the day had two seconds 23:59:59.
    asuncion = calendar(weekdays("09:00-18:00"), {}, ZoneInfo("America/Asuncion"))
    end = asuncion.end_of_day(datetime(2024, 3, 22, 12, tzinfo=UTC), 1)
    assert end.isoformat() == "2024-03-23T23:59:59-04:00"


@pytest.mark.parametrize(
    ("posted", "last"),
    [
        ("2025-03-10", "2026-03-10"),  # case 2 a
        ("2024-02-29", "2025-02-28"),  # case 2 b
        ("2023-03-01", "2024-03-01"),  # case 2 c
        ("2023-02-28", "2024-02-28"),
    ],
)
def test_a_year_ends_on_the_same_date(posted: str, last: str) -> None:
    assert anniversary(date.fromisoformat(posted), 1) == date.fromisoformat(last)


def test_four_years_after_a_leap_day_is_a_leap_day() -> None:
    assert anniversary(date(2024, 2, 29), 4) == date(2028, 2, 29)


# Bad input


class _NoOffset(tzinfo):
    """A time zone that does not know its offset: Python calls such a datetime naive."""

    def utcoffset(self, dt: datetime | None, /) -> None:
        return None

    def dst(self, dt: datetime | None, /) -> None:
        return None

    def tzname(self, dt: datetime | None, /) -> None:
        return None


@pytest.mark.parametrize(
    "naive", [datetime.fromisoformat("2026-03-04T10:00"), datetime(2026, 3, 4, 10, tzinfo=_NoOffset())]
)
def test_a_naive_instant_is_refused_everywhere(naive: datetime) -> None:
    aware = at("2026-03-04 10:00")
    hour = timedelta(hours=1)
    calls: list[Callable[[], object]] = [
        lambda: OFFICE.local(naive),
        lambda: OFFICE.end_of_day(naive, 1),
        lambda: OFFICE.is_open(naive),
        lambda: OFFICE.next_opening(naive),
        lambda: OFFICE.add_working_time(naive, hour),
        lambda: OFFICE.working_time_between(naive, aware),
        lambda: OFFICE.working_time_between(aware, naive),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="2026-03-04T10:00:00 has no UTC offset"):
            call()


def test_a_calendar_without_windows_refuses_to_reckon() -> None:
    never = calendar([[]] * 7)
    assert never.windows_of(date(2026, 2, 14)) == []
    assert never.working_time_between(at("2026-01-01"), at("2026-12-31")) == timedelta(0)
    with pytest.raises(ValueError, match=r"no working windows \(calendar.windows\)"):
        never.add_working_time(at("2026-03-04"), timedelta(hours=1))
    with pytest.raises(ValueError, match=r"no working windows \(calendar.windows\)"):
        never.next_opening(at("2026-03-04"))


def test_a_search_for_working_time_ends() -> None:
    with pytest.raises(ValueError, match="not enough working time within 36525 days"):
        OFFICE.add_working_time(at("2026-03-04"), timedelta(days=365_000))
    with pytest.raises(ValueError, match="not enough working time"):
        OFFICE.next_opening(at("9999-12-31 10:00"))


def test_negative_working_time_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        OFFICE.add_working_time(at("2026-03-04"), timedelta(hours=-1))


def test_instants_beyond_the_last_year_are_refused() -> None:
    with pytest.raises(ValueError, match="beyond the year 9999"):
        OFFICE.end_of_day(at("2026-03-04"), 10**9)
    with pytest.raises(ValueError, match="outside the years 1 to 9999"):
        OFFICE.local(datetime(9999, 12, 31, 20, tzinfo=UTC))


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        (["18:00-09:00"], r"calendar\.windows\.monday: 18:00-09:00 must end after it starts"),
        (["09:00-09:00"], r"calendar\.windows\.monday: 09:00-09:00 must end after it starts"),
        (["09:00-12:00", "11:00-18:00"], r"calendar\.windows\.monday: 11:00-18:00 must not start before"),
        (["13:00-18:00", "09:00-12:00"], r"calendar\.windows\.monday: 09:00-12:00 must not start before"),
        (["09:00-00:00", "10:00-12:00"], r"calendar\.windows\.monday: 10:00-12:00 must not start before"),
    ],
)
def test_wrong_windows_are_refused(windows: list[str], said: str) -> None:
    with pytest.raises(Refused, match=said) as refused:
        calendar(weekdays(*windows))
    assert refused.value.code == "bad_policy"


def test_a_week_has_seven_days() -> None:
    with pytest.raises(ValueError, match="6 lists, it needs 7"):
        calendar([[]] * 6)
