"""The commands ``calendar load`` and ``calendar show``: published years of working days."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from pydantic import ValidationError

from cases.vocabulary.events import canonical
from cases.vocabulary.refusals import Refused, invalid
from cases.working_calendar import CalendarYears, PublishedYear
from starter.cli import output
from starter.cli.errors import FAILED, OK, BadInput, Failed, explained, say
from starter.cli.intake import read_object
from starter.cli.options import REQUEST, STACK, RequestOptions, StackOptions

if TYPE_CHECKING:
    from activities.policies.calendar_years import CalendarYears as Book
    from activities.policies.store import Policies
    from starter.client import CaseClient

app = App(name="calendar", help="Working days: load a published year, show what is known.")

FORM = "one table a year, like [2027] with source, holidays and make_up_days"
# The first and last year that the command `cases.vocabulary.commands.LoadCalendar` accepts.
FIRST, LAST = 2000, 9998
BY = {"id": "calendar", "role": "system"}
# How many cases are sent the year at the same time.
CONCURRENT_CASES = 16


@app.command
async def load(
    file: Annotated[Path, Parameter(name="FILE", allow_leading_hyphen=True)],
    /,
    *,
    year: int | None = None,
    options: RequestOptions = REQUEST,
) -> int:
    """Load a published year: new cases use it, and running cases that were waiting for it hear of it.

    May be repeated without harm. Exit code 1 if a case could not be told; then run it again.

    Args:
        file: TOML or JSON, one table a year: [2027] with source, holidays and make_up_days; - reads stdin.
        year: only this year of the file; of a file without such tables, the year that it is about.
    """
    from activities.policies.calendar_years import CalendarYears as Book
    from activities.policies.store import Policies

    years = _read(file, year)
    policies = Policies(options.settings().policies)
    plain = {str(number): published.model_dump(mode="json") for number, published in years.items()}
    async with options.database() as database:
        # Connect to both before changing either.
        client, book = await options.client(), Book(database)
        changed = await book.load(plain)
        outcomes: dict[str, str | None] = {}
        for number in years:
            outcomes |= await _update_cases(number, plain[str(number)], book, policies, client, options)
    failed = {case: reason for case, reason in outcomes.items() if reason is not None}
    if options.json:
        output.print_json(
            {
                "years": {str(number): "loaded" if number in changed else "already loaded" for number in years},
                "told": sorted(outcomes.keys() - failed.keys()),
                "not_told": failed,
            }
        )
    else:
        for number, published in years.items():
            days = f"{output.count(len(published.holidays), 'holiday')}, make-up days: {len(published.make_up_days)}"
            output.line(f"{number}: {'loaded' if number in changed else 'already loaded'} ({days})")
        output.line(f"running cases that heard of it: {len(outcomes) - len(failed)}")
    if failed:
        case, reason = next(iter(failed.items()))
        say(f"{output.count(len(failed), 'case')} could not be told, run it again: {case}: {reason}")
        return FAILED
    return OK


@app.command
async def show(year: int | None = None, /, *, options: StackOptions = STACK) -> int:
    """Show the days off and the make-up days of the known years.

    Args:
        year: only this one.
    """
    from activities.policies.calendar_years import CalendarYears as Book
    from activities.policies.store import published_years

    known: dict[int, tuple[str, Any]] = {int(number): ("shipped", one) for number, one in published_years().items()}
    note = ""
    try:
        async with options.database() as database:
            loaded = await Book(database).years()
        known |= {one.year: (f"loaded {one.loaded_at.isoformat()}", one.published) for one in loaded}
    except Failed:
        note = "no casebook at hand: only the years that came with the program are shown"
    if year is not None and year not in known:
        raise Refused("not_published", f"{year}: not known; a deadline that needs it is provisional (calendar load)")
    rows = [
        (number, kept, PublishedYear.model_validate(one))
        for number, (kept, one) in sorted(known.items())
        if year in (None, number)
    ]
    if options.json:
        output.print_json([{"year": n, "kept": kept, **one.model_dump(mode="json")} for n, kept, one in rows])
        return OK
    output.table(
        ("year", "kept", "days off", "worked weekend days", "source"),
        [(n, kept, _days(one.holidays), _days(one.make_up_days), one.source) for n, kept, one in rows],
    )
    if note:
        output.line(note)
    return OK


def _read(file: Path, year: int | None) -> dict[int, PublishedYear]:
    """Read and validate the years of a file, or only the given one.

    Raises:
        BadInput: the file cannot be read, or does not hold the year.
        Refused: code ``invalid``, naming the year, the day and what is allowed.
    """
    content = read_object(file)
    if content.keys() & PublishedYear.model_fields.keys():
        if year is None:
            raise BadInput(f"{file}: of which year? Give --year, or {FORM}")
        content = {str(year): content}
    try:
        years = CalendarYears.model_validate(content).root
    except ValidationError as error:
        raise invalid(error, str(file)) from None
    for number in years:
        if not FIRST <= number <= LAST:
            raise BadInput(f"{file}: {number}: a year from {FIRST} to {LAST}")
    if not years:
        raise BadInput(f"{file}: holds no year; {FORM}")
    if year is None:
        return dict(years)
    if year not in years:
        raise BadInput(f"--year = {year}: {file} holds {', '.join(map(str, sorted(years)))}")
    return {year: years[year]}


async def _update_cases(
    year: int, published: dict[str, Any], book: Book, policies: Policies, client: CaseClient, options: RequestOptions
) -> dict[str, str | None]:
    """Send the year to every case that waits for it.

    Returns:
        By case id, None if the case took it, else the reason why it could not be sent.
    """
    # Derived from the content, so that a case does not take the same year twice.
    digest = hashlib.sha256(canonical({"year": year, "published": published}).encode()).hexdigest()
    body = {"by": BY, "request_id": f"calendar-{year}-{digest[:32]}", "year": year, "published": published}
    outcomes: dict[str, str | None] = {}
    slots = asyncio.Semaphore(CONCURRENT_CASES)

    async def update(case: str, policy: str) -> None:
        async with slots:
            try:
                if not policies.shares_calendar(policy):
                    return
                async with options.answer_within_timeout():
                    await client.command(case, "load_calendar", body)
            except Exception as error:
                if isinstance(error, Refused) and error.code == "closed":
                    return
                expected = explained(error)
                if expected is None:
                    raise
                outcomes[case] = expected[0]
            else:
                outcomes[case] = None

    seen: set[str] = set()
    # Repeated until no case is new, since one may have opened with the earlier calendar in the meantime.
    while fresh := [one for one in await book.waiting_for(year) if one[0] not in seen]:
        seen.update(case for case, _ in fresh)
        await asyncio.gather(*(update(case, policy) for case, policy in fresh))
    return outcomes


def _days(days: tuple[Any, ...]) -> str:
    """Format days as ranges, like ``01-01 to 01-03, 02-15``."""
    ranges: list[list[Any]] = []
    for day in days:
        if ranges and (day - ranges[-1][-1]).days == 1:
            ranges[-1].append(day)
        else:
            ranges.append([day])
    return ", ".join(f"{run[0]:%m-%d}" + (f" to {run[-1]:%m-%d}" if len(run) > 1 else "") for run in ranges)
