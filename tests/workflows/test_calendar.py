"""A year is published while cases run: `caseladder calendar load` tells those that were waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from activities.database.database import Database
from activities.database.migrate import migrate
from activities.policies.calendar_years import CalendarYears
from tests.cli.program import Answer, spawn
from tests.postgres import Cluster, as_writer, cluster
from tests.temporal import address, eventually, time_skipping
from tests.workflows.backend import Backend, Handle, Json, open_backend

# Far enough that nobody has published it, near enough that the slow policy needs it.
YEAR = datetime.now(UTC).year + 2
MONDAY = next(day for n in range(7, 15) if (day := date(YEAR, 3, n)).weekday() == 0)
# A thousand working days: the investigation ends in a year that nobody has published.
SLOW = """\
name = "slow"
extends = "default"
without = ["exception.clocks.investigation.calendar_days"]
[exception.clocks.investigation]
working_time = "PT9000H"
"""
FACTS = {"source": "self_found"}


@pytest.fixture(scope="module")
def database() -> Iterator[Cluster]:
    """A cluster for this module's backend."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
async def dsn(database: Cluster) -> str:
    """A migrated database."""
    made = await database.fresh_database()
    await migrate(made)
    return made


@pytest.fixture(scope="module")
async def backend(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Backend]:
    """A backend of its own: what is loaded stays loaded."""
    async with time_skipping() as env, open_backend(env, dsn, tmp_path_factory.mktemp("backend")) as backend:
        policies = backend.folder / "policies"
        (policies / "slow.toml").write_text(SLOW)
        own = SLOW.replace('"slow"', '"foreign"') + '[calendar.years.2026]\nsource = "our own"\n'
        (policies / "foreign.toml").write_text(own)
        yield backend


async def filed(backend: Backend, policy: str) -> Handle:
    known = datetime.now(UTC).isoformat()
    return await backend.file("exception", {**FACTS, "known_at": known}, policy=policy, received_at=known)


async def investigation(case: Handle) -> Json:
    view = await case.query("case")
    return next(clock for clock in view["clocks"] if clock["clock"] == "investigation")


def notices_in(events: list[Json]) -> list[str]:
    """The names of the notices that came out."""
    return [event["data"]["notice"] for event in events]


@pytest.mark.long
async def test_running_cases_hear_of_a_published_year(backend: Backend, dsn: str, tmp_path: Path) -> None:
    waiting = [await filed(backend, "slow"), await filed(backend, "slow")]
    foreign, done, plain = (
        await filed(backend, "foreign"),
        await filed(backend, "slow"),
        await filed(backend, "default"),
    )
    await backend.do(done, "withdraw", "supervisor")
    for case in (*waiting, foreign, done, plain):
        await backend.recorded(case)
    before = [await investigation(case) for case in waiting]
    assert all(YEAR in clock["provisional"] for clock in before)
    file = tmp_path / "year.toml"

    async def caseladder(*arguments: str) -> Answer:
        env = {
            "TEMPORAL_ADDRESS": address(backend.env.client),
            "CASELADDER_DATABASE_URL": as_writer(dsn),
            "CASELADDER_POLICIES": str(backend.folder / "policies"),
        }
        return await asyncio.to_thread(spawn, *arguments, env=env)

    # A bad file changes nothing, here or there.
    file.write_text(f'[{YEAR}]\nsource = "x"\nholidays = ["{MONDAY}"]\nmake_up_days = ["{MONDAY}"]\n')
    assert f"{MONDAY} is both" in (await caseladder("calendar", "load", str(file))).refused(2)
    async with Database.open(as_writer(dsn)) as store:
        assert await CalendarYears(store).years() == []

    file.write_text(f'[{YEAR}]\nsource = "made up"\nholidays = ["{MONDAY}"]\n')
    answer = (await caseladder("calendar", "load", str(file), "--json")).json
    assert answer == {"years": {str(YEAR): "loaded"}, "told": sorted(case.id for case in waiting), "not_told": {}}

    for case, was in zip(waiting, before, strict=True):
        [moved] = await backend.timeline(case, "clock_moved")
        assert (moved["data"]["was"], moved["data"]["year"]) == (was["due"], YEAR)
        assert str(MONDAY) in moved["data"]["days_off"]
        now = await investigation(case)
        assert (now["due"], now["provisional"]) == (
            moved["data"]["due"],
            [year for year in was["provisional"] if year != YEAR],
        )
        assert datetime.fromisoformat(now["due"]) - datetime.fromisoformat(was["due"]) >= timedelta(days=1)
        shown = (await caseladder("explain", case.id)).out
        assert f"was {datetime.fromisoformat(was['due']).isoformat(' ', 'seconds')} (provisional)" in shown
        # Whoever holds it is told.
        await eventually(partial(backend.timeline, case, "notified"), lambda seen: "moved" in notices_in(seen))
    for case in (foreign, plain):
        assert await backend.timeline(case, "calendar_loaded") == []

    # Again is harmless, by the store as by the cases.
    for case in waiting:
        await backend.recorded(case)
    again = (await caseladder("calendar", "load", str(file), "--json")).json
    assert (again["years"], again["not_told"]) == ({str(YEAR): "already loaded"}, {})
    assert len(await backend.timeline(waiting[0], "calendar_loaded")) == 1

    # Who comes later has it from the start.
    later = await filed(backend, "slow")
    assert YEAR not in (await investigation(later))["provisional"]
    [explained] = [one for one in await later.query("explain") if one["clock"] == "investigation"]
    assert str(MONDAY) in explained["days_off"]
    shown = (await caseladder("calendar", "show", str(YEAR), "--json")).json
    assert shown[0]["holidays"] == [str(MONDAY)]
    assert shown[0]["kept"].startswith("loaded ")


@pytest.mark.long
async def test_a_case_that_cannot_be_told_is_named(backend: Backend, dsn: str, tmp_path: Path) -> None:
    case = await filed(backend, "slow")
    await backend.recorded(case)
    year = YEAR + 1
    assert year in (await investigation(case))["provisional"]
    file = tmp_path / "year.json"
    file.write_text(f'{{"source": "made up", "holidays": ["{year}-01-01"]}}')
    env = {
        "TEMPORAL_ADDRESS": address(backend.env.client),
        "CASELADDER_DATABASE_URL": as_writer(dsn),
        # The policy is not known there, so nobody can say whether it works by the published years.
        "CASELADDER_POLICIES": str(tmp_path),
    }
    answer = await asyncio.to_thread(spawn, "calendar", "load", str(file), "--year", str(year), env=env)
    assert answer.code == 1
    assert "could not be told, run it again" in answer.err
    assert "policy = 'slow' is not known" in answer.err
    assert f"{year}: loaded" in answer.out
