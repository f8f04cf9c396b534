"""The one database of a process: how many connections it opens, and who gets them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from activities.casebook.audit import Audit
from activities.casebook.record import Recorder
from activities.database import FEWEST
from activities.database.database import Database
from activities.database.errors import DatabaseAway
from activities.database.migrate import migrate
from activities.people.directory import DirectoryBook
from activities.people.directory_changes import DirectoryChanges
from activities.people.swap import Swaps
from activities.policies.store import Policies
from cases.directory import Person, Shift, Unit
from starter.swap import facts_of
from tests.activities.ledger import batch
from tests.postgres import Cluster, as_writer

PEOPLE = [Person(id="one", role="agent", unit="hq"), Person(id="two", role="agent", unit="hq")]


@pytest.fixture(scope="module")
async def dsn(postgres: Cluster) -> str:
    address = await postgres.fresh_database()
    await migrate(address)
    return address


@pytest.fixture
async def superuser(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def opened(superuser: asyncpg.Connection, program: str) -> int:
    """How many connections PostgreSQL counts under a name."""
    count: int = await superuser.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", program)
    return count


@asynccontextmanager
async def held(database: Database, connections: int) -> AsyncIterator[None]:
    """Hold so many connections for other things than recording."""
    async with AsyncExitStack() as stack:
        for _ in range(connections):
            await stack.enter_async_context(database.connection())
        yield


@pytest.mark.parametrize("records", [True, False])
async def test_no_more_connections_are_opened_than_allowed(
    dsn: str, superuser: asyncpg.Connection, records: bool
) -> None:
    async def use(taken: Any) -> None:
        async with taken as connection:
            await connection.execute("SELECT pg_sleep(0.05)")

    async with Database.open(as_writer(dsn), connections=4, records=records, program="counted") as database:
        uses = [use(database.connection()) for _ in range(20)] + [use(database.recording()) for _ in range(20)]
        working = asyncio.gather(*uses)
        most = 0
        while not working.done():
            most = max(most, await opened(superuser, "counted"))
            await asyncio.sleep(0.01)
        await working
        assert most == 4
    assert await opened(superuser, "counted") == 0


async def test_recording_goes_on_while_other_uses_hold_the_rest(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than thirty recordings take one after the other on a busy machine.
    monkeypatch.setattr("activities.database.database.ACQUIRE_TIMEOUT", 2)
    async with Database.open(as_writer(dsn), connections=6, records=True) as database, held(database, 4):
        with pytest.raises(DatabaseAway):
            await DirectoryBook(database).read()
        answers = await asyncio.gather(*(Recorder(database).record(batch(1, 2, f"complaint:r{n}")) for n in range(30)))
        assert {answer.head_seq for answer in answers} == {2}


async def test_other_uses_go_on_while_much_is_recorded(
    dsn: str, superuser: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Database.open(as_writer(dsn), connections=FEWEST, records=True) as database:
        async with superuser.transaction():
            await superuser.execute("LOCK TABLE case_event")
            recorder = Recorder(database)
            recording = [asyncio.create_task(recorder.record(batch(1, 2, f"complaint:s{n}"))) for n in range(10)]
            await asyncio.sleep(0.2)
            # It would give up after a second, and know nobody.
            assert (await asyncio.wait_for(DirectoryBook(database).read(), 1)).people == ()
            assert not any(task.done() for task in recording)
        assert {answer.head_seq for answer in await asyncio.gather(*recording)} == {2}


async def test_audits_take_turns_so_that_they_leave_the_others_room(dsn: str, superuser: asyncpg.Connection) -> None:
    async with Database.open(as_writer(dsn), connections=2) as database:
        async with superuser.transaction():
            await superuser.execute("LOCK TABLE case_file")
            audits = [asyncio.create_task(Audit(database).verify()) for _ in range(5)]
            await asyncio.sleep(0.2)
            assert (await asyncio.wait_for(DirectoryBook(database).read(), 1)).people == ()
        assert all(report.ok for report in await asyncio.gather(*audits))


@pytest.mark.parametrize(("records", "plans"), [(False, "force_custom_plan"), (True, "auto")])
async def test_who_does_not_record_plans_for_the_values_of_a_search(dsn: str, records: bool, plans: str) -> None:
    async with Database.open(as_writer(dsn), records=records) as database, database.connection() as connection:
        assert await connection.fetchval("SHOW plan_cache_mode") == plans


async def test_swaps_at_once_need_no_second_connection_each(postgres: Cluster, dsn: str) -> None:
    """Who holds a connection and waits for another would wait for ever for one that waits likewise."""
    policy, now = Policies().load("default"), datetime.now(UTC)
    begins = now + timedelta(days=2)
    async with Database.open(as_writer(dsn), connections=FEWEST, records=True) as database:
        changes = DirectoryChanges(database)
        await changes.replace_people(PEOPLE, units=[Unit(id="hq")])
        await changes.replace_shifts(
            [Shift(id="s", person="one", starts_at=begins, ends_at=begins + timedelta(hours=8))]
        )
        facts = facts_of(await DirectoryBook(database).read(), policy, "one", "two", "s", None)
        done = await asyncio.gather(*(Swaps(database).make_valid("swap:W", facts, policy, now) for _ in range(10)))
        assert done == [[{"shift": "s", "from": "one", "to": "two"}]] * 10
        await changes.replace_shifts([])
        await changes.replace_people([])
