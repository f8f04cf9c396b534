"""Loaded calendar years in a real database: stored whole, seen by every case that opens, missed by none."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from activities.database.database import Database
from activities.database.errors import DatabaseAway, StatementFailed
from activities.database.migrate import migrate
from activities.messages import Batch
from activities.policies.calendar_years import CalendarYears
from activities.policies.store import Policies
from tests.casebook import open_book
from tests.postgres import Cluster, as_writer, cluster

YEAR = {"source": "made up", "holidays": ["2027-01-01"], "make_up_days": []}
OTHER = {"source": "made up again", "holidays": ["2027-01-02"], "make_up_days": []}


@pytest.fixture
async def address(postgres: Cluster) -> str:
    """A migrated database."""
    dsn = await postgres.fresh_database()
    await migrate(dsn)
    return dsn


@pytest.fixture
async def book(address: str) -> AsyncIterator[CalendarYears]:
    """The loaded years, none yet."""
    async with Database.open(as_writer(address)) as store:
        yield CalendarYears(store)


async def test_a_year_is_stored_and_replaced(book: CalendarYears) -> None:
    assert await book.years() == []
    assert await book.load({"2028": YEAR, "2027": YEAR}) == [2027, 2028]
    assert await book.load({"2028": YEAR, "2027": OTHER}) == [2027]
    assert [(one.year, one.published) for one in await book.years()] == [(2027, OTHER), (2028, YEAR)]
    assert all(one.loaded_at.tzinfo is not None for one in await book.years())


async def test_all_years_of_a_file_or_none(book: CalendarYears) -> None:
    with pytest.raises(StatementFailed):
        await book.load({"2027": YEAR, "1999": YEAR})
    assert await book.years() == []


async def test_a_case_that_opens_gets_the_loaded_year(book: CalendarYears) -> None:
    policies = Policies(None, book.current)
    assert "2027" not in json.loads((await policies.in_force("default")).document)["calendar"]["years"]
    await book.load({"2027": YEAR, "2026": OTHER | {"holidays": []}})
    years = json.loads((await policies.in_force("default")).document)["calendar"]["years"]
    assert years["2027"] == YEAR
    assert years["2026"]["source"] == "made up again"
    assert "2024" in years
    # A rehearsal, or a look at the policy, is by the shipped ones.
    assert "2027" not in json.loads(Policies().load("default").document)["calendar"]["years"]


@pytest.mark.long
async def test_while_the_database_is_away_the_last_answer_holds(tmp_path: Path) -> None:
    with cluster() as own:
        dsn = await own.fresh_database()
        await migrate(dsn)
        async with Database.open(as_writer(dsn)) as store:
            known, fresh = CalendarYears(store), CalendarYears(store)
            await known.load({"2027": YEAR})
            assert await known.current() == {"2027": YEAR}
            own.stop("immediate")
            assert await known.current() == {"2027": YEAR}
            # One that never asked opens cases with what came with the program.
            assert await fresh.current() == {}
            assert json.loads((await Policies(None, fresh.current).in_force("default")).document)["name"] == "default"
            with pytest.raises(DatabaseAway):
                await known.years()
            own.start()
            assert await fresh.current() == {"2027": YEAR}


async def test_a_database_without_the_table_stops_no_case(postgres: Cluster) -> None:
    async with Database.open(await postgres.fresh_database()) as store:
        assert await CalendarYears(store).current() == {}


async def test_open_cases_that_wait_for_a_year_are_found(address: str, book: CalendarYears) -> None:
    def clock(state: str, *years: int) -> dict[str, Any]:
        return {"clock": "report_mail", "state": state, "due": "2027-01-01T09:00:00+08:00", "provisional": list(years)}

    views = {
        "a": ([clock("running", 2027)], "open"),
        "b": ([clock("paused", 2027, 2028)], "resolved"),
        "c": ([clock("running", 2028)], "open"),
        "d": ([clock("met", 2027)], "open"),
        "e": ([clock("running", 2027)], "closed"),
        "f": ([clock("running")], "open"),
        "g": ([], "open"),
    }
    event = {"type": "noted", "at": "2026-12-31T18:30:00+08:00", "recorded_at": "2026-12-31T18:30:00+08:00"}
    async with open_book(address) as casebook:
        for key, (clocks, status) in views.items():
            at = event["at"] if status == "closed" else None
            view = {"id": f"exception:{key}", "kind": "exception", "status": status, "closed_at": at,
                    "policy": "default", "opened_at": event["at"], "clocks": clocks}  # fmt: skip
            full = {**event, "seq": 1, "actor": {"id": "x", "role": "system"}, "clauses": [], "data": {}}
            await casebook.record(Batch(f"exception:{key}", "exception", [full], view, "run-1"))
    assert await book.waiting_for(2027) == [("exception:a", "default"), ("exception:b", "default")]
    assert await book.waiting_for(2028) == [("exception:b", "default"), ("exception:c", "default")]
    assert await book.waiting_for(2029) == []


async def test_a_year_that_no_rule_knows_is_not_stored(address: str) -> None:
    connection = await asyncpg.connect(address)
    try:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("INSERT INTO calendar_year (year, published) VALUES (9999, '{}')")
    finally:
        await connection.close()
