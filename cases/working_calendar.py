"""Local time and working time: the policy's zone, its working windows and the published years.

A year that nobody has published is reckoned by plain weekdays and reported as provisional, so that
the result can be marked and reckoned again once the year is known (O-HOL).
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ConfigDict, Field, RootModel, model_validator

from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Model, Stated

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MIDNIGHT = time(0)
DAY = timedelta(days=1)
# How far a search for working time goes: far beyond any deadline, yet a search always ends.
LONGEST_SEARCH = timedelta(days=36_525)


def _sorted_once(days: tuple[date, ...]) -> tuple[date, ...]:
    return tuple(sorted(set(days)))


Days = Annotated[tuple[date, ...], AfterValidator(_sorted_once)]


class PublishedYear(Model):
    """One year as published: days off that are no plain weekend, and weekend days that work.

    Days may come in any order and more than once. ``source`` says who published them.
    """

    holidays: Days = ()
    make_up_days: Days = ()
    source: Stated

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        for day in self.make_up_days:
            if day in self.holidays:
                raise ValueError(f"{day} is both a holiday and a make-up day; a day is at most one of them")
        return self


class CalendarYears(RootModel[dict[Annotated[int, Field(ge=1, le=9999)], PublishedYear]]):
    """The published years by number; each day lies in the year under which it stands."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _own_year(self) -> Self:
        for year, published in self.root.items():
            for day in (*published.holidays, *published.make_up_days):
                if day.year != year:
                    raise ValueError(f"{day} stands under {year}; only days of {year} may")
        return self


@dataclass(frozen=True, slots=True)
class Reckoned:
    """An instant reckoned in working time, and what it rests on.

    Of the local days from the start to ``at``: ``days_off`` are the holidays whose weekday works
    otherwise, ``provisional`` the years that nobody has published.
    """

    at: datetime
    days_off: tuple[date, ...] = ()
    provisional: tuple[int, ...] = ()


def anniversary(day: date, years: int) -> date:
    """Return the same date ``years`` later; 29 February becomes 28 February (S0-2.2.2, S0-A.4)."""
    year = day.year + years
    if (day.month, day.day) == (2, 29) and not isleap(year):
        return date(year, 2, 28)
    return day.replace(year=year)


class WorkingCalendar:
    """Working windows in a time zone, with holidays and make-up days.

    Every instant that goes in must be aware (``ValueError`` otherwise); every instant that comes
    out is in the zone with a fixed offset, so that adding a duration is exact elapsed time.

    A make-up day works with the windows of the first weekday, from Monday, that has any. A window
    holds its start and not its end: at 18:00:00 a window until 18:00 is closed. A window that ends
    at 00:00 ends with the day.

    Args:
        zone: the time zone of the windows and of all results.
        windows: seven lists, Monday first, of (start, end) wall-clock times.
        years: the published years.

    Raises:
        Refused: code ``bad_policy``: windows out of order, overlapping, or ending before they start.
    """

    def __init__(self, zone: ZoneInfo, windows: Sequence[Sequence[tuple[time, time]]], years: CalendarYears) -> None:
        if len(windows) != 7:
            raise ValueError(f"windows has {len(windows)} lists, it needs 7, Monday first")
        for weekday, day in zip(WEEKDAYS, windows, strict=True):
            _check(weekday, day)
        self.zone = zone
        self.years = years
        self._windows = tuple(tuple(day) for day in windows)
        self._make_up: tuple[tuple[time, time], ...] = next(filter(None, self._windows), ())
        self._holidays = {day for year in years.root.values() for day in year.holidays}
        self._make_up_days = {day for year in years.root.values() for day in year.make_up_days}
        self._fixed: dict[timedelta, timezone] = {}
        # The offset that holds for every wall-clock time of a day, by the day's ordinal.
        self._all_day: dict[int, tzinfo | None] = {}

    def local(self, instant: datetime) -> datetime:
        """Return the same instant in the zone, with a fixed offset.

        Raises:
            ValueError: the instant is naive, or so far out that the zone cannot show it.
        """
        if instant.utcoffset() is None:
            raise ValueError(f"{instant.isoformat()} has no UTC offset; give one, for example +08:00")
        # Called for every event, mostly with instants that have been here before: nothing is to be
        # done where the offset is known to hold all day.
        if self._all_day.get(instant.toordinal()) == instant.tzinfo:
            return instant
        try:
            there = instant.astimezone(self.zone)
            offset = there.utcoffset() or timedelta(0)
            # One object for each offset: instants that share it compare without asking it.
            fixed = self._fixed.setdefault(offset, timezone(offset))
            if there.toordinal() not in self._all_day:
                self._learn(there.replace(tzinfo=fixed))
        except OverflowError:
            raise ValueError(f"{instant.isoformat()} is outside the years 1 to 9999 in {self.zone}") from None
        return there.replace(tzinfo=fixed)

    def end_of_day(self, at: datetime, days: int) -> datetime:
        """23:59:59 of the day ``days`` after the local day of ``at``; holidays do not move it (T1).

        Raises:
            ValueError: the day is beyond the year 9999.
        """
        try:
            day = self.local(at).date() + timedelta(days)
        except OverflowError:
            raise ValueError(f"{days} days after {at.isoformat()} is beyond the year 9999") from None
        return self.last_second(day)

    def last_second(self, day: date) -> datetime:
        """23:59:59 of a day."""
        # Where clocks go back at midnight the day ends with the second 23:59:59.
        return self.local(datetime.combine(day, time(23, 59, 59, fold=1), self.zone))

    def with_year(self, year: int, published: Mapping[str, Any]) -> WorkingCalendar:
        """Return the same calendar, with one more year published or one published again."""
        known = {number: entry.model_dump(mode="json") for number, entry in self.years.root.items()}
        return WorkingCalendar(self.zone, self._windows, CalendarYears.model_validate({**known, year: published}))

    def holidays_between(self, first: date, last: date) -> list[date]:
        """Return the days off that were published, from the first day to the last; a plain weekend is none."""
        return sorted(day for day in self._holidays if first <= day <= last)

    def windows_of(self, day: date) -> list[tuple[datetime, datetime]]:
        """Return the working windows of a day as (start, end), in order and apart; none on a day off."""
        found: list[tuple[datetime, datetime]] = []
        for opens, closes in self._windows_on(day):
            start = self._at(day, opens)
            end = self._at(day + DAY if closes == MIDNIGHT else day, closes)
            # Where clocks go forward inside a window's edge, times shift and could overlap.
            start = max(start, found[-1][1]) if found else start
            if start < end:
                found.append((start, end))
        return found

    def is_open(self, at: datetime) -> bool:
        """Whether ``at`` lies in a working window (its start included, its end not)."""
        at = self.local(at)
        return any(start <= at < end for start, end in self.windows_of(at.date()))

    def next_opening(self, at: datetime) -> Reckoned:
        """``at`` itself inside a working window, else the start of the next window (S3-3.1.7).

        Before the first window of a working day that is the same day.

        Raises:
            ValueError: the calendar has no working time.
        """
        at = self.local(at)
        start, _ = next(self._open_from(at))
        return self._reckoned(at, start)

    def add_working_time(self, at: datetime, span: timedelta) -> Reckoned:
        """Return the first instant by which ``span`` of working time has passed since ``at``.

        A span that fills a window ends at the window's end, not at the next start; no span at all
        leaves ``at`` where it is.

        Raises:
            ValueError: a negative span, or the calendar has not that much working time.
        """
        if span < timedelta(0):
            raise ValueError(f"working time of {span} is negative; it must be 0 or more")
        at = self.local(at)
        if not span:
            return Reckoned(at)
        windows = self._open_from(at)
        start, end = next(windows)
        while span > end - start:
            span -= end - start
            start, end = next(windows)
        return self._reckoned(at, self.local(start + span))

    def working_time_between(self, start: datetime, end: datetime) -> timedelta:
        """Return the working time from ``start`` to ``end``; none where ``end`` is not later."""
        start, end = self.local(start), self.local(end)
        total = timedelta(0)
        for number in range(start.toordinal(), end.toordinal() + 1):
            for opens, closes in self.windows_of(date.fromordinal(number)):
                total += max(min(closes, end) - max(opens, start), timedelta(0))
        return total

    def _learn(self, local: datetime) -> None:
        edges = (datetime.combine(local, edge, local.tzinfo) for edge in (MIDNIGHT, time.max))
        if all(edge.astimezone(self.zone).utcoffset() == local.utcoffset() for edge in edges):
            self._all_day[local.toordinal()] = local.tzinfo

    def _windows_on(self, day: date) -> tuple[tuple[time, time], ...]:
        if day in self._make_up_days:
            return self._make_up
        return () if day in self._holidays else self._windows[day.weekday()]

    def _at(self, day: date, moment: time) -> datetime:
        return self.local(datetime.combine(day, moment, self.zone))

    def _open_from(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Return what is left of the working windows after ``at``; an error when there is no more."""
        if not self._make_up:
            raise ValueError("the calendar has no working windows (calendar.windows), so no working time")
        first = at.toordinal()
        # The last day of the year 9999 is left out: it may end in the year 10000.
        for number in range(first, min(first + LONGEST_SEARCH.days, date.max.toordinal())):
            for start, end in self.windows_of(date.fromordinal(number)):
                if at < end:
                    yield max(start, at), end
        raise ValueError(f"not enough working time within {LONGEST_SEARCH.days} days of {at.isoformat()}")

    def _reckoned(self, since: datetime, at: datetime) -> Reckoned:
        days = [date.fromordinal(number) for number in range(since.toordinal(), at.toordinal() + 1)]
        return Reckoned(
            at,
            tuple(day for day in days if day in self._holidays and self._windows[day.weekday()]),
            tuple(sorted({day.year for day in days} - self.years.root.keys())),
        )


def _check(weekday: str, windows: Sequence[tuple[time, time]]) -> None:
    last: time | None = None
    for start, end in windows:
        where = f"policy: calendar.windows.{weekday}: {start:%H:%M}-{end:%H:%M}"
        if end <= start and end != MIDNIGHT:
            raise Refused("bad_policy", f"{where} must end after it starts, on the same day")
        if last is not None and (last == MIDNIGHT or start < last):
            raise Refused("bad_policy", f"{where} must not start before the window before it has ended")
        last = end
